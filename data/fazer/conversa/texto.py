"""Miudezas de texto da conversa: normalizar, preencher slots, escrever números.

>>> normalise("Você TÁ bem??? 🐸")
'voce esta bem'
>>> fill("Mora {em_cidade}. {cidade_maiusculo}!", {"em_cidade": "no Recife",
...     "cidade": "o Recife"})
'Mora no Recife. O Recife!'
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import lru_cache
from random import Random
from typing import TypeVar

T = TypeVar("T")

ABBREVIATIONS: Mapping[str, tuple[str, ...]] = {
    "você": ("vc", "vc", "ce"), "vocês": ("vcs",), "que": ("q",),
    "também": ("tb", "tbm"),
    "porque": ("pq",), "não": ("n", "nao"), "está": ("tá", "ta"), "estou": ("tô", "to"),
    "para": ("pra", "p"), "beleza": ("blz",), "quanto": ("qto", "qnto"),
    "quantos": ("qtos", "qts"), "quantas": ("qtas", "qts"), "quem": ("qm",),
    "muito": ("mto", "mt"), "hoje": ("hj",), "quando": ("qdo", "qnd"), "tudo": ("td",),
    "mesmo": ("msm",), "comigo": ("cmg",), "obrigado": ("obg",), "obrigada": ("obg",),
    "verdade": ("vdd",), "valeu": ("vlw",), "depois": ("dps", "dpois"), "como": ("cm",),
    "aqui": ("aki",), "cadê": ("kd",), "favor": ("fvr",),
}  # fmt: skip
"""Cada palavra e como se abrevia ao digitar; a família dos pedidos desfaz isto."""

_LETTERS = {ord(c): " " for c in "'’`´^~"}
_TOKEN = re.compile(r"\{\w+\}|[a-z0-9]+|[-+*/=]")
_SLOT = re.compile(r"\{(\w+)\}")
_RUN = re.compile(r"(.)\1{2,}")


def strip_accents(text: str) -> str:
    """O texto sem acentos nem cedilha.

    >>> strip_accents("Pão é ação")
    'Pao e acao'
    """
    decomposed = unicodedata.normalize("NFD", text)
    return "".join(c for c in decomposed if not unicodedata.combining(c))


EXPANSIONS = {
    strip_accents(short): strip_accents(word)
    for word, shorts in ABBREVIATIONS.items()
    for short in shorts
    if short not in ("p", "n")
}


@lru_cache(maxsize=100_000)
def normalise(text: str) -> str:
    """Minúsculas, sem acento, pontuação ou emoji, abreviações desfeitas.

    O que só tem emoji ou pontuação fica como está, sem espaços.

    >>> normalise("Q legal, né?"), normalise("kkkkk"), normalise(" 🐸 ")
    ('que legal ne', 'k', '🐸')
    """
    plain = strip_accents(text.lower()).translate(_LETTERS)
    tokens = [EXPANSIONS.get(t, t) for t in _TOKEN.findall(_RUN.sub(r"\1", plain))]
    return " ".join(tokens) if tokens else "".join(text.split())


def capitalise(text: str) -> str:
    """O texto com a primeira letra maiúscula."""
    return text[:1].upper() + text[1:]


def slots_of(template: str) -> list[str]:
    """Os nomes dos slots de uma frase, na ordem.

    >>> slots_of("{a} mais {b}")
    ['a', 'b']
    """
    return _SLOT.findall(template)


def fill(template: str, slots: Mapping[str, str]) -> str:
    """A frase com os slots preenchidos; `{x_maiusculo}` é `{x}` com inicial maiúscula.

    Raises:
        KeyError: falta o valor de um slot.
    """
    if "{" not in template:
        return template

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if name in slots:
            return slots[name]
        if name.endswith("_maiusculo"):
            return capitalise(slots[name.removesuffix("_maiusculo")])
        raise KeyError(f"{name}, em “{template}”")

    return _SLOT.sub(value, template)


def pick(rng: Random, items: Sequence[T]) -> T:
    """Um item ao acaso, por `rng.random()` só, que não muda entre versões do Python."""
    return items[int(rng.random() * len(items))]


def weighted(rng: Random, weights: Mapping[T, float]) -> T:
    """Uma chave ao acaso, na proporção dos pesos.

    >>> weighted(Random(1), {"a": 0.0, "b": 2.0})
    'b'
    """
    mark = rng.random() * sum(weights.values())
    for key, weight in weights.items():
        mark -= weight
        if mark < 0:
            return key
    return [key for key, weight in weights.items() if weight > 0][-1]


_UNITS = (
    "zero um dois três quatro cinco seis sete oito nove dez onze doze treze catorze "
    "quinze dezesseis dezessete dezoito dezenove"
).split()
_TENS = "_ _ vinte trinta quarenta cinquenta sessenta setenta oitenta noventa".split()
_FEMININE = {"um": "uma", "dois": "duas"}


def number_words(number: int, gender: str = "m") -> str:
    """Um número de 0 a 100 por extenso.

    >>> number_words(42, "f"), number_words(16), number_words(100)
    ('quarenta e duas', 'dezesseis', 'cem')
    """
    if number == 100:
        return "cem"
    if number < 20:
        words = [_UNITS[number]]
    else:
        words = [_TENS[number // 10]] + ([_UNITS[number % 10]] if number % 10 else [])
    if gender == "f":
        words[-1] = _FEMININE.get(words[-1], words[-1])
    return " e ".join(words)


def alphabetical(word: str) -> tuple[str, str]:
    """A chave da ordem alfabética: sem acentos, e no empate o sem acento antes."""
    return strip_accents(word), word


WORD = re.compile(r"\w+")
