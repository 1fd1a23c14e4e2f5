"""A prévia de um pull request: descobre o número dele, publica as páginas e comenta o endereço.

uso: python -m ferramentas.previa publica PASTA --sha COMMIT
     python -m ferramentas.previa limpa

O número não vem do que o pull request construiu, que não merece confiança: é o do pull request aberto cuja
última revisão é esse commit. `limpa` apaga as prévias de pull requests fechados. Usa o `gh`.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

from ferramentas.avisa import gh
from ferramentas.livro import RAIZ, enderecos
from ferramentas.ramo_do_site import PREVIAS, NaoPublicou, git, publica

RAMO = "site"


def abertos(chama: Callable[..., str] = gh) -> dict[str, int]:
    """O último commit de cada pull request aberto, e o número dele."""
    lista = json.loads(
        chama("pr", "list", "--state", "open", "--limit", "500", "--json", "number,headRefOid")
    )
    return {pr["headRefOid"]: pr["number"] for pr in lista}


def endereco_da_previa(numero: int, site: str) -> str:
    """Onde se lê a prévia.

    >>> endereco_da_previa(12, "https://dono.github.io/livro/")
    'https://dono.github.io/livro/previa/12/'
    """
    return f"{site}{PREVIAS}/{numero}/"


def publica_previa(pasta: Path, sha: str, raiz: Path = RAIZ, chama: Callable[..., str] = gh) -> str:
    """Copia as páginas para a prévia do pull request desse commit e comenta o endereço; devolve o que fez."""
    numero = abertos(chama).get(sha)
    if numero is None:
        return f"nenhum pull request aberto termina em {sha}; nada a publicar"
    publica(pasta, f"{PREVIAS}/{numero}", RAMO, raiz)
    onde = endereco_da_previa(numero, enderecos(raiz).site)
    corpo = f"A prévia de {sha[:7]} está em {onde} (o GitHub leva um ou dois minutos para servi-la)."
    chama("pr", "comment", str(numero), "--edit-last", "--create-if-none", "--body", corpo)
    return onde


def limpa(raiz: Path = RAIZ, chama: Callable[..., str] = gh) -> list[int]:
    """Apaga as prévias de pull requests que já não estão abertos; devolve os números."""
    if not git("ls-remote", "origin", f"refs/heads/{RAMO}", pasta=raiz):
        return []  # nada foi publicado ainda
    git("fetch", "--quiet", "--depth=1", "origin", RAMO, pasta=raiz)
    pastas = git("ls-tree", "--name-only", "FETCH_HEAD", f"{PREVIAS}/", pasta=raiz).split()
    numeros = [int(m[1]) for p in pastas if (m := re.fullmatch(rf"{PREVIAS}/(\d+)", p))]
    vivos = set(abertos(chama).values())
    fechados = sorted(n for n in numeros if n not in vivos)
    for numero in fechados:
        publica(None, f"{PREVIAS}/{numero}", RAMO, raiz)
    return fechados


def main(argumentos: list[str] | None = None) -> int:
    """Ponto de entrada; devolve 0 se deu certo, 1 se não."""
    opcoes = argparse.ArgumentParser(description="a prévia de um pull request")
    acoes = opcoes.add_subparsers(dest="acao", required=True)
    nova = acoes.add_parser("publica", help="publica e comenta o endereço")
    nova.add_argument("pasta", type=Path)
    nova.add_argument("--sha", required=True, help="o último commit do pull request")
    acoes.add_parser("limpa", help="apaga as de pull requests fechados")
    escolhidas = opcoes.parse_args(argumentos)
    try:
        if escolhidas.acao == "publica":
            print(publica_previa(escolhidas.pasta, escolhidas.sha))
        else:
            print("prévias apagadas:", ", ".join(map(str, limpa())) or "nenhuma")
    except (NaoPublicou, RuntimeError, OSError) as erro:
        print(f"erro: {erro}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
