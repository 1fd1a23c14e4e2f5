"""`data/fazer/conversa`: o banco, as conversas que se compõem e as provas."""

from __future__ import annotations

import doctest
import importlib
import random
import re
import unicodedata
from collections import Counter
from itertools import pairwise

import pytest

from data.fazer.conversa import banco, familias, provas
from data.fazer.conversa.banco import Bank
from data.fazer.conversa.cenas import SCENES
from data.fazer.conversa.conversas import compose, dialogues
from data.fazer.conversa.estado import Talk
from data.fazer.conversa.jogos import OPERATIONS
from data.fazer.conversa.lembrancas import tell
from data.fazer.conversa.ruido import noise
from data.fazer.conversa.texto import normalise, number_words

SPLITS = ("train", "validation", "test")
GRAVES = {"desespero-grave", "desespero-continua", "violencia-sofrida"}


@pytest.fixture(scope="module")
def bank():
    return Bank.load()


@pytest.fixture(scope="module")
def sample():
    return list(dialogues(1, 3_000))


@pytest.fixture(scope="module")
def sets():
    return provas.evaluation_sets("test")


@pytest.mark.parametrize(
    "module",
    "texto familias banco ruido estado jogos lembrancas cenas conversas provas mede treina".split(),
)
def test_os_exemplos_das_docstrings(module):
    found = importlib.import_module(f"data.fazer.conversa.{module}")
    assert doctest.testmod(found).failed == 0


# ------------------------------------------------------------------ o banco


def test_o_banco_tem_o_que_se_prometeu(bank):
    assert len(bank.intents) >= 350
    for intent in bank.intents.values():
        assert len(bank.asks(intent.name, "test")) >= 2, intent.name
        assert len(bank.asks(intent.name, "train")) >= 6, intent.name


def test_nenhuma_familia_esta_em_dois_splits(bank):
    side = {}
    for ask, family in familias.families(bank.splits).items():
        assert side.setdefault(family, bank.splits[ask]) == bank.splits[ask], ask
    held = Counter(bank.splits.values())
    assert 0.08 < held["test"] / held.total() < 0.13


@pytest.mark.parametrize("name", ["nomes", "cidades", "bichos", "comidas", "objetos"])
def test_os_itens_das_listas_nao_se_repartem_entre_splits(bank, name):
    parts = [{i["nome"] for i in bank.listed(name, s)} for s in SPLITS]
    assert all(parts) and sum(map(len, parts)) == len(bank.items[name])


def test_os_erros_do_banco_dizem_onde(tmp_path):
    with pytest.raises(
        banco.BankError, match="x.yaml, intenção “oi”.*falta.*respostas"
    ):
        banco._simple({"nome": "oi", "grupo": "g", "pedidos": ["oi"]}, "x")
    with pytest.raises(banco.BankError, match="não é frase"):
        banco._phrases(["oi", True], "x.yaml")
    with pytest.raises(banco.BankError, match="frase repetida, “oi”"):
        banco._phrases(["oi", "oi"], "x.yaml")
    (tmp_path / "fora.yaml").write_text("a: 'a\u0301'", "utf-8")
    with pytest.raises(banco.BankError, match="NFC"):
        banco._read(tmp_path, "fora")


def test_os_pesos_so_falam_do_que_existe(bank):
    groups = {i.group for i in bank.intents.values()}
    labels = {*groups, *bank.intents, "historia", "nunca-disse", "contou", "lembrou"}
    targets = {*groups, *bank.intents, *SCENES}
    for rule in bank.weights["retornos"]:
        assert set(rule.get("depois", ())) <= labels, rule
        assert set(rule["entao"]) <= targets, rule
    for table in (
        "abertura",
        "fecho",
        "cenas",
        "conta",
        "palavra",
        "historia",
        "reacoes",
    ):
        assert set(bank.weights[table]) <= targets, table
    for names in (*bank.weights["equivalentes"], bank.weights["tristes"]):
        assert set(names) <= set(bank.intents)
    for name, after in bank.weights["so_depois_de"].items():
        assert name in bank.intents and set(after) <= labels


# ------------------------------------------------------------------ as conversas


def test_a_mesma_semente_da_a_mesma_conversa():
    assert list(dialogues(5, 20)) == list(dialogues(5, 20))
    assert list(dialogues(5, 20)) != list(dialogues(6, 20))


def test_o_treino_nao_contem_pedido_de_fora(bank, sample):
    held = {normalise(a) for a, s in bank.splits.items() if s != "train"}
    for turn in (t for d in sample for t in d.turns):
        assert normalise(turn.user) not in held, turn
        assert turn.exchange.template in bank.asks(turn.intent, "train"), turn


