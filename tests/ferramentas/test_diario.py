"""O diário de bordo: os posts do livro, e, num livro de brinquedo, a lista, o feed e a postagem."""

from __future__ import annotations

import datetime
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from urllib.parse import urlsplit

import pytest
import yaml
from docutils import nodes

from brinquedo import REPO, Livro, restos_de_myst
from ferramentas import diario, imagens, postagem
from ferramentas.lint import revisa, so_prosa
from ferramentas.livro import ErroDoLivro, enderecos

PUBLICOS = enderecos()  # o livro de brinquedo usa o `_config.yml` de verdade
DO_LIVRO = diario.posts(REPO)


def texto_de(post: diario.Post) -> str:
    return (REPO / f"{post.docname}.md").read_text("utf-8")


# ---------------------------------------------------------------- os posts do livro


def test_ha_um_post_por_capitulo_em_datas_que_sobem_com_ele():
    do_mais_velho = list(reversed(DO_LIVRO))
    assert list(dict.fromkeys(p.capitulo for p in do_mais_velho))[:7] == list(range(1, 8))
    assert len({p.data for p in DO_LIVRO}) == len(DO_LIVRO)
    for post in DO_LIVRO:
        assert post.docname.startswith(f"{diario.PASTA}{post.data.isoformat()}-")
        assert 1 <= len(post.etiquetas) <= 4


@pytest.mark.parametrize("post", DO_LIVRO, ids=lambda p: p.data.isoformat())
def test_o_post_tem_de_600_a_900_palavras_e_uma_figura_com_texto_alternativo(post):
    texto = texto_de(post)
    prosa = re.sub(r"(?ms)^```\{image\}.*?^```$|\]\([^)]*\)|\{[a-z:]+\}", "", so_prosa(texto))
    assert 600 <= len(re.findall(r"\w[\w’-]*", prosa)) <= 900
    figuras = re.findall(r"(?m)^```\{image\} \.\./figuras/(\S+\.svg)\n((?::.*\n)+)```$", texto)
    assert len(figuras) == texto.count("{image}") + texto.count("![") == 1
    ((nome, opcoes),) = figuras
    assert (REPO / "book/figuras" / nome).is_file()
    assert len(re.search(r"(?m)^:alt: \"?(.+)$", opcoes)[1]) > 60


def test_os_posts_nao_usam_aspas_que_nao_sao_do_brasil():
    assert [p.docname for p in DO_LIVRO if re.search(r"[«»]", texto_de(p))] == []


@pytest.mark.parametrize("post", DO_LIVRO, ids=lambda p: p.data.isoformat())
def test_o_png_da_figura_do_post_e_o_do_svg_de_hoje(post):
    """O Medium não aceita SVG: o PNG fica no repositório, e `make postagem` o refaz se o desenho mudou."""
    nome = re.search(r"\.\./figuras/(\S+)\.svg", texto_de(post))[1]
    png = REPO / imagens.PASTA / f"{nome}.png"
    assert imagens.em_dia(png, (REPO / f"book/figuras/{nome}.svg").read_bytes())


# ---------------------------------------------------------------- num livro de brinquedo


POST = """\
---
data: {data}
capitulo: {capitulo}
etiquetas: [python, portugues]
---

# {titulo}

A frase que abre o {capitulo}, com [*uma* ligação](../03-tres.md). E outra frase.

```{{image}} ../figuras/logo.svg
:alt: O logo
```

## Um intervalo

O {{ref}}`cap-tres`, a {{numref}}`fig-tres`, o {{term}}`token` e $10^{{-3}}$.

$$
\\frac{{a}}{{b}}
$$
"""
INDICE = "(diario)=\n# Diário de bordo\n\nO que se construiu.\n\n```{diario}\n```\n"
PARTE = """\
  - caption: Diário
    chapters:
      - file: book/diario/index
        sections:
          - file: book/diario/2026-12-01-dois
          - file: book/diario/2026-11-30-um
"""


@pytest.fixture(scope="module")
def livro(tmp_path_factory) -> Livro:
    """O de brinquedo, com dois posts, construído uma vez."""
    livro = Livro(tmp_path_factory.mktemp("diario") / "livro")
    (livro.raiz / "book/diario").mkdir()
    livro.escreve("_toc.yml", livro.le("_toc.yml") + PARTE)
    livro.escreve("book/diario/index.md", INDICE)
    for nome, capitulo, titulo in (("2026-11-30-um", 0, "Um & dois"), ("2026-12-01-dois", 3, "Mais “*um*”")):
        livro.escreve(f"book/diario/{nome}.md", POST.format(data=nome[:10], capitulo=capitulo, titulo=titulo))
    fim = livro.constroi()
    assert fim.codigo == 0, fim
    return livro


