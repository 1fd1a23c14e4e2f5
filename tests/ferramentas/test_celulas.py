"""`ferramentas/celulas.py` e `livro.py`: cada fonte ruim tem um erro com arquivo, linha e o que fazer."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from myst_nb.core.read import read_myst_markdown_notebook
from myst_parser.config.main import MdParserConfig

from brinquedo import CABECALHO, PRIMEIRA_LINHA, REPO, celula, escreve_livro
from ferramentas.celulas import le_celulas, le_cercas, rotulo_do_resumo
from ferramentas.livro import ErroDoLivro, caminho_do_caderno, enderecos, grava, numero_do_capitulo, paginas

EXTENSOES = {"dollarmath", "amsmath", "colon_fence", "deflist", "attrs_inline"}


def le(tmp_path: Path, corpo: str, cabecalho: str = CABECALHO):
    """As células de uma página com este corpo."""
    escreve_livro(tmp_path, {"01-um": cabecalho + corpo})
    return le_celulas(tmp_path / "book/01-um.md", tmp_path)


# ---------------------------------------------------------------- o que dá certo


def test_celula_sabe_o_que_diz_para_onde_vai_e_em_que_linha_esta(tmp_path):
    corpo = "# Título\n\n" + celula("x = 1\n\ny = 2", ":tangle: homellm/a.py", ":tags: [hide-input]", "")
    (lida,) = le(tmp_path, corpo + "\n" + "fim\n")
    assert (lida.fonte, lida.destino) == ("x = 1\n\ny = 2", "homellm/a.py")
    assert lida.lugar == f"book/01-um.md:{PRIMEIRA_LINHA + 2}"
    linhas = (CABECALHO + corpo).split("\n")
    assert linhas[lida.linha_do_codigo - 1] == "x = 1"


def test_pagina_sem_celula_nao_precisa_de_cabecalho(tmp_path):
    assert le(tmp_path, "# Título\n\n```python\nx = 1\n```\n", cabecalho="") == []


def test_celula_dentro_de_um_bloco_de_codigo_e_so_exemplo(tmp_path):
    assert le(tmp_path, "````md\n" + celula("x = 1") + "````\n") == []


def test_codigo_com_cercas_dentro_de_strings_fica_inteiro(tmp_path):
    codigo = 'texto = """\n    ```\n    a\n    ```\n```nada``` aqui\n"""'
    (lida,) = le(tmp_path, celula(codigo))
    assert lida.fonte == codigo


def test_o_que_se_extrai_e_o_que_se_executa():
    """Em todas as páginas do livro, as células lidas aqui são, uma a uma, as que o myst-nb executa."""
    vistas = 0
    for md in paginas():
        do_mystnb = read_myst_markdown_notebook(
            md.read_text("utf-8"), MdParserConfig(enable_extensions=EXTENSOES)
        )
        do_mystnb = [c for c in do_mystnb.cells if c.cell_type == "code"]
        executadas = [c.source for c in do_mystnb]
        lidas = le_celulas(md, REPO)
        assert [c.fonte for c in lidas] == executadas, md.name
        assert [c.opcoes for c in lidas] == [c.metadata for c in do_mystnb], md.name
        linhas = md.read_text("utf-8").split("\n")
        for lida in lidas:
            if lida.fonte.strip("\n"):
                assert linhas[lida.linha_do_codigo - 1] == lida.fonte.split("\n")[0], lida.lugar
        vistas += len(lidas)
    assert vistas > 0


# ---------------------------------------------------------------- o que dá erro

ERROS = {  # nome: (corpo, linha do erro contada do corpo, o que a mensagem diz)
    "opção desconhecida": (
        celula("1", ":tangel: homellm/a.py"),
        1,
        "opção de célula desconhecida: tangel (há:",
    ),
    "opção ilegível": (celula("1", ":tags: []", ":legenda: a: b"), 3, "o valor entre aspas"),
    "opção que o YAML cortaria": (celula("1", ":legenda: o dia # 1"), 2, "o valor entre aspas"),
    "opção sem valor de opção": (celula("1", ":tags"), 2, "escreva `:nome: valor`"),
    "opção repetida": (celula("1", ":alt: a", ":alt: b"), 3, "repetida: alt; deixe só uma"),
    "opções entre traços": (celula("1", "---", "tags: []", "---"), 2, "como `:nome: valor`"),
    "etiqueta desconhecida": (
        celula("1", ":tags: [hide-inputs]"),
        1,
        "etiqueta desconhecida: hide-inputs (há:",
    ),
    "etiquetas sem colchetes": (celula("1", ":tags: hide-input"), 1, "`tags` é uma lista entre colchetes"),
    "destino fora do pacote": (
        celula("1", ":tangle: homelm/a.py"),
        1,
        "deve ser homellm/<módulo>.py, e veio",
    ),
    "destino com pasta": (celula("1", ":tangle: homellm/b/a.py"), 1, "deve ser homellm/<módulo>.py"),
    "destino que sai da pasta": (celula("1", ":tangle: homellm/../a.py"), 1, "deve ser homellm/<módulo>.py"),
    "destino vazio": (celula("1", ":tangle:"), 1, "deve ser homellm/<módulo>.py, e veio None"),
    "extraída e escondida": (
        celula("1", ":tangle: homellm/a.py", ":tags: [remove-cell]"),
        1,
        "fica à vista do leitor; tire remove-cell",
    ),
    "figura sem alt": (celula("1", ":figura: fig-a", ":legenda: b"), 1, "célula de figura sem alt"),
    "figura com alt vazio": (
        celula("1", ":figura: fig-a", ":legenda: b", ":alt:"),
        1,
        "célula de figura sem alt; as três opções andam juntas",
    ),
    "alt sem figura": (celula("1", ":alt: um gato"), 1, "sem figura, legenda"),
    "cerca não fechada": ("texto\n\n```{code-cell}\n1\n", 3, "a cerca ``` abre aqui e não fecha; acrescente"),
    "célula que engole a seguinte": ("```{code-cell}\n1\n\n" + celula("2"), 1, "abre aqui e não fecha"),
    "dois-pontos não fechados": (":::{note}\ntexto\n", 1, "a cerca ::: abre aqui e não fecha"),
    "dois-pontos que fecham sem abrir": (
        "texto\n:::\n",
        2,
        "fecha sem ter aberto; confira o número de sinais",
    ),
    "cerca aninhada igual": (
        ":::{note}\n:::{tip}\n:::\n:::\n",
        2,
        "que tem 3 sinais; feche-a antes, ou dê a ela mais sinais",
    ),
    "cerca aninhada maior": (":::{note}\n::::{tip}\n::::\n:::\n", 2, "dê a ela mais sinais que à de dentro"),
    "de dentro que não fecha": ("::::{note}\n:::{tip}\n::::\n", 2, "a cerca ::: abre aqui e não fecha"),
    "célula em diretiva": ("````{note}\n" + celula("1") + "````\n", 2, "use solution-start e solution-end"),
    "célula em dois-pontos": (":::{note}\n" + celula("1") + ":::\n", 2, "dentro de outro bloco"),
    "célula recuada": ("- item\n\n  ```{code-cell}\n  1\n  ```\n", 3, "dentro de outro bloco"),
    "diretiva com o nome torto": ("```{code-cel}\n:tangle: homellm/a.py\n1\n```\n", 1, "escreva code-cell"),
    "diretiva com traço de menos": ("```{codecell}\n1\n```\n", 1, "desconhecida: codecell"),
    "conflito na prosa": ("a\n<<<<<<< HEAD\nb\n=======\nc\n>>>>>>> x\n", 2, "das duas versões"),
    "conflito no código": (celula("1\n<<<<<<< HEAD\n2"), 3, "marca de conflito do git"),
    "célula aberta com dois-pontos": (":::{code-cell}\n1\n:::\n", 1, "abra-a com ```"),
}


@pytest.mark.parametrize("nome", ERROS)
def test_erro_diz_arquivo_linha_e_o_que_fazer(tmp_path, nome):
    corpo, linha, frase = ERROS[nome]
    with pytest.raises(ErroDoLivro) as erro:
        le(tmp_path, corpo)
    assert str(erro.value).startswith(f"book/01-um.md:{PRIMEIRA_LINHA + linha - 1}: "), erro.value
    assert frase in str(erro.value)


@pytest.mark.parametrize("codigo", ["%matplotlib inline", "!pip install x", "def f(:", "x = (1,\n"])
def test_celula_que_nao_e_python_diz_a_linha_do_codigo(tmp_path, codigo):
    corpo = celula("a = 1\n" + codigo, ":tags: [hide-input]", "")
    (lida,) = le(tmp_path, corpo)
    with pytest.raises(ErroDoLivro, match="não é Python puro .*; corrija-a") as erro:
        lida.arvore()
    linha = int(re.match(r"book/01-um\.md:(\d+):", str(erro.value))[1])
    assert (CABECALHO + corpo).split("\n")[linha - 1] == codigo.split("\n")[0]


def test_celula_em_pagina_sem_kernelspec(tmp_path):
    with pytest.raises(ErroDoLivro, match=r"book/01-um.md:3: .*kernelspec.*copie o cabeçalho"):
        le(tmp_path, "# T\n\n" + celula("1"), cabecalho="")


def test_kernelspec_no_texto_nao_conta_como_cabecalho(tmp_path):
    with pytest.raises(ErroDoLivro, match="não tem `kernelspec` no cabeçalho"):
        le(tmp_path, "kernelspec: x\n\n" + celula("1"), cabecalho="---\na: 1\n---\n")


def test_pagina_que_nao_e_utf8_diz_a_linha(tmp_path):
    escreve_livro(tmp_path, {"01-um": ""})
    (tmp_path / "book/01-um.md").write_bytes("# Título\n\nação\n".encode("latin-1"))
    with pytest.raises(ErroDoLivro, match=r"book/01-um.md:1: não é UTF-8; grave o arquivo em UTF-8"):
        le_celulas(tmp_path / "book/01-um.md", tmp_path)


def test_cercas_dizem_em_que_bloco_esta_cada_linha():
    texto = "a\n::::{note}\n```python\n:::\n```\n::::\nb"
    abertas = [[c.sinais for c in pilha] for pilha in le_cercas(texto, "x.md")]
    assert abertas == [[], ["::::"], ["::::", "```"], ["::::", "```"], ["::::", "```"], ["::::"], []]


# ---------------------------------------------------------------- o que o livro sabe de si


def test_paginas_na_ordem_do_toc_com_partes_e_secoes(tmp_path):
    escreve_livro(tmp_path, {"02-b": "", "01-a": "", "ap": ""})
    (tmp_path / "_toc.yml").write_text(
        "root: book/index\nparts:\n- chapters:\n  - file: book/02-b\n    sections:\n    - file: book/ap\n"
        "- chapters:\n  - file: book/01-a\n",
        "utf-8",
    )
    assert [p.stem for p in paginas(tmp_path)] == ["index", "02-b", "ap", "01-a"]


def test_pagina_do_toc_que_falta_diz_a_linha(tmp_path):
    escreve_livro(tmp_path, {"01-a": "", "02-b": ""})
    (tmp_path / "book/02-b.md").unlink()
    with pytest.raises(ErroDoLivro, match=r"_toc.yml:5: a página book/02-b.md não existe; crie-a ou tire-a"):
        paginas(tmp_path)


def test_toc_ilegivel_diz_a_linha(tmp_path):
    (tmp_path / "_toc.yml").write_text("root: book/index\nchapters: [a\nb: c\n", "utf-8")
    with pytest.raises(ErroDoLivro, match=r"_toc.yml:3: YAML ilegível .*confira recuos"):
        paginas(tmp_path)


def test_enderecos_saem_todos_do_config(tmp_path):
    publicos = enderecos(escreve_livro(tmp_path, {}))
    assert publicos.pagina("book/01-a") == "https://dono.github.io/livro/book/01-a.html"
    assert publicos.bruto("book/x.svg") == "https://raw.githubusercontent.com/dono/livro/v1.2/book/x.svg"
    assert publicos.colab("notebooks/01-a.ipynb").endswith(
        "/github/dono/livro/blob/v1.2/notebooks/01-a.ipynb"
    )
    assert publicos.pacote() == "https://github.com/dono/livro/archive/v1.2.zip"


@pytest.mark.parametrize(
    ("config", "frase"),
    [
        ("html: {baseurl: 'https://a'}\n", "_config.yml: falta a chave 'repository'"),
        ("", "_config.yml: falta a chave"),
        ("html: [", "_config.yml:1: YAML ilegível"),
        (
            "html: {baseurl: 'https://a'}\nrepository: {url: 'https://gitlab.com/a/b', branch: m}\n",
            "deve ser https://github.com/dono/projeto, e é 'https://gitlab.com/a/b'",
        ),
    ],
)
def test_config_torto_diz_o_que_falta(tmp_path, config, frase):
    (tmp_path / "_config.yml").write_text(config, "utf-8")
    with pytest.raises(ErroDoLivro) as erro:
        enderecos(tmp_path)
    assert frase in str(erro.value)


def test_numero_do_capitulo_e_caminho_do_caderno():
    assert [numero_do_capitulo(d) for d in ("book/00-zero", "03-x", "book/glossario", "book/2-x")] == [
        0,
        3,
        None,
        None,
    ]
    assert caminho_do_caderno("book/00-zero") == "notebooks/00-zero.ipynb"


def test_gravacao_interrompida_nao_estraga_o_arquivo(tmp_path, monkeypatch):
    destino = tmp_path / "a/b.txt"
    grava(destino, "velho\n")
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        grava(destino, "novo\n")
    assert destino.read_bytes() == b"velho\n"
    monkeypatch.undo()
    grava(destino, "novo\n")
    assert destino.read_bytes() == b"novo\n"
    assert [p.name for p in destino.parent.iterdir()] == ["b.txt"]


# ---------------------------------------------------------------- o resumo da célula recolhida

SEIS = "a = 1\nb = 2\n\nc = 3\nd = 4\ne = 5"


def test_o_resumo_conta_as_linhas_sozinho(tmp_path):
    (lida,) = le(tmp_path, celula(SEIS, ":tangle: homellm/a.py", ":resumo: põe cinco números"))
    assert lida.resumo == "põe cinco números" and lida.fonte == SEIS
    assert rotulo_do_resumo(lida.fonte, lida.resumo) == "6 linhas: põe cinco números"
    assert rotulo_do_resumo("a = 1\n", "põe um") == "1 linha: põe um"


RESUMOS = {  # opções: o que a mensagem diz
    (":resumo:",): "`resumo` diz, numa frase, o que a célula faz, e veio None",
    (":resumo: ''",): "e veio ''; escreva, por exemplo, `:resumo: confere",
    (":resumo: 42",): "e veio 42",
    (f":resumo: {'a' * 71}",): "resumo de 71 letras; vai até 70",
    (":resumo: confere `x`",): "o resumo é texto simples, e tem `",
    (":resumo: confere o $x$",): "e tem $; escreva-o sem marcação",
    (":resumo: confere o arquivo.",): "nem acaba em ponto",
    (":resumo: 42 linhas de conferência",): "não começa pelo número de linhas",
    (":resumo: confere", ":tags: [hide-input]"): "o resumo já recolhe a célula; tire hide-input de `tags`",
    (":resumo: confere", ":tags: [remove-cell, no-colab]"): "tire remove-cell de `tags`",
    (":resumo: desenha", ":figura: fig-a", ":legenda: b", ":alt: c"): "recolha-a com `:tags: [hide-input]`",
}


@pytest.mark.parametrize("opcoes", RESUMOS)
def test_resumo_ruim_diz_o_que_escrever(tmp_path, opcoes):
    with pytest.raises(ErroDoLivro) as erro:
        le(tmp_path, celula(SEIS, *opcoes))
    assert str(erro.value).startswith(f"book/01-um.md:{PRIMEIRA_LINHA}: ") and RESUMOS[opcoes] in str(erro.value)
