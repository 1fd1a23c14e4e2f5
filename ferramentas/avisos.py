"""Os avisos do Sphinx em português: arquivo e linha, o que há de errado, o que escrever; cada um uma vez só.

O Sphinx os escreve, um por chamada, numa saída que se lhe dá; `EmPortugues` é essa saída. O que não está em
`FRASES` passa como veio, sem cores e com o caminho a partir da raiz.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TextIO

from ferramentas.livro import RAIZ

SEM_DESTINO = "a ligação leva a {0}, que nada no livro tem; confira o nome"
FRASES = {  # como o Sphinx diz: como o livro diz
    r"undefined label: '?([^' ]+)'?": "nada no livro tem o rótulo {0}; confira o nome, ou ponha ({0})= antes "
    "do título",
    r"'myst' cross-reference target not found: '([^']*)'": SEM_DESTINO,
    r"'myst' reference target not found: (\S+)": SEM_DESTINO,
    r'could not find bibtex key "([^"]+)"': "a citação {0} não está nas referências; confira o nome, ou "
    "acrescente a entrada a book/referencias.bib",
    r"term not in glossary: '([^']+)'": "o termo {0} não está no glossário; acrescente-o a book/glossario.md",
    r"equation not found: (\S+)": "nenhuma equação tem o rótulo {0}; ponha ({0}) depois do $$ que a fecha",
    r"unknown document: '([^']+)'": "não há página {0}; confira o nome, sem .md e a partir desta página",
    r"image file not readable: (\S+)": "a imagem {0} não existe; confira o nome em book/figuras/",
    r"duplicate label:? ([^;,\s]+)[;,] other instance in (\S+)": "o rótulo {0} já é de {1}; dê outro nome "
    "a um deles",
    r'Duplicate explicit target name: "([^"]+)"': "o rótulo {0} já é desta página; dê outro nome a um deles",
    r"duplicate equation label ([^,]+)": "o rótulo de equação {0} já existe; dê outro nome a uma delas",
    r"Unknown directive type: '([^']+)'": "não há diretiva chamada {0}; confira o nome entre as chaves",
    r'Unknown interpreted text role "([^"]+)"': "não há papel chamado {0}; confira o nome entre as chaves",
    r"'([\w-]+)': Unknown option keys: \['([^']+)'": "{0} não tem a opção {1}; confira o nome",
    r"Directive \"?'?include\"?'?: .*?'([^']+)'": "o arquivo incluído não existe: {0}; confira o caminho",
    r"\[sphinx-exercise\] Solution '[^']+' references exercise '([^']+)'": "a solução é de {0}, que não é "
    "exercício desta página; confira o nome no :label: do exercício",
    r"Non-consecutive header level increase; (.*?)(?: \[|$)": "o título pula um nível: {0}; use um # a menos",
    r"more than one target found for 'myst' cross-reference (\S+?):": "{0} é nome de duas coisas; "
    "escreva {{ref}}`{0}`, ou o nome do arquivo com .md",
    r"(?s)autodoc: failed to import module '([^']+)' from module '([^']+)'.*raised:\n(.*?)(?: \[|$)": "book"
    "/api.md documenta {1}.{0}, que não se importa ({2}); conserte o módulo, ou tire de lá a seção",
    r"toctree contains reference to nonexisting document '([^']+)'": "_toc.yml cita {0}, que não existe",
}
AVISO = re.compile(
    r"^(?:(?P<onde>\S[^:]*?)(?::(?P<linha>\d+|None))?: )?(?:WARNING|ERROR|CRITICAL): (?P<oque>.*)$", re.S
)


def traduz(aviso: str, raiz: Path = RAIZ) -> str:
    """O aviso numa frase; o que não se conhece fica como veio.

    >>> traduz("/livro/book/01-a.md:7: WARNING: undefined label: 'fig-x' [ref.ref]", Path("/livro"))
    'book/01-a.md:7: nada no livro tem o rótulo fig-x; confira o nome, ou ponha (fig-x)= antes do título'
    """
    limpo = re.sub(r"\x1b\[[0-9;]*m", "", aviso).strip().replace(f"{raiz.as_posix()}/", "")
    if not (partes := AVISO.match(limpo)):
        return limpo
    onde = re.sub(r"(\.rst)?$", "", partes["onde"] or "")
    if onde and not Path(onde).suffix and (raiz / f"{onde}.md").exists():
        onde += ".md"
    linha = partes["linha"] if partes["linha"] not in (None, "None") else 1
    lugar = f"{onde}:{linha}: " if onde else ""
    for padrao, frase in FRASES.items():
        if achado := re.search(padrao, partes["oque"]):
            return lugar + frase.format(*achado.groups())
    return lugar + partes["oque"]


class EmPortugues:
    """Uma saída em que o Sphinx escreve os avisos, um por vez."""

    def __init__(self, saida: TextIO, raiz: Path = RAIZ) -> None:
        self.saida, self.raiz, self.ditos = saida, raiz, set()

    def write(self, texto: str) -> int:
        frase = traduz(texto, self.raiz) if texto.strip() else ""
        if frase and frase not in self.ditos and not frase.startswith(".rst"):
            self.ditos.add(frase)
            self.saida.write(f"{frase}\n")
        return len(texto)

    def flush(self) -> None:
        self.saida.flush()

    def isatty(self) -> bool:
        return False
