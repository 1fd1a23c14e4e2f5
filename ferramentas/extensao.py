"""Extensão do Sphinx: tudo o que o livro acrescenta ao Jupyter Book.

- a execução guardada por página, com a chave de `execucao.py`;
- o número do capítulo tirado do nome do arquivo, e a letra das páginas da oficina (figuras, equações e
  exercícios os seguem);
- a legenda «vai para homellm/x.py» nas células extraídas, e a volta da página da API ao capítulo;
- figuras numeradas a partir de células (`figura`, `legenda`, `alt`);
- a célula de preparo do Colab, recolhida, no começo de cada página;
- o notebook gerado no lugar do MyST cru que o tema serviria para baixar.

A interface (textos, botões, busca) está em `interface.py`; as citações, em `bibliografia.py`.
"""

from __future__ import annotations

import ast
import hashlib
import shutil
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.environment.collectors.toctree import TocTreeCollector
from sphinx.transforms import SphinxTransform

from ferramentas.celulas import Celula, le_celulas
from ferramentas.classes import classes_que_crescem, nomes_definidos
from ferramentas.execucao import PAGINAS_GUARDADAS, chave, marca_cabecalho
from ferramentas.livro import RAIZ, caminho_do_caderno, numeros_das_paginas, paginas
from ferramentas.preparo import celula_de_preparo

# ---------------------------------------------------------------- execução guardada


def _chaves(app: Sphinx) -> None:
    """Antes de ler as páginas: a chave de execução de cada uma, e os nomes que o livro define."""
    app.livro_chaves = {}
    do_livro: list[Celula] = []
    for md in paginas():
        if celulas := le_celulas(md, RAIZ):
            do_livro += celulas
            app.livro_chaves[md.relative_to(RAIZ).with_suffix("").as_posix()] = chave(celulas, RAIZ)
    app.livro_nomes = {
        f"{celula.destino[:-3].replace('/', '.')}.{nome}"
        for celula in do_livro
        if celula.destino
        for nome in nomes_definidos(celula.arvore())
    }
    if app.config.nb_execution_mode == "cache":
        from jupyter_cache import get_cache

        guardadas = app.config.nb_execution_cache_path or Path(app.outdir).parent / ".jupyter_cache"
        get_cache(guardadas).change_cache_limit(PAGINAS_GUARDADAS)


def _relidas(app: Sphinx, env: BuildEnvironment, *mudadas: set[str]) -> list[str]:
    """Páginas cuja chave mudou desde a última construção: o Sphinx só olha a data do arquivo."""
    antigas = getattr(env, "livro_chaves", {})
    relidas = [d for d, c in app.livro_chaves.items() if antigas.get(d, c) != c]
    if app.livro_chaves != antigas:
        relidas += [d for d in env.all_docs if d.endswith("/api")]  # as docstrings podem ter mudado
    env.livro_chaves = app.livro_chaves
    app.livro_mudou = bool(relidas or any(mudadas))
    return relidas


