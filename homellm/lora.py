# Gerado por ferramentas/tangle.py. NÃO EDITE: mude book/06-classificacao.md.
# sha256 do que segue: cd8a0b6abbdeca955d5c312431a180f0488b16fdd6af6896c31e9a7ee1539e85
"""Ajuste de posto baixo: as matrizes ficam paradas, e cada uma ganha uma correção.

É o LoRA (Hu et al., 2022). O capítulo 6 do livro constrói este módulo.

>>> layer = nn.Linear(4, 3)
>>> with low_rank(layer, rank=1) as added:
...     [tuple(p.shape) for p in added]
[(1, 4), (3, 1)]
>>> type(layer.weight).__name__  # na saída, é de novo uma matriz só
'Parameter'
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.utils import parametrize


class LowRank(nn.Module):
    """A correção de uma matriz: `W + B A`, com `A` `(r, entrada)` e `B` `(saída, r)`.

    `B` começa em zero, e por isso a matriz corrigida começa igual à outra.
    """

    def __init__(self, weight: torch.Tensor, rank: int) -> None:
        super().__init__()
        rows, columns = weight.shape
        start = weight.new_empty(rank, columns).normal_(std=columns**-0.5)
        self.a = nn.Parameter(start)
        self.b = nn.Parameter(weight.new_zeros(rows, rank))

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """A matriz corrigida, `(saída, entrada)`."""
        return weight + self.b @ self.a


@contextmanager
def low_rank(module: nn.Module, rank: int) -> Iterator[list[nn.Parameter]]:
    """Dentro do `with`, cada `nn.Linear` do módulo ganha uma correção de posto `rank`.

    Devolve os parâmetros novos. As matrizes ficam congeladas; o resto, como estava. Na
    saída, cada correção é somada à sua matriz, e o módulo volta a ter a forma de antes.

    Erros: `ValueError` se `rank` não é ao menos 1, ou se não há `nn.Linear` no módulo.
    """
    layers = [part for part in module.modules() if isinstance(part, nn.Linear)]
    if rank < 1 or not layers:
        what = "não há nn.Linear no módulo" if rank >= 1 else "precisa ser ao menos 1"
        raise ValueError(f"rank={rank}: {what}")
    added: list[nn.Parameter] = []
    trained = [layer.weight.requires_grad for layer in layers]
    for layer in layers:
        layer.weight.requires_grad_(False)
        part = LowRank(layer.weight.detach(), rank)
        parametrize.register_parametrization(layer, "weight", part)
        added += [part.a, part.b]
    try:
        yield added
    finally:
        for layer, before in zip(layers, trained, strict=True):
            parametrize.remove_parametrizations(layer, "weight")
            layer.weight.requires_grad_(before)
