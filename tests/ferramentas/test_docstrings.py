"""`ferramentas/docstrings.py`: o que falta a uma docstring é dito com página, linha e o que escrever."""

from __future__ import annotations

import importlib
import inspect
import re

import pytest
from pybtex.database import parse_file, parse_string

from brinquedo import REPO
from ferramentas import docstrings
from ferramentas.celulas import Celula
from ferramentas.definicoes import Pacote

MODULO = '"""O módulo de mentira."""\n\n'
LINHA = 10  # a da primeira linha de código na página de mentira
REFERENCIAS = parse_string(
    "@misc{silva2020, author = {Silva, Ana and Souza, Beto}, title = {T}, year = {2020}}", "bibtex"
)


def celula(codigo: str, modulo: str = "falso") -> Celula:
    return Celula("book/falsa.md", 8, codigo, {"tangle": f"homellm/{modulo}.py"}, LINHA)


def queixas(codigo: str, **tabelas: dict) -> list[str]:
    """O que se diz de um pacote com este módulo só; sem a docstring dele, ganha uma."""
    tabelas = {"fontes": {}, "sem_exemplo": {}} | tabelas
    return docstrings.queixas([celula(MODULO + codigo)], REFERENCIAS, **tabelas)


def test_o_pacote_nao_tem_queixas():
    assert docstrings.revisa() == []


RUINS = {  # nome: (código, linha do código em que está o nome, o que a queixa diz)
    "função sem docstring": ("def f(x: int) -> None: ...", 1, "falso.f: falta a docstring"),
    "classe sem docstring": ("class C: ...", 1, "falso.C: falta a docstring"),
    "método sem docstring": (
        'class C:\n    """Uma coisa."""\n\n    def go(self) -> None: ...', 4, "falso.C.go: falta a docstring",
    ),
    "método acrescentado": (
        "@add_to_class(C)\ndef go(self) -> None: ...", 2, "falso.C.go: falta a docstring",
    ),
    "inglês": ('def f() -> None:\n    """Return the loss of a batch."""', 1, "em português, e tem “Return”"),
    "inglês sem artigo": ('def f() -> None:\n    """Mean loss per token."""', 1, "não parece português"),
    "tensor sem forma": (
        'def f(x: torch.Tensor) -> None:\n    """Guarda o tensor."""', 1, "não diz a forma; escreva-a",
    ),
    "resultado sem forma": (
        'def f(x: Any) -> np.ndarray:\n    """O vetor de x."""', 1, "não diz a forma; escreva-a",
    ),
    "lote sem forma": ('def f(x: Any, b: Batch) -> None:\n    """Guarda o lote."""', 1, "não diz a forma"),
    "erro calado": (
        'def f(x: Any) -> None:\n    """Confere x."""\n    raise ValueError("x")', 1,
        "levanta ValueError, e a docstring não diz; escreva “Erros: `ValueError` se …”",
    ),
    "erro dito, e outro calado": (
        'def f(x: Any) -> None:\n    """Confere x.\n\n    Erros: `ValueError` se x é ruim.\n    """\n'
        "    if x:\n        raise ValueError\n    raise TypeError",
        1,
        "levanta TypeError, e a docstring não diz",
    ),
    "erro do construtor": (
        'class C:\n    """Uma coisa."""\n\n    def __init__(self, x: int) -> None:\n        raise KeyError',
        1,
        "falso.C: levanta KeyError",
    ),
    "erro de função interna": (
        'def _g(x: Any) -> None:\n    raise OSError\n\n\ndef f(x: Any) -> None:\n    """Lê x."""\n    _g(x)',
        5,
        "falso.f: levanta OSError",
    ),
    "erro da que se chama": (
        'def g(x: Any) -> None:\n    """Lê.\n\n    Erros: `OSError` se x falta.\n    """\n    raise OSError'
        '\n\n\ndef f(x: Any) -> None:\n    """Lê duas vezes."""\n    g(x)', 9, "(ou “Erros: os de `g`”)",
    ),
    "outra forma de dizer": (
        'def f(x: Any) -> None:\n    """Lê x.\n\n    Raises:\n        ValueError: x é ruim.\n    """', 1,
        "troque por ela a seção Raises",
    ),
    "sem exemplo": ('def f(x: int) -> int:\n    """O dobro de x."""\n    return 2 * x', 1, "não tem exemplo"),
    "citação que não existe": (
        'def f() -> None:\n    """A conta é a de Silva e Souza (2021)."""',
        1,
        "cita Silva, 2021, que não está",
    ),
    "constante sem comentário": ("LIMIT = 3", 1, "falso.LIMIT: diga num comentário"),
}  # fmt: skip


@pytest.mark.parametrize("nome", RUINS)
def test_cada_falta_e_dita_com_pagina_e_linha(nome):
    codigo, linha, queixa = RUINS[nome]
    (achada,) = queixas(codigo)
    assert achada.startswith(f"book/falsa.md:{LINHA + MODULO.count(chr(10)) + linha - 1}: falso.")
    assert queixa in achada


