"""Abre uma issue com o que falhou, ou acrescenta um comentário à que já está aberta: nunca há duas.

uso: python -m ferramentas.avisa --titulo "A construção semanal falhou" --endereco URL [--etiqueta semanal]

Usa o `gh`, que as máquinas do GitHub trazem, e a permissão `issues: write` de quem o chama.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable


def gh(*argumentos: str) -> str:
    """A saída do `gh`; erro com o que ele disse, se falhou."""
    fim = subprocess.run(
        ["gh", *argumentos], capture_output=True, text=True, encoding="utf-8", stdin=subprocess.DEVNULL
    )
    if fim.returncode != 0:
        raise RuntimeError(f"gh {' '.join(argumentos[:2])}: {fim.stderr.strip()}")
    return fim.stdout


def avisa(titulo: str, endereco: str, etiqueta: str, chama: Callable[..., str] = gh) -> str:
    """Comenta na issue aberta com esse título exato e essa etiqueta, ou a cria; devolve o que fez.

    >>> feitos = []
    >>> def falso(*argumentos):
    ...     feitos.append(argumentos[:2])
    ...     return "[]"
    >>> avisa("Falhou", "https://exemplo.org", "semanal", falso)
    'criada'
    >>> feitos
    [('label', 'create'), ('issue', 'list'), ('issue', 'create')]
    """
    corpo = f"A última execução está em {endereco}."
    chama("label", "create", etiqueta, "--force", "--description", "aberta por um fluxo automático")
    abertas = json.loads(
        chama(
            "issue",
            "list",
            "--state",
            "open",
            "--label",
            etiqueta,
            "--limit",
            "100",
            "--json",
            "number,title",
        )
    )
    for issue in abertas:
        if issue["title"] == titulo:
            chama("issue", "comment", str(issue["number"]), "--body", f"Falhou de novo. {corpo}")
            return "comentada"
    chama("issue", "create", "--title", titulo, "--label", etiqueta, "--body", corpo)
    return "criada"


def main(argumentos: list[str] | None = None) -> int:
    """Ponto de entrada; devolve 0 se avisou, 1 se o `gh` falhou."""
    opcoes = argparse.ArgumentParser(description="abre ou atualiza a issue de uma falha")
    opcoes.add_argument("--titulo", required=True)
    opcoes.add_argument("--endereco", required=True, help="onde ver o que falhou")
    opcoes.add_argument("--etiqueta", default="semanal")
    escolhidas = opcoes.parse_args(argumentos)
    try:
        print(f"issue {avisa(escolhidas.titulo, escolhidas.endereco, escolhidas.etiqueta)}")
    except (RuntimeError, OSError) as erro:
        print(f"erro: {erro}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
