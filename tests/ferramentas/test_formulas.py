"""As fórmulas: o MathML que sai de cada LaTeX, e o que se diz do que não se entende."""

from __future__ import annotations

import xml.etree.ElementTree as arvore

import pytest
from docutils import nodes
from math_core import LatexError

from ferramentas import formulas
from ferramentas.formulas import RELACOES, VAOS, formula, junta, mathml, partes


def visivel(latex: str, bloco: bool = False) -> str:
    """O que se lê na fórmula, sem a anotação."""
    lida = arvore.fromstring(f"<tudo>{formula(latex, bloco)}</tudo>")
    for semantica in lida.iter("semantics"):
        semantica.remove(semantica[1])
    return "".join(lida.itertext())


@pytest.mark.parametrize(
    ("latex", "texto"),
    [
        (r"0{,}97 \times 40.000", "0,97×40.000"),
        (r"\underbrace{8C^2}_{\text{projeções}}", "8C2⏟projeções"),
        (r"\begin{aligned} a &= 1 \\[1ex] b &= 2 \end{aligned}", "a=1b=2"),
        (r"\begin{align} a &= 1 \\ b &= 2 \end{align}", "a=1b=2"),  # quem numera é o Sphinx
        (r"\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}", "(1234)"),
        (r"f'(x) < 3", "f′(x)<3"),
    ],
)
def test_o_que_se_le(latex: str, texto: str) -> None:
    assert visivel(latex, bloco=True).replace("\u2061", "") == texto


def test_a_virgula_decimal_fica_no_numero_e_a_da_lista_nao() -> None:
    assert "<mn>0,97</mn>" in mathml("0{,}97", bloco=False)
    assert "<mn>3</mn><mo>,</mo><mn>4</mn>" in mathml("(3, 4)", bloco=False)


def test_a_linha_da_derivada_nao_encolhe() -> None:
    assert "<mrow><mi>f</mi><mo>′</mo></mrow>" in mathml("f'(x)", bloco=False)


@pytest.mark.parametrize(
    "latex",
    [
        r"\text{previstos} + \text{existentes}",
        r"\begin{aligned} N = {} & L \\ & + 2C \end{aligned}",
        r"\begin{aligned} \text{FLOPs} = {} & L \end{aligned}",
    ],
)
def test_o_sinal_tem_sempre_uma_letra_ao_lado_que_lhe_da_espaco(latex: str) -> None:
    lida = arvore.fromstring(mathml(latex, bloco=True))
    for linha in (no for no in lida.iter() if no.tag in ("math", "mrow", "mtd")):
        sinais = [n for n, no in enumerate(linha) if no.tag == "mo" and no.text in "+=" and not no.attrib]
        assert not sinais or 0 not in sinais, arvore.tostring(linha, "unicode")
        assert not sinais or any(no.tag not in ("mtext", "mo") for no in linha)


def test_a_formula_comprida_do_texto_quebra_antes_das_relacoes_e_a_curta_nao() -> None:
    assert formula("a = 2").count("<math") == 1
    feita = formula(r"\partial c/\partial s_1 = -2w_0w_1 - w_2w_1 = -w_1 c \approx -0{,}14")
    assert feita.count("<math") == 4 and feita.count('<math class="segue">') == 3
    assert "</math> <math" in feita, "sem o espaço, a linha não quebra"


def test_a_formula_em_destaque_se_parte_nos_vaos_e_o_latex_de_cada_parte_fica() -> None:
    feita = formula(r"x = (a, b), \qquad y \in \{0, 1\}^V", bloco=True)
    assert feita.count('display="block"') == 2 and "2em" not in feita
    assert r'application/x-tex">\qquad y \in \{0, 1\}^V</annotation>' in feita


def test_nao_se_parte_dentro_de_chaves_parenteses_e_ambientes() -> None:
    inteiras = [
        r"\frac{a = b}{c \quad d}",
        r"f(x = 1, y = 2)",
        r"\left[ a = b \right)",
        r"\{ a = b \}",
        r"\begin{aligned} a &= b \quad c \end{aligned}",
    ]
    assert [len(partes(latex, RELACOES | VAOS)) for latex in inteiras] == [1] * 5


def test_o_latex_vai_inteiro_na_anotacao() -> None:
    latex = r"\begin{aligned} a &< b \\ c &> d \end{aligned}"
    [anotado] = arvore.fromstring(f"<tudo>{formula(latex, bloco=True)}</tudo>").iter("annotation")
    assert anotado.text == latex


def test_o_que_esta_colado_a_formula_nao_se_separa_dela() -> None:
    x = "<math><mi>x</mi></math>"
    assert junta(f"de {x} a {x}") == f"de {x} a {x}"
    assert junta(f"o ({x}), e") == f'o <span class="junto">({x}),</span> e'
    assert junta(f"<p>{x}.</p>") == f'<p><span class="junto">{x}.</span></p>'
    partida = f'{x} <math class="segue"><mi>y</mi></math>.'
    assert junta(partida) == f'{x} <span class="junto"><math class="segue"><mi>y</mi></math>.</span>'
    assert junta('<math display="block"><mi>x</mi></math>.').startswith("<math")


def test_uma_formula_que_nao_se_entende_e_dita_com_o_lugar(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LatexError):
        formula(r"\naoexiste{x}")
    ditos = []
    monkeypatch.setattr(
        formulas._avisa,
        "warning",
        lambda frase, *dados, location: ditos.append((frase % dados, location.line)),
    )
    paragrafo = nodes.paragraph()
    paragrafo.line = 12
    paragrafo += nodes.math("", r"\naoexiste{x}")
    assert formulas._do_no(paragrafo[0], bloco=False) == r"<code>\naoexiste{x}</code>"
    [(frase, linha)] = ditos
    assert frase.startswith(r"a fórmula \naoexiste{x} não se converte (") and linha == 12
