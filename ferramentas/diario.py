"""O diário de bordo: a lista dos posts, a data no alto de cada um e o feed Atom.

Um post é uma página de `book/diario/` cujo cabeçalho diz a `data` e o `capitulo` de que ele conta a
história. A página do diário os lista com a diretiva `{diario}`, do mais novo ao mais velho; o feed, escrito
depois do site, os traz inteiros.
"""

from __future__ import annotations

import datetime
import html
import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin

import yaml
from docutils import nodes
from docutils.statemachine import StringList
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform
from sphinx.util.docutils import SphinxDirective

from ferramentas.livro import (
    RAIZ,
    ErroDoLivro,
    enderecos,
    grava,
    le_texto,
    nome_da_pagina,
    numero_do_capitulo,
    paginas,
)

PASTA = "book/diario/"
FEED = f"{PASTA}feed.xml"
MESES = (
    "janeiro", "fevereiro", "março", "abril", "maio", "junho", "julho", "agosto", "setembro", "outubro",
    "novembro", "dezembro",
)  # fmt: skip
ATOM = "http://www.w3.org/2005/Atom"


# ---------------------------------------------------------------- os posts


@dataclass(frozen=True)
class Post:
    """O que o cabeçalho e as primeiras linhas de um post dizem."""

    docname: str
    titulo: str
    data: datetime.date
    capitulo: int
    etiquetas: tuple[str, ...]
    primeira: str  # a primeira frase, em Markdown

    @property
    def resumo(self) -> str:
        """A primeira frase, sem marcas."""
        return sem_marcas(self.primeira)

    @property
    def momento(self) -> str:
        """A data como o Atom a escreve; o relógio é sempre o mesmo, para que o feed só mude com os posts."""
        return f"{self.data.isoformat()}T12:00:00Z"


