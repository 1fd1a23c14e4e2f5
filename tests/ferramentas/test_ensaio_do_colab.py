"""O ensaio do Colab: o notebook mais barato, do preparo à última célula; e o que a página diz das medidas."""

from __future__ import annotations

import json
import re
import shlex

import nbformat
import pytest

from brinquedo import REPO
from ferramentas import ensaio_do_colab
from ferramentas.celulas import le_celulas
from ferramentas.livro import nome_da_pagina, paginas
from ferramentas.preparo import celula_de_preparo
from homellm.recipes import _parser

PAGINA = (REPO / "book/rodar-no-colab.md").read_text("utf-8")
DADOS = json.loads((REPO / "data/colab.json").read_text("utf-8"))
CADERNOS = [p.relative_to(REPO / "notebooks") for p in sorted((REPO / "notebooks").rglob("*.ipynb"))]
NOMES = [p.with_suffix("").as_posix() for p in CADERNOS]


@pytest.mark.lento
def test_o_notebook_mais_barato_roda_como_no_colab_e_e_medido(tmp_path, capsys):
    saida = tmp_path / "colab.json"
    assert ensaio_do_colab.main(["00-passo-zero", "--grava", str(saida)]) == 0, capsys.readouterr().out
    dados = json.loads(saida.read_text("utf-8"))
    assert dados["condicoes"].keys() == DADOS["condicoes"].keys()
    medidas = [dados["primeiro_token"], *dados["notebooks"]]
    assert [m["notebook"] for m in medidas] == ["primeiro token", "00-passo-zero"]
    for m in medidas:
        assert m.keys() == DADOS["primeiro_token"].keys()
        assert 0 < m["preparo_s"] < m["total_s"] and 0 < m["preparo_cpu_s"] < m["cpu_s"]
        assert m["memoria_mb"] > 100


def test_um_notebook_que_nao_existe_e_dito():
    with pytest.raises(SystemExit, match="não há o notebook '99-nada'"):
        ensaio_do_colab.escolhe(["99-nada"])


def test_outro_python_pede_as_suas_bibliotecas():
    with pytest.raises(SystemExit, match="--python pede --torch"):
        ensaio_do_colab.main(["--python", "python3.99"])


def test_as_medidas_cercam_o_preparo_e_o_notebook():
    celulas = [nbformat.v4.new_code_cell(celula_de_preparo(), id="preparo"), nbformat.v4.new_code_cell("1")]
    caderno = ensaio_do_colab.com_medidas(nbformat.v4.new_notebook(cells=celulas), "file:///x/homellm.zip")
    preparo = caderno.cells[1]
    assert [c.id for c in caderno.cells[:3]] == ["antes", "preparo", "depois"]
    assert caderno.cells[-1].id == "fim" and len(caderno.cells) == 5
    assert 'endereco = "file:///x/homellm.zip"' in preparo.source and "github" not in preparo.source


# ------------------------------------------------------------------ o que a página diz


def test_as_medidas_gravadas_sao_de_notebooks_que_existem():
    medidos = [m["notebook"] for m in DADOS["notebooks"]]
    assert medidos == [n for n in NOMES if n in medidos] and len(medidos) > 16
    assert DADOS["condicoes"]["fios"] >= 1 and DADOS["condicoes"]["data"].count("-") == 2
    for m in [DADOS["primeiro_token"], *DADOS["notebooks"]]:
        assert 0 < m["preparo_s"] < m["total_s"] and 0 < m["preparo_cpu_s"] < m["cpu_s"]
        assert m["preparo_cpu_s"] < 20 and m["memoria_mb"] > 100
    assert DADOS["primeiro_token"]["total_s"] < 180


def test_a_pagina_gera_o_primeiro_token_que_se_mede():
    primeira, *_ = le_celulas(REPO / "book/rodar-no-colab.md", REPO)
    assert primeira.fonte == ensaio_do_colab.PRIMEIRO_TOKEN


def test_a_pagina_explica_as_mensagens_que_a_celula_tem():
    explicadas = re.findall(r"(?m)^\| “([^”]+)” \|", PAGINA)
    assert len(explicadas) == 4
    celula = celula_de_preparo().replace('GPU:", torch', "GPU: torch")
    for mensagem in explicadas:
        assert all(parte in celula for parte in mensagem.split(": ", 1)), mensagem


def na_gpu(nome: str) -> tuple[bool, bool]:
    """Se uma célula da página escolhe o dispositivo, e se há uma que só faz alguma coisa com GPU."""
    celulas = le_celulas(REPO / f"book/{nome}.md", REPO)
    codigo = "\n".join(c.fonte for c in celulas if not c.destino)  # o que vai para o pacote só define
    escolhe = re.search(r"(?m)^\w.*\bchoose_device\(\)", codigo)
    return bool(escolhe), bool(re.search(r"(?m)^ *if .*\bdevice\.type [!=]= .cuda.", codigo))


def test_a_tabela_da_t4_diz_o_que_o_codigo_faz():
    secao = PAGINA.split("(sec-colab-t4)=")[1].split("\n(sec-")[0]
    linhas = re.findall(r"(?m)^\| ([^|]*) \| (.*) \|$", secao)
    diz = {nome.strip("` "): texto for nomes, texto in linhas for nome in nomes.split(",")}
    com_codigo = {nome_da_pagina(md).removeprefix("book/") for md in paginas() if le_celulas(md, REPO)}
    assert diz["os outros"].startswith("Nada") and set(diz) - com_codigo == {"Notebook", "os outros"}
    for nome in sorted(com_codigo):
        texto = diz.get(nome, diz["os outros"])
        usa, so_com_ela = na_gpu(nome)
        assert usa != texto.startswith("Nada"), f"{nome}: ponha-o na tabela da T4 de book/rodar-no-colab.md"
        assert so_com_ela == ("só com GPU" in texto), nome


def test_o_comando_da_t4_e_um_que_a_receita_entende():
    (comando,) = re.findall(r"!python -m homellm\.recipes ([^`]*)```", PAGINA)
    lido = _parser().parse_args(shlex.split(comando.replace("\\\n", " ")))
    assert (lido.nome, lido.preset, lido.lote, lido.passos) == ("contos-mini", "t4", 32, 40000)
