"""As medidas do `spam-mini` e do `sentimento-mini`: linhas de base, sementes, níveis e mensagens comuns.

uso: python bancada/classificadores.py spam-mini [--sementes 0 1 2] [--modelo PASTA] [--treinos NOME ...]

Grava `data/modelos/NOME/medidas.json`. Os treinos seguem a receita do modelo, três sementes cada um: por
inteiro, só os dois últimos blocos, LoRA (com a taxa três vezes maior, que não se procurou) e do zero; o
sentimento só treina por inteiro. De cada um ficam a exposição (épocas, textos vistos, números treinados), a
perda na validação a cada época e os acertos na validação e no teste, com os textos simples e os difíceis à
parte. A diferença entre o modelo guardado e cada linha de base vem com o erro padrão pareado, por texto e
por família. Um treino que já está no arquivo, com a mesma exposição, não se refaz; apague o arquivo para
recomeçar.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from homellm.classification import (
    GPTClassifier,
    classification_report,
    load_classifier,
    predict,
    set_trainable,
)
from homellm.corpus import LEVELS, Labeled, load_table
from homellm.files import read_json, write_json
from homellm.lora import low_rank
from homellm.model import GPT
from homellm.recipes import CLASSIFIERS, ClassifierRecipe, train_classifier
from homellm.tokenizer import Tokenizer
from homellm.weights import find_model, load_pretrained

SPLITS = {"validação": "validation", "teste": "test"}
BASELINES = {
    "TF-IDF, palavras": {"ngram_range": (1, 2)},
    "TF-IDF, letras": {"analyzer": "char_wb", "ngram_range": (2, 5)},
}
BASE, RANK, RATE_OF_LORA = "contos-mini", 8, 3e-3
COMMON = Path(__file__).with_name("mensagens_comuns.json")  # escritas para a prova; nenhuma está no treino


def scores(rows: Sequence[Labeled], guesses: Sequence[str], labels: tuple[str, ...]) -> dict[str, float]:
    """A acurácia (no todo e por nível) e o F1: o do spam, ou a média, quando há mais de duas classes."""
    report = classification_report([row.rotulo for row in rows], guesses, labels)
    hits = np.array([row.rotulo == guess for row, guess in zip(rows, guesses, strict=True)])
    level = np.array([row.nivel for row in rows])
    found = {"acurácia": report.accuracy, "F1": report.f1[1] if len(labels) == 2 else report.macro_f1}
    found |= {name: hits[level == name].mean() for name in LEVELS}
    return {name: round(float(value), 6) for name, value in found.items()}


def paired(rows: Sequence[Labeled], one: Sequence[str], other: Sequence[str]) -> dict[str, float]:
    """A diferença de acurácia entre dois modelos, nos mesmos textos, e o erro padrão dela."""
    truth = np.array([row.rotulo for row in rows])
    gaps = (np.array(one) == truth).astype(float) - (np.array(other) == truth)
    families = np.array([row.familia for row in rows])
    means = np.array([gaps[families == family].mean() for family in np.unique(families)])
    errors = [part.std(ddof=1) / len(part) ** 0.5 for part in (gaps, means)]
    names = ("diferença", "erro por texto", "erro por família")
    return {name: round(float(x), 4) for name, x in zip(names, (gaps.mean(), *errors), strict=True)}


def guesses(model: GPTClassifier, tokenizer: Tokenizer, rows: Sequence[Labeled]) -> list[str]:
    return [p.label for p in predict(model, tokenizer, [row.texto for row in rows])]


def baseline(rows: Sequence[Labeled], options: dict[str, Any]) -> Any:
    vectorizer = TfidfVectorizer(sublinear_tf=True, **options)
    counts = make_pipeline(vectorizer, LogisticRegression(C=10, max_iter=1000))
    return counts.fit([row.texto for row in rows], [row.rotulo for row in rows])


def trained_numbers(recipe: ClassifierRecipe, body: GPT, options: dict[str, int]) -> int:
    """Quantos números o ajuste muda."""
    model = GPTClassifier(body, len(recipe.labels), recipe.labels)
    rank = options.get("lora_rank", 0)
    set_trainable(model, 0 if rank else options.get("trainable_blocks"))
    with low_rank(model.gpt.blocks, rank) if rank else nullcontext():
        return sum(p.numel() for p in model.parameters() if p.requires_grad)


def trainings(
    name: str, path: Path, measures: dict[str, Any], seeds: Sequence[int], chosen: Sequence[str] | None
) -> None:
    """Os treinos que faltam; grava depois de cada um."""
    recipe = CLASSIFIERS[name]
    rows = {split: load_table(recipe.table, kind) for split, kind in SPLITS.items()}
    texts = len(load_table(recipe.table, "train"))
    gpt, tokenizer = load_pretrained(BASE)
    torch.manual_seed(0)
    ways: dict[str, tuple[GPT, dict[str, int]]] = {"por inteiro": (gpt, {})}
    if name == "spam-mini":
        ways |= {"dois blocos": (gpt, {"trainable_blocks": 2}), "LoRA": (gpt, {"lora_rank": RANK})}
        ways["do zero"] = (GPT(gpt.config), {})
    steps = -(-texts // recipe.batch_size)  # lotes por época, contado o último, menor
    for way, seed in ((way, seed) for seed in seeds for way in ways if chosen is None or way in chosen):
        body, options = ways[way]
        config = replace(recipe.config, eval_every=steps)
        if "lora_rank" in options:
            config = replace(config, learning_rate=RATE_OF_LORA)
        seen = {"épocas": config.epochs, "textos": config.epochs * texts, "taxa": config.learning_rate}
        seen["números"] = trained_numbers(recipe, body, options)
        done = measures.setdefault("treinos", {}).setdefault(way, [])
        if any(run["semente"] == seed and run["exposição"] == seen for run in done):
            continue
        tuned = replace(recipe, config=config)
        model, history = train_classifier(tuned, body, tokenizer, seed, progress=False, **options)
        losses = [round(loss, 4) for loss in history.val_loss[1:]]
        run: dict[str, Any] = {"semente": seed, "exposição": seen, "segundos": round(history.seconds)}
        run["perda na validação"] = losses
        for split, part in rows.items():
            run[split] = scores(part, guesses(model, tokenizer, part), recipe.labels)
        done.append(run)
        print(way, run, flush=True)
        write_json(path, measures)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("nome", choices=list(CLASSIFIERS))
    parser.add_argument("--sementes", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--treinos", nargs="+", help="só estes (por inteiro, dois blocos, do zero)")
    parser.add_argument("--modelo", type=Path, help="a pasta do modelo a medir (o que vem com o livro)")
    args = parser.parse_args()

    recipe = CLASSIFIERS[args.nome]
    path = find_model(args.nome) / "medidas.json"
    measures = read_json(path) if path.exists() else {}
    model, tokenizer = load_classifier(args.modelo or args.nome)
    base = {name: baseline(load_table(recipe.table, "train"), o) for name, o in BASELINES.items()}
    measures |= {"modelo": {}, "modelo menos linha de base": {}}
    measures["linhas de base"] = {name: {} for name in base}
    for split, kind in SPLITS.items():
        rows = load_table(recipe.table, kind)
        own = guesses(model, tokenizer, rows)
        measures["modelo"][split] = scores(rows, own, recipe.labels)
        for name, counts in base.items():
            other = list(counts.predict([row.texto for row in rows]))
            measures["linhas de base"][name][split] = scores(rows, other, recipe.labels)
            measures["modelo menos linha de base"].setdefault(name, {})[split] = paired(rows, own, other)
    texts, labels = zip(*read_json(COMMON)[args.nome], strict=True)
    hits = {"modelo": [p.label for p in predict(model, tokenizer, list(texts))]}
    hits |= {name: list(counts.predict(texts)) for name, counts in base.items()}
    measures["comuns"] = {
        "textos": list(texts),
        "rótulos": list(labels),
        "acertos": {name: sum(map(str.__eq__, found, labels)) for name, found in hits.items()},
    }
    write_json(path, measures)
    print(*(f"{k}: {v}" for k, v in measures.items() if k not in ("comuns", "treinos")), sep="\n")
    print(measures["comuns"]["acertos"], flush=True)
    trainings(args.nome, path, measures, args.sementes, args.treinos)


if __name__ == "__main__":
    main()
