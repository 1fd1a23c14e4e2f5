"""O modelo do livro contra os pares: treino, geração e memória, na mesma máquina e na mesma execução.

uso: python bancada/modelo.py [--repeticoes 5] [--fios 1] [--saida data/bancada.json]

Os pares são o GPT-2 da biblioteca `transformers` (atenção sdpa) e o `GPTModel` do pacote
`llms-from-scratch`, que acompanha o livro de Raschka. Todos têm a mesma forma; antes de qualquer relógio,
confere-se que com os mesmos pesos dão os mesmos logits, a mesma perda e os mesmos ids. As medidas se
alternam: em cada rodada, cada implementação dá um passo, e a razão se faz dentro da rodada. A primeira rodada
aquece e não conta. Com um fio o relógio é o de CPU do processo; com mais, o de parede. A memória é medida à
parte, cada implementação num processo novo.

Precisa de: pip install "homellm[teste]" && pip install --no-deps llms-from-scratch
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from homellm.generation import generate
from homellm.model import GPT, GPTConfig
from homellm.training import TrainConfig, create_optimizer, language_model_loss, next_token_loss
from homellm.weights import gpt2_tensors

Task = Callable[[], dict[str, float]]
OURS = "homellm"
PEERS = {  # pacote que se importa: como se instala
    "transformers": 'pip install "homellm[teste]"',
    "llms_from_scratch.ch04": "pip install --no-deps llms-from-scratch",
}
PROMPT = 32  # ids do prompt na geração


@dataclass(frozen=True)
class Shape:
    """O tamanho de um modelo e do lote com que ele treina."""

    vocab_size: int
    context_length: int
    emb_dim: int
    n_heads: int
    n_layers: int
    batch_size: int

    @property
    def config(self) -> GPTConfig:
        return GPTConfig(self.vocab_size, self.context_length, self.emb_dim, self.n_heads, self.n_layers)


SHAPES = {
    "a": Shape(4096, 256, 256, 4, 4, batch_size=16),
    "b": Shape(50257, 256, 384, 6, 6, batch_size=4),
    "124M": Shape(50257, 1024, 768, 12, 12, batch_size=1),
}
TRAINING = ("a", "b")
DECODING = {"b": 128, "124M": 64}  # quantos ids novos, com cache
UNCACHED = {"b": 16, "124M": 6}  # sem cache cada id custa uma passada inteira; poucos bastam


@dataclass
class Implementation:
    """Um modelo e o modo como quem o usa o treina; `extra` são outros otimizadores para o mesmo gradiente."""

    model: nn.Module
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    logits: Callable[[torch.Tensor], torch.Tensor]
    optimizer: torch.optim.Optimizer
    extra: dict[str, torch.optim.Optimizer] = field(default_factory=dict)


# ------------------------------------------------------------------ as implementações


def build_homellm(shape: Shape, loss: Callable[..., torch.Tensor] = language_model_loss) -> Implementation:
    model, extra = GPT(shape.config), {}
    if loss is language_model_loss:
        extra["AdamW comum"] = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.1)
    return Implementation(
        model, lambda ids, targets: loss(model, (ids, targets)), model,
        create_optimizer(model, TrainConfig()), extra,
    )  # fmt: skip


def whole_logits_loss(model: nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """A mesma perda sem os pedaços: os logits `(B, T, V)` existem inteiros."""
    return next_token_loss(model(batch[0]), batch[1])


def bf16_loss(model: nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        return language_model_loss(model, batch)


def build_transformers(shape: Shape) -> Implementation:
    """O GPT-2 da biblioteca; a perda é a dela. O `Trainer` usa AdamW fundido; um laço à mão, o comum."""
    from transformers import AutoModelForCausalLM, GPT2Config
    from transformers.utils import logging

    logging.set_verbosity_error()
    config = GPT2Config(
        vocab_size=shape.vocab_size, n_positions=shape.context_length, n_embd=shape.emb_dim,
        n_head=shape.n_heads, n_layer=shape.n_layers, attn_pdrop=0.0, resid_pdrop=0.0, embd_pdrop=0.0,
        bos_token_id=None, eos_token_id=None,
    )  # fmt: skip
    model = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa")
    return Implementation(
        model, lambda ids, _: model(input_ids=ids, labels=ids).loss, lambda ids: model(ids).logits,
        torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.1),
        {"AdamW fundido": torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.1, fused=True)},
    )  # fmt: skip


def build_raschka(shape: Shape) -> Implementation:
    """O `GPTModel` do capítulo 4 e a perda do 5. A matriz de saída dele não é a tabela de embedding."""
    from llms_from_scratch.ch04 import GPTModel

    model = GPTModel(raschka_config(shape))

    def loss(ids: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(model(ids).flatten(0, 1), targets.flatten())

    return Implementation(
        model, loss, model, torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.1)
    )


def raschka_config(shape: Shape) -> dict[str, Any]:
    sizes = asdict(shape)
    del sizes["batch_size"]
    return sizes | {"drop_rate": 0.0, "qkv_bias": True}


BUILDERS: dict[str, Callable[[Shape], Implementation]] = {
    OURS: build_homellm,
    "homellm, logits inteiros": lambda shape: build_homellm(shape, whole_logits_loss),
    "transformers": build_transformers,
    "llms-from-scratch": build_raschka,
}


@torch.no_grad()
def copy_weights(source: GPT, name: str, target: nn.Module) -> None:
    """Põe em `target` os pesos do nosso modelo, com os nomes que a implementação usa."""
    mine = dict(source.named_parameters())
    if name == "transformers":
        state = {}
        for key, (theirs, transposed) in gpt2_tensors(source.config).items():
            state[f"transformer.{theirs}"] = mine[key].t() if transposed else mine[key]
        rest = target.load_state_dict(state, strict=False)
        assert not rest.unexpected_keys and rest.missing_keys == ["lm_head.weight"], rest
    elif name == "llms-from-scratch":
        rest = target.load_state_dict(raschka_tensors(mine, source.config.n_layers), strict=False)
        masks = all(key.endswith(".att.mask") for key in rest.missing_keys)  # não são pesos
        assert masks and not rest.unexpected_keys, rest
    else:
        target.load_state_dict(source.state_dict())


def raschka_tensors(mine: dict[str, torch.Tensor], n_layers: int) -> dict[str, torch.Tensor]:
    """Os nossos tensores com os nomes do `GPTModel`."""
    table = mine["token_embedding.weight"]
    theirs = {"tok_emb.weight": table, "out_head.weight": table}
    theirs["pos_emb.weight"] = mine["position_embedding.weight"]
    theirs["final_norm.scale"], theirs["final_norm.shift"] = mine["norm.weight"], mine["norm.bias"]
    for block in range(n_layers):
        ours, here = f"blocks.{block}", f"trf_blocks.{block}"
        for kind in ("weight", "bias"):
            qkv = mine[f"{ours}.attention.qkv.{kind}"].chunk(3)
            for name, part in zip(("query", "key", "value"), qkv, strict=True):
                theirs[f"{here}.att.W_{name}.{kind}"] = part
            theirs[f"{here}.att.out_proj.{kind}"] = mine[f"{ours}.attention.proj.{kind}"]
            theirs[f"{here}.ff.layers.0.{kind}"] = mine[f"{ours}.mlp.expand.{kind}"]
            theirs[f"{here}.ff.layers.2.{kind}"] = mine[f"{ours}.mlp.proj.{kind}"]
        for norm in ("norm1", "norm2"):
            theirs[f"{here}.{norm}.scale"] = mine[f"{ours}.{norm}.weight"]
            theirs[f"{here}.{norm}.shift"] = mine[f"{ours}.{norm}.bias"]
    return theirs


# ------------------------------------------------------------------ medir


def missing_peers(peers: dict[str, str] = PEERS) -> list[str]:
    """Uma frase por par que não se consegue importar, com o comando que o instala."""
    missing = []
    for module, command in peers.items():
        try:
            importlib.import_module(module)
        except ImportError as error:
            missing.append(f"não consigo importar {module} ({error}); instale com: {command}")
    return missing


def interleave(tasks: dict[str, Task], repetitions: int) -> dict[str, dict[str, list[float]]]:
    """Roda as tarefas em rodadas: `{tarefa: {parte: segundos de cada rodada}}`, sem a do aquecimento.

    A cada rodada a ordem avança uma casa, para que ninguém venha sempre depois do mesmo vizinho.

    >>> interleave({"x": lambda: {"tudo": 1.0}}, 2)
    {'x': {'tudo': [1.0, 1.0]}}
    """
    names = list(tasks)
    seconds: dict[str, dict[str, list[float]]] = {name: {} for name in names}
    for turn in range(repetitions + 1):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            for part, value in tasks[name]().items():
                values = seconds[name].setdefault(part, [])
                if turn:
                    values.append(value)
    return seconds


def summarize(values: list[float]) -> dict[str, float]:
    """Mediana, mínimo e máximo, com quatro algarismos.

    >>> summarize([3.0, 1.0, 2.0])
    {'mediana': 2.0, 'min': 1.0, 'max': 3.0}
    """
    three = {"mediana": statistics.median(values), "min": min(values), "max": max(values)}
    return {name: float(f"{value:.4g}") for name, value in three.items()}


def compare(seconds: dict[str, list[float]], tokens: dict[str, int]) -> dict[str, Any]:
    """Segundos por passada, tokens por segundo, e quantas vezes `homellm` é mais rápido (por token).

    A razão se faz dentro de cada rodada: um pico de carga na máquina atinge os dois lados.

    >>> table = compare({"homellm": [1.0, 2.0], "par": [3.0, 4.0]}, {"homellm": 10, "par": 10})
    >>> table["par"]["razao"]
    {'mediana': 2.5, 'min': 2.0, 'max': 3.0}
    """
    table = {}
    for name, values in seconds.items():
        per_token = zip(values, seconds[OURS], strict=True)
        ratios = [(theirs / tokens[name]) / (ours / tokens[OURS]) for theirs, ours in per_token]
        table[name] = {
            "segundos": summarize(values),
            "tokens": tokens[name],
            "tokens_por_segundo": float(f"{tokens[name] / statistics.median(values):.4g}"),
            "razao": summarize(ratios),
        }
    return table


def random_batch(shape: Shape) -> tuple[torch.Tensor, torch.Tensor]:
    ids = torch.randint(shape.vocab_size, (shape.batch_size, shape.context_length + 1))
    return ids[:, :-1].contiguous(), ids[:, 1:].contiguous()


def training_task(item: Implementation, shape: Shape, clock: Callable[[], float]) -> Task:
    """Um passo de treino, com o relógio lido depois do gradiente e depois de cada otimizador."""
    batch = random_batch(shape)

    def step() -> dict[str, float]:
        item.model.train()
        start = clock()
        item.loss(*batch).backward()
        times = {"ida e volta": clock() - start}
        for name, optimizer in {"": item.optimizer, **item.extra}.items():
            start = clock()
            nn.utils.clip_grad_norm_(item.model.parameters(), 1.0)
            optimizer.step()
            times[f"otimizador {name}".strip()] = clock() - start
        item.model.zero_grad(set_to_none=True)
        return times

    return step


def measure_training(shape: Shape, repetitions: int, clock: Callable[[], float]) -> dict[str, Any]:
    """`ida_e_volta` e `passo` de cada implementação; o passo também com os otimizadores de `extra`."""
    items = {name: build(shape) for name, build in BUILDERS.items()}
    measured = interleave(
        {name: training_task(item, shape, clock) for name, item in items.items()}, repetitions
    )
    both = {name: parts["ida e volta"] for name, parts in measured.items()}
    steps = {}
    for name, parts in measured.items():
        for part, values in parts.items():
            if part.startswith("otimizador"):
                label = ", ".join(filter(None, (name, part.removeprefix("otimizador").strip())))
                steps[label] = [a + b for a, b in zip(parts["ida e volta"], values, strict=True)]
    n = shape.batch_size * shape.context_length
    return {
        "ida_e_volta": compare(both, dict.fromkeys(both, n)),
        "passo": compare(steps, dict.fromkeys(steps, n)),
    }


def measure_bf16(shape: Shape, repetitions: int, clock: Callable[[], float]) -> dict[str, Any]:
    """O nosso passo em fp32 e em bf16, com lote 1: sem instruções de bf16 cada passo demora demais."""
    shape = replace(shape, batch_size=1)
    tasks = {}
    for name, loss in ((OURS, language_model_loss), ("homellm, bf16", bf16_loss)):
        item = build_homellm(shape, loss)
        item.extra.clear()
        tasks[name] = training_task(item, shape, clock)
    steps = {
        name: [a + b for a, b in zip(parts["ida e volta"], parts["otimizador"], strict=True)]
        for name, parts in interleave(tasks, repetitions).items()
    }
    return compare(steps, dict.fromkeys(steps, shape.context_length))


def decoders(shape: Shape, name: str) -> tuple[dict[str, Callable[[torch.Tensor], torch.Tensor]], list[str]]:
    """Os modos de gerar, todos com os mesmos pesos; e os avisos sobre o que não roda."""
    cached, uncached = DECODING[name], UNCACHED[name]
    ours = GPT(shape.config).eval()
    theirs = {peer: BUILDERS[peer](shape).model.eval() for peer in ("transformers", "llms-from-scratch")}
    for peer, model in theirs.items():
        copy_weights(ours, peer, model)
    from llms_from_scratch.ch04 import generate_text_simple

    def hugging_face(ids: torch.Tensor) -> torch.Tensor:
        mask = torch.ones_like(ids)
        return theirs["transformers"].generate(
            ids, attention_mask=mask, max_new_tokens=cached, do_sample=False, use_cache=True, pad_token_id=0
        )

    ways = {
        OURS: lambda ids: generate(ours, ids, cached, temperature=0),
        "transformers": hugging_face,
        "homellm, sem cache": lambda ids: generate(ours, ids, uncached, temperature=0, use_cache=False),
        "llms-from-scratch, sem cache": lambda ids: generate_text_simple(
            theirs["llms-from-scratch"], ids, uncached, shape.context_length
        ),
    }
    warnings = []
    with_cache, problem = raschka_cached(shape, theirs["llms-from-scratch"], cached)
    if with_cache:
        ways["llms-from-scratch"] = with_cache
    else:
        warnings.append(f"llms-from-scratch com cache não roda nesta versão: {problem}")
    return ways, warnings


def raschka_cached(
    shape: Shape, source: nn.Module, new_tokens: int
) -> tuple[Callable[[torch.Tensor], torch.Tensor] | None, str]:
    """A geração com cache de `llms_from_scratch.kv_cache`, ou o motivo por que ela não roda.

    Na versão 1.0.19 o GPT-2 de lá não tem o que a função de geração pede, e a máscara não serve a um id novo.
    """
    from llms_from_scratch.kv_cache.generate import generate_text_simple
    from llms_from_scratch.kv_cache.gpt2 import GPTModel

    model = GPTModel(raschka_config(shape)).eval()
    model.load_state_dict(source.state_dict(), strict=False)

    def run(ids: torch.Tensor) -> torch.Tensor:
        return generate_text_simple(model, ids, new_tokens, shape.context_length)

    try:
        run(torch.zeros(1, 2, dtype=torch.int64))
    except Exception as error:
        return None, f"{type(error).__name__}: {error}"
    return run, ""


def measure_decoding(
    name: str, repetitions: int, clock: Callable[[], float]
) -> tuple[dict[str, Any], list[str]]:
    """Geração gulosa de lote 1; antes, confere que todos escrevem os mesmos ids."""
    shape = SHAPES[name]
    ways, warnings = decoders(shape, name)
    prompt = torch.randint(shape.vocab_size, (1, PROMPT))
    ids = {way: run(prompt) for way, run in ways.items()}
    for way, written in ids.items():
        same = torch.equal(written, ids[OURS][:, : written.shape[1]])
        assert same, f"{way} não escreve os mesmos ids que homellm na forma {name}"

    def timed(run: Callable[[torch.Tensor], torch.Tensor]) -> dict[str, float]:
        start = clock()
        run(prompt)
        return {"tudo": clock() - start}

    tasks = {way: (lambda run=run: timed(run)) for way, run in ways.items()}
    seconds = {way: parts["tudo"] for way, parts in interleave(tasks, repetitions).items()}
    return compare(seconds, {way: written.shape[1] - PROMPT for way, written in ids.items()}), warnings


def measure_output(name: str, repetitions: int, clock: Callable[[], float]) -> dict[str, Any]:
    """O produto que dá os logits de um id: a matriz `(V, C)` como o modelo a guarda, e a sua transposta."""
    shape, times = SHAPES[name], 20
    weight, vector = torch.randn(shape.vocab_size, shape.emb_dim), torch.randn(1, shape.emb_dim)
    transposed = weight.t().contiguous()

    def timed(product: Callable[[], torch.Tensor]) -> dict[str, float]:
        start = clock()
        for _ in range(times):
            product()
        return {"tudo": (clock() - start) / times}

    tasks = {
        OURS: lambda: timed(lambda: vector @ transposed),
        "matriz (V, C)": lambda: timed(lambda: F.linear(vector, weight)),
    }
    seconds = {way: parts["tudo"] for way, parts in interleave(tasks, repetitions).items()}
    return compare(seconds, dict.fromkeys(seconds, 1))


# ------------------------------------------------------------------ memória


def status_mb(field_name: str) -> float:
    """Um campo de `/proc/self/status`, em MB: `VmRSS`, a memória agora; `VmHWM`, o pico."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field_name + ":"):
            return int(line.split()[1]) * 1024 / 1e6
    raise RuntimeError(f"/proc/self/status não tem {field_name}")


