"""O jeito de digitar: sem acento, abreviado, com um erro de tecla, com emoji no fim.

>>> from random import Random
>>> noise(Random(26), "você sabe quanto é 12 mais 7?", keep=["12", "7"])
'vc sabe qnto e 12 mais 7?'
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from random import Random

from .texto import ABBREVIATIONS, WORD, capitalise, pick, strip_accents

QUIET = 0.45
"""A parte das mensagens que não muda."""

EMOJIS = ("🙂", "😊", "🐸", "😅", "🙏", "❤️", "👍", "🤔", "😄", "✨", "👀", "💧")
NEIGHBOURS = {
    "q": "wa", "w": "qe", "e": "wr", "r": "et", "t": "ry", "y": "tu", "u": "yi",
    "i": "uo", "o": "ip", "p": "o", "a": "sq", "s": "ad", "d": "sf", "f": "dg",
    "g": "fh", "h": "gj", "j": "hk", "k": "jl", "l": "k", "z": "x", "x": "zc",
    "c": "xv", "v": "cb", "b": "vn", "n": "bm", "m": "n",
}  # fmt: skip
"""As teclas vizinhas."""

_VOWEL_END = re.compile(r"[aeiou]$")
_FINAL = re.compile(r"[.!?…]+$")

Keep = Collection[str]
Step = Callable[[Random, str, Keep], str]


def _outside(text: str, keep: Keep, change: Callable[[str], str]) -> str:
    """Aplica a mudança ao que não está entre os trechos a guardar."""
    if not keep:
        return change(text)
    longest = sorted((k for k in keep if k), key=len, reverse=True)
    guarded = re.compile(
        "(" + "|".join(rf"(?<!\w){re.escape(k)}(?!\w)" for k in longest) + ")"
    )
    parts = guarded.split(text)
    return "".join(p if i % 2 else change(p) for i, p in enumerate(parts))


def _no_accents(rng: Random, text: str, keep: Keep) -> str:
    """Tudo sem acento; o que se guarda, só às vezes, e só se é nome próprio."""
    if rng.random() < 0.3 and all(k[:1].isupper() or k.isdigit() for k in keep):
        return strip_accents(text)
    return _outside(text, keep, strip_accents)


def _case(rng: Random, text: str, keep: Keep) -> str:
    """Minúsculas, inicial maiúscula ou, raramente, tudo em maiúsculas."""
    if any(len(k) > 1 and k.isupper() for k in keep):
        return text
    mark = rng.random()
    if mark < 0.5:
        return text.lower()
    if mark < 0.93 or keep:
        return text if text.startswith(tuple(keep) or "\0") else capitalise(text)
    return text.upper()


def _punctuation(rng: Random, text: str, keep: Keep) -> str:
    """Sem a pontuação do fim, sem nenhuma, ou com ela demais."""
    mark = rng.random()
    if mark < 0.65:
        return _FINAL.sub("", text) or text
    if mark < 0.8:
        return (
            _outside(text, keep, lambda t: re.sub(r"[,.;:!?]+(?=\s|$)", "", t)) or text
        )
    if text.endswith(("?", "!")):
        return text + text[-1] * (1 + int(rng.random() * 2))
    return text + pick(rng, ("...", "!", "!!"))


def _abbreviate(rng: Random, text: str, keep: Keep) -> str:
    """As palavras que se costuma abreviar, quase todas de uma vez."""

    def short(match: re.Match[str]) -> str:
        forms = ABBREVIATIONS.get(match[0].lower())
        return pick(rng, forms) if forms and rng.random() < 0.75 else match[0]

    return _outside(text, keep, lambda t: WORD.sub(short, t))


def _typo(rng: Random, text: str, keep: Keep) -> str:
    """Uma tecla errada numa palavra comprida: vizinha, faltando, trocada ou dobrada."""
    guarded = {w.lower() for k in keep for w in WORD.findall(k)}
    words = [
        m
        for m in WORD.finditer(text)
        if len(m[0]) > 3 and m[0].isalpha() and m[0].lower() not in guarded
    ]
    if not words:
        return text
    word = pick(rng, words)
    i = word.start() + 1 + int(rng.random() * (len(word[0]) - 2))
    mark = rng.random()
    if mark < 0.35:
        letter = strip_accents(text[i]).lower()
        return text[:i] + pick(rng, NEIGHBOURS.get(letter, letter)) + text[i + 1 :]
    if mark < 0.6:
        return text[:i] + text[i + 1 :]
    if mark < 0.85:
        return text[:i] + text[i + 1] + text[i] + text[i + 2 :]
    return text[:i] + text[i] + text[i:]


def _stretch(rng: Random, text: str, keep: Keep) -> str:
    """A última vogal esticada: “oiii”."""
    if not _VOWEL_END.search(text) or text.endswith(tuple(keep) or "\0"):
        return text
    return text + text[-1] * (1 + int(rng.random() * 3))


def _emoji(rng: Random, text: str, keep: Keep) -> str:
    """Um emoji no fim, se há letras e nenhum emoji ainda."""
    if not text[-1:].isascii() or not any(c.isalpha() for c in text):
        return text
    return f"{text} {pick(rng, EMOJIS)}"


def _spaces(rng: Random, text: str, keep: Keep) -> str:
    """Espaço demais ou de menos."""
    if rng.random() < 0.5:
        return _outside(text, keep, lambda t: re.sub(r"([,.!?]) ", r"\1", t, count=1))
    return text + " " if rng.random() < 0.5 else text.replace(" ", "  ", 1)


STEPS: tuple[tuple[float, Step], ...] = (
    (0.28, _abbreviate),
    (0.14, _typo),
    (0.42, _no_accents),
    (0.40, _case),
    (0.34, _punctuation),
    (0.03, _stretch),
    (0.05, _emoji),
    (0.05, _spaces),
)
"""O que se faz a uma mensagem, na ordem, e com que frequência."""


def noise(rng: Random, text: str, keep: Keep = (), gentle: bool = False) -> str:
    """O texto como se digita, com intensidade moderada.

    O que está em `keep` (nomes, números, palavras de um jogo) fica reconhecível: pode
    mudar de caixa, se não é isso que se pede, e um nome próprio pode perder o acento.
    `gentle` só mexe em acento, caixa e pontuação: é para mensagens graves.

    >>> noise(Random(11), "plural de pão", keep=["pão"]).count("pão")
    1
    """
    if rng.random() < QUIET:
        return text
    for chance, step in STEPS:
        if rng.random() < chance and (not gentle or step in _GENTLE):
            text = step(rng, text, keep)
    return text


_GENTLE = (_no_accents, _case, _punctuation)
