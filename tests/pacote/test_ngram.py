"""homellm.ngram contra contas feitas à mão e contra uma versão lenta escrita aqui."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homellm.corpus import load_text
from homellm.ngram import NGramModel, count_ngrams, discounts

texts = st.lists(st.integers(0, 4), min_size=1, max_size=40)
orders = st.integers(1, 5)


def naive_discounts(table: Counter) -> dict:
    """Descontos de Chen e Goodman em frações exatas, com a mesma regra para falta de exemplos."""
    n = Counter(table.values())
    base = Fraction(n[1], max(n[1] + 2 * n[2], 1))
    cut = {0: Fraction(0)}
    for j in (1, 2, 3):
        cut[j] = j - (j + 1) * base * Fraction(n[j + 1], n[j]) if n[j] and n[j + 1] else Fraction(j, 2)
        cut[j] = max(cut[j], Fraction(1, 10))
    return {gram: cut[min(count, 3)] for gram, count in table.items()}


def naive_probs(ids, context, order, vocab_size) -> list[Fraction]:
    """Kneser-Ney modificado e interpolado, pela definição, um dicionário por ordem e recursão explícita."""
    order = min(order, len(ids))  # texto menor que a ordem: o maior contexto que existe
    raw = {n: Counter(tuple(ids[i : i + n]) for i in range(len(ids) - n + 1)) for n in range(1, order + 1)}
    tables = {order: raw[order]}
    for n in range(1, order):
        tables[n] = Counter()
        for gram in raw[n + 1]:
            tables[n][gram[1:]] += 1

    def prob(word, history):
        n = len(history) + 1
        lower = prob(word, history[1:]) if history else Fraction(1, vocab_size)
        table, cut = tables[n], naive_discounts(tables[n])
        same = [gram for gram in table if gram[:-1] == history]
        total = sum(table[gram] for gram in same)
        if not total:
            return lower
        gram = (*history, word)
        own = table[gram] - cut[gram] if gram in table else 0
        return Fraction(own + sum(cut[g] for g in same) * lower, total)

    history = tuple(context[-(order - 1) :]) if order > 1 else ()
    return [prob(word, history) for word in range(vocab_size)]


def test_bigram_by_hand():
    # a b a b a c: pares ab×2, ba×2, ac×1; continuação: a depois de {b}, b de {a}, c de {a}.
    model = NGramModel(2, 4).fit([0, 1, 0, 1, 0, 2])
    # unigrama de continuação: 1, 1, 1 de 3; sem contagem 2, o desconto é 1/2: própria 1/6, recuo 1/2.
    low = [Fraction(1, 6) + Fraction(1, 2) * Fraction(1, 4)] * 3 + [Fraction(1, 2) * Fraction(1, 4)]
    # bigramas: n1 = 1, n2 = 2, Y = 1/5, d1 = 1 − 2·(1/5)·2 = 1/5; n3 = 0, d2 = 1. Depois de a, total 3.
    freed = (Fraction(1) + Fraction(1, 5)) / 3
    expected = [
        freed * low[0],
        Fraction(1, 3) + freed * low[1],
        Fraction(4, 15) + freed * low[2],
        freed * low[3],
    ]
    assert sum(expected) == 1
    np.testing.assert_allclose(model.probs([0]), [float(x) for x in expected], rtol=1e-12)
    np.testing.assert_allclose(model.probs([]), [float(x) for x in low], rtol=1e-12)


def test_unigram_uses_plain_counts():
    model = NGramModel(1, 3).fit([0, 0, 0, 1])
    # n1 = 1, n2 = 0: d1 = 1/2; n3 = 1, n4 = 0: d3 = 3/2. Recuo (1/2 + 3/2)/4 = 1/2, um terço para cada.
    np.testing.assert_allclose(model.probs(), [1.5 / 4 + 1 / 6, 0.5 / 4 + 1 / 6, 1 / 6], rtol=1e-12)


def test_counts_and_discounts_by_hand():
    (unigrams, continuation), (bigrams, counts) = count_ngrams(np.array([0, 1, 0, 1, 0, 2]), 2, 3)
    assert unigrams.tolist() == [0, 1, 2] and continuation.tolist() == [1, 1, 1]
    assert bigrams.tolist() == [0 * 3 + 1, 0 * 3 + 2, 1 * 3 + 0] and counts.tolist() == [2, 1, 2]
    assert discounts(np.array([1, 2, 2])).tolist() == pytest.approx([0.2, 1.0, 1.0])
    assert discounts(np.array([0, 7])).tolist() == [0.0, 1.5]


@settings(deadline=None, max_examples=60)
@given(texts, orders, st.lists(st.integers(0, 4), max_size=6))
def test_equals_the_naive_model(ids, order, context):
    model = NGramModel(order, 5).fit(ids)
    expected = [float(x) for x in naive_probs(ids, context, order, 5)]
    np.testing.assert_allclose(model.probs(context), expected, rtol=1e-9)


@settings(deadline=None, max_examples=100)
@given(texts, orders, st.lists(st.integers(0, 6), max_size=8))
def test_sums_to_one_and_is_never_zero(ids, order, context):
    p = NGramModel(order, 7).fit(ids).probs(context)
    assert p.shape == (7,) and p.min() > 0 and p.sum() == pytest.approx(1, abs=1e-12)


@settings(deadline=None, max_examples=60)
@given(texts, orders, st.lists(st.integers(0, 5), min_size=1, max_size=20))
def test_surprisal_equals_probs_one_by_one(train, order, held_out):
    model = NGramModel(order, 6).fit(train)
    expected = [-np.log2(model.probs(held_out[:i])[token]) for i, token in enumerate(held_out)]
    np.testing.assert_allclose(model.surprisal(held_out), expected, rtol=1e-9)
    assert model.bits_per_byte(held_out, 17) == pytest.approx(sum(expected) / 17)


def test_higher_order_never_hurts_on_training_text():
    ids = list(load_text("contos", "validation").encode("utf-8"))
    scores = [NGramModel(order, 256).fit(ids).bits_per_byte(ids, len(ids)) for order in range(1, 7)]
    assert scores == sorted(scores, reverse=True) and scores[-1] < scores[0] / 2


def test_beats_add_one_and_keeps_improving_on_held_out_text():
    train, test = (list(load_text("contos", s).encode("utf-8")) for s in ("train", "test"))
    scores = [NGramModel(order, 256).fit(train).bits_per_byte(test, len(test)) for order in range(1, 6)]
    assert scores == sorted(scores, reverse=True)
    pairs = np.ones((256, 256))
    np.add.at(pairs, (train[:-1], train[1:]), 1)
    add_one = -np.log2((pairs / pairs.sum(1, keepdims=True))[test[:-1], test[1:]]).sum() / len(test)
    assert scores[1] < add_one


def test_fit_starts_over_and_returns_self():
    model = NGramModel(3, 5)
    assert model.fit([0, 1, 2, 3, 4] * 3) is model
    model.fit([0, 1, 0, 1])
    np.testing.assert_array_equal(model.probs([0]), NGramModel(3, 5).fit([0, 1, 0, 1]).probs([0]))


def test_text_shorter_than_the_order_still_works():
    model = NGramModel(6, 3).fit([2])
    assert model.probs([2, 2]).sum() == pytest.approx(1) and model.probs([]).argmax() == 2


def test_accepts_arrays_of_any_integer_type_and_large_vocabularies():
    ids = np.array([0, 65535, 1, 65535, 0, 65535], dtype=np.uint16)
    model = NGramModel(5, 2**16).fit(ids)
    assert model.probs(ids[:1]).argmax() == 65535
    assert np.isfinite(model.surprisal(ids)).all()


def test_sample_is_reproducible_and_ignores_what_it_was_given():
    model = NGramModel(3, 5).fit([0, 1, 2, 3, 4, 0, 1, 2, 4] * 4)
    first = model.sample(50, [0, 1], rng=7)
    assert first == model.sample(50, [0, 1], rng=7) == model.sample(50, [0, 1], rng=np.random.default_rng(7))
    assert first != model.sample(50, [0, 1], rng=8)
    assert len(first) == 50 and all(isinstance(i, int) for i in first)
    assert model.sample(0, [1]) == []


def test_sample_follows_the_distribution():
    model = NGramModel(1, 3).fit([0] * 6 + [1] * 3 + [2])
    drawn = np.bincount(model.sample(20_000, rng=0), minlength=3) / 20_000
    np.testing.assert_allclose(drawn, model.probs(), atol=0.015)


def test_temperature_sharpens_flattens_and_zero_is_greedy():
    model = NGramModel(1, 3).fit([0] * 6 + [1] * 3 + [2])
    share = {t: model.sample(4000, temperature=t, rng=0).count(0) / 4000 for t in (0, 0.3, 1, 5)}
    assert share[0] == 1 and share[0.3] > share[1] + 0.1 and share[5] < share[1] - 0.1
    p = model.probs() ** (1 / 5)
    assert share[5] == pytest.approx(p[0] / p.sum(), abs=0.03)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: NGramModel(0, 3), ValueError, "order e vocab_size devem ser ≥ 1; vieram 0 e 3"),
        (lambda: NGramModel(2, 0), ValueError, "devem ser ≥ 1"),
        (lambda: NGramModel(2, 3).fit([]), ValueError, "não há ids para contar"),
        (lambda: NGramModel(2, 3).fit([0, 3]), ValueError, "vão de 0 a 2, e vieram de 0 a 3"),
        (lambda: NGramModel(2, 3).fit([-1, 2]), ValueError, "vieram de -1 a 2"),
        (lambda: NGramModel(2, 3).fit([0.5]), ValueError, "lista de inteiros; veio float64"),
        (lambda: NGramModel(2, 3).fit([[0, 1]]), ValueError, r"forma \(1, 2\)"),
        (lambda: NGramModel(2, 3).probs([0]), RuntimeError, r"chame fit\(ids\) antes"),
        (lambda: NGramModel(2, 3).surprisal([0]), RuntimeError, r"chame fit\(ids\) antes"),
        (lambda: NGramModel(2, 3).sample(1), RuntimeError, r"chame fit\(ids\) antes"),
        (lambda: NGramModel(2, 3).fit([0]).probs([3]), ValueError, "fora do vocabulário"),
        (lambda: NGramModel(2, 3).fit([0]).bits_per_byte([0], 0), ValueError, "n_bytes deve ser > 0.*veio 0"),
        (lambda: NGramModel(2, 3).fit([0]).bits_per_byte([], 9), ValueError, "não há ids para avaliar"),
        (lambda: NGramModel(2, 3).fit([0]).sample(-1), ValueError, "n e temperature devem ser ≥ 0"),
        (lambda: NGramModel(2, 3).fit([0]).sample(1, temperature=-1), ValueError, "devem ser ≥ 0"),
    ],
)
def test_bad_input_says_what_to_do(call, error, message):
    with pytest.raises(error, match=message):
        call()