def posta(livro: Livro, *argumentos: str, **ambiente: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ferramentas.postagem", *argumentos], cwd=livro.raiz.parent, text=True,
        env={**os.environ, "PYTHONPATH": str(livro.raiz), **ambiente}, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", timeout=120,
    )  # fmt: skip


def test_a_pagina_do_diario_lista_do_mais_novo_ao_mais_velho(livro):
    assert (
        "O que se construiu. Mais “um” 1º de dezembro de 2026. A frase que abre o 3, com uma ligação . "
        "Um & dois 30 de novembro de 2026. A frase que abre o 0, com uma ligação ."
    ) in livro.pagina("diario/index")
    html = livro.le("_build/html/book/diario/index.html")
    assert 'href="2026-12-01-dois.html"' in html and 'href="../03-tres.html"' in html


def test_o_post_diz_a_data_e_o_capitulo(livro):
    assert "1º de dezembro de 2026 · capítulo 3" in livro.pagina("diario/2026-12-01-dois")
    html = livro.le("_build/html/book/diario/2026-12-01-dois.html")
    assert 'href="../03-tres.html"' in html
    assert '<meta property="article:published_time" content="2026-12-01T12:00:00Z" />' in html
    assert 'name="description" content="A frase que abre o 3, com uma ligação. E outra frase."' in html


def test_toda_pagina_diz_onde_esta_o_feed(livro):
    for pagina in ("index", "03-tres", "diario/index", "oficina/fabrica"):
        html = livro.le(f"_build/html/book/{pagina}.html")
        (liga,) = re.findall(r'<link rel="alternate" type="application/atom\+xml"[^>]*>', html)
        assert f'href="{PUBLICOS.site}book/diario/feed.xml"' in liga


def test_o_feed_e_um_atom_valido(livro):
    """Os elementos que a RFC 4287 pede, com identificadores únicos e endereços inteiros."""
    raiz = ET.fromstring(livro.le("_build/html/book/diario/feed.xml"))
    a = {"a": diario.ATOM}
    assert raiz.tag == f"{{{diario.ATOM}}}feed"
    for nome in ("id", "title", "updated"):
        assert len(raiz.findall(f"a:{nome}", a)) == 1 and raiz.find(f"a:{nome}", a).text
    assert raiz.find("a:author/a:name", a).text == "vongrossi"
    (proprio,) = raiz.findall("a:link[@rel='self']", a)
    assert proprio.get("href") == f"{PUBLICOS.site}{diario.FEED}"
    entradas = raiz.findall("a:entry", a)
    assert [e.find("a:title", a).text for e in entradas] == ["Mais “um”", "Um & dois"]
    assert raiz.find("a:updated", a).text == entradas[0].find("a:updated", a).text == "2026-12-01T12:00:00Z"
    ids = [no.text for no in raiz.iter(f"{{{diario.ATOM}}}id")]
    assert len(set(ids)) == len(ids) == 3
    for entrada in entradas:
        for nome in ("id", "title", "updated", "published", "summary", "content"):
            assert len(entrada.findall(f"a:{nome}", a)) == 1 and entrada.find(f"a:{nome}", a).text, nome
        (liga,) = entrada.findall("a:link[@rel='alternate']", a)
        assert liga.get("href") == entrada.find("a:id", a).text
        momento = entrada.find("a:updated", a).text
        assert datetime.datetime.fromisoformat(momento.replace("Z", "+00:00")).tzinfo is not None
        conteudo = entrada.find("a:content", a)
        assert conteudo.get("type") == "html" and "<h1>" not in conteudo.text
        assert "headerlink" not in conteudo.text and "Um intervalo" in conteudo.text
        for endereco in re.findall(r'(?:href|src)="([^"]*)"', conteudo.text):
            partes = urlsplit(endereco)
            assert partes.scheme == "https" and partes.netloc, endereco
        assert f'href="{PUBLICOS.pagina("book/03-tres")}"' in conteudo.text


def test_o_feed_so_muda_com_os_posts(livro):
    antes = (livro.raiz / "_build/html" / diario.FEED).read_bytes()
    assert livro.constroi().codigo == 0
    assert (livro.raiz / "_build/html" / diario.FEED).read_bytes() == antes


