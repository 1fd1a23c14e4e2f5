"""O que os testes que abrem um navegador partilham: o servidor, o Chromium e o registro de cada visita."""

from __future__ import annotations

import contextlib
import http.server
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, Request

NAVEGADORES = ("chromium", "chromium-browser", "google-chrome", "chrome")
SEM_NAVEGADOR = "falta o Chromium ou o Chrome; no Debian e no Ubuntu: sudo apt install chromium"
CELULAR = {"width": 390, "height": 844}
MESA = {"width": 1280, "height": 900}


class Calado(http.server.SimpleHTTPRequestHandler):
    """Serve arquivos sem escrever nada na tela."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def servidor(atende: Callable[..., http.server.BaseHTTPRequestHandler]) -> Iterator[str]:
    """O endereço de um servidor que vive enquanto o bloco anda."""
    aberto = http.server.ThreadingHTTPServer(("127.0.0.1", 0), atende)
    threading.Thread(target=aberto.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{aberto.server_port}/"
    finally:
        aberto.shutdown()
        aberto.server_close()


def acha_navegador() -> str:
    """O caminho do Chromium; sem ele, o teste é pulado em casa e falha na integração contínua."""
    for nome in NAVEGADORES:
        if caminho := shutil.which(nome):
            return caminho
    if os.environ.get("CI"):
        pytest.fail(SEM_NAVEGADOR, pytrace=False)
    pytest.skip(SEM_NAVEGADOR)


def abre_navegador(playwright: Playwright) -> Browser:
    """O Chromium, sem o que ele faria na rede por conta própria."""
    opcoes = [
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-first-run",
    ]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        opcoes.append("--no-sandbox")  # o Chromium não aceita isolar-se quando roda como root
    return playwright.chromium.launch(executable_path=acha_navegador(), args=opcoes)


@dataclass
class Visita:
    """Uma aba, com o registro do que ela pediu e do que deu errado."""

    aba: Page
    endereco: str
    de_fora: list[str] = field(default_factory=list)
    erros: list[str] = field(default_factory=list)
    bytes: int = 0

    def abre(self, documento: str, pergunta: str = "") -> Page:
        self.aba.goto(f"{self.endereco}{documento}.html{pergunta}", wait_until="networkidle")
        self.aba.wait_for_load_state("load")  # numa máquina ocupada, a rede sossega antes dos programas
        return self.aba


@contextlib.contextmanager
def visitas(navegador: Browser, endereco: str) -> Iterator[Callable[..., Visita]]:
    """`visita(viewport=…, …)` abre um contexto novo que barra e anota todo pedido a outro lugar."""
    contextos: list[BrowserContext] = []

    def nova(**opcoes: object) -> Visita:
        contexto = navegador.new_context(
            **{"viewport": MESA, "locale": "pt-BR", "color_scheme": "light", **opcoes}
        )
        contextos.append(contexto)
        v = Visita(contexto.new_page(), endereco)

        def pedido(rota: object, pedido: Request) -> None:
            if pedido.url.startswith((endereco, "data:", "blob:")):
                rota.continue_()
            else:
                v.de_fora.append(pedido.url)
                rota.abort()

        def terminou(pedido: Request) -> None:
            v.bytes += pedido.sizes()["responseBodySize"]

        contexto.route("**/*", pedido)
        v.aba.on("requestfinished", terminou)
        v.aba.on("console", lambda m: v.erros.append(m.text) if m.type in ("error", "warning") else None)
        v.aba.on("pageerror", lambda e: v.erros.append(str(e)))
        v.aba.on("response", lambda r: v.erros.append(f"{r.status} {r.url}") if r.status >= 400 else None)
        return v

    try:
        yield nova
    finally:
        for contexto in contextos:
            contexto.close()
