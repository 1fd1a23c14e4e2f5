# Gerado por ferramentas/tangle.py. NÃO EDITE: mude book/oficina/receitas.md.
# sha256 do que segue: 060741f9d9e003d243e5b0c0b8a823b824e3074b0e84ef2b18a065f4fb390faf
"""As receitas dos modelos que vêm com o pacote, e o comando que os treina.

    python -m homellm.recipes contos-mini --textos PASTA --saida DIR
    python -m homellm.recipes spam-mini --saida DIR
    python -m homellm.recipes sentimento-mini --saida DIR
    python -m homellm.recipes letras-mini --saida DIR

Os números de cada receita são dados; as funções os executam. Cada comando pode ser
interrompido e repetido com os mesmos argumentos: continua de onde parou. Com várias
GPUs, o primeiro aceita o `torchrun`. A página “As receitas dos modelos do livro”, da
oficina, explica o módulo.

>>> CLASSIFIERS["spam-mini"].labels
('ham', 'spam')
"""

from __future__ import annotations

import argparse
import os
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from homellm.classification import (
    ClassificationDataset,
    GPTClassifier,
    finetune_classifier,
    save_classifier,
)
from homellm.corpus import Dialogue, Instruction, load_table
from homellm.data import create_dataloader
from homellm.device import choose_device
from homellm.instruction import (
    byte_tokenizer,
    echo_lines,
    finetune_instructions,
    join_request,
    respond_all,
    score_families,
)
from homellm.model import GPT, GPTConfig, LanguageModel
from homellm.plots import br
from homellm.pretrain import Corpus, pretrain
from homellm.tokenizer import END, Tokenizer
from homellm.training import PRECISIONS, History, TrainConfig, train
from homellm.weights import load_pretrained, save_pretrained

CONTOS = TrainConfig(  # o treino do contos-mini
    max_steps=6500,
    learning_rate=3e-3,
    warmup_steps=200,
    final_lr=0.02,
    eval_every=250,
)


@dataclass(frozen=True)
class ClassifierRecipe:
    """Como se treina um classificador: de que tabela, com que rótulos e que ajustes."""

    table: str
    labels: tuple[str, ...]
    config: TrainConfig
    token_noise: float = 0.15
    batch_size: int = 32


# o ajuste dos classificadores
TUNING = TrainConfig(epochs=4, learning_rate=1e-3, warmup_steps=20, final_lr=0.02)
CLASSIFIERS = {  # nome → receita
    "spam-mini": ClassifierRecipe("spam", ("ham", "spam"), TUNING),
    "sentimento-mini": ClassifierRecipe(
        "sentimento", ("negativo", "misto", "positivo"), replace(TUNING, epochs=5)
    ),
}


def load_labeled(
    recipe: ClassifierRecipe, split: str, tokenizer: Tokenizer, max_length: int
) -> ClassificationDataset:
    """Um split da tabela da receita, pronto para `finetune_classifier`.

    Erros: os de `load_table` e de `ClassificationDataset`.
    """
    rows = load_table(recipe.table, split)
    texts, names = [row.texto for row in rows], [row.rotulo for row in rows]
    return ClassificationDataset(texts, names, recipe.labels, tokenizer, max_length)


def train_classifier(
    recipe: ClassifierRecipe,
    model: LanguageModel,
    tokenizer: Tokenizer,
    seed: int = 0,
    **options: Any,
) -> tuple[GPTClassifier, History]:
    """Treina um classificador a partir de uma cópia de `model`, sem ler o teste.

    `options` são as de `finetune_classifier`.

    Erros: os de `load_labeled`, de `GPTClassifier` e de `finetune_classifier`.
    """
    torch.manual_seed(seed)
    size = model.config.context_length
    train_data, val_data = (
        load_labeled(recipe, split, tokenizer, size)
        for split in ("train", "validation")
    )
    classifier = GPTClassifier(model, len(recipe.labels), recipe.labels)
    config = replace(recipe.config, seed=seed)
    options = {
        "batch_size": recipe.batch_size, "token_noise": recipe.token_noise,
    } | options  # fmt: skip
    classifier.to(choose_device())
    history = finetune_classifier(classifier, train_data, val_data, config, **options)
    return classifier, history


