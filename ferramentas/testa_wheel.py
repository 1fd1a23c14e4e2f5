"""Instala o wheel de `dist/` num ambiente vazio, só com o que ele exige, e roda o que um leitor escreveria.

uso: python ferramentas/testa_wheel.py       depois de make pacote; precisa da rede

É a última prova antes do PyPI: nada deste Python, nem do repositório, está à vista do programa que roda.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

RAIZ = Path(__file__).resolve().parents[1]
USO = RAIZ / "tests/usuario/uso.py"


def roda(python: Path, *argumentos: str, pasta: Path) -> subprocess.CompletedProcess[str]:
    """Roda `python` na pasta, sem o que este processo tem nas variáveis, nem a rede; avisos são erros."""
    passam = ("PATH", "SYSTEMROOT", "TEMP", "TMP")
    ambiente = {nome: os.environ[nome] for nome in passam if nome in os.environ}
    ambiente |= {f"{nome}_proxy": "http://127.0.0.1:9" for nome in ("http", "https", "all")}
    ambiente |= {"HOME": str(pasta), "OMP_NUM_THREADS": "1", "PYTHONUTF8": "1"}
    return subprocess.run(
        [str(python), "-W", "error", *argumentos], cwd=pasta, env=ambiente, capture_output=True, text=True,
        encoding="utf-8",
    )  # fmt: skip


def main() -> int:
    """Ponto de entrada; devolve 0 se o wheel se instala e serve, 1 se não."""
    wheels = sorted((RAIZ / "dist").glob("homellm-*.whl"))
    if len(wheels) != 1:
        print(f"erro: há {len(wheels)} wheels em dist/, e esperava um; rode antes: make pacote")
        return 1
    with tempfile.TemporaryDirectory() as temporaria:
        ambiente, pasta = Path(temporaria) / "ambiente", Path(temporaria) / "vazia"
        pasta.mkdir()
        venv.create(ambiente, with_pip=True)
        python = ambiente / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        for comando in (["install", "-q", "-c", str(RAIZ / "constraints.txt"), str(wheels[0])], ["check"]):
            if subprocess.call([str(python), "-m", "pip", *comando], cwd=pasta):
                print(f"erro: pip {comando[0]} falhou com {wheels[0].name}; a causa está nas linhas acima")
                return 1
        fim = roda(python, str(USO), str(pasta / "saida"), pasta=pasta)
    print(fim.stdout + fim.stderr, end="")
    if fim.returncode or fim.stderr:
        print(f"erro: {wheels[0].name} não faz, sozinho, o que {USO.relative_to(RAIZ)} pede")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
