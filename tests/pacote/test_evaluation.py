"""Medir: a perda média contra a conta direta, e os bits por byte um token por vez."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from homellm.evaluation import bits_per_byte, evaluate
from homellm.model import GPT
from homellm.tokenizer import BPETokenizer
from treinos import (
    batches,
    tiny,
)  # fmt: skip

pytestmark = pytest.mark.usefixtures("one_thread")

def test_evaluate_weighs_each_target_the_same():
    model = tiny(dropout=0.5)
    uneven = batches(3, rows=4, ignored=0.2) + batches(1, rows=1, seed=9, ignored=0.8)
    logits = torch.cat([model.eval()(x) for x, _ in uneven])
    expected = F.cross_entropy(logits.detach().flatten(0, 1), torch.cat([y for _, y in uneven]).flatten())
    model.train()
    assert evaluate(model, uneven) == pytest.approx(float(expected), rel=1e-6)
    assert model.training  # volta ao modo em que estava
    model.eval()
    assert evaluate(model, uneven, max_batches=2) == pytest.approx(evaluate(model, uneven[:2]))
    assert not model.training
    with pytest.raises(ValueError, match="vazio"):
        evaluate(model, [])
    with pytest.raises(ValueError, match="não há nenhum alvo"):
        evaluate(model, batches(2, ignored=1.1))


def test_evaluate_gives_the_mode_back_when_the_loss_fails():
    model = tiny().train()
    with pytest.raises(ZeroDivisionError):
        evaluate(model, batches(1), lambda m, b: 1 / 0)
    assert model.training


BYTES = BPETokenizer({bytes([b]): b for b in range(256)}, {"<|endoftext|>": 256})
MERGED = BPETokenizer.train("o rato roeu a roupa do rei de Roma; a rainha, com raiva, resolveu remendar", 290)


@torch.no_grad()
def bits_one_by_one(model: GPT, tokenizer: BPETokenizer, text: str) -> float:
    """Cada alvo com uma passada só sua: a janela é a primeira, de meia em meia, que chega até ele."""
    ids = [tokenizer.special_tokens["<|endoftext|>"], *tokenizer.encode(text)]
    size, bits = model.config.context_length, 0.0
    half = max(1, size // 2)
    for target in range(1, len(ids)):
        start = 0
        while start + size < target:
            start += half
        window = torch.tensor([ids[start:target]])
        bits -= float(model.eval()(window)[0, -1].log_softmax(-1)[ids[target]]) / math.log(2)
    return bits / len(text.encode("utf-8"))


@settings(deadline=None, max_examples=40)
@given(st.text(st.sampled_from("aeo rç🍎\n"), min_size=1, max_size=40), st.integers(1, 9), st.integers(1, 5))
def test_bits_per_byte_one_by_one(text, context, batch_size):
    model = tiny(dropout=0.3, vocab_size=MERGED.vocab_size, context_length=context).train()
    with torch.no_grad():  # longe da uniforme, para que cada posição custe diferente
        model.head.weight *= 30
    expected = bits_one_by_one(model, MERGED, text)
    assert bits_per_byte(model.train(), MERGED, text, batch_size) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("tokenizer", [BYTES, MERGED], ids=["bytes", "bpe"])
@pytest.mark.parametrize("text", ["a", "maçã", "o rato roeu a roupa do rei de Roma. " * 9])
def test_uniform_model_pays_log2_of_the_vocabulary_per_token(tokenizer, text):
    model = tiny(vocab_size=tokenizer.vocab_size)
    nn.init.zeros_(model.head.weight)
    expected = math.log2(tokenizer.vocab_size) * len(tokenizer.encode(text)) / len(text.encode("utf-8"))
    assert bits_per_byte(model, tokenizer, text) == pytest.approx(expected, rel=1e-6)


def test_bits_per_byte_takes_the_special_token_in_the_text_as_text():
    model = tiny(vocab_size=257)
    nn.init.zeros_(model.head.weight)
    assert bits_per_byte(model, BYTES, "<|endoftext|>") == pytest.approx(math.log2(257))
    with pytest.raises(ValueError, match="vazio"):
        bits_per_byte(model, BYTES, "")
    with pytest.raises(ValueError, match=r"não tem <\|endoftext\|>"):
        bits_per_byte(model, BPETokenizer({bytes([b]): b for b in range(256)}, {}), "a")


def test_decomposed_accents_are_the_same_text():
    model = tiny(vocab_size=MERGED.vocab_size)
    nfc, nfd = "maçã e coração", "mac\u0327a\u0303 e corac\u0327a\u0303o"
    assert bits_per_byte(model, MERGED, nfd) == bits_per_byte(model, MERGED, nfc)
