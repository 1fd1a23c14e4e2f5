"""As citações saem de `CITATION.cff`, e cada formato diz o que a sua norma pede."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
import yaml
from pybtex.database import parse_string

from brinquedo import REPO
from ferramentas import citacao, versao
from ferramentas.interface import LICENCAS
from ferramentas.livro import ErroDoLivro, enderecos

OBRA = citacao.Obra(
    ("Silva, Ana", "Souza, Beto"),
    "Um LLM na Mão",
    "1.2.0",
    "2027",
    "https://exemplo.org/",
    doi="10.5281/zenodo.1",
)


def test_o_livro_e_o_de_citation_cff():
    livro = citacao.livro()
    assert (livro.versao, livro.endereco) == (versao.versao(), enderecos().site)


@pytest.mark.parametrize("formato", citacao.FORMATOS)
def test_cada_formato_diz_autor_titulo_versao_ano_e_endereco(formato):
    livro = citacao.em(formato, citacao.livro())
    for parte in ("vongrossi", "LLM", "2026", versao.versao(), enderecos().site):
        assert parte.lower() in livro.lower()


@pytest.mark.parametrize("obra", [OBRA, citacao.pagina(OBRA, "Atenção & memória", "https://exemplo.org/3")])
def test_o_bibtex_e_lido_por_quem_le_bibtex(obra):
    (entrada,) = parse_string(citacao.bibtex(obra), "bibtex").entries.values()
    assert [p.last_names for p in entrada.persons["author"]] == [["Silva"], ["Souza"]]
    assert entrada.fields["url"] == obra.endereco
    assert entrada.type == ("incollection" if obra.capitulo else "book")
    assert "Um {LLM} na Mão" in (entrada.fields["title"], entrada.fields.get("booktitle"))


def test_abnt():
    assert citacao.abnt(OBRA) == (
        "SILVA, Ana; SOUZA, Beto. Um LLM na Mão. Versão 1.2.0. [S. l.: s. n.], 2027. "
        "Disponível em: https://doi.org/10.5281/zenodo.1. Acesso em: [data do acesso]."
    )
    assert citacao.abnt(citacao.pagina(OBRA, "Atenção", "https://exemplo.org/3")) == (
        "SILVA, Ana; SOUZA, Beto. Atenção. In: SILVA, Ana; SOUZA, Beto. Um LLM na Mão. Versão 1.2.0. "
        "[S. l.: s. n.], 2027. Disponível em: https://exemplo.org/3. Acesso em: [data do acesso]."
    )


def test_apa():
    assert citacao.apa(OBRA) == (
        "Silva, Ana & Souza, Beto. (2027). Um LLM na Mão (Versão 1.2.0) [Livro executável]. "
        "https://doi.org/10.5281/zenodo.1"
    )


@pytest.mark.parametrize("texto", ["title: [", "title: Um livro\n", "42"])
def test_um_arquivo_ruim_da_um_erro_que_diz_o_que_falta(tmp_path, texto):
    (tmp_path / "CITATION.cff").write_text(texto, "utf-8")
    with pytest.raises(ErroDoLivro, match="authors, title, version"):
        citacao.livro(tmp_path)


class Leitor(HTMLParser):
    """O texto de cada elemento que tem `id`, e para onde aponta cada botão de copiar."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.aberto, self.textos, self.copiam, self.ligacoes = "", {}, [], []
        self.negrito, self.fortes = False, []

    def handle_starttag(self, tag, attrs):
        de = dict(attrs)
        self.negrito = tag == "strong"
        self.aberto = self.aberto if self.negrito else de.get("id", "")
        self.copiam += [de["data-copia"]] if "data-copia" in de else []
        self.ligacoes += [de["href"]] if "href" in de else []

    def handle_endtag(self, tag):
        self.aberto = self.aberto if tag == "strong" else ""
        self.negrito = False

    def handle_data(self, data):
        self.textos[self.aberto] = self.textos.get(self.aberto, "") + data
        self.fortes += [(self.aberto, data)] if self.negrito else []


def test_o_dialogo_traz_as_quatro_formas_daquela_pagina():
    obra = citacao.pagina(OBRA, 'Pesos <b> & "medidas"', "https://exemplo.org/a?b=1&c=2")
    leitor = Leitor()
    leitor.feed(citacao.dialogo(obra, "../como-citar.html"))
    assert leitor.copiam == [f"citar-{formato}" for formato in citacao.FORMATOS]
    for formato in citacao.FORMATOS:
        assert leitor.textos[f"citar-{formato}"] == citacao.em(formato, obra)
    assert leitor.textos["dialogo-citar-titulo"] == "Citar esta página"
    assert leitor.ligacoes == ["../como-citar.html"]
    assert leitor.fortes == [("citar-abnt", "Um LLM na Mão")]
    assert "Citar o livro" in citacao.dialogo(OBRA, "x")


def test_o_programa_do_navegador_conhece_a_marca_da_data():
    """O que `abnt` escreve é o que `citar.js` procura."""
    assert f'"{citacao.ACESSO}"' in (REPO / "_static/citar.js").read_text("utf-8")


def test_citation_cff_oferece_as_duas_licencas_e_espera_um_doi(tmp_path):
    texto = (REPO / "CITATION.cff").read_text("utf-8")
    assert yaml.safe_load(texto)["license"] == ["MIT", "CC-BY-4.0"]
    (tmp_path / "CITATION.cff").write_text(f"{texto}\ndoi: 10.5281/zenodo.7\n", "utf-8")
    com_doi = citacao.livro(tmp_path)
    assert "doi       = {10.5281/zenodo.7}" in citacao.bibtex(com_doi)
    assert citacao.apa(com_doi).endswith(" https://doi.org/10.5281/zenodo.7")
    de_pagina = citacao.pagina(com_doi, "Atenção", "https://exemplo.org/3")
    assert citacao.apa(de_pagina).endswith(" https://exemplo.org/3")


def test_as_licencas_sao_as_mesmas_em_toda_parte():
    for arquivo in ("README.md", "LICENSE-TEXTO", "book/como-citar.md"):
        assert "CC BY 4.0" in (REPO / arquivo).read_text("utf-8"), arquivo
    assert "CC BY 4.0" in LICENCAS and "MIT" in LICENCAS