def base_corpus(seed: int = 0) -> list[str]:
    """O que o modelo lê antes do ajuste: contos e ecos, só do split de treino."""
    rules = load_table("regras", "train")
    words = sorted({word for row in rules for word in row.entrada.split(", ")})
    echoes = echo_lines(words, 12000, seed)
    documents = [story.document for story in load_table("contos", "train")] * 2
    documents += [END.join(echoes[n : n + 40]) for n in range(0, len(echoes), 40)]
    random.Random(seed).shuffle(documents)
    return documents


def training_rows() -> list[Instruction | Dialogue]:
    """Os registros do ajuste: regras, instruções e conversas, só do split de treino."""
    names = ("regras", "instrucoes", "conversas")
    return [row for name in names for row in load_table(name, "train")]


SYSTEM_LINES = (  # as que abrem conversas encadeadas, e que não as mudam
    "Seja breve.",
    "Responda só com o resultado.",
    "Não explique, faça o que se pede.",
    "Você é um assistente que trabalha com palavras.",
    "Você ajuda quem está aprendendo português.",
    "Responda como um dicionário responderia.",
)


def chain_rows(rows: Sequence[Instruction], seed: int = 0) -> list[Dialogue]:
    """Os mesmos pares, encadeados em conversas de dois a dez turnos sem relação.

    Ensinam que um pedido se responde por si, venha o que vier antes, uma linha de
    sistema inclusive. A ordem é sorteada, e do último grupo pode sobrar um turno só.
    """
    rng, pool, chains = random.Random(seed), list(rows), []
    rng.shuffle(pool)
    while pool:
        group = [pool.pop() for _ in range(min(rng.randint(2, 10), len(pool)))]
        requests = [join_request(row.instrucao, row.entrada) for row in group]
        turns = tuple(zip(requests, [row.resposta for row in group], strict=True))
        system = rng.choice(("", rng.choice(SYSTEM_LINES)))
        chains.append(Dialogue(system, turns, "encadeada", group[0].split))
    return chains


def new_lists(
    rows: Sequence[Instruction], count: int, seed: int = 0
) -> list[Instruction]:
    """Pares novos de copiar e maiúsculas: listas sorteadas das palavras de `rows`."""
    rng = random.Random(seed)
    words = sorted({word for row in rows for word in row.entrada.split(", ")})
    families = ("copiar", "maiusculas")
    models = [r for r in rows if r.familia in families and ", " in r.entrada]
    pairs = []
    for row in rng.choices(models, k=count):
        text = ", ".join(rng.sample(words, rng.randint(2, 3)))
        answer = text.upper() if row.familia == "maiusculas" else text
        pairs.append(replace(row, entrada=text, resposta=answer))
    return pairs


LETTERS = GPTConfig(  # o modelo que vê letras
    vocab_size=260, context_length=512, emb_dim=96, n_heads=6, n_layers=4
)


@dataclass(frozen=True)
class LettersRecipe:
    """Os números do `letras-mini`; o segundo ajuste usa metade da taxa."""

    model: GPTConfig = LETTERS
    base_steps: int = 1500
    steps: int = 7000  # de cada um dos dois ajustes
    learning_rate: float = 4e-3
    batch_tokens: int = 2048
    new_lists: int = 6000


