"""O ensaio do Colab: o notebook mais barato, do preparo à última célula, em Python novo e pasta vazia."""

from __future__ import annotations

import json

import pytest

from ferramentas import ensaio_do_colab

pytestmark = pytest.mark.lento


def test_o_notebook_mais_barato_roda_como_no_colab_e_e_medido(tmp_path, capsys):
    saida = tmp_path / "colab.json"
    assert ensaio_do_colab.main(["00-passo-zero", "--grava", str(saida)]) == 0, capsys.readouterr().out
    medidas = {m["notebook"]: m for m in json.loads(saida.read_text("utf-8"))}
    assert list(medidas) == ["primeiro token", "00-passo-zero"]
    assert all(0 < m["preparo_s"] < m["total_s"] and m["memoria_mb"] > 100 for m in medidas.values())


def test_um_notebook_que_nao_existe_e_dito():
    with pytest.raises(SystemExit, match="não há o notebook '99-nada'"):
        ensaio_do_colab.escolhe(["99-nada"])
