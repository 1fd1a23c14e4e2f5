"""Pesos que entram e saem: contra o GPT-2 do `transformers`, e contra arquivos estragados de toda maneira."""

from __future__ import annotations

import json
import os
import pickle
import random
import subprocess
import sys
import time
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
import transformers
from hypothesis import example, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from homellm import weights
from homellm.corpus import load_text
from homellm.generation import generate_text
from homellm.model import GPT, GPTConfig
from homellm.ngram import NGramModel
from homellm.tokenizer import BPETokenizer
from homellm.training import bits_per_byte
from homellm.weights import GPT2_NAMES, load_gpt2, load_pretrained, save_pretrained, to_huggingface

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()

TEXT = "o rato roeu a roupa do rei de Roma, e a rainha, com raiva, resolveu remendar"
TOKENIZER = BPETokenizer.train(TEXT, 290, ("<|endoftext|>", "<|usuario|>"))
SIZES = dict(vocab_size=TOKENIZER.vocab_size, context_length=12, emb_dim=12, n_heads=3, n_layers=2)


def gpt(seed: int = 0, **changes) -> GPT:
    """Um GPT com pesos ao acaso, vieses e ganhos incluídos."""
    torch.manual_seed(seed)
    model = GPT(GPTConfig(**SIZES | changes)).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(torch.randn_like(p), alpha=0.1)
    return model


def same(a: GPT, b: GPT) -> bool:
    return a.config == b.config and all(
        torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True)
    )


def content(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir()}


# --- guardar e ler


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("qkv_bias", [True, False])
def test_round_trip_is_exact(tied, qkv_bias, tmp_path):
    model = gpt(tie_weights=tied, qkv_bias=qkv_bias, dropout=0.1)
    save_pretrained(model, TOKENIZER, tmp_path / "nova" / "pasta")
    again, tokenizer = load_pretrained(tmp_path / "nova" / "pasta")
    assert same(model, again) and not again.training
    assert (again.head.weight is again.token_embedding.weight) == tied
    assert tokenizer.encode(TEXT) == TOKENIZER.encode(TEXT)
    assert tokenizer.special_tokens == TOKENIZER.special_tokens
    assert sorted(content(tmp_path / "nova" / "pasta")) == [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    ]


