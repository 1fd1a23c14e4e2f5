"""Lê as células de código de uma página MyST, com o lugar exato de cada uma."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

import jupytext
from livro import PACOTE, ErroDoLivro

OPCOES = {"tangle", "tags", "figura", "legenda", "alt"}
ETIQUETAS = {"hide-input", "hide-output", "hide-cell", "remove-cell", "remove-input", "no-colab"}


@dataclass(frozen=True)
class Celula:
    """Uma célula de código: onde começa, o que diz, para onde vai."""

    pagina: str  # "book/02-dados.md"
    linha: int  # da cerca que a abre, contada de 1
    fonte: str
    opcoes: dict[str, object]

    @property
    def lugar(self) -> str:
        return f"{self.pagina}:{self.linha}"

    @property
    def destino(self) -> str | None:
        """Módulo a que a célula pertence ("homellm/tokenizer.py"), ou `None`."""
        destino = self.opcoes.get("tangle")
        return None if destino is None else str(destino)

    @property
    def linha_do_codigo(self) -> int:
        """Linha da página em que está a primeira linha de código."""
        return self.linha + 1 + int(self.opcoes.get("__linhas__", 0))

    def arvore(self) -> ast.Module:
        """A árvore sintática; um erro diz a linha da página."""
        try:
            return ast.parse(self.fonte)
        except SyntaxError as erro:
            linha = self.linha_do_codigo + (erro.lineno or 1) - 1
            raise ErroDoLivro(
                f"{self.pagina}:{linha}: a célula não é Python puro ({erro.msg}); corrija-a (sem comandos % ou !)"
            ) from erro


def abertura_das_cercas(texto: str) -> list[int]:
    """Linha (de 1) de cada cerca que abre uma célula de código.

    >>> abertura_das_cercas("a\\n```{code-cell} ipython3\\n1\\n```\\n")
    [2]
    """
    return [n for n, linha in enumerate(texto.split("\n"), 1) if re.match(r"(`{3,}|~{3,}|:{3,})\{code-cell\}", linha)]


def _linhas_de_opcoes(linhas: list[str], cerca: int) -> int:
    """Quantas linhas de opções e brancos há entre a cerca e o código."""
    corpo = linhas[cerca:]
    if corpo and corpo[0].strip() == "---":
        fim = next((i for i, linha in enumerate(corpo[1:], 1) if linha.strip() == "---"), 0)
        n = fim + 1
    else:
        n = next((i for i, linha in enumerate(corpo) if not re.match(r":[\w-]+:", linha)), len(corpo))
    while n < len(corpo) and not corpo[n].strip():
        n += 1
    return n


def le_celulas(md: Path, raiz: Path) -> list[Celula]:
    """As células de código da página, com as opções conferidas.

    Erros (`ErroDoLivro`, com arquivo e linha): cerca não fechada, opção ou etiqueta desconhecida,
    destino de `tangle` que não é um módulo do pacote, figura sem legenda ou sem texto alternativo.
    """
    pagina = md.relative_to(raiz).as_posix()
    texto = md.read_text("utf-8")
    confere_cercas(texto, pagina)
    if not re.match(r"---\n(?:.*\n)*?kernelspec:", texto):
        if abertas := abertura_das_cercas(texto):
            raise ErroDoLivro(
                f"{pagina}:{abertas[0]}: a página tem célula de código mas não tem `kernelspec` no cabeçalho; "
                "copie o cabeçalho de outro capítulo"
            )
        return []
    linhas = texto.split("\n")
    try:
        lidas = [c for c in jupytext.reads(texto, fmt="md:myst").cells if c.cell_type == "code"]
    except Exception as erro:  # o jupytext tem um tipo de erro por formato; a mensagem diz a linha
        raise ErroDoLivro(f"{pagina}: cabeçalho ou opções de célula ilegíveis: {erro}") from erro
    cercas = abertura_das_cercas(texto)
    if len(cercas) != len(lidas):
        raise ErroDoLivro(
            f"{pagina}: {len(cercas)} cercas de código abertas e {len(lidas)} células lidas; "
            "há célula dentro de outra diretiva? (em soluções, use solution-start e solution-end)"
        )
    celulas = []
    for lida, linha in zip(lidas, cercas, strict=True):
        opcoes = dict(lida.metadata)
        celula = Celula(pagina, linha, lida.source, opcoes)
        _confere_opcoes(celula)
        opcoes["__linhas__"] = _linhas_de_opcoes(linhas, linha)
        celulas.append(celula)
    return celulas


def _confere_opcoes(celula: Celula) -> None:
    if estranhas := sorted(set(celula.opcoes) - OPCOES):
        raise ErroDoLivro(f"{celula.lugar}: opção de célula desconhecida: {', '.join(estranhas)} (há: {', '.join(sorted(OPCOES))})")
    etiquetas = celula.opcoes.get("tags", [])
    if not isinstance(etiquetas, list):
        raise ErroDoLivro(f"{celula.lugar}: `tags` é uma lista entre colchetes, e veio {etiquetas!r}")
    if estranhas := sorted(set(map(str, etiquetas)) - ETIQUETAS):
        raise ErroDoLivro(f"{celula.lugar}: etiqueta desconhecida: {', '.join(estranhas)} (há: {', '.join(sorted(ETIQUETAS))})")
    if celula.destino is not None and not re.fullmatch(rf"{PACOTE}/[a-z_][a-z0-9_]*\.py", celula.destino):
        raise ErroDoLivro(f"{celula.lugar}: `tangle` deve ser {PACOTE}/<módulo>.py, e veio {celula.destino!r}")
    da_figura = [nome for nome in ("figura", "legenda", "alt") if str(celula.opcoes.get(nome) or "").strip()]
    if da_figura and len(da_figura) < 3:
        faltam = ", ".join(sorted({"figura", "legenda", "alt"} - set(da_figura)))
        raise ErroDoLivro(f"{celula.lugar}: célula de figura sem {faltam}; as três opções andam juntas")


def confere_cercas(texto: str, pagina: str) -> None:
    """Erro se uma cerca (``` ou :::) abre e não fecha, ou fecha sem abrir."""
    pilha: list[tuple[str, int]] = []
    for n, linha in enumerate(texto.split("\n"), 1):
        achado = re.match(r"\s*(`{3,}|~{3,}|:{3,})(.*)$", linha)
        if not achado:
            continue
        cerca, resto = achado[1], achado[2].strip()
        if pilha and pilha[-1][0][0] in "`~":  # dentro de código: só a própria cerca fecha
            if not resto and cerca[0] == pilha[-1][0][0] and len(cerca) >= len(pilha[-1][0]):
                pilha.pop()
            elif _diretiva_que_aninha(texto, pilha[-1][1]) and resto and len(cerca) < len(pilha[-1][0]):
                pilha.append((cerca, n))
        elif resto:
            pilha.append((cerca, n))
        elif pilha and cerca[0] == pilha[-1][0][0] and len(cerca) >= len(pilha[-1][0]):
            pilha.pop()
        elif cerca[0] == ":":
            raise ErroDoLivro(f"{pagina}:{n}: a cerca {cerca} fecha sem ter aberto; confira o número de sinais")
        else:
            pilha.append((cerca, n))
    if pilha:
        cerca, n = pilha[-1]
        raise ErroDoLivro(f"{pagina}:{n}: a cerca {cerca} abre aqui e não fecha; acrescente uma linha {cerca}")


def _diretiva_que_aninha(texto: str, linha: int) -> bool:
    """A cerca desta linha abre uma diretiva de prosa (que pode conter outras cercas)?"""
    return bool(re.match(r"\s*[`~]{3,}\{(?!code-cell|math|code-block|literalinclude)", texto.split("\n")[linha - 1]))
