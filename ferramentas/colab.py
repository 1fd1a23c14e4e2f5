"""Builder `colab` do Sphinx: o documento já resolvido vira um notebook em Markdown comum.

O notebook tem os mesmos números, links e textos do site, e nenhuma sintaxe MyST. Sai igual, byte por
byte, em qualquer máquina. Um tipo de nó que este módulo não conhece é um aviso (e aviso derruba a
construção): nada some da página em silêncio.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import nbformat
from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.builders import Builder
from sphinx.locale import admonitionlabels
from sphinx.util import logging
from sphinx.util.build_phase import BuildPhase
from sphinx.util.tags import Tags

from ferramentas.caderno import escreve_caderno, le_caderno
from ferramentas.celulas import rotulo_do_resumo
from ferramentas.livro import RAIZ, enderecos, grava, le_texto
from ferramentas.preparo import celula_de_preparo
from ferramentas.widgets import widget

LOG = logging.getLogger(__name__)
SINAIS = {
    "note": "📝",
    "tip": "💡",
    "hint": "💡",
    "warning": "⚠️",
    "important": "❗",
    "caution": "⚠️",
    "seealso": "👉",
}
SEM_TEXTO = (
    nodes.comment, nodes.substitution_definition, nodes.target, nodes.system_message, nodes.label,
    nodes.colspec, addnodes.index, addnodes.highlightlang, addnodes.toctree,
)  # fmt: skip
CORRIDOS = (  # o texto deles entra na linha sem marca nenhuma
    nodes.paragraph, nodes.title, nodes.caption, nodes.term, nodes.rubric, nodes.inline, nodes.field_name,
    nodes.attribution, nodes.generated, nodes.legend, addnodes.desc_inline,
    nodes.problematic,  # o que o Sphinx não entendeu, e de que já se queixou
)  # fmt: skip
BLOCOS = (
    nodes.paragraph, nodes.literal_block, nodes.doctest_block, nodes.math_block, nodes.bullet_list,
    nodes.enumerated_list, nodes.definition_list, nodes.table, nodes.figure, nodes.Admonition,
    nodes.container, nodes.section, nodes.block_quote, nodes.rubric, nodes.transition, nodes.field_list,
    addnodes.desc, widget,
)  # fmt: skip


def citado(texto: str) -> str:
    """Prefixa cada linha com `> `."""
    return "\n".join(f"> {linha}".rstrip() for linha in texto.split("\n"))


def item(marca: str, texto: str) -> str:
    """Item de lista, com as linhas seguintes alinhadas à primeira."""
    return marca + ("\n" + " " * len(marca)).join(texto.split("\n"))


def _de_baixo_para_cima(no: nodes.Node) -> Iterator[nodes.Node]:
    while no.parent is not None:
        no = no.parent
        yield no


class LugarDeCelula:
    """Lugar de uma célula de código no meio do texto."""

    def __init__(self, indice: int, de_solucao: bool = False) -> None:
        self.indice, self.de_solucao = indice, de_solucao


class Escritor:
    """Traduz um documento resolvido em trechos de Markdown e lugares de célula."""

    def __init__(self, construtor: ConstrutorColab, docname: str) -> None:
        self.construtor, self.docname, self.nivel = construtor, docname, 0
        self.publicos = enderecos()

    # ------------------------------------------------------------ o fluxo da página

    def partes(self, no: nodes.Element) -> Iterator[str | LugarDeCelula]:
        """Os pedaços da página, na ordem."""
        for filho in no.children:
            if isinstance(filho, nodes.section):
                self.nivel += 1
                yield from self.partes(filho)
                self.nivel -= 1
            elif isinstance(filho, nodes.container) and filho.get("nb_element") == "cell_code":
                yield LugarDeCelula(filho["cell_index"])
            elif isinstance(filho, nodes.container) and filho.get("preparo"):
                continue
            elif self._tem_celula(filho):
                yield from self._em_volta_das_celulas(filho)
            elif texto := self.bloco(filho):
                yield texto

    @staticmethod
    def _tem_celula(no: nodes.Node) -> bool:
        return any(c.get("nb_element") == "cell_code" for c in no.findall(nodes.container))

    def _em_volta_das_celulas(self, no: nodes.Element) -> Iterator[str | LugarDeCelula]:
        """Figura, solução ou caixa que contém células: no notebook, o que há em volta vira texto corrido."""
        if isinstance(no, nodes.figure):
            yield from (p for p in self.partes(no) if isinstance(p, LugarDeCelula))
            legenda = next(no.findall(nodes.caption))
            yield self.com_legenda("figure", no, legenda, "")
            return
        if type(no).__name__ == "solution_node":
            yield from self._solucao(no)
            return
        if isinstance(no, widget):
            yield from self.partes(no)
            yield self.figura_viva(no)
            return
        titulo = next((c for c in no.children if isinstance(c, nodes.title)), None)
        if titulo is not None:
            yield f"**{self.sem_links(self.linha(titulo))}**"
            no = no.deepcopy()
            no.remove(next(c for c in no.children if isinstance(c, nodes.title)))
        yield from self.partes(no)

    def _solucao(self, no: nodes.Element) -> Iterator[str | LugarDeCelula]:
        """A solução recolhida, como no site: o texto em `<details>`, e as células em forma."""
        titulo = self.sem_links(self.linha(no[0]))
        corpo = no.deepcopy()
        corpo.remove(corpo[0])
        texto: list[str] = []
        for parte in (*self.partes(corpo), None):
            if isinstance(parte, str):
                texto.append(parte)
                continue
            if texto:
                junto = "\n\n".join(texto)
                yield f"<details><summary>{titulo}</summary>\n\n{junto}\n\n</details>"
                texto.clear()
            if parte is not None:
                yield LugarDeCelula(parte.indice, de_solucao=True)

    # ------------------------------------------------------------ blocos

    def blocos(self, filhos: list[nodes.Node]) -> str:
        """Blocos separados por linha em branco; vizinhos que são só texto ficam na mesma linha."""
        saida: list[str] = []
        corrido = ""
        for filho in filhos:
            if isinstance(filho, BLOCOS) or type(filho).__name__ in ("exercise_node", "solution_node"):
                saida += [corrido, self.bloco(filho)]
                corrido = ""
            else:
                corrido += self.bloco(filho)
        return "\n\n".join(filter(None, [*saida, corrido]))

    def bloco(self, no: nodes.Node) -> str:
        if isinstance(no, SEM_TEXTO):
            return ""
        if metodo := getattr(self, f"bloco_{type(no).__name__}", None):
            return metodo(no)
        if isinstance(no, nodes.Admonition):
            especie = type(no).__name__
            return self.caixa(
                SINAIS.get(especie, ""), str(admonitionlabels.get(especie, especie)), self.blocos(no.children)
            )
        if isinstance(no, (nodes.TextElement, nodes.Text)):
            return self.linha(no)
        self.desconhecido(no)
        return self.blocos(no.children)

    def desconhecido(self, no: nodes.Element) -> None:
        linha = next((n.line for n in (no, *_de_baixo_para_cima(no)) if n.line), 1)
        LOG.warning(
            "colab: não sei traduzir o nó %s para o notebook; escreva o trecho de outro modo, "
            "ou ensine o nó a ferramentas/colab.py",
            type(no).__name__,
            location=(self.docname, linha),
            type="colab",
        )

    def caixa(self, sinal: str, titulo: str, corpo: str) -> str:
        cabeca = f"**{sinal} {titulo}**" if sinal else f"**{titulo}**"
        return citado(cabeca + (f"\n\n{corpo}" if corpo else ""))

    def com_titulo(self, no: nodes.Element, sinal: str) -> str:
        return self.caixa(sinal, self.sem_links(self.linha(no[0])), self.blocos(no.children[1:]))

    def recolhido(self, no: nodes.Element) -> str:
        resumo = self.sem_links(self.linha(no[0]))
        return f"<details><summary>{resumo}</summary>\n\n{self.blocos(no.children[1:])}\n\n</details>"

    def bloco_title(self, no: nodes.title) -> str:
        return "#" * max(self.nivel, 1) + " " + self.linha(no)

    def bloco_rubric(self, no: nodes.rubric) -> str:
        return f"**{self.linha(no)}**"

    def bloco_literal_block(self, no: nodes.literal_block) -> str:
        lingua = no.get("language", "")
        lingua = {"ipython3": "python", "default": "", "none": "", "text": ""}.get(lingua, lingua)
        texto = no.astext()
        cerca = "`" * max([3, *(len(m) + 1 for m in re.findall("`+", texto))])
        return f"{cerca}{lingua}\n{texto}\n{cerca}"

    bloco_doctest_block = bloco_literal_block

    def bloco_block_quote(self, no: nodes.block_quote) -> str:
        return citado(self.blocos(no.children))

    def bloco_transition(self, no: nodes.transition) -> str:
        return "---"

    def bloco_bullet_list(self, no: nodes.bullet_list) -> str:
        return "\n".join(item("- ", self.blocos(i.children)) for i in no.children)

    def bloco_enumerated_list(self, no: nodes.enumerated_list) -> str:
        return "\n".join(
            item(f"{k}. ", self.blocos(i.children)) for k, i in enumerate(no.children, no.get("start", 1))
        )

    def bloco_definition_list_item(self, no: nodes.definition_list_item) -> str:
        termos = ", ".join(f"**{self.linha(t)}**" for t in no.children if isinstance(t, nodes.term))
        definicao = next(c for c in no.children if isinstance(c, nodes.definition))
        return item("- ", f"{termos}: {self.blocos(definicao.children)}")

    def bloco_definition_list(self, no: nodes.definition_list) -> str:
        return "\n".join(self.bloco(i) for i in no.children)

    def bloco_field_list(self, no: nodes.field_list) -> str:
        return "\n".join(
            item("- ", f"**{self.linha(campo[0])}**: {self.blocos(campo[1].children)}")
            for campo in no.children
        )

    def bloco_math_block(self, no: nodes.math_block) -> str:
        numero = self.numero("displaymath", no) or no.get("number")
        formula = no.astext().strip()
        if no.get("nowrap"):  # \begin{equation}…: o próprio ambiente abre a fórmula
            return formula
        etiqueta = (
            f" \\tag{{{numero}}}" if no.get("label") and numero and "begin{align" not in formula else ""
        )
        return f"$$\n{formula}{etiqueta}\n$$"

    def bloco_image(self, no: nodes.image) -> str:
        origem = no["uri"]
        if "://" not in origem and not origem.startswith("data:"):
            origem = self.publicos.bruto(origem)
        return f"![{no.get('alt', '')}]({origem})"

    def figura_viva(self, no: widget) -> str:
        endereco = f"{self.publicos.pagina(self.docname)}#{no['ids'][0]}"
        return f"*No site, aqui há uma figura em que se mexe: [{no['titulo']}]({endereco}).*"

    def bloco_widget(self, no: widget) -> str:
        figuras = [c for c in no.children if next(c.findall(nodes.image), None) is not None]
        return "\n\n".join(filter(None, [self.blocos(figuras), self.figura_viva(no)]))

    def bloco_figure(self, no: nodes.figure) -> str:
        legenda = next(no.findall(nodes.caption), None)
        corpo = self.blocos([c for c in no.children if not isinstance(c, nodes.caption)])
        return self.com_legenda("figure", no, legenda, corpo)

    def bloco_table(self, no: nodes.table) -> str:
        linhas = [
            [
                " ".join(self.blocos(c.children).split()).replace("|", "\\|")
                for c in linha.findall(nodes.entry)
            ]
            for linha in no.findall(nodes.row)
        ]
        if not linhas:
            return ""
        lados = [
            "---:" if "text-right" in c["classes"] else ":---" if "text-left" in c["classes"] else "---"
            for c in next(no.findall(nodes.row)).findall(nodes.entry)
        ]
        corpo = "\n".join("| " + " | ".join(linha) + " |" for linha in [linhas[0], lados, *linhas[1:]])
        legenda = next((c for c in no.children if isinstance(c, nodes.title)), None)
        return self.com_legenda("table", no, legenda, corpo)

    def bloco_admonition(self, no: nodes.admonition) -> str:
        return self.com_titulo(no, SINAIS.get(next((c for c in no["classes"] if c in SINAIS), "note"), ""))

    def bloco_exercise_node(self, no: nodes.Element) -> str:
        return self.com_titulo(no, "✏️")

    def bloco_exercise_enumerable_node(self, no: nodes.Element) -> str:
        rotulo = self.construtor.config.numfig_format["exercise"] % self.numero("exercise", no)
        titulo = f"{rotulo} {self.sem_links(self.linha(no[0])).strip()}".strip()
        return self.caixa("✏️", titulo, self.blocos(no.children[1:]))

    def bloco_container(self, no: nodes.container) -> str:
        if no.get("design_component") == "dropdown" and no.get("has_title"):
            return self.recolhido(no)
        return self.blocos(no.children)

    def bloco_solution_node(self, no: nodes.Element) -> str:
        return self.recolhido(no)

    def bloco_footnote(self, no: nodes.footnote) -> str:
        return item(f"[{no[0].astext()}] ", self.blocos(no.children[1:]))

    def bloco_citation(self, no: nodes.citation) -> str:
        return f"- [{no[0].astext()}] {self.blocos(no.children[1:])}"

    def bloco_desc(self, no: addnodes.desc) -> str:
        assinaturas = "\n\n".join(
            f"**`{a.astext().strip()}`**" for a in no.findall(addnodes.desc_signature) if a.parent is no
        )
        conteudo = "\n\n".join(
            self.blocos(c.children) for c in no.children if isinstance(c, addnodes.desc_content)
        )
        return f"{assinaturas}\n\n{citado(conteudo)}" if conteudo else assinaturas

    def _so_os_filhos(self, no: nodes.Element) -> str:
        return self.blocos(no.children)

    bloco_compound = bloco_only = bloco_details = bloco_glossary = bloco_legend = bloco_topic = _so_os_filhos

    def bloco_section(self, no: nodes.section) -> str:
        self.nivel += 1
        texto = self.blocos(no.children)
        self.nivel -= 1
        return texto

    # ------------------------------------------------------------ números e legendas

    def numero(self, tipo: str, no: nodes.Element) -> str:
        numeros = self.construtor.env.toc_fignumbers.get(self.docname, {}).get(tipo, {})
        return next((".".join(map(str, numeros[i])) for i in no["ids"] if i in numeros), "")

    def com_legenda(self, tipo: str, no: nodes.Element, legenda: nodes.Element | None, corpo: str) -> str:
        if legenda is None:
            return corpo
        numero = self.numero(tipo, no)
        rotulo = self.construtor.config.numfig_format[tipo] % numero + ": " if numero else ""
        texto = f"*{rotulo}{self.linha(legenda)}*"
        return "\n\n".join(filter(None, (corpo, texto) if tipo == "figure" else (texto, corpo)))

    # ------------------------------------------------------------ texto corrido

    def linha(self, no: nodes.Node) -> str:
        if isinstance(no, nodes.Text):
            return re.sub(r"([*_`\[\]<>$\\])", r"\\\1", no.astext())
        if isinstance(no, SEM_TEXTO):
            return ""
        if metodo := getattr(self, f"linha_{type(no).__name__}", None):
            return metodo(no)
        if not isinstance(no, CORRIDOS):
            self.desconhecido(no)
        return self.dentro(no)

    def linha_raw(self, no: nodes.raw) -> str:
        return no.astext().strip() if "html" in no.get("format", "").split() else ""

    def dentro(self, no: nodes.Element) -> str:
        return "".join(map(self.linha, no.children))

    @staticmethod
    def sem_links(texto: str) -> str:
        return " ".join(re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", texto).split())

    def linha_emphasis(self, no: nodes.emphasis) -> str:
        return f"*{self.dentro(no)}*"

    linha_title_reference = linha_emphasis

    def linha_subscript(self, no: nodes.subscript) -> str:
        return f"<sub>{self.dentro(no)}</sub>"

    def linha_superscript(self, no: nodes.superscript) -> str:
        return f"<sup>{self.dentro(no)}</sup>"

    def linha_strong(self, no: nodes.strong) -> str:
        return f"**{self.dentro(no)}**"

    linha_literal_strong = linha_strong
    linha_literal_emphasis = linha_emphasis

    def linha_literal(self, no: nodes.literal) -> str:
        texto = no.astext()
        cerca = "`" * (max((len(m) for m in re.findall("`+", texto)), default=0) + 1)
        folga = " " if texto.startswith("`") or texto.endswith("`") else ""
        return f"{cerca}{folga}{texto}{folga}{cerca}"

    def linha_math(self, no: nodes.math) -> str:
        texto = no.astext()
        if any(
            isinstance(pai, nodes.entry) for pai in _de_baixo_para_cima(no)
        ):  # numa tabela, | separa colunas
            texto = texto.replace("\\|", r"\Vert ").replace("|", r"\vert ")
        return f"${texto}$"

    def linha_image(self, no: nodes.image) -> str:
        return self.bloco_image(no)

    def linha_footnote_reference(self, no: nodes.footnote_reference) -> str:
        return f"<sup>[{no.astext()}]</sup>"

    def linha_reference(self, no: nodes.reference) -> str:
        texto = self.dentro(no)
        alvo = no.get("refuri") or (
            f"{self.publicos.pagina(self.docname)}#{no['refid']}" if no.get("refid") else ""
        )
        return f"[{texto}]({alvo})" if alvo else texto

    linha_number_reference = linha_reference


def celula_de_codigo(fonte: str, nome: str, metadados: dict[str, object]) -> dict[str, object]:
    """Uma célula de código ainda não executada, como o formato do Jupyter a guarda."""
    return {
        "cell_type": "code",
        "execution_count": None,
        "id": nome,
        "metadata": metadados,
        "outputs": [],
        "source": fonte,
    }


class ConstrutorColab(Builder):
    """Um notebook por página que tem células de código.

    Roda sozinho, sem nada executado, ou depois do site (`cadernos_do_site`), a partir das
    páginas que ele leu: as saídas das células não entram no notebook.
    """

    name = "colab"
    format = ""
    epilog = "Notebooks em %(outdir)s."
    supported_image_types = ["image/svg+xml", "image/png", "image/jpeg", "image/gif"]

    def get_outdated_docs(self) -> set[str]:
        return self.env.found_docs

    def get_target_uri(self, docname: str, typ: str | None = None) -> str:
        return enderecos().pagina(docname)

    def get_relative_uri(self, from_: str, to: str, typ: str | None = None) -> str:
        return self.get_target_uri(to)

    def prepare_writing(self, docnames: set[str]) -> None:
        pass

    def write_doc(self, docname: str, doctree: nodes.document) -> None:
        if docname in self.app.livro_chaves:
            grava(Path(self.outdir) / f"{docname}.ipynb", self.caderno(docname, doctree))

    def caderno(self, docname: str, doctree: nodes.document) -> str:
        """O notebook da página, em JSON."""
        lidas = le_caderno(le_texto(RAIZ / f"{docname}.md")).cells
        codigo = {i: c for i, c in enumerate(lidas) if c.cell_type == "code"}
        celulas: list[dict[str, object]] = []
        texto: list[str] = []
        de_solucao: set[int] = set()

        def fecha_texto() -> None:
            if texto:
                celulas.append(
                    {
                        "cell_type": "markdown",
                        "id": f"texto-{len(celulas)}",
                        "metadata": {},
                        "source": "\n\n".join(texto),
                    }
                )
                texto.clear()

        def poe_codigo(ate: float) -> None:
            """As células até esta, as escondidas (que não deixam nó no documento) inclusive."""
            for i in [i for i in codigo if i <= ate]:
                celula = codigo.pop(i)
                etiquetas = celula.metadata.get("tags", [])
                if "no-colab" in etiquetas:
                    continue
                fecha_texto()
                corpo, meta = celula.source, {"tags": etiquetas} if etiquetas else {}
                titulo = None
                if resumo := celula.metadata.get("resumo"):
                    titulo = rotulo_do_resumo(corpo, str(resumo))
                elif {"hide-input", "hide-cell", "remove-input", "remove-cell"} & set(etiquetas):
                    titulo = "Código (clique para ver)"
                elif i in de_solucao:
                    titulo = "Solução"
                if titulo:
                    corpo, meta["cellView"] = f"#@title {titulo}\n{corpo}", "form"
                celulas.append(celula_de_codigo(corpo, f"codigo-{i}", meta))

        site = enderecos().pagina(docname)
        preparada = False
        for parte in Escritor(self, docname).partes(doctree):
            if isinstance(parte, LugarDeCelula):
                if parte.de_solucao:
                    de_solucao.add(parte.indice)
                poe_codigo(parte.indice)
            else:
                texto.append(parte)
            if not preparada:  # logo depois do título
                texto.append(
                    f"*Este notebook acompanha [a página do livro]({site}). Comece pela célula abaixo.*"
                )
                fecha_texto()
                preparo = "#@title Preparo (rode primeiro)\n" + celula_de_preparo()
                celulas.append(celula_de_codigo(preparo, "preparo", {"cellView": "form"}))
                preparada = True
        poe_codigo(float("inf"))
        fecha_texto()
        caderno = nbformat.from_dict(
            {
                "cells": celulas,
                "metadata": {
                    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
                    "language_info": {"name": "python"},
                    "colab": {"provenance": []},
                },
                "nbformat": 4,
                "nbformat_minor": 5,
            }
        )
        return escreve_caderno(caderno)


# ---------------------------------------------------------------- junto com o site


def _anota(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    app.livro_escritas.add(docname)


def cadernos_do_site(app: Sphinx, erro: Exception | None) -> None:
    """Depois do site: o notebook de cada página que ele escreveu, no lugar de onde se baixa."""
    if erro is not None or app.builder.name != "html":
        return
    do_site, fase = app.builder, app.phase
    app.builder = construtor = ConstrutorColab(app, app.env)
    construtor.tags = Tags(["colab", "builder_colab"])
    construtor.outdir = Path(app.outdir) / "_sources"
    try:
        for docname in sorted(app.livro_escritas & app.livro_chaves.keys()):
            app.phase = BuildPhase.RESOLVING
            lido = app.env.get_doctree(docname)
            for saida in [no for no in lido.findall(nodes.container) if e_saida(no)]:
                saida.parent.remove(saida)
            resolvido = app.env.get_and_resolve_doctree(docname, construtor, doctree=lido)
            app.phase = BuildPhase.WRITING
            construtor.write_doc(docname, resolvido)
    finally:
        app.builder, app.phase = do_site, fase
    for sobra in construtor.outdir.rglob("*.ipynb"):  # os de páginas que não são mais do livro
        if sobra.relative_to(construtor.outdir).with_suffix("").as_posix() not in app.livro_chaves:
            sobra.unlink()


def e_saida(no: nodes.container) -> bool:
    """O nó é o que uma célula escreveu?"""
    return no.get("nb_element") == "cell_code_output"


def setup(app: Sphinx) -> dict[str, object]:
    app.add_builder(ConstrutorColab)
    app.connect("doctree-resolved", _anota)
    app.connect("build-finished", cadernos_do_site)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": False}
