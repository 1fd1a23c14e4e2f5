"""O que a revisão confere no esqueleto do livro: nomes, títulos, exercícios, HTML, rótulos, dados, fontes.

Cada função devolve queixas já com arquivo e linha; quem as junta é `lint.revisa`.
"""

from __future__ import annotations

import ast
import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path

from pybtex.database.input.bibtex import Parser
from pybtex.exceptions import PybtexError

from ferramentas.bibliografia import ListaAutorAno
from ferramentas.celulas import Celula, Cerca, le_cercas
from ferramentas.classes import nomes_definidos
from ferramentas.livro import PACOTE, ErroDoLivro, le_texto, numero_do_capitulo

HTML_QUE_FECHA = ("div", "span", "details", "summary", "table", "figure", "script", "style", "section")
PAPEIS = "ref|numref|term|doc|eq|cite:p|cite:t|func|class|meth|mod"


def nomes_de_arquivo(raiz: Path) -> Iterator[str]:
    """Nomes que não servem de endereço."""
    for pasta in ("book", "data"):
        for arquivo in sorted((raiz / pasta).rglob("*")):
            if re.search(r"[^\w.-]", arquivo.name, re.ASCII):
                yield (
                    f"{arquivo.relative_to(raiz).as_posix()}:1: o nome do arquivo vira endereço; use só "
                    "letras sem acento, números, - e _"
                )


def numeros(mds: list[Path], raiz: Path) -> Iterator[str]:
    """Capítulos com o mesmo número, ou fora de ordem em `_toc.yml`."""
    anterior: tuple[int, str] | None = None
    donos: dict[int, str] = {}
    for md in mds:
        pagina = md.relative_to(raiz).as_posix()
        if (numero := numero_do_capitulo(pagina.removesuffix(".md"))) is None:
            continue
        if numero in donos:
            yield f"{pagina}:1: o número {numero:02} já é de {donos[numero]}; mude o nome de um dos arquivos"
        elif anterior and numero < anterior[0]:
            yield f"_toc.yml:1: {pagina} vem depois de {anterior[1]}; ponha os capítulos na ordem dos números"
        donos.setdefault(numero, pagina)
        anterior = numero, pagina


def titulos(prosa: str, pagina: str) -> Iterator[str]:
    """Nenhum título de página, ou mais de um."""
    linhas = [n for n, linha in enumerate(prosa.split("\n"), 1) if re.match(r"# +\S", linha)]
    if not linhas:
        yield f"{pagina}:1: a página não tem título; comece o texto por uma linha “# Título”"
    for n in linhas[1:]:
        yield f"{pagina}:{n}: segundo título de página (o primeiro é o da linha {linhas[0]}); use ## na seção"


def marcas_soltas(prosa: str, texto: str, pagina: str) -> Iterator[str]:
    """Cercas que não são cercas, papéis sem chaves, HTML que não fecha, `<img>` sem texto alternativo."""
    abertas: dict[str, list[int]] = {nome: [] for nome in HTML_QUE_FECHA}
    com_tabulacao = 0
    cercas = le_cercas(texto, pagina)
    for n, (linha, original) in enumerate(zip(prosa.split("\n"), texto.split("\n"), strict=True), 1):
        com_tabulacao += bool(cerca := re.match(r" *\t\s*(`{3,}|~{3,}|:{3,})", linha))
        if cerca and com_tabulacao % 2:  # a que abre; a que fecha tem o mesmo defeito
            yield f"{pagina}:{n}: cerca recuada com tabulação, que vira texto; recue-a com espaços"
        fora_de_codigo = not (cercas[n - 1] and cercas[n - 1][-1].literal)
        if fora_de_codigo and (solto := re.search(rf"(?<![\w{{:`])({PAPEIS})`[^`]+`", original)):
            certo = solto[0].replace(solto[1], f"{{{solto[1]}}}", 1)
            yield f"{pagina}:{n}: faltam as chaves em {solto[0]}; escreva {certo}"
        for imagem in re.findall(r"<img\b[^>]*>", linha):
            if not re.search(r"""\balt=(["'])\s*[^"'\s]""", imagem):
                yield f'{pagina}:{n}: imagem sem texto alternativo; acrescente alt="o que se vê"'
        for fecha, nome in re.findall(r"<(/?)(\w+)\b[^>]*?(?<!/)>", linha):
            if nome.lower() in abertas:
                if not fecha:
                    abertas[nome.lower()].append(n)
                elif abertas[nome.lower()]:
                    abertas[nome.lower()].pop()
                else:
                    yield f"{pagina}:{n}: </{nome}> fecha o que não abriu; apague-o, ou abra antes <{nome}>"
    for nome, linhas in abertas.items():
        for n in linhas:
            yield f"{pagina}:{n}: <{nome}> abre aqui e não fecha; acrescente </{nome}>"


