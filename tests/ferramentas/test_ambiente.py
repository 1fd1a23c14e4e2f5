"""`ferramentas/ambiente.py`: o ambiente nasce, continua de onde parou, e cada falha diz uma linha."""

from __future__ import annotations

import ast
import os
import shutil
import socket
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from brinquedo import REPO, copia_o_projeto
from ferramentas import ambiente

FONTE = REPO / "ferramentas/ambiente.py"
VELHOS = sorted(Path.home().glob(".pyenv/versions/3.[6-9].*/bin/python"))
IMITACAO = """\
#!/bin/sh
# faz as vezes do Python de .venv: anota o que lhe pedem e obedece ao arquivo `modo`
aqui=$(dirname "$0")
[ "$1" = -c ] && exit 0
echo "$@" >> "$aqui/pedidos"
case $(cat "$aqui/modo") in
  certo) echo "Collecting torch"; echo "linha que não interessa";;
  parado) echo "Collecting torch"; kill -INT $PPID; sleep 1;;
  torto) echo "ERROR: ResolutionImpossible: foo e bar brigam"; exit 1;;
  sem-rede) echo "WARNING: NewConnectionError: Connection refused"; echo "ERROR: No matching"; exit 1;;
esac
"""
COM_SINAIS = (  # um processo de fundo herda o SIGINT ignorado; aqui ele volta a valer
    "import runpy, signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
)


class Projeto:
    """Um projeto com um `.venv` de imitação."""

    def __init__(self, raiz: Path) -> None:
        self.raiz = copia_o_projeto(raiz, "pyproject.toml", "constraints.txt")
        (raiz / "ferramentas").mkdir()
        shutil.copy(FONTE, raiz / "ferramentas")
        self.bin = raiz / ".venv/bin"
        self.bin.mkdir(parents=True)
        (self.bin / "python").write_text(IMITACAO, "utf-8")
        (self.bin / "python").chmod(0o755)

    def roda(self, modo: str, *argumentos: str) -> subprocess.CompletedProcess[str]:
        (self.bin / "modo").write_text(modo, "utf-8")
        programa = str(self.raiz / "ferramentas/ambiente.py")
        return subprocess.run(
            [sys.executable, "-c", COM_SINAIS, programa, *argumentos], capture_output=True, text=True,
            encoding="utf-8", env={**os.environ, "PYTHONUTF8": "1"}, timeout=60,
        )  # fmt: skip

    @property
    def pedidos(self) -> list[str]:
        arquivo = self.bin / "pedidos"
        return arquivo.read_text("utf-8").splitlines() if arquivo.exists() else []


@pytest.fixture
def projeto(tmp_path) -> Projeto:
    return Projeto(tmp_path / "projeto")


def diz_so(resultado: subprocess.CompletedProcess[str], frase: str) -> bool:
    """Terminou com erro, e em stderr há uma linha só, com esta frase."""
    linhas = resultado.stderr.splitlines()
    assert len(linhas) == 1 and linhas[0].startswith("erro: ") and frase in linhas[0], resultado.stderr
    return resultado.returncode == 1


# ---------------------------------------------------------------- o que dá certo


def test_instala_uma_vez_e_depois_nao_faz_nada(projeto):
    feito = projeto.roda("certo", "livro")
    assert (
        feito.returncode == 0 and "Collecting torch" in feito.stdout and "não interessa" not in feito.stdout
    )
    assert feito.stdout.endswith("ambiente: pronto\n")
    (pedido,) = projeto.pedidos
    assert "-m pip install" in pedido and pedido.endswith("-c constraints.txt -e .[livro]")
    de_novo = projeto.roda("torto", "livro")
    assert (de_novo.returncode, de_novo.stdout, de_novo.stderr) == (0, "", "")
    assert len(projeto.pedidos) == 1


@pytest.mark.parametrize("nome", ["pyproject.toml", "constraints.txt"])
def test_reinstala_quando_o_ambiente_pedido_muda(projeto, nome):
    projeto.roda("certo", "livro")
    marca = (projeto.raiz / ".venv/.livro").stat().st_mtime
    os.utime(projeto.raiz / nome, (marca + 10, marca + 10))
    assert projeto.roda("certo", "livro").returncode == 0
    assert len(projeto.pedidos) == 2


