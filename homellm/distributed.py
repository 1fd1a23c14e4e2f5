# Gerado por ferramentas/tangle.py. NÃO EDITE: mude book/oficina/treinar-a-serio.md.
# sha256 do que segue: 49ee596ff57d1c5c02dd24ab4019b27e984886ccd7ce091e732f37ec3f638fde
"""Vários processos num treino só: as contas comuns, e o modelo copiado ou repartido.

Com um processo, tudo aqui devolve o que recebe. A página “Treinar a sério”, da oficina,
constrói este módulo.

>>> process()
(0, 1)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from homellm.loss import Batch, LossModule
from homellm.model import device_of, unwrap


def process() -> tuple[int, int]:
    """O número deste processo e quantos são."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def sum_across(value: torch.Tensor) -> torch.Tensor:
    """A soma de `value`, de qualquer forma, em todos os processos (feita no lugar).

    >>> sum_across(torch.tensor([1.0, 2.0]))  # um processo só
    tensor([1., 2.])
    """
    if process()[1] > 1:
        dist.all_reduce(value)
    return value


def any_across(flag: bool, device: torch.device) -> bool:
    """Um processo interrompido interrompe todos.

    >>> any_across(True, torch.device("cpu"))
    True
    """
    if process()[1] == 1:
        return flag
    return bool(sum_across(torch.tensor(float(flag), device=device)))


def share(batch: Batch) -> Batch:
    """As linhas que cabem a este processo de um `Batch` de B linhas.

    Erros: `ValueError` se o lote não se divide em partes iguais.

    >>> [rows.shape for rows in share([torch.zeros(4, 3)])]  # um processo só
    [torch.Size([4, 3])]
    """
    rank, world = process()
    if world == 1:
        return batch
    if len(batch[0]) % world:
        raise ValueError(
            f"um lote de {len(batch[0])} não se divide por {world} processos"
        )
    return [tensor[rank::world] for tensor in batch]


def shard(model: Any, dtype: torch.dtype) -> None:
    """Reparte o modelo (FSDP2): cada processo fica com uma fatia dos pesos do 0.

    A ideia é a do ZeRO (Rajbhandari et al., 2020).

    Erros: `TypeError` se o modelo não tem `blocks`; `ValueError` com fp16, que o FSDP2
    não escala.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

    if not isinstance(getattr(model, "blocks", None), nn.ModuleList):
        raise TypeError(
            "shard=True reparte o modelo por blocos, e pede um nn.ModuleList em "
            f"`blocks`; {type(model).__name__} não o tem"
        )
    if dtype == torch.float16:
        raise ValueError(
            "shard=True não serve com fp16: use precision='bf16' ou 'fp32'"
        )
    if _is_sharded(model):  # por outro treino
        return _reshard(model)
    for tensor in (*model.parameters(), *model.buffers()):
        dist.broadcast(tensor.detach(), src=0)
    mesh = init_device_mesh(device_of(model).type, (dist.get_world_size(),))
    for part in (*model.blocks, model):
        fully_shard(part, mesh=mesh)
    if hasattr(model, "features"):  # a perda em pedaços não passa por `forward`
        register_fsdp_forward_method(model, "features")


def _is_sharded(model: Any) -> bool:
    return hasattr(model, "set_reshard_after_forward")


def unshard(model: Any) -> None:
    """Junta em cada processo os pesos inteiros de um modelo repartido."""
    if not _is_sharded(model := unwrap(model)):
        return
    for part in (*model.blocks, model):
        part.set_reshard_after_forward(False, recurse=False)
        part.unshard()


def _reshard(model: Any) -> None:
    """Volta à fatia; a raiz só a retoma depois do backward, que vai precisar dela."""
    for part in (*model.blocks, model):
        part.set_reshard_after_forward(part is not model, recurse=False)
        part.reshard()


@contextmanager
def gathered(model: Any) -> Iterator[None]:
    """Enquanto dura, os pesos estão inteiros; todos os processos precisam chamar."""
    unshard(model)
    yield
    if _is_sharded(model := unwrap(model)):
        _reshard(model)


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """O tensor inteiro, de qualquer forma; se está repartido, todos os processos
    precisam chamar.

    >>> whole(torch.tensor([1.0, 2.0]))
    tensor([1., 2.])
    """
    return tensor.full_tensor().cpu() if hasattr(tensor, "full_tensor") else tensor


def like(tensor: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """`value`, inteiro e na mesma forma, repartido como `tensor`, se este o está.

    >>> like(torch.zeros(2), torch.tensor([1.0, 2.0]))
    tensor([1., 2.])
    """
    if not hasattr(tensor, "placements"):
        return value
    from torch.distributed.tensor import distribute_tensor

    parts: Any = tensor  # um DTensor
    return distribute_tensor(
        value.to(tensor.device), parts.device_mesh, parts.placements
    )


def distribute(loss: LossModule, sharded: bool) -> nn.Module:
    """A perda para vários processos: o modelo repartido, ou uma cópia em cada um.

    Erros: os de `shard`, se `sharded`.
    """
    if process()[1] == 1:
        return loss
    if sharded:
        shard(unwrap(loss.model), loss.dtype)
        return loss
    return nn.parallel.DistributedDataParallel(loss)


def unsynced(loss: nn.Module, last: bool) -> AbstractContextManager[Any]:
    """Enquanto dura, os gradientes do DDP não se somam entre os processos."""
    if isinstance(loss, nn.parallel.DistributedDataParallel) and not last:
        return loss.no_sync()
    return nullcontext()
