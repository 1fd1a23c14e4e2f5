"""O site construído em `_build/html`: ligações, imagens, botões, saídas e textos, sem navegador."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml

from ferramentas import citacao
from ferramentas.interface import LICENCAS
from ferramentas.livro import RAIZ, caminho_do_caderno, enderecos, numero_do_capitulo, paginas
from ferramentas.versao import versao

SITE = RAIZ / "_build/html"
DOCUMENTOS = [p.relative_to(RAIZ).with_suffix("").as_posix() for p in paginas()]
CAPITULOS = [d for d in DOCUMENTOS if numero_do_capitulo(d) is not None]
VAZIOS = {
    "area",
    "base",
    "br",
    "col",
    "embed",
    "hr",
    "img",
    "input",
    "link",
    "meta",
    "source",
    "track",
    "wbr",
}


@dataclass
class No:
    """Um elemento da página, com os filhos e o texto na ordem em que aparecem."""

    nome: str
    atributos: dict[str, str] = field(default_factory=dict)
    filhos: list[No | str] = field(default_factory=list)

    def todos(self, *nomes: str, classe: str = "") -> list[No]:
        """Os elementos com um destes nomes (ou todos) e, se dita, esta classe."""
        achados = []
        for filho in self.filhos:
            if isinstance(filho, No):
                if (not nomes or filho.nome in nomes) and (not classe or classe in filho.classes):
                    achados.append(filho)
                achados += filho.todos(*nomes, classe=classe)
        return achados

    @property
    def classes(self) -> list[str]:
        return self.atributos.get("class", "").split()

    @property
    def texto(self) -> str:
        visiveis = (f for f in self.filhos if isinstance(f, str) or f.nome not in ("script", "style"))
        return "".join(f if isinstance(f, str) else f.texto for f in visiveis)


class Leitor(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pilha = [No("")]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        no = No(tag, {nome: valor or "" for nome, valor in attrs})
        self.pilha[-1].filhos.append(no)
        if tag not in VAZIOS:
            self.pilha.append(no)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.pilha[-1].filhos.append(No(tag, {nome: valor or "" for nome, valor in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if any(no.nome == tag for no in self.pilha[1:]):
            while self.pilha.pop().nome != tag:
                pass

    def handle_data(self, data: str) -> None:
        self.pilha[-1].filhos.append(data)


@cache
def arvore(arquivo: Path) -> No:
    leitor = Leitor()
    leitor.feed(arquivo.read_text("utf-8"))
    return leitor.pilha[0]


@cache
def identificadores(arquivo: Path) -> Counter[str]:
    return Counter(no.atributos["id"] for no in arvore(arquivo).todos() if "id" in no.atributos)


def abre(documento: str) -> No:
    return arvore(SITE / f"{documento}.html")


def artigo(documento: str) -> No:
    return abre(documento).todos("article")[0]


@pytest.fixture(autouse=True, scope="module")
def site_construido() -> None:
    faltam = [d for d in DOCUMENTOS if not (SITE / f"{d}.html").is_file()]
    if faltam:
        pytest.fail(
            f"o site não está construído (falta {faltam[0]}.html em _build/html): rode make livro",
            pytrace=False,
        )


def todas() -> list[Path]:
    return sorted(SITE.glob("*.html")) + sorted((SITE / "book").rglob("*.html"))


# ---------------------------------------------------------------- ligações, imagens, recursos


def test_ligacoes_internas_e_ancoras_levam_a_algum_lugar() -> None:
    quebradas = []
    for arquivo in todas():
        for no in arvore(arquivo).todos("a"):
            partes = urlsplit(no.atributos.get("href", "#"))
            if partes.scheme or partes.netloc:
                continue
            alvo = (arquivo.parent / unquote(partes.path)).resolve() if partes.path else arquivo
            if not alvo.is_file():
                quebradas.append(f"{arquivo.name}: {partes.geturl()} (arquivo)")
            elif (
                partes.fragment
                and alvo.suffix == ".html"
                and unquote(partes.fragment) not in identificadores(alvo)
            ):
                quebradas.append(f"{arquivo.name}: {partes.geturl()} (âncora)")
    assert not quebradas


def test_imagens_existem_e_tem_texto_alternativo() -> None:
    problemas = []
    for arquivo in todas():
        for imagem in arvore(arquivo).todos("img"):
            origem = imagem.atributos["src"]
            if not (arquivo.parent / unquote(urlsplit(origem).path)).is_file():
                problemas.append(
                    f"{arquivo.name}: a imagem {origem} não existe; confira o nome em book/figuras/"
                )
            if not imagem.atributos.get("alt", "").strip():
                problemas.append(f"{arquivo.name}: {origem} sem texto alternativo; escreva :alt: o que se vê")
    assert not problemas


def recursos(raiz: No) -> list[str]:
    """O que o navegador busca sozinho ao abrir a página."""
    lista = [
        n.atributos["src"]
        for n in raiz.todos()
        if n.nome in ("script", "img", "iframe", "source") and "src" in n.atributos
    ]
    que_carregam = {
        "stylesheet",
        "preload",
        "icon",
        "modulepreload",
        "preconnect",
        "dns-prefetch",
        "manifest",
    }
    return lista + [
        n.atributos["href"] for n in raiz.todos("link") if que_carregam & set(n.atributos["rel"].split())
    ]


def test_nenhum_recurso_vem_de_outro_lugar_e_todos_existem() -> None:
    problemas = []
    for arquivo in todas():
        for endereco in recursos(arvore(arquivo)):
            partes = urlsplit(endereco)
            if partes.scheme or partes.netloc:
                problemas.append(f"{arquivo.name}: {endereco} vem de fora")
            elif not (arquivo.parent / unquote(partes.path)).is_file():
                problemas.append(f"{arquivo.name}: {endereco} não existe")
    for folha in (SITE / "_static").rglob("*.css"):
        de_fora = re.findall(
            r"(?:url\(|@import)\s*[\"']?((?:https?:)?//[^\"')\s]+)", folha.read_text("utf-8")
        )
        problemas += [f"{folha.name}: {endereco} vem de fora" for endereco in de_fora]
    assert not problemas


def test_identificadores_nao_se_repetem_na_pagina() -> None:
    repetidos = {a.name: [i for i, n in identificadores(a).items() if n > 1] for a in todas()}
    assert not {nome: ids for nome, ids in repetidos.items() if ids}


# ---------------------------------------------------------------- botões


def botoes(documento: str, classe: str) -> list[str]:
    return [no.atributos["href"] for no in abre(documento).todos("a", classe=classe)]


@pytest.mark.parametrize("documento", DOCUMENTOS)
def test_o_botao_do_colab_leva_a_um_notebook_que_existe(documento: str) -> None:
    ha_codigo = "```{code-cell}" in (RAIZ / f"{documento}.md").read_text("utf-8")
    achados = botoes(documento, "btn-colab-button")
    assert len(achados) == ha_codigo
    for endereco in achados:
        prefixo = enderecos().colab("")
        assert endereco.startswith(prefixo)
        caderno = endereco.removeprefix(prefixo)
        assert caderno == f"notebooks/{documento.removeprefix('book/')}.ipynb"
        assert (RAIZ / caderno).is_file(), f"{caderno} não existe; rode make livro e guarde-o no commit"


@pytest.mark.parametrize("documento", DOCUMENTOS)
def test_o_botao_de_baixar_serve_o_notebook_do_repositorio(documento: str) -> None:
    for endereco in botoes(documento, "btn-baixar-button"):
        servido = (SITE / f"{documento}.html").parent.joinpath(endereco).resolve()
        assert servido == SITE / f"_sources/{documento}.ipynb"
        assert servido.read_bytes() == (RAIZ / caminho_do_caderno(documento)).read_bytes()
    assert len(botoes(documento, "btn-baixar-button")) == len(botoes(documento, "btn-colab-button"))


@pytest.mark.parametrize("documento", DOCUMENTOS)
def test_repositorio_edicao_e_issue_apontam_a_pagina(documento: str) -> None:
    publicos = enderecos()
    assert botoes(documento, "btn-source-repository-button") == [publicos.repositorio]
    assert botoes(documento, "btn-source-edit-button") == [
        f"{publicos.repositorio}/edit/{publicos.ramo}/{documento}.md"
    ]
    [issue] = botoes(documento, "btn-source-issues-button")
    assert issue.startswith(f"{publicos.repositorio}/issues/new?")
    assert publicos.pagina(documento) in unquote(issue)


@pytest.mark.parametrize("documento", DOCUMENTOS)
def test_o_botao_citar_traz_a_citacao_da_propria_pagina(documento: str) -> None:
    [destino] = botoes(documento, "btn-citar-button")
    levado = (SITE / f"{documento}.html").parent.joinpath(destino).resolve()
    assert levado == SITE / "book/como-citar.html" or (documento, destino) == (citacao.PAGINA, "#")
    formas = {no.atributos["id"]: no.texto for no in abre(documento).todos("pre") if no.atributos.get("id")}
    assert formas.keys() == {f"citar-{formato}" for formato in citacao.FORMATOS}
    numero, *palavras = artigo(documento).todos("h1")[0].texto.rstrip("#").split()
    titulo = " ".join(palavras if re.fullmatch(r"\d+|[A-Z]", numero) else [numero, *palavras])
    inteiro = documento == "book/index"
    onde = enderecos().site if inteiro else enderecos().pagina(documento)
    for nome, forma in formas.items():
        assert titulo in forma or nome == "citar-bibtex", (nome, forma)
        assert onde in forma and versao() in forma, (nome, forma)
    assert inteiro == formas["citar-bibtex"].startswith("@book{")


def test_o_rodape_diz_a_versao_e_as_licencas() -> None:
    for documento in DOCUMENTOS:
        [rodape] = abre(documento).todos("footer", classe="bd-footer-content")
        assert f"Versão {versao()}" in rodape.texto and LICENCAS in rodape.texto, documento


def test_as_ligacoes_ao_colab_da_pagina_inicial_existem() -> None:
    prefixo = enderecos().colab("")
    ligacoes = [a.atributos["href"] for a in artigo("book/index").todos("a")]
    ao_colab = [destino for destino in ligacoes if destino.startswith(prefixo)]
    assert ao_colab
    for endereco in ao_colab:
        assert (RAIZ / endereco.removeprefix(prefixo)).is_file(), endereco


# ---------------------------------------------------------------- conteúdo


@pytest.mark.parametrize("documento", CAPITULOS)
def test_o_capitulo_traz_as_suas_saidas(documento: str) -> None:
    fonte = (RAIZ / f"{documento}.md").read_text("utf-8")
    pagina = artigo(documento)
    saidas = pagina.todos("div", classe="cell_output")
    assert len(saidas) >= 3, (
        f"{documento}.md: {len(saidas)} saídas de células; um capítulo mostra ao menos três: acrescente "
        "células que mostrem o que o texto afirma"
    )
    com_erro = [saida.texto for saida in saidas if "Traceback (most recent call last)" in saida.texto]
    assert not com_erro, f"{documento}.md: uma saída é um traceback; conserte a célula: {com_erro[0][-200:]}"
    graficos = len(re.findall(r"(?m)^:figura: ", fonte))
    desenhos = len(re.findall(r"(?m)^```\{figure\} ", fonte))
    figuras = pagina.todos("figure")
    assert len(figuras) == graficos + desenhos, (
        f"{documento}.md: {graficos} células com :figura: e {desenhos} diretivas {{figure}}, mas "
        f"{len(figuras)} figuras na página; confira as cercas e as opções"
    )
    vazias = [f.texto.strip()[:80] for f in figuras if not (f.todos("img") and f.todos("figcaption"))]
    assert not vazias, (
        f"{documento}.md: figura sem imagem ou sem legenda: {vazias}; a célula com :figura: tem de desenhar "
        "(plt.subplots…), e a diretiva {figure} traz a legenda depois das opções"
    )
    assert sum("figura-de-celula" in f.classes for f in figuras) == graficos, (
        f"{documento}.md: uma célula com :figura: não virou figura; escreva também :legenda: e :alt:"
    )


@pytest.mark.parametrize("documento", CAPITULOS)
def test_numeros_do_capitulo_vem_do_nome_do_arquivo(documento: str) -> None:
    numero = str(numero_do_capitulo(documento))
    titulo = artigo(documento).todos("h1")[0].texto
    assert titulo.split()[0] == numero, (
        f"{documento}.md: o título saiu {titulo!r}, e o nome do arquivo pede o número {numero}; a página "
        "tem de estar na parte numerada de _toc.yml"
    )
    legendas = [n.texto.split()[1] for n in artigo(documento).todos("span", classe="caption-number")]
    assert legendas and all(n.startswith(f"{numero}.") for n in legendas), (
        f"{documento}.md: legendas numeradas: {legendas}; um capítulo tem ao menos uma figura numerada: uma "
        "célula com :figura:, :legenda: e :alt:, ou a diretiva {figure} com :name:"
    )
    sumario = abre("book/index").todos("nav", classe="bd-docs-nav")[0]
    [ligacao] = [
        a for a in sumario.todos("a") if a.atributos["href"] == f"{documento.removeprefix('book/')}.html"
    ]
    assert ligacao.texto.split()[0] == numero


def test_todo_termo_do_glossario_tem_definicao() -> None:
    [lista] = artigo("book/glossario").todos("dl", classe="glossary")
    filhos = [f for f in lista.filhos if isinstance(f, No)]
    assert [f.nome for f in filhos] == ["dt", "dd"] * (len(filhos) // 2)
    assert all(f.texto.strip() for f in filhos)
    assert not [f.texto for f in filhos if f.nome == "dt" and f.texto.startswith(":")]


def test_referencias_em_portugues_e_em_ordem() -> None:
    entradas = [" ".join(p.texto.split()) for p in artigo("book/referencias").todos("div", classe="citation")]
    corpos = [re.sub(r"^\[[^]]*\] ?", "", e) for e in entradas]
    assert corpos
    for corpo in corpos:
        autoria = corpo.split(" (")[0]
        assert re.search(r"\(\d{4}\)\. ", corpo), corpo
        assert " and " not in autoria and "others" not in autoria, corpo


def test_as_citacoes_do_texto_estao_em_portugues() -> None:
    citadas = {
        " ".join(a.texto.split())
        for d in DOCUMENTOS
        for a in artigo(d).todos("a")
        if "referencias.html#" in a.atributos.get("href", "")
    }
    assert citadas
    assert not [c for c in citadas if re.search(r"\b(and|others)\b|&", c)]


def test_a_pagina_inicial_liga_todos_os_capitulos_que_existem_e_so_eles() -> None:
    ligados = {
        a.atributos["href"].split("#")[0] for t in artigo("book/index").todos("table") for a in t.todos("a")
    }
    capitulos = {f"{d.removeprefix('book/')}.html" for d in CAPITULOS}
    assert ligados == capitulos, (
        f"book/index.md: a tabela dos capítulos não liga {sorted(capitulos - ligados)} e sobra "
        f"{sorted(ligados - capitulos)}; cada capítulo tem uma linha: | 3 · [Atenção](03-atencao.md) | … |"
    )


# ---------------------------------------------------------------- interface


EM_INGLES = re.compile(
    r"\b(announcement|back to|click|code cell|collapse|color mode|contents|copied|copy|download|exercise"
    r"|expand|fullscreen|hide|home|last updated|launch|light|loading|main|navigation|next|note"
    r"|on this page|open|page|previous|print|repository|search|section|settings|show|site|skip|solution"
    r"|source|suggest|tip|toggle|warning)\b",
    re.I,
)


def textos_da_interface(raiz: No) -> list[str]:
    """O que o leitor vê ou ouve e não é prosa: atributos, títulos de caixa, botões e tudo fora do artigo."""
    corpo = raiz.todos("body")[0]
    atributos = ("title", "aria-label", "placeholder", "data-bs-title")
    # a dica de uma citação é a referência inteira, quase sempre em inglês
    elementos = [no for no in corpo.todos() if "#" not in no.atributos.get("href", "")]
    lista = [no.atributos[a] for no in elementos for a in atributos if a in no.atributos]
    for bloco in corpo.todos("article"):
        lista += [no.texto for no in bloco.todos("summary", "button")]
        lista += [no.texto.split("·")[0] for no in bloco.todos("p", classe="admonition-title")]

    def fora(no: No) -> None:
        for filho in no.filhos:
            if isinstance(filho, str):
                lista.append(filho)
            elif (
                filho.nome not in ("article", "script", "style", "noscript", "kbd")
                and "page-toc" not in filho.classes
            ):
                fora(filho)

    fora(corpo)
    return [" ".join(t.split()) for t in lista if t.strip()]


@pytest.mark.parametrize("documento", [*DOCUMENTOS, "search"])
def test_a_interface_fala_portugues(documento: str) -> None:
    textos = [re.sub(r"\bhomellm(\.\w+)+", "", t) for t in textos_da_interface(abre(documento))]
    restos = [t for t in textos if EM_INGLES.search(t)]
    assert not restos, f"{documento}: traduza, em TEXTOS ou FIXOS de ferramentas/interface.py: {restos}"


@pytest.mark.parametrize("documento", DOCUMENTOS)
def test_o_cabecalho_da_pagina(documento: str) -> None:
    raiz = abre(documento)
    [pagina] = raiz.todos("html")
    assert pagina.atributos["lang"] == "pt-BR"
    metas = {
        m.atributos.get("name") or m.atributos.get("property"): m.atributos.get("content")
        for m in raiz.todos("meta")
    }
    titulo = artigo(documento).todos("h1")[0].texto.rstrip("#").split()
    assert raiz.todos("title")[0].texto.split(" — ")[0].split() == titulo
    assert 40 <= len(metas.get("description", "")) <= 161, (
        f"{documento}.md: o primeiro parágrafo é o resumo que os buscadores mostram, e tem "
        f"{len(metas.get('description', ''))} letras; escreva um parágrafo de prosa de 40 letras ou mais"
    )
    assert metas["og:description"] == metas["description"]
    assert metas["og:title"].split() == titulo
    assert metas["og:url"] == enderecos().pagina(documento)
    [canonico] = [n.atributos["href"] for n in raiz.todos("link") if n.atributos["rel"] == "canonical"]
    assert canonico == enderecos().pagina(documento)
    [icone] = [n.atributos["href"] for n in raiz.todos("link") if n.atributos["rel"] == "icon"]
    servido = (SITE / f"{documento}.html").parent.joinpath(icone).resolve()
    assert servido.read_bytes() == (RAIZ / "book/figuras/favicon.svg").read_bytes()


@pytest.mark.parametrize("documento", [*DOCUMENTOS, "search"])
def test_ha_um_so_campo_de_busca(documento: str) -> None:
    campos = [n for n in abre(documento).todos("input") if n.atributos.get("type") == "search"]
    assert [n.atributos["placeholder"] for n in campos] == ["Buscar no livro"]


def test_o_botao_de_copiar_fala_portugues() -> None:
    texto = (SITE / "_static/copybutton.js").read_text("utf-8")
    assert texto.count("'pt-BR':") == 1 and "'copy_success': 'Copiado'" in texto


def test_o_site_nao_leva_o_que_ninguem_pede() -> None:
    assert not list(SITE.rglob("*fontawesome*"))
    tamanho = sum(p.stat().st_size for p in SITE.rglob("*") if p.is_file())
    assert tamanho < 40e6, f"{tamanho / 1e6:.0f} MB"


def test_o_endereco_do_site_e_um_so() -> None:
    config = yaml.safe_load((RAIZ / "_config.yml").read_text("utf-8"))
    raiz = arvore(SITE / "index.html")
    assert [a.atributos["href"] for a in raiz.todos("a")] == ["book/index.html"]
    assert config["html"]["baseurl"].startswith("https://")


def test_nenhum_notebook_sem_pagina() -> None:
    da_pagina = {f"{d.removeprefix('book/')}.ipynb" for d in DOCUMENTOS if botoes(d, "btn-colab-button")}
    pasta = RAIZ / "notebooks"
    existem = {p.relative_to(pasta).as_posix() for p in pasta.rglob("*.ipynb")}
    assert existem == da_pagina, (
        f"notebooks/: faltam {sorted(da_pagina - existem)} e sobram {sorted(existem - da_pagina)}; "
        "rode make livro"
    )
