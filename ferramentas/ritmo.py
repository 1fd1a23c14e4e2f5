"""O ritmo de um capítulo, contado: palavras por linha de código à vista, e figuras nas seções longas.

As medidas, e por que estas, estão na página “Convenções” (`book/convencoes.md`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import pairwise

from ferramentas.celulas import Celula, le_cercas
from ferramentas.livro import numero_do_capitulo
from ferramentas.prosa import do_markdown

MENOS_PALAVRAS = 8  # de prosa, por linha de código à vista, no capítulo
CURTO = 100  # linhas à vista; um capítulo menor, que mal começou, ainda não tem ritmo a medir
SECAO_LONGA = 600  # palavras; acima disso, ao menos uma figura

# Seções longas sem figura: a página, o título, e por que não precisam de uma.
SEM_FIGURA: Mapping[tuple[str, str], str] = {}

_FIGURA = re.compile(r"\s*:figura:\s*\S|\s*[`~:]{3,}\{(?:figure|image)\}|.*!\[[^\]]+\]\(|.*<(?:img|svg)\b")


def _recolhidas(texto: str, pagina: str) -> set[int]:
    """As linhas dentro de uma solução, que começa fechada."""
    dentro, linhas = False, set()
    for n, (linha, cercas) in enumerate(zip(texto.split("\n"), le_cercas(texto, pagina), strict=True), 1):
        dentro = (dentro or "{solution-start}" in linha) and "{solution-end}" not in linha
        if dentro or any(cerca.diretiva == "solution" for cerca in cercas):
            linhas.add(n)
    return linhas


def a_vista(celula: Celula) -> bool:
    """O leitor vê o código da célula sem clicar em nada?"""
    return celula.resumo is None and not any(e.startswith(("hide-", "remove-")) for e in celula.etiquetas)


def contagem(texto: str, pagina: str, celulas: list[Celula]) -> tuple[int, int]:
    """As palavras de prosa e as linhas de código à vista, fora das soluções."""
    fechadas = _recolhidas(texto, pagina)
    lidos = (t.texto for t in do_markdown(texto, pagina) if t.linha not in fechadas)
    palavras = sum(len(re.findall(r"\w+", lido)) for lido in lidos)
    linhas = sum(
        sum(bool(linha.strip()) for linha in celula.fonte.split("\n"))
        for celula in celulas
        if a_vista(celula) and celula.linha not in fechadas
    )
    return palavras, linhas


def secoes(texto: str, pagina: str) -> Iterator[tuple[str, int, int, bool]]:
    """Cada seção até o título seguinte: o título, a linha, as palavras de prosa, e se tem figura."""
    cercas, linhas, fechadas = le_cercas(texto, pagina), texto.split("\n"), _recolhidas(texto, pagina)
    titulos = [n for n, linha in enumerate(linhas, 1) if re.match(r"#{1,6} +\S", linha) and not cercas[n - 1]]
    lidos = [t for t in do_markdown(texto, pagina) if t.linha not in fechadas]
    for n, seguinte in pairwise([*titulos, len(linhas) + 1]):
        palavras = sum(len(re.findall(r"\w+", t.texto)) for t in lidos if n < t.linha < seguinte)
        figura = any(_FIGURA.match(linha) for linha in linhas[n : seguinte - 1])
        yield linhas[n - 1].lstrip("# ").strip(), n, palavras, figura


def confere(
    texto: str, pagina: str, celulas: list[Celula], sem_figura: Mapping[tuple[str, str], str] = SEM_FIGURA
) -> Iterator[str]:
    """As queixas de uma página: só os capítulos têm ritmo a conferir."""
    if numero_do_capitulo(pagina.removesuffix(".md")) is None:
        return
    palavras, linhas = contagem(texto, pagina, celulas)
    if linhas >= CURTO and palavras < MENOS_PALAVRAS * linhas:
        yield (
            f"{pagina}:1: {palavras} palavras de prosa para {linhas} linhas de código à vista; o livro pede "
            f"{MENOS_PALAVRAS} por linha; recolha com :resumo: o que só confere, ou explique mais"
        )
    for titulo, n, da_secao, figura in secoes(texto, pagina):
        if da_secao > SECAO_LONGA and not figura and (pagina, titulo) not in sem_figura:
            yield (
                f"{pagina}:{n}: a seção “{titulo}” tem {da_secao} palavras e nenhuma figura; ponha uma, "
                "reparta-a, ou diga em SEM_FIGURA (ferramentas/ritmo.py) por que não precisa"
            )
