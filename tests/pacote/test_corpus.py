"""homellm.corpus: o que lê, o que recusa e como diz. Do conteúdo dos arquivos cuida `test_dados`."""

from __future__ import annotations

import codecs
import copy
import dataclasses
import json
import pickle
import subprocess
import sys
import time
import unicodedata
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from homellm import corpus, download
from homellm.corpus import (
    DATASETS,
    SPLITS,
    Dialogue,
    Instruction,
    Labeled,
    Story,
    load_table,
    load_text,
    read_stories,
    read_table,
)

GOOD = """# Um título
forma: conto
tema: chuva
split: train

Primeiro parágrafo.

Segundo: com dois-pontos.

# Outro
forma: carta
tema: pão
split: test

— Corpo #2.
"""


def write(tmp_path, text, name="contos.txt"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    return path


@pytest.fixture
def small_corpus(tmp_path, monkeypatch):
    path = write(tmp_path, GOOD)
    monkeypatch.setattr(corpus, "data_path", lambda filename: path)


def test_reads_every_field_in_file_order(tmp_path):
    assert read_stories(write(tmp_path, GOOD)) == [
        Story("Um título", "conto", "chuva", "train", "Primeiro parágrafo.\n\nSegundo: com dois-pontos."),
        Story("Outro", "carta", "pão", "test", "— Corpo #2."),
    ]


def test_windows_line_endings_read_the_same(tmp_path):
    unix = read_stories(write(tmp_path, GOOD))
    assert read_stories(write(tmp_path, GOOD.replace("\n", "\r\n"), "windows.txt")) == unix


def test_byte_order_mark_is_accepted(tmp_path):
    marked = write(tmp_path, codecs.BOM_UTF8 + GOOD.encode("utf-8"), "bloco-de-notas.txt")
    assert read_stories(marked) == read_stories(write(tmp_path, GOOD))
    line = json.dumps(ROWS[Labeled]).encode()
    marked = write(tmp_path, codecs.BOM_UTF8 + line, "t.jsonl")
    assert [row.texto for row in read_table(marked, Labeled, ("ham",))] == ["oi, chego às 7"]


def test_document_is_title_blank_line_and_text():
    assert Story("Um título", "conto", "chuva", "train", "Corpo.").document == "Um título\n\nCorpo."


def test_what_comes_from_the_network_is_at_hand_here_too():
    assert corpus.fetch is download.fetch and corpus.MANIFEST is download.MANIFEST
    assert corpus.GUTENBERG_SHELF is download.GUTENBERG_SHELF
    assert set(corpus.__all__) <= set(dir(corpus))


def test_story_is_frozen():
    story = Story("a", "conto", "chuva", "train", "b")
    with pytest.raises(dataclasses.FrozenInstanceError):
        story.title = "c"


def test_text_joins_title_body_and_stories(small_corpus):
    assert load_text("contos") == (
        "Um título\n\nPrimeiro parágrafo.\n\nSegundo: com dois-pontos.\n\n\nOutro\n\n— Corpo #2."
    )
    assert load_text("contos", "test") == "Outro\n\n— Corpo #2."
    assert load_text("contos", "validation") == ""


def test_table_filters_by_split(small_corpus):
    assert [s.title for s in load_table("contos")] == ["Um título", "Outro"]
    assert [s.title for s in load_table("contos", "train")] == ["Um título"]


@pytest.mark.parametrize("load", [load_table, load_text])
def test_unknown_name_and_split_list_what_exists(load):
    with pytest.raises(ValueError, match=r"'conto' não existe.*contos.*folhetim"):
        load("conto")
    with pytest.raises(ValueError, match=r"'treino' não existe.*train.*validation.*test"):
        load("contos", "treino")


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("solto\n" + GOOD, 1, "antes do primeiro título"),
        (GOOD.replace("tema: chuva\n", ""), 3, "esperava “tema"),
        (GOOD.replace("forma: carta", "forma:"), 11, "esperava “forma"),
        (GOOD.replace("split: test", "split: teste"), 13, "'teste' não existe"),
        (GOOD.replace("— Corpo #2.", ""), 10, "sem título ou sem corpo"),
        (GOOD.replace("# Outro", "#"), 10, "sem título ou sem corpo"),
        (GOOD.replace("# Outro", "# Um título"), 10, "título repetido"),
        (GOOD + "\n# Cortado", 18, "esperava “forma"),
        (GOOD.encode("utf-8").replace("pão".encode(), b"p\xe3o"), 12, "não é UTF-8"),
    ],
)
def test_malformed_file_names_file_and_line(tmp_path, text, line, message):
    path = write(tmp_path, text)
    with pytest.raises(ValueError, match=message) as error:
        read_stories(path)
    assert str(error.value).startswith(f"{path}:{line}: ")