@pytest.mark.parametrize(("dtype", "bits"), [(torch.float16, 11), (torch.bfloat16, 8)])
def test_half_precision_halves_the_file_and_rounds_the_weights(dtype, bits, tmp_path):
    model = gpt(emb_dim=48)
    save_pretrained(model, TOKENIZER, tmp_path / "inteiro")
    save_pretrained(model, TOKENIZER, tmp_path / "meio", dtype=dtype)
    whole, half = ((tmp_path / n / "model.safetensors").stat().st_size for n in ("inteiro", "meio"))
    assert half < 0.55 * whole
    again, _ = load_pretrained(tmp_path / "meio")
    assert {p.dtype for p in again.parameters()} == {torch.float32}
    for p, q in zip(model.parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(q, p, rtol=2**-bits, atol=2**-24)
    assert not same(model, again)


def test_saving_leaves_the_rest_of_the_folder(tmp_path):
    (tmp_path / "README.md").write_text("meu")
    (tmp_path / "outro.safetensors").write_bytes(b"x")
    for seed in (0, 1):  # a segunda vez substitui a primeira
        save_pretrained(gpt(seed), TOKENIZER, tmp_path)
        assert same(load_pretrained(tmp_path)[0], gpt(seed))
    assert len(content(tmp_path)) == 5
    assert (tmp_path / "README.md").read_text() == "meu" and (
        tmp_path / "outro.safetensors"
    ).read_bytes() == b"x"


def test_a_write_that_fails_leaves_the_old_model(tmp_path, monkeypatch):
    save_pretrained(gpt(0), TOKENIZER, tmp_path)
    before = content(tmp_path)

    def full_disk(tensors, path, metadata):
        Path(path).write_bytes(b"metade")
        raise OSError("disco cheio")

    monkeypatch.setattr(weights, "save_file", full_disk)
    with pytest.raises(OSError, match="disco cheio"):
        save_pretrained(gpt(1), TOKENIZER, tmp_path)
    with pytest.raises(OSError, match="disco cheio"):
        to_huggingface(gpt(1), tmp_path)
    assert content(tmp_path) == before


@pytest.mark.parametrize("write", [save_pretrained, to_huggingface])
def test_the_files_are_replaced_together_or_not_at_all(write, tmp_path, monkeypatch):
    """Os pesos já estavam escritos quando o JSON falhou: nem eles são trocados."""
    arguments = (tmp_path, TOKENIZER) if write is to_huggingface else (TOKENIZER, tmp_path)
    write(gpt(0), *arguments)
    before = content(tmp_path)

    def fails(path, data):
        raise OSError("disco cheio")

    monkeypatch.setattr(weights, "write_json", fails)
    with pytest.raises(OSError, match="disco cheio"):
        write(gpt(1), *arguments)
    assert content(tmp_path) == before


FULL = """
import resource, signal, sys
import torch
from homellm.model import GPT, GPTConfig
from homellm.tokenizer import BPETokenizer
from homellm.weights import save_pretrained, to_huggingface

folder = sys.argv[1]
tokenizer = BPETokenizer.train("abc", 257)
model = GPT(GPTConfig(vocab_size=257, context_length=8, emb_dim=64, n_heads=2, n_layers=1))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
for write in (lambda: save_pretrained(model, tokenizer, folder), lambda: to_huggingface(model, folder)):
    try:
        write()
    except OSError as error:
        print(error)
"""


@pytest.mark.lento
@pytest.mark.skipif(sys.platform == "win32", reason="o limite de tamanho é do Unix")
def test_a_disk_that_takes_no_more_is_one_sentence_and_the_old_model_stays(tmp_path):
    save_pretrained(gpt(), TOKENIZER, tmp_path)
    before = content(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", FULL, tmp_path],
        capture_output=True, text=True, encoding="utf-8", timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 2 and all(f"não consegui gravar {tmp_path}" in line for line in lines)
    assert content(tmp_path) == before


@pytest.mark.parametrize("write", [save_pretrained, to_huggingface])
def test_a_folder_that_cannot_be_made_is_one_sentence(write, tmp_path):
    (tmp_path / "arquivo").write_text("não sou pasta")
    for place in (tmp_path / "arquivo", tmp_path / "arquivo" / "modelo"):
        arguments = (place, TOKENIZER) if write is to_huggingface else (TOKENIZER, place)
        with pytest.raises(OSError, match="não consegui criar a pasta .*arquivo.*; confira"):
            write(gpt(), *arguments)


def compiled_block(model):
    model.blocks[1] = torch.compile(model.blocks[1], backend="eager")
    return model


WRAPPERS = {
    "torch.compile": lambda model: torch.compile(model, backend="eager"),
    "DataParallel": torch.nn.DataParallel,
    "média": torch.optim.swa_utils.AveragedModel,
    "os dois": lambda model: torch.nn.DataParallel(torch.compile(model, backend="eager")),
    "bloco": compiled_block,
}


@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
def test_a_wrapped_model_is_written_with_clean_names(wrap, tmp_path):
    wrapped = wrap(gpt())
    for name, model in (("puro", gpt()), ("embrulhado", wrapped)):
        save_pretrained(model, TOKENIZER, tmp_path / name)
        to_huggingface(model, tmp_path / f"{name}-hf", TOKENIZER)
    assert content(tmp_path / "puro") == content(tmp_path / "embrulhado")
    assert content(tmp_path / "puro-hf") == content(tmp_path / "embrulhado-hf")
    assert same(load_pretrained(tmp_path / "embrulhado")[0], gpt())


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_are_not_numbers_are_not_written(bad, tmp_path):
    model = gpt()
    with torch.no_grad():
        model.blocks[0].mlp.proj.weight[1, 2] = bad
    for write in (
        lambda: save_pretrained(model, TOKENIZER, tmp_path),
        lambda: to_huggingface(model, tmp_path),
    ):
        with pytest.raises(ValueError, match=r"blocks\.0\.mlp\.proj\.weight tem NaN ou infinito.*nada foi"):
            write()
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_a_gpt_is_not_written(tmp_path):
    model = gpt()
    model.adapter = torch.nn.Linear(2, 2)
    for write in (lambda m: save_pretrained(m, TOKENIZER, tmp_path), lambda m: to_huggingface(m, tmp_path)):
        with pytest.raises(ValueError, match=r"tensores de um GPT(.|\n)*sobra adapter\.weight"):
            write(model)
        with pytest.raises(TypeError, match="esperava um GPT; veio Linear"):
            write(torch.nn.Linear(2, 2))
    with pytest.raises(ValueError, match="290 ids, e o modelo, 289"):
        to_huggingface(gpt(vocab_size=289), tmp_path, TOKENIZER)
    assert list(tmp_path.iterdir()) == []


def test_what_does_not_fit_is_refused_before_writing(tmp_path):
    model = gpt()
    with torch.no_grad():
        model.blocks[1].mlp.expand.bias[3] = 1e6
    with pytest.raises(ValueError, match=r"blocks\.1\.mlp\.expand\.bias .*float16.*bfloat16"):
        save_pretrained(model, TOKENIZER, tmp_path, dtype=torch.float16)
    with pytest.raises(ValueError, match="290 ids, e o modelo, 289"):
        save_pretrained(gpt(vocab_size=289), TOKENIZER, tmp_path)
    for whole in (torch.int8, torch.bool):
        with pytest.raises(ValueError, match=f"dtype={whole}.*ponto flutuante; use"):
            save_pretrained(gpt(), TOKENIZER, tmp_path, dtype=whole)
    assert list(tmp_path.iterdir()) == []
    save_pretrained(model, TOKENIZER, tmp_path, dtype=torch.bfloat16)
    again, _ = load_pretrained(tmp_path)
    assert again.blocks[1].mlp.expand.bias[3].item() == pytest.approx(1e6, rel=0.01)


# --- arquivos estragados

FOREIGN = {
    "vazio": b"",
    "texto": "olá, mundo\n".encode() * 20,
    "json": b'{"a": 1}' * 9,
    "zip": b"PK\x03\x04" + bytes(90),
    "pickle": pickle.dumps({"a": list(range(50))}),
}


def refuses(load, folder: Path, filename: str, match: str | None = None) -> None:
    with pytest.raises(ValueError, match=match) as error:
        load(folder)
    assert str(folder / filename) in str(error.value)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_truncated_at_any_length(name, tmp_path):
    save_pretrained(gpt(), TOKENIZER, tmp_path)
    whole = (tmp_path / name).read_bytes().rstrip()
    for cut in {0, 1, 7, 8, 9, len(whole) - 1, *random.Random(0).sample(range(len(whole)), 30)}:
        (tmp_path / name).write_bytes(whole[:cut])
        refuses(load_pretrained, tmp_path, name)


@pytest.mark.parametrize("kind", FOREIGN)
@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_foreign_files(name, kind, tmp_path):
    save_pretrained(gpt(), TOKENIZER, tmp_path)
    (tmp_path / name).write_bytes(FOREIGN[kind])
    refuses(load_pretrained, tmp_path, name)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_missing_files(name, tmp_path):
    save_pretrained(gpt(), TOKENIZER, tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(FileNotFoundError) as error:
        load_pretrained(tmp_path)
    assert str(tmp_path) in str(error.value)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"format": "outro"}, "não é de um modelo deste livro"),
        ({"version": 2}, "versão 2; este homellm lê a 1"),
        ({"model": None}, "configuração estragada"),
        ({"model": [1]}, "configuração estragada"),
        ({"model": SIZES | {"n_heads": 5}}, "n_heads=5"),
        ({"model": SIZES | {"cor": "azul"}}, "cor"),
        ({"model": SIZES | {"emb_dim": "12"}}, "emb_dim='12'"),
    ],
    ids=str,
)
def test_bad_configuration(change, match, tmp_path):
    save_pretrained(gpt(), TOKENIZER, tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    refuses(load_pretrained, tmp_path, "config.json", match)
    path.write_text(json.dumps([1, 2]))
    refuses(load_pretrained, tmp_path, "config.json", "esperava um objeto JSON, e veio list")


HUGE = {
    "vocab_size": 10**12,
    "context_length": 10**15,
    "emb_dim": 3 * 10**9,
    "n_layers": 10**7,
}


@pytest.mark.parametrize("field", HUGE)
def test_absurd_sizes_are_refused_before_any_allocation(field, tmp_path):
    """Um trilhão de ids, dez milhões de camadas: o arquivo de pesos desmente, e nada é reservado."""
    save_pretrained(gpt(), TOKENIZER, tmp_path / "nosso")
    reference().save_pretrained(tmp_path / "gpt2")
    theirs = {"vocab_size": "vocab_size", "context_length": "n_positions", "emb_dim": "n_embd",
              "n_layers": "n_layer"}  # fmt: skip
    for load, name in ((load_pretrained, "nosso"), (load_gpt2, "gpt2")):
        path = tmp_path / name / "config.json"
        config = json.loads(path.read_text())
        if name == "nosso":
            config["model"][field] = HUGE[field]
        else:
            config[theirs[field]] = HUGE[field]
        path.write_text(json.dumps(config))
        start = time.perf_counter()
        refuses(load, tmp_path / name, "config.json", "a configuração pede .* números.*não são do mesmo")
        assert time.perf_counter() - start < 5


def test_a_bottomless_json_is_refused(tmp_path):
    save_pretrained(gpt(), TOKENIZER, tmp_path)
    (tmp_path / "config.json").write_text('{"model":' * 100_000 + "1" + "}" * 100_000)
    refuses(load_pretrained, tmp_path, "config.json")


def spoiled(tensor: torch.Tensor, kind: str) -> torch.Tensor:
    if kind in ("nan", "inf", "-inf"):
        tensor = tensor.clone()
        tensor.view(-1)[-1] = float(kind)
        return tensor
    return tensor.to(getattr(torch, kind))


NOT_WEIGHTS = ["nan", "inf", "-inf", "int64", "uint8", "bool", "complex64"]


@pytest.mark.parametrize("kind", NOT_WEIGHTS)
def test_values_that_are_not_weights_are_refused(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "SLICE_BYTES", 64)  # o defeito está na última fatia
    message = "NaN ou infinito" if "n" in kind[:4] and kind[-3:] in ("nan", "inf") else "ponto flutuante"
    save_pretrained(gpt(), TOKENIZER, tmp_path / "nosso")
    theirs = reference()
    theirs.save_pretrained(tmp_path / "gpt2")
    for load, folder, name in (
        (load_pretrained, tmp_path / "nosso", "blocks.1.mlp.proj.weight"),
        (load_gpt2, tmp_path / "gpt2", "transformer.h.1.mlp.c_proj.weight"),
    ):
        path = folder / "model.safetensors"
        tensors = load_file(path)
        tensors[name] = spoiled(tensors[name], kind)
        save_file(tensors, path)
        refuses(load, folder, path.name, f"{name}.*{message}")
    (tmp_path / "gpt2" / "model.safetensors").unlink()
    torch.save(tensors, tmp_path / "gpt2" / "pytorch_model.bin")
    refuses(load_gpt2, tmp_path / "gpt2", "pytorch_model.bin", f"{name}.*{message}")


def test_a_tokenizer_larger_than_the_model_is_refused(tmp_path):
    save_pretrained(gpt(), TOKENIZER, tmp_path)
    BPETokenizer.train(TEXT, 291, ("<|endoftext|>", "<|usuario|>")).save(tmp_path / "tokenizer.json")
    with pytest.raises(ValueError, match="291 ids, e o modelo, 290") as error:
        load_pretrained(tmp_path)
    assert str(tmp_path) in str(error.value)


def test_a_model_larger_than_the_tokenizer_loads_and_writes_text(tmp_path):
    save_pretrained(gpt(vocab_size=400), TOKENIZER, tmp_path)
    model, tokenizer = load_pretrained(tmp_path)
    with torch.no_grad():
        model.token_embedding.weight[290:].mul_(100)
    assert generate_text(model, tokenizer, "o rato", 12, generator=torch.Generator().manual_seed(0))


def test_a_long_list_of_problems_is_cut(tmp_path):
    save_pretrained(gpt(n_layers=30), TOKENIZER, tmp_path)
    path = tmp_path / "model.safetensors"
    save_file({f"outro.{name}": t for name, t in load_file(path).items()}, path)
    with pytest.raises(ValueError) as error:
        load_pretrained(tmp_path)
    assert len(str(error.value).splitlines()) <= 12


def test_a_classifier_is_not_a_language_model(tmp_path):
    save_pretrained(gpt(), TOKENIZER, tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"labels": ["a", "b"]}))
    with pytest.raises(ValueError, match="load_classifier"):
        load_pretrained(tmp_path)


