"""Como citar o livro, ou um capítulo, em BibTeX, ABNT, APA e texto corrido: tudo sai de `CITATION.cff`.

Na página “Como citar”, a diretiva `{citacao} bibtex` (ou `abnt`, `apa`, `texto`) mostra a citação do livro.
No alto de cada página, o botão “Citar” abre um diálogo com as citações dela; sem JavaScript, leva à página
“Como citar”. Quem põe a data de acesso de hoje é `_static/citar.js`.
"""

from __future__ import annotations

import html
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

import yaml
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.util.docutils import SphinxDirective

from ferramentas.livro import RAIZ, ErroDoLivro, enderecos, le_texto

FORMATOS = {"bibtex": "BibTeX", "abnt": "ABNT (NBR 6023)", "apa": "APA", "texto": "Texto corrido"}
ACESSO = "[data do acesso]"  # no navegador, `citar.js` põe a de hoje
SEM_LUGAR = "[S. l.: s. n.]"  # sine loco, sine nomine: quem publica é o autor
PAGINA = "book/como-citar"


@dataclass(frozen=True)
class Obra:
    """O que se cita: o livro, ou uma página dele (`capitulo` e o endereço dela)."""

    autores: tuple[str, ...]
    titulo: str
    versao: str
    ano: str
    endereco: str
    doi: str = ""
    capitulo: str = ""

    @property
    def onde(self) -> str:
        """O endereço que permanece: o DOI, se o livro inteiro tem um."""
        return f"https://doi.org/{self.doi}" if self.doi and not self.capitulo else self.endereco

    @property
    def chave(self) -> str:
        """Chave de BibTeX, só com letras sem acento, números e sublinhados.

        >>> Obra(("vongrossi",), "Fazendo um LLM do Zero", "1", "2026", "x", capitulo="Atenção").chave
        'vongrossi_2026_atencao'
        """
        quem, que = (
            re.findall(r"\w+", unicodedata.normalize("NFD", t).encode("ascii", "ignore").decode().lower())
            for t in (self.autores[0].partition(",")[0], self.capitulo or self.titulo)
        )
        return "_".join([*quem, self.ano, *que[:4]])


def livro(raiz: Path = RAIZ) -> Obra:
    """A obra que `CITATION.cff` descreve."""
    try:
        dados = yaml.safe_load(le_texto(raiz / "CITATION.cff", raiz))
        autores = tuple(a.get("name") or f"{a['family-names']}, {a['given-names']}" for a in dados["authors"])
        return Obra(
            autores, dados["title"], str(dados["version"]), str(dados["date-released"])[:4], dados["url"],
            dados.get("doi", ""),
        )  # fmt: skip
    except (yaml.YAMLError, KeyError, TypeError, AttributeError) as erro:
        raise ErroDoLivro(
            f"CITATION.cff:1: falta ou está ilegível um campo ({erro}); são precisos authors, title, "
            "version, date-released e url"
        ) from erro


def pagina(obra: Obra, titulo: str, endereco: str) -> Obra:
    """A mesma obra, citada por uma página."""
    return Obra(obra.autores, obra.titulo, obra.versao, obra.ano, endereco, capitulo=titulo)


def bibtex(obra: Obra) -> str:
    """Entrada de BibTeX: `@book`, ou `@incollection` para uma página."""
    autores = " and ".join(f"{{{a}}}" if "," not in a else a for a in obra.autores)
    campos = {"author": autores}
    if obra.capitulo:
        campos |= {"title": obra.capitulo, "booktitle": obra.titulo}
    else:
        campos |= {"title": obra.titulo}
    campos |= {"year": obra.ano, "version": obra.versao, "doi": "" if obra.capitulo else obra.doi}
    campos |= {"url": obra.endereco, "language": "brazilian"}
    for nome in ("title", "booktitle"):  # as siglas guardam as maiúsculas
        protegido = re.sub(r"\b[A-Z]{2,}\b", r"{\g<0>}", campos.get(nome, ""))
        campos[nome] = re.sub(r"([&%$#_])", r"\\\1", protegido)
    linhas = [f"  {nome:<9} = {{{valor}}}" for nome, valor in campos.items() if valor]
    especie = "incollection" if obra.capitulo else "book"
    return f"@{especie}{{{obra.chave},\n" + ",\n".join(linhas) + "\n}"


def abnt(obra: Obra) -> str:
    """Referência na NBR 6023:2018 (documento em meio eletrônico, sem lugar nem editora).

    Os elementos, na ordem: autoria, título, edição (aqui, a versão), local e editora, ano, DOI, endereço,
    data do acesso. Uma parte vem antes do todo, com “In:”. Os destaques (negrito, itálico) são os de
    `_destaques`.
    """
    autores = "; ".join(_caixa_alta(a) for a in obra.autores)
    corpo = f"{obra.titulo}. Versão {obra.versao}. {SEM_LUGAR}, {obra.ano}."
    if obra.capitulo:
        corpo = f"{obra.capitulo}. In: {autores}. {corpo}"
    elif obra.doi:
        corpo += f" DOI: {obra.onde}."
    return f"{autores}. {corpo} Disponível em: {obra.endereco}. Acesso em: {ACESSO}."


