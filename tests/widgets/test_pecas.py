"""O que se pede de toda peça de `widgets/pecas/`: monta, serve ao teclado e ao dedo, lê-se, nada a quebra."""

from __future__ import annotations

import re

import pytest

from ferramentas.livro import nome_da_pagina, paginas
from ferramentas.widgets import PASTA, pecas
from homellm.plots import COLORS
from navegador import CELULAR

PECAS = pecas()
ESTREITO = {"width": 320, "height": 640}
CONTROLES = "button, input, select, textarea, summary, a[href], [tabindex='0'], [role=button], [role=slider]"
ALVO = 40  # pixels: o menor lado de um alvo para o dedo
RUINS = {
    "vazia": "",
    "enorme": "palavra " * 12_500,
    "controle": "a\x00b\x07c\x1b[31m\x7f\x9f\r\n\t d",
    "emojis": "👩‍👩‍👧‍👦🏳️‍🌈" * 3000,
    "torta": "<script>alert(1)</script> \ud83d x \u202e ﷽ ",
}
# cada texto à vista, a razão entre a cor dele e o que há atrás, e a altura da letra
CONTRASTE = """() => {
  document.head.append(Object.assign(document.createElement("style"),
    {textContent: "* { pointer-events: auto !important; transition: none !important }"}));
  const cor = (c) => { const n = c.match(/[\\d.]+/g).map(Number); return n.length < 4 ? [...n, 1] : n; };
  const sobre = (c, fundo) => c.slice(0, 3).map((v, i) => v * c[3] + fundo[i] * (1 - c[3]));
  const luz = (c) => { const [r, g, b] = c.map((v) => { v /= 255;
    return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const razao = (a, b) => { const [x, y] = [luz(a), luz(b)].sort((m, n) => n - m);
    return (x + 0.05) / (y + 0.05); };
  const rgb = (c) => { const tela = rgb.tela ??= document.createElement("canvas").getContext("2d");
    if (/^rgb/.test(c)) return cor(c);
    tela.clearRect(0, 0, 1, 1); tela.fillStyle = c; tela.fillRect(0, 0, 1, 1);
    const d = tela.getImageData(0, 0, 1, 1).data; return [d[0], d[1], d[2], d[3] / 255]; };
  const opaco = (e) => { let o = 1; for (; e && e.nodeType === 1; e = e.parentNode)
    o *= parseFloat(getComputedStyle(e).opacity); return o; };
  const pintura = (e, x, y) => { const s = getComputedStyle(e);
    if (!(e instanceof SVGElement) || e.tagName === "svg") return rgb(s.backgroundColor);
    if (/^(text|tspan)$/.test(e.tagName)) return null;
    const p = new DOMPoint(x, y).matrixTransform(e.getScreenCTM().inverse());
    const qual = s.fill !== "none" && e.isPointInFill(p) ? "fill" : "stroke";
    if (!/^[rc]/.test(s[qual])) return null;
    const c = rgb(s[qual]); c[3] *= parseFloat(s[`${qual}Opacity`]) * opaco(e); return c; };
  const achados = [];
  const andador = document.createTreeWalker(document.querySelector(".widget"), NodeFilter.SHOW_TEXT);
  while (andador.nextNode()) {
    const no = andador.currentNode, dono = no.parentElement;
    if (!no.textContent.trim() || dono.closest(".w-so-leitor, option, title, [disabled]")) continue;
    if (!dono.checkVisibility()) continue;
    dono.scrollIntoView({block: "center", inline: "nearest"});
    const faixa = document.createRange(); faixa.selectNodeContents(no);
    const r = faixa.getClientRects()[0];
    if (!r || !r.width || getComputedStyle(dono).visibility === "hidden") continue;
    const x = r.x + r.width / 2, y = r.y + r.height / 2;
    let atras = [255, 255, 255];
    for (const e of document.elementsFromPoint(x, y).reverse()) {
      const c = pintura(e, x, y); if (c) atras = sobre(c, atras);
    }
    const s = getComputedStyle(dono), tinta = rgb(dono instanceof SVGElement ? s.fill : s.color);
    tinta[3] *= opaco(dono);
    const m = dono instanceof SVGElement ? dono.getScreenCTM().a : 1;
    const texto = no.textContent.trim().slice(0, 40);
    achados.push([texto, razao(sobre(tinta, atras), atras), parseFloat(s.fontSize) * m]);
  }
  return achados;
}"""
PEQUENOS = """([controles, alvo]) => [...document.querySelectorAll(".widget-vivo *")]
  .filter((e) => e.matches(controles) && e.checkVisibility())
  .map((e) => { const r = [e, ...(e.labels ?? [])].map((x) => x.getBoundingClientRect());
    return [e.outerHTML.slice(0, 90), Math.max(...r.map((x) => x.width)),
      Math.max(...r.map((x) => x.height))]; })
  .filter(([, w, h]) => w < alvo - 0.5 || h < alvo - 0.5)"""
