# Gerado por ferramentas/tangle.py. NÃO EDITE: mude book/01-introducao.md.
# sha256 do que segue: 719c1c07beb943390b92b0c060a8d23b9cb376002a56247b590295a7fc0346d2
"""Modelo de n-gramas interpolado: conta pedaços de até `order` ids e mistura as ordens.

Serve a caracteres e a ids de BPE; é a linha de base de todos os capítulos. A mistura é
a de Kneser-Ney modificada (Chen e Goodman, 1999). Formas: `N` ids, `V` vocabulário. O
capítulo 1 do livro constrói este módulo.

>>> model = NGramModel(order=2, vocab_size=3).fit([0, 1, 0, 1, 0, 2])
>>> int(model.probs([0]).argmax()), round(float(model.probs([0]).sum()), 6)
(1, 1.0)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


def discounts(counts: np.ndarray) -> np.ndarray:
    """Quanto tirar de cada contagem: de 0, nada; de 1, de 2 e de 3 ou mais, um valor.

    É o desconto de Kneser-Ney modificado (Chen e Goodman, 1999). Devolve a mesma forma
    de `counts`. Estima por quantos n-gramas têm contagem 1, 2, 3 e 4; onde faltam
    exemplos, metade de 1, de 2 ou de 3.

    >>> discounts(np.array([1, 1, 1, 1, 2, 2, 3, 4])).round(2).tolist()
    [0.5, 0.5, 0.5, 0.5, 1.25, 1.25, 1.0, 1.0]
    """
    n = np.bincount(np.minimum(counts, 5), minlength=6)
    base = n[1] / max(n[1] + 2 * n[2], 1)
    table = [0.0]
    for j in (1, 2, 3):
        estimate = j - (j + 1) * base * n[j + 1] / n[j] if n[j] and n[j + 1] else j / 2
        table.append(max(estimate, 0.1))  # sobra massa para quem não foi visto
    return np.array(table)[np.minimum(counts, 3)]


def count_ngrams(
    ids: np.ndarray, order: int, vocab_size: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """De cada comprimento, de 1 a `order`, dos `ids` `(N,)`: chaves e contagens.

    Os dois vetores têm a mesma forma `(n,)`, e as chaves são crescentes. A chave de um
    n-grama é `linha × vocab_size + último id`, onde `linha` é a posição, na tabela
    anterior, do n-grama sem o último id (0 para o contexto vazio). No último
    comprimento conta-se quantas vezes o n-grama apareceu; nos menores, depois de
    quantos ids diferentes (contagem de continuação).

    >>> tables = count_ngrams(np.array([0, 1, 0, 1]), 2, 2)
    >>> [(keys.tolist(), counts.tolist()) for keys, counts in tables]
    [([0, 1], [1, 1]), ([1, 2], [2, 1])]
    """
    tables: list[tuple[np.ndarray, np.ndarray]] = []
    # `rows[i]`: linha do contexto que começa na posição i
    rows = np.zeros(len(ids) + 1, dtype=np.int64)
    for length in range(1, order + 1):
        grams = rows[:-1] * vocab_size + ids[length - 1 :]
        keys, first, new_rows, counts = np.unique(
            grams, return_index=True, return_inverse=True, return_counts=True
        )
        if tables:  # cada n-grama novo é um vizinho à esquerda a mais para o seu sufixo
            shorter = tables[-1][0]
            tables[-1] = (shorter, np.bincount(rows[first + 1], minlength=len(shorter)))
        tables.append((keys, counts))
        rows = new_rows
    return tables


@dataclass(frozen=True)
class Level:
    """Um comprimento de n-grama; o último item de cada vetor é o “não visto”."""

    keys: np.ndarray  # (linhas + 1,) chaves crescentes, int64
    direct: np.ndarray  # (linhas + 1,) probabilidade própria do n-grama, já descontada
    backoff: np.ndarray  # (contextos + 1,) fração que fica para a ordem menor


def build_level(
    keys: np.ndarray, counts: np.ndarray, vocab_size: int, n_contexts: int
) -> Level:
    """Faz das contagens probabilidades próprias e massa de recuo, por contexto.

    `keys` e `counts`, `(n,)`, são os de `count_ngrams`; os contextos são os n-gramas do
    comprimento anterior.
    """
    contexts = keys // vocab_size
    cut = discounts(counts)
    total = np.bincount(contexts, weights=counts, minlength=n_contexts)
    freed = np.bincount(contexts, weights=cut, minlength=n_contexts)
    backoff = np.divide(freed, total, out=np.ones(n_contexts), where=total > 0)
    direct = (counts - cut) / np.maximum(total, 1)[contexts]
    sentinel = np.iinfo(np.int64).max
    return Level(
        np.append(keys, sentinel), np.append(direct, 0.0), np.append(backoff, 1.0)
    )


def check_ids(ids: ArrayLike, vocab_size: int) -> np.ndarray:
    """`ids` como vetor int64, `(N,)`.

    Erros: `ValueError` se não são inteiros de 0 a V − 1, ou se a forma é outra.

    >>> check_ids([2, 0], vocab_size=3)
    array([2, 0])
    """
    array = np.asarray(ids)
    if array.size == 0:
        return np.zeros(0, dtype=np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise ValueError(
            "ids deve ser uma lista de inteiros; "
            f"veio {array.dtype}, forma {array.shape}."
        )
    if array.min() < 0 or array.max() >= vocab_size:
        raise ValueError(
            f"id fora do vocabulário: os ids vão de 0 a {vocab_size - 1}, "
            f"e vieram de {array.min()} a {array.max()}."
        )
    return array.astype(np.int64)


def find_row(levels: list[Level], gram: np.ndarray, vocab_size: int) -> int:
    """Linha do n-grama na tabela do seu comprimento; se não foi visto, a sentinela.

    `gram`, `(n,)`, são os ids do n-grama.
    """
    row = 0
    for level, token in zip(levels, gram, strict=False):
        key = row * vocab_size + int(token)
        row = int(np.searchsorted(level.keys, key))
        if level.keys[row] != key:
            row = len(level.keys) - 1
    return row


class NGramModel:
    """Distribuição do próximo id dados os `order − 1` anteriores.

    É o Kneser-Ney modificado (Chen e Goodman, 1999).

    Args:
        order: 1 é o unigrama, 2 o bigrama, e assim por diante.
        vocab_size: V; os ids vão de 0 a V − 1.

    Erros: `ValueError` se `order` ou `vocab_size` são menores que 1.
    """

    def __init__(self, order: int, vocab_size: int) -> None:
        if order < 1 or vocab_size < 1:
            raise ValueError(
                f"order e vocab_size devem ser ≥ 1; vieram {order} e {vocab_size}."
            )
        self.order, self.vocab_size = order, vocab_size
        self._levels: list[Level] = []

    def fit(self, ids: ArrayLike) -> NGramModel:
        """Conta `ids`, de forma `(N,)`, e devolve o próprio modelo; recomeça do zero.

        Erros: `ValueError` se não há ids; os de `check_ids`.
        """
        array = check_ids(ids, self.vocab_size)
        if not len(array):
            raise ValueError("não há ids para contar: passe ao menos um.")
        levels: list[Level] = []
        n_contexts = 1  # o contexto vazio
        order = min(self.order, len(array))  # o maior contexto que o texto tem
        for keys, counts in count_ngrams(array, order, self.vocab_size):
            levels.append(build_level(keys, counts, self.vocab_size, n_contexts))
            n_contexts = len(keys)
        self._levels = levels
        return self

    def probs(self, context: ArrayLike = ()) -> np.ndarray:
        """Probabilidade de cada id depois de `context`: `(V,)`, soma 1, sem zeros.

        Só os últimos `order − 1` ids contam; contexto mais curto, ou nunca visto, recua
        para ordens menores.

        Erros: `RuntimeError` se ainda não se chamou `fit`; os de `check_ids`.
        """
        history = check_ids(context, self.vocab_size)
        V = self.vocab_size
        p = np.full(V, 1 / V)  # (V,) ordem zero: todos iguais
        levels = self._fitted()
        for length, level in enumerate(levels[: len(history) + 1]):
            row = find_row(levels, history[len(history) - length :], V)
            start, stop = np.searchsorted(level.keys, [row * V, (row + 1) * V])
            p *= level.backoff[row]
            p[level.keys[start:stop] - row * V] += level.direct[start:stop]
        return p

    def surprisal(self, ids: ArrayLike) -> np.ndarray:
        """Bits que cada id custa dados os anteriores, −log2 p: forma `(N,)`.

        É a informação própria de cada id (Shannon, 1948). Todas as posições entram na
        conta; as primeiras usam o contexto que há (nenhum, um id, dois…). Não monta
        vetor de tamanho V.

        Erros: `RuntimeError` se ainda não se chamou `fit`; os de `check_ids`.
        """
        array = check_ids(ids, self.vocab_size)
        p = np.full(len(array), 1 / self.vocab_size)
        context = np.zeros(len(array), dtype=np.int64)  # a linha de cada posição
        for level in self._fitted():
            key = context * self.vocab_size + array
            row = np.searchsorted(level.keys, key)
            row[level.keys[row] != key] = len(level.keys) - 1  # sentinela
            p = level.direct[row] + level.backoff[context] * p
            context = np.concatenate(([len(level.keys) - 1], row[:-1]))[: len(array)]
        return -np.log2(p)

    def bits_per_byte(self, ids: ArrayLike, n_bytes: int) -> float:
        """Bits para prever `ids`, `(N,)`, divididos pelos bytes UTF-8 do texto
        (`n_bytes`).

        Erros: `ValueError` se `n_bytes` não é positivo, ou se não há ids; os de
        `surprisal`.
        """
        if n_bytes <= 0:
            raise ValueError(
                f"n_bytes deve ser > 0 (os bytes UTF-8 do texto); veio {n_bytes}."
            )
        bits = self.surprisal(ids)
        if not len(bits):
            raise ValueError("não há ids para avaliar: passe ao menos um.")
        return float(bits.sum() / n_bytes)

    def sample(
        self,
        n: int,
        context: Sequence[int] = (),
        temperature: float = 1.0,
        rng: int | np.random.Generator | None = None,
    ) -> list[int]:
        """Sorteia `n` ids em sequência depois de `context` (que não volta na resposta).

        `temperature` abaixo de 1 favorece os mais prováveis, acima achata; 0 escolhe
        sempre o mais provável. `rng` é uma semente ou um gerador do `numpy`; `None`
        sorteia diferente a cada chamada.

        Erros: `ValueError` se `n` ou `temperature` são negativos; os de `probs`.
        """
        if n < 0 or temperature < 0:
            raise ValueError(
                f"n e temperature devem ser ≥ 0; vieram {n} e {temperature}."
            )
        generator = np.random.default_rng(rng)
        ids = check_ids(context, self.vocab_size).tolist()
        for _ in range(n):
            logits = np.log(self.probs(ids[max(0, len(ids) - self.order + 1) :]))
            if temperature == 0:
                ids.append(int(logits.argmax()))
                continue
            weights = np.exp((logits - logits.max()) / temperature)
            cumulative = np.cumsum(weights)
            drawn = generator.random() * cumulative[-1]
            ids.append(int(np.searchsorted(cumulative, drawn, side="right")))
        return ids[len(ids) - n :]

    def _fitted(self) -> list[Level]:
        if not self._levels:
            raise RuntimeError("o modelo ainda não contou nada: chame fit(ids) antes.")
        return self._levels
