"""O pacote como existe ao fim de cada capítulo importa-se, e nada nele depende do que vem depois.

Confere-se o que cada módulo usa dos outros, inclusive dentro de funções, e rodam-se os doctests de cada um
no capítulo em que ele entra no pacote, que é onde este é menor. Os testes de cada módulo rodam uma vez só, no
pacote inteiro.
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

# cada `from homellm.x import nome`, e cada `x.nome` de um `import homellm.x as x` ou `from homellm import x`
CONFERE = """
import ast, importlib, pathlib, sys, types
for arquivo in map(pathlib.Path, sys.argv[1:]):
    arvore = ast.parse(arquivo.read_text("utf-8"))
    apelidos = {}
    for no in ast.walk(arvore):
        if isinstance(no, ast.ImportFrom) and no.module.split(".")[0] == "homellm":
            modulo = importlib.import_module(no.module)
            for nome in no.names:
                if no.module == "homellm" and not hasattr(modulo, nome.name):
                    importlib.import_module(f"homellm.{nome.name}")
                assert hasattr(modulo, nome.name), f"{arquivo.name}: {no.module}.{nome.name}"
                print(nome.name)
                if isinstance(getattr(modulo, nome.name), types.ModuleType):
                    apelidos[nome.asname or nome.name] = getattr(modulo, nome.name)
        elif isinstance(no, ast.Import):
            for nome in no.names:
                if nome.name.split(".")[0] == "homellm":
                    modulo = importlib.import_module(nome.name)
                    apelidos[nome.asname or nome.name] = modulo
    for no in ast.walk(arvore):
        if isinstance(no, ast.Attribute) and ast.unparse(no.value) in apelidos:
            apelido = ast.unparse(no.value)
            assert hasattr(apelidos[apelido], no.attr), f"{arquivo.name}: {apelido}.{no.attr}"
            print(f"{apelido}.{no.attr}")
"""


def entram(capitulo: int) -> list[str]:
    """Nomes dos módulos que entram no pacote neste capítulo, e não antes."""
    antes = [c for c in CAPITULOS if c < capitulo]
    novos = ATE[capitulo].keys() - (ATE[antes[-1]].keys() if antes else {"homellm/__init__.py"})
    return sorted(Path(c).stem for c in novos)


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
    assert "homellm" in modulos and {f"homellm.{m}" for m in entram(capitulo)} <= set(modulos)
    fim = roda(pacote, "-c", IMPORTA, *modulos)
    assert fim.stdout.split("\n")[:-1] == [str(a) for a in arquivos], fim.stderr


@pytest.mark.parametrize(("capitulo", "pacote"), [(c, c) for c in CAPITULOS], indirect=["pacote"])
def test_nada_usa_o_que_ainda_nao_existe(capitulo, pacote):
    fim = roda(pacote, "-c", CONFERE, *map(str, sorted((pacote / "homellm").glob("*.py"))))
    assert fim.returncode == 0, fim.stderr


@pytest.mark.parametrize(
    ("codigo", "visto", "queixa"),
    [
        ("from homellm.device import set_seed, amanha", "set_seed", "homellm.device.amanha"),
        ("import homellm.device as d\nd.set_seed(1)\nd.amanha()", "d.set_seed", "d.amanha"),
        ("from homellm import device\n\ndef f():\n    device.amanha()", "device", "device.amanha"),
        ("def f():\n    import homellm.device\n    homellm.device.amanha", "", "homellm.device.amanha"),
        ("from homellm import amanha", "", "No module named 'homellm.amanha'"),
    ],
)
def test_um_uso_adiantado_e_visto(tmp_path, codigo, visto, queixa):
    escreve(ATE[CAPITULOS[0]], tmp_path)
    adiantado = tmp_path / "homellm" / "adiantado.py"
    adiantado.write_text(codigo + "\n", "utf-8")
    fim = roda(tmp_path, "-c", CONFERE, str(adiantado))
    assert fim.returncode == 1 and visto in fim.stdout and queixa in fim.stderr, fim.stderr


@pytest.mark.parametrize(
    ("capitulo", "pacote"), [(c, c) for c in CAPITULOS if entram(c)], indirect=["pacote"]
)
def test_modulos_que_entram_no_capitulo_passam_os_seus_doctests(capitulo, pacote):
    modulos = [f"homellm/{modulo}.py" for modulo in entram(capitulo)]
    pytest_so = ("-p", "no:cacheprovider", "-c", os.devnull, "--rootdir=.", "--import-mode=importlib")
    fim = roda(pacote, "-m", "pytest", "-q", *pytest_so, "--doctest-modules", *modulos)
    assert fim.returncode == 0, fim.stdout + fim.stderr
    assert " passed" in fim.stdout


def test_ao_fim_do_ultimo_capitulo_so_falta_o_que_nenhum_capitulo_usa():
    ultimo = ATE[CAPITULOS[-1]]
    assert all(ultimo[c] == INTEIRO[c] for c in ultimo)
    sobra = INTEIRO.keys() - ultimo.keys()
    assert all(numero_do_capitulo(Path(INTEIRO[c].pagina).stem) is None for c in sobra)
    for capitulo in CAPITULOS[:-1]:
        assert ATE[capitulo].keys() <= ultimo.keys()
