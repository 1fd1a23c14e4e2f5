"""O pré-treino: as linhas que se emendam, os documentos que entram, o treino de ponta a ponta."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from homellm import pretrain, recipes
from homellm.corpus import Story, load_table
from homellm.data import TokenFileDataset
from homellm.model import PRESETS
from homellm.pretrain import IDS, Corpus, join_wrapped
from homellm.recipes import main
from homellm.tokenizer import END, SPECIAL_TOKENS, BPETokenizer
from homellm.training import History
from homellm.weights import load_pretrained

pytestmark = pytest.mark.usefixtures("one_thread")


# --- emendar as linhas

PROSE = (
    "Uma noite destas, vindo da cidade para o Engenho Novo, encontrei no trem da Central um rapaz aqui do "
    "bairro, que eu conheço de vista e de chapéu. Cumprimentou-me, sentou-se ao pé de mim, falou da lua e "
    "dos ministros, e acabou recitando-me versos. A viagem era curta, e os versos pode ser que não fossem "
    "inteiramente maus."
)
WRAPPED = textwrap.fill(PROSE, 70)


def test_a_printed_paragraph_becomes_one_line():
    assert WRAPPED.count("\n") >= 4
    assert join_wrapped(WRAPPED) == PROSE
    assert join_wrapped(WRAPPED.replace("\n", "\r\n")) == PROSE
    assert join_wrapped(textwrap.indent(WRAPPED, "   ")) == PROSE
    assert join_wrapped(f"{WRAPPED}\n\n{WRAPPED}\n") == f"{PROSE}\n\n{PROSE}"


words = st.text(st.sampled_from("abcdeéãç"), min_size=1, max_size=12)
paragraphs = st.lists(words, min_size=60, max_size=90).map(" ".join)


@settings(deadline=None)
@given(st.lists(paragraphs, min_size=1, max_size=3), st.integers(60, 80))
def test_unwrapping_undoes_textwrap(texts, width):
    wrapped = "\n\n".join(textwrap.fill(text, width) for text in texts)
    assert join_wrapped(wrapped) == "\n\n".join(texts)


@settings(deadline=None)
@given(st.text(st.sampled_from("aé—.!-  \n\r\u0301"), max_size=300))
def test_only_spaces_change(text):
    assert "".join(join_wrapped(text).split()) == "".join(unicodedata.normalize("NFC", text).split())


def test_dialogue_starts_a_line_of_its_own():
    full = "— Pois não, disse ele, sem tirar os olhos da janela do vagão, e sorriu."
    assert len(full) > 65
    text = f"{WRAPPED}\n\n{full}\n— Então venha!\n— Vou já."
    assert join_wrapped(text) == f"{PROSE}\n\n{full}\n— Então venha!\n— Vou já."


def test_a_dash_in_the_middle_of_a_sentence_does_not_start_a_line():
    before = "o velho tirou o chapéu, olhou para os lados e disse o que todos sabiam"
    assert (
        join_wrapped(f"{WRAPPED}\n\n{before}\n— ou quase todos.") == f"{PROSE}\n\n{before} — ou quase todos."
    )


def test_verses_stay_as_they_are():
    verses = (
        "Minha terra tem palmeiras,\nOnde canta o sabiá;\nAs aves que aqui gorjeiam\nNão gorjeiam como lá."
    )
    assert join_wrapped(f"{WRAPPED}\n\n{verses}\n\n{WRAPPED}") == f"{PROSE}\n\n{verses}\n\n{PROSE}"
    assert join_wrapped(verses) == verses  # um arquivo só de versos


def test_a_text_with_a_paragraph_per_line_does_not_change():
    story = load_table("contos", split="validation")[0].text
    assert join_wrapped(story) == story
    assert join_wrapped(f"{PROSE}\n{PROSE}") == f"{PROSE}\n{PROSE}"


def test_a_hyphen_at_the_end_of_a_line_keeps_the_word_whole():
    line = "e o moço, que vinha do lado do mar com o chapéu na mão, respondeu-"
    assert join_wrapped(f"{WRAPPED}\n\n{line}\nlhe que não.") == f"{PROSE}\n\n{line}lhe que não."
    dash = "e o moço, que vinha do lado do mar com o chapéu na mão, parou ali --"
    assert join_wrapped(f"{WRAPPED}\n\n{dash}\ne riu.") == f"{PROSE}\n\n{dash} e riu."


def test_accents_are_composed_and_empty_texts_stay_empty():
    assert join_wrapped("mac\u0327a\u0303") == "maçã"
    assert join_wrapped("") == "" and join_wrapped("\n\n") == "\n"


# --- os documentos


@pytest.fixture
def shelf(tmp_path):
    """Duas pastas de textos; um nome aparece nas duas."""
    files = {
        "a/um.txt": "primeiro texto", "a/sub/dois.txt": "segundo\ntexto", "b/tres.txt": "\ufeffterceiro",
        "b/um.txt": "outro primeiro", "b/nota.md": "não entra",
    }  # fmt: skip
    for name, text in files.items():
        path = tmp_path / "textos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return tmp_path / "textos"


def names(corpus: Corpus) -> list[str]:
    return [path.name for path in corpus.paths()]


def test_files_come_in_order_without_the_held_out(shelf):
    folders = (shelf / "b", shelf / "a")
    assert names(Corpus(folders)) == ["dois.txt", "um.txt", "tres.txt", "um.txt"]
    assert names(Corpus(folders, ("um",))) == ["dois.txt", "tres.txt"]


def test_the_extension_may_be_in_capitals_and_folders_are_not_files(shelf):
    (shelf / "a" / "QUATRO.TXT").write_text("quarto", "utf-8")
    (shelf / "a" / "pasta.txt").mkdir()
    assert names(Corpus((shelf / "a",))) == ["QUATRO.TXT", "dois.txt", "um.txt"]


def test_files_that_are_not_there(shelf):
    (shelf / "vazia").mkdir()
    for missing in ("vazia", "nada"):
        with pytest.raises(FileNotFoundError, match=rf"\.txt em .*{missing}$"):
            Corpus((shelf / "a", shelf / missing)).paths()
    with pytest.raises(ValueError, match="nome quatro, tres para deixar de fora"):
        Corpus((shelf / "a",), ("um", "tres", "quatro")).paths()


def test_a_file_that_is_not_utf8_is_named_with_its_line(shelf):
    (shelf / "a" / "ruim.txt").write_bytes("linha boa\nmaçã".encode("latin-1"))
    with pytest.raises(ValueError, match=r"ruim\.txt:2: não é UTF-8"):
        Corpus((shelf / "a",)).documents()


def test_corpus_is_the_same_each_time_and_repeats_only_the_stories(shelf):
    corpus = Corpus((shelf,), ("dois",), repeat_stories=2)
    documents = corpus.documents()
    assert documents == corpus.documents() != corpus.documents(seed=1)
    stories = [story.document for story in load_table("contos", split="train")]
    mine = ["primeiro texto", "terceiro", "outro primeiro"]  # o BOM ficou para trás
    assert sorted(documents) == sorted([*stories, *stories, *mine])
    assert documents != sorted(documents)  # embaralhados
    held_out = [s.text for split in ("validation", "test") for s in load_table("contos", split=split)]
    assert held_out and not any(text in document for text in held_out for document in documents)


# --- o comando

STORY = (
    "Era uma vez um rato que roeu a roupa do rei de Roma. A rainha, com raiva, resolveu remendar a roupa. "
)


def story(n: int, split: str) -> Story:
    return Story(f"O rato {n}", "conto", "reis", split, STORY * 3 + f"Foi a vez de número {n}.")


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """Contos de brinquedo, um modelo minúsculo e uma pasta de textos; os argumentos, sem `--saida`."""
    table = [story(n, "train") for n in range(6)] + [story(9, "validation")]
    monkeypatch.setattr(pretrain, "load_table", lambda name, split: [s for s in table if s.split == split])
    size = dict(vocab_size=300, context_length=8, emb_dim=8, n_heads=2, n_layers=1)
    monkeypatch.setitem(PRESETS, "brinquedo", size)
    folder = tmp_path / "textos"
    folder.mkdir()
    (folder / "livro.txt").write_text(f"Antes {END} depois.", "utf-8")
    (folder / "segredo.txt").write_text("zzz zzz zzz", "utf-8")
    return [
        "--textos", str(folder), "--fora", "segredo", "--preset", "brinquedo", "--passos", "6", "--lote", "4",
        "--avalia-a-cada", "2", "--repete-contos", "2", "--dropout", "0.1",
    ]  # fmt: skip


def run(arguments: list[str], output: Path) -> None:
    main(["contos-mini", *arguments, "--saida", str(output)])


def test_the_command_takes_accumulation_precision_and_compile(toy, tmp_path, monkeypatch):
    asked: list[Any] = []

    def fake(output, corpus, model_config, config, batch_size):
        asked.append((config.accumulation_steps, config.precision, config.compile, batch_size))
        return History(val_loss=[1.0])

    monkeypatch.setattr(recipes, "pretrain", fake)
    run(toy, tmp_path / "a")
    run([*toy, "--acumula", "3", "--precisao", "fp32", "--compila"], tmp_path / "b")
    assert asked == [(1, "auto", False, 4), (3, "fp32", True, 4)]


def stored(path: Path) -> list[int]:
    return np.asarray(TokenFileDataset(path, 1).ids).tolist()


def test_end_to_end(toy, tmp_path, capsys):
    run(toy, tmp_path / "saida")
    said = capsys.readouterr().out
    assert "treino.ids: 13 documentos" in said and "validacao.ids: 1 documentos" in said
    assert [line.split(":")[0] for line in said.splitlines() if line.startswith("passo")] == [
        "passo 0", "passo 2", "passo 4", "passo 6",
    ]  # fmt: skip
    model, tokenizer = load_pretrained(tmp_path / "saida" / "modelo")
    assert tuple(tokenizer.special_tokens) == SPECIAL_TOKENS
    assert (model.config.vocab_size, model.config.context_length) == (tokenizer.vocab_size, 8)
    trained = load_file(tmp_path / "saida" / "treino.safetensors")
    for name, p in model.named_parameters():
        torch.testing.assert_close(p.detach(), trained[f"model/{name}"], rtol=1e-3, atol=1e-6)


def test_each_document_ends_once_and_what_it_says_is_text(toy, tmp_path):
    """`<|endoftext|>` escrito num texto não separa nada; e o que ficou de fora não está em lugar nenhum."""
    run(toy, tmp_path / "saida")
    tokenizer = BPETokenizer.load(tmp_path / "saida" / "tokenizer.json")
    end, ids = tokenizer.special_tokens[END], stored(tmp_path / "saida" / "treino.ids")
    assert ids.count(end) == 13 and ids[-1] == end
    text = tokenizer.decode(ids)
    assert text.count(END) == 14 and text.count(f"Antes {END} depois.{END}") == 1
    assert "zzz" not in text and "número 9" not in text and text.count("número 3") == 2
    validation = tokenizer.decode(stored(tmp_path / "saida" / "validacao.ids"))
    assert validation == f"O rato 9\n\n{story(9, 'validation').text}{END}"


def test_interrupted_it_goes_on_with_the_same_arguments(toy, tmp_path, capsys, monkeypatch):
    run(toy, tmp_path / "inteiro")
    calls = []

    def ctrl_c(*args, **kwargs):
        calls.append(1)
        if len(calls) == 2:
            signal.raise_signal(signal.SIGINT)
        return generate(*args, **kwargs)

    generate = pretrain.generate
    monkeypatch.setattr(pretrain, "generate", ctrl_c)
    capsys.readouterr()
    run(toy, tmp_path / "partes")
    assert "interrompido; chame de novo" in capsys.readouterr().out
    assert not (tmp_path / "partes" / "modelo").exists()
    run(toy, tmp_path / "partes")
    assert "modelo em" in capsys.readouterr().out
    for name in ("model.safetensors", "config.json", "tokenizer.json"):
        one, other = ((tmp_path / folder / "modelo" / name).read_bytes() for folder in ("inteiro", "partes"))
        assert one == other


def test_interrupted_while_preparing_it_starts_the_preparation_again(toy, tmp_path, monkeypatch):
    write = pretrain.write_token_file

    def full_disk(path, ids, vocab_size):
        if path.name == "validacao.ids":
            raise OSError("disco cheio")
        return write(path, ids, vocab_size)

    monkeypatch.setattr(pretrain, "write_token_file", full_disk)
    with pytest.raises(OSError, match="disco cheio"):
        run(toy, tmp_path / "saida")
    monkeypatch.setattr(pretrain, "write_token_file", write)
    (tmp_path / "saida" / "treino.ids").write_bytes(b"metade")
    run(toy, tmp_path / "saida")
    assert (tmp_path / "saida" / "modelo" / "config.json").is_file()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "--saida"),
        (["--saida", "x", "--passos", "muitos"], "--passos"),
        (["--saida", "x", "--taxa", "alta"], "--taxa"),
        (["--saida", "x", "--cor", "azul"], "--cor"),
    ],
)
def test_arguments_the_command_does_not_take(arguments, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as error:
        main(["contos-mini", *arguments])
    assert error.value.code == 2 and said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        (["--preset", "gigante"], "não há preset 'gigante'"),
        (["--textos", "nada"], "não há arquivo .txt em nada"),
        (["--fora", "sumido"], "nome sumido"),
        (["--passos", "0"], "max_steps=0"),
        (["--taxa", "-1"], "learning_rate=-1"),
        (["--lote", "9999"], "o lote pede 9999"),
        (["--dropout", "2"], "dropout=2"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_arguments_that_do_not_work_say_why(changed, match, toy, tmp_path):
    with pytest.raises((ValueError, FileNotFoundError), match=match):
        run([*toy, *changed], tmp_path / "saida")
    assert not (tmp_path / "saida" / "modelo").exists()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (["--fora"], r"entrou .*segredo\.txt"),
        (["--fora", "segredo", "livro"], r"saiu .*livro\.txt"),
        (["--preset", "mini"], "vocabulario era 300 e agora é"),
        (["--repete-contos", "1"], "repete-contos era 2 e agora é 1"),
    ],
)
def test_a_folder_prepared_with_other_texts_is_refused(changed, said, toy, tmp_path):
    run(toy, tmp_path / "saida")
    before = (tmp_path / "saida" / IDS["train"]).read_bytes()
    with pytest.raises(ValueError, match=f"outros textos \\({said}"):
        run([*toy, *changed], tmp_path / "saida")
    assert (tmp_path / "saida" / IDS["train"]).read_bytes() == before


def test_a_file_added_removed_or_changed_later_is_noticed(toy, tmp_path):
    run(toy, tmp_path / "saida")
    folder, book = tmp_path / "textos", tmp_path / "textos" / "livro.txt"
    run(toy, tmp_path / "saida")  # nada mudou
    original = book.read_bytes()
    book.write_bytes(original.replace(b"Antes", b"Ontem"))  # do mesmo tamanho
    with pytest.raises(ValueError, match=r"mudou .*livro\.txt\); use outra pasta de saída, ou apague esta"):
        run(toy, tmp_path / "saida")
    book.write_bytes(original)
    run(toy, tmp_path / "saida")
    for n in range(5):
        (folder / f"novo {n}.txt").write_text("mais um", "utf-8")
    with pytest.raises(ValueError, match=r"entrou .*novo 0\.txt, .*novo 2\.txt e mais 2\)"):
        run(toy, tmp_path / "saida")


def test_a_record_of_another_version_is_refused(toy, tmp_path):
    run(toy, tmp_path / "saida")
    (tmp_path / "saida" / "preparo.json").write_text('{"textos": ["x"]}', "utf-8")
    with pytest.raises(ValueError, match="o registro é de outra versão"):
        run(toy, tmp_path / "saida")


PATIENT = """
import os, sys, time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
import torch, torch.distributed as dist
from homellm import pretrain
from homellm.model import GPTConfig
from homellm.training import TrainConfig

