"""Constrói o livro: pacote, notebooks e site.

uso: python -m ferramentas.construir [--pagina 03 | --so-site | --cadernos | --confere]

Sem opção: revisa as fontes, extrai o pacote, leva os endereços de `_config.yml` ao README e a
quem mais os diz, executa as páginas que mudaram, escreve o site e os notebooks. As páginas são
lidas uma vez, e do que se leu saem o site e os notebooks.

`--pagina` faz o mesmo com uma página só, e deixa as outras como estão. `--so-site` não
escreve no pacote nem nos notebooks, e não faz nada se o site está em dia. `--cadernos` só
escreve os notebooks, e `--confere` compara com as fontes o pacote e os notebooks que estão no
disco: nenhum dos dois executa página alguma.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import gc
import hashlib
import itertools
import json
import os
import platform
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

from ferramentas import casa, lint
from ferramentas.avisos import EmPortugues
from ferramentas.caderno import editado_a_mao
from ferramentas.livro import (
    CONSTRUCAO,
    DOCTREES,
    RAIZ,
    SITE,
    ErroDoLivro,
    acha_pagina,
    caminho_do_caderno,
    exige_o_livro,
    grava,
    nome_da_pagina,
    paginas,
)
from ferramentas.modelos import escreve_os_modelos
from ferramentas.tangle import compara, escreve, extrai

FONTES = ("_config.yml", "_toc.yml", "constraints.txt", "pyproject.toml", "CITATION.cff", "CHANGELOG.md",
          "_static", "_templates", "book", "data", "ferramentas", "homellm", "widgets")  # fmt: skip


# ---------------------------------------------------------------- a construção anterior


@contextlib.contextmanager
def trava() -> Iterator[None]:
    """Uma construção por vez em `_build`."""
    CONSTRUCAO.mkdir(exist_ok=True)
    with open(CONSTRUCAO / ".trava", "a+", encoding="utf-8") as arquivo:
        try:
            fcntl.flock(arquivo, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            arquivo.seek(0)
            raise ErroDoLivro(
                f"outra construção (processo {arquivo.read() or '?'}) está usando _build; "
                "espere ela acabar e rode de novo"
            ) from None
        arquivo.truncate(0)
        arquivo.write(str(os.getpid()))
        arquivo.flush()
        yield


def soma_das_fontes() -> str:
    """Um resumo de tudo de que o site e os notebooks são feitos."""
    soma = hashlib.sha256(platform.python_version().encode())
    for nome in FONTES:
        caminho = RAIZ / nome
        arquivos = sorted(p for p in caminho.rglob("*") if p.is_file()) if caminho.is_dir() else [caminho]
        for arquivo in arquivos:
            if arquivo.exists() and "__pycache__" not in arquivo.parts:
                soma.update(arquivo.relative_to(RAIZ).as_posix().encode() + b"\0")
                soma.update(arquivo.read_bytes() + b"\0")
    return soma.hexdigest()


def em_dia(soma: str) -> bool:
    """A última construção do livro inteiro terminou, e foi destas fontes?"""
    marca = DOCTREES / "fontes"
    if not marca.exists() or marca.read_text("utf-8") != soma or (DOCTREES / "pela-metade").exists():
        return False
    return all((SITE / f"{nome_da_pagina(md)}.html").exists() for md in paginas())


# ---------------------------------------------------------------- o Sphinx


def sphinx(
    builder: str, saida: Path, doctrees: Path, ajustes: dict[str, object], so: str | None = None
) -> None:
    """Roda o Sphinx com a configuração do Jupyter Book; qualquer aviso é erro.

    `so`: o nome da única página a ler e escrever. As páginas lidas numa construção que
    falhou ou foi interrompida são lidas de novo na seguinte: um aviso dado durante a leitura
    não se perde só porque a página já tinha sido lida.
    """
    from jupyter_book.config import get_final_config
    from sphinx.application import Sphinx
    from sphinx.errors import SphinxError
    from sphinx.util.docutils import docutils_namespace, patch_docutils

    gc.disable()  # as árvores das páginas vivem até o fim, e o coletor gasta um terço do tempo a percorrê-las
    # o sphinx-external-toc percorre todos os objetos vivos e esbarra num nome antigo do PyTorch
    warnings.filterwarnings("ignore", "`torch.distributed.reduce_op` is deprecated", FutureWarning)
    do_livro = {
        "latex_individualpages": False,
        "external_toc_path": "_toc.yml",
        "nitpicky": True,
        **ajustes,
    }
    config, _ = get_final_config(
        user_yaml=RAIZ / "_config.yml", cli_config=do_livro, sourcedir=RAIZ, use_external_toc=True
    )
    pela_metade = doctrees / "pela-metade"
    try:
        with patch_docutils(None), docutils_namespace():
            app = Sphinx(
                str(RAIZ), None, str(saida), str(doctrees), builder, config, status=None,
                warning=EmPortugues(sys.stderr), warningiserror=True, keep_going=True,
            )  # fmt: skip
            app.livro_so = so
            app.build(filenames=[str(RAIZ / f"{so}.md")] if so else None)
    except SphinxError as erro:
        raise ErroDoLivro(f"o Sphinx parou: {erro}") from erro
    if app.statuscode:
        raise ErroDoLivro("a construção parou; a causa está nas mensagens acima.")
    if restam := sorted(set(app.livro_pela_metade) - app.livro_lidas):
        grava(pela_metade, json.dumps(restam))
    else:
        pela_metade.unlink(missing_ok=True)
    if not so:
        grava(doctrees / "citaveis", app.livro_citaveis)


def constroi_site(so: str | None = None) -> None:
    """O site em `_build/html`, com os notebooks que ele dá a baixar em `_sources`."""
    guardadas = {"nb_execution_cache_path": str(CONSTRUCAO / ".jupyter_cache")}
    aparencia = SITE / ".buildinfo"  # de uma página só, a do resto do site continua a ser a de antes
    antes = aparencia.read_text("utf-8") if so and aparencia.exists() else None
    try:
        sphinx("html", SITE, DOCTREES, guardadas, so)
    finally:
        if antes is not None:
            grava(aparencia, antes)
    escreve_os_modelos(SITE / "_static/modelos")
    grava(SITE / "index.html", '<!doctype html><meta charset="utf-8"><title>Fazendo um LLM do Zero</title>'
          '<meta http-equiv="refresh" content="0; url=book/index.html">'
          '<a href="book/index.html">Abrir o livro</a>\n')  # fmt: skip


# ---------------------------------------------------------------- os notebooks


def do_site() -> dict[str, str]:
    """Os notebooks que a última construção gerou, pelo caminho que têm no repositório."""
    return _le_cadernos(SITE / "_sources")


def sem_executar() -> dict[str, str]:
    """Os notebooks de todas as páginas, pelo caminho no repositório, sem executar nada."""
    with tempfile.TemporaryDirectory() as pasta:
        sphinx("colab", Path(pasta), CONSTRUCAO / ".doctrees-colab", {"nb_execution_mode": "off"})
        return _le_cadernos(Path(pasta))


def _le_cadernos(pasta: Path) -> dict[str, str]:
    nomes = {p.relative_to(pasta).with_suffix("").as_posix(): p for p in pasta.rglob("*.ipynb")}
    return {caminho_do_caderno(nome): p.read_text("utf-8") for nome, p in sorted(nomes.items())}


def no_disco() -> set[str]:
    """Os notebooks que estão em `notebooks/`."""
    return {p.relative_to(RAIZ).as_posix() for p in (RAIZ / "notebooks").rglob("*.ipynb")}


def escreve_cadernos(novos: dict[str, str], apaga: bool = True) -> None:
    """Grava em `notebooks/` os que mudaram; apaga os que sobraram. De um editado à mão fica uma cópia."""
    for caminho, texto in novos.items():
        destino = RAIZ / caminho
        if not destino.exists() or destino.read_bytes() != texto.encode():
            _guarda_a_edicao(destino)
            grava(destino, texto)
            print(f"notebook: {caminho}")
    for caminho in sorted(no_disco() - novos.keys()) if apaga else []:
        _guarda_a_edicao(RAIZ / caminho)
        (RAIZ / caminho).unlink(missing_ok=True)
        print(f"notebook: {caminho} apagado (nenhuma página o gera)")


def _guarda_a_edicao(caderno: Path) -> None:
    """Se o notebook foi editado à mão, muda-lhe o nome, e diz para onde levar a edição."""
    if caderno.exists() and editado_a_mao(caderno.read_text("utf-8", "replace")):
        nomes = (caderno.with_name(f"{caderno.name}.editado{n or ''}") for n in itertools.count())
        copia = caderno.rename(next(nome for nome in nomes if not nome.exists()))
        caminho = caderno.relative_to(RAIZ).as_posix()
        print(
            f"{caminho}:1: foi editado à mão, e é gerado; a sua edição ficou em {copia.name}: leve-a a "
            f"{_pagina_do_caderno(caminho)} e rode de novo"
        )


def _pagina_do_caderno(caminho: str) -> str:
    return caminho.replace("notebooks/", "book/", 1).replace(".ipynb", ".md")


def confere_cadernos(novos: dict[str, str]) -> list[str]:
    """Uma mensagem por notebook que não está igual ao que a página gera."""
    queixas = []
    for caminho in sorted(novos.keys() | no_disco()):
        pagina = _pagina_do_caderno(caminho)
        arquivo = RAIZ / caminho
        if caminho not in novos:
            queixas.append(f"{caminho}: nenhuma página o gera; rode make livro, que o apaga")
        elif not arquivo.exists() or arquivo.read_bytes() != novos[caminho].encode():
            queixas.append(
                f"{caminho}: diferente do que {pagina} gera; mude a página, não o notebook, e rode make livro"
            )
    return queixas


# ---------------------------------------------------------------- os comandos


def confere() -> list[str]:
    """O que, no disco, não está como as fontes mandam: páginas, pacote e notebooks."""
    if queixas := lint.revisa(RAIZ) + casa.confere(RAIZ):
        return queixas
    if queixas := compara(extrai()):
        return queixas  # os notebooks saem também do pacote: com ele atrasado, o que se diria deles confunde
    if em_dia(soma_das_fontes()):
        return confere_cadernos(do_site())
    with trava():
        return confere_cadernos(sem_executar())


def constroi(so: str | None = None, so_site: bool = False) -> None:
    """O livro inteiro, ou a página `so`; com `so_site`, sem mexer no pacote nem em `notebooks/`."""
    from ferramentas.executor import executa

    if not so_site:
        for caminho in escreve(extrai()):
            print(f"pacote: {caminho}", flush=True)
        for caminho in casa.escreve(RAIZ):
            print(f"endereços: {caminho}", flush=True)
    soma = soma_das_fontes()
    executa([RAIZ / f"{so}.md"] if so else paginas(), CONSTRUCAO, RAIZ)
    print("site: escrevendo as páginas…", flush=True)
    constroi_site(so)
    if so is None:
        grava(DOCTREES / "fontes", soma)
    if not so_site:
        novos = do_site()
        proprio = caminho_do_caderno(so or "")
        escreve_cadernos({c: t for c, t in novos.items() if c == proprio} if so else novos, apaga=not so)


def main(argumentos: list[str] | None = None) -> int:
    """Ponto de entrada; devolve 0 se tudo saiu, 1 se não."""
    opcoes = argparse.ArgumentParser(description="constrói o livro")
    escolha = opcoes.add_mutually_exclusive_group()
    escolha.add_argument("--pagina", metavar="NOME", help="constrói só esta página: 03, 03-atencao")
    escolha.add_argument("--so-site", action="store_true", help="constrói só o site, se não está em dia")
    escolha.add_argument("--cadernos", action="store_true", help="gera só os notebooks")
    escolha.add_argument("--confere", action="store_true", help="compara pacote e notebooks, sem escrever")
    opcoes.add_argument("--servida", metavar="ENDERECO", help="onde se lê o que se constrói")
    escolhidas = opcoes.parse_args(argumentos)
    inicio = time.monotonic()
    try:
        if escolhidas.confere:
            queixas = confere()
            print("\n".join(queixas), end="\n" if queixas else "")
            return 1 if queixas else 0
        if queixas := lint.revisa(RAIZ):
            print("\n".join(queixas), file=sys.stderr)
            return 1
        with trava():
            if escolhidas.cadernos:
                escreve_cadernos(sem_executar())
                return 0
            so = acha_pagina(escolhidas.pagina) if escolhidas.pagina is not None else None
            if so:
                exige_o_livro()
            if escolhidas.so_site and em_dia(soma_das_fontes()):
                print("O site está em dia.")
                return 0
            constroi(so, escolhidas.so_site)
    except ErroDoLivro as erro:
        print(f"erro: {erro}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            "\ninterrompido; o que já foi executado está guardado, e o mesmo comando continua daí",
            file=sys.stderr,
        )
        return 130
    oque, pagina = ("A página está pronta", so) if so else ("O livro está pronto", "book/index")
    onde = escolhidas.servida or f"{SITE.as_uri()}/"
    print(f"\n{oque} ({time.monotonic() - inicio:.0f} s): {onde}{pagina}.html")
    if not escolhidas.servida:
        print("Para ler no navegador: make servir")
    return 0


if __name__ == "__main__":
    sys.exit(main())
