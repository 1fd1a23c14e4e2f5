"""Os enganos de quem contribui: cada um é dito com arquivo, linha e o que escrever, em português.

As duas tabelas, a da revisão (`lint`) e a dos avisos do Sphinx, crescem a cada engano novo.
"""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from brinquedo import CABECALHO, PRIMEIRA_LINHA, REPO, api, celula, escreve_livro
from ferramentas.avisos import EmPortugues, traduz
from ferramentas.lint import revisa
from ferramentas.livro import ErroDoLivro, numero_do_capitulo, paginas
from ferramentas.tangle import extrai

CORPO = PRIMEIRA_LINHA + 2  # a linha em que começa o que vem depois do título
EXERCICIO = "```{exercise} Um\n:label: ex-um\nFaça.\n```\n"
SOLUCAO = "```{solution-start} ex-um\n:label: sol-um\n:class: dropdown\n```\nFeito.\n```{solution-end}\n```\n"
MODULO_A = celula("def f(): ...\n\nLIMIT = 1\nfrom os import path", ":tangle: homellm/a.py", "")


def livro(tmp_path: Path, corpo: str, **outras: str) -> Path:
    """Um livro com um capítulo, a oficina do módulo `a`, e o que se pedir."""
    oficina = CABECALHO + "# A\n\n" + MODULO_A
    capitulos = {"01-um": CABECALHO + "# Um\n\n" + corpo, **outras}
    return escreve_livro(tmp_path, {**capitulos, "oficina/a": oficina, "api": api("a", "b")})


PROSA = {  # o que se escreveu: (linha, contada do corpo, e o que se lê); o capítulo é book/01-um.md
    "exercício sem rótulo": (
        "```{exercise} Um\nFaça.\n```\n",
        1,
        "exercício sem rótulo; acrescente a linha `:label: ex-",
    ),
    "exercício sem solução": (
        EXERCICIO,
        1,
        "o exercício ex-um não tem solução; escreva logo depois {solution-start}",
    ),
    "solução sem exercício": (SOLUCAO, 1, "solução de 'ex-um', que não é exercício da página; confira"),
    "exercício repetido": (
        EXERCICIO + SOLUCAO + EXERCICIO,
        12,
        "o rótulo ex-um já é de book/01-um.md:14; dê outro",
    ),
    "rótulo repetido na página": (
        "(a)=\n## A\n\n(a)=\n## B\n",
        4,
        "o rótulo a já é de book/01-um.md:14; dê outro nome",
    ),
    "rótulo de figura repetido": (
        "(fig-a)=\n\n```{figure} x.svg\n:name: fig-a\n:alt: x\n\nL\n```\n",
        3,
        "o rótulo fig-a já é de book/01-um.md:14",
    ),
    "dois títulos": (
        "texto\n\n# Dois\n",
        3,
        "segundo título de página (o primeiro é o da linha 12); use ## na seção",
    ),
    "cerca recuada com tabulação": ("\t```python\n\tx\n\t```\n", 1, "cerca recuada com tabulação"),
    "img sem alt": (
        'um <img src="a.png"> dois\n',
        1,
        'imagem sem texto alternativo; acrescente alt="o que se vê"',
    ),
    "img com alt vazio": ('<img alt="" src="a.png">\n', 1, "imagem sem texto alternativo"),
    "div que não fecha": ("<div>\n\ntexto\n", 1, "<div> abre aqui e não fecha; acrescente </div>"),
    "script que não fecha": (
        "texto\n\n<script>\nx\n",
        3,
        "<script> abre aqui e não fecha; acrescente </script>",
    ),
    "fecha o que não abriu": ("a\n\n</details>\n", 3, "</details> fecha o que não abriu"),
    "papel sem chaves": (
        "Veja ref`cap-um` aqui.\n",
        1,
        "faltam as chaves em ref`cap-um`; escreva {ref}`cap-um`",
    ),
    "citação sem chaves": ("Como cite:p`raschka`.\n", 1, "escreva {cite:p}`raschka`"),
    "função que não há": (
        "A {func}`homellm.a.g`.\n",
        1,
        "homellm.a não tem g; confira o nome na página da API",
    ),
    "módulo que não há": ("A {func}`x <homellm.nada.g>`.\n", 1, "homellm.nada não existe; há __init__, a"),
    "termo fora do glossário": (
        "texto\n\n```{glossary}\ntoken\n: um pedaço\n```\n",
        3,
        "os termos moram em book/glossario.md; leve estes para lá",
    ),
    "conflito": (
        "<<<<<<< HEAD\na\n=======\nb\n>>>>>>> outro\n",
        1,
        "marca de conflito do git; fique com uma das duas",
    ),
    "conflito numa célula": (celula("a = 1\n<<<<<<< HEAD"), 3, "marca de conflito do git"),
    "code-cel": ("```{code-cel} ipython3\nx\n```\n", 1, "diretiva desconhecida: code-cel; escreva code-cell"),
    "importação por importlib": (
        celula("import importlib\nimportlib.import_module('homellm.nada')"),
        3,
        "importa homellm.nada, que nenhuma célula do livro cria",
    ),
    "print ao importar": (
        celula("def g(): ...\n\nprint('oi')", ":tangle: homellm/b.py", ""),
        6,
        "print(…) rodaria a cada importação de homellm/b.py; leve a chamada a uma célula sem :tangle:",
    ),
}