ESPERADO = f"""\
A frase que abre o 3, com [*uma* ligação]({PUBLICOS.pagina("book/03-tres")}). E outra frase.
![O logo]({PUBLICOS.bruto("book/diario/imagens/logo.png")})
## Um intervalo
[Três]({PUBLICOS.pagina("book/03-tres")}#cap-tres)
[Figura 3.1]({PUBLICOS.pagina("book/03-tres")}#fig-tres)
[token]({PUBLICOS.pagina("book/glossario")}#term-token) e 10⁻³
*Publicado primeiro no [diário de bordo]({PUBLICOS.pagina("book/diario/2026-12-01-dois")})
"""


def png_do_logo(livro: Livro) -> None:
    """Um PNG vazio, mas em dia."""
    svg = (livro.raiz / "book/figuras/logo.svg").read_bytes()
    vazio = imagens.ASSINATURA + b"\0\0\0\0IHDR\0\0\0\0"
    imagens.grava_png(livro.raiz / imagens.PASTA / "logo.png", vazio, svg)


@pytest.fixture(scope="module")
def postado(livro) -> tuple[str, str]:
    """O que o comando disse e o que escreveu; o PNG do logo já está feito, para não abrir o navegador."""
    png_do_logo(livro)
    fim = posta(livro, "3")
    assert fim.returncode == 0, fim.stdout
    return fim.stdout, livro.le("_build/postagens/03.md")


def test_a_postagem_e_markdown_comum_com_enderecos_inteiros(livro, postado):
    dito, texto = postado
    assert dito.startswith("A postagem está em _build/postagens/03.md: Mais “um”\n") and "aviso" not in dito
    _, cabecalho, corpo = texto.split("---\n", 2)
    assert yaml.safe_load(cabecalho) == {
        "title": "Mais “um”",
        "published": False,
        "description": "A frase que abre o 3, com uma ligação.",
        "tags": "python, portugues",
        "canonical_url": PUBLICOS.pagina("book/diario/2026-12-01-dois"),
        "series": "Fazendo um LLM do Zero",
    }
    for trecho in ESPERADO.splitlines():
        assert trecho in corpo, trecho
    assert restos_de_myst(corpo) == [] and "$" not in corpo and "\n# " not in corpo
    alvos = re.findall(r"\]\(([^)]*)\)", corpo)
    assert len(alvos) > 6 and all(urlsplit(alvo).scheme == "https" for alvo in alvos)
    assert not [alvo for alvo in alvos if alvo.endswith(".svg")]
    (formula,) = (alvo for alvo in alvos if "formula-" in alvo)
    png = livro.raiz / formula.split(f"/{PUBLICOS.ramo}/")[1]
    assert imagens.em_dia(png, rb"\frac{a}{b}")


def test_a_postagem_nao_mexe_no_que_a_construcao_sabe(livro, postado):
    """Um post editado e postado antes de `make livro` ainda chega ao site na construção seguinte."""
    arquivo = "book/diario/2026-11-30-um.md"
    original = livro.le(arquivo)
    livro.muda(arquivo, "E outra frase.", "E uma frase nova.")
    try:
        assert posta(livro, "00").returncode == 0
        assert "E uma frase nova." in livro.le("_build/postagens/00.md")
        assert livro.constroi().codigo == 0
        assert "E uma frase nova." in livro.pagina("diario/2026-11-30-um")
        assert "E uma frase nova." in livro.le(f"_build/html/{diario.FEED}")
    finally:
        livro.escreve(arquivo, original)


def test_sem_navegador_a_figura_fica_em_svg_e_o_comando_avisa(livro, postado):
    (livro.raiz / imagens.PASTA / "logo.png").unlink()
    try:
        fim = posta(livro, "3", PATH="")
        assert fim.returncode == 0, fim.stdout
        assert "aviso: book/figuras/logo.svg ficou em SVG, que o Medium não aceita" in fim.stdout
        assert PUBLICOS.bruto("book/figuras/logo.svg") in livro.le("_build/postagens/03.md")
    finally:
        png_do_logo(livro)


@pytest.mark.parametrize(
    ("argumentos", "frase"),
    [
        (("7",), "erro: capítulo '7': não há post dele em book/diario/; há dos capítulos: 00, 03\n"),
        (("",), "erro: diga o capítulo: make postagem capitulo=02\n"),
    ],
)
def test_um_pedido_que_nao_se_entende(livro, argumentos, frase):
    fim = posta(livro, *argumentos)
    assert (fim.returncode, fim.stdout) == (1, frase)


def test_antes_do_site_o_comando_diz_o_que_falta(tmp_path):
    with pytest.raises(ErroDoLivro, match="rode antes make livro"):
        postagem.exporta(DO_LIVRO[0], tmp_path / "x.md", tmp_path)


# ---------------------------------------------------------------- post mal escrito


