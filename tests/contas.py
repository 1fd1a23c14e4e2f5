"""A mesma conta de dois lados: a de uma peça, em JavaScript, no Node, e a das células de uma página."""

from __future__ import annotations

import json
import subprocess
from functools import cache
from typing import Any

import torch

from ferramentas.celulas import le_celulas
from ferramentas.livro import RAIZ
from homellm.plots import br
from no_node import acha_node

WIDGETS = RAIZ / "widgets"


def calcula(modulo: str, conta: str, dados: Any = None) -> Any:
    """O valor de `conta`, em JavaScript, com o módulo em `p` e os dados em `d`.

    O módulo é o nome de uma peça ("taxa") ou um caminho dentro de `widgets/` ("contos.js").
    """
    caminho = WIDGETS / (modulo if modulo.endswith(".js") else f"pecas/{modulo}.js")
    programa = (
        'import { readFileSync } from "node:fs";'
        f'import * as p from "{caminho.as_uri()}";'
        "const d = JSON.parse(readFileSync(0));"
        f"console.log(JSON.stringify({conta}));"
    )
    fim = subprocess.run(
        [acha_node(), "--input-type=module", "-e", programa],
        input=json.dumps(dados), capture_output=True, text=True, encoding="utf-8",
    )  # fmt: skip
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
