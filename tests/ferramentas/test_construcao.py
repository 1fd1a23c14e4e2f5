"""A construção de ponta a ponta, num livro de brinquedo: site, números, notebooks e cache de execução."""

from __future__ import annotations

import fcntl
import re
import shutil

import pytest

from brinquedo import Livro, restos_de_myst
from ferramentas.interface import BuscaSemAcento
from ferramentas.livro import enderecos
from ferramentas.preparo import MODELO

PUBLICOS = enderecos()  # o livro de brinquedo usa o `_config.yml` de verdade


# ---------------------------------------------------------------- o site


def test_diz_o_que_fez_e_onde_esta(construido):
    texto = construido.frio.texto
    assert "pacote: homellm/a.py" in texto and "notebook: notebooks/00-zero.ipynb" in texto
    assert (construido.raiz / "_build/html/book/index.html").as_uri() in texto
    assert "url=book/index.html" in construido.le("_build/html/index.html")
    assert not list((construido.raiz / "_build").rglob("pela-metade"))


def test_pagina_que_saiu_do_livro_sai_do_site(livro):
    velha = livro.raiz / "_build/html/book/velha.html"
    velha.write_text("de uma construção passada", "utf-8")
    assert livro.constroi().codigo == 0
    assert not velha.exists() and (livro.raiz / "_build/html/book/index.html").exists()


def test_saidas_estao_nas_paginas(construido):
    assert "dobro: 42" in construido.pagina("00-zero")
    assert "quadruplo: 4" in construido.pagina("03-tres")
    assert "quatro: 12 era uma vez" in construido.pagina("04-quatro")


def test_numeros_vem_do_nome_do_arquivo(construido):
    zero, tres = construido.pagina("00-zero"), construido.pagina("03-tres")
    for frase in ("Figura 0.1 Legenda com", "Figura 0.2 Uma reta: sobe.", "Tabela 0.1 Uma tabela", "(0.2)",
                  "Exercício 0.1", "a Figura 0.2 , a Figura 0.1 , a Tabela 0.1", "(0.1)"):  # fmt: skip
        assert frase in zero, frase
    for frase in ("Figura 3.1 Outra.", "(3.1)", "Exercício 3.1", "a Figura 3.1 e o Exercício 3.1"):
        assert frase in tres, frase
    assert zero.startswith("0 Passo zero") and "0.1 Dobrar" in zero
    assert tres.startswith("3 Três") and "3.1 Uma seção" in tres
    sumario = construido.le("_build/html/book/index.html")
    assert [" ".join(re.search(rf">\s*({n}\s[^<]+)", sumario)[1].split()) for n in (0, 3, 4)] == [
        "0 Passo zero", "3 Três", "4 Quatro"
    ]  # fmt: skip


def test_legenda_leva_a_api_e_a_api_volta_ao_capitulo(construido):
    zero, da_api = construido.le("_build/html/book/00-zero.html"), construido.le("_build/html/book/api.html")
    legenda = re.search(r'<p class="tangle-caption" id="([^"]+)">(.*?)</p>', zero, re.S)
    assert 'href="api.html#module-homellm.a"' in legenda[2] and "homellm/a.py" in legenda[2]
    assert 'id="module-homellm.a"' in da_api
    volta = re.search(r'Explicado em <a [^>]*href="00-zero.html#([^"]+)"><span[^>]*>([^<]*)', da_api)
    assert volta.groups() == (legenda[1], "Dobrar")
    assert 'href="03-tres.html#tangle-' in da_api
    assert '<code class="code docutils literal notranslate"><span class="pre">x</span></code>' in da_api


def test_celula_que_acrescenta_metodos_diz_a_classe_e_a_api_volta_a_ela(construido):
    fabrica, da_api = (construido.le(f"_build/html/book/{n}.html") for n in ("oficina/fabrica", "api"))
    legendas = re.findall(r'<p class="tangle-caption" id="([^"]+)">(.*?)</p>', fabrica, re.S)
    textos = [re.sub("<[^>]+>", "", html) for _, html in legendas]
    assert textos == [
        "Este trecho vai para homellm/c.py",
        "Este trecho vai para homellm/c.py, na classe Fabrica",
    ]
    metodo = da_api[da_api.index('id="homellm.c.Fabrica.produz"') :]
    volta = re.search(r'Explicado em <a [^>]*href="oficina/fabrica.html#([^"]+)"><span[^>]*>([^<]*)', metodo)
    assert volta.groups() == (legendas[1][0], "Crescer")
    assert "def produz(self) -> int:" in construido.le("homellm/c.py")


