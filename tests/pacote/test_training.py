"""O laço de treino: contra `F.cross_entropy`, contas à mão, e contra si mesmo depois de morrer no meio.

Mortes, Ctrl-C e dois processos com gloo rodam este mesmo arquivo como programa: um pai que só importa o
PyTorch e vai criando filhos com `fork`.
"""

from __future__ import annotations

import importlib
import itertools
import json
import math
import os
import pickle
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import FrozenInstanceError, asdict, replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn
from torch.utils.data import DataLoader

from homellm import training
from homellm.data import SlidingWindowDataset, create_dataloader
from homellm.model import GPT
from homellm.tokenizer import BPETokenizer
from homellm.training import (
    History,
    TrainConfig,
    TrainingDiverged,
    bits_per_byte,
    compare_tensors,
    create_optimizer,
    evaluate,
    language_model_loss,
    learning_rate_at,
    load_checkpoint,
    next_token_loss,
    save_checkpoint,
    train,
)
from treinos import IDS, T, V, batches, tiny

pytestmark = pytest.mark.usefixtures("one_thread")
def weights(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def header(path: Path) -> dict:
    with safe_open(path, framework="pt") as file:
        return json.loads(file.metadata()["homellm"])


# --- avaliação


def test_evaluate_weighs_each_target_the_same():
    model = tiny(dropout=0.5)
    uneven = batches(3, rows=4, ignored=0.2) + batches(1, rows=1, seed=9, ignored=0.8)
    logits = torch.cat([model.eval()(x) for x, _ in uneven])
    expected = F.cross_entropy(logits.detach().flatten(0, 1), torch.cat([y for _, y in uneven]).flatten())
    model.train()
    assert evaluate(model, uneven) == pytest.approx(float(expected), rel=1e-6)
    assert model.training  # volta ao modo em que estava
    model.eval()
    assert evaluate(model, uneven, max_batches=2) == pytest.approx(evaluate(model, uneven[:2]))
    assert not model.training
    with pytest.raises(ValueError, match="vazio"):
        evaluate(model, [])
    with pytest.raises(ValueError, match="não há alvo"):
        evaluate(model, batches(2, ignored=1.1))


def test_evaluate_gives_the_mode_back_when_the_loss_fails():
    model = tiny().train()
    with pytest.raises(ZeroDivisionError):
        evaluate(model, batches(1), lambda m, b: 1 / 0)
    assert model.training


BYTES = BPETokenizer({bytes([b]): b for b in range(256)}, {"<|endoftext|>": 256})
MERGED = BPETokenizer.train("o rato roeu a roupa do rei de Roma; a rainha, com raiva, resolveu remendar", 290)


@torch.no_grad()
def bits_one_by_one(model: GPT, tokenizer: BPETokenizer, text: str) -> float:
    """Cada alvo com uma passada só sua: a janela é a primeira, de meia em meia, que chega até ele."""
    ids = [tokenizer.special_tokens["<|endoftext|>"], *tokenizer.encode(text)]
    size, bits = model.config.context_length, 0.0
    half = max(1, size // 2)
    for target in range(1, len(ids)):
        start = 0
        while start + size < target:
            start += half
        window = torch.tensor([ids[start:target]])
        bits -= float(model.eval()(window)[0, -1].log_softmax(-1)[ids[target]]) / math.log(2)
    return bits / len(text.encode("utf-8"))


@settings(deadline=None, max_examples=40)
@given(st.text(st.sampled_from("aeo rç🍎\n"), min_size=1, max_size=40), st.integers(1, 9), st.integers(1, 5))
def test_bits_per_byte_one_by_one(text, context, batch_size):
    model = tiny(dropout=0.3, vocab_size=MERGED.vocab_size, context_length=context).train()
    with torch.no_grad():  # longe da uniforme, para que cada posição custe diferente
        model.head.weight *= 30
    expected = bits_one_by_one(model, MERGED, text)
    assert bits_per_byte(model.train(), MERGED, text, batch_size) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("tokenizer", [BYTES, MERGED], ids=["bytes", "bpe"])
@pytest.mark.parametrize("text", ["a", "maçã", "o rato roeu a roupa do rei de Roma. " * 9])
def test_uniform_model_pays_log2_of_the_vocabulary_per_token(tokenizer, text):
    model = tiny(vocab_size=tokenizer.vocab_size)
    nn.init.zeros_(model.head.weight)
    expected = math.log2(tokenizer.vocab_size) * len(tokenizer.encode(text)) / len(text.encode("utf-8"))
    assert bits_per_byte(model, tokenizer, text) == pytest.approx(expected, rel=1e-6)


def test_bits_per_byte_takes_the_special_token_in_the_text_as_text():
    model = tiny(vocab_size=257)
    nn.init.zeros_(model.head.weight)
    assert bits_per_byte(model, BYTES, "<|endoftext|>") == pytest.approx(math.log2(257))
    with pytest.raises(ValueError, match="vazio"):
        bits_per_byte(model, BYTES, "")
    with pytest.raises(ValueError, match=r"não tem o token especial <\|endoftext\|>"):
        bits_per_byte(model, BPETokenizer({bytes([b]): b for b in range(256)}, {}), "a")


# --- configuração, taxa, otimizador


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *itertools.product(
            ["epochs", "max_steps", "accumulation_steps", "eval_every", "eval_batches"],
            [0, -1, 1.5, True, "2"],
        ),
        *itertools.product(["learning_rate"], [0, -1e-3, math.nan, math.inf]),
        *itertools.product(["warmup_steps"], [-1, 0.5, True]),
        *itertools.product(["final_lr"], [-0.1, 1.1, math.nan]),
        *itertools.product(["weight_decay"], [-0.1, math.nan, math.inf]),
        *itertools.product(["grad_clip"], [0, -1.0, math.nan]),
        *itertools.product(["betas"], [(0.9,), (0.9, 1.0), (-0.1, 0.9), (0.9, math.nan)]),
        *itertools.product(["precision"], ["fp8", "", None]),
    ],
)
def test_config_names_the_bad_field_and_its_value(field, value):
    with pytest.raises(ValueError, match=field) as error:
        TrainConfig(**{field: value})
    assert str(value) in str(error.value)