VIVOS = """(controles) => [...document.querySelectorAll(".widget-vivo *")]
  .filter((e) => e.matches(controles) && e.checkVisibility() && !e.disabled)"""


def test_ha_pecas():
    assert len(PECAS) >= 5


def test_toda_peca_esta_na_pagina_experimente_e_noutra() -> None:
    textos = {nome_da_pagina(md): md.read_text("utf-8") for md in paginas()}
    onde = {nome: re.findall(r"(?m)^:::\{widget\} (\S+)", texto) for nome, texto in textos.items()}
    assert sorted(onde.pop("book/experimente")) == PECAS
    assert sorted(nome for nomes in onde.values() for nome in nomes) == PECAS


def test_as_cores_das_pecas_sao_as_das_figuras():
    folha = (PASTA / "widgets.css").read_text("utf-8")
    claras = dict(re.findall(r"--w-(\w+): (#\w+);", folha[: folha.index("@media")]))
    assert claras == {nome: cor for nome, cor in COLORS.items() if nome not in ("ink", "paper")}


@pytest.mark.parametrize("nome", PECAS)
def test_monta_carrega_e_fala(peca, nome: str) -> None:
    p = peca(nome)
    p.carrega()
    assert p.erros == []
    assert not p.aba.locator(".widget-estatico").is_visible()
    assert p.caixa.get_attribute("role") == "group"
    assert p.aba.get_by_role("group", name=f"A peça {nome}", exact=True).count() == 1
    assert p.vivo.locator("[aria-live=polite], [role=status]").count() >= 1
    mudos = p.vivo.locator("button, input, textarea, select").evaluate_all(
        "(e) => e.filter((x) => !(x.textContent.trim() || x.labels?.length || x.getAttribute('aria-label')"
        " || x.getAttribute('aria-labelledby'))).map((x) => x.outerHTML)"
    )
    assert mudos == [], "controle sem nome"
    falas = p.vivo.locator("[aria-live=polite]").all_text_contents()
    assert any(falas) or not p.vivo.locator("[aria-live=polite]").count() or nome in SO_FALAM_DEPOIS


SO_FALAM_DEPOIS = {"ngrama"}  # o que não tem o que dizer antes do primeiro gesto


@pytest.mark.parametrize("nome", PECAS)
def test_o_teclado_alcanca_e_aciona_tudo(peca, nome: str) -> None:
    p = peca(nome)
    p.carrega()
    p.aba.evaluate("document.activeElement.blur()")
    p.aba.evaluate(
        f"window.esperados = new Set(({VIVOS})(`{CONTROLES}`)); window.vistos = new Set();"
        "addEventListener('focusin', (e) => window.vistos.add(e.target))"
    )
    total = p.aba.evaluate("window.esperados.size")
    assert total > 0, "nada em que mexer"
    p.aba.locator("h1").click()
    for _ in range(total + 12):
        p.aba.keyboard.press("Tab")
    # num grupo em que se anda com as setas, o Tab para num só
    perdidos = p.aba.evaluate(
        """(() => { const grupo = (e) => e.closest(".widget-vivo [role]"), vistos = [...window.vistos];
          return [...window.esperados].filter((e) => e.isConnected && !window.vistos.has(e)
            && !(e.tabIndex < 0 && grupo(e) && vistos.some((v) => grupo(v) === grupo(e))))
            .map((e) => e.outerHTML.slice(0, 90)); })()"""
    )
    assert perdidos == []
    for n in range(min(total, 14)):  # e cada um responde, sem erro
        controles = p.vivo.locator(CONTROLES).locator("visible=true")
        if n >= controles.count() or controles.nth(n).is_disabled():
            continue
        controles.nth(n).focus()
        if controles.nth(n).evaluate("(e) => e.tagName === 'TEXTAREA' || e.type === 'text'"):
            p.aba.keyboard.type("x")
        else:
            p.aba.keyboard.press("ArrowRight")
            p.aba.keyboard.press("Enter")
    p.aba.wait_for_timeout(300)
    assert p.erros == []


@pytest.mark.parametrize("nome", PECAS)
def test_serve_ao_dedo_e_cabe_na_tela_estreita(peca, nome: str) -> None:
    p = peca(nome, viewport=CELULAR)
    for carregada in (False, True):
        if carregada:
            p.carrega()
            p.aba.wait_for_timeout(200)
        for tela in (CELULAR, ESTREITO):
            p.aba.set_viewport_size(tela)
            p.aba.wait_for_timeout(100)
            largura = p.aba.evaluate("document.documentElement.scrollWidth")
            assert largura <= tela["width"], f"rola para o lado: {largura} em {tela['width']}"
            pequenos = p.aba.evaluate(PEQUENOS, [CONTROLES, ALVO])
            assert pequenos == [], f"alvo com menos de {ALVO} px em {tela['width']}"


