"""Confere os fluxos do GitHub e os arquivos de que ele lê: forma e segurança.

uso: python -m ferramentas.fluxos

`check-jsonschema` compara cada arquivo com o esquema publicado para ele; `zizmor` procura permissões demais,
ações sem soma e textos de fora que virariam comandos. Os dois pedem Python 3.11.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from ferramentas.livro import RAIZ

ESQUEMAS = {  # esquema embutido no check-jsonschema: os arquivos
    "vendor.github-workflows": ".github/workflows/*.yml",
    "vendor.github-issue-forms": ".github/ISSUE_TEMPLATE/[!c]*.yml",
    "vendor.github-issue-config": ".github/ISSUE_TEMPLATE/config.yml",
    "vendor.dependabot": ".github/dependabot.yml",
    "vendor.citation-file-format": "CITATION.cff",
}


def comandos(raiz: Path = RAIZ) -> list[list[str]]:
    """Os comandos a rodar; erro se um dos padrões não acha arquivo."""
    esquema = [sys.executable, "-m", "check_jsonschema", "--quiet", "--builtin-schema"]
    lista = [[str(Path(sys.executable).with_name("zizmor")), "--offline", "--quiet", str(raiz / ".github")]]
    for nome, padrao in ESQUEMAS.items():
        arquivos = sorted(map(str, raiz.glob(padrao)))
        if not arquivos:
            raise FileNotFoundError(f"{padrao}: nenhum arquivo; o que se ia conferir mudou de lugar?")
        lista.append([*esquema, nome, *arquivos])
    return lista


def main() -> int:
    """Ponto de entrada; devolve quantos comandos acharam queixa."""
    if sys.version_info < (3, 11):
        print("fluxos do GitHub: não conferidos, que isso pede o Python 3.11 ou mais novo")
        return 0
    return sum(subprocess.call(comando, cwd=RAIZ) != 0 for comando in comandos())


if __name__ == "__main__":
    sys.exit(main())