@pytest.mark.parametrize("engano", PROSA)
def test_a_revisao_diz_arquivo_linha_e_o_que_fazer(tmp_path, engano):
    corpo, linha, frase = PROSA[engano]
    queixas = revisa(livro(tmp_path, corpo))
    assert len(queixas) == 1, queixas  # um engano, uma linha
    assert queixas[0].startswith(f"book/01-um.md:{CORPO + linha - 1}: ") and frase in queixas[0], queixas


CERTOS = {
    "exercício com solução": EXERCICIO + SOLUCAO,
    "solução numa diretiva": EXERCICIO + "````{solution} ex-um\n:label: sol-um\nFeito.\n````\n",
    "html que fecha": '<div class="a">\n<span>x</span>\n</div>\n\n<img src="a.png" alt="Um gato">\n',
    "html em código": "`<div>` e\n\n```html\n<div>\n<img src=x>\n```\n",
    "papéis": "{ref}`cap-um`, {cite:p}`raschka`, a `ref` e `x`, {func}`~homellm.a.f`, {mod}`homellm.a`.\n",
    "nomes importados e constantes": "{data}`homellm.a.LIMIT` e {func}`o caminho <homellm.a.path.join>`.\n",
    "célula com # no começo": celula("# um comentário\nx = 1"),
    "título dentro de código": "```text\n# não é título\n(a)=\n(a)=\n```\n",
}


@pytest.mark.parametrize("nome", CERTOS)
def test_o_que_esta_certo_nao_tem_queixa(tmp_path, nome):
    assert revisa(livro(tmp_path, CERTOS[nome])) == []


# ---------------------------------------------------------------- arquivos


def test_pagina_sem_titulo(tmp_path):
    raiz = livro(tmp_path, "")
    (raiz / "book/01-um.md").write_text("Só prosa.\n", "utf-8")
    assert revisa(raiz) == [
        "book/01-um.md:1: a página não tem título; comece o texto por uma linha “# Título”"
    ]


@pytest.mark.parametrize("nome", ["book/01-um.md", "book/index.md", "_toc.yml"])
def test_marca_invisivel_no_comeco_do_arquivo(tmp_path, nome):
    raiz = livro(tmp_path, celula("1"))
    (raiz / nome).write_bytes(b"\xef\xbb\xbf" + (raiz / nome).read_bytes())
    (queixa,) = revisa(raiz)
    assert queixa.startswith(f"{nome}:1: o arquivo começa por uma marca invisível (BOM); grave-o em")


def test_nome_de_arquivo_com_espaco_ou_acento(tmp_path):
    raiz = livro(tmp_path, "", **{"02-dois três": "# Dois\n"})
    (raiz / "book/figuras").mkdir()
    (raiz / "book/figuras/atenção.svg").write_text("<svg/>", "utf-8")
    queixas = revisa(raiz)
    assert [q.split(":")[0] for q in queixas] == ["book/02-dois três.md", "book/figuras/atenção.svg"]
    assert all("use só letras sem acento, números, - e _" in q for q in queixas)


def test_dois_capitulos_com_o_mesmo_numero_e_fora_de_ordem(tmp_path):
    outras = {"03-tres": "# Três\n", "02-dois": "# Dois\n", "02-outro": "# Outro\n"}
    assert revisa(livro(tmp_path, "", **outras)) == [
        "_toc.yml:1: book/02-dois.md vem depois de book/03-tres.md; ponha os capítulos na ordem dos números",
        "book/02-outro.md:1: o número 02 já é de book/02-dois.md; mude o nome de um dos arquivos",
    ]


def test_os_capitulos_do_livro_nao_pulam_numero():
    achados = sorted((n, p.name) for p in paginas() if (n := numero_do_capitulo(p.stem)) is not None)
    for certo, (numero, nome) in enumerate(achados):
        assert numero == certo, f"book/{nome}:1: não há capítulo {certo:02}; dê a este o {certo:02}"