def test_installed_data_come_before_the_repository(tmp_path, monkeypatch):
    package = tmp_path / "homellm"
    (tmp_path / "data").mkdir()
    (package / "_data").mkdir(parents=True)
    monkeypatch.setattr(corpus.homellm, "__path__", [str(package)])
    with pytest.raises(FileNotFoundError, match=r"x\.txt.*_data.*data.*Clone o repositório.*pip install"):
        corpus.data_path("x.txt")
    (tmp_path / "data" / "x.txt").touch()
    assert corpus.data_path("x.txt") == tmp_path / "data" / "x.txt"
    (package / "_data" / "x.txt").touch()
    assert corpus.data_path("x.txt") == package / "_data" / "x.txt"


def test_import_reads_nothing_and_loads_nothing_heavy():
    code = (
        "import sys, pathlib, homellm\n"
        "def no(*a, **k): raise AssertionError('leu no import')\n"
        "pathlib.Path.read_bytes = pathlib.Path.read_text = no\n"
        "import homellm.corpus, homellm.plots\n"
        "print([m for m in ('matplotlib', 'torch', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr


# ---------------------------------------------------------------- as tabelas

KINDS = {
    "spam": Labeled, "sentimento": Labeled, "instrucoes": Instruction, "regras": Instruction,
    "conversas": Dialogue,
}  # fmt: skip
ROWS = {
    Labeled: {
        "texto": "oi, chego às 7", "rotulo": "ham", "familia": "recado", "split": "train", "nivel": "simples",
    },
    Instruction: {
        "instrucao": "Qual é o plural?", "entrada": "pão", "resposta": "pães", "familia": "plural",
        "split": "test",
    },
    Dialogue: {
        "sistema": "", "turnos": [["oi", "Olá!"], ["tudo bem?", "Tudo."]], "familia": "saudacao",
        "split": "validation",
    },
}  # fmt: skip
LABELS = {Labeled: ("spam", "ham")}


def write_table(tmp_path: Path, *lines: object) -> Path:
    path = tmp_path / "tabela.jsonl"
    texts = [x if isinstance(x, str) else json.dumps(x, ensure_ascii=False) for x in lines]
    path.write_text("".join(f"{t}\n" for t in texts), "utf-8")
    return path


# ---------------------------------------------------------------- leitor


@pytest.mark.parametrize("kind", ROWS)
def test_reads_every_field(tmp_path, kind):
    [row] = read_table(write_table(tmp_path, ROWS[kind]), kind, LABELS.get(kind, ()))
    expected = dict(ROWS[kind])
    if kind is Dialogue:
        expected["turnos"] = (("oi", "Olá!"), ("tudo bem?", "Tudo."))
    assert dataclasses.asdict(row) == expected and type(row) is kind
    with pytest.raises(dataclasses.FrozenInstanceError):
        row.split = "test"
    assert hash(row) == hash(copy.deepcopy(row)) and pickle.loads(pickle.dumps(row)) == row


def test_optional_fields_may_be_empty_and_order_is_the_files(tmp_path):
    first, second = {**ROWS[Instruction], "entrada": ""}, ROWS[Instruction]
    rows = read_table(write_table(tmp_path, first, dict(reversed(second.items()))), Instruction)
    assert [row.entrada for row in rows] == ["", "pão"]


def test_windows_line_endings_missing_last_newline_and_empty_file(tmp_path):
    path = tmp_path / "t.jsonl"
    line = json.dumps(ROWS[Labeled])
    path.write_bytes(f"{line}\r\n{line}".encode())
    assert len(read_table(path, Labeled, ("ham",))) == 2
    path.write_bytes(b"")
    assert read_table(path, Labeled, ("ham",)) == []


def without(kind: type, name: str) -> dict:
    return {key: value for key, value in ROWS[kind].items() if key != name}


@pytest.mark.parametrize(
    ("kind", "line", "message"),
    [
        (Labeled, "{", r"não é JSON \(coluna 2\); esperava um objeto .* rotulo, familia, split, nivel"),
        (Labeled, "", "não é JSON"),
        (Labeled, '["texto"]', "esperava um objeto JSON.*achei list"),
        (Labeled, "{}", "achei nenhum"),
        (Labeled, without(Labeled, "familia"), "achei texto, rotulo, split, nivel"),
        (Labeled, without(Labeled, "nivel"), "os campos .*, nivel; achei texto, rotulo, familia, split"),
        (Labeled, ROWS[Labeled] | {"nota": "5"}, "achei texto, rotulo, familia, split, nivel, nota"),
        (Labeled, ROWS[Labeled] | {"texto": 7}, "esperava em texto um texto, achei 7"),
        (Labeled, ROWS[Labeled] | {"texto": "  "}, "esperava em texto"),
        (Labeled, ROWS[Labeled] | {"familia": None}, "esperava em familia"),
        (Labeled, ROWS[Labeled] | {"rotulo": "Spam"}, r"rotulo 'Spam' não existe; .*\('spam', 'ham'\)"),
        (Labeled, ROWS[Labeled] | {"nivel": "fácil"}, "nivel 'fácil' não existe.*simples.*dificil"),
        (Labeled, ROWS[Labeled] | {"split": "treino"}, "split 'treino' não existe.*train.*validation.*test"),
        (Instruction, ROWS[Instruction] | {"resposta": ""}, "esperava em resposta"),
        (Instruction, ROWS[Instruction] | {"entrada": None}, "esperava em entrada"),
        (Dialogue, ROWS[Dialogue] | {"turnos": []}, "esperava em turnos uma lista de pares"),
        (Dialogue, ROWS[Dialogue] | {"turnos": "oi"}, "esperava em turnos"),
        (Dialogue, ROWS[Dialogue] | {"turnos": [["oi"]]}, "esperava em turnos"),
        (Dialogue, ROWS[Dialogue] | {"turnos": [["oi", "olá"], ["oi", " "]]}, "esperava em turnos"),
        (Dialogue, ROWS[Dialogue] | {"turnos": [["a", "b", "c"], ["d"]]}, "esperava em turnos"),
    ],
)
def test_malformed_line_says_file_line_and_what_was_expected(tmp_path, kind, line, message):
    path = write_table(tmp_path, ROWS[kind], line)
    with pytest.raises(ValueError, match=message) as error:
        read_table(path, kind, LABELS.get(kind, ()))
    assert str(error.value).startswith(f"{path}:2: ")


def test_file_that_is_not_utf8(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_bytes(json.dumps(ROWS[Labeled]).encode() + b'\n{"texto": "p\xe3o"}\n')
    with pytest.raises(ValueError, match=r"t\.jsonl:2: não é UTF-8"):
        read_table(path, Labeled, ("ham",))


@pytest.mark.parametrize("line", ["[" * 100_000, "1" * 5000, '{"a": ' * 50_000])
def test_hostile_json_line_says_file_and_line(tmp_path, line):
    path = write_table(tmp_path, ROWS[Labeled], line)
    with pytest.raises(ValueError, match="não é JSON") as error:
        read_table(path, Labeled, ("ham",))
    assert str(error.value).startswith(f"{path}:2: ")


def test_loaders_find_the_file_and_filter_by_split(tmp_path, monkeypatch):
    path = write_table(tmp_path, ROWS[Labeled], ROWS[Labeled] | {"texto": "outro", "split": "test"})
    monkeypatch.setattr(corpus, "data_path", lambda name: path)
    assert [row.texto for row in load_table("spam")] == ["oi, chego às 7", "outro"]
    assert [row.texto for row in load_table("spam", "test")] == ["outro"]


@pytest.mark.parametrize("name", KINDS)
def test_load_text_of_a_table_says_to_use_load_table(name):
    with pytest.raises(ValueError, match=f"'{name}' é uma tabela, e não texto corrido; use load_table"):
        load_text(name)


def test_unknown_name_lists_the_tables():
    names = "contos.*conversas.*folhetim.*instrucoes.*microcontos.*regras.*sentimento.*spam"
    with pytest.raises(ValueError, match=names):
        load_table("spans")


# ---------------------------------------------------------------- os arquivos


@cache
def table(name: str) -> list:
    return load_table(name)


def body(row: object) -> str:
    """O que se compara: tudo o que o registro diz."""
    if isinstance(row, Labeled):
        return row.texto
    if isinstance(row, Instruction):
        return "\n".join(filter(None, (row.instrucao, row.entrada, row.resposta)))
    return "\n".join(text for turn in row.turnos for text in turn)


@pytest.mark.parametrize("name", KINDS)
def test_every_table_loads_in_less_than_a_second_and_is_typed(name):
    start = time.process_time()
    rows = load_table(name)
    assert time.process_time() - start < 1
    assert rows and all(type(row) is KINDS[name] for row in rows)
    assert {row.split for row in rows} == set(SPLITS)


@pytest.mark.parametrize("name", KINDS)
def test_no_record_is_repeated(name):
    repeated = [text for text, n in Counter(body(row).lower() for row in table(name)).items() if n > 1]
    assert repeated == []


@pytest.mark.parametrize("name", KINDS)
def test_fields_have_no_spaces_at_the_ends(name):
    for row in table(name):
        values = [v for v in dataclasses.astuple(row) if isinstance(v, str)]
        if name == "conversas":
            values += [text for turn in row.turnos for text in turn]
        assert all(value == value.strip() for value in values), row


def test_all_tables_are_in_the_registry():
    assert set(DATASETS) == {"contos", "microcontos", "folhetim", *KINDS}


class TestStories:
    """Os contos que acompanham o livro."""

    def test_every_split_has_stories_and_none_is_shared(self):
        titles = {split: {s.title for s in load_table("contos", split)} for split in SPLITS}
        assert all(titles.values())
        assert sum(len(t) for t in titles.values()) == len(load_table("contos"))

    def test_text_is_nfc_and_one_line_per_paragraph(self):
        text = load_text("contos")
        assert unicodedata.is_normalized("NFC", text)
        assert "\t" not in text and "\r" not in text

    def test_no_twelve_words_repeat_across_stories(self):
        owner: dict[tuple[str, ...], str] = {}
        for story in load_table("contos"):
            words = story.text.lower().split()
            for gram in zip(*(words[i:] for i in range(12)), strict=False):
                assert owner.setdefault(gram, story.title) == story.title, f"{gram} em dois textos"