def test_config_is_frozen_and_survives_json():
    config = TrainConfig(max_steps=3, betas=[0.8, 0.9], grad_clip=None)
    assert TrainConfig(**json.loads(json.dumps(asdict(config)))) == config
    with pytest.raises(FrozenInstanceError):
        config.epochs = 2


@settings(deadline=None)
@given(st.integers(1, 60), st.integers(0, 70), st.floats(0, 1), st.floats(1e-6, 1))
def test_learning_rate_formula(total, warmup, final, peak):
    config = TrainConfig(learning_rate=peak, warmup_steps=warmup, final_lr=final)
    rates = [learning_rate_at(step, total, config) for step in range(total)]
    for step, rate in enumerate(rates):
        if step < warmup:
            expected = peak * (step + 1) / warmup
        else:
            angle = math.pi * (step - warmup) / (total - warmup)
            expected = peak * final + peak * (1 - final) * 0.5 * (1 + math.cos(angle))
        assert rate == pytest.approx(expected, rel=1e-9, abs=1e-15)
    assert max(rates) <= peak * (1 + 1e-12)
    if warmup < total:
        assert max(rates) == pytest.approx(peak)  # chega ao pico
        assert rates[warmup:] == sorted(rates[warmup:], reverse=True)


def test_the_loop_uses_that_rate_and_stops_at_max_steps():
    config = TrainConfig(max_steps=7, learning_rate=0.01, warmup_steps=3, final_lr=0.2)
    history = train(tiny(), batches(2), None, config, progress=False)  # dá mais de três voltas em dois lotes
    assert history.lr == [learning_rate_at(step, 7, config) for step in range(7)]
    assert len(history.step_loss) == 7 and history.steps == [7]


def test_only_matrices_decay_and_the_tied_table_counts_once():
    model = tiny()
    decayed, spared = create_optimizer(model, TrainConfig(weight_decay=0.3)).param_groups
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.3, 0.0)
    assert {p.dim() for p in decayed["params"]} == {2} and {p.dim() for p in spared["params"]} == {1}
    ids = [id(p) for p in decayed["params"] + spared["params"]]
    assert sorted(ids) == sorted({id(p) for p in model.parameters()})
    assert ids.count(id(model.token_embedding.weight)) == 1
    model.blocks.requires_grad_(False)
    assert sum(len(g["params"]) for g in create_optimizer(model, TrainConfig()).param_groups) == 4
    with pytest.raises(ValueError, match="requires_grad"):
        create_optimizer(model.requires_grad_(False), TrainConfig())


# --- o laço


def test_one_step_is_adamw_by_hand():
    """Um passo do laço contra AdamW, corte e taxa escritos por extenso."""
    config = TrainConfig(max_steps=1, learning_rate=0.01, grad_clip=0.05, weight_decay=0.1)
    (batch,) = batches(1)
    model, other = tiny(), tiny()
    train(model, [batch], None, config, progress=False)
    next_token_loss(other(batch[0]), batch[1]).backward()
    norm = torch.cat([p.grad.flatten() for p in other.parameters()]).norm()
    assert norm > 0.05
    for name, p in other.named_parameters():
        grad = p.grad * 0.05 / (norm + 1e-6)
        old = p.detach() * (1 - 0.01 * 0.1 * (p.dim() == 2))
        expected = old - 0.01 * grad / (grad.abs() + 1e-8)  # no primeiro passo, m/√v = g/|g|
        seen = grad.abs() > 1e-6  # o viés de K não muda a atenção: o gradiente dele é só arredondamento
        assert seen.any()
        torch.testing.assert_close(
            model.get_parameter(name).detach()[seen], expected[seen], rtol=1e-4, atol=1e-6
        )


def test_without_clipping_the_gradient_is_whole(monkeypatch):
    norms = []
    for clip in (1e-3, None):
        model = tiny()
        stepped = torch.optim.AdamW.step

        def spy(self, *args, stepped=stepped, model=model, **kwargs):
            norms.append(float(torch.cat([p.grad.flatten() for p in model.parameters()]).norm()))
            return stepped(self, *args, **kwargs)

        monkeypatch.setattr(torch.optim.AdamW, "step", spy)
        train(model, batches(1), None, TrainConfig(grad_clip=clip), progress=False)
        monkeypatch.undo()
    assert norms[0] == pytest.approx(1e-3, rel=1e-3) and norms[1] > 1e-2


