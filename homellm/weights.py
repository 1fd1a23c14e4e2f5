# Gerado por ferramentas/tangle.py a partir de book/05-pre-treino.md. NÃO EDITE: mude o capítulo.
# sha256 do que segue: a0c55c3a0c711338ec3c0e1425cd320d8aea97ce5c824b91d61c8c1b05d15227
"""Pesos que entram e saem: o formato do livro, o do GPT-2 no Hugging Face, e a conversão entre os dois.

Um modelo guardado é uma pasta: `config.json`, `model.safetensors`, `tokenizer.json`. Nada disso executa
código ao ser lido. O capítulo 5 do livro constrói este módulo.

>>> model, tokenizer = load_pretrained("contos-mini")
>>> model.config.context_length, tokenizer.vocab_size
(256, 4096)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from homellm.corpus import data_path, fetch
from homellm.model import GPT, GPTConfig
from homellm.tokenizer import CHAR_TO_BYTE, BPETokenizer, read_json, replacing, write_json
from homellm.training import compare_tensors

FORMAT, VERSION = "homellm-modelo", 1


def _write_tensors(path: Path, tensors: dict[str, torch.Tensor], dtype: torch.dtype | None) -> None:
    """Grava os tensores em `dtype` (o deles, se `None`), na CPU, contíguos."""
    if dtype is not None:
        for name, tensor in tensors.items():
            if tensor.isfinite().all() and not tensor.to(dtype).isfinite().all():
                raise ValueError(f"{name} tem valores que não cabem em {dtype}; use torch.bfloat16 ou None")
    data = {name: t.detach().to("cpu", dtype).contiguous() for name, t in tensors.items()}
    with replacing(path) as temporary:
        save_file(data, temporary, {"format": "pt"})


def write_folder(
    folder: str | Path,
    model: nn.Module,
    tokenizer: BPETokenizer,
    description: dict[str, Any],
    dtype: torch.dtype | None = None,
) -> None:
    """Grava `config.json` (com `description`), os parâmetros e o tokenizer; o resto da pasta fica."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    _write_tensors(folder / "model.safetensors", dict(model.named_parameters()), dtype)
    tokenizer.save(folder / "tokenizer.json")
    write_json(folder / "config.json", {"format": FORMAT, "version": VERSION} | description)


def read_description(folder: Path) -> dict[str, Any]:
    """O `config.json` que `write_folder` gravou, conferido."""
    data = read_json(folder / "config.json")
    if data.get("format") != FORMAT:
        raise ValueError(f"{folder / 'config.json'}: não é de um modelo deste livro")
    if data.get("version") != VERSION:
        raise ValueError(
            f"{folder / 'config.json'}: versão {data.get('version')!r}; este homellm lê a {VERSION}"
        )
    return data


def build_gpt(path: Path, values: Any) -> GPT:
    """Um `GPT` com a configuração lida de `path`, com a memória reservada e os pesos por preencher."""
    try:
        config = GPTConfig(**values)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: configuração estragada ({error})") from error
    with torch.device("meta"):  # sem sortear pesos que vão ser trocados
        model = GPT(config)
    model.to_empty(device="cpu")
    if config.tie_weights:  # to_empty desfaz a partilha
        model.head.weight = model.token_embedding.weight
    return model.eval()


SLICE_BYTES = 2**24