def _diretivas(texto: str, pagina: str) -> Iterator[tuple[Cerca, str, dict[str, str]]]:
    """Cada diretiva, com o que vem depois do nome e as suas opções."""
    linhas = texto.split("\n")
    for n, abertas in enumerate(le_cercas(texto, pagina), 1):
        if abertas and abertas[-1].linha == n and abertas[-1].diretiva:
            opcoes = itertools.takewhile(bool, (re.match(r"\s*:([\w-]+):\s*(.*)", x) for x in linhas[n:]))
            argumento = abertas[-1].info.partition("}")[2].strip()
            yield abertas[-1], argumento, {o[1]: o[2].strip() for o in opcoes if o}


def exercicios(texto: str, pagina: str) -> Iterator[str]:
    """Exercício sem rótulo ou sem solução; solução de exercício que não há na página."""
    pedidos: dict[str, int] = {}
    resolvidos: dict[str, int] = {}
    for cerca, argumento, opcoes in _diretivas(texto, pagina):
        if cerca.diretiva == "exercise":
            if rotulo := opcoes.get("label", ""):
                pedidos[rotulo] = cerca.linha
            else:
                yield f"{pagina}:{cerca.linha}: exercício sem rótulo; acrescente a linha `:label: ex-…`"
        elif cerca.diretiva in ("solution", "solution-start"):
            resolvidos[argumento] = cerca.linha
    for rotulo in pedidos.keys() - resolvidos.keys():
        yield (
            f"{pagina}:{pedidos[rotulo]}: o exercício {rotulo} não tem solução; escreva logo depois "
            f"{{solution-start}} {rotulo} e {{solution-end}}"
        )
    for rotulo in resolvidos.keys() - pedidos.keys():
        yield (
            f"{pagina}:{resolvidos[rotulo]}: solução de {rotulo!r}, que não é exercício da página; confira "
            "o nome no :label: do exercício"
        )


def rotulos(texto: str, pagina: str) -> Iterator[tuple[str, str]]:
    """Cada rótulo que a página define, com o lugar."""
    for n, (linha, abertas) in enumerate(zip(texto.split("\n"), le_cercas(texto, pagina), strict=True), 1):
        if not (abertas and abertas[-1].literal) and (alvo := re.match(r"\(([^()\s]+)\)=\s*$", linha)):
            yield alvo[1], f"{pagina}:{n}"
    for cerca, _, opcoes in _diretivas(texto, pagina):
        for nome in {"label", "name", "figura"} & opcoes.keys():
            yield opcoes[nome], f"{pagina}:{cerca.linha}"


def rotulos_repetidos(textos: dict[str, str]) -> Iterator[str]:
    """Rótulos que duas partes do livro definem."""
    donos: dict[str, str] = {}
    for pagina, texto in textos.items():
        for rotulo, lugar in rotulos(texto, pagina):
            if rotulo in donos:
                yield f"{lugar}: o rótulo {rotulo} já é de {donos[rotulo]}; dê outro nome a um dos dois"
            donos.setdefault(rotulo, lugar)


def glossario(texto: str, pagina: str) -> Iterator[str]:
    """Termos definidos fora do glossário: o Sphinx, incremental, os perderia lá."""
    for cerca, _, _ in _diretivas(texto, pagina):
        if cerca.diretiva == "glossary" and pagina != "book/glossario.md":
            yield f"{pagina}:{cerca.linha}: os termos moram em book/glossario.md; leve estes para lá"


