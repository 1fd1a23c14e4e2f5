"""Dois processos com gloo dão a curva de um; este arquivo roda também como programa."""

from __future__ import annotations

import importlib
import itertools
import json
import os
import shutil
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from homellm.loss import language_model_loss
from homellm.training import TrainConfig, train
from treinos import (
    VAL,
    batches,
    in_child,
    interrupt_at,
    program,
    tiny,
    weights,
)  # fmt: skip

pytestmark = pytest.mark.usefixtures("one_thread")
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="este sistema não tem fork")


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


@pytest.mark.lento
@needs_fork
def test_two_processes_give_the_curve_of_one(tmp_path):
    program(__file__, "two_processes", tmp_path)
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
