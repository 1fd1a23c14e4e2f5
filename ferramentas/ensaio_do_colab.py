"""Roda os notebooks como o Colab: Python limpo, pasta vazia, `google.colab` presente, o pacote vindo da rede.

uso: python -m ferramentas.ensaio_do_colab [00-passo-zero …] [--torch 2.10.0] [--grava data/colab.json]

No lugar do arquivo que o GitHub serviria, a célula de preparo baixa um feito do último commit. Com `--torch`,
 instala essa versão e as do Colab das outras bibliotecas (leva minutos e precisa da rede); sem ele,
aproveita as bibliotecas deste Python, o que basta para ver se o notebook roda. Mede, por notebook, o tempo do
preparo, o do resto e o pico de memória.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import venv
from dataclasses import asdict, dataclass
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from ferramentas.livro import PACOTE, RAIZ, enderecos, grava

NO_COLAB = ("numpy==2.0.2", "ipykernel", "matplotlib", "scikit-learn", "tqdm", "transformers")
PRIMEIRO_TOKEN = """\
from homellm.generation import generate_text
from homellm.weights import load_pretrained
print(generate_text(*load_pretrained("contos-mini"), "Era uma vez", max_new_tokens=1))"""
PICO = "import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"  # kB, no Linux


@dataclass(frozen=True)
class Medida:
    """O que um notebook custou, numa máquina de dois núcleos."""

    notebook: str
    preparo_s: float
    total_s: float
    memoria_mb: int


def arquivo_do_repositorio(destino: Path, raiz: Path = RAIZ) -> Path:
    """O zip que o GitHub serviria do último commit."""
    git = ["git", "-c", f"safe.directory={raiz}"]  # o clone pode ser de outro usuário
    comando = [*git, "archive", "--format=zip", "--prefix=livro-main/", "-o", str(destino), "HEAD"]
    subprocess.run(comando, cwd=raiz, check=True)
    return destino


def cria_ambiente(pasta: Path, torch: str | None) -> Path:
    """Um Python com o que o Colab traz; devolve o executável.

    Um arquivo `.pth` importa o `google.colab` de imitação sempre que ele começa, como no Colab, onde o núcleo
    do notebook já o traz importado.
    """
    venv.create(pasta, with_pip=True)
    python = pasta / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    perguntado = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    bibliotecas = Path(subprocess.run(perguntado, check=True, capture_output=True, text=True).stdout.strip())
    imitacao = bibliotecas / "google" / "colab"
    imitacao.mkdir(parents=True)
    (imitacao / "__init__.py").write_text('"""O google.colab de imitação."""\n', "utf-8")
    linhas = ["import google.colab"]
    if torch is None:  # os pacotes deste Python; os .pth dele, e com eles o livro editável, ficam de fora
        linhas.insert(0, str(Path(nbformat.__file__).parents[1]))
    else:
        instala = [str(python), "-m", "pip", "install", "-q", f"torch=={torch}", *NO_COLAB]
        subprocess.run(instala, check=True)
    (bibliotecas / "colab.pth").write_text("\n".join(linhas) + "\n", "utf-8")
    return python


def ensaia(
    caderno: nbformat.NotebookNode, nome: str, python: Path, pacote: Path, prazo: int = 3600
) -> Medida:
    """Executa o notebook numa pasta vazia. Erros: os do nbclient, com a célula e a última linha."""
    preparo = next(c for c in caderno.cells if c.get("id") == "preparo")
    preparo.source = preparo.source.replace(enderecos().pacote(), pacote.as_uri())
    caderno.cells.append(nbformat.v4.new_code_cell(PICO, id="pico"))
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
    pico = int(caderno.cells[-1].outputs[0].text) // 1024
    return Medida(nome, round(tempos["preparo"] - inicio, 1), round(fim - inicio, 1), pico)


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
    opcoes.add_argument("--grava", type=Path, help="onde guardar as medidas, em JSON")
    escolhidas = opcoes.parse_args(argumentos)
    cadernos = escolhe(escolhidas.notebooks)
    falhas, medidas = 0, []
    with tempfile.TemporaryDirectory() as pasta:
        pacote = arquivo_do_repositorio(Path(pasta) / f"{PACOTE}.zip")
        for nome, arquivo in {"primeiro token": None, **cadernos}.items():
            python = cria_ambiente(Path(pasta) / re.sub(r"\W", "-", nome), escolhidas.torch)
            caderno = primeiro_token() if arquivo is None else nbformat.read(arquivo, as_version=4)
            try:
                medidas.append(ensaia(caderno, nome, python, pacote))
                m = medidas[-1]
                print(
                    f"{nome}: preparo {m.preparo_s} s, ao todo {m.total_s} s, {m.memoria_mb} MB", flush=True
                )
            except CellExecutionError as erro:
                falhas += 1
                print(f"{nome}: {str(erro).strip().splitlines()[-1]}", flush=True)
    if escolhidas.grava and not falhas:
        grava(escolhidas.grava, json.dumps([asdict(m) for m in medidas], ensure_ascii=False, indent=1) + "\n")
    return int(bool(falhas))


if __name__ == "__main__":
    sys.exit(main())
