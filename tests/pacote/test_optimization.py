"""A receita do passo: configuração, taxa, AdamW, corte do gradiente; contra contas à mão."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import FrozenInstanceError, asdict

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from homellm.loss import next_token_loss
from homellm.optimization import (
    TrainConfig,
    clip_gradients,
    create_optimizer,
    learning_rate_at,
)
from homellm.training import train
from treinos import batches, tiny


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *itertools.product(
            ["epochs", "max_steps", "accumulation_steps", "eval_every", "eval_batches"],
            [0, -1, 1.5, True, "2", np.float64(1.5)],
        ),
        *itertools.product(["learning_rate"], [0, -1e-3, math.nan, math.inf, "a", None]),
        *itertools.product(["warmup_steps"], [-1, 0.5, True]),
        *itertools.product(["final_lr"], [-0.1, 1.1, math.nan]),
        *itertools.product(["weight_decay"], [-0.1, math.nan, math.inf]),
        *itertools.product(["grad_clip"], [0, -1.0, math.nan]),
        *itertools.product(["betas"], [(0.9,), (0.9, 1.0), (-0.1, 0.9), (0.9, math.nan), 3]),
        *itertools.product(["precision"], ["fp8", "", None]),
        *itertools.product(["eps"], [-1e-8, math.nan, math.inf, None]),
        *itertools.product(["seed"], [-1, 1.5, "a", None]),
    ],
)
def test_config_names_the_bad_field_and_its_value(field, value):
    with pytest.raises(ValueError, match=field) as error:
        TrainConfig(**{field: value})
    assert str(value) in str(error.value)


def test_config_takes_the_numbers_of_numpy_and_pytorch_and_keeps_those_of_python():
    given = TrainConfig(
        max_steps=np.int64(3), epochs=np.uint8(2), seed=torch.tensor(5), learning_rate=np.float32(0.5),
        eps=torch.tensor(0.25), betas=np.array([0.5, 0.75]), compile=np.bool_(True), eval_every=None,
    )  # fmt: skip
    assert given == TrainConfig(
        max_steps=3, epochs=2, seed=5, learning_rate=0.5, eps=0.25, betas=(0.5, 0.75), compile=True
    )
    assert TrainConfig(**json.loads(json.dumps(asdict(given)))) == given  # vai para o checkpoint
    assert TrainConfig(betas=[np.float32(0.5), 0.75]).betas == (0.5, 0.75)


def test_config_is_frozen_and_survives_json():
    config = TrainConfig(max_steps=3, betas=[0.8, 0.9], grad_clip=None)
    assert TrainConfig(**json.loads(json.dumps(asdict(config)))) == config
    with pytest.raises(FrozenInstanceError):
        config.epochs = 2


@settings(deadline=None)
@given(st.integers(1, 60), st.integers(0, 70), st.floats(0, 1), st.floats(1e-6, 1))
def test_learning_rate_formula(total, warmup, final, peak):
    config = TrainConfig(learning_rate=peak, warmup_steps=warmup, final_lr=final)
    rates = [learning_rate_at(step, total, config) for step in range(total)]
    for step, rate in enumerate(rates):
        if step < warmup:
            expected = peak * (step + 1) / warmup
        else:
            angle = math.pi * (step - warmup) / (total - warmup)
            expected = peak * final + peak * (1 - final) * 0.5 * (1 + math.cos(angle))
        assert rate == pytest.approx(expected, rel=1e-9, abs=1e-15)
    assert max(rates) <= peak * (1 + 1e-12)
    if warmup < total:
        assert max(rates) == pytest.approx(peak)  # chega ao pico
        assert rates[warmup:] == sorted(rates[warmup:], reverse=True)


def test_only_matrices_decay_and_the_tied_table_counts_once():
    model = tiny()
    decayed, spared = create_optimizer(model, TrainConfig(weight_decay=0.3)).param_groups
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.3, 0.0)
    assert {p.dim() for p in decayed["params"]} == {2} and {p.dim() for p in spared["params"]} == {1}
    ids = [id(p) for p in decayed["params"] + spared["params"]]
    assert sorted(ids) == sorted({id(p) for p in model.parameters()})
    assert ids.count(id(model.token_embedding.weight)) == 1
    model.blocks.requires_grad_(False)
    assert sum(len(g["params"]) for g in create_optimizer(model, TrainConfig()).param_groups) == 4
    with pytest.raises(ValueError, match="requires_grad"):
        create_optimizer(model.requires_grad_(False), TrainConfig())


def test_one_step_is_adamw_by_hand():
    """Um passo do laço contra AdamW, corte e taxa escritos por extenso."""
    config = TrainConfig(max_steps=1, learning_rate=0.01, grad_clip=0.05, weight_decay=0.1)
    (batch,) = batches(1)
    model, other = tiny(), tiny()
    train(model, [batch], None, config, progress=False)
    next_token_loss(other(batch[0]), batch[1]).backward()
    norm = torch.cat([p.grad.flatten() for p in other.parameters()]).norm()
    assert norm > 0.05
    for name, p in other.named_parameters():
        grad = p.grad * 0.05 / (norm + 1e-6)
        old = p.detach() * (1 - 0.01 * 0.1 * (p.dim() == 2))
        expected = old - 0.01 * grad / (grad.abs() + 1e-8)  # no primeiro passo, m/√v = g/|g|
        seen = grad.abs() > 1e-6  # o viés de K não muda a atenção: o gradiente dele é só arredondamento
        assert seen.any()
        torch.testing.assert_close(
            model.get_parameter(name).detach()[seen], expected[seen], rtol=1e-4, atol=1e-6
        )


def test_the_rate_holds_after_the_last_step():
    config = TrainConfig(learning_rate=1.0, warmup_steps=2, final_lr=0.1)
    assert [learning_rate_at(step, 6, config) for step in (6, 7, 60)] == pytest.approx([0.1] * 3)


def test_eps_reaches_the_optimizer():
    groups = create_optimizer(tiny(), TrainConfig(eps=1e-5)).param_groups
    assert [group["eps"] for group in groups] == [1e-5, 1e-5]


def test_clip_gradients_measures_and_shrinks():
    a, b = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(1))
    a.grad, b.grad = torch.tensor([3.0, 0.0]), torch.tensor([4.0])
    assert float(clip_gradients([a, b], None)) == 5 and a.grad[0] == 3
    assert float(clip_gradients([a, b], 1.0)) == 5
    torch.testing.assert_close(torch.cat([a.grad, b.grad]), torch.tensor([0.6, 0.0, 0.8]))
