# Gerado por ferramentas/tangle.py. NÃO EDITE: mude book/oficina/o-modelo-na-pagina.md.
# sha256 do que segue: 216817b788e10cfb7bf991c6cf6a9b7bc93a6c53f41ee59ccbffd40edc6591f2
"""Um modelo do livro dentro de uma página da web.

`pack_model` escreve o arquivo que o motor em JavaScript lê: cabeçalho em JSON e
matrizes em int8, com uma escala por linha. A página “O modelo na página”, da oficina,
constrói este módulo.

>>> from homellm.weights import load_pretrained
>>> packed = pack_model(*load_pretrained("contos-mini"))
>>> packed[:7], len(packed) < 2_800_000
(b'HOMELLM', True)
"""

from __future__ import annotations

import base64
import copy
import json
import re
import struct
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import torch

import homellm
from homellm.files import compare_tensors, replacing
from homellm.model import GPT, GPTConfig, LanguageModel, unwrap
from homellm.tokenizer import GPT2_PATTERN, PATTERN, SPECIAL_TOKENS, BPETokenizer
from homellm.weights import check_pair

ModuleType = TypeVar("ModuleType", bound=torch.nn.Module)  # o modelo que se copia
MAGIC, VERSION = b"HOMELLM\n", 1  # com que o arquivo começa; a versão do formato


def quantize_rows(
    weight: torch.Tensor, bits: int = 8
) -> tuple[torch.Tensor, torch.Tensor]:
    """Uma matriz em inteiros, com uma escala por linha: int8 `(R, N)` e fp32 `(R,)`.

    `weight` é, em cada linha, quase o inteiro vezes a escala. Com 8 bits os inteiros
    vão de −127 a 127; a escala é a que põe o maior da linha na ponta.

    Erros: `ValueError` se `bits` não está entre 2 e 8.

    >>> q, scales = quantize_rows(torch.tensor([[127.0, -63.6], [0.0, 0.0]]))
    >>> q.tolist(), scales.tolist()
    ([[127, -64], [0, 0]], [1.0, 0.0])
    """
    if not 2 <= bits <= 8:
        raise ValueError(f"bits={bits}: precisa estar entre 2 e 8")
    top = 2 ** (bits - 1) - 1
    scales = weight.detach().float().abs().amax(1) / top  # (R,)
    steps = weight.detach().float() / scales.clamp(min=torch.finfo().tiny)[:, None]
    return steps.round().clamp(-top, top).to(torch.int8), scales


@torch.no_grad()
def with_quantized_weights(model: ModuleType, bits: int = 8) -> ModuleType:
    """Uma cópia do modelo com os pesos que a página usa: cada matriz, quantizada.

    Erros: os de `quantize_rows`.
    """
    inner = copy.deepcopy(unwrap(model))
    for parameter in inner.parameters():
        if parameter.dim() == 2:
            integers, scales = quantize_rows(parameter, bits)
            parameter.copy_(integers * scales[:, None])
    return inner


def describe_tokenizer(tokenizer: BPETokenizer) -> dict[str, Any]:
    """O tokenizer, como o motor o lê: pré-corte, tokens na ordem das fusões, especiais.

    Os bytes de cada token vão em Latin-1. Numa lista, e não num objeto: o JavaScript
    poria antes as chaves que parecem números.

    Erros: `ValueError` se o pré-corte não é o do livro nem o do GPT-2.
    """
    if tokenizer.pattern not in (PATTERN, GPT2_PATTERN):
        raise ValueError(
            f"a página não conhece o pré-corte {tokenizer.pattern!r}; treine o "
            "tokenizer com o PATTERN do livro"
        )
    tokens, ids = list(tokenizer.tokens), list(tokenizer.tokens.values())
    return {
        "pattern": tokenizer.pattern,
        "special_tokens": tokenizer.special_tokens,
        "tokens": [token.decode("latin-1") for token in tokens],
        "ids": None if ids == list(range(len(ids))) else ids,
    }


def _parts(model: Any) -> tuple[GPTConfig, tuple[str, ...], dict[str, torch.Tensor]]:
    """A configuração, os rótulos e os tensores de um GPT ou de um classificador."""
    inner = unwrap(model)
    labels = tuple(getattr(inner, "labels", ()))
    gpt = inner.gpt if labels else inner
    try:
        config = GPTConfig(**asdict(gpt.config))
        tensors = {name: p.detach().cpu() for name, p in gpt.named_parameters()}
    except (AttributeError, TypeError) as error:
        raise TypeError(
            f"a página só roda um GPT ou um GPTClassifier; veio {type(inner).__name__}"
        ) from error
    with torch.device("meta"):  # só as formas
        empty = GPT(config)
        if labels:
            empty.head = torch.nn.Linear(config.emb_dim, len(labels))
        expected = dict(empty.named_parameters())
    if problems := compare_tensors(expected, tensors):
        raise ValueError(f"o modelo não tem os tensores de um GPT:\n{problems}")
    return config, labels, tensors