def test_every_tensor_that_is_missing_extra_or_misshapen_is_listed(tmp_path):
    save_pretrained(gpt(), TOKENIZER, tmp_path)
    path = tmp_path / "model.safetensors"
    tensors = load_file(path)
    tensors["intruso"] = torch.zeros(2, 3)
    del tensors["norm.bias"], tensors["blocks.1.norm1.weight"]
    tensors["position_embedding.weight"] = torch.zeros(13, 12)
    save_file(tensors, path)
    with pytest.raises(ValueError) as error:
        load_pretrained(tmp_path)
    assert str(error.value).splitlines() == [
        f"{path}: os pesos não são os do modelo de config.json:",
        "- falta blocks.1.norm1.weight, (12,)",
        "- falta norm.bias, (12,)",
        "- sobra intruso, (2, 3)",
        "- position_embedding.weight: esperava (12, 12), veio (13, 12)",
    ]


def test_an_unknown_name_lists_the_names(tmp_path):
    (tmp_path / "vazia").mkdir()
    for name in ("contos-maxi", tmp_path / "nada", tmp_path / "vazia"):
        with pytest.raises(FileNotFoundError) as error:
            load_pretrained(name)
        assert str(name) in str(error.value) and "contos-mini" in str(error.value)
        assert all(known in str(error.value) for known in GPT2_NAMES)
    with pytest.raises(FileNotFoundError, match="gpt2-small-portuguese"):
        load_gpt2("gpt5")


