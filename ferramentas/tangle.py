"""Extrai (*tangle*) para o pacote as células marcadas com `:tangle: homellm/<módulo>.py`.

uso: python -m ferramentas.tangle [--check]

Sem opção, escreve os módulos que mudaram. Com `--check`, só compara e diz o que está diferente.
"""

from __future__ import annotations

import argparse
import difflib
import hashlib
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ferramentas.celulas import Celula, le_celulas
from ferramentas.classes import junta
from ferramentas.importacoes import Grafo
from ferramentas.livro import PACOTE, RAIZ, ErroDoLivro, grava, paginas

ASSINATURA = "# Gerado por ferramentas/tangle.py"
CABECALHO = ASSINATURA + ". NÃO EDITE: mude {pagina}.\n# sha256 do que segue: {soma}\n"
LINHAS_DE_DIFERENCA = 8


@dataclass(frozen=True)
class Modulo:
    """Um módulo do pacote e a página de onde veio."""

    caminho: str  # "homellm/tokenizer.py"
    pagina: str  # "book/02-dados.md"
    texto: str  # com o cabeçalho


def _monta(caminho: str, celulas: list[Celula]) -> Modulo:
    primeira = celulas[0]
    for celula in celulas:
        if celula.pagina != primeira.pagina:
            raise ErroDoLivro(
                f"{celula.lugar}: {caminho} já recebe trechos de outra página, em {primeira.lugar}; um "
                "módulo mora numa página só: leve esta célula para lá, ou dê a ela outro módulo"
            )
    corpo = junta(celulas)
    soma = hashlib.sha256(corpo.encode("utf-8")).hexdigest()
    cabecalho = CABECALHO.format(pagina=primeira.pagina, soma=soma)
    return Modulo(caminho, primeira.pagina, cabecalho + corpo)


def extrai(raiz: Path = RAIZ, ate: int | None = None) -> dict[str, Modulo]:
    """Os módulos, por caminho, na ordem do livro.

    `ate`: só os dos capítulos de número até este, mais os da oficina que eles importam, direta ou
    indiretamente, e o `__init__.py`: é o pacote como existe ao fim daquele capítulo.
    """
    do_pacote = [c for md in paginas(raiz) for c in le_celulas(md, raiz) if c.destino is not None]
    por_modulo: dict[str, list[Celula]] = {}
    for celula in do_pacote:
        celula.arvore()
        por_modulo.setdefault(celula.destino, []).append(celula)
    modulos = {caminho: _monta(caminho, celulas) for caminho, celulas in por_modulo.items()}
    if ate is None:
        return modulos
    inclusos = Grafo(do_pacote).ao_fim_do_capitulo(ate)
    return {caminho: modulo for caminho, modulo in modulos.items() if Path(caminho).stem in inclusos}


def editado_a_mao(texto: str) -> bool:
    """O corpo do módulo já não bate com a soma que o cabeçalho guarda?"""
    linhas = texto.split("\n", 2)
    if len(linhas) < 3 or not linhas[0].startswith(ASSINATURA):
        return True
    return hashlib.sha256(_corpo(texto).encode("utf-8")).hexdigest() != linhas[1].rpartition(" ")[2]


def _corpo(texto: str) -> str:
    """O módulo sem as duas linhas de cabeçalho."""
    return texto.split("\n", 2)[-1]


def escreve(modulos: dict[str, Modulo], raiz: Path = RAIZ) -> list[str]:
    """Grava os módulos que mudaram, apaga os que perderam a origem e devolve os caminhos mexidos.

    Erro se algum arquivo que seria trocado foi editado à mão: a edição não é perdida.
    """
    mexidos: list[str] = []
    trocas = {c: m for c, m in modulos.items() if _lido(raiz / c) != m.texto}
    sobras = [p for p in _gerados(raiz) if p.relative_to(raiz).as_posix() not in modulos]
    for caminho in [*trocas, *(p.relative_to(raiz).as_posix() for p in sobras)]:
        antigo = _lido(raiz / caminho)
        modulo = modulos.get(caminho)
        if antigo is None or not editado_a_mao(antigo) or (modulo and _corpo(antigo) == _corpo(modulo.texto)):
            continue
        diferente = f"editado à mão, e sairia diferente de {modulo.pagina}" if modulo else ""
        raise ErroDoLivro(
            f"{caminho}:1: foi {diferente or 'escrito à mão, e nenhum capítulo o gera'}. Leve a mudança ao "
            "capítulo, ou descarte-a apagando o arquivo, e rode de novo (nada foi escrito)"
        )
    for caminho, modulo in trocas.items():
        grava(raiz / caminho, modulo.texto)
        mexidos.append(caminho)
    for sobra in sobras:
        sobra.unlink()
        mexidos.append(sobra.relative_to(raiz).as_posix())
    return mexidos


def compara(modulos: dict[str, Modulo], raiz: Path = RAIZ) -> list[str]:
    """Uma mensagem por módulo que não está igual aos capítulos."""
    queixas = []
    for caminho, modulo in modulos.items():
        antigo = _lido(raiz / caminho)
        if antigo == modulo.texto:
            continue
        origem = modulo.pagina
        if antigo is None:
            queixas.append(f"{caminho}: falta; sai de {origem}. Rode: make livro")
            continue
        diferenca = _comeco_da_diferenca(
            difflib.unified_diff(
                ["", "", *_corpo(antigo).splitlines()],  # no lugar do cabeçalho: as linhas são as do arquivo
                ["", "", *_corpo(modulo.texto).splitlines()],
                f"{caminho} (no disco)",
                f"{caminho} (de {origem})",
                n=0,
                lineterm="",
            )
        )
        if editado_a_mao(antigo):
            queixas.append(
                f"{caminho}: editado à mão. Este arquivo é gerado: "
                f"mude {origem} e rode make livro\n{diferenca}"
            )
        else:
            queixas.append(f"{caminho}: atrasado em relação a {origem}. Rode: make livro\n{diferenca}")
    for sobra in _gerados(raiz):
        if sobra.relative_to(raiz).as_posix() not in modulos:
            queixas.append(
                f"{sobra.relative_to(raiz).as_posix()}: nenhum capítulo o gera; apague-o (make livro o apaga)"
            )
    return queixas


def _comeco_da_diferenca(linhas: Iterable[str]) -> str:
    """As primeiras linhas: o bastante para reconhecer a mudança."""
    todas = list(linhas)
    resto = len(todas) - LINHAS_DE_DIFERENCA
    return "\n".join(todas[:LINHAS_DE_DIFERENCA] + ([f"… e mais {resto} linhas"] if resto > 0 else []))


def _lido(caminho: Path) -> str | None:
    return caminho.read_text("utf-8") if caminho.exists() else None


def _gerados(raiz: Path) -> list[Path]:
    return sorted((raiz / PACOTE).glob("*.py"))


def main(argumentos: list[str] | None = None) -> int:
    """Ponto de entrada; devolve 0 (tudo em ordem), 1 (diferenças com --check) ou 2 (erro numa página)."""
    opcoes = argparse.ArgumentParser(description="extrai dos capítulos o pacote homellm")
    opcoes.add_argument("--check", action="store_true", help="só compara, sem escrever")
    escolhidas = opcoes.parse_args(argumentos)
    try:
        modulos = extrai()
        if escolhidas.check:
            queixas = compara(modulos)
            for queixa in queixas:
                print(queixa)
            return 1 if queixas else 0
        for caminho in escreve(modulos):
            print(f"tangle: {caminho}")
    except ErroDoLivro as erro:
        print(f"tangle: {erro}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
