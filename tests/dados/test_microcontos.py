"""Os microcontos: contagens, divisão por tema, repetição, começos, personagens, ortografia."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import unicodedata
from collections import Counter, defaultdict

import pytest

from brinquedo import REPO
from homellm.corpus import SPLITS, load_table, load_text

DADOS = REPO / "data"
MICROCONTOS = load_table("microcontos")
LUGARES = {"Pedra", "Miúda", "Monte", "Ruivo", "Poço", "Sino", "São", "João"}
NAO_SAO_NOMES = {"Natal", "Páscoa", "Terra", "Volume"}
COMECO_DE_FRASE = re.compile(r"(?:^|[.!?…:—«»(\n])\s*$")
NOME = re.compile(r"\b[A-ZÁÉÍÓÚÂÊÔÃÕÇ][a-záéíóúâêôãõçü]+(?:-[a-z-]+)?")


def palavras(texto: str) -> list[str]:
    """As palavras como se contam: `bem-te-vi` e `deu-lhe` são uma."""
    return re.findall(r"[^\W\d_]+(?:[-'][^\W\d_]+)*|\d+", texto.lower())


def no_meio_da_frase(texto: str) -> set[str]:
    """As palavras com maiúscula que não abrem frase: nomes."""
    achados = (m for m in NOME.finditer(texto) if not COMECO_DE_FRASE.search(texto[: m.start()]))
    return {m.group() for m in achados}


NOMES = set().union(*(no_meio_da_frase(conto.text) for conto in MICROCONTOS)) - LUGARES - NAO_SAO_NOMES


def personagens(texto: str) -> set[str]:
    return set(NOME.findall(texto)) & NOMES


def test_contagens():
    assert len(MICROCONTOS) == 408
    assert Counter(conto.split for conto in MICROCONTOS) == {"train": 285, "validation": 50, "test": 73}
    por_tema = Counter(conto.theme for conto in MICROCONTOS)
    assert len(por_tema) == 40 and set(por_tema.values()) == {10, 11}
    assert {conto.form for conto in MICROCONTOS} == {"microconto"}
    assert len({conto.title for conto in MICROCONTOS}) == 408


def test_tamanho():
    fora = [conto.title for conto in MICROCONTOS if not 60 <= len(palavras(conto.text)) <= 110]
    assert fora == []


def test_divisao_por_tema_e_a_do_sorteio():
    splits = defaultdict(set)
    for conto in MICROCONTOS:
        splits[conto.theme].add(conto.split)
    assert all(len(lados) == 1 for lados in splits.values())
    temas = sorted(splits)
    random.Random(408).shuffle(temas)
    sorteio = {t: "test" if i < 7 else "validation" if i < 12 else "train" for i, t in enumerate(temas)}
    assert {tema: {lado} for tema, lado in sorteio.items()} == splits


def test_nenhuma_sequencia_de_12_palavras_em_dois_textos():
    dono: dict[tuple[str, ...], str] = {}
    for conto in [*load_table("contos"), *MICROCONTOS]:
        texto = palavras(conto.text)
        for i in range(len(texto) - 11):
            trecho = tuple(texto[i : i + 12])
            assert dono.setdefault(trecho, conto.title) == conto.title, " ".join(trecho)


def test_comecos():
    comecos = Counter(" ".join(palavras(conto.text)[:4]) for conto in MICROCONTOS)
    assert [comeco for comeco, n in comecos.items() if n > 1] == []
    assert sum(comeco.startswith("era uma vez") for comeco in comecos) <= 0.1 * len(MICROCONTOS)
    primeiras = Counter(" ".join(palavras(conto.text)[:2]) for conto in MICROCONTOS)
    assert max(primeiras.values()) <= 10


def test_fechos_variados():
    """Nenhuma última frase se repete, nem é moda começar por “desde então” e parentes."""
    fechos = [re.split(r"(?<=[.!?…]) ", conto.text.rsplit("\n", 1)[-1])[-1] for conto in MICROCONTOS]
    assert len(set(fechos)) == len(fechos)
    assert max(Counter(" ".join(palavras(fecho)[:2]) for fecho in fechos).values()) <= 4
    gastos = ("desde então", "até hoje", "e foi assim", "e viveram")
    assert sum(fecho.lower().startswith(gastos) for fecho in fechos) <= 4
    assert all(fecho[-1] in ".!?…»" for fecho in fechos)


def test_dois_ou_tres_personagens_com_nome():
    contados = {conto.title: personagens(conto.text) for conto in MICROCONTOS}
    assert {titulo: nomes for titulo, nomes in contados.items() if not 2 <= len(nomes) <= 3} == {}


def test_personagem_apresentado_volta():
    """No máximo um dos nomes aparece uma vez só (quem narra quase não diz o seu)."""
    for conto in MICROCONTOS:
        vezes = Counter(nome for nome in NOME.findall(conto.text) if nome in NOMES)
        assert sum(n == 1 for n in vezes.values()) <= 1, (conto.title, vezes)


def test_dialogo_com_travessao():
    com_fala = [conto for conto in MICROCONTOS if "— " in conto.text]
    assert len(com_fala) >= 0.9 * len(MICROCONTOS)
    for conto in MICROCONTOS:
        assert not re.search(r"^[-–]|[\"“”]| [-–] |  ", conto.text, re.M), conto.title


def test_um_paragrafo_por_linha_em_nfc():
    texto = load_text("microcontos")
    assert unicodedata.is_normalized("NFC", texto) and "\t" not in texto and "\r" not in texto
    for conto in MICROCONTOS:
        assert all(paragrafo and "\n" not in paragrafo for paragrafo in conto.text.split("\n\n")), conto.title


def test_load_text_traz_um_split_so():
    for split in SPLITS:
        texto = load_text("microcontos", split)
        assert all((conto.document in texto) == (conto.split == split) for conto in MICROCONTOS)


def test_titulo_que_nao_e_de_contos():
    assert {conto.title for conto in MICROCONTOS}.isdisjoint(conto.title for conto in load_table("contos"))


def test_cartao_diz_o_que_ha():
    cartao = (DADOS / "microcontos.md").read_text("utf-8")
    assert "CC0" in cartao and "Limites" in cartao and 'load_table("microcontos")' in cartao
    for numero in ("408", "285 de treino", "50 de validação", "73 de teste", "40 temas"):
        assert numero in cartao
    tamanhos = [len(palavras(conto.text)) for conto in MICROCONTOS]
    assert f"de {min(tamanhos)} a {max(tamanhos)} palavras" in cartao
    era_uma_vez = sum(conto.text.startswith("Era uma vez") for conto in MICROCONTOS)
    assert f"“Era uma vez” | {era_uma_vez} |" in cartao
    texto = re.findall(r"\w+", " ".join(conto.text for conto in MICROCONTOS).lower())  # a medida de contos
    janelas = [len(set(texto[i : i + 10_000])) for i in range(0, len(texto) - 9_999, 10_000)]
    diferentes = round(sum(janelas) / len(janelas), -1)
    assert f"{diferentes:,.0f}".replace(",", ".") + " (em `contos`" in cartao
    for lado, temas in (("teste", "test"), ("validação", "validation")):
        lista = re.search(rf"(?:São do|da) {lado}: ([^;.]+)[;.]", cartao).group(1)
        nomes = set(re.split(r", | e ", lista))
        assert nomes == {conto.theme for conto in MICROCONTOS if conto.split == temas}


def test_ortografia():
    if not shutil.which("hunspell") or "pt_BR" not in _dicionarios():
        if os.environ.get("CI"):
            pytest.fail("falta o hunspell com o dicionário pt_BR: apt install hunspell hunspell-pt-br")
        pytest.skip("sem hunspell pt_BR nesta máquina (apt install hunspell hunspell-pt-br)")
    texto = "\n".join(f"{conto.title}\n{conto.text}" for conto in MICROCONTOS)
    comando = ["hunspell", "-d", "pt_BR", "-i", "utf-8", "-l"]
    saida = subprocess.run(comando, input=texto.encode("utf-8"), capture_output=True, check=True)
    conhecidas = set((DADOS / "microcontos-grafias.txt").read_text("utf-8").split())
    assert set(saida.stdout.decode("utf-8").split()) == conhecidas  # nem a mais, nem sobrando na lista


def _dicionarios() -> str:
    saida = subprocess.run(["hunspell", "-D"], input=b"", capture_output=True)
    return (saida.stdout + saida.stderr).decode("utf-8", "replace")