@pytest.mark.parametrize("parts", [2, 3])
def test_accumulating_is_one_big_batch(parts):
    """Também com alvos ignorados em número desigual: a média é por alvo, e não por lote."""
    small_ones = batches(4 * parts, rows=2, ignored=0.5)
    groups = [small_ones[i : i + parts] for i in range(0, len(small_ones), parts)]
    big_ones = [tuple(map(torch.cat, zip(*group, strict=True))) for group in groups]
    config = TrainConfig(max_steps=8, learning_rate=1e-3)
    big, accumulated = tiny(), tiny()
    expected = train(big, big_ones, None, config, progress=False)
    config = replace(config, accumulation_steps=parts)
    history = train(accumulated, small_ones, None, config, progress=False)
    assert history.step_loss == pytest.approx(expected.step_loss, rel=1e-5)
    assert history.tokens == expected.tokens == 2 * sum(int((y >= 0).sum()) for _, y in big_ones)
    for name, p in weights(big).items():
        torch.testing.assert_close(accumulated.get_parameter(name).detach(), p, rtol=1e-3, atol=1e-5)


def test_epochs_count_whole_steps():
    config = TrainConfig(epochs=3, accumulation_steps=2)
    assert len(train(tiny(), batches(5), None, config, progress=False).step_loss) == 6
    with pytest.raises(ValueError, match="uma época tem 1 lotes, e cada passo usa 2"):
        train(tiny(), batches(1), None, config, progress=False)
    with pytest.raises(ValueError, match="lote algum"):
        train(tiny(), [], None, TrainConfig(max_steps=1), progress=False)


def test_training_learns_a_sequence():
    """Contar de 0 a 8, em roda: a perda vai de ln V a quase nada."""
    ids = torch.arange(200) % 9
    loader, val = create_dataloader(ids, 8, T), create_dataloader(ids[:60], 4, T, shuffle=False)
    config = TrainConfig(max_steps=60, learning_rate=0.02, warmup_steps=5, eval_every=20)
    history = train(tiny(dropout=0.0), loader, val, config, progress=False)
    assert history.steps == [0, 20, 40, 60]
    assert history.val_loss[0] == pytest.approx(math.log(V), abs=0.1) and history.val_loss[-1] < 0.2
    assert math.isnan(history.train_loss[0])
    means = [sum(history.step_loss[i : i + 20]) / 20 for i in (0, 20, 40)]
    assert history.train_loss[1:] == pytest.approx(means)
    assert (history.tokens, history.interrupted) == (60 * 8 * T, False) and history.seconds > 0


def test_training_takes_any_module_with_its_loss():
    """O mesmo laço ajusta uma reta, com três tensores por lote."""
    x = torch.linspace(-1, 1, 32)[:, None]
    data = [(x, x.flip(0), 3 * x - 1)]
    model = nn.Linear(1, 1)

    def squared(model, batch):
        return (model(batch[0]) - batch[-1]).square().mean()

    config = TrainConfig(max_steps=200, learning_rate=0.1, weight_decay=0.0, grad_clip=None)
    history = train(model, data, data, config, loss_fn=squared, progress=False)
    assert (model.weight.item(), model.bias.item()) == pytest.approx((3, -1), abs=0.05)
    assert history.val_loss[-1] < 0.01


def test_a_batch_without_targets_changes_the_loss_by_nothing():
    with_empty = [batches(1)[0], batches(1, ignored=1.1)[0]]
    history = train(tiny(), with_empty, None, TrainConfig(epochs=2), progress=False)
    assert history.step_loss[1::2] == [0.0, 0.0] and history.step_loss[0] > 0
    assert history.tokens == 2 * 4 * T


def test_on_eval_is_called_with_the_step_and_the_model():
    calls, model = [], tiny()
    config = TrainConfig(max_steps=5, eval_every=2)
    train(
        model,
        batches(2),
        None,
        config,
        on_eval=lambda step, m: calls.append((step, m is model)),
        progress=False,
    )
    assert calls == [(0, True), (2, True), (4, True), (5, True)]


def noisy(step, model):
    torch.rand(3)


@pytest.mark.parametrize("options", [{}, {"eval_every": 1}, {"eval_every": 2, "eval_batches": 1}])
def test_same_seed_same_numbers_whatever_is_evaluated(options):
    """Com dropout: nem o carregador de validação nem `on_eval`, que sorteiam, mexem no treino."""
    config = TrainConfig(epochs=2, seed=5)
    losses = []
    for changed, on_eval in ((config, None), (replace(config, **options), noisy if options else None)):
        model, loader = tiny(dropout=0.3), create_dataloader(IDS, 4, T)
        val = DataLoader(SlidingWindowDataset(IDS, T), 4, shuffle=True)  # sorteia no gerador global
        history = train(model, loader, val, changed, on_eval=on_eval, progress=False)
        losses.append((history.step_loss, weights(model)))
    assert losses[0][0] == losses[1][0] and same(losses[0][1], losses[1][1])
    other = train(
        tiny(dropout=0.3), create_dataloader(IDS, 4, T), None, replace(config, seed=6), progress=False
    )
    assert other.step_loss != losses[0][0]


def test_history_draws_its_curves():
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    history = History([0, 2, 4], [math.nan, 2.0, 1.0], [3.0, 2.5, 2.2], [3.0, 2.0, 1.5, 1.0], [0.1] * 4)
    ax = history.plot()
    assert [line.get_label() for line in ax.lines] == ["treino, cada lote", "treino, média", "validação"]
    assert ax.lines[0].get_xydata().tolist() == [[1, 3.0], [2, 2.0], [3, 1.5], [4, 1.0]]
    assert ax.lines[2].get_ydata().tolist() == [3.0, 2.5, 2.2]
    history.val_loss = [math.nan] * 3
    assert len(history.plot().lines) == 2
    plt.close("all")


