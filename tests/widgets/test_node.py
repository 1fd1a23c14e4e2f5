"""Os testes em JavaScript, um arquivo por vez, com o corredor do próprio Node."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from no_node import acha_node

ARQUIVOS = sorted(Path(__file__).parent.glob("*.test.mjs"))


@pytest.mark.parametrize("arquivo", ARQUIVOS, ids=lambda p: p.name)
def test_em_javascript(arquivo):
    comando = [acha_node(), "--test", "--test-reporter=tap", str(arquivo)]
    fim = subprocess.run(comando, capture_output=True, text=True, encoding="utf-8")
    assert fim.returncode == 0, fim.stdout[-8000:] + fim.stderr[-2000:]
    assert "\n# pass 0\n" not in fim.stdout, "o arquivo não tem nenhum teste"
