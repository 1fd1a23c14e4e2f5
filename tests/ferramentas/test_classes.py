"""`ferramentas/classes.py`: uma classe que cresce por células é, no pacote, uma classe comum."""

from __future__ import annotations

import ast
import types
from pathlib import Path

import pytest

from brinquedo import CABECALHO, PRIMEIRA_LINHA, celula, escreve_livro
from ferramentas.celulas import le_celulas
from ferramentas.livro import ErroDoLivro
from ferramentas.tangle import extrai
from homellm.cells import add_to_class

A = ":tangle: homellm/a.py"
CLASSE = (
    'class Store:\n    """Loja."""\n\n    def __init__(self):\n        self.items = []\n    # fim da classe'
)


def modulo(tmp_path: Path, *celulas: str) -> str:
    """O texto de `homellm/a.py`, sem o cabeçalho, de uma página com estas células extraídas."""
    corpo = "".join(celula(c, A) for c in celulas)
    escreve_livro(tmp_path, {"01-um": CABECALHO + corpo})
    return extrai(tmp_path)["homellm/a.py"].texto.split("\n", 2)[2]


def test_os_metodos_entram_na_classe_na_ordem_da_pagina(tmp_path):
    texto = modulo(
        tmp_path,
        "import os",
        CLASSE + "\n\n\nLIMIT = 3",
        "# por quê\n@add_to_class(Store)\ndef add(self, item):\n    self.items.append(item)\n\n\n"
        "@add_to_class(Store)\n@property\ndef size(self):\n    return len(self.items)  # fim",
        "def f(): ...",
        "@add_to_class(Store)\n@staticmethod\nasync def g(): ...",
    )
    assert texto == (
        "import os\n\n\n"
        + CLASSE
        + "\n\n    # por quê\n    def add(self, item):\n        self.items.append(item)\n\n"
        "    @property\n    def size(self):\n        return len(self.items)  # fim\n\n"
        "    @staticmethod\n    async def g(): ...\n\n\nLIMIT = 3\n\n\ndef f(): ...\n"
    )


def test_duas_classes_na_mesma_celula_e_metodos_das_duas_noutra(tmp_path):
    texto = modulo(
        tmp_path,
        "class A:\n    x = 1\nclass B:\n  x = 2",
        "@add_to_class(B)\ndef f(self): ...\n@add_to_class(A)\ndef f(self): ...",
    )
    assert texto == "class A:\n    x = 1\n\n    def f(self): ...\nclass B:\n  x = 2\n\n  def f(self): ...\n"


STRINGS = '''\
@add_to_class(Store)
def show(self):
    """Mostra.

    >>> 1
    1
    """
    def inner():
        """De dentro.

        Mais.
        """
    plain = """
  a
    b"""
    filled = f"""
{self.items}
  {"""c
d"""}"""
    joined = ("a"
        "b" "\\
  c")
    return plain, filled, joined, inner.__doc__
'''


def test_no_pacote_a_classe_faz_o_mesmo_que_no_notebook(tmp_path):
    """As células executadas uma a uma, com o decorador, contra o módulo extraído."""
    if not hasattr(ast, "TemplateStr"):  # antes do 3.12, f-string não leva aspas iguais por dentro
        codigo = STRINGS.replace('{"""c\nd"""}', "{'c'}")
    else:
        codigo = STRINGS
    celulas = [CLASSE, codigo, "@add_to_class(Store)\n@classmethod\ndef new(cls, *, n=2):\n    return cls()"]
    notebook = {"add_to_class": add_to_class}
    for fonte in celulas:
        exec(fonte, notebook)
    pacote = types.ModuleType("pacote")
    exec(modulo(tmp_path, *celulas), vars(pacote))
    assert "add_to_class" not in vars(pacote)
    assert pacote.Store.new().show()[:3] == notebook["Store"].new().show()[:3]
    assert pacote.Store.new().show()[0] == "\n  a\n    b"
    assert pacote.Store.__doc__ == notebook["Store"].__doc__


def test_propriedade_com_setter_e_nome_repetido_por_bem(tmp_path):
    texto = modulo(
        tmp_path,
        CLASSE,
        "@add_to_class(Store)\n@property\ndef x(self): return 1",
        "@add_to_class(Store)\n@x.setter\ndef x(self, value): ...",
    )
    assert "    @property\n    def x(self): return 1\n\n    @x.setter\n    def x(self, value): ..." in texto


