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
    r"duplicate term description of (\S+), other instance in (\S+)": "o termo {0} já está em {1}; "
    "tire um dos dois",
    r"Any number is not assigned: (\S+)": "{0} não tem número que citar; dê a {0} uma legenda, ou cite "
    "com {{ref}}",
    r"download file not readable: (\S+)": "o arquivo a baixar não existe: {0}; confira o caminho",
    r"[Cc]ontent block expected for the \"([^\"]+)\"": "{0} está vazia; escreva o que vai dentro, ou "
    "apague-a",
    r"'([\w-]+)': \d+ argument\(s\) required": "{0} pede um nome, título ou endereço depois das chaves; "
    "escreva-o na linha que a abre",
    r"'([\w-]+)': Invalid option value for '([^']+)': ([^:]+)": "{0} não aceita {2} em :{1}:; confira "
    "o valor",
    r"content block for the \"([^\"]+)\" directive: ([^.\n]+)": "{0} não tem dentro o que pede ({1}); "
    "confira as marcas e o recuo",
    r"Pygments lexer name '([^']+)' is not known": "não há linguagem chamada {0}; confira o nome, ou "
    "escreva text",
    r"(?s)Lexing literal_block .* as \"([^\"]+)\" resulted in an error at token: '(.*?)'": "o bloco não "
    "é {0} válido, a partir de {1!r}; conserte-o, ou escreva text no lugar de {0}",
    r"Inline \w+.* start-string without end-string": "há uma marca (`, * ou **) que abre e não fecha; "
    "feche-a",
    r"nexpected (?:un)?ind": "o recuo muda de repente; alinhe a linha com a de cima, ou deixe uma em branco "
    "entre elas",
    r"toctree contains reference to nonexisting document '([^']+)'": "_toc.yml cita {0}, que não existe",
}
AVISO = re.compile(
    r"^(?:(?P<onde>\S[^:]*?)(?::docstring of (?P<nome>[\w.]+))?(?::(?P<linha>\d*|None))?: )?"
    r"(?:WARNING|ERROR|CRITICAL): (?P<oque>.*)$",
    re.S,
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
    linha = int(partes["linha"]) if (partes["linha"] or "").isdigit() else 1
    if partes["nome"]:
        onde, linha = _da_docstring(onde, partes["nome"].rpartition(".")[2], linha, raiz)
    lugar = f"{onde}:{linha}: " if onde else ""
    if partes["nome"]:
        lugar += f"a docstring de {partes['nome']}: "
    for padrao, frase in FRASES.items():
        if achado := re.search(padrao, partes["oque"]):
            return lugar + frase.format(*(g.strip().splitlines()[-1] for g in achado.groups()))
    return lugar + partes["oque"].split("\n")[0]


def _da_docstring(modulo: str, nome: str, linha: int, raiz: Path) -> tuple[str, int]:
    """A página de onde sai o módulo, e a linha dela que corresponde à da docstring."""
    pagina = re.search(r"mude (\S+)\.\n", (raiz / modulo).read_text("utf-8"))
    if pagina and (raiz / pagina[1]).exists():
        for n, texto in enumerate((raiz / pagina[1]).read_text("utf-8").split("\n"), 1):
            if re.match(rf"\s*(?:async )?(?:def|class) {re.escape(nome)}\b", texto):
                return pagina[1], n + linha
    return modulo, linha


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
