# Gerado por ferramentas/tangle.py a partir de book/05-pre-treino.md. NÃO EDITE: mude o capítulo.
# sha256 do que segue: 6064bacde94141071e120b6874de1b707fcbe62f2480f46a56460e0ba23d1bdc
"""O laço de treino do livro: o mesmo para o pré-treino, o classificador e as instruções.

A perda fica fora do modelo; o laço recebe uma função que, do modelo e do lote, faz um número. O alvo é sempre
o último tensor do lote, e as posições com `IGNORE_INDEX` não contam. O capítulo 5 do livro constrói este
módulo.

>>> float(next_token_loss(torch.zeros(1, 2, 4), torch.tensor([[3, IGNORE_INDEX]])))  # ln 4
1.3862943649291992
"""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn
from torch.utils.data import DataLoader

from homellm.loss import (
    IGNORE_INDEX,
    Batch,
    LossFunction,
    chunked_next_token_loss,
    language_model_loss,
    next_token_loss,
)
from homellm.model import GPT

__all__ = [
    "IGNORE_INDEX",
    "Batch",
    "History",
    "LossFunction",
    "TrainConfig",
    "TrainingDiverged",
    "bits_per_byte",
    "chunked_next_token_loss",
    "compare_tensors",
    "create_optimizer",
    "evaluate",
    "language_model_loss",
    "learning_rate_at",
    "load_checkpoint",
    "next_token_loss",
    "resolve_precision",
    "save_checkpoint",
    "train",
]


def _device_of(model: nn.Module) -> torch.device:
    return next(model.parameters()).device


def _to(batch: Batch, device: torch.device) -> list[torch.Tensor]:
    return [tensor.to(device, non_blocking=True) for tensor in batch]


@torch.no_grad()
def evaluate(
    model: nn.Module,
    loader: DataLoader | Sequence[Batch],
    loss_fn: LossFunction = language_model_loss,
    max_batches: int | None = None,
) -> float:
    """A perda média por alvo, em nats, com o dropout desligado; o modelo volta ao modo em que estava."""
    training, device = model.training, _device_of(model)
    model.eval()
    total = count = 0.0
    try:
        for n, batch in enumerate(loader):
            if n == max_batches:
                break
            batch = _to(batch, device)
            targets = int((batch[-1] != IGNORE_INDEX).sum())
            total += float(loss_fn(model, batch)) * targets
            count += targets
    finally:
        model.train(training)
    if not count:
        raise ValueError("não há alvo algum para avaliar: o carregador está vazio")
    return total / count