def peak_memory(name: str, shape: Shape) -> dict[str, float]:
    """O pico de dois passos de treino, e quanto dele havia antes de criar o modelo (Python e bibliotecas)."""
    if name == "transformers":
        importlib.import_module("transformers.models.gpt2.modeling_gpt2")
    build_on = BUILDERS[name]
    build_on(Shape(64, 8, 8, 1, 1, batch_size=1))  # o que se importa só no primeiro uso
    before = status_mb("VmRSS")
    item = build_on(shape)
    item.extra.clear()
    step = training_task(item, shape, time.perf_counter)
    for _ in range(2):  # no segundo, o otimizador já tem os seus momentos
        step()
    peak = status_mb("VmHWM")
    return {"antes_mb": round(before), "pico_mb": round(peak), "treino_mb": round(peak - before)}


def measure_memory(shape_name: str, threads: int) -> dict[str, Any]:
    """`peak_memory` de cada implementação, cada uma num processo novo; a razão é homellm / par."""
    table: dict[str, Any] = {}
    for name in BUILDERS:
        command = [sys.executable, __file__, "--memoria", name, shape_name, "--fios", str(threads)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"a medida de memória de {name} falhou:\n{done.stderr}")
        table[name] = json.loads(done.stdout.splitlines()[-1])
    for row in table.values():
        row["razao"] = round(table[OURS]["treino_mb"] / row["treino_mb"], 3)
        row["razao_pico"] = round(table[OURS]["pico_mb"] / row["pico_mb"], 3)
    return table


