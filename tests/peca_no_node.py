"""Uma peça de `widgets/pecas/` dentro do Node: os testes comparam as contas dela com as do pacote."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import Any

import pytest

from ferramentas.livro import RAIZ

WIDGETS = RAIZ / "widgets"


def no_node(peca: str, conta: str, dados: Any = None) -> Any:
    """O valor de `conta`, em JavaScript, com a peça em `p`, os dados em `d` e `abre(arquivo)`, do motor."""
    if not (node := shutil.which("node")):
        (pytest.fail if os.environ.get("CI") else pytest.skip)("falta o Node")
    programa = f"""
        import {{ readFileSync }} from "node:fs";
        import * as p from "{(WIDGETS / "pecas" / f"{peca}.js").as_uri()}";
        import * as chat from "{(WIDGETS / "motor/chat.js").as_uri()}";
        import {{ Model }} from "{(WIDGETS / "motor/engine.js").as_uri()}";
        const abre = (arquivo) => {{
          const lido = readFileSync(arquivo);
          return new Model(lido.buffer.slice(lido.byteOffset, lido.byteOffset + lido.length));
        }};
        const d = JSON.parse(readFileSync(0));
        console.log(JSON.stringify({conta}));
    """
    fim = subprocess.run(
        [node, "--input-type=module", "-e", programa], input=json.dumps(dados), capture_output=True, text=True
    )
    assert fim.returncode == 0, fim.stderr
    return json.loads(fim.stdout)
