"""Confere, na rede, os arquivos remotos do manifesto: se ainda estão lá, e se ainda são os mesmos.

uso: python -m ferramentas.somas

Roda no fluxo semanal. Um arquivo pequeno com soma publicada é baixado e somado; de um grande, ou de um sem
soma, confere-se o começo da resposta e o tamanho que o servidor diz.
"""

from __future__ import annotations

import hashlib
import sys

from homellm.download import MANIFEST, NetworkError, RemoteFile, open_url

PEQUENO = 16 * 2**20  # bytes que vale a pena baixar toda semana
PRAZO = 120.0  # segundos por endereço


def queixa(arquivo: RemoteFile, endereco: str) -> str:
    """O que há de errado com um endereço de um arquivo, ou `""`."""
    inteiro = arquivo.sha256 is not None and (arquivo.size or 0) <= PEQUENO
    try:
        with open_url(endereco, deadline=PRAZO, max_bytes=2 * PEQUENO) as resposta:
            if resposta.status != 200:
                return f"o servidor respondeu {resposta.status}"
            tamanho = resposta.headers.get("Content-Length", "")
            if arquivo.size and tamanho.isdecimal() and int(tamanho) != arquivo.size:
                return f"tem {tamanho} bytes, e o manifesto diz {arquivo.size}"
            if not inteiro:
                return "" if next(resposta.chunks, b"") else "veio vazio"
            soma = hashlib.sha256()
            for pedaco in resposta.chunks:
                soma.update(pedaco)
    except NetworkError as erro:
        return str(erro)
    return "" if soma.hexdigest() == arquivo.sha256 else "a soma SHA-256 é outra"


def main() -> int:
    """Ponto de entrada; devolve 1 se um arquivo não tem endereço que sirva."""
    sem_saida = False
    for nome, conjunto in MANIFEST.items():
        for arquivo in conjunto.files:
            queixas = {endereco: queixa(arquivo, endereco) for endereco in arquivo.urls}
            for endereco, o_que in queixas.items():
                if o_que:
                    print(f"{nome}: {arquivo.name}: {endereco}: {o_que}")
            if all(queixas.values()) and arquivo.alternative is None:
                sem_saida = True
                print(f"{nome}: {arquivo.name}: nenhum endereço serve")
    return int(sem_saida)


if __name__ == "__main__":
    sys.exit(main())
