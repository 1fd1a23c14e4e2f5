"""O que os testes partilham: o livro de brinquedo, um por arquivo de testes, e o PyTorch num só núcleo."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
import torch

from brinquedo import Livro

# Começados em segundo plano, ou com nohup, os testes ignorariam estes sinais, e há os que os mandam.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

# Cada arquivo vai inteiro para um processo só, por causa do que os seus testes partilham; os que partilham o
# livro de brinquedo vão juntos. Os testes marcados `lento` não partilham nada: vão um a um, no fim.
JUNTOS = dict.fromkeys(("test_construcao.py", "test_falhas.py", "test_servidor.py"), "brinquedo")
DEMORADOS = ("test_construcao.py", "test_falhas.py", "test_servidor.py", "test_navegador.py")


@pytest.hookimpl(tryfirst=True)  # antes do xdist, que lê os grupos na mesma hora
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Põe os demorados à frente na fila e os lentos no fim, e diz ao xdist o que anda junto."""

    def lento(item: pytest.Item) -> bool:
        return item.get_closest_marker("lento") is not None

    for item in items:
        if not lento(item):
            nome = item.path.name
            item.add_marker(pytest.mark.xdist_group(JUNTOS.get(nome, f"{item.path.parent.name}/{nome}")))
    items.sort(key=lambda item: (lento(item), item.path.name not in DEMORADOS))


@pytest.fixture(scope="session")
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
