"""Revisa as páginas: o que o Sphinx deixa passar e o leitor notaria.

uso: python -m ferramentas.lint
"""

from __future__ import annotations

import ast
import itertools
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from ferramentas import dispositivo, estrutura, lingua, ritmo
from ferramentas.celulas import Celula, le_celulas, le_cercas
from ferramentas.diario import e_post, le_post
from ferramentas.importacoes import Grafo, importacoes
from ferramentas.livro import PACOTE, RAIZ, ErroDoLivro, enderecos, le_texto, numero_do_capitulo, paginas

COLUNAS = 88  # do código do pacote
UNIDADES = "s|ms|min|h|[kKMGT]B|nats?|bits?|bytes?|vezes|pontos?|graus?|(?:mil|bil|tril)(?:hão|hões)"
DECIMAL = re.compile(  # só o que é decimal com certeza: nem versão, nem seção, nem milhar
    r"(?<![\w.,/-])(?:0\.\d+(?!\w|\.\d)|\d+\.(?:\d\d?|\d{4,})(?=\s?%|[ \u00a0](?:" + UNIDADES + r")\b))"
)
# Um capítulo não depende dos seguintes. Aqui, quem mostra antes o que eles fazem, numa célula que não vai
# para o pacote, e por quê.
ADIANTADAS = {
    ("book/01-introducao.md", "weights"): "a figura de abertura mostra o modelo pronto, com os números dele"
}
NUMERADOS = re.compile(
    r"(?i)\b(?:homellm|(?:vers|seç|equaç)(?:ão|ões)|figuras?|tabelas?|exercícios?|listage[mn]s?)\W*$"
)


def revisa(raiz: Path = RAIZ) -> list[str]:
    """Todas as queixas, cada uma com arquivo, linha e o que fazer; lista vazia se está tudo em ordem."""
    try:
        do_livro = paginas(raiz)
        enderecos(raiz)
    except ErroDoLivro as erro:
        return [str(erro)]
    queixas = [
        f"{p.relative_to(raiz).as_posix()}:1: a página não está em _toc.yml; acrescente-a, ou apague-a"
        for p in sorted((raiz / "book").rglob("*.md"))
        if p not in do_livro
    ]
    queixas += [*estrutura.nomes_de_arquivo(raiz), *estrutura.numeros(do_livro, raiz)]
    celulas: list[Celula] = []
    textos: dict[str, str] = {}
    documentados: set[str] = set()
    inteiro = True  # todas as páginas foram lidas?
    for md in do_livro:
        pagina = md.relative_to(raiz).as_posix()
        try:
            texto = le_texto(md, raiz)
            da_pagina = le_celulas(md, raiz)
            prosa = so_prosa(texto, pagina)
            if e_post(pagina.removesuffix(".md")):
                le_post(md, raiz)
        except ErroDoLivro as erro:
            queixas.append(str(erro))
            inteiro = False
            continue
        for celula in da_pagina:
            try:
                celula.arvore()
            except ErroDoLivro as erro:
                queixas.append(str(erro))
                inteiro = False
        celulas += da_pagina
        textos[pagina] = texto
        queixas += _linhas_compridas(da_pagina)
        documentados |= set(re.findall(r"(?m)^\.\. automodule:: (\S+)", texto))
        da_prosa = [*_imagens(prosa), *_notas(prosa), *_formulas(prosa), *_decimais(prosa, texto, da_pagina)]
        for linha, queixa in sorted(da_prosa):
            queixas.append(f"{pagina}:{linha}: {queixa}")
        queixas += estrutura.titulos(prosa, pagina)
        queixas += estrutura.marcas_soltas(prosa, texto, pagina)
        queixas += estrutura.exercicios(texto, pagina)
        queixas += estrutura.glossario(texto, pagina)
        queixas += ritmo.confere(texto, pagina, da_pagina)
    queixas += [*estrutura.rotulos_repetidos(textos), *estrutura.dados(raiz, textos)]
    queixas += estrutura.bibliografia(raiz)
    queixas += lingua.da_prosa(raiz)
    if not inteiro:  # o que uma página importa pode nascer no que não se leu
        return queixas
    queixas += _ao_importar(celulas)
    queixas += lingua.das_celulas(celulas, raiz)
    queixas += dispositivo.na_cpu(celulas)
    da_secao = [*_importacoes(celulas), *_sem_documentacao(celulas, documentados)]
    queixas += [f"{lugar}: {queixa}" for lugar, queixa in da_secao]
    return queixas + [*estrutura.nomes_do_pacote(textos, celulas)]