# --- precisões


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_stays_close_and_resumes_to_the_same_numbers(precision, tmp_path):
    exact = train(tiny(), batches(4), None, TrainConfig(epochs=3), progress=False)
    config = TrainConfig(epochs=3, precision=precision, eval_every=1)
    model = tiny()
    half = train(model, batches(4), None, config, checkpoint=tmp_path / "inteiro", progress=False)
    assert half.step_loss == pytest.approx(exact.step_loss, rel=0.01)
    assert half.step_loss != exact.step_loss  # de fato com menos algarismos
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    with pytest.raises(Crash):
        train(
            tiny(),
            batches(4),
            None,
            config,
            checkpoint=tmp_path / "partes",
            on_eval=crash_at(7),
            progress=False,
        )
    train(tiny(), batches(4), None, config, checkpoint=tmp_path / "partes", resume=True, progress=False)
    assert_same_checkpoint(tmp_path / "inteiro", tmp_path / "partes")
    scaler = header(tmp_path / "partes")["state"]["scaler"]
    assert (scaler.get("_growth_tracker", 0), bool(scaler)) == (
        (12, True) if precision == "fp16" else (0, False)
    )


def test_fp16_skips_the_step_whose_gradient_overflows():
    """O começo usual na T4: escala alta demais, gradiente infinito, passo pulado, escala pela metade."""
    calls = itertools.count()

    def exploding(model, batch):
        factor = 1e38 if next(calls) == 1 else 1.0
        loss = language_model_loss(model, batch)
        return loss + (factor * model.norm.bias.sum() - (factor * model.norm.bias.sum()).detach())

    model = tiny()
    config = TrainConfig(max_steps=4, precision="fp16", learning_rate=1e-3)
    history = train(model, batches(4), None, config, loss_fn=exploding, progress=False)
    assert len(history.step_loss) == 4 and all(p.isfinite().all() for p in model.parameters())


def test_a_training_begun_without_fp16_goes_on_with_it(tmp_path, monkeypatch):
    """Começar na CPU e continuar, com precision="auto", numa GPU que só tem fp16."""
    config = TrainConfig(max_steps=4, eval_every=1)
    with pytest.raises(Crash):
        train(
            tiny(), batches(4), None, config, checkpoint=tmp_path / "c", on_eval=crash_at(3), progress=False
        )
    monkeypatch.setattr(training, "resolve_precision", lambda *_: torch.float16)
    history = train(tiny(), batches(4), None, config, checkpoint=tmp_path / "c", resume=True, progress=False)
    assert len(history.step_loss) == 4


# --- parar e continuar


class Crash(Exception):
    """O processo que cai no meio do treino."""


def crash_at(step: int):
    """Cai na avaliação do passo, antes de gravar: o último checkpoint é o de antes."""

    def on_eval(now, model):
        torch.rand(2)
        if now == step:
            raise Crash

    return on_eval


def interrupt_at(step: int):
    """Ctrl-C enquanto o passo roda."""
    calls = itertools.count(1)

    def loss_fn(model, batch):
        if model.training and next(calls) == step:
            signal.raise_signal(signal.SIGINT)
        return language_model_loss(model, batch)

    return loss_fn


def assert_same_checkpoint(one: Path, other: Path) -> None:
    """Pesos, otimizador, sorteios, posição e perdas: tudo, menos as avaliações e o relógio."""
    assert same(load_file(one), load_file(other))
    a, b = header(one), header(other)
    for data in (a, b):
        for name in ("seconds", "steps", "train_loss", "val_loss"):
            del data["state"]["history"][name]
        for name in ("eval_every", "eval_batches"):
            del data["state"]["config"][name]
    assert a == b


LOADERS = {
    "create_dataloader": lambda: create_dataloader(IDS, 4, T),
    "gerador global": lambda: DataLoader(SlidingWindowDataset(IDS, T), 4, shuffle=True, drop_last=True),
    "com auxiliares": lambda: create_dataloader(IDS, 4, T, num_workers=1),
    "lista": lambda: batches(8),
}
# 33 janelas, 8 lotes por época; 3 lotes por passo: 6 passos em 3 épocas, e o passo 3 usa lotes de duas
LONG = TrainConfig(epochs=3, accumulation_steps=3, learning_rate=0.01, warmup_steps=2, seed=4)
VAL = batches(2, seed=8)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inteiros")
    for name, loader in LOADERS.items():
        train(tiny(0.3), loader(), VAL, LONG, checkpoint=folder / name, progress=False)
    return folder


STOPS = [(1,), (2,), (3,), (5,), (1, 2, 3, 4, 5)]


@pytest.mark.parametrize(
    ("name", "stops"),
    [*itertools.product(["create_dataloader", "gerador global", "lista"], STOPS), ("com auxiliares", (2, 4))],
)
def test_resuming_gives_the_numbers_of_a_training_that_never_stopped(name, stops, uninterrupted, tmp_path):
    path, config = tmp_path / "c.safetensors", replace(LONG, eval_every=1)
    for stop in stops:  # cai depois de gravar o passo `stop`
        with pytest.raises(Crash):
            train(tiny(0.3), LOADERS[name](), VAL, config, checkpoint=path, resume=True,
                  on_eval=crash_at(stop + 1), progress=False)  # fmt: skip
        assert len(header(path)["state"]["history"]["step_loss"]) == stop
        torch.manual_seed(random.getrandbits(30))  # outro processo, outros sorteios
    history = train(
        tiny(0.3, seed=99), LOADERS[name](), VAL, LONG, checkpoint=path, resume=True, progress=False
    )
    assert_same_checkpoint(uninterrupted / name, path)
    assert len(history.step_loss) == 6 and not history.interrupted


