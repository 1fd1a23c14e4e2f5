"""Lê as células de código de uma página MyST, com o lugar exato de cada uma."""

from __future__ import annotations

import ast
import difflib
import re
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path

import yaml

from ferramentas.caderno import le_caderno
from ferramentas.livro import PACOTE, ErroDoLivro, le_texto

FIGURA = {"figura", "legenda", "alt"}
OPCOES = {"tangle", "tags", "resumo"} | FIGURA
RESUMO = 70  # letras do resumo de uma célula recolhida: cabe numa linha do site, e em duas no celular
ETIQUETAS = {"hide-input", "hide-output", "hide-cell", "remove-cell", "remove-input", "no-colab"}
LITERAIS = {
    "code-cell",
    "code-block",
    "code",
    "literalinclude",
    "eval-rst",
    "math",
}  # diretivas que contêm só código


@dataclass(frozen=True)
class Celula:
    """Uma célula de código: onde começa, o que diz, para onde vai."""

    pagina: str  # "book/02-dados.md"
    linha: int  # da cerca que a abre, contada de 1
    fonte: str
    opcoes: dict[str, object]
    linha_do_codigo: int  # linha da página em que está a primeira linha de código

    @property
    def lugar(self) -> str:
        return f"{self.pagina}:{self.linha}"

    @property
    def destino(self) -> str | None:
        """Módulo a que a célula pertence ("homellm/tokenizer.py"), ou `None`."""
        destino = self.opcoes.get("tangle")
        return None if destino is None else str(destino)

    @property
    def etiquetas(self) -> set[str]:
        """As etiquetas de `tags` ("hide-input")."""
        etiquetas = self.opcoes.get("tags") or []
        return set(map(str, etiquetas)) if isinstance(etiquetas, list) else set()

    @property
    def resumo(self) -> str | None:
        """O que faz a célula recolhida ("confere o arquivo"), ou `None` se ela fica aberta."""
        resumo = self.opcoes.get("resumo")
        return None if resumo is None else str(resumo)

    @property
    def modulo(self) -> str | None:
        """Nome do módulo a que a célula pertence ("tokenizer"), ou `None`."""
        return None if self.destino is None else Path(self.destino).stem

    def arvore(self) -> ast.Module:
        """A árvore sintática; um erro diz a linha da página."""
        try:
            return _arvore(self.fonte)
        except SyntaxError as erro:
            linha = self.linha_do_codigo + (erro.lineno or 1) - 1
            raise ErroDoLivro(
                f"{self.pagina}:{linha}: a célula não é Python puro ({erro.msg}); "
                "corrija-a (sem comandos % ou !)"
            ) from erro


def rotulo_do_resumo(fonte: str, resumo: str) -> str:
    """O que se lê no lugar da célula recolhida: quantas linhas tem e o que fazem.

    >>> rotulo_do_resumo("a = 1\n\nb = 2\n", "põe dois números")
    '3 linhas: põe dois números'
    """
    n = len(fonte.strip("\n").split("\n"))
    return f"{n} {'linha' if n == 1 else 'linhas'}: {resumo}"


@cache  # cada célula é analisada por várias ferramentas
def _arvore(fonte: str) -> ast.Module:
    return ast.parse(fonte)


@dataclass(frozen=True)
class Cerca:
    """Uma cerca (``` ou ~~~ ou :::) que abre um bloco."""

    sinais: str  # "```"
    info: str  # "{code-cell} ipython3"
    linha: int  # contada de 1
    recuo: int  # espaços antes dos sinais

    @property
    def diretiva(self) -> str:
        """Nome da diretiva que a cerca abre, ou `""`."""
        achado = re.match(r"\{([\w:.-]+)\}", self.info)
        return achado[1] if achado else ""

    @property
    def literal(self) -> bool:
        """O que há dentro é código, e não prosa com outras cercas?"""
        return self.diretiva in LITERAIS or (not self.diretiva and self.sinais[0] != ":")

    def fecha_com(self, sinais: str, info: str, recuo: int) -> bool:
        """Uma linha com estes sinais fecha esta cerca?"""
        return (
            not info
            and sinais[0] == self.sinais[0]
            and len(sinais) >= len(self.sinais)
            and recuo < self.recuo + 4
        )


