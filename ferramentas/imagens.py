"""Figuras em PNG para onde o SVG não entra (o Medium não o aceita).

Cada PNG fica em `book/diario/imagens/`, no repositório, com o nome do que ele desenha; dentro dele, num campo
de texto, vai a soma do que foi desenhado. Assim se sabe, sem desenhar de novo, se ele está em dia.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import struct
import subprocess
import tempfile
import zlib
from pathlib import Path

from ferramentas.livro import RAIZ

PASTA = "book/diario/imagens"
NAVEGADORES = ("chromium", "chromium-browser", "google-chrome", "chrome")
LARGURA, ESCALA = 600, 2
ASSINATURA, CAMPO = b"\x89PNG\r\n\x1a\n", b"Fonte\0"


def soma(fonte: bytes) -> str:
    """O que distingue um desenho de outro."""
    return hashlib.sha256(fonte).hexdigest()[:16]


def soma_guardada(png: bytes) -> str:
    """A soma que `marcado` pôs no PNG; vazia se não há."""
    achado = re.search(re.escape(b"tEXt" + CAMPO) + rb"([0-9a-f]{16})", png)
    return achado[1].decode() if achado else ""


def marcado(png: bytes, fonte: bytes) -> bytes:
    """O PNG com a soma da fonte num campo de texto, logo depois do cabeçalho dele."""
    if not png.startswith(ASSINATURA):
        raise ValueError("o que o navegador escreveu não é um PNG")
    fim = len(ASSINATURA) + 12 + struct.unpack(">I", png[8:12])[0]  # o do primeiro campo, o IHDR
    corpo = b"tEXt" + CAMPO + soma(fonte).encode()
    campo = struct.pack(">I", len(corpo) - 4) + corpo + struct.pack(">I", zlib.crc32(corpo))
    return png[:fim] + campo + png[fim:]


def em_dia(png: Path, fonte: bytes) -> bool:
    """O PNG existe e é desta fonte?"""
    return png.is_file() and soma_guardada(png.read_bytes()) == soma(fonte)


def navegador() -> str | None:
    """O Chromium ou o Chrome da máquina."""
    return next(filter(None, map(shutil.which, NAVEGADORES)), None)


def altura(svg: str) -> int:
    """A altura, em pontos da tela, do SVG posto na largura das postagens.

    >>> altura('<svg viewBox="0 0 480 240">')
    300
    """
    caixa = re.search(r'viewBox="\s*[\d.]+[ ,]+[\d.]+[ ,]+([\d.]+)[ ,]+([\d.]+)\s*"', svg)
    return round(LARGURA * float(caixa[2]) / float(caixa[1])) if caixa else LARGURA


def desenha(svg: Path, png: Path, programa: str) -> None:
    """Desenha o SVG num PNG, com o navegador `programa`."""
    texto = svg.read_text("utf-8")
    with tempfile.TemporaryDirectory() as pasta:
        pagina, saida = Path(pasta) / "pagina.html", Path(pasta) / "saida.png"
        estilo = f"body {{ margin: 0; background: #fff }} img {{ display: block; width: {LARGURA}px }}"
        pagina.write_text(f'<!doctype html><style>{estilo}</style><img src="{svg.as_uri()}">', "utf-8")
        opcoes = [
            "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
            f"--user-data-dir={pasta}/perfil", f"--force-device-scale-factor={ESCALA}",
            f"--window-size={LARGURA},{altura(texto)}", f"--screenshot={saida}",
        ]  # fmt: skip
        fim = subprocess.run(
            [programa, *opcoes, pagina.as_uri()], stdin=subprocess.DEVNULL, capture_output=True, timeout=60
        )
        if fim.returncode or not saida.is_file():
            raise OSError(f"{programa} não desenhou {svg.name} (código {fim.returncode})")
        grava_png(png, saida.read_bytes(), svg.read_bytes())


def grava_png(png: Path, dados: bytes, fonte: bytes) -> None:
    """Guarda o PNG marcado com a soma da fonte."""
    png.parent.mkdir(parents=True, exist_ok=True)
    png.write_bytes(marcado(dados, fonte))


def png_da_figura(svg: str, raiz: Path = RAIZ) -> str | None:
    """O caminho, no repositório, do PNG em dia do SVG; desenha-o se preciso; `None` se não há com que."""
    origem = raiz / svg
    caminho = f"{PASTA}/{origem.stem}.png"
    if not em_dia(raiz / caminho, origem.read_bytes()):
        programa = navegador()
        if programa is None:
            return None
        desenha(origem, raiz / caminho, programa)
    return caminho


def png_da_formula(latex: str, raiz: Path = RAIZ) -> str | None:
    """O caminho do PNG da fórmula, desenhada pelo matplotlib; `None` se ele não a conhece."""
    from matplotlib.mathtext import math_to_image

    caminho = f"{PASTA}/formula-{soma(latex.encode())}.png"
    if not em_dia(raiz / caminho, latex.encode()):
        with tempfile.TemporaryDirectory() as pasta:
            saida = Path(pasta) / "formula.png"
            try:
                math_to_image(f"${latex}$", saida, dpi=200, format="png")
            except ValueError:
                return None
            grava_png(raiz / caminho, saida.read_bytes(), latex.encode())
    return caminho
