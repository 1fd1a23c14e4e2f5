"""Treina os modelos do Seu Gota: o que conta histórias e o que conversa.

    python -m data.fazer.conversa.treina historias-mini --saida DIR
    python -m data.fazer.conversa.treina conversa-mini --saida DIR

O texto é composto na hora, do split de treino, e é o mesmo em qualquer máquina. Cada
comando pode ser interrompido e repetido com os mesmos argumentos: continua de onde
parou. O modelo fica em `DIR/modelo`, em fp16.
"""

from __future__ import annotations

import argparse
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from homellm import attention, training
from homellm.corpus import Dialogue
from homellm.data import LengthBatches, TokenFileDataset, create_dataloader, write_token_file
from homellm.device import choose_device
from homellm.generation import generate_text
from homellm.instruction import (
    InstructionDataset,
    collate_instructions,
    encode_conversation,
    finetune_instructions,
    respond,
)
from homellm.loss import IGNORE_INDEX, Batch, language_model_loss
from homellm.model import GPT, GPTConfig, LanguageModel, device_of
from homellm.plots import br
from homellm.tokenizer import SPECIAL_TOKENS, BPETokenizer, Tokenizer, encode_text, end_id
from homellm.training import History, TrainConfig, train
from homellm.weights import save_pretrained

from .banco import STORY, TELLING, Bank
from .conversas import Turn, dialogues
from .familias import family_key
from .historias import Split, compose_story, load
from .muon import Muon

SIZES = GPTConfig(vocab_size=2048, context_length=512, emb_dim=192, n_heads=6, n_layers=6)
STORIES, LESSONS, QUESTIONS, DIALOGUES = 40_000, 50_000, 220_000, 72_000
TOPIC_ROWS = {"perguntas": 600_000, "conversas": 40_000, "licoes": 50_000}
MOST = 700  # perguntas soltas de uma intenção, na última fase
BATCH = 2048  # tokens por passo
STORY_TRAINING = TrainConfig(
    learning_rate=0.02, warmup_steps=100, final_lr=0.02, eval_every=250,
    precision="bf16",
)  # fmt: skip
FIRST_TRAINING = replace(STORY_TRAINING, epochs=2, final_lr=1.0)
QUESTION_TRAINING = replace(STORY_TRAINING, warmup_steps=0, final_lr=1.0, max_steps=3_000)
CHAT_TRAINING = replace(STORY_TRAINING, warmup_steps=0, learning_rate=0.012)
TOPIC_TRAINING = replace(
    STORY_TRAINING, learning_rate=1.2e-3, final_lr=0.005, max_steps=11_500, eval_every=1_000
)
TOPIC_BLOCK, TOPIC_WEIGHT = 3, 0.5
"""Depois de qual bloco se lê o assunto, e quanto ele pesa na perda."""
OPENING, OPENING_WEIGHT = 3, 4.0
"""Os primeiros tokens de cada resposta, os que a escolhem, e quantas vezes valem."""
SEEDS = {"train": 1, "validation": 2, "test": 3}


@contextmanager
def quick(muon: bool = True) -> Iterator[None]:
    """O treino depressa na CPU: o otimizador é o Muon (ou não), e a atenção fica em fp32.

    A volta da atenção em bf16 é lenta ali: com sequências de uns cem tokens, o passo
    inteiro leva 0,6 do tempo.
    """
    plain, usual = attention.causal_attention, training.create_optimizer

    def exact(q: Tensor, k: Tensor, v: Tensor, *args: Any, **options: Any) -> Tensor:
        with torch.autocast(q.device.type, enabled=False):
            parts = (x.float() for x in (q, k, v))
            return plain(*parts, *args, **options).to(q.dtype)

    attention.causal_attention = exact
    if muon:
        training.create_optimizer = lambda model, config: Muon(
            model, config.learning_rate, weight_decay=config.weight_decay
        )
    try:
        yield
    finally:
        attention.causal_attention, training.create_optimizer = plain, usual


def stories(count: int, split: Split = "train", unseen: bool = True) -> Iterator[str]:
    """`count` histórias do split, sempre as mesmas.

    Fora do treino, com `unseen=False` só o sorteio é novo: enredos, nomes e objetos são
    os que o treino conhece.
    """
    rng, acervo = random.Random(f"historias:{SEEDS[split]}:{unseen}"), load()
    options = {} if unseen else {"unseen": ()}
    for _ in range(count):
        yield compose_story(rng, split=split, acervo=acervo, **options).text


SMALL = frozenset(
    "a o as os um uma e de do da dos das em no na nos nas por pra para com que q se ao "
    "aos é eu me te você voce vc tu seu sua meu minha isso esse essa aí ai lá já ja".split()
)
"""As palavras sem as quais um pedido ainda se entende."""