def test_figura_de_celula_tem_legenda_e_alt(construido):
    figura = re.search(
        r'(?s)<figure class="[^"]*figura-de-celula[^"]*" id="fig-reta">.*?</figure>',
        construido.le("_build/html/book/00-zero.html"),
    )[0]
    assert 'alt="Reta de 0 a 1"' in figura and "Uma reta: sobe." in figura


def test_botoes_levam_ao_notebook_gerado(construido):
    zero = construido.le("_build/html/book/00-zero.html")
    assert f'href="{PUBLICOS.colab("notebooks/00-zero.ipynb")}"' in zero
    assert ".md" not in "".join(re.findall(r'href="https://colab[^"]*"', zero))
    baixado = construido.raiz / "_build/html/_sources/book/00-zero.ipynb"
    assert baixado.read_bytes() == (construido.raiz / "notebooks/00-zero.ipynb").read_bytes()
    assert "colab.research" not in construido.le("_build/html/book/glossario.html")


def test_preparo_aparece_recolhido_so_nas_paginas_com_codigo(construido):
    for nome, tem in (("00-zero", True), ("04-quatro", True), ("glossario", False), ("index", False)):
        assert ("preparo-do-colab" in construido.le(f"_build/html/book/{nome}.html")) is tem, nome


def test_celula_com_resumo_aparece_recolhida_com_as_linhas_contadas(construido):
    html = construido.le("_build/html/book/03-tres.html")
    celula = re.search(r'(?s)<div class="[^"]*com-resumo[^"]*"[^>]*>(.*?)</details>', html)[1]
    abre, codigo = celula.split("</summary>")
    assert abre.lstrip().startswith('<details class="admonition hide above-input">')  # sem JavaScript
    assert re.findall(r"<p[^>]*>([^<]*)</p>", abre) == ["6 linhas: quadruplica, dobrando duas vezes"] * 2
    assert "quadruplo" in codigo and "Este trecho vai para" in html.split("com-resumo")[0][-2500:]


def test_a_figura_em_que_se_mexe_traz_a_parada_e_so_a_pagina_dela_carrega_o_programa(construido):
    zero = construido.le("_build/html/book/00-zero.html")
    abre = '<div class="widget" data-titulo="Um eixo que “gira”" data-widget="girar" id="widget-girar">'
    assert re.search(re.escape(abre) + r'\s*<div class="widget-estatico">\s*<p>Parafuso\.</p>', zero)
    assert '<script defer src="../_static/widgets/inicio.js"></script>' in zero
    assert (construido.raiz / "_build/html/_static/widgets/pecas/girar.js").is_file()
    assert "widgets/" not in construido.le("_build/html/book/04-quatro.html")
    radical = BuscaSemAcento({}).stem("parafuso")  # a busca acha o que a parada diz
    assert f'"{radical}": 0' in construido.le("_build/html/searchindex.js")


def test_a_celula_de_cima_da_peca_vai_para_dentro_dela(construido):
    tres = construido.le("_build/html/book/03-tres.html")
    assert tres.index('data-widget="girar"') < tres.index("quadruplo: 4") < tres.index('id="uma-secao"')
    fontes = ["".join(c["source"]) for c in construido.caderno("03-tres")]
    n = next(n for n, fonte in enumerate(fontes) if "print('quadruplo:'" in fonte)
    assert fontes[n + 1].startswith(f"*No site, aqui há uma figura em que se mexe: [O quatro]({SITE}/03-tres")


# ---------------------------------------------------------------- os notebooks


def test_notebooks_nao_tem_sintaxe_myst(construido):
    for caderno in (construido.raiz / "notebooks").rglob("*.ipynb"):
        nome = caderno.relative_to(construido.raiz / "notebooks").with_suffix("").as_posix()
        assert restos_de_myst(construido.prosa(nome)) == [], nome


@pytest.mark.parametrize("resto", ["{ref}`x`", ":::", "```{note}", "(a-b)=", "% oi", ":alt: x", "a[^n]"])
def test_a_busca_por_restos_acha_restos(resto):
    assert restos_de_myst(f"antes\n\n{resto}\n")


