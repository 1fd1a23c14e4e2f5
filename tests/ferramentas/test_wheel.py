"""O que o leitor instala: o wheel leva o pacote e os dados, e cada notebook roda só com ele."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import zipfile
from email import message_from_string
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from brinquedo import REPO, copia_o_projeto

CADERNOS = sorted((REPO / "notebooks").rglob("*.ipynb"))
# Os treinos de um caderno param no terceiro passo, os do pacote e, no capítulo 5, os da classe que ele mesmo
# define. O que se confere aqui é que ele roda do começo ao fim; a construção já executa cada página inteira.
POUCOS_PASSOS = """
from homellm import training

def curto(self, *argumentos, completo={classe}.__init__):
    completo(self, *argumentos)
    self.total_steps = min(self.total_steps, 3)

{classe}.__init__ = curto
"""
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


@pytest.mark.parametrize("caderno", CADERNOS, ids=lambda c: c.stem)
def test_notebook_roda_sozinho_numa_pasta_vazia_so_com_o_wheel(caderno, instalado, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(instalado))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # o outro núcleo está com outros testes
    for variavel in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy"):
        monkeypatch.setenv(variavel, "http://127.0.0.1:9")  # quem tentar a rede não a acha
    livro = nbformat.read(caderno, as_version=4)
    definida = [(n + 1, "_Trainer") for n, c in enumerate(livro.cells) if "class _Trainer:" in c.source]
    for lugar, classe in (*definida, (0, "training._Trainer")):
        livro.cells.insert(lugar, nbformat.v4.new_code_cell(POUCOS_PASSOS.format(classe=classe)))
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
