"""As letras, as marcas e os algarismos do tiktoken, para o pré-corte da página.

uso: python -m ferramentas.letras

Cada navegador sabe de uma versão do Unicode, e o tiktoken, de outra: uma letra nova cairia em pedaços
diferentes. Por isso o motor leva as tabelas do tiktoken, em `widgets/motor/unicode.js`, que este comando
escreve.
"""

from __future__ import annotations

import tiktoken

from ferramentas.livro import RAIZ, grava

ARQUIVO = RAIZ / "widgets/motor/unicode.js"
CLASSES = {"L": r"\p{L}", "M": r"\p{M}", "N": r"\p{N}", "s": r"\s"}
COMECO = """\
// Gerado por ferramentas/letras.py. NÃO EDITE: rode python -m ferramentas.letras.
// O que o tiktoken entende por letra (L), marca (M), algarismo (N) e espaço (s): para cada faixa, quantos
// caracteres há desde o fim da anterior e quantos ela tem, em base 36.
export const CLASSES = {
"""


def da_classe(padrao: str) -> list[int]:
    """Os caracteres que o tiktoken põe numa classe, em ordem: o que não casa, ele descarta."""
    motor = tiktoken.Encoding(
        "letras", pat_str=padrao, mergeable_ranks={bytes([b]): b for b in range(256)}, special_tokens={}
    )
    todos = "".join(chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000)
    return [ord(c) for c in bytes(motor.encode_ordinary(todos)).decode()]


def faixas(caracteres: list[int]) -> list[tuple[int, int]]:
    """Primeiro e último de cada sequência sem buraco.

    >>> faixas([1, 2, 3, 7])
    [(1, 3), (7, 7)]
    """
    pares: list[tuple[int, int]] = []
    for c in caracteres:
        if pares and pares[-1][1] == c - 1:
            pares[-1] = (pares[-1][0], c)
        else:
            pares.append((c, c))
    return pares


def em_base_36(numero: int) -> str:
    """O número em base 36, que o `parseInt` do JavaScript lê.

    >>> em_base_36(35), em_base_36(36)
    ('z', '10')
    """
    digitos = "0123456789abcdefghijklmnopqrstuvwxyz"
    alto, baixo = divmod(numero, 36)
    return (em_base_36(alto) if alto else "") + digitos[baixo]


def escreve_a_tabela() -> str:
    """O texto de `unicode.js`."""
    linhas = []
    for nome, padrao in CLASSES.items():
        numeros, fim = [], 0
        for primeiro, ultimo in faixas(da_classe(padrao)):
            numeros += [primeiro - fim, ultimo - primeiro + 1]
            fim = ultimo + 1
        linhas.append(f'  {nome}: "{" ".join(map(em_base_36, numeros))}",\n')
    return COMECO + "".join(linhas) + "};\n"


if __name__ == "__main__":
    grava(ARQUIVO, escreve_a_tabela())
