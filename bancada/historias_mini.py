"""O que acompanha os pesos do `historias-mini`: a curva do treino e histórias que ele não leu.

uso: python -m bancada.historias_mini --treino PASTA

`--treino` é a pasta de `python -m data.fazer.conversa.treina historias-mini --saida PASTA`. Grava, em
`data/modelos/historias-mini`, `historia.json` (a curva, e quantas palavras diferentes há nas dez mil
primeiras do treino), `conhecidas.txt` e `ineditas.txt`: histórias que não estão no treino, de enredos que
estão e de enredos que não estão, separadas por uma linha vazia. As medidas são de
`python -m data.fazer.conversa.mede historias`.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

import numpy as np
from safetensors import safe_open

from data.fazer.conversa.treina import stories
from homellm.files import write_json
from homellm.weights import find_model

EXAMPLES, WORDS = 30, 10_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--treino", type=Path, required=True)
    args = parser.parse_args()
    folder = find_model("historias-mini")

    with safe_open(args.treino / "treino.safetensors", framework="pt") as file:
        history = json.loads(file.metadata()["homellm"])["state"]["history"]
    curve = {name: history[name] for name in ("steps", "train_loss", "val_loss", "tokens", "seconds")}
    curve["train_loss"][0] = None  # antes do primeiro passo não há perda de treino
    curve["corpus_tokens"] = len(np.load(args.treino / "train.npy", mmap_mode="r"))
    words = re.findall(r"\w+", " ".join(stories(300)).lower())
    curve["different_words"] = len(set(words[:WORDS]))
    write_json(folder / "historia.json", curve)

    for name, unseen in (("conhecidas", False), ("ineditas", True)):
        texts = "\n\n".join(stories(EXAMPLES, "validation", unseen))
        (folder / f"{name}.txt").write_text(texts + "\n", "utf-8")


if __name__ == "__main__":
    main()
