"""Executa as páginas antes de o Sphinx as ler: várias ao mesmo tempo, num cache só.

Cada página roda num kernel próprio, numa pasta vazia e com uma linha de execução
(`UMA_LINHA`): sozinha ou acompanhada, as saídas são as mesmas. Quem executa é o nbclient
e quem guarda é o jupyter-cache, como o myst-nb faria; a diferença é que aqui há uma página
por núcleo, as demoradas primeiro, e que uma célula que falha é dita em uma linha.
"""

from __future__ import annotations

import atexit
import copy
import logging
import os
import re
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn, JupyterCacheAbstract
from jupyter_client.kernelspec import NoSuchKernel
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

from ferramentas.caderno import le_caderno
from ferramentas.celulas import Celula, le_celulas
from ferramentas.execucao import chave, dados, marca_cabecalho
from ferramentas.livro import (
    ErroDoLivro,
    grava,
    le_texto,
    nome_da_pagina,
    numero_do_capitulo,
    tempo_por_celula,
)

UMA_LINHA = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
SEM_WIDGETS = {"PYTHONWARNINGS": "ignore:IProgress not found"}  # a barra do tqdm: aqui ninguém a vê
EM_VEZ = "numa pasta temporária (tempfile), que se apaga no fim"  # onde uma página grava
TENTATIVAS = 3  # de começar o kernel de uma página
AO_MESMO_TEMPO = 4  # no máximo: cada página chega a ocupar 1 GB
EXECUCOES_GUARDADAS = 60  # quantas o cache guarda antes de esquecer as mais antigas
CALADO = logging.Logger("execução")  # o que ele diria em inglês, dizem as queixas
CALADO.addHandler(logging.NullHandler())
SAIDA_MAXIMA = 100_000  # letras na saída de uma célula: mais do que isso ninguém lê


@dataclass
class Pagina:
    """Uma página com código, pronta para ser executada."""

    nome: str  # "book/03-atencao"
    caderno: NotebookNode  # com a chave no cabeçalho, que é como o Sphinx o procura
    celulas: list[Celula]
    celula: int = -1  # a última que começou, contada entre as de código

    def lugar(self, linha: int = 1) -> str:
        """Onde, na página, está a linha `linha` da célula em que a execução vai."""
        if self.celula < 0:
            return f"{self.nome}.md:1"
        return f"{self.nome}.md:{self.celulas[self.celula].linha_do_codigo + linha - 1}"


def prepara(md: Path, raiz: Path) -> Pagina | None:
    """A página como o Sphinx a vai procurar no cache; `None` se ela não tem código."""
    celulas = le_celulas(md, raiz)
    if not celulas:
        return None
    texto, nome = le_texto(md, raiz), nome_da_pagina(md, raiz)
    caderno = copy.deepcopy(le_caderno(texto, raiz))
    caderno.metadata.kernelspec.display_name = f"Python 3 ({chave(celulas, raiz)})"
    if marca_cabecalho(texto, "") == texto:
        raise ErroDoLivro(
            f"{nome}.md:1: o kernelspec do cabeçalho não tem display_name; copie o de outro capítulo"
        )
    return Pagina(nome, caderno, celulas)


