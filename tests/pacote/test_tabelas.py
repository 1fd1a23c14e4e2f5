"""As tabelas: o que o leitor lê, o que recusa e como diz. Do conteúdo dos arquivos cuida `test_dados`."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
import time
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from homellm import corpus
from homellm.corpus import DATASETS, SPLITS, Dialogue, Instruction, Labeled, load_table, load_text, read_table

KINDS = {
    "spam": Labeled, "sentimento": Labeled, "instrucoes": Instruction, "regras": Instruction,
    "conversas": Dialogue,
}  # fmt: skip
GOOD = {
    Labeled: {"texto": "oi, chego às 7", "rotulo": "ham", "familia": "recado", "split": "train"},
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


def write(tmp_path: Path, *lines: object) -> Path:
    path = tmp_path / "tabela.jsonl"
    texts = [x if isinstance(x, str) else json.dumps(x, ensure_ascii=False) for x in lines]
    path.write_text("".join(f"{t}\n" for t in texts), "utf-8")
    return path


# ---------------------------------------------------------------- leitor


@pytest.mark.parametrize("kind", GOOD)
def test_reads_every_field(tmp_path, kind):
    [row] = read_table(write(tmp_path, GOOD[kind]), kind, LABELS.get(kind, ()))
    expected = dict(GOOD[kind])
    if kind is Dialogue:
        expected["turnos"] = (("oi", "Olá!"), ("tudo bem?", "Tudo."))
    assert dataclasses.asdict(row) == expected and type(row) is kind
    with pytest.raises(dataclasses.FrozenInstanceError):
        row.split = "test"
    assert hash(row) == hash(copy.deepcopy(row)) and pickle.loads(pickle.dumps(row)) == row


def test_optional_fields_may_be_empty_and_order_is_the_files(tmp_path):
    first, second = {**GOOD[Instruction], "entrada": ""}, GOOD[Instruction]
    rows = read_table(write(tmp_path, first, dict(reversed(second.items()))), Instruction)
    assert [row.entrada for row in rows] == ["", "pão"]


def test_windows_line_endings_missing_last_newline_and_empty_file(tmp_path):
    path = tmp_path / "t.jsonl"
    line = json.dumps(GOOD[Labeled])
    path.write_bytes(f"{line}\r\n{line}".encode())
    assert len(read_table(path, Labeled, ("ham",))) == 2
    path.write_bytes(b"")
    assert read_table(path, Labeled, ("ham",)) == []


def without(kind: type, name: str) -> dict:
    return {key: value for key, value in GOOD[kind].items() if key != name}


@pytest.mark.parametrize(
    ("kind", "line", "message"),
    [
        (Labeled, "{", r"não é JSON \(coluna 2\); esperava um objeto .* texto, rotulo, familia, split"),
        (Labeled, "", "não é JSON"),
        (Labeled, '["texto"]', "esperava um objeto JSON.*achei list"),
        (Labeled, "{}", "achei nenhum"),
        (Labeled, without(Labeled, "familia"), "achei texto, rotulo, split"),
        (Labeled, GOOD[Labeled] | {"nota": "5"}, "achei texto, rotulo, familia, split, nota"),
        (Labeled, GOOD[Labeled] | {"texto": 7}, "esperava em texto um texto, achei 7"),
        (Labeled, GOOD[Labeled] | {"texto": "  "}, "esperava em texto"),
        (Labeled, GOOD[Labeled] | {"familia": None}, "esperava em familia"),
        (Labeled, GOOD[Labeled] | {"rotulo": "Spam"}, r"rotulo 'Spam' não existe; .*\('spam', 'ham'\)"),
        (Labeled, GOOD[Labeled] | {"split": "treino"}, "split 'treino' não existe.*train.*validation.*test"),
        (Instruction, GOOD[Instruction] | {"resposta": ""}, "esperava em resposta"),
        (Instruction, GOOD[Instruction] | {"entrada": None}, "esperava em entrada"),
        (Dialogue, GOOD[Dialogue] | {"turnos": []}, "esperava em turnos uma lista de pares"),
        (Dialogue, GOOD[Dialogue] | {"turnos": "oi"}, "esperava em turnos"),
        (Dialogue, GOOD[Dialogue] | {"turnos": [["oi"]]}, "esperava em turnos"),
        (Dialogue, GOOD[Dialogue] | {"turnos": [["oi", "olá"], ["oi", " "]]}, "esperava em turnos"),
        (Dialogue, GOOD[Dialogue] | {"turnos": [["a", "b", "c"], ["d"]]}, "esperava em turnos"),
    ],
)
def test_malformed_line_says_file_line_and_what_was_expected(tmp_path, kind, line, message):
    path = write(tmp_path, GOOD[kind], line)
    with pytest.raises(ValueError, match=message) as error:
        read_table(path, kind, LABELS.get(kind, ()))
    assert str(error.value).startswith(f"{path}:2: ")


def test_file_that_is_not_utf8(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_bytes(json.dumps(GOOD[Labeled]).encode() + b'\n{"texto": "p\xe3o"}\n')
    with pytest.raises(ValueError, match=r"t\.jsonl:2: não é UTF-8"):
        read_table(path, Labeled, ("ham",))


def test_loaders_find_the_file_and_filter_by_split(tmp_path, monkeypatch):
    path = write(tmp_path, GOOD[Labeled], GOOD[Labeled] | {"texto": "outro", "split": "test"})
    monkeypatch.setattr(corpus, "data_path", lambda name: path)
    assert [row.texto for row in load_table("spam")] == ["oi, chego às 7", "outro"]
    assert [row.texto for row in load_table("spam", "test")] == ["outro"]


@pytest.mark.parametrize("name", KINDS)
def test_load_text_of_a_table_says_to_use_load_table(name):
    with pytest.raises(ValueError, match=f"'{name}' é uma tabela, e não texto corrido; use load_table"):
        load_text(name)


def test_unknown_name_lists_the_tables():
    with pytest.raises(ValueError, match="contos.*conversas.*folhetim.*instrucoes.*regras.*sentimento.*spam"):
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
    assert set(DATASETS) == {"contos", "folhetim", *KINDS}
