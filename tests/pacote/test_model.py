"""O GPT contra o PyTorch, contra o GPT-2 do `transformers`, e contra as suas próprias promessas."""

from __future__ import annotations

import importlib
import json
import math
import sys
from dataclasses import asdict

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from homellm.attention import KVCache
from homellm.model import (
    GELU,
    GPT,
    PRESETS,
    FeedForward,
    GPTConfig,
    LanguageModel,
    LayerNorm,
    TransformerBlock,
    device_of,
    eval_mode,
    plain_forward,
    plain_head,
    unwrap,
)

SHAPES = {  # nada que seja múltiplo de 64
    "comum": dict(vocab_size=97, context_length=12, emb_dim=32, n_heads=4, n_layers=2),
    "ímpar": dict(vocab_size=53, context_length=7, emb_dim=60, n_heads=5, n_layers=3),
    "uma cabeça": dict(vocab_size=31, context_length=9, emb_dim=24, n_heads=1, n_layers=1),
    "contexto 1": dict(vocab_size=11, context_length=1, emb_dim=8, n_heads=2, n_layers=2),
}


def gpt(shape: str = "comum", seed: int = 0, **changes) -> GPT:
    torch.manual_seed(seed)
    model = GPT(GPTConfig(**SHAPES[shape] | changes)).eval()
    with torch.no_grad():  # pesos maiores que os do começo, e vieses que não são zero
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def some_ids(model: GPT, B: int = 2, T: int | None = None, seed: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    T = model.config.context_length if T is None else T
    return torch.randint(model.config.vocab_size, (B, T), generator=generator)


# As peças, contra o PyTorch


@pytest.mark.parametrize("shape", [(5,), (2, 5), (2, 3, 60), (1, 1, 1)])
def test_layernorm_e_a_do_pytorch(shape):
    torch.manual_seed(0)
    mine, theirs = LayerNorm(shape[-1]), nn.LayerNorm(shape[-1])
    with torch.no_grad():
        for a, b in zip(mine.parameters(), theirs.parameters(), strict=True):
            a.copy_(b.copy_(torch.randn_like(b)))
    x = 3 + 2 * torch.randn(shape)
    torch.testing.assert_close(mine(x), theirs(x))


def test_layernorm_usa_a_variancia_enviesada():
    x = torch.tensor([[1.0, 2.0, 6.0]])
    expected = (x - 3) / math.sqrt((4 + 1 + 9) / 3 + 1e-5)
    torch.testing.assert_close(LayerNorm(3)(x), expected)


def test_gelu_e_a_do_pytorch_com_tanh():
    x = torch.linspace(-6, 6, 101)
    torch.testing.assert_close(GELU()(x), nn.GELU(approximate="tanh")(x))
    assert (GELU()(x) - nn.GELU()(x)).abs().max() < 1e-3


def test_a_mlp_ve_cada_posicao_sozinha():
    torch.manual_seed(0)
    mlp, x = FeedForward(12), torch.randn(2, 5, 12)
    alone = torch.stack([mlp(x[:, t]) for t in range(5)], dim=1)
    torch.testing.assert_close(mlp(x), alone)
    assert mlp.expand.weight.shape == (48, 12)


def test_o_bloco_soma_a_corrente_residual():
    config = GPTConfig(**SHAPES["comum"])
    block, x = TransformerBlock(config), torch.randn(2, 5, 32)
    with torch.no_grad():
        for projection in (block.attention.proj, block.mlp.proj):
            projection.weight.zero_()
            projection.bias.zero_()
    assert torch.equal(block(x), x)


# O modelo, contra o GPT-2 do transformers


@pytest.mark.parametrize("tie", [True, False])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("B", [1, 3])
def test_os_mesmos_pesos_no_transformers_dao_os_mesmos_logits(shape, B, bias, tie):
    from transformers import GPT2Config, GPT2LMHeadModel

    model = gpt(shape, qkv_bias=bias, tie_weights=tie)
    c = model.config
    theirs = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=c.vocab_size, n_positions=c.context_length, n_embd=c.emb_dim, n_head=c.n_heads,
            n_layer=c.n_layers, tie_word_embeddings=tie, bos_token_id=0, eos_token_id=0,
        )
    ).eval()  # fmt: skip
    with torch.no_grad():
        body = theirs.transformer
        body.wte.weight.copy_(model.token_embedding.weight)
        body.wpe.weight.copy_(model.position_embedding.weight)
        for mine, block in zip(model.blocks, body.h, strict=True):
            for a, b in ((mine.norm1, block.ln_1), (mine.norm2, block.ln_2)):
                b.load_state_dict(a.state_dict())
            pairs = ((mine.attention.qkv, block.attn.c_attn), (mine.attention.proj, block.attn.c_proj),
                     (mine.mlp.expand, block.mlp.c_fc), (mine.mlp.proj, block.mlp.c_proj))  # fmt: skip
            for linear, conv in pairs:
                conv.weight.copy_(linear.weight.t())
                conv.bias.copy_(torch.zeros_like(conv.bias) if linear.bias is None else linear.bias)
        body.ln_f.load_state_dict(model.norm.state_dict())
        theirs.lm_head.weight.copy_(model.head.weight)
        for T in {1, c.context_length // 2 or 1, c.context_length}:
            ids = some_ids(model, B, T)
            want, got = theirs(ids).logits, model(ids)
            assert ((got - want).abs().max() / want.abs().max()).item() <= 1e-5


@pytest.mark.parametrize(
    ("name", "count"),
    [("gpt2-small", 124_439_808), ("gpt2-medium", 354_823_168), ("gpt2-large", 774_030_080),
     ("gpt2-xl", 1_557_611_200)],
)  # fmt: skip
def test_os_tamanhos_do_gpt2(name, count):
    with torch.device("meta"):
        assert GPT(GPTConfig.preset(name)).num_params() == count


def test_sem_partilha_a_matriz_de_saida_conta_de_novo():
    tied, free = gpt(), gpt(tie_weights=False)
    assert tied.head.weight is tied.token_embedding.weight
    assert free.num_params() == tied.num_params() + 97 * 32


# O começo


def test_a_inicializacao_e_a_do_gpt2():
    torch.manual_seed(0)
    config = GPTConfig(vocab_size=500, context_length=64, emb_dim=256, n_heads=4, n_layers=8)
    model = GPT(config)
    for block in model.blocks:
        for linear in (block.attention.qkv, block.mlp.expand):
            assert linear.weight.std().item() == pytest.approx(0.02, rel=0.03)
        for linear in (block.attention.proj, block.mlp.proj):
            assert linear.weight.std().item() == pytest.approx(0.02 / 4, rel=0.03)
    assert model.position_embedding.weight.std().item() == pytest.approx(0.02, rel=0.03)
    assert model.token_embedding.weight.std().item() == pytest.approx(0.02, rel=0.03)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            assert not parameter.any(), name
        elif "norm" in name:
            assert (parameter == 1).all(), name


@pytest.mark.parametrize("tie", [True, False])
def test_a_matriz_de_saida_encolhe_quando_e_larga(tie):
    torch.manual_seed(0)
    model = GPT(GPTConfig(500, 8, emb_dim=900, n_heads=9, n_layers=1, tie_weights=tie))
    for table in (model.token_embedding, model.head):
        assert table.weight.std().item() == pytest.approx(0.36 / 30, rel=0.03)


@pytest.mark.parametrize("name", ["mini", "contos-mini", "t4", "gpt2-small"])
def test_a_perda_comeca_perto_de_ln_v(name):
    torch.manual_seed(0)
    model = GPT(GPTConfig.preset(name))
    ids = torch.randint(model.config.vocab_size, (2, 65))
    with torch.no_grad():
        loss = F.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())
    assert abs(loss.item() - math.log(model.config.vocab_size)) < 0.1


