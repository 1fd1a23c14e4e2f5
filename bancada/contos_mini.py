"""As medidas do `contos-mini` e das suas linhas de base, no mesmo texto: o que o cartão do modelo diz.

uso: python bancada/contos_mini.py --treino PASTA --textos PASTA [--fora NOME ...]

`--treino` é a pasta de saída de `python -m homellm.recipes contos-mini` (com `treino.ids` e
`treino.safetensors`); `--textos`, a dos textos de que os livros `--fora` ficaram de fora. Grava
`historia.json` (a curva de treino) e `medidas.json` (bits por byte) em `data/modelos/contos-mini`. As linhas
de base contam os mesmos tokens que o modelo leu.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from safetensors import safe_open

from homellm.corpus import load_text
from homellm.data import TokenFileDataset
from homellm.ngram import NGramModel
from homellm.plots import br
from homellm.pretrain import join_wrapped
from homellm.training import bits_per_byte
from homellm.weights import find_model, load_pretrained


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--treino", type=Path, required=True)
    parser.add_argument("--textos", type=Path, required=True)
    parser.add_argument("--fora", nargs="*", default=["romance-casaVelha", "romance-maoLuva"])
    args = parser.parse_args()
    folder = find_model("contos-mini")

    with safe_open(args.treino / "treino.safetensors", framework="pt") as file:
        history = json.loads(file.metadata()["homellm"])["state"]["history"]
    curve = {name: history[name] for name in ("steps", "train_loss", "val_loss", "tokens", "seconds")}
    curve["train_loss"][0] = None  # antes do primeiro passo não há perda de treino
    ids = np.asarray(TokenFileDataset(args.treino / "treino.ids", 256).ids, dtype=np.int64)
    curve["corpus_tokens"] = len(ids)
    (folder / "historia.json").write_text(json.dumps(curve, indent=1) + "\n", "utf-8")

    texts = {f"contos ({split})": load_text("contos", split) for split in ("validation", "test")}
    texts["folhetim"] = load_text("folhetim")
    for name in args.fora:
        path = next(args.textos.rglob(f"{name}.txt"))
        texts[name] = join_wrapped(path.read_text("utf-8"))
    model, tokenizer = load_pretrained(folder)
    measures = {"GPT": {name: bits_per_byte(model, tokenizer, text) for name, text in texts.items()}}
    for order in (1, 2, 3, 4):
        ngram = NGramModel(order, tokenizer.vocab_size).fit(ids)
        measures[f"n-grama {order}"] = {
            name: ngram.bits_per_byte(tokenizer.encode(text), len(text.encode("utf-8")))
            for name, text in texts.items()
        }
    measures = {who: {name: round(x, 4) for name, x in row.items()} for who, row in measures.items()}
    (folder / "medidas.json").write_text(json.dumps(measures, indent=1, ensure_ascii=False) + "\n", "utf-8")
    for who, row in measures.items():
        print(f"{who:<12}", "  ".join(f"{name} {br(x, 3)}" for name, x in row.items()))


if __name__ == "__main__":
    main()
