"""O que é gerado e guardado no repositório é o que as páginas geram; importar o pacote é leve e calado."""

from __future__ import annotations

import os
import pydoc
import re
import subprocess
import sys

import nbformat
import pytest

import homellm
from brinquedo import REPO, copia_o_projeto, restos_de_myst
from ferramentas import construir
from ferramentas.livro import caminho_do_caderno, enderecos, paginas
from ferramentas.tangle import compara, extrai

IMPORTA = """
import importlib, sys

def recusa(evento, argumentos):
    if evento in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "urllib.Request"):
        raise RuntimeError(f"rede na importação: {evento} {argumentos}")

sys.addaudithook(recusa)
for modulo in sys.argv[1:]:
    importlib.import_module(modulo)
    print("importado:", modulo)
"""


def python(codigo: str, *argumentos: str, pasta=REPO) -> subprocess.CompletedProcess[str]:
    """Roda `codigo` noutro processo, com os avisos do Python valendo como erro."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", codigo, *argumentos], cwd=pasta, capture_output=True, text=True,
        encoding="utf-8", env={**os.environ, "PYTHONPATH": str(REPO)}, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def test_pacote_igual_aos_capitulos():
    """Uma edição à mão em `homellm/` aparece aqui, com o capítulo a mudar."""
    assert compara(extrai(REPO), REPO) == []


def test_notebooks_iguais_as_paginas(tmp_path):
    """Com o site em dia, são os que ele dá a baixar; sem ele, os que uma cópia do projeto gera."""
    if construir.em_dia(construir.soma_das_fontes()):
        assert construir.confere_cadernos(construir.do_site()) == []
        return
    nomes = ("notebooks", *(n for n in construir.FONTES if (REPO / n).exists()))
    copia_o_projeto(tmp_path, *nomes)
    fim = subprocess.run(
        [sys.executable, "-m", "ferramentas.construir", "--confere"], cwd=tmp_path, text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        encoding="utf-8",
    )  # fmt: skip
    assert (fim.returncode, fim.stdout) == (0, "")


def test_notebooks_do_livro_nao_tem_sintaxe_myst():
    cadernos = sorted((REPO / "notebooks").rglob("*.ipynb"))
    assert cadernos
    for caderno in cadernos:
        for trecho in nbformat.read(caderno, as_version=4).cells:
            if trecho.cell_type == "markdown":
                assert restos_de_myst(trecho.source) == [], (caderno.name, trecho.source)


def test_enderecos_do_leiame_sao_os_do_livro():
    """O README é escrito à mão: os endereços dele são os de `_config.yml`, e levam a algo que existe."""
    publicos, texto = enderecos(), (REPO / "README.md").read_text("utf-8")
    docnames = [p.relative_to(REPO).with_suffix("").as_posix() for p in paginas()]
    do_site = set(re.findall(re.escape(publicos.site) + r"[^\s)>}\"]*", texto))
    assert do_site <= {publicos.site, *map(publicos.pagina, docnames)}
    do_colab = set(re.findall(r"https://colab\.research\.google\.com/github/[^\s)>\"]*", texto))
    assert do_colab <= {publicos.colab(caminho_do_caderno(d)) for d in docnames}
    assert do_site and do_colab
    no_repositorio = (
        re.escape(publicos.bruto("")) + "|" + re.escape(f"{publicos.repositorio}/blob/{publicos.ramo}/")
    )
    arquivos = re.findall(rf"(?:{no_repositorio})([^\s)>\"]*)", texto)
    assert arquivos and all((REPO / arquivo).is_file() for arquivo in arquivos)
    pacotes = set(re.findall(re.escape(publicos.repositorio) + r"/archive/[^\s)>\"]*", texto))
    assert pacotes <= {publicos.pacote()}


def test_importar_o_pacote_nao_carrega_nada_pesado(tmp_path):
    pesados = "torch numpy matplotlib tiktoken platformdirs certifi safetensors tqdm regex"
    fim = python(
        "import sys, homellm\n"
        f"print(homellm.__version__, sorted(set('{pesados}'.split()) & set(sys.modules)))\n"
        "print(sorted(m for m in sys.modules if m.startswith('homellm.')))",
        pasta=tmp_path,
    )
    versao = next(
        linha.split('"')[1]
        for linha in (REPO / "pyproject.toml").read_text("utf-8").splitlines()
        if linha.startswith("version = ")
    )
    assert (fim.stdout, fim.stderr) == (f"{versao} []\n[]\n", "")


SEM_TORCH = ("cells", "corpus", "download", "files", "judge", "ngram", "plots", "tokenizer")


@pytest.mark.parametrize("modulo", SEM_TORCH)
def test_quem_nao_usa_tensores_nao_espera_pelo_torch(modulo, tmp_path):
    """O PyTorch leva segundos a carregar: ler um texto ou contar letras não precisa dele."""
    pesados = "torch matplotlib tqdm transformers sklearn IPython"
    fim = python(
        f"import sys, homellm.{modulo}\nprint(sorted(set('{pesados}'.split()) & set(sys.modules)))",
        pasta=tmp_path,
    )
    assert (fim.stdout, fim.stderr) == ("[]\n", "")


def test_o_pacote_inteiro_so_carrega_alem_do_torch_as_suas_dependencias(tmp_path):
    modulos = sorted(f"homellm.{p.stem}" for p in (REPO / "homellm").glob("*.py") if p.stem != "__init__")
    fim = python(
        "import importlib, sys, torch, numpy\nantes = set(sys.modules)\n"
        f"for nome in {modulos}: importlib.import_module(nome)\n"
        "raizes = {nome.split('.')[0] for nome in set(sys.modules) - antes} - sys.stdlib_module_names\n"
        "print(*sorted(r for r in raizes if not r.startswith('_')))\n"
        "print([n for n in ('torch._dynamo', 'torch._inductor') if n in set(sys.modules) - antes])",
        pasta=tmp_path,
    )
    esperadas = "certifi homellm numpy platformdirs regex safetensors tiktoken tiktoken_ext"
    assert (fim.stdout, fim.stderr) == (f"{esperadas}\n[]\n", "")


def test_a_ajuda_do_pacote_e_uma_primeira_pagina():
    """`help(homellm)`: carregar e gerar, treinar, e cada módulo numa linha, sem rolar para o lado."""
    texto = pydoc.render_doc(homellm, renderer=pydoc.plaintext)
    descricao, resto = texto.split("PACKAGE CONTENTS")
    lugares = [descricao.index(passo) for passo in ("load_pretrained(", "generate_text(", " train(model")]
    assert lugares == sorted(lugares)
    modulos = {p.stem for p in (REPO / "homellm").glob("*.py") if p.stem != "__init__"}
    linhas = {linha.split()[0] for linha in descricao.splitlines() if re.match(r" {8}[a-z_]+ {2,}\S", linha)}
    assert linhas == modulos and all(modulo in resto for modulo in modulos)
    assert max(map(len, descricao.splitlines())) <= 80  # a largura de um terminal
    assert len(descricao.splitlines()) <= len(modulos) + 40
    assert "CLASSES" not in texto and "FUNCTIONS" not in texto


def test_nenhum_modulo_imprime_avisa_ou_usa_a_rede_ao_ser_importado(tmp_path):
    modulos = sorted(f"homellm.{p.stem}" for p in (REPO / "homellm").glob("*.py") if p.stem != "__init__")
    assert modulos
    fim = python(IMPORTA, *modulos, pasta=tmp_path)
    assert fim.stdout == "".join(f"importado: {m}\n" for m in modulos), fim.stderr
    assert (fim.returncode, fim.stderr) == (0, "")
    assert list(tmp_path.iterdir()) == []


def test_a_guarda_de_rede_guarda():
    fim = python(
        IMPORTA.replace("importlib.import_module(modulo)", "__import__('socket').getaddrinfo('a.b', 80)"), "x"
    )
    assert "rede na importação: socket.getaddrinfo" in fim.stderr


def test_cada_modulo_tem_os_seus_testes():
    modulos = {p.stem for p in (REPO / "homellm").glob("*.py")} - {"__init__"}
    sem_testes = {m for m in modulos if not (REPO / f"tests/pacote/test_{m}.py").exists()}
    assert sem_testes == set(), f"crie {sorted(f'tests/pacote/test_{m}.py' for m in sem_testes)}"
