"""O que o site leva para a página rodar um modelo: o motor, de `widgets/`, e os pesos, de `data/modelos/`.

Os modelos vão em `_static/modelos/NOME.bin`, como `homellm.web.pack_model` os escreve, e o tokenizer de
cada um, sozinho, em `NOME.tokenizer.json`; também o do GPT-2.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from ferramentas.livro import RAIZ

FONTES = ("homellm/web.py", "homellm/weights.py", "homellm/tokenizer.py", "ferramentas/motor.py")


def copia_o_motor(destino: Path, raiz: Path = RAIZ) -> None:
    """`widgets/` inteira, no lugar da que havia."""
    shutil.rmtree(destino, ignore_errors=True)
    shutil.copytree(raiz / "widgets", destino)


def _empacota(pasta: Path) -> dict[str, bytes]:
    """Os arquivos de um modelo de `data/modelos`: nome → conteúdo."""
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


def _json(dados: dict) -> bytes:
    return json.dumps(dados, ensure_ascii=False, separators=(",", ":")).encode()


def escreve_os_modelos(destino: Path, raiz: Path = RAIZ) -> None:
    """Os arquivos de todos os modelos; os que são mais novos que as fontes ficam como estão."""
    destino.mkdir(parents=True, exist_ok=True)
    pastas = sorted(p.parent for p in (raiz / "data/modelos").glob("*/config.json"))
    receitas: dict[str, tuple[list[Path], Callable[[], dict[str, bytes]]]] = {
        pasta.name: (sorted(pasta.iterdir()), lambda pasta=pasta: _empacota(pasta)) for pasta in pastas
    }
    receitas["gpt2"] = ([], _do_gpt2)
    for nome, (fontes, faz) in receitas.items():
        marca = destino / f"{nome}.tokenizer.json"  # o último que se grava
        novas = max(p.stat().st_mtime_ns for p in [*fontes, *(raiz / fonte for fonte in FONTES)])
        if marca.exists() and marca.stat().st_mtime_ns > novas:
            continue
        for arquivo, conteudo in faz().items():
            temporario = destino / f".{arquivo}.tmp"
            temporario.write_bytes(conteudo)
            os.replace(temporario, destino / arquivo)


def leva_ao_site(site: Path, raiz: Path = RAIZ) -> None:
    """Põe em `site` o motor e os modelos."""
    copia_o_motor(site / "_static/widgets", raiz)
    escreve_os_modelos(site / "_static/modelos", raiz)
