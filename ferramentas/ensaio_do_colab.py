"""Roda os notebooks como o Colab: Python limpo, pasta vazia, `google.colab` presente, o pacote vindo da rede.

uso: python -m ferramentas.ensaio_do_colab [00-passo-zero …] [--torch 2.10.0 [--python python3.13]]
     [--grava data/colab.json]

No lugar do arquivo que o GitHub serviria, a célula de preparo baixa um feito do último commit. Com `--torch`,
instala uma vez essa versão e as do Colab das outras bibliotecas (precisa da rede e de alguns GB); `--python`
diz em que Python. Sem `--torch`, aproveita as bibliotecas deste, o que basta para ver se o notebook roda.
Mede, por notebook, o tempo de parede e o de CPU do preparo e do todo, e o pico de memória.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from ferramentas.livro import PACOTE, RAIZ, enderecos, grava

# O que o Colab já traz. O NumPy 2.0, que ele fixava, não existe para o Python 3.13. O tiktoken fica de fora:
# o do Colab pode ser mais velho que o pedido, e conta-se o pior caso, o de baixá-lo.
NO_COLAB = (
    "numpy==2.0.2; python_version < '3.13'", "numpy>=2.1; python_version >= '3.13'",
    "ipykernel<7", "matplotlib", "scikit-learn", "tqdm", "transformers",
)  # fmt: skip
PRIMEIRO_TOKEN = """\
from homellm.device import choose_device
from homellm.generation import generate_text
from homellm.weights import load_pretrained
model, tokenizer = load_pretrained("contos-mini")
print(generate_text(model.to(choose_device()), tokenizer, "Era uma vez", max_new_tokens=1))"""
GASTO = """\
import json, platform, resource
de = [resource.getrusage(quem) for quem in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
gasto = {"cpu": sum(uso.ru_utime + uso.ru_stime for uso in de), "pico_kb": de[0].ru_maxrss}"""
MEDE = f"{GASTO}\nprint(json.dumps(gasto))"
VERSOES = f"""{GASTO}
import numpy, torch
gasto |= {{"python": platform.python_version(), "torch": torch.__version__, "numpy": numpy.__version__}}
print(json.dumps(gasto | {{"fios": torch.get_num_threads()}}))"""


@dataclass(frozen=True)
class Medida:
    """O que um notebook custou: segundos de parede e de CPU (do núcleo e do pip), e o pico de memória."""

    notebook: str
    preparo_s: float
    preparo_cpu_s: float
    total_s: float
    cpu_s: float
    memoria_mb: int


def arquivo_do_repositorio(destino: Path, raiz: Path = RAIZ) -> Path:
    """O zip que o GitHub serviria do último commit."""
    git = ["git", "-c", f"safe.directory={raiz}"]  # o clone pode ser de outro usuário
    comando = [*git, "archive", "--format=zip", "--prefix=livro-main/", "-o", str(destino), "HEAD"]
    subprocess.run(comando, cwd=raiz, check=True)
    return destino


def bibliotecas_de(python: Path | str) -> Path:
    """Onde moram as bibliotecas desse Python."""
    perguntado = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    return Path(subprocess.run(perguntado, check=True, capture_output=True, text=True).stdout.strip())


def cria_venv(pasta: Path, python: str = sys.executable) -> Path:
    """Um ambiente vazio, com o pip; devolve o executável."""
    subprocess.run([python, "-m", "venv", str(pasta)], check=True)
    return pasta / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def instala_o_do_colab(pasta: Path, torch: str, python: str) -> Path:
    """Instala, uma vez, o que o Colab já traz; devolve onde."""
    base = cria_venv(pasta, python)
    subprocess.run([str(base), "-m", "pip", "install", "-q", f"torch=={torch}", *NO_COLAB], check=True)
    return bibliotecas_de(base)


def cria_ambiente(pasta: Path, do_colab: Path, python: str = sys.executable) -> Path:
    """Um Python novo que vê as bibliotecas do Colab, e mais nada; devolve o executável.

    Um arquivo `.pth` aponta para elas (os `.pth` delas, e com eles o livro editável, ficam de fora) e importa
    o `google.colab` de imitação sempre que o Python começa: no Colab, o núcleo já o traz importado.
    """
    executavel = cria_venv(pasta, python)
    bibliotecas = bibliotecas_de(executavel)
    imitacao = bibliotecas / "google" / "colab"
    imitacao.mkdir(parents=True)
    (imitacao / "__init__.py").write_text('"""O google.colab de imitação."""\n', "utf-8")
    (bibliotecas / "colab.pth").write_text(f"{do_colab}\nimport google.colab\n", "utf-8")
    return executavel


def com_medidas(caderno: nbformat.NotebookNode, endereco: str) -> nbformat.NotebookNode:
    """O notebook que baixa o pacote de `endereco` e diz o que gastou: ao começar, no preparo e no fim."""
    preparo = next(c for c in caderno.cells if c.get("id") == "preparo")
    preparo.source = preparo.source.replace(enderecos().pacote(), endereco)
    lugar = caderno.cells.index(preparo)
    mede = {quando: nbformat.v4.new_code_cell(MEDE, id=quando) for quando in ("antes", "depois")}
    caderno.cells[lugar : lugar + 1] = [mede["antes"], preparo, mede["depois"]]
    caderno.cells.append(nbformat.v4.new_code_cell(VERSOES, id="fim"))
    return caderno


def ensaia(
    caderno: nbformat.NotebookNode, nome: str, python: Path, pacote: Path, prazo: int = 3600
) -> tuple[Medida, dict[str, str | int]]:
    """Executa o notebook numa pasta vazia: o que custou, e com que versões e quantos fios.

    Erros: os do nbclient, com a célula e a última linha.
    """
    com_medidas(caderno, pacote.as_uri())
    tempos = {}

    def terminou(cell, cell_index, execute_reply) -> None:
        tempos[cell["id"]] = time.monotonic()

    with tempfile.TemporaryDirectory() as pasta:
        especificacao = Path(pasta) / "kernels" / "colab"
        especificacao.mkdir(parents=True)
        argv = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        grava(
            especificacao / "kernel.json",
            json.dumps({"argv": argv, "display_name": "c", "language": "python"}),
        )
        vazia = Path(pasta) / "content"
        vazia.mkdir()
        os.environ["JUPYTER_PATH"] = pasta
        inicio = time.monotonic()
        NotebookClient(
            caderno, timeout=prazo, kernel_name="colab", resources={"metadata": {"path": str(vazia)}},
            on_cell_executed=terminou,
        ).execute()  # fmt: skip
        fim = time.monotonic()
    lido = {c.id: c.outputs[-1].text for c in caderno.cells if c.get("id") in ("antes", "depois", "fim")}
    gasto = {quando: json.loads(texto.splitlines()[-1]) for quando, texto in lido.items()}
    medida = Medida(
        nome,
        preparo_s=round(tempos["preparo"] - tempos["antes"], 1),
        preparo_cpu_s=round(gasto["depois"]["cpu"] - gasto["antes"]["cpu"], 1),
        total_s=round(fim - inicio, 1),
        cpu_s=round(gasto["fim"]["cpu"], 1),
        memoria_mb=gasto["fim"]["pico_kb"] // 1024,
    )
    return medida, {nome: gasto["fim"][nome] for nome in ("python", "torch", "numpy", "fios")}


def processador() -> str:
    """O nome do processador, como o Linux o diz.

    >>> processador() != ""
    True
    """
    try:
        achado = re.search(r"(?m)^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text("utf-8"))
    except OSError:
        achado = None
    return achado[1].strip() if achado else platform.processor() or platform.machine()


def primeiro_token() -> nbformat.NotebookNode:
    """O caminho mais curto até um token do modelo do livro: preparo, e gerar."""
    qualquer = nbformat.read(next((RAIZ / "notebooks").glob("00-*.ipynb")), as_version=4)
    preparo = next(c for c in qualquer.cells if c.get("id") == "preparo")
    return nbformat.v4.new_notebook(cells=[preparo, nbformat.v4.new_code_cell(PRIMEIRO_TOKEN, id="gera")])


def escolhe(nomes: list[str], raiz: Path = RAIZ) -> dict[str, Path]:
    """Os notebooks pedidos (todos, se não se pediu nenhum), por nome."""
    pasta = raiz / "notebooks"
    todos = {p.relative_to(pasta).with_suffix("").as_posix(): p for p in sorted(pasta.rglob("*.ipynb"))}
    if estranhos := [n for n in nomes if n not in todos]:
        raise SystemExit(f"erro: não há o notebook {estranhos[0]!r}; há {', '.join(todos)}")
    return {n: todos[n] for n in (nomes or todos)}


def main(argumentos: list[str] | None = None) -> int:
    """Ponto de entrada; devolve 1 se algum notebook não rodou até o fim."""
    opcoes = argparse.ArgumentParser(description="roda os notebooks como o Colab")
    opcoes.add_argument("notebooks", nargs="*", help="nomes, sem .ipynb; sem nenhum, todos")
    opcoes.add_argument("--torch", help="a versão do PyTorch do Colab; sem isto, as bibliotecas deste Python")
    opcoes.add_argument("--python", default=sys.executable, help="o Python dos ambientes; pede --torch")
    opcoes.add_argument("--grava", type=Path, help="onde guardar as medidas, em JSON")
    pedido = opcoes.parse_args(argumentos)
    if pedido.python != sys.executable and not pedido.torch:
        raise SystemExit("erro: --python pede --torch: as bibliotecas deste Python não servem a outro")
    cadernos = escolhe(pedido.notebooks)
    falhas, medidas, versoes = 0, [], {}
    with tempfile.TemporaryDirectory() as pasta:
        pacote = arquivo_do_repositorio(Path(pasta) / f"{PACOTE}.zip")
        do_colab = Path(nbformat.__file__).parents[1]
        if pedido.torch:
            do_colab = instala_o_do_colab(Path(pasta) / "colab", pedido.torch, pedido.python)
        for nome, arquivo in {"primeiro token": None, **cadernos}.items():
            python = cria_ambiente(Path(pasta) / re.sub(r"\W", "-", nome), do_colab, pedido.python)
            caderno = primeiro_token() if arquivo is None else nbformat.read(arquivo, as_version=4)
            try:
                m, do_caderno = ensaia(caderno, nome, python, pacote)
            except CellExecutionError as erro:
                falhas += 1
                print(f"{nome}: {str(erro).strip().splitlines()[-1]}", flush=True)
                continue
            medidas.append(m)
            versoes = versoes or do_caderno
            preparo = f"preparo {m.preparo_s} s ({m.preparo_cpu_s} de CPU)"
            print(f"{nome}: {preparo}, ao todo {m.total_s} s ({m.cpu_s}), {m.memoria_mb} MB", flush=True)
        tamanho = round(pacote.stat().st_size / 1e6, 1)
    if pedido.grava and not falhas:
        maquina = {"data": date.today().isoformat(), "processador": processador(), "nucleos": os.cpu_count()}
        dados = {
            "condicoes": maquina | versoes | {"pacote_mb": tamanho},
            "primeiro_token": asdict(medidas[0]),
            "notebooks": [asdict(m) for m in medidas[1:]],
        }
        grava(pedido.grava, json.dumps(dados, ensure_ascii=False, indent=1) + "\n")
    return int(bool(falhas))


if __name__ == "__main__":
    sys.exit(main())
