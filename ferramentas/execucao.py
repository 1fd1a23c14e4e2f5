"""De que depende a execução de cada página: a chave do cache.

O jupyter-cache guarda as saídas por um resumo das células e do `kernelspec`. Aqui entra no nome do
`kernelspec` um resumo do que a página importa do pacote (com o que isso importa), dos dados que ela e esses
módulos citam, do motor de `widgets/`, se ela o roda, da versão do Python e de `constraints.txt`. Mudou um
deles, muda a chave, e só as páginas que dependem dele voltam a ser executadas; prosa não entra na conta.
"""

from __future__ import annotations

import ast
import hashlib
import platform
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from ferramentas.celulas import Celula
from ferramentas.importacoes import importa_o_pacote, modulos_importados
from ferramentas.livro import PACOTE


def fecho(modulos: set[str], raiz: Path) -> dict[str, ast.Module]:
    """Os módulos e, recursivamente, os que eles importam, cada um com a sua árvore."""
    visto: dict[str, ast.Module] = {}
    fila = sorted(modulos)
    while fila:
        nome = fila.pop()
        arquivo = raiz / PACOTE / f"{nome}.py"
        if nome in visto or not arquivo.exists():
            continue
        visto[nome] = _arvore(arquivo.read_text("utf-8"))
        fila += sorted(modulos_importados(visto[nome]))
    return visto


@cache  # um módulo entra na chave de quase todas as páginas
def _arvore(texto: str) -> ast.Module:
    return ast.parse(texto)


@cache
def _palavras(arvore: ast.AST) -> set[str]:
    """As palavras das *strings* do código."""
    textos = " ".join(
        no.value for no in ast.walk(arvore) if isinstance(no, ast.Constant) and isinstance(no.value, str)
    )
    return set(re.findall(r"[\w-]+", textos))


def dados_citados(arvores: Iterable[ast.AST], raiz: Path) -> list[Path]:
    """Arquivos de `data/` cujo nome aparece entre as *strings* do código."""
    palavras = set().union(*map(_palavras, arvores))
    return [p for p in dados(raiz) if palavras & {p.stem, p.relative_to(raiz / "data").parts[0]}]


def dados(raiz: Path) -> list[Path]:
    """Os arquivos de `data/` que o pacote leva, sem os cartões."""
    pasta, geradores = raiz / "data", raiz / "data/fazer"
    return sorted(
        p
        for p in pasta.rglob("*")
        if p.is_file() and p.suffix != ".md" and geradores not in p.parents
    )


def cita_o_motor(arvore: ast.AST) -> bool:
    """Alguma *string* do código dá o caminho de um módulo em JavaScript?

    >>> cita_o_motor(ast.parse('f"{pasta}/motor/gpt.js"')), cita_o_motor(ast.parse('"gpt"'))
    (True, False)
    """
    textos = (no.value for no in ast.walk(arvore) if isinstance(no, ast.Constant))
    return any(isinstance(texto, str) and "motor/" in texto and ".js" in texto for texto in textos)


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
    arquivos += citados or (dados(raiz) if "corpus" in modulos else [])
    if any(cita_o_motor(arvore) for arvore in arvores):
        arquivos += sorted((raiz / "widgets/motor").glob("*.js"))
    for arquivo in arquivos:
        if arquivo.exists():
            soma.update(arquivo.relative_to(raiz).as_posix().encode() + b"\0" + arquivo.read_bytes() + b"\0")
    return soma.hexdigest()[:12]


def marca_cabecalho(texto: str, chave: str) -> str:
    """Põe a chave no `display_name` do cabeçalho, sem mexer no número de linhas."""
    cabecalho = r"\A(---\n(?:(?!---).*\n)*?\s+display_name: ).*"
    return re.sub(cabecalho, rf"\g<1>Python 3 ({chave})", texto, count=1)
