"""O que o leitor instala: o wheel leva o pacote e os dados, e cada notebook roda só com ele."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tarfile
import venv
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
from ferramentas import versao
from ferramentas.livro import enderecos, paginas
from ferramentas.testa_wheel import USO, roda

CADERNOS = sorted((REPO / "notebooks").rglob("*.ipynb"))
EXECUTADOS = ("00-passo-zero", "conjuntos")  # baratos; o segundo lê todos os dados que o wheel leva
DO_COLAB = {"google", "IPython", "transformers"}  # o que as páginas usam e o Colab já traz
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
    pastas = ("homellm", "data", "widgets")
    copia_o_projeto(raiz / "fonte", "pyproject.toml", "README.md", "LICENSE", ".gitignore", *pastas)
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
    widgets = REPO / "widgets"
    motor = {  # as peças das páginas ficam no repositório
        f"homellm/_widgets/{p.relative_to(widgets).as_posix()}"
        for p in widgets.rglob("*")
        if p.is_file() and p.relative_to(widgets).parts[0] in ("motor", "exportada", "modelo.js", "worker.js")
    }
    assert nomes == pacote | dados | motor
    assert "homellm/_data/contos.txt" in nomes and "homellm/__init__.py" in nomes


def test_o_que_vai_para_o_pypi_passa_no_twine_e_do_sdist_sai_o_mesmo_wheel(wheel, tmp_path):
    fonte = wheel.parents[1] / "fonte"
    chama("build", "--sdist", "--no-isolation", "--outdir", str(tmp_path), pasta=fonte)
    (sdist,) = tmp_path.iterdir()
    chama("twine", "check", "--strict", str(wheel), str(sdist), pasta=tmp_path)
    with tarfile.open(sdist) as arquivo:
        arquivo.extractall(tmp_path / "aberto")
    (raiz,) = (tmp_path / "aberto").iterdir()
    chama("build", "--wheel", "--no-isolation", "--outdir", str(tmp_path / "dist"), pasta=raiz)
    (refeito,) = (tmp_path / "dist").iterdir()
    conteudos = [
        {n: z.read(n) for n in z.namelist() if not n.endswith("/RECORD")}
        for z in map(zipfile.ZipFile, (wheel, refeito))
    ]
    assert conteudos[0] == conteudos[1]


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
    enderecos_ = dict(linha.split(", ", 1) for linha in dados.get_all("Project-URL"))
    assert set(enderecos_) == {"Homepage", "Documentation", "Source", "Issues", "Changelog"}
    docnames = {p.relative_to(REPO).with_suffix("").as_posix() for p in paginas()}
    for endereco in enderecos_.values():
        pagina = endereco.removeprefix(enderecos().site)
        assert endereco.startswith(enderecos().repositorio) or not pagina or pagina[:-5] in docnames
    for classe in ("Typing :: Typed", "Natural Language :: Portuguese (Brazilian)",
                   *(f"Programming Language :: Python :: 3.{n}" for n in range(10, 14))):  # fmt: skip
        assert classe in dados.get_all("Classifier")
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
            origem = REPO / re.sub("^homellm/_(data|widgets)/", r"\1/", nome)
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


def exigidos(wheel: Path, *extras: str) -> set[str]:
    """Os pacotes que o wheel pede, com estes extras."""
    conteudo = zipfile.ZipFile(wheel)
    nome = next(n for n in conteudo.namelist() if n.endswith(".dist-info/METADATA"))
    pedidos = message_from_string(conteudo.read(nome).decode("utf-8")).get_all("Requires-Dist")
    return {
        r.name
        for r in map(Requirement, pedidos)
        if r.marker is None or any(r.marker.evaluate({"extra": extra}) for extra in ("", *extras))
    } - {"homellm"}


@pytest.fixture(scope="module")
def sozinho(wheel, tmp_path_factory) -> Path:
    """O Python de um ambiente vazio: o wheel, o que ele exige, o que isso exige, e nada mais."""
    pasta = tmp_path_factory.mktemp("sozinho")
    venv.create(pasta, with_pip=False)
    python = pasta / "bin/python"
    pergunta = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    destino = Path(subprocess.run(pergunta, capture_output=True, text=True, check=True).stdout.strip())
    zipfile.ZipFile(wheel).extractall(destino)
    for pacote in com_o_que_exigem(exigidos(wheel)):
        try:
            arquivos = metadata.distribution(pacote).files or []
        except metadata.PackageNotFoundError:  # o que outro sistema ou outro Python pediria
            continue
        for nome in {a.parts[0] for a in arquivos} - {"..", "__pycache__"}:
            if not (destino / nome).exists():
                (destino / nome).symlink_to(Path(metadata.distribution(pacote).locate_file(nome)))
    return python


@pytest.fixture(scope="module")
def do_leitor(wheel) -> set[str]:
    """Os módulos que tem quem instala `homellm[paginas]` no Colab."""
    pacotes = com_o_que_exigem(exigidos(wheel, "paginas", "graficos"))
    modulos = {
        modulo
        for modulo, donos in metadata.packages_distributions().items()
        if pacotes & set(map(canonicalize_name, donos))
    }
    return modulos | set(sys.stdlib_module_names) | {"homellm"} | DO_COLAB


def test_num_ambiente_vazio_o_pacote_faz_tudo_o_que_promete(sozinho, tmp_path):
    falta = roda(sozinho, "-c", "import matplotlib", pasta=tmp_path)
    assert "No module named 'matplotlib'" in falta.stderr  # está mesmo vazio
    fim = roda(sozinho, str(USO), str(tmp_path / "saida"), pasta=tmp_path)
    assert (fim.returncode, fim.stderr) == (0, "")
    assert fim.stdout.splitlines()[-1].startswith("['spam', 'janela', 'JANELA']")
    assert os.listdir(tmp_path) == ["saida"]


def test_num_ambiente_vazio_cada_modulo_se_importa_e_os_exemplos_da_ajuda_rodam(sozinho, tmp_path):
    modulos = sorted(p.stem for p in (REPO / "homellm").glob("*.py") if p.stem != "__init__")
    codigo = f"""import doctest, importlib, homellm
for nome in {modulos}:
    importlib.import_module(f"homellm.{{nome}}")
print(doctest.testmod(homellm), homellm.__version__)"""
    fim = roda(sozinho, "-c", codigo, pasta=tmp_path)
    assert (fim.returncode, fim.stderr) == (0, "")
    assert re.fullmatch(rf"TestResults\(failed=0, attempted=\d\d\) {versao.versao()}\n", fim.stdout)


ERRADO = """from homellm.generation import generate_text
from homellm.weights import load_pretrained

model, tokenizer = load_pretrained("contos-mini")
number: int = generate_text(model, tokenizer, 3)
"""


def test_as_assinaturas_servem_a_quem_confere_os_tipos(sozinho, tmp_path):
    """O que se escreve com o pacote passa em `mypy --strict`; o que está errado é visto, com o arquivo."""
    (tmp_path / "errado.py").write_text(ERRADO, "utf-8")
    comando = ["--strict", "--config-file=", "--cache-dir", str(tmp_path / "cache"), "--python-executable"]
    fim = subprocess.run(
        [sys.executable, "-m", "mypy", *comando, str(sozinho), str(USO), "errado.py"],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    *queixas, resumo = fim.stdout.splitlines()
    assert [q.split(": ")[0] for q in queixas] == ["errado.py:5"] * 2, fim.stdout
    assert [q.rpartition(" ")[2] for q in queixas] == ["[assignment]", "[arg-type]"]
    assert "checked 2 source files" in resumo and fim.stderr == ""


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