def _read(
    output: Path, recipe: LettersRecipe, tokenizer: Tokenizer
) -> tuple[GPT, bool]:
    """A primeira fase: o modelo que leu `base_corpus`, e se ela foi interrompida."""
    torch.manual_seed(0)
    model = GPT(recipe.model).to(choose_device())
    ids = tokenizer.encode("".join(text + END for text in base_corpus()), [END])
    config = TrainConfig(
        max_steps=recipe.base_steps, learning_rate=recipe.learning_rate,
        warmup_steps=50, eval_every=100,
    )  # fmt: skip
    loader = create_dataloader(ids, recipe.batch_tokens // 128, 128)
    checkpoint = output / "base.safetensors"
    history = train(model, loader, None, config, checkpoint=checkpoint, resume=True)
    print(f"base: perda {br(history.train_loss[-1], 3)} nats por byte", flush=True)
    return model, history.interrupted


def _tune(
    model: GPT,
    tokenizer: Tokenizer,
    rows: Sequence[Instruction | Dialogue],
    recipe: LettersRecipe,
    learning_rate: float,
    checkpoint: Path,
) -> History:
    """Um dos ajustes: continua de `checkpoint`, se existe, e diz a nota das regras."""
    held_out = load_table("regras", "validation")[::4]

    def report(step: int, model: Any) -> None:
        answers = respond_all(model, tokenizer, held_out, 64)
        scores = score_families(held_out, answers)
        marks = ", ".join(f"{s.family} {br(s.exact, 2)}" for s in scores)
        print(f"passo {step}: {marks}")

    config = TrainConfig(
        max_steps=recipe.steps, learning_rate=learning_rate, warmup_steps=50,
        final_lr=0.02, eval_every=250,
    )  # fmt: skip
    return finetune_instructions(
        model, tokenizer, rows, held_out, config, batch_tokens=recipe.batch_tokens,
        checkpoint=checkpoint, resume=True, on_eval=report,
    )  # fmt: skip


def train_letters(output: Path, recipe: LettersRecipe | None = None) -> bool:
    """As três fases, com checkpoints em `output`; devolve se chegaram ao fim.

    O modelo do primeiro ajuste fica em `output / "letras"`; o do segundo, que é o
    `letras-mini`, em `output / "modelo"`, ambos em fp16.

    Erros: os de `train`, de `finetune_instructions`, de `save_pretrained` e de
    `load_pretrained`; `BlockingIOError` se outro treino usa a mesma pasta.
    """
    recipe, tokenizer = recipe or LettersRecipe(), byte_tokenizer()
    model, interrupted = _read(output, recipe, tokenizer)
    rows, rules = training_rows(), load_table("regras", "train")
    lists = new_lists(rules, recipe.new_lists)
    phases = [("letras", rows, 1.0), ("modelo", rows + chain_rows(rules) + lists, 0.5)]
    for name, seen, rate in phases:
        if interrupted:
            return False
        checkpoint, rate = output / f"{name}.safetensors", recipe.learning_rate * rate
        history = _tune(model, tokenizer, seen, recipe, rate, checkpoint)
        interrupted = history.interrupted
        if not interrupted:
            save_pretrained(model, tokenizer, output / name, dtype=torch.float16)
            print(f"{name}: {br(history.tokens)} alvos em {br(history.seconds)} s")
            model = load_pretrained(output / name)[0].to(choose_device())
            torch.manual_seed(0)
    return not interrupted


def _parser() -> argparse.ArgumentParser:
    """Os argumentos de cada receita."""
    parser = argparse.ArgumentParser(
        prog="homellm.recipes", description="treina um dos modelos que vêm com o pacote"
    )
    names = parser.add_subparsers(dest="nome", required=True, metavar="MODELO")
    stories = names.add_parser(
        "contos-mini", help="pré-treino nos contos e em .txt seus"
    )
    add = stories.add_argument
    add("--textos", type=Path, nargs="*", default=[], help="pastas com .txt em UTF-8")
    add("--fora", nargs="*", default=[], help="arquivos (sem .txt) a deixar de fora")
    add("--preset", default="contos-mini", help="tamanho do modelo (GPTConfig.preset)")
    add("--passos", type=int, default=CONTOS.max_steps, help="passos do otimizador")
    add("--lote", type=int, default=16, help="janelas por lote")
    add("--acumula", type=int, default=1, help="lotes por passo")
    add("--precisao", choices=PRECISIONS, default="auto", help="a das contas")
    add("--compila", action="store_true", help="usa o torch.compile")
    add("--taxa", type=float, default=CONTOS.learning_rate, help="pico da taxa")
    add("--dropout", type=float, default=0.0)
    add("--repete-contos", type=int, default=3, help="vezes dos contos por época")
    add("--avalia-a-cada", type=int, default=CONTOS.eval_every, help="passos")
    add(
        "--reparte",
        action="store_true",
        help="com várias GPUs, reparte os pesos (FSDP2)",
    )
    for name, recipe in CLASSIFIERS.items():
        tuned = names.add_parser(name, help=f"classificador da tabela {recipe.table}")
        tuned.add_argument("--de", default="contos-mini", help="o GPT de que se parte")
        tuned.add_argument("--semente", type=int, default=0)
    chat = names.add_parser(
        "letras-mini", help="instruções, num modelo que vê letras"
    )
    default = LettersRecipe()
    chat.add_argument("--passos-base", type=int, default=default.base_steps)
    chat.add_argument(
        "--passos", type=int, default=default.steps, help="de cada ajuste"
    )
    chat.add_argument("--taxa", type=float, default=default.learning_rate)
    chat.add_argument("--lote", type=int, default=default.batch_tokens, help="tokens")
    for command in names.choices.values():
        command.add_argument("--saida", type=Path, required=True, help="pasta de tudo")
    return parser


def _speaks() -> bool:
    """Se este processo é o que fala: sob o `torchrun`, só o 0."""
    return int(os.environ.get("RANK", 0)) == 0


def _stories(args: argparse.Namespace) -> bool:
    corpus = Corpus(tuple(args.textos), tuple(args.fora), args.repete_contos)
    model_config = GPTConfig.preset(args.preset, dropout=args.dropout)
    config = replace(
        CONTOS, max_steps=args.passos, learning_rate=args.taxa,
        warmup_steps=min(CONTOS.warmup_steps, args.passos // 2),
        eval_every=args.avalia_a_cada, shard=args.reparte,
        accumulation_steps=args.acumula, precision=args.precisao, compile=args.compila,
    )  # fmt: skip
    history = pretrain(args.saida, corpus, model_config, config, args.lote)
    if _speaks():
        loss, tokens = history.val_loss[-1], history.tokens
        seconds = br(history.seconds)
        print(f"validação: {br(loss, 4)}; {br(tokens)} tokens em {seconds} s")
    return not history.interrupted


def _classifier(args: argparse.Namespace) -> bool:
    base, tokenizer = load_pretrained(args.de)
    options = {"checkpoint": args.saida / "treino.safetensors", "resume": True}
    recipe = CLASSIFIERS[args.nome]
    model, history = train_classifier(recipe, base, tokenizer, args.semente, **options)
    if not history.interrupted:
        folder = args.saida / "modelo"
        save_classifier(model, tokenizer, folder, dtype=torch.float16)
        loss, seconds = br(history.val_loss[-1], 4), br(history.seconds)
        print(f"validação: {loss} nats, em {seconds} s")
    return not history.interrupted


def _letters(args: argparse.Namespace) -> bool:
    recipe = LettersRecipe(
        base_steps=args.passos_base, steps=args.passos, learning_rate=args.taxa,
        batch_tokens=args.lote,
    )  # fmt: skip
    return train_letters(args.saida, recipe)


# os outros são classificadores
COMMANDS = {"contos-mini": _stories, "letras-mini": _letters}


def main(arguments: list[str] | None = None) -> None:
    """Ponto de entrada da linha de comando."""
    args = _parser().parse_args(arguments)
    finished = COMMANDS.get(args.nome, _classifier)(args)
    if _speaks() and finished:
        print(f"modelo em {args.saida / 'modelo'}")
    elif _speaks():
        print("interrompido; chame de novo com os mesmos argumentos para continuar")


# com `python -m`; no notebook, não
if __name__ == "__main__" and __package__ == "homellm":
    main()