def test_o_treino_nao_joga_com_palavra_de_fora(bank, sample):
    held = {w.text for w in bank.words if w.split != "train"}
    for turn in (t for d in sample for t in d.turns if t.intent.startswith("jogo-")):
        for word in re.findall(
            r"\w+", turn.slots.get("palavras", turn.slots.get("palavra", ""))
        ):
            assert word.lower() not in held, turn


def test_textos_limpos(sample):
    lengths = Counter(len(d.turns) for d in sample)
    assert set(lengths) == set(range(1, 9))
    for turn in (t for d in sample for t in d.turns):
        for text in (turn.user, turn.assistant):
            assert text.strip() and not re.search(r"[{}\[\]|]", text), text
            assert unicodedata.is_normalized("NFC", text)
        assert len(turn.user) < 160
        assert len(turn.assistant) <= (1_400 if turn.exchange.story else 220), (
            turn.assistant
        )
        assert turn.assistant == turn.assistant.strip()


def test_toda_intencao_aparece(bank, sample):
    seen = {t.intent for d in sample for t in d.turns}
    seen |= {t.intent for d in dialogues(9, 6_000) for t in d.turns}
    assert seen == set(bank.intents)


def test_o_que_se_conta_e_o_que_se_lembra(sample):
    recalled = later = 0
    for dialogue in sample:
        told: dict[str, tuple[int, str]] = {}
        for place, turn in enumerate(dialogue.turns):
            name, _, verb = turn.intent.rpartition("-")
            if verb in ("contar", "corrigir") and name in turn.slots:
                told[name] = place, turn.slots[name]
            if verb == "perguntar" and name in told:
                assert turn.variant == "" and turn.expected == (told[name][1],)
                assert told[name][1].lower() in turn.assistant.lower()
                recalled += 1
                later += place - told[name][0] >= 3
            if verb == "perguntar" and name not in told:
                assert turn.variant == "nunca_disse"
            if "{nome}" in turn.exchange.reply:
                pytest.fail("slot na resposta")
    assert recalled > 300 and later > 60


def test_o_nome_so_se_diz_se_foi_dito(bank, sample):
    names = {n["nome"] for n in bank.items["nomes"]}
    people = (*bank.items["pessoas"], *bank.items["lugares"])
    town = " ".join(r for i in bank.intents.values() for r in i.replies)
    town += " ".join(r for p in people for r in p["respostas"])
    names -= {n for n in names if re.search(rf"\b{n}\b", town)}
    for dialogue in sample:
        said: set[str] = set()
        for turn in dialogue.turns:
            said |= set(turn.slots.values())
            if not turn.exchange.story:
                used = names & set(re.findall(r"\w+", turn.assistant))
                assert all(any(u in s for s in said) for u in used), dialogue


def test_as_contas_fecham(sample):
    words = {number_words(n, g): n for n in range(101) for g in "mf"}
    words |= {str(n): n for n in range(101)}
    seen = Counter()
    for turn in (t for d in sample for t in d.turns if t.intent in OPERATIONS):
        if turn.variant == "abaixo":
            continue
        a, b, r = (words.get(turn.slots[s]) for s in "abr")
        assert r == (a - b if turn.intent.startswith("subtracao") else a + b)
        if turn.variant != "zero":
            assert turn.slots["r"] in turn.assistant.lower(), turn
        seen[max(a, b, r) <= 20] += 1
    assert seen[True] > 4 * seen[False] > 0


def test_depois_do_desespero_nao_ha_graca(bank, sample):
    allowed = {
        "desespero-continua",
        "agradecimento",
        "despedida-tchau",
        "despedida-dormir",
    }
    grave = 0
    for dialogue in sample:
        turns = iter(dialogue.turns)
        for turn in turns:
            if turn.intent in GRAVES:
                grave += 1
                for after in turns:
                    assert after.intent in allowed, dialogue
                    assert after.variant == "sobrias" or after.intent in GRAVES, after
    assert grave > 10


def test_a_adivinha_e_a_da_mesa(sample):
    solved = 0
    for dialogue in sample:
        table = None
        for turn in dialogue.turns:
            if turn.slots.get("pergunta") and turn.slots["pergunta"] in turn.assistant:
                table = turn.slots["certo"]
            if turn.intent in ("adivinha-certo", "adivinha-desisto"):
                assert turn.slots["certo"] == table
                solved += 1
            if turn.intent == "adivinha-errado":
                assert turn.slots["errado"] != table
    assert solved > 60