@pytest.mark.parametrize(
    ("nome", "texto", "queixa"),
    [
        ("novo.txt", "a", "data/novo.txt:1: nenhum cartão fala deste arquivo; escreva data/novo.md"),
        ("spam.jsonl", '{"a": 1}\n{"a": \n', "data/spam.jsonl:2: a linha não é JSON"),
        (
            "spam.jsonl",
            '{"a": 1}\n\n[1]\n',
            "data/spam.jsonl:3: a linha não é um objeto {…}; conserte-a ou apague-a",
        ),
    ],
)
def test_arquivo_de_dados_ruim(tmp_path, nome, texto, queixa):
    raiz = livro(tmp_path, "")
    (raiz / "data").mkdir()
    (raiz / "data/spam.md").write_text("# spam.jsonl\n", "utf-8")
    (raiz / f"data/{nome}").write_text(texto, "utf-8")
    (dita,) = revisa(raiz)
    assert dita.startswith(queixa)


BOA = "@book{boa,\n  title = {Um},\n  year = {2020},\n}\n\n"
BIBLIOGRAFIAS = {  # o que se acrescenta depois da linha 5: (linha, o que se lê)
    "@misc{ruim,\n  title = {Dois\n}\n": (6, "a entrada que começa aqui não se lê; confira as chaves"),
    "@misc{ruim,\n  title = {Dois}\n  year = 2020\n}\n": (6, "confira as chaves, as aspas e a vírgula"),
    BOA: (6, "a entrada boa já está na linha 1; mude o nome de uma"),
    "\n@bok{ruim,\n title = {Dois},\n year = {2020}}\n": (7, "o livro não sabe escrever uma @bok; use"),
    "@misc{ruim,\n  title = {Dois},\n}\n": (6, "a entrada ruim não tem year; acrescente a linha year = {…}"),
    "<<<<<<< HEAD\n": (6, "marca de conflito do git; fique com uma das duas versões"),
}


@pytest.mark.parametrize("entrada", BIBLIOGRAFIAS)
def test_entrada_ruim_na_bibliografia(tmp_path, entrada):
    linha, frase = BIBLIOGRAFIAS[entrada]
    raiz = livro(tmp_path, "")
    (raiz / "book/referencias.bib").write_text(BOA, "utf-8")
    assert revisa(raiz) == []
    (raiz / "book/referencias.bib").write_text(BOA + entrada, "utf-8")
    (queixa,) = revisa(raiz)
    assert queixa.startswith(f"book/referencias.bib:{linha}: ") and frase in queixa


def test_a_mesma_funcao_duas_vezes_no_modulo(tmp_path):
    repetida = celula("def f(): ...", ":tangle: homellm/b.py", "")
    with pytest.raises(ErroDoLivro, match=rf"book/01-um\.md:{CORPO + 9}: f já foi definido em"):
        extrai(livro(tmp_path, repetida + "\n" + repetida))


@pytest.mark.parametrize("nome", ["_config.yml", "_toc.yml"])
def test_yaml_ilegivel(tmp_path, nome):
    raiz = livro(tmp_path, celula("1"))
    (raiz / nome).write_text((raiz / nome).read_text("utf-8") + "x: [1\ny: 2\n", "utf-8")
    linha = (raiz / nome).read_text("utf-8").count("\n")
    queixas = revisa(raiz)
    assert len(queixas) == 1 and queixas[0].startswith(f"{nome}:{linha}: YAML ilegível"), queixas


# ---------------------------------------------------------------- os avisos do Sphinx

