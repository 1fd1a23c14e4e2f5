"""A mesma conta de dois lados: a de uma peça, em JavaScript, no Node, e a das células de uma página."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from functools import cache
from typing import Any

import pytest
import torch

from ferramentas.celulas import le_celulas
from ferramentas.livro import RAIZ
from homellm.plots import br

WIDGETS = RAIZ / "widgets"


def no_node(modulo: str, conta: str, dados: Any = None) -> Any:
    """O valor de `conta`, em JavaScript, com o módulo de `widgets/` em `p` e os dados em `d`."""
    if not (node := shutil.which("node")):
        (pytest.fail if os.environ.get("CI") else pytest.skip)("falta o Node")
    programa = (
        'import { readFileSync } from "node:fs";'
        f'import * as p from "{(WIDGETS / modulo).as_uri()}";'
        "const d = JSON.parse(readFileSync(0));"
        f"console.log(JSON.stringify({conta}));"
    )
    fim = subprocess.run(
        [node, "--input-type=module", "-e", programa], input=json.dumps(dados), capture_output=True, text=True
    )
    assert fim.returncode == 0, fim.stderr
    return json.loads(fim.stdout)


@cache
def celula(pagina: str, trecho: str) -> str:
    """O código da célula da página que tem o trecho."""
    achadas = [c.fonte for c in le_celulas(RAIZ / f"book/{pagina}.md", RAIZ) if trecho in c.fonte]
    assert achadas, f"nenhuma célula de {pagina} tem {trecho!r}"
    return achadas[0]


def roda(pagina: str, *trechos: str) -> dict[str, Any]:
    """Os nomes que ficam depois de rodar estas células."""
    nomes: dict[str, Any] = {"torch": torch, "br": br, "show": lambda *_: None}
    for trecho in trechos:
        exec(celula(pagina, trecho), nomes)
    return nomes
