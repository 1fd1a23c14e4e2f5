"""Publica uma pasta no ramo que o GitHub Pages serve, com o site na raiz e as prévias em `previa/`.

uso: python -m ferramentas.ramo_do_site _build/html [--destino previa/12] [--apaga previa/12] [--ramo site]

O ramo tem sempre um commit só: o site anterior fica nas construções, não na história. Publicar na raiz deixa
as prévias como estão; publicar numa prévia deixa o resto como está. Nada do que vem na pasta é executado.
"""

from __future__ import annotations

import argparse
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ferramentas.livro import RAIZ

PREVIAS = "previa"
TENTATIVAS = 6  # de enviar, quando outras publicações chegam no meio
ESPERA = 20.0  # segundos, no máximo, entre duas


class NaoPublicou(Exception):
    """A publicação parou; a mensagem diz por quê."""


def git(*argumentos: str, pasta: Path) -> str:
    """O que o git respondeu; se ele falhou, o erro traz o que ele disse."""
    fim = subprocess.run(
        ["git", *argumentos],
        cwd=pasta,
        capture_output=True,
        text=True,
        encoding="utf-8",
        stdin=subprocess.DEVNULL,
    )
    if fim.returncode != 0:
        raise NaoPublicou(f"git {argumentos[0]}: {fim.stderr.strip() or fim.stdout.strip()}")
    return fim.stdout.strip()


def confere_destino(destino: str) -> str:
    """O destino, que é a raiz ("") ou `previa/<número>`.

    >>> confere_destino("previa/12")
    'previa/12'
    """
    if destino and not re.fullmatch(rf"{PREVIAS}/[0-9]+", destino):
        raise NaoPublicou(f"destino {destino!r}: use previa/<número do pull request>, ou nada para a raiz")
    return destino


def troca(arvore: Path, origem: Path | None, destino: str) -> None:
    """Põe `origem` em `arvore/destino`, no lugar do que havia ali; `None` só apaga.

    Ligações simbólicas de `origem` são recusadas: levariam para fora da pasta.
    """
    alvo = arvore / destino
    if not destino:
        velhos = [p for p in arvore.iterdir() if p.name not in (".git", PREVIAS)]
    else:
        velhos = [alvo] if alvo.exists() else []
    for velho in velhos:
        shutil.rmtree(velho) if velho.is_dir() else velho.unlink()
    if origem is None:
        return
    if ligacoes := [p for p in origem.rglob("*") if p.is_symlink()]:
        raise NaoPublicou(f"{ligacoes[0].relative_to(origem)} é uma ligação simbólica; o site não as tem")
    alvo.mkdir(parents=True, exist_ok=True)
    for item in origem.iterdir():
        if not destino and item.name in (".git", PREVIAS):
            continue
        shutil.copytree(item, alvo / item.name) if item.is_dir() else shutil.copy2(item, alvo / item.name)
    (arvore / ".nojekyll").touch()


def publica(origem: Path | None, destino: str, ramo: str, raiz: Path = RAIZ, remoto: str = "origin") -> None:
    """Troca o conteúdo de `destino` no ramo e o envia, num commit sem passado.

    Se outra publicação chegou primeiro (o site e duas prévias podem acabar juntos), recomeça do que ela
    deixou: nada de nenhuma das duas se perde.
    """
    if origem is not None and not (origem / "index.html").is_file():
        raise NaoPublicou(f"{origem}: não há index.html nesta pasta; rode antes make livro")
    endereco = git("remote", "get-url", remoto, pasta=raiz)
    for resta in reversed(range(TENTATIVAS)):
        antes = _ponta(endereco, ramo, raiz)
        with tempfile.TemporaryDirectory() as pasta:
            try:
                return _envia(origem, destino, ramo, Path(pasta) / "site", endereco, antes, raiz)
            except NaoPublicou:
                if not resta or _ponta(endereco, ramo, raiz) == antes:  # a causa é outra
                    raise
        time.sleep(random.uniform(0, ESPERA))  # as que correram juntas não voltam juntas


def _ponta(endereco: str, ramo: str, raiz: Path) -> str:
    """O último commit do ramo; `""` se ele não existe."""
    return git("ls-remote", endereco, f"refs/heads/{ramo}", pasta=raiz).split("\t")[0]


def _envia(
    origem: Path | None, destino: str, ramo: str, arvore: Path, endereco: str, antes: str, raiz: Path
) -> None:
    """Uma tentativa, a partir do commit `antes`; o git a recusa se o ramo não está mais nele."""
    if antes:
        git("clone", "--quiet", "--depth=1", f"--branch={ramo}", endereco, str(arvore), pasta=raiz)
    else:
        git("init", "--quiet", str(arvore), pasta=raiz)
    troca(arvore, origem, destino)
    git("checkout", "--quiet", "--orphan", "novo", pasta=arvore)
    git("add", "--all", "--force", pasta=arvore)
    quem = ("-c", "user.name=github-actions[bot]",
            "-c", "user.email=41898282+github-actions[bot]@users.noreply.github.com")  # fmt: skip
    git(*quem, "commit", "--quiet", "--allow-empty", "-m", f"Publica {destino or 'o site'}", pasta=arvore)
    confere = f"--force-with-lease={ramo}:{antes}"
    git("push", "--quiet", confere, endereco, f"HEAD:refs/heads/{ramo}", pasta=arvore)


def main(argumentos: list[str] | None = None) -> int:
    """Ponto de entrada; devolve 0 se publicou, 1 se não."""
    opcoes = argparse.ArgumentParser(description="publica uma pasta no ramo que o GitHub Pages serve")
    opcoes.add_argument("pasta", type=Path, nargs="?", help="a pasta do site")
    opcoes.add_argument(
        "--destino", default="", help="onde, dentro do ramo (previa/<número>); sem isto, a raiz"
    )
    opcoes.add_argument("--apaga", default="", help="uma prévia a apagar")
    opcoes.add_argument("--ramo", default="site")
    escolhidas = opcoes.parse_args(argumentos)
    if (escolhidas.pasta is None) == (not escolhidas.apaga):
        opcoes.error("dê a pasta do site, ou --apaga previa/<número>")
    try:
        publica(escolhidas.pasta, confere_destino(escolhidas.apaga or escolhidas.destino), escolhidas.ramo)
    except NaoPublicou as erro:
        print(f"erro: {erro}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
