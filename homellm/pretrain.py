# Gerado por ferramentas/tangle.py. NÃO EDITE: mude book/oficina/receitas.md.
# sha256 do que segue: 515ffc2b3a9f7dacad8ee128cab7a72041c6accdb9ebcb2b2a9b4fdb67b0b391
"""Pré-treina um GPT num corpus de arquivos de texto: do `.txt` ao modelo guardado.

Junta os contos do livro aos textos das pastas, treina o tokenizer, grava os ids num
arquivo e treina o modelo. Pode ser interrompido e chamado de novo com os mesmos
valores: continua de onde parou. Sob o `torchrun`, cada processo faz a sua parte de cada
lote. O comando é `python -m homellm.recipes contos-mini`; a página “As receitas dos
modelos do livro”, da oficina, explica o módulo.

>>> page = "Era uma noite de chuva fina e de vento na\\ncidade toda, sem ninguém nas "
>>> print(join_wrapped(page + "ruas escuras.\\n— Entre."))
Era uma noite de chuva fina e de vento na cidade toda, sem ninguém nas ruas escuras.
— Entre.
"""

from __future__ import annotations

import hashlib
import os
import random
import re
import unicodedata
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn

from homellm.corpus import data_path, load_table
from homellm.data import TokenFileDataset, create_dataloader, write_token_file
from homellm.device import choose_device
from homellm.files import read_json, read_text, write_json
from homellm.generation import generate
from homellm.model import GPT, GPTConfig
from homellm.plots import br
from homellm.tokenizer import SPECIAL_TOKENS, BPETokenizer, encode_text, end_id
from homellm.training import History, TrainConfig, train
from homellm.weights import save_pretrained


def join_wrapped(text: str) -> str:
    """Desfaz as quebras da página impressa: um parágrafo por linha; versos não mudam.

    Uma linha continua na seguinte se a primeira palavra desta não cabia nela, e se não
    é uma fala que começa. Um texto que tem um parágrafo por linha fica como está.
    """
    lines = [line.strip() for line in unicodedata.normalize("NFC", text).splitlines()]
    lengths = sorted(len(line) for line in lines if line)
    margin = lengths[int(0.9 * len(lengths))] if lengths else 0
    if not 40 < margin <= 120:  # não são linhas impressas: parágrafos, ou versos
        return "\n".join(lines)
    paragraphs: list[str] = []
    for before, line in zip(["", *lines], lines, strict=False):
        closed = before.endswith((".", "!", "?", "…", ":", "”"))
        first = len(line.split(" ", 1)[0])
        wrapped = before and line and len(before) + 1 + first > 0.92 * margin
        if wrapped and not (closed and line.startswith("—")):
            glue = "" if re.search(r"\w-$", before) else " "  # disse-/lhe
            paragraphs[-1] += glue + line
        else:
            paragraphs.append(line)
    return "\n".join(paragraphs)


def _is_text(path: Path) -> bool:
    return path.suffix.lower() == ".txt" and path.is_file()


@dataclass(frozen=True)
class Corpus:
    """Os textos de um pré-treino.

    Os `.txt` de `folders` entram uma vez, salvo os de `held_out` (nomes sem `.txt`); os
    contos de treino do livro, `repeat_stories` vezes.
    """

    folders: tuple[Path, ...] = ()
    held_out: tuple[str, ...] = ()
    repeat_stories: int = 3

    def paths(self) -> list[Path]:
        """Os arquivos que entram, em ordem.

        Erros: `FileNotFoundError` se uma pasta não tem `.txt`; `ValueError` se
        `held_out` traz um nome que não está nelas.
        """
        found = {
            folder: [p for p in folder.rglob("*") if _is_text(p)]
            for folder in self.folders
        }
        if empty := [str(folder) for folder, files in found.items() if not files]:
            raise FileNotFoundError(f"não há arquivo .txt em {', '.join(empty)}")
        paths = sorted(path for files in found.values() for path in files)
        if unknown := set(self.held_out) - {path.stem for path in paths}:
            names = ", ".join(sorted(unknown))
            raise ValueError(f"não há arquivo com o nome {names} para deixar de fora")
        return [path for path in paths if path.stem not in self.held_out]

    def documents(self, seed: int = 0) -> list[str]:
        """Os documentos de treino, embaralhados.

        Erros: os de `paths` e de `read_text`.
        """
        documents = [join_wrapped(read_text(path)) for path in self.paths()]
        stories = [story.document for story in load_table("contos", split="train")]
        documents += stories * self.repeat_stories
        random.Random(seed).shuffle(documents)
        return documents


def fingerprint(corpus: Corpus, vocab_size: int) -> dict[str, object]:
    """O que decide os ids: o SHA-256 de cada arquivo, o vocabulário e as repetições.

    Erros: os de `paths`; `OSError` se não se consegue ler um arquivo.
    """
    files = {str(path.absolute()): path for path in corpus.paths()}
    files["contos do livro"] = data_path("contos.txt")
    sums = {n: hashlib.sha256(p.read_bytes()).hexdigest() for n, p in files.items()}
    return {
        "arquivos": sums,
        "vocabulario": vocab_size,
        "repete-contos": corpus.repeat_stories,
    }


