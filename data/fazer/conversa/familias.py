"""Reparte os pedidos por família de quase iguais, e as famílias por split.

Dois pedidos são da mesma família se, normalizados, têm quase as mesmas palavras
(Jaccard de 0,8 ou mais) ou, sendo curtos, diferem em no máximo duas letras; valha isso
dentro de uma intenção ou entre duas. A família vai inteira para um split.

>>> splits = assign_splits({"a": ["conta uma piada", "Conta uma PIADA!", "quero rir"]})
>>> splits["conta uma piada"] == splits["Conta uma PIADA!"]
True
"""

from __future__ import annotations

import hashlib
import itertools
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from .historias import Split
from .texto import normalise

JACCARD = 0.8
SHORT = 20
"""Até este comprimento comparam-se letras, além de palavras."""

HELD_OUT = 0.10
"""A parte dos pedidos de cada intenção que vai para validation; outra vai para test."""

LARGEST = 3
"""Família com mais pedidos da intenção do que isto não vai para fora do treino."""

_SLOT = re.compile(r"\{\w+\}")


def family_key(text: str) -> str:
    """O texto normalizado, com todo slot igual.

    >>> family_key("Quem é {o_pessoa}?")
    'quem e {}'
    """
    return _SLOT.sub("{}", normalise(text))


def reach(text: str) -> int:
    """Quantas letras podem mudar: duas nos pedidos curtos, menos nos curtíssimos."""
    return 0 if len(text) < 4 else 1 if len(text) < 7 else 2


def deletions(text: str, limit: int) -> set[str]:
    """O texto e tudo o que dele fica apagando até `limit` letras."""
    found = {text}
    for size in range(1, limit + 1):
        for gone in itertools.combinations(range(len(text)), size):
            found.add("".join(c for i, c in enumerate(text) if i not in gone))
    return found


def distance(one: str, other: str) -> int:
    """A distância de edição.

    >>> distance("gato", "gota")
    2
    """
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        previous, row[0] = row[0], i
        for j, b in enumerate(other, 1):
            previous, row[j] = (
                row[j],
                min(row[j] + 1, row[j - 1] + 1, previous + (a != b)),
            )
    return row[-1]


def jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    """A parte das palavras que os dois têm em comum."""
    return len(one & other) / len(one | other)


def _similar_words(keys: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Os pares de Jaccard alto; quem o tem divide uma das suas palavras mais raras."""
    words = {k: frozenset(k.split()) for k in keys}
    frequency = Counter(w for k in keys for w in words[k])
    seen: dict[str, list[str]] = defaultdict(list)
    for key in keys:
        rare = sorted(words[key], key=lambda w: (frequency[w], w))
        prefix = rare[: len(rare) - math.ceil(JACCARD * len(rare)) + 1]
        for other in dict.fromkeys(o for w in prefix for o in seen[w]):
            if jaccard(words[key], words[other]) >= JACCARD:
                yield key, other
        for word in prefix:
            seen[word].append(key)


def _similar_letters(keys: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Os pares de pedidos curtos a poucas letras um do outro."""
    seen: dict[str, list[str]] = defaultdict(list)
    for key in (k for k in keys if len(k) <= SHORT and "{}" not in k):
        variants = sorted(deletions(key, reach(key)))
        for other in dict.fromkeys(o for v in variants for o in seen[v]):
            if distance(key, other) <= min(reach(key), reach(other)):
                yield key, other
        for variant in variants:
            seen[variant].append(key)


def families(texts: Iterable[str]) -> dict[str, str]:
    """A família de cada texto: o menor dos seus textos normalizados.

    >>> sorted(set(families(["boa noite", "boa noitee", "tchau"]).values()))
    ['boa noite', 'tchau']
    """
    texts = list(texts)
    keys = sorted({family_key(t) for t in texts})
    parent = {k: k for k in keys}

    def root(key: str) -> str:
        while parent[key] != key:
            parent[key] = parent[parent[key]]
            key = parent[key]
        return key

    for one, other in itertools.chain(_similar_words(keys), _similar_letters(keys)):
        a, b = sorted((root(one), root(other)))
        parent[b] = a
    return {t: root(family_key(t)) for t in texts}


def _draw(family: str) -> bytes:
    """O sorteio de uma família: o mesmo em toda parte e sempre."""
    return hashlib.sha256(f"pedido:{family}".encode()).digest()


def assign_splits(asks: Mapping[str, Sequence[str]]) -> dict[str, Split]:
    """O split de cada pedido, dados os pedidos de cada intenção.

    De cada intenção saem 10 % para test (dois, no mínimo) e 10 % para validation, na
    ordem do sorteio das famílias. A família que outra intenção já mandou para um split
    conta.
    """
    family = families(a for group in asks.values() for a in group)
    split: dict[str, Split] = {}
    for group in asks.values():
        size = Counter(family[a] for a in group)
        quota = max(2, round(HELD_OUT * len(group)))
        for side in ("test", "validation"):
            have = sum(n for f, n in size.items() if split.get(f) == side)
            for f in sorted(size, key=_draw):
                if have >= quota:
                    break
                if f not in split and size[f] <= LARGEST:
                    split[f] = side
                    have += size[f]
    return {a: split.get(f, "train") for a, f in family.items()}
