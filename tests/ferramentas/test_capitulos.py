"""O pacote como existe ao fim de cada capítulo importa-se, e nada nele depende do que vem depois.

Confere-se cada `from homellm… import` de cada módulo, inclusive os escritos dentro de funções, e rodam-se os
doctests de cada módulo no capítulo em que ele fica pronto, que é onde o pacote é menor. Os testes de cada
módulo rodam uma vez só, no pacote inteiro.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from brinquedo import REPO
from ferramentas.livro import numero_do_capitulo, paginas
from ferramentas.tangle import escreve, extrai

CAPITULOS = sorted(n for p in paginas() if (n := numero_do_capitulo(p.stem)) is not None)
ATE = {c: extrai(ate=c) for c in CAPITULOS}  # o pacote ao fim de cada capítulo
INTEIRO = extrai()
IMPORTA = """
import importlib, sys
for modulo in sys.argv[1:]:
    print(importlib.import_module(modulo).__file__)
"""

CONFERE = """
import ast, importlib, pathlib, sys
for arquivo in map(pathlib.Path, sys.argv[1:]):
    for no in ast.walk(ast.parse(arquivo.read_text("utf-8"))):
        if isinstance(no, ast.ImportFrom) and no.module.split(".")[0] == "homellm":
            modulo = importlib.import_module(no.module)
            for nome in no.names:
                assert hasattr(modulo, nome.name), f"{arquivo.name}: {no.module}.{nome.name}"
                print(nome.name)
"""


def prontos(capitulo: int) -> set[str]:
    """Caminhos dos módulos que ao fim do capítulo já são o que serão no livro inteiro."""
    return {c for c, m in ATE[capitulo].items() if m == INTEIRO[c] and c != "homellm/__init__.py"}


def ficam_prontos(capitulo: int) -> list[str]:
    """Nomes dos módulos que ficam prontos neste capítulo, e não antes."""
    antes = [c for c in CAPITULOS if c < capitulo]
    return sorted(Path(c).stem for c in prontos(capitulo) - (prontos(antes[-1]) if antes else set()))


@pytest.fixture
def pacote(tmp_path, request) -> Path:
    """Uma pasta com o pacote dos capítulos até este e os dados ao lado."""
    escreve(ATE[request.param], tmp_path)
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


@pytest.mark.parametrize(("capitulo", "pacote"), [(c, c) for c in CAPITULOS], indirect=["pacote"])
def test_nada_importa_o_que_ainda_nao_existe(capitulo, pacote):
    fim = roda(pacote, "-c", CONFERE, *map(str, sorted((pacote / "homellm").glob("*.py"))))
    assert fim.returncode == 0, fim.stderr


def test_uma_importacao_adiantada_e_vista(tmp_path):
    escreve(ATE[CAPITULOS[0]], tmp_path)
    adiantado = tmp_path / "homellm" / "adiantado.py"
    adiantado.write_text("def f():\n    from homellm.device import set_seed, amanha\n", "utf-8")
    fim = roda(tmp_path, "-c", CONFERE, str(adiantado))
    assert "set_seed" in fim.stdout and "adiantado.py: homellm.device.amanha" in fim.stderr


@pytest.mark.parametrize(
    ("capitulo", "pacote"),
    [(c, c) for c in CAPITULOS if ficam_prontos(c) and ATE[c] != INTEIRO],
    indirect=["pacote"],
)
def test_modulos_que_ficam_prontos_no_capitulo_passam_os_seus_doctests(capitulo, pacote):
    modulos = [f"homellm/{modulo}.py" for modulo in ficam_prontos(capitulo)]
    pytest_so = ("-p", "no:cacheprovider", "-c", os.devnull, "--rootdir=.", "--import-mode=importlib")
    fim = roda(pacote, "-m", "pytest", "-q", *pytest_so, "--doctest-modules", *modulos)
    assert fim.returncode == 0, fim.stdout + fim.stderr
    assert " passed" in fim.stdout


def test_o_ultimo_capitulo_da_o_pacote_inteiro():
    assert ATE[CAPITULOS[-1]] == INTEIRO
    ficam = [m for c in CAPITULOS for m in ficam_prontos(c)]
    assert sorted(ficam) == sorted(Path(c).stem for c in INTEIRO if c != "homellm/__init__.py")