SITE = PUBLICOS.pagina("book")[: -len(".html")]
TRECHOS = f"""\
# Passo zero
Um [token]({SITE}/glossario.html#term-token), a [Três]({SITE}/03-tres.html#cap-tres)
a [Figura 0.2]({SITE}/00-zero.html#fig-reta), a [Figura 0.1]({SITE}/00-zero.html#fig-logo)
a [Tabela 0.1]({SITE}/00-zero.html#tab-a)
[(0.1)]({SITE}/00-zero.html#equation-eq-a), o [Exercício 0.1]({SITE}/00-zero.html#ex-00-soma)
[`homellm.a.dobro()`]({SITE}/api.html#homellm.a.dobro). *Ênfase*, **força**, `a_b`, $x_1$,
a\\_b \\* c, R\\$ 5, \\<b\\>, H<sub>2</sub>O, 10<sup>3</sup>, [https://a.b/c](https://a.b/c), [link](https://d.e)<sup>
[1] A nota, com `código`.
## Dobrar
Este trecho vai para [`homellm/a.py`]({SITE}/api.html#module-homellm.a)
p = \\frac{{a}}{{b}} \\tag{{0.1}}
q = 1 \\tag{{0.2}}
![O logo]({PUBLICOS.bruto("book/figuras/logo.svg")})
*Figura 0.1: Legenda com **negrito** e $x$.*
*Figura 0.2: Uma reta: sobe.*
*Tabela 0.1: Uma tabela*
| :--- | ---: |
| $\\vert x\\vert $ | [Passo zero]({SITE}/00-zero.html#cap-zero) |
> **💡 Com título**
> Dentro `x`.
> **⚠️ Aviso**
> > **📝 Nota**
<details><summary>Clique</summary>
Mais $y=1$.
1. um
   - dois
2. três
- **Termo**: Definição.
> Citação
````md
Linha<br />
![Um eixo]({PUBLICOS.bruto("book/figuras/logo.svg")})
*No site, aqui há uma figura em que se mexe: [Um eixo que “gira”]({SITE}/00-zero.html#widget-girar).*
### Exercícios
> **✏️ Exercício 0.1 · Somar (fácil)**
> Some $1+1$.
<details><summary>Solução</summary>
Assim:
</details>
Depois.
"""


def test_notebook_diz_o_mesmo_que_o_site_em_markdown_comum(construido):
    prosa = construido.prosa("00-zero")
    for trecho in TRECHOS.splitlines():
        assert trecho in prosa, trecho
    assert "comentário" not in prosa


def test_notebook_tem_o_codigo_na_ordem_com_o_preparo_no_comeco(construido):
    codigos = [c for c in construido.caderno("00-zero") if c["cell_type"] == "code"]
    fontes = ["".join(c["source"]) for c in codigos]
    assert [f.split("\n")[0] for f in fontes] == [
        "#@title Preparo (rode primeiro)",
        "def dobro(x: int) -> int:",
        "import os",
        "#@title Código (clique para ver)",
        "#@title Código (clique para ver)",
        "#@title Solução",
    ]
    assert fontes[5] == "#@title Solução\n1 + 1" and codigos[5]["metadata"] == {"cellView": "form"}
    assert MODELO.split("\n")[0] in fontes[0] and PUBLICOS.pacote() in fontes[0]
    assert 'escondida = "no notebook"' in fontes[3] and "isto só o site vê" not in "".join(fontes)
    assert codigos[4]["metadata"] == {"cellView": "form", "tags": ["hide-input"]}
    assert all(c["outputs"] == [] and c["execution_count"] is None for c in codigos)
    notebooks = construido.raiz / "notebooks"
    assert sorted(p.relative_to(notebooks).as_posix() for p in notebooks.rglob("*.ipynb")) == [
        "00-zero.ipynb", "03-tres.ipynb", "04-quatro.ipynb", "api.ipynb", "oficina/fabrica.ipynb"
    ]  # fmt: skip


def test_celula_com_resumo_esta_inteira_no_notebook_com_ele_no_titulo(construido):
    (celula,) = [c for c in construido.caderno("03-tres") if "def quadruplo" in "".join(c["source"])]
    linhas = "".join(celula["source"]).split("\n")
    assert linhas[0] == "#@title 6 linhas: quadruplica, dobrando duas vezes" and len(linhas) == 7
    assert celula["metadata"] == {"cellView": "form"}