# Propriedades


@pytest.mark.parametrize("shape", SHAPES)
def test_causalidade(shape):
    model = gpt(shape)
    ids = some_ids(model)
    with torch.no_grad():
        before = model(ids)
        for t in range(ids.shape[1]):
            changed = ids.clone()
            changed[:, t] = (changed[:, t] + 1) % model.config.vocab_size
            after = model(changed)
            torch.testing.assert_close(after[:, :t], before[:, :t])
            assert not torch.allclose(after[:, t], before[:, t])


@pytest.mark.parametrize("shape", SHAPES)
def test_uma_linha_do_lote_nao_ve_as_outras(shape):
    model = gpt(shape)
    ids = some_ids(model, B=4)
    with torch.no_grad():
        alone = torch.cat([model(row[None]) for row in ids])
        torch.testing.assert_close(model(ids), alone)


@pytest.mark.parametrize("shape", SHAPES)
def test_o_cache_da_o_mesmo_em_todo_corte(shape):
    model = gpt(shape)
    ids = some_ids(model)
    T = ids.shape[1]
    with torch.no_grad():
        whole = model(ids)
        for cut in range(1, T):
            cache = KVCache()
            parts = [model(ids[:, :cut], cache), model(ids[:, cut:], cache)]
            torch.testing.assert_close(torch.cat(parts, dim=1), whole)
            assert cache.length == T
        cache = KVCache()
        steps = [model(ids[:, t : t + 1], cache) for t in range(T)]
        torch.testing.assert_close(torch.cat(steps, dim=1), whole)