METODO = "@add_to_class(Store)\ndef add(self): ..."
ERROS = {  # nome: (células, texto da linha em que está o erro, o que a mensagem diz)
    "classe que não existe": (["x = 1", METODO], "@add_to_class(Store)", "Store não foi definida antes"),
    "classe definida depois": ([METODO, CLASSE], "@add_to_class(Store)", "numa célula acima desta"),
    "método repetido": (
        [CLASSE, METODO, "@add_to_class(Store)\n@property\ndef add(self): ..."],
        "@add_to_class(Store)",
        "Store.add já foi definido em book/01-um.md:",
    ),
    "método que a classe já tem": (
        [CLASSE, "@add_to_class(Store)\ndef __init__(self): ..."],
        "@add_to_class(Store)",
        "Store.__init__ já foi definido em",
    ),
    "super sem argumentos": (
        [CLASSE, "@add_to_class(Store)\ndef f(self):\n    super().f()"],
        "    super().f()",
        "escreva super(Store, self), ou leve f para a célula da classe",
    ),
    "nome que o Python muda": (
        [CLASSE, "@add_to_class(Store)\ndef f(self):\n    self.__x = 1"],
        "    self.__x = 1",
        "muda o nome de __x; use um só _",
    ),
    "padrão definido depois da classe": (
        [CLASSE, "LIMIT = 3", "@add_to_class(Store)\ndef f(self, n=LIMIT): ..."],
        "def f(self, n=LIMIT): ...",
        "usa LIMIT, que só é definido depois da classe Store",
    ),
    "importação do decorador": (
        ["from homellm.cells import add_to_class", CLASSE],
        "from homellm.cells import add_to_class",
        "importe add_to_class numa célula sem `:tangle:`",
    ),
    "decorador fora de lugar": (
        [CLASSE, "@property\n@add_to_class(Store)\ndef f(self): ..."],
        "@add_to_class(Store)",
        "antes dos outros decoradores",
    ),
    "decorador sem nome de classe": (
        [CLASSE, "@add_to_class(lojas.Store)\ndef f(self): ..."],
        "@add_to_class(lojas.Store)",
        "escreva @add_to_class(NomeDaClasse) logo acima de uma função",
    ),
    "outra coisa na célula": (
        [CLASSE, METODO + "\n\nx = 1"],
        "x = 1",
        "tem também outra coisa; ponha-a noutra célula",
    ),
    "classe numa linha só": (
        ["class Store: x = 1", METODO],
        "class Store: x = 1",
        "escreva o corpo dela na linha de baixo",
    ),
    "função repetida": (["def f(): ...", "def f(): ..."], "def f(): ...", "f já foi definido em"),
    "classe repetida": ([CLASSE, "class Store: ..."], "class Store: ...", "o módulo ficaria só com um deles"),
}


@pytest.mark.parametrize("nome", ERROS)
def test_erro_diz_pagina_linha_e_o_que_fazer(tmp_path, nome):
    celulas, trecho, frase = ERROS[nome]
    with pytest.raises(ErroDoLivro) as erro:
        modulo(tmp_path, *celulas)
    linhas = (tmp_path / "book/01-um.md").read_text("utf-8").split("\n")
    n = max(n for n, linha in enumerate(linhas, 1) if linha == trecho)
    assert str(erro.value).startswith(f"book/01-um.md:{n}: "), erro.value
    assert frase in str(erro.value)


def test_classe_de_outro_modulo_da_mesma_pagina(tmp_path):
    corpo = celula(CLASSE, ":tangle: homellm/b.py") + celula(METODO, A)
    escreve_livro(tmp_path, {"01-um": CABECALHO + corpo})
    with pytest.raises(ErroDoLivro, match="Store não foi definida antes.*vai para homellm/a.py"):
        extrai(tmp_path)


def test_sobrecargas_e_registros_podem_repetir_o_nome(tmp_path):
    texto = "@overload\ndef f(x: int): ...\n@overload\ndef f(x: str): ...\ndef f(x): ..."
    assert modulo(tmp_path, texto) == texto + "\n"


def test_linha_do_erro_conta_as_opcoes_da_celula(tmp_path):
    escreve_livro(tmp_path, {"01-um": CABECALHO + celula("x = 1", A, ":tags: [hide-input]", "")})
    (lida,) = le_celulas(tmp_path / "book/01-um.md", tmp_path)
    assert lida.linha_do_codigo == PRIMEIRA_LINHA + 4