def le_cercas(texto: str, pagina: str) -> list[tuple[Cerca, ...]]:
    """As cercas abertas em cada linha, de fora para dentro; a linha que abre e a que fecha contam.

    Erros (`ErroDoLivro`, com arquivo e linha): cerca que não fecha, que fecha sem ter aberto, ou que está
    dentro de outra sem ter menos sinais do que ela.

    >>> [len(abertas) for abertas in le_cercas("a\\n:::{note}\\nb\\n:::\\nc", "x.md")]
    [0, 1, 1, 1, 0]
    """
    pilha: list[Cerca] = []
    abertas: list[tuple[Cerca, ...]] = []
    for n, linha in enumerate(texto.split("\n"), 1):
        antes = tuple(pilha)
        achado = re.match(r"( *)(`{3,}|~{3,}|:{3,})(.*)$", linha)
        no_texto = achado and achado[2][0] == "`" and "`" in achado[3]  # ```x``` numa linha só
        if achado and not no_texto:
            _empilha(pilha, Cerca(achado[2], achado[3].strip(), n, len(achado[1])), pagina)
        abertas.append(max(antes, tuple(pilha), key=len))
    if pilha:
        raise _nao_fecha(pilha[-1], pagina)
    return abertas


def _empilha(pilha: list[Cerca], cerca: Cerca, pagina: str) -> None:
    """Abre ou fecha, na pilha, a cerca que está nesta linha."""
    topo = pilha[-1] if pilha else None
    if any(fora.fecha_com(cerca.sinais, cerca.info, cerca.recuo) for fora in pilha[:-1]):
        raise _nao_fecha(topo, pagina)
    if topo and topo.fecha_com(cerca.sinais, cerca.info, cerca.recuo):
        pilha.pop()
        return
    parecidas = [
        fora for fora in pilha if fora.sinais[0] == cerca.sinais[0] and len(cerca.sinais) >= len(fora.sinais)
    ]
    if topo and topo.literal:
        if cerca.diretiva and parecidas:
            raise _nao_fecha(topo, pagina)
        return
    if cerca.sinais[0] == ":" and not cerca.info:
        raise ErroDoLivro(
            f"{pagina}:{cerca.linha}: a cerca {cerca.sinais} fecha sem ter aberto; confira o número de sinais"
        )
    if parecidas:
        fora = parecidas[-1]
        raise ErroDoLivro(
            f"{pagina}:{cerca.linha}: a cerca {cerca.sinais} está dentro da que abre na linha {fora.linha}, "
            f"que tem {len(fora.sinais)} sinais; feche-a antes, ou dê a ela mais sinais que à de dentro"
        )
    pilha.append(cerca)


def _nao_fecha(cerca: Cerca, pagina: str) -> ErroDoLivro:
    return ErroDoLivro(
        f"{pagina}:{cerca.linha}: a cerca {cerca.sinais} abre aqui e não fecha; "
        f"acrescente uma linha {cerca.sinais}"
    )


def _cercas_de_celula(texto: str, pagina: str) -> list[int]:
    """Linha (de 1) de cada cerca que abre uma célula de código; erro se ela não está solta na página."""
    linhas = []
    for n, abertas in enumerate(le_cercas(texto, pagina), 1):
        if not abertas or abertas[-1].linha != n:
            continue
        diretiva = abertas[-1].diretiva
        if diretiva != "code-cell":
            if difflib.get_close_matches(diretiva, ["code-cell"], cutoff=0.8):
                raise ErroDoLivro(f"{pagina}:{n}: diretiva desconhecida: {diretiva}; escreva code-cell")
            continue
        if len(abertas) > 1 or abertas[0].recuo:
            raise ErroDoLivro(
                f"{pagina}:{n}: célula de código dentro de outro bloco, onde não é executada; tire-a de lá "
                "(em soluções, use solution-start e solution-end)"
            )
        if abertas[0].sinais[0] == ":":
            raise ErroDoLivro(
                f"{pagina}:{n}: célula de código aberta com :::, que não é executada; abra-a com ```"
            )
        linhas.append(n)
    return linhas