def test_features_e_head_fazem_os_logits():
    model = gpt()
    ids = some_ids(model)
    assert torch.equal(model.head(model.features(ids)), model(ids))


def test_o_dropout_so_age_no_treino():
    model = gpt(dropout=0.5)
    ids = some_ids(model)
    assert torch.equal(model(ids), model(ids))
    model.train()
    assert not torch.equal(model(ids), model(ids))


def test_o_gradiente_chega_a_todos_os_parametros():
    model = gpt()
    model(some_ids(model)).square().mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("name", ["mini", "contos-mini"])
def test_os_flops_sao_os_que_o_pytorch_conta(name):
    config = GPTConfig.preset(name)
    model, T = GPT(config), config.context_length
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
            model(torch.zeros(1, T, dtype=torch.long))
    assert counter.get_total_flops() == pytest.approx(T * config.flops_per_token(), rel=1e-6)


# Erros: o nome, o valor e o que se aceita


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        *[({n: 0}, ValueError, f"{n}=0: precisa ser ao menos 1")
          for n in ("vocab_size", "context_length", "emb_dim", "n_heads", "n_layers")],
        *[({n: -3}, ValueError, f"{n}=-3") for n in ("vocab_size", "n_layers")],
        *[({n: 2.0}, TypeError, f"{n}=2.0: precisa ser um inteiro") for n in ("emb_dim", "n_heads")],
        ({"n_layers": True}, TypeError, "n_layers=True"),
        ({"vocab_size": "50257"}, TypeError, "vocab_size='50257'"),
        ({"emb_dim": 60, "n_heads": 7}, ValueError, "emb_dim=60 não se divide em n_heads=7"),
        ({"dropout": 1.0}, ValueError, r"dropout=1.0: precisa estar em \[0, 1\)"),
        ({"dropout": -0.1}, ValueError, "dropout=-0.1"),
        ({"dropout": float("nan")}, ValueError, "dropout=nan"),
        ({"dropout": "0.1"}, TypeError, "dropout='0.1'"),
        ({"qkv_bias": 1}, TypeError, "qkv_bias=1: precisa ser True ou False"),
        ({"tie_weights": None}, TypeError, "tie_weights=None"),
    ],
)  # fmt: skip
def test_configuracao_impossivel(changes, error, message):
    with pytest.raises(error, match=message):
        GPTConfig(**changes)


def test_preset_desconhecido_diz_os_que_ha():
    with pytest.raises(ValueError, match="gigante.*mini.*gpt2-xl"):
        GPTConfig.preset("gigante")


@pytest.mark.parametrize("name", PRESETS)
def test_todo_preset_e_valido_e_aceita_mudancas(name):
    assert GPTConfig.preset(name, dropout=0.25).dropout == 0.25


