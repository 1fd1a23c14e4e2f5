"""homellm.corpus: o que lê, o que recusa e como diz."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import unicodedata

import pytest

from homellm import corpus
from homellm.corpus import SPLITS, Story, load_table, load_text, read_stories

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
        (GOOD.replace("tema: chuva\n", ""), 3, "esperava «tema"),
        (GOOD.replace("forma: carta", "forma:"), 11, "esperava «forma"),
        (GOOD.replace("split: test", "split: teste"), 13, "'teste' não existe"),
        (GOOD.replace("— Corpo #2.", ""), 10, "sem título ou sem corpo"),
        (GOOD.replace("# Outro", "#"), 10, "sem título ou sem corpo"),
        (GOOD.replace("# Outro", "# Um título"), 10, "título repetido"),
        (GOOD + "\n# Cortado", 18, "esperava «forma"),
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
    with pytest.raises(FileNotFoundError, match=r"x\.txt.*_data.*data.*Reinstale"):
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
