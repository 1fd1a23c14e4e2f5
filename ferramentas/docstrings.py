"""Confere as docstrings dos nomes públicos do pacote.

uso: python -m ferramentas.docstrings

O que se pede está em CONTRIBUTING.md, “A docstring”: português; as formas, onde passa um tensor; os erros,
numa frase que começa por “Erros:”; a fonte do que vem de um artigo; um exemplo que roda, onde os argumentos
se escrevem à mão. Nada é executado: os exemplos rodam em `make verificar`.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from pybtex.database import BibliographyData, parse_file

from ferramentas.celulas import Celula, le_celulas
from ferramentas.definicoes import FUNCOES, Definicao, Pacote
from ferramentas.livro import RAIZ, ErroDoLivro, paginas

# nome público: as entradas de referencias.bib de que a ideia vem
FONTES: dict[str, tuple[str, ...]] = {
    "ngram.discounts": ("chen1999",),
    "ngram.NGramModel": ("chen1999",),
    "ngram.NGramModel.surprisal": ("shannon1948",),
    "tokenizer.learn_merges": ("gage1994", "sennrich2016"),
    "tokenizer.BPETokenizer": ("sennrich2016", "radford2019"),
    "attention.MultiHeadAttention": ("vaswani2017",),
    "model.GPTConfig": ("press2017",),
    "model.GPTConfig.flops_per_token": ("kaplan2020",),
    "model.LayerNorm": ("ba2016",),
    "model.GELU": ("hendrycks2016",),
    "model.FeedForward": ("vaswani2017",),
    "model.TransformerBlock": ("radford2019",),
    "model.GPT": ("radford2019",),
    "generation.next_token_probs": ("fan2018", "holtzman2020"),
    "generation.penalize_repetition": ("keskar2019",),
    "loss.resolve_precision": ("micikevicius2018",),
    "distributed.shard": ("rajbhandari2020",),
    "optimization.create_optimizer": ("loshchilov2019",),
    "optimization.learning_rate_at": ("loshchilov2017",),
    "optimization.clip_gradients": ("pascanu2013",),
    "weights.load_gpt2": ("radford2019", "guillou2020"),
    "classification.GPTClassifier": ("radford2018",),
    "classification.add_token_noise": ("iyyer2015",),
    "classification.calibration_table": ("guo2017",),
    "instruction.finetune_instructions": ("wei2022", "ouyang2022"),
    "instruction.token_f1": ("rajpurkar2016",),
    "judge.judge": ("zheng2023",),
}
# o que se escreveria à mão, e mesmo assim não tem exemplo: por quê
SEM_EXEMPLO = {
    "judge.judge": "fala com um servidor que o leitor talvez não tenha",
    "judge.local_models": "idem",
    "recipes.base_corpus": "monta dez mil documentos, e o exemplo demoraria",
}

INGLES = re.compile(
    r"(?i)\b(the|of|is|are|and|or|returns?|with|this|that|given|from|if|when|which)\b"
)
PORTUGUES = re.compile(
    r"(?i)\b(o|a|os|as|um|uma|de|do|da|dos|das|e|ou|em|no|na|nos|nas|que|se|com|por|para|sem|ao)\b|[ãõçáéíóúâêôà]"
)
DIMENSAO = r"(?:…|\.{3}|\d?[A-Z]\b|[A-Z] [+−-] \d|[a-zçãõáéíóúâêô]+(?: \+ \d)?|\d+)"
FORMA = re.compile(
    rf"\((?=[^)]*(?:[A-Z…]|\.{{3}}|,\)|[nN]))(?:{DIMENSAO})(?:, {DIMENSAO})*,?\)"
    r"|qualquer forma|mesma forma|a forma d|escalar|`Batch`"
)
TENSOR = re.compile(r"\b(Tensor|ndarray|ArrayLike|Batch)\b")
DICIONARIO = re.compile(r"\b(?:dict|Mapping)\[str, (?:torch\.)?Tensor\]")  # pesos, cada um com a sua
SIMPLES = {
    "bool", "int", "float", "str", "bytes", "None", "Sequence", "Iterable", "Collection", "list", "tuple",
    "dict", "Mapping", "Counter", "torch", "Tensor", "np", "ndarray", "ArrayLike", "Batch", "dtype", "device",
}  # fmt: skip
CITACAO = re.compile(
    r"([A-ZÀ-Ý][\w’-]+)(?: et al\.| e (?:[A-Z]\. )?[A-ZÀ-Ý][\w’-]+)?"
    r",? \(?(?:“[^”]*”, )?((?:19|20)\d\d)\b"
)


def celulas(raiz: Path = RAIZ) -> list[Celula]:
    """As células que vão para o pacote, na ordem do livro."""
    return [c for md in paginas(raiz) for c in le_celulas(md, raiz) if c.destino is not None]


def revisa(raiz: Path = RAIZ) -> list[str]:
    """Todas as queixas do livro, na ordem das páginas."""
    return queixas(celulas(raiz), parse_file(raiz / "book/referencias.bib", "bibtex"))


def queixas(
    do_pacote: list[Celula],
    referencias: BibliographyData,
    fontes: Mapping[str, tuple[str, ...]] = FONTES,
    sem_exemplo: Mapping[str, str] = SEM_EXEMPLO,
) -> list[str]:
    """O que falta às docstrings destas células, uma linha por falta, com página e linha."""
    pacote = Pacote(do_pacote)
    achadas: list[str] = []
    publicas = {f"{d.modulo}.{d.nome}": d for d in pacote.definicoes.values() if d.publica}
    livres = " ".join(
        linha
        for celula in do_pacote
        if (texto := ast.get_docstring(celula.arvore())) is not None
        for linha in texto.splitlines()
        if linha.startswith((">>>", "..."))
    )  # os exemplos dos módulos servem aos nomes que usam
    for nome, definicao in publicas.items():
        if not definicao.docstring:
            achadas.append(f"{definicao.lugar}: {nome}: falta a docstring; diga em português o que faz")
            continue
        for queixa in (
            *_lingua(definicao.docstring),
            *_formas(definicao),
            *_erros(definicao, pacote),
            *_fontes(nome, definicao.docstring, fontes, referencias),
            *(() if nome in sem_exemplo else _exemplo(definicao, livres)),
        ):
            achadas.append(f"{definicao.lugar}: {nome}: {queixa}")
    for modulo, celula in pacote.modulos.items():
        lugar = f"{celula.pagina}:{celula.linha_do_codigo}"
        texto = ast.get_docstring(celula.arvore()) or ""
        if not texto:
            achadas.append(f"{lugar}: {modulo}: a primeira célula do módulo começa pela docstring dele")
        achadas += [f"{lugar}: {modulo}: {queixa}" for queixa in _lingua(texto)]
        achadas += [f"{lugar}: {modulo}: {queixa}" for queixa in _citacoes(texto, referencias)]
    achadas += [q for celula in do_pacote for q in _constantes(celula)]
    achadas += _lista_dos_modulos(pacote.modulos)
    for tabela, nomes in (("FONTES", fontes), ("SEM_EXEMPLO", sem_exemplo)):
        achadas += [
            f"ferramentas/docstrings.py:1: {tabela}: {nome} não é um nome público do pacote; apague-o, ou "
            "escreva o nome que tem agora"
            for nome in nomes
            if nome not in publicas
        ]
    return achadas


def _sem_codigo(texto: str) -> str:
    """A prosa: sem exemplos, sem o que está entre crases e sem títulos entre aspas."""
    linhas, exemplo = [], False
    for linha in texto.splitlines():
        exemplo = linha.lstrip().startswith(">>>") or (exemplo and bool(linha.strip()))
        linhas.append("" if exemplo else linha)
    prosa = re.sub(r"(?ms)::\n\n(?: +.*\n?|\n)+", "\n", "\n".join(linhas))
    return re.sub(r"(?s)``.+?``|`[^`]+`|“[^”]*”|\*[^*]+\*", " ", prosa)


def _lingua(texto: str) -> Iterator[str]:
    prosa = _sem_codigo(texto)
    if (ingles := INGLES.search(prosa)) is not None:
        yield f"a docstring é em português, e tem “{ingles[0]}”; traduza-a, ou ponha o nome entre crases"
    elif len(prosa.split()) > 2 and not PORTUGUES.search(prosa):
        yield f"a docstring não parece português: “{' '.join(prosa.split())[:40]}”; escreva uma frase"


def _formas(definicao: Definicao) -> Iterator[str]:
    if not isinstance(definicao.no, FUNCOES):
        return
    assinatura = DICIONARIO.sub("", f"{ast.unparse(definicao.no.args)} {_devolve(definicao)}")
    if TENSOR.search(assinatura) and not FORMA.search(definicao.docstring):
        yield "passa um tensor, e a docstring não diz a forma; escreva-a, como em `(B, T, C)`"


def _devolve(definicao: Definicao) -> str:
    devolve = getattr(definicao.no, "returns", None)
    return ast.unparse(devolve) if devolve is not None else "None"


def _erros(definicao: Definicao, pacote: Pacote) -> Iterator[str]:
    """Cada exceção é dita pelo nome, por uma de que ela deriva, ou por “os de `função`”."""
    texto = definicao.docstring
    if re.search(r"(?m)^\s*(Raises|Levanta|Exceções):", texto):
        yield "os erros ficam numa frase só, que começa por “Erros:”; troque por ela a seção Raises"
    if isinstance(definicao.no, ast.ClassDef):
        if pacote.ancestrais(definicao.nome):  # a própria classe é um erro
            return
    elif not any([definicao.no.args.args, definicao.no.args.kwonlyargs, definicao.no.args.vararg]):
        return  # nada entra: não há entrada ruim
    ditos = " ".join(re.findall(r"(?s)Erros:(.*?)(?:\n\n|\Z)", texto))
    nomes = set(re.findall(r"`([\w.]+)", ditos))
    ultimos = {nome.rpartition(".")[2] for nome in nomes}
    calados = {
        excecao: por
        for excecao, por in sorted(pacote.erros((definicao.modulo, definicao.nome)).items())
        if not nomes & set(pacote.ancestrais(excecao)) and not ultimos & (por - {""})
    }
    if calados:
        de = sorted({f"`{nome}`" for por in calados.values() for nome in por if nome})
        saida = f" (ou “Erros: os de {' e '.join(de[:2])}”)" if de else ""
        yield (
            f"levanta {', '.join(calados)}, e a docstring não diz; escreva “Erros: "
            f"`{next(iter(calados))}` se …”{saida}"
        )


def _fontes(
    nome: str, texto: str, fontes: Mapping[str, tuple[str, ...]], referencias: BibliographyData
) -> Iterator[str]:
    corrido = " ".join(texto.split())
    for chave in fontes.get(nome, ()):
        if chave not in referencias.entries:
            yield f"a fonte {chave} não está em book/referencias.bib; acrescente-a, ou corrija FONTES"
            continue
        quem, ano = _autor_e_ano(referencias, chave)
        if not re.search(rf"{re.escape(quem)}[^()]*,? \(?(?:“[^”]*”, )?{ano}", corrido):
            yield f"vem de um artigo, e a docstring não diz qual; escreva ({quem}…, {ano})"
    yield from _citacoes(texto, referencias)


def _citacoes(texto: str, referencias: BibliographyData) -> Iterator[str]:
    conhecidas = {_autor_e_ano(referencias, chave) for chave in referencias.entries}
    sobrenomes = {quem for quem, _ in conhecidas}
    for quem, ano in CITACAO.findall(" ".join(texto.split())):
        if (quem, ano) not in conhecidas and (quem in sobrenomes or f"{quem} et al." in texto):
            yield f"cita {quem}, {ano}, que não está em book/referencias.bib; confira nome e ano"


def _autor_e_ano(referencias: BibliographyData, chave: str) -> tuple[str, str]:
    entrada = referencias.entries[chave]
    sobrenome = entrada.persons["author"][0].rich_last_names
    return " ".join(map(str, sobrenome)), str(entrada.fields["year"])


def _exemplo(definicao: Definicao, livres: str) -> Iterator[str]:
    """Uma função cujos argumentos e resultado se escrevem à mão tem um exemplo, seu ou do módulo."""
    if not isinstance(definicao.no, FUNCOES) or "." in definicao.nome or _devolve(definicao) == "None":
        return
    argumentos = definicao.no.args
    todos = [*argumentos.posonlyargs, *argumentos.args, *argumentos.kwonlyargs]
    anotacoes = [ast.unparse(a.annotation) for a in todos if a.annotation is not None]
    palavras = set(re.findall(r"[A-Za-z_]\w*", " ".join([*anotacoes, _devolve(definicao)])))
    if argumentos.kwarg is not None or not palavras <= SIMPLES:
        return
    if ">>>" not in definicao.docstring and not re.search(rf"\b{definicao.nome}\(", livres):
        yield "recebe e devolve coisas simples, e não tem exemplo; escreva um, com >>>"


def _constantes(celula: Celula) -> Iterator[str]:
    """Uma constante, ou um apelido de tipo, tem um comentário na linha em que começa ou na de cima."""
    linhas = celula.fonte.split("\n")
    for no in celula.arvore().body:
        alvos = no.targets if isinstance(no, ast.Assign) else [getattr(no, "target", None)]
        nomes = [n.id for alvo in alvos if alvo for n in ast.walk(alvo) if isinstance(n, ast.Name)]
        publicos = [nome for nome in nomes if not nome.startswith("_")]
        if not isinstance(no, (ast.Assign, ast.AnnAssign)) or not publicos:
            continue
        acima = linhas[no.lineno - 2] if no.lineno > 1 else ""
        if "  # " not in linhas[no.lineno - 1] and not acima.startswith("#"):
            lugar = f"{celula.pagina}:{celula.linha_do_codigo + no.lineno - 1}"
            oque = "diga num comentário, nessa linha ou na de cima, o que é"
            yield f"{lugar}: {celula.modulo}.{publicos[0]}: {oque}"


def _lista_dos_modulos(modulos: Mapping[str, Celula]) -> list[str]:
    """A docstring do pacote, que `help(homellm)` mostra, tem uma linha para cada módulo."""
    if (celula := modulos.get("__init__")) is None:
        return []
    listados = re.findall(r"(?m)^    ([a-z_]\w*) {2,}\S", ast.get_docstring(celula.arvore()) or "")
    lugar = f"{celula.pagina}:{celula.linha_do_codigo}"
    faltam = [nome for nome in modulos if nome not in listados and not nome.startswith("_")]
    sobram = [nome for nome in listados if nome not in modulos]
    return [
        *(f"{lugar}: falta {nome} na lista dos módulos; diga numa linha o que ele faz" for nome in faltam),
        *(f"{lugar}: {nome} está na lista dos módulos e não existe; apague a linha" for nome in sobram),
    ]


def main() -> int:
    """Ponto de entrada; devolve 0 se não há queixas, 1 se há."""
    try:
        achadas = revisa()
    except ErroDoLivro as erro:
        achadas = [str(erro)]
    print("\n".join(achadas), end="\n" if achadas else "")
    return 1 if achadas else 0


if __name__ == "__main__":
    sys.exit(main())
