"""A prosa do livro, linha a linha: o que se lê das páginas, dos cartões, das figuras e das docstrings.

Fica de fora o que não é texto corrido: código, fórmulas, endereços, opções. É dela que `lingua` confere aspas e
termos, e `ortografia`, as palavras.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ferramentas.celulas import Celula, le_celulas, le_cercas
from ferramentas.livro import ErroDoLivro, le_texto, paginas

LIDAS = ("legenda", "alt", "resumo", "caption")  # as opções que o leitor lê
COM_TITULO = ("exercise", "admonition", "dropdown", "table", "topic", "sidebar", "card")
PAPEIS_LIDOS = ("ref", "numref", "term", "doc", "abbr", "func", "class", "mod", "meth", "data")


@dataclass(frozen=True)
class Trecho:
    """Uma linha de prosa, no lugar de onde veio."""

    arquivo: str  # "book/02-dados.md"
    linha: int
    texto: str  # o que não é prosa vira espaço
    mensagem: bool = False  # uma *string* do código, e não prosa com certeza


def _branco(achado: re.Match[str]) -> str:
    return " " * len(achado[0])


def _papel(achado: re.Match[str]) -> str:
    """O texto de um papel do MyST: o de {ref}`texto <alvo>`, o termo de {term}`token`."""
    nome, texto, alvo = achado["papel"], achado["texto"], achado["alvo"]
    if nome == "term" or (nome in PAPEIS_LIDOS and alvo):
        return re.sub(r"\{\w+\}`", _branco, achado[0][: achado.end("texto") - achado.start()]).ljust(
            len(achado[0])
        )
    del texto
    return _branco(achado)


def so_texto(linha: str) -> str:
    """A linha sem código, endereços, marcas e chaves de citação, com o resto no mesmo lugar.

    >>> so_texto("O {term}`token` e `x`, em [casa](https://a.b); {ref}`aqui <sec-x>`.").split()
    ['O', 'token', 'e', ',', 'em', 'casa', ';', 'aqui', '.']
    """
    linha = re.sub(
        r"\{(?P<papel>[\w:]+)\}`(?P<texto>[^`<]*)(?P<alvo><[^`>]*>)?`", _papel, linha
    )
    linha = re.sub(r"(?<!`)(`+)(?!`).+?(?<!`)\1(?!`)", _branco, linha)
    linha = re.sub(r"(?<!\\)\$\$.+?\$\$|(?<!\\)\$[^$\n]+?(?<!\\)\$", _branco, linha)
    linha = re.sub(r"(?<=\])\((?:[^()\s]|\([^()]*\))*(?:\s+\"[^\"]*\")?\)", _branco, linha)
    linha = re.sub(r"\[\^[^\]]+\]:?|<[^<>\s][^<>]*>|https?://\S+|&#?\w+;|^\([\w-]+\)=\s*$", _branco, linha)
    return re.sub(r"\b[\w.+-]+@[\w.-]+\.\w+", _branco, linha)


def do_markdown(texto: str, arquivo: str) -> Iterator[Trecho]:
    """A prosa de uma página ou de um cartão, com os títulos e as opções que se leem."""
    cabecalho = texto.startswith("---\n")
    formula = False
    for n, (linha, abertas) in enumerate(
        zip(texto.split("\n"), le_cercas(texto, arquivo), strict=True), 1
    ):
        if cabecalho:
            cabecalho = not (n > 1 and linha == "---")
            continue
        dentro = abertas[-1] if abertas else None
        if linha.startswith("%") or linha.lstrip().startswith("<!--"):
            continue
        if dentro and dentro.linha == n:  # a linha que abre
            if dentro.diretiva in COM_TITULO:
                titulo = linha.partition("}")[2]
                yield Trecho(arquivo, n, so_texto(titulo.rjust(len(linha))))
            continue
        if opcao := re.match(r"\s*:([\w-]+):(?=\s|$)(.*)", linha):
            if dentro and opcao[1] in LIDAS:
                yield Trecho(arquivo, n, so_texto(opcao[2].rjust(len(linha))))
                continue
            if dentro:
                continue
        if dentro and dentro.literal:
            continue
        if linha.count("$$") % 2:
            formula = not formula
            continue
        if not formula and (lida := so_texto(linha)).strip():
            yield Trecho(arquivo, n, lida)


def do_python(fonte: str, arquivo: str, primeira: int = 1) -> Iterator[Trecho]:
    """Os comentários e as docstrings, como prosa; as outras *strings* do código, como mensagens."""
    try:
        arvore = ast.parse(fonte)
        sinais = list(tokenize.generate_tokens(io.StringIO(fonte).readline))
    except (SyntaxError, tokenize.TokenError):
        return  # quem extrai a célula já se queixa
    docstrings: set[int] = set()
    for no in ast.walk(arvore):
        if isinstance(no, ast.Expr) and isinstance(no.value, ast.Constant) and isinstance(no.value.value, str):
            docstrings.add(no.value.lineno)
    de_texto = {tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}
    for sinal in sinais:
        if sinal.type == tokenize.COMMENT:
            texto = so_texto(re.sub(r"^#+:?|\b(?:noqa|type|fmt|pragma)\b:.*|^#@\w+.*", _branco, sinal.string))
            yield Trecho(arquivo, primeira + sinal.start[0] - 1, texto)
        elif sinal.type in de_texto:
            e_docstring = sinal.type == tokenize.STRING and sinal.start[0] in docstrings
            if e_docstring:
                yield from _da_docstring(sinal.string, arquivo, primeira + sinal.start[0] - 1)
            else:
                for n, linha in enumerate(sinal.string.split("\n"), primeira + sinal.start[0] - 1):
                    yield Trecho(arquivo, n, linha, mensagem=True)


def _da_docstring(texto: str, arquivo: str, primeira: int) -> Iterator[Trecho]:
    """A docstring sem os exemplos nem as listas de argumentos por nome."""
    exemplo = cerca = False
    for n, linha in enumerate(texto.split("\n"), primeira):
        exemplo = bool(linha.strip()) and (exemplo or linha.lstrip().startswith(">>>"))
        cerca ^= bool(re.match(r"\s*(```|~~~)", linha))
        if not exemplo and not cerca:
            yield Trecho(arquivo, n, so_texto(re.sub(r'^[rRbBuUfF]*"""|"""$|^\s+\w+:(?=\s)', _branco, linha)))


def do_svg(texto: str, arquivo: str) -> Iterator[Trecho]:
    """O que uma figura diz em `<text>`, `<title>` e `<desc>`, e nada do desenho."""
    texto = re.sub(r"(?s)<style\b.*?</style>|<!--.*?-->", lambda m: re.sub(r"[^\n]", " ", m[0]), texto)
    for n, linha in enumerate(texto.split("\n"), 1):
        if (lida := re.sub(r"<[^>]*>?|^[^<]*(?=/>)|&#?\w+;", _branco, linha)).strip():
            yield Trecho(arquivo, n, lida)


def das_celulas(celulas: list[Celula]) -> Iterator[Trecho]:
    """A prosa que há dentro do código das células de uma página."""
    for celula in celulas:
        yield from do_python(celula.fonte, celula.pagina, celula.linha_do_codigo)


def cartoes(raiz: Path) -> list[Path]:
    """O que se lê fora do site: README, CONTRIBUTING e os outros da raiz, e os cartões dos dados."""
    soltos = [*raiz.glob("*.md"), *(raiz / "data").glob("*.md"), *(raiz / "data/modelos").glob("*/README.md")]
    return sorted(p for p in soltos if p.is_file())


def scripts(raiz: Path) -> list[Path]:
    """Os programas da casa, que não saem das páginas."""
    pastas = ("ferramentas", "bancada", "data/fazer")
    return sorted(p for pasta in pastas for p in (raiz / pasta).rglob("*.py"))


def do_livro(raiz: Path) -> Iterator[Trecho]:
    """Toda a prosa que o leitor vê: páginas, células, figuras e cartões. O que não se lê fica de fora."""
    for md in paginas(raiz):
        arquivo = md.relative_to(raiz).as_posix()
        try:
            texto, celulas = le_texto(md, raiz), le_celulas(md, raiz)
            yield from sorted(
                [*do_markdown(texto, arquivo), *das_celulas(celulas)], key=lambda trecho: trecho.linha
            )
        except ErroDoLivro:
            continue  # `lint` já o diz
    for md in cartoes(raiz):
        try:
            yield from do_markdown(le_texto(md, raiz), md.relative_to(raiz).as_posix())
        except ErroDoLivro:
            continue
    for svg in sorted((raiz / "book/figuras").glob("*.svg")):
        yield from do_svg(le_texto(svg, raiz), svg.relative_to(raiz).as_posix())


def dos_scripts(raiz: Path) -> Iterator[Trecho]:
    """Os comentários, as docstrings e as mensagens dos programas da casa."""
    for py in scripts(raiz):
        yield from do_python(le_texto(py, raiz), py.relative_to(raiz).as_posix())
