"""`make novo-capitulo`: o que ele escreve passa em tudo à primeira, e um pedido ruim não escreve nada."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from brinquedo import REPO, copia_o_projeto
from ferramentas import docstrings, lint
from ferramentas.celulas import le_celulas
from ferramentas.livro import ErroDoLivro, grava, paginas
from ferramentas.novo_capitulo import planeja
from ferramentas.tangle import compara, escreve, extrai

FONTES = ("book", "data", "ferramentas", "homellm", "_toc.yml", "_config.yml", "README.md")
ULTIMO = max(p.name for p in paginas() if re.match(r"\d\d-", p.name))
NUMERO = f"{int(ULTIMO[:2]) + 1:02}"


@pytest.fixture(scope="module")
def copia(tmp_path_factory) -> Path:
    """As fontes do livro com um capítulo novo, já extraído."""
    raiz = copia_o_projeto(tmp_path_factory.mktemp("novo") / "livro", *FONTES)
    for arquivo, texto in planeja('Média "móvel": à mão', "smoothing", raiz).items():
        grava(raiz / arquivo, texto)
    escreve(extrai(raiz), raiz)
    return raiz


def test_o_capitulo_novo_passa_na_revisao_e_esta_em_toda_parte(copia):
    assert lint.revisa(copia) == docstrings.revisa(copia) == []
    assert compara(extrai(copia), copia) == []
    docname = f"book/{NUMERO}-media-movel-a-mao"
    capitulos = [p for p in paginas(copia) if re.match(r"\d\d-", p.name)]
    assert capitulos[-1] == copia / f"{docname}.md"
    fonte = (copia / f"{docname}.md").read_text("utf-8")
    assert '# Média "móvel": à mão\n' in fonte and "{{" not in fonte
    for arquivo, linha in {
        "book/index.md": f"({NUMERO}-media-movel-a-mao.md)",
        "README.md": f"notebooks/{NUMERO}-media-movel-a-mao.ipynb",
        "book/api.md": ".. automodule:: homellm.smoothing",
    }.items():
        assert linha in (copia / arquivo).read_text("utf-8"), arquivo


def test_as_celulas_dele_rodam_e_mostram_o_que_o_texto_diz(copia, tmp_path):
    pagina = next((copia / "book").glob(f"{NUMERO}-*.md"))
    codigo = "\n".join(c.fonte for c in le_celulas(pagina, copia) if not c.destino)
    fim = subprocess.run(
        [sys.executable, "-W", "error", "-c", codigo], cwd=tmp_path, text=True, capture_output=True,
        env={**os.environ, "PYTHONPATH": str(copia), "MPLBACKEND": "Agg"},
    )  # fmt: skip
    assert (fim.returncode, fim.stderr) == (0, "")
    assert fim.stdout.split("\n")[:4] == ["3.0", "5.0", "7.0", "[3.0, 5.0, 7.0]"]


def test_os_testes_e_o_exemplo_dele_passam(copia):
    for opcoes in (["tests/pacote/test_smoothing.py"], ["--doctest-modules", "homellm/smoothing.py"]):
        fim = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull,
             "--rootdir=.", "--import-mode=importlib", *opcoes],
            cwd=copia, text=True, capture_output=True, env={**os.environ, "PYTHONPATH": str(copia)},
        )  # fmt: skip
        assert fim.returncode == 0 and " passed" in fim.stdout, fim.stdout


def test_o_que_ele_escreve_ja_tem_o_estilo_da_casa(copia):
    fim = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--config", str(REPO / "pyproject.toml"),
         "tests/pacote/test_smoothing.py", "homellm/smoothing.py"],
        cwd=copia, text=True, capture_output=True,
    )  # fmt: skip
    assert fim.returncode == 0, fim.stdout


@pytest.mark.parametrize(
    ("titulo", "modulo", "queixa"),
    [
        ("", "", "falta o título; escreva make novo-capitulo titulo="),
        ("  ", "x", "falta o título"),
        ("Um | dois", "", r"tire dele '\|'"),
        ("# Um", "", "tire dele '#'"),
        ("?!", "", "não tem letras nem números"),
        ("Atenção", "x", "já há uma página com esse nome, book/03-atencao.md; escolha outro título"),
        ("Glossário", "x", "book/glossario.md"),
        ("Novo", "attention", r"já há um módulo homellm.attention, que sai de book/03-atencao.md"),
        ("Novo", "2x", "'2x' não serve de nome de módulo"),
        ("Novo", "class", "'class' não serve de nome de módulo"),
        ("Novo", "a-b", "use letras minúsculas"),
        ("Novo", "../x", "não serve de nome de módulo"),
        ("2ª parte", "", "'2a_parte' não serve .* como em modulo=experts"),
    ],
)
def test_um_pedido_ruim_diz_o_que_fazer(titulo, modulo, queixa):
    with pytest.raises(ErroDoLivro, match=queixa):
        planeja(titulo, modulo, REPO)


@pytest.mark.parametrize(
    ("arquivo", "de", "queixa"),
    [("book/index.md", "| ", "book/index.md:1: não achei a tabela dos capítulos"),
     ("_toc.yml", "book/0", "não existe")],
)  # fmt: skip
def test_uma_fonte_sem_o_lugar_da_entrada_e_dita(copia, tmp_path, arquivo, de, queixa):
    raiz = copia_o_projeto(tmp_path / "livro", *FONTES)
    grava(raiz / arquivo, (raiz / arquivo).read_text("utf-8").replace(de, "x"))
    with pytest.raises(ErroDoLivro, match=queixa):
        planeja("Novo", "novo", raiz)


def test_o_teste_que_ja_existe_nao_e_perdido(tmp_path):
    raiz = copia_o_projeto(tmp_path / "livro", *FONTES)
    grava(raiz / "tests/pacote/test_novo.py", "")
    with pytest.raises(ErroDoLivro, match="tests/pacote/test_novo.py:1: já existe"):
        planeja("Novo", "", raiz)


def test_o_comando_sem_titulo_diz_como_se_escreve(tmp_path):
    fim = subprocess.run(
        [sys.executable, "-m", "ferramentas.novo_capitulo", ""], cwd=REPO, text=True, capture_output=True,
    )  # fmt: skip
    assert fim.returncode == 1 and fim.stderr.startswith("erro: falta o título; escreva make novo-capitulo")