def sem_marcas(texto: str) -> str:
    """O texto de uma linha de Markdown.

    >>> sem_marcas("o `nan`, [*aqui*](a.md) e no {ref}`capítulo 2 <cap-dados>`")
    'o nan, aqui e no capítulo 2'
    """
    sem_papeis = re.sub(r"\{[a-z:]+\}`([^`<]*?)\s*<[^`>]*>`", r"\1", texto)
    return re.sub(r"[*`]", "", re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", sem_papeis))


def e_post(docname: str) -> bool:
    """A página é um post?

    >>> e_post("book/diario/2026-11-23-contar"), e_post("book/diario/index"), e_post("book/01-introducao")
    (True, False, False)
    """
    return docname.startswith(PASTA) and docname != f"{PASTA}index"


def le_post(md: Path, raiz: Path = RAIZ) -> Post:
    """O post que está no arquivo; um cabeçalho incompleto é um erro que diz o que falta."""
    lugar, texto = md.relative_to(raiz).as_posix(), le_texto(md, raiz)
    achado = re.match(r"---\n(.*?)\n---\n", texto, re.S)
    try:
        cabecalho = yaml.safe_load(achado[1]) if achado else None
    except yaml.YAMLError:
        cabecalho = None
    if not isinstance(cabecalho, dict):
        cabecalho = {}
    data, capitulo = cabecalho.get("data"), cabecalho.get("capitulo")
    etiquetas = cabecalho.get("etiquetas", [])
    if not isinstance(data, datetime.date) or isinstance(data, datetime.datetime):
        raise ErroDoLivro(f"{lugar}:1: post sem data; escreva no cabeçalho `data: 2026-11-23`")
    if not isinstance(capitulo, int):
        raise ErroDoLivro(f"{lugar}:1: post sem capítulo; escreva no cabeçalho `capitulo: 2`")
    if not (isinstance(etiquetas, list) and all(re.fullmatch("[a-z0-9]+", str(e)) for e in etiquetas)):
        raise ErroDoLivro(
            f"{lugar}:1: etiquetas tortas; escreva-as sem acento nem espaço: `etiquetas: [python, portugues]`"
        )
    corpo = texto[achado.end() :] if achado else ""
    partes = re.match(r"\s*(?:\([\w-]+\)=\s*)?# (?P<titulo>[^\n]+)\n+(?P<resto>.*)", corpo, re.S)
    paragrafo = re.search(r"(?m)^[^\s`:!%#][^\n]*$", partes["resto"]) if partes else None
    if not partes or not paragrafo:
        raise ErroDoLivro(f"{lugar}:1: post sem título ou sem texto; comece por `# Título` e um parágrafo")
    frase = re.match(r".+?[.!?…]”?(?=\s|$)", paragrafo[0])
    primeira = frase[0] if frase else paragrafo[0]
    if mudo := re.search(r"\{[a-z:]+\}`[^`<]*`", primeira):  # o resumo não tem como saber o título
        raise ErroDoLivro(
            f"{lugar}:1: a primeira frase diz {mudo[0]}, e o resumo dela precisa do texto; "
            "escreva-o: {ref}`capítulo 2 <cap-dados>`"
        )
    return Post(
        nome_da_pagina(md, raiz), sem_marcas(partes["titulo"].strip()), data, capitulo,
        tuple(map(str, etiquetas)), primeira,
    )  # fmt: skip


def posts(raiz: Path = RAIZ) -> list[Post]:
    """Os posts que estão em `_toc.yml`, do mais novo ao mais velho."""
    lidos = [le_post(md, raiz) for md in paginas(raiz) if e_post(nome_da_pagina(md, raiz))]
    return sorted(lidos, key=lambda p: (p.data, p.docname), reverse=True)


def por_extenso(data: datetime.date) -> str:
    """A data como se lê.

    >>> por_extenso(datetime.date(2026, 12, 1))
    '1º de dezembro de 2026'
    """
    return f"{data.day}{'º' if data.day == 1 else ''} de {MESES[data.month - 1]} de {data.year}"


# ---------------------------------------------------------------- nas páginas


class ListaDoDiario(SphinxDirective):
    """`{diario}`: uma linha por post, do mais novo ao mais velho, com a data e a primeira frase."""

    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(str(RAIZ / "_toc.yml"))
        linhas: list[str] = []
        for post in posts():
            self.env.note_dependency(str(RAIZ / f"{post.docname}.md"))
            pagina = post.docname.removeprefix(PASTA)
            linhas += [f"**[]({pagina}.md)**", f": {por_extenso(post.data)}. {post.primeira}", ""]
        lista = nodes.container(classes=["diario"])
        self.state.nested_parse(StringList(linhas, self.get_source_info()[0]), self.content_offset, lista)
        return [lista]


class DataDoPost(SphinxTransform):
    """Põe debaixo do título do post a data e o capítulo de que ele fala."""

    default_priority = 403

    def apply(self, **_: object) -> None:
        if not e_post(self.env.docname):
            return
        post = le_post(RAIZ / f"{self.env.docname}.md")
        linha = nodes.paragraph("", f"{por_extenso(post.data)} · ")
        do_capitulo = (nome_da_pagina(md) for md in paginas())
        capitulo = next((d for d in do_capitulo if numero_do_capitulo(d) == post.capitulo), None)
        if capitulo:
            linha += addnodes.pending_xref(
                "", nodes.inline("", f"capítulo {post.capitulo}"), refdomain="std", reftype="doc",
                reftarget=f"/{capitulo}", refdoc=self.env.docname, refexplicit=True, refwarn=True,
            )  # fmt: skip
        else:
            linha += nodes.Text(f"capítulo {post.capitulo}")
        titulo = next(self.document.findall(nodes.title))
        caixa = nodes.container("", linha, classes=["data-do-post"])
        titulo.parent.insert(titulo.parent.index(titulo) + 1, caixa)


def _cabecalho(app: Sphinx, pagina: str, modelo: str, contexto: dict, _: nodes.document | None) -> None:
    """Na cabeça de cada página, o feed; na de um post, também a data dele."""
    if not app.livro_posts:
        return
    titulo = html.escape(f"{app.config.html_title}: diário de bordo")
    do_feed = f'title="{titulo}" href="{enderecos().site}{FEED}"'
    linhas = [f'<link rel="alternate" type="application/atom+xml" {do_feed} />']
    linhas += [
        f'<meta property="article:published_time" content="{post.momento}" />'
        for post in app.livro_posts
        if post.docname == pagina
    ]
    contexto["metatags"] = contexto.get("metatags", "") + "\n".join(["", *linhas, ""])


# ---------------------------------------------------------------- o feed


def corpo_do_post(pagina: str, endereco: str) -> str:
    """O texto do post, tirado da página do site: sem o título, e com endereços inteiros."""
    artigo = re.search(r"(?s)<article[^>]*>(.*?)</article>", pagina)
    texto = artigo[1] if artigo else ""
    texto = re.sub(r'(?s)<h1>.*?</h1>|<a class="headerlink".*?</a>', "", texto)
    texto = re.sub(r'(?s)<div class="[^"]*data-do-post.*?</div>', "", texto)
    return re.sub(
        r'\b(href|src)="([^"]*)"',
        lambda m: f'{m[1]}="{html.escape(urljoin(endereco, html.unescape(m[2])))}"',
        texto,
    ).strip()


def feed(dos_posts: list[Post], titulo: str, autor: str, site: Path) -> str:
    """O feed Atom dos posts, com o que as páginas de `site` dizem."""
    publicos = enderecos()
    ET.register_namespace("", ATOM)
    raiz = ET.Element(f"{{{ATOM}}}feed", {"{http://www.w3.org/XML/1998/namespace}lang": "pt-BR"})

    def poe(pai: ET.Element, nome: str, texto: str = "", **atributos: str) -> ET.Element:
        no = ET.SubElement(pai, f"{{{ATOM}}}{nome}", atributos)
        no.text = texto or None
        return no

    poe(raiz, "id", publicos.pagina(f"{PASTA}index"))
    poe(raiz, "title", f"{titulo}: diário de bordo")
    poe(raiz, "updated", max(post.momento for post in dos_posts))
    poe(raiz, "link", rel="self", type="application/atom+xml", href=f"{publicos.site}{FEED}")
    poe(raiz, "link", rel="alternate", type="text/html", href=publicos.pagina(f"{PASTA}index"))
    poe(poe(raiz, "author"), "name", autor)
    for post in dos_posts:
        endereco = publicos.pagina(post.docname)
        entrada = poe(raiz, "entry")
        poe(entrada, "id", endereco)
        poe(entrada, "title", post.titulo)
        poe(entrada, "link", rel="alternate", type="text/html", href=endereco)
        poe(entrada, "published", post.momento)
        poe(entrada, "updated", post.momento)
        poe(entrada, "summary", post.resumo)
        pagina = (site / f"{post.docname}.html").read_text("utf-8")
        poe(entrada, "content", corpo_do_post(pagina, endereco), type="html")
    ET.indent(raiz)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(raiz, encoding="unicode") + "\n"


def _escreve_feed(app: Sphinx, erro: Exception | None) -> None:
    if erro is None and app.builder.name == "html" and app.livro_posts:
        site = Path(app.outdir)
        grava(site / FEED, feed(app.livro_posts, app.config.html_title, app.config.author, site))


def _le_posts(app: Sphinx) -> None:
    app.livro_posts = posts()


def setup(app: Sphinx) -> dict[str, object]:
    app.setup_extension("ferramentas.postagem")
    app.add_directive("diario", ListaDoDiario)
    app.add_transform(DataDoPost)
    app.connect("builder-inited", _le_posts)
    app.connect("html-page-context", _cabecalho, priority=910)  # depois da descrição
    app.connect("build-finished", _escreve_feed, priority=950)  # depois de arrumado o site
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