def test_o_ambiente_de_teste_serve_ao_livro_mas_nao_o_contrario(projeto):
    projeto.roda("certo", "livro")
    assert not (projeto.raiz / ".venv/.teste").exists()
    projeto.roda("certo", "teste")
    (projeto.raiz / ".venv/.livro").unlink()
    assert projeto.pedidos[-1].endswith(".[teste]") and len(projeto.pedidos) == 2
    projeto.roda("certo", "teste")
    assert len(projeto.pedidos) == 2


def test_teste_sem_livro_antes(projeto):
    projeto.roda("certo", "teste")
    projeto.roda("certo", "livro")
    assert [p.rpartition(".[")[2] for p in projeto.pedidos] == ["teste]"]


def test_projeto_que_mudou_de_pasta_reinstala(projeto):
    projeto.roda("certo", "livro")
    projeto.raiz = projeto.raiz.rename(projeto.raiz.with_name("outra pasta"))
    projeto.bin = projeto.raiz / ".venv/bin"
    assert projeto.roda("certo", "livro").returncode == 0
    assert len(projeto.pedidos) == 2


def test_interrompido_diz_como_continuar_e_continua(projeto):
    assert diz_so(projeto.roda("parado", "livro"), "interrompido; rode o mesmo comando para continuar")
    assert not (projeto.raiz / ".venv/.livro").exists()
    assert projeto.roda("certo", "livro").returncode == 0
    assert len(projeto.pedidos) == 2


# ---------------------------------------------------------------- o que dá errado


def test_sem_rede_diz_uma_linha_e_a_proxima_vez_continua(projeto):
    assert diz_so(projeto.roda("sem-rede", "teste"), "sem rede: não foi possível baixar os pacotes")
    assert projeto.roda("certo", "teste").returncode == 0


def test_outra_falha_mostra_o_que_o_pip_disse(projeto):
    falha = projeto.roda("torto", "livro")
    assert falha.returncode == 1 and "foo e bar brigam" in falha.stderr and "sem rede" not in falha.stderr
    assert falha.stderr.splitlines()[-1].startswith(
        "erro: a instalação falhou; a causa está nas linhas acima"
    )


@pytest.mark.parametrize("argumentos", [(), ("livros",), ("livro", "teste")])
def test_uso_errado(projeto, argumentos):
    assert diz_so(projeto.roda("certo", *argumentos), "uso: python3 ferramentas/ambiente.py livro|teste")
    assert projeto.pedidos == []


