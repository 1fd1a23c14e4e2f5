# Gerado por ferramentas/tangle.py. NÃO EDITE: mude book/04-arquitetura.md.
# sha256 do que segue: 7addcb6d9d8b3315b9e17bf9d7a313c6b497d6adb2f59d7c662529100d030869
"""O GPT: tabelas de embedding, blocos de atenção e MLP, e a volta ao vocabulário.

A arquitetura é a do GPT-2 (Radford et al., 2019): normalização antes de cada parte,
GELU, posições aprendidas. Formas: `B` lote, `T` contexto, `C` emb_dim, `V` vocabulário.
O capítulo 4 do livro constrói este módulo.

>>> model = GPT(GPTConfig.preset("mini", vocab_size=300))
>>> model(torch.tensor([[5, 6, 7]])).shape
torch.Size([1, 3, 300])
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import nn
from torch.optim.swa_utils import AveragedModel

from homellm.attention import KVCache, MultiHeadAttention


def _check_config(config: GPTConfig) -> None:
    """Confere os campos, e deixa os números em tipos do Python, que vão para JSON."""
    for name in ("vocab_size", "context_length", "emb_dim", "n_heads", "n_layers"):
        value = getattr(config, name)
        if isinstance(value, bool) or not isinstance(value, Integral):
            raise TypeError(f"{name}={value!r}: precisa ser um inteiro")
        if value < 1:
            raise ValueError(f"{name}={value}: precisa ser ao menos 1")
        object.__setattr__(config, name, int(value))  # o do NumPy não vai para o JSON
    if config.emb_dim % config.n_heads:
        sizes = f"emb_dim={config.emb_dim} não se divide em n_heads={config.n_heads}"
        raise ValueError(f"{sizes} cabeças iguais")
    if isinstance(config.dropout, bool) or not isinstance(config.dropout, Real):
        raise TypeError(f"dropout={config.dropout!r}: precisa ser um número em [0, 1)")
    if not 0 <= config.dropout < 1:
        raise ValueError(f"dropout={config.dropout}: precisa estar em [0, 1)")
    object.__setattr__(config, "dropout", float(config.dropout))
    for name in ("qkv_bias", "tie_weights"):
        if not isinstance(value := getattr(config, name), bool):
            raise TypeError(f"{name}={value!r}: precisa ser True ou False")


@dataclass(frozen=True)
class GPTConfig:
    """Os tamanhos de um GPT; sem argumentos, os do GPT-2 pequeno, de 124 milhões.

    `vocab_size` V, `context_length` T máximo, `emb_dim` C, `n_heads` H, `n_layers`
    blocos, `dropout` em [0, 1), `qkv_bias` viés em Q, K e V, `tie_weights` se a matriz
    de saída é a própria tabela de embedding (Press e Wolf, 2017).

    Erros: `ValueError` ou `TypeError`, com o nome do campo, o valor e o que se aceita.

    >>> GPTConfig(emb_dim=60, n_heads=7)
    Traceback (most recent call last):
    ValueError: emb_dim=60 não se divide em n_heads=7 cabeças iguais
    """

    vocab_size: int = 50257
    context_length: int = 1024
    emb_dim: int = 768
    n_heads: int = 12
    n_layers: int = 12
    dropout: float = 0.0
    qkv_bias: bool = True
    tie_weights: bool = True

    def __post_init__(self) -> None:
        _check_config(self)

    @classmethod
    def preset(cls, name: str, **changes: Any) -> GPTConfig:
        """Uma configuração de `PRESETS`, pelo nome; `changes` troca alguns campos.

        Erros: `ValueError` se não há o preset; os de `GPTConfig`.

        >>> GPTConfig.preset("gpt2-medium", dropout=0.1).n_layers
        24
        """
        if name not in PRESETS:
            raise ValueError(f"não há preset {name!r}; há {', '.join(PRESETS)}")
        return cls(**PRESETS[name] | changes)

    def flops_per_token(self, context_length: int | None = None) -> int:
        """FLOPs por token da passada de ida; o treino custa o triplo.

        `context_length` é o da sequência, e sem ele o máximo. A conta é a de Kaplan et
        al. (2020): as multiplicações de matrizes, onde está quase tudo: 2 por peso, e
        4·T·C por bloco na atenção (como o núcleo sem máscara a faz; a causalidade
        deixaria metade).
        """
        context = self.context_length if context_length is None else context_length
        weights = self.n_layers * 12 * self.emb_dim**2 + self.vocab_size * self.emb_dim
        return 2 * weights + self.n_layers * 4 * context * self.emb_dim


PRESETS: dict[str, dict[str, Any]] = {  # nome → campos de GPTConfig
    "mini": dict(vocab_size=2048, context_length=64, emb_dim=64, n_heads=2, n_layers=2),
    "contos-mini": dict(
        vocab_size=4096, context_length=256, emb_dim=160, n_heads=5, n_layers=6
    ),
    "t4": dict(
        vocab_size=16384, context_length=512, emb_dim=512, n_heads=8, n_layers=8
    ),
    "gpt2-small": {},
    "gpt2-medium": dict(emb_dim=1024, n_heads=16, n_layers=24),
    "gpt2-large": dict(emb_dim=1280, n_heads=20, n_layers=36),
    "gpt2-xl": dict(emb_dim=1600, n_heads=25, n_layers=48),
}


class LayerNorm(nn.Module):
    """Média 0 e variância 1 (a enviesada) em cada vetor; ganho e viés aprendidos.

    `(..., C) → (..., C)`. Ba et al., *Layer Normalization*, 2016.
    """

    def __init__(self, emb_dim: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(emb_dim))
        self.bias = nn.Parameter(torch.zeros(emb_dim))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(..., C) → (..., C)`."""
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)