def _le_opcoes(linhas: list[str], cerca: int, pagina: str) -> tuple[dict[str, object], int]:
    """As opções da célula aberta na linha `cerca`, e quantas linhas há entre a cerca e o código."""
    corpo = linhas[cerca:]
    if corpo and corpo[0].startswith("---"):
        raise ErroDoLivro(
            f"{pagina}:{cerca + 1}: escreva as opções da célula como `:nome: valor`, uma por linha, sem ---"
        )
    opcoes: dict[str, object] = {}
    n = 0
    while n < len(corpo) and corpo[n].lstrip().startswith(":"):
        lugar = f"{pagina}:{cerca + n + 1}"
        try:
            opcao = yaml.safe_load(corpo[n].lstrip()[1:])
        except yaml.YAMLError:
            opcao = None
        if not isinstance(opcao, dict) or re.search(
            r"^\s*:[^:]*:\s*[^\s\"'].*\s#", corpo[n]
        ):  # o YAML cortaria no #
            raise ErroDoLivro(
                f"{lugar}: opção de célula ilegível: {corpo[n].strip()}; escreva `:nome: valor`, "
                "e o valor entre aspas se tiver : ou #"
            )
        if repetidas := sorted(opcao.keys() & opcoes.keys()):
            raise ErroDoLivro(f"{lugar}: opção de célula repetida: {repetidas[0]}; deixe só uma")
        opcoes |= opcao
        n += 1
    if n < len(corpo) and not corpo[n].strip():  # uma linha em branco separa as opções do código
        n += 1
    return opcoes, n


def le_celulas(md: Path, raiz: Path) -> list[Celula]:
    """As células de código da página, com as opções conferidas.

    Erros (`ErroDoLivro`, com arquivo e linha): cerca não fechada, opção ou etiqueta desconhecida,
    destino de `tangle` que não é um módulo do pacote, figura sem legenda ou sem texto alternativo.
    """
    return list(_celulas(le_texto(md, raiz), md.relative_to(raiz).as_posix(), raiz))


@lru_cache(maxsize=256)  # uma página é lida uma vez, para todas as ferramentas
def _celulas(texto: str, pagina: str, raiz: Path) -> list[Celula]:
    cercas = _cercas_de_celula(texto, pagina)
    if not cercas:
        return []
    if not re.match(r"---\n(?:(?!---\n).*\n)*?kernelspec:", texto):
        raise ErroDoLivro(
            f"{pagina}:{cercas[0]}: a página tem célula de código mas não tem `kernelspec` no cabeçalho; "
            "copie o cabeçalho de outro capítulo"
        )
    linhas = texto.split("\n")
    opcoes = [_le_opcoes(linhas, cerca, pagina) for cerca in cercas]
    celulas = [
        Celula(pagina, cerca, "", da_celula, cerca + 1 + puladas)
        for cerca, (da_celula, puladas) in zip(cercas, opcoes, strict=True)
    ]
    for celula in celulas:
        _confere_opcoes(celula)
    try:
        lidas = [c.source for c in le_caderno(texto, raiz).cells if c.cell_type == "code"]
    except Exception as erro:  # o myst-nb deixa passar os do YAML
        raise ErroDoLivro(f"{pagina}:1: cabeçalho ilegível; copie o de outro capítulo ({erro})") from erro
    if len(cercas) != len(lidas):
        raise ErroDoLivro(
            f"{pagina}:{cercas[0]}: {len(cercas)} células abertas desta linha em diante "
            f"e {len(lidas)} lidas; confira as listas e citações: célula não pode estar dentro delas"
        )
    return [replace(celula, fonte=fonte) for celula, fonte in zip(celulas, lidas, strict=True)]