def test_pagina_da_oficina_tem_letra_no_lugar_do_numero(construido):
    for texto in (construido.pagina("oficina/fabrica"), construido.prosa("oficina/fabrica")):
        for trecho in ("Figura A.1", "Exercício A.1", "Passo zero"):
            assert trecho in texto, trecho
    html = construido.le("_build/html/book/oficina/fabrica.html")
    assert f'href="{PUBLICOS.colab("notebooks/oficina/fabrica.ipynb")}"' in html
    assert 'href="../../_sources/book/oficina/fabrica.ipynb"' in html
    baixado = construido.raiz / "_build/html/_sources/book/oficina/fabrica.ipynb"
    assert baixado.read_bytes() == (construido.raiz / "notebooks/oficina/fabrica.ipynb").read_bytes()
    assert '<h1><span class="section-number">A\u2007</span>A fábrica<a' in html
    assert '<span class="section-number">A.1\u2007</span>Crescer<a' in html


def test_notebooks_saem_iguais_de_uma_leitura_nova(livro):
    antes = livro.gerados()
    shutil.rmtree(livro.raiz / "notebooks")
    de_novo = livro.constroi("--cadernos", PYTHONHASHSEED="7")
    assert de_novo.codigo == 0 and de_novo.executadas == [], de_novo
    assert livro.gerados() == antes


def test_conferencia_dos_notebooks(livro):
    em_ordem = livro.constroi("--confere")
    assert (em_ordem.codigo, em_ordem.texto) == (0, ""), em_ordem
    antes = livro.gerados()
    try:
        livro.muda("notebooks/00-zero.ipynb", "# Passo zero", "# Passo um")
        livro.escreve("notebooks/09-velho.ipynb", "{}")
        (livro.raiz / "notebooks/api.ipynb").unlink()
        torto = livro.constroi("--confere")
        assert torto.codigo == 1
        assert [linha.split(";")[0] for linha in torto.texto.splitlines()] == [
            "notebooks/00-zero.ipynb: diferente do que book/00-zero.md gera",
            "notebooks/09-velho.ipynb: nenhuma página o gera",
            "notebooks/api.ipynb: diferente do que book/api.md gera",
        ]
        assert (livro.raiz / "notebooks/09-velho.ipynb").exists()  # conferir não escreve
        consertado = livro.constroi("--cadernos")
        assert consertado.codigo == 0 and "09-velho.ipynb apagado" in consertado.texto
    finally:
        for resto in ("09-velho.ipynb", "09-velho.ipynb.editado", "00-zero.ipynb.editado"):
            (livro.raiz / "notebooks" / resto).unlink(missing_ok=True)
    assert livro.gerados() == antes


def test_caderno_editado_a_mao_nao_se_perde(livro):
    """Fica uma cópia ao lado, e outra se já houver uma; o que só está atrasado é trocado sem cópia."""
    assert livro.constroi("--cadernos").codigo == 0
    antes, caderno = livro.gerados(), "notebooks/00-zero.ipynb"
    livro.muda("book/04-quatro.md", "Prosa do quatro.", "Prosa nova.")
    copias = [livro.raiz / f"{caderno}.editado{n}" for n in ("", "1", "2")]
    try:
        for copia, edicao in zip(copias, ("# Passo um", "# Passo \x80", "[]"), strict=True):
            texto = livro.le(caderno).replace("# Passo zero", edicao) if edicao[0] == "#" else edicao
            (livro.raiz / caderno).write_bytes(editado := texto.encode("latin-1", "replace"))
            dito = livro.constroi("--cadernos")
            assert dito.codigo == 0 and copia.read_bytes() == editado
            frases = [f for f in dito.texto.splitlines() if ".ipynb:1: " in f]
            assert frases == [
                f"{caderno}:1: foi editado à mão, e é gerado; a sua edição ficou em {copia.name}: leve-a a "
                "book/00-zero.md e rode de novo"
            ]
    finally:
        for copia in copias:
            copia.unlink(missing_ok=True)
    mudados = {n for n, dados in livro.gerados().items() if dados != antes[n]}
    assert mudados == {"notebooks/04-quatro.ipynb"} == {n for n in mudados if "Prosa nova." in livro.le(n)}


def test_no_que_o_notebook_nao_sabe_dizer_derruba_a_construcao(livro):
    livro.muda("book/04-quatro.md", "Prosa do quatro.", "{abbr}`MIT (licença)`.")
    linha = livro.le("book/04-quatro.md").split("\n").index("{abbr}`MIT (licença)`.") + 1
    for _ in range(2):
        ruim = livro.constroi()
        assert (
            ruim.codigo == 1
            and f"book/04-quatro.md:{linha}: colab: não sei traduzir o nó" in ruim.texto
        )
    assert "erro: a construção parou; a causa está nas mensagens acima." in ruim.texto


# ---------------------------------------------------------------- o que se reescreve


