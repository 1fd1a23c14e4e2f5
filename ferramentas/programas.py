"""Os programas que o livro acrescenta às páginas, e que só vão nas que os usam: os `.js` desta pasta."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from sphinx.application import Sphinx

PASTA = Path(__file__).parent


def programa(contexto: dict, nome: str) -> str:
    """A linha que carrega o programa sem fazer a página esperar; o endereço muda quando ele muda."""
    soma = hashlib.sha256((PASTA / nome).read_bytes()).hexdigest()[:8]
    return f'\n<script defer src="{contexto["pathto"](f"_static/{nome}", 1)}?v={soma}"></script>\n'


def _copia(app: Sphinx, erro: Exception | None) -> None:
    if erro is None and app.builder.name == "html":
        for arquivo in PASTA.glob("*.js"):
            shutil.copy(arquivo, Path(app.outdir) / "_static")


def setup(app: Sphinx) -> dict[str, object]:
    app.connect("build-finished", _copia)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
