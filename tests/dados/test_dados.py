"""Os textos de `data/`: formato, divisão, repetição, variedade, ortografia."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import unicodedata
from collections import Counter, defaultdict

import pytest

from brinquedo import REPO
from homellm.corpus import load_table

DADOS = REPO / "data"
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


# ------------------------------------------------------------------ tabelas

TABELAS = {  # conjunto: (campos, registros, famílias, limite de semelhança entre splits)
    "spam": ({"texto", "rotulo", "familia", "split", "nivel"}, 4500, 180, 0.5),
    "sentimento": ({"texto", "rotulo", "familia", "split", "nivel"}, 2280, 110, 0.5),
    "instrucoes": ({"instrucao", "entrada", "resposta", "familia", "split"}, 1500, 15, 0.5),
    "conversas": ({"sistema", "turnos", "familia", "split"}, 150, 20, 0.5),
}


def registros(conjunto: str) -> list[dict]:
    return [json.loads(linha) for linha in (DADOS / f"{conjunto}.jsonl").read_text("utf-8").splitlines()]


def texto_de(registro: dict) -> str:
    if "turnos" in registro:
        return " ".join(fala for par in registro["turnos"] for fala in par)
    return registro.get("texto") or f"{registro['instrucao']} {registro['entrada']}"


def cincos(texto: str) -> set[str]:
    """5-gramas de caracteres do texto normalizado: minúsculo, sem acento, algarismos trocados por 0."""
    sem_marcas = (c for c in unicodedata.normalize("NFD", texto.lower()) if not unicodedata.combining(c))
    limpo = f" {re.sub(r'[^a-z0]+', ' ', re.sub(r'[0-9]', '0', ''.join(sem_marcas))).strip()} "
    return {limpo[i : i + 5] for i in range(max(1, len(limpo) - 4))}


def maior_semelhanca(separados: list[set[str]], de_treino: list[set[str]]) -> float:
    """A maior semelhança de Jaccard entre um texto separado e um de treino."""
    onde: dict[str, list[int]] = defaultdict(list)
    for i, gramas in enumerate(de_treino):
        for grama in gramas:
            onde[grama].append(i)
    maior = 0.0
    for gramas in separados:
        comuns = Counter(i for grama in gramas for i in onde[grama])
        for i, n in comuns.items():
            maior = max(maior, n / (len(gramas) + len(de_treino[i]) - n))
    return maior


def test_maior_semelhanca_a_mao():
    assert maior_semelhanca([cincos("Olá, mundo 12!")], [cincos("ola mundo 99"), cincos("nada a ver")]) == 1
    assert maior_semelhanca([cincos("abcdefgh")], [cincos("xyz")]) == 0


@pytest.mark.parametrize("conjunto", TABELAS)
def test_tabela_bem_formada(conjunto):
    campos, minimo, familias, _ = TABELAS[conjunto]
    bruto = (DADOS / f"{conjunto}.jsonl").read_bytes().decode("utf-8")
    assert unicodedata.is_normalized("NFC", bruto) and "\r" not in bruto
    linhas = registros(conjunto)
    assert len(linhas) >= minimo and len({r["familia"] for r in linhas}) >= familias
    assert all(set(r) == campos for r in linhas)
    assert {r["split"] for r in linhas} == {"train", "validation", "test"}
    assert len({texto_de(r) for r in linhas}) == len(linhas)
    assert all(texto_de(r).strip() == texto_de(r) or conjunto == "instrucoes" for r in linhas)


@pytest.mark.parametrize("conjunto", [*TABELAS, "regras"])
def test_cada_tabela_tem_cartao(conjunto):
    cartao = (DADOS / f"{conjunto}.md").read_text("utf-8")
    assert "CC0" in cartao and "Limites" in cartao and "load_table" in cartao


@pytest.mark.parametrize("conjunto", ["spam", "sentimento"])
def test_familia_inteira_num_split_e_com_um_rotulo_so_no_spam(conjunto):
    de_familia: dict[str, set[str]] = defaultdict(set)
    rotulos: dict[str, set[str]] = defaultdict(set)
    for r in registros(conjunto):
        de_familia[r["familia"]].add(r["split"])
        rotulos[r["familia"]].add(r["rotulo"])
    assert all(len(splits) == 1 for splits in de_familia.values())
    assert all(len(r) == (1 if conjunto == "spam" else 3) for r in rotulos.values())


@pytest.mark.parametrize(  # as famílias antigas de spam são 45% do total delas; as novas, metade
    ("conjunto", "rotulo", "parte"), [("spam", "spam", 0.47), ("sentimento", "misto", 0.2)]
)
def test_rotulos_equilibrados_em_cada_split(conjunto, rotulo, parte):
    for split in ("train", "validation", "test"):
        do_split = [r["rotulo"] for r in registros(conjunto) if r["split"] == split]
        assert abs(do_split.count(rotulo) / len(do_split) - parte) < 0.03, split


@pytest.mark.parametrize(("conjunto", "simples"), [("spam", 62), ("sentimento", 50)])
def test_cada_familia_tem_um_nivel_e_os_dois_estao_em_todo_split(conjunto, simples):
    niveis: dict[str, set[str]] = defaultdict(set)
    por_split: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for r in registros(conjunto):
        niveis[r["familia"]].add(r["nivel"])
        por_split[r["split"]].add((r["rotulo"], r["nivel"]))
    assert all(len(nivel) == 1 for nivel in niveis.values())
    assert sum(nivel == {"simples"} for nivel in niveis.values()) == simples
    assert por_split["train"] == por_split["validation"] == por_split["test"]


@pytest.mark.parametrize("conjunto", ["spam", "sentimento"])
def test_o_cartao_diz_quantas_sao(conjunto):
    cartao, linhas = (DADOS / f"{conjunto}.md").read_text("utf-8"), registros(conjunto)
    contas = [Counter(r["split"] for r in linhas)[s] for s in ("train", "validation", "test")]
    contas += [Counter(r["nivel"] for r in linhas)[n] for n in ("simples", "dificil")]
    contas += [len(linhas), len({r["familia"] for r in linhas})]
    contas += Counter(r["rotulo"] for r in linhas).values()
    for n in contas:
        assert re.search(rf"(?<![\d.]){f'{n:,}'.replace(',', '.')}(?![\d.]*\d)", cartao), n


def test_cada_familia_de_instrucoes_esta_em_todo_split():
    por_split = defaultdict(set)
    for r in registros("instrucoes"):
        por_split[r["split"]].add(r["familia"])
    assert por_split["train"] == por_split["validation"] == por_split["test"]


@pytest.mark.parametrize("conjunto", TABELAS)
def test_sem_quase_duplicata_entre_splits(conjunto):
    linhas = registros(conjunto)
    treino = [cincos(texto_de(r)) for r in linhas if r["split"] == "train"]
    separados = [cincos(texto_de(r)) for r in linhas if r["split"] != "train"]
    assert maior_semelhanca(separados, treino) < TABELAS[conjunto][3]


def test_pergunta_de_conversa_nao_vaza_para_instrucoes():
    conversas, instrucoes = registros("conversas"), registros("instrucoes")
    for treino, outro in ((conversas, instrucoes), (instrucoes, conversas)):
        usadas = [cincos(t) for r in treino if r["split"] == "train" for t in _pedidos(r)]
        separadas = [cincos(t) for r in outro if r["split"] != "train" for t in _pedidos(r)]
        assert maior_semelhanca(separadas, usadas) < 0.5


def _pedidos(registro: dict) -> list[str]:
    if "turnos" in registro:
        return [usuario for usuario, _ in registro["turnos"] if len(usuario) > 20]
    return [texto_de(registro)]


def test_nada_de_endereco_de_verdade_no_spam():
    dominio = re.compile(r"\b[a-z0-9][a-z0-9.-]*\.(?:com|net|org|br|info|xyz|site|app|io|me)\b", re.I)
    for r in registros("spam"):
        assert not dominio.search(r["texto"]), r["texto"]
        for ddd_e_numero in re.findall(r"\(?\d{2}\)? ?9?\d{4}-\d{4}", r["texto"]):
            assert re.search("5550|0000", ddd_e_numero), r["texto"]
