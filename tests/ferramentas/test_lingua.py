"""`ferramentas/prosa.py` e `ferramentas/lingua.py`: o que é prosa, e as regras que se conferem sozinhas."""

from __future__ import annotations

from pathlib import Path

import pytest

from brinquedo import CABECALHO, PRIMEIRA_LINHA, REPO, api, celula, escreve_livro
from ferramentas import lingua
from ferramentas.celulas import le_celulas
from ferramentas.lint import revisa
from ferramentas.livro import paginas
from ferramentas.prosa import do_livro, do_markdown, do_python, do_svg, so_texto

CORPO = PRIMEIRA_LINHA + 2  # a linha em que começa o que vem depois do título


def livro(tmp_path: Path, corpo: str, **outros: str) -> Path:
    """Um livro com um capítulo; `outros` são arquivos da raiz, com __ no lugar da barra."""
    raiz = escreve_livro(tmp_path, {"01-um": CABECALHO + "# Um\n\n" + corpo, "api": api("a")})
    for nome, texto in outros.items():
        arquivo = raiz / nome.replace("__", "/").replace("_md", ".md").replace("_py", ".py").replace("_svg", ".svg")
        arquivo.parent.mkdir(parents=True, exist_ok=True)
        arquivo.write_text(texto, "utf-8")
    return raiz


def lidos(texto: str) -> list[tuple[int, str]]:
    return [(t.linha, " ".join(t.texto.split())) for t in do_markdown(texto, "x.md") if t.texto.strip()]


# ---------------------------------------------------------------- o que é prosa


def test_a_prosa_fica_no_lugar_e_o_codigo_sai():
    linha = "Um `x`, a {ref}`bela seção <sec-a>` e {cite:p}`silva`, em [casa](https://a.b/c)."
    lida = so_texto(linha)
    assert len(lida) == len(linha) and lida.index("bela") == linha.index("bela")
    assert lida.split() == ["Um", ",", "a", "bela", "seção", "e", ",", "em", "[casa]", "."]


@pytest.mark.parametrize(
    "linha",
    ["`a`", "``a `b` c``", "$a + b$", "$$x$$", "{ref}`sec-x`", "{eq}`eq-x`", "https://a.b/c", "<https://a.b>",
     "(sec-x)=", "<br>", "&nbsp;", "eu@casa.org", "{cite:t}`silva`"],
)  # fmt: skip
def test_o_que_nao_e_prosa_vira_espaco(linha):
    assert so_texto(linha) == " " * len(linha)


def test_da_pagina_leem_se_titulos_legendas_e_textos_de_diretivas():
    texto = (
        "---\ntitle: não\n---\n% não\n# Um título\n\n(sec-a)=\n```{figure} nao.svg\n:name: fig-nao\n:alt: O alt\n\n"
        "A legenda\n```\n\n```{exercise} O nome\n:label: ex-nao\nO pedido.\n```\n\n```text\nnão\n```\n\n"
        "```{math}\nnao\n```\n\n$$\nnao\n$$\n\nFim.\n"
    )
    assert [t for _, t in lidos(texto)] == ["# Um título", "O alt", "A legenda", "O nome", "O pedido.", "Fim."]
    assert dict((t, n) for n, t in lidos(texto))["O nome"] == 15


def test_do_codigo_leem_se_comentarios_e_docstrings_e_as_mensagens_ficam_a_parte():
    fonte = (
        'def f(x):\n    """Diz `x`.\n\n    Erros: nenhum.\n\n    >>> f(nao)\n    nao\n\n        nao\n    """\n'
        '    # por quê\n    raise ValueError(f"veio {x}")  # noqa: nao\n'
    )
    trechos = list(do_python(fonte, "x.py", primeira=10))
    prosa = [(t.linha, " ".join(t.texto.split())) for t in trechos if not t.mensagem and t.texto.strip()]
    assert prosa == [(10 + 1, "Diz ."), (13, "Erros: nenhum."), (20, "por quê")]
    assert any(t.mensagem and "veio" in t.texto and t.linha == 21 for t in trechos)
    assert list(do_python("def f(:", "x.py")) == []


def test_da_figura_le_se_o_texto():
    svg = '<svg><style>nao {}</style>\n<!-- nao -->\n<title>Um</title>\n<text x="1">Dois &amp; três</text>\n</svg>'
    assert [(t.linha, t.texto.split()) for t in do_svg(svg, "x.svg")] == [(3, ["Um"]), (4, ["Dois", "três"])]


def test_o_livro_inteiro_vai_das_paginas_aos_cartoes():
    arquivos = {t.arquivo for t in do_livro(REPO)}
    assert {p.relative_to(REPO).as_posix() for p in paginas(REPO)} <= arquivos
    for nome in ("README.md", "data/contos.md", "data/modelos/contos-mini/README.md", "book/figuras/04-gpt.svg"):
        assert nome in arquivos, nome


