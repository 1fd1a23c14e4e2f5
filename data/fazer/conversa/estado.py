"""O estado de uma conversa: o que se contou, o que está na mesa, o que já se disse.

>>> from random import Random
>>> from .banco import Bank
>>> talk = Talk(Random(2), Bank.load(), "train")
>>> talk.record(simple(talk, talk.bank.intents["piada"]))
>>> talk.base, sorted(talk.labels)
('piada', ['brincadeira', 'piada'])
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from random import Random
from typing import Any

from .banco import ANY, STORY, Bank, Intent, Item
from .historias import INVENTADOS, Split, Story, nome_inventado
from .texto import fill, pick

REPEATABLE = ("piada", "trava-lingua", "verso", "elogio-a-pedido", "adivinha")
"""As intenções que se repetem a quem pede “outra!”."""

FEMININE = re.compile(
    r"\b(?:obrigad|agradecid|cansad|exaust|furios|ansios|sozinh|apaixonad|curios|"
    r"estressad|demitid|promovid|preocupad|desanimad|animad|irritad|chatead|magoad|"
    r"entediad|desempregad|atrasad|gripad|doid|tont|nervos|perdid|arrasad)([oa])\b"
)
"""O que diz se quem fala é homem ou mulher."""


@cache
def spoken_gender(ask: str) -> str:
    """O gênero que a frase diz de quem fala: m, f ou nenhum.

    >>> spoken_gender("tô cansada"), spoken_gender("oi")
    ('f', '')
    """
    found = FEMININE.search(ask)
    return "" if not found else "f" if found[1] == "a" else "m"


@dataclass(frozen=True)
class Exchange:
    """Um pedido e a resposta, antes do ruído, e o que se espera dela.

    `sets` é o que muda no estado se a troca entra na conversa.
    """

    intent: str
    ask: str
    reply: str
    slots: Mapping[str, str] = field(default_factory=dict)
    variant: str = ""
    expected: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    story: Story | None = None
    template: str = ""
    sets: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Talk:
    """Uma conversa em andamento: o banco, o sorteio e o que já se passou."""

    rng: Random
    bank: Bank
    split: Split
    told: dict[str, dict[str, str]] = field(default_factory=dict)
    told_at: dict[str, int] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    past: list[Exchange] = field(default_factory=list)
    riddle: Item | None = None
    base: str = ""
    story: Story | None = None
    story_at: int = -9
    grave: bool = False
    name: str = ""
    gender: str = ""

    def __post_init__(self) -> None:
        """Sorteia quem fala: o nome, às vezes inventado no treino, decide o gênero."""
        name = pick(self.rng, self.bank.listed("nomes", self.split))
        self.name, self.gender = name["nome"], name["genero"]
        if self.split == "train" and self.rng.random() < INVENTADOS:
            self.name = nome_inventado(self.rng, self.gender)

    # -------------------------------------------------------------- o estado

    @property
    def last(self) -> Exchange | None:
        """A última troca."""
        return self.past[-1] if self.past else None

    @property
    def labels(self) -> set[str]:
        """Como se chama a última troca: intenção, grupo e rótulos."""
        if self.last is None:
            return set()
        found = {self.last.intent, *self.last.labels}
        if self.last.intent in self.bank.intents:
            found.add(self.bank.intents[self.last.intent].group)
        return found

    def table(self, name: str) -> Any:
        """Uma tabela de pesos."""
        return self.bank.weights[name]

    def chance(self, name: str) -> bool:
        """Sorteia uma das chances da tabela."""
        return self.rng.random() < self.table("chances")[name]

    def fits(self, intent: Intent) -> bool:
        """Diz se a intenção cabe agora: o que vem antes, a tristeza, a gravidade."""
        if self.last is None:
            return intent.free
        sad = not self.labels.isdisjoint(self.table("tristes"))
        if sad and (intent.name in self.table("reacoes") or ANY in intent.after):
            return intent.name in ("agradecimento", "desculpa")
        only = self.table("so_depois_de").get(intent.name)
        if only and self.labels.isdisjoint(only):
            return False
        if STORY in intent.after:
            return self.story is not None and len(self.past) - self.story_at <= 2
        return intent.free or intent.follows(self.last.intent)

    def record(self, exchange: Exchange) -> None:
        """Põe a troca no passado e atualiza o estado."""
        self.past.append(exchange)
        self.used.add(exchange.reply)
        for name, value in exchange.sets.items():
            setattr(self, name, value)
        if exchange.sets.get("riddle"):
            self.used.add(exchange.sets["riddle"]["certo"])
        self.grave = self.grave or exchange.intent in self.table("graves")

    # -------------------------------------------------------------- as frases

    def ask(self, intent: str, suits: Callable[[str], bool] = lambda _: True) -> str:
        """Um pedido da intenção, deste split, que sirva e concorde com quem fala."""
        asks = self.bank.asks(intent, self.split) or self.bank.asks(intent, "train")
        good = [a for a in asks if suits(a) and self._agrees(a)]
        return pick(self.rng, good or asks)

    def _agrees(self, ask: str) -> bool:
        """Se a frase diz o gênero de quem fala, é o desta pessoa."""
        return spoken_gender(ask) in ("", self.gender)

    def reply(
        self,
        replies: Sequence[str],
        slots: Mapping[str, str],
        suits: Callable[[str], bool] = lambda _: True,
    ) -> str:
        """Uma resposta ainda não dita, preenchida; com o nome, só se ele foi dito."""
        known = {**self.told.get("nome", {}), **slots}
        good = [
            r for r in replies if suits(r) and ("{nome}" not in r or "nome" in known)
        ]
        fresh = [r for r in good if r not in self.used]
        return fill(pick(self.rng, fresh or good), known)


def simple(talk: Talk, intent: Intent) -> Exchange:
    """Um pedido e uma resposta da lista da intenção."""
    replies, variant = intent.replies, ""
    sad = talk.grave or not talk.labels.isdisjoint(talk.table("tristes"))
    if sad and "sobrias" in intent.variants:
        variant = "sobrias"
        replies = (
            tuple(r for r in intent.variants[variant] if talk.grave or "188" not in r)
            or intent.variants[variant]
        )
    elif "gerais" in intent.variants and talk.chance("gerais"):
        variant = "gerais"
        replies = intent.variants[variant]
    ask = talk.ask(intent.name)
    sets = {"base": intent.name} if intent.name in REPEATABLE else {}
    return Exchange(
        intent.name,
        ask,
        talk.reply(replies, {}),
        variant=variant,
        template=ask,
        sets=sets,
    )