# --- o modelo que vem com o pacote


def test_contos_mini_loads_from_anywhere_and_is_small(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model, tokenizer = load_pretrained("contos-mini")
    assert not model.training and tokenizer.vocab_size == model.config.vocab_size == 4096
    assert list(tokenizer.special_tokens)[0] == "<|endoftext|>"
    folder = weights.find_model("contos-mini")
    assert sum(p.stat().st_size for p in folder.iterdir()) <= 16 * 2**20


def test_contos_mini_beats_the_trigram():
    """No teste dos contos, contra um trigrama dos mesmos ids contado no treino dos contos."""
    model, tokenizer = load_pretrained("contos-mini")
    text = load_text("contos", split="test")
    trigram = NGramModel(3, tokenizer.vocab_size).fit(tokenizer.encode(load_text("contos", split="train")))
    baseline = trigram.bits_per_byte(tokenizer.encode(text), len(text.encode("utf-8")))
    assert bits_per_byte(model, tokenizer, text) < 0.9 * baseline


def test_historias_mini_loads_is_small_and_beats_contos_mini_at_home_only():
    """Nas histórias do mesmo programa o `historias-mini` ganha de longe; nos contos, perde."""
    folder = weights.find_model("historias-mini")
    assert sum(p.stat().st_size for p in folder.iterdir()) <= 8 * 2**20
    model, tokenizer = load_pretrained("historias-mini")
    assert not model.training and tokenizer.vocab_size == model.config.vocab_size == 2048
    story = (folder / "conhecidas.txt").read_text("utf-8").split("\n\n")[0]
    tale = load_text("contos", split="test")[:2000]
    rival = load_pretrained("contos-mini")
    assert bits_per_byte(model, tokenizer, story) < 0.5 * bits_per_byte(*rival, story)
    assert bits_per_byte(model, tokenizer, tale) > 1.5 * bits_per_byte(*rival, tale)


def test_historias_mini_tells_a_story_to_the_end():
    model, tokenizer = load_pretrained("historias-mini")
    told = generate_text(
        model, tokenizer, "", 400, temperature=0.7, generator=torch.Generator().manual_seed(0)
    )
    assert 40 < len(told.split()) < 250 and told[-1] in ".!?…”»"


# --- GPT-2 do Hugging Face


def reference(seed: int = 0, **changes) -> transformers.GPT2LMHeadModel:
    """O GPT-2 do `transformers`, com pesos ao acaso e os seus próprios vieses."""
    torch.manual_seed(seed)
    sizes = dict(vocab_size=37, n_positions=11, n_embd=12, n_head=3, n_layer=2)
    model = transformers.GPT2LMHeadModel(transformers.GPT2Config(**sizes | changes)).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(torch.randn_like(p), alpha=0.1)
    return model


@torch.no_grad()
def assert_same_logits(mine: GPT, theirs: torch.nn.Module, tolerance: float = 1e-5) -> None:
    config = mine.config
    rng = torch.Generator().manual_seed(0)
    for shape in ((3, config.context_length), (1, 1)):
        ids = torch.randint(config.vocab_size, shape, generator=rng)
        expected = theirs(ids).logits.float()
        assert (mine(ids) - expected).norm() <= tolerance * expected.norm()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"n_embd": 60, "n_head": 5},
        {"n_embd": 7, "n_head": 1, "n_layer": 1, "n_positions": 1, "vocab_size": 1},
        {"tie_word_embeddings": False},
        {"activation_function": "gelu_pytorch_tanh", "n_inner": 48, "n_positions": 64},
        {"activation_function": "gelu_fast"},
        {"n_layer": 11},  # h.1 e h.10 não se confundem
    ],
    ids=str,
)
@pytest.mark.parametrize("sharded", [False, True], ids=["um arquivo", "em partes"])
def test_load_gpt2_gives_the_logits_of_transformers(changes, sharded, tmp_path):
    theirs = reference(**changes)
    theirs.save_pretrained(tmp_path, max_shard_size="4KB" if sharded else "5GB")
    if sharded and "vocab_size" not in changes:
        assert (tmp_path / "model.safetensors.index.json").is_file()
    mine = load_gpt2(tmp_path)
    assert not mine.training and {p.dtype for p in mine.parameters()} == {torch.float32}
    assert_same_logits(mine, theirs)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_load_gpt2_from_half_precision(dtype, tmp_path):
    theirs = reference().to(dtype)
    theirs.save_pretrained(tmp_path)
    assert {t.dtype for t in load_file(tmp_path / "model.safetensors").values()} == {dtype}
    assert_same_logits(load_gpt2(tmp_path), theirs.float())


