"""O que os testes do site aberto no navegador partilham: o servidor dele, o Chromium e as visitas."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Playwright, sync_playwright

from ferramentas.livro import RAIZ, paginas
from navegador import Calado, Visita, abre_navegador, servidor, visitas

SITE = RAIZ / "_build/html"


@pytest.fixture(scope="module")
def endereco() -> Iterator[str]:
    documentos = [p.relative_to(RAIZ).with_suffix("").as_posix() for p in paginas()]
    faltam = [d for d in [*documentos, "search"] if not (SITE / f"{d}.html").is_file()]
    if faltam:
        pytest.fail(
            f"o site não está construído (falta {faltam[0]}.html em _build/html): rode make livro",
            pytrace=False,
        )
    with servidor(functools.partial(Calado, directory=str(SITE))) as aberto:
        yield aberto


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as motor:
        yield motor


@pytest.fixture(scope="module")
def navegador(playwright: Playwright) -> Iterator[Browser]:
    aberto = abre_navegador(playwright)
    yield aberto
    aberto.close()


@pytest.fixture
def visita(navegador: Browser, endereco: str) -> Iterator[Callable[..., Visita]]:
    """`visita(viewport=…, …)` abre um contexto novo que barra e anota todo pedido a outro lugar."""
    with visitas(navegador, endereco) as nova:
        yield nova
