"""As trocas que o programa calcula: contas pequenas e jogos de palavra.

>>> from random import Random
>>> from .banco import Bank
>>> talk = Talk(Random(2), Bank.load(), "train")
>>> exchange = arithmetic(talk, talk.bank.intents["soma"])
>>> exchange.slots["r"] in exchange.reply.lower()
True
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from .banco import Intent, Word
from .estado import Exchange, Talk, simple
from .texto import alphabetical, capitalise, fill, number_words, pick, slots_of

SYMBOLS = re.compile(r"[-+=]")

# ------------------------------------------------------------------ contas


def _numbers(talk: Talk, subtract: bool, things: bool) -> tuple[int, int]:
    """Dois números cuja conta fica em 20 (ou, às vezes, em 100)."""
    top = 100 if talk.chance("ate_100") else 20
    least = 2 if things else 0
    while True:
        a, b = (least + int(talk.rng.random() * (top + 1 - least)) for _ in "ab")
        if subtract and a < b:
            a, b = b, a
        result = a - b if subtract else a + b
        if result <= top and (a or b) and (not things or result >= 2):
            return a, b


def arithmetic(talk: Talk, intent: Intent) -> Exchange:
    """Uma soma ou subtração, com algarismos ou por extenso, com coisas ou sem."""
    if intent.name not in OPERATIONS:
        return simple(talk, intent)
    subtract, things = intent.name.startswith("subtracao"), "coisas" in intent.name
    a, b = _numbers(talk, subtract, things)
    below = subtract and not things and a != b and talk.chance("abaixo_de_zero")
    if below:
        a, b = b, a
    result = a - b if subtract else a + b
    thing = pick(talk.rng, talk.bank.listed("coisas", talk.split)) if things else None
    gender = thing["genero"] if thing else "m"
    words = talk.chance("extenso")
    numbers = {"a": a, "b": b} if below else {"a": a, "b": b, "r": result}
    slots = {
        k: number_words(n, gender) if words else str(n) for k, n in numbers.items()
    }
    if thing:
        slots |= {
            "coisas": thing["nome"],
            "quantos": thing["quantos"],
            "as": thing["as"],
        }
    ask = talk.ask(
        intent.name,
        lambda t: (
            not (words and SYMBOLS.search(t))
            and (not below or bool(re.search(r"menos|\}-\{|- \{|^tira|^de .* tira", t)))
        ),
    )
    if words and SYMBOLS.search(ask):
        slots |= {k: str(n) for k, n in numbers.items()}
        words = False
    variant = "abaixo" if below else "zero" if result == 0 else ""
    replies = intent.variants[variant] if variant else intent.replies
    reply = talk.reply(
        replies,
        slots,
        lambda t: (
            not (words and SYMBOLS.search(t))
            and not (result == 1 and t.startswith("São"))
        ),
    )
    return Exchange(
        intent.name,
        fill(ask, slots),
        capitalise(reply),
        slots,
        variant,
        () if below else (slots["r"],),
        tuple(v for k, v in slots.items() if k in ("a", "b", "coisas")),
        template=ask,
    )


OPERATIONS = ("soma", "soma-coisas", "subtracao", "subtracao-coisas")


# ------------------------------------------------------------------ palavras


def _game_words(talk: Talk, has: Callable[[Word], Any]) -> list[Word]:
    """As palavras do split que têm a forma pedida."""
    return [w for w in talk.bank.words if w.split == talk.split and has(w)]


_CACHE: dict[tuple[str, str], list[Word]] = {}


def _words_for(talk: Talk, game: str) -> list[Word]:
    """O mesmo, calculado uma vez por jogo e split."""
    key = (game, talk.split)
    if key not in _CACHE:
        _CACHE[key] = _game_words(talk, GAME_NEEDS.get(game, bool))
    return _CACHE[key]


GAME_NEEDS: Mapping[str, Callable[[Word], Any]] = {
    "plural": lambda w: w.plural,
    "singular": lambda w: w.plural and w.plural != w.text,
    "feminino": lambda w: w.feminine,
    "masculino": lambda w: w.feminine,
    "antonimo": lambda w: w.antonym,
    "plural-sem": lambda w: not w.plural and w.kind in ("verbo", "advérbio"),
    "feminino-sem": lambda w: not w.feminine and w.kind == "substantivo",
    "antonimo-sem": lambda w: not w.antonym and w.kind == "substantivo",
}
LACKING = ("plural", "feminino", "antonimo")


def word_game(talk: Talk, intent: Intent) -> Exchange:
    """Um jogo de palavra, com a resposta calculada."""
    game = intent.name.removeprefix("jogo-")
    if game in LACKING and talk.chance("sem_forma"):
        word = pick(talk.rng, _words_for(talk, f"{game}-sem"))
        slots, variant = {"palavra": word.text}, "sem"
    elif game == "comeca-com":
        slots, variant = _starting(talk), ""
    elif game in ("copiar", "ordem-alfabetica"):
        slots, variant = _listing(talk, game), ""
    else:
        word = pick(talk.rng, _words_for(talk, game))
        slots, variant = _single(word, game, talk.rng), ""
    ask = talk.ask(intent.name, lambda t: _askable(t, slots))
    replies = intent.variants["sem"] if variant else intent.replies
    expected = () if variant else (slots["resultado"],)
    keep = tuple(slots[s] for s in slots_of(ask))
    return Exchange(
        intent.name, fill(ask, slots), talk.reply(replies, slots), slots, variant,
        expected, keep, template=ask,
    )  # fmt: skip


def _askable(template: str, slots: Mapping[str, str]) -> bool:
    """“Duas ou três sílabas?” só se pergunta de quem tem duas ou três."""
    return "duas ou três" not in template or slots["resultado"] in ("2", "3")


def _starting(talk: Talk) -> dict[str, str]:
    """Uma letra e uma palavra que começa com ela."""
    words = [w for w in _words_for(talk, "") if w.kind == "substantivo"]
    letters = sorted({w.text[0] for w in words if w.text[0].isascii()})
    letter = pick(talk.rng, letters)
    word = pick(talk.rng, [w for w in words if w.text[0] == letter])
    return {"letra": letter.upper(), "resultado": word.text}


def _listing(talk: Talk, game: str) -> dict[str, str]:
    """Duas ou três palavras, para copiar ou ordenar."""
    words = _words_for(talk, "")
    size = 2 + (talk.rng.random() < 0.6)
    chosen: list[str] = []
    while len(chosen) < size:
        text = pick(talk.rng, words).text
        if text not in chosen:
            chosen.append(text)
    ordered = chosen if game == "copiar" else sorted(chosen, key=alphabetical)
    return {"palavras": ", ".join(chosen), "resultado": ", ".join(ordered)}


def _single(word: Word, game: str, rng: Random) -> dict[str, str]:
    """A palavra que se dá e a que se espera, num jogo de uma palavra só."""
    text = word.text
    given, result = {
        "plural": (text, word.plural),
        "singular": (word.plural, text),
        "feminino": (text, word.feminine),
        "masculino": (word.feminine, text),
        "antonimo": (text, word.antonym),
        "maiusculas": (text, text.upper()),
        "minusculas": (text.upper() if rng.random() < 0.75 else capitalise(text), text),
        "contar-letras": (text, str(sum(c.isalpha() for c in text))),
        "primeira-letra": (text, text[0]),
        "ultima-letra": (text, text[-1]),
        "separar-silabas": (text, word.syllables),
        "contar-silabas": (text, str(word.syllables.count("-") + 1)),
        "soletrar": (text, "-".join(text)),
        "ao-contrario": (text, text[::-1]),
    }[game]
    return {"palavra": given, "resultado": result}
