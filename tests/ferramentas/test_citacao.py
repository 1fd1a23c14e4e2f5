"""As citações saem de `CITATION.cff`, e cada formato diz o que a sua norma pede."""

from __future__ import annotations

import pytest
from pybtex.database import parse_string

from ferramentas import citacao, versao
from ferramentas.livro import ErroDoLivro, enderecos

OBRA = citacao.Obra(
    ("Silva, Ana", "Souza, Beto"), "Um LLM na Mão", "1.2.0", "2027", "https://exemplo.org/", doi="10.5281/zenodo.1"
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
