"""As fórmulas na tela: a letra, a largura, a quebra de linha, o que se copia e o que se ouve."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page

from ferramentas.livro import RAIZ, paginas
from navegador import CELULAR, Visita

DOCUMENTOS = [p.relative_to(RAIZ).with_suffix("").as_posix() for p in paginas()]
COM_FORMULA = [
    d for d in DOCUMENTOS if re.search(r"\$[^$\n]+\$|\{math\}", (RAIZ / f"{d}.md").read_text("utf-8"))
]
ESTREITA = {"width": 320, "height": 700}

LARGAS = """() => [...document.querySelectorAll("article math")].filter((f) => {
  const caixa = f.closest(".formula, p, li, td, dd, figcaption, summary, h1, h2, h3");
  return f.offsetParent !== null && f.getBoundingClientRect().right > caixa.getBoundingClientRect().right + 1;
}).map((f) => f.querySelector("annotation").textContent)"""

SOLTAS = """() => {  // o sinal colado a uma fórmula que ficou noutra linha
  const achadas = [];
  for (const formula of document.querySelectorAll("article math:not([display])")) {
    const texto = formula.nextSibling;
    if (texto?.nodeType !== Node.TEXT_NODE || /^\\s/.test(texto.data) || !texto.length) continue;
    const sinal = document.createRange();
    sinal.setStart(texto, 0);
    sinal.setEnd(texto, 1);
    const [f, s] = [formula.getBoundingClientRect(), sinal.getBoundingClientRect()];
    if (s.width && (s.left < f.right - 1 || s.top > f.bottom)) achadas.push(formula.textContent);
  }
  return achadas;
}"""


def abre_o_recolhido(aba: Page) -> None:
    aba.evaluate(
        """() => {
          document.querySelectorAll("details").forEach((d) => { d.open = true; });
          document.querySelectorAll(".toggle-hidden").forEach((e) => e.classList.remove("toggle-hidden"));
        }"""
    )


def letras(aba: Page) -> set[tuple[str, bool]]:
    """As fontes com que o Chromium desenhou as fórmulas da página, e se cada uma veio do site."""
    conversa = aba.context.new_cdp_session(aba)
    conversa.send("DOM.enable")
    conversa.send("CSS.enable")
    raiz = conversa.send("DOM.getDocument")["root"]["nodeId"]
    formulas = conversa.send("DOM.querySelectorAll", {"nodeId": raiz, "selector": "article math *"})[
        "nodeIds"
    ]
    usadas = [conversa.send("CSS.getPlatformFontsForNode", {"nodeId": no})["fonts"] for no in formulas]
    return {(fonte["familyName"], fonte["isCustomFont"]) for fontes in usadas for fonte in fontes}


@pytest.mark.parametrize("documento", COM_FORMULA)
def test_as_formulas_da_pagina(visita: Callable[..., Visita], documento: str) -> None:
    v = visita()
    aba = v.abre(documento)
    assert aba.locator("article math").count()
    assert aba.locator("script[src*=athjax], mjx-container").count() == 0
    assert aba.locator("math[tabindex], math a, .formula[tabindex]").count() == 0
    assert {nome for nome, _ in letras(aba)} == {"STIX Two Math"}, (
        f"{documento}.md: há um sinal que a fonte das fórmulas não tem; acrescente-o a SINAIS, em "
        "ferramentas/fonte_das_formulas.py, e refaça-a"
    )
    abre_o_recolhido(aba)
    for tela in (CELULAR, ESTREITA):
        aba.set_viewport_size(tela)
        largas = aba.evaluate(LARGAS)
        assert not largas, (
            f"{documento}.md: não cabe em {tela['width']} px; quebre com um aligned ou um \\qquad: {largas}"
        )
    for largura in range(330, 420, 10):
        aba.set_viewport_size({"width": largura, "height": 800})
        assert aba.evaluate(SOLTAS) == []
    assert v.erros == []


def test_o_que_nao_cabe_rola_e_a_pagina_nao(visita: Callable[..., Visita]) -> None:
    aba = visita(viewport=CELULAR).abre(COM_FORMULA[0])
    formula = aba.locator("div.math > .formula").first
    formula.evaluate(
        "f => { const m = f.querySelector('mi'); for (let i = 0; i < 40; i++) m.after(m.cloneNode(true)); }"
    )
    assert formula.evaluate("f => f.scrollWidth > f.clientWidth + 100")
    assert formula.evaluate("f => getComputedStyle(f).overflowX") == "auto"
    assert aba.evaluate("document.documentElement.scrollWidth") <= CELULAR["width"]
    esquerda = "f => f.getBoundingClientRect().left"
    assert formula.locator("mi").first.evaluate(esquerda) >= formula.evaluate(esquerda), "o começo se vê"


def test_sem_javascript_e_no_escuro_as_formulas_estao_la(visita: Callable[..., Visita]) -> None:
    v = visita(java_script_enabled=False, color_scheme="dark", viewport=CELULAR)
    v.aba.goto(f"{v.endereco}book/03-atencao.html")
    formula = v.aba.locator("#equation-eq-custo-atencao math")
    caixa = formula.bounding_box()
    assert caixa["width"] > 100 and caixa["height"] > 20
    assert "projeções" in formula.locator("mtext").all_text_contents()


def test_a_cor_e_a_do_texto_nos_dois_temas(visita: Callable[..., Visita]) -> None:
    for tema in ("light", "dark"):
        aba = visita(color_scheme=tema).abre("book/03-atencao")
        cores = aba.evaluate(
            "[...document.querySelectorAll('article p math')].map((f) => [getComputedStyle(f).color, "
            "getComputedStyle(f.closest('p')).color])"
        )
        assert cores and all(da_formula == do_texto for da_formula, do_texto in cores)


def test_copiar_da_o_latex(visita: Callable[..., Visita]) -> None:
    v = visita(permissions=["clipboard-read", "clipboard-write"])
    aba = v.abre("book/00-passo-zero")

    def copia(de: str, ate: str) -> str:
        aba.evaluate(
            """([de, ate]) => {
              const acha = (texto) => [...document.querySelectorAll("article annotation")]
                .find((a) => a.textContent === texto).closest("math");
              const [inicio, fim] = [acha(de), acha(ate)];
              getSelection().setBaseAndExtent(inicio.querySelector("mi, mo, mn").firstChild, 0,
                [...fim.querySelectorAll("mi, mo, mn")].at(-1).firstChild, 1);
            }""",
            [de, ate],
        )
        aba.keyboard.press("Control+c")
        return aba.evaluate("navigator.clipboard.readText()")

    assert copia("a = 2", "a = 2") == "$a = 2$"
    equacao = r"p \leftarrow p - \eta \, \frac{\partial L}{\partial p}"
    assert copia(equacao, equacao).strip() == f"$${equacao}$$"
    trecho = copia(equacao, r"\eta")
    assert trecho.startswith(f"$${equacao}$$") and trecho.rstrip().endswith(r"$\eta$") and "#" not in trecho
    partida = [r"\partial g/\partial b", "= -7"]
    inteira = copia(*partida)
    assert inteira == r"$\partial g/\partial b = 2ab + c = -4 - 3 = -7$"


def test_o_leitor_de_tela_recebe_a_formula(visita: Callable[..., Visita]) -> None:
    aba = visita().abre("book/03-atencao")
    conversa = aba.context.new_cdp_session(aba)
    nos = conversa.send("Accessibility.getFullAXTree")["nodes"]
    papeis = [no["role"]["value"] for no in nos if not no.get("ignored")]
    assert papeis.count("MathMLMath") >= aba.locator("div.math math:visible").count() > 0
    assert "MathMLFraction" in papeis and "MathMLSquareRoot" in papeis
