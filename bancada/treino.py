"""A taxa, o lote e as peças do treino do capítulo 5, e o que custam bf16 e torch.compile na CPU.

uso: python bancada/treino.py [--saida data/treino.json] [--so-pecas]

Cada treino é o do capítulo (o mesmo modelo, os mesmos contos, seis épocas), com outra taxa, outro lote ou
outra semente; guarda-se a perda de validação no fim. Os das peças são o minuto do capítulo, de quatro
épocas, com o laço nu e uma peça de cada vez; `--so-pecas` refaz só estes e deixa o resto do arquivo como
está. O tempo é o de CPU, num fio, e inclui o dos processos que o `torch.compile` chama. Leva perto de
quarenta minutos.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
from pathlib import Path

import torch

from homellm.corpus import load_table, load_text
from homellm.data import create_dataloader
from homellm.device import set_seed
from homellm.model import GPT, GPTConfig
from homellm.plots import br
from homellm.tokenizer import BPETokenizer
from homellm.training import TrainConfig, train

END = "<|endoftext|>"
CONFIG = GPTConfig(vocab_size=2048, context_length=128, emb_dim=96, n_heads=4, n_layers=3)
RATES, BATCHES, SEEDS = (1e-3, 2e-3, 3e-3, 5e-3, 1e-2), (2, 8, 32), (0, 1)
STEPS, BATCH, RATE = 660, 8, 3e-3  # o treino do capítulo
MINUTE = 440  # os passos do minuto do capítulo
BARE = {"warmup_steps": 0, "final_lr": 1.0, "weight_decay": 0.0, "grad_clip": None}  # o laço nu
PIECES = {"aquecimento": {"warmup_steps": 20}, "descida": {"final_lr": 0.05},
          "decaimento": {"weight_decay": 0.1}, "corte": {"grad_clip": 1.0}}  # fmt: skip


def read_ids() -> tuple[list[int], list[int]]:
    tokenizer = BPETokenizer.train(load_text("contos", "train"), vocab_size=2048)
    splits = []
    for split in ("train", "validation"):
        documents = [f"{story.title}\n\n{story.text}{END}" for story in load_table("contos", split)]
        splits.append(tokenizer.encode("".join(documents), allowed_special=[END]))
    return splits[0], splits[1]


def final_loss(ids, rate: float, batch: int, seed: int) -> float:
    """A validação depois de ler o mesmo texto que o treino do capítulo lê."""
    set_seed(seed)
    model = GPT(CONFIG)
    steps = STEPS * BATCH // batch
    config = TrainConfig(
        max_steps=steps, learning_rate=rate, warmup_steps=steps // 22, final_lr=0.05, seed=seed
    )
    train_loader = create_dataloader(ids[0], batch, 128, seed=seed)
    val_loader = create_dataloader(ids[1], 8, 128, shuffle=False, drop_last=False)
    loss = train(model, train_loader, val_loader, config, progress=False).val_loss[-1]
    print(f"taxa {rate}, lote {batch}, semente {seed}: {br(loss, 4)}", flush=True)
    return round(loss, 4)


def minute_losses(ids, options) -> list[float]:
    """A validação no fim do minuto do capítulo, uma por semente."""
    losses = []
    for seed in SEEDS:
        set_seed(seed)
        model, train_loader = GPT(CONFIG), create_dataloader(ids[0], BATCH, 128, seed=seed)
        val_loader = create_dataloader(ids[1], 8, 128, shuffle=False, drop_last=False)
        config = TrainConfig(max_steps=MINUTE, learning_rate=RATE, seed=seed, **BARE | options)
        losses.append(round(train(model, train_loader, val_loader, config, progress=False).val_loss[-1], 4))
    print(options, losses, flush=True)
    return losses


def pieces(ids) -> list[dict]:
    """O laço nu, com cada peça sozinha, e com todas."""
    everything = {name: value for piece in PIECES.values() for name, value in piece.items()}
    variants = {"nenhuma": {}, **PIECES, "todas": everything}
    return [{"pecas": name, "validacao": minute_losses(ids, options)} for name, options in variants.items()]


def cpu_seconds() -> float:
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(r.ru_utime + r.ru_stime for r in map(resource.getrusage, who))


def step_times(ids, steps: int, batch: int = BATCH, **options) -> tuple[float, float]:
    """Segundos de CPU do primeiro passo e, depois, de cada passo (mediana)."""
    set_seed(0)
    batches, times = create_dataloader(ids[0], batch, 128), []

    def clock(step, model):
        times.append(cpu_seconds())

    config = TrainConfig(max_steps=steps, learning_rate=RATE, eval_every=1, **options)
    train(GPT(CONFIG), batches, None, config, on_eval=clock, progress=False)
    each = [b - a for a, b in zip(times, times[1:], strict=False)]
    return each[0], statistics.median(each[1:])


def rates_and_batches(ids) -> dict:
    """Tudo menos as peças: o passo com `torch.compile` e com bf16, as taxas e os lotes."""
    first, eager = step_times(ids, 12)
    compiling, compiled = step_times(ids, 12, compile=True)
    _, half = step_times(ids, 4, batch=1, precision="bf16")
    _, whole = step_times(ids, 12, batch=1)
    data = {
        "maquina": {"instrucoes": torch.backends.cpu.get_cpu_capability(), "torch": torch.__version__,
                    "bf16_nativo": bool(torch.cpu._is_avx512_bf16_supported()),
                    "sistema": platform.system(), "fios": 1},
        "passos": STEPS, "lote": BATCH, "contexto": 128,
        "compile": {"compilar": compiling - compiled, "passo": compiled, "passo_comum": eager},
        "bf16": {"passo": half, "passo_fp32": whole, "lote": 1},
        "taxa": [{"taxa": r, "validacao": [final_loss(ids, r, BATCH, s) for s in SEEDS]} for r in RATES],
    }  # fmt: skip
    rows = []
    for batch in BATCHES:
        for rule, rate in (("fixa", RATE), ("raiz", RATE * (batch / BATCH) ** 0.5)):
            if batch == BATCH:  # as duas regras dão a mesma taxa, que já foi medida
                if rule == "fixa":
                    done = next(row for row in data["taxa"] if row["taxa"] == RATE)
                    rows += [{"lote": batch, "regra": k, **done} for k in ("fixa", "raiz")]
                continue
            losses = [final_loss(ids, rate, batch, seed) for seed in SEEDS]
            rows.append({"lote": batch, "regra": rule, "taxa": rate, "validacao": losses})
    return data | {"lotes": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--saida", type=Path, default=Path(__file__).parents[1] / "data/treino.json")
    parser.add_argument("--so-pecas", action="store_true", help="só os treinos das peças")
    args = parser.parse_args()
    os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"
    torch.set_num_threads(1)
    ids = read_ids()
    data = json.loads(args.saida.read_text("utf-8")) if args.so_pecas else rates_and_batches(ids)
    data["pecas"] = pieces(ids)
    args.saida.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
