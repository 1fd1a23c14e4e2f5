"""Começa um capítulo: página, testes, e a entrada dele no sumário, na API, na página inicial e no README.

uso: make novo-capitulo titulo="Mistura de especialistas" [modulo=experts]

A página sai de `modelo_de_capitulo.md`, que já é um capítulo inteiro, pequeno, e passa em todas as
conferências; o autor a troca aos poucos pela sua. Nada é escrito se algo do que se pediu não serve.
"""

from __future__ import annotations

import argparse
import keyword
import re
import sys
import unicodedata
from pathlib import Path

from ferramentas import construir
from ferramentas.livro import (
    PACOTE,
    RAIZ,
    ErroDoLivro,
    caminho_do_caderno,
    enderecos,
    grava,
    le_texto,
    nome_da_pagina,
    numero_do_capitulo,
    paginas,
)
from ferramentas.tangle import escreve, extrai

USO = 'make novo-capitulo titulo="Mistura de especialistas"'


def slug(titulo: str) -> str:
    """O título como nome de arquivo.

    >>> slug("Atenção: a 2ª parte")
    'atencao-a-2a-parte'
    """
    decomposto = unicodedata.normalize("NFKD", titulo.lower())
    return "-".join(re.findall(r"[a-z0-9]+", decomposto.encode("ascii", "ignore").decode()))


def _confere_titulo(titulo: str, raiz: Path) -> str:
    """O nome do arquivo, se o título serve e nenhuma página o tem."""
    if not titulo:
        raise ErroDoLivro(f"falta o título; escreva {USO}")
    if proibidos := sorted(set(titulo) & set("\n#|[]{}<>`$\\")):
        raise ErroDoLivro(f"o título é texto corrido, numa linha só; tire dele {' '.join(proibidos)!r}")
    nome = slug(titulo)
    if not nome:
        raise ErroDoLivro(f"o título {titulo!r} não tem letras nem números com que nomear o arquivo")
    for md in paginas(raiz):
        if re.sub(r"^\d\d-", "", md.stem) == nome:
            onde = md.relative_to(raiz).as_posix()
            raise ErroDoLivro(f"já há uma página com esse nome, {onde}; escolha outro título")
    return nome


def _confere_modulo(modulo: str, raiz: Path) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", modulo) or keyword.iskeyword(modulo):
        raise ErroDoLivro(
            f"{modulo!r} não serve de nome de módulo: use letras minúsculas sem acento, números e _, "
            "começando por letra, como em modulo=experts"
        )
    dono = extrai(raiz).get(f"{PACOTE}/{modulo}.py")
    if dono is not None or (raiz / f"{PACOTE}/{modulo}.py").exists():
        de = f", que sai de {dono.pagina}" if dono else ""
        raise ErroDoLivro(f"já há um módulo {PACOTE}.{modulo}{de}; escolha outro, com modulo=…")


def preenche(modelo: str, valores: dict[str, str]) -> str:
    """O modelo com cada `{{nome}}` trocado pelo seu valor.

    >>> preenche("# {{titulo}}", {"titulo": "Um"})
    '# Um'
    """
    return re.sub(r"\{\{(\w+)\}\}", lambda m: valores[m[1]], modelo)


def _depois_da_ultima(texto: str, padrao: str, linha: str, arquivo: str, oque: str) -> str:
    """O texto com `linha` a seguir à última que casa com `padrao`."""
    achadas = list(re.finditer(rf"(?m){padrao}", texto))
    if not achadas:
        raise ErroDoLivro(f"{arquivo}:1: não achei {oque}, ao lado de que iria a do capítulo novo")
    fim = achadas[-1].end()
    return f"{texto[:fim]}\n{linha}{texto[fim:]}"