BOM = "---\ndata: 2026-11-30\ncapitulo: 3\n---\n\n# Título\n\nUma frase. Outra.\n"


def le(tmp_path, texto: str) -> diario.Post:
    (tmp_path / "book/diario").mkdir(parents=True)
    (tmp_path / "book/diario/a.md").write_text(texto, "utf-8")
    return diario.le_post(tmp_path / "book/diario/a.md", tmp_path)


def test_o_cabecalho_de_um_post(tmp_path):
    post = le(tmp_path, BOM.replace("Uma frase.", "Que `x` é **este**?").replace("# T", "(um-rotulo)=\n# T"))
    assert (post.titulo, post.data, post.capitulo) == ("Título", datetime.date(2026, 11, 30), 3)
    assert (post.primeira, post.resumo) == ("Que `x` é **este**?", "Que x é este?")


@pytest.mark.parametrize(
    ("de", "para", "frase"),
    [
        ("data: 2026-11-30\n", "", "post sem data; escreva no cabeçalho `data: 2026-11-23`"),
        ("2026-11-30", "30/11/2026", "post sem data"),
        ("2026-11-30", "[", "post sem data"),
        ("capitulo: 3", "capitulo: três", "post sem capítulo; escreva no cabeçalho `capitulo: 2`"),
        ("capitulo: 3", "capitulo: 3\netiquetas: [língua]", "etiquetas tortas"),
        ("# Título\n", "", "post sem título ou sem texto"),
        ("Uma frase. Outra.", "", "post sem título ou sem texto"),
        ("Uma frase.", "O {ref}`cap`.", "a primeira frase diz {ref}`cap`, e o resumo dela precisa do texto"),
    ],
)
def test_um_post_mal_escrito_e_dito_com_o_arquivo_e_o_que_escrever(tmp_path, de, para, frase):
    assert BOM.count(de) == 1
    with pytest.raises(ErroDoLivro, match=re.escape(f"book/diario/a.md:1: {frase}")):
        le(tmp_path, BOM.replace(de, para))


def test_a_revisao_do_livro_le_os_posts(livro):
    arquivo = "book/diario/2026-11-30-um.md"
    original = livro.le(arquivo)
    livro.muda(arquivo, "capitulo: 0\n", "")
    try:
        assert [q for q in revisa(livro.raiz) if "capitulo" in q] == [
            f"{arquivo}:1: post sem capítulo; escreva no cabeçalho `capitulo: 2`"
        ]
    finally:
        livro.escreve(arquivo, original)


# ---------------------------------------------------------------- fórmulas e imagens


@pytest.mark.parametrize(
    ("latex", "texto"),
    [
        (r"1{,}5 \times 10^{-3}", "1,5 × 10⁻³"),
        (r"\ln V", "ln V"),
        (r"x_1, \ldots, x_T", None),  # não há T subscrito
        (r"6 \, N \, D", "6 N D"),
        (r"\sqrt{D}", "√D"),
        (r"\text{peso} \approx \frac{1}{2}", None),
        (r"C^2 \ge \alpha", "C² ≥ α"),
        (r"\begin{aligned}a\end{aligned}", None),
    ],
)
def test_a_formula_simples_vira_texto_e_a_outra_nao(latex, texto):
    assert postagem.em_unicode(latex) == texto


def test_a_formula_que_nao_se_escreve_nem_se_desenha_e_um_erro_que_diz_o_que_fazer():
    escritor = postagem.EscritorDePostagem.__new__(postagem.EscritorDePostagem)
    escritor.docname = "book/diario/a"
    with pytest.raises(ErroDoLivro, match=r"book/diario/a.md: a fórmula .*underbrace.* diga-a em palavras"):
        escritor.linha_math(nodes.math("", r"\underbrace{a}_{b}"))


@pytest.mark.skipif(imagens.navegador() is None, reason="falta o Chromium ou o Chrome")
def test_o_png_tem_o_tamanho_do_svg_e_sabe_de_que_desenho_saiu(tmp_path):
    svg, png = tmp_path / "a.svg", tmp_path / "a.png"
    caixa = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 480 120">{}</svg>'
    svg.write_text(caixa.format('<rect width="480" height="120" fill="#c8373a"/>'), "utf-8")
    imagens.desenha(svg, png, imagens.navegador())
    dados = png.read_bytes()
    lados = [int.from_bytes(dados[i : i + 4], "big") for i in (16, 20)]
    assert lados == [1200, 300]
    assert imagens.em_dia(png, svg.read_bytes())
    assert not imagens.em_dia(png, svg.read_bytes() + b" ")
