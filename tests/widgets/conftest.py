"""Cada peça sozinha numa página, no Chromium, com o estilo do livro e os modelos do site.

    def test_algo(peca):
        p = peca("taxa", viewport=CELULAR, tema="dark")   # já montada
        p.vivo.get_by_role("button", name="Recomeçar").click()
        assert p.erros == []
"""

from __future__ import annotations

import functools
import html
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, Locator, Playwright, sync_playwright

from ferramentas.livro import SITE
from ferramentas.modelos import escreve_os_modelos
from ferramentas.widgets import copia
from navegador import Calado, Visita, abre_navegador, servidor, visitas

ESTATICO = "O que se vê sem JavaScript."
PAGINA = """\
<!doctype html>
<html lang="pt-BR" data-theme="{tema}"><head><meta charset="utf-8"><title>{nome}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">{estilos}
<link rel="stylesheet" href="/_static/widgets/widgets.css"><link rel="icon" href="data:,">
<script defer src="/_static/widgets/inicio.js"></script></head>
<body><main class="bd-main"><div class="bd-content"><div class="bd-article-container">
<article class="bd-article" style="margin: 0 16px"><h1>Peça</h1>
<div class="widget" data-widget="{nome}" data-titulo="A peça {nome}" id="widget-{nome}">
<div class="widget-estatico"><pre>{estatico}</pre></div></div>
</article></div></div></main></body></html>
"""


class Atende(Calado):
    """O site, com `widgets/` como está na árvore, e uma página de uma peça só: `/peca.html?nome=…&tema=…`."""

    def __init__(self, *args: object, widgets: Path, **opcoes: object) -> None:
        self.widgets = widgets
        super().__init__(*args, **opcoes)

    def translate_path(self, path: str) -> str:
        limpo = urlsplit(path).path
        if limpo.startswith("/_static/widgets/"):
            return str(self.widgets / limpo.removeprefix("/_static/widgets/"))
        return super().translate_path(path)

    def do_GET(self) -> None:
        endereco = urlsplit(self.path)
        if endereco.path != "/peca.html":
            super().do_GET()
            return
        pedido = {k: v[0] for k, v in parse_qs(endereco.query).items()}
        inicio = (SITE / "book/index.html").read_text("utf-8")
        estilos = re.findall(r'<link [^>]*href="\.\./(_static/[^"]*\.css[^"]*)"', inicio)
        pagina = PAGINA.format(
            nome=html.escape(pedido["nome"]), tema=pedido["tema"], estatico=ESTATICO,
            estilos="".join(f'<link rel="stylesheet" href="/{e}">' for e in estilos if "widgets/" not in e),
        ).encode()  # fmt: skip
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(pagina)))
        self.end_headers()
        self.wfile.write(pagina)


@pytest.fixture(scope="session")
def endereco(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if not (SITE / "book/index.html").is_file():
        pytest.fail("o site não está construído (falta _build/html): rode make livro", pytrace=False)
    escreve_os_modelos(SITE / "_static/modelos")
    widgets = tmp_path_factory.mktemp("site") / "widgets"
    copia(widgets)
    with servidor(functools.partial(Atende, widgets=widgets, directory=str(SITE))) as aberto:
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
    with visitas(navegador, endereco) as nova:
        yield nova


@dataclass
class Peca:
    """Uma peça na página dela."""

    visita: Visita

    @property
    def aba(self):
        return self.visita.aba

    @property
    def erros(self) -> list[str]:
        return self.visita.erros + self.visita.de_fora

    @property
    def caixa(self) -> Locator:
        return self.aba.locator(".widget")

    @property
    def vivo(self) -> Locator:
        return self.aba.locator(".widget-vivo")

    def carrega(self) -> None:
        """Aperta os botões de carregar, se a peça os tem, e espera que ela esteja pronta."""
        botao = self.vivo.locator(".w-espera button")
        while ha := botao.count():
            botao.first.press("Enter")
            esperado = f"document.querySelectorAll('.w-espera button').length !== {ha}"
            self.aba.wait_for_function(esperado, timeout=60_000)


@pytest.fixture
def peca(visita: Callable[..., Visita]) -> Callable[..., Peca]:
    """`peca(nome, tema="dark", viewport=…)` abre a página da peça e, com `espera`, deixa que ela monte."""

    def abre(nome: str, tema: str = "light", espera: bool = True, **opcoes: object) -> Peca:
        aberta = Peca(visita(**opcoes))
        aberta.aba.goto(f"{aberta.visita.endereco}peca.html?nome={nome}&tema={tema}")
        if espera:
            aberta.aba.locator('.widget[data-estado="viva"]').wait_for(timeout=20_000)
        return aberta

    return abre
