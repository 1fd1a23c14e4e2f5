"""Quanto o `contos-mini` sabe: bits por byte em texto que ele não leu, contra n-gramas e compressores.

uso: python bancada/contos_mini.py --textos PASTA --fora romance-casaVelha romance-maoLuva

`--textos` são as pastas com que o modelo foi treinado e `--fora` os arquivos delas que ficaram de fora (sem
`.txt`); com os contos de validação e de teste e o folhetim, são os textos medidos. Os n-gramas usam o
tokenizer do modelo e leem os mesmos documentos de treino, cada um uma vez. O xz lê o treino antes do texto:
conta-se quanto o arquivo cresce. O gzip só alcança 32 KB para trás, e começa com os últimos do treino.
Imprime uma tabela e grava `data/modelos/contos-mini/medidas.json`.
"""

from __future__ import annotations

import argparse
import datetime
import json
import lzma
import zlib
from collections.abc import Callable
from pathlib import Path

import torch
from modelo import format_table, number

from homellm.corpus import load_table
from homellm.ngram import NGramModel
from homellm.pretrain import END, build_corpus, join_wrapped
from homellm.tokenizer import BPETokenizer
from homellm.training import bits_per_byte
from homellm.weights import load_pretrained

ORDERS = (1, 2, 3)
Texts = list[str]  # os documentos de um conjunto


def evaluation_texts(folders: list[Path], held_out: list[str]) -> dict[str, Texts]:
    """O que se mede: cada arquivo deixado de fora, e os contos que não são de treino."""
    sets = {}
    for name in held_out:
        (path,) = (path for folder in folders for path in folder.rglob(f"{name}.txt"))
        sets[name] = [join_wrapped(path.read_text("utf-8"))]
    for name, split in (("contos", "validation"), ("contos", "test"), ("folhetim", "test")):
        label = name if name == "folhetim" else f"{name}, {split}"
        sets[label] = [f"{story.title}\n\n{story.text}" for story in load_table(name, split=split)]
    return sets


def size(texts: Texts) -> int:
    """Bytes UTF-8 de todos os textos."""
    return sum(len(text.encode("utf-8")) for text in texts)


def per_byte(bits_of: Callable[[str], float], texts: Texts) -> float:
    """A soma dos bits de cada texto, dividida pela soma dos bytes."""
    return sum(map(bits_of, texts)) / size(texts)


def ngram_bits(model: NGramModel, tokenizer: BPETokenizer) -> Callable[[str], float]:
    """Bits de um texto que começa depois do fim de outro, como o modelo o lê."""
    end = tokenizer.special_tokens[END]
    return lambda text: float(model.surprisal([end, *tokenizer.encode(text)])[1:].sum())


def xz_size(data: bytes) -> int:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9, "dict_size": 2**26}]  # alcança 64 MB para trás
    return len(lzma.compress(data, filters=filters))


def gzip_size(data: bytes, dictionary: bytes) -> int:
    compressor = zlib.compressobj(9, zdict=dictionary[-(2**15) :])
    return len(compressor.compress(data) + compressor.flush())


def measure(sets: dict[str, Texts], documents: Texts) -> dict[str, dict[str, float]]:
    """`{modelo: {conjunto: bits por byte}}`."""
    model, tokenizer = load_pretrained("contos-mini")
    scores = {}

    def add(name: str, score: Callable[[Texts], float]) -> None:
        scores[name] = {label: round(score(texts), 4) for label, texts in sets.items()}
        print(f"  {name}", flush=True)

    def gpt_bits(text: str) -> float:
        return bits_per_byte(model, tokenizer, text) * size([text])

    add("contos-mini", lambda texts: per_byte(gpt_bits, texts))
    ids = tokenizer.encode("".join(text + END for text in documents), allowed_special=[END])
    for order in ORDERS:
        bits_of = ngram_bits(NGramModel(order, tokenizer.vocab_size).fit(ids), tokenizer)
        add(f"n-grama de ordem {order}", lambda texts, bits_of=bits_of: per_byte(bits_of, texts))
    train = "\n\n\n".join(documents).encode("utf-8")
    before = xz_size(train)

    def joined(texts: Texts) -> bytes:
        return "\n\n\n".join(texts).encode("utf-8")

    add("xz, depois do treino", lambda t: 8 * (xz_size(train + joined(t)) - before) / len(joined(t)))
    add("xz, sozinho", lambda t: 8 * xz_size(joined(t)) / len(joined(t)))
    add("gzip, depois do treino", lambda t: 8 * gzip_size(joined(t), train) / len(joined(t)))
    return scores


def main() -> None:
    parser = argparse.ArgumentParser(description="mede o contos-mini em texto que ele não leu")
    parser.add_argument("--textos", type=Path, nargs="+", required=True, help="as pastas do treino")
    parser.add_argument("--fora", nargs="+", required=True, help="arquivos (sem .txt) fora do treino")
    output = Path(__file__).parents[1] / "data/modelos/contos-mini/medidas.json"
    parser.add_argument("--saida", type=Path, default=output)
    args = parser.parse_args()
    sets = evaluation_texts(args.textos, args.fora)
    documents = build_corpus(args.textos, args.fora, repeat_stories=1)
    print(f"{len(documents)} documentos de treino, {size(documents) / 1e6:.1f} MB", flush=True)
    scores = measure(sets, documents)
    data = {
        "data": datetime.date.today().isoformat(),
        "torch": torch.__version__,
        "treino": {"documentos": len(documents), "bytes": size(documents)},
        "textos": {label: {"documentos": len(texts), "bytes": size(texts)} for label, texts in sets.items()},
        "bits_por_byte": scores,
    }
    args.saida.write_text(json.dumps(data, ensure_ascii=False, indent=1) + "\n", "utf-8")
    rows = [[name, *(number(value, 3) for value in row.values())] for name, row in scores.items()]
    print(format_table(["bits por byte", *sets], rows))
    print(f"\ngravado em {args.saida}")


if __name__ == "__main__":
    main()
