"""`make pagina`: a página servida acompanha o que se grava, um erro não o derruba, e Ctrl-C o encerra."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from brinquedo import REPO
from ferramentas import servidor
from ferramentas.livro import ErroDoLivro
from ferramentas.servidor import RECARREGA, VERSAO, Servidor, abre, espera, retrato


def pega(endereco: str) -> str:
    with urllib.request.urlopen(endereco, timeout=20) as resposta:
        assert resposta.headers["Cache-Control"] == "no-store"
        return resposta.read().decode()


def ate(condicao: Callable[[], object], segundos: float = 60) -> object:
    """O valor da condição, quando ela valer."""
    limite = time.monotonic() + segundos
    while not (valor := condicao()):
        assert time.monotonic() < limite, "demorou demais"
        time.sleep(0.05)
    return valor


# ---------------------------------------------------------------- o servidor


@pytest.fixture
def site(tmp_path) -> Path:
    (tmp_path / "a.html").write_text("<html><body>olá</body></html>\n", "utf-8")
    (tmp_path / "a.svg").write_text("<svg/>", "utf-8")
    return tmp_path


@pytest.fixture
def aberto(site) -> Iterator[Servidor]:
    servidor = abre(8000, site)
    yield servidor
    servidor.shutdown()
    servidor.server_close()


def test_o_trecho_que_recarrega_so_esta_no_que_se_serve_e_so_nas_paginas(aberto, site):
    no_disco = (site / "a.html").read_text("utf-8")
    assert pega(f"{aberto.endereco}a.html") == no_disco  # sem página a vigiar, nada muda
    aberto.versao = "1"
    assert pega(f"{aberto.endereco}a.html?x=1") == no_disco.replace("</body>", f"{RECARREGA}</body>")
    assert pega(f"{aberto.endereco}a.svg") == "<svg/>"
    assert pega(f"{aberto.endereco}{VERSAO[1:]}") == "1"
    assert (site / "a.html").read_text("utf-8") == no_disco
    for fora in ("nada.html", "../segredo.html"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            pega(aberto.endereco + fora)


def test_o_javascript_vai_com_o_tipo_dele_diga_o_sistema_o_que_disser(aberto, site, monkeypatch):
    monkeypatch.setattr("mimetypes.guess_type", lambda *_: ("text/plain", None))
    (site / "a.js").write_text("", "utf-8")
    with urllib.request.urlopen(f"{aberto.endereco}a.js", timeout=20) as resposta:
        assert resposta.headers["Content-Type"] == "text/javascript"


def test_a_porta_ocupada_da_lugar_a_seguinte(aberto, site):
    segundo = abre(aberto.server_port, site)
    assert aberto.server_port < segundo.server_port < aberto.server_port + servidor.PORTAS
    segundo.shutdown()
    segundo.server_close()


def test_sem_porta_livre_diz_qual_escolher(aberto, site, monkeypatch):
    monkeypatch.setattr(servidor, "PORTAS", 1)
    with pytest.raises(ErroDoLivro, match=rf"nenhuma porta livre de {aberto.server_port} .* PORTA=9000"):
        abre(aberto.server_port, site)
    with pytest.raises(ErroDoLivro, match="nenhuma porta livre de 70000"):
        abre(70_000, site)


def test_o_navegador_que_desiste_nao_suja_o_terminal(aberto, capfd):
    aberto.versao = "1" * 5_000_000
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", aberto.server_port)) as ligacao:
            ligacao.sendall(f"GET {VERSAO} HTTP/1.0\r\n\r\n".encode())
    time.sleep(0.5)
    assert "".join(capfd.readouterr()) == ""


# ---------------------------------------------------------------- o que se vigia


USADOS = ["01-a.md", "figuras/x.svg", "figuras/nova.png", "referencias.bib", "../widgets/pecas/p.js"]


@pytest.mark.parametrize("nome", USADOS)
def test_o_que_a_pagina_usa_e_vigiado(tmp_path, nome):
    (tmp_path / "book/figuras").mkdir(parents=True)
    (tmp_path / "widgets/pecas").mkdir(parents=True)
    texto = "![x](figuras/x.svg)\n```{figure} figuras/nova.png\n```\n```{widget} p\n```\n"
    (tmp_path / "book/01-a.md").write_text(texto, "utf-8")
    (tmp_path / "book/02-b.md").write_text("outra", "utf-8")
    for arquivo in ("figuras/x.svg", "figuras/alheia.svg", "referencias.bib", "../widgets/pecas/p.js"):
        (tmp_path / "book" / arquivo).write_text("", "utf-8")
    antes = retrato("book/01-a", tmp_path)
    for alheio in ("02-b.md", "figuras/alheia.svg"):
        (tmp_path / "book" / alheio).write_text("mudou", "utf-8")
    assert retrato("book/01-a", tmp_path) == antes
    (tmp_path / "book" / nome).write_text("mudou", "utf-8")
    assert espera("book/01-a", antes, tmp_path) == retrato("book/01-a", tmp_path) != antes


def test_a_gravacao_que_apaga_antes_de_escrever_e_uma_mudanca_so(tmp_path):
    (tmp_path / "book").mkdir()
    md = tmp_path / "book/01-a.md"
    md.write_text("a", "utf-8")
    antes = retrato("book/01-a", tmp_path)
    md.unlink()
    threading.Timer(3 * servidor.INTERVALO, md.write_text, ("b", "utf-8")).start()
    assert espera("book/01-a", antes, tmp_path) == {**antes, md: md.stat().st_mtime_ns}


# ---------------------------------------------------------------- de ponta a ponta


def comeca(livro, *argumentos: str) -> tuple[subprocess.Popen, list[str]]:
    """O servidor do livro de brinquedo, com o SIGINT a valer, e o que ele vai dizendo."""
    codigo = (
        "import runpy, signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "sys.argv[0] = 'servidor'; runpy.run_module('ferramentas.servidor', run_name='__main__')"
    )
    processo = subprocess.Popen(
        [sys.executable, "-c", codigo, *argumentos],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        encoding="utf-8", cwd=livro.raiz.parent,
        env={**os.environ, "PYTHONPATH": str(livro.raiz), "EXECUCOES": os.devnull},
    )  # fmt: skip
    ditas: list[str] = []
    threading.Thread(target=lambda: ditas.extend(processo.stdout), daemon=True).start()
    return processo, ditas


def vivo(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text("utf-8")
    except FileNotFoundError:
        return False


def test_do_que_se_grava_a_pagina_servida_e_dai_ao_ctrl_c(livro, tmp_path):
    assert livro.constroi().codigo == 0
    processo, ditas = comeca(livro, "04")
    try:
        endereco = ate(lambda: re.search(r"A página está em (\S+/)book/04-quatro\.html, ", "".join(ditas)))[1]
        versao, pagina = endereco + VERSAO[1:], endereco + "book/04-quatro.html"
        primeira = ate(lambda: v if (v := pega(versao)) != "0" else "")
        assert f"{pagina}\n" in "".join(ditas) and "make servir" not in "".join(ditas)

        livro.muda("book/04-quatro.md", "Prosa do quatro.", "Prosa sem erro de digitação.")
        segunda = ate(lambda: v if (v := pega(versao)) != primeira else "")
        assert "Prosa sem erro de digitação." in pega(pagina) and RECARREGA in pega(pagina)
        assert RECARREGA not in livro.le("_build/html/book/04-quatro.html")

        livro.muda("book/04-quatro.md", "Prosa sem erro de digitação.", "![](x.png)")
        queixa = ate(lambda: re.search(r"(?m)^book/04-quatro.md:\d+: imagem sem texto.*\n\Z", "".join(ditas)))
        assert queixa and processo.poll() is None and pega(versao) == segunda

        preso = tmp_path / "kernel"
        dorme = f"import time\nopen({str(preso)!r}, 'w').write(str(os.getpid()))\ntime.sleep(120)"
        livro.desfaz()
        livro.muda("book/04-quatro.md", "print('quatro:'", f"{dorme}\nprint('quatro:'")
        kernel = int(ate(lambda: preso.exists() and preso.read_text("utf-8")))
        processo.send_signal(signal.SIGINT)
        assert processo.wait(10) == 0
        ate(lambda: "encerrado\n" in ditas)
        assert ditas[-2:] == ["\n", "encerrado\n"] and "Traceback" not in "".join(ditas)
        ate(lambda: not vivo(kernel), 10)
    finally:
        processo.kill()


@pytest.mark.parametrize(
    ("argumentos", "frase"),
    [
        (("99",), "erro: página '99': não há página com esse nome; escolha uma destas: index, "),
        (("",), "erro: página '': não há página com esse nome"),
        (("04", "--porta", "70000"), "erro: nenhuma porta livre de 70000 a 70019; escolha outra: PORTA=9000"),
    ],
)
def test_o_que_nao_ha_como_servir_e_dito_numa_linha(livro, argumentos, frase):
    assert livro.constroi("--so-site").codigo == 0
    processo, ditas = comeca(livro, *argumentos)
    assert processo.wait(60) == 1
    ate(lambda: ditas)
    assert len(ditas) == 1 and ditas[0].startswith(frase), ditas


def test_sem_o_livro_construido_diz_o_que_rodar_antes(tmp_path):
    (tmp_path / "ferramentas").mkdir()
    for nome in ("__init__.py", "livro.py", "servidor.py"):
        (tmp_path / "ferramentas" / nome).write_bytes((REPO / "ferramentas" / nome).read_bytes())
    fim = subprocess.run(
        [sys.executable, "-m", "ferramentas.servidor"], cwd=tmp_path, text=True, capture_output=True,
        encoding="utf-8", env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert fim.returncode == 1 and fim.stdout == ""
    assert fim.stderr.startswith("erro: antes de uma página só, ") and "make livro" in fim.stderr


@pytest.mark.parametrize(
    ("pedido", "comando"),
    [
        (["p=03"], 'ferramentas.servidor "03" --porta 8000'),
        (["p=03", "PORTA=9000"], 'ferramentas.servidor "03" --porta 9000'),
        (["p=03", "servir=nao"], 'ferramentas.construir --pagina "03"'),
        (["p=03", "servir=não"], 'ferramentas.construir --pagina "03"'),
    ],
)
def test_make_pagina_serve_a_nao_ser_que_se_peca_o_contrario(pedido, comando):
    dito = subprocess.run(
        ["make", "-n", "--no-print-directory", "pagina", *pedido], cwd=REPO, text=True,
        capture_output=True, encoding="utf-8",
    )  # fmt: skip
    assert dito.stdout.rstrip("\n").endswith(comando), dito