BOAS = {
    "interna": "def _f(x: int) -> None: ...",
    "método especial": 'class C:\n    """Uma coisa."""\n\n    def __len__(self) -> int: ...',
    "forma": 'def f(x: torch.Tensor) -> Any:\n    """De `(B, T, C)` o que há."""',
    "forma com conta": 'def f(x: torch.Tensor) -> Any:\n    """De `(T + 1,)` o que há."""',
    "escalar": 'def f(x: Any) -> torch.Tensor:\n    """A perda, um escalar."""',
    "pesos por nome": 'def f(x: dict[str, torch.Tensor]) -> None:\n    """Grava os pesos."""',
    "erro pelo ancestral": (
        'def f(x: Any) -> None:\n    """Lê x.\n\n    Erros: `OSError` se falta.\n    """\n'
        "    raise FileNotFoundError"
    ),
    "erro apanhado": (
        'def f(x: Any) -> None:\n    """Lê x."""\n    try:\n        raise KeyError\n'
        "    except LookupError:\n        pass"
    ),
    "erro abafado": (
        'def f(x: Any) -> None:\n    """Lê x."""\n    with suppress(OSError):\n        raise OSError'
    ),
    "chamada só com constantes": (
        'def g(x: Any) -> None:\n    """Lê.\n\n    Erros: `OSError` se falta.\n    """\n    raise OSError'
        '\n\n\ndef f(x: Any) -> None:\n    """Lê o do livro."""\n    g("contos")'
    ),
    "a própria classe é um erro": (
        'class E(ValueError):\n    """O erro da casa."""\n\n    def __init__(self, x: int) -> None:\n'
        "        raise TypeError"
    ),
    "exemplo": 'def f(x: int) -> int:\n    """O dobro de x.\n\n    >>> f(2)\n    4\n    """',
    "inglês entre crases e no título": 'def f() -> None:\n    """O `of the` de “The Title of It”."""',
    "constante com comentário": "LIMIT = 3  # o máximo\n# o mínimo\nFLOOR = 1\n_HIDDEN = 2",
}


@pytest.mark.parametrize("nome", BOAS)
def test_o_que_esta_certo_nao_ganha_queixa(nome):
    assert queixas(BOAS[nome]) == []


def test_a_fonte_de_um_artigo_e_pedida_pela_tabela():
    codigo = 'def f() -> None:\n    """A conta{}."""'
    tabela = {"falso.f": ("silva2020",)}
    (queixa,) = queixas(codigo.format(""), fontes=tabela)
    assert queixa.endswith("não diz qual; escreva (Silva…, 2020)")
    for citacao in (" de Silva e Souza (2020)", " (Silva e Souza, 2020)"):
        assert queixas(codigo.format(citacao), fontes=tabela) == []
    (queixa,) = queixas(codigo.format(""), fontes={"falso.f": ("ninguem1999",)})
    assert "ninguem1999 não está em book/referencias.bib" in queixa


@pytest.mark.parametrize("tabela", ["fontes", "sem_exemplo"])
def test_um_nome_que_sumiu_do_pacote_e_cobrado_na_tabela(tabela):
    valor = () if tabela == "fontes" else "não há servidor"
    (queixa,) = queixas("", **{tabela: {"falso.sumiu": valor}})
    assert re.match(r"ferramentas/docstrings.py:\d+: \w+: falso.sumiu não é um nome público", queixa)


def test_cada_modulo_tem_uma_linha_na_ajuda_do_pacote():
    lista = "Os módulos:\n\n    um       o primeiro\n    sumido   o que não há mais\n"
    ajuda = celula(f'"""O pacote.\n\n{lista}"""', "__init__")
    modulos = [celula('"""O módulo."""', nome) for nome in ("um", "dois")]
    achadas = docstrings.queixas([ajuda, *modulos], REFERENCIAS, fontes={}, sem_exemplo={})
    assert [queixa.partition(": ")[2] for queixa in achadas] == [
        "falta dois na lista dos módulos; diga numa linha o que ele faz",
        "sumido está na lista dos módulos e não existe; apague a linha",
    ]


def test_as_excecoes_sao_poucas_explicadas_e_precisas():
    """Sem a exceção, a queixa aparece: nenhuma fica por costume."""
    assert len(docstrings.SEM_EXEMPLO) <= 5 and all(docstrings.SEM_EXEMPLO.values())
    celulas = docstrings.celulas()
    referencias = parse_file(REPO / "book/referencias.bib", "bibtex")
    sem = docstrings.queixas(celulas, referencias, sem_exemplo={})
    assert {queixa.split(": ")[1] for queixa in sem} == set(docstrings.SEM_EXEMPLO)


def test_os_erros_passam_de_modulo_a_modulo_e_pela_heranca():
    um = 'class Base:\n    def __init__(self, x: int) -> None:\n        raise KeyError\n'
    um += "\n\nclass E(OSError): ..."
    dois = (
        "from homellm.um import Base, E\n\n\nclass C(Base):\n    def __init__(self, x: int) -> None:\n"
        "        super().__init__(x)\n\n    def go(self, x: int) -> None:\n        self._go(x)\n\n"
        "    def _go(self, x: int) -> None:\n        raise E"
    )
    pacote = Pacote([celula(um, "um"), celula(dois, "dois")])
    assert pacote.erros(("dois", "C")) == {"KeyError": {"Base"}}
    assert pacote.erros(("dois", "C.go")) == {"E": {""}}
    assert pacote.ancestrais("E")[:2] == ["E", "OSError"]


def test_os_nomes_conferidos_sao_os_que_quem_importa_encontra():
    lidos = {(d.modulo, d.nome) for d in Pacote(docstrings.celulas()).definicoes.values() if d.publica}
    for modulo in sorted({modulo for modulo, _ in lidos}):
        vivo = importlib.import_module(f"homellm.{modulo}")
        nomes = {
            nome
            for nome, valor in vars(vivo).items()
            if (inspect.isclass(valor) or inspect.isfunction(valor)) and valor.__module__ == vivo.__name__
        }
        assert {n for m, n in lidos if m == modulo and "." not in n} == {
            n for n in nomes if not n.startswith("_")
        }