def nucleos() -> int:
    """Quantos processadores este processo pode usar."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # fora do Linux
        return os.cpu_count() or 1


class Executor:
    """As páginas por executar, e onde guardar o que sair delas."""

    def __init__(
        self,
        pasta: Path,
        raiz: Path,
        diz: Callable[[str], None] = lambda frase: print(frase, flush=True),
    ) -> None:
        self.raiz, self.diz = raiz, diz
        self.cache: JupyterCacheAbstract = get_cache(pasta / ".jupyter_cache")
        self.cache.change_cache_limit(EXECUCOES_GUARDADAS)
        self.erros = pasta / "erros"
        self.prazo = tempo_por_celula(raiz)
        self.duracoes = {
            registro.uri: registro.data.get("execution_seconds", 0.0)
            for registro in sorted(self.cache.list_cache_records(), key=lambda r: r.created)
        }
        self.falhou = threading.Event()  # uma página falhou: nenhuma outra começa
        self.parou = threading.Event()  # Ctrl-C: nenhuma outra célula começa
        self.clientes: set[NotebookClient] = set()

    def executa(self, mds: Iterable[Path]) -> list[str]:
        """Executa as páginas cuja execução não está guardada.

        Devolve uma queixa por página que falhou. Depois da primeira falha nenhuma outra
        começa; as que já tinham começado vão até o fim e ficam guardadas. Interrompida
        (Ctrl-C), mata os kernels; o que estava guardado continua.
        """
        novas = [p for md in mds if (p := prepara(md, self.raiz)) and not self.guardada(p)]
        novas.sort(key=self.prioridade)
        queixas: list[str] = []
        if not novas:
            return queixas
        juntas = min(nucleos(), AO_MESMO_TEMPO, len(novas))
        self.diz(f"páginas: {len(novas)} por executar, {juntas} por vez")
        self.faltam = {p.nome: self.duracoes.get(p.nome) for p in novas}
        with ThreadPoolExecutor(juntas) as grupo:
            futuros = {grupo.submit(self.roda, p): p for p in novas}
            try:
                for futuro in as_completed(futuros):
                    if queixa := self.fecha(futuros[futuro], futuro, juntas):
                        queixas.append(queixa)
            except BaseException:
                self.mata(futuros)
                raise
        return queixas

    def prioridade(self, pagina: Pagina) -> tuple[float, int]:
        """As demoradas primeiro; sem tempos anteriores, os últimos capítulos, que são os que mais treinam."""
        capitulo = numero_do_capitulo(pagina.nome)
        return -self.duracoes.get(pagina.nome, float("inf")), -(-1 if capitulo is None else capitulo)

    def guardada(self, pagina: Pagina) -> bool:
        """A execução desta página já está no cache?"""
        try:
            self.cache.match_cache_notebook(pagina.caderno)
        except KeyError:
            return False
        return True

    # ------------------------------------------------------------ uma página

    def roda(self, pagina: Pagina) -> float | None:
        """Executa a página num kernel só dela; devolve quantos segundos levou, `None` se nem começou."""
        if self.falhou.is_set():
            return None
        try:
            return self.no_kernel(pagina)
        except BaseException:
            self.falhou.set()
            raise

    def no_kernel(self, pagina: Pagina) -> float:
        """Executa as células; erro também se elas escreveram o que não deviam."""
        antes = self.duracoes.get(pagina.nome)
        self.diz(f"  {pagina.nome}: começou" + (f" (da outra vez, {dura(antes)})" if antes else ""))
        inicio = time.monotonic()
        de_codigo = [n for n, c in enumerate(pagina.caderno.cells) if c.cell_type == "code"]

        def comecou(cell: NotebookNode, cell_index: int) -> None:
            if self.parou.is_set():
                raise DeadKernelError("interrompida")
            pagina.celula = de_codigo.index(cell_index)

        dados_antes = self.dados()
        with tempfile.TemporaryDirectory() as vazia:
            for resta in reversed(range(TENTATIVAS)):
                cliente = NotebookClient(
                    pagina.caderno,
                    timeout=self.prazo,
                    log=CALADO,
                    record_timing=False,  # o tempo iria nas células, e com ele mudaria a chave
                    resources={"metadata": {"path": vazia}},
                    on_cell_execute=comecou,
                )
                self.clientes.add(cliente)
                try:
                    cliente.execute()
                    break
                except RuntimeError:
                    # outro programa tomou uma das portas que este kernel tinha escolhido, e ele não começa
                    atexit.unregister(cliente._cleanup_kernel)
                    comecado = cliente.km is not None or cliente.code_cells_executed
                    if comecado or self.parou.is_set() or not resta:
                        raise
                finally:
                    self.clientes.discard(cliente)
            deixados = sorted(os.listdir(vazia))
        if queixa := queixa_das_saidas(pagina):
            raise ErroDoLivro(queixa)
        if deixados:
            raise ErroDoLivro(
                f"{pagina.nome}.md:1: a página deixa arquivos na pasta em que roda: {', '.join(deixados)}; "
                f"grave-os {EM_VEZ}"
            )
        if mudados := sorted({nome for nome, _ in self.dados() ^ dados_antes}):
            raise ErroDoLivro(
                f"{pagina.nome}.md:1: {', '.join(mudados)} mudou enquanto a página rodava; se foi uma célula "
                f"dela que o escreveu, grave {EM_VEZ}"
            )
        return time.monotonic() - inicio

    def dados(self) -> set[tuple[str, int]]:
        """Os arquivos de dados, e quando cada um foi gravado."""
        return {(p.relative_to(self.raiz).as_posix(), p.stat().st_mtime_ns) for p in dados(self.raiz)}

    def fecha(self, pagina: Pagina, futuro: Future[float | None], juntas: int) -> str | None:
        """Guarda a execução que acabou bem; devolve a queixa da que acabou mal."""
        self.faltam.pop(pagina.nome)
        if erro := futuro.exception():
            queixa = self.queixa_do_erro(pagina, erro)
            print(f"erro: {queixa}", file=sys.stderr, flush=True)
            return queixa
        if (segundos := futuro.result()) is not None:
            guardado = CacheBundleIn(pagina.caderno, pagina.nome, data={"execution_seconds": segundos})
            self.cache.cache_notebook_bundle(guardado, check_validity=False, overwrite=True)
            self.diz(f"  {pagina.nome}: pronta em {dura(segundos)}{self.resta(juntas)}")
        return None

    def resta(self, juntas: int) -> str:
        """O que ainda falta, com uma estimativa se já se sabe quanto cada página demora."""
        if not self.faltam or self.falhou.is_set():
            return ""
        tempos = list(self.faltam.values())
        estimado = None if None in tempos else max(max(tempos), sum(tempos) / juntas)
        frase = f"; falta {len(tempos)}" if len(tempos) == 1 else f"; faltam {len(tempos)}"
        return frase + (f" (menos de {dura(estimado)})" if estimado else "")

    def queixa_do_erro(self, pagina: Pagina, erro: BaseException) -> str:
        """Uma linha: onde a página parou, por quê, e o que fazer."""
        if isinstance(erro, ErroDoLivro):
            return str(erro)
        if isinstance(erro, CellExecutionError):
            rastro = re.sub(r"\x1b\[[0-9;]*m", "", erro.traceback)
            arquivo = self.erros / f"{pagina.nome.replace('/', '-')}.txt"
            grava(arquivo, rastro + "\n")
            achado = re.search(r"Cell In\s?\[\d+\], line (\d+)", rastro)
            causa = " ".join(f"{erro.ename}: {erro.evalue}".split())[:200]
            if erro.ename == "StdinNotImplementedError":
                causa = "ela pede algo ao teclado (input), e na construção não há quem responda"
            if erro.ename == "EscreveEmData":
                causa = (
                    f"ela escreve em {erro.evalue}, e rodar uma página não muda os dados do livro; grave "
                    f"{EM_VEZ}, ou leve o arquivo pronto a data/, com o cartão dele"
                )
            inteiro = arquivo.relative_to(self.raiz).as_posix()
            onde = pagina.lugar(int(achado[1]) if achado else 1)
            return f"{onde}: a célula falhou: {causa} (o traceback inteiro está em {inteiro})"
        if isinstance(erro, CellTimeoutError):
            return (
                f"{pagina.lugar()}: a célula passou dos {self.prazo} s que _config.yml dá a cada uma "
                "(execute: timeout); encurte-a, ou aumente o prazo"
            )
        if isinstance(erro, DeadKernelError):
            return (
                f"{pagina.lugar()}: o kernel morreu nesta célula; falta de memória costuma ser a causa: "
                "feche outros programas, ou use tamanhos menores"
            )
        if isinstance(erro, RuntimeError):
            return f"{pagina.nome}.md:1: o kernel não começou ({erro}); rode de novo o mesmo comando"
        if isinstance(erro, NoSuchKernel):
            return (
                f"{pagina.nome}.md:1: não há kernel chamado {erro.name!r}; no cabeçalho, "
                "em kernelspec, escreva name: python3"
            )
        raise erro

    # ------------------------------------------------------------ parar

    def mata(self, futuros: dict[Future[float | None], Pagina]) -> None:
        """Mata os kernels e espera que as páginas larguem o que faziam."""
        self.parou.set()
        for futuro in futuros:
            futuro.cancel()
        while not all(futuro.done() for futuro in futuros):
            for cliente in list(self.clientes):
                processo = getattr(getattr(cliente.km, "provisioner", None), "process", None)
                if processo is not None:
                    processo.kill()
            time.sleep(0.1)


def queixa_das_saidas(pagina: Pagina) -> str | None:
    """O que há de errado no que as células escreveram, ou `None`."""
    de_codigo = [c for c in pagina.caderno.cells if c.cell_type == "code"]
    for n, celula in enumerate(de_codigo):
        lugar = f"{pagina.nome}.md:{pagina.celulas[n].linha_do_codigo}"
        letras = 0
        for saida in celula.outputs:
            texto = saida.get("text") or "".join(saida.get("data", {}).get("text/plain", ""))
            if saida.output_type == "stream" and saida.name == "stderr":
                linha = " ".join(texto.strip().splitlines()[:1])[:200]
                return f"{lugar}: a célula escreveu em stderr: {linha}; conserte a causa do aviso"
            letras += len(texto)
        desenhos = [tipo for s in celula.outputs for tipo in s.get("data", {}) if tipo.startswith("image/")]
        if pagina.celulas[n].opcoes.get("figura") and not desenhos:
            return (
                f"{lugar}: a célula de figura não desenhou nada; crie-a com plt.subplots(), ou tire :figura:"
            )
        if letras > SAIDA_MAXIMA:
            muitas = f"{letras:_}".replace("_", ".")
            return f"{lugar}: a célula escreve {muitas} letras, e ninguém as lê; mostre só o começo"
    return None


def dura(segundos: float) -> str:
    """A duração como se lê.

    >>> dura(7.4), dura(95)
    ('7 s', '1 min 35 s')
    """
    minutos, resto = divmod(round(segundos), 60)
    return f"{minutos} min {resto} s" if minutos else f"{resto} s"


def ambiente(raiz: Path) -> dict[str, str]:
    """As variáveis com que os kernels rodam."""
    guarda = {"PYTHONSTARTUP": str(Path(__file__).with_name("guarda.py")), "LIVRO_DADOS": str(raiz / "data")}
    return UMA_LINHA | SEM_WIDGETS | guarda


def executa(mds: Iterable[Path], pasta: Path, raiz: Path) -> None:
    """Executa as páginas e guarda as saídas; erro se alguma falhou."""
    os.environ.update(ambiente(raiz))  # os kernels o herdam
    if Executor(pasta, raiz).executa(mds):
        raise ErroDoLivro(
            "a construção parou; a causa está nas mensagens acima. Conserte a célula e rode de novo"
        )
