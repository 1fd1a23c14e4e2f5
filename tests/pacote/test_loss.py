"""A perda: contra `F.cross_entropy`, contas à mão, e o caminho curto contra o comum."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import parametrize
from torch.utils._python_dispatch import TorchDispatchMode

from homellm import loss as loss_module
from homellm.loss import (
    IGNORE_INDEX,
    chunked_next_token_loss,
    language_model_loss,
    next_token_loss,
    sequence_log_probs,
)
from homellm.model import GPT, GPTConfig
from treinos import T, V, batches, tiny

pytestmark = pytest.mark.usefixtures("one_thread")

targets_lists = st.lists(st.sampled_from([IGNORE_INDEX, *range(7)]), min_size=1, max_size=40)


@settings(deadline=None)
@given(targets_lists)
def test_loss_is_the_cross_entropy_of_pytorch(targets):
    y = torch.tensor(targets)[None]
    logits = torch.randn(1, len(targets), 7, requires_grad=True, generator=None)
    loss = next_token_loss(logits, y)
    loss.backward()
    if (y == IGNORE_INDEX).all():
        assert loss == 0 and not logits.grad.any()
        return
    other = logits.detach().requires_grad_()
    expected = F.cross_entropy(other[0], y[0])
    expected.backward()
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(logits.grad, other.grad)


def test_loss_by_hand():
    logits = torch.tensor([[[0.0, math.log(3)], [5.0, 5.0], [math.log(7), 0.0]]])
    loss = next_token_loss(logits, torch.tensor([[1, IGNORE_INDEX, 1]]))  # −(ln 3/4 + ln 1/8) / 2
    assert float(loss) == pytest.approx((math.log(4 / 3) + math.log(8)) / 2)
    with pytest.raises(ValueError, match=r"\(1, 3, 2\).*\(1, 2\)"):
        next_token_loss(logits, torch.tensor([[1, 1]]))
    with pytest.raises(TypeError, match=r"os alvos são inteiros .*vieram torch\.float32"):
        next_token_loss(logits, torch.ones(1, 3))


def both_losses(hidden, weight, targets, rows, scale=1.0):
    """A perda e os gradientes, inteira e por pedaços."""
    result = []
    for loss_of in (
        lambda h, w: next_token_loss(F.linear(h, w), targets),
        lambda h, w: chunked_next_token_loss(h, w, targets, rows),
    ):
        h, w = hidden.clone().requires_grad_(), weight.clone().requires_grad_()
        loss = loss_of(h, w)
        (loss * scale).backward()
        result.append((loss.detach(), h.grad / scale, w.grad / scale))
    return result


@settings(deadline=None)
@given(targets_lists, st.integers(1, 45), st.integers(0, 2**30))
def test_chunked_loss_is_the_plain_one(targets, rows, seed):
    rng = torch.Generator().manual_seed(seed)
    hidden, weight = torch.randn(1, len(targets), 5, generator=rng), torch.randn(7, 5, generator=rng)
    plain, chunked = both_losses(hidden, weight, torch.tensor(targets)[None], rows, scale=3.0)
    for a, b in zip(plain, chunked, strict=True):
        torch.testing.assert_close(b, a, rtol=1e-5, atol=1e-6)
    with torch.no_grad():
        loss = chunked_next_token_loss(hidden, weight, torch.tensor(targets)[None], rows)
    torch.testing.assert_close(loss, plain[0], rtol=1e-5, atol=1e-6)


def test_chunked_loss_keeps_large_logits_finite():
    hidden, weight = (
        torch.full((1, 3, 4), 200.0),
        torch.randn(7, 4, generator=torch.Generator().manual_seed(0)),
    )
    for values in zip(*both_losses(hidden, weight, torch.tensor([[0, 1, 2]]), 2), strict=True):
        assert values[1].isfinite().all()
        torch.testing.assert_close(values[1], values[0], rtol=1e-4, atol=1e-4)


def test_chunked_loss_with_bf16_weights():
    rng = torch.Generator().manual_seed(0)
    hidden, weight = torch.randn(2, 50, 16, generator=rng), torch.randn(31, 16, generator=rng)
    y = torch.randint(31, (2, 50), generator=rng)
    exact = both_losses(hidden, weight, y, 7)[0]
    half = both_losses(hidden.bfloat16(), weight.bfloat16(), y, 7)[1]
    assert half[0].dtype == torch.float32 and half[1].dtype == half[2].dtype == torch.bfloat16
    for a, b in zip(exact, half, strict=True):
        assert (a - b).norm() <= 0.03 * a.norm()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_chunked_gradients_survive_autocast(dtype):
    """Com muitas linhas e vocabulário grande, cada parcela do gradiente é menor que o menor fp16."""
    rng = torch.Generator().manual_seed(0)
    hidden, weight = torch.randn(1, 4096, 8, generator=rng), 0.02 * torch.randn(8192, 8, generator=rng)
    y = torch.randint(8192, (1, 4096), generator=rng)
    grads = []
    for enabled in (False, True):
        h, w = hidden.clone().requires_grad_(), weight.clone().requires_grad_()
        with torch.autocast("cpu", dtype, enabled=enabled):
            loss = chunked_next_token_loss(h, w, y)
        (loss * 2**12).backward()
        grads.append((h.grad / 2**12, w.grad / 2**12))
    for exact, half in zip(*grads, strict=True):
        assert (exact - half).norm() <= 0.01 * exact.norm()


class Largest(TorchDispatchMode):
    """O tamanho do maior tensor que alguma operação devolveu."""

    numel = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        output = func(*args, **(kwargs or {}))
        for tensor in torch.utils._pytree.tree_leaves(output):
            if isinstance(tensor, torch.Tensor):
                self.numel = max(self.numel, tensor.numel())
        return output


@pytest.mark.parametrize("grad", [True, False])
def test_the_whole_logits_never_exist(grad):
    model = GPT(GPTConfig(vocab_size=500, context_length=64, emb_dim=4, n_heads=1, n_layers=1))
    ids = torch.randint(500, (8, 64))
    with torch.set_grad_enabled(grad), Largest() as plain:
        loss = next_token_loss(model(ids), ids)
        if grad:
            loss.backward()
    assert plain.numel == 8 * 64 * 500  # o medidor mede
    rows = 32
    with torch.set_grad_enabled(grad), Largest() as chunked:
        loss = chunked_next_token_loss(model.features(ids), model.head.weight, ids, rows)
        if grad:
            loss.backward()
    assert chunked.numel == max(rows * 500, 8 * 64 * 16)  # um pedaço de logits, ou o meio da MLP



# --- o modelo é um contrato


class Lora(nn.Module):
    """Uma camada linear congelada, mais um produto de posto baixo."""

    def __init__(self, base: nn.Linear) -> None:
        super().__init__()
        self.base, (v, c) = base, base.weight.shape
        self.a, self.b = nn.Parameter(torch.randn(2, c) / 9), nn.Parameter(torch.randn(v, 2) / 9)

    def forward(self, x):
        return self.base(x) + x @ self.a.T @ self.b.T


class LoraSubclass(nn.Linear):
    """O mesmo, como subclasse: tem `weight`, e não é só ele."""

    def __init__(self, base: nn.Linear) -> None:
        super().__init__(base.in_features, base.out_features, bias=False)
        self.weight = base.weight
        self.a = nn.Parameter(torch.randn(2, base.in_features) / 9)
        self.b = nn.Parameter(torch.randn(base.out_features, 2) / 9)

    def forward(self, x):
        return super().forward(x) + x @ self.a.T @ self.b.T


class Doubled(GPT):
    """O `forward` do leitor, noutra escala."""

    def forward(self, ids, cache=None):
        return 2 * self.head(self.features(ids, cache))


class Mine(nn.Module):
    """Uma rede do leitor, com os mesmos nomes e outra ordem das peças."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.head = nn.Embedding(V, 8), nn.Linear(8, V, bias=False)

    def features(self, ids, cache=None):
        return self.embedding(ids)

    def forward(self, ids, cache=None):
        return self.head(self.features(ids).tanh())