@pytest.mark.parametrize("stop", [1, 8, 9, 17])  # micropassos: 3 por passo
def test_ctrl_c_finishes_the_step_and_resumes_to_the_same_numbers(stop, uninterrupted, tmp_path):
    path = tmp_path / "c.safetensors"
    before = signal.getsignal(signal.SIGINT)
    history = train(tiny(0.3), LOADERS["gerador global"](), VAL, LONG, checkpoint=path,
                    loss_fn=interrupt_at(stop), on_eval=noisy, progress=False)  # fmt: skip
    assert history.interrupted == (stop < 16)  # no último passo não sobra o que interromper
    assert len(history.step_loss) == (stop + 2) // 3 and history.steps[-1] == len(history.step_loss)
    assert signal.getsignal(signal.SIGINT) is before
    history = train(
        tiny(0.3), LOADERS["gerador global"](), VAL, LONG, checkpoint=path, resume=True, progress=False
    )
    assert not history.interrupted
    assert_same_checkpoint(uninterrupted / "gerador global", path)


def test_resuming_what_is_finished_only_loads_it(tmp_path):
    path, model = tmp_path / "c.safetensors", tiny()
    done = train(model, batches(3), None, TrainConfig(), checkpoint=path, progress=False)
    before, again = path.read_bytes(), tiny(seed=50)
    history = train(again, batches(3), None, TrainConfig(), checkpoint=path, resume=True, progress=False)
    assert json.dumps(asdict(history)) == json.dumps(asdict(done))
    assert same(weights(again), weights(model)) and path.read_bytes() == before


def test_an_existing_checkpoint_is_not_overwritten_unasked(tmp_path):
    path, model = tmp_path / "c.safetensors", tiny()
    train(model, batches(3), None, TrainConfig(), checkpoint=path, progress=False)
    before = path.read_bytes()
    with pytest.raises(FileExistsError, match=r"c\.safetensors já existe: passe resume=True"):
        train(model, batches(3), None, TrainConfig(), checkpoint=path, progress=False)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("field", "value"),
    [("learning_rate", 0.5), ("betas", (0.8, 0.9)), ("max_steps", 9), ("grad_clip", None), ("seed", 1)],
)
def test_another_configuration_is_refused(field, value, tmp_path):
    path = tmp_path / "c.safetensors"
    train(tiny(), batches(3), None, TrainConfig(), checkpoint=path, progress=False)
    config = replace(TrainConfig(), **{field: value})
    with pytest.raises(ValueError, match=rf"c\.safetensors.*{field} era .* e agora é") as error:
        train(tiny(), batches(3), None, config, checkpoint=path, resume=True, progress=False)
    assert str(value) in str(error.value) and str(getattr(TrainConfig(), field)) in str(error.value)


# --- divergência


def diverge_at(step: int, how: str):
    calls = itertools.count(1)

    def loss_fn(model, batch):
        loss = language_model_loss(model, batch)
        if how == "validação":
            return loss if model.training or next(calls) < len(VAL) * step else loss * math.nan
        if not model.training or next(calls) != step:
            return loss
        if how == "gradiente":  # √0 vale 0, e a derivada não existe
            return loss + (0 * model.norm.weight.sum()).sqrt()
        return loss * float(how)

    return loss_fn


@pytest.mark.parametrize("how", ["nan", "inf", "-inf", "gradiente", "validação"])
def test_divergence_stops_and_keeps_the_last_good_checkpoint(how, tmp_path):
    path, kept = tmp_path / "c.safetensors", []

    def keep(step, model):
        kept.append(path.read_bytes() if path.exists() else None)

    config = TrainConfig(max_steps=9, eval_every=1)
    with pytest.raises(
        TrainingDiverged, match=r"(nan|inf) depois do passo \d.*learning_rate.*c\.safetensors"
    ) as e:
        train(tiny(), batches(3), VAL, config, checkpoint=path, loss_fn=diverge_at(4, how), on_eval=keep,
              progress=False)  # fmt: skip
    assert isinstance(e.value, RuntimeError)
    assert list(tmp_path.iterdir()) == [path]
    good = header(path)["state"]["history"]["step_loss"]
    assert len(good) >= 2 and all(map(math.isfinite, good))
    assert all(t.isfinite().all() for n, t in load_file(path).items() if not n.startswith(("rng", "extra")))
    assert kept[-1] is None or kept[-1] != path.read_bytes()  # gravado depois da última avaliação boa
    again = train(tiny(), batches(3), VAL, config, checkpoint=path, resume=True, progress=False)
    assert len(again.step_loss) == 9


def test_a_rate_too_high_is_noticed_before_the_weights_are_kept(tmp_path):
    config = TrainConfig(max_steps=4, eval_every=1, learning_rate=1e30)
    with pytest.raises(TrainingDiverged, match=r"taxa \d\.\d\de\+(29|30)"):
        train(tiny(), batches(4), VAL, config, checkpoint=tmp_path / "c", progress=False)
    assert list(tmp_path.iterdir()) == []


