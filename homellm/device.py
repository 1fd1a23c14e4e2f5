# Gerado por ferramentas/tangle.py. NÃO EDITE: mude book/00-passo-zero.md.
# sha256 do que segue: f1e8a19c58912975df48232f46ce52486e4ba5a728d11a385f613cd83c88f314
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
    """O melhor dispositivo daqui: a GPU NVIDIA (`cuda`), a da Apple (`mps`) ou CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def set_seed(seed: int) -> None:
    """Semeia os geradores globais do Python, do NumPy e do PyTorch (CPU e GPU).

    A mesma semente repete os mesmos sorteios na mesma máquina, com as mesmas versões.
    Serve também um inteiro do NumPy.

    Erros: `ValueError` se a semente não é um inteiro de 0 a 2**32 − 1, o intervalo que
    o NumPy aceita.
    """
    integer = isinstance(seed, (int, np.integer)) and not isinstance(seed, bool)
    if not integer or not 0 <= seed < 2**32:
        raise ValueError(f"a semente é um inteiro de 0 a {2**32 - 1}; veio {seed!r}")
    random.seed(int(seed))
    np.random.seed(int(seed))
    torch.manual_seed(int(seed))
