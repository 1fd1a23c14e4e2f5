"""Quanto texto para quantos parâmetros: cinco tamanhos de GPT, três orçamentos de contas.

uso: python bancada/escala.py --textos PASTA [PASTA …] --saida DIR [--fora NOME …]

Um orçamento é um número de FLOPs. Em cada um treinam quatro modelos, cada um até gastá-lo: o grande lê menos
tokens, o pequeno lê mais. Guarda-se a perda, em bits por byte, em romances que o treino não leu. No
primeiro orçamento e no último cada tamanho tenta três taxas; no do meio, a melhor que teve no primeiro.

Pode ser interrompido e chamado de novo: cada treino que acaba vai para `DIR/corridas.json`, e o que estava
no meio continua do seu checkpoint. Quando o último acaba, grava `data/escala.json`, que o capítulo 5 lê.
`--ensaio` faz o mesmo caminho em segundos.
"""

from __future__ import annotations

import argparse
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from homellm.data import TokenFileDataset, create_dataloader
from homellm.device import choose_device, set_seed
from homellm.files import read_json, read_text, write_json
from homellm.model import GPT, GPTConfig
from homellm.pretrain import IDS, Corpus, join_wrapped, prepare
from homellm.tokenizer import BPETokenizer
from homellm.training import TrainConfig, bits_per_byte, train

HELD_OUT = ("POR0020_AbeBot_Crioulo", "POR0041_JoJoGra_Morte")  # dois romances que ninguém lê no treino
VALIDATION_CHARS = 150_000  # de cada um, do meio


