"""Constrói o livro: pacote, notebooks e site.

uso: python -m ferramentas.construir [--so-site | --cadernos | --confere-cadernos]

Sem opção: revisa as fontes, extrai o pacote, regenera `notebooks/` e constrói o site, executando os capítulos
que mudaram. `--so-site` não escreve no pacote nem nos notebooks; `--cadernos` faz só os notebooks;
`--confere-cadernos` compara os que estão no disco com os que sairiam agora.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import warnings
from pathlib import Path

from ferramentas import lint
from ferramentas.livro import RAIZ, ErroDoLivro, grava
from ferramentas.tangle import escreve, extrai

CONSTRUCAO = RAIZ / "_build"
SITE = CONSTRUCAO / "html"


class ConstrucaoFalhou(Exception):
    """O Sphinx terminou com erro; ele já disse qual."""


def sphinx(
    builder: str, saida: Path, doctrees: Path, ajustes: dict[str, object], calado: bool = False
) -> None:
    """Roda o Sphinx com a configuração do Jupyter Book; qualquer aviso é erro.

    Depois de uma falha ou interrupção a próxima construção relê todas as páginas, para que um aviso dado
    durante a leitura não se perca só porque a página já tinha sido lida.
    """
    from jupyter_book.sphinx import build_sphinx

    # o sphinx-external-toc percorre todos os objetos vivos e esbarra num nome antigo do PyTorch
    warnings.filterwarnings("ignore", "`torch.distributed.reduce_op` is deprecated", FutureWarning)
    pela_metade = doctrees / "pela-metade"
    if pela_metade.exists():
        (doctrees / "environment.pickle").unlink(missing_ok=True)
    grava(pela_metade, "esta construção não terminou\n")
    resultado = build_sphinx(
        str(RAIZ),
        str(saida),
        path_config=str(RAIZ / "_config.yml"),
        noconfig=True,
        confoverrides={
            "latex_individualpages": False,
            "external_toc_path": "_toc.yml",
            "nitpicky": True,
            **ajustes,
        },
        doctreedir=str(doctrees),
        builder=builder,
        warningiserror=True,
        keep_going=True,
        quiet=calado,
    )
    if resultado != 0:
        raise ConstrucaoFalhou
    pela_metade.unlink()


def gera_cadernos(destino: Path) -> dict[str, str]:
    """Os notebooks de todas as páginas, por caminho dentro de `notebooks/`. Não executa nada."""
    sphinx("colab", destino, CONSTRUCAO / ".doctrees-colab", {"nb_execution_mode": "off"}, calado=True)
    return cadernos_em(destino)


def cadernos_em(pasta: Path) -> dict[str, str]:
    """O texto de cada notebook da pasta e das pastas dela, por caminho."""
    return {p.relative_to(pasta).as_posix(): p.read_text("utf-8") for p in sorted(pasta.rglob("*.ipynb"))}


def escreve_cadernos() -> None:
    """Atualiza `notebooks/`: grava os que mudaram, apaga os que sobraram."""
    with tempfile.TemporaryDirectory() as pasta:
        novos = gera_cadernos(Path(pasta))
    for nome, texto in novos.items():
        destino = RAIZ / "notebooks" / nome
        if not destino.exists() or destino.read_text("utf-8") != texto:
            grava(destino, texto)
            print(f"notebook: notebooks/{nome}")
    for sobra in cadernos_em(RAIZ / "notebooks").keys() - novos.keys():
        (RAIZ / "notebooks" / sobra).unlink()
        print(f"notebook: notebooks/{sobra} apagado (a página não existe mais)")


def confere_cadernos() -> list[str]:
    """Uma mensagem por notebook que não está igual ao que a página gera."""
    with tempfile.TemporaryDirectory() as pasta:
        novos = gera_cadernos(Path(pasta))
    no_disco = cadernos_em(RAIZ / "notebooks")
    queixas = []
    for nome in sorted(novos.keys() | no_disco.keys()):
        pagina = f"book/{nome.removesuffix('.ipynb')}.md"
        if nome not in novos:
            queixas.append(f"notebooks/{nome}: nenhuma página o gera; rode make livro, que o apaga")
        elif novos[nome] != no_disco.get(nome):
            queixas.append(
                f"notebooks/{nome}: diferente do que {pagina} gera; "
                "mude a página, não o notebook, e rode make livro"
            )
    return queixas


def constroi_site() -> None:
    """O site em `_build/html`, executando as páginas cuja execução não está guardada."""
    sphinx(
        "html",
        SITE,
        CONSTRUCAO / ".doctrees",
        {"nb_execution_cache_path": str(CONSTRUCAO / ".jupyter_cache")},
    )
    grava(SITE / "index.html", '<!doctype html><meta charset="utf-8"><title>Fazendo um LLM do Zero</title>'
          '<meta http-equiv="refresh" content="0; url=book/index.html">'
          '<a href="book/index.html">Abrir o livro</a>\n')  # fmt: skip


def main(argumentos: list[str] | None = None) -> int:
    """Ponto de entrada; devolve 0 se tudo saiu, 1 se não."""
    opcoes = argparse.ArgumentParser(description="constrói o livro")
    escolha = opcoes.add_mutually_exclusive_group()
    escolha.add_argument("--so-site", action="store_true", help="constrói só o site")
    escolha.add_argument("--cadernos", action="store_true", help="gera só os notebooks")
    escolha.add_argument("--confere-cadernos", action="store_true", help="compara os notebooks, sem escrever")
    escolhidas = opcoes.parse_args(argumentos)
    inicio = time.monotonic()
    try:
        if escolhidas.confere_cadernos:
            queixas = confere_cadernos()
            print("\n".join(queixas), end="\n" if queixas else "")
            return 1 if queixas else 0
        if queixas := lint.revisa(RAIZ):
            print("\n".join(queixas), file=sys.stderr)
            return 1
        if not escolhidas.so_site:
            if not escolhidas.cadernos:
                for caminho in escreve(extrai()):
                    print(f"pacote: {caminho}", flush=True)
            print("notebooks: gerando…", flush=True)
            escreve_cadernos()
        if not escolhidas.cadernos:
            print("site: executando e escrevendo as páginas…", flush=True)
            constroi_site()
            print(
                f"\nO livro está pronto ({time.monotonic() - inicio:.0f} s): "
                f"{(SITE / 'book/index.html').as_uri()}"
            )
            print("Para lê-lo no navegador: make servir")
    except ErroDoLivro as erro:
        print(f"erro: {erro}", file=sys.stderr)
        return 1
    except ConstrucaoFalhou:
        print("erro: a construção parou; a causa está nas mensagens acima.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
