"""As fórmulas do site: de LaTeX a MathML, na construção; a página não carrega programa que as desenhe.

Quem converte é o math-core. O que ele não faz, e o livro pede, é pouco:

- uma fórmula comprida dividida em partes, que quebram de linha: no texto, antes de um sinal de relação; em
  destaque, num `\\quad` ou `\\qquad`;
- a vírgula decimal dentro do número, que o leitor de tela lê inteiro;
- o que está colado a uma fórmula (o ponto final, um parêntese) fica na linha dela.

O LaTeX vai junto, na anotação de cada fórmula: é o que `formulas.js` põe no que se copia. A letra é a de
`_static/fontes`, que `fonte_das_formulas.py` faz.
"""

from __future__ import annotations

import html
import re

from docutils import nodes
from math_core import LatexError, LatexToMathML
from sphinx.application import Sphinx
from sphinx.locale import _
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number
from sphinx.writers.html5 import HTML5Translator

from ferramentas.programas import programa

RELACOES = {"=", "<", ">", r"\approx", r"\to", r"\leftarrow", r"\le", r"\ge"}
VAOS = {r"\quad", r"\qquad"}
COMPRIDA = 18  # letras; a fórmula de texto com mais que isto pode quebrar

CONSERTOS = (  # o que se muda no que o math-core escreve
    ("&ApplyFunction;", "\u2061"),  # o nome da entidade não é XML
    (r'<mn>([\d.]+)</mn><mo rspace="0">,</mo><mn>(\d+)</mn>', r"<mn>\1,\2</mn>"),
    # f′: como expoente, a linha, que as fontes já desenham no alto, sumiria
    (r"<msup>(<mi[^>]*>[^<]*</mi>)<mo>(′+)</mo></msup>", r"<mrow>\1<mo>\2</mo></mrow>"),
    # o grupo vazio {}, e o que abre a linha de um aligned, contam como letra para o espaço em volta do sinal;
    # e entre dois textos o sinal só tem espaço se houver ali uma letra, vazia que seja
    ("<mrow></mrow>", "<mi></mi>"),
    (r"(<mtd[^>]*>)(<mo>[+−±])", r"\1<mi></mi>\2"),
    (r"(</mtext><mo>[^<]*</mo><mtext>[^<]*</mtext>)", r"\1<mi></mi>"),
)

_CONVERSOR = LatexToMathML(fancy_error=False)
_avisa = logging.getLogger(__name__)


# ---------------------------------------------------------------- de LaTeX a MathML


def partes(latex: str, cortes: set[str]) -> list[str]:
    r"""A fórmula dividida antes de cada comando de `cortes` que está fora de chaves, parênteses e ambientes.

    >>> partes(r"Z = f(x = 1) \approx 2", RELACOES)
    ['Z ', '= f(x = 1) ', '\\approx 2']
    """
    feitas, fundo = [""], 0
    for sinal in re.findall(r"\\[a-zA-Z]+|\\.|.", latex, re.S):
        fundo += sinal in {"{", "(", "[", r"\{", r"\left", r"\begin"}
        fundo -= sinal in {"}", ")", "]", r"\}", r"\right", r"\end"}
        if fundo == 0 and sinal in cortes and feitas[-1].strip():
            feitas.append("")
        feitas[-1] += sinal
    return feitas


def mathml(latex: str, bloco: bool) -> str:
    """O `<math>` da fórmula inteira, sem o anotar. Erros: `LatexError` se o LaTeX não se entende."""
    latex = re.sub(r"\\\\\s*\[[^\]]*\]", r"\\\\", latex)  # o vão entre as linhas é o da folha de estilo
    latex = re.sub(
        r"\\(begin|end)\{(align|gather|equation|multline)\}", r"\\\1{\2*}", latex
    )  # o Sphinx numera
    feito = _CONVERSOR.convert_with_local_state(latex, displaystyle=bloco)
    for padrao, certo in CONSERTOS:
        feito = re.sub(padrao, certo, feito)
    return feito


def formula(latex: str, bloco: bool = False) -> str:
    """A fórmula como vai na página: um `<math>`, ou vários se ela se parte; cada um com o seu LaTeX."""
    latex = latex.strip()
    inteira = mathml(latex, bloco)
    comprida = bloco or len(re.sub("<[^>]*>", "", inteira)) > COMPRIDA
    pedacos = partes(latex, VAOS if bloco else RELACOES) if comprida else [latex]
    feitos = []
    for pedaco in pedacos:
        visivel = re.sub(r"^\\q?quad\b", "", pedaco) if bloco else pedaco
        atributos, dentro = re.fullmatch(r"<math([^>]*)>(.*)</math>", mathml(visivel, bloco), re.S).groups()
        classe = ' class="segue"' if feitos else ""
        fonte = html.escape(pedaco.strip(), quote=False)
        feitos.append(
            f"<math{classe}{atributos}><semantics><mrow>{dentro}</mrow>"
            f'<annotation encoding="application/x-tex">{fonte}</annotation></semantics></math>'
        )
    return " ".join(feitos)


def _do_no(no: nodes.Element, bloco: bool) -> str:
    try:
        return formula(no.astext(), bloco)
    except LatexError as erro:
        onde = no
        while onde.line is None and onde.parent is not None:
            onde = onde.parent
        _avisa.warning(
            "a fórmula %s não se converte (%s); confira os nomes dos comandos e as chaves",
            " ".join(no.astext().split())[:60], str(erro), location=onde,
        )  # fmt: skip
        return f"<code>{html.escape(no.astext())}</code>"


# ---------------------------------------------------------------- na página


def _no_texto(self: HTML5Translator, no: nodes.math) -> None:
    self.body.append(_do_no(no, bloco=False))
    raise nodes.SkipNode


def _em_destaque(self: HTML5Translator, no: nodes.math_block) -> None:
    self.body.append(self.starttag(no, "div", "", CLASS="math notranslate nohighlight"))
    self.body.append(f'<div class="formula">{_do_no(no, bloco=True)}</div>')
    if no["number"]:
        self.body.append(f'<span class="eqno">({get_node_equation_number(self, no)})')
        self.add_permalink_ref(no, _("Link to this equation"))
        self.body.append("</span>")
    self.body.append("</div>\n")
    raise nodes.SkipNode


COLADO = re.compile(r'([^\s<>]*)(<math(?: class="segue")?>(?:(?!</math>).)*</math>)([^\s<>]*)', re.S)


def junta(pagina: str) -> str:
    """Põe numa caixa que não quebra a fórmula do texto e o que está colado a ela.

    >>> junta("de (<math>x</math>), e <math>y</math> só")
    'de <span class="junto">(<math>x</math>),</span> e <math>y</math> só'
    """

    def caixa(achado: re.Match[str]) -> str:
        return f'<span class="junto">{achado[0]}</span>' if achado[1] or achado[3] else achado[0]

    return COLADO.sub(caixa, pagina)


def _na_pagina(app: Sphinx, pagina: str, modelo: str, contexto: dict, doctree: nodes.document | None) -> None:
    if app.builder.format == "html" and "<math" in contexto.get("body", ""):
        contexto["body"] = junta(contexto["body"])
        contexto["metatags"] = contexto.get("metatags", "") + programa(contexto, "formulas.js")


def setup(app: Sphinx) -> dict[str, object]:
    app.setup_extension("ferramentas.programas")
    app.add_html_math_renderer("mathml", (_no_texto, None), (_em_destaque, None))
    app.connect("html-page-context", _na_pagina, priority=910)  # depois da descrição
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
