# Gerado por ferramentas/tangle.py. NÃO EDITE: mude book/05-pre-treino.md.
# sha256 do que segue: 99ee9d734b4299e1c7cbae2d998a23cbef677c2b46e6f3d2529edce4f6371922
"""O laço de treino do livro: o do pré-treino, do classificador e das instruções.

A perda fica fora do modelo; o laço recebe uma função que, do modelo e do lote, faz um
número. O capítulo 5 do livro constrói este módulo; a perda em pedaços, o checkpoint e
os vários processos estão em `loss`, `checkpoint` e `distributed`.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader

from homellm.checkpoint import (
    Position,
    check_rng,
    describe_data,
    holding,
    interruptible,
    load_checkpoint,
    resumable,
    save_checkpoint,
    what_changed,
)
from homellm.distributed import (
    any_across,
    distribute,
    gathered,
    process,
    share,
    sum_across,
    unshard,
    unsynced,
)
from homellm.evaluation import bits_per_byte, evaluate, to_device
from homellm.files import compare_tensors
from homellm.loss import (
    IGNORE_INDEX,
    PRECISIONS,
    Batch,
    LossFunction,
    LossModule,
    chunked_next_token_loss,
    language_model_loss,
    next_token_loss,
    resolve_precision,
)
from homellm.model import device_of
from homellm.optimization import (
    TrainConfig,
    clip_gradients,
    create_optimizer,
    learning_rate_at,
)
from homellm.plots import br


@dataclass
class History:
    """O que o treino mediu: uma linha por avaliação, e a perda de treino de cada passo.

    `steps`, `train_loss` (média desde a avaliação anterior) e `val_loss` andam juntos;
    `step_loss` e `lr` têm um valor por passo. Perdas em nats por alvo; `tokens` é
    quantos alvos o treino viu; `seconds`, quanto demorou.
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
        """Desenha as perdas contra os passos; devolve os eixos do matplotlib.

        Erros: os de `pyplot`.
        """
        from homellm.plots import COLORS, decimal_comma, pyplot

        _, ax = pyplot().subplots()
        ax.plot(range(1, len(self.step_loss) + 1), self.step_loss, lw=0.8,
                color=COLORS["baseline"], label="treino, cada lote")  # fmt: skip
        curves = [("treino, média", self.train_loss, "token")]
        if not all(math.isnan(loss) for loss in self.val_loss):
            curves.append(("validação", self.val_loss, "loss"))
        for label, losses, color in curves:
            ax.plot(self.steps, losses, "o-", ms=3, color=COLORS[color], label=label)
        ax.set(xlabel="passo", ylabel="perda (nats por token)")
        ax.legend()
        decimal_comma(ax)
        return ax


class TrainingDiverged(RuntimeError):
    """A perda deixou de ser um número; o último checkpoint bom continua no lugar."""


