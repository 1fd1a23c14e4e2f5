"""Compõe conversas com o Seu Gota e as provas com que se mede quem aprendeu com elas.

Uma conversa tem de 1 a 8 turnos. O programa guarda o que a pessoa contou, a adivinha
que está na mesa e a última história, e sorteia por `pesos.yaml` do que se fala a
seguir; os pedidos e as respostas vêm dos YAML desta pasta, cada um no seu split.

>>> import random
>>> dialogue = compose(random.Random(7))
>>> dialogue == compose(random.Random(7))
True
>>> [m["role"] for m in dialogue.messages[:2]]
['user', 'assistant']
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from .banco import SPLITS, Bank
from .cenas import choose
from .estado import Exchange, Talk
from .familias import family_key
from .historias import Split
from .lembrancas import remember
from .ruido import noise
from .texto import normalise, pick, weighted

ADORNMENTS = (
    "seu gota, {}", "ei, {}", "oi, {}", "então, {}", "ô sapo, {}", "sapo, {}",
    "me diz uma coisa: {}", "agora {}", "ah, {}", "olha, {}", "opa, {}",
    "{}, por favor", "{}, seu gota", "{}, sapo",
)  # fmt: skip
"""O que se põe em volta de um pedido."""

ADORNABLE = frozenset(
    "capital saber conta mundo contar-historia fora vida-de-sapo gostos".split()
)
"""Os grupos cujos pedidos aceitam adorno."""

ALREADY = re.compile(
    r"\b(?:seu gota|gota|sapo|por favor|oi|ei|ah|então|agora|olha|opa)\b|^e |^tá,", re.I
)
TRIES = 8


@dataclass(frozen=True)
class Turn:
    """Uma fala e a resposta, e o que se sabe delas.

    `clean` é a fala antes do ruído; `slots` e `variant` dizem com que respostas do
    banco esta se troca; `expected`, o que a resposta tem de conter.
    """

    user: str
    assistant: str
    intent: str
    clean: str
    variant: str = ""
    slots: Mapping[str, str] = field(default_factory=dict)
    expected: tuple[str, ...] = ()
    exchange: Exchange | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class Dialogue:
    """Uma conversa composta."""

    turns: tuple[Turn, ...]
    split: Split
    system: str = ""

    @property
    def messages(self) -> list[dict[str, str]]:
        """A conversa no formato de chat."""
        found = [{"role": "system", "content": self.system}] if self.system else []
        for turn in self.turns:
            found.append({"role": "user", "content": turn.user})
            found.append({"role": "assistant", "content": turn.assistant})
        return found


# ------------------------------------------------------------------ o que vem a seguir


def _rule(talk: Talk) -> Mapping[str, float] | None:
    """Para onde vai quem ouviu a última resposta, pela primeira regra que serve."""
    labels, reply = talk.labels, talk.past[-1].reply
    for rule in talk.table("retornos"):
        if "depois" in rule and labels.isdisjoint(rule["depois"]):
            continue
        if "resposta" in rule and not re.search(rule["resposta"], reply):
            continue
        if talk.rng.random() < rule["chance"]:
            return rule["entao"]
    return None


def _try(talk: Talk, table: Mapping[str, float], tries: int = TRIES) -> Exchange | None:
    """Uma troca sorteada na tabela, se alguma cabe."""
    left = dict(table)
    for _ in range(tries):
        if not left:
            return None
        target = weighted(talk.rng, left)
        exchange = choose(talk, target)
        if exchange is not None and exchange.intent not in _recent(talk):
            return exchange
        if exchange is None:
            del left[target]
    return None


REPEATS = frozenset(
    "outra adivinha-errado desespero-continua capital capital-inversa soma soma-coisas "
    "subtracao subtracao-coisas pessoa lugar desabafo-relato".split()
)
"""As intenções que se repetem numa conversa com naturalidade; os jogos também."""


def _recent(talk: Talk) -> set[str]:
    """As intenções que não voltam nesta conversa."""
    return {
        e.intent
        for e in talk.past
        if e.intent not in REPEATS and not e.intent.startswith("jogo-")
    }


GOODBYES = {"agradecimento": 1.0, "despedida-tchau": 2.0, "despedida-dormir": 1.0}
"""O que ainda cabe no fim de uma conversa grave."""


def _next(talk: Talk, total: int, scripted: bool) -> Exchange | None:
    """A próxima troca da conversa; `None` se não há mais o que dizer."""
    place = len(talk.past)
    last = place == total - 1
    opening = "abertura" if total > 1 else "abertura_unica"
    options: list[Exchange | None] = []
    if place == 0:
        if talk.chance(opening):
            return _try(talk, talk.table("abertura"))
    elif talk.grave:
        return _try(talk, _rule(talk) or GOODBYES)
    elif last and talk.told and talk.chance("lembrar_no_fim"):
        options.append(remember(talk, 1))
    elif last and not scripted and talk.chance("fecho"):
        options.append(_try(talk, talk.table("fecho")))
    elif not scripted and (table := _rule(talk)) is not None:
        options.append(_try(talk, table))
    elif talk.told and talk.chance("lembrar"):
        options.append(remember(talk, 2))
    elif not scripted and talk.chance("reacao"):
        options.append(_try(talk, talk.table("reacoes")))
    if options and options[0] is not None:
        return options[0]
    return _try(talk, talk.table("cenas"), tries=40)


# ------------------------------------------------------------------ compor


def _adorn(rng: Random, exchange: Exchange) -> tuple[str, str]:
    """O pedido e o seu modelo com um vocativo ou um “por favor” em volta."""
    around = pick(rng, ADORNMENTS)

    def put(text: str) -> str:
        body = text.rstrip("?!. ")
        end = text[len(body) :].strip()
        return around.format(body) + end

    return put(exchange.ask), put(exchange.template)


def _typed(
    talk: Talk, exchange: Exchange, forbidden: frozenset[str]
) -> tuple[str, str]:
    """O pedido limpo e o que se digitou; nenhum pode ser um de fora do treino."""
    rng, clean = talk.rng, exchange.ask
    intent = talk.bank.intents[exchange.intent]
    takes = intent.group in ADORNABLE and exchange.ask[-1].isascii()
    if takes and talk.chance("adorno") and not ALREADY.search(exchange.ask):
        adorned, template = _adorn(rng, exchange)
        if family_key(template) not in forbidden:
            clean = adorned
    gentle = intent.name in talk.table("graves")
    for _ in range(TRIES):
        user = noise(rng, clean, exchange.keep, gentle)
        if not forbidden or normalise(user) not in forbidden:
            return clean, user
    return exchange.ask, exchange.ask


def compose(
    rng: Random,
    split: Split = "train",
    turns: int | None = None,
    noisy: bool = True,
    scripted: bool = False,
    bank: Bank | None = None,
) -> Dialogue:
    """Compõe uma conversa.

    Args:
        rng: o sorteio; o mesmo estado dá a mesma conversa em toda parte.
        split: de que split vêm os pedidos, os nomes, as palavras e as histórias.
        turns: quantos turnos; sem isto, sorteia por `pesos.yaml`.
        noisy: se a fala leva o ruído de quem digita.
        scripted: se nenhuma fala depende do que o sapo respondeu (para as provas).
        bank: o banco; sem isto, o desta pasta.
    """
    bank = bank or Bank.load()
    forbidden = bank.held_out if split == "train" else frozenset()
    talk = Talk(rng, bank, split)
    total = turns or weighted(rng, bank.weights["turnos"])
    made: list[Turn] = []
    while len(made) < total:
        exchange = _next(talk, total, scripted)
        if exchange is None:
            break
        clean, user = exchange.ask, exchange.ask
        if noisy:
            clean, user = _typed(talk, exchange, forbidden)
        talk.record(replace(exchange, ask=clean))
        made.append(_turn(exchange, clean, user))
        if exchange.intent.startswith("despedida"):
            break
    return Dialogue(tuple(made), split)


def _turn(exchange: Exchange, clean: str, user: str) -> Turn:
    """A troca como fica na conversa."""
    return Turn(
        user, exchange.reply, exchange.intent, clean, exchange.variant, exchange.slots,
        exchange.expected, exchange,
    )  # fmt: skip


def dialogues(
    seed: int, count: int, split: Split = "train", **options: Any
) -> Iterator[Dialogue]:
    """`count` conversas de uma semente, uma de cada vez."""
    rng = Random(seed)
    for _ in range(count):
        yield compose(rng, split, **options)


# ------------------------------------------------------------------ o comando


def _counts(count: int, seed: int) -> str:
    """O tamanho do banco e o de uma amostra do que ele dá."""
    bank = Bank.load()
    asks = Counter(bank.splits.values())
    replies = {r for i in bank.intents.values() for r in i.replies}
    replies |= {
        r for i in bank.intents.values() for v in i.variants.values() for r in v
    }
    replies |= {
        r for k in ("pessoas", "lugares") for p in bank.items[k] for r in p["respostas"]
    }
    sample = list(dialogues(seed, count))
    turns = [t for d in sample for t in d.turns]
    lines = [
        f"intenções: {len(bank.intents)}",
        "pedidos: " + ", ".join(f"{asks[s]} {s}" for s in SPLITS),
        f"respostas: {len(replies)}",
        f"em {count} conversas: {len(turns)} turnos, "
        f"{len({t.user for t in turns})} falas e "
        f"{len({t.assistant for t in turns})} respostas diferentes, "
        f"{sum(len(t.user) + len(t.assistant) for t in turns)} letras",
        f"intenções que saíram: {len({t.intent for t in turns})}",
    ]
    return "\n".join(lines)


def main(args: Sequence[str] | None = None) -> None:
    """O comando: `--amostra N` mostra conversas, `--conta` conta."""
    parser = argparse.ArgumentParser(description="Compõe conversas com o Seu Gota.")
    parser.add_argument(
        "--amostra", type=int, default=0, help="mostra tantas conversas"
    )
    parser.add_argument("--conta", action="store_true", help="conta o banco e 20.000")
    parser.add_argument("--semente", type=int, default=1)
    parser.add_argument("--split", choices=SPLITS, default="train")
    parser.add_argument(
        "--intencoes", action="store_true", help="mostra a intenção também"
    )
    options = parser.parse_args(args)
    for number, dialogue in enumerate(
        dialogues(options.semente, options.amostra, options.split), 1
    ):
        print(f"--- {number}")
        for turn in dialogue.turns:
            print(f"> {turn.user}" + f"   [{turn.intent}]" * options.intencoes)
            print(turn.assistant)
    if options.conta:
        print(_counts(20_000, options.semente))


if __name__ == "__main__":
    main()
