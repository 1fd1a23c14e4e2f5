"""A interface do site: textos em português, botões, busca e acabamento das páginas.

O tema (sphinx-book-theme sobre pydata-sphinx-theme) e as extensões trazem textos em inglês, um programa de
ícones de 1,5 MB e uma busca que distingue acentos. O que este módulo muda vale para as versões do tema que
`constraints.txt` nomeia, da que roda no Python 3.10 à que roda no 3.13.
"""

from __future__ import annotations

import gettext
import html
import re
import shutil
import unicodedata
from pathlib import Path
from urllib.parse import quote, urlencode

import sphinx.search as busca
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.locale import translators
from sphinx.search.pt import SearchPortuguese
from sphinx.transforms import SphinxTransform
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx_exercise.nodes import exercise_enumerable_node

from ferramentas import citacao
from ferramentas.celulas import rotulo_do_resumo
from ferramentas.livro import RAIZ, caminho_do_caderno, enderecos
from ferramentas.versao import versao

# ---------------------------------------------------------------- textos

TEXTOS = {
    "Announcement": "Aviso",
    "Back to top": "Voltar ao topo",
    "By": "Por",
    "Collapse Sidebar": "Recolher o sumário",
    "Color mode": "Tema: claro, escuro ou o do sistema",
    "Dark": "Escuro",
    "Error": "Erro",
    "Expand Sidebar": "Abrir o sumário",
    "Hide Search Matches": "Tirar o realce da busca",
    "Last updated on %(last_updated)s.": "Atualizado em %(last_updated)s.",
    "Light": "Claro",
    "Navigation": "Navegação",
    "On this page": "Nesta página",
    "Please activate JavaScript to enable the search functionality.": "A busca precisa de JavaScript.",
    "Search": "Buscar",
    "Site navigation": "Sumário",
    "Solution": "Solução",
    "Skip to main content": "Pular para o conteúdo",
    "System Settings": "O do sistema",
    "Version warning": "Aviso de versão",
    "light/dark": "Tema: claro, escuro ou o do sistema",
    "next": "próxima",
    "next page": "próxima página",
    "previous": "anterior",
    "previous page": "página anterior",
    "© Copyright %(copyright)s.": "© %(copyright)s.",
}

# O que os modelos do tema trazem escrito em inglês, sem passar pela tradução.
FIXOS = {
    'title="Toggle primary sidebar"': 'title="Sumário do livro" aria-label="Sumário do livro"',
    'title="Toggle secondary sidebar"': 'title="Nesta página" aria-label="Nesta página"',
    'aria-label="Main"': 'aria-label="Sumário do livro"',
    'aria-label="Page"': 'aria-label="Nesta página"',
    'aria-label="Section Navigation"': 'aria-label="Sumário do livro"',
    'aria-label="Announcement"': 'aria-label="Aviso"',
    ' aria-label="Toggle hidden content"': "",  # o texto do botão já diz o que ele faz
}

RECOLHIDAS = {  # etiqueta da célula: o que fica recolhido
    "input": "o código",
    "output": "a saída",
    "all": "o código e a saída",
    "input+output": "o código ou a saída",
}


class Portugues(gettext.NullTranslations):
    """Catálogo que responde antes do que veio com a ferramenta."""

    def gettext(self, message: str) -> str:
        return TEXTOS[message] if message in TEXTOS else super().gettext(message)


def _fala_portugues(app: Sphinx) -> None:
    """Põe `TEXTOS` à frente dos catálogos do Sphinx, do tema e dos exercícios."""
    for catalogo in ("sphinx", "booktheme", "exercise"):
        antigo = translators.get(("general", catalogo))
        if isinstance(antigo, Portugues):
            continue
        novo = Portugues()
        if antigo is not None:
            novo.add_fallback(antigo)
        translators["general", catalogo] = novo
    app.translator = translators["general", "sphinx"]  # o dos modelos, que o Sphinx já tinha escolhido