def with_bias():
    model = tiny(tie_weights=False)
    model.head = nn.Linear(8, V)
    return model


def changed(change):
    def build():
        model = tiny()
        return change(model) or model

    return build


def cold_head(model):
    model.head.register_forward_hook(lambda module, args, output: output / 3)


def warm_input(model):
    model.head.register_forward_pre_hook(lambda module, args: (3 * args[0],))


def hooked_model(model):
    model.register_forward_hook(lambda module, args, output: output / 3)


class Halved(nn.Module):
    def forward(self, weight):
        return weight / 2


CASES = {
    "GPT": tiny,
    "cabeça própria": lambda: tiny(tie_weights=False),
    "cabeça com viés": with_bias,
    "gancho na cabeça": changed(cold_head),
    "gancho antes da cabeça": changed(warm_input),
    "gancho no modelo": changed(hooked_model),
    "peso parametrizado": changed(
        lambda m: parametrize.register_parametrization(m.head, "weight", Halved()) and None
    ),
    "LoRA por fora": changed(lambda m: setattr(m, "head", Lora(m.head))),
    "LoRA como subclasse": changed(lambda m: setattr(m, "head", LoraSubclass(m.head))),
    "forward trocado": lambda: Doubled(GPTConfig(vocab_size=V, context_length=T, emb_dim=8, n_heads=2)),
    "classe do leitor": Mine,
    "embrulho": lambda: nn.Sequential(tiny()),
    "compilado": lambda: torch.compile(tiny(), backend="eager"),
    "modelo do GPT trocado na instância": changed(
        lambda m: setattr(m, "forward", lambda ids, cache=None: 2 * m.head(m.features(ids)))
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_any_model_has_the_loss_and_the_gradients_of_the_plain_road(name):
    torch.manual_seed(0)
    model, (batch,) = CASES[name](), batches(1, ignored=0.3)
    grads = []
    for loss_of in (language_model_loss, lambda m, b: next_token_loss(m(b[0]), b[1])):
        model.zero_grad()
        loss = loss_of(model, batch)
        loss.backward()
        grads.append((loss.detach(), {n: p.grad for n, p in model.named_parameters()}))
    torch.testing.assert_close(grads[0][0], grads[1][0])
    torch.testing.assert_close(grads[0][1], grads[1][1], rtol=1e-4, atol=1e-6)
    assert any(g is not None and g.any() for g in grads[0][1].values())


def test_a_plain_gpt_takes_the_short_road(monkeypatch):
    monkeypatch.setattr(loss_module, "next_token_loss", None)  # quem o chamasse cairia
    assert language_model_loss(tiny(), batches(1)[0]) > 2
    with pytest.raises(TypeError):
        language_model_loss(with_bias(), batches(1)[0])


# --- alvos e sequências


@pytest.mark.parametrize("bad", [-1, -2, V, 10**6])
def test_a_target_outside_the_vocabulary_is_named(bad):
    (ids, targets), model = batches(1)[0], tiny()
    targets[1, 2] = bad
    for loss in (
        lambda: next_token_loss(model(ids), targets),
        lambda: language_model_loss(model, (ids, targets)),
        lambda: sequence_log_probs(model(ids), targets),
    ):
        with pytest.raises(ValueError, match=rf"alvo {bad} fora do vocabulário.*0 a 18.*-100"):
            loss()
    with pytest.raises(ValueError, match=r"\(4, 6, 8\).*\(4, 5\)"):
        chunked_next_token_loss(model.features(ids), model.head.weight, targets[:, 1:])


def test_sequence_log_probs_by_hand():
    logits = torch.tensor([[[0.0, math.log(3)], [5.0, 5.0]], [[math.log(7), 0.0], [0.0, 0.0]]])
    targets = torch.tensor([[1, 0], [1, IGNORE_INDEX]])
    expected = [math.log(3 / 4) + math.log(1 / 2), math.log(1 / 8)]
    assert sequence_log_probs(logits, targets).tolist() == pytest.approx(expected)
    assert sequence_log_probs(logits, torch.full((2, 2), IGNORE_INDEX)).tolist() == [0, 0]
    model, (batch,) = tiny(), batches(1, ignored=0.4)
    total = sequence_log_probs(model(batch[0]), batch[1]).sum()
    mean = next_token_loss(model(batch[0]), batch[1])
    torch.testing.assert_close(-total / (batch[1] >= 0).sum(), mean)
