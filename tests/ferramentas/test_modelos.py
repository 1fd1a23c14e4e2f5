"""Os modelos que o site leva, e as tabelas de letras do motor."""

from __future__ import annotations

import json
import os
import shutil

from brinquedo import REPO
from ferramentas import letras
from ferramentas.modelos import FAZEM, escreve_os_modelos
from homellm.classification import load_classifier
from homellm.tokenizer import BPETokenizer
from homellm.web import describe_tokenizer, pack_model
from homellm.weights import load_pretrained

MODELOS = sorted(p.parent.name for p in (REPO / "data/modelos").glob("*/config.json"))


def test_ha_um_arquivo_por_modelo_e_o_do_contos_mini_e_pequeno(tmp_path):
    escreve_os_modelos(tmp_path)
    esperados = {f"{m}.bin" for m in MODELOS} | {f"{m}.tokenizer.json" for m in (*MODELOS, "gpt2")}
    assert {p.name for p in tmp_path.iterdir()} == esperados
    assert (tmp_path / "contos-mini.bin").read_bytes() == pack_model(*load_pretrained("contos-mini"))
    assert (tmp_path / "spam-mini.bin").read_bytes() == pack_model(*load_classifier("spam-mini"))
    assert (tmp_path / "contos-mini.bin").stat().st_size <= 2_800_000
    gpt2 = json.loads((tmp_path / "gpt2.tokenizer.json").read_text("utf-8"))
    assert gpt2 == describe_tokenizer(BPETokenizer.from_tiktoken("gpt2"))


def copia_um_modelo(raiz) -> None:
    for nome in FAZEM:
        (raiz / nome).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPO / nome, raiz / nome)
    shutil.copytree(REPO / "data/modelos/letras-mini", raiz / "data/modelos/letras-mini")


def test_so_se_escreve_de_novo_o_que_mudou(tmp_path):
    raiz, site = tmp_path / "raiz", tmp_path / "site"
    copia_um_modelo(raiz)
    escreve_os_modelos(site, raiz)

    def datas() -> dict[str, int]:
        return {p.name: p.stat().st_mtime_ns for p in site.iterdir()}

    antes = datas()
    escreve_os_modelos(site, raiz)
    assert datas() == antes
    depois = max(antes.values()) + 1
    os.utime(raiz / "data/modelos/letras-mini/model.safetensors", ns=(depois, depois))
    escreve_os_modelos(site, raiz)
    mudaram = {nome for nome, data in datas().items() if data != antes[nome]}
    assert mudaram == {"letras-mini.bin", "letras-mini.tokenizer.json"}


def test_um_livro_sem_modelos_nao_leva_nenhum(tmp_path):
    escreve_os_modelos(tmp_path / "site", tmp_path)
    assert not (tmp_path / "site").exists()


def test_as_tabelas_do_motor_sao_as_do_tiktoken():
    assert letras.ARQUIVO.read_text("utf-8") == letras.escreve_a_tabela(), (
        "o tiktoken mudou de Unicode: rode python -m ferramentas.letras"
    )
