"""`ferramentas/execucao.py`: de que depende a execução de cada página."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from myst_nb.core.read import read_myst_markdown_notebook

from brinquedo import CABECALHO, celula, escreve_livro
from ferramentas import execucao
from ferramentas.celulas import Celula, le_celulas
from ferramentas.execucao import chave, marca_cabecalho, modulos_importados


@pytest.fixture
def raiz(tmp_path) -> Path:
    """Um pacote em que `c` importa `b`, que importa `a`; `corpus` sabe dos dados; `e` cita um deles."""
    modulos = {
        "__init__": '"""Pacote."""\n',
        "a": "x = 1\n",
        "b": "from homellm import a\n",
        "c": "def f():\n    import homellm.b\n",
        "corpus": 'DADOS = {"contos": "contos.txt", "spam": "spam/mensagens.csv"}\n',
        "e": 'import homellm.corpus\n\nPADRAO = "contos"\n',
    }
    escreve_livro(tmp_path, {"01-um": CABECALHO + celula("1")})
    for nome, texto in modulos.items():
        (tmp_path / f"homellm/{nome}.py").write_text(texto, "utf-8")
    (tmp_path / "data/spam").mkdir(parents=True)
    (tmp_path / "data/contos.txt").write_text("era uma vez", "utf-8")
    (tmp_path / "data/contos.md").write_text("a ficha", "utf-8")
    (tmp_path / "data/spam/mensagens.csv").write_text("a,b", "utf-8")
    (tmp_path / "constraints.txt").write_text("torch==1\n", "utf-8")
    (tmp_path / "widgets/motor").mkdir(parents=True)
    (tmp_path / MOTOR).write_text("export {};", "utf-8")
    return tmp_path


PACOTE, VERSOES = "homellm/__init__.py", "constraints.txt"
MOTOR = "widgets/motor/gpt.js"
CONTOS, SPAM = "data/contos.txt", "data/spam/mensagens.csv"
MODULOS = [f"homellm/{m}.py" for m in ("a", "b", "c", "corpus", "e")]
TODOS = [PACOTE, VERSOES, MOTOR, CONTOS, SPAM, "data/contos.md", *MODULOS]
DEPENDE = {  # código da página: os arquivos que mudam a sua chave
    "1 + 1": {VERSOES},
    "import numpy": {VERSOES},
    "import homellm": {VERSOES, PACOTE},
    "from homellm import a": {VERSOES, PACOTE, "homellm/a.py"},
    "from homellm.c import f": {VERSOES, PACOTE, "homellm/a.py", "homellm/b.py", "homellm/c.py"},
    "if 1:\n    import homellm.b as z": {VERSOES, PACOTE, "homellm/a.py", "homellm/b.py"},
    "from homellm import corpus": {VERSOES, PACOTE, "homellm/corpus.py", CONTOS, SPAM},
    "import homellm.corpus as c\nc.load('spam')": {VERSOES, PACOTE, "homellm/corpus.py", SPAM},
    "import homellm.corpus as c\nc.load('contos', 'test')": {VERSOES, PACOTE, "homellm/corpus.py", CONTOS},
    "import homellm.e": {VERSOES, PACOTE, "homellm/corpus.py", "homellm/e.py", CONTOS},
    "f'{pasta}/motor/engine.js'": {VERSOES, MOTOR},  # a página o roda
    "open('../data/contos.txt')": {VERSOES, CONTOS},  # a página que define o `corpus` não o importa
}


@pytest.mark.parametrize("codigo", DEPENDE)
def test_chave_muda_com_o_que_a_pagina_usa_e_so_com_isso(raiz, codigo):
    celulas = [Celula("book/01-um.md", 1, codigo, {}, 2)]
    inicial = chave(celulas, raiz)
    assert chave(celulas, raiz) == inicial
    mudaram = set()
    for nome in TODOS:
        antes = (raiz / nome).read_text("utf-8")
        (raiz / nome).write_text(antes + "\n# mais uma linha\n", "utf-8")
        if chave(celulas, raiz) != inicial:
            mudaram.add(nome)
        (raiz / nome).write_text(antes, "utf-8")
    assert mudaram == DEPENDE[codigo]


def test_chave_muda_com_o_python_mas_nao_com_a_prosa(raiz, monkeypatch):
    md = raiz / "book/01-um.md"
    inicial = chave(le_celulas(md, raiz), raiz)
    md.write_text(CABECALHO + "Prosa nova.\n\n" + celula("1"), "utf-8")
    assert chave(le_celulas(md, raiz), raiz) == inicial
    monkeypatch.setattr(execucao.platform, "python_version", lambda: "3.99.0")
    assert chave(le_celulas(md, raiz), raiz) != inicial


def test_importacoes_em_circulo_terminam(raiz):
    (raiz / "homellm/a.py").write_text("import homellm.c\n", "utf-8")
    assert set(execucao.fecho({"a"}, raiz)) == {"a", "b", "c"}


def test_importacoes_de_outros_pacotes_nao_contam():
    codigo = "import homellm2.x, os\nfrom . import y\nfrom homellmx import z\nfrom homellm.a.b import w"
    assert modulos_importados(ast.parse(codigo)) == {"a"}


def test_marca_entra_no_kernelspec_sem_mexer_nas_linhas():
    texto = CABECALHO + "    display_name: no texto\n\n" + celula("1")
    marcado = marca_cabecalho(texto, "abc123")
    assert marcado.count("\n") == texto.count("\n")
    assert marcado.count("abc123") == 1
    assert read_myst_markdown_notebook(marcado).metadata.kernelspec.display_name == "Python 3 (abc123)"