PREFIXES = [
    "",
    "transformer.",
    "model.transformer.",
    "module.",
    "_orig_mod.",
    "module._orig_mod.transformer.",
]


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("tied", [True, False])
def test_load_gpt2_with_any_prefix_and_the_old_masks(prefix, tied, tmp_path):
    theirs = reference(tie_word_embeddings=tied)
    theirs.save_pretrained(tmp_path)
    tensors = {prefix + name: t.clone() for name, t in theirs.transformer.state_dict().items()}
    for block in range(2):
        tensors[f"{prefix}h.{block}.attn.bias"] = torch.ones(1, 1, 11, 11, dtype=torch.bool).tril()
        tensors[f"{prefix}h.{block}.attn.masked_bias"] = torch.tensor(-1e4)
    head = prefix.removesuffix("transformer.") + "lm_head.weight"
    tensors[head] = theirs.lm_head.weight.detach().clone()  # também quando é a mesma tabela
    save_file(tensors, tmp_path / "model.safetensors")
    assert_same_logits(load_gpt2(tmp_path), theirs)
    (tmp_path / "model.safetensors").unlink()
    torch.save(tensors, tmp_path / "pytorch_model.bin")
    assert_same_logits(load_gpt2(tmp_path), theirs)


def test_the_same_tensor_under_two_prefixes_is_refused(tmp_path):
    reference().save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    tensors = load_file(path)
    save_file(tensors | {"module.ln_f.bias": torch.zeros(12)}, path)
    refuses(load_gpt2, tmp_path, path.name, r"ln_f\.bias aparece duas vezes")


def test_load_gpt2_lists_every_problem(tmp_path):
    theirs = reference()
    theirs.save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    tensors = load_file(path)
    del tensors["transformer.ln_f.bias"]
    tensors["transformer.h.2.ln_1.weight"] = torch.zeros(12)
    tensors["transformer.h.0.attn.c_attn.weight"] = torch.zeros(36, 12)  # sem transpor
    save_file(tensors, path)
    with pytest.raises(ValueError) as error:
        load_gpt2(tmp_path)
    assert str(error.value).splitlines()[1:] == [
        "- falta ln_f.bias, (12,)",
        "- sobra h.2.ln_1.weight, (12,)",
        "- h.0.attn.c_attn.weight: esperava (12, 36), veio (36, 12)",
    ]
    assert str(tmp_path) in str(error.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("activation_function", "relu"),
        ("activation_function", "gelu"),
        ("layer_norm_epsilon", 1e-6),
        ("n_inner", 24),
        ("scale_attn_weights", False),
        ("scale_attn_by_inverse_layer_idx", True),
        ("add_cross_attention", True),
        ("model_type", "llama"),
        ("n_embd", "12"),
        ("n_head", 5),
        ("tie_word_embeddings", "sim"),
    ],
)
def test_load_gpt2_refuses_another_architecture(field, value, tmp_path):
    reference().save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))
    mine = {"n_embd": "emb_dim", "n_head": "n_heads", "tie_word_embeddings": "tie_weights"}.get(field, field)
    refuses(load_gpt2, tmp_path, "config.json", f"{mine}={value!r}")


