"""A página lida pelo myst-nb: uma vez por texto, para as células, a execução e o notebook.

É o mesmo leitor que o Sphinx usa, com a mesma configuração: o que se extrai, o que se
executa e o que vai para o notebook são as mesmas células.

O notebook que sai da página leva nos metadados a soma do resto, como o módulo do pacote leva a sua no
cabeçalho: é por ela que se sabe se alguém o mudou.
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path

import nbformat
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


def escreve_caderno(caderno: NotebookNode) -> str:
    """O notebook em JSON, com a soma nos metadados."""
    nbformat.validate(caderno)
    sem_soma = nbformat.writes(caderno)
    caderno.metadata["livro"] = {"sha256": _soma(json.loads(sem_soma))}
    return nbformat.writes(caderno) + "\n"


def editado_a_mao(texto: str) -> bool:
    """O notebook já não bate com a soma que guarda?"""
    try:
        caderno = json.loads(texto)
        guardada = caderno["metadata"].pop("livro")["sha256"]
    except (ValueError, TypeError, KeyError):
        return True
    return _soma(caderno) != guardada


def _soma(caderno: object) -> str:
    return hashlib.sha256(json.dumps(caderno, sort_keys=True).encode()).hexdigest()
