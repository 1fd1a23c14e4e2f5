"""`data/fazer/conversa/historias.py`: a concordância, os nomes, os splits e os pedidos."""

from __future__ import annotations

import doctest
import os
import random
import re
import shutil
import subprocess
import unicodedata
from collections import Counter
from pathlib import Path

import pytest

from data.fazer.conversa import historias
from data.fazer.conversa.historias import (
    ErroDeEnredo,
    SemHistoria,
    Story,
    compose_story,
    family_split,
    load,
)

ACERVO = load()
ELENCO = ACERVO.elenco
NOMES = {nome for grupo in ELENCO.nomes.values() for nome in grupo}
TIPOS = {t.nome: t for t in ELENCO.tipos}
SPLITS = ("train", "validation", "test")
ONOMATOPEIAS = {"bu", "ic", "tec"}
PALAVRA = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")


def historias_de(split: str, quantas: int) -> list[Story]:
    """As primeiras histórias de um split, uma por semente."""
    return [compose_story(random.Random(i), split=split) for i in range(quantas)]


DUAS_MIL = [*historias_de("train", 1600), *historias_de("validation", 200), *historias_de("test", 200)]


def falta(texto: str, palavra: str) -> bool:
    """Se a palavra não está no texto."""
    return not re.search(rf"\b{re.escape(palavra)}\b", texto)


# ------------------------------------------------------------------ o acervo


def test_doctests():
    assert doctest.testmod(historias).failed == 0


def test_tamanho_do_acervo():
    assert len(ACERVO.enredos) >= 48
    assert len(ELENCO.tipos) >= 60 and len(ELENCO.bancos["objeto"]) >= 60
    assert len(ELENCO.bancos["lugar"]) >= 50 and len(NOMES) >= 160


def test_fontes_em_nfc_e_sem_apostrofo_de_maquina():
    for arquivo in ("elenco.yaml", "enredos.yaml"):
        texto = (historias.PASTA / arquivo).read_text("utf-8")
        assert unicodedata.is_normalized("NFC", texto) and "\t" not in texto


def test_nenhuma_redacao_em_dois_enredos():
    vistas = Counter(
        frase
        for enredo in ACERVO.enredos.values()
        for batida in enredo.batidas
        for frases in batida.casos.values()
        for frase in frases
    )
    assert [f for f, n in vistas.items() if n > 1] == []


def test_todo_tipo_lugar_comida_e_tema_cabem_em_algum_enredo_de_treino():
    for tipo in TIPOS:
        assert tipo in {p.tipo.nome for p in compose_story(random.Random(0), kinds=[tipo]).cast}
    for tema in {t for e in ACERVO.enredos.values() if e.split == "train" for t in e.temas}:
        assert tema in compose_story(random.Random(0), theme=tema).themes
    for lugar in ELENCO.bancos["lugar"]:
        assert not falta(compose_story(random.Random(0), place=lugar.nome).text, lugar.nome)
    for comida in ELENCO.bancos["comida"]:
        assert not falta(compose_story(random.Random(0), food=comida.nome).text, comida.nome)
    for objeto in ELENCO.bancos["objeto"]:
        if family_split("objeto", objeto.nome) == "train":
            texto = compose_story(random.Random(0), object=objeto.nome).text
            assert not falta(texto, objeto.nome)


# ------------------------------------------------------------------ as histórias


def test_nenhum_slot_por_preencher_e_nfc():
    for story in DUAS_MIL:
        assert not re.search(r"[{}\[\]|]|  | [,.;:!?]|\n\n", story.text), story.text
        assert unicodedata.is_normalized("NFC", story.text)
        assert story.text == story.text.strip()