class CelulaRecolhida(SphinxTransform):
    """“Mostrar o código” e “Ocultar o código” nas células recolhidas; o resumo, nas que o têm.

    Quem recolhe é o `<details>` do HTML: sem JavaScript, abre e fecha do mesmo jeito.
    """

    default_priority = 399

    def apply(self, **_: object) -> None:
        for celula in self.document.findall(nodes.container):
            if resumo := (celula.get("cell_metadata") or {}).get("resumo"):
                fonte = next(celula.findall(nodes.literal_block)).astext()
                celula["hide_mode"] = "input"
                celula["prompt_show"] = celula["prompt_hide"] = rotulo_do_resumo(fonte, str(resumo))
                celula["classes"].append("com-resumo")
            elif modo := celula.get("hide_mode"):
                celula["prompt_show"] = f"Mostrar {RECOLHIDAS[modo]}"
                celula["prompt_hide"] = f"Ocultar {RECOLHIDAS[modo]}"


class TituloDeExercicio(SphinxPostTransform):
    """“Exercício 1.1 · Somar (fácil)” em vez de “Exercício 1.1 (Somar (fácil))”."""

    default_priority = 23  # depois de sphinx_exercise, que usa de 20 a 22

    def run(self, **_: object) -> None:
        for exercicio in self.document.findall(exercise_enumerable_node):
            titulo = exercicio[0]
            if len(titulo) > 2 and titulo[0] == " (" and titulo[-1] == ")":
                titulo[0] = nodes.Text("· ")
                del titulo[-1]


# ---------------------------------------------------------------- busca


def sem_acento(palavra: str) -> str:
    """A palavra como a busca a compara: minúscula, sem acento, o plural “-ões” como “-ão”.

    >>> sem_acento("Tokenização"), sem_acento("tokenizações"), sem_acento("ÍNDICE")
    ('tokenizacao', 'tokenizacao', 'indice')
    """
    decomposta = unicodedata.normalize("NFD", palavra.lower())
    return re.sub("oes$", "ao", "".join(c for c in decomposta if not unicodedata.combining(c)))


class BuscaSemAcento(SearchPortuguese):
    """“atencao” acha “atenção”: tira o acento antes do radical, no índice e, no navegador, na pergunta."""

    js_stemmer_rawcode = ""

    def init(self, options: dict[str, str]) -> None:
        super().init(options)
        self._radicais: dict[str, str] = {}

    def stem(self, word: str) -> str:
        if word not in self._radicais:
            self._radicais[word] = super().stem(sem_acento(word))
        return self._radicais[word]

    @property
    def js_stemmer_code(self) -> str:  # type: ignore[override]
        pasta = Path(busca.__file__).parent / "non-minified-js"
        arquivos = (pasta / "base-stemmer.js", pasta / "portuguese-stemmer.js", RAIZ / "ferramentas/busca.js")
        return "\n".join(a.read_text("utf-8") for a in arquivos)


# ---------------------------------------------------------------- botões e cabeçalho da página


BAIXAR = "Baixar o notebook desta página"
CITAR = "Citar esta página"


def _ligacao(texto: str, dica: str, url: str, icone: str, rotulo: str) -> dict[str, str]:
    return {"type": "link", "text": texto, "tooltip": dica, "url": url, "icon": icone, "label": rotulo}


def _botoes(app: Sphinx, pagina: str, modelo: str, contexto: dict, doctree: nodes.document | None) -> None:
    """“Abrir no Colab” e baixar, que levam ao notebook gerado; repositório, edição e issue num menu."""
    publicos = enderecos()
    botoes: list[dict] = []
    if pagina in app.livro_chaves:
        no_colab = publicos.colab(caminho_do_caderno(pagina))
        dica = "Abrir esta página no Google Colab"
        botoes.append(_ligacao("Abrir no Colab", dica, no_colab, "fa-colab", "colab-button"))
        caderno = contexto["pathto"](f"_sources/{pagina}.ipynb", 1)
        botoes.append(_ligacao("", BAIXAR, caderno, "fa-download", "baixar-button"))
    if doctree is not None:
        botoes.append(
            _ligacao("Citar", CITAR, contexto["pathto"](citacao.PAGINA), "fa-quote-right", "citar-button")
        )
    menu: list[dict] = []

    def no_menu(texto: str, dica: str, url: str, icone: str, rotulo: str) -> None:
        menu.append(_ligacao(texto, dica, url, icone, rotulo))

    no_menu("Repositório", "No GitHub", publicos.repositorio, "fa-code-branch", "source-repository-button")
    if doctree is not None:
        edicao = f"{publicos.repositorio}/edit/{publicos.ramo}/{pagina}.md"
        no_menu("Sugerir edição", "Editar esta página no GitHub", edicao, "fa-pencil", "source-edit-button")
    titulo = re.sub("<[^>]*>", "", str(contexto.get("title", pagina)))
    campos = {"title": f"{html.unescape(titulo)}: ", "body": f"Página: {publicos.pagina(pagina)}\n\n"}
    issue = f"{publicos.repositorio}/issues/new?{urlencode(campos, quote_via=quote)}"
    no_menu("Abrir uma issue", "Relatar um erro nesta página", issue, "fa-circle-dot", "source-issues-button")
    imprimir = "Imprimir ou salvar em PDF"
    menu.append(
        {"type": "javascript", "javascript": "window.print()", "text": imprimir, "tooltip": imprimir}
        | {"icon": "fa-print", "label": "print-button"}
    )
    grupo = {"type": "group", "buttons": menu, "tooltip": "Repositório, edição e issues"}
    botoes.append(grupo | {"icon": "fa-ellipsis", "label": "source-buttons"})
    contexto["header_buttons"] = botoes