def test_reacoes_so_depois_de_historia(sample):
    for dialogue in sample:
        for before, turn in pairwise((None, *dialogue.turns)):
            if (
                turn.intent.startswith("historia-foi")
                or turn.intent == "outra-historia"
            ):
                assert before is not None
                assert any(t.exchange.story for t in dialogue.turns), dialogue


def test_sem_ruido_a_fala_e_a_limpa():
    for dialogue in dialogues(4, 30, noisy=False):
        assert all(t.user == t.clean for t in dialogue.turns)


# ------------------------------------------------------------------ o ruído


def test_o_ruido_guarda_o_que_importa():
    rng = random.Random(0)
    changed = 0
    for _ in range(2_000):
        text = noise(rng, "como fica pão no plural, por favor?", keep=["pão"])
        changed += text != "como fica pão no plural, por favor?"
        assert re.search(r"\bpão", text), text
        text = noise(rng, "passa GATO pra minúscula", keep=["GATO"])
        assert "GATO" in text
        text = noise(rng, "quanto é 12 mais 7?", keep=["12", "7"])
        assert re.search(r"\b12\b.*\b7\b", text), text
        text = noise(rng, "oi, eu sou João Pedro", keep=["João Pedro"])
        assert "joao pedro" in normalise(text), text
        assert unicodedata.is_normalized("NFC", text)
    assert 600 < changed < 1_400


# ------------------------------------------------------------------ as provas


def test_as_provas_sao_sempre_as_mesmas_e_so_do_seu_split(bank, sets):
    assert provas.evaluation_sets("test") == sets
    held = {a for a, s in bank.splits.items() if s == "test"}
    for name in ("intencao", "fatos"):
        assert {p.user for p in sets[name]} <= held
    names = {n["nome"] for n in bank.listed("nomes", "test")}
    assert {p.expected[0] for p in sets["nome"]} <= names
    assert all(len(p.history) == 3 for p in sets["nome"])
    sizes = {k: len(v) for k, v in sets.items()}
    assert min(sizes.values()) >= 50, sizes


def test_as_provas_aceitam_o_banco_e_recusam_o_resto(bank, sets):
    rng = random.Random(2)
    for probe in rng.sample([*sets["intencao"], *sets["fatos"]], 120):
        own = provas.acceptable(probe.intent, probe.variant, probe.slots)
        assert all(provas.is_right(probe, r) for r in own), probe
        assert not provas.is_right(probe, "Os chapéus verdes marcham no quintal.")
        if bank.intents[probe.intent].group != "saber":
            other = bank.intents["onde-mora" if probe.intent != "onde-mora" else "cafe"]
            assert not provas.is_right(probe, other.replies[0]), probe


def test_as_provas_conferem_contas_e_jogos(bank, sets):
    for probe in sets["contas"]:
        good = provas.acceptable(probe.intent, probe.variant, probe.slots)
        assert all(provas.is_right(probe, r) for r in good), probe
        assert not provas.is_right(probe, "Dá 99.")
    for probe in sets["palavras"]:
        good = provas.acceptable(probe.intent, probe.variant, probe.slots)
        assert all(provas.is_right(probe, r) for r in good), probe
        assert not provas.is_right(probe, "Fica brumoso."), probe


def test_as_provas_conferem_nomes_e_recusas(sets):
    for probe in sets["nome"]:
        assert provas.is_right(probe, f"Você é {probe.expected[0]}, claro.")
        assert not provas.is_right(probe, "Você ainda não me disse. Como é?")
    for probe in sets["fora"]:
        assert provas.is_right(probe, "Não sei, e não vou inventar.")
        assert not provas.is_right(probe, "Foi em 1822, numa tarde de sol.")
    for probe in sets["dentro"]:
        assert not provas.is_right(probe, "Não sei, e não vou inventar.")


def test_conversas_de_oito_turnos():
    for conversation in provas.evaluation_dialogues("test", 6):
        assert len(conversation) == 8
        for place, probe in enumerate(conversation):
            assert len(probe.history) == place
        gold = [reply for _, reply in conversation[-1].history]
        for probe, reply in zip(conversation, gold, strict=False):
            assert provas.is_right(probe, reply), (probe, reply)


def test_quem_fala_concorda_com_o_nome(bank):
    talk = Talk(random.Random(3), bank, "train")
    told = tell(talk, "nome")
    gender = {n["nome"]: n["genero"] for n in bank.items["nomes"]}
    assert gender[told.slots["nome"]] == talk.gender


@pytest.mark.parametrize("split", ["validation", "test"])
def test_os_outros_splits_tambem_compoem(split):
    rng = random.Random(8)
    for _ in range(150):
        assert compose(rng, split).split == split
