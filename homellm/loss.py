# Gerado por ferramentas/tangle.py. NÃO EDITE: mude book/oficina/treinar-a-serio.md.
# sha256 do que segue: 90406baa0b376ab9790d57a2af4d7825a1b46468d9d3962cd92250f0704b8a71
"""A perda do modelo de linguagem: inteira, em pedaços e em 16 bits.

A perda fica fora do modelo: é uma função que, do modelo e do lote, faz um número. O
alvo é sempre o último tensor do lote, e as posições com `IGNORE_INDEX` não contam. A
página “Treinar a sério”, da oficina, constrói este módulo.

>>> float(next_token_loss(torch.zeros(1, 2, 4), torch.tensor([[3, IGNORE_INDEX]])))
1.3862943649291992
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import nn

from homellm.model import LanguageModel, plain_head

IGNORE_INDEX = -100  # o alvo que não conta; o mesmo de F.cross_entropy
Batch = Sequence[torch.Tensor]  # de B linhas cada; o último é o alvo, (B, T) ou (B,)
LossFunction = Callable[[nn.Module, Batch], torch.Tensor]  # a média, um escalar


def next_token_loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Entropia cruzada média, em nats; os alvos −100 não contam.

    Logits `(B, T, V)`, alvos int64 `(B, T)`. Se nenhum alvo conta, a perda é 0 (e o
    gradiente também).

    Erros: `ValueError` se as formas não casam, ou se há alvo fora do vocabulário
    (conferido na CPU; numa GPU a conferência pararia a fila de operações); `TypeError`
    se os alvos não são int64.
    """
    if logits.shape[:-1] != targets.shape:
        raise ValueError(
            f"logits {tuple(logits.shape)} e alvos {tuple(targets.shape)} não casam"
        )
    _check_targets(targets, logits.shape[-1])
    flat = logits.flatten(0, -2).float()
    total = F.cross_entropy(flat, targets.flatten(), reduction="sum")
    return total / (targets != IGNORE_INDEX).sum().clamp(min=1)


def _check_targets(targets: torch.Tensor, vocab_size: int) -> None:
    if targets.dtype != torch.int64:
        raise TypeError(f"os alvos são inteiros (torch.int64); vieram {targets.dtype}")
    if targets.device.type != "cpu" or torch.compiler.is_compiling():
        return
    bad = ((targets < 0) & (targets != IGNORE_INDEX)) | (targets >= vocab_size)
    if bad.any():
        raise ValueError(
            f"alvo {int(targets[bad][0])} fora do vocabulário: os alvos vão de 0 a "
            f"{vocab_size - 1}, e o que não conta leva {IGNORE_INDEX}"
        )