@torch.no_grad()
def bits_per_byte(model: GPT, tokenizer: Any, text: str, batch_size: int = 16) -> float:
    """Bits que o modelo gasta para prever `text`, divididos pelo tamanho do texto em bytes UTF-8.

    Todo token é previsto, o primeiro a partir de `<|endoftext|>`. O texto é lido em janelas que avançam meia
    janela por vez, e de cada uma só conta a metade nova: fora do começo, todo token tem ao menos meio
    `context_length` de contexto.

    Erros: `ValueError` se o texto está vazio, ou se o tokenizer não tem `<|endoftext|>`.
    """
    n_bytes = len(text.encode("utf-8"))
    if not n_bytes:
        raise ValueError("o texto está vazio: não há byte para prever")
    if "<|endoftext|>" not in tokenizer.special_tokens:
        raise ValueError("o tokenizer não tem o token especial <|endoftext|>, de onde a previsão parte")
    ids = torch.tensor([tokenizer.special_tokens["<|endoftext|>"], *tokenizer.encode(text)])
    size, total = model.config.context_length, len(ids) - 1
    half = max(1, size // 2)
    starts = range(0, max(1, total - size + half), half) if total > size else range(1)
    inputs = torch.zeros(len(starts), min(size, total), dtype=torch.int64)
    targets = torch.full_like(inputs, IGNORE_INDEX)
    for row, start in enumerate(starts):
        stop = min(start + size, total)
        inputs[row, : stop - start] = ids[start:stop]
        new = 0 if row == 0 else size - half  # o que a janela anterior já contou
        targets[row, new : stop - start] = ids[start + new + 1 : stop + 1]
    loader = list(zip(inputs.split(batch_size), targets.split(batch_size), strict=True))
    return evaluate(model, loader) * total / math.log(2) / n_bytes


@dataclass(frozen=True)
class TrainConfig:
    """O que o laço de treino precisa saber, além do modelo e dos dados.

    `epochs` passadas pelos dados, ou `max_steps` passos do otimizador, se vier; `learning_rate` sobe em
    `warmup_steps` e desce em cosseno até `final_lr` vezes o pico; AdamW com `weight_decay` (só nas matrizes)
    e `betas`; `grad_clip` limita a norma do gradiente (`None` não limita); cada passo soma os gradientes de
    `accumulation_steps` lotes. `precision`: `"auto"` (bf16 na GPU que o tem, fp16 nas outras, fp32 na CPU),
    `"fp32"`, `"bf16"` ou `"fp16"`. Avalia e guarda a cada `eval_every` passos (`None`: só no fim), sobre
    `eval_batches` lotes (`None`: todos). Com vários processos, `shard` reparte entre eles os pesos e o estado
    do otimizador (FSDP2), em vez de dar a cada um uma cópia.

    Erros: `ValueError`, com o campo, o valor e o que se aceita.
    """

    epochs: int = 1
    max_steps: int | None = None
    learning_rate: float = 1e-3
    warmup_steps: int = 0
    final_lr: float = 0.1
    weight_decay: float = 0.1
    betas: tuple[float, float] = (0.9, 0.95)
    grad_clip: float | None = 1.0
    accumulation_steps: int = 1
    precision: str = "auto"
    compile: bool = False
    eval_every: int | None = None
    eval_batches: int | None = None
    shard: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "betas", tuple(self.betas))  # o JSON devolve lista
        for name in ("epochs", "max_steps", "accumulation_steps", "eval_every", "eval_batches"):
            value = getattr(self, name)
            if value is not None and (type(value) is not int or value < 1):
                raise ValueError(f"{name}={value!r}: precisa ser um inteiro de ao menos 1")
        if not self.learning_rate > 0 or not math.isfinite(self.learning_rate):
            raise ValueError(f"learning_rate={self.learning_rate}: precisa ser um número maior que 0")
        if self.grad_clip is not None and not self.grad_clip > 0:
            raise ValueError(f"grad_clip={self.grad_clip}: precisa ser maior que 0, ou None para não limitar")
        if type(self.warmup_steps) is not int or self.warmup_steps < 0:
            raise ValueError(f"warmup_steps={self.warmup_steps!r}: precisa ser um inteiro de ao menos 0")
        if not 0 <= self.weight_decay < math.inf or not 0 <= self.final_lr <= 1:
            raise ValueError(
                f"weight_decay={self.weight_decay} não pode ser negativo, e final_lr={self.final_lr} precisa "
                "estar entre 0 e 1"
            )
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas={self.betas}: são dois números em [0, 1)")
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision={self.precision!r}: use uma de {PRECISIONS}")


PRECISIONS = ("auto", "fp32", "bf16", "fp16")


def learning_rate_at(step: int, total_steps: int, config: TrainConfig) -> float:
    """A taxa do passo `step` (de 0 a `total_steps` − 1): sobe em linha reta, desce em meio cosseno.

    >>> config = TrainConfig(learning_rate=1.0, warmup_steps=2, final_lr=0.0)
    >>> [round(learning_rate_at(step, 6, config), 2) for step in range(6)]
    [0.5, 1.0, 1.0, 0.85, 0.5, 0.15]
    """
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    progress = (step - config.warmup_steps) / max(1, total_steps - config.warmup_steps)
    cosine = (1 + math.cos(math.pi * progress)) / 2
    return config.learning_rate * (config.final_lr + (1 - config.final_lr) * cosine)


def create_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.AdamW:
    """AdamW (Loshchilov e Hutter, 2019) só dos parâmetros que treinam; o decaimento poupa vieses e ganhos.

    Usa a versão fundida onde o PyTorch a tem: um só núcleo para todos os parâmetros.
    """
    params = [p for p in model.parameters() if p.requires_grad]
    if not params:
        raise ValueError("nenhum parâmetro do modelo treina: todos têm requires_grad=False")
    groups = [
        {"params": [p for p in params if p.dim() >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in params if p.dim() < 2], "weight_decay": 0.0},
    ]
    fused = all(p.device.type in ("cpu", "cuda") and p.is_floating_point() for p in params)
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=config.betas, fused=fused)


