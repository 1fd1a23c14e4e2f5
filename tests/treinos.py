"""Modelos e lotes mínimos, que os testes do treino partilham."""

from __future__ import annotations

import torch

from homellm.loss import IGNORE_INDEX
from homellm.model import GPT, GPTConfig

V, T = 19, 6
IDS = torch.randint(V, (205,), generator=torch.Generator().manual_seed(1))


def tiny(dropout: float = 0.0, seed: int = 3, **changes) -> GPT:
    torch.manual_seed(seed)
    sizes = dict(vocab_size=V, context_length=T, emb_dim=8, n_heads=2, n_layers=1) | changes
    return GPT(GPTConfig(dropout=dropout, **sizes))


def batches(
    n: int, rows: int = 4, seed: int = 0, ignored: float = 0.0
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Lotes ao acaso; a fração `ignored` dos alvos, em lugares desiguais, não conta."""
    rng = torch.Generator().manual_seed(seed)
    result = []
    for _ in range(n):
        x, y = torch.randint(V, (2, rows, T), generator=rng)
        result.append((x, y.masked_fill(torch.rand(rows, T, generator=rng) < ignored, IGNORE_INDEX)))
    return result
