# Gerado por ferramentas/tangle.py. NÃO EDITE: mude book/oficina/parar-e-continuar.md.
# sha256 do que segue: 8966942e6289790142096ec569cf6b62c9aff0f5fe5aad48b18c527b9db197bd
"""Parar um treino e continuar: o arquivo, a posição nos dados, a trava e os sinais.

Um checkpoint é um arquivo safetensors: os tensores, e um cabeçalho JSON com o resto. A
página “Parar e continuar”, da oficina, constrói este módulo.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import nn

from homellm.distributed import like, process, whole
from homellm.files import compare_tensors, reading_tensors, replacing
from homellm.loss import Batch
from homellm.model import unwrap

CHECKPOINT_FORMAT, CHECKPOINT_VERSION = "homellm-treino", 2  # vão no cabeçalho
State = dict[str, Any]  # o que cabe em JSON
Tensors = dict[str, torch.Tensor]  # nome → tensor


def _pack(value: Any, name: str, tensors: Tensors) -> Any:
    """`value` em JSON; cada tensor vai para `tensors`, e no lugar fica o seu nome."""
    if isinstance(value, torch.Tensor):
        tensors[name] = whole(value.detach())
        return {"tensor": name}
    if isinstance(value, Mapping):
        inside = {str(k): _pack(v, f"{name}/{k}", tensors) for k, v in value.items()}
        return {"dict": inside}
    if isinstance(value, (list, tuple)):
        items = [_pack(v, f"{name}/{n}", tensors) for n, v in enumerate(value)]
        return {"tuple": items} if isinstance(value, tuple) else items
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"{name}: não sei gravar {type(value).__name__} num checkpoint")


def _unpack(value: Any, tensors: Mapping[str, torch.Tensor]) -> Any:
    """O contrário de `_pack`; `KeyError` se falta um tensor."""
    if isinstance(value, list):
        return [_unpack(v, tensors) for v in value]
    if not isinstance(value, dict):
        return value
    ((kind, inside),) = value.items()
    if kind == "tensor":
        return tensors[inside]
    if kind == "tuple":
        return tuple(_unpack(v, tensors) for v in inside)
    return {k: _unpack(v, tensors) for k, v in inside.items()}


def _named_tensors(model: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Parâmetros (cada um uma vez) e *buffers*, com o nome que têm sem embrulhos."""
    model = unwrap(model)
    for tensors in (model.named_parameters(), model.named_buffers()):
        for name, tensor in tensors:
            yield name.replace("_orig_mod.", ""), tensor


def save_checkpoint(
    path: str | Path | IO[bytes],
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    state: State,
    tensors: Tensors | None = None,
) -> None:
    """Grava num só arquivo o que é preciso para continuar um treino.

    Vão os pesos, o otimizador (qualquer um), os sorteios, `state` (o que couber em
    JSON) e `tensors` avulsos. Em `path` há sempre um checkpoint inteiro, morra quando
    morrer o processo. Pode ser um arquivo aberto para escrita. Com vários processos,
    todos chamam, para juntar as fatias, e o 0 grava.

    Erros: `OSError` numa frase, se não dá para gravar; `TypeError` se `state` não cabe
    em JSON. O checkpoint que havia fica.
    """
    data = {f"model/{name}": whole(p.detach()) for name, p in _named_tensors(model)}
    packed = _pack(optimizer.state_dict(), "optimizer", data)
    if process()[0]:
        return  # veio só ajudar a juntar as fatias
    data["rng/cpu"] = torch.get_rng_state()
    if torch.cuda.is_available():
        data["rng/cuda"] = torch.cuda.get_rng_state()
    data |= {f"extra/{name}": tensor for name, tensor in (tensors or {}).items()}
    data = {name: tensor.detach().cpu().contiguous() for name, tensor in data.items()}
    header = {"format": CHECKPOINT_FORMAT, "version": CHECKPOINT_VERSION}
    try:
        text = json.dumps(header | {"optimizer": packed, "state": state})
    except TypeError as error:
        raise TypeError(
            f"state tem o que não cabe em JSON ({error}); ponha nele números e textos, "
            "e os tensores em tensors"
        ) from error
    metadata = {"homellm": text}
    if not isinstance(path, (str, os.PathLike)):
        path.write(safetensors.torch.save(data, metadata))
        return
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = "não consegui criar a pasta; confira a permissão e o caminho"
        raise OSError(error.errno, message, str(path.parent)) from error
    with replacing(path) as temporary:
        safetensors.torch.save_file(data, temporary, metadata)


