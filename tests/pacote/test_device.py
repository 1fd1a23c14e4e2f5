"""homellm.device: a escolha do dispositivo e a semente dos três geradores."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from homellm.device import choose_device, set_seed


@pytest.fixture(autouse=True)
def keep_generators():
    """Devolve os geradores globais ao estado em que o teste os achou."""
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng():
        yield
    random.setstate(python)
    np.random.set_state(numpy)


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"),
    [(True, True, "cuda"), (True, False, "cuda"), (False, True, "mps"), (False, False, "cpu")],
)
def test_prefers_cuda_then_mps_then_cpu(monkeypatch, cuda, mps, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert choose_device() == torch.device(expected)


def test_chosen_device_computes():
    x = torch.ones(2, 3, device=choose_device())
    assert (x @ x.T).tolist() == [[3, 3], [3, 3]]


def draws():
    """Um sorteio de cada gerador global."""
    return random.random(), float(np.random.rand()), torch.rand(()).item()


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_same_seed_repeats_the_three_generators(seed):
    set_seed(seed)
    first = draws()
    assert all(a != b for a, b in zip(draws(), first, strict=True))
    set_seed(seed)
    assert draws() == first


def test_other_seed_changes_the_three_generators():
    set_seed(1)
    first = draws()
    set_seed(2)
    assert all(a != b for a, b in zip(draws(), first, strict=True))


def test_seeds_each_library_as_it_seeds_itself():
    set_seed(42)
    assert draws() == (
        random.Random(42).random(),
        float(np.random.RandomState(42).rand()),
        torch.rand((), generator=torch.Generator().manual_seed(42)).item(),
    )


def test_dropout_and_init_repeat_on_the_chosen_device():
    device = choose_device()

    def run():
        set_seed(3)
        layer = torch.nn.Linear(4, 4, device=device)
        return torch.nn.functional.dropout(layer(torch.ones(8, 4, device=device)), 0.5)

    assert torch.equal(run(), run())


@pytest.mark.parametrize("kind", [np.int64, np.uint32, np.int8])
def test_numpy_integers_are_integers(kind):
    set_seed(7)
    expected = draws()
    set_seed(kind(7))
    assert draws() == expected


@pytest.mark.parametrize("seed", [-1, 2**32, 1.0, "7", None, True, np.int64(-1), np.float64(7), np.True_])
def test_bad_seed_is_named_and_changes_nothing(seed):
    set_seed(0)
    expected = draws()
    set_seed(0)
    with pytest.raises(ValueError, match=r"de 0 a 4294967295; veio") as error:
        set_seed(seed)
    assert repr(seed) in str(error.value)
    assert draws() == expected