def so_prosa(texto: str, pagina: str = "") -> str:
    """O texto com cabeçalho, código e comentários em branco, nas mesmas linhas; as fórmulas ficam.

    >>> so_prosa("a `b` c\\n```python\\n[^x]\\n```\\nd")
    'a     c\\n\\n\\n\\nd'
    """
    saida: list[str] = []
    cabecalho = texto.startswith("---\n")
    for n, (linha, abertas) in enumerate(zip(texto.split("\n"), le_cercas(texto, pagina), strict=True)):
        if cabecalho:
            saida.append("")
            cabecalho = not (n and linha == "---")
        elif linha.startswith("%") or (abertas and abertas[-1].literal and abertas[-1].diretiva != "math"):
            saida.append("")
        elif abertas and n + 1 == abertas[-1].linha:  # a linha que abre uma diretiva
            saida.append(linha)
        else:
            saida.append(re.sub(r"(?<!`)(`+)(?!`).+?(?<!`)\1(?!`)", lambda m: " " * len(m[0]), linha))
    return "\n".join(saida)


def _linhas_compridas(celulas: list[Celula]) -> Iterator[str]:
    """As linhas que no pacote passariam da largura."""
    for celula in celulas:
        for n, linha in enumerate(celula.fonte.split("\n"), celula.linha_do_codigo):
            if celula.destino and len(linha) > COLUNAS:
                tamanho = f"linha de {len(linha)} colunas; o pacote vai até {COLUNAS}"
                yield f"{celula.pagina}:{n}: {tamanho}: reparta-a"


def _ao_importar(celulas: list[Celula]) -> Iterator[str]:
    """O que uma célula do pacote faria quando alguém importasse o módulo."""
    for celula in celulas:
        for no in celula.arvore().body if celula.destino else []:
            if isinstance(no, ast.Expr) and isinstance(no.value, ast.Call):
                n = celula.linha_do_codigo + no.lineno - 1
                chamada = ast.unparse(no.value.func)
                yield (
                    f"{celula.pagina}:{n}: {chamada}(…) rodaria a cada importação de {celula.destino}; leve "
                    "a chamada a uma célula sem :tangle:"
                )


def _imagens(prosa: str) -> Iterator[tuple[int, str]]:
    linhas = prosa.split("\n")
    for n, linha in enumerate(linhas, 1):
        if re.search(r"!\[\s*\]\(", linha):
            yield n, "imagem sem texto alternativo: escreva entre os colchetes o que se vê"
        if re.match(r"\s*(`{3,}|~{3,}|:{3,})\{(figure|image)\}", linha):
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
        if achado := re.match(r" {0,3}\[\^([^\]]+)\]:", linha):
            if achado[1] in definidas:
                yield n, f"nota de rodapé [^{achado[1]}] definida duas vezes; dê outro nome a uma delas"
            definidas[achado[1]] = n
            linha = linha[achado.end() :]
        for nome in re.findall(r"\[\^([^\]]+)\]", linha):
            usadas.setdefault(nome, n)
    for nome in usadas.keys() - definidas.keys():
        yield usadas[nome], f"nota de rodapé [^{nome}] usada e não definida; acrescente a linha [^{nome}]: …"
    for nome in definidas.keys() - usadas.keys():
        yield definidas[nome], f"nota de rodapé [^{nome}] definida e não usada; cite-a no texto ou apague-a"


def _decimais(prosa: str, texto: str, celulas: list[Celula]) -> Iterator[tuple[int, str]]:
    """Números com ponto no lugar da vírgula, na prosa e no que as figuras das células dizem.

    >>> [queixa.split(";")[0] for _, queixa in _decimais("de 0.52 a 3.5 %, com o Python 3.10", "", [])]
    ['0.52 tem ponto no lugar da vírgula', '3.5 tem ponto no lugar da vírgula']
    """
    linhas = dict(enumerate(prosa.split("\n"), 1))
    original = texto.split("\n")
    for celula in celulas:
        for n in range(celula.linha + 1, celula.linha_do_codigo):
            if re.match(r":(legenda|alt):", original[n - 1]):
                linhas[n] = original[n - 1]
    for n, linha in linhas.items():
        if re.match(r"\s*:(?!legenda|alt|caption)[\w-]+:", linha):  # uma opção, como a largura
            continue
        limpa = re.sub(r"\]\([^)]*\)|https?://\S+|<[^>]*>|\{[\w:]+\}", lambda m: " " * len(m[0]), linha)
        for achado in DECIMAL.finditer(limpa):
            if not NUMERADOS.search(limpa[: achado.start()]):
                inteira, casas = achado[0].split(".")
                certo = f"{inteira},{casas} (numa fórmula, {inteira}{{,}}{casas})"
                yield n, f"{achado[0]} tem ponto no lugar da vírgula; escreva {certo}"