def pack_model(model: LanguageModel | Any, tokenizer: BPETokenizer) -> bytes:
    """O arquivo do motor: um `GPT` ou `GPTClassifier`, com o tokenizer, em int8.

    Erros: `TypeError` se o modelo é de outra espécie; `ValueError` se os tensores não
    são os de um GPT, se há NaN ou infinito, se o tokenizer não é par do modelo; os de
    `describe_tokenizer`.
    """
    config, labels, tensors = _parts(model)
    check_pair(tokenizer, config.vocab_size)
    about: dict[str, dict[str, Any]] = {}
    data = bytearray()

    def put(tensor: torch.Tensor) -> int:
        """Acrescenta os bytes de um tensor; devolve onde começam, múltiplo de 4."""
        start = len(data)
        data.extend(tensor.contiguous().numpy().tobytes())
        data.extend(bytes(-len(data) % 4))
        return start

    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise ValueError(f"{name} tem NaN ou infinito (o treino divergiu?)")
        about[name] = {"shape": list(tensor.shape)}
        if tensor.dim() == 2:
            integers, scales = quantize_rows(tensor)
            about[name] |= {"offset": put(integers), "scales": put(scales)}
        else:
            about[name]["offset"] = put(tensor.float())
    header = {
        "version": VERSION,
        "kind": "GPTClassifier" if labels else "GPT",
        "config": asdict(config),
        "labels": list(labels) or None,
        "tokenizer": describe_tokenizer(tokenizer),
        "tensors": about,
        "bytes": len(data),
    }
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    return MAGIC + struct.pack("<I", len(text)) + text + bytes(data)


def sources_folder() -> Path:
    """A pasta dos módulos em JavaScript, no pacote instalado ou no repositório.

    Erros: `FileNotFoundError` se não vieram com a instalação.
    """
    package = Path(homellm.__path__[0])
    for folder in (package / "_widgets", package.parent / "widgets"):
        if (folder / "worker.js").is_file():
            return folder
    raise FileNotFoundError(
        f"não achei worker.js em {package / '_widgets'} nem em "
        f"{package.parent / 'widgets'}; reinstale o homellm"
    )


_IMPORT = re.compile(r'^import \{([^}]*)\} from "([^"]*)";$', re.MULTILINE)
_EXPORT = re.compile(r"^export ((?:async )?function|class|const) (\w+)", re.MULTILINE)


def _bundle(module: Path, done: set[Path]) -> str:
    """Um módulo depois dos que ele importa, cada um dentro de uma função: um texto só.

    Um arquivo aberto com dois cliques não pode importar outro; o navegador recusa.
    """
    done.add(module)
    text = module.read_text("utf-8")
    needed = [(module.parent / path).resolve() for _, path in _IMPORT.findall(text)]
    before = "".join(_bundle(path, done) for path in needed if path not in done)
    text = _IMPORT.sub(
        lambda found: f"const {{{found[1]}}} = {Path(found[2]).stem}_js;", text
    )
    names = ", ".join(name for _, name in _EXPORT.findall(text))
    body = _EXPORT.sub(r"\1 \2", text)
    head = f"const {module.stem}_js = (() => {{"
    return f"{before}{head}\n{body}return {{ {names} }};\n}})();\n"


def export_web(
    model: Any,
    tokenizer: BPETokenizer,
    folder: str | Path,
    chat: bool | None = None,
) -> Path:
    """Grava em `folder` uma página que roda o modelo, e devolve o caminho dela.

    `index.html` traz tudo dentro e abre com dois cliques, sem rede: continua textos,
    conversa ou classifica. `modelo.bin` é o arquivo do motor, para outra página.
    `chat` diz se um `GPT` conversa; `None`, se o tokenizer tem as marcas de quem fala.

    Erros: os de `pack_model`; `OSError` se não se consegue gravar.
    """
    packed = pack_model(model, tokenizer)
    if chat is None:
        chat = set(SPECIAL_TOKENS) <= set(tokenizer.special_tokens)
    mode = "classe" if hasattr(unwrap(model), "labels") else "texto"
    sources = sources_folder().resolve()
    parts = {
        "pesos": base64.b64encode(packed).decode("ascii"),
        "worker": _bundle(sources / "worker.js", set()),
        "modo": json.dumps("conversa" if chat and mode == "texto" else mode),
        "pagina": _bundle(sources / "exportada" / "pagina.js", set()),
    }
    page = (sources / "exportada" / "pagina.html").read_text("utf-8")
    page = re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], page)
    place = Path(folder)
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = f"não consegui criar a pasta {folder}; confira o caminho"
        raise OSError(error.errno, message) from error
    for name, content in (("modelo.bin", packed), ("index.html", page.encode())):
        with replacing(place / name) as path:
            path.write_bytes(content)
    return place / "index.html"