def _difference(before: dict[str, object], now: dict[str, object]) -> str:
    """O que mudou de uma impressão digital para a outra, em poucas palavras."""
    old, new = before.get("arquivos"), now["arquivos"]
    if not isinstance(old, dict) or not isinstance(new, dict):
        return "não dá para saber o quê: o registro é de outra versão"
    groups = {
        "entrou": sorted(set(new) - set(old)),
        "saiu": sorted(set(old) - set(new)),
        "mudou": sorted(name for name in set(old) & set(new) if old[name] != new[name]),
    }
    changes = [
        f"{verb} {', '.join(names[:3])}"
        + (f" e mais {len(names) - 3}" if len(names) > 3 else "")
        for verb, names in groups.items()
        if names
    ]
    changes += [
        f"{name} era {before.get(name)} e agora é {now[name]}"
        for name in ("vocabulario", "repete-contos")
        if before.get(name) != now[name]
    ]
    return "; ".join(changes)


IDS = {"train": "treino.ids", "validation": "validacao.ids"}  # os arquivos de `prepare`


def prepare(output: Path, corpus: Corpus, vocab_size: int) -> None:
    """Grava em `output` o tokenizer e os ids; se já estão lá, só confere de que são.

    Erros: `ValueError` se o que está lá é de outros textos, e a mensagem diz o que
    mudou; os de `documents`, de `read_json`, de `BPETokenizer.train` e de
    `write_token_file`.
    """
    record, now = output / "preparo.json", fingerprint(corpus, vocab_size)
    if record.exists():
        if changed := _difference(read_json(record), now):
            raise ValueError(
                f"{output} foi preparada com outros textos ({changed}); use outra "
                "pasta de saída, ou apague esta"
            )
        return
    output.mkdir(parents=True, exist_ok=True)
    validation = [story.document for story in load_table("contos", split="validation")]
    documents = {"train": corpus.documents(), "validation": validation}
    tokenizer = BPETokenizer.train(documents["train"], vocab_size, SPECIAL_TOKENS)
    tokenizer.save(output / "tokenizer.json")
    end = end_id(tokenizer)
    for split, texts in documents.items():
        ids = (i for text in texts for i in (*encode_text(tokenizer, text), end))
        total = write_token_file(output / IDS[split], ids, tokenizer.vocab_size)
        print(
            f"{IDS[split]}: {br(len(texts))} documentos, {br(total)} tokens", flush=True
        )
    write_json(record, now)


def _join_processes() -> bool:
    """Sob o `torchrun`, entra no grupo dos processos; devolve se foi preciso."""
    if "RANK" not in os.environ or dist.is_initialized():
        return False
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    return True


def _prepare_once(output: Path, corpus: Corpus, vocab_size: int) -> None:
    """`prepare` no processo 0; os outros esperam até um dia, sem a pressa do `nccl`."""
    if not dist.is_initialized():
        return prepare(output, corpus, vocab_size)
    patient = dist.new_group(backend="gloo", timeout=timedelta(days=1))
    if dist.get_rank() == 0:
        prepare(output, corpus, vocab_size)
    dist.barrier(patient)


def pretrain(
    output: Path,
    corpus: Corpus,
    model_config: GPTConfig,
    config: TrainConfig,
    batch_size: int = 16,
) -> History:
    """Prepara os textos, treina e guarda o modelo, em fp16, em `output / "modelo"`.

    O vocabulário do modelo é o do tokenizer, que tem no máximo
    `model_config.vocab_size`. Interrompido, é chamar de novo com os mesmos valores.

    Erros: os de `prepare`, de `train` e de `BPETokenizer.load`; `BlockingIOError` se
    outro pré-treino usa a mesma pasta.
    """
    joined = _join_processes()
    try:
        _prepare_once(output, corpus, model_config.vocab_size)
        tokenizer = BPETokenizer.load(output / "tokenizer.json")
        model_config = replace(model_config, vocab_size=tokenizer.vocab_size)
        return _train(output, tokenizer, model_config, config, batch_size)
    finally:
        if joined:
            dist.destroy_process_group()


def _train(
    output: Path,
    tokenizer: BPETokenizer,
    model_config: GPTConfig,
    config: TrainConfig,
    batch_size: int,
) -> History:
    """O treino propriamente dito, nos ids que `prepare` deixou em `output`."""
    torch.manual_seed(config.seed)
    device, size = choose_device(), model_config.context_length
    model = GPT(model_config).to(device)
    data = {split: TokenFileDataset(output / name, size) for split, name in IDS.items()}
    loader = create_dataloader(data["train"], batch_size)
    held_out = create_dataloader(
        data["validation"], batch_size, shuffle=False, drop_last=False
    )
    prompt = torch.tensor([[end_id(tokenizer)]], device=device)
    main_process = not dist.is_initialized() or dist.get_rank() == 0

    def report(step: int, model: nn.Module) -> None:
        generator = torch.Generator().manual_seed(0)
        ids = generate(
            model, prompt, 60, temperature=0.8, top_p=0.95, generator=generator
        )
        print(f"passo {step}: {tokenizer.decode(ids[0, 1:])!r}", flush=True)

    checkpoint = output / "treino.safetensors"
    history = train(
        model, loader, held_out, config, checkpoint=checkpoint, resume=True,
        on_eval=report,
    )  # fmt: skip
    if main_process and not history.interrupted:
        save_pretrained(model, tokenizer, output / "modelo", dtype=torch.float16)
    return history


# com `python -m`; no notebook, não
if __name__ == "__main__" and __package__ == "homellm":
    raise SystemExit("o comando agora é: python -m homellm.recipes contos-mini …")
