"""As regras da língua que se conferem sozinhas: aspas, termos, porcentagem, números impressos, o teste lido.

O porquê de cada uma, e as que só gente confere, estão na página “Convenções” (`book/convencoes.md`).
"""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ferramentas import prosa
from ferramentas.celulas import Celula, le_cercas
from ferramentas.livro import le_texto
from ferramentas.prosa import Trecho

MENOR_RESUMO = 6  # linhas; uma célula menor não precisa ser recolhida


@dataclass(frozen=True)
class Termo:
    """Um termo do livro: como não se escreve, e como se escreve."""

    variante: str  # expressão regular, sem distinguir maiúsculas
    certo: str


TERMOS = tuple(
    Termo(variante, certo)
    for variante, certo in (
        (r"overfit(?:ting)?", "sobreajuste"),
        (r"fine-?tun(?:ing|ed)", "ajuste fino"),
        (r"paddings?", "preenchimento"),
        (r"enchimentos?", "preenchimento"),
        (r"baselines?", "linha de base"),
        (r"batch(?:es)?", "lote"),
        (r"learning rate", "taxa de aprendizado"),
        (r"taxas? de aprendizagem", "taxa de aprendizado"),
        (r"tokeni[sz]ation|tokenizacao|toquenização", "tokenização"),
        (r"tokenizador(?:es)?", "tokenizer"),
        (r"n-grams?|ngrams|ngramas?", "n-grama"),
        (r"datasets?", "conjunto de dados"),
        (r"pr[ée][- ]?treinamentos?|pr[ée] treinos?", "pré-treino"),
        (r"(?:este|deste|neste|num|o|do|no|seu|cada) caderno (?:do colab|jupyter)", "notebook"),
        (r"(?:abrir|abra|abre|rode|rodar|roda|baixar|baixe) (?:o|este|um) caderno", "notebook"),
        (r"partilh\w+", "compartilhar"),
        (r"modelos? gerador(?:es)?", "modelo generativo"),
        (r"auto-atenção|self-attention", "atenção"),
        (r"auto-regressiv\w+", "autorregressivo"),
        (r"sub-palavras?", "subpalavra"),
        (r"embeding|emb[ée]ding(?:ue)?s?(?<!embedding)(?<!embeddings)", "embedding"),
        (r"check-?points?(?<!checkpoint)(?<!checkpoints)|pontos? de controle", "checkpoint"),
        (r"softimax|soft-max", "softmax"),
        (r"drop-out", "dropout"),
        (r"hiper-parâmetros?|hiper parâmetros?", "hiperparâmetro"),
        (r"ficheiros?", "arquivo"),
        (r"ecrãs?", "tela"),
        (r"utilizador(?:es|as?)?", "quem usa, ou o leitor"),
        (r"(?:par|vez|modelo|texto|lote) algum|(?:palavra|vez|linha|célula) alguma", "nenhum antes do nome (“nenhum par”)"),
    )
)  # uma variante entre parênteses, em itálico ou entre aspas é citação, e passa
_VARIANTE = re.compile(
    r"(?<![\w-])(?:" + "|".join(f"({termo.variante})" for termo in TERMOS) + r")(?![\w-])", re.IGNORECASE
)
_CITADO = re.compile(r"“[^”]*”|\*\*?[^*\n]+\*\*?|_[^_\n]+_|\([^()]*\bem inglês\b[^()]*\)")


def _branco(achado: re.Match[str]) -> str:
    return " " * len(achado[0])


def aspas(trechos: Iterable[Trecho]) -> Iterator[str]:
    """Aspas europeias na prosa; numa *string* do código, só quando abrem e fecham uma mensagem."""
    for trecho in trechos:
        if trecho.mensagem:
            achado = re.search(r"«[^«»]*\w[^«»]*»", trecho.texto)
        else:
            achado = re.search(r"[«»]", trecho.texto)
        if achado:
            yield (
                f"{trecho.arquivo}:{trecho.linha}: as aspas do livro são “…”, e não «…»; troque-as (um texto "
                "citado dos dados fica como é, numa cerca ```text)"
            )


def termos(trechos: Iterable[Trecho]) -> Iterator[str]:
    """Variantes de um termo que o livro escreve de outro jeito."""
    for trecho in trechos:
        if trecho.mensagem:
            continue
        for achado in _VARIANTE.finditer(_CITADO.sub(_branco, trecho.texto)):
            certo = TERMOS[achado.lastindex - 1].certo
            yield (
                f"{trecho.arquivo}:{trecho.linha}: “{achado[0]}”: o livro diz {certo}; para citar a outra "
                f"forma, ponha-a em itálico (*{achado[0]}*)"
            )


