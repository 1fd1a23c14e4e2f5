# Gerado por ferramentas/tangle.py. NÃO EDITE: mude book/05-pre-treino.md.
# sha256 do que segue: 25d129aceb379571532e81ff65e41338d25396340ba874ab13f7fe3dad8da670
"""As decisões de um treino: a configuração, a taxa de cada passo, o AdamW e o corte.

O capítulo 5 do livro constrói este módulo.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from homellm.distributed import whole
from homellm.loss import PRECISIONS


@dataclass(frozen=True)
class TrainConfig:
    """O que o laço de treino precisa saber, além do modelo e dos dados.

    `epochs` passadas pelos dados, ou `max_steps` passos do otimizador, se vier;
    `learning_rate` sobe em `warmup_steps` e desce em cosseno até `final_lr` vezes o
    pico; AdamW com `weight_decay` (só nas matrizes), `betas` e `eps`; `grad_clip`
    limita a norma do gradiente (`None` não limita); cada passo soma os gradientes de
    `accumulation_steps` lotes. `precision`: `"auto"` (bf16 na GPU que o tem, fp16 nas
    outras, fp32 na CPU), `"fp32"`, `"bf16"` ou `"fp16"`. Avalia e guarda a cada
    `eval_every` passos (`None`: só no fim), sobre `eval_batches` lotes (`None`: todos).
    Com vários processos, `shard` reparte entre eles os pesos e o otimizador (FSDP2), em
    vez de dar a cada um uma cópia.

    Erros: `ValueError`, com o campo, o valor e o que se aceita.
    """

    epochs: int = 1
    max_steps: int | None = None
    learning_rate: float = 1e-3
    warmup_steps: int = 0
    final_lr: float = 0.1
    weight_decay: float = 0.1
    betas: tuple[float, float] = (0.9, 0.95)
    eps: float = 1e-8
    grad_clip: float | None = 1.0
    accumulation_steps: int = 1
    precision: str = "auto"
    compile: bool = False
    eval_every: int | None = None
    eval_batches: int | None = None
    shard: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value in list(vars(self).items()):
            object.__setattr__(self, name, _plain(value))
        _check(self)


def _plain(value: Any) -> Any:
    """O número do NumPy ou do PyTorch como um do Python, e a lista como tupla."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    return tuple(map(_plain, value)) if isinstance(value, (list, tuple)) else value


def _check(config: TrainConfig) -> None:
    """Recusa o que não faz sentido, com o campo, o valor e o que se aceita."""
    least = {"epochs": 1, "max_steps": 1, "accumulation_steps": 1, "eval_every": 1,
             "eval_batches": 1, "warmup_steps": 0, "seed": 0}  # fmt: skip
    for name, low in least.items():
        value = getattr(config, name)
        optional = name in ("max_steps", "eval_every", "eval_batches")
        if not (optional and value is None) and (type(value) is not int or value < low):
            raise ValueError(
                f"{name}={value!r}: precisa ser um inteiro de ao menos {low}"
            )
    rules = {
        "learning_rate": (lambda x: 0 < x < math.inf, "um número maior que 0"),
        "grad_clip": (
            lambda x: x is None or x > 0,
            "maior que 0, ou None para não limitar",
        ),
        "weight_decay": (
            lambda x: 0 <= x < math.inf,
            "um número que não seja negativo",
        ),
        "final_lr": (lambda x: 0 <= x <= 1, "um número entre 0 e 1"),
        "eps": (lambda x: 0 <= x < math.inf, "um número que não seja negativo"),
        "betas": (
            lambda x: len(x) == 2 and all(0 <= b < 1 for b in x),
            "dois em [0, 1)",
        ),
        "precision": (lambda x: x in PRECISIONS, f"uma de {PRECISIONS}"),
    }
    for name, (accepts, wanted) in rules.items():
        value = getattr(config, name)
        try:
            good = accepts(value)
        except TypeError:
            good = False
        if not good:
            raise ValueError(f"{name}={value!r}: precisa ser {wanted}")


def learning_rate_at(step: int, total_steps: int, config: TrainConfig) -> float:
    """A taxa do passo `step`, de 0 a `total_steps` − 1: sobe em reta, desce em cosseno.

    O cosseno é o de Loshchilov e Hutter (2017). Depois do último passo, fica no fim da
    descida.

    >>> config = TrainConfig(learning_rate=1.0, warmup_steps=2, final_lr=0.0)
    >>> [round(learning_rate_at(step, 6, config), 2) for step in range(8)]
    [0.5, 1.0, 1.0, 0.85, 0.5, 0.15, 0.0, 0.0]
    """
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    progress = (step - config.warmup_steps) / max(1, total_steps - config.warmup_steps)
    cosine = (1 + math.cos(math.pi * min(progress, 1.0))) / 2
    return config.learning_rate * (config.final_lr + (1 - config.final_lr) * cosine)


def create_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.AdamW:
    """AdamW (Loshchilov e Hutter, 2019) dos parâmetros que treinam; vieses não decaem.

    Usa a versão fundida onde o PyTorch a tem: um só núcleo para todos os parâmetros.

    Erros: `ValueError` se nenhum parâmetro treina.
    """
    params = [p for p in model.parameters() if p.requires_grad]
    if not params:
        raise ValueError(
            "nenhum parâmetro do modelo treina: todos têm requires_grad=False"
        )
    matrices = [p for p in params if p.dim() >= 2]
    groups = [
        {"params": matrices, "weight_decay": config.weight_decay},
        {"params": [p for p in params if p.dim() < 2], "weight_decay": 0.0},
    ]
    fused = all(
        p.device.type in ("cpu", "cuda") and p.is_floating_point() for p in params
    )
    return torch.optim.AdamW(
        groups, lr=config.learning_rate, betas=config.betas, eps=config.eps, fused=fused
    )


def clip_gradients(
    parameters: Iterable[torch.Tensor], max_norm: float | None = 1.0
) -> torch.Tensor:
    """Encolhe os gradientes, juntos, até a norma `max_norm`; devolve a que tinham.

    `None` só mede. Os parâmetros são de qualquer forma, e a norma é um escalar (Pascanu
    et al., 2013).

    >>> weight = nn.Parameter(torch.zeros(2))
    >>> weight.grad = torch.tensor([3.0, 4.0])
    >>> float(clip_gradients([weight])), [round(g, 2) for g in weight.grad.tolist()]
    (5.0, [0.6, 0.8])
    """
    limit = math.inf if max_norm is None else max_norm
    return whole(nn.utils.clip_grad_norm_(parameters, limit))
