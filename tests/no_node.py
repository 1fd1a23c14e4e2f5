"""O motor da página, dentro do Node: os testes mandam pedidos em JSON e leem as respostas."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ferramentas.livro import RAIZ

SEM_NODE = "falta o Node 20 ou mais novo; no Debian e no Ubuntu: sudo apt install nodejs"


def acha_node() -> str:
    """O caminho do Node; sem ele, o teste é pulado em casa e falha na integração contínua."""
    if caminho := shutil.which("node"):
        return caminho
    if os.environ.get("CI"):
        pytest.fail(SEM_NODE, pytrace=False)
    pytest.skip(SEM_NODE)


class ErroDoMotor(Exception):
    """A frase que o motor disse."""


class Motor:
    """Um Node com o motor carregado; `pede("encode", "oi")` chama o método do modelo aberto."""

    def __init__(self) -> None:
        self.processo = subprocess.Popen(
            [acha_node(), str(RAIZ / "tests/widgets/atende.mjs")], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, encoding="utf-8",
        )  # fmt: skip

    def pede(self, metodo: str, *argumentos: Any) -> Any:
        pedido = json.dumps({"method": metodo, "args": argumentos})
        assert self.processo.stdin and self.processo.stdout
        self.processo.stdin.write(pedido + "\n")
        self.processo.stdin.flush()
        resposta = json.loads(self.processo.stdout.readline())
        if "error" in resposta:
            raise ErroDoMotor(resposta["error"])
        return resposta.get("result")

    def abre(self, arquivo: Path) -> Any:
        return self.pede("open", str(arquivo))

    def fecha(self) -> None:
        assert self.processo.stdin and self.processo.stdout
        self.processo.stdin.close()
        self.processo.wait(timeout=30)
        self.processo.stdout.close()