@contextmanager
def _reading(path: Path) -> Iterator[Any]:
    """O arquivo safetensors aberto; um truncado ou de outro formato vira um `ValueError` claro."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: falta este arquivo; a pasta é mesmo de um modelo?")
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except SafetensorError as error:
        raise ValueError(
            f"{path}: arquivo truncado ou estragado ({error}); baixe-o ou grave-o de novo"
        ) from error


def _shapes(path: Path) -> dict[str, torch.Tensor]:
    """Nome → tensor sem dados, com a forma que tem no arquivo."""
    with _reading(path) as file:
        names = list(file.keys())
        return {name: torch.empty(file.get_slice(name).get_shape(), device="meta") for name in names}


@torch.no_grad()
def _copy(path: Path, name: str, target: torch.Tensor) -> None:
    """Copia um tensor do arquivo para `target`, por fatias.

    O arquivo é mapeado na memória, e o que se lê dele conta como memória do processo até ser fechado;
    abrindo-o de novo a cada fatia, o pico passa do tamanho do modelo só em `SLICE_BYTES`.
    """
    rows = max(1, SLICE_BYTES // (target[0].numel() * target.element_size()))
    for start in range(0, len(target), rows):
        with _reading(path) as file:
            target[start : start + rows].copy_(file.get_slice(name)[start : start + rows])


def read_weights(folder: Path, model: nn.Module) -> None:
    """Preenche `model` com o `model.safetensors` que `write_folder` gravou.

    Erros: `ValueError` com a lista dos tensores que faltam, sobram ou têm outra forma.
    """
    path = folder / "model.safetensors"
    mine = dict(model.named_parameters())
    if problems := compare_tensors(mine, _shapes(path)):
        raise ValueError(f"{path}: os pesos não são os do modelo de config.json:\n{problems}")
    for name, parameter in mine.items():
        _copy(path, name, parameter)


def save_pretrained(
    model: GPT, tokenizer: BPETokenizer, folder: str | Path, dtype: torch.dtype | None = None
) -> None:
    """Guarda o modelo e o tokenizer numa pasta, que `load_pretrained` lê.

    `dtype=torch.float16` deixa o arquivo com metade do tamanho. Cada arquivo é gravado com outro nome e
    depois trocado; o resto da pasta fica como está.

    Erros: `ValueError` se o vocabulário do tokenizer não cabe no do modelo, ou se há peso que não cabe em
    `dtype`.
    """
    if tokenizer.vocab_size > model.config.vocab_size:
        raise ValueError(
            f"o tokenizer tem {tokenizer.vocab_size} ids, e o modelo, {model.config.vocab_size}: não são par"
        )
    write_folder(folder, model, tokenizer, {"model": asdict(model.config)}, dtype)


GPT2_NAMES = {  # nome que o leitor usa → nome em `corpus.MANIFEST`
    "gpt2": "gpt2", "gpt2-small": "gpt2", "124M": "gpt2",
    "gpt2-medium": "gpt2-medium", "355M": "gpt2-medium",
    "gpt2-large": "gpt2-large", "774M": "gpt2-large",
    "gpt2-xl": "gpt2-xl", "1558M": "gpt2-xl",
    "gpt2-small-portuguese": "gpt2-small-portuguese",
}  # fmt: skip


def find_model(name: str | Path) -> Path:
    """A pasta de um modelo: o caminho dado, ou um dos que vêm com o pacote, em `data/modelos`."""
    if (Path(name) / "config.json").is_file():
        return Path(name)
    try:
        return data_path(f"modelos/{name}/config.json").parent
    except FileNotFoundError:
        packaged = sorted(
            path.parent.name for path in data_path("contos.txt").parent.glob("modelos/*/config.json")
        )
        raise FileNotFoundError(
            f"{str(name)!r} não é uma pasta com config.json nem um modelo que se conheça; "
            f"vêm com o pacote: {', '.join(packaged)}; na rede há: {', '.join(GPT2_NAMES)}"
        ) from None


def load_pretrained(folder_or_name: str | Path) -> tuple[GPT, BPETokenizer]:
    """O modelo, em fp32 e em modo de avaliação, e o seu tokenizer.

    Aceita uma pasta de `save_pretrained`, o nome de um modelo que vem com o pacote (`"contos-mini"`), ou o
    que `load_gpt2` aceita, se ao lado dos pesos estão `vocab.json` e `merges.txt`.

    Erros: `FileNotFoundError` se não há tal modelo; `ValueError` se os arquivos estão estragados ou não
    casam.
    """
    name = str(folder_or_name)
    folder = fetch(GPT2_NAMES[name]) if name in GPT2_NAMES and not Path(name).is_dir() else find_model(name)
    if read_json(folder / "config.json").get("model_type") == "gpt2":
        vocab, merges = folder / "vocab.json", folder / "merges.txt"
        if not (vocab.is_file() and merges.is_file()):
            raise FileNotFoundError(
                f"{folder}: faltam vocab.json e merges.txt; leia só os pesos com load_gpt2"
            )
        return load_gpt2(folder), BPETokenizer.from_gpt2_files(vocab, merges)
    description = read_description(folder)
    if set(description) != {"format", "version", "model"}:
        raise ValueError(
            f"{folder}: não é um modelo de linguagem; se é um classificador, use load_classifier"
        )
    model = build_gpt(folder / "config.json", description["model"])
    read_weights(folder, model)
    return model, BPETokenizer.load(folder / "tokenizer.json")


def gpt2_tensors(config: GPTConfig) -> dict[str, tuple[str, bool]]:
    """Nome aqui → (nome no GPT-2 do Hugging Face, se lá a matriz está transposta).

    O GPT-2 guarda as matrizes das camadas lineares como (entrada, saída); o `nn.Linear`, como (saída,
    entrada).
    """
    parts = {"norm1": "ln_1", "attention.qkv": "attn.c_attn", "attention.proj": "attn.c_proj",
             "norm2": "ln_2", "mlp.expand": "mlp.c_fc", "mlp.proj": "mlp.c_proj"}  # fmt: skip
    names = {
        "token_embedding.weight": ("wte.weight", False),
        "position_embedding.weight": ("wpe.weight", False),
    }
    for block in range(config.n_layers):
        for mine, theirs in parts.items():
            linear = not theirs.startswith("ln_")
            names[f"blocks.{block}.{mine}.weight"] = (f"h.{block}.{theirs}.weight", linear)
            if config.qkv_bias or mine != "attention.qkv":
                names[f"blocks.{block}.{mine}.bias"] = (f"h.{block}.{theirs}.bias", False)
    names |= {"norm.weight": ("ln_f.weight", False), "norm.bias": ("ln_f.bias", False)}
    if not config.tie_weights:
        names["head.weight"] = ("lm_head.weight", False)
    return names


def _gpt2_config(path: Path) -> dict[str, Any]:
    """Os campos do `GPTConfig`, lidos do `config.json` de um GPT-2; o que o livro não faz é um erro."""
    data = read_json(path)
    width = data.get("n_embd")
    required = {  # campo → (valores que servem, o que vale se o campo falta)
        "model_type": (("gpt2",), None),
        "activation_function": (("gelu_new", "gelu_pytorch_tanh"), "gelu_new"),
        "layer_norm_epsilon": ((1e-5,), 1e-5),
        "n_inner": ((None, 4 * width if isinstance(width, int) else None), None),
        "scale_attn_weights": ((True,), True),
        "scale_attn_by_inverse_layer_idx": ((False,), False),
        "add_cross_attention": ((False,), False),
    }
    for name, (accepted, default) in required.items():
        if (value := data.get(name, default)) not in accepted:
            raise ValueError(f"{path}: {name}={value!r}; o GPT deste livro só faz {accepted[0]!r}")
    fields = {"vocab_size": "vocab_size", "context_length": "n_positions", "emb_dim": "n_embd",
              "n_heads": "n_head", "n_layers": "n_layer"}  # fmt: skip
    if missing := [theirs for theirs in fields.values() if theirs not in data]:
        raise ValueError(f"{path}: faltam os campos {', '.join(missing)}")
    sizes = {mine: data[theirs] for mine, theirs in fields.items()}
    return sizes | {"qkv_bias": True, "tie_weights": data.get("tie_word_embeddings", True)}


def _weight_files(folder: Path) -> list[Path]:
    """Os arquivos de pesos da pasta: um só, ou os de um índice."""
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return [folder / "model.safetensors"]
    names = read_json(index).get("weight_map")
    if not isinstance(names, dict) or not all(
        isinstance(n, str) and n == Path(n).name for n in names.values()
    ):
        raise ValueError(f"{index}: esperava em weight_map um arquivo desta pasta para cada tensor")
    return [folder / name for name in sorted(set(names.values()))]


def _convert_bin(folder: Path) -> None:
    """Troca `pytorch_model.bin` por safetensors, uma vez; só tensores são aceitos lá dentro."""
    source, target = folder / "pytorch_model.bin", folder / "model.safetensors"
    if target.is_file() or (folder / "model.safetensors.index.json").is_file() or not source.is_file():
        return
    if torch.__version__ < (2, 6):  # antes, o leitor restrito do PyTorch ainda deixava executar código
        raise RuntimeError(f"{source}: ler este formato com segurança pede torch 2.6; atualize o PyTorch")
    try:
        data = torch.load(source, map_location="cpu", weights_only=True, mmap=is_zipfile(source))
    except Exception as error:  # o leitor restrito do PyTorch levanta várias
        raise ValueError(f"{source}: não é um arquivo só de tensores, ou está truncado ({error})") from error
    if not isinstance(data, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in data.values()):
        raise ValueError(f"{source}: esperava um dicionário de tensores")
    with replacing(target) as temporary:
        save_file(
            {name: tensor.contiguous().clone() for name, tensor in data.items()}, temporary, {"format": "pt"}
        )


def load_gpt2(path_or_name: str | Path) -> GPT:
    """Um `GPT` com os pesos de um GPT-2 no formato do Hugging Face: uma pasta, ou um nome, que se baixa.

    Nomes: os quatro da OpenAI, `"gpt2"` (ou `"124M"`), `"gpt2-medium"`, `"gpt2-large"`, `"gpt2-xl"`, e
    `"gpt2-small-portuguese"`. Os tensores são lidos um a um, e o pico de memória mal passa do tamanho do
    modelo em fp32. O modelo vem em modo de avaliação.

    Erros: `FileNotFoundError` se não há tal pasta; `FetchError` se é preciso a rede e ela falta; `ValueError`
    se a arquitetura é outra, se o arquivo está estragado, ou se há tensores que faltam, sobram ou têm outra
    forma.
    """
    name = str(path_or_name)
    folder = Path(name)
    if not folder.is_dir():
        if name not in GPT2_NAMES:
            raise FileNotFoundError(f"{name!r} não é uma pasta, nem um de {', '.join(GPT2_NAMES)}")
        folder = fetch(GPT2_NAMES[name])
    model = build_gpt(folder / "config.json", _gpt2_config(folder / "config.json"))
    _convert_bin(folder)
    where: dict[str, tuple[Path, str]] = {}  # nome sem prefixo → (arquivo, nome no arquivo)
    found: dict[str, torch.Tensor] = {}
    for path in _weight_files(folder):
        for full, shape in _shapes(path).items():
            short = full.removeprefix("transformer.")
            if short.endswith((".attn.bias", ".attn.masked_bias")):  # máscaras, que não são pesos
                continue
            if short == "lm_head.weight" and model.config.tie_weights:  # a mesma tabela, outra vez
                continue
            where[short], found[short] = (path, full), shape
    names = gpt2_tensors(model.config)
    mine = dict(model.named_parameters())
    targets = {
        theirs: mine[name].t() if transposed else mine[name] for name, (theirs, transposed) in names.items()
    }
    if problems := compare_tensors(targets, found):
        raise ValueError(f"{folder}: os pesos não são os de um GPT-2 com esse config.json:\n{problems}")
    for theirs, target in targets.items():
        _copy(*where[theirs], target)
    return model


def to_huggingface(model: GPT, folder: str | Path, tokenizer: BPETokenizer | None = None) -> None:
    """Grava uma pasta que `transformers.AutoModelForCausalLM` abre; com `tokenizer`, `AutoTokenizer` também.

    Os logits são os mesmos. Um modelo sem viés em Q, K e V vai com zeros no lugar dele. O `AutoTokenizer` dá
    os mesmos ids, e reconhece os tokens especiais no texto, como faz `encode(text, allowed_special="all")`.
    """
    folder, config = Path(folder), model.config
    folder.mkdir(parents=True, exist_ok=True)
    end = tokenizer.special_tokens.get("<|endoftext|>") if tokenizer else None
    header = {
        "architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "activation_function": "gelu_new",
        "vocab_size": config.vocab_size, "n_positions": config.context_length, "n_embd": config.emb_dim,
        "n_head": config.n_heads, "n_layer": config.n_layers, "layer_norm_epsilon": 1e-5,
        "attn_pdrop": config.dropout, "resid_pdrop": config.dropout, "embd_pdrop": config.dropout,
        "tie_word_embeddings": config.tie_weights, "bos_token_id": end, "eos_token_id": end,
        "dtype": "float32",
    }  # fmt: skip
    mine = dict(model.named_parameters())
    tensors = {}
    for name, (theirs, transposed) in gpt2_tensors(config).items():
        prefix = "" if theirs == "lm_head.weight" else "transformer."
        tensors[prefix + theirs] = mine[name].t() if transposed else mine[name]
    if not config.qkv_bias:
        for block in range(config.n_layers):
            tensors[f"transformer.h.{block}.attn.c_attn.bias"] = torch.zeros(3 * config.emb_dim)
    _write_tensors(folder / "model.safetensors", tensors, torch.float32)
    files = {"config.json": header}
    if tokenizer:
        special = {"eos_token": "<|endoftext|>", "bos_token": "<|endoftext|>"} if end is not None else {}
        files["tokenizer.json"] = _tokenizers_json(tokenizer)
        files["tokenizer_config.json"] = special | {
            "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": config.context_length,
        }  # fmt: skip
    for name, data in files.items():
        write_json(folder / name, data)


def _tokenizers_json(tokenizer: BPETokenizer) -> dict[str, Any]:
    """O `tokenizer.json` da biblioteca `tokenizers`: o mesmo pré-corte, as mesmas fusões, os mesmos ids."""
    char = {byte: c for c, byte in CHAR_TO_BYTE.items()}

    def name(token: bytes) -> str:
        return "".join(char[byte] for byte in token)

    split = {
        "type": "Split",
        "pattern": {"Regex": tokenizer.pattern},
        "behavior": "Isolated",
        "invert": False,
    }
    bytes_ = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    return {
        "version": "1.0",
        "added_tokens": [
            {
                "id": i,
                "content": text,
                "special": True,
                "normalized": False,
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
            }
            for text, i in tokenizer.special_tokens.items()
        ],  # fmt: skip
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, bytes_]},
        "decoder": bytes_,
        "model": {
            "type": "BPE",
            # os especiais também, ou a biblioteca lhes dá os ids seguintes
            "vocab": {name(token): i for token, i in tokenizer.tokens.items()} | tokenizer.special_tokens,
            "merges": [[name(left), name(right)] for left, right in tokenizer.merges],
        },
    }