class GELU(nn.Module):
    """A ativação do GPT-2, na aproximação por tanh. Hendrycks e Gimpel, 2016."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`x`, de qualquer forma, na mesma forma."""
        return F.gelu(x, approximate="tanh")


class FeedForward(nn.Module):
    """A MLP do bloco, cada posição sozinha (Vaswani et al., 2017).

    `(B, T, C) → (B, T, 4C) → (B, T, C)`.
    """

    def __init__(self, emb_dim: int) -> None:
        super().__init__()
        self.expand = nn.Linear(emb_dim, 4 * emb_dim)
        self.gelu = GELU()
        self.proj = nn.Linear(4 * emb_dim, emb_dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(B, T, C) → (B, T, C)`."""
        return self.proj(self.gelu(self.expand(x)))


class TransformerBlock(nn.Module):
    """Atenção e MLP, cada uma normalizada antes e somada à corrente residual.

    A normalização antes, e não depois, é a do GPT-2 (Radford et al., 2019).

    Erros: os de `MultiHeadAttention`.
    """

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.norm1 = LayerNorm(config.emb_dim)
        self.attention = MultiHeadAttention(
            config.emb_dim,
            config.n_heads,
            config.context_length,
            config.dropout,
            config.qkv_bias,
        )
        self.norm2 = LayerNorm(config.emb_dim)
        self.mlp = FeedForward(config.emb_dim)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: torch.Tensor, cache: KVCache | None = None) -> torch.Tensor:
        """`(B, T, C) → (B, T, C)`.

        Erros: os de `MultiHeadAttention.forward`.
        """
        x = x + self.dropout(self.attention(self.norm1(x), cache))
        return x + self.dropout(self.mlp(self.norm2(x)))


def _check_ids(ids: torch.Tensor, start: int, sizes: ModelSizes) -> None:
    if ids.dtype not in (torch.int64, torch.int32):
        raise TypeError(f"os ids são inteiros (torch.int64); vieram {ids.dtype}")
    if ids.dim() != 2 or not ids.numel():
        shape = f"(B, T), com B e T ao menos 1; vieram {tuple(ids.shape)}"
        raise ValueError(f"os ids têm forma {shape}")
    total, limit = start + ids.shape[1], sizes.context_length
    if total > limit:
        raise ValueError(f"{total} posições, e o máximo é context_length={limit}")
    if torch.compiler.is_compiling() or ids.is_meta or ids.is_cuda:
        return
    low, high = (int(bound) for bound in torch.aminmax(ids))
    if low < 0 or high >= sizes.vocab_size:
        bad = low if low < 0 else high
        raise ValueError(
            f"id {bad} fora do vocabulário: os ids vão de 0 a {sizes.vocab_size - 1}"
        )


class GPT(nn.Module):
    """O modelo inteiro: ids `(B, T)` → logits `(B, T, V)`.

    Sem treino, os pesos são sorteados como no GPT-2 (Radford et al., 2019).

    Erros: os de `TransformerBlock`.
    """

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.config = config
        self.token_embedding = nn.Embedding(config.vocab_size, config.emb_dim)
        self.position_embedding = nn.Embedding(config.context_length, config.emb_dim)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(
            TransformerBlock(config) for _ in range(config.n_layers)
        )
        self.norm = LayerNorm(config.emb_dim)
        self.head = nn.Linear(config.emb_dim, config.vocab_size, bias=False)
        if config.tie_weights:
            self.head.weight = self.token_embedding.weight
        self._init_weights()

    @torch.no_grad()
    def _init_weights(self) -> None:
        """N(0; 0,02), e as projeções que somam ao resíduo divididas por √(2 · blocos).

        É a regra do GPT-2, que no código da OpenAI sorteia as posições com 0,01.

        A tabela de tokens, que também faz os logits, encolhe quando C é grande, para
        que a perda do começo fique perto de ln V: com 0,02 e C = 768 ela começaria 0,15
        acima.
        """
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        smaller = 0.02 / (2 * len(self.blocks)) ** 0.5
        for block in self.modules():
            if isinstance(block, TransformerBlock):
                nn.init.normal_(block.attention.proj.weight, std=smaller)
                nn.init.normal_(block.mlp.proj.weight, std=smaller)
        nn.init.normal_(self.position_embedding.weight, std=0.02)
        for table in (self.head, self.token_embedding):
            nn.init.normal_(
                table.weight, std=min(0.02, 0.36 / self.config.emb_dim**0.5)
            )

    def num_params(self) -> int:
        """Quantos números o treino ajusta; a tabela compartilhada conta uma vez.

        >>> with torch.device("meta"):  # sem ocupar memória
        ...     GPT(GPTConfig.preset("gpt2-small")).num_params()
        124439808
        """
        return sum(p.numel() for p in self.parameters())

    def forward(self, ids: torch.Tensor, cache: KVCache | None = None) -> torch.Tensor:
        """Logits `(B, T, V)` do próximo token em cada posição de `ids`, int64 `(B, T)`.

        Com `cache`, `ids` traz só os tokens novos. Erros: os de `features`.
        """
        return self.head(self.features(ids, cache))

    def features(self, ids: torch.Tensor, cache: KVCache | None = None) -> torch.Tensor:
        """O que sai do último bloco, normalizado, `(B, T, C)`; `head` faz os logits.

        Erros: `TypeError` se os ids não são inteiros; `ValueError` se a forma não é
        `(B, T)`, se há id fora do vocabulário, ou se as posições passam de
        `context_length`.
        """
        start = 0 if cache is None else cache.length
        _check_ids(ids, start, self.config)
        positions = torch.arange(start, start + ids.shape[1], device=ids.device)
        x = self.token_embedding(ids)  # (B, T, C)
        x = x + self.position_embedding(positions)  # (T, C), em cada linha do lote
        x = self.dropout(x)
        for block in self.blocks:
            x = block(x, cache)
        return self.norm(x)


class ModelSizes(Protocol):
    """O que se pergunta à configuração de um modelo."""

    @property
    def vocab_size(self) -> int:
        """V: os ids vão de 0 a V − 1."""

    @property
    def context_length(self) -> int:
        """Quantas posições o modelo lê, no máximo."""


class LanguageModel(Protocol):
    """O contrato de um modelo de linguagem, que o `GPT` cumpre, e outros também.

    `model(ids, cache)` dá os logits `(B, T, V)`; `features(ids, cache)`, o que vem
    antes de `head`.
    """

    @property
    def config(self) -> ModelSizes:
        """Os tamanhos do modelo."""

    @property
    def head(self) -> nn.Module:
        """O módulo que faz de `(…, C)` os logits `(…, V)`."""

    def features(
        self, ids: torch.Tensor, cache: KVCache | None = None
    ) -> torch.Tensor:
        """O que entra em `head`, `(B, T, C)`, de ids `(B, T)`, com ou sem cache."""

    def __call__(
        self, ids: torch.Tensor, cache: KVCache | None = None
    ) -> torch.Tensor: ...


def _is_touched(module: nn.Module) -> bool:
    """Se alguém mudou o que acontece na chamada; os *hooks* do FSDP não mudam nada."""
    hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks,
             module._backward_pre_hooks)  # fmt: skip
    foreign = [
        hook
        for registered in hooks
        for hook in registered.values()
        if not str(getattr(hook, "__module__", "")).startswith("torch.distributed.")
    ]
    return bool(foreign) or "forward" in vars(module)


def plain_forward(model: Any) -> bool:
    """Se chamar `model` é o mesmo que `head(features(ids, cache))`; na dúvida, não."""
    code = getattr(getattr(type(model), "forward", None), "__code__", None)
    if code is None or code.co_code != GPT.forward.__code__.co_code:
        return False
    return code.co_names == GPT.forward.__code__.co_names and not _is_touched(model)


def plain_head(model: Any) -> torch.Tensor | None:
    """A matriz de saída `(V, C)`, se multiplicar por ela dá os logits, ou `None`."""
    head = getattr(model, "head", None)
    if type(head) is not nn.Linear or head.bias is not None:
        return None
    if type(head.weight) is not nn.Parameter:  # quantizado, repartido
        return None
    return head.weight if plain_forward(model) and not _is_touched(head) else None


def unwrap(model: Any) -> Any:
    """O modelo dentro de `torch.compile`, DDP, `DataParallel` ou `AveragedModel`."""
    parallel = (nn.parallel.DistributedDataParallel, nn.DataParallel)
    while True:
        if "_orig_mod" in getattr(model, "_modules", {}):
            model = model._orig_mod
        elif isinstance(model, (*parallel, AveragedModel)):
            model = model.module
        else:
            return model


def device_of(model: Any) -> torch.device:
    """O dispositivo do primeiro parâmetro; a CPU, se não há nenhum."""
    parameters = model.parameters() if isinstance(model, nn.Module) else iter(())
    return next((parameter.device for parameter in parameters), torch.device("cpu"))


@contextmanager
def eval_mode(model: Any) -> Iterator[None]:
    """Desliga o dropout enquanto dura, e devolve cada módulo ao modo em que estava."""
    modules = list(model.modules()) if isinstance(model, nn.Module) else []
    training = [module for module in modules if module.training]
    if training:
        model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
