"""O que o leitor instala: o wheel leva o pacote e os dados, e cada notebook roda só com ele."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import zipfile
from email import message_from_string
from importlib import metadata
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from brinquedo import REPO, copia_o_projeto

CADERNOS = sorted((REPO / "notebooks").rglob("*.ipynb"))
EXECUTADOS = ("00-passo-zero", "conjuntos")  # baratos; o segundo lê todos os dados que o wheel leva
DO_COLAB = {"google", "transformers"}  # o que as páginas usam e o Colab já traz
CONFERE = "import homellm\nprint(homellm.__file__)"


def chama(*comando: str, pasta: Path) -> None:
    """Roda um módulo do Python; se falha, mostra o que ele disse."""
    fim = subprocess.run(
        [sys.executable, "-m", *comando], cwd=pasta, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert fim.returncode == 0, fim.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """O wheel, feito de uma cópia limpa."""
    raiz = tmp_path_factory.mktemp("wheel")
    copia_o_projeto(raiz / "fonte", "pyproject.toml", "README.md", "LICENSE", "homellm", "data", ".gitignore")
    (raiz / "fonte/homellm/.corpus.py.tmp").write_text("resto de uma gravação interrompida", "utf-8")
    chama("build", "--wheel", "--no-isolation", "--outdir", str(raiz / "dist"), pasta=raiz / "fonte")
    (arquivo,) = (raiz / "dist").iterdir()
    return arquivo


@pytest.fixture(scope="module")
def instalado(wheel, tmp_path_factory) -> Path:
    """Uma pasta com o wheel instalado, e nada mais."""
    destino = tmp_path_factory.mktemp("instalado")
    chama(
        "pip", "install", "-q", "--no-deps", "--no-index", "--target", str(destino), str(wheel), pasta=destino
    )
    return destino


def test_wheel_leva_o_pacote_e_os_dados_e_nada_mais(wheel):
    nomes = {n for n in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in n}
    pacote = {f"homellm/{p.name}" for p in (REPO / "homellm").glob("*.py")} | {"homellm/py.typed"}
    dados = {
        f"homellm/_data/{p.relative_to(REPO / 'data').as_posix()}"
        for p in (REPO / "data").rglob("*")
        if p.is_file() and REPO / "data/fazer" not in p.parents  # os geradores ficam no repositório
    }
    assert nomes == pacote | dados
    assert "homellm/_data/contos.txt" in nomes and "homellm/__init__.py" in nomes


def importados_de_fora() -> set[str]:
    """Os pacotes que os módulos de `homellm` importam, dentro e fora de funções."""
    nomes = {
        nome.split(".")[0]
        for arquivo in (REPO / "homellm").glob("*.py")
        for no in ast.walk(ast.parse(arquivo.read_text("utf-8")))
        if isinstance(no, (ast.Import, ast.ImportFrom))
        for nome in ([no.module or ""] if isinstance(no, ast.ImportFrom) else [a.name for a in no.names])
    }
    return nomes - sys.stdlib_module_names - {"homellm"}


def test_metadados(wheel):
    conteudo = zipfile.ZipFile(wheel)
    nome = next(n for n in conteudo.namelist() if n.endswith(".dist-info/METADATA"))
    dados = message_from_string(conteudo.read(nome).decode("utf-8"))
    assert (dados["Name"], dados["License-Expression"]) == ("homellm", "MIT")
    assert dados["Requires-Python"] == ">=3.10"
    assert {"graficos", "livro", "paginas", "teste"} <= set(dados.get_all("Provides-Extra"))
    leiame = dados.get_payload()
    assert "# Fazendo um LLM do Zero" in leiame
    relativos = re.findall(r"\]\((?!https?://)[^)]*\)", leiame)
    assert relativos == []  # no PyPI eles não levariam a nada
    assert any("LICENSE" in n for n in conteudo.namelist())
    exigidos = [r for r in dados.get_all("Requires-Dist") if "extra ==" not in r]
    nomes = {re.match(r"[\w-]+", r)[0] for r in exigidos}
    assert nomes == importados_de_fora() - {"matplotlib"}  # este, só os gráficos pedem
    assert all("==" not in r for r in exigidos)  # faixas folgadas: as versões exatas moram em constraints.txt


def test_wheel_leva_os_mesmos_bytes(wheel):
    """O que as páginas usam na construção e o que o leitor instala é a mesma coisa."""
    conteudo = zipfile.ZipFile(wheel)
    for nome in conteudo.namelist():
        if ".dist-info/" not in nome:
            origem = REPO / nome.replace("homellm/_data/", "data/", 1)
            assert conteudo.read(nome) == origem.read_bytes(), nome


def com_o_que_exigem(pacotes: set[str]) -> set[str]:
    """Os nomes dos pacotes e, um a um, dos que eles exigem."""
    vistos: set[str] = set()
    fila = list(pacotes)
    while fila:
        nome = canonicalize_name(fila.pop())
        if nome in vistos:
            continue
        vistos.add(nome)
        try:
            exigidos = map(Requirement, metadata.requires(nome) or [])
        except metadata.PackageNotFoundError:  # o que outro sistema ou outro Python pediria
            continue
        fila += [r.name for r in exigidos if r.marker is None or r.marker.evaluate({"extra": ""})]
    return vistos


@pytest.fixture(scope="module")
def do_leitor(wheel) -> set[str]:
    """Os módulos que tem quem instala `homellm[paginas]` no Colab."""
    conteudo = zipfile.ZipFile(wheel)
    nome = next(n for n in conteudo.namelist() if n.endswith(".dist-info/METADATA"))
    pedidos = message_from_string(conteudo.read(nome).decode("utf-8")).get_all("Requires-Dist")
    extras = ("", "paginas", "graficos")
    exigidos = [r for r in map(Requirement, pedidos)
                if r.marker is None or any(r.marker.evaluate({"extra": e}) for e in extras)]  # fmt: skip
    pacotes = com_o_que_exigem({r.name for r in exigidos} - {"homellm"})
    modulos = {
        modulo
        for modulo, donos in metadata.packages_distributions().items()
        if pacotes & set(map(canonicalize_name, donos))
    }
    return modulos | set(sys.stdlib_module_names) | {"homellm"} | DO_COLAB


@pytest.mark.parametrize("caderno", CADERNOS, ids=lambda c: c.stem)
def test_notebook_so_importa_o_que_o_leitor_tem(caderno, do_leitor):
    """A construção já executa cada página, numa pasta vazia; aqui, que ela não usa mais que o instalado."""
    celulas = [c.source for c in nbformat.read(caderno, as_version=4).cells if c.cell_type == "code"]
    nos = [no for fonte in celulas for no in ast.walk(ast.parse(fonte))]
    importados = {a.name for no in nos if isinstance(no, ast.Import) for a in no.names}
    importados |= {no.module or "." for no in nos if isinstance(no, ast.ImportFrom)}
    assert {nome.split(".")[0] for nome in importados} - do_leitor == set()
    nomes = {no.id for no in nos if isinstance(no, ast.Name)}
    nomes |= {f"{no.value.id}.{no.attr}" for no in nos
              if isinstance(no, ast.Attribute) and isinstance(no.value, ast.Name)}  # fmt: skip
    assert nomes & {"__file__", "sys.path", "homellm.__file__", "importlib.import_module"} == set()


@pytest.mark.parametrize("nome", EXECUTADOS)
def test_notebook_roda_sozinho_numa_pasta_vazia_so_com_o_wheel(nome, instalado, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(instalado))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # o outro núcleo está com outros testes
    for variavel in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy"):
        monkeypatch.setenv(variavel, "http://127.0.0.1:9")  # quem tentar a rede não a acha
    livro = nbformat.read(REPO / f"notebooks/{nome}.ipynb", as_version=4)
    livro.cells.append(nbformat.v4.new_code_cell(CONFERE))
    pasta = tmp_path / "vazia"
    pasta.mkdir()
    NotebookClient(
        livro, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(pasta)}}
    ).execute()
    saidas = [s for c in livro.cells if c.cell_type == "code" for s in c.outputs]
    assert [s.text for s in saidas if s.output_type == "stream" and s.name == "stderr"] == []
    assert saidas[-1].text.strip() == str(instalado / "homellm/__init__.py")
    assert os.listdir(pasta) == []
