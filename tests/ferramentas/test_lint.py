"""`ferramentas/lint.py`: o que o Sphinx deixa passar e o leitor notaria."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from brinquedo import CABECALHO, PRIMEIRA_LINHA, REPO, api, celula, copia_o_projeto, escreve_livro
from ferramentas import lint
from ferramentas.lint import revisa, so_prosa


def queixas_de(tmp_path: Path, corpo: str) -> list[str]:
    """O que a revisão diz de um livro com este capítulo só."""
    return revisa(escreve_livro(tmp_path, {"01-um": CABECALHO + "# Um\n\n" + corpo, "api": api("a", "b")}))


SEPARADOR = "```{note}\nUma diretiva que fecha com três crases.\n```\n\n"  # a prosa seguinte é conferida
RUINS = {  # nome: (corpo, linha contada do corpo, o que a queixa diz)
    "imagem sem alt": ("![](figuras/x.svg)\n", 1, "imagem sem texto alternativo: escreva entre os colchetes"),
    "imagem com alt em branco": ("texto ![ ](x.png)\n", 1, "imagem sem texto alternativo"),
    "figura sem alt": ("```{figure} x.svg\n:name: fig-x\n\nL\n```\n", 1, "acrescente a linha `:alt:"),
    "figura com alt vazio": ("```{figure} x.svg\n:alt:\n\nL\n```\n", 1, "figura sem texto alternativo"),
    "figura de dois-pontos": (":::{image} x.svg\n:::\n", 1, "figura sem texto alternativo"),
    "nota não definida": ("Um[^a].\n", 1, "nota de rodapé [^a] usada e não definida; acrescente a linha"),
    "nota não usada": ("Um.\n\n[^a]: Nota.\n", 3, "nota de rodapé [^a] definida e não usada; cite-a"),
    "nota repetida": ("U[^a].\n\n[^a]: N.\n[^a]: M.\n", 4, "[^a] definida duas vezes; dê outro nome"),
    "chaves": ("Seja $\\frac{a}{b$ x.\n", 1, "fórmula com chaves desencontradas { }: \\frac{a}{b"),
    "chave que fecha antes": ("Seja $a}{b$ x.\n", 1, "fórmula com chaves desencontradas"),
    "fórmula que começa em número": ("Seja $2^{n$ x.\n", 1, "fórmula com chaves desencontradas"),
    "bloco": ("a\n\n$$\n\\left( a\n$$\n", 3, "fórmula com \\left sem \\right"),
    "bloco aberto": ("a\n\n$$\na\n\nb\n", 3, "fórmula aberta por $$ que não fecha; acrescente"),
    "ambiente sem fim": (
        "```{math}\n:label: eq-a\n\\begin{cases} a\n```\n",
        1,
        "com \\begin{cases} sem \\end",
    ),
    "ambientes trocados": (
        "$$\\begin{a}\\begin{b}\\end{a}\\end{b}$$\n",
        1,
        "com \\end{a} que não fecha o \\begin mais próximo",
    ),
    "cifrão sem par": ("Seja $a + b.\n\nOutro.\n", 1, "fórmula aberta por $ que não fecha neste parágrafo"),
    "dinheiro": ("De R$ 5 a R$ 10.\n", 1, "R$ abre uma fórmula; se é dinheiro, escreva R\\$"),
    "decimal com ponto": (
        "A perda foi de 5,1\na 0.52, no fim.\n",
        2,
        "0.52 tem ponto no lugar da vírgula; escreva 0,52 (numa fórmula, 0{,}52)",
    ),
    "decimal no fim da frase": ("Custa 0.5.\n", 1, "escreva 0,5 "),
    "decimal de três casas": ("De 0.125 a 1.024 tokens.\n", 1, "0.125 tem ponto"),
    "porcentagem": ("Acerta 97.5 % (ou 97.5%).\n", 1, "escreva 97,5 "),
    "decimal com unidade": ("Demora 3.2 s e ocupa 1.5 GB.\n", 1, "1.5 tem ponto"),
    "decimal numa fórmula": ("Seja $x = 0.5$ aqui.\n", 1, "(numa fórmula, 0{,}5)"),
    "decimal numa tabela": ("| a | b |\n|---|---|\n| 0.5 | x |\n", 3, "0.5 tem ponto"),
    "decimal num alt": ("```{figure} x.svg\n:alt: De 0.5 a 1\n\nL\n```\n", 2, "0.5 tem ponto"),
    "decimal na legenda da célula": (
        celula("1", ":figura: fig-a", ":legenda: Até 0.5.", ":alt: x"),
        3,
        "0.5 tem ponto",
    ),
    "módulo inexistente": (celula("import homellm.x"), 2, "homellm.x, que nenhuma célula do livro cria"),
    "nome inexistente": (celula("from homellm import x"), 2, "homellm.x, que nenhuma célula do livro cria"),
    "módulo fora da API": (
        celula("x = 1", ":tangle: homellm/c.py"),
        1,
        "homellm.c não está na página da API; acrescente lá `.. automodule:: homellm.c`",
    ),
    "linha comprida no pacote": (
        celula(f"x = 1\ny = '{'a' * 84}'", ":tangle: homellm/a.py"),
        4,
        "linha de 90 colunas; o pacote vai até 88: reparta-a",
    ),
    "não é Python": (celula("!ls"), 2, "a célula não é Python puro"),
    "etiqueta": (celula("1", ":tags: [x]"), 1, "etiqueta desconhecida: x"),
    "cerca": ("```{note}\n", 1, "a cerca ``` abre aqui e não fecha"),
}


@pytest.mark.parametrize("antes", ["", SEPARADOR], ids=["só", "depois de uma diretiva"])
@pytest.mark.parametrize("nome", RUINS)
def test_queixa_diz_arquivo_linha_e_o_que_fazer(tmp_path, nome, antes):
    corpo, linha, frase = RUINS[nome]
    queixas = queixas_de(tmp_path, antes + corpo)
    linha += PRIMEIRA_LINHA + 1 + antes.count("\n")
    assert any(q.startswith(f"book/01-um.md:{linha}: ") and frase in q for q in queixas), queixas


BONS = {
    "imagem": "![Um gato](x.png) e `![](y.png)`\n",
    "figura": "```{figure} x.svg\n:name: fig-x\n:alt: Um gato\n\nL\n```\n",
    "nota": "Um[^a] e dois[^a].\n\n[^a]: Nota com `[^b]`.\n",
    "fórmulas": "Seja $\\frac{a}{b}$, $2^n$,\n$a +\nb$, $\\{1$ e $2\\}$, custa R\\$ 5 e `R$`. $x \\in R$ e\n",
    "blocos": "$$\n\\begin{cases}a\\\\b\\end{cases}\n$$ (eq-a)\n\n"
    "```{math}\n:label: eq-b\n\\left( \\{ \\right)\n```\n",
    "código": "```python\n[^x] $ ![](a) \\frac{\n```\n\n```text\nR$ 5\n```\n",
    "comentário": "% [^x] $ ![](a)\n",
    "célula": celula('x = "$ [^x] ![]("'),
    "linha comprida que fica na página": celula(f"y = '{'a' * 90}'"),
    "importa o que é da página": celula("x = 1", ":tangle: homellm/a.py") + celula("from homellm.a import x"),
    "pontos que não são decimais": "O Python 3.10, a versão 0.2 (e a 0.1.0), homellm 0.1, a Figura 0.1,\n"
    "o exercício 0.2, a seção 0.1.2, CC BY 4.0, o Llama 3.1 8B, 1.024 bytes, 12.345 s, 1.000.000,\n"
    "arXiv:1706.03762, 10.0.0.1, v0.2 e 0,5.\n",
    "decimais fora da prosa": "`0.5` e [aqui](https://a.b/0.5), <https://a.b/0.5> e https://a.b/0.5\n\n"
    "```{figure} x.svg\n:alt: x\n:scale: 0.5\n\nL\n```\n\n```text\n0.5\n```\n" + celula("x = 0.5"),
    "aninhadas": "::::{note}\n:::{tip}\n```python\n1\n```\n:::\n::::\n",
}


@pytest.mark.parametrize("nome", BONS)
def test_pagina_boa_nao_tem_queixa(tmp_path, nome):
    assert queixas_de(tmp_path, BONS[nome]) == []


def test_capitulo_nao_importa_modulo_de_capitulo_posterior(tmp_path):
    paginas = {
        "01-um": CABECALHO + "# Um\n\n" + celula("from homellm.b import y") + celula("import homellm as h"),
        "02-dois": CABECALHO + "# Dois\n\n" + celula("y = 1", ":tangle: homellm/b.py"),
        "03-tres": CABECALHO + "# Três\n\n" + celula("from homellm import __version__, b"),
        "api": CABECALHO
        + api("b")
        + celula('__version__ = "1"\n\ndef f(): ...\n', ":tangle: homellm/__init__.py"),
    }
    (queixa,) = revisa(escreve_livro(tmp_path, paginas))
    assert queixa == (
        f"book/01-um.md:{PRIMEIRA_LINHA + 3}: importa homellm.b, que só nasce depois, em "
        f"book/02-dois.md:{PRIMEIRA_LINHA + 2}; um capítulo não depende dos seguintes"
    )


def modulo(nome: str, *imports: str) -> str:
    """Uma página que define um módulo que importa outros."""
    codigo = "\n".join([*(f"import homellm.{i}" for i in imports), "x = 1"])
    return CABECALHO + "# Página\n\n" + celula(codigo, f":tangle: homellm/{nome}.py", "")


def test_capitulo_nao_depende_dos_seguintes_nem_por_meio_da_oficina(tmp_path):
    paginas = {
        "01-um": modulo("a", "files"),
        "02-dois": modulo("b", "a", "files"),
        "oficina/x": modulo("files", "more"),
        "oficina/y": modulo("more", "a", "b"),  # o que impede o capítulo 1, e não o 2, de usar `files`
        "api": CABECALHO + api("a", "b", "files", "more"),
    }
    (queixa,) = [q for q in revisa(escreve_livro(tmp_path, paginas)) if "em círculo" not in q]
    codigo = PRIMEIRA_LINHA + 5
    assert queixa == (
        f"book/01-um.md:{codigo}: importa homellm.files, que importa homellm.more "
        f"(book/oficina/x.md:{codigo}), que "
        f"importa homellm.b (book/oficina/y.md:{codigo + 1}), que só nasce depois, em "
        f"book/02-dois.md:{PRIMEIRA_LINHA + 2}; um capítulo não depende dos seguintes"
    )


def test_importacoes_em_circulo_dizem_a_cadeia(tmp_path):
    paginas = {
        "01-um": modulo("a"),
        "oficina/x": modulo("b", "a", "c"),
        "oficina/y": modulo("c", "d"),
        "oficina/z": modulo("d", "b"),
        "api": CABECALHO + api("a", "b", "c", "d"),
    }
    (queixa,) = revisa(escreve_livro(tmp_path, paginas))
    codigo = PRIMEIRA_LINHA + 5
    assert queixa == (
        f"book/oficina/x.md:{codigo + 1}: importações em círculo: homellm.b, que importa homellm.c "
        f"(book/oficina/x.md:{codigo + 1}), que importa homellm.d (book/oficina/y.md:{codigo}), que importa "
        f"homellm.b (book/oficina/z.md:{codigo}); leve o que os dois usam para um módulo que não importe "
        "nenhum deles"
    )


@pytest.mark.parametrize("ruim", ["%pip install x", "x = (1,"])
def test_uma_celula_ruim_da_uma_queixa_so(tmp_path, ruim):
    """As páginas que importam o módulo dela não têm culpa."""
    paginas = {
        "01-um": CABECALHO + "# Um\n\n" + celula(ruim, ":tangle: homellm/a.py", "") + "\n![](x)\n",
        "02-dois": modulo("b", "a"),
        "03-tres": modulo("c", "a", "b"),
        "api": CABECALHO + api("b"),
    }
    da_celula, da_imagem = revisa(escreve_livro(tmp_path, paginas))
    assert da_celula.startswith(f"book/01-um.md:{PRIMEIRA_LINHA + 5}: a célula não é Python puro")
    assert "imagem sem texto alternativo" in da_imagem  # a prosa da página é conferida assim mesmo


def test_pagina_fora_do_toc(tmp_path):
    escreve_livro(tmp_path, {"01-um": "# Um\n", "rascunho": "# R\n"}, fora_do_toc=("rascunho",))
    assert revisa(tmp_path) == [
        "book/rascunho.md:1: a página não está em _toc.yml; acrescente-a, ou apague-a"
    ]


def test_pagina_do_toc_que_falta(tmp_path):
    escreve_livro(tmp_path, {"01-um": "# Um\n"})
    (tmp_path / "book/01-um.md").unlink()
    assert revisa(tmp_path) == ["_toc.yml:4: a página book/01-um.md não existe; crie-a ou tire-a da lista"]


def test_uma_pagina_ruim_nao_esconde_as_queixas_das_outras(tmp_path):
    escreve_livro(
        tmp_path, {"01-um": "```{note}\n", "02-dois": "# D ![](a)\n", "03-tres": "# T b[^b] a[^a]\n\n$x\n"}
    )
    queixas = revisa(tmp_path)
    assert [q.split(": ")[0] for q in queixas] == [
        "book/01-um.md:1",
        "book/02-dois.md:1",
        "book/03-tres.md:1",
        "book/03-tres.md:1",
        "book/03-tres.md:3",
    ]
    assert queixas == revisa(tmp_path)


def test_so_prosa_guarda_as_linhas():
    texto = CABECALHO + "a `b` c\n```python\nx\n```\n% d\n```{math}\ne\n```\nf ``g`h`` i"
    prosa = so_prosa(texto)
    assert prosa.split("\n")[PRIMEIRA_LINHA - 1 :] == [
        "a     c", "", "", "", "", "```{math}", "e", "```", "f         i"
    ]  # fmt: skip
    assert prosa.count("\n") == texto.count("\n")


def test_na_linha_de_comando(tmp_path):
    escreve_livro(copia_o_projeto(tmp_path, "ferramentas"), {"01-um": "![](x)\n"})
    comando = [sys.executable, "-m", "ferramentas.lint"]
    ruim = subprocess.run(comando, cwd=tmp_path, capture_output=True, text=True, encoding="utf-8")
    assert ruim.returncode == 1 and ruim.stdout.startswith("book/01-um.md:1: imagem sem texto alternativo")
    (tmp_path / "book/01-um.md").write_text("# Um\n", "utf-8")
    bom = subprocess.run(comando, cwd=tmp_path, capture_output=True, text=True, encoding="utf-8")
    assert (bom.returncode, bom.stdout) == (0, "")


def test_o_livro_nao_tem_queixas():
    assert revisa(REPO) == []


def test_uma_celula_que_so_mostra_pode_adiantar_um_modulo_com_razao_escrita(tmp_path, monkeypatch):
    paginas = {
        "01-um": CABECALHO + "# Um\n\n" + celula("from homellm.b import y"),
        "02-dois": CABECALHO + "# Dois\n\n" + celula("y = 1", ":tangle: homellm/b.py"),
        "api": api("b", "c"),
    }
    raiz = escreve_livro(tmp_path, paginas)
    assert "que só nasce depois" in revisa(raiz)[0]
    monkeypatch.setattr(lint, "ADIANTADAS", {("book/01-um.md", "b"): "porque é a abertura"})
    assert revisa(raiz) == []
    do_pacote = celula("from homellm.b import y", ":tangle: homellm/c.py")
    (raiz / "book/01-um.md").write_text(CABECALHO + "# Um\n\n" + do_pacote, "utf-8")
    assert "que só nasce depois" in revisa(raiz)[0]  # o pacote, não