def planeja(titulo: str, modulo: str = "", raiz: Path = RAIZ) -> dict[str, str]:
    """O que cada arquivo passa a conter, sem escrever nada; o primeiro é a página."""
    titulo = titulo.strip()
    nome = _confere_titulo(titulo, raiz)
    modulo = modulo.strip() or nome.replace("-", "_")
    _confere_modulo(modulo, raiz)
    usados = {numero_do_capitulo(nome_da_pagina(md, raiz)) for md in paginas(raiz)}
    n = next(n for n in range(100) if n not in usados)
    numero = f"{n:02}"
    pagina = f"book/{numero}-{nome}"
    publicos = enderecos(raiz)
    caderno = publicos.colab(caminho_do_caderno(pagina))
    selo = "![Abrir no Colab](https://colab.research.google.com/assets/colab-badge.svg)"
    valores = {"titulo": titulo, "slug": nome, "numero": numero, "modulo": modulo}
    novos = {
        f"{pagina}.md": preenche(le_texto(raiz / "ferramentas/modelo_de_capitulo.md", raiz), valores),
        f"tests/pacote/test_{modulo}.py": preenche(
            le_texto(raiz / "ferramentas/modelo_de_teste.txt", raiz), valores
        ),
    }
    for arquivo in novos:
        if (raiz / arquivo).exists():
            raise ErroDoLivro(
                f"{arquivo}:1: já existe, e não é de capítulo nenhum; apague-o ou mude-lhe o nome"
            )
    diretiva = f"```{{eval-rst}}\n.. automodule:: {PACOTE}.{modulo}\n   :members:\n```"
    acrescimos = {
        "_toc.yml": (
            r"^ +- file: book/\d\d-\S+.*$",
            f"      - file: {pagina}",
            "a linha de um capítulo",
        ),
        "book/index.md": (
            r"^\| \d+ · \[.*\|$",
            f"| {n} · [{titulo}]({numero}-{nome}.md) | Escreva aqui, numa frase, o que o leitor constrói. |",
            "a tabela dos capítulos",
        ),
        "README.md": (
            r"^\| \d\d \| .*\|$",
            f"| {numero} | {titulo} | [página]({publicos.pagina(pagina)}) | [{selo}]({caderno}) |",
            "a tabela dos capítulos",
        ),
        "book/api.md": (
            r"^    [a-z_]+ {2,}\S.*$",
            f"    {modulo:<14}  diga aqui, em poucas palavras, o que ele faz",
            "a lista dos módulos, na docstring do pacote",
        ),
    }
    for arquivo, (padrao, linha, oque) in acrescimos.items():
        novos[arquivo] = _depois_da_ultima(le_texto(raiz / arquivo, raiz), padrao, linha, arquivo, oque)
    novos["book/api.md"] += f"\n## {PACOTE}.{modulo}\n\n{diretiva}\n"
    return novos


def main(argumentos: list[str] | None = None) -> int:
    """Ponto de entrada; devolve 0 se o capítulo foi criado, 1 se não."""
    opcoes = argparse.ArgumentParser(description="começa um capítulo")
    opcoes.add_argument("titulo", help="o título, como o leitor o verá")
    opcoes.add_argument("modulo", nargs="?", default="", help="o módulo do pacote; sem ele, o do título")
    escolhidas = opcoes.parse_args(argumentos)
    try:
        novos = planeja(escolhidas.titulo, escolhidas.modulo)
        for arquivo, texto in novos.items():
            grava(RAIZ / arquivo, texto)
        gerados = escreve(extrai())
    except ErroDoLivro as erro:
        print(f"erro: {erro}", file=sys.stderr)
        return 1
    print("Escritos:", *novos, *gerados, sep="\n  ")
    print("notebook: gerando (até um minuto)…", flush=True)
    if falhou := construir.main(["--cadernos"]):
        return falhou
    pagina = next(iter(novos))
    print(
        f"\nO capítulo é {pagina}: troque o exemplo pelo seu, seguindo os conselhos que estão lá.\n"
        "A frase dele na página inicial está em book/index.md, e a do módulo, em book/api.md.\n"
        f"Para ver a página, depois de um make livro: make pagina p={pagina[5:7]}\n"
        "O que um capítulo precisa ter: CONTRIBUTING.md"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