def test_load_gpt2_names_the_missing_fields(tmp_path):
    reference().save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    config = json.loads(path.read_text())
    del config["n_head"], config["n_positions"]
    path.write_text(json.dumps(config))
    refuses(load_gpt2, tmp_path, "config.json", "faltam os campos n_positions, n_head")
    path.unlink()
    with pytest.raises(FileNotFoundError, match="config.json"):
        load_gpt2(tmp_path)


def test_load_gpt2_truncated_or_foreign(tmp_path):
    reference().save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    whole = path.read_bytes()
    for cut in (0, 5, 8, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:cut])
        refuses(load_gpt2, tmp_path, path.name, "truncado ou estragado")
    for data in FOREIGN.values():
        path.write_bytes(data)
        refuses(load_gpt2, tmp_path, path.name, "truncado ou estragado")
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"model\.safetensors"):
        load_gpt2(tmp_path)


@pytest.mark.parametrize(
    "names",
    [
        {"a": "../model.safetensors"},
        {"a": "/etc/passwd"},
        {"a": "sub/model.safetensors"},
        {"a": 3},
        ["model.safetensors"],
        None,
        {"a": "model.safetensors", "b": "../../x"},
    ],
    ids=str,
)
def test_an_index_does_not_lead_out_of_the_folder(names, tmp_path):
    folder = tmp_path / "modelo"
    theirs = reference()
    theirs.save_pretrained(folder)
    theirs.save_pretrained(tmp_path)  # há pesos bons lá fora, e não são lidos
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    refuses(load_gpt2, folder, "model.safetensors.index.json", "arquivo desta pasta")
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": ".."}}')
    with pytest.raises(FileNotFoundError):
        load_gpt2(folder)
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "parte-2.safetensors"}}')
    with pytest.raises(FileNotFoundError, match=r"parte-2\.safetensors"):
        load_gpt2(folder)


# --- pytorch_model.bin


@pytest.fixture
def only_bin(tmp_path):
    """Uma pasta de GPT-2 sem safetensors, e o modelo que era dela."""
    theirs = reference()
    theirs.save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    return tmp_path, theirs


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "anterior ao PyTorch 1.6"])
def test_a_bin_of_tensors_loads_and_the_folder_stays_as_it_was(zipped, only_bin):
    folder, theirs = only_bin
    torch.save(theirs.state_dict(), folder / "pytorch_model.bin", _use_new_zipfile_serialization=zipped)
    before = content(folder)
    assert_same_logits(load_gpt2(folder), theirs)
    assert content(folder) == before


def test_a_bin_in_a_read_only_folder_loads(only_bin):
    folder, theirs = only_bin
    torch.save(theirs.state_dict(), folder / "pytorch_model.bin")
    folder.chmod(0o500)
    try:
        assert_same_logits(load_gpt2(folder), theirs)
    finally:
        folder.chmod(0o700)


@pytest.mark.parametrize("newer", ["pytorch_model.bin", "model.safetensors"])
def test_the_newest_weights_are_the_ones_read(newer, tmp_path):
    old, new = reference(seed=1), reference(seed=2)
    for name in ("model.safetensors", "pytorch_model.bin"):
        theirs = new if name == newer else old
        if name == "pytorch_model.bin":
            torch.save(theirs.state_dict(), tmp_path / name)
        else:
            theirs.save_pretrained(tmp_path)
    os.utime(tmp_path / newer, ns=(2**60, 2**60))
    other = ({"model.safetensors", "pytorch_model.bin"} - {newer}).pop()
    os.utime(tmp_path / other, ns=(2**59, 2**59))
    assert_same_logits(load_gpt2(tmp_path), new)


def test_a_sharded_bin_loads(only_bin):
    folder, theirs = only_bin
    state = theirs.state_dict()
    places = {name: f"pytorch_model-{n % 3 + 1:05}-of-00003.bin" for n, name in enumerate(state)}
    for file in set(places.values()):
        torch.save({n: state[n].clone() for n, place in places.items() if place == file}, folder / file)
    index = folder / "pytorch_model.bin.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": places}))
    assert_same_logits(load_gpt2(folder), theirs)
    (folder / "pytorch_model-00002-of-00003.bin").unlink()
    with pytest.raises(FileNotFoundError, match=r"pytorch_model-00002-of-00003\.bin"):
        load_gpt2(folder)
    index.write_text(json.dumps({"weight_map": {"a": "../x.bin"}}))
    refuses(load_gpt2, folder, index.name, "arquivo desta pasta")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "make",
    [
        torch.Tensor.to_sparse,
        torch.Tensor.to_sparse_csr,
        lambda t: torch.quantize_per_tensor(t, 0.1, 0, torch.qint8),
        lambda t: t.to("meta"),
    ],
    ids=["esparso", "CSR", "quantizado", "meta"],
)
def test_a_bin_of_unusual_tensors_is_refused(make, only_bin):
    folder, theirs = only_bin
    path = folder / "pytorch_model.bin"
    torch.save(theirs.state_dict() | {"transformer.ln_f.bias": make(torch.eye(12))}, path)
    refuses(load_gpt2, folder, path.name, "ln_f.bias é esparso, quantizado ou sem dados")


@pytest.mark.parametrize("key", [3, None, ("a", "b"), b"x"], ids=str)
def test_a_bin_whose_keys_are_not_text_is_refused(key, only_bin):
    folder, theirs = only_bin
    torch.save(OrderedDict(theirs.state_dict()) | {key: torch.zeros(2)}, folder / "pytorch_model.bin")
    refuses(load_gpt2, folder, "pytorch_model.bin", "dicionário de tensores")


