"""O laço de treino: contra contas à mão, acumulação, precisões e divergência."""

from __future__ import annotations

import itertools
import math
import os
import shutil
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.utils.data import DataLoader

from homellm import training
from homellm.data import SlidingWindowDataset, create_dataloader
from homellm.evaluation import to_device
from homellm.loss import language_model_loss
from homellm.model import GPT
from homellm.training import (
    History,
    TrainConfig,
    TrainingDiverged,
    learning_rate_at,
    train,
)
from treinos import (
    IDS,
    VAL,
    Crash,
    T,
    V,
    assert_same_checkpoint,
    batches,
    crash_at,
    header,
    noisy,
    same,
    tiny,
    weights,
)  # fmt: skip

pytestmark = pytest.mark.usefixtures("one_thread")

# --- configuração, taxa, otimizador


def test_the_loop_uses_that_rate_and_stops_at_max_steps():
    config = TrainConfig(max_steps=7, learning_rate=0.01, warmup_steps=3, final_lr=0.2)
    history = train(tiny(), batches(2), None, config, progress=False)  # dá mais de três voltas em dois lotes
    assert history.lr == [learning_rate_at(step, 7, config) for step in range(7)]
    assert len(history.step_loss) == 7 and history.steps == [7]


# --- o laço


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


def test_every_batch_of_every_epoch_is_read_under_accumulation():
    """15 lotes, 8 por passo, 10 épocas: 150 lotes, em 18 passos de 8 e um de 6."""
    data, seen = batches(15), []
    config = TrainConfig(epochs=10, accumulation_steps=8, learning_rate=1e-4)

    def counting(model, batch):
        seen.append(batch[0])
        return language_model_loss(model, batch)

    history = train(tiny(), data, None, config, loss_fn=counting, progress=False)
    assert len(history.step_loss) == 19 and len(seen) == 150
    assert all(sum(x.equal(y) for y in seen) == 10 for x, _ in data)
    assert history.tokens == 150 * 4 * T


def test_epochs_count_the_last_partial_step():
    config = TrainConfig(epochs=3, accumulation_steps=2)
    assert len(train(tiny(), batches(5), None, config, progress=False).step_loss) == 8
    assert len(train(tiny(), batches(1), None, config, progress=False).step_loss) == 2
    with pytest.raises(ValueError, match="carregador de treino não tem"):
        train(tiny(), [], None, config, progress=False)
    with pytest.raises(ValueError, match="carregador de treino não tem"):
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
        TrainingDiverged, match=r"(nan|inf) depois do passo \d.*learning_rate.*está bom"
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


# --- torch.compile


def cpp_compiler() -> str | None:
    return next(filter(None, map(shutil.which, (os.environ.get("CXX", "g++"), "c++", "clang++"))), None)


@pytest.mark.lento
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


def test_a_warmup_longer_than_the_run_is_said():
    with pytest.warns(UserWarning, match="warmup_steps=9 passa dos 3 passos"):
        train(tiny(), batches(3), None, TrainConfig(warmup_steps=9), progress=False)


def test_the_old_import_names_work():
    for name in training.__all__:
        assert hasattr(training, name)
    old = ["next_token_loss", "evaluate", "bits_per_byte", "TrainConfig", "train", "save_checkpoint",
           "load_checkpoint", "compare_tensors", "resolve_precision", "PRECISIONS"]  # fmt: skip
    assert set(old) <= set(training.__all__)


def compiled(model):
    return torch.compile(model, backend="eager")


class Own(nn.Module):
    """Uma rede do leitor, sem `config`, `features` nem `head`."""

    def __init__(self, model):
        super().__init__()
        self.inner = model

    def forward(self, ids):
        return self.inner(ids)


class Sub(GPT):
    def forward(self, ids, cache=None):
        return self.head(self.features(ids, cache)).clone()


def subclass(model):
    other = Sub(model.config)
    other.load_state_dict(model.state_dict())
    return other


def hooked(model):
    model.head.register_forward_hook(lambda module, args, output: output.clone())
    return model


@pytest.mark.parametrize("wrap", [compiled, Own, subclass, hooked])
def test_any_model_trains_to_the_same_numbers(wrap):
    config = TrainConfig(max_steps=5, learning_rate=0.01, accumulation_steps=2)
    plain, other = tiny(), wrap(tiny())
    expected = train(plain, batches(4, ignored=0.2), VAL, config, progress=False)
    found = train(other, batches(4, ignored=0.2), VAL, config, progress=False)
    assert found.step_loss == pytest.approx(expected.step_loss, rel=1e-5)
    assert found.val_loss == pytest.approx(expected.val_loss, rel=1e-5)
    for a, b in zip(other.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)


def test_pinned_copies_do_not_wait_only_on_cuda(monkeypatch):
    """De memória comum, `non_blocking` num dispositivo que não é CUDA corrompe o lote."""
    asked = []
    real = torch.Tensor.to

    def spy(self, *args, **kwargs):
        asked.append(kwargs.get("non_blocking"))
        return real(self, *args, **kwargs)

    monkeypatch.setattr(torch.Tensor, "to", spy)
    to_device(batches(1)[0], torch.device("cpu"))
    to_device(batches(1)[0], torch.device("meta"))
    assert asked and not any(asked)