def _open(path: str | Path | IO[bytes], name: str) -> tuple[State, Tensors]:
    """O cabeçalho e os tensores do arquivo, cada um no seu dicionário."""
    if isinstance(path, (str, os.PathLike)):
        with reading_tensors(path) as file:
            metadata = file.metadata()
            data = {name: file.get_tensor(name) for name in file.keys()}
    else:
        raw = path.read()
        try:
            data = safetensors.torch.load(raw)
        except SafetensorError as error:
            raise ValueError(f"{name}: truncado ou estragado ({error})") from error
        size = int.from_bytes(raw[:8], "little")
        metadata = json.loads(raw[8 : 8 + size]).get("__metadata__")
    try:
        header = json.loads((metadata or {}).get("homellm", "{}"))
    except (json.JSONDecodeError, RecursionError):
        header = None
    if not isinstance(header, dict) or header.get("format") != CHECKPOINT_FORMAT:
        raise ValueError(
            f"{name}: é um arquivo safetensors, mas não um checkpoint deste livro"
        )
    if (version := header.get("version")) != CHECKPOINT_VERSION:
        raise ValueError(
            f"{name}: versão {version}; este homellm lê a {CHECKPOINT_VERSION}"
        )
    return header, data


def _check_tensors(model: nn.Module, found: Tensors, name: str) -> None:
    mine = dict(_named_tensors(model))
    if problems := compare_tensors(mine, found):
        raise ValueError(f"{name}: os pesos são de outro modelo:\n{problems}")
    for key, tensor in mine.items():
        if found[key].dtype != tensor.dtype:
            raise ValueError(
                f"{name}: {key} é {found[key].dtype}, e no modelo, {tensor.dtype}"
            )
        if isinstance(tensor, nn.Parameter) and not found[key].isfinite().all():
            raise ValueError(f"{name}: {key} tem valores que não são números finitos")