# --- arquivos


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "c.safetensors"
    train(tiny(0.1), batches(3), None, TrainConfig(), checkpoint=path, progress=False)
    return path


def refused(path: Path, match: str, model: GPT | None = None) -> None:
    """O erro diz o arquivo, e nada mudou: nem o modelo, nem o otimizador, nem os sorteios."""
    model = model or tiny(seed=50)
    optimizer = create_optimizer(model, TrainConfig())
    before, rng = weights(model), torch.get_rng_state()
    with pytest.raises(ValueError, match=match) as error:
        load_checkpoint(path, model, optimizer)
    assert str(path) in str(error.value)
    assert same(weights(model), before) and not optimizer.state and torch.equal(torch.get_rng_state(), rng)


def test_truncated_at_any_length(saved):
    whole = saved.read_bytes()
    cuts = {0, 1, 7, 8, 9, 100, len(whole) - 1, *random.Random(0).sample(range(len(whole)), 60)}
    for cut in sorted(cuts):
        saved.write_bytes(whole[:cut])
        refused(saved, "truncado ou estragado")
    saved.write_bytes(whole + b"x")
    refused(saved, "truncado ou estragado")


def test_what_is_not_a_checkpoint(tmp_path):
    path = tmp_path / "x.safetensors"
    for content in (b"{}" * 40, b"PK\x03\x04" + bytes(80), pickle.dumps({"a": 1}), "olá, mundo".encode() * 9):
        path.write_bytes(content)
        refused(path, "truncado ou estragado")
    torch.save(weights(tiny()), path)
    refused(path, "truncado ou estragado")
    for metadata in (
        None,
        {"format": "pt"},
        *({"homellm": text} for text in ("{", "[]", "7", "null", '{"a": 1}')),
    ):
        save_file({"a": torch.zeros(2)}, path, metadata)
        refused(path, "não um checkpoint deste livro")
    for version in (2, None):
        content = json.dumps({"format": "homellm-treino"} | ({"version": version} if version else {}))
        save_file({"a": torch.zeros(2)}, path, {"homellm": content})
        refused(path, f"versão {version}")
    for missing in (tmp_path / "nada", tmp_path):
        with pytest.raises(FileNotFoundError, match=str(missing)):
            load_checkpoint(missing, tiny())


def test_checkpoint_of_another_model_lists_every_tensor(saved):
    refused(saved, r"outro modelo:\n- falta head.weight, \(19, 8\)$", tiny(tie_weights=False))
    with pytest.raises(ValueError) as error:
        load_checkpoint(saved, tiny(emb_dim=12, n_layers=2))
    lines = str(error.value).splitlines()[1:]
    assert len(lines) == 12 + 16 and "- falta blocks.1.norm1.weight, (12,)" in lines
    assert "- token_embedding.weight: esperava (19, 12), veio (19, 8)" in lines
    frozen = tiny(seed=50)
    frozen.blocks.requires_grad_(False)
    refused(saved, r"treina \[\d+, \d+\] matrizes e vetores, e este modelo, \[2, 2\]", frozen)


def test_compare_tensors():
    a, b, c = torch.zeros(2, 3), torch.zeros(3, 2), torch.zeros(4)
    assert compare_tensors({"a": a}, {"a": a}) == ""
    lines = ["- falta c, (4,)", "- sobra d, (3, 2)", "- a: esperava (2, 3), veio (3, 2)"]
    assert compare_tensors({"a": a, "c": c}, {"a": b, "d": b}).splitlines() == lines


