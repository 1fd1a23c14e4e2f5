"""Leva o site, o repositório e o ramo de `_config.yml` aos arquivos que outros leem como estão.

uso: python -m ferramentas.casa      confere; make livro escreve

O GitHub, o PyPI e o Zotero leem o README, `pyproject.toml` e `CITATION.cff` sem passar por ferramenta alguma:
os endereços ficam escritos neles, e aqui se conferem e se trocam. Quem faz do livro uma edição sua muda
`_config.yml` e roda `make livro`. Os endereços que estavam em uso são os que `CITATION.cff` traz.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from ferramentas.livro import RAIZ, Enderecos, ErroDoLivro, enderecos, grava, le_texto

ESCRITOS = ("README.md", "pyproject.toml", "book/como-citar.md", "CITATION.cff")
GITHUB = r"(github\.com/|raw\.githubusercontent\.com/|colab\.research\.google\.com/github/)"


def _em_uso(raiz: Path) -> tuple[str, str]:
    """O site e o repositório ("dono/projeto") que estão escritos."""
    texto = le_texto(raiz / "CITATION.cff", raiz)
    site = re.search(r'(?m)^url: "?(https?://[^"\s]+/)"?$', texto)
    repositorio = re.search(r'(?m)^repository-code: "?https://github\.com/([^/"\s]+/[^/"\s]+)"?$', texto)
    if site is None or repositorio is None:
        raise ErroDoLivro(
            "CITATION.cff:1: faltam url (o site, terminado em barra) e repository-code "
            "(https://github.com/dono/projeto)"
        )
    return site[1], repositorio[1]


def com_estes(texto: str, site: str, projeto: str, publicos: Enderecos) -> str:
    """O texto, com os endereços de `publicos` no lugar dos de `site` e `projeto`.

    >>> texto = "https://github.com/a/l/blob/main/X e https://a.org/l/p.html"
    >>> publicos = Enderecos("https://b.org/l/", "https://github.com/b/l", "v2")
    >>> com_estes(texto, "https://a.org/l/", "a/l", publicos)
    'https://github.com/b/l/blob/v2/X e https://b.org/l/p.html'
    """
    novo, ramo = publicos.repositorio.split("://github.com/")[1], publicos.ramo
    texto = texto.replace(site, publicos.site)
    texto = re.sub(rf"{GITHUB}{re.escape(projeto)}(?![\w.-])", rf"\g<1>{novo}", texto)
    do_ramo = rf"(github\.com/{re.escape(novo)}/(?:blob|tree)/|githubusercontent\.com/{re.escape(novo)}/)"
    do_colab = rf"(\.google\.com/github/{re.escape(novo)}/blob/)"
    for padrao in (do_ramo, do_colab):
        texto = re.sub(rf"{padrao}[^/\s]+/", rf"\g<1>{ramo}/", texto)
    return re.sub(rf"(github\.com/{re.escape(novo)}/archive/)[^\s\"]+\.zip", rf"\g<1>{ramo}.zip", texto)


def planeja(raiz: Path = RAIZ) -> dict[str, str]:
    """Os arquivos que não dizem os endereços de `_config.yml`, e o que passam a dizer."""
    if not (raiz / "CITATION.cff").exists():  # um livro de brinquedo
        return {}
    em_uso, publicos = _em_uso(raiz), enderecos(raiz)
    textos = {nome: le_texto(raiz / nome, raiz) for nome in ESCRITOS if (raiz / nome).exists()}
    novos = {nome: com_estes(texto, *em_uso, publicos) for nome, texto in textos.items()}
    return {nome: novo for nome, novo in novos.items() if novo != textos[nome]}


def escreve(raiz: Path = RAIZ) -> list[str]:
    """Grava os que mudam, `CITATION.cff` por último; devolve os nomes."""
    novos = planeja(raiz)
    for nome, texto in novos.items():
        grava(raiz / nome, texto)
    return list(novos)


def confere(raiz: Path = RAIZ) -> list[str]:
    """Uma queixa por arquivo, na primeira linha que não diz os endereços de `_config.yml`."""
    queixas = []
    for nome, novo in planeja(raiz).items():
        pares = zip(le_texto(raiz / nome, raiz).split("\n"), novo.split("\n"), strict=True)
        linha = next(n for n, (antes, depois) in enumerate(pares, 1) if antes != depois)
        queixas.append(f"{nome}:{linha}: o endereço não é o de _config.yml; rode make livro, que o escreve")
    return queixas


def main() -> int:
    """Ponto de entrada; devolve 0 se não há queixas, 1 se há."""
    try:
        queixas = confere()
    except ErroDoLivro as erro:
        queixas = [str(erro)]
    print("\n".join(queixas), end="\n" if queixas else "")
    return 1 if queixas else 0


if __name__ == "__main__":
    sys.exit(main())
