"""Os treinos do capítulo 6 com várias sementes: por inteiro, só os dois últimos blocos, e do zero.

uso: python bancada/spam_mini.py [--sementes 0 1 2]

Segue a receita do `spam-mini` e grava em `data/modelos/spam-mini/medidas.json`, por treino e por semente, a
acurácia na validação e a acurácia e o F1 do spam no teste. Demora uns dez minutos num núcleo livre. As que
vêm com o livro são de quando o `spam-mini` foi treinado (ele é a semente 0 por inteiro); o pacote sorteia
hoje noutra ordem, e refazê-las dá números parecidos, e não os mesmos.
"""

from __future__ import annotations

import argparse

import torch

from homellm.classification import (
    GPTClassifier,
    Report,
    classification_report,
    predict,
)
from homellm.corpus import load_table
from homellm.files import write_json
from homellm.model import GPT
from homellm.recipes import CLASSIFIERS, train_classifier
from homellm.tokenizer import BPETokenizer
from homellm.weights import find_model, load_pretrained

RECIPE = CLASSIFIERS["spam-mini"]


def measure(model: GPTClassifier, tokenizer: BPETokenizer, split: str) -> Report:
    rows = load_table(RECIPE.table, split)
    guesses = [p.label for p in predict(model, tokenizer, [row.texto for row in rows])]
    return classification_report([row.rotulo for row in rows], guesses, model.labels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sementes", type=int, nargs="+", default=[0, 1, 2])
    args = parser.parse_args()

    gpt, tokenizer = load_pretrained("contos-mini")
    torch.manual_seed(0)
    ways = {
        "dois blocos": (gpt, {"trainable_blocks": 2}),
        "do zero": (GPT(gpt.config), {}),
        "por inteiro": (gpt, {}),
    }
    measures: dict[str, dict[str, list[float]]] = {}
    for name, (body, options) in ways.items():
        columns: dict[str, list[float]] = {"semente": [], "validação": [], "teste": [], "F1 no teste": []}
        for seed in args.sementes:
            model, _ = train_classifier(RECIPE, body, tokenizer, seed, progress=False, **options)
            test = measure(model, tokenizer, "test")
            row = [seed, measure(model, tokenizer, "validation").accuracy, test.accuracy, float(test.f1[1])]
            for column, value in zip(columns.values(), row, strict=True):
                column.append(round(value, 4))
            print(name, *(f"{column} {values[-1]}" for column, values in columns.items()), sep="  ")
        measures[name] = columns
    write_json(find_model("spam-mini") / "medidas.json", measures)


if __name__ == "__main__":
    main()