def test_prosa_que_ninguem_cita_so_reescreve_a_sua_pagina(livro):
    assert livro.constroi().codigo == 0
    antes, fontes = livro.escritas(), livro.gerados()
    livro.muda("book/04-quatro.md", "Prosa do quatro.", "Prosa do quatro.\n\nE mais um parágrafo.")
    editado = livro.constroi()
    assert editado.codigo == 0 and editado.executadas == [], editado
    depois = livro.escritas()
    assert {p for p in depois if depois[p] != antes[p]} == {"04-quatro", "index"}  # o Sphinx escreve a raiz
    assert "E mais um parágrafo." in livro.pagina("04-quatro")
    mudados = {n for n, dados in livro.gerados().items() if dados != fontes[n]}
    assert mudados == {"notebooks/04-quatro.ipynb"}
    assert "quatro" in livro.le("_build/html/searchindex.js")


def test_uma_pagina_so(livro):
    """Com outra página mudada: a pedida se executa e se escreve, a outra espera por `make livro`."""
    assert livro.constroi().codigo == 0
    antes = livro.escritas()
    livro.muda("book/00-zero.md", "print('dobro:', dobro(21))", "print('dobro!', dobro(21))")
    livro.muda("book/04-quatro.md", "Prosa do quatro.", "{ref}`cap-tres` e prosa nova.")
    livro.muda("book/03-tres.md", "# Três", "# Trio")
    uma = livro.constroi("--pagina", "04")
    assert uma.codigo == 0 and uma.executadas == [], uma
    depois = livro.escritas()
    assert {p for p in depois if depois[p] != antes[p]} == {"04-quatro", "index"}
    assert "Três e prosa nova." in livro.pagina("04-quatro")
    assert (livro.raiz / "_build/html/book/04-quatro.html").as_uri() in uma.texto
    assert "prosa nova" in livro.prosa("04-quatro") and "Trio" not in livro.prosa("03-tres")
    zero = livro.constroi("--pagina", "00-zero")
    assert zero.codigo == 0 and zero.executadas == ["00"] and "dobro! 42" in livro.pagina("00-zero"), zero
    inteiro = livro.constroi()
    assert inteiro.codigo == 0 and inteiro.executadas == [], inteiro
    assert "Trio e prosa nova." in livro.pagina("04-quatro") and "# Trio" in livro.prosa("03-tres")


@pytest.mark.parametrize(
    ("arquivo", "de", "para"),
    [
        ("ferramentas/extensao.py", "Este trecho vai para ", "Este pedaço vai para "),
        ("_config.yml", "alt_text: Página inicial", "alt_text: Começo do livro"),
    ],
    ids=["ferramenta", "aparência"],
)
def test_uma_pagina_so_nao_esconde_o_que_falta_as_outras(livro, arquivo, de, para):
    """Mudou o que vale para todas: a construção inteira que vem depois não deixa o livro misturado."""
    livro.muda(arquivo, de, para)
    novo = para.removeprefix("alt_text: ")
    try:
        uma = livro.constroi("--pagina", "03")
        assert uma.codigo == 0 and uma.executadas == [], uma
        vistas = {nome: novo in livro.le(f"_build/html/book/{nome}.html") for nome in ("03-tres", "00-zero")}
        assert vistas == {"03-tres": True, "00-zero": False}
        assert livro.constroi().codigo == 0
        assert novo in livro.le("_build/html/book/00-zero.html")
    finally:
        livro.muda(arquivo, para, de)
        assert livro.constroi().codigo == 0


def test_uma_pagina_que_acaba_de_nascer(livro):
    """Acrescentada ao sumário, constrói-se sozinha, com número, antes de um `make livro`."""
    assert livro.constroi().codigo == 0
    toc, nova = livro.le("_toc.yml"), livro.raiz / "book/oficina/nova.md"
    try:
        livro.escreve("_toc.yml", toc.replace("      - file: book/oficina/fabrica\n",
                      "      - file: book/oficina/fabrica\n      - file: book/oficina/nova\n"))  # fmt: skip
        nova.write_text("(sec-nova)=\n# Novidade\n\nVeja {ref}`cap-tres` e {ref}`sec-nova`.\n", "utf-8")
        uma = livro.constroi("--pagina", "nova")
        assert uma.codigo == 0, uma
        html = livro.le("_build/html/book/oficina/nova.html")
        assert "Veja <a" in html and "Novidade" in html and 'section-number">B' in html
    finally:
        livro.escreve("_toc.yml", toc)
        nova.unlink()
        assert livro.constroi().codigo == 0