def test_o_pip_de_verdade_sem_rede(tmp_path):
    """Cria um `.venv` de verdade, com um índice de pacotes em que ninguém atende."""
    raiz = copia_o_projeto(tmp_path, "pyproject.toml", "README.md", "LICENSE")
    (raiz / "constraints.txt").write_text("", "utf-8")
    (raiz / "ferramentas").mkdir()
    shutil.copy(FONTE, raiz / "ferramentas")
    with socket.socket() as ouvido:
        ouvido.bind(("127.0.0.1", 0))
        porta = ouvido.getsockname()[1]  # não há quem ouça nela: `listen` não foi chamado
        variaveis = {
            n: v for n, v in os.environ.items() if not n.startswith("PIP_") and "proxy" not in n.lower()
        }
        variaveis |= {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": f"http://127.0.0.1:{porta}/"}
        variaveis |= {"PIP_RETRIES": "1", "PYTHONUTF8": "1"}
        falha = subprocess.run(
            [sys.executable, str(raiz / "ferramentas/ambiente.py"), "livro"], capture_output=True, text=True,
            encoding="utf-8", env=variaveis, stdin=subprocess.DEVNULL, timeout=300,
        )  # fmt: skip
    assert diz_so(
        falha, "sem rede: não foi possível baixar os pacotes. Ligue-a e rode de novo o mesmo comando"
    )
    assert "ambiente: criando .venv" in falha.stdout
    assert not (raiz / ".venv/.livro").exists()


def test_a_sintaxe_serve_ate_ao_python_3_6():
    ast.parse(FONTE.read_text("utf-8"), feature_version=(3, 6))


@pytest.mark.skipif(not VELHOS, reason="nenhum Python velho em ~/.pyenv/versions")
@pytest.mark.parametrize("python", VELHOS, ids=lambda p: p.parts[-3])
def test_python_velho_de_verdade_diz_uma_linha(projeto, python):
    resultado = subprocess.run(
        [str(python), str(projeto.raiz / "ferramentas/ambiente.py"), "livro"], capture_output=True, text=True,
        encoding="utf-8", env={**os.environ, "PYTHONUTF8": "1", "PYTHONIOENCODING": "utf-8"},
    )  # fmt: skip
    versao = ".".join(python.parts[-3].split(".")[:2])
    assert diz_so(resultado, f"este é o Python {versao}, e o livro precisa do 3.10 ou mais novo; instale-o")
    assert projeto.pedidos == []


@pytest.mark.parametrize(("versao", "serve"), [((3, 9, 18), False), ((3, 10, 0), True), ((4, 0, 0), True)])
def test_que_python_serve(versao, serve):
    if serve:
        ambiente.confere_python(versao)
    else:
        with pytest.raises(SystemExit, match=r"este é o Python 3\.9, .* make livro PYTHON=python3\.12"):
            ambiente.confere_python(versao)


@pytest.fixture
def sem_venv(tmp_path, monkeypatch) -> list[tuple[tuple, dict]]:
    """Um projeto sem `.venv`; devolve os pedidos feitos ao módulo venv."""
    criados: list[tuple[tuple, dict]] = []
    monkeypatch.setattr(ambiente, "VENV", str(tmp_path / ".venv"))
    monkeypatch.setattr(ambiente, "PYTHON", str(tmp_path / ".venv/bin/python"))
    monkeypatch.setattr(venv, "create", lambda *a, **o: criados.append((a, o)))
    return criados


@pytest.mark.parametrize("ausente", ["venv", "ensurepip"])
def test_python_sem_venv_diz_o_pacote_do_debian(sem_venv, monkeypatch, ausente):
    monkeypatch.setitem(sys.modules, ausente, None)
    with pytest.raises(SystemExit, match="falta o módulo venv .* sudo apt install python3-venv"):
        ambiente.cria_venv()
    assert sem_venv == []


@pytest.mark.parametrize("saida", [0, 1])
def test_venv_pela_metade_ou_velho_e_refeito_e_o_bom_fica(sem_venv, tmp_path, saida):
    python = tmp_path / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(f"#!/bin/sh\nexit {saida}\n", "utf-8")
    python.chmod(0o755)
    ambiente.cria_venv()
    assert sem_venv == ([((str(tmp_path / ".venv"),), {"clear": True, "with_pip": True})] if saida else [])


@pytest.mark.parametrize(
    "erro", [OSError(28, "No space left"), subprocess.CalledProcessError(1, "ensurepip")]
)
def test_venv_que_nao_se_cria_diz_uma_linha(sem_venv, monkeypatch, erro):
    def falha(*_: object, **__: object) -> None:
        raise erro

    monkeypatch.setattr(venv, "create", falha)
    with pytest.raises(SystemExit, match=r"não foi possível criar a pasta \.venv .*apague-a e rode"):
        ambiente.cria_venv()


@pytest.mark.skipif(os.name == "nt", reason="a tranca é do POSIX")
def test_duas_instalacoes_esperam_uma_pela_outra(tmp_path):
    import fcntl

    projeto = Projeto(tmp_path)
    with open(tmp_path / "ferramentas/ambiente.py", "rb") as outro:
        fcntl.flock(outro, fcntl.LOCK_EX)
        (projeto.bin / "modo").write_text("certo", "utf-8")
        comando = [sys.executable, str(tmp_path / "ferramentas/ambiente.py"), "livro"]
        processo = subprocess.Popen(comando, stdout=subprocess.PIPE, text=True, encoding="utf-8")
        assert "outro comando está instalando" in processo.stdout.readline()
        assert not (projeto.bin / "pedidos").exists() and processo.poll() is None
        (tmp_path / ".venv/.livro").write_text(str(tmp_path), "utf-8")  # a outra acabou
    resto, _ = processo.communicate(timeout=60)
    assert processo.returncode == 0 and resto == "" and not (projeto.bin / "pedidos").exists()