class Bomb:
    """Um objeto cujo pickle executa código ao ser lido."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "anterior ao PyTorch 1.6"])
def test_a_malicious_bin_is_refused_and_not_executed(zipped, only_bin):
    folder, theirs = only_bin
    bomb, path = folder / "explodiu", folder / "pytorch_model.bin"
    data = theirs.state_dict() | {"transformer.ln_f.bias": Bomb(bomb)}
    torch.save(data, path, _use_new_zipfile_serialization=zipped)
    refuses(load_gpt2, folder, path.name, "só de tensores")
    path.write_bytes(pickle.dumps(Bomb(bomb)))
    refuses(load_gpt2, folder, path.name, "só de tensores")
    assert not bomb.exists()
    with pytest.raises(ValueError) as error:
        load_gpt2(folder)
    assert "weights_only" not in str(error.value) and "\n" not in str(error.value)
    assert error.value.__cause__ is None and error.value.__suppress_context__
    torch.save(data, path, _use_new_zipfile_serialization=zipped)
    torch.load(path, weights_only=False)  # a bomba funciona
    assert bomb.exists()


@pytest.mark.parametrize(
    "data", [[torch.zeros(2)], torch.zeros(2), {"a": 1}, {"a": {"b": torch.zeros(2)}}], ids=str
)
def test_a_bin_of_something_else_is_refused(data, only_bin):
    folder, _ = only_bin
    torch.save(data, folder / "pytorch_model.bin")
    refuses(load_gpt2, folder, "pytorch_model.bin", "dicionário de tensores")


def test_a_truncated_bin_is_refused(only_bin):
    folder, theirs = only_bin
    path = folder / "pytorch_model.bin"
    torch.save(theirs.state_dict(), path)
    whole = path.read_bytes()
    for cut in (0, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:cut])
        refuses(load_gpt2, folder, path.name)
    assert sorted(p.name for p in folder.iterdir() if "safetensors" in p.name) == []


def test_old_pytorch_does_not_read_bin(only_bin, monkeypatch):
    folder, theirs = only_bin
    torch.save(theirs.state_dict(), folder / "pytorch_model.bin")
    monkeypatch.setattr(torch, "__version__", torch.torch_version.TorchVersion("2.5.1"))
    with pytest.raises(RuntimeError, match=r"pytorch_model\.bin.*torch 2\.6"):
        load_gpt2(folder)


# --- a volta: transformers lê o que gravamos


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("qkv_bias", [True, False])
def test_transformers_opens_what_we_write(tied, qkv_bias, tmp_path):
    model = gpt(tie_weights=tied, qkv_bias=qkv_bias)
    (tmp_path / "meu").write_text("fica")
    to_huggingface(model, tmp_path, TOKENIZER)
    theirs, loading = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(loading[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert type(theirs) is transformers.GPT2LMHeadModel
    assert_same_logits(model, theirs.eval())
    assert theirs.config.eos_token_id == TOKENIZER.special_tokens["<|endoftext|>"]
    back = load_gpt2(tmp_path)  # e a ida e volta é exata
    assert torch.equal(back.token_embedding.weight, model.token_embedding.weight)
    assert_same_logits(back, theirs)
    assert (tmp_path / "meu").read_text() == "fica"


def test_without_tokenizer_only_the_model_is_written(tmp_path):
    to_huggingface(gpt(), tmp_path)
    assert sorted(content(tmp_path)) == ["config.json", "model.safetensors"]
    assert_same_logits(gpt(), transformers.AutoModelForCausalLM.from_pretrained(tmp_path).eval())


GAPS = BPETokenizer({bytes([b]): b for b in range(256)} | {b"aa": 300}, {"<|fim|>": 290, "<|a|>": 400})
NASTY = (
    "maçã à toa; ação — «não»! 🍎👩🏽‍🚀 e\u0301 a\u0303o  \t\n\n\r\n   fim 12345 ½ ²"
    "  l'eau d’água guarda-chuva ﬁ \u200b\u00a0 中文 ا\x00"
)


PATTERNS = BPETokenizer(
    {bytes([b]): b for b in range(256)} | {b"aa": 256},
    {},
    r"^a|(?:ab|[c-e]){1,2}+|[^\s\p{L}]{2}+|\p{L}+|\s+$|\s+|.{1,3}+|[\s\S]",
)


@pytest.fixture(scope="module", params=["nosso", "gpt2", "cl100k_base", "ids com buracos", "outro padrão"])
def two_tokenizers(request, tmp_path_factory):
    """Um tokenizer nosso, e o que `AutoTokenizer` lê da pasta que ele gravou."""
    mine = {
        "nosso": lambda: TOKENIZER,
        "ids com buracos": lambda: GAPS,
        "outro padrão": lambda: PATTERNS,
    }.get(request.param, lambda: BPETokenizer.from_tiktoken(request.param))()
    folder = tmp_path_factory.mktemp("tokenizer")
    tiny = GPTConfig(vocab_size=mine.vocab_size, context_length=4096, emb_dim=2, n_heads=1, n_layers=1)
    to_huggingface(GPT(tiny), folder, mine)
    return mine, transformers.AutoTokenizer.from_pretrained(folder)


def ids(theirs, text: str) -> list[int]:
    return theirs(text, add_special_tokens=False)["input_ids"]


@settings(deadline=None, max_examples=150)
@example(NASTY)
@example(" ".join(NASTY))
@example("   ")
@example("\n \n")
@example("a<|endoftext|> <|usuario|>\n<|fim|><|a|>")
@example("Em 2026 eram 1234567 pessoas, 12 mil")
@example("IT'S it'ſ I'LL we'Ve  \nx \n\n a\n ")
@example("ababcde ab;;;;!!!\n\na aa\nab  \n")
@given(
    st.text(st.characters(exclude_categories=["Cs"]))
    | st.text("aeo rç'-\n\t 1<|>", max_size=60)
    | st.text("sſtdmlvre'AB1234567 \n", max_size=30)
)
def test_autotokenizer_gives_the_same_ids(two_tokenizers, text):
    mine, theirs = two_tokenizers
    expected = mine.encode(text, allowed_special="all")
    assert ids(theirs, text) == expected
    assert theirs.decode(expected, clean_up_tokenization_spaces=False) == text


def test_autotokenizer_on_a_real_text(two_tokenizers):
    mine, theirs = two_tokenizers
    text = load_text("contos", split="test")[:20_000]
    assert ids(theirs, text) == mine.encode(text)
    if end := mine.special_tokens.get("<|endoftext|>"):
        assert theirs.eos_token_id == theirs.bos_token_id == end


def test_load_pretrained_takes_a_gpt2_folder_with_its_vocabulary(tmp_path):
    """vocab.json e merges.txt ao lado dos pesos; sem eles, o erro diz o que usar."""
    theirs = reference(vocab_size=258)
    theirs.save_pretrained(tmp_path)
    with pytest.raises(FileNotFoundError, match="vocab.json e merges.txt.*load_gpt2"):
        load_pretrained(tmp_path)
    from homellm.tokenizer import BYTE_ORDER, CHAR_TO_BYTE

    char = {byte: c for c, byte in CHAR_TO_BYTE.items()}
    vocab = {char[b]: n for n, b in enumerate(BYTE_ORDER)} | {"aa": 256, "<|endoftext|>": 257}
    (tmp_path / "vocab.json").write_text(json.dumps(vocab), "utf-8")
    (tmp_path / "merges.txt").write_text("#version: 0.2\na a\n", "utf-8")
    model, tokenizer = load_pretrained(tmp_path)
    assert_same_logits(model, theirs)
    assert tokenizer.encode("aa") == [256] and tokenizer.special_tokens == {"<|endoftext|>": 257}


def test_the_added_tokens_of_a_gpt2_folder_are_read(tmp_path):
    from homellm.tokenizer import BYTE_ORDER, CHAR_TO_BYTE

    reference(vocab_size=260).save_pretrained(tmp_path)
    char = {byte: c for c, byte in CHAR_TO_BYTE.items()}
    vocab = {char[b]: n for n, b in enumerate(BYTE_ORDER)} | {"<|endoftext|>": 256}
    (tmp_path / "vocab.json").write_text(json.dumps(vocab), "utf-8")
    (tmp_path / "merges.txt").write_text("#version: 0.2\n", "utf-8")
    added = tmp_path / "added_tokens.json"
    added.write_text('{"<|fim|>": 257, "<|endoftext|>": 256}', "utf-8")
    _, tokenizer = load_pretrained(tmp_path)
    assert tokenizer.special_tokens == {"<|endoftext|>": 256, "<|fim|>": 257}
    assert tokenizer.encode("<|fim|>", allowed_special="all") == [257]
    added.write_text('{"<|fim|>": 260}', "utf-8")
    with pytest.raises(ValueError, match="261 ids, e o modelo, 260"):
        load_pretrained(tmp_path)


# --- memória

BIG = dict(vocab_size=90_000, context_length=128, emb_dim=768, n_heads=12, n_layers=2)

MEASURE = """
import sys
from pathlib import Path
import torch
from homellm import weights

def peak():
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))

weights.load_pretrained(sys.argv[2]) if sys.argv[1] == "load_pretrained" else weights.load_gpt2(sys.argv[2])
before = peak()
model = getattr(weights, sys.argv[1])(sys.argv[3])
print(peak() - before)
"""


@pytest.mark.lento
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="o pico de memória é lido de /proc")
@pytest.mark.parametrize("name", ["load_pretrained", "load_gpt2"])
def test_peak_memory_is_barely_the_model(name, tmp_path):
    """300 MB de pesos, num processo que já leu um modelo pequeno: o que sobe é o que se mede."""
    small, big = GPTConfig(**SIZES), GPTConfig(**BIG)
    for config, folder in ((small, tmp_path / "pequeno"), (big, tmp_path / "grande")):
        model = GPT(config)
        if name == "load_gpt2":
            to_huggingface(model, folder)
        else:
            save_pretrained(model, TOKENIZER, folder)
    del model
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, name, tmp_path / "pequeno", tmp_path / "grande"],
        capture_output=True, text=True, encoding="utf-8", timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    size = (tmp_path / "grande" / "model.safetensors").stat().st_size
    assert size > 300e6
    assert 0.95 * size < int(done.stdout) < 1.2 * size  # e o medidor vê o modelo