def test_save_and_load_with_tensors_and_buffers(tmp_path):
    class Counter(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(3, 2)
            self.register_buffer("seen", torch.tensor(0))

    model, other = Counter(), Counter()
    model.seen += 7
    optimizer = create_optimizer(model, TrainConfig())
    path = tmp_path / "nova" / "pasta" / "c.safetensors"
    save_checkpoint(path, model, optimizer, {"nota": "maçã"}, {"t": torch.arange(6).view(2, 3).t()})
    state, tensors = load_checkpoint(path, other)
    assert state == {"nota": "maçã"} and tensors["t"].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert other.seen == 7 and torch.equal(other.linear.weight, model.linear.weight)


def test_a_write_that_fails_leaves_the_old_checkpoint(saved, monkeypatch):
    before = saved.read_bytes()

    def full_disk(tensors, path, metadata):
        Path(path).write_bytes(b"metade")
        raise OSError("disco cheio")

    monkeypatch.setattr(training, "save_file", full_disk)
    model = tiny()
    with pytest.raises(OSError, match="disco cheio"):
        save_checkpoint(saved, model, create_optimizer(model, TrainConfig()), {})
    assert saved.read_bytes() == before and list(saved.parent.iterdir()) == [saved]


# --- torch.compile


def cpp_compiler() -> str | None:
    return next(filter(None, map(shutil.which, (os.environ.get("CXX", "g++"), "c++", "clang++"))), None)


@pytest.mark.skipif(not cpp_compiler(), reason="torch.compile na CPU pede um compilador de C++, e não há")
def test_compiled_equals_eager(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    config = TrainConfig(max_steps=4, learning_rate=0.01)
    eager, compiled = tiny(), tiny()
    expected = train(eager, batches(4, ignored=0.2), VAL, config, progress=False)
    config = replace(config, compile=True)
    history = train(compiled, batches(4, ignored=0.2), VAL, config, progress=False)
    torch.compiler.reset()
    assert any(tmp_path.rglob("*.so"))  # houve o que compilar
    assert history.step_loss == pytest.approx(expected.step_loss, rel=1e-5)
    assert history.val_loss == pytest.approx(expected.val_loss, rel=1e-4)
    assert list(weights(compiled)) == list(weights(eager))  # os nomes dos pesos não mudam


# --- outros processos

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="este sistema não tem fork")
MANY = TrainConfig(max_steps=60, accumulation_steps=2, learning_rate=0.01, seed=4, eval_every=1)


def program(name: str, *arguments: object) -> str:
    """Roda uma das funções abaixo num processo novo, e devolve o que ela imprimiu."""
    done = subprocess.run(
        [sys.executable, "-W", "error", __file__, name, *map(str, arguments)], capture_output=True, text=True,
        encoding="utf-8", stdin=subprocess.DEVNULL, timeout=300, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def in_child(work, *arguments) -> int:
    """O número do processo filho, que roda `work` e sai com 0, ou com 1 e o erro no stderr."""
    sys.stdout.flush()
    if pid := os.fork():
        return pid
    try:
        work(*arguments)
        sys.stdout.flush()
        os._exit(0)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        sys.stderr.flush()
    finally:
        os._exit(1)


def many_steps(path: Path) -> None:
    history = train(
        tiny(0.3), LOADERS["gerador global"](), VAL, MANY, checkpoint=path, resume=True, progress=False
    )
    print(f"interrompido={history.interrupted} em {len(history.step_loss)}")


def kill(folder: str) -> None:
    """Mata o treino em momentos ao acaso, e o deixa acabar: os filhos que herdam um checkpoint o leem."""
    rng, path = random.Random(0), Path(folder) / "c.safetensors"
    for _ in range(8):
        child = in_child(many_steps, path)
        before, limit = path.stat().st_mtime_ns if path.exists() else 0, time.monotonic() + 60
        while (path.stat().st_mtime_ns if path.exists() else 0) == before and time.monotonic() < limit:
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.05))  # uns passos depois, em qualquer ponto de um
        os.kill(child, signal.SIGKILL)
        assert os.waitpid(child, 0)[1] in (signal.SIGKILL, 0)  # morto, ou acabou antes
        print("passos:", len(header(path)["state"]["history"]["step_loss"]))
    assert os.waitpid(in_child(many_steps, path), 0)[1] == 0
    print("pasta:", sorted(p.name for p in Path(folder).iterdir()))


def ctrl_c(folder: str) -> None:
    """Ctrl-C vindo de fora, duas vezes, e o treino até o fim."""
    path = Path(folder) / "c.safetensors"
    for stop in (3, 9):
        child = in_child(many_steps, path)
        limit = time.monotonic() + 60
        while time.monotonic() < limit:
            if path.exists() and len(header(path)["state"]["history"]["step_loss"]) >= stop:
                break
            time.sleep(0.002)
        os.kill(child, signal.SIGINT)
        assert os.waitpid(child, 0)[1] == 0  # sai com código 0
    assert os.waitpid(in_child(many_steps, path), 0)[1] == 0


@pytest.fixture(scope="module")
def never_killed(tmp_path_factory):
    path = tmp_path_factory.mktemp("inteiro") / "c.safetensors"
    train(tiny(0.3), LOADERS["gerador global"](), VAL, MANY, checkpoint=path, progress=False)
    return path


@needs_fork
def test_killed_at_any_moment_the_checkpoint_is_whole_and_the_end_is_the_same(tmp_path, never_killed):
    output = program("kill", tmp_path)
    steps = [int(line.split()[1]) for line in output.splitlines() if line.startswith("passos:")]
    assert len(steps) == 8 and steps == sorted(steps) and 0 < steps[0] < 60  # cada um partiu do anterior
    assert output.splitlines()[-1] in (
        "pasta: ['c.safetensors']",
        "pasta: ['.c.safetensors.tmp', 'c.safetensors']",
    )
    assert_same_checkpoint(tmp_path / "c.safetensors", never_killed)


def test_what_a_kill_left_behind_goes_with_the_next_save(tmp_path):
    leftover = tmp_path / ".c.safetensors.tmp"
    leftover.mkdir()
    (leftover / "c.safetensors").write_bytes(b"meio arquivo")
    (leftover / ".tmpAbC123").write_bytes(b"da biblioteca")  # a safetensors cria um destes antes do outro
    path, config = tmp_path / "c.safetensors", TrainConfig(max_steps=2)
    train(tiny(), LOADERS["gerador global"](), config=config, checkpoint=path, progress=False)
    assert [p.name for p in tmp_path.iterdir()] == ["c.safetensors"]


@needs_fork
def test_ctrl_c_from_outside_ends_cleanly_and_resumes(tmp_path, never_killed):
    said = program("ctrl_c", tmp_path).splitlines()
    assert [line.split(" ")[0] for line in said] == ["interrompido=True"] * 2 + ["interrompido=False"]
    first, second, last = (int(line.split()[-1]) for line in said)
    assert 3 <= first < second < last == 60
    assert_same_checkpoint(tmp_path / "c.safetensors", never_killed)


def shared_batches() -> list:
    """Lotes de 8 linhas em que os alvos que contam se dividem mal entre os processos."""
    return batches(6, rows=8, ignored=0.6)