@dataclass(frozen=True)
class Plan:
    """O que se mede: em cada orçamento, em FLOPs, os tamanhos `(emb_dim, n_layers)`; e as taxas.

    Nos orçamentos de `searched`, todas; nos outros, a melhor que o tamanho teve no orçamento anterior.
    """

    grid: tuple[tuple[float, tuple[tuple[int, int], ...]], ...] = (
        (1.7e11, ((8, 1), (16, 2), (32, 2), (48, 3))),
        (5e11, ((8, 1), (16, 2), (32, 2), (48, 3))),
        (1.5e12, ((16, 2), (32, 2), (48, 3), (80, 4))),
    )
    rates: tuple[float, ...] = (1.5e-3, 3e-3, 6e-3)
    searched: tuple[float, ...] = (1.7e11, 1.5e12)
    vocab_size: int = 2048
    context_length: int = 128
    batch_size: int = 8
    seed: int = 0

    def config(self, emb_dim: int, n_layers: int) -> GPTConfig:
        """O GPT de um tamanho: cabeças de 16 números, ou uma só."""
        return GPTConfig(self.vocab_size, self.context_length, emb_dim, max(1, emb_dim // 16), n_layers)

    def rates_of(self, place: int, size: tuple[int, int], done: dict[str, Any]) -> tuple[float, ...]:
        """As taxas que o tamanho tenta no orçamento `place` da grade."""
        if self.grid[place][0] in self.searched:
            return self.rates
        tried = {rate: done[run_name(size, self.grid[place - 1][0], rate)] for rate in self.rates}
        return (min(tried, key=lambda rate: tried[rate]["bits"]),)

    def steps(self, config: GPTConfig, budget: float) -> int:
        """Quantos passos gastam o orçamento: a volta custa o dobro da ida."""
        per_step = 3 * config.flops_per_token() * self.batch_size * self.context_length
        return max(1, round(budget / per_step))


REHEARSAL = Plan(
    ((2e9, ((16, 1), (16, 2))), (4e9, ((16, 2),)), (8e9, ((32, 1),))),
    (3e-3, 6e-3), (2e9, 8e9), 400, 32, 4,
)  # fmt: skip


def runs(plan: Plan, done: dict[str, Any]) -> Iterator[tuple[str, GPTConfig, float, float]]:
    """Os treinos que faltam: o nome, o modelo, o orçamento e a taxa."""
    for place, (budget, sizes) in enumerate(plan.grid):
        for size in sizes:
            for rate in plan.rates_of(place, size, done):
                name = run_name(size, budget, rate)
                if name not in done:
                    yield name, plan.config(*size), budget, rate


def run_name(size: tuple[int, int], budget: float, rate: float) -> str:
    return f"c{size[0]}-b{size[1]}-{budget:.1e}-taxa{rate:g}"


def held_out_text(folders: list[Path], names: tuple[str, ...]) -> str:
    """O meio de cada romance de fora, em fila."""
    parts = []
    for name in names:
        path = next((p for folder in folders for p in folder.rglob(f"{name}.txt")), None)
        if path is None:
            raise SystemExit(f"não há {name}.txt nas pastas dadas; diga outros com --fora")
        text = join_wrapped(read_text(path))
        start = max(0, (len(text) - VALIDATION_CHARS) // 2)
        parts.append(text[start : start + VALIDATION_CHARS])
    return "\n\n".join(parts)


def run(
    plan: Plan, config: GPTConfig, budget: float, rate: float, folder: Path, text: str, name: str
) -> dict[str, Any] | None:
    """Um treino, do começo ou do seu checkpoint; `None` se foi interrompido."""
    tokenizer = BPETokenizer.load(folder / "tokenizer.json")
    set_seed(plan.seed)
    model = GPT(replace(config, vocab_size=tokenizer.vocab_size)).to(choose_device())
    data = TokenFileDataset(folder / IDS["train"], plan.context_length)
    loader = create_dataloader(data, plan.batch_size, seed=plan.seed)
    steps = plan.steps(config, budget)
    options = TrainConfig(
        max_steps=steps, learning_rate=rate, warmup_steps=min(200, steps // 10), final_lr=0.05,
        eval_every=max(1, steps // 8), seed=plan.seed,
    )  # fmt: skip
    checkpoint = folder / f"{name}.safetensors"
    history = train(model, loader, None, options, checkpoint=checkpoint, resume=True, progress=False)
    if history.interrupted:
        return None
    checkpoint.unlink()
    return {
        "emb_dim": config.emb_dim, "blocos": config.n_layers, "parametros": model.num_params(),
        "orcamento": budget, "taxa": rate, "passos": steps, "tokens": history.tokens,
        "epocas": round(history.tokens / len(data.ids), 3), "treino": round(history.train_loss[-1], 4),
        "bits": round(bits_per_byte(model, tokenizer, text), 4), "segundos": round(history.seconds, 1),
    }  # fmt: skip


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--textos", type=Path, nargs="+", required=True, help="pastas com .txt em UTF-8")
    parser.add_argument("--saida", type=Path, required=True, help="pasta dos ids e dos checkpoints")
    parser.add_argument("--fora", nargs="*", default=list(HELD_OUT), help="romances que só medem")
    parser.add_argument("--json", type=Path, default=Path(__file__).parents[1] / "data/escala.json")
    parser.add_argument("--fios", type=int, default=1)
    parser.add_argument("--ensaio", action="store_true", help="o mesmo caminho, em miniatura")
    args = parser.parse_args(arguments)
    torch.set_num_threads(args.fios)
    plan = REHEARSAL if args.ensaio else Plan()
    prepare(args.saida, Corpus(tuple(args.textos), tuple(args.fora), repeat_stories=1), plan.vocab_size)
    text = held_out_text(args.textos, tuple(args.fora))
    text = text[:3000] if args.ensaio else text
    record = args.saida / "corridas.json"
    done = read_json(record) if record.exists() else {}
    for name, config, budget, rate in runs(plan, done):
        result = run(plan, config, budget, rate, args.saida, text, name)
        if result is None:
            print("interrompido; chame de novo com os mesmos argumentos para continuar")
            return
        done[name] = result
        write_json(record, done)
        print(f"{name}: {result['tokens']} tokens, {result['bits']} bits por byte", flush=True)
    write_json(args.json, {
        "vocabulario": plan.vocab_size, "contexto": plan.context_length, "lote": plan.batch_size,
        "tokens_do_corpus": len(TokenFileDataset(args.saida / IDS["train"], plan.context_length).ids),
        "texto": {"romances": args.fora, "bytes": len(text.encode("utf-8")),
                  "sha256": hashlib.sha256(text.encode("utf-8")).hexdigest()[:12]},
        "fios": args.fios, "torch": torch.__version__, "nucleos": os.cpu_count(),
        "corridas": list(done.values()),
    })  # fmt: skip


if __name__ == "__main__":
    main()