def test_a_configuracao_nao_muda():
    with pytest.raises(AttributeError):
        GPTConfig().emb_dim = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("ids", "error", "message"),
    [
        (torch.zeros(1, 3), TypeError, "float32"),
        (torch.zeros(3, dtype=torch.long), ValueError, r"\(B, T\).*\(3,\)"),
        (torch.zeros(1, 2, 3, dtype=torch.long), ValueError, r"\(1, 2, 3\)"),
        (torch.zeros(1, 0, dtype=torch.long), ValueError, r"\(1, 0\)"),
        (torch.zeros(1, 13, dtype=torch.long), ValueError, "13 posições.*context_length=12"),
        (torch.tensor([[0, 97]]), ValueError, "id 97 fora do vocabulário: os ids vão de 0 a 96"),
        (torch.tensor([[-1, 5]]), ValueError, "id -1 fora"),
    ],
)
def test_ids_que_nao_servem(ids, error, message):
    with pytest.raises(error, match=message):
        gpt()(ids)


def test_o_cache_cheio_e_um_erro():
    model, cache = gpt(), KVCache()
    model(some_ids(model, T=12), cache)
    with pytest.raises(ValueError, match="13 posições.*context_length=12"):
        model(some_ids(model, T=1), cache)


def test_int32_serve():
    model = gpt()
    ids = some_ids(model)
    assert torch.equal(model(ids.int()), model(ids))


def test_numeros_do_numpy_servem_e_viram_os_do_python():
    """Um `np.int64` recusaria ir para o JSON que se grava ao lado dos pesos."""
    sizes = {name: np.int64(n) for name, n in SHAPES["comum"].items()}
    config = GPTConfig(**sizes, dropout=np.float32(0.5))
    assert config == GPTConfig(**SHAPES["comum"], dropout=0.5)
    assert json.loads(json.dumps(asdict(config))) == asdict(config)
    with pytest.raises(TypeError, match="n_layers=.*precisa ser um inteiro"):
        GPTConfig(n_layers=np.float64(2))


# O contrato: o que se pode ler das peças, e o que tem de ser chamado


class Scaled(GPT):
    """Herda as peças e faz outros logits."""

    def forward(self, ids, cache=None):
        return super().forward(ids, cache) / 2


class Adapted(nn.Linear):
    """Uma LoRA que é subclasse da camada."""

    def forward(self, x):
        return super().forward(x) + 1


class Wrapped(nn.Module):
    """Uma LoRA que embrulha a camada."""

    def __init__(self, inner: nn.Linear) -> None:
        super().__init__()
        self.inner = inner
        self.weight = inner.weight

    def forward(self, x):
        return self.inner(x) + x.mean(-1, keepdim=True)


def same_source() -> type:
    """A classe `GPT` escrita de novo, como a do leitor no caderno."""
    import homellm.model as module

    names = {"__name__": "caderno"} | {n: v for n, v in vars(module).items() if not n.startswith("__")}
    source = open(module.__file__, encoding="utf-8").read()
    exec(compile(source[source.index("class GPT(nn.Module)") :], "caderno", "exec"), names)
    assert names["GPT"] is not GPT
    return names["GPT"]


def with_head(head) -> GPT:
    model = gpt()
    model.head = head(model.head)
    return model


def biased(head: nn.Linear) -> nn.Linear:
    new = nn.Linear(head.in_features, head.out_features)
    new.weight = head.weight
    nn.init.normal_(new.bias)
    return new


def adapted(head: nn.Linear) -> nn.Linear:
    new = Adapted(head.in_features, head.out_features, bias=False)
    new.weight = head.weight
    return new


def hooked_head(head: nn.Linear) -> nn.Linear:
    head.register_forward_hook(lambda module, inputs, out: out * torch.linspace(0, 3, out.shape[-1]))
    return head


def parametrized(head: nn.Linear) -> nn.Linear:
    return nn.utils.parametrizations.weight_norm(head)


def patched_head(head: nn.Linear) -> nn.Linear:
    head.forward = lambda x: -nn.functional.linear(x, head.weight)
    return head


def quantized(head: nn.Linear) -> nn.Module:
    return torch.ao.quantization.quantize_dynamic(nn.Sequential(head), {nn.Linear}, torch.qint8)[0]


