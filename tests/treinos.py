"""O que os testes do treino compartilham: modelos e lotes mínimos, quedas, e processos à parte."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn
from torch.utils.data import DataLoader

from homellm.data import SlidingWindowDataset, create_dataloader
from homellm.loss import IGNORE_INDEX, language_model_loss
from homellm.model import GPT, GPTConfig
from homellm.training import TrainConfig

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


def weights(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def header(path: Path) -> dict:
    with safe_open(path, framework="pt") as file:
        return json.loads(file.metadata()["homellm"])


class Crash(Exception):
    """O processo que cai no meio do treino."""


def crash_at(step: int):
    """Cai na avaliação do passo, antes de gravar: o último checkpoint é o de antes."""

    def on_eval(now, model):
        torch.rand(2)
        if now == step:
            raise Crash

    return on_eval


def interrupt_at(step: int):
    """Ctrl-C enquanto o passo roda."""
    calls = itertools.count(1)

    def loss_fn(model, batch):
        if model.training and next(calls) == step:
            signal.raise_signal(signal.SIGINT)
        return language_model_loss(model, batch)

    return loss_fn


def noisy(step, model):
    torch.rand(3)


def assert_same_checkpoint(one: Path, other: Path) -> None:
    """Pesos, otimizador, sorteios, posição e perdas: tudo, menos as avaliações e o relógio."""
    assert same(load_file(one), load_file(other))
    a, b = header(one), header(other)
    for data in (a, b):
        for name in ("seconds", "steps", "train_loss", "val_loss"):
            del data["state"]["history"][name]
        for name in ("eval_every", "eval_batches"):
            del data["state"]["config"][name]
    assert a == b


LOADERS = {
    "create_dataloader": lambda: create_dataloader(IDS, 4, T),
    "gerador global": lambda: DataLoader(SlidingWindowDataset(IDS, T), 4, shuffle=True, drop_last=True),
    "com auxiliares": lambda: create_dataloader(IDS, 4, T, num_workers=1),
    "lista": lambda: batches(8),
}
# 33 janelas, 8 lotes por época; 3 lotes por passo: 6 passos em 3 épocas, e o passo 3 usa lotes de duas
LONG = TrainConfig(epochs=3, accumulation_steps=3, learning_rate=0.01, warmup_steps=2, seed=4)
VAL = batches(2, seed=8)


MANY = TrainConfig(max_steps=60, accumulation_steps=2, learning_rate=0.01, seed=4, eval_every=1)


def program(file: str, name: str, *arguments: object) -> str:
    """Roda uma função do arquivo de testes num processo novo, e devolve o que ela imprimiu."""
    done = subprocess.run(
        [sys.executable, "-W", "error", file, name, *map(str, arguments)], capture_output=True, text=True,
        encoding="utf-8", stdin=subprocess.DEVNULL, timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def in_child(work, *arguments) -> int:
    """O número do processo filho, que roda `work` e sai com 0, ou com 1 e o erro no stderr."""
    sys.stdout.flush()
    if pid := os.fork():
        return pid
    try:
        work(*arguments)
        sys.stdout.flush()
        os._exit(0)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        sys.stderr.flush()
    finally:
        os._exit(1)