def test_todo_nome_apresentado_fica_e_nenhum_outro_aparece():
    for story in DUAS_MIL:
        elenco = {p.nome for p in story.cast}
        assert elenco and len({p.nome[0] for p in story.cast}) == len(story.cast)
        assert set(PALAVRA.findall(story.text)) & NOMES == elenco, story.text
        no_meio = re.findall(r"[^\W\d_,;] ([A-ZÀ-Ý]\w+)", story.text)
        assert set(no_meio) <= elenco | {"SAL", "NÃO", "É", "Pressa", "Mentira", "Rainha", "Linha"}


def test_o_tipo_entra_junto_com_o_nome():
    for story in DUAS_MIL:
        for p in story.cast:
            antes = story.text[: story.text.index(p.nome)]
            artigo, chamado = ("o", "chamado") if p.genero == "m" else ("a", "chamada")
            entrada = rf"\b(um|uma) {p.tipo.nome}[\w ]* {chamado} $|{artigo} {p.tipo.nome} $"
            assert re.search(entrada, antes, re.IGNORECASE), story.text


def test_o_final_e_o_fim():
    for story in DUAS_MIL:
        assert story.text.endswith(story.ending)
        assert re.search(r"[.!?»]$", story.ending), story.ending


def test_concordancia_dos_determinantes():
    """Antes de um substantivo do elenco, só o artigo do gênero dele."""
    generos = {t.nome: t.genero for t in ELENCO.tipos}
    artigos = {"m": "o|do|no|ao|pelo|um|num", "f": "a|da|na|à|pela|uma|numa"}
    for story in DUAS_MIL:
        for tipo in {p.tipo.nome for p in story.cast}:
            errado = artigos["f" if generos[tipo] == "m" else "m"]
            assert not re.search(rf"\b({errado}) {tipo}\b", story.text, re.I), story.text


def test_grupo_so_de_femininas_e_feminino():
    for story in DUAS_MIL:
        generos = {p.genero for p in story.cast}
        if generos == {"f"}:
            assert falta(story.text, "Os dois") and falta(story.text, "Os três")
        if generos == {"m"}:
            assert falta(story.text, "As duas") and falta(story.text, "As três")


