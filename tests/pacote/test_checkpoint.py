"""Parar e continuar: mortes, sinais, arquivos estragados, outros dados e dois donos.

Mortes e sinais rodam este mesmo arquivo como programa: um pai que só importa o PyTorch e vai criando filhos
com `fork`.
"""

from __future__ import annotations

import importlib
import io
import itertools
import json
import math
import os
import pickle
import random
import signal
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import safetensors.torch
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.utils.data import DataLoader

from homellm.checkpoint import (
    Position,
    describe_data,
    load_checkpoint,
    resumable,
    save_checkpoint,
    what_changed,
)
from homellm.data import LengthBatches, SlidingWindowDataset, create_dataloader
from homellm.files import compare_tensors
from homellm.model import GPT
from homellm.training import TrainConfig, create_optimizer, train
from treinos import (
    IDS,
    LOADERS,
    LONG,
    MANY,
    VAL,
    Crash,
    T,
    V,
    assert_same_checkpoint,
    batches,
    crash_at,
    header,
    in_child,
    interrupt_at,
    noisy,
    program,
    same,
    tiny,
    weights,
)  # fmt: skip

pytestmark = pytest.mark.usefixtures("one_thread")
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="este sistema não tem fork")


# --- parar e continuar


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
    assert len(history.step_loss) == 8 and not history.interrupted


@pytest.mark.parametrize("stop", [1, 8, 9, 17, 24])  # micropassos: 3 por passo
def test_ctrl_c_finishes_the_step_and_resumes_to_the_same_numbers(stop, uninterrupted, tmp_path):
    path = tmp_path / "c.safetensors"
    before = signal.getsignal(signal.SIGINT)
    history = train(tiny(0.3), LOADERS["gerador global"](), VAL, LONG, checkpoint=path,
                    loss_fn=interrupt_at(stop), on_eval=noisy, progress=False)  # fmt: skip
    assert history.interrupted == (stop < 22)  # no último passo não sobra o que interromper
    assert len(history.step_loss) == (stop + 2) // 3
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
    for version in (1, 3, None):
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
    assert len(lines) == 11 and "- falta blocks.1.norm1.weight, (12,)" in lines
    assert lines[-1] == f"- e mais {12 + 16 - 10}"
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

    monkeypatch.setattr(safetensors.torch, "save_file", full_disk)
    model = tiny()
    with pytest.raises(OSError, match="disco cheio"):
        save_checkpoint(saved, model, create_optimizer(model, TrainConfig()), {})
    assert saved.read_bytes() == before and list(saved.parent.iterdir()) == [saved]


# --- outros processos



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


@pytest.mark.lento
@needs_fork
def test_killed_at_any_moment_the_checkpoint_is_whole_and_the_end_is_the_same(tmp_path, never_killed):
    output = program(__file__, "kill", tmp_path)
    steps = [int(line.split()[1]) for line in output.splitlines() if line.startswith("passos:")]
    assert len(steps) == 8 and steps == sorted(steps) and 0 < steps[0] < 60  # cada um partiu do anterior
    assert output.splitlines()[-1] == "pasta: ['c.safetensors']"  # o último limpou o que os mortos deixaram
    assert_same_checkpoint(tmp_path / "c.safetensors", never_killed)


@pytest.mark.lento
@needs_fork
def test_ctrl_c_from_outside_ends_cleanly_and_resumes(tmp_path, never_killed):
    lines = program(__file__, "ctrl_c", tmp_path).splitlines()
    said = [line for line in lines if line.startswith("interrompido")]
    assert sum("outro Ctrl-C" in line for line in lines) == 2
    assert [line.split(" ")[0] for line in said] == ["interrompido=True"] * 2 + ["interrompido=False"]
    first, second, last = (int(line.split()[-1]) for line in said)
    assert 3 <= first < second < last == 60
    assert_same_checkpoint(tmp_path / "c.safetensors", never_killed)


# --- de que dados é o checkpoint


