"""A célula de preparo: a primeira de cada notebook, igual em todos, escrita só aqui."""

from __future__ import annotations

from ferramentas.livro import Enderecos, enderecos

MODELO = """\
# Preparo: no Google Colab, instala o pacote do livro; em qualquer outro lugar, não faz nada.
import sys

if "google.colab" in sys.modules:
    import subprocess
    from importlib.metadata import version
    from pathlib import Path

    # o PyTorch do Colab fica como está
    Path("torch.txt").write_text(f"torch=={{version('torch')}}\\n", "utf-8")
    requisito = "{requisito}"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "-c", "torch.txt", requisito], check=True)

    import torch

    print("GPU:", torch.cuda.get_device_name() if torch.cuda.is_available() else "nenhuma (roda na CPU)")"""


def celula_de_preparo(publicos: Enderecos | None = None) -> str:
    """O código da célula, com o requisito no ramo ou etiqueta que `_config.yml` nomeia."""
    return MODELO.format(requisito=(publicos or enderecos()).instalacao())
