"""Extensão do Sphinx: tudo o que o livro acrescenta ao Jupyter Book.

- o que se relê e o que se reescreve depois de uma mudança;
- o número do capítulo tirado do nome do arquivo, e a letra das páginas da oficina (figuras, equações e
  exercícios os seguem);
- a legenda “vai para homellm/x.py” nas células extraídas, e a volta da página da API ao capítulo;
- figuras numeradas a partir de células (`figura`, `legenda`, `alt`);
- a célula de preparo do Colab, recolhida, no começo de cada página.

A interface (textos, botões, busca) está em `interface.py`; as citações, em `bibliografia.py`; o diário, em
`diario.py`; as figuras em que se mexe, em `widgets.py`.
"""

from __future__ import annotations

import ast
import hashlib
import json
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.environment.collectors.toctree import TocTreeCollector
from sphinx.transforms import SphinxTransform

from ferramentas.celulas import Celula, le_celulas
from ferramentas.classes import classes_que_crescem, nomes_definidos
from ferramentas.execucao import chave, marca_cabecalho
from ferramentas.livro import RAIZ, grava, nome_da_pagina, numeros_das_paginas, paginas
from ferramentas.preparo import celula_de_preparo

# ---------------------------------------------------------------- o que se relê e se reescreve


def _chaves(app: Sphinx) -> None:
    """Antes de ler as páginas: a chave de execução de cada uma, e os nomes que o livro define."""
    app.livro_chaves = {}
    app.livro_lidas, app.livro_escritas = set(), set()
    app.livro_citaveis = ""
    pela_metade = Path(app.doctreedir) / "pela-metade"
    app.livro_pela_metade = json.loads(pela_metade.read_text("utf-8")) if pela_metade.exists() else []
    do_livro: list[Celula] = []
    for md in paginas():
        if celulas := le_celulas(md, RAIZ):
            do_livro += celulas
            app.livro_chaves[nome_da_pagina(md)] = chave(celulas, RAIZ)
    app.livro_nomes = {
        f"{celula.destino[:-3].replace('/', '.')}.{nome}"
        for celula in do_livro
        if celula.destino
        for nome in nomes_definidos(celula.arvore())
    }


def _relidas(app: Sphinx, env: BuildEnvironment, *_: set[str]) -> list[str]:
    """Páginas que o Sphinx, que só olha a data do arquivo, não saberia que tem de reler.

    São as que mudaram de chave desde a última construção, e as que foram lidas por uma que
    não terminou.
    """
    antigas = getattr(env, "livro_chaves", {})
    relidas = [d for d, c in app.livro_chaves.items() if antigas.get(d, c) != c]
    if app.livro_chaves != antigas:
        relidas += [d for d in env.all_docs if d.endswith("/api")]  # as docstrings podem ter mudado
    return relidas + app.livro_pela_metade


def _vai_ler(app: Sphinx, env: BuildEnvironment, nomes: list[str]) -> None:
    """Anota, antes de começar, as páginas que esta construção lê; com `livro_so`, só essa.

    As outras ficam devidas: o Sphinx guarda a configuração com que leu a página, e depois não acha nelas
    nada de novo. Se a página acaba de nascer, lê também a que a tem no sumário, que lhe dá número.
    """
    if app.livro_so:
        app.livro_pela_metade = sorted({*app.livro_pela_metade, *nomes})
        so, pasta = app.livro_so, Path(app.livro_so).parent
        nova = not any(so in filhas for filhas in env.toctree_includes.values())
        acima = {env.config.root_doc, (pasta / "index").as_posix()} - {so} if nova else set()
        nomes[:] = [so, *sorted(acima & env.all_docs.keys())]
    else:
        env.livro_chaves = app.livro_chaves
    app.livro_lidas = set(nomes)
    todas = sorted({*nomes, *app.livro_pela_metade})
    grava(Path(app.doctreedir) / "pela-metade", json.dumps(todas))


def _reescritas(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Todas as páginas, se mudou algo que umas citam das outras; senão, só as que mudaram."""
    app.livro_citaveis = citaveis(env)
    arquivo = Path(app.doctreedir) / "citaveis"
    iguais = arquivo.exists() and arquivo.read_text("utf-8") == app.livro_citaveis
    return [] if iguais or app.livro_so else sorted(env.all_docs)


def citaveis(env: BuildEnvironment) -> str:
    """Um resumo do que uma página mostra das outras: títulos, rótulos, números e o sumário."""
    exercicios = getattr(env, "sphinx_exercise_registry", {})
    partes = [
        env.titles, env.tocs, env.toc_secnumbers, env.toc_fignumbers, env.toctree_includes,
        [env.domaindata[nome] for nome in ("std", "py", "math")],
        {nome: _rosto(de["docname"], de["node"]) for nome, de in exercicios.items()},
        [(c.key, str(c.formatted_entry.text)) for c in env.get_domain("cite").citations],
    ]  # fmt: skip
    return hashlib.sha256(estavel(partes).encode()).hexdigest()


def _rosto(docname: str, no: nodes.Element) -> list[object]:
    """O que de um exercício aparece nas outras páginas: onde está, o que é, como se chama."""
    return [docname, type(no).__name__, no.get("title"), no.next_node(nodes.title)]


def estavel(valor: object) -> str:
    """O valor por escrito, igual de uma construção para a outra: sem ordem de conjunto nem endereço.

    >>> estavel({"b": {2, 1}, "a": None})
    "{'a': None, 'b': {1, 2}}"
    """
    if isinstance(valor, nodes.Node):
        return valor.pformat()
    if isinstance(valor, dict):
        pares = sorted((str(chave), estavel(v)) for chave, v in valor.items())
        return "{" + ", ".join(f"{chave!r}: {texto}" for chave, texto in pares) + "}"
    if isinstance(valor, (set, frozenset)):
        return "{" + ", ".join(sorted(map(estavel, valor))) + "}"
    if isinstance(valor, (list, tuple)):
        return "[" + ", ".join(map(estavel, valor)) + "]"
    return repr(valor)


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
    """Põe antes de cada célula extraída a linha “vai para …”, com um alvo por definição."""

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


def setup(app: Sphinx) -> dict[str, object]:
    app.livro_so = None  # a única página a construir, se é uma só
    app.setup_extension("ferramentas.bibliografia")
    app.setup_extension("ferramentas.citacao")
    app.setup_extension("ferramentas.diario")
    app.setup_extension("ferramentas.interface")
    app.setup_extension("ferramentas.widgets")
    soma = hashlib.sha256(b"".join(p.read_bytes() for p in sorted((RAIZ / "ferramentas").glob("*.py"))))
    # mudou uma ferramenta: relê tudo (sem reexecutar)
    app.add_config_value("livro_ferramentas", soma.hexdigest(), "env")
    _troca_a_numeracao()
    for transformacao in (LegendaDoTangle, FiguraDeCelula, PreparoDoColab):
        app.add_transform(transformacao)
    app.connect("builder-inited", _chaves)
    app.connect("env-get-outdated", _relidas)
    app.connect("env-before-read-docs", _vai_ler)
    app.connect("env-get-updated", _reescritas, priority=900)  # depois de numeradas as seções e figuras
    app.connect("source-read", _marca)
    app.connect("autodoc-process-docstring", _volta_ao_capitulo)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
