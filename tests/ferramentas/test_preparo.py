"""A célula de preparo: nada faz fora do Colab; dentro, instala o pacote do ramo do livro e poupa o torch."""

from __future__ import annotations

import importlib.metadata
import io
import json
import os
import subprocess
import sys
import types
import urllib.error
import urllib.request
import venv
import zipfile
from hashlib import sha256
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
        self.instalou: list[bytes] = []  # o que havia no arquivo, a cada vez
        self.limites = ""
        self.baixa: bytes | Exception = b"o pacote"
        self.codigo: int | BaseException = 0  # com que o pip termina
        self.anotado: str | None = None  # o direct_url.json do pacote instalado
        self.celula = celula_de_preparo(enderecos(escreve_livro(pasta / "livro", {})))
        (pasta / "content").mkdir()
        monkeypatch.chdir(pasta / "content")
        monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
        monkeypatch.delitem(sys.modules, "homellm", raising=False)
        monkeypatch.setattr(importlib.metadata, "version", {"torch": "2.9.0+cu126"}.__getitem__)
        monkeypatch.setattr(importlib.metadata, "distributions", self.instalados)
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

    def instalados(self, name: str) -> list[types.SimpleNamespace]:
        assert name == "homellm"
        return [types.SimpleNamespace(read_text={"direct_url.json": self.anotado}.__getitem__)]

    def roda(self, comando: list[str]) -> types.SimpleNamespace:
        self.pedidos.append(comando)
        self.limites = Path(comando[6]).read_text("utf-8")
        arquivo = Path(comando[7].split("file://")[1])
        self.instalou.append(arquivo.read_bytes())
        if isinstance(self.codigo, BaseException):
            raise self.codigo
        if self.codigo == 0:
            soma = sha256(arquivo.read_bytes()).hexdigest()
            self.anotado = json.dumps({"archive_info": {"hash": f"sha256={soma}"}})
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
    ((*comando, limites, requisito),) = colab.pedidos
    assert comando == [sys.executable, "-m", "pip", "install", "-q", "-c"]
    assert requisito.startswith("homellm[paginas] @ file://") and requisito.endswith("/homellm.zip")
    assert colab.instalou == [b"o pacote"] and colab.limites == "torch==2.9.0+cu126\n"
    assert capsys.readouterr().out == ("GPU: Tesla T4\n" if gpu else "GPU: nenhuma (roda na CPU)\n")
    assert list(Path.cwd().iterdir()) == [] and not Path(limites).exists()  # não deixa nada para trás


def test_de_novo_so_instala_o_que_mudou(colab, capsys):
    exec(colab.celula, {})
    exec(colab.celula, {})
    assert colab.instalou == [b"o pacote"]
    colab.baixa = b"o pacote novo"
    exec(colab.celula, {})
    assert colab.instalou == [b"o pacote", b"o pacote novo"]
    assert "reinicie" not in capsys.readouterr().out


@pytest.mark.parametrize("anotado", [None, json.dumps({"dir_info": {"editable": True}})])
def test_instalacao_pela_metade_ou_de_outro_lugar_recomeca(colab, anotado):
    colab.anotado = anotado
    exec(colab.celula, {})
    assert colab.instalou == [b"o pacote"]


def test_interrompida_no_meio_a_proxima_recomeca(colab):
    colab.codigo = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        exec(colab.celula, {})
    colab.codigo = 0
    exec(colab.celula, {})
    exec(colab.celula, {})
    assert len(colab.pedidos) == 2


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
    exec(colab.celula, {})  # reiniciada, a célula não repete o pedido: o pacote já é o novo
    assert "reinicie" not in capsys.readouterr().out


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
    (falhou, gpu) = capsys.readouterr().out.splitlines()
    assert falhou.startswith("A instalação falhou; a causa está acima. Rode esta célula de novo; ")
    assert "excluir o ambiente" in falhou and gpu.startswith("GPU")
    colab.codigo = 0
    exec(colab.celula, {})
    assert len(colab.pedidos) == 2


# ------------------------------------------------------------------ com o pip de verdade