def resolve_precision(precision: str, device: torch.device) -> torch.dtype:
    """O tipo das contas do `autocast`: `"auto"` escolhe pelo dispositivo."""
    if precision == "auto":
        if device.type != "cuda":
            return torch.float32
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]


class _Loss(nn.Module):
    """O modelo e a perda num módulo só: é o que se compila e o que o DDP embrulha."""

    def __init__(self, model: nn.Module, loss_fn: LossFunction, dtype: torch.dtype) -> None:
        super().__init__()
        self.model, self.loss_fn, self.dtype = model, loss_fn, dtype

    def forward(self, *batch: torch.Tensor) -> torch.Tensor:
        device = batch[0].device.type
        with torch.autocast(device, self.dtype) if self.dtype != torch.float32 else nullcontext():
            return self.loss_fn(self.model, batch)


def _whole(tensor: torch.Tensor) -> torch.Tensor:
    """O tensor inteiro; se está repartido, todos os processos precisam chamar."""
    return tensor.full_tensor().cpu() if hasattr(tensor, "full_tensor") else tensor


def _like(tensor: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """`value`, que está inteiro, repartido como `tensor`, se este o está."""
    if not hasattr(tensor, "placements"):
        return value
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(value.to(tensor.device), tensor.device_mesh, tensor.placements)


CHECKPOINT_FORMAT, CHECKPOINT_VERSION = "homellm-treino", 1


def save_checkpoint(
    path: str | Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    state: dict[str, Any],
    tensors: dict[str, torch.Tensor] | None = None,
) -> None:
    """Grava num só arquivo safetensors o que é preciso para continuar: pesos, otimizador, sorteios e `state`.

    `state` é o que couber em JSON; `tensors`, tensores avulsos. Escreve com outro nome, espera o disco
    confirmar e só então troca: morra quando morrer o processo, em `path` há sempre um checkpoint inteiro.
    Com vários processos, todos chamam, para juntar as fatias, e o 0 grava.
    """
    path = Path(path)
    data = {f"model/{name}": _whole(p.detach()) for name, p in _named_tensors(model)}
    saved = optimizer.state_dict()
    for index, slots in saved["state"].items():
        data |= {f"optimizer/{index}/{name}": _whole(value) for name, value in slots.items()}
    if dist.is_initialized() and dist.get_rank():
        return  # veio só ajudar a juntar as fatias
    data["rng/cpu"] = torch.get_rng_state()
    if torch.cuda.is_available():
        data["rng/cuda"] = torch.cuda.get_rng_state()
    data |= {f"extra/{name}": tensor for name, tensor in (tensors or {}).items()}
    header = {
        "format": CHECKPOINT_FORMAT,
        "version": CHECKPOINT_VERSION,
        "param_groups": saved["param_groups"],
        "state": state,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = path.with_name(f".{path.name}.tmp")  # sempre a mesma: mortes seguidas não enchem o disco
    shutil.rmtree(folder, ignore_errors=True)  # o que sobrou de uma morte, se houve
    folder.mkdir()
    try:
        temporary = folder / path.name  # numa pasta, porque a safetensors também cria os seus temporários
        save_file({n: t.contiguous() for n, t in data.items()}, temporary, {"homellm": json.dumps(header)})
        with temporary.open("rb+") as file:  # o Windows só confirma o que está aberto para escrita
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def load_checkpoint(
    path: str | Path, model: nn.Module, optimizer: torch.optim.Optimizer | None = None
) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Devolve o modelo (e o otimizador) ao estado de `save_checkpoint`; devolve `state` e os tensores
    avulsos.

    Com o otimizador, volta também o gerador de sorteios. Nada muda se o arquivo não serve.

    Erros: `FileNotFoundError`; `ValueError` se o arquivo está truncado, é outra coisa ou é de outro modelo.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: não há checkpoint com esse nome")
    try:
        with safe_open(path, framework="pt") as file:
            try:
                header = json.loads((file.metadata() or {}).get("homellm", "{}"))
            except json.JSONDecodeError:
                header = None
            if not isinstance(header, dict) or header.get("format") != CHECKPOINT_FORMAT:
                raise ValueError(f"{path}: é um arquivo safetensors, mas não um checkpoint deste livro")
            if header.get("version") != CHECKPOINT_VERSION:
                raise ValueError(
                    f"{path}: versão {header.get('version')}; este homellm lê a {CHECKPOINT_VERSION}"
                )
            data = {name: file.get_tensor(name) for name in file.keys()}
    except SafetensorError as error:
        raise ValueError(
            f"{path}: arquivo truncado ou estragado ({error}); use uma cópia anterior"
        ) from error
    mine = dict(_named_tensors(model))
    theirs = {name.removeprefix("model/"): t for name, t in data.items() if name.startswith("model/")}
    if problems := compare_tensors(mine, theirs):
        raise ValueError(f"{path}: os pesos são de outro modelo:\n{problems}")
    if optimizer is not None:
        trained = [len(group["params"]) for group in optimizer.param_groups]
        if (saved := [len(group["params"]) for group in header["param_groups"]]) != trained:
            raise ValueError(f"{path}: treina {saved} matrizes e vetores, e este modelo, {trained}")
    with torch.no_grad():
        for name, tensor in mine.items():
            tensor.copy_(_like(tensor, theirs[name]))
    if optimizer is not None:
        slots: dict[int, dict[str, torch.Tensor]] = {}
        params = [p for group in optimizer.param_groups for p in group["params"]]
        for name, tensor in data.items():
            if name.startswith("optimizer/"):
                _, index, slot = name.split("/")
                value = _like(params[int(index)], tensor) if tensor.dim() else tensor
                slots.setdefault(int(index), {})[slot] = value
        optimizer.load_state_dict({"state": slots, "param_groups": header["param_groups"]})
        torch.set_rng_state(data["rng/cpu"])
        if "rng/cuda" in data and torch.cuda.is_available():
            torch.cuda.set_rng_state(data["rng/cuda"])
    extra = {name.removeprefix("extra/"): t for name, t in data.items() if name.startswith("extra/")}
    return header["state"], extra


def _named_tensors(model: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Parâmetros (cada um uma vez) e *buffers*, com o nome de cada um."""
    yield from model.named_parameters()
    yield from model.named_buffers()


def compare_tensors(expected: dict[str, torch.Tensor], found: dict[str, torch.Tensor]) -> str:
    """O que falta, o que sobra e o que tem outra forma, uma linha por tensor; `""` se tudo casa."""
    lines = [f"- falta {name}, {tuple(expected[name].shape)}" for name in expected if name not in found]
    lines += [f"- sobra {name}, {tuple(found[name].shape)}" for name in found if name not in expected]
    lines += [
        f"- {name}: esperava {tuple(expected[name].shape)}, veio {tuple(found[name].shape)}"
        for name in expected
        if name in found and expected[name].shape != found[name].shape
    ]
    return "\n".join(lines)


@dataclass
class _Position:
    """Onde o treino está nos dados, com o que é preciso para voltar exatamente ali."""

    epoch: int = 0
    batch: int = 0  # lotes já usados nesta época
    rng: torch.Tensor | None = None  # o gerador global quando a época começou
    loader_rng: torch.Tensor | None = None  # o do carregador, idem


def _batches(loader: Any, position: _Position, resume_rng: torch.Tensor | None) -> Iterator[Batch]:
    """Os lotes, época após época, a partir de `position`, que é mantida em dia.

    Num recomeço, refaz a ordem da época, pula os lotes já usados e só então devolve o gerador global ao
    estado em que estava quando o treino parou.
    """
    skip, generator = position.batch, getattr(loader, "generator", None)
    if skip:
        torch.set_rng_state(position.rng)
        if generator is not None and position.loader_rng is not None:
            generator.set_state(position.loader_rng)
    while True:
        position.rng = torch.get_rng_state()
        position.loader_rng = None if generator is None else generator.get_state()
        position.batch = 0
        for batch in loader:
            position.batch += 1
            if skip:
                skip -= 1
                if not skip:
                    torch.set_rng_state(resume_rng)
                continue
            yield batch
        if not position.batch:
            raise ValueError("o carregador de treino não tem lote algum")
        position.epoch += 1


@contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """Enquanto dura, Ctrl-C só levanta uma bandeira: o passo em curso acaba antes de o laço parar."""
    flag = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield flag  # só a linha de execução principal recebe sinais
        return
    previous = signal.signal(signal.SIGINT, lambda *_: flag.set())
    try:
        yield flag
    finally:
        signal.signal(signal.SIGINT, previous)


@dataclass
class History:
    """O que o treino mediu: uma linha por avaliação, e a perda de treino de cada passo.

    `steps`, `train_loss` (média desde a avaliação anterior) e `val_loss` andam juntos; `step_loss` e `lr` têm
    um valor por passo. Perdas em nats por alvo; `tokens` é quantos alvos o treino viu; `seconds`, quanto
    demorou.
    """

    steps: list[int] = field(default_factory=list)
    train_loss: list[float] = field(default_factory=list)
    val_loss: list[float] = field(default_factory=list)
    step_loss: list[float] = field(default_factory=list)
    lr: list[float] = field(default_factory=list)
    tokens: int = 0
    seconds: float = 0.0
    interrupted: bool = False

    def plot(self) -> Any:
        """Desenha as perdas de treino e de validação contra os passos; devolve os eixos do matplotlib."""
        import matplotlib.pyplot as plt

        from homellm.plots import COLORS, decimal_comma

        _, ax = plt.subplots()
        ax.plot(range(1, len(self.step_loss) + 1), self.step_loss, color=COLORS["baseline"], lw=0.8,
                label="treino, cada lote")  # fmt: skip
        ax.plot(self.steps, self.train_loss, color=COLORS["token"], marker="o", ms=3, label="treino, média")
        if not all(math.isnan(loss) for loss in self.val_loss):
            ax.plot(self.steps, self.val_loss, color=COLORS["loss"], marker="o", ms=3, label="validação")
        ax.set(xlabel="passo", ylabel="perda (nats por token)")
        ax.legend()
        decimal_comma(ax)
        return ax


class TrainingDiverged(RuntimeError):
    """A perda deixou de ser um número; o último checkpoint bom continua no lugar."""


def train(
    model: nn.Module,
    train_loader: DataLoader | Sequence[Batch],
    val_loader: DataLoader | Sequence[Batch] | None = None,
    config: TrainConfig | None = None,
    *,
    loss_fn: LossFunction = language_model_loss,
    checkpoint: str | Path | None = None,
    resume: bool = False,
    on_eval: Callable[[int, nn.Module], None] | None = None,
    progress: bool = True,
) -> History:
    """Treina `model`, no dispositivo em que está, e devolve a história.

    Ctrl-C acaba o passo em curso, guarda o checkpoint e devolve a história com `interrupted=True`. Sob
    `torchrun`, cada processo faz a sua parte de cada lote e os gradientes se somam: a curva é a de um só.

    Args:
        train_loader: lotes cujo último tensor é o alvo; embaralha a cada época quem o fez.
        val_loader: os lotes de avaliação; sem eles, `val_loss` é NaN.
        loss_fn: do modelo e do lote, a perda média por alvo.
        checkpoint: arquivo a manter em dia, a cada avaliação e no fim.
        resume: continua de `checkpoint`, se existe, até os mesmos números de um treino sem parada.
        on_eval: chamada depois de cada avaliação, com o passo e o modelo: para amostras, por exemplo.
        progress: mostra a barra, com a perda e os tokens por segundo, onde houver quem a veja.

    Raises:
        TrainingDiverged: a perda ou o gradiente virou NaN ou infinito; o último checkpoint fica como está.
        FileExistsError: `checkpoint` existe e não se pediu `resume`.
    """
    config = config or TrainConfig()
    return _Trainer(model, train_loader, val_loader, config, loss_fn, checkpoint, on_eval).run(
        resume, progress
    )


class _Trainer:
    """O estado de um treino em curso, e o laço."""

    def __init__(self, model, train_loader, val_loader, config, loss_fn, checkpoint, on_eval) -> None:
        self.model, self.config, self.loss_fn, self.on_eval = model, config, loss_fn, on_eval
        self.train_loader, self.val_loader = train_loader, val_loader
        self.checkpoint = None if checkpoint is None else Path(checkpoint)
        self.device = _device_of(model)
        self.rank, self.world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
        dtype = resolve_precision(config.precision, self.device)
        self.sharded = config.shard and self.world > 1
        if self.sharded:
            _shard(model, self.device, dtype)
        self.optimizer = create_optimizer(model, config)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=dtype == torch.float16)
        self.loss = _Loss(model, loss_fn, dtype)
        if self.world > 1 and not self.sharded:
            self.loss = nn.parallel.DistributedDataParallel(self.loss)
        if config.compile:
            self.loss.compile()
        self.total_steps = config.max_steps or config.epochs * (
            len(train_loader) // config.accumulation_steps
        )
        if not self.total_steps:
            raise ValueError(
                f"uma época tem {len(train_loader)} lotes, e cada passo usa {config.accumulation_steps}: "
                "não sobra passo algum; diminua accumulation_steps ou use mais dados"
            )
        self.position, self.history = _Position(), History()
        self.last_eval = 0

    def run(self, resume: bool, progress: bool) -> History:
        resume_rng = self._start(resume)
        batches = _batches(self.train_loader, self.position, resume_rng)
        history, config = self.history, self.config
        self.model.train()
        with _interruptible() as interrupted, _progress_bar(self, progress) as bar:
            if config.eval_every and not history.steps:
                self._evaluate(math.nan)
            for step in range(len(history.step_loss), self.total_steps):
                start = time.perf_counter()
                lr = learning_rate_at(step, self.total_steps, config)
                loss, targets = self._step(batches, lr)
                history.step_loss.append(loss)
                history.lr.append(lr)
                history.tokens += targets
                history.seconds += time.perf_counter() - start
                bar.set_postfix_str(
                    f"perda {loss:.3f}, {history.tokens / history.seconds:,.0f} tokens/s", False
                )
                bar.update()
                stop = self._any(interrupted.is_set())
                if stop or step + 1 == self.total_steps or (step + 1) % (config.eval_every or math.inf) == 0:
                    recent = history.step_loss[self.last_eval :]
                    self._evaluate(sum(recent) / len(recent))
                    history.interrupted = stop and step + 1 < self.total_steps
                    self._save()
                if stop:
                    break
        if self.sharded:
            _unshard(self.model)
        return history

    def _start(self, resume: bool) -> torch.Tensor | None:
        """Começa do zero ou do checkpoint; devolve o estado do gerador a repor depois de pular os lotes."""
        if self.checkpoint is None or not self.checkpoint.exists():
            torch.manual_seed(self.config.seed)
            return None
        if not resume:
            raise FileExistsError(
                f"{self.checkpoint} já existe: passe resume=True para continuar dele, ou apague-o"
            )
        state, tensors = load_checkpoint(self.checkpoint, self.model, self.optimizer)
        if changed := _changed(asdict(TrainConfig(**state["config"])), asdict(self.config)):
            raise ValueError(f"{self.checkpoint} é de um treino com outra configuração: {changed}")
        self.history = History(**state["history"])
        if state["scaler"]:  # vazio, se o treino começou onde não se usa fp16
            self.scaler.load_state_dict(state["scaler"])
        self.position = _Position(**state["position"], **tensors)
        self.last_eval = self.history.steps[-1]
        return torch.get_rng_state()

    def _step(self, batches: Iterator[Batch], lr: float) -> tuple[float, int]:
        """Um passo do otimizador; devolve a perda média por alvo e o total de alvos de todos os processos."""
        micro = [self._share(next(batches)) for _ in range(self.config.accumulation_steps)]
        counts = [(batch[-1] != IGNORE_INDEX).sum() for batch in micro]
        total = self._sum(torch.stack(counts).sum())
        mean = torch.zeros((), device=self.device)
        for n, (batch, count) in enumerate(zip(micro, counts, strict=True)):
            last = n + 1 == len(micro)
            with nullcontext() if last or self.world == 1 or self.sharded else self.loss.no_sync():
                part = self.loss(*batch) * (count / total.clamp(min=1))  # a parte deste lote na média
                self.scaler.scale(part * self.world).backward()  # DDP e FSDP2 dividem pelo nº de processos
            mean += part.detach()
        loss = float(self._sum(mean))
        if not math.isfinite(loss):
            raise TrainingDiverged(self._divergence("a perda", loss))
        self.scaler.unscale_(self.optimizer)
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.config.grad_clip or math.inf)
        norm = _whole(norm)
        if not (self.scaler.is_enabled() or norm.isfinite()):  # em fp16, é o scaler que pula o passo
            raise TrainingDiverged(self._divergence("o gradiente", float(norm)))
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        return loss, int(total)

    def _share(self, batch: Batch) -> list[torch.Tensor]:
        """As linhas do lote que cabem a este processo, no dispositivo do modelo."""
        if self.world > 1:
            if len(batch[0]) % self.world:
                raise ValueError(f"um lote de {len(batch[0])} não se divide por {self.world} processos")
            batch = [tensor[self.rank :: self.world] for tensor in batch]
        return _to(batch, self.device)

    def _sum(self, value: torch.Tensor) -> torch.Tensor:
        if self.world > 1:
            dist.all_reduce(value)
        return value

    def _any(self, flag: bool) -> bool:
        """Um processo interrompido interrompe todos."""
        return flag if self.world == 1 else bool(self._sum(torch.tensor(float(flag), device=self.device)))

    def _evaluate(self, train_loss: float) -> None:
        history, step = self.history, len(self.history.step_loss)
        val_loss = math.nan
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            # o que a avaliação sorteia não muda o treino
            if self.val_loader is not None:
                val_loss = evaluate(self.model, self.val_loader, self.loss_fn, self.config.eval_batches)
                if not math.isfinite(val_loss):  # o último passo estragou os pesos
                    raise TrainingDiverged(self._divergence("a perda de validação", val_loss))
            history.steps.append(step)
            history.train_loss.append(train_loss)
            history.val_loss.append(val_loss)
            self.last_eval = step
            if self.on_eval is not None:
                if self.sharded:
                    _unshard(self.model)
                if self.rank == 0:
                    self.on_eval(step, self.model)
                if self.sharded:
                    _reshard(self.model)

    def _save(self) -> None:
        if self.checkpoint is None:
            return
        position = self.position
        state = {
            "config": asdict(self.config),
            "history": asdict(self.history),
            "scaler": self.scaler.state_dict(),
            "position": {"epoch": position.epoch, "batch": position.batch},
        }
        tensors = {"rng": position.rng}
        if position.loader_rng is not None:
            tensors["loader_rng"] = position.loader_rng
        save_checkpoint(self.checkpoint, self.model, self.optimizer, state, tensors)

    def _divergence(self, what: str, value: float) -> str:
        step, kept = len(self.history.step_loss), ""
        lr = learning_rate_at(step, self.total_steps, self.config)
        if self.checkpoint is not None and self.checkpoint.exists():
            kept = f" O último checkpoint bom continua em {self.checkpoint}."
        return (
            f"{what} virou {value} depois do passo {step}, com taxa {lr:.2e}. Confira os dados, diminua "
            f"learning_rate ou aumente warmup_steps.{kept}"
        )


def _changed(before: dict[str, Any], now: dict[str, Any]) -> str:
    """Os campos que mudaram, salvo os que não mudam o treino."""
    free = ("eval_every", "eval_batches", "shard")
    names = [n for n in now if n not in free and before[n] != now[n]]
    return ", ".join(f"{name} era {before[name]} e agora é {now[name]}" for name in names)


@contextmanager
def _progress_bar(trainer: _Trainer, progress: bool) -> Iterator[Any]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "IProgress not found")
        from tqdm.auto import tqdm
    hidden = None if progress and trainer.rank == 0 else True  # None: só onde há terminal ou caderno
    with tqdm(
        total=trainer.total_steps, initial=len(trainer.history.step_loss), unit="passo", disable=hidden
    ) as bar:
        yield bar


def _shard(model: nn.Module, device: torch.device, dtype: torch.dtype) -> None:
    """Reparte o modelo (FSDP2): cada processo fica com uma fatia de cada peso, a dos pesos do processo 0."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method

    if not isinstance(model, GPT):
        raise TypeError(f"shard=True reparte um GPT; veio {type(model).__name__}")
    if dtype == torch.float16:
        raise ValueError("shard=True não serve com fp16: use precision='bf16' ou 'fp32'")
    if isinstance(model, FSDPModule):  # já repartido por outro treino
        return _reshard(model)
    for tensor in (*model.parameters(), *model.buffers()):
        dist.broadcast(tensor.detach(), src=0)
    mesh = init_device_mesh(device.type, (dist.get_world_size(),))
    for part in (*model.blocks, model):
        fully_shard(part, mesh=mesh)
    register_fsdp_forward_method(model, "features")  # a perda em pedaços não passa pelo forward


def _unshard(model: GPT) -> None:
    """Junta em cada processo os pesos inteiros; ficam assim até `_reshard`."""
    for part in (*model.blocks, model):
        part.set_reshard_after_forward(False, recurse=False)
        part.unshard()


def _reshard(model: GPT) -> None:
    """Volta a guardar só a fatia; a raiz só a retoma depois do backward, que já vai precisar dela."""
    for part in (*model.blocks, model):
        part.set_reshard_after_forward(part is not model, recurse=False)
        part.reshard()