class _ChunkedLoss(torch.autograd.Function):
    """A perda e os seus gradientes; só há um pedaço de logits de cada vez."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        targets: torch.Tensor,
        rows: int,
    ) -> torch.Tensor:
        count = (targets != IGNORE_INDEX).sum().clamp(min=1)
        total = torch.zeros((), device=hidden.device)
        grad_hidden = torch.empty_like(hidden)
        grad_weight = torch.zeros_like(weight)
        for start in range(0, len(hidden), rows):
            h, y = hidden[start : start + rows], targets[start : start + rows]
            product = weight @ h.t()  # (V, n): uma coluna por posição
            logits = product.float()
            valid = y != IGNORE_INDEX
            safe = y.where(valid, 0)[None]  # (1, n)
            logits -= logits.amax(0)
            picked = logits.gather(0, safe)
            probs = logits.exp_()  # na mesma memória
            norm = probs.sum(0)
            total += ((norm.log() - picked[0]) * valid).sum()
            probs.mul_(valid / norm)
            probs.scatter_add_(0, safe, -valid[None].to(probs.dtype))
            # (V, n): d soma / d logits; já dividida por `count`, sumiria em fp16
            grad = probs.to(h.dtype)
            grad_hidden[start : start + rows] = grad.t() @ weight.to(h.dtype)
            if h.dtype == weight.dtype == product.dtype:
                grad_weight.addmm_(grad, h)  # soma no lugar, sem outra matriz (V, C)
            else:  # autocast
                grad_weight += (grad @ h).to(weight.dtype)
        ctx.save_for_backward(grad_hidden, grad_weight, count)
        return total / count

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad_output: torch.Tensor) -> tuple[Any, ...]:
        grad_hidden, grad_weight, count = ctx.saved_tensors
        scale = grad_output / count
        return grad_hidden * scale, grad_weight * scale, None, None


def chunked_next_token_loss(
    hidden: torch.Tensor,
    weight: torch.Tensor,
    targets: torch.Tensor,
    rows: int | None = None,
) -> torch.Tensor:
    """`next_token_loss(hidden @ weight.T, targets)`, sem os logits inteiros.

    `hidden` `(B, T, C)`, `weight` `(V, C)`, alvos `(B, T)`. De cada vez só há `rows`
    linhas de logits; o padrão as limita a uns 32 MB.

    Erros: `ValueError` e `TypeError`, como em `next_token_loss`.

    >>> hidden, weight = torch.zeros(1, 2, 8), torch.zeros(4, 8)
    >>> round(float(chunked_next_token_loss(hidden, weight, torch.tensor([[0, 3]]))), 4)
    1.3863
    """
    if hidden.shape[:-1] != targets.shape:
        raise ValueError(
            f"saída {tuple(hidden.shape)} e alvos {tuple(targets.shape)} não casam"
        )
    _check_targets(targets, len(weight))
    flat, y = hidden.flatten(0, -2), targets.flatten()
    rows = rows or max(64, min(512, 2**23 // len(weight) // 32 * 32))
    if torch.is_grad_enabled():
        return _ChunkedLoss.apply(flat, weight, y, rows)
    total = torch.zeros((), device=hidden.device)
    for h, t in zip(flat.split(rows), y.split(rows), strict=True):
        logits = F.linear(h, weight).float()
        total += F.cross_entropy(logits, t, reduction="sum")
    return total / (y != IGNORE_INDEX).sum().clamp(min=1)


def language_model_loss(model: nn.Module, batch: Batch) -> torch.Tensor:
    """A perda do pré-treino: `batch` é `(ids, alvos)`, int64 `(B, T)` cada um.

    Vai em pedaços quando dá o mesmo que `next_token_loss(model(ids), alvos)`.

    Erros: os de `next_token_loss`, e os do modelo.
    """
    ids, targets = batch
    weight = plain_head(model)
    if weight is None:
        return next_token_loss(model(ids), targets)
    hidden = cast(LanguageModel, model).features(ids)
    return chunked_next_token_loss(hidden, weight, targets)


def sequence_log_probs(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """A log-probabilidade, em nats, de cada sequência: `(B, T, V)`, `(B, T)` → `(B,)`.

    Soma só as posições que contam; uma sequência sem nenhum alvo dá 0.

    Erros: `ValueError` e `TypeError`, como em `next_token_loss`.

    >>> sequence_log_probs(torch.zeros(1, 2, 4), torch.tensor([[1, IGNORE_INDEX]]))
    tensor([-1.3863])
    """
    _check_targets(targets, logits.shape[-1])
    losses = F.cross_entropy(logits.float().mT, targets, reduction="none")  # (B, T)
    return -losses.sum(-1)


PRECISIONS = ("auto", "fp32", "bf16", "fp16")  # as de `resolve_precision`


def resolve_precision(precision: str, device: torch.device) -> torch.dtype:
    """O tipo das contas do `autocast`: `"auto"` escolhe pelo dispositivo.

    Em 16 bits, é a precisão mista de Micikevicius et al. (2018): os pesos ficam em
    fp32.

    Erros: `ValueError` se `precision` não é uma de `PRECISIONS`.

    >>> resolve_precision("auto", torch.device("cpu"))
    torch.float32
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision={precision!r}: use uma de {PRECISIONS}")
    if precision != "auto":
        names = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
        return names[precision]
    if device.type != "cuda":
        return torch.float32
    native = torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if native else torch.float16


class LossModule(nn.Module):
    """O modelo e a perda num módulo só: é o que se compila e o que o DDP embrulha."""

    def __init__(
        self,
        model: nn.Module,
        loss_fn: LossFunction,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.model, self.loss_fn, self.dtype = model, loss_fn, dtype

    def forward(self, *batch: torch.Tensor) -> torch.Tensor:
        """A perda do lote, um escalar; os tensores são os de um `Batch`."""
        device = batch[0].device.type
        mixed = self.dtype != torch.float32
        with torch.autocast(device, self.dtype) if mixed else nullcontext():
            return self.loss_fn(self.model, batch)
