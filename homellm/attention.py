# Gerado por ferramentas/tangle.py. NÃO EDITE: mude book/03-atencao.md.
# sha256 do que segue: cdd2b9122d3a13faef6495c60ced91646076803c1ea1de5159fdd0003d01a964
"""Atenção causal com várias cabeças, e o cache de chaves e valores da geração.

Segue *Attention Is All You Need* (Vaswani et al., 2017), com a máscara causal do GPT.
Formas: `B` lote, `T` posições novas, `S` posições ao todo (as do cache e as novas), `C`
emb_dim, `H` cabeças, `D = C / H`. O capítulo 3 do livro constrói este módulo.

>>> attention = MultiHeadAttention(emb_dim=8, n_heads=2, context_length=4)
>>> attention(torch.zeros(1, 3, 8)).shape
torch.Size([1, 3, 8])
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


def causal_attention(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    mask: torch.Tensor | None = None,
    dropout: float = 0.0,
) -> torch.Tensor:
    """A atenção de `q`, `(…, T, D)`, sobre `k` e `v`, `(…, S, D)`: `(…, T, D)`.

    As consultas são das últimas T das S posições, e cada uma olha para si e para as de
    antes. `mask`, booleana `(T, S)`, troca essa regra: onde é `True`, olha.

    Erros: `ValueError` se há menos chaves que consultas, e nenhuma máscara.

    >>> q = k = v = torch.eye(2)  # a primeira posição só vê a si; a segunda, as duas
    >>> causal_attention(q, k, v)[0].tolist()
    [1.0, 0.0]
    """
    T, S = q.shape[-2], k.shape[-2]
    if mask is None and T > S:
        raise ValueError(f"são {T} consultas e só {S} chaves; dê uma máscara (T, S)")
    if mask is None and 1 < T < S:
        mask = torch.ones(T, S, dtype=torch.bool, device=q.device).tril(S - T)
    causal = mask is None and T > 1
    return F.scaled_dot_product_attention(q, k, v, mask, dropout, causal)


def _check_sizes(
    emb_dim: int, n_heads: int, context_length: int, dropout: float
) -> None:
    sizes = dict(emb_dim=emb_dim, n_heads=n_heads, context_length=context_length)
    for name, value in sizes.items():
        if value < 1:
            raise ValueError(f"{name}={value}: precisa ser ao menos 1")
    if emb_dim % n_heads:
        raise ValueError(
            f"emb_dim={emb_dim} não se divide em n_heads={n_heads} cabeças iguais"
        )
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout={dropout}: precisa estar em [0, 1)")


def _check_input(x: torch.Tensor, emb_dim: int, context_length: int) -> None:
    if x.dim() != 3 or x.shape[-1] != emb_dim:
        raise ValueError(f"esperava a forma (B, T, {emb_dim}); veio {tuple(x.shape)}")
    if x.shape[1] > context_length:
        raise ValueError(
            f"a sequência tem {x.shape[1]} posições, e o máximo é "
            f"context_length={context_length}"
        )


class MultiHeadAttention(nn.Module):
    """Atenção causal com `n_heads` cabeças em paralelo (Vaswani et al., 2017).

    Args:
        emb_dim: C, o tamanho do vetor de cada posição; múltiplo de `n_heads`.
        n_heads: H, o número de cabeças.
        context_length: quantas posições a camada aceita, no máximo.
        dropout: fração dos pesos de atenção zerada no treino, em [0, 1).
        qkv_bias: se as projeções de consulta, chave e valor somam um viés.

    Erros: `ValueError` se há tamanhos menores que 1, `emb_dim` que não se divide por
    `n_heads`, ou dropout fora de [0, 1).
    """

    def __init__(
        self,
        emb_dim: int,
        n_heads: int,
        context_length: int,
        dropout: float = 0.0,
        qkv_bias: bool = False,
    ) -> None:
        super().__init__()
        _check_sizes(emb_dim, n_heads, context_length, dropout)
        self.n_heads = n_heads
        self.head_dim = emb_dim // n_heads
        self.context_length = context_length
        self.dropout = dropout
        self.qkv = nn.Linear(emb_dim, 3 * emb_dim, bias=qkv_bias)  # três numa só matriz
        self.proj = nn.Linear(emb_dim, emb_dim)

    def forward(self, x: torch.Tensor, cache: KVCache | None = None) -> torch.Tensor:
        """`(B, T, C) → (B, T, C)`; cada posição olha para si e para as de antes.

        Com `cache`, `x` traz só as posições novas, e as guardadas são as de antes.

        Erros: `ValueError` se a forma não é `(B, T, C)`, ou se passa do máximo.
        """
        _check_input(x, self.n_heads * self.head_dim, self.context_length)
        B, T, C = x.shape
        qkv = self.qkv(x).view(B, T, 3, self.n_heads, self.head_dim)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # três (B, H, T, D)
        if cache is not None:
            k, v = cache.append(self, k, v, self.context_length)  # (B, H, S, D)
        dropout = self.dropout if self.training else 0.0
        context = causal_attention(q, k, v, dropout=dropout)  # (B, H, T, D)
        return self.proj(context.transpose(1, 2).reshape(B, T, C))


class KVCache:
    """As chaves e os valores que cada camada de atenção já calculou.

    Comece com `KVCache()` e passe o mesmo objeto a cada chamada, só com os tokens
    novos. A memória é reservada uma vez por camada, na primeira chamada:
    `2 · B · H · context_length · D` números.

    >>> attention, cache = MultiHeadAttention(8, 2, context_length=4).eval(), KVCache()
    >>> x = torch.randn(1, 3, 8)
    >>> parts = [attention(x[:, :2], cache), attention(x[:, 2:], cache)]
    >>> torch.allclose(torch.cat(parts, dim=1), attention(x), atol=1e-6), cache.length
    (True, 3)
    """

    def __init__(self) -> None:
        # camada → (B, H, context_length, D)
        self._keys: dict[nn.Module, torch.Tensor] = {}
        self._values: dict[nn.Module, torch.Tensor] = {}
        self._lengths: dict[nn.Module, int] = {}

    @property
    def length(self) -> int:
        """Quantas posições já estão guardadas (0 num cache novo)."""
        return min(self._lengths.values(), default=0)

    def append(
        self, layer: nn.Module, keys: torch.Tensor, values: torch.Tensor, limit: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Guarda o que a camada tem de novo, `(B, H, T, D)`; devolve `(B, H, S, D)`.

        Erros: `ValueError` se passam de `limit` posições, ou se o lote não é o das
        chamadas anteriores.
        """
        batch_size, n_heads, new, head_dim = keys.shape
        if layer not in self._keys:
            self._keys[layer] = keys.new_empty(batch_size, n_heads, limit, head_dim)
            self._values[layer] = torch.empty_like(self._keys[layer])
            self._lengths[layer] = 0
        start, stop = self._lengths[layer], self._lengths[layer] + new
        if stop > limit:
            raise ValueError(
                f"o cache tem {start} posições e vieram mais {new}; o limite é "
                f"context_length={limit}. Comece um cache novo com os últimos tokens"
            )
        if batch_size != len(self._keys[layer]):
            raise ValueError(
                f"o cache é de um lote de {len(self._keys[layer])} e veio um de "
                f"{batch_size}; use um cache novo para cada lote"
            )
        self._keys[layer][:, :, start:stop] = keys
        self._values[layer][:, :, start:stop] = values
        self._lengths[layer] = stop
        return self._keys[layer][:, :, :stop], self._values[layer][:, :, :stop]
