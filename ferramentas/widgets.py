"""As figuras em que se mexe: a diretiva `{widget}`, e o que a página carrega por causa dela.

Uma peça é um módulo de `widgets/pecas/`. Na página escreve-se:

    :::{widget} proximo
    :titulo: O próximo token

    O que se vê sem JavaScript, na impressão e na busca: uma figura, ou uma frase.
    :::

Com `:celula:`, o estático é o da célula logo acima, que a peça esconde enquanto está viva. No notebook ficam
as figuras do corpo e uma frase com o endereço da figura viva.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform
from sphinx.util.docutils import SphinxDirective

from ferramentas.livro import RAIZ

PASTA = RAIZ / "widgets"
DADOS = ("contos.txt",)  # de data/
SO_DO_REPOSITORIO = ("*.test.js", "*.test.mjs", "testes", "package.json", "README.md")


def pecas(pasta: Path = PASTA) -> list[str]:
    """Os nomes das peças, em ordem."""
    return sorted(p.stem for p in (pasta / "pecas").glob("*.js"))


class widget(nodes.General, nodes.Element):
    """O lugar da peça `nome` na página; os filhos são o que se vê sem ela."""


class Widget(SphinxDirective):
    """`{widget} nome`, com `:titulo:` e, no corpo ou na célula de cima (`:celula:`), o estático."""

    required_arguments = 1
    has_content = True
    option_spec = {"titulo": directives.unchanged_required, "celula": directives.flag}

    def run(self) -> list[nodes.Node]:
        nome = self.arguments[0]
        if nome not in (ha := pecas()):
            raise self.error(
                f"não há peça {nome!r} em widgets/pecas; use uma destas: {', '.join(ha)}, ou crie a que falta"
            )
        if not (titulo := self.options.get("titulo")):
            raise self.error(f"a peça {nome} não tem título; acrescente a linha `:titulo: o que se vê nela`")
        if ("celula" in self.options) == bool(self.content):
            raise self.error(
                f"a peça {nome} precisa do que mostrar sem JavaScript: uma figura ou uma frase no corpo, ou "
                "`:celula:`, para o que faz a célula de cima; um dos dois"
            )
        no = widget(nome=nome, titulo=titulo, celula="celula" in self.options)
        self.set_source_info(no)
        no["names"].append(f"widget-{nome}")
        self.state.document.note_explicit_target(no, no)
        self.state.nested_parse(self.content, self.content_offset, no)
        return [no]


class EstaticoDaCelula(SphinxTransform):
    """Leva para dentro da peça que tem `:celula:` a célula que está logo acima dela."""

    default_priority = 404  # depois de embrulhadas as figuras de célula

    def apply(self, **_: object) -> None:
        for no in [no for no in self.document.findall(widget) if no["celula"]]:
            posicao = no.parent.index(no)
            acima = no.parent[posicao - 1] if posicao else None
            celulas = acima.findall(nodes.container) if acima is not None else ()
            if not any(c.get("nb_element") == "cell_code" for c in celulas):
                self.document.reporter.error(
                    f"a peça {no['nome']} tem :celula:, e acima dela não há célula; ponha-a logo depois da "
                    "célula, ou escreva o estático no corpo",
                    base_node=no,
                )
                continue
            no.parent.remove(acima)
            no += acima


# ---------------------------------------------------------------- no site


def _abre(self, no: widget) -> None:
    dados = {"data-widget": no["nome"], "data-titulo": no["titulo"]}
    self.body.append(self.starttag(no, "div", "", CLASS="widget", **dados))
    self.body.append('<div class="widget-estatico">\n')


def _fecha(self, no: widget) -> None:
    self.body.append("</div></div>\n")


def _nada(self, no: widget) -> None:
    """Fora do site fica só o estático."""


def _carrega(
    app: Sphinx, pagina: str, modelo: str, contexto: dict, doctree: nodes.document | None
) -> None:
    """Só na página que tem peça: a folha de estilo e o programa, que espera a página estar lida."""
    if app.builder.name != "html" or doctree is None or next(doctree.findall(widget), None) is None:
        return
    pasta = contexto["pathto"]("_static/widgets/", 1)
    contexto["metatags"] = contexto.get("metatags", "") + (
        f'\n<link rel="stylesheet" href="{pasta}widgets.css" />'
        f'\n<script defer src="{pasta}inicio.js"></script>\n'
    )


def copia(destino: Path) -> None:
    """Os módulos, tais e quais, e os dados que algumas peças leem, em `dados/`."""
    shutil.rmtree(destino, ignore_errors=True)
    shutil.copytree(PASTA, destino, ignore=shutil.ignore_patterns(*SO_DO_REPOSITORIO))
    (destino / "dados").mkdir(exist_ok=True)
    for nome in DADOS:
        if (origem := RAIZ / "data" / nome).is_file():
            shutil.copy(origem, destino / "dados")


def _copia(app: Sphinx, erro: Exception | None) -> None:
    """Depois de escrito o site: o que as páginas carregam, em `_static/widgets`."""
    if erro is None and app.builder.name == "html" and PASTA.is_dir():
        copia(Path(app.outdir) / "_static/widgets")


def setup(app: Sphinx) -> dict[str, object]:
    app.add_node(widget, html=(_abre, _fecha), latex=(_nada, _nada), text=(_nada, _nada))
    app.add_directive("widget", Widget)
    app.add_transform(EstaticoDaCelula)
    app.connect("html-page-context", _carrega, priority=910)  # depois da descrição
    app.connect("build-finished", _copia)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