@pytest.mark.parametrize(
    ("pedido", "frase"),
    [
        ("99", "página '99': não há página com esse nome; escolha uma destas: index, 00-zero, 03-tres"),
        ("", "página '': não há página com esse nome"),
        ("0", "página '0': mais de uma página começa assim; escolha uma destas: 00-zero, 03-tres, "),
    ],
)
def test_pagina_que_nao_ha(livro, pedido, frase):
    ruim = livro.constroi("--pagina", pedido)
    assert ruim.codigo == 1 and ruim.texto.startswith(f"erro: {frase}"), ruim


def test_duas_construcoes_ao_mesmo_tempo(livro):
    """A segunda diz que há outra; conferir, com o site em dia, não precisa de esperar."""
    assert livro.constroi().codigo == 0
    with open(livro.raiz / "_build/.trava", "r+", encoding="utf-8") as trava:
        fcntl.flock(trava, fcntl.LOCK_EX)
        trava.truncate(0)
        trava.write("4321")
        trava.flush()
        segunda = livro.constroi()
        assert livro.constroi("--confere").codigo == 0
    frase = "erro: outra construção (processo 4321) está usando _build; espere ela acabar e rode de novo\n"
    assert (segunda.codigo, segunda.texto) == (1, frase)
    assert livro.constroi("--so-site").texto == "O site está em dia.\n"


# ---------------------------------------------------------------- o cache de execução


def test_prosa_editada_nao_executa_nada_e_chega_as_paginas_que_a_citam(livro):
    livro.muda("book/00-zero.md", "# Passo zero", "# Começo")
    livro.muda("book/00-zero.md", "## Dobrar", "## Duplicar")
    livro.muda("book/04-quatro.md", "Prosa do quatro.", "Prosa nova.")
    editado = livro.constroi()
    assert editado.codigo == 0 and editado.executadas == [], editado
    assert "dobro: 42" in livro.pagina("00-zero") and "Prosa nova." in livro.pagina("04-quatro")
    assert "A Começo" in livro.pagina("03-tres")
    assert "Explicado em Duplicar" in livro.pagina("api")
    assert "# Começo" in livro.prosa("00-zero") and "A [Começo]" in livro.prosa("03-tres")
    igual = livro.constroi()
    assert igual.codigo == 0 and igual.executadas == [] and "notebook:" not in igual.texto, igual


def test_num_clone_novo_o_cache_restaurado_poupa_as_execucoes(construido, tmp_path):
    """O fluxo do GitHub só guarda `_build/.jupyter_cache`: a chave não depende da pasta nem da hora."""
    novo = Livro(tmp_path / "noutra-pasta")
    guardado = "_build/.jupyter_cache"
    shutil.copytree(construido.raiz / guardado, novo.raiz / guardado)
    novo.muda("book/04-quatro.md", "Prosa do quatro.", "Prosa nova.")
    feito = novo.constroi()
    assert feito.codigo == 0 and feito.executadas == [], feito
    assert "Prosa nova." in novo.pagina("04-quatro") and "dobro: 42" in novo.pagina("00-zero")


def test_mudanca_num_modulo_executa_so_quem_o_usa(livro):
    livro.muda("book/03-tres.md", "return dobro(dobro(x))", "return dobro(dobro(x)) + 1")
    de_b = livro.constroi()
    assert de_b.codigo == 0 and de_b.executadas == ["03", "04"], de_b
    assert "pacote: homellm/b.py" in de_b.texto and "homellm/a.py" not in de_b.texto
    assert "+ 1" in livro.le("homellm/b.py") and "+ 1" in livro.le("notebooks/03-tres.ipynb")
    assert "quadruplo: 5" in livro.pagina("03-tres") and "quatro: 13" in livro.pagina("04-quatro")


def test_mudanca_num_modulo_executa_quem_o_usa_por_meio_de_outro(livro):
    livro.muda("book/00-zero.md", "return x * 2", "return x * 3")
    de_a = livro.constroi()
    assert de_a.codigo == 0 and de_a.executadas == ["00", "03", "04", "fa"], de_a
    assert "dobro: 63" in livro.pagina("00-zero") and "quatro: 27" in livro.pagina("04-quatro")


def test_mudanca_nos_dados_executa_so_quem_os_le(livro):
    livro.escreve("data/contos.txt", "outra vez")
    dos_dados = livro.constroi("--so-site")
    assert dos_dados.codigo == 0 and dos_dados.executadas == ["04"], dos_dados
    assert "outra vez" in livro.pagina("04-quatro")