CONSTROI = """\
import zipfile


def build_wheel(pasta, config_settings=None, metadata_directory=None):
    nome, info = "homellm-0.1.0-py3-none-any.whl", "homellm-0.1.0.dist-info"
    with zipfile.ZipFile(f"{pasta}/{nome}", "w") as wheel:
        wheel.write("homellm.py")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\\nName: homellm\\nVersion: 0.1.0\\n"
                       "Provides-Extra: paginas\\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(f"{info}/RECORD", f"homellm.py,,\\n{info}/METADATA,,\\n{info}/WHEEL,,\\n")
    return nome
"""
PROJETO = '[build-system]\nrequires = []\nbuild-backend = "constroi"\nbackend-path = ["."]\n'


class Sessao:
    """Um Python só dele, com um torch de papel, em que a célula roda de verdade."""

    def __init__(self, pasta: Path) -> None:
        self.zip, self.content = pasta / "main.zip", pasta / "content"
        self.content.mkdir()
        venv.create(pasta / "v", with_pip=True, symlinks=os.name != "nt")
        self.python = pasta / ("v/Scripts/python.exe" if os.name == "nt" else "v/bin/python")
        self.bibliotecas = Path(self.roda("import sysconfig; print(sysconfig.get_path('purelib'))")[0])
        (self.bibliotecas / "google/colab").mkdir(parents=True)
        (self.bibliotecas / "colab.pth").write_text("import google.colab\n", "utf-8")
        cuda = "class cuda:\n    is_available = staticmethod(lambda: False)\n"
        (self.bibliotecas / "torch.py").write_text(cuda, "utf-8")
        torch = self.bibliotecas / "torch-9.0.dist-info"
        torch.mkdir()
        (torch / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 9.0\n", "utf-8")
        self.celula = celula_de_preparo().replace(enderecos().pacote(), self.zip.as_uri())

    def publica(self, versao: str) -> None:
        """O zip do repositório, com este conteúdo e a versão de sempre."""
        with zipfile.ZipFile(self.zip, "w") as arquivo:
            arquivo.writestr("livro-main/pyproject.toml", PROJETO)
            arquivo.writestr("livro-main/constroi.py", CONSTROI)
            arquivo.writestr("livro-main/homellm.py", f"conteudo = {versao!r}\n")

    def roda(self, codigo: str) -> list[str]:
        ambiente = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"PIP_NO_INDEX": "1"}
        fim = subprocess.run(
            [str(self.python), "-c", codigo], cwd=self.content, env=ambiente, text=True, encoding="utf-8",
            capture_output=True,
        )  # fmt: skip
        assert fim.returncode == 0, fim.stderr
        return fim.stdout.splitlines()

    def prepara(self, antes: str = "") -> list[str]:
        return self.roda(f"{antes}\n{self.celula}")

    def conteudo(self) -> str:
        return self.roda("import homellm; print(homellm.conteudo)")[0]


@pytest.mark.lento
def test_com_o_pip_de_verdade_a_celula_instala_troca_e_conserta(tmp_path):
    sessao, gpu = Sessao(tmp_path), "GPU: nenhuma (roda na CPU)"
    (sem_rede, tem_gpu) = sessao.prepara()
    assert sem_rede.startswith("Sem rede, o pacote do livro não foi baixado (") and tem_gpu == gpu
    sessao.publica("velho")
    assert sessao.prepara() == [gpu] and sessao.conteudo() == "velho"
    feito = sessao.bibliotecas / "homellm.py"
    instalado_em = feito.stat().st_mtime_ns
    assert sessao.prepara() == [gpu] and feito.stat().st_mtime_ns == instalado_em  # nada a fazer
    sessao.publica("novo")
    assert sessao.prepara("import homellm") == [
        "O pacote mudou: reinicie a sessão e rode o notebook do começo.", gpu
    ]  # fmt: skip
    assert sessao.conteudo() == "novo"
    feito.write_text("conteudo = 'pela meta", "utf-8")  # o pip morreu antes da última anotação
    (sessao.bibliotecas / "homellm-0.1.0.dist-info/direct_url.json").unlink()
    assert sessao.prepara() == [gpu] and sessao.conteudo() == "novo"
    assert list(sessao.content.iterdir()) == []


# ------------------------------------------------------------------ nos notebooks


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