def _drop_words(
    rng: random.Random, turn: Turn, forbidden: frozenset[str], others: float = 0.0
) -> str:
    """A fala sem algumas das palavras pequenas, em metade das vezes em que se pode.

    Ensina a não depender da redação exata; `others` é a chance de cair uma palavra
    qualquer. Ficam inteiras as falas que trazem um nome, um número ou outra coisa a
    guardar, e a que viraria um pedido de fora do treino.
    """
    if turn.slots or turn.expected or rng.random() < 0.5:
        return turn.user
    said = turn.user.split(" ")
    left = " ".join(
        w
        for w in said
        if (w.lower() not in SMALL or rng.random() > 0.4) and rng.random() >= others
    )
    known = left and family_key(left) not in forbidden
    return left if known else turn.user


def conversations(
    count: int, split: Split = "train", lessons: bool = False, turns: int | None = None
) -> list[Dialogue]:
    """`count` conversas do split, como registros do ajuste; no treino, com falhas.

    Com `lessons`, são as da primeira fase: curtas, do que tem uma resposta certa. `turns`
    diz quantos turnos tem cada uma; sem isto, sorteia-se.
    """
    rng, made, bank = random.Random(f"falhas:{SEEDS[split]}:{lessons}"), [], Bank.load()
    forbidden = bank.held_out
    options = {"bank": bank.first_lessons()} if lessons else {}
    for dialogue in dialogues(SEEDS[split], count, split, turns=turns, **options):
        turns = tuple(
            (_drop_words(rng, t, forbidden) if split == "train" else t.user, t.assistant)
            for t in dialogue.turns
        )
        made.append(Dialogue("", turns, "conversa", split))
    return made


# ------------------------------------------------------------------ o assunto


