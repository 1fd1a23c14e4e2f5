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
        "DOI: https://doi.org/10.5281/zenodo.1. Disponível em: https://exemplo.org/. "
        "Acesso em: [data do acesso]."
    )
    assert citacao.abnt(citacao.pagina(OBRA, "Atenção", "https://exemplo.org/3")) == (
        "SILVA, Ana; SOUZA, Beto. Atenção. In: SILVA, Ana; SOUZA, Beto. Um LLM na Mão. Versão 1.2.0. "
        "[S. l.: s. n.], 2027. Disponível em: https://exemplo.org/3. Acesso em: [data do acesso]."
    )


def test_os_elementos_da_abnt_vem_na_ordem_da_norma():
    """NBR 6023:2018, monografia e parte de monografia em meio eletrônico, conferidas elemento a elemento."""
    livro = citacao.livro()
    ordem = [a.upper() for a in livro.autores] + [livro.titulo, f"Versão {livro.versao}", "[S. l.: s. n.]"]
    ordem += [f", {livro.ano}.", "Disponível em: https://", "Acesso em: "]
    citada = citacao.abnt(livro)
    lugares = [citada.index(elemento) for elemento in ordem]
    assert lugares == sorted(lugares) and "<" not in citada  # a norma de 2018 tirou os < > dos endereços
    parte = citacao.abnt(citacao.pagina(livro, "Atenção", "https://exemplo.org/3"))
    quem = livro.autores[0].upper()
    assert parte.startswith(f"{quem}. Atenção. In: {quem}. {livro.titulo}. Versão ")


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
    """O texto de cada elemento que tem `id`, os destaques dele, e para onde aponta cada botão de copiar."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.aberto, self.textos, self.copiam, self.ligacoes = "", {}, [], []
        self.destaque, self.destaques = "", []

    def handle_starttag(self, tag, attrs):
        de = dict(attrs)
        self.destaque = tag if tag in ("strong", "em") else ""
        self.aberto = self.aberto if self.destaque else de.get("id", "")
        self.copiam += [de["data-copia"]] if "data-copia" in de else []
        self.ligacoes += [de["href"]] if "href" in de else []

    def handle_endtag(self, tag):
        self.aberto = self.aberto if tag in ("strong", "em") else ""
        self.destaque = ""

    def handle_data(self, data):
        self.textos[self.aberto] = self.textos.get(self.aberto, "") + data
        self.destaques += [(self.aberto, self.destaque, data)] if self.destaque else []


def test_o_dialogo_traz_as_quatro_formas_daquela_pagina():
    obra = citacao.pagina(OBRA, 'Pesos <b> & "medidas"', "https://exemplo.org/a?b=1&c=2")
    leitor = Leitor()
    leitor.feed(citacao.dialogo(obra, "../como-citar.html"))
    assert leitor.copiam == [f"citar-{formato}" for formato in citacao.FORMATOS]
    for formato in citacao.FORMATOS:
        assert leitor.textos[f"citar-{formato}"] == citacao.em(formato, obra)
    assert leitor.textos["dialogo-citar-titulo"] == "Citar esta página"
    assert leitor.ligacoes == ["../como-citar.html"]
    assert leitor.destaques == [
        ("citar-abnt", "em", "In"),
        ("citar-abnt", "strong", "Um LLM na Mão"),
        ("citar-abnt", "em", "S. l.: s. n."),
        ("citar-apa", "em", "Um LLM na Mão"),
    ]
    assert "Citar o livro" in citacao.dialogo(OBRA, "x")


def test_o_destaque_e_o_do_livro_mesmo_que_o_capitulo_tenha_o_nome_dele():
    homonimo = citacao.dialogo(citacao.pagina(OBRA, "Um LLM na Mão", "https://exemplo.org/3"), "x")
    assert "SOUZA, Beto. Um LLM na Mão. <em>In</em>: " in homonimo
    assert "SOUZA, Beto. <strong>Um LLM na Mão</strong>. Versão" in homonimo
    assert "(2027). Um LLM na Mão. Em <em>Um LLM na Mão</em> (Versão" in homonimo


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