class Trainer:
    """Um treino em curso: o modelo, o otimizador, a posição nos dados e a história.

    Erros: `ValueError` se o carregador não tem nenhum lote; os de
    `create_optimizer`, de `resolve_precision` e de `distribute`.
    """

    def __init__(
        self,
        model: nn.Module,
        loader: DataLoader[Any] | Sequence[Batch],
        config: TrainConfig,
        loss_fn: LossFunction = language_model_loss,
    ) -> None:
        self.model, self.loader, self.config = model, loader, config
        self.loss_fn, self.device = loss_fn, device_of(model)
        if config.max_steps is not None:
            self.n_batches = config.max_steps * config.accumulation_steps
        else:
            self.n_batches = config.epochs * len(loader)
        self.total_steps = math.ceil(self.n_batches / config.accumulation_steps)
        _check_plan(self.total_steps, config)
        dtype = resolve_precision(config.precision, self.device)
        self.loss = distribute(LossModule(model, loss_fn, dtype), config.shard)
        if config.compile:
            self.loss.compile()
        self.optimizer = create_optimizer(model, config)
        half = dtype == torch.float16
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=half)
        self.position, self.history = Position(), History()
        self.data: dict[str, Any] = {}  # o que identifica os dados; `begin` preenche

    def backward(self, batches: list[list[torch.Tensor]]) -> tuple[float, int]:
        """Soma os gradientes dos lotes, cada um como um `Batch`.

        Devolve a perda média por alvo e quantos alvos há.

        Erros: `TrainingDiverged` se a perda não é um número.
        """
        counts = [(batch[-1] != IGNORE_INDEX).sum() for batch in batches]
        total = sum_across(torch.stack(counts).sum())
        mean = torch.zeros((), device=self.device)
        for n, (batch, count) in enumerate(zip(batches, counts, strict=True), start=1):
            with unsynced(self.loss, last=n == len(batches)):
                part = self.loss(*batch) * (
                    count / total.clamp(min=1)
                )  # a parte deste lote
                # DDP e FSDP2 dividem pelo número de processos
                self.scaler.scale(part * process()[1]).backward()
            mean += part.detach()
        loss = float(sum_across(mean))
        if not math.isfinite(loss):
            raise self.diverged("a perda", loss)
        return loss, int(total)

    def step(self, batches: Iterator[Batch]) -> float:
        """Um passo do otimizador, com os próximos `Batch`; devolve a perda e a anota.

        Erros: `TrainingDiverged` se a perda ou o gradiente não é um número; os de
        `share`.
        """
        start, done, config = (
            time.perf_counter(),
            len(self.history.step_loss),
            self.config,
        )
        left = self.n_batches - done * config.accumulation_steps
        count = min(
            config.accumulation_steps, left
        )  # o último passo leva os que sobram
        group = [to_device(share(next(batches)), self.device) for _ in range(count)]
        loss, targets = self.backward(group)
        self.scaler.unscale_(self.optimizer)
        norm = clip_gradients(self.model.parameters(), config.grad_clip)
        if not (
            self.scaler.is_enabled() or norm.isfinite()
        ):  # fp16: o `scaler` pula o passo
            raise self.diverged("o gradiente", float(norm))
        lr = learning_rate_at(done, self.total_steps, config)
        for group_of_weights in self.optimizer.param_groups:
            group_of_weights["lr"] = lr
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        self.history.step_loss.append(loss)
        self.history.lr.append(lr)
        self.history.tokens += targets
        self.history.seconds += time.perf_counter() - start
        return loss

    def diverged(self, what: str, value: float) -> TrainingDiverged:
        """A exceção que diz o que deixou de ser número, quando, e o que fazer."""
        step = len(self.history.step_loss)
        lr = learning_rate_at(step, self.total_steps, self.config)
        return TrainingDiverged(
            f"{what} virou {value} depois do passo {step}, com taxa {lr:.2e}. Confira "
            "os dados, diminua learning_rate ou aumente warmup_steps. O último "
            "checkpoint, se há um, está bom."
        )

    def measure(
        self,
        loader: Iterable[Batch] | None,
        on_eval: Callable[[int, nn.Module], None] | None = None,
    ) -> None:
        """Avalia nos `Batch` de `loader`, anota e chama `on_eval`; o treino não muda.

        Erros: `TrainingDiverged` se a perda de validação não é um número; os de
        `evaluate`.
        """
        history, step, val_loss = self.history, len(self.history.step_loss), math.nan
        recent = history.step_loss[history.steps[-1] if history.steps else 0 :]
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            if loader is not None:
                val_loss = evaluate(
                    self.model, loader, self.loss_fn, self.config.eval_batches
                )
                if not math.isfinite(val_loss):  # o último passo estragou os pesos
                    raise self.diverged("a perda de validação", val_loss)
            history.steps.append(step)
            history.train_loss.append(sum(recent) / len(recent) if recent else math.nan)
            history.val_loss.append(val_loss)
            if on_eval is not None:
                with gathered(self.model):
                    if process()[0] == 0:
                        on_eval(step, self.model)

    def save(self, path: str | Path | None) -> None:
        """Guarda em `path`, se vem um, o que é preciso para continuar deste passo.

        Erros: os de `save_checkpoint`.
        """
        if path is None or not self.history.step_loss:
            return
        position = self.position
        state = {
            "config": asdict(self.config),
            "history": asdict(self.history),
            "scaler": self.scaler.state_dict(),
            "position": {"epoch": position.epoch, "batch": position.batch},
            "data": self.data,
        }
        found = {"rng": position.rng, "loader_rng": position.loader_rng}
        tensors = {name: rng for name, rng in found.items() if rng is not None}
        save_checkpoint(path, self.model, self.optimizer, state, tensors)

    def begin(self, path: str | Path | None, resume: bool = False) -> Iterator[Batch]:
        """Começa do zero ou de `path`; devolve os lotes (`Batch`), de onde o treino
        está.

        Erros: `FileExistsError` se `path` existe e não se pediu `resume`; `ValueError`
        se é de outro treino ou de outros dados; os de `load_checkpoint` e de
        `resumable`.
        """
        self.data = {} if path is None else describe_data(self.loader)
        if path is None or not Path(path).exists():
            torch.manual_seed(self.config.seed)
            return resumable(self.loader, self.position)
        if not resume:
            raise FileExistsError(
                f"{path} já existe: passe resume=True para continuar dele, ou apague-o"
            )

        def read(state: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
            self.history, self.position = self._read_state(str(path), state, tensors)
            if state["scaler"]:  # vazio, se o treino começou onde não se usa fp16
                self.scaler.load_state_dict(state["scaler"])

        load_checkpoint(path, self.model, self.optimizer, check=read)
        return resumable(self.loader, self.position, torch.get_rng_state())

    def _read_state(
        self, path: str, state: dict[str, Any], tensors: dict[str, torch.Tensor]
    ) -> tuple[History, Position]:
        """A história e a posição guardadas; recusa as estragadas ou de outro treino."""
        try:
            before, history = (
                TrainConfig(**state["config"]),
                History(**state["history"]),
            )
            place = (state["position"]["epoch"], state["position"]["batch"])
            position = Position(
                *place, rng=tensors["rng"], loader_rng=tensors.get("loader_rng")
            )
            rows = {len(history.steps), len(history.train_loss), len(history.val_loss)}
            steps = {len(history.step_loss), len(history.lr)}
            numbers = [
                *history.steps,
                *history.step_loss,
                *history.lr,
                history.tokens,
                *place,
            ]
            healthy = (
                len(rows) == len(steps) == 1
                and min(numbers) > -math.inf
                and all(type(n) is int and n >= 0 for n in place)
            )
            if (
                not healthy
                or not isinstance(state["data"], dict)
                or state["scaler"] is None
            ):
                raise ValueError("a história não bate")
            if state["scaler"]:
                torch.amp.GradScaler("cpu").load_state_dict(state["scaler"])
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ValueError(
                f"{path}: o estado do treino está incompleto ou estragado ({error})"
            ) from error
        for rng in filter(
            lambda rng: rng is not None, (position.rng, position.loader_rng)
        ):
            check_rng(rng, path)
        free = {"eval_every", "eval_batches", "shard"}  # não mudam o treino
        configs = [
            {k: v for k, v in asdict(c).items() if k not in free}
            for c in (before, self.config)
        ]
        if changed := what_changed(*configs):
            raise ValueError(f"{path} é de um treino com outra configuração: {changed}")
        if changed := what_changed(state["data"], self.data):
            raise ValueError(
                f"{path} é de um treino com outros dados: {changed}. Use os mesmos "
                "para continuar, ou outro nome para começar"
            )
        return history, position

    def is_due(self) -> bool:
        """É hora de medir, e ainda não se mediu neste passo?"""
        done, every, measured = (
            len(self.history.step_loss),
            self.config.eval_every,
            self.history.steps,
        )
        time_has_come = done == self.total_steps or (
            every is not None and done % every == 0
        )
        return time_has_come and (not measured or measured[-1] != done)


def _check_plan(total_steps: int, config: TrainConfig) -> None:
    """Recusa um treino sem passos; avisa se a taxa nunca chega ao pico."""
    if not total_steps:
        raise ValueError("o carregador de treino não tem nenhum lote")
    if config.warmup_steps > total_steps:
        warnings.warn(
            f"warmup_steps={config.warmup_steps} passa dos {total_steps} passos do "
            "treino: a taxa não chega ao pico; diminua warmup_steps",
            stacklevel=4,
        )


@contextmanager
def _progress_bar(
    trainer: Trainer, progress: bool
) -> Iterator[Callable[[float], None]]:
    """A barra, onde há terminal ou notebook; quem a usa avisa a perda de cada passo."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "IProgress not found")
        from tqdm.auto import tqdm
    hidden = None if progress and process()[0] == 0 else True
    history, total = trainer.history, trainer.total_steps
    done = len(history.step_loss)
    with tqdm(total=total, initial=done, unit="passo", disable=hidden) as bar:

        def tick(loss: float) -> None:
            speed = history.tokens / history.seconds
            bar.set_postfix_str(f"perda {br(loss, 3)}, {br(speed)} tokens/s", False)
            bar.update()

        yield tick


def train(
    model: nn.Module,
    train_loader: DataLoader[Any] | Sequence[Batch],
    val_loader: Iterable[Batch] | None = None,
    config: TrainConfig | None = None,
    *,
    loss_fn: LossFunction = language_model_loss,
    checkpoint: str | Path | None = None,
    resume: bool = False,
    on_eval: Callable[[int, nn.Module], None] | None = None,
    progress: bool = True,
) -> History:
    """Treina `model`, no dispositivo em que está, e devolve a história.

    Ctrl-C (e SIGTERM, e SIGHUP) acaba o passo em curso, guarda o checkpoint e devolve a
    história com `interrupted=True`; o segundo interrompe na hora. Sob `torchrun`, cada
    processo faz a sua parte de cada lote: a curva é a de um só.

    Args:
        train_loader: cada `Batch` termina no alvo; quem o fez os embaralha.
        val_loader: os lotes de avaliação; sem eles, `val_loss` é NaN.
        loss_fn: do modelo e do lote, a perda média por alvo.
        checkpoint: arquivo a manter em dia, a cada avaliação e no fim.
        resume: continua de `checkpoint`, se existe, como se não tivesse parado.
        on_eval: chamada depois de cada avaliação, com o passo e o modelo.
        progress: mostra a barra, com a perda e os tokens por segundo.

    Erros: `TrainingDiverged` se a perda ou o gradiente virou NaN ou infinito;
    `FileExistsError` se `checkpoint` existe e não se pediu `resume`; `BlockingIOError`
    se outro treino está gravando nele; `ValueError` se está estragado, ou é de outro
    treino ou dados; `OSError` se não se consegue gravar; os de `Trainer`.
    """
    trainer = Trainer(model, train_loader, config or TrainConfig(), loss_fn)
    with holding(checkpoint), interruptible() as flag:
        batches = trainer.begin(checkpoint, resume)
        history, total = trainer.history, trainer.total_steps
        model.train()
        with _progress_bar(trainer, progress) as tick:
            while True:
                done, due = len(history.step_loss), trainer.is_due()
                stop = any_across(flag.is_set(), trainer.device)
                history.interrupted = stop and done < total
                if due and not history.interrupted:
                    trainer.measure(val_loader, on_eval)
                if due or history.interrupted:
                    trainer.save(checkpoint)
                if stop or done == total:
                    break
                tick(trainer.step(batches))
    unshard(model)
    return history


__all__ = [
    "IGNORE_INDEX", "PRECISIONS", "Batch", "History", "LossFunction", "TrainConfig",
    "Trainer", "TrainingDiverged", "bits_per_byte", "chunked_next_token_loss",
    "clip_gradients", "compare_tensors", "create_optimizer", "evaluate",
    "language_model_loss", "learning_rate_at", "load_checkpoint", "next_token_loss",
    "resolve_precision", "save_checkpoint", "train",
]  # fmt: skip