def nomes_do_pacote(textos: dict[str, str], celulas: list[Celula]) -> Iterator[str]:
    """Referências como {func}`homellm.data.x` a um nome que o pacote não tem."""
    nomes: dict[str, set[str]] = {"__init__": set()}
    for celula in celulas:
        if celula.modulo is not None:
            nomes.setdefault(celula.modulo, set()).update(_nomes(celula))
    papel = rf"\{{(?:py:)?(?:func|class|meth|mod|attr|data|exc)\}}`(?:[^`<]*<)?[~!]?{PACOTE}\.([\w.]+)"
    for pagina, texto in textos.items():
        for n, linha in enumerate(texto.split("\n"), 1):
            for alvo in re.findall(papel, linha):
                modulo, _, resto = alvo.partition(".")
                nome = resto.split(".")[0]
                if modulo not in nomes:
                    yield f"{pagina}:{n}: {PACOTE}.{modulo} não existe; há {', '.join(sorted(nomes))}"
                elif nome and nome not in nomes[modulo]:
                    yield f"{pagina}:{n}: {PACOTE}.{modulo} não tem {nome}; confira o nome na página da API"


def _nomes(celula: Celula) -> Iterator[str]:
    yield from nomes_definidos(celula.arvore())
    for no in celula.arvore().body:
        if isinstance(no, (ast.Import, ast.ImportFrom)):
            yield from (a.asname or a.name for a in no.names)
        elif isinstance(no, (ast.Assign, ast.AnnAssign)):
            alvos = no.targets if isinstance(no, ast.Assign) else [no.target]
            yield from (a.id for a in alvos if isinstance(a, ast.Name))


def dados(raiz: Path, textos: dict[str, str]) -> Iterator[str]:
    """Arquivo de dados de que nenhum cartão nem página fala; linha de tabela que não é JSON."""
    pasta = raiz / "data"
    cartoes = [le_texto(md, raiz) for md in sorted(pasta.glob("*.md"))]
    for arquivo in sorted(p for p in pasta.glob("*") if p.is_file() and p.suffix not in (".md", "")):
        nome = arquivo.relative_to(raiz).as_posix()
        if not any(arquivo.name in texto for texto in (*cartoes, *textos.values())):
            yield f"{nome}:1: nenhum cartão fala deste arquivo; escreva data/{arquivo.stem}.md (de onde veio)"
        if arquivo.suffix == ".jsonl":
            yield from _linhas_de_tabela(arquivo, raiz)


def _linhas_de_tabela(arquivo: Path, raiz: Path) -> Iterator[str]:
    try:
        linhas = le_texto(arquivo, raiz).split("\n")
    except ErroDoLivro as erro:
        yield str(erro)
        return
    for n, linha in enumerate(linhas, 1):
        if linha.strip():
            try:
                lida = json.loads(linha)
            except ValueError as erro:
                lida, causa = None, f"não é JSON ({erro})"
            else:
                causa = "não é um objeto {…}"
            if not isinstance(lida, dict):
                yield f"{arquivo.relative_to(raiz).as_posix()}:{n}: a linha {causa}; conserte-a ou apague-a"


def bibliografia(raiz: Path) -> Iterator[str]:
    """Entrada da bibliografia que não se lê, que está lá duas vezes, ou a que falta o que citar."""
    for arquivo in sorted((raiz / "book").glob("*.bib")):
        nome = arquivo.relative_to(raiz).as_posix()
        try:
            linhas = le_texto(arquivo, raiz).split("\n")
        except ErroDoLivro as erro:
            yield str(erro)
            continue
        abertas = [n for n, linha in enumerate(linhas, 1) if re.match(r"@\w+\{", linha)]
        for n, seguinte in itertools.pairwise([*abertas, len(linhas) + 1]):
            entrada = "\n".join(linhas[n - 1 : seguinte - 1])
            try:
                (chave, lida), *_ = Parser().parse_string(entrada).entries.items()
            except (PybtexError, ValueError):
                causa = "confira as chaves, as aspas e a vírgula no fim de cada campo"
                yield f"{nome}:{n}: a entrada que começa aqui não se lê; {causa}"
                continue
            if repetida := [m for m in abertas if m < n and f"{{{chave}," in linhas[m - 1]]:
                yield f"{nome}:{n}: a entrada {chave} já está na linha {repetida[0]}; mude o nome de uma"
            if not hasattr(ListaAutorAno, f"get_{lida.type}_template"):
                yield f"{nome}:{n}: o livro não sabe escrever uma @{lida.type}; use @article, @book ou @misc"
            for campo in sorted({"title", "year"} - {c.lower() for c in lida.fields}):
                yield f"{nome}:{n}: a entrada {chave} não tem {campo}; acrescente a linha {campo} = {{…}}"