# ------------------------------------------------------------------ conferir


def check(shape_name: str) -> dict[str, dict[str, float]]:
    """Que todos façam a mesma conta: mesmos pesos, mesmos logits, e a perda que eles dão."""
    shape = SHAPES[shape_name]
    ours = build_homellm(shape)
    ids, targets = random_batch(replace(shape, batch_size=2))
    with torch.no_grad():
        expected = ours.logits(ids)
    rows = {}
    for name in (OURS, "transformers", "llms-from-scratch"):
        item = BUILDERS[name](shape)
        copy_weights(ours.model, name, item.model)
        with torch.no_grad():
            logits = item.logits(ids)
        difference = (logits - expected).abs().max().item()
        assert difference < 1e-4, f"{name} não dá os mesmos logits na forma {shape_name}: {difference:.1e}"
        loss = item.loss(ids, targets).item()
        # a transformers desloca os alvos por conta própria, e por isso prevê um a menos
        shifted = (logits[:, :-1], ids[:, 1:]) if name == "transformers" else (logits, targets)
        assert abs(loss - next_token_loss(*shifted).item()) < 1e-4, f"a perda de {name} não é a dos logits"
        rows[name] = {"diferenca_logits": float(f"{difference:.1e}"), "perda": round(loss, 4)}
    return rows


