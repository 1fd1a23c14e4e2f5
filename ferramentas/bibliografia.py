"""Citações e referências em português, no estilo autor-ano.

No texto, “(Sennrich et al., 2016)”; na lista, “Sennrich, R.; Haddow, B. e Birch, A. (2016). Título.”
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pybtex.backends.plaintext import Backend as TextoCorrido
from pybtex.database import Entry, Person
from pybtex.plugin import register_plugin
from pybtex.richtext import Tag, Text
from pybtex.style.formatting import toplevel
from pybtex.style.formatting.unsrt import Style
from pybtex.style.formatting.unsrt import pages as paginas
from pybtex.style.template import (
    FieldIsMissing,
    Node,
    first_of,
    href,
    join,
    node,
    optional,
    optional_field,
    sentence,
    tag,
)
from pybtex.style.template import field as campo
from sphinx.application import Sphinx
from sphinxcontrib.bibtex.plugin import register_plugin as registra_citacao
from sphinxcontrib.bibtex.style.referencing import BracketStyle, PersonStyle
from sphinxcontrib.bibtex.style.referencing.author_year import AuthorYearReferenceStyle

MUITOS = 6  # a partir daqui, a lista de autores fica nos três primeiros


def _parenteses() -> BracketStyle:
    return BracketStyle(left="(", right=")", sep="; ")


def _e_outros(pessoas: list[Person]) -> tuple[list[Person], bool]:
    """As pessoas nomeadas, e se a entrada termina em `and others`."""
    nomeadas = [p for p in pessoas if str(p) != "others"]
    return nomeadas, len(nomeadas) < len(pessoas)


@node
def sobrenomes(filhos: list, dados: dict, papel: str, todos: bool, estilo: PersonStyle) -> Text:
    """“Sobrenome”, “Sobrenome e Sobrenome” ou “Sobrenome et al.”, para o meio do texto."""
    if papel not in dados["entry"].persons:
        raise FieldIsMissing(papel, dados["entry"])
    pessoas, outros = _e_outros(dados["entry"].persons[papel])
    nomes = [estilo.style_plugin.format(p, estilo.abbreviate).format_data(dados) for p in pessoas]
    if outros or (len(nomes) > 2 and not todos):
        return Text(nomes[0], " ", Tag("em", "et al."))
    return _enumera(", ", nomes)


@node
def autores(filhos: list, dados: dict, papel: str) -> Text:
    """“Sobrenome, N.; Sobrenome, N. e Sobrenome, N.”, para a lista."""
    pessoas, outros = _e_outros(dados["entry"].persons[papel])
    nomes = [dados["style"].format_name(p, True).format_data(dados) for p in pessoas]
    if outros or len(nomes) > MUITOS:
        return Text(Text("; ").join(nomes[:3]), " ", Tag("em", "et al."))
    return _enumera("; ", nomes)


def _enumera(separador: str, nomes: list[Text]) -> Text:
    return Text(" e ").join([Text(separador).join(nomes[:-1]), nomes[-1]]) if len(nomes) > 1 else nomes[0]


class Pessoas(PersonStyle):
    """Como as pessoas aparecem na citação."""

    def names(self, role: str, full: bool) -> Node:
        return sobrenomes(papel=role, todos=full, estilo=self)

    def author_or_editor_or_title(self, full: bool) -> Node:  # é o que a citação chama, desde a 2.6
        pessoas = [optional[self.names(papel, full)] for papel in ("author", "editor")]
        return first_of[(*pessoas, tag("em")[campo("title")])]


@dataclass
class CitacaoAutorAno(AuthorYearReferenceStyle):
    """Citação “(Autor e Autor, ano)”."""

    bracket_textual: BracketStyle = field(default_factory=_parenteses)
    bracket_parenthetical: BracketStyle = field(default_factory=_parenteses)
    person: PersonStyle = field(default_factory=Pessoas)


class ListaAutorAno(Style):
    """Lista de referências por sobrenome do autor e ano."""

    default_name_style = "lastfirst"
    default_sorting_style = "author_year_title"

    def modelo(self, e: Entry) -> Node:
        quem = [autores(papel) for papel in ("author", "editor") if papel in e.persons][:1]
        livro = e.type in ("book", "booklet", "manual", "phdthesis", "mastersthesis", "proceedings")
        onde = first_of[tuple(optional[tag("em")[campo(c)]] for c in ("journal", "booktitle"))]
        volume = optional[join[campo("volume"), optional["(", campo("number"), ")"]]]
        casas = [optional_field(c) for c in ("series", "publisher", "institution", "school")]
        solto = e.fields.get("howpublished", "")
        if solto.startswith("arXiv:"):
            casas.append(href("https://arxiv.org/abs/" + solto.removeprefix("arXiv:"))[solto])
        else:
            casas.append(optional_field("howpublished"))
        faixa = optional[join["p. ", paginas]]
        endereco = campo("url", raw=True)
        doi = join["https://doi.org/", campo("doi", raw=True)]
        arxiv = join["https://arxiv.org/abs/", campo("eprint", raw=True)]
        return toplevel[
            join(sep=" ")[[*quem, join["(", campo("year"), ")."]]],
            sentence[tag("em")[campo("title")] if livro else campo("title")],
            sentence[[optional[onde], volume, *casas, faixa]],
            sentence[optional_field("note")],
            first_of[
                optional[href(doi)[join["doi:", campo("doi", raw=True)]]],
                optional[href(arxiv)[join["arXiv:", campo("eprint", raw=True)]]],
                optional[href(endereco)[endereco]],
            ],
        ]

    get_article_template = get_book_template = get_booklet_template = get_inbook_template = modelo
    get_incollection_template = get_inproceedings_template = get_manual_template = modelo
    get_mastersthesis_template = get_phdthesis_template = get_proceedings_template = modelo
    get_misc_template = get_online_template = get_techreport_template = get_unpublished_template = modelo
    get_dataset_template = get_software_template = get_patent_template = modelo


def setup(app: Sphinx) -> dict[str, object]:
    register_plugin("pybtex.style.formatting", "autor_ano", ListaAutorAno)
    # registrado, não se procura de novo entre todos os pacotes instalados a cada citação
    register_plugin("pybtex.backends", "plaintext", TextoCorrido, force=True)
    registra_citacao("sphinxcontrib.bibtex.style.referencing", "autor_ano", CitacaoAutorAno)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
