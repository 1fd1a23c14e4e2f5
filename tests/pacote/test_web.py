"""`homellm.web`: o que se quantiza, o arquivo que o motor lê, a página que abre sozinha."""

from __future__ import annotations

import json
import re
import struct

import pytest
import torch
from torch import nn

import homellm
from homellm import web
from homellm.classification import GPTClassifier
from homellm.model import GPT, GPTConfig
from homellm.tokenizer import CL100K_PATTERN, END, SPECIAL_TOKENS, BPETokenizer
from homellm.web import (
    describe_tokenizer,
    export_web,
    pack_model,
    quantize_rows,
    with_quantized_weights,
)

LETTERS = BPETokenizer({bytes([b]): b for b in range(256)}, {END: 256})
TALKS = LETTERS.with_special_tokens(SPECIAL_TOKENS[1:])


def tiny(**changes) -> GPT:
    torch.manual_seed(0)
    sizes = dict(vocab_size=260, context_length=7, emb_dim=6, n_heads=2, n_layers=2)
    return GPT(GPTConfig(**sizes | changes)).eval()


# ---------------------------------------------------------------- quantizar


@pytest.mark.parametrize("bits", [2, 4, 6, 8])
def test_the_error_is_at_most_half_a_step(bits):
    weight = torch.randn(50, 33, generator=torch.Generator().manual_seed(bits))
    integers, scales = quantize_rows(weight, bits)
    top = 2 ** (bits - 1) - 1
    assert integers.dtype == torch.int8 and integers.shape == weight.shape
    assert integers.abs().amax(1).eq(top).all()  # o maior de cada linha fica na ponta
    error = (integers * scales[:, None] - weight).abs()
    assert (error <= scales[:, None] / 2 + 1e-6).all()


def test_a_row_of_zeros_and_a_tiny_row_survive():
    weight = torch.zeros(3, 4)
    weight[1] = 1e-41  # menor que o menor float normal
    weight[2, 0] = -2.0
    integers, scales = quantize_rows(weight)
    assert integers[0].tolist() == [0] * 4 and integers[2].tolist() == [-127, 0, 0, 0]
    assert (integers * scales[:, None]).isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_dtypes_are_quantized_as_float32(dtype):
    integers, scales = quantize_rows(torch.randn(4, 5).to(dtype))
    assert (integers.dtype, scales.dtype) == (torch.int8, torch.float32)


@pytest.mark.parametrize("bits", [1, 9, 0])
def test_impossible_bits_are_refused(bits):
    with pytest.raises(ValueError, match=f"bits={bits}: precisa estar entre 2 e 8"):
        quantize_rows(torch.zeros(1, 1), bits)


def test_quantizing_a_model_leaves_the_original_and_the_vectors_alone():
    model = tiny()
    before = {name: p.clone() for name, p in model.named_parameters()}
    quantized = with_quantized_weights(model, bits=4)
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, before[name])
    for name, parameter in quantized.named_parameters():
        assert torch.equal(parameter, before[name]) == (parameter.dim() == 1)
    assert quantized.head.weight is quantized.token_embedding.weight


# ---------------------------------------------------------------- o arquivo


def unpack(packed: bytes) -> tuple[dict, dict[str, torch.Tensor]]:
    """O cabeçalho e os tensores, lidos como a descrição do formato manda."""
    assert packed[:8] == b"HOMELLM\n"
    (size,) = struct.unpack("<I", packed[8:12])
    header, body = json.loads(packed[12 : 12 + size]), packed[12 + size :]
    assert len(body) == header["bytes"]
    tensors, used = {}, 0
    for name, about in header["tensors"].items():
        rows, cols = (about["shape"] + [1])[:2]
        assert about["offset"] % 4 == 0
        if "scales" in about:
            data = torch.frombuffer(
                bytearray(body), dtype=torch.int8, offset=about["offset"], count=rows * cols
            )
            scales = torch.frombuffer(
                bytearray(body), dtype=torch.float32, offset=about["scales"], count=rows
            )
            tensors[name] = data.view(rows, cols) * scales[:, None]
            used += rows * cols + 4 * rows
        else:
            tensors[name] = torch.frombuffer(
                bytearray(body), dtype=torch.float32, offset=about["offset"], count=rows
            )
            used += 4 * rows
    assert used <= len(body) < used + 4 * len(tensors)  # só o que alinha
    return header, tensors


@pytest.mark.parametrize(
    "changes", [{}, {"tie_weights": False}, {"qkv_bias": False}, {"emb_dim": 5, "n_heads": 1}]
)
def test_the_file_holds_the_quantized_model(changes):
    model = tiny(**changes)
    header, tensors = unpack(pack_model(model, LETTERS))
    expected = dict(with_quantized_weights(model).named_parameters())
    assert tensors.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(tensors[name], tensor.detach())
    assert (header["kind"], header["labels"]) == ("GPT", None)
    assert GPTConfig(**header["config"]) == model.config