def _reescritas(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Mudou uma página, todas são escritas de novo: as outras citam títulos e rótulos dela."""
    return sorted(env.all_docs) if app.livro_mudou else []


def _marca(app: Sphinx, docname: str, fonte: list[str]) -> None:
    if docname in app.livro_chaves:
        fonte[0] = marca_cabecalho(fonte[0], app.livro_chaves[docname])


# ---------------------------------------------------------------- numeração


def _numera_capitulos(original):
    """Troca o primeiro número das seções pelo do capítulo (03-atencao → 3) ou pela letra da oficina."""

    def assign_section_numbers(self: TocTreeCollector, env: BuildEnvironment) -> list[str]:
        antes = env.toc_secnumbers
        original(self, env)
        da_pagina = numeros_das_paginas()
        for docname, numeros in env.toc_secnumbers.items():
            if docname not in da_pagina:
                continue
            primeiro = da_pagina[docname]
            for ancora, numero in numeros.items():
                if numero:
                    numeros[ancora] = (primeiro, *numero[1:])
            for ref in env.tocs[docname].findall(nodes.reference):
                if ref.get("secnumber"):
                    ref["secnumber"] = [primeiro, *ref["secnumber"][1:]]
            if env.titles[docname].get("secnumber"):
                env.titles[docname]["secnumber"] = [primeiro, *env.titles[docname]["secnumber"][1:]]
        return [d for d, numeros in env.toc_secnumbers.items() if numeros != antes.get(d)]

    assign_section_numbers.do_livro = True
    return assign_section_numbers


def _troca_a_numeracao() -> None:
    """Troca-a no coletor em uso: o do Sphinx, ou o que o sphinx-external-toc (≥ 1.1) põe no lugar dele."""
    derivados = [c for c in TocTreeCollector.__subclasses__() if "assign_section_numbers" in vars(c)]
    for coletor in derivados or [TocTreeCollector]:
        if not hasattr(coletor.assign_section_numbers, "do_livro"):
            coletor.assign_section_numbers = _numera_capitulos(coletor.assign_section_numbers)


# ---------------------------------------------------------------- transformações


def celulas_de_codigo(documento: nodes.document) -> list[nodes.container]:
    """Os nós de célula de código que o myst-nb pôs no documento."""
    return [n for n in documento.findall(nodes.container) if n.get("nb_element") == "cell_code"]


class LegendaDoTangle(SphinxTransform):
    """Põe antes de cada célula extraída a linha «vai para …», com um alvo por definição."""

    default_priority = 400

    def apply(self, **_: object) -> None:
        std = self.env.get_domain("std")
        for celula in celulas_de_codigo(self.document):
            destino = (celula.get("cell_metadata") or {}).get("tangle")
            if not destino:
                continue
            modulo = destino[:-3].replace("/", ".")
            ancora = nodes.make_id(f"tangle-{modulo}-{celula['cell_index']}")
            secao = celula.parent
            while not isinstance(secao, (nodes.section, nodes.document)):
                secao = secao.parent
            titulo = secao.next_node(nodes.title).astext()
            codigo = next(celula.findall(nodes.literal_block)).astext()
            arvore = ast.parse(codigo)
            for nome in nomes_definidos(arvore):
                rotulo = f"tangle-{modulo}.{nome}".lower()
                std.labels[rotulo] = (self.env.docname, ancora, titulo)
                std.anonlabels[rotulo] = (self.env.docname, ancora)
            modulo_ref = addnodes.pending_xref(
                "", nodes.literal("", destino), refdomain="py", reftype="mod", reftarget=modulo,
                refdoc=self.env.docname, refexplicit=True, refwarn=False,
            )  # fmt: skip
            linha = nodes.paragraph("", "Este trecho vai para ", classes=["tangle-caption"], ids=[ancora])
            linha += modulo_ref
            for n, classe in enumerate(classes_que_crescem(arvore)):
                linha += nodes.Text(" e " if n else ", na classe ")
                linha += nodes.literal("", classe)
            celula.parent.insert(celula.parent.index(celula), linha)


class FiguraDeCelula(SphinxTransform):
    """Embrulha numa figura numerada a célula com as opções `figura`, `legenda` e `alt`."""

    default_priority = 401

    def apply(self, **_: object) -> None:
        for celula in celulas_de_codigo(self.document):
            opcoes = celula.get("cell_metadata") or {}
            if not opcoes.get("figura"):
                continue
            for imagem in celula.findall(nodes.image):
                imagem["alt"] = str(opcoes["alt"])
            figura = nodes.figure("", names=[str(opcoes["figura"])], classes=["figura-de-celula"])
            celula.parent.replace(celula, figura)
            figura += celula
            figura += nodes.caption("", str(opcoes["legenda"]))
            self.document.note_explicit_target(figura)


class PreparoDoColab(SphinxTransform):
    """Mostra, recolhida, a célula com que o notebook da página começa no Colab."""

    default_priority = 402

    def apply(self, **_: object) -> None:
        if not celulas_de_codigo(self.document):
            return
        titulo = next(self.document.findall(nodes.title), None)
        if titulo is None:
            return
        caixa = nodes.container(classes=["preparo-do-colab"], preparo=True)
        resumo = "No Colab, esta página começa com a célula de preparo"
        caixa += nodes.raw("", f"<details><summary>{resumo}</summary>", format="html")
        caixa += nodes.literal_block("", celula_de_preparo(), language="python")
        caixa += nodes.raw("", "</details>", format="html")
        titulo.parent.insert(titulo.parent.index(titulo) + 1, caixa)


# ---------------------------------------------------------------- página da API


def _volta_ao_capitulo(
    app: Sphinx, _tipo: str, nome: str, _obj: object, _opcoes: object, linhas: list[str]
) -> None:
    if nome in app.livro_nomes:
        linhas += ["", f"Explicado em :ref:`tangle-{nome.lower()}`."]


# ---------------------------------------------------------------- baixar


def _troca_downloads(app: Sphinx, erro: Exception | None) -> None:
    """O botão de baixar do tema serve MyST cru: põe no lugar o notebook gerado."""
    if erro is None and app.builder.name == "html":
        for docname in app.livro_chaves:
            caderno = RAIZ / caminho_do_caderno(docname)
            if caderno.exists():
                shutil.copy(caderno, Path(app.outdir) / "_sources" / f"{docname}.ipynb")


def setup(app: Sphinx) -> dict[str, object]:
    app.setup_extension("ferramentas.bibliografia")
    app.setup_extension("ferramentas.interface")
    soma = hashlib.sha256(b"".join(p.read_bytes() for p in sorted((RAIZ / "ferramentas").glob("*.py"))))
    # mudou uma ferramenta: relê tudo (sem reexecutar)
    app.add_config_value("livro_ferramentas", soma.hexdigest(), "env")
    _troca_a_numeracao()
    for transformacao in (LegendaDoTangle, FiguraDeCelula, PreparoDoColab):
        app.add_transform(transformacao)
    app.connect("builder-inited", _chaves)
    app.connect("env-get-outdated", _relidas)
    app.connect("env-get-updated", _reescritas)
    app.connect("source-read", _marca)
    app.connect("autodoc-process-docstring", _volta_ao_capitulo)
    app.connect("build-finished", _troca_downloads)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