dist.init_process_group("gloo", timeout=timedelta(seconds=4))
real = pretrain.prepare

def slow(*args):
    time.sleep(8)  # o dobro da paciência do grupo comum
    real(*args)

pretrain.prepare = slow
corpus = pretrain.Corpus((Path(sys.argv[1]),), (), 0)
config = TrainConfig(max_steps=2)
sizes = GPTConfig.preset("mini", vocab_size=300, context_length=32)
history = pretrain.pretrain(Path(sys.argv[2]), corpus, sizes, config, batch_size=4)
print("passos", len(history.step_loss))
dist.destroy_process_group()
"""


@pytest.mark.lento
def test_the_others_wait_while_the_first_prepares(tmp_path):
    """Mais do que a paciência do grupo: é a espera de quem tokeniza um corpus grande."""
    (tmp_path / "textos").mkdir()
    (tmp_path / "textos" / "livro.txt").write_text(STORY * 40, "utf-8")
    (tmp_path / "dois.py").write_text(PATIENT, "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2",
         tmp_path / "dois.py", tmp_path / "textos", tmp_path / "saida"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, encoding="utf-8", timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("passos 2") == 2


def test_the_old_command_says_the_new_one():
    done = subprocess.run([sys.executable, "-m", "homellm.pretrain"], capture_output=True, text=True)
    assert done.returncode == 1 and "python -m homellm.recipes contos-mini" in done.stderr


@pytest.mark.lento
def test_two_processes_under_torchrun_equal_one(tmp_path):
    """O comando de verdade, com e sem torchrun: a mesma validação e os mesmos pesos, salvo arredondamento."""
    (tmp_path / "textos").mkdir()
    (tmp_path / "textos" / "livro.txt").write_text(STORY * 40, "utf-8")
    arguments = [
        "-m", "homellm.recipes", "contos-mini", "--textos", tmp_path / "textos", "--preset", "mini",
        "--repete-contos", "0", "--passos", "3", "--taxa", "1e-4", "--lote", "4", "--avalia-a-cada", "100",
    ]  # fmt: skip
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    said = {}
    runs = {"um": ([], []), "dois": (torchrun, []), "fatias": (torchrun, ["--reparte"])}
    for name, (launcher, options) in runs.items():
        done = subprocess.run(
            [sys.executable, *launcher, *arguments, *options, "--saida", tmp_path / name],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, encoding="utf-8", timeout=300,
            env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        said[name] = [line.split(";")[0] for line in done.stdout.splitlines() if line.startswith("validação")]
    assert len(said["um"]) == 1  # só o processo principal fala
    assert said["um"] == said["dois"] == said["fatias"]
    one, two, slices = (load_file(tmp_path / name / "treino.safetensors") for name in said)
    start = load_pretrained(tmp_path / "um" / "modelo")[0]
    assert {f"model/{n}" for n, _ in start.named_parameters()} <= one.keys()
    for name in one:
        if name.startswith("model/"):
            torch.testing.assert_close(two[name], one[name], rtol=1e-3, atol=2e-5)
            torch.testing.assert_close(slices[name], one[name], rtol=1e-3, atol=2e-5)
