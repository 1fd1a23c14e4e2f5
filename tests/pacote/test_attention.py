"""homellm.attention contra laços e `nn.MultiheadAttention`; o cache contra a passada inteira."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from homellm.attention import KVCache, MultiHeadAttention, causal_attention

SHAPES = [  # (emb_dim, n_heads, context_length, B, T)
    (60, 5, 9, 2, 7),
    (60, 5, 9, 1, 9),  # lote 1, contexto cheio
    (8, 1, 4, 3, 4),  # uma cabeça
    (7, 7, 5, 2, 3),  # cabeças de um número
    (12, 4, 6, 1, 1),  # T = 1
    (1, 1, 1, 1, 1),
]


def make(emb_dim=12, n_heads=3, context_length=8, dtype=torch.float64, seed=0, **options):
    torch.manual_seed(seed)
    return MultiHeadAttention(emb_dim, n_heads, context_length, **options).to(dtype).eval()


def close(a, b) -> None:
    torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11)


# Os degraus do capítulo, cada um escrito de novo aqui.


def attend_loop(q, k, v):
    """Uma posição por vez, só com somas e exponenciais: (T, D) → (T, D)."""
    rows = []
    for t in range(len(q)):
        scores = [float(q[t] @ k[s]) / math.sqrt(q.shape[1]) for s in range(t + 1)]
        total = sum(math.exp(score) for score in scores)
        rows.append(sum(math.exp(score) / total * v[s] for s, score in enumerate(scores)))
    return torch.stack(rows)


def attend_renormalized(q, k, v):
    """A máscara depois do softmax, e cada linha dividida pela sua nova soma."""
    weights = (q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])).softmax(-1)
    weights = weights.tril()
    return weights / weights.sum(-1, keepdim=True) @ v


def attend_infinite(q, k, v):
    """A máscara antes do softmax, com −∞ no futuro."""
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    future = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
    return scores.masked_fill(future, -math.inf).softmax(-1) @ v


def one_by_one(layer: MultiHeadAttention, x, attend):
    """Cada sequência e cada cabeça com as suas fatias das matrizes, num laço."""
    D, biases = layer.head_dim, layer.qkv.bias
    out = []
    for sequence in x:
        heads = []
        for h in range(layer.n_heads):
            parts = []
            for i in range(3):
                rows = slice((i * layer.n_heads + h) * D, (i * layer.n_heads + h + 1) * D)
                bias = None if biases is None else biases[rows]
                parts.append(F.linear(sequence, layer.qkv.weight[rows], bias))
            heads.append(attend(*parts))
        out.append(layer.proj(torch.cat(heads, dim=-1)))
    return torch.stack(out)


def together(layer: MultiHeadAttention, x, attend):
    B, T, C = x.shape
    thirds = layer.qkv(x).chunk(3, dim=-1)
    q, k, v = (t.view(B, T, layer.n_heads, layer.head_dim).transpose(1, 2) for t in thirds)
    return layer.proj(attend(q, k, v).transpose(1, 2).reshape(B, T, C))


@pytest.mark.parametrize("attend", [attend_renormalized, attend_infinite, attend_loop])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("C", "H", "limit", "B", "T"), SHAPES)
def test_equals_heads_one_by_one(C, H, limit, B, T, bias, attend):
    layer, x = make(C, H, limit, qkv_bias=bias), torch.randn(B, T, C, dtype=torch.float64)
    with torch.no_grad():
        close(layer(x), one_by_one(layer, x, attend))


@pytest.mark.parametrize("attend", [attend_renormalized, attend_infinite])
@pytest.mark.parametrize(("C", "H", "limit", "B", "T"), SHAPES)
def test_equals_heads_together(C, H, limit, B, T, attend):
    layer, x = make(C, H, limit), torch.randn(B, T, C, dtype=torch.float64)
    close(layer(x), together(layer, x, attend))


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("C", "H", "limit", "B", "T"), SHAPES)
def test_equals_torch_multihead_attention(C, H, limit, B, T, bias):
    layer = make(C, H, limit, qkv_bias=bias)
    oracle = nn.MultiheadAttention(C, H, batch_first=True, dtype=torch.float64)
    with torch.no_grad():
        oracle.in_proj_weight.copy_(layer.qkv.weight)
        oracle.in_proj_bias.copy_(layer.qkv.bias) if bias else oracle.in_proj_bias.zero_()
        oracle.out_proj.load_state_dict(layer.proj.state_dict())
        x = torch.randn(B, T, C, dtype=torch.float64)
        future = torch.ones(T, T, dtype=torch.bool).triu(1)
        close(layer(x), oracle(x, x, x, attn_mask=future, need_weights=False)[0])


def test_equals_scaled_dot_product_attention_in_float32():
    layer, x = make(60, 5, 32, dtype=torch.float32), torch.randn(3, 32, 60)
    fused = together(layer, x, lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True))
    torch.testing.assert_close(layer(x), fused)


def test_three_tokens_by_hand():
    layer = MultiHeadAttention(2, 1, 3).double()
    with torch.no_grad():
        identity = torch.eye(2, dtype=torch.float64)
        layer.qkv.weight.copy_(torch.cat([identity * math.sqrt(2), identity, identity]))  # √2 desfaz a escala
        layer.proj.weight.copy_(identity)
        layer.proj.bias.zero_()
        out = layer(torch.tensor([[[2.0, 0.0], [0.0, 1.0], [1.0, 0.0]]], dtype=torch.float64))[0]
    e = math.e
    expected = [
        [2, 0],  # sino só vê a si
        [2 / (1 + e), e / (1 + e)],  # rachou: notas 0 e 1
        [(2 * e**2 + e) / (e**2 + 1 + e), 1 / (e**2 + 1 + e)],  # ele: notas 2, 0 e 1
    ]
    close(out, torch.tensor(expected, dtype=torch.float64))


def test_scores_are_divided_by_the_square_root_of_head_dim():
    layer = MultiHeadAttention(4, 1, 2).double()
    with torch.no_grad():
        layer.qkv.weight.zero_()
        layer.qkv.weight[0, 0] = layer.qkv.weight[4, 0] = layer.qkv.weight[8, 1] = 1  # q₀ = k₀ = x₀, v₀ = x₁
        layer.proj.weight.copy_(torch.eye(4, dtype=torch.float64))
        layer.proj.bias.zero_()
        x = torch.tensor([[[0.0, 1, 0, 0], [6, 0, 0, 0]]], dtype=torch.float64)
        weight = layer(x)[0, 1, 0].item()  # quanto a posição 1 recebe da 0: notas 0 e 36/√4
    assert weight == pytest.approx(1 / (1 + math.exp(18)))


def test_parameters_are_the_two_matrices():
    shapes = {name: tuple(p.shape) for name, p in make(60, 5, qkv_bias=True).named_parameters()}
    assert shapes == {
        "qkv.weight": (180, 60), "qkv.bias": (180,), "proj.weight": (60, 60), "proj.bias": (60,)
    }  # fmt: skip
    assert "qkv.bias" not in dict(make(60, 5).named_parameters())
    counts = {sum(p.numel() for p in make(60, h).parameters()) for h in (1, 2, 5, 60)}
    assert counts == {4 * 60 * 60 + 60}


def test_no_buffer_grows_with_the_context():
    assert not list(make(context_length=10_000).buffers())


# Causalidade, lote, treino


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_changing_a_token_never_changes_what_comes_before(data):
    H, D, T = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 5)), data.draw(st.integers(1, 9))
    t = data.draw(st.integers(0, T - 1))
    layer = make(H * D, H, T, seed=data.draw(st.integers(0, 1000)))
    x = torch.randn(2, T, H * D, dtype=torch.float64)
    changed = x.clone()
    changed[:, t] += data.draw(st.floats(0.5, 1e3))
    before, after = layer(x), layer(changed)
    assert torch.equal(before[:, :t], after[:, :t])
    assert not torch.equal(before[:, t], after[:, t])


def test_every_position_reaches_every_later_one():
    layer, x = make(12, 3, 6), torch.randn(1, 6, 12, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(lambda x: layer(x)[0].sum(-1), x)  # (T, 1, T, C)
    assert torch.equal(jacobian[:, 0].abs().sum(-1) > 1e-12, torch.ones(6, 6).tril().bool())


def test_a_prefix_gives_the_prefix_of_the_outputs():
    layer, x = make(12, 3, 8), torch.randn(2, 8, 12, dtype=torch.float64)
    for t in range(1, 9):
        close(layer(x[:, :t]), layer(x)[:, :t])


def test_sequences_of_a_batch_do_not_mix():
    layer, x = make(), torch.randn(4, 8, 12, dtype=torch.float64)
    close(layer(x), torch.cat([layer(x[i : i + 1]) for i in range(4)]))
    changed = x.clone()
    changed[2] = 1e6
    assert torch.equal(layer(x)[[0, 1, 3]], layer(changed)[[0, 1, 3]])


def test_dropout_acts_only_in_training():
    layer, plain = make(dropout=0.5), make()
    x = torch.randn(2, 8, 12, dtype=torch.float64)
    assert torch.equal(layer(x), plain(x))
    layer.train()
    first, second = layer(x), layer(x)
    assert not torch.equal(first, second)
    assert torch.equal(layer.eval()(x), plain(x))
    assert torch.equal(plain.train()(x), plain.eval()(x))


def test_dropout_zeroes_weights_and_keeps_their_mean():
    layer = make(4, 1, 1, dropout=0.25).train()
    with torch.no_grad():
        layer.proj.bias.zero_()
    x = torch.randn(4000, 1, 4, dtype=torch.float64)[:1].expand(4000, 1, 4)  # T = 1: o peso é 1 ou 0
    kept = layer(x) / layer.eval()(x)
    assert set(kept.round(decimals=6).unique().tolist()) == {0.0, round(1 / 0.75, 6)}
    assert kept.mean().item() == pytest.approx(1, abs=0.05)


def test_gradients_are_right_and_reach_every_parameter():
    layer = make(6, 2, 4, qkv_bias=True)
    x = torch.randn(2, 4, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, (x,))
    names, values = zip(*layer.named_parameters(), strict=True)
    run = lambda *values: torch.func.functional_call(layer, dict(zip(names, values, strict=True)), (x,))  # noqa: E731
    assert torch.autograd.gradcheck(run, values)
    layer(x).square().sum().backward()
    assert all(p.grad.abs().max() > 0 for p in layer.parameters())


def test_extreme_inputs_stay_finite():
    layer = make(dtype=torch.float32)
    x = 1e4 * torch.randn(1, 8, 12)
    x[:, 5] *= 1e4
    assert layer(x).isfinite().all()
    torch.testing.assert_close(layer(x)[:, :5], layer(x[:, :5]))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_output_and_cache_keep_the_dtype(dtype):
    layer, cache = make(dtype=dtype), KVCache()
    x = torch.randn(2, 3, 12, dtype=dtype)
    assert layer(x).dtype == layer(x, cache).dtype == dtype


def test_state_survives_saving(tmp_path):
    layer, x = make(), torch.randn(2, 8, 12, dtype=torch.float64)
    torch.save(layer.state_dict(), tmp_path / "camada.pt")
    other = make(seed=1)
    other.load_state_dict(torch.load(tmp_path / "camada.pt"))
    assert torch.equal(other(x), layer(x))


# Cache


def run_parts(layer, x, sizes):
    cache = KVCache()
    return torch.cat([layer(part, cache) for part in x.split(sizes, dim=1)], dim=1), cache


@torch.no_grad()
@pytest.mark.parametrize(("C", "H", "limit", "B", "T"), SHAPES)
def test_cache_at_every_split_and_token_by_token(C, H, limit, B, T):
    layer, x = make(C, H, limit), torch.randn(B, T, C, dtype=torch.float64)
    whole = layer(x)
    for cut in range(1, T):
        parts, cache = run_parts(layer, x, [cut, T - cut])
        close(parts, whole)
        assert cache.length == T
    close(run_parts(layer, x, [T])[0], whole)
    close(run_parts(layer, x, [1] * T)[0], whole)


@torch.no_grad()
@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=6))
def test_cache_with_any_partition(sizes):
    layer, x = make(12, 3, 24), torch.randn(2, sum(sizes), 12, dtype=torch.float64)
    parts, cache = run_parts(layer, x, sizes)
    close(parts, layer(x))
    assert cache.length == sum(sizes)


@torch.no_grad()
def test_one_cache_serves_several_layers():
    layers = [make(seed=s) for s in range(3)]
    x = torch.randn(2, 7, 12, dtype=torch.float64)

    def stack(h, cache=None):
        for layer in layers:
            h = h + layer(h, cache)
        return h

    cache = KVCache()
    assert cache.length == 0
    parts = []
    for part in x.split([3, 1, 2, 1], dim=1):
        parts.append(stack(part, cache))
    close(torch.cat(parts, dim=1), stack(x))
    assert cache.length == 7


@torch.no_grad()
def test_two_caches_do_not_mix():
    layer = make()
    a, b = torch.randn(2, 1, 8, 12, dtype=torch.float64)
    caches = KVCache(), KVCache()
    outputs = [[], []]
    for t, i in itertools.product(range(8), range(2)):
        outputs[i].append(layer((a, b)[i][:, t : t + 1], caches[i]))
    close(torch.cat(outputs[0], 1), layer(a))
    close(torch.cat(outputs[1], 1), layer(b))


@torch.no_grad()
def test_cached_outputs_do_not_change_with_what_comes_later():
    layer, x = make(), torch.randn(1, 8, 12, dtype=torch.float64)
    cache = KVCache()
    first = layer(x[:, :4], cache)
    copy = first.clone()
    layer(x[:, 4:], cache)
    assert torch.equal(first, copy)


@torch.no_grad()
@pytest.mark.parametrize("used", [5, 8])
def test_overflow_says_what_to_do_and_leaves_the_cache_usable(used):
    layer, x = make(), torch.randn(2, 8, 12, dtype=torch.float64)
    cache = KVCache()
    parts = [layer(x[:, :used], cache)]
    excess = 9 - used
    message = f"o cache tem {used} posições e vieram mais {excess}; o limite é context_length=8. Comece um"
    with pytest.raises(ValueError, match=message):
        layer(torch.randn(2, excess, 12, dtype=torch.float64), cache)
    assert cache.length == used
    if used < 8:
        parts.append(layer(x[:, used:], cache))
    close(torch.cat(parts, dim=1), layer(x))


@torch.no_grad()
def test_another_batch_says_what_to_do_and_leaves_the_cache_usable():
    layer, x = make(), torch.randn(2, 8, 12, dtype=torch.float64)
    cache = KVCache()
    first = layer(x[:, :3], cache)
    for wrong in (1, 3):
        message = f"o cache é de um lote de 2 e veio um de {wrong}; use um cache novo para cada lote"
        with pytest.raises(ValueError, match=message):
            layer(torch.randn(wrong, 1, 12, dtype=torch.float64), cache)
        assert cache.length == 3
    close(torch.cat([first, layer(x[:, 3:], cache)], dim=1), layer(x))


@torch.no_grad()
def test_a_wrong_first_call_leaves_the_cache_empty_and_usable():
    layer, x = make(), torch.randn(2, 8, 12, dtype=torch.float64)
    cache = KVCache()
    with pytest.raises(ValueError, match="a sequência tem 9 posições"):
        layer(torch.randn(5, 9, 12, dtype=torch.float64), cache)
    assert cache.length == 0
    close(layer(x, cache), layer(x))


# Erros


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 1, 4), "emb_dim=0: precisa ser ao menos 1"),
        ((8, 0, 4), "n_heads=0: precisa ser ao menos 1"),
        ((8, -2, 4), "n_heads=-2: precisa ser ao menos 1"),
        ((8, 2, 0), "context_length=0: precisa ser ao menos 1"),
        ((10, 3, 4), "emb_dim=10 não se divide em n_heads=3 cabeças iguais"),
        ((3, 6, 4), "emb_dim=3 não se divide em n_heads=6 cabeças iguais"),
        ((8, 2, 4, -0.1), r"dropout=-0.1: precisa estar em \[0, 1\)"),
        ((8, 2, 4, 1.0), r"dropout=1.0: precisa estar em \[0, 1\)"),
        ((8, 2, 4, math.nan), r"dropout=nan: precisa estar em \[0, 1\)"),
    ],
)
def test_bad_sizes_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        MultiHeadAttention(*arguments)


@pytest.mark.parametrize("shape", [(12,), (3, 12), (2, 3, 11), (2, 3, 12, 1), (2, 12, 3)])
def test_bad_shapes_are_refused(shape):
    with pytest.raises(ValueError) as error:
        make()(torch.zeros(shape, dtype=torch.float64))
    assert str(error.value) == f"esperava a forma (B, T, 12); veio {shape}"


def test_too_long_a_sequence_is_refused_and_the_longest_is_not():
    layer = make(context_length=8)
    assert layer(torch.zeros(1, 8, 12, dtype=torch.float64)).shape == (1, 8, 12)
    with pytest.raises(ValueError, match="a sequência tem 9 posições, e o máximo é context_length=8"):
        layer(torch.zeros(1, 9, 12, dtype=torch.float64))


# A conta sem a moldura


@pytest.mark.parametrize(("T", "S"), [(1, 1), (5, 5), (1, 7), (3, 7)])
def test_causal_attention_olha_para_si_e_para_as_de_antes(T, S):
    torch.manual_seed(0)
    q, k, v = torch.randn(2, 3, T, 4), torch.randn(2, 3, S, 4), torch.randn(2, 3, S, 4)
    got = causal_attention(q, k, v)
    for t in range(T):
        seen = S - T + t + 1
        weights = (q[..., t : t + 1, :] @ k[..., :seen, :].mT / 2).softmax(-1)
        torch.testing.assert_close(got[..., t : t + 1, :], weights @ v[..., :seen, :])


def test_causal_attention_com_outra_mascara():
    torch.manual_seed(0)
    q, k, v = torch.randn(2, 6, 4), torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    mask = torch.rand(6, 3) > 0.5
    mask[:, 0] = True
    weights = (q @ k.mT / 2).masked_fill(~mask, -torch.inf).softmax(-1)
    torch.testing.assert_close(causal_attention(q, k, v, mask), weights @ v)
    with pytest.raises(ValueError, match="6 consultas e só 3 chaves"):
        causal_attention(q, k, v)