@pytest.mark.parametrize("tema", ["light", "dark"])
@pytest.mark.parametrize("nome", PECAS)
def test_todo_texto_contrasta_e_nenhum_e_miudo(peca, nome: str, tema: str) -> None:
    p = peca(nome, tema=tema, viewport=CELULAR)
    p.carrega()
    p.aba.wait_for_timeout(200)
    achados = p.aba.evaluate(CONTRASTE)
    assert achados
    fracos = [(t, round(r, 2)) for t, r, _ in achados if r < 4.5]
    assert fracos == [], f"contraste fraco no tema {tema}"
    miudos = [(t, round(px, 1)) for t, _, px in achados if px < 11]
    assert miudos == [], "letra com menos de 11 px numa tela de 390"


@pytest.mark.parametrize("nome", PECAS)
def test_entrada_ruim_nao_quebra(peca, nome: str) -> None:
    p = peca(nome)
    p.carrega()
    campos = p.vivo.locator("textarea, input[type=text], input:not([type])")
    for entrada in RUINS.values():
        for n in range(campos.count()):
            campos.nth(n).evaluate(
                "(e, texto) => { e.value = texto; e.dispatchEvent(new Event('input', {bubbles: true}));"
                " e.dispatchEvent(new Event('change', {bubbles: true})); }",
                entrada,
            )
        p.aba.wait_for_timeout(250)
        p.aba.evaluate("() => new Promise((r) => requestAnimationFrame(r))")
        assert p.erros == [], entrada[:20]
        assert p.caixa.get_attribute("data-estado") == "viva"
        assert p.aba.evaluate("document.documentElement.scrollWidth <= innerWidth"), entrada[:20]
    if campos.count():  # e segue funcionando
        campos.first.fill("O sino da praça")
        p.aba.wait_for_timeout(400)
        assert p.erros == []
        texto = p.vivo.inner_text()
        assert "undefined" not in texto and "NaN" not in texto


@pytest.mark.parametrize("nome", PECAS)
def test_sem_o_que_carregar_diz_uma_frase_e_o_botao_volta(peca, nome: str) -> None:
    p = peca(nome)
    botao = p.vivo.locator(".w-espera button")
    if not botao.count():
        return
    p.aba.route(re.compile(r"_static/(modelos|widgets/dados)/"), lambda rota: rota.abort())
    botao.click()
    p.vivo.get_by_text("Não carregou").wait_for()
    assert botao.is_enabled() and p.aba.locator(".widget-estatico").is_visible()
    p.aba.unroute_all()
    p.carrega()  # e, com a rede de volta, carrega
    assert not p.aba.locator(".widget-estatico").is_visible()


def test_sem_javascript_ve_se_o_estatico(peca) -> None:
    p = peca(PECAS[0], espera=False, java_script_enabled=False)
    assert p.aba.locator(".widget-estatico").is_visible() and p.vivo.count() == 0


def test_na_impressao_ve_se_o_estatico(peca) -> None:
    p = peca(PECAS[0])
    p.aba.emulate_media(media="print")
    assert p.aba.locator(".widget-estatico").is_visible() and not p.vivo.is_visible()
    assert not p.aba.locator(".widget-titulo").is_visible()


def test_peca_que_nao_abre_deixa_o_estatico_e_diz_uma_frase(peca) -> None:
    p = peca("nenhuma", espera=False)
    p.aba.get_by_text("A figura em que se mexe não abriu").wait_for()
    assert p.aba.locator(".widget-estatico").is_visible() and p.vivo.count() == 0


def test_peca_que_falha_no_meio_nao_deixa_restos(peca) -> None:
    p = peca("nenhuma", espera=False)
    p.aba.route("**/pecas/nenhuma.js", lambda rota: rota.fulfill(content_type="text/javascript", body=MEIA))
    p.aba.reload()
    p.aba.get_by_text("A figura em que se mexe não abriu").wait_for()
    assert p.aba.locator(".widget-estatico").is_visible() and p.vivo.count() == 0
    assert "metade" not in p.caixa.inner_text() and p.aba.locator(".widget-titulo").count() == 0


MEIA = 'export default (box) => { box.append("metade"); throw new Error("parou"); };'


def test_longe_da_tela_a_peca_nao_se_carrega(peca) -> None:
    p = peca(PECAS[0], espera=False)
    p.aba.goto("about:blank")
    pedidas: list[str] = []
    p.aba.on("request", lambda r: pedidas.append(r.url))
    p.aba.add_init_script(
        "addEventListener('DOMContentLoaded', () => document.querySelector('h1').style.height = '4000px')"
    )
    p.aba.goto(f"{p.visita.endereco}peca.html?nome={PECAS[0]}&tema=light", wait_until="networkidle")
    assert not [u for u in pedidas if "/pecas/" in u]
    p.caixa.scroll_into_view_if_needed()
    p.aba.locator('.widget[data-estado="viva"]').wait_for()
