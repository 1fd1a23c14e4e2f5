"""As peças da interface que não precisam do site construído: textos, busca, acabamento, bibliografia."""

from __future__ import annotations

from io import StringIO

import pytest
from docutils import nodes
from pybtex.backends.plaintext import Backend
from pybtex.database import parse_string
from sphinxcontrib.bibtex.style.referencing import format_references
from sphinxcontrib.bibtex.style.template import SphinxReferenceInfo

from ferramentas.bibliografia import CitacaoAutorAno, ListaAutorAno
from ferramentas.interface import BuscaSemAcento, Portugues, acabamento, resumo


def test_o_catalogo_responde_em_portugues_e_deixa_passar_o_resto() -> None:
    catalogo = Portugues()
    assert catalogo.gettext("Back to top") == "Voltar ao topo"
    assert catalogo.gettext("uma frase que não está lá") == "uma frase que não está lá"


@pytest.mark.parametrize(
    ("no_texto", "na_pergunta"),
    [
        ("atenção", "atencao"),
        ("Atenção", "ATENÇÃO"),
        ("tokenização", "tokenizacoes"),
        ("fusões", "fusao"),
        ("gráfico", "graficos"),
        ("pré", "pre"),
    ],
)
def test_a_busca_nao_distingue_acento(no_texto: str, na_pergunta: str) -> None:
    busca = BuscaSemAcento({})
    assert busca.stem(no_texto) == busca.stem(na_pergunta)


def test_a_busca_distingue_palavras() -> None:
    busca = BuscaSemAcento({})
    assert len({busca.stem(p) for p in ("atenção", "perda", "token", "fusão", "avó", "bytes")}) == 6


CABECA = """\
<head>
    <link rel="stylesheet" type="text/css" href="../_static/sphinx-thebe.css" />
    <link rel="stylesheet" type="text/css" href="../_static/livro.css" />
  <script defer src="../_static/scripts/fontawesome.js?digest=55"></script>
  <script src="../_static/vendor/fontawesome/6.5.2/js/all.min.js?digest=df"></script>
  <link rel="preload" as="font" href="../_static/vendor/fontawesome/6.5.2/webfonts/fa-solid-900.woff2" />
</head>
"""


def test_o_acabamento_tira_os_icones_pesados_e_guarda_o_que_e_do_livro() -> None:
    pagina = acabamento(CABECA)
    assert "fontawesome" not in pagina and "thebe" not in pagina
    assert "_static/livro.css" in pagina


def test_o_acabamento_traduz_o_que_o_tema_traz_fixo() -> None:
    pagina = acabamento(
        '<button class="a" title="Toggle primary sidebar"></button><nav aria-label="Main"></nav>'
    )
    assert "Toggle" not in pagina and '"Main"' not in pagina
    assert pagina.count('aria-label="Sumário do livro"') == 2


@pytest.mark.parametrize(
    "dialogo",
    [
        '<dialog id="pst-search-dialog">\n<form><input type="search"></form>\n</dialog>',
        '<div class="search-button__wrapper">\n<div class="search-button__overlay"></div>\n'
        '<div class="search-button__search-container"><form><input type="search"></form></div>\n</div>',
    ],
    ids=["tema 1.3", "tema 1.1"],
)
def test_a_pagina_da_busca_tem_um_campo_so(dialogo: str) -> None:
    campo = '<div class="bd-search-container"><input type="search"></div>'
    assert acabamento(dialogo + campo).count('type="search"') == 1
    assert acabamento(dialogo).count('type="search"') == 1


def test_identificadores_repetidos_viram_classe() -> None:
    pagina = acabamento('<section id="exercise-content"></section><section id="exercise-content"></section>')
    assert 'id="exercise-content"' not in pagina and pagina.count('class="exercise-content"') == 2


def documento(*paragrafos: str) -> nodes.document:
    secao = nodes.section("", nodes.title("", "Título"), *(nodes.paragraph("", p) for p in paragrafos))
    raiz = nodes.document(None, None)
    raiz += secao
    return raiz


def test_o_resumo_e_o_primeiro_paragrafo_cortado_em_palavra() -> None:
    assert resumo(documento("Uma frase\ncurta.", "Outra.")) == "Uma frase curta."
    longo = resumo(documento("palavra " * 60))
    assert len(longo) <= 161 and longo.endswith("palavra…")
    assert resumo(documento()) == ""


def referencia(bibtex: str) -> str:
    dados = parse_string(bibtex, "bibtex")
    formatada = next(iter(ListaAutorAno().format_bibliography(dados)))
    saida = StringIO()
    saida.write(formatada.text.render(Backend()))
    return saida.getvalue()


@pytest.mark.parametrize(
    ("bibtex", "esperado"),
    [
        (
            "@inproceedings{a, author={Sennrich, Rico and Haddow, Barry and Birch, Alexandra}, "
            "title={Rare Words}, booktitle={Proceedings of ACL}, pages={1715--1725}, year={2016}}",
            "Sennrich, R.; Haddow, B. e Birch, A. (2016). Rare Words. Proceedings of ACL, p. 1715–1725.",
        ),
        (
            "@article{a, author={Brown, Tom B. and others}, title={Few-Shot Learners}, journal={NeurIPS}, "
            "volume={33}, number={2}, year={2020}}",
            "Brown, T. B. et al. (2020). Few-Shot Learners. NeurIPS, 33(2).",
        ),
        (
            "@misc{a, author={Kaplan, Jared}, title={Scaling Laws}, "
            "howpublished={arXiv:2001.08361}, year={2020}}",
            "Kaplan, J. (2020). Scaling Laws. arXiv:2001.08361.",
        ),
        (
            "@book{a, author={Zipf, George K.}, title={Human Behavior}, "
            "publisher={Addison-Wesley}, year={1949}}",
            "Zipf, G. K. (1949). Human Behavior. Addison-Wesley.",
        ),
    ],
)
def test_a_referencia_sai_em_portugues(bibtex: str, esperado: str) -> None:
    assert referencia(bibtex).replace("\xa0", " ").replace("--", "–") == esperado


def citacao(papel: str, *autorias: str) -> str:
    """Como sai no texto a citação de uma ou mais obras de 2020."""
    entradas = [f"@misc{{x{n}, author={{{a}}}, title={{T}}, year={{2020}}}}" for n, a in enumerate(autorias)]
    dados = parse_string("\n".join(entradas), "bibtex")
    ligacao = SphinxReferenceInfo(None, "a", "b", "c", None, "", "")
    formatadas = zip(dados.entries.values(), ListaAutorAno().format_bibliography(dados), strict=True)
    estilo = CitacaoAutorAno()
    return str(format_references(estilo, papel, [(e, f, ligacao) for e, f in formatadas]))


@pytest.mark.parametrize(
    ("papel", "autorias", "esperado"),
    [
        ("t", ["Kneser, R. and Ney, H."], "Kneser e Ney (2020)"),
        ("p", ["Kneser, R. and Ney, H."], "(Kneser e Ney, 2020)"),
        ("p", ["Brown, T. and others"], "(Brown et al., 2020)"),
        ("p", ["Sennrich, R. and Haddow, B. and Birch, A."], "(Sennrich et al., 2020)"),
        ("ts", ["Sennrich, R. and Haddow, B. and Birch, A."], "Sennrich, Haddow e Birch (2020)"),
        ("p", ["Zipf, G.", "Shannon, C. E."], "(Zipf, 2020; Shannon, 2020)"),
    ],
)
def test_a_citacao_sai_em_portugues(papel: str, autorias: list[str], esperado: str) -> None:
    assert citacao(papel, *autorias).replace("\xa0", " ") == esperado
