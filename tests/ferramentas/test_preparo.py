"""A célula de preparo: nada faz fora do Colab; dentro, instala o pacote no ramo do livro e poupa o torch."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import types
from pathlib import Path

import nbformat
import pytest

from brinquedo import REPO, escreve_livro
from ferramentas.celulas import le_celulas
from ferramentas.livro import caminho_do_caderno, enderecos, paginas
from ferramentas.preparo import celula_de_preparo


@pytest.fixture
def chamadas(tmp_path, monkeypatch) -> list[tuple[list[str], dict]]:
    """Comandos que a célula mandaria rodar, numa pasta vazia."""
    feitas: list[tuple[list[str], dict]] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(subprocess, "run", lambda comando, **opcoes: feitas.append((comando, opcoes)))
    return feitas


def test_fora_do_colab_nao_faz_nada(chamadas, tmp_path, capsys, monkeypatch):
    monkeypatch.delitem(sys.modules, "google.colab", raising=False)
    exec(celula_de_preparo(), nomes := {})
    assert chamadas == [] and list(tmp_path.iterdir()) == []
    assert capsys.readouterr() == ("", "")
    assert set(nomes) - {"__builtins__"} == {"sys"}


@pytest.mark.parametrize("gpu", [True, False])
def test_no_colab_instala_o_ramo_do_config_sem_trocar_o_torch(chamadas, tmp_path, capsys, monkeypatch, gpu):
    cuda = types.SimpleNamespace(is_available=lambda: gpu, get_device_name=lambda: "Tesla T4")
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(cuda=cuda))
    monkeypatch.setattr(importlib.metadata, "version", {"torch": "2.9.0+cu126"}.__getitem__)
    livro = enderecos(escreve_livro(tmp_path / "livro", {}))
    exec(celula_de_preparo(livro), {})
    assert chamadas == [
        (
            [sys.executable, "-m", "pip", "install", "-q", "-c", "torch.txt",
             "homellm[paginas] @ https://github.com/dono/livro/archive/v1.2.zip"],
            {"check": True},
        )
    ]  # fmt: skip
    assert Path("torch.txt").read_text("utf-8") == "torch==2.9.0+cu126\n"
    assert capsys.readouterr().out == ("GPU: Tesla T4\n" if gpu else "GPU: nenhuma (roda na CPU)\n")


def test_o_livro_aponta_para_o_seu_ramo():
    assert f'requisito = "{enderecos().instalacao()}"' in celula_de_preparo()


def test_a_celula_e_a_primeira_de_cada_notebook_e_igual_em_todos():
    com_codigo = [md for md in paginas() if le_celulas(md, REPO)]
    assert com_codigo
    esperada = "#@title Preparo (rode primeiro)\n" + celula_de_preparo()
    for md in com_codigo:
        docname = md.relative_to(REPO).with_suffix("").as_posix()
        caderno = nbformat.read(REPO / caminho_do_caderno(docname), as_version=4)
        codigos = [c.source for c in caderno.cells if c.cell_type == "code"]
        assert codigos[0] == esperada, md.name
        assert codigos.count(esperada) == 1 and len(codigos) > 1
