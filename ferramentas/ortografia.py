"""A ortografia da prosa, pelo hunspell com o dicionário pt_BR e as palavras do projeto.

uso: python -m ferramentas.ortografia                    confere a prosa do livro
     python -m ferramentas.ortografia --aceita sobreajuste ngrama   acrescenta palavras certas ao dicionário

As palavras do projeto estão em `ferramentas/dicionario.txt`, uma por linha, em ordem. Não se conferem as
siglas, os nomes com maiúscula no meio, as palavras estrangeiras em itálico e a palavra sozinha entre aspas.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

from ferramentas import prosa
from ferramentas.livro import RAIZ, ErroDoLivro, grava, le_texto
from ferramentas.prosa import Trecho

DICIONARIO = "ferramentas/dicionario.txt"
SUGESTOES = 3  # por palavra
COM_SUGESTAO = 10  # palavras, as primeiras: procurá-las demora
PACIENCIA = 3  # segundos
FALTA = (
    "A ortografia não foi conferida: falta o hunspell com o dicionário pt_BR "
    "(sudo apt install hunspell hunspell-pt-br)."
)
_PALAVRA = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_PASSA = re.compile(r"(?<!\*)\*(?!\*)[^*\n]+\*(?!\*)|“\s?[^”\s]*\s?”|\{[.#][^}]*\}")


def chave(palavra: str) -> tuple[str, str]:
    """A ordem do dicionário: sem acento nem maiúscula; os empates, pela palavra.

    >>> sorted(["zero", "Átila", "atenção", "bpe"], key=chave)
    ['atenção', 'Átila', 'bpe', 'zero']
    """
    decomposta = unicodedata.normalize("NFD", palavra)
    return "".join(c for c in decomposta if not unicodedata.combining(c)).casefold(), palavra


def dicionario(raiz: Path = RAIZ) -> set[str]:
    """As palavras do projeto. Erro se estão fora de ordem ou repetidas, com a linha."""
    if not (raiz / DICIONARIO).exists():
        return set()
    linhas = le_texto(raiz / DICIONARIO, raiz).split("\n")
    while linhas and not linhas[-1]:
        linhas.pop()
    for n, (antes, depois) in enumerate(zip(linhas, linhas[1:], strict=False), 2):
        if chave(antes) >= chave(depois):
            causa = "está repetida" if antes == depois else f"vem antes de {antes!r}"
            raise ErroDoLivro(
                f"{DICIONARIO}:{n}: {depois!r} {causa}; rode python -m ferramentas.ortografia --aceita, "
                "que põe o arquivo em ordem"
            )
    return set(linhas)


def palavras(trecho: Trecho) -> Iterator[str]:
    """As palavras que se conferem numa linha de prosa.

    >>> list(palavras(Trecho("x", 1, "O GPT leu “casinh” em *corpora*: pré-treino e “dois pães”.")))
    ['leu', 'em', 'pré-treino', 'dois', 'pães']
    """
    texto = f" {_PASSA.sub(lambda m: ' ' * len(m[0]), trecho.texto)} "
    for achado in _PALAVRA.finditer(texto):
        palavra, antes, depois = achado[0], texto[: achado.start()], texto[achado.end() :]
        de_um_nome = re.search(r"\S[./]$|[\d_]$", antes) or re.match(r"[./]\w|[\d_]", depois)  # homellm.plots
        pedaco = antes[-1] in "-…·␣|" or depois[0] in "-|"  # a desinência -ões
        if len(palavra) > 1 and palavra[1:].islower() and not de_um_nome and not pedaco:
            yield palavra


def instalado() -> bool:
    """Há hunspell, com o dicionário pt_BR?"""
    if shutil.which("hunspell") is None:
        return False
    saida = subprocess.run(["hunspell", "-D"], input=b"", capture_output=True, check=False)
    return b"pt_BR" in saida.stdout + saida.stderr


def _hunspell(opcao: str, lidas: Iterable[str], limite: float | None = None) -> str:
    comando = ["hunspell", "-d", "pt_BR", "-i", "utf-8", opcao]
    entrada = "".join(f"{palavra}\n" for palavra in lidas)
    saida = subprocess.run(comando, input=entrada.encode(), capture_output=True, check=True, timeout=limite)
    return saida.stdout.decode()


def desconhecidas(lidas: Iterable[str]) -> set[str]:
    """As palavras, ou as partes delas entre hifens, que o hunspell não conhece."""
    return set(_hunspell("-l", sorted(set(lidas))).split())


def sugestoes(palavra: str) -> list[str]:
    """O que o hunspell poria no lugar da palavra; nada, se ele demora."""
    try:
        saida = _hunspell("-a", [f"^{palavra}"], limite=PACIENCIA)
    except subprocess.TimeoutExpired:
        return []
    achada = re.search(r"(?m)^& \S+ \d+ \d+: (.+)$", saida)
    return achada[1].split(", ")[:SUGESTOES] if achada else []


def confere(raiz: Path = RAIZ, trechos: Iterable[Trecho] | None = None) -> list[str]:
    """Uma queixa por palavra estranha, no primeiro lugar em que aparece; as outras vezes, contadas.

    Uma palavra que está no dicionário do projeto em minúsculas vale também no começo da frase; um nome
    próprio, só como está. De uma palavra com hífen, valem as partes.
    """
    projeto = dicionario(raiz)
    lugares: dict[str, list[str]] = {}
    for trecho in prosa.do_livro(raiz) if trechos is None else trechos:
        for palavra in () if trecho.mensagem else palavras(trecho):
            if not projeto & {palavra, palavra[0].lower() + palavra[1:]}:
                lugares.setdefault(palavra, []).append(f"{trecho.arquivo}:{trecho.linha}")
    ruins = {p for p in desconhecidas(lugares) if not projeto & {p, p[0].lower() + p[1:]}}
    queixas = []
    for palavra, onde in lugares.items():
        for parte in sorted({palavra, *palavra.split("-")} & ruins):
            vezes = f" (e mais {len(onde) - 1})" if len(onde) > 1 else ""
            sugeridas = ", ".join(sugestoes(parte) if len(queixas) < COM_SUGESTAO else [])
            seria = f" Seria {sugeridas}?" if sugeridas else ""
            queixas.append(
                f"{onde[0]}: “{parte}”{vezes} não está no dicionário.{seria} Código vai entre crases, e "
                f"palavra estrangeira, em itálico; se está certa: python -m ferramentas.ortografia --aceita {parte}"
            )
    return queixas


def aceita(novas: list[str], raiz: Path = RAIZ) -> None:
    """Acrescenta as palavras ao dicionário do projeto e põe o arquivo em ordem."""
    arquivo = raiz / DICIONARIO
    antigas = le_texto(arquivo, raiz).split() if arquivo.exists() else []
    grava(arquivo, "".join(f"{p}\n" for p in sorted({*antigas, *novas}, key=chave)))


def main(argumentos: list[str] | None = None) -> int:
    """Ponto de entrada; devolve 0 se não há queixas (ou não há hunspell, fora do CI), 1 se há."""
    opcoes = argparse.ArgumentParser(description="confere a ortografia da prosa do livro")
    opcoes.add_argument("--aceita", nargs="*", metavar="PALAVRA", help="acrescenta palavras ao dicionário")
    escolhidas = opcoes.parse_args(argumentos)
    if escolhidas.aceita is not None:
        aceita(escolhidas.aceita)
        return 0
    if not instalado():
        print(FALTA, file=sys.stderr)
        return 1 if os.environ.get("CI") else 0
    try:
        queixas = confere()
    except ErroDoLivro as erro:
        queixas = [str(erro)]
    print("\n".join(queixas), end="\n" if queixas else "")
    return 1 if queixas else 0


if __name__ == "__main__":
    sys.exit(main())
