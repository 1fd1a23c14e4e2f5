"""Os modelos que o site leva: os de `data/modelos/`, no arquivo que o motor de `widgets/` lê.

Cada um vai em `_static/modelos/NOME.bin`, como `homellm.web.pack_model` o escreve, e o tokenizer dele,
sozinho, em `NOME.tokenizer.json`; também o do GPT-2.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

from ferramentas.livro import RAIZ

FAZEM = ("homellm/web.py", "homellm/weights.py", "homellm/tokenizer.py", "ferramentas/modelos.py")


def _do_modelo(pasta: Path) -> dict[str, bytes]:
    """Os arquivos de um modelo: nome → conteúdo."""
    from homellm.classification import load_classifier
    from homellm.web import describe_tokenizer, pack_model
    from homellm.weights import load_pretrained

    classifica = "labels" in json.loads((pasta / "config.json").read_text("utf-8"))
    modelo, tokenizer = (load_classifier if classifica else load_pretrained)(pasta)
    return {
        f"{pasta.name}.bin": pack_model(modelo, tokenizer),
        f"{pasta.name}.tokenizer.json": _json(describe_tokenizer(tokenizer)),
    }


def _do_gpt2() -> dict[str, bytes]:
    from homellm.tokenizer import BPETokenizer
    from homellm.web import describe_tokenizer

    return {"gpt2.tokenizer.json": _json(describe_tokenizer(BPETokenizer.from_tiktoken("gpt2")))}


def _json(dados: dict[str, object]) -> bytes:
    return json.dumps(dados, ensure_ascii=False, separators=(",", ":")).encode()


def escreve_os_modelos(destino: Path, raiz: Path = RAIZ) -> None:
    """Os arquivos de todos os modelos; os que são mais novos que as fontes ficam como estão."""
    pastas = sorted(p.parent for p in (raiz / "data/modelos").glob("*/config.json"))
    if not pastas:
        return
    destino.mkdir(parents=True, exist_ok=True)
    receitas: list[tuple[str, list[Path], Callable[[], dict[str, bytes]]]] = [
        (pasta.name, sorted(pasta.iterdir()), partial(_do_modelo, pasta)) for pasta in pastas
    ]
    for nome, fontes, faz in [*receitas, ("gpt2", [], _do_gpt2)]:
        ultimo = destino / f"{nome}.tokenizer.json"
        mudou = max(p.stat().st_mtime_ns for p in [*fontes, *(raiz / fonte for fonte in FAZEM)])
        if ultimo.exists() and ultimo.stat().st_mtime_ns > mudou:
            continue
        for arquivo, conteudo in faz().items():
            temporario = destino / f".{arquivo}.tmp"
            temporario.write_bytes(conteudo)
            temporario.replace(destino / arquivo)
