"""Instala o pacote neste Python, com o PyTorch pedido, e roda os testes do pacote. Serve em qualquer sistema.

uso: python ferramentas/testa_pacote.py --torch do-livro|mais-antigo|mais-novo

`do-livro` usa as versões de `constraints.txt`; `mais-antigo`, o menor PyTorch que `pyproject.toml` aceita, e
o resto de `constraints.txt`; `mais-novo`, tudo o que houver de mais novo.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

RAIZ = Path(__file__).resolve().parents[1]
ESCOLHAS = ("do-livro", "mais-antigo", "mais-novo")


def menor_torch(pyproject: str) -> str:
    """O menor PyTorch que o projeto aceita.

    >>> menor_torch('dependencies = ["torch>=2.6", "numpy>=1.26"]')
    '2.6'
    """
    achado = re.search(r'"torch>=([\d.]+)', pyproject)
    if achado is None:
        raise ValueError("pyproject.toml: não achei a dependência torch>=…")
    return achado[1]


def versoes(escolha: str, constraints: str, pyproject: str) -> str:
    """As linhas que limitam a instalação.

    >>> versoes("mais-antigo", "numpy==2.0\\ntorch==2.13.0\\n", '"torch>=2.6"')
    'numpy==2.0\\ntorch~=2.6.0\\n'
    >>> versoes("mais-novo", "numpy==2.0\\n", "")
    ''
    """
    if escolha == "mais-novo":
        return ""
    if escolha == "do-livro":
        return constraints
    sem_torch = "".join(linha for linha in constraints.splitlines(True) if not linha.startswith("torch=="))
    return f"{sem_torch}torch~={menor_torch(pyproject)}.0\n"


def main(argumentos: list[str] | None = None) -> int:
    """Ponto de entrada; devolve o código do pytest, ou o do pip, se ele falhou."""
    opcoes = argparse.ArgumentParser(description="testa o pacote com o PyTorch pedido")
    opcoes.add_argument("--torch", choices=ESCOLHAS, default="do-livro")
    escolhida = opcoes.parse_args(argumentos).torch
    textos = [(RAIZ / nome).read_text("utf-8") for nome in ("constraints.txt", "pyproject.toml")]
    with tempfile.TemporaryDirectory() as pasta:
        limites = Path(pasta) / "limites.txt"
        limites.write_text(versoes(escolhida, *textos), "utf-8")
        instala = [sys.executable, "-m", "pip", "install", "--upgrade", "-c", str(limites), "-e", ".[teste]"]
        if codigo := subprocess.call(instala, cwd=RAIZ):
            return codigo
    processos = str(min(4, os.cpu_count() or 1))
    testes = [sys.executable, "-m", "pytest", "-n", processos, "--dist", "loadfile", "tests/pacote"]
    return subprocess.call(testes, cwd=RAIZ)


if __name__ == "__main__":
    sys.exit(main())
