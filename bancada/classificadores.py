"""Os treinos do capítulo 6 com várias sementes: por inteiro, só os dois últimos blocos, e do zero.

uso: python bancada/classificadores.py [--sementes 0 1 2] [--so spam-mini|sentimento-mini]

Segue as receitas de `homellm.recipes` e grava em `data/modelos/<modelo>/medidas.json`, por treino e por
semente, a acurácia na validação e no teste e, no spam, o F1 do spam no teste; e, da primeira semente, a perda
de treino e a de validação no fim de cada época. Só o `spam-mini` é treinado dos três jeitos. Num núcleo livre
demora uns doze minutos.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import torch

from homellm.classification import (
    GPTClassifier,
    Report,
    classification_report,
    create_classification_loader,
    predict,
)
from homellm.corpus import load_table
from homellm.files import write_json
from homellm.model import GPT
from homellm.recipes import CLASSIFIERS, ClassifierRecipe, load_labeled, train_classifier
from homellm.tokenizer import BPETokenizer
from homellm.weights import find_model, load_pretrained


def measure(
    recipe: ClassifierRecipe, model: GPTClassifier, tokenizer: BPETokenizer, split: str
) -> Report:
    rows = load_table(recipe.table, split)
    guesses = [p.label for p in predict(model, tokenizer, [row.texto for row in rows])]
    return classification_report([row.rotulo for row in rows], guesses, model.labels)


def measure_seeds(name: str, seeds: list[int]) -> dict[str, dict[str, list[float]]]:
    gpt, tokenizer = load_pretrained("contos-mini")
    recipe = CLASSIFIERS[name]
    data = load_labeled(recipe, "train", tokenizer, gpt.config.context_length)
    per_epoch = len(create_classification_loader(data, recipe.batch_size))
    recipe = replace(recipe, config=replace(recipe.config, eval_every=per_epoch))
    torch.manual_seed(0)
    ways = {"por inteiro": (gpt, {})}
    if name == "spam-mini":
        ways |= {"dois blocos": (gpt, {"trainable_blocks": 2}), "do zero": (GPT(gpt.config), {})}
    measures = {}
    for way, (body, options) in ways.items():
        columns: dict[str, list[float]] = {"semente": [], "validação": [], "teste": []}
        for seed in seeds:
            model, history = train_classifier(recipe, body, tokenizer, seed, progress=False, **options)
            test = measure(recipe, model, tokenizer, "test")
            row = {"semente": seed, "teste": test.accuracy}
            row["validação"] = measure(recipe, model, tokenizer, "validation").accuracy
            if name == "spam-mini":
                row["F1 no teste"] = float(test.f1[1])
            for column, value in row.items():
                columns.setdefault(column, []).append(round(value, 4))
            if seed == seeds[0]:
                columns["perda de treino"] = [round(x, 4) for x in history.train_loss[1:]]
                columns["perda de validação"] = [round(x, 4) for x in history.val_loss[1:]]
            print(name, way, row, f"{history.seconds:.0f} s", flush=True)
        measures[way] = columns
    return measures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sementes", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--so", choices=sorted(CLASSIFIERS), help="só as de um dos modelos")
    args = parser.parse_args()
    for name in [args.so] if args.so else sorted(CLASSIFIERS):
        write_json(find_model(name) / "medidas.json", measure_seeds(name, args.sementes))


if __name__ == "__main__":
    main()
