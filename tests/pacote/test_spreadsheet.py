"""homellm.spreadsheet: a planilha do leitor, com o que ela costuma ter de errado, e os grupos."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homellm.spreadsheet import deal_groups, read_spreadsheet

LINES = [f"texto {i}, ok;{('sim', 'não')[i // 3 % 2]};g{i // 3}" for i in range(60)]
GOOD = "\n".join(["texto;rotulo;grupo", *LINES]) + "\n"


@pytest.fixture
def write(tmp_path: Path):
    def save(text: str, encoding: str = "utf-8") -> Path:
        path = tmp_path / "meus.csv"
        path.write_bytes(text.encode(encoding))
        return path

    return save


def test_rows_come_in_order_with_text_label_and_group(write) -> None:
    rows = read_spreadsheet(write(GOOD), group="grupo")
    assert [f"{r.texto};{r.rotulo};{r.familia}" for r in rows] == LINES
    assert {r.nivel for r in rows} == {"dificil"}
    assert Counter(r.split for r in rows) == {"train": 36, "validation": 12, "test": 12}


def test_a_group_is_never_on_two_sides_and_the_seed_decides(write) -> None:
    path = write(GOOD)
    rows = read_spreadsheet(path, group="grupo")
    sides: dict[str, set[str]] = {}
    for row in rows:
        sides.setdefault(row.familia, set()).add(row.split)
    assert all(len(side) == 1 for side in sides.values())
    assert rows == read_spreadsheet(path, group="grupo")
    assert rows != read_spreadsheet(path, group="grupo", seed=1)


def test_without_a_group_copies_stay_together(write) -> None:
    lines = [f"{('Bom', 'bom', 'BOM')[i % 3]} dia {i // 3};{('sim', 'não')[i // 3 % 2]}" for i in range(60)]
    rows = read_spreadsheet(write("\n".join(["texto;rotulo", *lines])))
    for n in range(0, 60, 3):
        assert len({row.split for row in rows[n : n + 3]}) == 1


@pytest.mark.parametrize("mark", [";", ",", "\t"])
def test_the_separator_is_found_and_quotes_protect_it(write, mark) -> None:
    lines = [f'"a{mark} ""b""\nc {i}"{mark}{("x", "y")[i % 2]}' for i in range(24)]
    rows = read_spreadsheet(write("\n".join([f"texto{mark}rotulo", *lines])))
    assert rows[5].texto == f'a{mark} "b"\nc 5' and rows[5].rotulo == "y"


def test_bom_windows_line_ends_spaces_and_blank_lines_are_no_trouble(write) -> None:
    messy = "\ufeff" + GOOD.replace("texto;", " texto ;").replace(";sim;", "; sim ;") + "\n;;\n"
    messy = messy.replace("\n", "\r\n")
    assert read_spreadsheet(write(messy), group="grupo") == read_spreadsheet(write(GOOD), group="grupo")


def test_the_old_excel_encoding_is_read_when_asked(write) -> None:
    rows = read_spreadsheet(write(GOOD), group="grupo")
    assert read_spreadsheet(write(GOOD, "cp1252"), group="grupo", encoding="cp1252") == rows


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("texto 5, ok", "te;xto", r"meus.csv:7: são 3 colunas, e a linha tem 4; se há ';' dentro"),
        ("texto 5, ok;", "", r"meus.csv:7: são 3 colunas, e a linha tem 2"),
        ("texto 5, ok", "  ", r"meus.csv:7: 'texto' está vazia"),
        ("5, ok;não", "5, ok;", r"meus.csv:7: 'rotulo' está vazia"),
        ("texto 5,", '"texto 5,', "há aspas abertas e não fechadas"),
        ("rotulo;", "nota;", r"não há coluna 'rotulo'; as da primeira linha são 'texto', 'nota', 'grupo'"),
        ("grupo\n", "texto\n", r"há mais de uma coluna 'texto'"),
    ],
)
def test_what_is_wrong_is_said_with_the_line(write, old, new, message) -> None:
    assert old in GOOD
    with pytest.raises(ValueError, match=message):
        read_spreadsheet(write(GOOD.replace(old, new, 1)), group="grupo")


def test_other_encodings_and_other_files_say_what_to_do(write, tmp_path) -> None:
    with pytest.raises(ValueError, match=r'meus.csv:2: não é utf-8.*encoding="cp1252"'):
        read_spreadsheet(write(GOOD.replace("texto 0", "olá"), "cp1252"))
    with pytest.raises(FileNotFoundError, match="o arquivo não existe"):
        read_spreadsheet(tmp_path / "outro.csv")
    book = tmp_path / "livro.xlsx"
    book.write_bytes(b"PK\x03\x04resto")
    with pytest.raises(ValueError, match="salve-a como CSV"):
        read_spreadsheet(book)
    with pytest.raises(ValueError, match="está vazio"):
        read_spreadsheet(write(""))


def test_a_column_that_is_not_of_labels_is_noticed(write) -> None:
    with pytest.raises(ValueError, match="60 rótulos diferentes em 60 linhas; confira se 'texto'"):
        read_spreadsheet(write(GOOD), text="rotulo", label="texto")
    with pytest.raises(ValueError, match="1 rótulos diferentes"):
        read_spreadsheet(write(GOOD.replace(";não;", ";sim;")))


def test_a_label_in_too_few_groups_is_refused() -> None:
    with pytest.raises(ValueError, match=r"nenhum 'b' ficou em train: ele está em 2 grupo"):
        deal_groups(list("aabbccdde"), ["a"] * 6 + ["b"] * 2 + ["b"])


@settings(max_examples=60, deadline=None)
@given(st.integers(4, 30), st.integers(4, 30), st.integers(0, 5))
def test_every_label_has_every_split_and_train_has_the_most(one, other, seed) -> None:
    groups = [f"{label}{n // 2}" for label, count in (("a", one), ("b", other)) for n in range(2 * count)]
    labels = [group[0] for group in groups]
    parts = deal_groups(groups, labels, seed)
    counts = Counter(zip(labels, parts, strict=True))
    assert len(counts) == 6 and len(set(zip(groups, parts, strict=True))) == one + other
    for label in "ab":
        assert counts[label, "train"] >= counts[label, "validation"] == counts[label, "test"] > 0