def test_comprimento():
    tamanhos = sorted(len(story.text.split()) for story in DUAS_MIL)
    assert tamanhos[0] >= 60 and tamanhos[-1] <= 165
    assert 95 <= tamanhos[len(tamanhos) // 2] <= 125


def test_mesma_semente_mesma_historia_e_muitas_diferentes():
    assert compose_story(random.Random(7)) == compose_story(random.Random(7))
    assert len({story.text for story in historias_de("train", 5000)}) >= 4900


def test_ortografia():
    if not shutil.which("hunspell"):
        if os.environ.get("CI"):
            pytest.fail("falta o hunspell pt_BR: apt install hunspell hunspell-pt-br")
        pytest.skip("sem hunspell pt_BR (apt install hunspell hunspell-pt-br)")
    palavras = {p for s in DUAS_MIL for p in PALAVRA.findall(s.text)} - NOMES
    saida = subprocess.run(
        ["hunspell", "-d", "pt_BR", "-i", "utf-8", "-l"],
        input="\n".join(sorted(palavras)).encode("utf-8"),
        capture_output=True,
        check=True,
    )
    assert set(saida.stdout.decode("utf-8").split()) <= ONOMATOPEIAS


# ------------------------------------------------------------------ os splits


@pytest.mark.parametrize("split", SPLITS)
def test_cada_split_tira_das_suas_familias(split):
    objetos = {o.nome for o in ELENCO.bancos["objeto"]}
    for story in historias_de(split, 300):
        assert ACERVO.enredos[story.plot].split == split
        assert {family_split("nome", p.nome) for p in story.cast} == {split}
        usados = {v for k, v in story.things.items() if e_objeto(story, k)} & objetos
        assert {family_split("objeto", o) for o in usados} <= {split, "train"}


def e_objeto(story: Story, slot: str) -> bool:
    """Se o slot sai do banco de objetos."""
    filtro = ACERVO.enredos[story.plot].slots[slot]
    return isinstance(filtro, str) and filtro.startswith("objeto")


def test_partes_dos_splits():
    familias = {
        "historia": list(ACERVO.enredos),
        "nome": sorted(NOMES),
        "objeto": [o.nome for o in ELENCO.bancos["objeto"]],
    }
    for grupo, nomes in familias.items():
        conta = Counter(family_split(grupo, n) for n in nomes)
        assert 0.10 <= conta["test"] / len(nomes) <= 0.20, grupo
        assert 0.05 <= conta["validation"] / len(nomes) <= 0.15, grupo


def test_teste_com_enredo_visto_e_elenco_novo():
    for i in range(100):
        story = compose_story(random.Random(i), split="test", unseen={"cast"})
        assert ACERVO.enredos[story.plot].split == "train"
        assert {family_split("nome", p.nome) for p in story.cast} == {"test"}


# ------------------------------------------------------------------ os pedidos


def test_pedido_atendido():
    for i in range(200):
        story = compose_story(random.Random(i), kinds=["raposa", "coelho"])
        assert {"raposa", "coelho"} <= {p.tipo.nome for p in story.cast}
        assert not falta(story.text, "raposa") and not falta(story.text, "coelho")


@pytest.mark.parametrize(
    ("pedido", "mensagem"),
    [
        ({"kinds": ["ornitorrinco"]}, "tipo “ornitorrinco”"),
        ({"place": "lua"}, "lugar “lua”"),
        ({"theme": "impostos"}, "serve a “impostos”"),
        ({"kinds": ["gato", "rato", "pato", "sapo"]}, "nenhum enredo"),
    ],
)
def test_pedido_impossivel(pedido, mensagem):
    with pytest.raises(SemHistoria, match=mensagem):
        compose_story(random.Random(0), **pedido)


# ------------------------------------------------------------------ os erros


def enredo(**mudancas) -> dict:
    """Um enredo mínimo e certo, com o que se quiser mudado."""
    frases = [f"{{A}} andou {n} passos." for n in ("dois", "três", "quatro", "cinco", "seis", "sete")]
    meio = [{"nome": f"meio{n}", "frases": frases} for n in range(3)]
    abertura = [f.replace("{A}", "{intro A}") for f in frases]
    return {
        "nome": "andar",
        "tema": ["andar"],
        "elenco": {"A": "anda"},
        "batidas": [
            {"nome": "abertura", "frases": mudancas.get("abertura", abertura)},
            *meio,
            {"nome": "final", "frases": mudancas.get("final", frases)},
        ],
    }


def test_enredo_minimo_passa():
    assert list(historias.le_enredos([enredo()], ELENCO)) == ["andar"]


@pytest.mark.parametrize(
    ("mudancas", "mensagem"),
    [
        ({"final": ["{A} parou."]}, "“final”.*redações diferentes"),
        ({"final": [f"{{B}} parou{'.' * n}" for n in range(6)]}, "“final”.*sem dono"),
        ({"final": [f"{{A}} [parou{'.' * n}" for n in range(6)]}, "“final”.*sem par"),
        ({"final": [f"{{A}} {{A!}} {n}: — Oi." for n in range(6)]}, "não abre parágrafo"),
        ({"abertura": [f"{{A}} {n}." for n in range(6)]}, "menção antes de entrar"),
        ({"final": [f"{{intro A}} {n}." for n in range(6)]}, "entra duas vezes"),
        ({"abertura": [f"{{intro A}} {{}} {n}." for n in range(6)]}, "não se entende"),
    ],
)
def test_erro_diz_o_enredo_e_a_batida(mudancas, mensagem):
    with pytest.raises(ErroDeEnredo, match=f"enredo “andar”.*{mensagem}"):
        historias.le_enredos([enredo(**mudancas)], ELENCO)


def test_texto_fora_de_nfc(tmp_path: Path):
    (tmp_path / "elenco.yaml").write_text("nome: a\u0301\n", "utf-8")
    with pytest.raises(ErroDeEnredo, match="NFC"):
        load(tmp_path)