# ---------------------------------------------------------------- as queixas

RUINS = {  # o que se escreveu: (linha contada do corpo, o que se lê)
    "aspas": ("Diz «oi».\n", 1, "as aspas do livro são “…”, e não «…»; troque-as"),
    "aspas na legenda": (
        celula("1", ":figura: fig-a", ":legenda: Um «a».", ":alt: x"),
        3,
        "as aspas do livro são",
    ),
    "aspas no alt": ("```{figure} x.svg\n:alt: Um «a»\n\nL\n```\n", 2, "as aspas do livro são"),
    "aspas no comentário": (celula("x = 1  # um «a»"), 2, "as aspas do livro são"),
    "aspas na docstring": (celula('def f():\n    """Um «a»."""'), 3, "as aspas do livro são"),
    "aspas na mensagem": (celula('print("o «a» não")'), 2, "as aspas do livro são"),
    "aspas na mensagem com valor": (celula('print(f"o «{1 + 1}» não")'), 2, "as aspas do livro são"),
    "termo": ("Medimos o overfitting.\n", 1, "“overfitting”: o livro diz sobreajuste; para citar a outra"),
    "termo com maiúscula": ("Enchimento é\numa coisa.\n", 1, "“Enchimento”: o livro diz preenchimento"),
    "termo no comentário": (celula("x = 1  # o batch"), 2, "“batch”: o livro diz lote"),
    "termo no resumo": (celula("a\nb\nc\nd\ne\nf", ":resumo: prepara o dataset"), 2, "o livro diz conjunto de"),
    "termo no título": ("## O padding\n", 1, "o livro diz preenchimento"),
    "lusitanismo": ("Os pesos são partilhados.\n", 1, "“partilhados”: o livro diz compartilhar"),
    "nenhum": ("Sem par algum.\n", 1, "“par algum”: o livro diz nenhum antes do nome"),
    "porcentagem": ("De 3 % a 45,5 %.\n", 1, "“3 %” leva o sinal colado; escreva 3%"),
    "porcentagem impressa": (celula('print(f"{3:.0f} % disso")'), 2, "escreva }%"),
    "número impresso": (celula('x = 1\nprint(f"{x:.2f} nats")'), 3, "{…:.2f} imprime o número com ponto decimal"),
    "milhar impresso": (celula('print(f"{1000:,} tokens")'), 2, "{…:,} imprime o número"),
    "porcento impresso": (celula('print("acerta", f"{0.5:6.1%}")'), 2, "{…:6.1%} imprime o número"),
    "largura variável": (celula('w = 2\nprint(f"{0.5:.{w}f}")'), 3, "{…:.{}f} imprime o número"),
    "resumo de célula pequena": (
        celula("a = 1\nb = 2", ":resumo: põe dois números"),
        1,
        "célula de 2 linhas com resumo; com menos de 6 linhas, deixe-a aberta",
    ),
    "teste por posição": (celula('load_text("contos", "test")'), 2, "a célula lê a parte de teste"),
    "teste por nome": (celula('x = 1\nload_table("spam", split="test")'), 3, "por que a seção “Um” é a hora"),
    "teste comparado": (celula('[r for r in [] if r.split == "test"]'), 2, "a célula lê a parte de teste"),
    "teste num dicionário": (
        celula('rows = {s: load_table("spam", s) for s in ("train", "test")}') + celula('rows["test"]'),
        5,
        "use \"validation\", ou diga em LEEM_O_TESTE",
    ),
}


@pytest.mark.parametrize("engano", RUINS)
def test_a_queixa_diz_arquivo_linha_e_o_que_escrever(tmp_path, engano):
    corpo, linha, frase = RUINS[engano]
    queixas = revisa(livro(tmp_path, corpo))
    assert queixas and queixas[0].startswith(f"book/01-um.md:{CORPO + linha - 1}: "), queixas
    assert frase in queixas[0], queixas
    assert len(queixas) == (2 if "45,5 %" in corpo else 1), queixas