AVISOS = [  # como o Sphinx escreve, depois de “book/03-a.md:7: ”, e o que o leitor lê
    ("WARNING: undefined label: 'cap-x'", "nada no livro tem o rótulo cap-x; confira o nome, ou"),
    (
        "WARNING: 'myst' cross-reference target not found: 'nada.md' [myst.xref_missing]",
        "a ligação leva a nada.md, que",
    ),
    (
        'WARNING: could not find bibtex key "ninguem2020"',
        "a citação ninguem2020 não está nas referências; confira",
    ),
    (
        "WARNING: term not in glossary: 'palavrório'",
        "o termo palavrório não está no glossário; acrescente-o a",
    ),
    (
        "WARNING: equation not found: eq-nada",
        "nenhuma equação tem o rótulo eq-nada; ponha (eq-nada) depois do $$",
    ),
    ("WARNING: unknown document: 'nada'", "não há página nada; confira o nome"),
    ("WARNING: download file not readable: book/n.zip", "o arquivo a baixar não existe: book/n.zip; confira"),
    (
        "WARNING: duplicate term description of token, other instance in book/glossario",
        "o termo token já está em book/glossario; tire um dos dois",
    ),
    (
        "WARNING: image file not readable: book/figuras/x.png",
        "a imagem book/figuras/x.png não existe; confira o nome",
    ),
    (
        "WARNING: duplicate label: ex-dup; other instance in /r/book/04-b.md",
        "o rótulo ex-dup já é de book/04-b.md; dê",
    ),
    ('WARNING: Duplicate explicit target name: "cap-q".', "o rótulo cap-q já é desta página; dê outro nome"),
    (
        "WARNING: Unknown directive type: 'notaa' [myst.directive_unknown]",
        "não há diretiva chamada notaa; confira",
    ),
    (
        'WARNING: Unknown interpreted text role "papel". [myst.role_unknown]',
        "não há papel chamado papel; confira",
    ),
    (
        "WARNING: 'figure': Unknown option keys: ['opcao'] (allowed: ['a']) [x]",
        "figure não tem a opção opcao; confira",
    ),
    (
        "CRITICAL: Directive \"include\": file not found: '/r/book/n.txt'",
        "o arquivo incluído não existe: book/n.txt",
    ),
    (
        "WARNING: autodoc: failed to import module 'x' from module 'homellm'; the following exception was "
        "raised:\nNo module named 'homellm.x' [autodoc.import_object]",
        "book/api.md documenta homellm.x, que não se importa (No module named 'homellm.x'); conserte",
    ),
    (
        "WARNING: autodoc: failed to import module 'x' from module 'homellm'; the following exception was "
        "raised:\nTraceback (most recent call last):\n  File \"a\", line 1\nValueError: ai [autodoc.x]",
        "book/api.md documenta homellm.x, que não se importa (ValueError: ai); conserte o módulo, ou tire",
    ),
    ("WARNING: algo que ninguém previu [x.y]", "algo que ninguém previu [x.y]"),
    ("WARNING: algo com\nmuitas\nlinhas", "algo com"),
]


@pytest.mark.parametrize(("aviso", "frase"), AVISOS)
def test_o_aviso_do_sphinx_vira_uma_frase(aviso, frase):
    for onde in ("/r/book/03-a.md:7", "\x1b[91m/r/book/03-a.md:7"):
        dito = traduz(f"{onde}: {aviso}\x1b[39;49;00m\n", Path("/r"))
        assert dito.startswith(f"book/03-a.md:7: {frase}") and "\n" not in dito


def test_o_lugar_que_o_sphinx_nao_sabe_escrever(tmp_path):
    (tmp_path / "book").mkdir()
    (tmp_path / "book/04-q.md").write_text("", "utf-8")
    for onde in ("book/04-q.rst", "book/04-q", "book/04-q.md", "book/04-q.md:None"):
        assert traduz(f"{tmp_path}/{onde}: WARNING: x", tmp_path) == "book/04-q.md:1: x"
    assert traduz("WARNING: sem lugar", tmp_path) == "sem lugar"


def test_o_aviso_numa_docstring_leva_a_pagina(tmp_path):
    codigo = 'class C:\n    def f(self):\n        """Um.\n\n        a `b\n        """'
    raiz = livro(tmp_path, celula(codigo, ":tangle: homellm/b.py"))
    for caminho, modulo in extrai(raiz).items():
        (raiz / caminho).write_text(modulo.texto, "utf-8")
    aviso = "Inline interpreted text or phrase reference start-string without end-string."
    onde = f"{raiz}/homellm/b.py:docstring of homellm.b.C.f"
    assert traduz(f"{onde}:3: WARNING: {aviso}", raiz) == (
        f"book/01-um.md:{CORPO + 6}: a docstring de homellm.b.C.f: há uma marca (`, * ou **) que abre e não "
        "fecha; feche-a"
    )
    assert traduz(f"{onde}:3: ERROR: Unexpected indentation.", raiz).endswith(
        "o recuo muda de repente; alinhe a linha com a de cima, ou deixe uma em branco entre elas"
    )
    (raiz / "homellm/b.py").write_text("escrito à mão", "utf-8")
    assert traduz(f"{onde}:3: ERROR: x", raiz) == "homellm/b.py:3: a docstring de homellm.b.C.f: x"


def test_o_mesmo_aviso_e_dito_uma_vez_so():
    tela = io.StringIO()
    saida = EmPortugues(tela, Path("/r"))
    for aviso in (
        "/r/a.md:1: WARNING: unknown document: 'b'\n",
        "\n",
        "/r/a.md:1: WARNING: unknown document: 'b'\n",
    ):
        saida.write(aviso)
    assert tela.getvalue() == "a.md:1: não há página b; confira o nome, sem .md e a partir desta página\n"


def test_o_livro_de_verdade_nao_tem_queixas():
    assert revisa(REPO) == []
