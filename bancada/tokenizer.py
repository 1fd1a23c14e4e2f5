"""Treino e codificação de BPE: homellm contra a biblioteca `tokenizers`, no mesmo texto e na mesma máquina.

uso: python bancada/tokenizer.py [--texto ARQUIVO ...] [--vocabulario 4096] [--megabytes 1.5] [--repeticoes 5]

Sem `--texto`, usa os contos do livro, repetidos até o tamanho pedido (o que favorece quem conta cada palavra
uma vez só; para valer, dê um texto seu). Treina com o mesmo pré-corte, confere que as fusões e os ids são
iguais, e imprime medianas e razões. As medidas dos dois lados se alternam, para que um pico de carga
na máquina atinja ambos.
Precisa de: pip install "homellm[teste]"
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("RAYON_NUM_THREADS", "1")  # um núcleo para cada lado
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import regex
import tokenizers
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from homellm.corpus import load_text
from homellm.plots import br
from homellm.tokenizer import CHAR_TO_BYTE, PATTERN, BPETokenizer


def hf_train(text: str, vocab_size: int) -> Tokenizer:
    """Um BPE em bytes da `tokenizers`, com o pré-corte do livro."""
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(tokenizers.Regex(PATTERN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, initial_alphabet=alphabet, show_progress=False)
    tok.train_from_iterator([text], trainer)
    return tok


def measure(tasks: dict[str, Callable[[], object]], repetitions: int) -> dict[str, float]:
    """Mediana dos segundos de cada tarefa, em rodadas alternadas, depois de uma de aquecimento."""
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for turn in range(repetitions + 1):
        for name, task in tasks.items():
            start = time.perf_counter()
            task()
            if turn:
                seconds[name].append(time.perf_counter() - start)
    for name, values in seconds.items():
        middle, low, high = (br(f(values), 3) for f in (statistics.median, min, max))
        print(f"  {name:<34} {middle:>8} s   ({low} a {high})")
    return {name: statistics.median(values) for name, values in seconds.items()}


def read(paths: list[Path], size: int) -> str:
    """Os arquivos, ou os contos, com `size` bytes ao todo."""
    text = "\n\n\n".join(p.read_text("utf-8") for p in paths) if paths else load_text("contos", split="train")
    if not paths:
        text *= size // len(text.encode("utf-8")) + 1
    return text.encode("utf-8")[:size].decode("utf-8", "ignore")


def main() -> None:
    options = argparse.ArgumentParser(description="mede o tokenizer do livro contra a biblioteca tokenizers")
    options.add_argument("--texto", type=Path, nargs="*", default=[], help="arquivos em UTF-8")
    options.add_argument("--vocabulario", type=int, default=4096)
    options.add_argument("--megabytes", type=float, default=1.5)
    options.add_argument("--repeticoes", type=int, default=5)
    args = options.parse_args()
    text = read(args.texto, int(args.megabytes * 10**6))
    n_bytes, size, times = len(text.encode("utf-8")), args.vocabulario, args.repeticoes
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, um núcleo")
    print(
        f"tokenizers {tokenizers.__version__}; {br(n_bytes / 1e6, 2)} MB; "
        f"vocabulário de {size}; {times} medidas"
    )

    print("treino")
    seconds = measure(
        {
            "homellm": lambda: BPETokenizer.train(text, size, special_tokens=()),
            "tokenizers": lambda: hf_train(text, size),
        },
        times,
    )
    print(f"  razão homellm / tokenizers: {br(seconds['homellm'] / seconds['tokenizers'], 2)}")

    ours, theirs = BPETokenizer.train(text, size, special_tokens=()), hf_train(text, size)
    merges = json.loads(theirs.to_str())["model"]["merges"]
    pairs = [tuple(bytes(CHAR_TO_BYTE[c] for c in half) for half in pair) for pair in merges]
    assert ours.merges == pairs, "as fusões não são as mesmas"
    lines = regex.findall(r".*\n+|.+", text)
    by_bytes = {ours.token_bytes(i): i for i in range(ours.vocab_size)}
    to_ours = {i: by_bytes[bytes(CHAR_TO_BYTE[c] for c in name)] for name, i in theirs.get_vocab().items()}
    for line in lines:
        assert ours.encode(line) == [to_ours[i] for i in theirs.encode(line).ids], line
    print(f"  {len(ours.merges)} fusões e todos os ids iguais")

    print("codificação, por linha")
    seconds = measure(
        {
            "homellm (tiktoken)": lambda: ours.encode_batch(lines),
            "tokenizers": lambda: [theirs.encode(line).ids for line in lines],
            "tokenizers, encode_batch_fast": lambda: [e.ids for e in theirs.encode_batch_fast(lines)],
        },
        times,
    )
    print("  MB/s: " + "; ".join(f"{name} {br(n_bytes / 1e6 / s, 1)}" for name, s in seconds.items()))
    print(f"  razão homellm / tokenizers: {br(seconds['homellm (tiktoken)'] / seconds['tokenizers'], 2)}")

    print("codificação em Python puro (encode_pure), 1/10 do texto")
    part = text[: len(text) // 10]
    tasks = {"encode_pure": lambda: ours.encode_pure(part), "encode": lambda: ours.encode(part)}
    seconds = measure(tasks, times)
    print(f"  razão encode_pure / encode: {br(seconds['encode_pure'] / seconds['encode'], 1)}")


if __name__ == "__main__":
    main()
