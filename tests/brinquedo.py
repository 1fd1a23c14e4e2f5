"""Livros de brinquedo: o bastante para exercitar as ferramentas numa pasta temporária."""

from __future__ import annotations

import shutil
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
CABECALHO = """\
---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

"""
PRIMEIRA_LINHA = CABECALHO.count("\n") + 1  # a linha em que começa o que vem depois do cabeçalho
CONFIG = """\
repository: { url: "https://github.com/dono/livro", branch: v1.2 }
html: { baseurl: "https://dono.github.io/livro" }
"""


def celula(codigo: str, *opcoes: str) -> str:
    """Uma célula de código em MyST."""
    return "\n".join(["```{code-cell} ipython3", *opcoes, codigo, "```", ""])


def api(*modulos: str) -> str:
    """Uma página da API que documenta os módulos."""
    diretivas = "\n\n".join(f"```{{eval-rst}}\n.. automodule:: homellm.{m}\n   :members:\n```" for m in modulos)
    return f"(api)=\n# API\n\n{diretivas}\n"


def escreve_livro(raiz: Path, paginas: dict[str, str], fora_do_toc: tuple[str, ...] = ()) -> Path:
    """Escreve `_config.yml`, `_toc.yml` (na ordem dada) e as páginas; os nomes são os de `book/`, sem `.md`."""
    (raiz / "book").mkdir(parents=True, exist_ok=True)
    (raiz / "homellm").mkdir(exist_ok=True)
    (raiz / "_config.yml").write_text(CONFIG, "utf-8")
    (raiz / "book/index.md").write_text("(inicio)=\n# Início\n", "utf-8")
    nomes = [nome for nome in paginas if nome not in fora_do_toc]
    capitulos = "".join(f"  - file: book/{nome}\n" for nome in nomes)
    toc = "format: jb-book\nroot: book/index\n" + (f"chapters:\n{capitulos}" if nomes else "")
    (raiz / "_toc.yml").write_text(toc, "utf-8")
    for nome, texto in paginas.items():
        (raiz / f"book/{nome}.md").write_text(texto, "utf-8")
    return raiz


def copia_o_projeto(destino: Path, *nomes: str) -> Path:
    """Copia do repositório estes arquivos e pastas, sem restos de execução."""
    destino.mkdir(parents=True, exist_ok=True)
    for nome in nomes:
        origem, alvo = REPO / nome, destino / nome
        if origem.is_dir():
            shutil.copytree(origem, alvo, ignore=shutil.ignore_patterns("__pycache__", "*.tmp"))
        else:
            shutil.copy(origem, alvo)
    return destino
