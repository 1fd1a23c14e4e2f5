"""O site aberto num navegador de verdade: nada vem de fora, nada quebra, tudo responde."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from ferramentas.celulas import Celula, le_celulas
from ferramentas.interface import BuscaSemAcento
from ferramentas.livro import RAIZ, numero_do_capitulo, paginas
from ferramentas.servidor import abre
from ferramentas.widgets import pecas
from navegador import CELULAR, MESA, Visita

DOCUMENTOS = [p.relative_to(RAIZ).with_suffix("").as_posix() for p in paginas()]
CAPITULOS = [d for d in DOCUMENTOS if numero_do_capitulo(d) is not None]
COM_CODIGO = [d for d in DOCUMENTOS if "```{code-cell}" in (RAIZ / f"{d}.md").read_text("utf-8")]
COLUNA_NO_CELULAR = 358  # pixels: a largura do texto numa tela de 390
PONTOS_POR_POLEGADA = 110  # o figure.dpi de book_style
MENOR_LETRA = 11  # pixels, das letras das figuras, numa tela de 390

# Figuras em que alguma letra fica menor no celular: o arquivo, ou o rótulo, e por quê.
LETRA_MIUDA: dict[str, str] = {}

MEDE_SVG = """([texto, largura]) => {  // cada texto do SVG e a altura da letra, com a figura nesta largura
  const lugar = document.body.appendChild(document.createElement("div"));
  lugar.style.cssText = "position: absolute; left: 0; top: 0";
  lugar.innerHTML = texto.slice(texto.indexOf("<svg"));
  const svg = lugar.querySelector("svg");
  svg.setAttribute("width", largura);
  svg.removeAttribute("height");
  const proprio = (t) => [...t.childNodes].filter((n) => n.nodeType === 3)
    .map((n) => n.textContent).join("").trim();
  const letras = [...svg.querySelectorAll("text, tspan")].filter(proprio).map((t) => {
    const m = t.getScreenCTM();
    return [proprio(t), parseFloat(getComputedStyle(t).fontSize) * Math.hypot(m.a, m.b)];
  });
  lugar.remove();
  return letras;
}"""


# ---------------------------------------------------------------- toda página


def o_que_sai_da_coluna(aba: Page) -> list[str]:
    """Os textos e as figuras do artigo que passam da borda direita dele, salvo no que rola por si."""
    return aba.evaluate(
        """() => {
          const artigo = document.querySelector("article"), borda = artigo.getBoundingClientRect().right + 1;
          const rola = "pre, .pst-scrollable-table-container, div.formula, .cell_output";
          return [...artigo.querySelectorAll("p, figure, img, code, table, dl, dt, dd, li, h1, h2, h3")]
            .filter((e) => !e.parentElement.closest(rola) && e.getBoundingClientRect().right > borda)
            .map((e) => `${e.tagName} ${e.textContent.slice(0, 50)}`);
        }"""
    )


def rotulos_em_ingles(aba: Page) -> list[str]:
    """O que os programas que fazem o site acrescentam aos botões, e que ficou por traduzir."""
    nomes = ["aria-label", "data-tooltip", "data-toggle-hint", "data-bs-original-title", "placeholder"]
    rotulos = aba.locator("body *").evaluate_all(
        "(e, nomes) => e.flatMap((x) => nomes.map((n) => x.getAttribute(n)))", nomes
    )
    em_ingles = re.compile(r"\b(toggle|copy|copied|click|show|hide|search|skip|back to|color mode)\b", re.I)
    return sorted({r for r in rotulos if r and em_ingles.search(r)})


def abre_inteira(v: Visita, documento: str) -> None:
    """A página abre sem pedir nada de fora e sem erro, com as fórmulas desenhadas e tudo na coluna."""
    aba = v.aba
    assert v.de_fora == []
    assert v.erros == []
    assert aba.locator('link[rel="icon"]').count() == 1
    com_codigo = documento in CAPITULOS or documento.startswith("book/oficina/")
    limite = 4_000_000 if com_codigo else 1_500_000
    assert 0 < v.bytes < limite, f"{documento}: {v.bytes / 1e6:.1f} MB"
    largos = [] if documento == "search" else o_que_sai_da_coluna(aba)
    assert not largos, f"{documento}.md: passa da largura da coluna; quebre a linha ou diminua: {largos}"
    assert documento not in CAPITULOS or rotulos_em_ingles(aba) == []


def menor_fonte(celula: Celula, da_pagina: list[Celula]) -> float:
    """A menor letra, em pontos, que a célula de uma figura pede; as de `book_style` são 12 e 13.

    Vale o que dizem a célula e as funções da página que ela chama.
    """
    nos = [no for c in da_pagina for no in ast.walk(c.arvore())]
    funcoes = {no.name: no for no in nos if isinstance(no, ast.FunctionDef)}
    chamadas = {no.id for no in ast.walk(celula.arvore()) if isinstance(no, ast.Name)}
    nomes = ("fontsize", "labelsize", "title_fontsize", "size")
    pedidas = [
        k.value.value
        for arvore in (celula.arvore(), *(funcoes[f] for f in chamadas & funcoes.keys()))
        for no in ast.walk(arvore)
        if isinstance(no, ast.Call)
        for k in no.keywords
        if k.arg in nomes and isinstance(k.value, ast.Constant) and isinstance(k.value.value, (int, float))
    ]
    return min([12, *pedidas])


def letras_das_figuras(aba: Page, documento: str) -> list[tuple[str, float]]:
    """A menor letra de cada figura da página, em pixels, na largura em que a tela a mostra.

    Num SVG, mede-se cada texto; num gráfico, sabe-se a letra que a célula pediu e quanto a imagem encolheu.
    """
    aba.evaluate(
        """() => {
          document.querySelectorAll("details").forEach((d) => { d.open = true; });
          document.querySelectorAll(".toggle-hidden").forEach((e) => e.classList.remove("toggle-hidden"));
          document.querySelectorAll("img").forEach((i) => { i.loading = "eager"; });
        }"""
    )
    aba.wait_for_function("[...document.querySelectorAll('article img')].every((i) => i.complete)")
    imagens = aba.locator("article img").evaluate_all(
        """(imagens) => Promise.all(imagens.map(async (i) => {
          const fonte = new URL(i.src), figura = i.closest("figure");
          const svg = fonte.pathname.endsWith(".svg") ? await (await fetch(i.src)).text() : null;
          return [fonte.pathname.split("/").pop(), figura?.id ?? "", i.getBoundingClientRect().width,
                  i.naturalWidth, svg, Boolean(i.closest(".cell_output"))];
        }))"""
    )
    fonte = RAIZ / f"{documento}.md"
    celulas = le_celulas(fonte, RAIZ) if fonte.exists() else []
    linhas = fonte.read_text("utf-8").split("\n") if celulas else []
    das_figuras = {
        achado[1]: c
        for c in celulas
        for linha in linhas[c.linha : c.linha_do_codigo]
        if (achado := re.match(r":figura: (\S+)", linha))
    }
    menores = []
    for nome, rotulo, largura, natural, svg, de_celula in imagens:
        if svg is not None:
            textos = aba.evaluate(MEDE_SVG, [svg, largura])
            menores += [(f"{nome} ({texto})", px) for texto, px in sorted(textos, key=lambda t: t[1])[:1]]
        elif de_celula:
            pontos = menor_fonte(das_figuras[rotulo], celulas) if rotulo in das_figuras else 12
            menores.append((rotulo or nome, pontos * PONTOS_POR_POLEGADA / 72 * largura / natural))
    return menores


def letras_se_leem_no_celular(aba: Page, documento: str) -> None:
    """Nenhuma letra de figura é menor que `MENOR_LETRA`. Vem no fim, porque abre o que estava recolhido."""
    aba.set_viewport_size(CELULAR)
    miudas = [(n, round(px, 1)) for n, px in letras_das_figuras(aba, documento) if px < MENOR_LETRA]
    miudas = [(n, px) for n, px in miudas if n.split(" (")[0] not in LETRA_MIUDA]
    assert not miudas, f"{documento}.md: letra menor que 11 px numa tela de 390: {miudas}"


def cabe_no_celular(aba: Page, documento: str) -> None:
    """Na tela estreita a página não rola para o lado, e o botão do Colab está à vista."""
    aba.set_viewport_size(CELULAR)
    assert aba.evaluate("document.documentElement.scrollWidth") <= CELULAR["width"]
    largos = [] if documento == "search" else o_que_sai_da_coluna(aba)
    assert not largos, f"{documento}.md: não cabe em 390 px; quebre a linha ou diminua: {largos}"
    if documento in COM_CODIGO:
        botao = aba.get_by_role("link", name="Abrir no Colab").first
        caixa = botao.bounding_box()
        assert botao.is_visible() and caixa["x"] >= 0 and caixa["x"] + caixa["width"] <= CELULAR["width"]
    aba.set_viewport_size(MESA)


def baixa_o_notebook(aba: Page, documento: str, pasta: Path) -> None:
    """O botão de baixar dá o notebook do repositório."""
    with aba.expect_download() as espera:
        aba.get_by_role("link", name="Baixar o notebook desta página").click()
    nome = f"{documento.removeprefix('book/')}.ipynb"
    assert espera.value.suggested_filename == Path(nome).name
    espera.value.save_as(pasta / "baixado.ipynb")
    assert (pasta / "baixado.ipynb").read_bytes() == (RAIZ / "notebooks" / nome).read_bytes()
    assert json.loads((pasta / "baixado.ipynb").read_text("utf-8"))["nbformat"] == 4


def preparo_e_solucoes_abrem(aba: Page) -> None:
    """A célula de preparo e as soluções começam recolhidas, e abrem."""
    preparo = aba.locator(".preparo-do-colab")
    assert preparo.count() == 1 and not preparo.locator("pre").is_visible()
    assert preparo.bounding_box()["height"] < 40
    solucao = aba.locator(".solution").first
    assert solucao.count(), (
        f"{aba.url}: nenhum exercício com solução; um capítulo tem ao menos um: {{exercise}} e, logo depois, "
        "{solution-start} com :class: dropdown e {solution-end}"
    )
    assert solucao.locator(".admonition-title").inner_text().startswith("Solução")
    assert not solucao.locator("section").is_visible()
    botao = solucao.locator("button.toggle-button")
    assert botao.get_attribute("data-toggle-hint") == "Clique para mostrar"
    botao.click()
    assert solucao.locator("section").is_visible()
    assert botao.get_attribute("data-toggle-hint") == "Clique para ocultar"


@pytest.mark.parametrize("documento", [*DOCUMENTOS, "search"])
def test_cada_pagina(visita: Callable[..., Visita], documento: str, tmp_path: Path) -> None:
    """Cada página se abre uma vez, que é o que demora, e nela se confere tudo."""
    v = visita()
    aba = v.abre(documento)
    abre_inteira(v, documento)
    cabe_no_celular(aba, documento)
    if documento in COM_CODIGO:
        baixa_o_notebook(aba, documento, tmp_path)
    if documento in CAPITULOS:
        preparo_e_solucoes_abrem(aba)
    letras_se_leem_no_celular(aba, documento)


# ---------------------------------------------------------------- busca


@pytest.mark.parametrize(
    ("pergunta", "pagina"),
    [
        ("atenção", "book/03-atencao.html"),
        ("atencao", "book/03-atencao.html"),
        ("Kneser-Ney", "book/01-introducao.html"),
        ("fusões", "book/02-dados.html"),
        ("fusao", "book/02-dados.html"),
        ("SlidingWindowDataset", "book/api.html"),
    ],
)
def test_a_busca_acha_o_capitulo(visita: Callable[..., Visita], pergunta: str, pagina: str) -> None:
    v = visita()
    aba = v.abre("search", f"?q={pergunta}")
    aba.locator("#search-results li a").first.wait_for()
    enderecos = aba.locator("#search-results li a").evaluate_all("a => a.map(e => e.getAttribute('href'))")
    achados = [re.split("[#?]", e)[0] for e in enderecos]
    assert pagina in achados[:4]
    assert re.fullmatch(r"Páginas encontradas: \d+\.", aba.locator(".search-summary").inner_text())
    assert v.erros == []


def test_o_trecho_da_busca_mostra_a_palavra_mesmo_sem_acento_na_pergunta(
    visita: Callable[..., Visita],
) -> None:
    aba = visita().abre("search", "?q=distribuicao")
    trecho = aba.locator("#search-results li p.context").first
    trecho.wait_for()
    assert "distribuiç" in trecho.inner_text().lower()


def test_a_busca_sem_resultado_diz_que_nao_achou(visita: Callable[..., Visita]) -> None:
    aba = visita().abre("search", "?q=xyzzyxyzzy")
    aba.get_by_text("Nenhuma página tem essas palavras.").wait_for()


def test_o_radical_do_navegador_e_o_do_indice(visita: Callable[..., Visita]) -> None:
    palavras = [
        "atenção",
        "Tokenizações",
        "fusões",
        "ÍNDICE",
        "pré-treino",
        "aprendizado",
        "bytes",
        "você",
        "n-gramas",
    ]
    aba = visita().abre("search")
    no_navegador = aba.evaluate(
        "p => { const s = new Stemmer(); return p.map((w) => s.stemWord(w)); }", palavras
    )
    assert no_navegador == [BuscaSemAcento({}).stem(p) for p in palavras]


def test_a_busca_pelo_teclado(visita: Callable[..., Visita]) -> None:
    aba = visita().abre("book/index")
    assert aba.locator("input[type=search]:visible").count() == 0
    aba.keyboard.press("Control+k")
    campo = aba.locator("input[type=search]:visible")
    assert campo.count() == 1 and campo.get_attribute("placeholder") == "Buscar no livro"
    campo.fill("vocabulário")
    campo.press("Enter")
    aba.wait_for_url("**/search.html?q=*")
    aba.locator("#search-results li a").first.wait_for()


@pytest.mark.parametrize(("tela", "classe"), [(MESA, "search-button-field"), (CELULAR, "search-button")])
def test_ha_um_so_botao_de_busca_a_vista(visita: Callable[..., Visita], tela: dict, classe: str) -> None:
    aba = visita(viewport=tela).abre("book/index")
    botoes = aba.locator(".search-button__button:visible")
    assert botoes.count() == 1
    assert classe in botoes.get_attribute("class").split()


# ---------------------------------------------------------------- tema, código, notebook, menus


def cor_de_fundo(aba: Page) -> str:
    return aba.evaluate("getComputedStyle(document.body).backgroundColor")


def test_o_tema_alterna_e_fica_guardado(visita: Callable[..., Visita]) -> None:
    aba = visita().abre(CAPITULOS[0])
    assert cor_de_fundo(aba) == "rgb(251, 248, 241)"
    botao = aba.locator(".theme-switch-button:visible").first
    for _ in range(3):
        botao.click()
        if aba.evaluate("document.documentElement.dataset.theme") == "dark":
            break
    assert cor_de_fundo(aba) == "rgb(22, 29, 36)"
    aba.reload(wait_until="networkidle")
    assert cor_de_fundo(aba) == "rgb(22, 29, 36)"


def test_o_tema_segue_o_sistema_e_nao_lava_as_figuras(visita: Callable[..., Visita]) -> None:
    aba = visita(color_scheme="dark").abre(CAPITULOS[0])
    assert aba.evaluate("document.documentElement.dataset.theme") == "dark"
    filtros = aba.locator("article img").evaluate_all(
        "imagens => imagens.map(i => getComputedStyle(i).filter)"
    )
    assert filtros and set(filtros) == {"none"}


def test_o_botao_de_copiar_copia_a_celula(visita: Callable[..., Visita]) -> None:
    v = visita(permissions=["clipboard-read", "clipboard-write"])
    aba = v.abre(CAPITULOS[0])
    celula = aba.locator("div.cell_input:visible").first
    celula.scroll_into_view_if_needed()
    celula.hover()
    botao = celula.locator("button.copybtn")
    assert botao.get_attribute("data-tooltip") == "Copiar"
    botao.click()
    assert botao.get_attribute("data-tooltip") == "Copiado"
    copiado = aba.evaluate("navigator.clipboard.readText()")
    assert copiado.strip() == celula.locator("pre").inner_text().strip() != ""


def test_o_menu_da_pagina_abre_com_repositorio_edicao_e_issue(visita: Callable[..., Visita]) -> None:
    aba = visita(viewport=CELULAR).abre(CAPITULOS[0])
    aba.get_by_role("button", name="Repositório, edição e issues").click()
    for nome in ("Repositório", "Sugerir edição", "Abrir uma issue"):
        item = aba.locator(".dropdown-menu a", has_text=nome)
        caixa = item.bounding_box()
        assert item.is_visible() and caixa["x"] >= 0 and caixa["x"] + caixa["width"] <= CELULAR["width"]


def test_no_celular_o_sumario_abre_e_leva_ao_capitulo(visita: Callable[..., Visita]) -> None:
    aba = visita(viewport=CELULAR).abre("book/index")
    ligacao = aba.locator("nav.bd-docs-nav a", has_text="Introdução")
    assert not ligacao.is_visible()
    aba.get_by_role("button", name="Sumário do livro").first.click()
    ligacao.click()
    aba.wait_for_url("**/01-introducao.html")


# ---------------------------------------------------------------- citar


@pytest.mark.parametrize(("tela", "tema"), [(MESA, "light"), (CELULAR, "dark")])
def test_o_botao_citar_abre_copia_e_devolve_o_foco(
    visita: Callable[..., Visita], tela: dict, tema: str
) -> None:
    v = visita(viewport=tela, color_scheme=tema, permissions=["clipboard-read", "clipboard-write"])
    v.aba.clock.set_fixed_time("2026-11-30T12:00:00")
    aba = v.abre(CAPITULOS[0])
    botao = aba.get_by_role("button", name="Citar esta página")
    caixa = botao.bounding_box()
    assert caixa["x"] >= 0 and caixa["x"] + caixa["width"] <= tela["width"]
    botao.press("Enter")
    dialogo = aba.get_by_role("dialog", name="Citar esta página")
    assert dialogo.is_visible()
    assert aba.evaluate("document.activeElement.getAttribute('aria-label')") == "Fechar"
    assert aba.evaluate("document.documentElement.scrollWidth") <= tela["width"]
    dialogo.get_by_role("button", name="Copiar em ABNT").click()
    dialogo.get_by_text("Copiado.").wait_for()
    assert aba.evaluate("navigator.clipboard.readText()").endswith("Acesso em: 30 nov. 2026.")
    rico = aba.evaluate(
        "async () => (await (await navigator.clipboard.read())[0].getType('text/html')).text()"
    )
    assert re.search(r"<strong[^>]*>Fazendo um LLM do Zero</strong>", rico)
    aba.keyboard.press("Escape")
    assert not dialogo.is_visible()
    assert aba.evaluate("document.activeElement.getAttribute('aria-label')") == "Citar esta página"
    assert v.erros == []


def test_sem_javascript_o_botao_citar_leva_a_pagina(visita: Callable[..., Visita]) -> None:
    v = visita(java_script_enabled=False)
    v.aba.goto(f"{v.endereco}{CAPITULOS[0]}.html")
    botao = v.aba.get_by_role("link", name="Citar esta página")
    assert botao.get_attribute("href") == "como-citar.html"
    v.aba.goto(f"{v.endereco}book/como-citar.html")
    assert "[data do acesso]" in v.aba.locator("article").inner_text()


# ---------------------------------------------------------------- as figuras em que se mexe


def test_na_pagina_experimente_toda_peca_vive(visita: Callable[..., Visita]) -> None:
    v = visita()
    aba = v.abre("book/experimente")
    caixas = aba.locator(".widget")
    assert caixas.count() == len(pecas())
    for n in range(caixas.count()):
        caixas.nth(n).scroll_into_view_if_needed()
    aba.wait_for_function("!document.querySelector('.widget:not([data-estado])')", timeout=20_000)
    assert aba.locator('.widget:not([data-estado="viva"])').count() == 0
    assert v.erros == [] and v.de_fora == []


@pytest.mark.parametrize("documento", ["book/index", CAPITULOS[0]])
def test_sem_javascript_a_pagina_mostra_as_figuras_paradas(
    visita: Callable[..., Visita], documento: str
) -> None:
    v = visita(java_script_enabled=False)
    v.aba.goto(f"{v.endereco}{documento}.html")
    paradas = v.aba.locator(".widget-estatico")
    assert paradas.count() >= 1 and all(paradas.nth(n).is_visible() for n in range(paradas.count()))


# ---------------------------------------------------------------- make pagina


def test_a_pagina_servida_recarrega_quando_se_constroi_de_novo(navegador: Browser, tmp_path) -> None:
    pagina = tmp_path / "a.html"
    pagina.write_text("<html><body>erro de digitasão</body></html>", "utf-8")
    servidor = abre(8000, tmp_path)
    servidor.versao = "1"
    aba = navegador.new_page()
    idas: list[str] = []
    aba.on("framenavigated", lambda quadro: idas.append(quadro.url))
    aba.goto(f"{servidor.endereco}a.html")
    aba.wait_for_timeout(1200)  # a versão é a mesma: nada recarrega
    assert len(idas) == 1
    pagina.write_text("<html><body>erro de digitação</body></html>", "utf-8")
    servidor.versao = "2"
    aba.get_by_text("erro de digitação").wait_for(timeout=5000)
    aba.wait_for_timeout(1200)
    assert len(idas) == 2
    aba.close()
    servidor.shutdown()
    servidor.server_close()
