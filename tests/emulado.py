"""Uma segunda máquina de faz de conta: um `cuda` que só existe nas etiquetas.

Dentro de `with segundo_dispositivo():`, o que vai para `torch.device("cuda")` continua na CPU, mas com uma
etiqueta, e tudo o que uma GPU recusaria é recusado: contas entre dispositivos, um gerador da CPU sorteando
na GPU, `.numpy()` sem `.cpu()`. Um programa que passa por aqui não confunde os dispositivos; os números são
os da CPU, e por isso se comparam por igualdade.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

GPU = torch.device("cuda")
NEW = {torch.tensor, torch.as_tensor, torch.asarray, torch.frombuffer}
TO_NUMPY = {torch.Tensor.numpy, torch.Tensor.__array__}
CROSSES = {torch.ops.aten.copy_.default, torch.ops.aten._to_copy.default}
INDEXES = {  # os índices podem estar na CPU
    torch.ops.aten.index.Tensor,
    torch.ops.aten.index_put.default,
    torch.ops.aten.index_put_.default,
    torch.ops.aten._index_put_impl_.default,
}


class Misturado(RuntimeError):
    """O que uma GPU recusaria."""


class Etiquetas:
    """De cada armazenamento, de que lado se faz de conta que ele está.

    Um tensor que o próprio PyTorch cria no meio de uma operação (a máscara causal da atenção, por exemplo)
    não tem lado: numa GPU ele nasceria onde a operação está.
    """

    def __init__(self) -> None:
        self.idas = 0  # quantos tensores foram para lá: um teste que não usa o dispositivo não prova nada

    def lado(self, tensor: torch.Tensor) -> bool | None:
        return getattr(tensor.untyped_storage(), "na_gpu", None)

    def tem(self, tensor: torch.Tensor) -> bool:
        return self.lado(tensor) is True

    def marca(self, result: Any, gpu: bool) -> Any:
        for tensor in _tensores(result):
            tensor.untyped_storage().na_gpu = gpu
            self.idas += gpu
        return result


def _tensores(value: Any) -> list[torch.Tensor]:
    return [leaf for leaf in tree_leaves(value) if isinstance(leaf, torch.Tensor) and not leaf.is_meta]


class _Chamadas(TorchFunctionMode):
    """O que se escreve em Python: `device=`, `.to`, `.device`, `.numpy`."""

    def __init__(self, etiquetas: Etiquetas) -> None:
        super().__init__()
        self.etiquetas = etiquetas

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs, tags = dict(kwargs or {}), self.etiquetas
        first = args[0] if args and isinstance(args[0], torch.Tensor) and not args[0].is_meta else None
        if func == torch.Tensor.device.__get__:
            return GPU if first is not None and tags.tem(first) else func(*args, **kwargs)
        if func == torch.Tensor.is_cuda.__get__:
            return first is not None and tags.tem(first)
        if func in TO_NUMPY and tags.tem(first):
            raise Misturado("um tensor de cuda não vira numpy sem .cpu()")
        if func is torch.Tensor.cpu:
            return self._leva(first, gpu=False)
        if func is torch.Tensor.cuda:
            return self._leva(first, gpu=True)
        if func is torch.Tensor.to and first is not None:
            device, dtype, *_ = torch._C._nn._parse_to(*args[1:], **_sem_copy(kwargs))
            if device is not None and device.type in ("cpu", "cuda"):
                moved = self._leva(first, gpu=device.type == "cuda")
                return moved if dtype is None else moved.to(dtype)
        device = kwargs.get("device")
        if device is None or func is torch.Tensor.to:
            result = func(*args, **kwargs)
            return result if _tensores((args, kwargs)) else tags.marca(result, gpu=False)
        if torch.device(device).type == "meta":
            return func(*args, **kwargs)
        gpu = torch.device(device).type == "cuda"
        generator = kwargs.get("generator")
        if gpu and generator is not None and generator.device.type == "cpu":
            raise Misturado(f"{func.__name__}: gerador da CPU, tensor de cuda")
        result = func(*args, **kwargs | {"device": "cpu"})
        return tags.marca(result.clone() if func in NEW and first is not None else result, gpu)

    def _leva(self, tensor: torch.Tensor, gpu: bool) -> torch.Tensor:
        """Uma cópia do outro lado, ou o próprio tensor se já está lá."""
        if self.etiquetas.tem(tensor) == gpu:
            return tensor
        return self.etiquetas.marca(tensor.clone(), gpu)


def _sem_copy(kwargs: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in kwargs.items() if name in ("device", "dtype", "non_blocking")}


class _Contas(TorchDispatchMode):
    """As operações de verdade: quem entra com quem, e de que lado fica o que sai."""

    def __init__(self, etiquetas: Etiquetas) -> None:
        super().__init__()
        self.etiquetas = etiquetas

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        inputs = _tensores((args, kwargs))
        sides = {self.etiquetas.lado(t) for t in inputs if t.dim()} - {None}
        sides = sides or {self.etiquetas.lado(t) for t in inputs} - {None}
        if func in CROSSES:
            sides = {self.etiquetas.lado(args[0])}
        elif func in INDEXES:
            sides = {self.etiquetas.lado(args[0])} | ({True} & sides)
        if len(sides) > 1:
            where = [f"{tuple(t.shape)} em {'cuda' if self.etiquetas.tem(t) else 'cpu'}" for t in inputs]
            raise Misturado(f"{func}: tensores em dispositivos diferentes: {', '.join(where)}")
        gpu = sides == {True}
        generator = kwargs.get("generator")
        if gpu and generator is not None and generator.device.type == "cpu":
            raise Misturado(f"{func}: gerador da CPU, tensor de cuda")
        result = func(*args, **kwargs)
        known = {t.untyped_storage()._cdata for t in inputs}
        for tensor in _tensores(result):  # o que é vista ou a própria entrada guarda a sua etiqueta
            if sides - {None} and tensor.untyped_storage()._cdata not in known:
                self.etiquetas.marca(tensor, gpu)
        return result


@contextmanager
def segundo_dispositivo() -> Iterator[Etiquetas]:
    """Enquanto dura, `torch.device("cuda")` existe, e vigia quem o mistura com a CPU."""
    etiquetas = Etiquetas()
    state = {"get_rng_state": lambda *_: torch.zeros(16, dtype=torch.uint8), "set_rng_state": lambda *_: None}
    from_numpy = torch.from_numpy  # a única fábrica que não passa pelos modos

    def from_numpy_na_cpu(array):
        return etiquetas.marca(from_numpy(array), gpu=False)

    with (
        mock.patch.multiple(torch.cuda, **state),
        mock.patch.object(torch, "from_numpy", from_numpy_na_cpu),
        _Chamadas(etiquetas),
        _Contas(etiquetas),
    ):
        yield etiquetas