BONS = {
    "aspas brasileiras": "Diz “oi”, e ‘a’.\n",
    "dados numa cerca": "```text\n— «Não!»\n```\n\ne `«x»`\n",
    "classe de letras": celula('import re\nre.split("[«»]", "a")'),
    "variante citada": "O sobreajuste (*overfitting*), a “baseline” de lá, **padding**, e o lote (em inglês, batch).\n",
    "em código": "`batch_size`, `DataLoader(dataset)` e `fine-tuning`.\n",
    "nome parecido": "Um embedding, dois embeddings, o checkpoint, os n-gramas, um caderno de receitas, a partitura.\n",
    "algum antes": "Algum par, alguma vez, algum modelo.\n",
    "porcentagens": "Acerta 45%, ou 45,5%; $45\\%$; `3 %`.\n",
    "formatos sem ponto": celula('x = 1.0\nprint(f"{x:.0f} {x:.1e} {x:6} {x:>8} {x!r:5}")'),
    "trocado depois": celula('print(f"{1.5:.1f}".replace(".", ","))'),
    "fora de print": celula('x = f"{1.5:.1f}"'),
    "resumo": celula("a = 1\nb = 2\nc = 3\nd = 4\ne = 5\nf = 6", ":resumo: põe seis números"),
    "validação": celula('load_text("contos", split="validation")\nx = "test"\nd = {"test": 1}\nd["test"]'),
    "as três partes, contadas": celula('{s: len(load_table("spam", s)) for s in ("train", "validation", "test")}'),
    "conferência escondida": celula('assert load_text("contos", "test")', ":tags: [remove-cell, no-colab]"),
    "medida guardada": celula('import json\nx = json.loads("{}")\nx["test"]["acerto"]'),
}  # fmt: skip


@pytest.mark.parametrize("nome", BONS)
def test_o_que_esta_certo_passa(tmp_path, nome):
    assert revisa(livro(tmp_path, BONS[nome])) == []


@pytest.mark.parametrize(
    ("arquivo", "texto", "linha"),
    [
        ("README_md", "# Um\n\nDiz «oi».\n", "README.md:3: "),
        ("data__contos_md", "Um «conto».\n", "data/contos.md:1: "),
        ("data__modelos__m__README_md", "Um «modelo».\n", "data/modelos/m/README.md:1: "),
        ("ferramentas__a_py", '"""Um «a»."""\n', "ferramentas/a.py:1: "),
        ("bancada__a_py", "x = 1\n# um «a»\n", "bancada/a.py:2: "),
        ("data__fazer__b_py", 'raise ValueError("o «a»")\n', "data/fazer/b.py:1: "),
        ("book__figuras__a_svg", "<svg>\n<text>«a»</text>\n</svg>\n", "book/figuras/a.svg:2: "),
    ],
)
def test_as_aspas_se_conferem_na_casa_inteira(tmp_path, arquivo, texto, linha):
    queixas = revisa(livro(tmp_path, "", **{arquivo: texto}))
    assert [q for q in queixas if "aspas" in q and q.startswith(linha)] and len(queixas) == 1, queixas


def test_o_glossario_define_a_variante_e_leva_ao_termo(tmp_path):
    texto = "# Glossário\n\n```{glossary}\noverfitting\n  Em português, sobreajuste.\n```\n"
    raiz = escreve_livro(tmp_path, {"01-um": "# Um\n", "glossario": texto, "api": api("a")})
    assert revisa(raiz) == []
    (raiz / "book/glossario.md").write_text(texto.replace("sobreajuste", "ou overfitting"), "utf-8")
    assert "o livro diz sobreajuste" in revisa(raiz)[0]


def test_as_variantes_nao_proibem_o_termo_certo_de_ninguem():
    """O que se sugere no lugar de uma variante não é, ele mesmo, uma variante."""
    for termo in lingua.TERMOS:
        assert lingua._VARIANTE.sub("", termo.certo) == termo.certo, termo


# ---------------------------------------------------------------- os lugares do teste


def celulas_de(raiz: Path):
    return [c for md in paginas(raiz) for c in le_celulas(md, raiz)]


def test_no_lugar_dito_o_teste_se_le_e_so_nele(tmp_path):
    le = celula('load_text("contos", "test")')
    raiz = livro(tmp_path, f"## A hora\n\n{le}\n### O detalhe\n\n{le}")
    lugares = (("book/01-um.md", "A hora", "porque é o fim"),)
    (queixa,) = lingua.teste_lido(celulas_de(raiz), raiz, lugares)
    assert "a seção “O detalhe”" in queixa
    assert list(lingua.teste_lido(celulas_de(raiz), raiz, (*lugares, ("book/01-um.md", "O detalhe", "x")))) == []


def test_um_lugar_dito_em_que_ninguem_le_o_teste_sai_da_lista(tmp_path):
    raiz = livro(tmp_path, "## A hora\n\n" + celula("x = 1"))
    lugares = (("book/01-um.md", "A hora", "x"), ("book/09-nove.md", "Outra", "x"))
    (queixa,) = lingua.teste_lido(celulas_de(raiz), raiz, lugares)
    assert queixa.startswith("book/01-um.md:1: LEEM_O_TESTE") and "tire-a da lista" in queixa


def test_cada_lugar_do_teste_diz_a_razao():
    assert all(len(razao) > 20 for _, _, razao in lingua.LEEM_O_TESTE)
    assert {pagina for pagina, _, _ in lingua.LEEM_O_TESTE} <= {
        p.relative_to(REPO).as_posix() for p in paginas(REPO)
    }
