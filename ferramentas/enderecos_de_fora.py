"""Confere os endereços de fora que o livro cita: páginas, referências, arquivos de dados.

uso: python -m ferramentas.enderecos_de_fora

Precisa da rede; roda no fluxo semanal, e não nos testes. Um endereço que responde 2xx ou 3xx serve; os que
recusam robôs (401, 403, 429) são só listados.
"""

from __future__ import annotations

import concurrent.futures
import re
import sys
import urllib.error
import urllib.request
from pathlib import Path

from ferramentas.livro import RAIZ, enderecos, le_texto

ONDE = ("README.md", "CONTRIBUTING.md", "book/**/*.md", "book/*.bib", "data/**/*.md")
RECUSAM_ROBOS = (401, 403, 405, 429)
ESPERA = 30  # segundos por endereço


def achados(raiz: Path = RAIZ) -> dict[str, str]:
    """Cada endereço e o primeiro lugar (arquivo:linha) em que aparece; os do próprio livro ficam de fora."""
    publicos = enderecos(raiz)
    vistos: dict[str, str] = {}
    for padrao in ONDE:
        for arquivo in sorted(raiz.glob(padrao)):
            nome = arquivo.relative_to(raiz).as_posix()
            for n, linha in enumerate(le_texto(arquivo, raiz).split("\n"), 1):
                candidatos = re.findall(r"https?://[^\s<>\"'`{}\\]+", linha)
                candidatos += [
                    f"https://doi.org/{d}" for d in re.findall(r"^\s*doi\s*=\s*\{([^}]+)\}", linha)
                ]
                candidatos += [
                    f"https://arxiv.org/abs/{a}" for a in re.findall(r"arXiv:(\d{4}\.\d{4,5})", linha)
                ]
                for bruto in candidatos:
                    endereco = bruto.rstrip(".,;:!?)]*")
                    proprio = endereco.startswith(
                        (publicos.site, publicos.repositorio, "https://colab.research")
                    )
                    if not proprio and "…" not in endereco and re.search(r"://[\w.-]+\.\w", endereco):
                        vistos.setdefault(endereco, f"{nome}:{n}")
    return {e: onde for e, onde in vistos.items() if "localhost" not in e and "exemplo" not in e}


def situacao(endereco: str) -> str:
    """`""` se o endereço responde; se não, o que houve."""
    pedido = urllib.request.Request(
        endereco, headers={"User-Agent": "Mozilla/5.0 (confere enderecos do livro)"}
    )
    try:
        with urllib.request.urlopen(pedido, timeout=ESPERA):
            return ""
    except urllib.error.HTTPError as erro:
        return f"{'recusa robôs' if erro.code in RECUSAM_ROBOS else 'não serve'}: {erro.code}"
    except (OSError, ValueError) as erro:
        return f"não serve: {erro}"


def main() -> int:
    """Ponto de entrada; devolve 1 se algum endereço não responde."""
    lugares = achados()
    with concurrent.futures.ThreadPoolExecutor(8) as grupo:
        respostas = dict(zip(lugares, grupo.map(situacao, lugares), strict=True))
    ruins = {e: r for e, r in respostas.items() if r}
    for endereco, resposta in sorted(ruins.items(), key=lambda par: lugares[par[0]]):
        print(f"{lugares[endereco]}: {endereco}: {resposta}")
    print(f"{len(lugares)} endereços, {len(ruins)} com queixa")
    return int(any(resposta.startswith("não serve") for resposta in ruins.values()))


if __name__ == "__main__":
    sys.exit(main())
