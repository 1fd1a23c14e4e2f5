# Gerado por ferramentas/tangle.py a partir de book/00-passo-zero.md. NÃO EDITE: mude o capítulo.
# sha256 do que segue: a63387c7b19d04b4792cdeb8dc0c1cb52e056322a0e4aa6e88017965cf028924
"""Onde as contas rodam, e como repetir os sorteios.

>>> choose_device().type in ("cuda", "mps", "cpu")
True
>>> set_seed(7); a = torch.rand(2); set_seed(7); bool((torch.rand(2) == a).all())
True
"""

from __future__ import annotations

import random

import numpy as np
import torch


def choose_device() -> torch.device:
    """O melhor dispositivo desta máquina: a GPU NVIDIA (`cuda`), a da Apple (`mps`) ou a CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def set_seed(seed: int) -> None:
    """Semeia os geradores globais do Python, do NumPy e do PyTorch (CPU e GPU).

    A mesma semente repete os mesmos sorteios na mesma máquina, com as mesmas versões.

    Erros: `ValueError` se a semente não é um inteiro de 0 a 2**32 − 1, o intervalo que o NumPy aceita.
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32:
        raise ValueError(f"a semente é um inteiro de 0 a {2**32 - 1}; veio {seed!r}")
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