def one_of_two(rank: int, folder: Path) -> None:
    """Um dos dois processos: as mesmas tarefas que o teste faz sozinho."""
    import torch.distributed as dist

    dist.init_process_group("gloo", init_method=f"file://{folder}/encontro", rank=rank, world_size=2)
    for accumulation, shard in itertools.product((1, 2), (False, True)):
        model = tiny(seed=rank)  # pesos diferentes: valem os do processo 0
        config = TrainConfig(max_steps=12, learning_rate=0.01, accumulation_steps=accumulation, eval_every=4,
                             shard=shard)  # fmt: skip
        called = []

        def look(step, model, called=called):  # só o processo 0 é chamado, e pode usar o modelo inteiro
            called.append((step, float(model(VAL[0][0]).detach().sum())))

        name = f"{accumulation}-{'fatias' if shard else 'copias'}"
        path = folder / f"dois-{name}"
        history = train(model, shared_batches(), VAL, config, on_eval=look, checkpoint=path, progress=False)
        assert [step for step, _ in called] == ([] if rank else [0, 4, 8, 12])
        (folder / f"{rank}-{name}.json").write_text(json.dumps(asdict(history)))
        if shard and not rank:  # no fim os pesos estão inteiros, e um processo só pode gravá-los
            save_file({n: p.detach() for n, p in model.named_parameters()}, folder / f"pesos-{accumulation}")
    again = train(model, shared_batches(), VAL, config, progress=False)  # um modelo já repartido
    assert again.step_loss[0] < history.step_loss[0]
    config = TrainConfig(max_steps=12, learning_rate=0.01)
    loss_fn = interrupt_at(5) if rank else language_model_loss  # só um dos dois recebe o Ctrl-C
    history = train(tiny(seed=0), shared_batches(), VAL, config, loss_fn=loss_fn, progress=False,
                    checkpoint=folder / "parado")  # fmt: skip
    assert history.interrupted and len(history.step_loss) == 5
    dist.barrier()
    shutil.copy(folder / "parado", folder / f"fatias-{rank}")  # o que cópias deixaram, fatias continuam
    history = train(tiny(seed=9), shared_batches(), VAL, replace(config, shard=True), resume=True,
                    checkpoint=folder / f"fatias-{rank}", progress=False)  # fmt: skip
    (folder / f"{rank}-fatias.json").write_text(json.dumps(asdict(history)))
    for bad, changes in ((nn.Linear(2, 2), {}), (tiny(seed=0), {"precision": "fp16"})):
        with pytest.raises((TypeError, ValueError), match="shard=True"):
            train(bad, shared_batches(), VAL, replace(config, shard=True, **changes), progress=False)
    try:
        train(tiny(seed=0), batches(2, rows=3), None, TrainConfig(), progress=False)
    except ValueError as error:
        (folder / f"{rank}-erro").write_text(str(error))
    dist.destroy_process_group()


def two_processes(folder: str) -> None:
    children = [in_child(one_of_two, rank, Path(folder)) for rank in range(2)]
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]


@needs_fork
def test_two_processes_give_the_curve_of_one(tmp_path):
    program("two_processes", tmp_path)
    for rank in range(2):
        assert (tmp_path / f"{rank}-erro").read_text() == "um lote de 3 não se divide por 2 processos"
    for accumulation in (1, 2):
        config = TrainConfig(max_steps=12, learning_rate=0.01, accumulation_steps=accumulation, eval_every=4)
        model = tiny(seed=0)
        one = train(model, shared_batches(), VAL, config, checkpoint=tmp_path / f"um-{accumulation}",
                    progress=False)  # fmt: skip
        for kind, rank in itertools.product(("copias", "fatias"), range(2)):
            two = json.loads((tmp_path / f"{rank}-{accumulation}-{kind}.json").read_text())
            assert two["step_loss"] == pytest.approx(one.step_loss, rel=1e-5, abs=1e-6)
            assert two["val_loss"] == pytest.approx(one.val_loss, rel=1e-5)
            assert (two["tokens"], two["steps"]) == (one.tokens, one.steps)
        alone = load_file(tmp_path / f"um-{accumulation}")
        for kind in ("copias", "fatias"):  # os checkpoints dos três são o mesmo, otimizador incluído
            stored = load_file(tmp_path / f"dois-{accumulation}-{kind}")
            assert stored.keys() == alone.keys()
            for name in (n for n in alone if n.startswith(("model/", "optimizer/"))):
                torch.testing.assert_close(stored[name], alone[name], rtol=1e-3, atol=1e-4)
        final = load_file(tmp_path / f"pesos-{accumulation}")
        for name, p in weights(model).items():
            torch.testing.assert_close(final[name], p, rtol=1e-3, atol=1e-4)
    config = TrainConfig(max_steps=12, learning_rate=0.01)  # o que dois processos deixaram, um continua
    one = train(tiny(seed=0), shared_batches(), VAL, config, progress=False)
    path = tmp_path / "parado"
    resumed = train(tiny(seed=7), shared_batches(), VAL, config, checkpoint=path, resume=True, progress=False)
    assert resumed.step_loss == pytest.approx(one.step_loss, rel=1e-5, abs=1e-6)
    assert not resumed.interrupted
    for rank in range(2):
        slices = json.loads((tmp_path / f"{rank}-fatias.json").read_text())
        assert slices["step_loss"] == pytest.approx(one.step_loss, rel=1e-5, abs=1e-6)


if __name__ == "__main__":
    importlib.import_module("torch._dynamo")  # o otimizador o importa: uma vez aqui, e não em cada filho
    globals()[sys.argv[1]](*sys.argv[2:])
