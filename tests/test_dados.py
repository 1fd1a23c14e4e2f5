"""Os textos de `data/`: formato, divisão, repetição, variedade, ortografia."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import unicodedata
from collections import Counter
from pathlib import Path

import pytest

from homellm.corpus import load_table

DADOS = Path(__file__).parents[1] / "data"
CONTOS = load_table("contos")
MACHADO = 0.282  # palavras diferentes por palavra, em janelas de 10.000, na obra de Machado de Assis


def palavras(texto: str) -> list[str]:
    return re.findall(r"\w+", texto.lower())


@pytest.mark.parametrize("arquivo", sorted(p.name for p in DADOS.iterdir() if p.suffix in {".txt", ".md"}))
def test_utf8_em_nfc(arquivo):
    texto = (DADOS / arquivo).read_bytes().decode("utf-8")
    assert unicodedata.is_normalized("NFC", texto) and "\r" not in texto and "\ufeff" not in texto


@pytest.mark.parametrize("conjunto", ["contos", "folhetim"])
def test_cada_conjunto_tem_cartao_com_licenca(conjunto):
    cartao = (DADOS / f"{conjunto}.md").read_text("utf-8")
    assert "CC0" in cartao and "Limites" in cartao and "load_text" in cartao


def test_tamanho_e_divisao():
    partes = Counter(conto.split for conto in CONTOS)
    total = len(CONTOS)
    assert (DADOS / "contos.txt").stat().st_size >= 400_000
    assert 0.83 <= partes["train"] / total <= 0.87
    assert 0.065 <= partes["validation"] / total <= 0.085 and 0.065 <= partes["test"] / total <= 0.085
    assert all(900 <= len(conto.text) <= 3000 for conto in CONTOS)


def test_titulos_diferentes_e_muitas_formas():
    assert len({conto.title for conto in CONTOS}) == len(CONTOS)
    assert len({conto.form for conto in CONTOS}) >= 20 and len({conto.theme for conto in CONTOS}) >= 60
    de_treino = {conto.form for conto in CONTOS if conto.split == "train"}
    assert {conto.form for conto in CONTOS} == de_treino  # nenhuma forma é novidade no teste


def test_nenhuma_sequencia_de_12_palavras_em_dois_textos():
    dono: dict[tuple[str, ...], str] = {}
    for conto in CONTOS:
        texto = palavras(conto.text)
        for i in range(len(texto) - 11):
            trecho = tuple(texto[i : i + 12])
            assert dono.setdefault(trecho, conto.title) == conto.title, " ".join(trecho)


def test_aberturas_variadas():
    aberturas = Counter(" ".join(palavras(conto.text)[:2]) for conto in CONTOS)
    primeiras = Counter(palavras(conto.text)[0] for conto in CONTOS)
    assert max(aberturas.values()) <= 2
    assert max(primeiras.values()) <= 0.03 * len(CONTOS)


def test_vocabulario_tao_rico_quanto_se_prometeu():
    texto = palavras(" ".join(conto.text for conto in CONTOS))
    janelas = [len(set(texto[i : i + 10_000])) / 10_000 for i in range(0, len(texto) - 9_999, 10_000)]
    assert sum(janelas) / len(janelas) >= 0.8 * MACHADO


def test_ortografia():
    if not shutil.which("hunspell") or "pt_BR" not in _dicionarios():
        if os.environ.get("CI"):
            pytest.fail("falta o hunspell com o dicionário pt_BR: apt install hunspell hunspell-pt-br")
        pytest.skip("sem hunspell pt_BR nesta máquina (apt install hunspell hunspell-pt-br)")
    texto = "\n".join(f"{conto.title}\n{conto.text}" for conto in CONTOS).replace("’", "'")
    comando = ["hunspell", "-d", "pt_BR", "-i", "utf-8", "-l"]
    saida = subprocess.run(comando, input=texto.encode("utf-8"), capture_output=True, check=True)
    conhecidas = set((DADOS / "contos-grafias.txt").read_text("utf-8").split())
    assert set(saida.stdout.decode("utf-8").split()) <= conhecidas


def _dicionarios() -> str:
    saida = subprocess.run(["hunspell", "-D"], input=b"", capture_output=True)
    return (saida.stdout + saida.stderr).decode("utf-8", "replace")
