"""Gera `data/regras.jsonl`, as famílias de instruções feitas por regra, a partir de `data/palavras.tsv`.

uso: python data/fazer/regras.py [--check]

A lista foi escrita palavra por palavra e traz o split de cada uma; o programa só combina palavras e redações
de instrução, com semente fixa. Nenhum par mistura palavras de splits diferentes.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import sys
import tempfile
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ferramentas.livro import RAIZ, ErroDoLivro, le_texto

SEMENTE = 2026
SPLITS = ("train", "validation", "test")
CLASSES = ("substantivo", "adjetivo", "verbo", "advérbio")
CABECALHO = ("palavra", "classe", "silabas", "plural", "feminino", "antonimo", "split")
PALAVRAS = RAIZ / "data/palavras.tsv"
REGRAS = RAIZ / "data/regras.jsonl"

# as redações; as palavras delas que estão na lista têm de ser de train
INSTRUCOES = {
    "plural": (
        "Passe para o plural.",
        "Escreva o plural da palavra.",
        "Qual é o plural?",
        "Como fica a palavra no plural?",
        "Ponha no plural.",
        "Dê a forma do plural.",
    ),
    "feminino": (
        "Passe para o feminino.",
        "Escreva o feminino da palavra.",
        "Qual é o feminino?",
        "Como se diz no feminino?",
        "Dê a forma feminina.",
    ),
    "antonimo": (
        "Escreva o antônimo.",
        "Qual é o contrário?",
        "Dê uma palavra de sentido oposto.",
        "Diga o oposto.",
        "Qual é o antônimo desta palavra?",
    ),
    "maiusculas": (
        "Escreva em letras maiúsculas.",
        "Passe para maiúsculas.",
        "Ponha tudo em maiúsculas.",
        "Troque as minúsculas por maiúsculas.",
    ),
    "copiar": (
        "Copie sem mudar nada.",
        "Repita exatamente o que está escrito.",
        "Repita tal como está.",
        "Copie o que vem a seguir.",
        "Devolva sem alteração.",
    ),
    "contar-letras": (
        "Quantas letras tem a palavra?",
        "Conte as letras.",
        "Diga quantas letras a palavra tem.",
        "De quantas letras é feita a palavra?",
    ),
    "primeira-letra": (
        "Qual é a primeira letra?",
        "Com que letra começa a palavra?",
        "Escreva apenas a primeira letra.",
        "Diga a primeira letra da palavra.",
    ),
    "ultima-letra": (
        "Qual é a última letra?",
        "Com que letra termina a palavra?",
        "Escreva apenas a última letra.",
        "Diga a última letra da palavra.",
    ),
    "ordem-alfabetica": (
        "Ponha em ordem alfabética.",
        "Coloque as palavras em ordem alfabética.",
        "Ordene a lista de A a Z.",
        "Como fica a lista em ordem alfabética?",
        "Escreva as palavras na ordem do alfabeto.",
    ),
    "separar-silabas": (
        "Separe as sílabas.",
        "Divida a palavra em sílabas.",
        "Faça a separação silábica.",
        "Como se separam as sílabas?",
        "Escreva a palavra com as sílabas separadas.",
    ),
    "soletrar": (
        "Soletre a palavra.",
        "Escreva letra por letra.",
        "Como se soletra?",
        "Separe as letras da palavra.",
    ),
}


@dataclass(frozen=True)
class Palavra:
    """Uma linha de `palavras.tsv`; campo que não se aplica é vazio."""

    palavra: str
    classe: str
    silabas: str
    plural: str
    feminino: str
    antonimo: str
    split: str

    @property
    def formas(self) -> tuple[str, ...]:
        """A palavra e as formas que respondem por ela."""
        return tuple(f for f in (self.palavra, self.plural, self.feminino, self.antonimo) if f)


def le_palavras(arquivo: Path = PALAVRAS) -> list[Palavra]:
    """A lista, conferida; erro com arquivo, linha e o que fazer."""
    linhas = le_texto(arquivo, arquivo.parent).rstrip("\n").split("\n")
    if tuple(linhas[0].split("\t")) != CABECALHO:
        raise ErroDoLivro(f"{arquivo.name}:1: o cabeçalho tem de ser {' '.join(CABECALHO)}, com tabulações")
    palavras: list[Palavra] = []
    vistas: dict[str, int] = {}
    dono: dict[str, tuple[int, str]] = {}
    redacoes = set(termos(" ".join(r for familia in INSTRUCOES.values() for r in familia)))
    for n, linha in enumerate(linhas[1:], 2):
        campos = linha.split("\t")
        try:
            if len(campos) != len(CABECALHO):
                raise ValueError(f"há {len(campos)} campos; são {len(CABECALHO)}")
            palavra = Palavra(*campos)
            _confere(palavra)
            if palavra.palavra in vistas:
                raise ValueError(f"“{palavra.palavra}” já está na linha {vistas[palavra.palavra]}")
            vistas[palavra.palavra] = n
            for forma in palavra.formas:
                outra, split = dono.setdefault(forma, (n, palavra.split))
                if split != palavra.split:
                    raise ValueError(f"“{forma}” é de {palavra.split} aqui e de {split} na linha {outra}")
                if palavra.split != "train" and forma in redacoes:
                    raise ValueError(f"“{forma}” está numa redação de instrução: ponha a palavra em train")
        except ValueError as erro:
            raise ErroDoLivro(f"{arquivo.name}:{n}: {erro}") from None
        palavras.append(palavra)
    return palavras


def _confere(p: Palavra) -> None:
    if not all(re.fullmatch(r"[^\W\d_]{2,}", f) and f == f.lower() for f in p.formas):
        raise ValueError("as formas têm duas letras ou mais, minúsculas, sem espaço nem hífen")
    if not unicodedata.is_normalized("NFC", "".join(p.formas) + p.silabas):
        raise ValueError("há acento decomposto; grave em NFC")
    if p.silabas.replace("-", "") != p.palavra:
        raise ValueError(f"as sílabas “{p.silabas}” não dão “{p.palavra}”")
    if p.classe not in CLASSES:
        raise ValueError(f"a classe “{p.classe}” não existe; há {', '.join(CLASSES)}")
    if p.split not in SPLITS:
        raise ValueError(f"o split “{p.split}” não existe; há {', '.join(SPLITS)}")
    if p.palavra in (p.feminino, p.antonimo):
        raise ValueError("feminino ou antônimo igual à palavra: deixe o campo vazio")


def termos(texto: str) -> list[str]:
    """As palavras do texto em minúsculas; um grupo com hífens (`ca-sa`, `c-a-s-a`) é um termo só.

    >>> termos("Separe: ca-sa, SOL.")
    ['separe', 'ca-sa', 'sol']
    """
    return re.findall(r"[^\W_]+(?:-[^\W_]+)*", texto.lower())


def chave_alfabetica(palavra: str) -> tuple[str, str]:
    """A ordem do português: letra a letra, sem olhar acento nem cedilha; no empate, a sem acento vem antes.

    >>> sorted(["sabiá", "órgão", "sabia", "ovo", "oca"], key=chave_alfabetica)
    ['oca', 'órgão', 'ovo', 'sabia', 'sabiá']
    """
    letras = unicodedata.normalize("NFD", palavra.lower())
    return "".join(c for c in letras if not unicodedata.combining(c)), palavra


T = TypeVar("T")


class Sorteio:
    """O que se sorteia, só com `random()`: o único método que o Python promete não mudar entre versões."""

    def __init__(self, *semente: object) -> None:
        self._fonte = random.Random("/".join(map(str, semente)))

    def embaralhadas(self, itens: Iterable[T]) -> list[T]:
        """Cópia da lista em ordem sorteada."""
        com_sorte = [(self._fonte.random(), item) for item in itens]
        return [item for _, item in sorted(com_sorte, key=lambda par: par[0])]

    def algumas(self, itens: list[T], quantas: int) -> list[T]:
        """`quantas` itens diferentes, sorteados."""
        sobra = list(itens)
        return [sobra.pop(self.ate(len(sobra))) for _ in range(quantas)]

    def ate(self, limite: int) -> int:
        """Um inteiro de 0 a `limite` − 1."""
        return int(self._fonte.random() * limite)


Par = tuple[str, str]  # entrada e resposta


def _de_uma(resposta: Callable[[Palavra], str], parte: float) -> Callable[..., Iterator[Par]]:
    """Família em que cada palavra sorteada (`parte` delas) dá um par; resposta vazia não dá par."""

    def pares(palavras: list[Palavra], sorteio: Sorteio) -> Iterator[Par]:
        possiveis = [p for p in palavras if resposta(p)]
        for p in sorteio.embaralhadas(possiveis)[: round(len(possiveis) * parte)]:
            yield p.palavra, resposta(p)

    return pares


def _de_grupos(
    resposta: Callable[[list[str]], list[str]], tamanhos: tuple[int, int], parte: float
) -> Callable[..., Iterator[Par]]:
    """Família de listas de palavras separadas por vírgula: `parte` listas por palavra do split."""

    def pares(palavras: list[Palavra], sorteio: Sorteio) -> Iterator[Par]:
        menor, maior = tamanhos
        for _ in range(round(len(palavras) * parte)):
            grupo = [p.palavra for p in sorteio.algumas(palavras, menor + sorteio.ate(maior - menor + 1))]
            yield ", ".join(grupo), ", ".join(resposta(grupo))

    return pares


def _maiusculas(grupo: list[str]) -> list[str]:
    return [p.upper() for p in grupo]


def _em_ordem(grupo: list[str]) -> list[str]:
    return sorted(grupo, key=chave_alfabetica)


# família → fontes de pares; o segundo número é quanto de cada uma (em pares por palavra que serve)
FONTES = {
    "plural": (_de_uma(lambda p: p.plural, 1), _de_uma(lambda p: irregular(p) and p.plural, 1)),
    "feminino": (_de_uma(lambda p: p.feminino, 1), _de_uma(lambda p: p.feminino, 1)),
    "antonimo": (_de_uma(lambda p: p.antonimo, 1), _de_uma(lambda p: p.antonimo, 1)),
    "maiusculas": (_de_uma(lambda p: p.palavra.upper(), 0.4), _de_grupos(_maiusculas, (2, 3), 0.15)),
    "copiar": (_de_uma(lambda p: p.palavra, 0.3), _de_grupos(list, (2, 3), 0.25)),
    "contar-letras": (_de_uma(lambda p: str(len(p.palavra)), 0.5),),
    "primeira-letra": (_de_uma(lambda p: p.palavra[0], 0.4),),
    "ultima-letra": (_de_uma(lambda p: p.palavra[-1], 0.4),),
    "ordem-alfabetica": (_de_grupos(_em_ordem, (3, 5), 0.6),),
    "separar-silabas": (_de_uma(lambda p: p.silabas, 0.75),),
    "soletrar": (_de_uma(lambda p: "-".join(p.palavra), 0.5),),
}


def irregular(p: Palavra) -> bool:
    """O plural pede mais do que um “s” no fim?"""
    return bool(p.plural) and p.plural != p.palavra + "s"


def gera(palavras: list[Palavra], semente: int = SEMENTE) -> list[dict[str, str]]:
    """Os registros, em ordem sorteada: `instrucao`, `entrada`, `resposta`, `familia`, `split`."""
    registros: list[dict[str, str]] = []
    vistos: set[Par] = set()
    for familia, fontes in FONTES.items():
        redacoes = INSTRUCOES[familia]
        for split in SPLITS:
            do_split = [p for p in palavras if p.split == split]
            sorteio = Sorteio(semente, familia, split)
            for fonte in fontes:
                for entrada, resposta in fonte(do_split, sorteio):
                    primeira = sorteio.ate(len(redacoes))
                    # a redação sorteada, ou a seguinte que ainda não se usou com esta entrada
                    for n in range(len(redacoes)):
                        instrucao = redacoes[(primeira + n) % len(redacoes)]
                        if (instrucao, entrada) not in vistos:
                            vistos.add((instrucao, entrada))
                            registros.append(
                                {"instrucao": instrucao, "entrada": entrada, "resposta": resposta,
                                 "familia": familia, "split": split}
                            )  # fmt: skip
                            break
    return Sorteio(semente, "ordem").embaralhadas(registros)


def jsonl(registros: list[dict[str, str]]) -> bytes:
    """Um objeto JSON por linha, em UTF-8."""
    return "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in registros).encode()


def escreve(dados: bytes, destino: Path = REGRAS) -> None:
    """Grava num temporário ao lado e o põe no lugar: interrompido, não deixa arquivo pela metade."""
    descritor, nome = tempfile.mkstemp(dir=destino.parent, prefix=f".{destino.name}.", suffix=".tmp")
    try:
        with os.fdopen(descritor, "wb") as arquivo:
            arquivo.write(dados)
        os.chmod(nome, 0o644)
        os.replace(nome, destino)
    except BaseException:
        os.unlink(nome)
        raise


def main(argumentos: list[str] | None = None) -> int:
    """Ponto de entrada; devolve 0 (tudo em ordem), 1 (diferente, com --check) ou 2 (erro na lista)."""
    opcoes = argparse.ArgumentParser(description="gera data/regras.jsonl de data/palavras.tsv")
    opcoes.add_argument("--check", action="store_true", help="só compara, sem escrever")
    escolhidas = opcoes.parse_args(argumentos)
    try:
        registros = gera(le_palavras(PALAVRAS))
    except (ErroDoLivro, OSError) as erro:
        print(f"regras: {erro}", file=sys.stderr)
        return 2
    dados = jsonl(registros)
    if escolhidas.check:
        if REGRAS.exists() and REGRAS.read_bytes() == dados:
            return 0
        print(f"{REGRAS.name} não é o que a lista gera; rode python data/fazer/regras.py")
        return 1
    escreve(dados, REGRAS)
    print(f"regras: {REGRAS.name}, {len(registros)} pares")
    return 0


if __name__ == "__main__":
    sys.exit(main())
