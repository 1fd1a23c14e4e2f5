"""`ferramentas/colab.py`, nó a nó: o Markdown que sai diz o mesmo que o nó, e nó desconhecido é aviso."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from docutils import nodes
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin

from ferramentas import colab

MARCAS = "*_`[]<>$\\"
LEITOR = MarkdownIt("commonmark").use(dollarmath_plugin)  # o que o Jupyter e o Colab leem


@pytest.fixture
def avisos(monkeypatch) -> list[tuple]:
    """Os avisos dados, como (mensagem, nó, lugar)."""
    dados: list[tuple] = []
    monkeypatch.setattr(
        colab.LOG, "warning", lambda texto, no, location, **_: dados.append((texto, no, location))
    )
    return dados


def escritor() -> colab.Escritor:
    """Um escritor sem Sphinx: não há números nem legendas."""
    ambiente = SimpleNamespace(toc_fignumbers={})
    return colab.Escritor(SimpleNamespace(env=ambiente, config=SimpleNamespace()), "book/01-um")


@given(st.text(alphabet=st.sampled_from("ab é1.,()!#" + MARCAS), min_size=1).map(lambda s: f"a{s}a"))
def test_texto_comum_continua_texto_comum(texto):
    """Nenhum sinal do texto vira marca de Markdown."""
    saida = escritor().linha(nodes.paragraph("", texto.replace("  ", " ")))
    (bloco,) = (t for t in LEITOR.parse(saida) if t.type == "inline")
    assert {t.type for t in bloco.children} <= {"text", "text_special"}
    assert "".join(t.content for t in bloco.children) == texto.replace("  ", " ")


@given(st.text(alphabet="a `", min_size=1).filter(str.strip))
def test_codigo_com_crases_continua_codigo(texto):
    saida = escritor().linha(nodes.literal("", texto))
    (bloco,) = (t for t in MarkdownIt("commonmark").parse(f"x {saida} x") if t.type == "inline")
    (codigo,) = (t for t in bloco.children if t.type == "code_inline")
    assert codigo.content.strip() == texto.strip()
    assert [t.type for t in bloco.children] == ["text", "code_inline", "text"]


@given(st.text(alphabet="a `\n~", min_size=1))
def test_bloco_de_codigo_com_cercas_dentro_fica_inteiro(texto):
    saida = escritor().bloco(nodes.literal_block(texto, texto, language="python"))
    (bloco,) = MarkdownIt("commonmark").parse(saida)
    assert (bloco.type, bloco.info, bloco.content) == ("fence", "python", texto + "\n")


@pytest.mark.parametrize(
    "no",
    [
        nodes.paragraph("", "", nodes.abbreviation("", "MIT")),
        nodes.line_block(),
        nodes.abbreviation("", "MIT"),
    ],
    ids=lambda no: type(no).__name__,
)
def test_no_desconhecido_e_aviso_com_lugar_e_o_que_fazer(avisos, no):
    secao = nodes.section("", no)
    secao.line = 7
    saida = escritor().bloco(secao)
    ((texto, nome, lugar),) = avisos
    assert nome in ("abbreviation", "line_block") and lugar == ("book/01-um", 7)
    assert "escreva o trecho de outro modo, ou ensine o nó a ferramentas/colab.py" in texto
    assert saida == ("" if nome == "line_block" else "MIT")


@pytest.mark.parametrize(
    ("no", "saida"),
    [
        (nodes.subscript("", "2"), "<sub>2</sub>"),
        (nodes.superscript("", "2"), "<sup>2</sup>"),
        (nodes.title_reference("", "x"), "*x*"),
        (nodes.raw("", "<br />\n", format="html"), "<br />"),
        (nodes.raw("", "\\\\\n", format="latex"), ""),
        (nodes.math("", "|x|"), "$|x|$"),
        (nodes.entry("", nodes.paragraph("", "", nodes.math("", r"\|x\| |y|"))), None),
    ],
)
def test_linha(avisos, no, saida):
    if saida is None:  # numa tabela, | separa colunas
        no, saida = no[0][0], r"$\Vert x\Vert  \vert y\vert $"
    assert escritor().linha(no) == saida
    assert avisos == []


def test_equacao_que_traz_o_seu_ambiente_nao_ganha_outro(avisos):
    formula = "\\begin{align*}\na &= b\n\\end{align*}"
    assert escritor().bloco(nodes.math_block(formula, formula, nowrap=True)) == formula
    assert escritor().bloco(nodes.math_block("x", "x")) == "$$\nx\n$$"


def test_imagem_de_fora_guarda_o_endereco_e_a_do_livro_ganha_o_do_repositorio():
    de_fora = nodes.image(uri="https://a.b/c.png", alt="Um gato")
    do_livro = nodes.image(uri="book/figuras/x.svg", alt="Um gato")
    publicos = escritor().publicos
    assert escritor().bloco(de_fora) == "![Um gato](https://a.b/c.png)"
    assert escritor().bloco(do_livro) == f"![Um gato]({publicos.bruto('book/figuras/x.svg')})"