def _read_optimizer(
    header: State, data: Tensors, optimizer: torch.optim.Optimizer, name: str
) -> State:
    """O `state_dict` que `optimizer` pode receber, conferido."""
    stored = {key: t for key, t in data.items() if key.startswith("optimizer/")}
    broken = f"{name}: o estado do otimizador está incompleto ou estragado"
    used: Tensors = {}
    try:
        saved = _unpack(header["optimizer"], stored)
        _pack(saved, "optimizer", used)
        sizes = [len(group["params"]) for group in saved["param_groups"]]
        state = {int(index): dict(slots) for index, slots in saved["state"].items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{broken} ({error})") from error
    if extra := sorted(stored.keys() - used.keys()):
        raise ValueError(f"{broken}: sobra {', '.join(extra[:5])}")
    if sizes != (mine := [len(group["params"]) for group in optimizer.param_groups]):
        raise ValueError(
            f"{name}: treina {sizes} matrizes e vetores, e este modelo, {mine}"
        )
    params = [p for group in optimizer.param_groups for p in group["params"]]
    if not state.keys() <= set(range(len(params))):
        raise ValueError(f"{broken}: fala de parâmetros que não há")
    owners = [(params[index], slots) for index, slots in state.items()]
    saved["state"] = state
    for param, slots in owners:
        for slot in ("exp_avg", "exp_avg_sq", "momentum_buffer"):
            if slots.get(slot) is None:
                continue
            if slots[slot].shape != param.shape:
                raise ValueError(
                    f"{name}: {slot} tem forma {tuple(slots[slot].shape)}, e o peso, "
                    f"{tuple(param.shape)}"
                )
            if not slots[slot].is_floating_point():
                raise ValueError(f"{broken}: {slot} é {slots[slot].dtype}")
    for key, tensor in stored.items():
        if not tensor.isfinite().all():
            raise ValueError(f"{name}: {key} tem valores que não são números finitos")
    for group, ours in zip(saved["param_groups"], optimizer.param_groups, strict=True):
        machine = ("fused", "foreach", "capturable")  # próprios desta máquina
        group.update({option: ours[option] for option in machine if option in ours})
    return saved


def check_rng(state: Any, name: str) -> None:
    """Confere que `state` é o estado de um gerador de sorteios da CPU.

    Erros: `ValueError`, com `name`, se não é.
    """
    try:
        torch.Generator().set_state(state)
    except (RuntimeError, TypeError) as error:
        raise ValueError(
            f"{name}: o estado dos sorteios está estragado ({error})"
        ) from error


def load_checkpoint(
    path: str | Path | IO[bytes],
    model: nn.Module,
    optimizer: torch.optim.Optimizer | None = None,
    *,
    check: Callable[[State, Tensors], None] | None = None,
) -> tuple[State, Tensors]:
    """Devolve o modelo (e o otimizador) ao que eram em `save_checkpoint`.

    Devolve `state` e os tensores avulsos, que `check` pode recusar com um `ValueError`.
    Com o otimizador, volta também o gerador de sorteios. Nada muda se o arquivo não
    serve.

    Erros: `FileNotFoundError`; `ValueError` se o arquivo está truncado, é outra coisa,
    é de outro modelo, ou tem algo a mais, a menos ou fora do lugar.
    """
    name = str(path) if isinstance(path, (str, os.PathLike)) else "o checkpoint"
    header, data = _open(path, name)

    def part(prefix: str) -> Tensors:
        names = (key for key in data if key.startswith(prefix))
        return {key.removeprefix(prefix): data[key] for key in names}

    kinds = ("model/", "optimizer/", "rng/", "extra/")
    if unknown := [key for key in data if not key.startswith(kinds)]:
        raise ValueError(f"{name}: tem tensores que não conheço: {unknown[:5]}")
    found, extra, state = part("model/"), part("extra/"), header.get("state")
    _check_tensors(model, found, name)
    if not isinstance(state, dict):
        raise ValueError(f"{name}: falta o estado do treino no cabeçalho")
    if optimizer is not None:
        saved = _read_optimizer(header, data, optimizer, name)
        check_rng(data.get("rng/cpu"), name)
    if check is not None:
        check(state, extra)
    with torch.no_grad():
        for key, tensor in _named_tensors(model):
            tensor.copy_(like(tensor, found[key]))
    if optimizer is not None:
        params = [p for group in optimizer.param_groups for p in group["params"]]
        for index, slots in saved["state"].items():
            for slot, value in slots.items():
                if (
                    isinstance(value, torch.Tensor)
                    and value.shape == params[index].shape
                ):
                    slots[slot] = like(params[index], value)
        optimizer.load_state_dict(saved)
        torch.set_rng_state(data["rng/cpu"])
        if "rng/cuda" in data and torch.cuda.is_available():
            with suppress(RuntimeError):  # de outra GPU
                torch.cuda.set_rng_state(data["rng/cuda"])
    return state, extra


@dataclass
class Position:
    """Onde o treino está nos dados, com o que é preciso para voltar exatamente ali."""

    epoch: int = 0
    batch: int = 0  # lotes usados nesta época
    rng: torch.Tensor | None = None  # o gerador global quando a época começou
    loader_rng: torch.Tensor | None = None  # o do carregador, idem


def generator_of(loader: Any) -> torch.Generator | None:
    """O gerador com que o carregador embaralha, se tem um seu."""
    parts = (
        loader,
        getattr(loader, "batch_sampler", None),
        getattr(loader, "sampler", None),
    )
    found = (getattr(part, "generator", None) for part in parts)
    return next((generator for generator in found if generator is not None), None)


def resumable(
    loader: Any, position: Position, resume_rng: torch.Tensor | None = None
) -> Iterator[Batch]:
    """Os lotes (cada um, um `Batch`), época após época, a partir de `position`, que é
    mantida em dia.

    Num recomeço, refaz a ordem da época, pula os lotes usados e só então devolve o
    gerador global a `resume_rng`, o estado em que estava quando o treino parou.

    Erros: `ValueError` se o carregador não tem nenhum lote, ou se a posição passa do
    fim da época.
    """
    skip, generator = position.batch, generator_of(loader)
    if skip and position.rng is not None:
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
                if not skip and resume_rng is not None:
                    torch.set_rng_state(resume_rng)
                continue
            yield batch
        if not position.batch:
            raise ValueError("o carregador de treino não tem nenhum lote")
        if skip:
            raise ValueError(
                f"o checkpoint diz que a época já usou {position.batch + skip} lotes, "
                f"e ela tem {position.batch}: está estragado; comece de outro"
            )
        position.epoch += 1


def describe_data(loader: Any) -> dict[str, Any]:
    """O que identifica os dados de um treino: tamanhos, ordem, semente e conteúdo.

    O conteúdo entra por uma amostra de 64 exemplos: outro conjunto quase sempre
    aparece; a troca de um exemplo só, nem sempre.

    >>> describe_data([(torch.tensor([1]), torch.tensor([2]))])["lotes"]
    1
    """
    dataset, generator = getattr(loader, "dataset", loader), generator_of(loader)
    sampler = getattr(loader, "batch_sampler", None)
    order = getattr(loader, "sampler", None)
    return {
        "lotes": _length(loader),
        "exemplos": _length(dataset),
        "tamanho do lote": getattr(sampler, "batch_size", None),
        "ids por lote": getattr(sampler, "max_tokens", None),
        "embaralha": getattr(sampler, "shuffle", None),
        "ordem": None if order is None else type(order).__name__,
        "semente": None if generator is None else generator.initial_seed(),
        "conteúdo": _digest(dataset),
    }


def _length(data: Any) -> int | None:
    try:
        return len(data)
    except TypeError:  # um fluxo, que não sabe quanto tem
        return None


def _digest(dataset: Any) -> str | None:
    """A soma de até 64 exemplos espalhados; `None` se não há como pedi-los."""
    digest, total = hashlib.sha256(), _length(dataset)
    if total is None or not hasattr(dataset, "__getitem__"):
        return None

    def add(value: Any) -> None:
        if isinstance(value, torch.Tensor):
            digest.update(f"{value.dtype}{tuple(value.shape)}".encode())
            raw = value.detach().cpu().reshape(-1).view(torch.uint8)
            digest.update(raw.numpy().data)
        elif isinstance(value, Mapping):
            add(list(value.items()))
        elif isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
            for item in value:
                add(item)
        else:
            digest.update(repr(value).encode())

    with torch.random.fork_rng(devices=[]):  # um conjunto que sorteia não muda o treino
        torch.manual_seed(0)
        for index in (
            sorted({n * (total - 1) // 63 for n in range(64)}) if total else ()
        ):
            add(dataset[index])
    return digest.hexdigest()[:16]


def what_changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Os campos que não são os mesmos, com os dois valores; `""` se nada mudou.

    >>> what_changed({"lotes": 9, "semente": 0}, {"lotes": 5, "semente": 0})
    'lotes era 9 e agora é 5'
    """
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    return ", ".join(f"{n} era {before.get(n)} e agora é {now.get(n)}" for n in names)


def _try_lock(file: IO[str]) -> bool:
    """Tranca o arquivo aberto; falso se outro o trancou. A morte o destranca."""
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(2**30)  # longe do texto, que os outros precisam ler
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:  # um disco de rede que não sabe trancar: segue sem a trava
        return True
    return True


@contextmanager
def holding(path: str | Path | None) -> Iterator[None]:
    """Enquanto dura, este treino é o dono de `path`; `None` não precisa de dono.

    Erros: `BlockingIOError`, com o processo e a máquina, se outro treino o segura;
    `OSError` numa frase, se a pasta não aceita gravação.
    """
    if path is None or process()[0]:
        yield
        return
    path = Path(path)
    lock = path.with_name(f".{path.name}.lock")
    file = _take(lock, path)
    with file:
        file.truncate(0)
        since = time.strftime("%d/%m/%Y %H:%M")
        file.write(f"processo {os.getpid()} em {platform.node()}, desde {since}")
        file.flush()
        try:
            yield
        finally:
            with suppress(OSError):  # o Windows não apaga um arquivo aberto, e ele fica
                lock.unlink()


def _take(lock: Path, path: Path) -> IO[str]:
    """O arquivo da trava, aberto e trancado por este processo."""
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = lock.open("a+", encoding="utf-8")
        except OSError as error:
            raise type(error)(
                f"{path.parent}: não consigo gravar aqui ({error.strerror}); escolha "
                "outra pasta para o checkpoint"
            ) from error
        if not _try_lock(file):
            with file:
                file.seek(0)
                raise BlockingIOError(
                    f"{path}: outro treino está gravando neste checkpoint "
                    f"({file.read().strip()}); espere que acabe, ou use outro nome"
                )
        if os.fstat(file.fileno()).st_nlink:
            return file
        file.close()  # o dono anterior apagou este arquivo ao sair: tenta com outro


@contextmanager
def interruptible() -> Iterator[threading.Event]:
    """Enquanto dura, o primeiro Ctrl-C só levanta a bandeira; o segundo interrompe."""
    flag = threading.Event()

    def raise_flag(number: int, frame: Any) -> None:
        if flag.is_set():
            raise KeyboardInterrupt
        flag.set()
        with suppress(RuntimeError):  # pode estar no meio de outra escrita
            print("\nparo no fim deste passo; outro Ctrl-C para já", flush=True)

    names = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    previous = {
        number: signal.getsignal(number)
        for number in (getattr(signal, n) for n in names)
    }
    ignored = (signal.SIG_IGN, None)
    mine = [number for number, handler in previous.items() if handler not in ignored]
    if threading.current_thread() is not threading.main_thread():
        mine = []  # só a linha de execução principal recebe sinais
    try:
        for number in mine:
            signal.signal(number, raise_flag)
        yield flag
    finally:
        for number in mine:
            signal.signal(number, previous[number])