def test_the_file_of_a_classifier_has_its_labels():
    model = GPTClassifier(tiny(), 3, ("ruim", "médio", "bom"))
    header, tensors = unpack(pack_model(model, LETTERS))
    assert (header["kind"], header["labels"]) == ("GPTClassifier", ["ruim", "médio", "bom"])
    assert tensors["head.weight"].shape == (3, 6) and tensors["head.bias"].shape == (3,)


def test_a_compiled_or_half_precision_model_is_packed_the_same():
    model = tiny()
    assert pack_model(torch.compile(model), LETTERS) == pack_model(model, LETTERS)
    _, tensors = unpack(pack_model(tiny().to(torch.bfloat16), LETTERS))
    assert all(tensor.dtype == torch.float32 for tensor in tensors.values())


def test_what_is_not_a_gpt_is_refused():
    with pytest.raises(TypeError, match="a página só roda um GPT ou um GPTClassifier; veio Linear"):
        pack_model(nn.Linear(2, 2), LETTERS)
    changed = tiny()
    changed.blocks[0].extra = nn.Linear(2, 2)
    with pytest.raises(ValueError, match="não tem os tensores de um GPT"):
        pack_model(changed, LETTERS)


def test_broken_weights_and_a_foreign_tokenizer_are_refused():
    model = tiny()
    with torch.no_grad():
        model.norm.bias[2] = float("nan")
    with pytest.raises(ValueError, match="norm.bias tem NaN ou infinito"):
        pack_model(model, LETTERS)
    with pytest.raises(ValueError, match="o tokenizer tem 257 ids, e o modelo, 256: não são par"):
        pack_model(tiny(vocab_size=256), LETTERS)
    foreign = BPETokenizer(LETTERS.tokens, {END: 256}, CL100K_PATTERN)
    with pytest.raises(ValueError, match="não conhece o pré-corte"):
        pack_model(tiny(), foreign)


def test_the_description_of_a_tokenizer():
    about = describe_tokenizer(TALKS)
    assert about["ids"] is None and about["special_tokens"] == TALKS.special_tokens
    assert [token.encode("latin-1") for token in about["tokens"]] == list(TALKS.tokens)
    swapped = {bytes([b]): 255 - b for b in range(256)}
    assert describe_tokenizer(BPETokenizer(swapped, {}))["ids"] == list(range(255, -1, -1))


# ---------------------------------------------------------------- a página


def read_mode(page) -> str:
    found = re.search(r'<script id="conversa-ou-texto"[^>]*>(.*?)</script>', page.read_text("utf-8"))
    return json.loads(found[1])


def test_the_page_has_everything_inside(tmp_path):
    page = export_web(tiny(), LETTERS, tmp_path / "a" / "b")
    assert page == tmp_path / "a" / "b" / "index.html"
    assert (page.parent / "modelo.bin").read_bytes() == pack_model(tiny(), LETTERS)
    text = page.read_text("utf-8")
    assert "{{" not in text
    assert not re.search(r"^\s*(import|export) ", text, re.MULTILINE)
    assert not re.search(r'(?:src|href)="(?!data:)', text)


def test_what_the_page_does_depends_on_the_model_and_the_tokenizer(tmp_path):
    classifier = GPTClassifier(tiny(), 2)
    assert read_mode(export_web(tiny(), LETTERS, tmp_path)) == "texto"
    assert read_mode(export_web(tiny(), TALKS, tmp_path)) == "conversa"
    assert read_mode(export_web(tiny(), TALKS, tmp_path, chat=False)) == "texto"
    assert read_mode(export_web(tiny(), LETTERS, tmp_path, chat=True)) == "conversa"
    assert read_mode(export_web(classifier, TALKS, tmp_path)) == "classe"


def test_a_label_that_closes_the_script_does_no_harm(tmp_path):
    model = GPTClassifier(tiny(), 2, ("</script><b>", "{{pesos}}"))
    text = export_web(model, LETTERS, tmp_path).read_text("utf-8")
    assert "<b>" not in text and "{{" not in text  # os rótulos vão dentro dos pesos, em base64


def test_a_folder_that_cannot_be_is_refused_and_nothing_is_left(tmp_path):
    (tmp_path / "arquivo").write_text("oi")
    with pytest.raises(OSError, match="não consegui criar a pasta"):
        export_web(tiny(), LETTERS, tmp_path / "arquivo")
    with pytest.raises(TypeError):
        export_web(nn.Linear(2, 2), LETTERS, tmp_path / "nova")
    assert not (tmp_path / "nova").exists()


def test_an_install_without_the_sources_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(homellm, "__path__", [str(tmp_path / "homellm")])
    with pytest.raises(FileNotFoundError, match="não achei worker.js .* reinstale o homellm"):
        web.sources_folder()