def porcentagem(trechos: Iterable[Trecho]) -> Iterator[str]:
    """O sinal de porcentagem afastado do número."""
    for trecho in trechos:
        padrao = r"\}[ \u00a0]%(?!\w)" if trecho.mensagem else r"\d[ \u00a0]%(?!\w)"
        for achado in re.finditer(padrao, trecho.texto):
            numero = re.search(r"[\d.,]*\d$|\}$", trecho.texto[: achado.start() + 1])[0]
            yield f"{trecho.arquivo}:{trecho.linha}: “{numero} %” leva o sinal colado; escreva {numero}%"


# ---------------------------------------------------------------- o que as células fazem


def resumos(celulas: Iterable[Celula]) -> Iterator[str]:
    """Células recolhidas sem precisão: curtas demais para esconder."""
    for celula in celulas:
        n = len(celula.fonte.strip("\n").split("\n"))
        if celula.resumo is not None and n < MENOR_RESUMO:
            yield (
                f"{celula.lugar}: célula de {n} linhas com resumo; com menos de {MENOR_RESUMO} linhas, "
                "deixe-a aberta e tire o :resumo:"
            )


def numeros_impressos(celulas: Iterable[Celula]) -> Iterator[str]:
    """Números que uma célula imprime com ponto decimal: `{x:.2f}` ou `{n:,}` numa f-string de `print`.

    Só o que é certo: dentro de `print(…)`, e sem trocar depois o ponto pela vírgula.
    """
    for celula in celulas:
        if celula.destino:  # o pacote não imprime
            continue
        for no in ast.walk(celula.arvore()):
            if not (isinstance(no, ast.Call) and isinstance(no.func, ast.Name) and no.func.id == "print"):
                continue
            trocados = _com_troca(no)
            for dentro in ast.walk(no):
                if not isinstance(dentro, ast.FormattedValue) or dentro in trocados:
                    continue
                formato = _formato(dentro)
                if re.search(r"\.(?!0)\d+[fFgG%]|\.\{\}[fFgG%]|,(?:\.\d+f|d)?$", formato):
                    n = celula.linha_do_codigo + dentro.lineno - 1
                    yield (
                        f"{celula.pagina}:{n}: {{…:{formato}}} imprime o número com ponto decimal, ou milhar "
                        "com vírgula; escreva-o com br, de homellm.plots: {br(x, 2)}"
                    )


def _com_troca(chamada: ast.Call) -> set[ast.AST]:
    """O que está dentro de um `.replace(".", ",")` ou de um `.translate(…)`."""
    dentro: set[ast.AST] = set()
    for no in ast.walk(chamada):
        if (
            isinstance(no, ast.Call)
            and isinstance(no.func, ast.Attribute)
            and no.func.attr in ("replace", "translate")
        ):
            dentro |= set(ast.walk(no.func.value))
    return dentro


def _formato(valor: ast.FormattedValue) -> str:
    """O formato de um valor numa f-string; o que nele é variável aparece como {}."""
    if not isinstance(valor.format_spec, ast.JoinedStr):
        return ""
    partes = (p.value if isinstance(p, ast.Constant) else "{}" for p in valor.format_spec.values)
    return "".join(map(str, partes))


# A parte de teste se olha uma vez, no fim. Onde: a página, o título da seção, e por que ali é a hora.
LEEM_O_TESTE = (
    ("book/01-introducao.md", "A linha de base", "a nota final dos n-gramas, que os outros capítulos têm de vencer"),
    ("book/05-pre-treino.md", "Com que comparar", "a nota final do modelo treinado na página"),
    ("book/06-classificacao.md", "O teste, uma vez", "a nota final de cada classificador de spam"),
    ("book/06-classificacao.md", "Sentimento, pelas mesmas funções", "a nota final dos de sentimento"),
    ("book/06-classificacao.md", "No Colab: GPT-2 e as mensagens da UCI", "a nota final do modelo maior"),
    ("book/06-classificacao.md", "Exercícios", "a nota final do que se escolheu na validação"),
)