LICENCAS = (
    "Código: MIT. Texto e figuras: MIT ou CC BY 4.0. Dados: CC0, salvo o que o cartão de cada um disser."
)


def _rodape(app: Sphinx, pagina: str, modelo: str, contexto: dict, doctree: nodes.document | None) -> None:
    """A versão do livro, que leva ao que mudou nela, e as licenças."""
    mudancas, licencas = contexto["pathto"]("book/mudancas"), contexto["pathto"](citacao.PAGINA).rstrip("#")
    contexto["theme_extra_footer"] = (
        f'<p><a href="{mudancas}">Versão {versao()}</a></p>\n'
        f'<p>{LICENCAS} <a href="{licencas}#as-licencas">As licenças</a></p>'
    )


def resumo(documento: nodes.document, limite: int = 160) -> str:
    """O primeiro parágrafo da página, cortado em palavra inteira: a descrição que os buscadores mostram."""
    for paragrafo in documento.findall(nodes.paragraph):
        if isinstance(paragrafo.parent, nodes.section) and "tangle-caption" not in paragrafo["classes"]:
            texto = " ".join(paragrafo.astext().split())
            return texto if len(texto) <= limite else texto[:limite].rsplit(" ", 1)[0].rstrip(",;:") + "…"
    return ""


def _descricao(app: Sphinx, pagina: str, modelo: str, contexto: dict, doctree: nodes.document | None) -> None:
    if doctree is None:
        return
    texto = resumo(doctree)
    titulo = html.unescape(re.sub("<[^>]*>", "", str(contexto.get("title", ""))))
    campos = {
        "og:site_name": app.config.html_title,
        "og:type": "website" if pagina == app.config.root_doc else "article",
        "og:locale": "pt_BR",
        "og:title": titulo,
        "og:description": texto,
        "og:url": enderecos().pagina(pagina),
    }
    linhas = [f'<meta name="description" content="{html.escape(texto)}" />'] if texto else []
    linhas += [f'<meta property="{c}" content="{html.escape(v)}" />' for c, v in campos.items() if v]
    contexto["metatags"] = contexto.get("metatags", "") + "\n".join(["", *linhas, ""])


def _enderecos(app: Sphinx, config: Config) -> None:
    """Ligações `repo:caminho`, `site:` e `colab:01-introducao`, com o endereço que está em `_config.yml`."""
    publicos = enderecos()
    config.myst_url_schemes = {
        "http": None,
        "https": None,
        "mailto": None,
        "repo": {"url": f"{publicos.repositorio}/{{{{path}}}}"},
        "site": {"url": f"{publicos.site}{{{{path}}}}"},
        "colab": {"url": publicos.colab("notebooks/{{path}}.ipynb")},
    }


# ---------------------------------------------------------------- acabamento

DE_FORA = re.compile(r"[ \t]*<(script|link)\b[^>]*(?:fontawesome|sphinx-thebe)[^>]*>(?:</script>)?\n?")
VAZIOS = re.compile(r'<div id="ethical-ad-placement"[^>]*>\s*</div>')
VISTA = re.compile(r'<meta name="viewport"[^>]*>\s*(?=<meta name="viewport")')
REPETIDO = re.compile(r'<section id="((?:exercise|solution)-content)">')
DIALOGO = re.compile(  # no tema 1.3 e no 1.1
    r'<dialog id="pst-search-dialog">.*?</dialog>'
    r'|<div class="search-button__wrapper">.*?</form></div>\s*</div>',
    re.S,
)


