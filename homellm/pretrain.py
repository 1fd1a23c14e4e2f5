# Gerado por ferramentas/tangle.py a partir de book/05-pre-treino.md. NÃO EDITE: mude o capítulo.
# sha256 do que segue: 43dcf03cc95e080f1b5ad86ec85168551f652b393037a18f4c9899876fd39b22
"""Pré-treina um GPT num corpus de arquivos de texto: o comando que fez o `contos-mini`.

    python -m homellm.pretrain --textos PASTA --saida modelos/contos-mini

Junta os contos do livro aos `.txt` da pasta, treina o tokenizer, grava os ids num arquivo e treina o modelo.
Pode ser interrompido (Ctrl-C, queda de luz) e chamado de novo com os mesmos argumentos: continua de onde
parou. Com várias GPUs, `torchrun --nproc_per_node=N -m homellm.pretrain …`. O capítulo 5 do livro explica o
módulo.

>>> page = "Era uma noite de chuva fina e de vento na\\ncidade toda, sem ninguém nas ruas escuras.\\n— Entre."
>>> print(join_wrapped(page))
Era uma noite de chuva fina e de vento na cidade toda, sem ninguém nas ruas escuras.
— Entre.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.distributed as dist

from homellm.corpus import load_table
from homellm.data import TokenFileDataset, create_dataloader, write_token_file
from homellm.device import choose_device
from homellm.generation import generate
from homellm.model import GPT, GPTConfig
from homellm.tokenizer import BPETokenizer, read_json, write_json
from homellm.training import TrainConfig, train
from homellm.weights import save_pretrained

END = "<|endoftext|>"
SPECIAL_TOKENS = (END, "<|sistema|>", "<|usuario|>", "<|assistente|>")  # os três últimos, para o capítulo 7


def join_wrapped(text: str) -> str:
    """Desfaz as quebras de página impressa: cada parágrafo numa linha; os versos ficam como estão.

    Uma linha continua na seguinte se a primeira palavra desta já não cabia nela, e se não é uma fala que
    começa. Um texto que já tem um parágrafo por linha não muda.
    """
    lines = [line.strip() for line in unicodedata.normalize("NFC", text).splitlines()]
    lengths = sorted(len(line) for line in lines if line)
    margin = lengths[int(0.9 * len(lengths))] if lengths else 0
    if not 40 < margin <= 120:  # não são linhas impressas: parágrafos inteiros, ou só versos
        return "\n".join(lines)
    paragraphs: list[str] = []
    for before, line in zip(["", *lines], lines, strict=False):
        ended = before.endswith((".", "!", "?", "…", ":", "”")) and line.startswith("—")
        first = len(line.split(" ", 1)[0])
        if before and line and len(before) + 1 + first > 0.92 * margin and not ended:
            paragraphs[-1] += line if re.search(r"\w-$", before) else " " + line  # disse-/lhe
        else:
            paragraphs.append(line)
    return "\n".join(paragraphs)


def read_documents(folders: list[Path], held_out: list[str]) -> Iterator[tuple[str, str]]:
    """`(nome, texto)` de cada `.txt` das pastas, em ordem, salvo os de `held_out` (nomes sem `.txt`)."""
    found = {folder: list(folder.rglob("*.txt")) for folder in folders}
    if empty := [str(folder) for folder, files in found.items() if not files]:
        raise FileNotFoundError(f"não há arquivo .txt em {', '.join(empty)}")
    paths = sorted(path for files in found.values() for path in files)
    if unknown := set(held_out) - {path.stem for path in paths}:
        raise ValueError(f"não há arquivo com o nome {', '.join(sorted(unknown))} para deixar de fora")
    for path in paths:
        if path.stem not in held_out:
            try:
                text = path.read_text("utf-8-sig")  # sem a marca que o Windows põe no começo
            except UnicodeDecodeError as error:
                raise ValueError(f"{path}: não é UTF-8 ({error}); salve-o em UTF-8") from error
            yield path.stem, join_wrapped(text)


def _stories(split: str) -> list[str]:
    """Os contos de um split, cada um um documento, com o título."""
    return [f"{story.title}\n\n{story.text}" for story in load_table("contos", split=split)]


def build_corpus(folders: list[Path], held_out: list[str], repeat_stories: int, seed: int = 0) -> list[str]:
    """Os documentos de treino, embaralhados: os das pastas, uma vez, e os contos, `repeat_stories` vezes."""
    documents = [text for _, text in read_documents(folders, held_out)] if folders else []
    documents += _stories("train") * repeat_stories
    random.Random(seed).shuffle(documents)
    return documents


def prepare(output: Path, args: argparse.Namespace) -> None:
    """Faz o tokenizer e os arquivos de ids, e os guarda em `output`; na segunda vez, já estão lá.

    Erros: `ValueError` se os que estão lá são de outros textos ou de outro preset.
    """
    record = output / "preparo.json"  # escrito por último: se existe, o resto está inteiro
    choices = {
        "textos": [str(folder) for folder in args.textos],
        "fora": sorted(args.fora),
        "preset": args.preset,
        "repete-contos": args.repete_contos,
    }
    if record.exists():
        before = read_json(record)
        if changed := [f"--{name}" for name in choices if before.get(name) != choices[name]]:
            raise ValueError(f"{output} foi preparada com outro {', '.join(changed)}: use outra --saida")
        return
    output.mkdir(parents=True, exist_ok=True)
    documents = build_corpus(args.textos, args.fora, args.repete_contos)
    vocab_size = GPTConfig.preset(args.preset).vocab_size
    tokenizer = BPETokenizer.train(documents, vocab_size, SPECIAL_TOKENS)
    tokenizer.save(output / "tokenizer.json")
    end = tokenizer.special_tokens[END]  # posto como id: escrito num texto, END é texto comum
    for name, texts in (("treino.ids", documents), ("validacao.ids", _stories("validation"))):
        ids = (i for text in texts for i in (*tokenizer.encode(text), end))
        total = write_token_file(output / name, ids, tokenizer.vocab_size)
        print(f"{name}: {len(texts)} documentos, {total:,} tokens", flush=True)
    write_json(record, choices)


def main(arguments: list[str] | None = None) -> None:
    """Ponto de entrada da linha de comando."""
    parser = argparse.ArgumentParser(
        prog="homellm.pretrain", description="pré-treina um GPT nos contos e em outros textos"
    )
    parser.add_argument(
        "--textos", type=Path, nargs="*", default=[], help="pastas com arquivos .txt em UTF-8"
    )
    parser.add_argument("--fora", nargs="*", default=[], help="arquivos (sem .txt) a deixar fora do treino")
    parser.add_argument("--saida", type=Path, required=True, help="pasta do modelo e do checkpoint")
    parser.add_argument("--preset", default="contos-mini", help="tamanho do modelo (GPTConfig.preset)")
    parser.add_argument("--passos", type=int, default=6000, help="passos do otimizador")
    parser.add_argument("--lote", type=int, default=16, help="janelas por passo")
    parser.add_argument("--taxa", type=float, default=3e-3, help="pico da taxa de aprendizado")
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument(
        "--repete-contos", type=int, default=3, help="quantas vezes os contos entram por época"
    )
    parser.add_argument(
        "--avalia-a-cada", type=int, default=250, help="passos entre avaliações (e checkpoints)"
    )
    parser.add_argument(
        "--reparte", action="store_true", help="com várias GPUs, reparte entre elas os pesos (FSDP2)"
    )
    args = parser.parse_args(arguments)

    if "RANK" in os.environ:  # estamos sob o torchrun
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    main_process = int(os.environ.get("RANK", 0)) == 0
    if main_process:
        prepare(args.saida, args)
    if dist.is_initialized():
        dist.barrier()
    tokenizer = BPETokenizer.load(args.saida / "tokenizer.json")
    torch.manual_seed(0)
    config = GPTConfig.preset(args.preset, vocab_size=tokenizer.vocab_size, dropout=args.dropout)
    device = choose_device()
    model = GPT(config).to(device)
    datasets = [
        TokenFileDataset(args.saida / name, config.context_length) for name in ("treino.ids", "validacao.ids")
    ]
    train_loader = create_dataloader(datasets[0], args.lote)
    val_loader = create_dataloader(datasets[1], args.lote, shuffle=False, drop_last=False)
    prompt = torch.tensor([[tokenizer.special_tokens[END]]], device=device)

    def report(step: int, model: GPT) -> None:
        generator = torch.Generator().manual_seed(0)
        ids = generate(model, prompt, 60, temperature=0.8, top_p=0.95, generator=generator)
        print(f"passo {step}: {tokenizer.decode(ids[0, 1:])!r}", flush=True)

    train_config = TrainConfig(
        max_steps=args.passos,
        learning_rate=args.taxa,
        warmup_steps=200,
        final_lr=0.02,
        eval_every=args.avalia_a_cada,
        shard=args.reparte,
    )
    history = train(
        model, train_loader, val_loader, train_config,
        checkpoint=args.saida / "treino.safetensors", resume=True, on_eval=report,
    )  # fmt: skip
    if main_process:
        print(f"validação: {history.val_loss[-1]:.4f}; {history.tokens:,} tokens em {history.seconds:,.0f} s")
        if history.interrupted:
            print("interrompido; chame de novo com os mesmos argumentos para continuar")
        else:
            save_pretrained(model, tokenizer, args.saida / "modelo", dtype=torch.float16)
            print(f"modelo em {args.saida / 'modelo'}")
    if dist.is_initialized():
        dist.destroy_process_group()


if __name__ == "__main__" and __package__ == "homellm":  # com python -m; num caderno, não
    main()
