"""Pedaços ou letras, com a mesma exposição: a comparação do capítulo 7, com três sementes de cada lado.

uso: python bancada/pedacos_letras.py [--sementes 0 1 2]

Dos dois lados, os mesmos pares de treino (plural, copiar e maiúsculas de `regras`), três vezes cada um. O de
pedaços parte do `contos-mini`; o de letras, que começa do zero, lê antes os ecos, como na página. A taxa de
cada um é a melhor de três, na validação, com a primeira semente. (O dobro da maior das taxas do de letras foi
ainda melhor com a semente 0, e com a semente 1 desabou.) Grava em `data/pedacos-letras.json` o acerto exato
por família no treino (uma amostra) e na validação. Num núcleo livre demora uns quinze minutos.
"""

from __future__ import annotations

import argparse
import copy
from pathlib import Path
from typing import Any

import torch

from homellm.corpus import load_table
from homellm.data import create_dataloader
from homellm.files import write_json
from homellm.instruction import (
    byte_tokenizer,
    echo_lines,
    finetune_instructions,
    respond_all,
    score_families,
)
from homellm.model import GPT, GPTConfig
from homellm.tokenizer import END
from homellm.training import TrainConfig, train
from homellm.weights import load_pretrained

FAMILIES = ("plural", "copiar", "maiusculas")
TRAIN, VALIDATION = (
    [row for row in load_table("regras", split) if row.familia in FAMILIES]
    for split in ("train", "validation")
)
SPLITS = {"treino": TRAIN[::20], "validação": VALIDATION}
EPOCHS = 3
SIDES = {  # lote (ids), maior resposta (ids), taxas que se tentam
    "pedaços": (768, 40, (1e-3, 2e-3, 4e-3)),
    "letras": (1024, 64, (1e-3, 2e-3, 4e-3)),
}


def warmed(seed: int) -> GPT:
    """O modelo de letras da página, depois dos ecos."""
    words = sorted({word for row in TRAIN for word in row.entrada.split(", ")})
    ids = byte_tokenizer().encode(END.join(echo_lines(words, 8000, seed)), [END])
    torch.manual_seed(seed)
    model = GPT(GPTConfig(vocab_size=260, context_length=256, emb_dim=64, n_heads=4, n_layers=3))
    config = TrainConfig(max_steps=900, learning_rate=8e-3, warmup_steps=50, final_lr=0.3, seed=seed)
    train(model, create_dataloader(ids, 16, 64, seed=seed), None, config, progress=False)
    return model


def run(side: str, start: GPT, tokenizer: Any, learning_rate: float, seed: int) -> dict[str, Any]:
    batch_tokens, limit, _ = SIDES[side]
    torch.manual_seed(seed)
    model = copy.deepcopy(start)
    config = TrainConfig(
        epochs=EPOCHS, learning_rate=learning_rate, warmup_steps=50, final_lr=0.05, seed=seed
    )
    options = dict(batch_tokens=batch_tokens, progress=False)
    history = finetune_instructions(model, tokenizer, TRAIN, (), config, **options)
    exact = {}
    for split, rows in SPLITS.items():
        scores = score_families(rows, respond_all(model, tokenizer, rows, limit))
        exact[split] = {score.family: round(score.exact, 3) for score in scores}
    mean = sum(exact["validação"].values()) / len(FAMILIES)
    print(side, seed, learning_rate, exact, f"{len(history.step_loss)} passos", flush=True)
    return {
        "semente": seed, "taxa": learning_rate, "passos": len(history.step_loss),
        "alvos": history.tokens, "média na validação": round(mean, 3), **exact,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sementes", type=int, nargs="+", default=[0, 1, 2])
    args = parser.parse_args()
    pieces, tokenizer = load_pretrained("contos-mini")
    data: dict[str, Any] = {"épocas": EPOCHS, "pares": len(TRAIN)}
    data["itens"] = {split: len(rows) for split, rows in SPLITS.items()}
    for side, (_, _, rates) in SIDES.items():
        tried, chosen = [], []
        for seed in args.sementes:
            start = pieces if side == "pedaços" else warmed(seed)
            tok = tokenizer if side == "pedaços" else byte_tokenizer()
            if not tried:
                tried = [run(side, start, tok, rate, seed) for rate in rates]
                best = max(tried, key=lambda result: result["média na validação"])
                chosen.append(best)
            else:
                chosen.append(run(side, start, tok, best["taxa"], seed))
        parameters = start.num_params()
        data[side] = {"parâmetros": parameters, "taxas tentadas": tried, "sementes": chosen}
    write_json(Path(__file__).parents[1] / "data/pedacos-letras.json", data)


if __name__ == "__main__":
    main()
