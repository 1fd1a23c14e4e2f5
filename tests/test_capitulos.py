"""O pacote como existe ao fim de cada capítulo importa-se e passa os testes dos módulos prontos ali.

Assim nenhum capítulo se apoia num posterior. Os testes de um módulo rodam no capítulo em que ele fica pronto,
que é onde o pacote é menor. Onde o pacote já é o inteiro, são os mesmos que o resto de `tests/` roda.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from brinquedo import REPO
from livro import numero_do_capitulo, paginas
from tangle import escreve, extrai

CAPITULOS = sorted(n for p in paginas() if (n := numero_do_capitulo(p.stem)) is not None)
INTEIRO = extrai()
CONFTEST = """
import homellm

def pytest_sessionstart():
    assert homellm.__file__ == {arquivo!r}, homellm.__file__
"""
IMPORTA = """
import importlib, sys
for modulo in sys.argv[1:]:
    print(importlib.import_module(modulo).__file__)
"""


def prontos(capitulo: int) -> set[str]:
    """Caminhos dos módulos que ao fim do capítulo já são o que serão no livro inteiro."""
    return {c for c, m in extrai(ate=capitulo).items() if m == INTEIRO[c] and c != "homellm/__init__.py"}


def ficam_prontos(capitulo: int) -> list[str]:
    """Nomes dos módulos que ficam prontos neste capítulo, e não antes."""
    antes = [c for c in CAPITULOS if c < capitulo]
    return sorted(Path(c).stem for c in prontos(capitulo) - (prontos(antes[-1]) if antes else set()))


@pytest.fixture
def pacote(tmp_path, request) -> Path:
    """Uma pasta com o pacote dos capítulos até este e os dados ao lado."""
    escreve(extrai(ate=request.param), tmp_path)
    (tmp_path / "data").symlink_to(REPO / "data")
    return tmp_path


def roda(pasta: Path, *argumentos: str) -> subprocess.CompletedProcess[str]:
    """Um Python que acha o pacote desta pasta antes de qualquer outro."""
    return subprocess.run(
        [sys.executable, *argumentos], cwd=pasta, capture_output=True, text=True, encoding="utf-8",
        env={**os.environ, "PYTHONPATH": str(pasta), "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


@pytest.mark.parametrize(("capitulo", "pacote"), [(c, c) for c in CAPITULOS], indirect=["pacote"])
def test_pacote_ao_fim_do_capitulo_se_importa(capitulo, pacote):
    arquivos = sorted((pacote / "homellm").glob("*.py"))
    modulos = ["homellm" if a.stem == "__init__" else f"homellm.{a.stem}" for a in arquivos]
    assert "homellm" in modulos and {f"homellm.{m}" for m in ficam_prontos(capitulo)} <= set(modulos)
    fim = roda(pacote, "-c", IMPORTA, *modulos)
    assert fim.stdout.split("\n")[:-1] == [str(a) for a in arquivos], fim.stderr


@pytest.mark.parametrize(
    ("capitulo", "pacote"),
    [(c, c) for c in CAPITULOS if ficam_prontos(c) and extrai(ate=c) != INTEIRO],
    indirect=["pacote"],
)
def test_modulos_que_ficam_prontos_no_capitulo_passam_os_seus_testes(capitulo, pacote):
    testes = [REPO / f"tests/test_{modulo}.py" for modulo in ficam_prontos(capitulo)]
    for teste in testes:
        shutil.copy(teste, pacote)
    arquivo = str(pacote / "homellm/__init__.py")
    (pacote / "conftest.py").write_text(CONFTEST.format(arquivo=arquivo), "utf-8")
    nomes = [t.name for t in testes]
    fim = roda(
        pacote, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir=.", *nomes
    )
    assert fim.returncode == 0, fim.stdout + fim.stderr
    assert " passed" in fim.stdout


def test_o_ultimo_capitulo_da_o_pacote_inteiro():
    assert extrai(ate=CAPITULOS[-1]) == INTEIRO
    ficam = [m for c in CAPITULOS for m in ficam_prontos(c)]
    assert sorted(ficam) == sorted(Path(c).stem for c in INTEIRO if c != "homellm/__init__.py")