# ------------------------------------------------------------------ a máquina e a tabela


def cpu_name() -> str:
    """O nome do processador, como o sistema o dá."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "sem versão"


def describe_machine(threads: int) -> dict[str, Any]:
    return {
        "processador": cpu_name(),
        "instrucoes": torch.backends.cpu.get_cpu_capability(),
        "bf16_nativo": bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()),
        "nucleos": os.cpu_count(),
        "fios": threads,
        "relogio": "CPU" if threads == 1 else "parede",
        "sistema": platform.system(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": version("transformers"),
        "llms-from-scratch": version("llms-from-scratch"),
        "data": datetime.date.today().isoformat(),
    }


def number(value: float, digits: int = 2) -> str:
    """Com vírgula decimal.

    >>> number(1234.5), number(0.126)
    ('1234,50', '0,13')
    """
    return f"{value:.{digits}f}".replace(".", ",")


def format_table(header: list[str], rows: list[list[str]]) -> str:
    """Colunas alinhadas: a primeira à esquerda, as outras à direita.

    >>> print(format_table(["", "razão"], [["homellm", "1,00"], ["par", "12,50"]]))
             razão
    homellm   1,00
    par      12,50
    """
    lines = [header, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    text = []
    for line in lines:
        first, *rest = (cell.ljust(w) if not i else cell.rjust(w) for i, (cell, w) in
                        enumerate(zip(line, widths, strict=True)))  # fmt: skip
        text.append("  ".join([first, *rest]).rstrip())
    return "\n".join(text)


def speed_rows(table: dict[str, Any]) -> list[list[str]]:
    """As linhas de uma tabela de velocidade, do nosso modelo aos pares."""
    rows = []
    for name, row in table.items():
        ratio = row["razao"]
        spread = "" if name == OURS else f"{number(ratio['min'])} a {number(ratio['max'])}"
        rows.append([name, f"{row['tokens_por_segundo']:.4g}".replace(".", ","),
                     number(ratio["mediana"]), spread])  # fmt: skip
    return rows


SPEED_HEADER = ["", "tokens/s", "homellm é … vezes mais rápido", "de … a …"]
MEMORY_HEADER = ["", "antes, MB", "pico, MB", "do treino, MB", "homellm usa … vezes isso"]
TITLES = {
    "ida_e_volta": "ida e volta (perda e gradiente)",
    "passo": "passo de treino (perda, gradiente, corte, AdamW)",
    "bf16": "passo de treino em bf16 (autocast), lote 1",
    "geracao": "geração gulosa, lote 1",
    "saida": "logits de um id, matriz (C, V) contra (V, C); produtos por segundo",
}


def report(data: dict[str, Any]) -> str:
    """Tudo o que se mediu, em texto."""
    machine = data["maquina"]
    parts = [
        f"{machine['processador']} ({machine['instrucoes']}), {machine['fios']} fio(s), "
        f"relógio de {machine['relogio']}, PyTorch {machine['torch']}, {machine['data']}; "
        f"{data['repeticoes']} rodadas, mediana"
    ]
    for key, title in TITLES.items():
        for shape, table in data[key].items():
            parts.append(f"{title}, forma {shape}\n{format_table(SPEED_HEADER, speed_rows(table))}")
    for shape, table in data["memoria"].items():
        rows = [
            [name, str(row["antes_mb"]), str(row["pico_mb"]), str(row["treino_mb"]), number(row["razao"])]
            for name, row in table.items()
        ]
        parts.append(f"memória do passo de treino, forma {shape}\n{format_table(MEMORY_HEADER, rows)}")
    if not data["memoria"]:
        parts.append("memória: só se mede no Linux, que a conta em /proc")
    return "\n\n".join(parts + data["avisos"])


def measure_all(repetitions: int, threads: int) -> dict[str, Any]:
    clock = time.process_time if threads == 1 else time.perf_counter

    def say(what: str) -> None:
        print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)

    data: dict[str, Any] = {
        "versao": 1, "maquina": describe_machine(threads), "repeticoes": repetitions,
        "formas": {name: asdict(shape) for name, shape in SHAPES.items()}, "prompt": PROMPT,
        "conferencia": {}, "ida_e_volta": {}, "passo": {}, "bf16": {}, "geracao": {}, "saida": {},
        "memoria": {}, "avisos": [],
    }  # fmt: skip
    for name in TRAINING:
        say(f"forma {name}: mesmos logits e mesma perda?")
        data["conferencia"][name] = check(name)
    for name in TRAINING:
        say(f"forma {name}: treino")
        for key, table in measure_training(SHAPES[name], repetitions, clock).items():
            data[key][name] = table
    data["bf16"]["a"] = measure_bf16(SHAPES["a"], repetitions, clock)
    for name in DECODING:
        say(f"forma {name}: geração")
        data["geracao"][name], warnings = measure_decoding(name, repetitions, clock)
        data["avisos"] += [w for w in warnings if w not in data["avisos"]]
        data["saida"][name] = measure_output(name, repetitions, clock)
    if sys.platform == "linux":
        for name in TRAINING:
            say(f"forma {name}: memória, um processo por implementação")
            data["memoria"][name] = measure_memory(name, threads)
    return data


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="mede o modelo do livro contra os pares")
    parser.add_argument("--repeticoes", type=int, default=5, help="rodadas, além da de aquecimento")
    parser.add_argument("--fios", type=int, default=1, help="fios de execução do PyTorch")
    parser.add_argument("--saida", type=Path, default=Path(__file__).parents[1] / "data/bancada.json")
    parser.add_argument("--memoria", nargs=2, metavar=("IMPLEMENTACAO", "FORMA"), help=argparse.SUPPRESS)
    args = parser.parse_args(arguments)
    if missing := missing_peers():
        print("\n".join(missing), file=sys.stderr)
        return 1
    torch.set_num_threads(args.fios)
    torch.manual_seed(0)
    if args.memoria:
        name, shape = args.memoria
        print(json.dumps(peak_memory(name, SHAPES[shape])))
        return 0
    data = measure_all(args.repeticoes, args.fios)
    args.saida.write_text(json.dumps(data, ensure_ascii=False, indent=1) + "\n", "utf-8")
    print(report(data))
    print(f"\ngravado em {args.saida}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
