"""O livro de brinquedo que os testes de construção partilham: um por arquivo de testes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from brinquedo import Livro


@pytest.fixture(scope="module")
def construido(tmp_path_factory) -> Livro:
    """O livro de brinquedo, construído a frio uma vez."""
    livro = Livro(tmp_path_factory.mktemp("construcao") / "livro")
    livro.frio = livro.constroi()
    assert livro.frio.codigo == 0, livro.frio
    assert livro.frio.executadas == ["00", "03", "04"]
    return livro


@pytest.fixture
def livro(construido) -> Iterator[Livro]:
    """O mesmo livro, com as fontes devolvidas ao fim do teste."""
    yield construido
    construido.desfaz()
