"""A página lida pelo myst-nb: uma vez por texto, para as células, a execução e o notebook.

É o mesmo leitor que o Sphinx usa, com a mesma configuração: o que se extrai, o que se
executa e o que vai para o notebook são as mesmas células.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from myst_nb.core.read import read_myst_markdown_notebook
from myst_parser.config.main import MdParserConfig
from nbformat import NotebookNode

from ferramentas.livro import RAIZ, extensoes


def le_caderno(texto: str, raiz: Path = RAIZ) -> NotebookNode:
    """As células da página, de texto e de código; quem for mudá-las copia antes."""
    return _le(texto, extensoes(raiz))


@lru_cache(maxsize=64)
def _le(texto: str, com: frozenset[str]) -> NotebookNode:
    return read_myst_markdown_notebook(texto, MdParserConfig(enable_extensions=set(com)))
