"""De que depende a execução de cada página: a chave do cache.

O jupyter-cache guarda as saídas por um resumo das células e do `kernelspec`. Aqui entra no nome do
`kernelspec` um resumo do que a página importa do pacote (com o que isso importa), dos dados que ela e esses
módulos citam, da versão do Python e de `constraints.txt`. Mudou um deles, muda a chave, e só as páginas que
dependem dele voltam a ser executadas; prosa não entra na conta.
"""

from __future__ import annotations

import ast
import hashlib
import platform
import re
from collections.abc import Iterable
from pathlib import Path

from ferramentas.celulas import Celula
from ferramentas.livro import PACOTE

PAGINAS_GUARDADAS = 60  # quantas execuções o cache guarda antes de esquecer as mais antigas


def modulos_importados(arvore: ast.AST) -> set[str]:
    """Módulos do pacote que o código importa.

    >>> sorted(modulos_importados(ast.parse("from homellm.data import x\\nimport homellm.ngram")))
    ['data', 'ngram']
    """
    nomes: set[str] = set()
    for no in ast.walk(arvore):
        if isinstance(no, ast.Import):
            nomes |= {a.name for a in no.names}
        elif isinstance(no, ast.ImportFrom) and no.level == 0 and no.module:
            nomes.add(no.module)
            if no.module == PACOTE:
                nomes |= {f"{PACOTE}.{a.name}" for a in no.names}
    return {n.split(".")[1] for n in nomes if n.startswith(f"{PACOTE}.")}


def importa_o_pacote(arvore: ast.AST) -> bool:
    """O código importa o pacote ou algum módulo dele (e com isso o `__init__.py`)?"""
    return any(
        nome.split(".")[0] == PACOTE
        for no in ast.walk(arvore)
        if isinstance(no, (ast.Import, ast.ImportFrom))
        for nome in ([no.module or ""] if isinstance(no, ast.ImportFrom) else [a.name for a in no.names])
    )


def fecho(modulos: set[str], raiz: Path) -> dict[str, ast.Module]:
    """Os módulos e, recursivamente, os que eles importam, cada um com a sua árvore."""
    visto: dict[str, ast.Module] = {}
    fila = sorted(modulos)
    while fila:
        nome = fila.pop()
        arquivo = raiz / PACOTE / f"{nome}.py"
        if nome in visto or not arquivo.exists():
            continue
        visto[nome] = ast.parse(arquivo.read_text("utf-8"))
        fila += sorted(modulos_importados(visto[nome]))
    return visto


def dados_citados(arvores: Iterable[ast.AST], raiz: Path) -> list[Path]:
    """Arquivos de `data/` cujo nome aparece entre as *strings* do código."""
    textos = " ".join(
        no.value
        for arvore in arvores
        for no in ast.walk(arvore)
        if isinstance(no, ast.Constant) and isinstance(no.value, str)
    )
    palavras = set(re.findall(r"[\w-]+", textos))
    return [p for p in _dados(raiz) if palavras & {p.stem, p.relative_to(raiz / "data").parts[0]}]


def _dados(raiz: Path) -> list[Path]:
    return sorted(p for p in (raiz / "data").rglob("*") if p.is_file() and p.suffix != ".md")


def chave(celulas: list[Celula], raiz: Path) -> str:
    """Resumo de tudo de que a execução destas células depende, além do código delas.

    Quem usa `corpus` (que sabe o nome de todos os dados) sem citar nenhum depende de todos.
    """
    soma = hashlib.sha256(platform.python_version().encode())
    arvores = [c.arvore() for c in celulas]
    modulos = fecho(set().union(*map(modulos_importados, arvores)), raiz)
    arquivos = [raiz / "constraints.txt", *(raiz / PACOTE / f"{m}.py" for m in sorted(modulos))]
    if any(map(importa_o_pacote, arvores)):
        arquivos.append(raiz / PACOTE / "__init__.py")
    citados = dados_citados([*arvores, *(a for m, a in modulos.items() if m != "corpus")], raiz)
    arquivos += citados or (_dados(raiz) if "corpus" in modulos else [])
    for arquivo in arquivos:
        if arquivo.exists():
            soma.update(arquivo.relative_to(raiz).as_posix().encode() + b"\0" + arquivo.read_bytes() + b"\0")
    return soma.hexdigest()[:12]


def marca_cabecalho(texto: str, chave: str) -> str:
    """Põe a chave no `display_name` do cabeçalho, sem mexer no número de linhas."""
    return re.sub(r"(?m)^(\s+display_name: ).*$", rf"\g<1>Python 3 ({chave})", texto, count=1)
