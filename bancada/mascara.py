"""A máscara importa? Dois treinos do zero nas mesmas conversas: um cobra só a resposta, o outro cobra tudo.

uso: python bancada/mascara.py [--semente 0]

São 16 mil conversas do Seu Gota (1,8 milhão de tokens), uma passada, no tamanho do `conversa-mini` e com
a taxa do `historias-mini`. Os pesos do começo e a ordem dos lotes são os mesmos. As perdas da resposta e
do pedido se medem à parte, em conversas de validação. Um terceiro treino, com AdamW e só a resposta,
mostra o que o Muon adianta. Grava em `data/mascara.json`, que o capítulo 7 lê. Num núcleo livre, cada
treino demora uns seis minutos.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # `data` não é do pacote

from data.fazer.conversa.treina import (  # noqa: E402
    BATCH,
    SIZES,
    STORY_TRAINING,
    conversations,
    quick,
)
from homellm.data import LengthBatches  # noqa: E402
from homellm.device import choose_device  # noqa: E402
from homellm.evaluation import evaluate  # noqa: E402
from homellm.files import write_json  # noqa: E402
from homellm.instruction import (  # noqa: E402
    InstructionDataset,
    collate_instructions,
    finetune_instructions,
)
from homellm.model import GPT  # noqa: E402
from homellm.weights import load_pretrained  # noqa: E402

CONVERSATIONS, HELD_OUT = 16_000, 400
SIDES = {  # só a resposta?, Muon?, taxa
    "só a resposta": (True, True, STORY_TRAINING.learning_rate),
    "tudo": (False, True, STORY_TRAINING.learning_rate),
    "AdamW, só a resposta": (True, False, 3e-3),
}
Item = tuple[Tensor, Tensor]


def parts(items: Sequence[Item]) -> dict[str, list[Item]]:
    """Os mesmos itens, em que contam só as respostas, e em que conta só o resto."""
    return {
        "resposta": list(items),
        "pedido": [(ids, ~written) for ids, written in items],
    }


def losses(model: nn.Module, items: Sequence[Item]) -> dict[str, float]:
    """A perda média por token da resposta e do pedido, com as marcas de quem fala."""
    batches = list(LengthBatches([len(ids) for ids, _ in items], max_tokens=4096, shuffle=False))
    found = {}
    for part, some in parts(items).items():
        loader = [collate_instructions([some[n] for n in batch]) for batch in batches]
        found[part] = round(evaluate(model, loader), 4)
    return found


def run(side: str, seed: int) -> dict[str, list[float]]:
    """Um treino, medido a cada cem passos."""
    response_only, muon, rate = SIDES[side]
    _, tokenizer = load_pretrained("conversa-mini")
    rows, held_out = conversations(CONVERSATIONS), conversations(HELD_OUT, "validation")
    size = SIZES.context_length
    total = sum(len(ids) for ids, _ in InstructionDataset(rows, tokenizer, size).items)
    items = InstructionDataset(held_out, tokenizer, size).items
    torch.manual_seed(seed)
    model = GPT(replace(SIZES, vocab_size=tokenizer.vocab_size)).to(choose_device())
    measured: dict[str, list[float]] = {"passos": [], "resposta": [], "pedido": []}

    def report(step: int, model: nn.Module) -> None:
        found = losses(model, items)
        print(side, step, found, flush=True)
        for name, value in (("passos", step), *found.items()):
            measured[name].append(value)

    config = replace(STORY_TRAINING, learning_rate=rate, eval_every=100, seed=seed)
    with quick(muon):
        history = finetune_instructions(
            model, tokenizer, rows, (), config, batch_tokens=BATCH,
            response_only=response_only, on_eval=report, progress=False,
        )  # fmt: skip
    steps = len(history.step_loss)
    tokens = [round(total * step / steps) for step in measured["passos"]]
    return {"tokens": tokens, "resposta": measured["resposta"], "pedido": measured["pedido"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--semente", type=int, default=0)
    seed = parser.parse_args().semente
    data = {"semente": seed, "conversas": CONVERSATIONS, "lados": {}}
    for side in SIDES:
        data["lados"][side] = run(side, seed)
        write_json(ROOT / "data/mascara.json", data)


if __name__ == "__main__":
    main()