def _caixa_alta(autor: str) -> str:
    sobrenome, virgula, nome = autor.partition(",")
    return sobrenome.upper() + virgula + nome


def apa(obra: Obra) -> str:
    """Referência no estilo da APA, 7ª edição."""
    autores = " & ".join(obra.autores)
    livro_ = f"{obra.titulo} (Versão {obra.versao})"
    corpo = f"{obra.capitulo}. Em {livro_}" if obra.capitulo else f"{livro_} [Livro executável]"
    return f"{autores}. ({obra.ano}). {corpo}. {obra.onde}"


def texto(obra: Obra) -> str:
    """Uma frase, para qualquer lugar."""
    capitulo = f"“{obra.capitulo}”, em " if obra.capitulo else ""
    return (
        f"{' e '.join(obra.autores)}, {capitulo}{obra.titulo}, versão {obra.versao}, {obra.ano}. {obra.onde}"
    )


def em(formato: str, obra: Obra) -> str:
    """A citação num dos `FORMATOS`."""
    return {"bibtex": bibtex, "abnt": abnt, "apa": apa, "texto": texto}[formato](obra)


class Citacao(SphinxDirective):
    """`{citacao} abnt`: a citação do livro naquele formato, num bloco que se copia com um clique."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        formato = self.arguments[0]
        if formato not in FORMATOS:
            raise self.error(f"formato {formato!r}: use um de {', '.join(FORMATOS)}")
        self.env.note_dependency(str(RAIZ / "CITATION.cff"))
        codigo = em(formato, livro())
        lingua = "bibtex" if formato == "bibtex" else "text"
        return [nodes.literal_block(codigo, codigo, language=lingua, classes=["citacao"])]


# ---------------------------------------------------------------- o botão “Citar”


def _destaques(formato: str, obra: Obra) -> list[tuple[str, str]]:
    """O que a norma destaca: o trecho, e como ele fica em HTML.

    Na ABNT, o título do livro em negrito, e em itálico as expressões latinas; na APA, o título em itálico.
    """
    titulo = html.escape(obra.titulo)
    if formato == "abnt":
        latim = (SEM_LUGAR, f"[<em>{SEM_LUGAR[1:-1]}</em>]")
        parte = [(". In: ", ". <em>In</em>: ")] if obra.capitulo else []
        return [(f" {titulo}. Versão", f" <strong>{titulo}</strong>. Versão"), latim, *parte]
    if formato == "apa":
        return [(f" {titulo} (Versão", f" <em>{titulo}</em> (Versão")]
    return []


def _em_html(formato: str, obra: Obra) -> str:
    """A citação escapada, com os destaques que a norma pede."""
    escapada = html.escape(em(formato, obra))
    for trecho, destacado in _destaques(formato, obra):
        escapada = destacado.join(escapada.rsplit(trecho, 1))  # o último: o capítulo pode ter o nome do livro
    return escapada


def dialogo(obra: Obra, como_citar: str) -> str:
    """O diálogo que o botão “Citar” abre: cada formato com o seu botão de copiar.

    >>> "[data do acesso]" in dialogo(Obra(("A",), "T", "1", "2026", "x"), "como-citar.html")
    True
    """
    oque = "esta página" if obra.capitulo else "o livro"
    partes = [
        f'<div class="citar-forma"><h3 id="citar-{formato}-nome">{nome}</h3>'
        f'<button type="button" class="citar-copia" aria-label="Copiar em {nome}" '
        f'data-copia="citar-{formato}">Copiar</button>'
        f'<pre id="citar-{formato}" tabindex="0" aria-labelledby="citar-{formato}-nome">'
        f"{_em_html(formato, obra)}</pre></div>"
        for formato, nome in FORMATOS.items()
    ]
    return (
        '<dialog id="dialogo-citar" aria-labelledby="dialogo-citar-titulo">\n'
        f'<form method="dialog"><h2 id="dialogo-citar-titulo">Citar {oque}</h2>'
        '<button class="citar-fecha" aria-label="Fechar">✕</button></form>\n'
        + "\n".join(partes)
        + f'\n<p>O livro inteiro, e que versão citar: <a href="{html.escape(como_citar)}">Como citar</a>. '
        '<span role="status"></span></p>\n</dialog>\n'
    )


def _poe_o_dialogo(
    app: Sphinx, docname: str, modelo: str, contexto: dict, doctree: nodes.document | None
) -> None:
    """Guarda no contexto o diálogo da página; a interface o põe no fim dela."""
    if doctree is not None:
        obra = livro()
        if docname != app.config.root_doc:
            obra = pagina(obra, app.env.titles[docname].astext(), enderecos().pagina(docname))
        contexto["livro_citar"] = dialogo(obra, contexto["pathto"](PAGINA))


def _le_a_obra(app: Sphinx, config: Config) -> None:
    config.livro_obra = repr(livro())


def setup(app: Sphinx) -> dict[str, object]:
    app.add_config_value("livro_obra", "", "html")  # mudou a versão ou o DOI: reescreve todas as páginas
    app.add_directive("citacao", Citacao)
    app.connect("config-inited", _le_a_obra)
    app.connect("html-page-context", _poe_o_dialogo, priority=900)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
