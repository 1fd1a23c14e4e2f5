"""`ferramentas/tangle.py`: dos capítulos ao pacote, sem perder o que alguém escreveu à mão."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from brinquedo import CABECALHO, PRIMEIRA_LINHA, celula, copia_o_projeto, escreve_livro
from ferramentas import tangle
from ferramentas.livro import ErroDoLivro
from ferramentas.tangle import compara, editado_a_mao, escreve, extrai

PAGINAS = {
    "00-zero": CABECALHO + "# Zero\n\n" + celula('"""A."""', ":tangle: homellm/a.py"),
    "03-tres": CABECALHO
    + "# Três\n\n"
    + celula("import os", ":tangle: homellm/b.py")
    + "\nprosa\n\n"
    + celula("x = 1  # só da página")
    + celula("\ndef f():\n    return os\n\n", ":tangle: homellm/b.py"),
    "05-cinco": CABECALHO + "# Cinco\n\n" + celula("y = 2", ":tangle: homellm/c.py"),
    "api": CABECALHO + "# API\n\n" + celula('"""Pacote."""', ":tangle: homellm/__init__.py"),
}


@pytest.fixture
def raiz(tmp_path) -> Path:
    """Um livro cujo pacote está em dia."""
    escreve_livro(tmp_path, PAGINAS)
    escreve(extrai(tmp_path), tmp_path)
    return tmp_path


def muda(arquivo: Path, de: str, para: str) -> None:
    """Troca um trecho que existe."""
    texto = arquivo.read_text("utf-8")
    assert de in texto
    arquivo.write_text(texto.replace(de, para), "utf-8")


def test_modulo_junta_as_celulas_na_ordem_do_livro_e_diz_de_onde_veio(raiz):
    b = (raiz / "homellm/b.py").read_text("utf-8").split("\n", 2)
    assert b[0] == "# Gerado por ferramentas/tangle.py. NÃO EDITE: mude book/03-tres.md."
    assert b[2] == "import os\n\n\ndef f():\n    return os\n"


def test_um_modulo_mora_numa_pagina_so(raiz):
    muda(raiz / "book/05-cinco.md", ":tangle: homellm/c.py", ":tangle: homellm/a.py")
    with pytest.raises(ErroDoLivro) as erro:
        extrai(raiz)
    assert str(erro.value) == (
        f"book/05-cinco.md:{PRIMEIRA_LINHA + 2}: homellm/a.py já recebe trechos de outra página, em "
        f"book/00-zero.md:{PRIMEIRA_LINHA + 2}; um módulo mora numa página só: leve esta célula para lá, "
        "ou dê a ela outro módulo"
    )


def test_ate_um_capitulo_leva_da_oficina_o_que_ele_importa_e_mais_nada(tmp_path):
    def pagina(nome: str, codigo: str) -> str:
        return CABECALHO + "# P\n\n" + celula(codigo, f":tangle: homellm/{nome}.py")

    paginas = {
        "00-zero": pagina("a", "x = 1"),
        "03-tres": pagina("b", "def f():\n    from homellm.perto import x"),
        "05-cinco": pagina("c", "from homellm import solto"),
        "oficina/um": pagina("perto", "import homellm.longe"),
        "oficina/dois": pagina("longe", "import homellm.a"),
        "oficina/tres": pagina("solto", "import homellm.c"),
        "oficina/quatro": pagina("receita", "import homellm.c"),
        "api": pagina("__init__", "import os"),
    }
    escreve_livro(tmp_path, paginas)
    nomes = {n: [Path(c).stem for c in extrai(tmp_path, ate=n)] for n in (0, 3, 5)}
    assert nomes == {
        0: ["a", "__init__"],
        3: ["a", "b", "perto", "longe", "__init__"],
        5: ["a", "b", "c", "perto", "longe", "solto", "__init__"],
    }
    inteiro, ate_o_5 = extrai(tmp_path), extrai(tmp_path, ate=5)
    assert len(inteiro) == 8 and all(ate_o_5[c] == inteiro[c] for c in ate_o_5)


def test_sem_mudanca_nada_e_escrito(raiz):
    antes = {p.name: p.stat().st_mtime_ns for p in (raiz / "homellm").iterdir()}
    assert escreve(extrai(raiz), raiz) == []
    assert {p.name: p.stat().st_mtime_ns for p in (raiz / "homellm").iterdir()} == antes
    assert compara(extrai(raiz), raiz) == []


def test_mudanca_no_capitulo_escreve_so_o_modulo_dele(raiz):
    muda(raiz / "book/03-tres.md", "return os", "return os.sep")
    (queixa,) = compara(extrai(raiz), raiz)
    assert queixa.startswith("homellm/b.py: atrasado em relação a book/03-tres.md. Rode: make livro\n")
    assert "-    return os\n+    return os.sep" in queixa
    assert escreve(extrai(raiz), raiz) == ["homellm/b.py"]
    assert compara(extrai(raiz), raiz) == []


def test_modulo_que_falta(raiz):
    (raiz / "homellm/b.py").unlink()
    assert compara(extrai(raiz), raiz) == ["homellm/b.py: falta; sai de book/03-tres.md. Rode: make livro"]


@pytest.mark.parametrize("mudar_o_capitulo", [False, True])
def test_modulo_editado_a_mao_nao_e_perdido_e_o_erro_diz_o_capitulo(raiz, mudar_o_capitulo):
    muda(raiz / "homellm/b.py", "return os", "return os.name")
    muda(raiz / "book/05-cinco.md", "y = 2", "y = 3")  # outro módulo, que também não pode ser escrito
    if mudar_o_capitulo:
        muda(raiz / "book/03-tres.md", "return os", "return os.sep")
    antes = {p.name: p.read_text("utf-8") for p in (raiz / "homellm").iterdir()}
    with pytest.raises(ErroDoLivro) as erro:
        escreve(extrai(raiz), raiz)
    for frase in ("homellm/b.py:1:", "book/03-tres.md", "Leve a mudança ao capítulo", "nada foi escrito"):
        assert frase in str(erro.value)
    assert {p.name: p.read_text("utf-8") for p in (raiz / "homellm").iterdir()} == antes
    queixa = next(q for q in compara(extrai(raiz), raiz) if q.startswith("homellm/b.py"))
    assert "editado à mão" in queixa and "mude book/03-tres.md" in queixa


def test_edicao_levada_ao_capitulo_passa(raiz):
    muda(raiz / "homellm/b.py", "return os", "return os.name")
    muda(raiz / "book/03-tres.md", "return os", "return os.name")
    assert escreve(extrai(raiz), raiz) == ["homellm/b.py"]  # só o resumo do cabeçalho mudou
    assert compara(extrai(raiz), raiz) == []


@pytest.mark.parametrize(
    "texto",
    [
        "",
        "x = 1\n",
        "# comentário\nx = 1\ny = 2\n",
        tangle.ASSINATURA + "\n",
        tangle.ASSINATURA + "\n# a\nb\n",
    ],
)
def test_arquivo_sem_o_cabecalho_e_o_resumo_e_de_gente(texto):
    assert editado_a_mao(texto)


def test_sobra_gerada_e_apagada(raiz):
    (raiz / "book/03-tres.md").write_text(CABECALHO + "# Três\n", "utf-8")
    (queixa,) = compara(extrai(raiz), raiz)
    assert queixa.startswith("homellm/b.py: nenhum capítulo o gera; apague-o")
    assert escreve(extrai(raiz), raiz) == ["homellm/b.py"]
    assert sorted(p.name for p in (raiz / "homellm").iterdir()) == ["__init__.py", "a.py", "c.py"]


def test_arquivo_escrito_a_mao_no_pacote_nao_e_apagado(raiz):
    (raiz / "homellm/meu.py").write_text("x = 1\n", "utf-8")
    with pytest.raises(ErroDoLivro, match="homellm/meu.py:1: foi escrito à mão, e nenhum capítulo o gera"):
        escreve(extrai(raiz), raiz)
    assert (raiz / "homellm/meu.py").read_text("utf-8") == "x = 1\n"


def test_celula_extraida_que_nao_e_python(raiz):
    muda(raiz / "book/00-zero.md", '"""A."""', "%pip install x")
    linha = PRIMEIRA_LINHA + 4
    with pytest.raises(ErroDoLivro, match=rf"book/00-zero.md:{linha}: a célula não é Python puro"):
        extrai(raiz)


def test_na_linha_de_comando(tmp_path):
    """Códigos de saída e mensagens do programa, numa cópia do projeto."""
    escreve_livro(copia_o_projeto(tmp_path, "ferramentas"), PAGINAS)
    comando = [sys.executable, "-m", "ferramentas.tangle"]

    def roda(*opcoes: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*comando, *opcoes], cwd=tmp_path, capture_output=True, text=True, encoding="utf-8"
        )

    falta = roda("--check")
    assert falta.returncode == 1 and "homellm/a.py: falta" in falta.stdout
    assert not list((tmp_path / "homellm").iterdir())
    feito = roda()
    assert feito.returncode == 0 and "tangle: homellm/a.py" in feito.stdout
    assert (roda("--check").returncode, roda().stdout) == (0, "")
    muda(tmp_path / "book/00-zero.md", ":tangle: homellm/a.py", ":tangle: homellm/A.py")
    ruim = roda("--check")
    assert (
        ruim.returncode == 2 and f"tangle: book/00-zero.md:{PRIMEIRA_LINHA + 2}: `tangle` deve" in ruim.stderr
    )
    assert "Traceback" not in ruim.stderr


def test_a_diferenca_de_um_modulo_cabe_na_tela(raiz):
    muda(raiz / "book/03-tres.md", "return os", "return os\n" + "\n".join(f"x{n} = {n}" for n in range(40)))
    (queixa,) = compara(extrai(raiz), raiz)
    linhas = queixa.split("\n")
    assert len(linhas) == 10 and linhas[-1].startswith("… e mais ")
    numero = (raiz / "homellm/b.py").read_text("utf-8").split("\n").index("    return os") + 1
    assert linhas[3].startswith(f"@@ -{numero}")