class TopicModel(nn.Module):
    """Um GPT e uma tabela que lê, no meio dele, a intenção de cada pedido.

    A leitura é da posição que abre a resposta, depois do bloco `TOPIC_BLOCK`. Só serve
    ao treino: é uma tarefa auxiliar (Caruana, 1997), que dá a cada pedido um alvo só, e
    não os doze começos de resposta que servem. O que fica é o `gpt`.
    """

    def __init__(self, gpt: GPT, n_topics: int) -> None:
        super().__init__()
        self.gpt, self.middle = gpt, torch.empty(0)
        self.norm = nn.LayerNorm(gpt.config.emb_dim)
        self.topics = nn.Embedding(n_topics, gpt.config.emb_dim)
        nn.init.normal_(self.topics.weight, std=0.02)
        block = min(TOPIC_BLOCK, gpt.config.n_layers)
        gpt.blocks[block - 1].register_forward_hook(self._keep)

    def _keep(self, block: nn.Module, inputs: Any, output: Tensor) -> None:
        self.middle = output

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Os logits dos tokens, `(B, T, V)`, e os dos assuntos, `(B, T, A)`."""
        logits = self.gpt(ids)
        return logits, F.linear(self.norm(self.middle), self.topics.weight)


def topic_loss(model: nn.Module, batch: Batch) -> Tensor:
    """A perda da última fase; `batch` é `(ids, assuntos, alvos)`, int64 `(B, T)`.

    No treino, a média dos alvos, com os primeiros de cada resposta valendo mais, e a
    perda dos assuntos. Na avaliação, só a média dos alvos, comparável à das outras fases.
    """
    ids, topics, targets = batch
    if not model.training:
        return language_model_loss(model.gpt, (ids, targets))  # type: ignore[arg-type]
    logits, guesses = model(ids)
    losses = F.cross_entropy(
        logits.flatten(0, 1).float(), targets.flatten(), reduction="none"
    ).view_as(targets)
    counts = targets != IGNORE_INDEX
    weights = counts.float()
    opens = counts & ~F.pad(counts, (1, 0))[:, :-1]
    for shift in range(OPENING):
        weights[F.pad(opens, (shift, 0))[:, : opens.shape[1]] & counts] = OPENING_WEIGHT
    known = topics != IGNORE_INDEX
    if not known.any():
        return (losses * weights).sum() / weights.sum()
    topic = F.cross_entropy(guesses[known].float(), topics[known])
    return (losses * weights).sum() / weights.sum() + TOPIC_WEIGHT * topic


def topic_names() -> dict[str, int]:
    """O número de cada assunto: as intenções, as que se equivalem com um só."""
    names = {name for name in Bank.load().intents} | {STORY, TELLING}
    return {name: number for number, name in enumerate(sorted(names))}


def topic_items(
    split: Split, tokenizer: Tokenizer, names: dict[str, int], rows: dict[str, int]
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """`(ids, o que conta, assuntos)` de cada conversa nova, com as quantias de `rows`.

    De perguntas soltas ficam até `MOST` de cada intenção: as raras pesam quase o que
    pesam as comuns. O assunto está na posição que abre a resposta. Uma conversa que não
    cabe inteira no contexto vai em partes, e sem assunto.
    """
    bank, rng, seen = Bank.load(), random.Random(f"assuntos:{SEEDS[split]}"), Counter[str]()
    mark = encode_conversation(tokenizer, [("a", None)])[0][-1]
    kinds: dict[str, dict[str, Any]] = {
        "perguntas": {"turns": 1},
        "conversas": {},
        "licoes": {"bank": bank.first_lessons()},
    }
    same = {i: group[0] for group in bank.weights["equivalentes"] for i in group}
    for place, (kind, options) in enumerate(kinds.items()):
        for talk in dialogues(10 * SEEDS[split] + place, rows[kind], split, **options):
            if kind == "perguntas":
                seen[talk.turns[0].intent] += 1
                if seen[talk.turns[0].intent] > MOST:
                    continue
            said = [
                _drop_words(rng, t, bank.held_out, 0.15) if split == "train" else t.user
                for t in talk.turns
            ]
            turns = tuple((u, t.assistant) for u, t in zip(said, talk.turns, strict=True))
            row = Dialogue("", turns, "conversa", split)
            asked = [names[same.get(t.intent, t.intent)] for t in talk.turns]
            for ids, counts in InstructionDataset(
                [row], tokenizer, SIZES.context_length
            ).items:
                topics = torch.full_like(ids, IGNORE_INDEX)
                places = (ids == mark).nonzero().flatten()
                if len(places) == len(asked):
                    topics[places] = torch.tensor(asked)
                yield ids, counts, topics


def collate_topics(items: Sequence[tuple[Tensor, Tensor, Tensor]]) -> tuple[Tensor, ...]:
    """Junta itens num lote `(ids, assuntos, alvos)`, int64 `(B, T)`."""
    ids, targets = collate_instructions([(i, c) for i, c, _ in items])
    topics = torch.full_like(ids, IGNORE_INDEX)
    for row, (_, _, names) in enumerate(items):
        topics[row, : len(names) - 1] = names[:-1]
    return ids, topics, targets


def train_tokenizer() -> BPETokenizer:
    """O vocabulário dos dois modelos: de histórias e de conversas, em partes parecidas."""
    texts = list(stories(6_000))
    for row in conversations(24_000):
        texts += [said for turn in row.turnos for said in turn]
    return BPETokenizer.train(texts, SIZES.vocab_size, SPECIAL_TOKENS)


def _tokenizer(output: Path) -> BPETokenizer:
    """O tokenizer, que se treina e grava uma vez."""
    output.mkdir(parents=True, exist_ok=True)
    if not (output / "tokenizer.json").exists():
        train_tokenizer().save(output / "tokenizer.json")
    return BPETokenizer.load(output / "tokenizer.json")


def _prepare(output: Path) -> BPETokenizer:
    """O tokenizer e os ids das histórias, que se gravam uma vez."""
    tokenizer = _tokenizer(output)
    end = end_id(tokenizer)
    for split, count in (("train", STORIES), ("validation", 400)):
        path = output / f"{split}.npy"
        if not path.exists():
            texts = stories(count, split)
            ids = (i for text in texts for i in (*encode_text(tokenizer, text), end))
            total = write_token_file(path, ids, tokenizer.vocab_size)
            print(f"{path.name}: {br(count)} histórias, {br(total)} tokens", flush=True)
    return tokenizer


def train_stories(output: Path) -> History:
    """O pré-treino do `historias-mini`, uma passada por histórias todas diferentes."""
    tokenizer = _prepare(output)
    torch.manual_seed(0)
    config = replace(SIZES, vocab_size=tokenizer.vocab_size)
    model, size = GPT(config).to(choose_device()), config.context_length
    loaders = [
        create_dataloader(
            TokenFileDataset(output / f"{split}.npy", size), BATCH // size,
            shuffle=split == "train", drop_last=split == "train",
        )
        for split in ("train", "validation")
    ]  # fmt: skip

    def report(step: int, model: LanguageModel) -> None:
        text = generate_text(
            model, tokenizer, "Era uma vez", max_new_tokens=120, temperature=0.7,
            generator=torch.Generator().manual_seed(0),
        )  # fmt: skip
        print(f"passo {step}: {text!r}", flush=True)

    with quick():
        history = train(
            model, *loaders, STORY_TRAINING, checkpoint=output / "treino.safetensors",
            resume=True, on_eval=report,
        )  # fmt: skip
    return _finish(model, tokenizer, output, history)


def train_chat(output: Path) -> History:
    """O treino do `conversa-mini`, do zero, por conversas todas diferentes.

    São quatro fases. Nas lições há só o que tem uma resposta certa (capitais, contas,
    palavras e o que a pessoa contou de si), e a perda cobra também o pedido: a rede aprende
    a copiar e a procurar. Depois vêm as perguntas soltas, de tudo: com um turno só, não há
    outro pedido em que olhar, e ela aprende a que responde cada resposta. Em seguida, as
    conversas, em que a pergunta é uma de muitas. Por fim, tudo isso misturado, com o
    AdamW e o assunto de cada pedido como tarefa auxiliar (`TopicModel`).
    """
    tokenizer = _tokenizer(output)
    torch.manual_seed(0)
    model = GPT(replace(SIZES, vocab_size=tokenizer.vocab_size)).to(choose_device())

    def report(step: int, model: LanguageModel) -> None:
        save_pretrained(model, tokenizer, output / "provisorio", dtype=torch.float16)
        for ask in ("oi, tudo bem?", "qual a capital da bahia", "quanto é 7 + 5?"):
            print(f"passo {step}: {ask} — {respond(model, tokenizer, ask)}", flush=True)

    held_out = conversations(400, "validation")
    phases: dict[str, tuple[int, TrainConfig, dict[str, Any]]] = {
        "licoes": (LESSONS, FIRST_TRAINING, {"lessons": True}),
        "perguntas": (QUESTIONS, QUESTION_TRAINING, {"turns": 1}),
        "conversas": (DIALOGUES, CHAT_TRAINING, {}),
    }
    for name, (count, config, options) in phases.items():
        rows = conversations(count, **options)
        with quick():
            history = finetune_instructions(
                model, tokenizer, rows, held_out, config, batch_tokens=BATCH,
                response_only=name != "licoes", checkpoint=output / f"{name}.safetensors",
                resume=True, on_eval=report,
            )  # fmt: skip
        if history.interrupted:
            return _finish(model, tokenizer, output, history)
    history = train_topics(model, tokenizer, output, report)
    return _finish(model, tokenizer, output, history)


def train_topics(
    gpt: GPT,
    tokenizer: Tokenizer,
    output: Path,
    report: Callable[[int, LanguageModel], None],
) -> History:
    """A última fase; muda `gpt` e devolve a história."""
    names = topic_names()
    model = TopicModel(gpt, len(names)).to(device_of(gpt))
    loaders = []
    for split, rows in (("train", TOPIC_ROWS), ("validation", {**TOPIC_ROWS, "licoes": 0})):
        if split == "validation":
            rows = {kind: min(count, 200) for kind, count in rows.items()}
        items = list(topic_items(split, tokenizer, names, rows))
        batches = LengthBatches(
            [len(item[0]) for item in items], max_tokens=BATCH, shuffle=split == "train"
        )
        loaders.append(
            DataLoader(
                items, batch_sampler=batches, collate_fn=collate_topics,
                generator=batches.generator,
            )  # type: ignore[arg-type]
        )  # fmt: skip
    with quick(muon=False):
        return train(
            model, *loaders, TOPIC_TRAINING, loss_fn=topic_loss,
            checkpoint=output / "assuntos.safetensors", resume=True,
            on_eval=lambda step, model: report(step, model.gpt),
        )  # fmt: skip


def _finish(model: LanguageModel, tokenizer: BPETokenizer, output: Path, history: History) -> History:
    """Guarda o modelo, se o treino chegou ao fim, e diz a última perda."""
    if history.interrupted:
        print("interrompido; chame de novo com os mesmos argumentos para continuar")
    else:
        save_pretrained(model, tokenizer, output / "modelo", dtype=torch.float16)
        print(
            f"validação: {br(history.val_loss[-1], 4)} nats por token; "
            f"{br(history.tokens)} alvos em {br(history.seconds)} s\n"
            f"modelo em {output / 'modelo'}"
        )
    return history


def main(args: Sequence[str] | None = None) -> None:
    """O comando."""
    parser = argparse.ArgumentParser(description="Treina os modelos do Seu Gota.")
    parser.add_argument("modelo", choices=("historias-mini", "conversa-mini"))
    parser.add_argument("--saida", type=Path, required=True, help="pasta de tudo")
    options = parser.parse_args(args)
    if options.modelo == "historias-mini":
        train_stories(options.saida)
    else:
        train_chat(options.saida)


if __name__ == "__main__":
    main()