def rows(batch=4, seed=0, ids=IDS, length=None):
    """64 janelas, ou as primeiras `length`, em lotes de `batch`."""
    dataset = SlidingWindowDataset(ids, T, stride=3)
    return create_dataloader(torch.utils.data.Subset(dataset, range(length or 64)), batch, seed=seed)


OTHERS = {
    "lote maior": (lambda: rows(8), "tamanho do lote era 4 e agora é 8"),
    "lote menor": (lambda: rows(2), "lotes era 16 e agora é 32"),
    "um lote só": (lambda: rows(16), "tamanho do lote era 4 e agora é 16"),
    "outra semente": (lambda: rows(seed=1), "semente era 0 e agora é 1"),
    "outros dados": (lambda: rows(ids=(IDS + 1) % V), "conteúdo era [0-9a-f]+ e agora é [0-9a-f]+"),
    "menos dados": (lambda: rows(length=40), "exemplos era 64 e agora é 40"),
    "sem embaralhar": (
        lambda: create_dataloader(rows().dataset, 4, shuffle=False), "ordem era RandomSampler"
    ),
    "uma lista": (lambda: list(rows()), "tamanho do lote era 4 e agora é None"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_resuming_with_other_data_is_refused_and_says_what_changed(name, tmp_path):
    path, config = tmp_path / "c.safetensors", TrainConfig(eval_every=5)
    with pytest.raises(Crash):
        train(tiny(), rows(), None, config, checkpoint=path, on_eval=crash_at(10), progress=False)
    before, model = path.read_bytes(), tiny(seed=50)
    untouched, rng = weights(model), torch.get_rng_state()
    loader, said = OTHERS[name]
    with pytest.raises(ValueError, match=rf"(?s)c\.safetensors é de um treino com outros dados: .*{said}"):
        train(model, loader(), None, config, checkpoint=path, resume=True, progress=False)
    assert path.read_bytes() == before and same(weights(model), untouched)
    assert torch.equal(torch.get_rng_state(), rng) and [p.name for p in tmp_path.iterdir()] == [path.name]
    done = train(model, rows(), None, config, checkpoint=path, resume=True, progress=False)
    assert len(done.step_loss) == 16


def test_batches_by_length_are_told_apart_even_when_they_are_as_many():
    data = [(torch.arange(n), torch.arange(n)) for n in (3, 3, 4, 4, 5, 5)]

    def described(**options):
        batches = LengthBatches([len(x) for x, _ in data], **options)
        return describe_data(DataLoader(data, batch_sampler=batches, generator=batches.generator))

    before = described(max_tokens=10)
    changed = what_changed(before, described(max_tokens=9))
    assert changed == "lotes era 3 e agora é 4, ids por lote era 10 e agora é 9"
    assert what_changed(before, described(max_tokens=11)) == "ids por lote era 10 e agora é 11"
    still = described(max_tokens=10, shuffle=False)
    assert what_changed(before, still) == "embaralha era True e agora é False"
    assert what_changed(before, described(max_tokens=10)) == ""


def test_the_fingerprint_does_not_draw_and_takes_any_example():
    class Noisy(torch.utils.data.Dataset):
        def __len__(self):
            return 100

        def __getitem__(self, index):
            return {"x": torch.rand(3), "nome": "maçã", "n": [index, None]}

    rng = torch.get_rng_state()
    found = describe_data(DataLoader(Noisy(), 4))
    assert found == describe_data(DataLoader(Noisy(), 4)) and found["exemplos"] == 100
    assert torch.equal(torch.get_rng_state(), rng)
    assert describe_data([])["lotes"] == 0

    class Stream(torch.utils.data.IterableDataset):
        def __iter__(self):
            return iter(batches(9))

    stream = DataLoader(Stream(), batch_size=None)
    assert describe_data(stream)["conteúdo"] is None
    assert len(train(tiny(), stream, None, TrainConfig(max_steps=3), progress=False).step_loss) == 3


def test_length_batches_resume_to_the_same_numbers(tmp_path):
    data = SlidingWindowDataset(IDS, T, stride=3)
    lengths = [1 + n % 7 for n in range(len(data))]

    def loader():
        return DataLoader(data, batch_sampler=LengthBatches(lengths, batch_size=4))

    config, path = TrainConfig(epochs=2, eval_every=3), tmp_path / "c"
    whole = train(tiny(), loader(), None, config, progress=False)
    with pytest.raises(Crash):
        train(tiny(), loader(), None, config, checkpoint=path, on_eval=crash_at(21), progress=False)
    resumed = train(tiny(), loader(), None, config, checkpoint=path, resume=True, progress=False)
    assert resumed.step_loss == whole.step_loss and len(whole.step_loss) > 30


# --- qualquer otimizador, qualquer embrulho, qualquer arquivo


def quadratic(optimizer_of, steps=3):
    """Uns passos de um otimizador numa bacia; devolve o modelo e o otimizador."""
    torch.manual_seed(0)
    model = nn.Linear(4, 3)
    optimizer = optimizer_of(model.parameters())
    x = torch.randn(8, 4, generator=torch.Generator().manual_seed(1))

    def closure():
        optimizer.zero_grad()
        loss = model(x).square().mean()
        loss.backward()
        return loss

    for _ in range(steps):
        optimizer.step(closure)
    return model, optimizer, closure


OPTIMIZERS = {
    "LBFGS": lambda p: torch.optim.LBFGS(p, lr=0.1, max_iter=3),
    "taxa em tensor": lambda p: torch.optim.AdamW(p, lr=torch.tensor(1e-2)),
    "SGD com momento": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
    "Adafactor": lambda p: torch.optim.Adafactor(p),
    "AdamW": lambda p: torch.optim.AdamW(p, betas=(0.9, 0.95)),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_any_optimizer_goes_on_where_it_stopped(name, tmp_path):
    model, optimizer, closure = quadratic(OPTIMIZERS[name])
    save_checkpoint(tmp_path / "c", model, optimizer, {})
    other, fresh, other_closure = quadratic(OPTIMIZERS[name], steps=0)
    load_checkpoint(tmp_path / "c", other, fresh)
    assert {type(g.get("betas", ())) for g in fresh.param_groups} == {tuple}
    for _ in range(2):
        optimizer.step(closure)
        fresh.step(other_closure)
    for a, b in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)


def test_what_json_and_tensors_cannot_hold_is_named(tmp_path):
    model, optimizer, _ = quadratic(OPTIMIZERS["AdamW"])
    optimizer.param_groups[0]["lembrete"] = object()
    with pytest.raises(TypeError, match="optimizer/param_groups/0/lembrete: não sei gravar object"):
        save_checkpoint(tmp_path / "c", model, optimizer, {})
    del optimizer.param_groups[0]["lembrete"]
    with pytest.raises(TypeError, match="não cabe em JSON .*Tensor.*os tensores em tensors"):
        save_checkpoint(tmp_path / "c", model, optimizer, {"x": torch.zeros(1)})
    (tmp_path / "arquivo").touch()
    with pytest.raises(OSError, match="não consegui criar a pasta; confira"):
        save_checkpoint(tmp_path / "arquivo" / "c", model, optimizer, {})
    assert [p.name for p in tmp_path.iterdir()] == ["arquivo"]


class Child(nn.Module):
    """Um modelo com um bloco compilado por dentro."""

    def __init__(self):
        super().__init__()
        self.block = torch.compile(nn.Linear(3, 3), backend="eager")


@pytest.mark.parametrize("wrap", [lambda m: torch.compile(m, backend="eager"), nn.DataParallel])
def test_wrapped_models_are_saved_with_clean_names(wrap, tmp_path):
    model = tiny()
    optimizer = create_optimizer(model, TrainConfig())
    save_checkpoint(tmp_path / "c", wrap(model), optimizer, {})
    names = {name for name in load_file(tmp_path / "c") if name.startswith("model/")}
    assert names == {f"model/{name}" for name, _ in model.named_parameters()}
    other = tiny(seed=50)
    load_checkpoint(tmp_path / "c", other)
    assert same(weights(other), weights(model))
    load_checkpoint(tmp_path / "c", wrap(tiny(seed=51)))


def test_a_compiled_block_inside_is_saved_with_clean_names(tmp_path):
    model = Child()
    save_checkpoint(tmp_path / "c", model, torch.optim.SGD(model.parameters()), {})
    assert {"model/block.weight", "model/block.bias"} <= set(load_file(tmp_path / "c"))
    load_checkpoint(tmp_path / "c", Child())


def test_a_checkpoint_in_an_open_file():
    model, optimizer, _ = quadratic(OPTIMIZERS["AdamW"])
    file = io.BytesIO()
    save_checkpoint(file, model, optimizer, {"passo": 3}, {"t": torch.arange(2)})
    other, fresh, _ = quadratic(OPTIMIZERS["AdamW"], steps=0)
    state, tensors = load_checkpoint(io.BytesIO(file.getvalue()), other, fresh)
    assert state == {"passo": 3} and tensors["t"].tolist() == [0, 1]
    assert torch.equal(other.weight, model.weight)
    with pytest.raises(ValueError, match="truncado"):
        load_checkpoint(io.BytesIO(file.getvalue()[:-3]), other, fresh)


# --- nada muda se o arquivo não serve


def rewrite(path, change):
    """Regrava o checkpoint depois de `change(tensors, header)`."""
    data, head = load_file(path), header(path)
    change(data, head)
    save_file({n: t.contiguous() for n, t in data.items()}, path, {"homellm": json.dumps(head)})


def first(data, prefix):
    return next(name for name in data if name.startswith(prefix))


def put(name, value):
    return lambda data, head: data.__setitem__(name, value)


def drop(name):
    return lambda data, head: data.pop(first(data, name))


def spoil(name, value):
    def change(data, head):
        data[first(data, name)].reshape(-1)[0] = value

    return change


def retype(name, dtype):
    def change(data, head):
        key = first(data, name)
        data[key] = data[key].to(dtype)

    return change


def in_state(*keys, value=None):
    """Troca, ou sem `value` apaga, um campo do estado."""

    def change(data, head):
        place = head["state"]
        for key in keys[:-1]:
            place = place[key]
        if value is None:
            del place[keys[-1]]
        else:
            place[keys[-1]] = value

    return change


CORRUPTIONS = {
    "sem rng": drop("rng/cpu"),
    "rng curto": put("rng/cpu", torch.zeros(10, dtype=torch.uint8)),
    "rng de outro tipo": put("rng/cpu", torch.zeros(5056)),
    "rng zerado": put("rng/cpu", torch.full((5056,), 255, dtype=torch.uint8)),
    "otimizador a mais": put("optimizer/999", torch.zeros(2)),
    "slot desconhecido": put("optimizer/state/0/x", torch.zeros(2)),
    "índice que não é número": put("optimizer/a", torch.zeros(2)),
    "sem um slot": drop("optimizer/state"),
    "slot com outra forma": put("optimizer/state/0/exp_avg", torch.zeros(3)),
    "slot de inteiros": retype("optimizer/state/0/exp_avg", torch.int32),
    "tensor de espécie desconhecida": put("zzz", torch.zeros(2)),
    "slot com NaN": spoil("optimizer/state/0/exp_avg", math.nan),
    "peso com NaN": spoil("model/", math.nan),
    "peso infinito": spoil("model/", math.inf),
    "peso de outro tipo": retype("model/", torch.float16),
    "peso a menos": drop("model/"),
    "peso a mais": put("model/novo", torch.zeros(2)),
    "sem otimizador": lambda data, head: head.pop("optimizer"),
    "otimizador vazio": lambda data, head: head.update(optimizer={"dict": {}}),
    "otimizador que é texto": lambda data, head: head.update(optimizer="x"),
    "índice de outro parâmetro": lambda data, head: head["optimizer"]["dict"]["state"]["dict"].update(
        {"77": head["optimizer"]["dict"]["state"]["dict"].pop("0")}
    ),
    "sem estado": lambda data, head: head.pop("state"),
    "estado que é lista": lambda data, head: head.update(state=[]),
    **{f"sem {name}": in_state(name) for name in ("config", "history", "position", "scaler", "data")},
    "config com campo novo": in_state("config", "velocidade", value=3),
    "config absurda": in_state("config", "learning_rate", value=-1),
    "história sem perdas": in_state("history", "step_loss"),
    "história desigual": in_state("history", "lr", value=[0.1]),
    "história de texto": in_state("history", "step_loss", value="abc"),
    "posição negativa": in_state("position", "batch", value=-1),
    "posição quebrada": in_state("position", "batch", value=1.5),
    "posição de texto": in_state("position", "batch", value="1"),
    "sem o sorteio da época": drop("extra/rng"),
    "sorteio da época estragado": put("extra/rng", torch.zeros(3, dtype=torch.uint8)),
    "sorteio do carregador estragado": put("extra/loader_rng", torch.zeros(3)),
    "escala estragada": in_state("scaler", value={"x": 1}),
}


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_spoiled_checkpoint_changes_nothing(name, tmp_path):
    path, config = tmp_path / "c.safetensors", TrainConfig(eval_every=2, epochs=2)
    with pytest.raises(Crash):
        train(tiny(0.1), batches(3), None, config, checkpoint=path, on_eval=crash_at(4), progress=False)
    rewrite(path, CORRUPTIONS[name])
    model, spoiled = tiny(0.1, seed=50), path.read_bytes()
    before, rng = weights(model), torch.get_rng_state()
    with pytest.raises(ValueError, match=r"c\.safetensors") as error:
        train(model, batches(3), None, config, checkpoint=path, resume=True, progress=False)
    assert "Traceback" not in str(error.value) and len(str(error.value)) < 500
    assert same(weights(model), before) and torch.equal(torch.get_rng_state(), rng)
    assert path.read_bytes() == spoiled and [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_position_past_the_epoch_is_an_error_and_not_an_endless_search():
    position = Position(batch=4)
    with pytest.raises(ValueError, match="já usou 4 lotes, e ela tem 3: está estragado"):
        next(resumable(batches(3), position))
    assert next(resumable(batches(3), Position(batch=3))) is not None  # acabou justo no fim da época


# --- disco cheio e pasta fechada


@pytest.mark.lento
@needs_fork
def test_a_full_disk_keeps_the_old_checkpoint_and_says_what_to_do(tmp_path):
    program(__file__, "full_disk", tmp_path)
    said = (tmp_path / "erro").read_text("utf-8")
    assert "c.safetensors" in said and "grave em outro disco" in said and "\n" not in said
    assert sorted(p.name for p in tmp_path.iterdir()) == ["c.safetensors", "erro"]
    assert len(header(tmp_path / "c.safetensors")["state"]["history"]["step_loss"]) == 2


def full_disk(folder: str) -> None:
    """O sistema deixa de aceitar arquivos grandes no meio do treino."""
    import resource

    path = Path(folder) / "c.safetensors"

    def fill(step, model):
        if step == 4:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (4000, resource.RLIM_INFINITY))

    try:
        config = TrainConfig(eval_every=2)
        train(tiny(), batches(8), None, config, checkpoint=path, on_eval=fill, progress=False)
    except OSError as error:
        said = str(error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    (Path(folder) / "erro").write_text(said, "utf-8")


@pytest.mark.parametrize("inside", ["arquivo/c.safetensors", "arquivo/pasta/c.safetensors"])
def test_a_folder_that_cannot_be_written_is_said_before_training(inside, tmp_path):
    (tmp_path / "arquivo").write_text("não sou uma pasta")
    steps = []
    with pytest.raises(OSError, match="não consigo gravar aqui.*escolha outra pasta"):
        train(tiny(), batches(2), None, TrainConfig(), checkpoint=tmp_path / inside, progress=False,
              loss_fn=lambda m, b: steps.append(1))  # fmt: skip
    assert not steps


# --- um dono por checkpoint


def test_two_trainings_in_one_checkpoint_the_second_is_told_who_is_there(tmp_path):
    path, said = tmp_path / "c.safetensors", []

    def second(step, model):
        if step != 1:
            return
        with pytest.raises(BlockingIOError) as error:
            train(tiny(), batches(3), None, TrainConfig(), checkpoint=path, resume=True, progress=False)
        said.append(str(error.value))

    config = TrainConfig(eval_every=1)
    train(tiny(), batches(3), None, config, checkpoint=path, on_eval=second, progress=False)
    assert f"processo {os.getpid()} em " in said[0] and "espere que acabe" in said[0]
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.lento
@needs_fork
def test_two_processes_race_for_one_checkpoint_and_one_trains(tmp_path):
    lines = program(__file__, "race", tmp_path).splitlines()
    assert sorted(line.split(":")[0] for line in lines) == ["perdeu"] * 3 + ["treinou"]
    assert all("outro treino está gravando" in line for line in lines if line.startswith("perdeu"))
    assert [p.name for p in tmp_path.iterdir()] == ["c.safetensors"]
    assert len(header(tmp_path / "c.safetensors")["state"]["history"]["step_loss"]) == 60


def racer(path: Path) -> None:
    def slow(step, model):
        time.sleep(0.05)

    try:
        history = train(tiny(), batches(6), None, MANY, checkpoint=path, on_eval=slow, progress=False)
        line = f"treinou: {len(history.step_loss)}\n"
    except BlockingIOError as error:
        line = f"perdeu: {error}\n"
    os.write(1, line.encode())  # de uma vez: as linhas dos outros não se metem no meio


def race(folder: str) -> None:
    children = [in_child(racer, Path(folder) / "c.safetensors") for _ in range(4)]
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4


# --- sinais


@pytest.mark.parametrize("number", [signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)])
def test_other_signals_save_like_ctrl_c(number, tmp_path):
    path, before = tmp_path / "c.safetensors", signal.getsignal(number)

    def ask(step, model):
        if step == 2:
            signal.raise_signal(number)

    config = TrainConfig(max_steps=6, eval_every=2)
    history = train(tiny(), batches(3), None, config, checkpoint=path, on_eval=ask, progress=False)
    assert history.interrupted and len(history.step_loss) == 3 and signal.getsignal(number) is before
    again = train(tiny(), batches(3), None, config, checkpoint=path, resume=True, progress=False)
    whole = train(tiny(), batches(3), None, config, progress=False)
    assert again.step_loss == whole.step_loss and again.steps == whole.steps and not again.interrupted


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="este sistema não tem SIGHUP")
def test_a_hangup_that_nohup_ignores_stays_ignored(tmp_path):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        history = train(tiny(), batches(3), None, TrainConfig(eval_every=1), progress=False,
                        on_eval=lambda step, model: signal.raise_signal(signal.SIGHUP))  # fmt: skip
        assert not history.interrupted and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_the_second_ctrl_c_stops_at_once(tmp_path, capsys):
    """Num treino preso, o primeiro pede e o segundo interrompe; a trava é solta."""
    path, config = tmp_path / "c.safetensors", TrainConfig(eval_every=1)

    def stuck(step, model):
        if step == 2:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            raise AssertionError("não chega aqui")

    with pytest.raises(KeyboardInterrupt):
        train(tiny(), batches(3), None, config, checkpoint=path, on_eval=stuck, progress=False)
    assert "outro Ctrl-C" in capsys.readouterr().out
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    again = train(tiny(), batches(3), None, config, checkpoint=path, resume=True, progress=False)
    assert len(again.step_loss) == 3


if __name__ == "__main__":
    importlib.import_module("torch._dynamo")  # o otimizador o importa: uma vez aqui, e não em cada filho
    globals()[sys.argv[1]](*sys.argv[2:])
