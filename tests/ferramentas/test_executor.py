"""`ferramentas/executor.py`: páginas juntas dão o mesmo que uma a uma, e cada falha é uma linha."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from brinquedo import CABECALHO, PRIMEIRA_LINHA, REPO, celula, escreve_livro
from ferramentas import executor
from ferramentas.executor import Executor, dura, prepara
from ferramentas.livro import ErroDoLivro, nome_da_pagina, paginas

CONTA = """\
import os
import numpy as np
a = np.random.default_rng({semente}).standard_normal((300, 300))
print(os.environ["OMP_NUM_THREADS"], (a @ a).sum(), np.linalg.svd(a)[1][:3])"""
NUMERA = "import os, pathlib\nprint(len(os.listdir()), pathlib.Path.cwd().name != 'book')"


def livro_de(raiz: Path, paginas: dict[str, str]) -> Path:
    """Um livro em que cada página tem só estas células, uma por parágrafo de código."""
    return escreve_livro(raiz, {nome: CABECALHO + "# T\n\n" + corpo for nome, corpo in paginas.items()})


class Ouvinte(Executor):
    """Um executor que guarda o que diz."""

    def __init__(self, raiz: Path, pasta: str = "_build") -> None:
        self.ditas: list[str] = []
        super().__init__(raiz / pasta, raiz, self.ditas.append)

    def comecadas(self) -> list[str]:
        return [frase.split(":")[0].strip() for frase in self.ditas if ": começou" in frase]

    def saidas(self) -> dict[str, list]:
        """As saídas guardadas de cada página."""
        guardadas = {}
        for md in paginas(self.raiz):
            if pagina := prepara(md, self.raiz):
                _, caderno = self.cache.merge_match_into_notebook(pagina.caderno)
                guardadas[pagina.nome] = [c.outputs for c in caderno.cells if c.cell_type == "code"]
        return guardadas


@pytest.fixture(autouse=True)
def ambiente(monkeypatch, tmp_path) -> None:
    for variavel, valor in executor.ambiente(tmp_path).items():
        monkeypatch.setenv(variavel, valor)


def test_juntas_ou_uma_a_uma_as_saidas_sao_as_mesmas(tmp_path, monkeypatch):
    raiz = livro_de(tmp_path, {f"0{n}-p": celula(NUMERA) + celula(CONTA.format(semente=n)) for n in range(2)})
    mds = paginas(raiz)
    monkeypatch.setattr(executor, "nucleos", lambda: 1)
    sozinhas = Ouvinte(raiz, "uma")
    assert sozinhas.executa(mds) == []
    monkeypatch.setattr(executor, "nucleos", lambda: 2)
    juntas = Ouvinte(raiz, "duas")
    assert juntas.executa(mds) == []
    assert sozinhas.saidas() == juntas.saidas()
    primeira, segunda = juntas.saidas()["book/00-p"]
    assert primeira[0].text == "0 True\n" and segunda[0].text.startswith("1 ")
    assert sozinhas.ditas[0] == "páginas: 2 por executar, 1 por vez"
    assert juntas.ditas[0] == "páginas: 2 por executar, 2 por vez"


def test_o_que_esta_guardado_nao_se_executa_e_as_demoradas_vao_a_frente(tmp_path, monkeypatch):
    monkeypatch.setattr(executor, "nucleos", lambda: 1)
    corpos = {"01-um": "1", "02-dois": "2", "03-tres": "3", "anexo": "4"}
    raiz = livro_de(tmp_path, {nome: celula(codigo) for nome, codigo in corpos.items()})
    primeiro = Ouvinte(raiz)
    assert primeiro.executa(paginas(raiz)) == []
    sem_tempos = ["book/03-tres", "book/02-dois", "book/01-um", "book/anexo"]
    assert primeiro.comecadas() == sem_tempos
    assert [f for f in primeiro.ditas if "; falta" in f][0].endswith("; faltam 3")
    de_novo = Ouvinte(raiz)
    assert de_novo.executa(paginas(raiz)) == [] and de_novo.ditas == []
    for nome, codigo in corpos.items():
        (raiz / f"book/{nome}.md").write_text(CABECALHO + "# T\n\n" + celula(codigo + "\n0"), "utf-8")
    depois = Ouvinte(raiz)
    demorou = dict(depois.duracoes)
    assert demorou.keys() == set(sem_tempos) and min(demorou.values()) > 0
    assert depois.executa(paginas(raiz)) == []
    assert depois.comecadas() == sorted(sem_tempos, key=demorou.__getitem__, reverse=True)
    assert "(da outra vez, " in depois.ditas[1]
    assert any("; faltam 3 (menos de " in frase for frase in depois.ditas)


MORRE = "import os; os._exit(3)"
FALHAS = {  # o que a célula tem: a linha dela em que está a causa, e o que se diz
    "x = 1\n1 / 0": (2, "a célula falhou: ZeroDivisionError: division by zero (o traceback inteiro "),
    "def f():\n    raise ValueError('um\\ndois')\n\nf()": (4, "a célula falhou: ValueError: um dois"),
    "input('nome? ')": (1, "a célula falhou: ela pede algo ao teclado (input)"),
    MORRE: (1, "o kernel morreu nesta célula"),
    "while True: pass": (1, "a célula passou dos 2 s que _config.yml dá a cada uma (execute: timeout)"),
    "import warnings\nwarnings.warn('ai')": (1, "a célula escreveu em stderr: "),
    "print('a' * 200_000)": (1, "a célula escreve 200.001 letras, e ninguém as lê"),
    "for n in range(50_001): print(n % 10)": (1, "a célula escreve 100.002 letras, e ninguém as lê"),
    "for _ in range(3): print('a' * 40_000, flush=True); display(1)": (1, "a célula escreve 120.006 letras"),
}


def test_celula_de_figura_que_nao_desenha(tmp_path):
    opcoes = (":figura: fig-a", ":legenda: L", ":alt: A")
    raiz = livro_de(tmp_path, {"01-um": celula("x = 1", *opcoes)})
    (queixa,) = Ouvinte(raiz).executa(paginas(raiz))
    assert queixa == (
        f"book/01-um.md:{PRIMEIRA_LINHA + 6}: a célula de figura não desenhou nada; crie-a com "
        "plt.subplots(), ou tire :figura:"
    )


@pytest.mark.parametrize("codigo", FALHAS)
def test_cada_falha_e_uma_linha_com_o_lugar_e_nao_fica_guardada(tmp_path, capsys, codigo):
    deslocamento, frase = FALHAS[codigo]
    raiz = livro_de(tmp_path, {"01-um": celula("0") + celula(codigo, ":tags: [hide-input]") + celula("2")})
    with open(raiz / "_config.yml", "a", encoding="utf-8") as config:
        config.write("execute: { timeout: 2 }\n")
    linha = PRIMEIRA_LINHA + 2 + celula("0").count("\n") + 1 + deslocamento
    ouvinte = Ouvinte(raiz)
    (queixa,) = ouvinte.executa(paginas(raiz))
    assert queixa.startswith(f"book/01-um.md:{linha}: {frase}"), queixa
    assert capsys.readouterr().err == f"erro: {queixa}\n" and "\n" not in queixa
    assert not ouvinte.guardada(prepara(raiz / "book/01-um.md", raiz))
    if "traceback" in queixa:
        assert "Traceback" in (raiz / "_build/erros/book-01-um.txt").read_text("utf-8")


def test_kernel_que_nao_existe_e_cabecalho_sem_nome(tmp_path):
    raiz = livro_de(tmp_path, {"01-um": celula("0")})
    md = raiz / "book/01-um.md"
    texto = md.read_text("utf-8")
    md.write_text(texto.replace("  name: python3", "  name: cobol"), "utf-8")
    (queixa,) = Ouvinte(raiz).executa([md])
    assert queixa.startswith("book/01-um.md:1: não há kernel chamado 'cobol'; no cabeçalho")
    md.write_text(texto.replace("  display_name: Python 3\n", ""), "utf-8")
    with pytest.raises(ErroDoLivro, match=r"^book/01-um.md:1: o kernelspec .* não tem display_name"):
        Ouvinte(raiz).executa([md])


def test_a_barra_do_tqdm_nao_se_queixa_de_que_lhe_faltam_widgets(tmp_path):
    raiz = livro_de(tmp_path, {"01-um": celula("from tqdm.auto import tqdm")})
    assert Ouvinte(raiz).executa(paginas(raiz)) == []


def test_pagina_que_deixa_arquivos(tmp_path):
    raiz = livro_de(tmp_path, {"01-um": celula("open('b', 'w').close()\nopen('a', 'w').close()")})
    (queixa,) = Ouvinte(raiz).executa(paginas(raiz))
    assert queixa.startswith("book/01-um.md:1: a página deixa arquivos na pasta em que roda: a, b; grave")


ABRE = "import numpy as np, os, pathlib, shutil\ndados = pathlib.Path({raiz!r}) / 'data'\n"
ESCREVEM = {  # o que a célula faz, e o arquivo de que se queixa
    "open(dados / 'novo.txt', 'w')": "novo.txt",
    "with open(dados / 'contos.txt', 'a') as f:\n    f.write('x')": "contos.txt",
    "(dados / 'sub/novo.txt').write_text('x')": "sub/novo.txt",
    "np.save(dados / 'a.npy', np.zeros(2))": "a.npy",
    "np.memmap(dados / 'contos.txt', mode='r+')": "contos.txt",
    "open('a', 'w').close()\nos.replace('a', dados / 'a')": "a",
    "shutil.copy(dados / 'contos.txt', dados / 'copia.txt')": "copia.txt",
    "(dados / 'pasta').mkdir()": "pasta",
    "os.chdir(dados)\nos.remove(b'contos.txt')": "contos.txt",
}


@pytest.mark.parametrize("codigo", ESCREVEM)
def test_pagina_que_escreve_nos_dados_para_na_linha_e_nada_se_escreve(tmp_path, codigo):
    abre = ABRE.format(raiz=str(tmp_path))
    raiz = livro_de(tmp_path, {"01-um": celula("0") + celula(abre + codigo)})
    (raiz / "data/sub").mkdir(parents=True)
    (raiz / "data/contos.txt").write_text("era uma vez", "utf-8")
    ouvinte = Ouvinte(raiz)
    (queixa,) = ouvinte.executa(paginas(raiz))
    antes = CABECALHO + "# T\n\n" + celula("0") + "```\n" + abre
    linha = antes.count("\n") + 1 + (0 if codigo.startswith("with") else codigo.count("\n"))
    assert queixa.startswith(
        f"book/01-um.md:{linha}: a célula falhou: ela escreve em data/{ESCREVEM[codigo]}, e rodar uma página "
        "não muda os dados do livro; grave numa pasta temporária (tempfile)"
    ), queixa
    restam = sorted(p.name for p in (raiz / "data").rglob("*"))
    assert restam == ["contos.txt", "sub"] and (raiz / "data/contos.txt").read_text("utf-8") == "era uma vez"
    assert not ouvinte.guardada(prepara(raiz / "book/01-um.md", raiz))


def test_pagina_que_le_os_dados_e_escreve_noutro_lugar_nao_tem_queixa(tmp_path):
    le = "print(open(dados / 'contos.txt').read(), np.memmap(dados / 'contos.txt', mode='r')[:2])\n"
    grava = "import tempfile\nwith tempfile.TemporaryDirectory() as t: open(f'{t}/a', 'w').close()"
    raiz = livro_de(tmp_path, {"01-um": celula(ABRE.format(raiz=str(tmp_path)) + le + grava)})
    (raiz / "data").mkdir()
    (raiz / "data/contos.txt").write_text("era uma vez", "utf-8")
    ouvinte = Ouvinte(raiz)
    assert ouvinte.executa(paginas(raiz)) == []
    assert ouvinte.saidas()["book/01-um"][0][0].text == "era uma vez [101 114]\n"


def test_pagina_que_escreve_nos_dados_por_fora_do_python(tmp_path):
    copia = f"import subprocess\nsubprocess.run(['touch', {str(tmp_path / 'data/novo.bin')!r}])"
    raiz = livro_de(tmp_path, {"01-um": celula(copia)})
    (raiz / "data").mkdir()
    ouvinte = Ouvinte(raiz)
    (queixa,) = ouvinte.executa(paginas(raiz))
    assert queixa == (
        "book/01-um.md:1: data/novo.bin mudou enquanto a página rodava; se foi uma célula dela que o "
        "escreveu, grave numa pasta temporária (tempfile), que se apaga no fim"
    )
    assert not ouvinte.guardada(prepara(raiz / "book/01-um.md", raiz))


def test_depois_de_uma_falha_a_outra_acaba_e_fica_guardada_e_mais_nenhuma_comeca(tmp_path, monkeypatch):
    monkeypatch.setattr(executor, "nucleos", lambda: 2)
    corpos = {"01-um": "1", "02-lenta": "import time; time.sleep(4)\n'pronta'", "03-ruim": "1 / 0"}
    raiz = livro_de(tmp_path, {nome: celula(codigo) for nome, codigo in corpos.items()})
    ouvinte = Ouvinte(raiz)
    queixas = ouvinte.executa(paginas(raiz))
    assert [q.split(":")[0] for q in queixas] == ["book/03-ruim.md"]
    assert ouvinte.comecadas() == ["book/03-ruim", "book/02-lenta"]
    guardadas = [nome_da_pagina(md, raiz) for md in paginas(raiz)
                 if (p := prepara(md, raiz)) and ouvinte.guardada(p)]  # fmt: skip
    assert guardadas == ["book/02-lenta"]


RODA = """
import signal, sys
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)
from ferramentas import executor
from ferramentas.livro import paginas
executor.nucleos = lambda: 2
raiz = Path(sys.argv[1])
executor.Executor(raiz / "_build", raiz).executa(paginas(raiz))
"""


def vivo(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text("utf-8")


@pytest.mark.lento
def test_ctrl_c_mata_os_kernels_e_o_que_estava_guardado_continua(tmp_path):
    presa = "import os, time\nopen({!r}, 'w').write(str(os.getpid()))\ntime.sleep(120)"
    corpos = {f"0{n}-{n}": presa.format(str(tmp_path / n)) for n in "ab"} | {"03-c": "3"}
    raiz = livro_de(tmp_path / "livro", {nome: celula(codigo) for nome, codigo in corpos.items()})
    ambiente = {**os.environ, "PYTHONPATH": str(REPO)}
    processo = subprocess.Popen(
        [sys.executable, "-c", RODA, str(raiz)], env=ambiente, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    limite = time.monotonic() + 60
    anotados = [tmp_path / "a", tmp_path / "b"]
    while not all(a.exists() and a.read_text("utf-8") for a in anotados) and time.monotonic() < limite:
        time.sleep(0.2)
    kernels = [int(a.read_text("utf-8")) for a in anotados]
    processo.send_signal(signal.SIGINT)
    _, erros = processo.communicate(timeout=30)
    assert processo.returncode != 0 and "KeyboardInterrupt" in erros
    time.sleep(0.5)
    assert [pid for pid in kernels if vivo(pid)] == []
    ouvinte = Ouvinte(raiz)
    assert ouvinte.guardada(prepara(raiz / "book/03-c.md", raiz))
    assert not ouvinte.guardada(prepara(raiz / "book/0a-a.md", raiz))


@pytest.mark.parametrize(("segundos", "texto"), [(0.2, "0 s"), (59.6, "1 min 0 s"), (3599, "59 min 59 s")])
def test_duracao_como_se_le(segundos, texto):
    assert dura(segundos) == texto


@pytest.mark.parametrize(("falhas", "queixas"), [(2, 0), (3, 1)])
def test_um_kernel_que_nao_comeca_e_tentado_de_novo(tmp_path, monkeypatch, falhas, queixas):
    raiz = livro_de(tmp_path, {"00-p": celula("print(1)")})
    executa, vezes = executor.NotebookClient.execute, []

    def execute(cliente):
        vezes.append(1)
        if len(vezes) <= falhas:
            raise RuntimeError("Kernel died before replying to kernel_info")
        return executa(cliente)

    monkeypatch.setattr(executor.NotebookClient, "execute", execute)
    ouvinte = Ouvinte(raiz)
    achadas = ouvinte.executa(paginas(raiz))
    assert len(achadas) == queixas and len(vezes) == 3
    assert all("o kernel não começou" in q and "rode de novo" in q for q in achadas)