def _formulas(prosa: str) -> Iterator[tuple[int, str]]:
    """Fórmulas tortas: blocos `$$…$$`, diretivas `{math}`, e `$…$` dentro de um parágrafo."""
    padrao = (
        r"(?s)(?<!\\)\$\$(?P<bloco>.*?)(?<!\\)\$\$"
        r"|(?m:^)[ \t]*(?P<cerca>`{3,}|~{3,}|:{3,})\{math\}(?P<diretiva>.*?)\n[ \t]*(?P=cerca)"
    )
    restante = list(prosa)
    for achado in re.finditer(padrao, prosa):
        formula = achado["bloco"] if achado["bloco"] is not None else achado["diretiva"]
        if queixa := _formula_torta(re.sub(r"(?m)^\s*:\w+:.*$", "", formula)):
            yield _linha(prosa, achado.start()), f"fórmula {queixa}: {_resumo(formula)}"
        restante[achado.start() : achado.end()] = [c if c == "\n" else " " for c in achado[0]]
    sobra = "".join(restante)
    for paragrafo in re.finditer(r"(?s)\S.*?(?=\n[ \t]*\n|\Z)", sobra):
        sinais = [paragrafo.start() + m.start() for m in re.finditer(r"(?<!\\)\$\$?", paragrafo[0])]
        while sinais:
            inicio, n = sinais[0], _linha(sobra, sinais[0])
            if sobra.startswith("$$", inicio):
                yield n, "fórmula aberta por $$ que não fecha; acrescente o $$ final"
            elif re.match(r"R\$[ \d]", sobra[max(inicio - 1, 0) : inicio + 2]):
                yield n, "R$ abre uma fórmula; se é dinheiro, escreva R\\$"
            elif len(sinais) == 1:
                yield n, "fórmula aberta por $ que não fecha neste parágrafo; feche-a (ou escreva \\$)"
            else:
                formula = sobra[inicio + 1 : sinais[1]]
                if queixa := _formula_torta(formula):
                    yield n, f"fórmula {queixa}: {_resumo(formula)}"
                sinais.pop(0)
            sinais.pop(0)


def _linha(texto: str, posicao: int) -> int:
    return texto.count("\n", 0, posicao) + 1


def _resumo(formula: str) -> str:
    return " ".join(formula.split())[:60]


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
    ambientes: list[str] = []
    for comando, nome in re.findall(r"\\(begin|end)\{(\w+\*?)\}", formula):
        if comando == "begin":
            ambientes.append(nome)
        elif not ambientes or ambientes.pop() != nome:
            return rf"com \end{{{nome}}} que não fecha o \begin mais próximo"
    if ambientes:
        return rf"com \begin{{{ambientes[-1]}}} sem \end"
    if len(re.findall(r"\\left(?![a-zA-Z])", formula)) != len(re.findall(r"\\right(?![a-zA-Z])", formula)):
        return r"com \left sem \right (ou o contrário)"
    return None


def _importacoes(celulas: list[Celula]) -> Iterator[tuple[str, str]]:
    """Importações de módulo que não existe, que só nasce num capítulo seguinte, ou em círculo."""
    grafo = Grafo(celulas)
    do_pacote = _nomes_do_pacote(celulas)
    ditas: set[tuple[str, str]] = set()  # uma queixa por página e módulo
    for celula in celulas:
        numero = numero_do_capitulo(celula.pagina.removesuffix(".md"))
        for modulo, lugar in importacoes(celula):
            if modulo not in grafo.nascimento:
                if modulo not in do_pacote:
                    yield (
                        lugar,
                        f"importa {PACOTE}.{modulo}, que nenhuma célula do livro cria; confira o nome",
                    )
            elif not celula.destino and (celula.pagina, modulo) in ADIANTADAS:
                continue
            elif numero is not None and (celula.pagina, modulo) not in ditas:
                if caminho := grafo.ate_um_seguinte(modulo, numero):
                    ditas.add((celula.pagina, modulo))
                    onde = grafo.nascimento[caminho[-1]].lugar
                    frase = f"importa {_cadeia(grafo, caminho)}, que só nasce depois, em {onde}"
                    yield lugar, f"{frase}; um capítulo não depende dos seguintes"
    for circulo in grafo.circulos():
        yield (
            grafo.setas[circulo[0]][circulo[1]],
            f"importações em círculo: {_cadeia(grafo, circulo)}; "
            "leve o que os dois usam para um módulo que não importe nenhum deles",
        )


def _cadeia(grafo: Grafo, caminho: list[str]) -> str:
    """“homellm.a, que importa homellm.b (book/x.md:3), que importa …”."""
    partes = [f"{PACOTE}.{caminho[0]}"]
    for de, para in itertools.pairwise(caminho):
        partes.append(f"que importa {PACOTE}.{para} ({grafo.setas[de][para]})")
    return ", ".join(partes)


def _sem_documentacao(celulas: list[Celula], documentados: set[str]) -> Iterator[tuple[str, str]]:
    """Módulos que a página da API não mostra: a legenda da célula não teria para onde levar."""
    vistos = {f"{PACOTE}/__init__.py"}
    for celula in celulas:
        if celula.destino and celula.destino not in vistos:
            vistos.add(celula.destino)
            modulo = celula.destino[:-3].replace("/", ".")
            if modulo not in documentados:
                yield (
                    celula.lugar,
                    f"{modulo} não está na página da API; acrescente lá `.. automodule:: {modulo}`",
                )


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
