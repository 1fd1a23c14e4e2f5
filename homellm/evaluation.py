# Gerado por ferramentas/tangle.py. NÃO EDITE: mude book/05-pre-treino.md.
# sha256 do que segue: c0d39acddabc82cd3210520982c4b1a8eb66352a7f7b78cbebe9f656f007f2a9
"""Medir em texto separado: a perda média e os bits por byte.

O capítulo 5 do livro constrói este módulo.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from homellm.loss import IGNORE_INDEX, Batch, LossFunction, language_model_loss
from homellm.model import device_of, eval_mode
from homellm.tokenizer import Tokenizer, encode_text, end_id


def to_device(batch: Batch, device: torch.device) -> list[torch.Tensor]:
    """Os tensores do lote, cada um na mesma forma, no dispositivo; sem esperar a cópia
    só onde isso é seguro.

    >>> to_device([torch.zeros(2, 3)], torch.device("cpu"))[0].shape
    torch.Size([2, 3])
    """
    return [
        tensor.to(device, non_blocking=device.type == "cuda" and tensor.is_pinned())
        for tensor in batch
    ]


@torch.no_grad()
def evaluate(
    model: nn.Module,
    loader: Iterable[Batch],
    loss_fn: LossFunction = language_model_loss,
    max_batches: int | None = None,
) -> float:
    """A perda média por alvo, em nats, com o dropout desligado; `loader` dá `Batch`.

    O modelo volta ao modo em que estava. Erros: `ValueError` se não há nenhum alvo.
    """
    device, total, count = device_of(model), 0.0, 0
    with eval_mode(model):
        for n, batch in enumerate(loader):
            if n == max_batches:
                break
            batch = to_device(batch, device)
            targets = int((batch[-1] != IGNORE_INDEX).sum())
            total += float(loss_fn(model, batch)) * targets
            count += targets
    if not count:
        raise ValueError("não há nenhum alvo para avaliar: o carregador está vazio")
    return total / count


def bits_per_byte(
    model: Any, tokenizer: Tokenizer, text: str, batch_size: int = 16
) -> float:
    """Bits que o modelo gasta para prever `text`, por byte UTF-8 do texto (em NFC).

    Todo token é previsto, o primeiro a partir de `<|endoftext|>`. O texto é lido em
    janelas que avançam meia janela por vez, e de cada uma só conta a metade nova: fora
    do começo, todo token tem ao menos meio `context_length` de contexto.

    Erros: `ValueError` se o texto está vazio, ou se falta `<|endoftext|>` ao tokenizer.
    """
    n_bytes = len(unicodedata.normalize("NFC", text).encode("utf-8"))
    if not n_bytes:
        raise ValueError("o texto está vazio: não há byte para prever")
    ids = torch.tensor([end_id(tokenizer), *encode_text(tokenizer, text)])
    size, total = model.config.context_length, len(ids) - 1
    half = max(1, size // 2)
    starts = range(0, max(1, total - size + half), half) if total > size else range(1)
    inputs = torch.zeros(len(starts), min(size, total), dtype=torch.int64)
    targets = torch.full_like(inputs, IGNORE_INDEX)
    for row, start in enumerate(starts):
        stop = min(start + size, total)
        inputs[row, : stop - start] = ids[start:stop]
        new = 0 if row == 0 else size - half  # o que a janela anterior contou
        targets[row, new : stop - start] = ids[start + new + 1 : stop + 1]
    loader = zip(inputs.split(batch_size), targets.split(batch_size), strict=True)
    return evaluate(model, loader) * total / math.log(2) / n_bytes
