"""A célula de preparo: nada faz fora do Colab; dentro, instala o pacote do ramo do livro e poupa o torch."""

from __future__ import annotations

import importlib.metadata
import io
import subprocess
import sys
import types
import urllib.error
import urllib.request
from http.client import IncompleteRead
from pathlib import Path

import nbformat
import pytest

from brinquedo import REPO, escreve_livro
from ferramentas.celulas import le_celulas
from ferramentas.livro import caminho_do_caderno, enderecos, paginas
from ferramentas.preparo import celula_de_preparo

ENDERECO = "https://github.com/dono/livro/archive/v1.2.zip"


class Colab:
    """Um Colab de imitação: anota o que a célula pede, e responde o que lhe mandarem."""

    def __init__(self, monkeypatch, pasta: Path) -> None:
        self.pedidos: list[list[str]] = []
        self.baixa: bytes | Exception = b"o pacote"
        self.codigo = 0  # com que o pip termina
        self.celula = celula_de_preparo(enderecos(escreve_livro(pasta / "livro", {})))
        (pasta / "content").mkdir()
        monkeypatch.chdir(pasta / "content")
        monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
        monkeypatch.delitem(sys.modules, "homellm", raising=False)
        monkeypatch.setattr(importlib.metadata, "version", {"torch": "2.9.0+cu126"}.__getitem__)
        monkeypatch.setattr(urllib.request, "urlopen", self.abre)
        monkeypatch.setattr(subprocess, "run", self.roda)
        self.gpu(monkeypatch, False)

    @staticmethod
    def gpu(monkeypatch, ha: bool) -> None:
        cuda = types.SimpleNamespace(is_available=lambda: ha, get_device_name=lambda: "Tesla T4")
        monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(cuda=cuda))

    def abre(self, endereco: str, timeout: float) -> io.BytesIO:
        assert endereco == ENDERECO and timeout <= 60
        if isinstance(self.baixa, Exception):
            raise self.baixa
        return io.BytesIO(self.baixa)

    def roda(self, comando: list[str]) -> types.SimpleNamespace:
        self.pedidos.append(comando)
        return types.SimpleNamespace(returncode=self.codigo)


@pytest.fixture
def colab(tmp_path, monkeypatch) -> Colab:
    return Colab(monkeypatch, tmp_path)


def test_fora_do_colab_nao_faz_nada(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "google.colab", raising=False)
    exec(celula_de_preparo(), nomes := {})
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr() == ("", "")
    assert set(nomes) - {"__builtins__"} == {"sys"}


@pytest.mark.parametrize("gpu", [True, False])
def test_no_colab_instala_o_ramo_do_config_sem_trocar_o_torch(colab, capsys, monkeypatch, gpu):
    colab.gpu(monkeypatch, gpu)
    exec(colab.celula, {})
    baixado = Path("homellm.zip").resolve()
    assert colab.pedidos == [
        [sys.executable, "-m", "pip", "install", "-q", "-c", "torch.txt",
         f"homellm[paginas] @ {baixado.as_uri()}"]
    ]  # fmt: skip
    assert baixado.read_bytes() == b"o pacote"
    assert Path("torch.txt").read_text("utf-8") == "torch==2.9.0+cu126\n"
    assert capsys.readouterr().out == ("GPU: Tesla T4\n" if gpu else "GPU: nenhuma (roda na CPU)\n")


def test_de_novo_so_instala_o_que_mudou(colab, capsys):
    exec(colab.celula, {})
    exec(colab.celula, {})
    assert len(colab.pedidos) == 1
    colab.baixa = b"o pacote novo"
    exec(colab.celula, {})
    assert len(colab.pedidos) == 2 and Path("homellm.zip").read_bytes() == b"o pacote novo"
    assert "reinicie" not in capsys.readouterr().out


def test_pacote_ja_importado_pede_que_se_reinicie_so_se_ele_mudou(colab, capsys, monkeypatch):
    exec(colab.celula, {})
    monkeypatch.setitem(sys.modules, "homellm", types.ModuleType("homellm"))
    exec(colab.celula, {})
    assert "reinicie" not in capsys.readouterr().out
    colab.baixa = b"o pacote novo"
    exec(colab.celula, {})
    linhas = capsys.readouterr().out.splitlines()
    assert linhas[0] == "O pacote mudou: reinicie a sessão e rode o notebook do começo."
    assert len(linhas) == 2


@pytest.mark.parametrize(
    "erro",
    [urllib.error.URLError("Name or service not known"), TimeoutError("timed out"), IncompleteRead(b"x")],
)
def test_sem_rede_diz_uma_linha_e_nao_instala_nada(colab, capsys, erro):
    colab.baixa = erro
    exec(colab.celula, {})
    saida = capsys.readouterr()
    sem_rede, gpu = saida.out.splitlines()
    assert sem_rede.startswith("Sem rede, o pacote do livro não foi baixado (") and "de novo" in sem_rede
    assert gpu.startswith("GPU") and saida.err == ""
    assert colab.pedidos == [] and list(Path.cwd().iterdir()) == []
    colab.baixa = b"o pacote"
    exec(colab.celula, {})
    assert len(colab.pedidos) == 1


def test_instalacao_que_falha_diz_uma_linha_e_a_proxima_recomeca(colab, capsys):
    colab.codigo = 1
    exec(colab.celula, {})
    assert capsys.readouterr().out.splitlines()[0] == (
        "A instalação falhou; a causa está acima. Rode esta célula de novo."
    )
    colab.codigo = 0
    exec(colab.celula, {})
    assert len(colab.pedidos) == 2


def test_a_celula_aponta_para_o_ramo_do_livro():
    assert f'endereco = "{enderecos().pacote()}"' in celula_de_preparo()


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
