"""homellm.lora: começa igual, só muda o posto pedido, e na saída é de novo uma matriz."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from homellm.lora import LowRank, low_rank

pytestmark = pytest.mark.usefixtures("one_thread")


def layers() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 4), nn.GELU(), nn.Linear(4, 3))


def test_it_starts_where_the_module_was() -> None:
    module, x = layers(), torch.randn(5, 6)
    before = module(x)
    with low_rank(module, 2):
        assert torch.equal(module(x), before)


def test_only_the_correction_trains_and_it_has_the_rank_asked() -> None:
    module = layers()
    start = [layer.weight.detach().clone() for layer in (module[0], module[2])]
    with low_rank(module, 1) as added:
        assert [tuple(p.shape) for p in added] == [(1, 6), (4, 1), (1, 4), (3, 1)]
        frozen = [p for p in module.parameters() if p.dim() == 2 and all(p is not q for q in added)]
        assert len(frozen) == 2 and not any(p.requires_grad for p in frozen)
        optimizer = torch.optim.SGD(added, lr=0.5)
        for _ in range(3):
            optimizer.zero_grad()
            module(torch.randn(8, 6)).square().sum().backward()
            optimizer.step()
        inside = module(torch.ones(1, 6))
    for layer, weight in zip((module[0], module[2]), start, strict=True):
        change = layer.weight.detach() - weight
        assert change.norm() > 1e-3
        assert int(torch.linalg.matrix_rank(change, rtol=1e-4)) == 1
    torch.testing.assert_close(module(torch.ones(1, 6)), inside)


@pytest.mark.parametrize("trained", [True, False])
def test_the_module_gets_its_shape_and_its_freezing_back(trained) -> None:
    module = layers().requires_grad_(trained)
    names = list(module.state_dict())
    with low_rank(module, 2):
        assert sorted(module.state_dict()) != sorted(names)
        assert all(layer.bias.requires_grad is trained for layer in (module[0], module[2]))
    assert sorted(module.state_dict()) == sorted(names)
    assert all(p.requires_grad is trained for p in module.parameters())


def test_an_error_inside_also_puts_everything_back() -> None:
    module = layers()
    with pytest.raises(RuntimeError, match="no meio"), low_rank(module, 2):
        raise RuntimeError("no meio")
    assert type(module[0].weight) is nn.Parameter


@pytest.mark.parametrize(
    ("module", "rank", "message"), [(layers(), 0, "ao menos 1"), (nn.GELU(), 1, "não há nn.Linear")]
)
def test_it_refuses_what_makes_no_sense(module, rank, message) -> None:
    with pytest.raises(ValueError, match=message), low_rank(module, rank):
        pass


def test_the_correction_follows_the_dtype_of_the_matrix() -> None:
    part = LowRank(torch.zeros(3, 5, dtype=torch.float64), 2)
    assert part(torch.zeros(3, 5, dtype=torch.float64)).dtype == torch.float64