def patched() -> GPT:
    model = gpt()
    model.forward = lambda ids, cache=None: -GPT.forward(model, ids, cache)
    return model


def hooked() -> GPT:
    model = gpt()
    model.register_forward_hook(lambda module, inputs, out: -out)
    return model


def as_class(cls: type) -> GPT:
    model = cls(gpt().config).eval()
    model.load_state_dict(gpt().state_dict())
    return model


HEADS = {
    "viés": biased,
    "LoRA, subclasse": adapted,
    "LoRA, embrulho": Wrapped,
    "hook na saída": hooked_head,
    "parametrizada": parametrized,
    "forward trocado na saída": patched_head,
    "quantizada": quantized,
}
CALLED = {  # modelos que só dão os seus logits chamados por inteiro
    "forward de subclasse": lambda: as_class(Scaled),
    "forward trocado": patched,
    "hook no modelo": hooked,
}
PLAIN = {
    "o do pacote": gpt,
    "a mesma fonte noutra classe": lambda: as_class(same_source()),
    "subclasse que nada muda": lambda: as_class(type("Meu", (GPT,), {})),
}


@pytest.mark.parametrize("make", PLAIN.values(), ids=PLAIN)
def test_o_que_as_pecas_dizem_por_inteiro(make):
    model: LanguageModel = make()
    ids = some_ids(model)
    assert plain_forward(model) and plain_head(model) is model.head.weight
    assert torch.equal(model(ids), model.features(ids) @ plain_head(model).t())


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
@pytest.mark.filterwarnings("ignore:.*quantiz.*")
def test_uma_saida_que_tem_de_ser_chamada(head):
    model = with_head(head)
    ids = some_ids(model)
    assert plain_forward(model) and plain_head(model) is None
    assert torch.equal(model(ids), model.head(model.features(ids)))


@pytest.mark.parametrize("make", CALLED.values(), ids=CALLED)
def test_um_modelo_que_tem_de_ser_chamado(make):
    model = make()
    ids = some_ids(model)
    assert not plain_forward(model) and plain_head(model) is None
    assert not torch.equal(model(ids), model.head(model.features(ids)))


def test_depois_de_recarregar_o_modulo(monkeypatch):
    """`importlib.reload` cria outra classe `GPT`; os modelos de antes e de depois servem aos dois lados."""
    before = gpt()
    module = sys.modules["homellm.model"]
    names = dict(vars(module))
    try:
        after = as_class(importlib.reload(module).GPT)
        assert type(after) is not GPT
        for ask in (plain_forward, module.plain_forward):
            assert ask(before) and ask(after)
    finally:
        vars(module).update(names)


def test_o_que_nao_e_um_modelo_nao_tem_pecas():
    for other in (lambda ids: ids, nn.Linear(2, 2), nn.Sequential(), None):
        assert not plain_forward(other) and plain_head(other) is None and unwrap(other) is other
    assert device_of(lambda ids: ids) == device_of(nn.Dropout()) == torch.device("cpu")
    assert device_of(nn.Linear(1, 1, device="meta")).type == "meta"


def test_unwrap_tira_tudo_o_que_embrulha():
    model = gpt()
    for wrap in (lambda m: torch.compile(m, backend="eager"), nn.DataParallel,
                 lambda m: nn.DataParallel(torch.compile(m, backend="eager"))):  # fmt: skip
        assert unwrap(wrap(model)) is model
        assert plain_head(wrap(model)) is None  # o embrulho tem de ser chamado, ou tirado antes
    average = torch.optim.swa_utils.AveragedModel(model)
    assert unwrap(average) is average.module
    assert unwrap(model) is model


def test_eval_mode_devolve_cada_modulo_ao_seu_modo():
    model = gpt(dropout=0.5).train()
    model.blocks[0].eval()  # uma parte congelada
    modes = [module.training for module in model.modules()]
    with pytest.raises(ZeroDivisionError), eval_mode(model):
        assert not any(module.training for module in model.modules())
        raise ZeroDivisionError
    assert [module.training for module in model.modules()] == modes and True in modes and False in modes
    with eval_mode(lambda ids: ids):
        pass