def _confere_opcoes(celula: Celula) -> None:
    opcoes = celula.opcoes
    if estranhas := sorted(set(map(str, opcoes)) - OPCOES):
        raise ErroDoLivro(
            f"{celula.lugar}: opção de célula desconhecida: {', '.join(estranhas)} "
            f"(há: {', '.join(sorted(OPCOES))})"
        )
    etiquetas = opcoes.get("tags", [])
    if not isinstance(etiquetas, list):
        raise ErroDoLivro(f"{celula.lugar}: `tags` é uma lista entre colchetes, e veio {etiquetas!r}")
    if estranhas := sorted(set(map(str, etiquetas)) - ETIQUETAS):
        raise ErroDoLivro(
            f"{celula.lugar}: etiqueta desconhecida: {', '.join(estranhas)} "
            f"(há: {', '.join(sorted(ETIQUETAS))})"
        )
    if "tangle" in opcoes:
        if not re.fullmatch(rf"{PACOTE}/[a-z_][a-z0-9_]*\.py", str(opcoes["tangle"])):
            raise ErroDoLivro(
                f"{celula.lugar}: `tangle` deve ser {PACOTE}/<módulo>.py, e veio {opcoes['tangle']!r}"
            )
        if escondem := sorted({"remove-cell", "remove-input", "no-colab"} & set(map(str, etiquetas))):
            raise ErroDoLivro(
                f"{celula.lugar}: célula que vai para o pacote fica à vista do leitor; "
                f"tire {', '.join(escondem)}"
            )
    if "resumo" in opcoes:
        _confere_o_resumo(celula)
    da_figura = {nome for nome in FIGURA if str(opcoes.get(nome) or "").strip()}
    if FIGURA & opcoes.keys() and da_figura != FIGURA:
        faltam = ", ".join(sorted(FIGURA - da_figura))
        raise ErroDoLivro(f"{celula.lugar}: célula de figura sem {faltam}; as três opções andam juntas")


def _confere_o_resumo(celula: Celula) -> None:
    """O resumo é uma frase curta, de texto simples, e a célula dele não se recolhe de outro jeito."""
    resumo = celula.opcoes["resumo"]
    if not isinstance(resumo, str) or not resumo.strip():
        raise ErroDoLivro(
            f"{celula.lugar}: `resumo` diz, numa frase, o que a célula faz, e veio {resumo!r}; "
            "escreva, por exemplo, `:resumo: confere o arquivo e diz a linha do erro`"
        )
    if len(resumo) > RESUMO:
        raise ErroDoLivro(
            f"{celula.lugar}: resumo de {len(resumo)} letras; ele vai até {RESUMO}: diga só o que a célula faz"
        )
    if marcas := sorted(set(re.findall(r"[`*_{}$<>\[\]]", resumo))):
        raise ErroDoLivro(
            f"{celula.lugar}: o resumo é texto simples, e tem {' '.join(marcas)}; escreva-o sem marcação"
        )
    if resumo.endswith((".", ":", ";")) or re.match(r"\d+ linhas?\b", resumo):
        raise ErroDoLivro(
            f"{celula.lugar}: o resumo não começa pelo número de linhas, que se conta sozinho, nem acaba em "
            "ponto; escreva só o que a célula faz"
        )
    if outras := sorted(celula.etiquetas - {"no-colab"}):
        raise ErroDoLivro(
            f"{celula.lugar}: o resumo já recolhe a célula; tire {', '.join(outras)} das etiquetas, ou o resumo"
        )
    if FIGURA & celula.opcoes.keys():
        raise ErroDoLivro(
            f"{celula.lugar}: a célula de uma figura já tem legenda; recolha-a com `:tags: [hide-input]`, "
            "sem resumo"
        )
