"""As figuras leem-se num celular e nos dois temas: a letra e o contraste, medidos no navegador."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright
from test_navegador import COLUNA_NO_CELULAR, MEDE_SVG, MENOR_LETRA

from ferramentas.celulas import le_celulas
from ferramentas.livro import RAIZ, paginas
from homellm.plots import COLORS
from navegador import abre_navegador

FIGURAS = sorted(p for p in (RAIZ / "book/figuras").glob("*.svg") if p.stem not in ("logo", "favicon"))
TEXTO, LINHA = 4.5, 3.0  # o contraste que as WCAG pedem do texto e do que é preciso ver

# O que se desenha claro de propósito, e por quê.
LINHAS_CLARAS: dict[str, str] = {}

CONTRASTE = """() => {
  const cor = (c) => { const n = c.match(/[\\d.]+/g).map(Number); return n.length < 4 ? [...n, 1] : n; };
  const sobre = (c, fundo) => c.slice(0, 3).map((v, i) => v * c[3] + fundo[i] * (1 - c[3]));
  const luz = (c) => { const [r, g, b] = c.map((v) => { v /= 255;
    return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const razao = (a, b) => { const [x, y] = [luz(a), luz(b)].sort((m, n) => n - m);
    return (x + 0.05) / (y + 0.05); };
  const opaco = (e) => { let o = 1; for (; e.tagName !== "svg"; e = e.parentNode)
    o *= parseFloat(getComputedStyle(e).opacity); return o; };
  const pinta = (e, qual) => { const s = getComputedStyle(e);
    if (s[qual] === "none" || !/^rgb/.test(s[qual])) return null;
    const c = cor(s[qual]); c[3] *= parseFloat(s[`${qual}Opacity`]) * opaco(e); return c; };
  const formas = [...document.querySelectorAll("rect, circle, ellipse, polygon, path")]
    .filter((e) => !e.closest("defs, marker, clipPath"));
  const fundo = (x, y, de) => { let c = [251, 248, 241];  // o papel, que o site põe atrás nos dois temas
    for (const e of formas) {
      if (e === de || de.compareDocumentPosition(e) & Node.DOCUMENT_POSITION_FOLLOWING) continue;
      const p = new DOMPoint(x, y).matrixTransform(e.getScreenCTM().inverse());
      const tinta = pinta(e, "fill");
      if (tinta && e.isPointInFill(p)) c = sobre(tinta, c);
    } return c; };
  const achados = [];
  for (const t of document.querySelectorAll("text, tspan")) {
    const dele = [...t.childNodes].filter((n) => n.nodeType === 3 && n.textContent.trim());
    const tinta = pinta(t, "fill");
    if (!dele.length || !tinta) continue;
    const b = t.getBoundingClientRect(), atras = fundo(b.x + b.width / 2, b.y + b.height / 2, t);
    achados.push(["texto", t.textContent.trim(), razao(sobre(tinta, atras), atras)]);
  }
  for (const e of document.querySelectorAll("line, polyline, path")) {
    const tinta = pinta(e, "stroke");
    if (e.closest("defs, marker, clipPath") || !tinta || (e.tagName === "path" && pinta(e, "fill"))) continue;
    const q = e.getPointAtLength(e.getTotalLength() / 2), p = q.matrixTransform(e.getScreenCTM());
    const atras = fundo(p.x, p.y, e);
    achados.push(["linha", e.outerHTML.slice(0, 120), razao(sobre(tinta, atras), atras)]);
  }
  return achados;
}"""


@pytest.fixture(scope="module")
def aba() -> Iterator[Page]:
    with sync_playwright() as motor:
        navegador = abre_navegador(motor)
        yield navegador.new_page(viewport={"width": 900, "height": 1200})
        navegador.close()


@pytest.mark.parametrize("svg", FIGURAS, ids=lambda p: p.stem)
def test_as_letras_da_figura_se_leem_na_coluna_do_celular(aba: Page, svg: Path) -> None:
    aba.set_content("<body></body>")
    letras = aba.evaluate(MEDE_SVG, [svg.read_text("utf-8"), COLUNA_NO_CELULAR])
    assert letras
    pequenas = [(texto, px) for texto, px in letras if px < MENOR_LETRA]
    assert not pequenas, f"{svg.name}: letra menor que {MENOR_LETRA} px na coluna do celular: {pequenas}"


@pytest.mark.parametrize("svg", FIGURAS, ids=lambda p: p.stem)
def test_textos_e_linhas_da_figura_contrastam_com_o_que_ha_atras(aba: Page, svg: Path) -> None:
    aba.set_content(f'<body style="margin: 0">{svg.read_text("utf-8")}</body>')
    aba.evaluate("document.querySelector('svg').setAttribute('width', 480)")
    achados = aba.evaluate(CONTRASTE)
    assert achados
    pior = {"texto": TEXTO, "linha": 0 if svg.name in LINHAS_CLARAS else LINHA}
    fracos = [(o_que, qual, round(r, 2)) for o_que, qual, r in achados if r < pior[o_que]]
    assert not fracos, f"{svg.name}: contraste fraco com o fundo: {fracos}"


# ---------------------------------------------------------------- os gráficos das células


def luz(cor: str) -> float:
    """A luminância relativa de uma cor em hexadecimal."""
    canais = [int(cor[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in canais)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contraste(cor: str) -> float:
    """Quanto a cor se destaca do papel, que é o fundo das figuras nos dois temas."""
    menor, maior = sorted((luz(cor), luz(COLORS["paper"])))
    return (maior + 0.05) / (menor + 0.05)


@pytest.mark.parametrize("nome", sorted(COLORS.keys() - {"paper"}))
def test_toda_cor_do_livro_se_ve_no_papel(nome: str) -> None:
    assert contraste(COLORS[nome]) >= LINHA


DE_TEXTO = {"text", "annotate", "set_title", "set_xlabel", "set_ylabel", "suptitle", "bar_label", "clabel"}


@pytest.mark.parametrize("md", paginas(), ids=lambda p: p.stem)
def test_o_texto_dos_graficos_e_de_uma_cor_que_se_le(md: Path) -> None:
    fracas = [
        f"{celula.pagina}:{celula.linha_do_codigo + no.lineno - 1}: {achado}"
        for celula in le_celulas(md, RAIZ)
        for no in ast.walk(celula.arvore())
        if isinstance(no, ast.Call) and getattr(no.func, "attr", "") in DE_TEXTO
        for k in no.keywords
        if k.arg in ("color", "c")
        for achado in re.findall(r"COLORS\['(\w+)'\]", ast.unparse(k.value))
        if achado != "paper" and contraste(COLORS[achado]) < TEXTO
    ]
    assert not fracas, f"texto de uma cor clara demais: use ink, text, token, attention ou loss: {fracas}"
