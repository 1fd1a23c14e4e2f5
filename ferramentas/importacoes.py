"""Quem importa quem no pacote: a ordem dos módulos sai daqui, e não de uma lista escrita.

Um capítulo só usa o que nasce nele ou antes dele. As páginas sem número (as da oficina) não têm lugar na
ordem: podem usar qualquer capítulo, mas levam consigo o que usam. O capítulo que importa um módulo da oficina
depende, por meio dele, de tudo o que ele importa.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache

from ferramentas.celulas import Celula
from ferramentas.livro import PACOTE, numero_do_capitulo


@cache
def linhas_das_importacoes(arvore: ast.AST) -> dict[str, int]:
    """Módulos do pacote que o código importa, com a linha da primeira importação de cada um.

    >>> linhas_das_importacoes(ast.parse("from homellm.data import x\\nimport homellm.ngram"))
    {'data': 1, 'ngram': 2}
    >>> linhas_das_importacoes(ast.parse("importlib.import_module('homellm.data')"))
    {'data': 1}
    """
    linhas: dict[str, int] = {}
    for no in ast.walk(arvore):
        nomes: list[str] = []
        if isinstance(no, ast.Import):
            nomes = [a.name for a in no.names]
        elif isinstance(no, ast.ImportFrom) and no.level == 0 and no.module:
            nomes = [no.module]
            if no.module == PACOTE:
                nomes += [f"{PACOTE}.{a.name}" for a in no.names]
        elif isinstance(no, ast.Call) and ast.unparse(no.func).endswith(("import_module", "__import__")):
            nomes = [str(a.value) for a in no.args if isinstance(a, ast.Constant)]
        for nome in nomes:
            if nome.startswith(f"{PACOTE}."):
                modulo = nome.split(".")[1]
                linhas[modulo] = min(linhas.get(modulo, no.lineno), no.lineno)
    return linhas


def modulos_importados(arvore: ast.AST) -> set[str]:
    """Módulos do pacote que o código importa."""
    return set(linhas_das_importacoes(arvore))


@cache
def importa_o_pacote(arvore: ast.AST) -> bool:
    """O código importa o pacote ou algum módulo dele (e com isso o `__init__.py`)?"""
    return any(
        nome.split(".")[0] == PACOTE
        for no in ast.walk(arvore)
        if isinstance(no, (ast.Import, ast.ImportFrom))
        for nome in ([no.module or ""] if isinstance(no, ast.ImportFrom) else [a.name for a in no.names])
    )


class Grafo:
    """Os módulos do livro, onde cada um nasce e o que importa."""

    def __init__(self, celulas: list[Celula]) -> None:
        self.nascimento: dict[str, Celula] = {}  # a primeira célula de cada módulo
        self.setas: dict[str, dict[str, str]] = {}  # módulo, o que ele importa, e onde
        for celula in celulas:
            if (modulo := celula.modulo) is not None:
                self.nascimento.setdefault(modulo, celula)
                for importado, lugar in importacoes(celula):
                    self.setas.setdefault(modulo, {}).setdefault(importado, lugar)

    def capitulo(self, modulo: str) -> int | None:
        """O capítulo em que o módulo nasce; `None` se a página dele não tem número."""
        return numero_do_capitulo(self.nascimento[modulo].pagina.removesuffix(".md"))

    def ao_fim_do_capitulo(self, numero: int) -> set[str]:
        """Os módulos dos capítulos até este, com os da oficina que eles usam; e o `__init__`."""
        fila = [m for m in self.nascimento if (n := self.capitulo(m)) is not None and n <= numero]
        inclusos = {"__init__"} & self.nascimento.keys()
        while fila:
            modulo = fila.pop()
            inclusos.add(modulo)
            fila += [
                m
                for m in self.setas.get(modulo, {})
                if m in self.nascimento and m not in inclusos and self.capitulo(m) is None
            ]
        return inclusos

    def ate_um_seguinte(self, modulo: str, numero: int) -> list[str]:
        """O caminho mais curto, só pela oficina, de `modulo` a um módulo de capítulo depois de `numero`."""
        caminhos = [[modulo]]
        vistos = {modulo}
        for caminho in caminhos:
            if (n := self.capitulo(caminho[-1])) is not None:
                if n > numero:
                    return caminho
                continue
            for seguinte in self.setas.get(caminho[-1], {}):
                if seguinte in self.nascimento and seguinte not in vistos:
                    vistos.add(seguinte)
                    caminhos.append([*caminho, seguinte])
        return []

    def circulos(self) -> Iterator[list[str]]:
        """As importações em círculo: [a, b, a] se `a` importa `b`, que importa `a`. Cada módulo, uma vez."""
        prontos: set[str] = set()

        def visita(modulo: str, caminho: list[str]) -> Iterator[list[str]]:
            if modulo in caminho:
                yield [*caminho[caminho.index(modulo) :], modulo]
                return
            if modulo not in prontos:
                for seguinte in self.setas.get(modulo, {}):
                    yield from visita(seguinte, [*caminho, modulo])
                prontos.add(modulo)

        for modulo in self.nascimento:
            yield from visita(modulo, [])


def importacoes(celula: Celula) -> list[tuple[str, str]]:
    """Os módulos do pacote que a célula importa, cada um com página e linha, na ordem."""
    linhas = linhas_das_importacoes(celula.arvore())
    ordem = sorted((linha, modulo) for modulo, linha in linhas.items())
    return [(m, f"{celula.pagina}:{celula.linha_do_codigo + n - 1}") for n, m in ordem]
