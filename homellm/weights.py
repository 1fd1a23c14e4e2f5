# Gerado por ferramentas/tangle.py. NÃO EDITE: mude book/oficina/pesos.md.
# sha256 do que segue: 751daf6ec87aaff6e11ba142171cf5eb06d555e778950633ab2e59e2ce15a9c7
"""Pesos que entram e saem: o formato do livro, o do GPT-2, e a conversão entre os dois.

Um modelo guardado é uma pasta: `config.json`, `model.safetensors`, `tokenizer.json`.
Nada disso executa código ao ser lido. A página “Pesos que entram e saem”, da oficina,
constrói este módulo.

>>> model, tokenizer = load_pretrained("contos-mini")
>>> model.config.context_length, tokenizer.vocab_size
(256, 4096)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import torch
from safetensors.torch import save_file
from torch import nn

from homellm.corpus import data_path
from homellm.download import fetch
from homellm.files import (
    compare_tensors,
    read_json,
    reading_tensors,
    replacing,
    write_json,
)
from homellm.model import GPT, GPTConfig, LanguageModel, unwrap
from homellm.tokenizer import CHAR_TO_BYTE, END, BPETokenizer, Tokenizer

FORMAT, VERSION = "homellm-modelo", 1  # do config.json que `write_folder` grava


def _parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """Os parâmetros, com o nome que têm sem o `torch.compile`, nem o de um bloco."""
    named = unwrap(model).named_parameters()
    return {name.replace("_orig_mod.", ""): parameter for name, parameter in named}


def _check_values(
    tensors: Mapping[str, torch.Tensor], dtype: torch.dtype | None
) -> None:
    if dtype is not None and not dtype.is_floating_point:
        raise ValueError(
            f"dtype={dtype}: um peso é um número de ponto flutuante; use torch.float16 "
            "ou None"
        )
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise ValueError(
                f"{name} tem NaN ou infinito (o treino divergiu?); nada foi gravado"
            )
        if dtype is not None and not tensor.to(dtype).isfinite().all():
            raise ValueError(
                f"{name} tem valores que não cabem em {dtype}; use torch.bfloat16 "
                "ou None"
            )


def _write_tensors(
    path: Path, tensors: Mapping[str, torch.Tensor], dtype: torch.dtype | None
) -> None:
    """Grava os tensores em `dtype` (o deles, se `None`), na CPU, contíguos."""
    data = {
        name: t.detach().to("cpu", dtype).contiguous() for name, t in tensors.items()
    }
    save_file(data, path, {"format": "pt"})


def _make_folder(folder: str | Path) -> Path:
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = (
            f"não consegui criar a pasta {folder}; confira a permissão e o caminho"
        )
        raise OSError(error.errno, message) from error
    return Path(folder)


def write_folder(
    folder: str | Path,
    model: nn.Module,
    tokenizer: BPETokenizer,
    description: Mapping[str, Any],
    dtype: torch.dtype | None = None,
) -> None:
    """Grava `config.json` (com `description`), os parâmetros e o tokenizer.

    Os três arquivos são trocados depois de escritos os três; o resto da pasta fica.

    Erros: `ValueError` se há NaN, infinito ou peso que não cabe em `dtype`; `OSError`
    se não se consegue criar a pasta; os de `replacing`.
    """
    tensors = _parameters(model)
    _check_values(tensors, dtype)
    folder = _make_folder(folder)
    names = ("model.safetensors", "tokenizer.json", "config.json")
    with ExitStack() as stack:
        new = {name: stack.enter_context(replacing(folder / name)) for name in names}
        _write_tensors(new["model.safetensors"], tensors, dtype)
        tokenizer.save(new["tokenizer.json"])
        header = {"format": FORMAT, "version": VERSION}
        write_json(new["config.json"], {**header, **description})


def _gpt_inside(model: LanguageModel) -> Any:
    """O GPT sem o que o embrulha, com os tensores que a configuração dele promete."""
    inner: Any = unwrap(model)
    try:
        config = GPTConfig(**asdict(inner.config))
    except (AttributeError, TypeError) as error:
        raise TypeError(f"esperava um GPT; veio {type(inner).__name__}") from error
    with torch.device("meta"):  # só as formas
        expected = dict(GPT(config).named_parameters())
    if problems := compare_tensors(expected, _parameters(inner)):
        raise ValueError(
            "o modelo não tem os tensores de um GPT com a configuração dele:\n"
            f"{problems}"
        )
    return inner


def check_pair(tokenizer: Tokenizer, vocab_size: int) -> None:
    """Confere que cada id do tokenizer cabe no vocabulário do modelo.

    Erros: `ValueError` se não cabe.
    """
    if tokenizer.vocab_size > vocab_size:
        raise ValueError(
            f"o tokenizer tem {tokenizer.vocab_size} ids, e o modelo, {vocab_size}: "
            "não são par"
        )


def save_pretrained(
    model: LanguageModel,
    tokenizer: BPETokenizer,
    folder: str | Path,
    dtype: torch.dtype | None = None,
) -> None:
    """Guarda o modelo e o tokenizer numa pasta, que `load_pretrained` lê.

    `dtype=torch.float16` deixa o arquivo com metade do tamanho. O modelo pode estar
    compilado ou embrulhado. O resto da pasta fica como está.

    Erros: `ValueError` se o vocabulário do tokenizer não cabe no do modelo, se há NaN,
    infinito ou peso que não cabe em `dtype`, ou se os tensores não são os de um GPT;
    `TypeError` se o modelo é de outra espécie; `OSError` se não se consegue gravar, e o
    que havia na pasta continua inteiro.
    """
    gpt = _gpt_inside(model)
    check_pair(tokenizer, gpt.config.vocab_size)
    write_folder(folder, gpt, tokenizer, {"model": asdict(gpt.config)}, dtype)


def read_description(folder: Path) -> dict[str, Any]:
    """O `config.json` que `write_folder` gravou, conferido.

    Erros: `ValueError` se não é de um modelo deste livro, ou se é de outra versão; os
    de `read_json`.
    """
    path = folder / "config.json"
    data = read_json(path)
    if data.get("format") != FORMAT:
        raise ValueError(f"{path}: não é de um modelo deste livro")
    if data.get("version") != VERSION:
        raise ValueError(
            f"{path}: versão {data.get('version')!r}; este homellm lê a {VERSION}"
        )
    return data


def tensor_shapes(path: Path) -> dict[str, torch.Tensor]:
    """Nome → tensor sem dados, com a forma que tem no arquivo safetensors.

    Erros: os de `reading_tensors`.
    """
    with reading_tensors(path) as file:
        shapes = {name: file.get_slice(name).get_shape() for name in file.keys()}
    return {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}


def build_gpt(
    path: Path, values: Any, found: Mapping[str, torch.Tensor] | None = None
) -> GPT:
    """Um `GPT` com a configuração lida de `path`, com a memória reservada e sem os
    pesos.

    `found` são os tensores do arquivo de pesos; `None`, os do `model.safetensors` ao
    lado.

    Erros: `ValueError` se a configuração não serve, ou pede muito mais do que eles têm;
    os de `tensor_shapes`.
    """
    try:
        config = GPTConfig(**values)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: configuração estragada ({error})") from error
    if found is None:
        found = tensor_shapes(path.with_name("model.safetensors"))
    tables = (config.vocab_size + config.context_length) * config.emb_dim
    asked = tables + 12 * config.n_layers * config.emb_dim**2
    stored = sum(tensor.numel() for tensor in found.values())
    if asked > 2 * stored or config.n_layers > len(found):
        raise ValueError(
            f"{path}: a configuração pede {config.n_layers} camadas e {asked} números, "
            f"e os pesos são {stored} números em {len(found)} tensores: não são do "
            "mesmo modelo"
        )
    with torch.device("meta"):  # sem sortear pesos que vão ser trocados
        model = GPT(config)
    model.to_empty(device="cpu")
    if config.tie_weights:  # to_empty desfaz o compartilhamento
        model.head.weight = model.token_embedding.weight
    return model.eval()


SLICE_BYTES = 2**24  # quanto se copia de cada vez
Fill = Callable[[torch.Tensor], None]  # preenche o tensor que recebe


@torch.no_grad()
def _fill(target: torch.Tensor, source: torch.Tensor, where: str) -> None:
    """Copia `source` para `target`, se são números com que se pode calcular."""
    if not source.is_floating_point():
        raise ValueError(
            f"{where} é {source.dtype}; um peso é um número de ponto flutuante"
        )
    target.copy_(source)
    if not all(bound.isfinite() for bound in torch.aminmax(target)):
        raise ValueError(f"{where} tem NaN ou infinito: os pesos estão estragados")


def _copy(path: Path, name: str, target: torch.Tensor) -> None:
    """Copia um tensor do arquivo para `target`, por fatias.

    O arquivo é mapeado na memória, e o que se lê dele conta como memória do processo
    até ser fechado; abrindo-o de novo a cada fatia, o pico passa do tamanho do modelo
    só em `SLICE_BYTES`.
    """
    rows = max(1, SLICE_BYTES // (target[0].numel() * target.element_size()))
    for start in range(0, len(target), rows):
        with reading_tensors(path) as file:
            piece = file.get_slice(name)[start : start + rows]
            _fill(target[start : start + rows], piece, f"{path}: {name}")


def read_weights(folder: Path, model: nn.Module) -> None:
    """Preenche `model` com o `model.safetensors` que `write_folder` gravou.

    Erros: `ValueError` com a lista dos tensores que faltam, sobram ou têm outra forma,
    ou com o nome do que não são números com que se pode calcular; os de
    `tensor_shapes`.
    """
    path = folder / "model.safetensors"
    mine = dict(model.named_parameters())
    if problems := compare_tensors(mine, tensor_shapes(path)):
        raise ValueError(
            f"{path}: os pesos não são os do modelo de config.json:\n{problems}"
        )
    for name, parameter in mine.items():
        _copy(path, name, parameter.data)


GPT2_NAMES = {  # nome que o leitor usa → nome em `download.MANIFEST`
    "gpt2": "gpt2", "gpt2-small": "gpt2", "124M": "gpt2",
    "gpt2-medium": "gpt2-medium", "355M": "gpt2-medium",
    "gpt2-large": "gpt2-large", "774M": "gpt2-large",
    "gpt2-xl": "gpt2-xl", "1558M": "gpt2-xl",
    "gpt2-small-portuguese": "gpt2-small-portuguese",
}  # fmt: skip


def find_model(name: str | Path) -> Path:
    """A pasta de um modelo: o caminho dado, ou um dos que vêm com o pacote.

    Erros: `FileNotFoundError` se não há; a mensagem lista os que vêm com o pacote.
    """
    if (Path(name) / "config.json").is_file():
        return Path(name)
    try:
        return data_path(f"modelos/{name}/config.json").parent
    except FileNotFoundError:
        here = data_path("contos.txt").parent.glob("modelos/*/config.json")
        packaged = ", ".join(sorted(path.parent.name for path in here))
        raise FileNotFoundError(
            f"{str(name)!r} não é uma pasta com config.json nem um modelo que se "
            f"conheça; vêm com o pacote: {packaged}; na rede há: "
            f"{', '.join(GPT2_NAMES)}"
        ) from None


def load_pretrained(folder_or_name: str | Path) -> tuple[GPT, BPETokenizer]:
    """O modelo, em fp32 e em modo de avaliação, e o seu tokenizer.

    Aceita uma pasta de `save_pretrained`, o nome de um modelo que vem com o pacote
    (`"contos-mini"`), ou o que `load_gpt2` aceita, se ao lado dos pesos estão
    `vocab.json` e `merges.txt`.

    Erros: `FileNotFoundError` se não há tal modelo; `ValueError` se os arquivos estão
    estragados ou não são par; os de `load_gpt2` e de `from_gpt2_files`, se é um GPT-2.
    """
    name = str(folder_or_name)
    download = name in GPT2_NAMES and not Path(name).is_dir()
    folder = fetch(GPT2_NAMES[name]) if download else find_model(name)
    if read_json(folder / "config.json").get("model_type") == "gpt2":
        model, tokenizer = load_gpt2(folder), _gpt2_tokenizer(folder)
    else:
        description = read_description(folder)
        if set(description) != {"format", "version", "model"}:
            raise ValueError(
                f"{folder}: não é um modelo de linguagem; se é um classificador, use "
                "load_classifier"
            )
        model = build_gpt(folder / "config.json", description["model"])
        read_weights(folder, model)
        tokenizer = BPETokenizer.load(folder / "tokenizer.json")
    try:
        check_pair(tokenizer, model.config.vocab_size)
    except ValueError as error:
        raise ValueError(f"{folder}: {error}") from error
    return model, tokenizer


def gpt2_tensors(config: GPTConfig) -> dict[str, tuple[str, bool]]:
    """Nome aqui → (nome no GPT-2 do Hugging Face, se lá a matriz está transposta).

    O GPT-2 guarda as matrizes das camadas lineares como (entrada, saída); o
    `nn.Linear`, como (saída, entrada).
    """
    parts = {
        "norm1": "ln_1",
        "attention.qkv": "attn.c_attn",
        "attention.proj": "attn.c_proj",
        "norm2": "ln_2",
        "mlp.expand": "mlp.c_fc",
        "mlp.proj": "mlp.c_proj",
    }
    names = {
        "token_embedding.weight": ("wte.weight", False),
        "position_embedding.weight": ("wpe.weight", False),
    }
    for block in range(config.n_layers):
        for mine, theirs in parts.items():
            linear = not theirs.startswith("ln_")
            here, there = f"blocks.{block}.{mine}", f"h.{block}.{theirs}"
            names[f"{here}.weight"] = (f"{there}.weight", linear)
            if config.qkv_bias or mine != "attention.qkv":
                names[f"{here}.bias"] = (f"{there}.bias", False)
    names |= {"norm.weight": ("ln_f.weight", False), "norm.bias": ("ln_f.bias", False)}
    if not config.tie_weights:
        names["head.weight"] = ("lm_head.weight", False)
    return names


def _gpt2_config(path: Path) -> dict[str, Any]:
    """Os campos do `GPTConfig`, do `config.json` de um GPT-2; o que o livro não faz é
    um erro.
    """
    data = read_json(path)
    width = data.get("n_embd")
    required = {  # campo → (valores que servem, o que vale se o campo falta)
        "model_type": (("gpt2",), None),
        "activation_function": (
            ("gelu_new", "gelu_fast", "gelu_pytorch_tanh"),
            "gelu_new",
        ),
        "layer_norm_epsilon": ((1e-5,), 1e-5),
        "n_inner": ((None, 4 * width if isinstance(width, int) else None), None),
        "scale_attn_weights": ((True,), True),
        "scale_attn_by_inverse_layer_idx": ((False,), False),
        "add_cross_attention": ((False,), False),
    }
    for name, (accepted, default) in required.items():
        if (value := data.get(name, default)) not in accepted:
            raise ValueError(
                f"{path}: {name}={value!r}; o GPT deste livro só faz {accepted[0]!r}"
            )
    fields = {
        "vocab_size": "vocab_size",
        "context_length": "n_positions",
        "emb_dim": "n_embd",
        "n_heads": "n_head",
        "n_layers": "n_layer",
    }
    if missing := [theirs for theirs in fields.values() if theirs not in data]:
        raise ValueError(f"{path}: faltam os campos {', '.join(missing)}")
    sizes = {mine: data[theirs] for mine, theirs in fields.items()}
    return sizes | {
        "qkv_bias": True,
        "tie_weights": data.get("tie_word_embeddings", True),
    }


def _weight_files(folder: Path) -> list[Path]:
    """Os arquivos de pesos da pasta: um só, ou os de um índice; os mais novos, se há
    escolha.
    """
    kinds = ("model.safetensors.index.json", "model.safetensors",
             "pytorch_model.bin.index.json", "pytorch_model.bin")  # fmt: skip
    present = [folder / kind for kind in kinds if (folder / kind).is_file()]
    if not present:
        raise FileNotFoundError(
            f"{folder / 'model.safetensors'}: falta este arquivo, e não há "
            "pytorch_model.bin; a pasta é mesmo de um modelo?"
        )
    newest = max(present, key=lambda path: path.stat().st_mtime_ns)
    if newest.suffix != ".json":
        return [newest]
    names = read_json(newest).get("weight_map")
    if not isinstance(names, dict) or not all(
        isinstance(name, str) and name == Path(name).name for name in names.values()
    ):
        raise ValueError(
            f"{newest}: esperava em weight_map um arquivo desta pasta por tensor"
        )
    return [folder / name for name in sorted(set(names.values()))]


def _read_bin(path: Path) -> dict[str, torch.Tensor]:
    """Os tensores de um arquivo do PyTorch; nada do que ele traz é executado."""
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: falta este arquivo; a pasta é mesmo de um modelo?"
        )
    if (
        torch.__version__ < "2.6"
    ):  # o leitor restrito de antes ainda deixava executar código
        raise RuntimeError(
            f"{path}: ler este formato com segurança pede torch 2.6; atualize o PyTorch"
        )
    try:
        data = torch.load(
            path, map_location="cpu", weights_only=True, mmap=is_zipfile(path)
        )
    except Exception as error:  # o leitor restrito do PyTorch levanta várias
        asked = re.search(r"GLOBAL (\S+)", str(error))
        detail = f" (pede {asked[1]}, que não é um tensor)" if asked else ""
        raise ValueError(  # sem a mensagem do PyTorch, que aconselha o leitor perigoso
            f"{path}: não é um arquivo só de tensores, ou está truncado{detail}. Nada "
            "dele foi executado; baixe-o de novo, ou procure os pesos em safetensors"
        ) from None
    if not isinstance(data, dict) or not all(
        isinstance(name, str) and isinstance(t, torch.Tensor)
        for name, t in data.items()
    ):
        raise ValueError(f"{path}: esperava um dicionário de tensores")
    for name, t in data.items():
        if t.layout != torch.strided or t.is_quantized or t.is_meta or t.is_nested:
            raise ValueError(
                f"{path}: {name} é esparso, quantizado ou sem dados; os pesos são "
                "tensores comuns"
            )
    return data


_PREFIX = re.compile(r"^(?:(?:module|_orig_mod|model|transformer)\.)+")


def _gpt2_files(
    folder: Path, tied: bool
) -> tuple[dict[str, torch.Tensor], dict[str, Fill]]:
    """O que há nos arquivos, por nome sem prefixo: a forma, e como preencher com
    ela.
    """
    found: dict[str, torch.Tensor] = {}
    fills: dict[str, Fill] = {}
    for path in _weight_files(folder):
        restricted = path.suffix == ".bin"
        for full, tensor in (
            _read_bin(path) if restricted else tensor_shapes(path)
        ).items():
            name = _PREFIX.sub("", full)
            mask = name.endswith((".attn.bias", ".attn.masked_bias"))
            if mask or (tied and name == "lm_head.weight"):
                continue
            if name in found:
                raise ValueError(
                    f"{path}: {name} aparece duas vezes, com prefixos diferentes"
                )
            found[name] = tensor
            if restricted:
                fills[name] = partial(_fill, source=tensor, where=f"{path}: {full}")
            else:
                fills[name] = partial(_copy, path, full)
    return found, fills


def load_gpt2(path_or_name: str | Path) -> GPT:
    """Um `GPT` com os pesos de um GPT-2 no formato do Hugging Face: uma pasta ou um
    nome.

    Nomes, que se baixam: os quatro da OpenAI, `"gpt2"` (ou `"124M"`), `"gpt2-medium"`,
    `"gpt2-large"`, `"gpt2-xl"`, e `"gpt2-small-portuguese"`. Lê safetensors ou
    `pytorch_model.bin`, num arquivo ou em vários; a pasta fica como está. De
    safetensors, o pico de memória mal passa do tamanho do modelo em fp32. O modelo vem
    em modo de avaliação.

    O GPT-2 é de Radford et al. (2019); o `gpt2-small-portuguese`, de Guillou (2020).

    Erros: `FileNotFoundError` se não há tal pasta; `FetchError` se é preciso a rede e
    ela falta; `ValueError` se a arquitetura é outra, se o arquivo está estragado, ou se
    há tensores que faltam, sobram ou têm outra forma; `OSError` se não se consegue ler;
    `RuntimeError` se o PyTorch é velho demais para ler um `.bin` com segurança.
    """
    name = str(path_or_name)
    folder = Path(name)
    if not folder.is_dir():
        if name not in GPT2_NAMES:
            raise FileNotFoundError(
                f"{name!r} não é uma pasta, nem um de {', '.join(GPT2_NAMES)}"
            )
        folder = fetch(GPT2_NAMES[name])
    path = folder / "config.json"
    values = _gpt2_config(path)
    found, fills = _gpt2_files(folder, tied=values["tie_weights"] is True)
    model = build_gpt(path, values, found)
    names, mine = gpt2_tensors(model.config), dict(model.named_parameters())
    turned = {
        theirs: mine[name].t() if t else mine[name]
        for name, (theirs, t) in names.items()
    }
    if problems := compare_tensors(turned, found):
        raise ValueError(
            f"{folder}: os pesos não são os de um GPT-2 com esse config.json:\n"
            f"{problems}"
        )
    for theirs, target in turned.items():
        fills[theirs](target.data)
    return model


def _gpt2_tokenizer(folder: Path) -> BPETokenizer:
    """O tokenizer que está ao lado dos pesos."""
    vocab, merges = folder / "vocab.json", folder / "merges.txt"
    if not (vocab.is_file() and merges.is_file()):
        raise FileNotFoundError(
            f"{folder}: faltam vocab.json e merges.txt; leia só os pesos com load_gpt2"
        )
    return BPETokenizer.from_gpt2_files(vocab, merges)


_REGEX_TOKEN = re.compile(
    r"\{\d+(?:,\d*)?\}\+?|\\[pPxu]\{[^}]*\}|\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|.", re.DOTALL
)


def _oniguruma(pattern: str) -> str:
    r"""O padrão de pré-corte, escrito para a biblioteca de expressões da `tokenizers`.

    >>> _oniguruma(r"\p{N}{1,3}+|(?:ab|c){2}+|\s+$")
    '(?>\\p{N}{1,3})|(?>(?:ab|c){2})|\\s+\\z'
    """
    out: list[str] = []
    opened: list[int] = []  # onde começa cada grupo ainda aberto
    atom = 0  # onde começa o último pedaço a que um quantificador se aplica
    for token in _REGEX_TOKEN.findall(pattern):
        if re.fullmatch(r"\{.*\}\+", token):
            out[atom:] = ["(?>", *out[atom:], token[:-1], ")"]
            continue
        if token == "(":
            opened.append(len(out))
        elif token == ")" and opened:
            atom = opened.pop()
        elif token[0] not in "{*+?":
            atom = len(out)
        out.append({"^": r"\A", "$": r"\z"}.get(token, token))
    return "".join(out)


def _tokenizers_json(tokenizer: BPETokenizer) -> dict[str, Any]:
    """O `tokenizer.json` da biblioteca `tokenizers`: mesmo pré-corte, fusões e ids."""
    char = {byte: c for c, byte in CHAR_TO_BYTE.items()}

    def name(token: bytes) -> str:
        return "".join(char[byte] for byte in token)

    split = {"type": "Split", "pattern": {"Regex": _oniguruma(tokenizer.pattern)},
             "behavior": "Isolated", "invert": False}  # fmt: skip
    bytes_ = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
              "use_regex": False}  # fmt: skip
    flags = dict(
        special=True, normalized=False, single_word=False, lstrip=False, rstrip=False
    )
    vocab = {name(token): i for token, i in tokenizer.tokens.items()}
    return {
        "version": "1.0",
        "added_tokens": [
            {"id": i, "content": text, **flags}
            for text, i in tokenizer.special_tokens.items()
        ],
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, bytes_]},
        "decoder": bytes_,
        "model": {
            "type": "BPE",
            # os especiais também, ou a biblioteca lhes dá os ids seguintes
            "vocab": {**vocab, **tokenizer.special_tokens},
            "merges": [[name(left), name(right)] for left, right in tokenizer.merges],
        },
    }


def to_huggingface(
    model: LanguageModel, folder: str | Path, tokenizer: BPETokenizer | None = None
) -> None:
    """Grava uma pasta que `transformers.AutoModelForCausalLM` abre.

    Com `tokenizer`, `AutoTokenizer` também. Os logits são os mesmos. Um modelo sem viés
    em Q, K e V vai com zeros no lugar dele. O `AutoTokenizer` dá os mesmos ids, e
    reconhece no texto os tokens especiais, como faz
    `encode(text, allowed_special="all")`.

    Erros: `TypeError`, `ValueError` e `OSError`, como em `save_pretrained`.
    """
    gpt = _gpt_inside(model)
    config, mine = gpt.config, _parameters(gpt)
    _check_values(mine, torch.float32)
    tensors = {}
    for name, (theirs, transposed) in gpt2_tensors(config).items():
        prefix = "" if theirs == "lm_head.weight" else "transformer."
        tensors[prefix + theirs] = mine[name].t() if transposed else mine[name]
    if not config.qkv_bias:
        for block in range(config.n_layers):
            zeros = torch.zeros(3 * config.emb_dim)
            tensors[f"transformer.h.{block}.attn.c_attn.bias"] = zeros
    files = _huggingface_json(config, tokenizer)
    folder = _make_folder(folder)
    with ExitStack() as stack:
        names = ("model.safetensors", *files)
        new = {name: stack.enter_context(replacing(folder / name)) for name in names}
        _write_tensors(new["model.safetensors"], tensors, torch.float32)
        for name, data in files.items():
            write_json(new[name], data)


def _huggingface_json(
    config: GPTConfig, tokenizer: BPETokenizer | None
) -> dict[str, dict[str, Any]]:
    """Os arquivos JSON da pasta: nome → conteúdo."""
    end = tokenizer.special_tokens.get(END) if tokenizer else None
    header = {
        "architectures": ["GPT2LMHeadModel"], "model_type": "gpt2",
        "activation_function": "gelu_new", "vocab_size": config.vocab_size,
        "n_positions": config.context_length, "n_embd": config.emb_dim,
        "n_head": config.n_heads, "n_layer": config.n_layers,
        "layer_norm_epsilon": 1e-5, "attn_pdrop": config.dropout,
        "resid_pdrop": config.dropout, "embd_pdrop": config.dropout,
        "tie_word_embeddings": config.tie_weights,
        "bos_token_id": end, "eos_token_id": end, "dtype": "float32",
    }  # fmt: skip
    if tokenizer is None:
        return {"config.json": header}
    check_pair(tokenizer, config.vocab_size)
    special = {} if end is None else {"eos_token": END, "bos_token": END}
    about = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": config.context_length,
    }
    return {
        "config.json": header,
        "tokenizer.json": _tokenizers_json(tokenizer),
        "tokenizer_config.json": special | about,
    }