def teste_lido(
    celulas: Iterable[Celula], raiz: Path, lugares: tuple[tuple[str, str, str], ...] = LEEM_O_TESTE
) -> Iterator[str]:
    """Células que leem a parte de teste fora dos lugares ditos; lugares ditos em que ninguém a lê.

    As escondidas (`remove-cell`) não contam: conferem o que a página afirma, e não escolhem nada.
    """
    sobram = set(lugares)
    das_paginas: dict[str, list[Celula]] = {}
    for celula in celulas:
        das_paginas.setdefault(celula.pagina, []).append(celula)
    for pagina, suas in das_paginas.items():
        partidas = set().union(*(_partidas(celula.arvore()) for celula in suas))
        titulos = _titulos(le_texto(raiz / pagina, raiz), pagina)
        for celula in suas:
            if celula.destino or "remove-cell" in celula.etiquetas:
                continue
            if not (linhas := sorted(_le_o_teste(celula.arvore(), partidas))):
                continue
            secao = next((titulo for n, titulo in reversed(titulos) if n < celula.linha), "")
            ditos = {lugar for lugar in lugares if lugar[:2] == (pagina, secao)}
            sobram -= ditos
            if not ditos:
                yield (
                    f"{pagina}:{celula.linha_do_codigo + linhas[0] - 1}: a célula lê a parte de teste, que se "
                    'olha uma vez, no fim; use "validation", ou diga em LEEM_O_TESTE (ferramentas/lingua.py) '
                    f"por que a seção “{secao}” é a hora"
                )
    for pagina, secao, _ in sorted(lugar for lugar in sobram if lugar[0] in das_paginas):
        yield (
            f"{pagina}:1: LEEM_O_TESTE (ferramentas/lingua.py) fala da seção “{secao}”, em que nenhuma célula "
            "lê o teste; tire-a da lista, ou corrija o título"
        )


def _titulos(texto: str, pagina: str) -> list[tuple[int, str]]:
    """A linha e o texto de cada título da página."""
    cercas = le_cercas(texto, pagina)
    linhas = enumerate(texto.split("\n"), 1)
    achados = ((n, re.match(r"#{1,6} +(.+)", linha)) for n, linha in linhas if not cercas[n - 1])
    return [(n, achado[1].strip()) for n, achado in achados if achado]


def _partidas(arvore: ast.Module) -> set[str]:
    """Os nomes de dicionários que guardam as partes de um conjunto: `{s: load_table(x, s) for s in (…)}`."""
    return {
        alvo.id
        for no in ast.walk(arvore)
        if isinstance(no, ast.Assign) and isinstance(no.value, ast.DictComp) and _carrega(no.value.value)
        for alvo in no.targets
        if isinstance(alvo, ast.Name)
    }


def _carrega(no: ast.AST) -> bool:
    chamada = isinstance(no, ast.Call) and isinstance(no.func, ast.Name)
    return chamada and no.func.id in ("load_text", "load_table")


def _e_teste(no: ast.AST) -> bool:
    return isinstance(no, ast.Constant) and no.value == "test"


def _le_o_teste(arvore: ast.Module, partidas: set[str]) -> Iterator[int]:
    """As linhas que pedem o teste: `load_text(x, "test")`, `rows["test"]`, `row.split == "test"`."""
    for no in ast.walk(arvore):
        if isinstance(no, ast.Call):
            pedidos = [*no.args, *(k.value for k in no.keywords if k.arg in ("split", "part"))]
        elif isinstance(no, ast.Subscript) and isinstance(no.value, ast.Name) and no.value.id in partidas:
            pedidos = [no.slice]
        elif isinstance(no, ast.Compare) and isinstance(no.ops[0], ast.Eq):
            pedidos = [no.left, *no.comparators]
        else:
            continue
        yield from (no.lineno for pedido in pedidos if _e_teste(pedido))


def da_prosa(raiz: Path) -> list[str]:
    """As queixas do que se lê: nas páginas, nos cartões, nas figuras e nos programas da casa."""
    do_livro = list(prosa.do_livro(raiz))
    com_scripts = itertools.chain(do_livro, prosa.dos_scripts(raiz))
    return [*aspas(com_scripts), *termos(do_livro), *porcentagem(do_livro)]


def das_celulas(celulas: list[Celula], raiz: Path) -> list[str]:
    """As queixas do que as células fazem; todas têm de ser Python."""
    return [*resumos(celulas), *numeros_impressos(celulas), *teste_lido(celulas, raiz)]
