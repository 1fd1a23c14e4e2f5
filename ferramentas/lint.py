"""Revisa as páginas: o que o Sphinx deixa passar e o leitor notaria.

uso: python ferramentas/lint.py
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from celulas import Celula, confere_cercas, le_celulas
from execucao import modulos_importados
from livro import PACOTE, RAIZ, ErroDoLivro, paginas


def revisa(raiz: Path = RAIZ) -> list[str]:
    """Todas as queixas, cada uma com arquivo, linha e o que fazer; lista vazia se está tudo em ordem."""
    try:
        do_livro = paginas(raiz)
    except ErroDoLivro as erro:
        return [str(erro)]
    queixas = [
        f"{p.relative_to(raiz).as_posix()}:1: a página não está em _toc.yml; acrescente-a, ou apague-a"
        for p in sorted((raiz / "book").rglob("*.md"))
        if p not in do_livro
    ]
    celulas: list[Celula] = []
    for md in do_livro:
        pagina, texto = md.relative_to(raiz).as_posix(), md.read_text("utf-8")
        try:
            confere_cercas(texto, pagina)
            da_pagina = le_celulas(md, raiz)
            for celula in da_pagina:
                celula.arvore()
            celulas += da_pagina
        except ErroDoLivro as erro:
            queixas.append(str(erro))
            continue
        prosa = so_prosa(texto)
        for linha, queixa in [*_imagens(texto), *_notas(prosa), *_formulas(prosa)]:
            queixas.append(f"{pagina}:{linha}: {queixa}")
    return queixas + [f"{lugar}: {queixa}" for lugar, queixa in _importacoes(celulas)]


def so_prosa(texto: str) -> str:
    """O texto com cabeçalho, código e comentários em branco, nas mesmas linhas."""
    saida: list[str] = []
    cerca = ""
    cabecalho = texto.startswith("---\n")
    for n, linha in enumerate(texto.split("\n")):
        if cabecalho:
            saida.append("")
            cabecalho = not (n and linha == "---")
        elif cerca:
            saida.append("")
            if linha.strip().startswith(cerca) and not linha.strip().strip(cerca[0]):
                cerca = ""
        elif achado := re.match(r"\s*(`{3,}|~{3,})(\{(?:code-cell|code-block)\}.*|[^{`]*)$", linha):
            cerca = achado[1]
            saida.append("")
        elif linha.startswith("%"):
            saida.append("")
        else:
            saida.append(re.sub(r"(`+)(?!`).+?(?<!`)\1(?!`)", lambda m: " " * len(m[0]), linha))
    return "\n".join(saida)


def _imagens(texto: str) -> Iterator[tuple[int, str]]:
    linhas = so_prosa(texto).split("\n")
    for n, linha in enumerate(linhas, 1):
        if re.search(r"!\[\s*\]\(", linha):
            yield n, "imagem sem texto alternativo: escreva entre os colchetes o que se vê"
        if re.match(r"\s*(`{3,}|:{3,})\{(figure|image)\}", linha):
            opcoes = []
            for seguinte in linhas[n:]:
                if not re.match(r"\s*:[\w-]+:", seguinte):
                    break
                opcoes.append(seguinte)
            if not any(re.match(r"\s*:alt:\s*\S", o) for o in opcoes):
                yield n, "figura sem texto alternativo: acrescente a linha `:alt: o que se vê`"


def _notas(prosa: str) -> Iterator[tuple[int, str]]:
    definidas: dict[str, int] = {}
    usadas: dict[str, int] = {}
    for n, linha in enumerate(prosa.split("\n"), 1):
        if achado := re.match(r"\[\^([^\]]+)\]:", linha):
            if achado[1] in definidas:
                yield n, f"nota de rodapé [^{achado[1]}] definida duas vezes; dê outro nome a uma delas"
            definidas[achado[1]] = n
            linha = linha[achado.end() :]
        for nome in re.findall(r"\[\^([^\]]+)\]", linha):
            usadas.setdefault(nome, n)
    for nome in usadas.keys() - definidas.keys():
        yield usadas[nome], f"nota de rodapé [^{nome}] usada e não definida; acrescente uma linha [^{nome}]: …"
    for nome in definidas.keys() - usadas.keys():
        yield definidas[nome], f"nota de rodapé [^{nome}] definida e não usada; cite-a no texto ou apague-a"


def _formulas(prosa: str) -> Iterator[tuple[int, str]]:
    padrao = (
        r"(?s)(?<!\\)\$\$(?P<bloco>.*?)(?<!\\)\$\$"
        r"|(?m:^)`{3,}\{math\}(?P<diretiva>.*?)\n`{3,}"
        r"|(?<![\\\$])\$(?![\s\d$])(?P<linha>[^$\n]+?)(?<![\s\\])\$(?!\d)"
    )
    restante = list(prosa)
    for achado in re.finditer(padrao, prosa):
        formula = next(g for g in (achado["bloco"], achado["diretiva"], achado["linha"]) if g is not None)
        n = prosa.count("\n", 0, achado.start()) + 1
        if queixa := _formula_torta(re.sub(r"(?m)^\s*:\w+:.*$", "", formula)):
            yield n, f"fórmula {queixa}: {' '.join(formula.split())[:60]}"
        restante[achado.start() : achado.end()] = [c if c == "\n" else " " for c in achado[0]]
    for n, linha in enumerate("".join(restante).split("\n"), 1):
        if re.search(r"(?<!\\)\$\$", linha):
            yield n, "fórmula aberta por $$ que não fecha; acrescente o $$ final"


def _formula_torta(formula: str) -> str | None:
    """O que há de errado no LaTeX, ou `None`.

    >>> _formula_torta(r"\\frac{a}{b"), _formula_torta(r"\\frac{a}{b}")
    ('com chaves desencontradas { }', None)
    """
    sem_escape = re.sub(r"\\[{}\\]", "", formula)
    fundo = 0
    for c in sem_escape:
        fundo += (c == "{") - (c == "}")
        if fundo < 0:
            break
    if fundo:
        return "com chaves desencontradas { }"
    if re.findall(r"\\begin\{(\w+\*?)\}", formula) != re.findall(r"\\end\{(\w+\*?)\}", formula)[::-1] and sorted(
        re.findall(r"\\begin\{(\w+\*?)\}", formula)
    ) != sorted(re.findall(r"\\end\{(\w+\*?)\}", formula)):
        return r"com \begin sem \end (ou o contrário)"
    if len(re.findall(r"\\left(?![a-zA-Z])", formula)) != len(re.findall(r"\\right(?![a-zA-Z])", formula)):
        return r"com \left sem \right (ou o contrário)"
    return None


def _importacoes(celulas: list[Celula]) -> Iterator[tuple[str, str]]:
    """Importações de módulo que não existe, ou que só nasce numa página seguinte."""
    nascimento: dict[str, int] = {}
    for i, celula in enumerate(celulas):
        if celula.destino:
            nascimento.setdefault(Path(celula.destino).stem, i)
    for i, celula in enumerate(celulas):
        for modulo in sorted(modulos_importados(celula.arvore())):
            if modulo not in nascimento:
                if modulo not in _nomes_do_pacote(celulas):
                    yield celula.lugar, f"importa {PACOTE}.{modulo}, que nenhuma célula do livro cria; confira o nome"
            elif celulas[nascimento[modulo]].pagina != celula.pagina and nascimento[modulo] > i:
                onde = celulas[nascimento[modulo]].lugar
                yield celula.lugar, f"importa {PACOTE}.{modulo}, que só nasce depois, em {onde}; um capítulo não depende dos seguintes"


def _nomes_do_pacote(celulas: list[Celula]) -> set[str]:
    """Nomes definidos em `homellm/__init__.py` (como `__version__`), que também se importam do pacote."""
    return {
        no.id
        for celula in celulas
        if celula.destino == f"{PACOTE}/__init__.py"
        for raiz_no in celula.arvore().body
        for no in getattr(raiz_no, "targets", [])
        if hasattr(no, "id")
    }


if __name__ == "__main__":
    encontradas = revisa()
    for frase in encontradas:
        print(frase)
    sys.exit(1 if encontradas else 0)