def acabamento(pagina: str) -> str:
    """A página pronta: ícones só os de `livro.css`, sem restos em inglês, com um só campo de busca."""
    pagina = DE_FORA.sub("", VAZIOS.sub("", VISTA.sub("", pagina)))
    pagina = REPETIDO.sub(r'<section class="\1">', pagina)  # um identificador só pode aparecer uma vez
    for ingles, portugues in FIXOS.items():
        pagina = pagina.replace(ingles, portugues)
    pagina = pagina.replace('btn-baixar-button"', f'btn-baixar-button" aria-label="{BAIXAR}" download', 1)
    pagina = pagina.replace('btn-citar-button"', f'btn-citar-button" aria-label="{CITAR}"', 1)
    if "bd-search-container" in pagina:  # a página da busca já tem o seu campo
        pagina = DIALOGO.sub("", pagina, count=1)
    return pagina


def _da_acabamento(app: Sphinx) -> None:
    if app.builder.format != "html":
        return
    original = app.builder.templates.render

    def com_acabamento(modelo: str, contexto: dict) -> str:
        texto = original(modelo, contexto)
        if not modelo.endswith(".html"):
            return texto
        return acabamento(texto.replace("</body>", f"{contexto.get('livro_citar', '')}</body>", 1))

    app.builder.templates.render = com_acabamento


COPIAR = (
    "'pt-BR': {'copy': 'Copiar', 'copy_to_clipboard': 'Copiar o código', "
    "'copy_success': 'Copiado', 'copy_failure': 'Não deu para copiar'},"
)
NOS_PROGRAMAS = {  # arquivo: (o que traz, o que fica)
    "copybutton.js": ("const messages = {", f"const messages = {{\n  {COPIAR}"),
    "togglebutton.js": ("Toggle hidden content", "Mostrar ou ocultar"),
}
SEM_USO = ("vendor/fontawesome", "mathjax")


def _arruma_arquivos(app: Sphinx, erro: Exception | None) -> None:
    """Depois de escrito o site: programas em português, só páginas do livro e só arquivos que elas pedem."""
    if erro is not None or app.builder.format != "html":
        return
    estatico = Path(app.outdir) / "_static"
    for nome, (original, nosso) in NOS_PROGRAMAS.items():
        texto = (estatico / nome).read_text("utf-8")
        if nosso not in texto:
            (estatico / nome).write_text(texto.replace(original, nosso, 1), "utf-8")
    do_livro = {"index.html", "search.html", *(f"{docname}.html" for docname in app.env.found_docs)}
    for pagina in Path(app.outdir).rglob("*.html"):  # as de construções passadas que já não são do livro
        if pagina.relative_to(app.outdir).as_posix() not in do_livro and estatico not in pagina.parents:
            pagina.unlink()
    sobras = [estatico / nome for nome in SEM_USO] + list((estatico / "scripts").glob("fontawesome*"))
    for sobra in sobras:
        shutil.rmtree(sobra) if sobra.is_dir() else sobra.unlink(missing_ok=True)


def _sem_thebe(app: Sphinx) -> None:
    """Desliga o thebe, que o Jupyter Book liga sempre: sem uso aqui, põe endereços de fora nas páginas."""

    def e_do_thebe(ouvinte: object) -> bool:
        return getattr(ouvinte.handler, "__module__", "").startswith("sphinx_thebe")

    for ouvintes in app.events.listeners.values():
        ouvintes[:] = [o for o in ouvintes if not e_do_thebe(o)]


def setup(app: Sphinx) -> dict[str, object]:
    _sem_thebe(app)
    _fala_portugues(app)
    busca.languages["pt"] = BuscaSemAcento
    app.add_transform(CelulaRecolhida)
    app.add_post_transform(TituloDeExercicio)
    app.connect("config-inited", _enderecos, priority=100)  # antes do MyST, que as confere
    app.connect("builder-inited", _da_acabamento)
    app.connect("html-page-context", _botoes, priority=900)  # depois do tema, que usa 501
    app.connect("html-page-context", _descricao, priority=900)
    app.connect("html-page-context", _rodape, priority=900)
    app.connect("build-finished", _arruma_arquivos, priority=900)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
