"""A versão do livro: um número só, em quatro arquivos, e as notas de cada uma.

uso: python -m ferramentas.versao                 confere que os quatro concordam
     python -m ferramentas.versao --notas [0.2.0]  imprime o que mudou nessa versão
     python -m ferramentas.versao --etiqueta v0.2.0  confere que o commit é o dessa versão, pronto a publicar
     python -m ferramentas.versao 0.2.0              prepara a versão: escreve o número, a data e a etiqueta

A fonte é `pyproject.toml`. `CITATION.cff` repete o número e a data; `CHANGELOG.md` tem uma seção para ele; em
`_config.yml`, o ramo é `main` entre versões e a etiqueta (`v0.2.0`) no commit que ela marca: é dele que os
botões do Colab daquela versão instalam o pacote.
"""

from __future__ import annotations

import argparse
import datetime
import re
import sys
from pathlib import Path

from ferramentas import casa
from ferramentas.livro import RAIZ, ErroDoLivro, enderecos, grava, le_texto

CAMPOS = {  # arquivo: o que há nele em volta do número
    "pyproject.toml": r'(?m)^(version = ")([^"]+)(")',
    "CITATION.cff": r"(?m)^(version: )(\S+)()$",
}
DATA = r'(?m)^(date-released: ")([^"]+)(")'
RAMO = r"(?m)^(  branch: )(\S+)()"
SECAO = r"(?ms)^## \[(?P<versao>[^\]]+)\](?: - (?P<data>\S+))?\n(?P<corpo>.*?)(?=^## \[|^\[|\Z)"


def _campo(nome: str, padrao: str, raiz: Path) -> str:
    achado = re.search(padrao, le_texto(raiz / nome, raiz))
    if achado is None:
        raise ErroDoLivro(f"{nome}:1: não achei a versão (esperava uma linha como {padrao!r})")
    return achado[2]


def versao(raiz: Path = RAIZ) -> str:
    """A versão que `pyproject.toml` diz."""
    return _campo("pyproject.toml", CAMPOS["pyproject.toml"], raiz)


def secoes(raiz: Path = RAIZ) -> dict[str, tuple[str | None, str]]:
    """As versões de `CHANGELOG.md`, da mais nova à mais velha: data e texto."""
    texto = le_texto(raiz / "CHANGELOG.md", raiz)
    return {m["versao"]: (m["data"], m["corpo"].strip()) for m in re.finditer(SECAO, texto)}


def notas(qual: str, raiz: Path = RAIZ) -> str:
    """O que `CHANGELOG.md` diz de uma versão."""
    achadas = secoes(raiz)
    if qual not in achadas:
        raise ErroDoLivro(f"CHANGELOG.md:1: não há a seção ## [{qual}]; há {', '.join(achadas)}")
    return achadas[qual][1]


def confere(raiz: Path = RAIZ) -> list[str]:
    """O que não concorda, uma linha por queixa."""
    numero, publicadas = versao(raiz), secoes(raiz)
    queixas = []
    if (citada := _campo("CITATION.cff", CAMPOS["CITATION.cff"], raiz)) != numero:
        queixas.append(f"CITATION.cff: diz a versão {citada}, e pyproject.toml, {numero}")
    if numero not in publicadas:
        queixas.append(f"CHANGELOG.md: falta a seção ## [{numero}] - AAAA-MM-DD")
    else:
        data = _campo("CITATION.cff", DATA, raiz)
        if publicadas[numero][0] != data:
            queixas.append(
                f"CITATION.cff: a versão {numero} é de {data}, e em CHANGELOG.md, de {publicadas[numero][0]}"
            )
    ramo = enderecos(raiz).ramo
    if re.fullmatch(r"v\d.*", ramo) and ramo != f"v{numero}":
        queixas.append(f"_config.yml: repository.branch é a etiqueta {ramo}, e a versão é {numero}")
    return queixas


def confere_etiqueta(etiqueta: str, raiz: Path = RAIZ) -> list[str]:
    """O que falta a este commit para ser o da etiqueta, além do que `confere` diz."""
    esperada = f"v{versao(raiz)}"
    queixas = confere(raiz)
    if etiqueta != esperada:
        queixas.append(f"a etiqueta é {etiqueta}, e pyproject.toml pede {esperada}")
    if (ramo := enderecos(raiz).ramo) != etiqueta:
        queixas.append(
            f"_config.yml: repository.branch é {ramo}; no commit da etiqueta tem de ser {etiqueta}, "
            "e os notebooks, gerados com ele (python -m ferramentas.versao o prepara)"
        )
    return queixas + casa.confere(raiz)  # o README da versão leva aos notebooks dela


def prepara(nova: str, raiz: Path = RAIZ, hoje: datetime.date | None = None) -> None:
    """Escreve a versão nova em toda parte e passa o que estava em “Ainda não publicado” para ela."""
    if not re.fullmatch(r"\d+\.\d+\.\d+", nova):
        raise ErroDoLivro(f"{nova!r}: a versão tem três números, como 0.2.0")
    pendente = secoes(raiz).get("Ainda não publicado", (None, ""))[1]
    if not pendente:
        raise ErroDoLivro(
            "CHANGELOG.md: nada em ## [Ainda não publicado]; escreva lá o que mudou"
        )
    data = (hoje or datetime.date.today()).isoformat()
    trocas = [(nome, padrao, nova) for nome, padrao in CAMPOS.items()]
    trocas += [("CITATION.cff", DATA, data), ("_config.yml", RAMO, f"v{nova}")]
    for nome, padrao, valor in trocas:
        texto = re.sub(padrao, lambda m, v=valor: f"{m[1]}{v}{m[3]}", le_texto(raiz / nome, raiz), count=1)
        grava(raiz / nome, texto)
    texto = le_texto(raiz / "CHANGELOG.md", raiz).replace(
        "## [Ainda não publicado]\n", f"## [Ainda não publicado]\n\n## [{nova}] - {data}\n", 1
    )
    grava(raiz / "CHANGELOG.md", texto)


def main(argumentos: list[str] | None = None) -> int:
    """Ponto de entrada; devolve 0 se tudo concorda, 1 se não."""
    opcoes = argparse.ArgumentParser(description="a versão do livro")
    opcoes.add_argument("numero", nargs="?", help="a versão nova, a preparar")
    opcoes.add_argument("--notas", action="store_true", help="só imprime o que mudou na versão")
    opcoes.add_argument("--etiqueta", help="confere que este commit é o da etiqueta")
    escolhidas = opcoes.parse_args(argumentos)
    try:
        if escolhidas.notas:
            print(notas(escolhidas.numero or versao()))
            return 0
        if escolhidas.numero:
            prepara(escolhidas.numero)
            print(
                f"Versão {escolhidas.numero} escrita. Rode make livro, guarde tudo num commit, ponha nele a "
                f"etiqueta v{escolhidas.numero}, envie-a, e no commit seguinte devolva main a "
                "repository.branch, em _config.yml."
            )
            return 0
        queixas = confere_etiqueta(escolhidas.etiqueta) if escolhidas.etiqueta is not None else confere()
    except ErroDoLivro as erro:
        queixas = [str(erro)]
    print("\n".join(queixas), end="\n" if queixas else "")
    return 1 if queixas else 0


if __name__ == "__main__":
    sys.exit(main())
