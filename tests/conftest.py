"""O que os testes partilham: o livro de brinquedo, um por arquivo de testes, e o PyTorch num só núcleo."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from brinquedo import Livro

# Os arquivos que demoram. O xdist dá cada arquivo a um processo só (`--dist loadfile`), por causa do que os
# seus testes partilham; um destes no fim deixaria o outro processo parado.
DEMORADOS = ("test_wheel.py", "test_navegador.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Põe os demorados à frente na fila."""
    items.sort(key=lambda item: item.path.name not in DEMORADOS)


@pytest.fixture(scope="module")
def construido(tmp_path_factory) -> Livro:
    """O livro de brinquedo, construído a frio uma vez."""
    livro = Livro(tmp_path_factory.mktemp("construcao") / "livro")
    livro.frio = livro.constroi()
    assert livro.frio.codigo == 0, livro.frio
    assert livro.frio.executadas == ["00", "03", "04", "fa"]
    return livro


@pytest.fixture
def livro(construido) -> Iterator[Livro]:
    """O mesmo livro, com as fontes devolvidas ao fim do teste."""
    yield construido
    construido.desfaz()


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Os mesmos números em todo processo, e mais depressa: as contas são pequenas demais para dividir."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
