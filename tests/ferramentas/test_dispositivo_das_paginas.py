"""As páginas treinam e geram em `choose_device()`: o que a leitura acusa, e o que a execução acusa."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from brinquedo import CABECALHO, PRIMEIRA_LINHA, REPO, api, celula, escreve_livro
from ferramentas.celulas import le_celulas
from ferramentas.dispositivo import FICAM, na_cpu
from ferramentas.livro import paginas

PRIMEIRA_CELULA = PRIMEIRA_LINHA + 3  # a linha do código da primeira célula depois do título


def livro(tmp_path: Path, *fontes: str) -> Path:
    corpo = "\n".join(map(celula, fontes))
    return escreve_livro(tmp_path, {"01-um": CABECALHO + "# Um\n\n" + corpo, "api": api("a")})


def queixas(tmp_path: Path, *fontes: str, ficam=None) -> list[str]:
    raiz = livro(tmp_path, *fontes)
    return list(na_cpu(le_celulas(raiz / "book/01-um.md", raiz), ficam))


# ---------------------------------------------------------------- lendo

TREINA = {
    "função do livro": ("m = GPT(c)", "train(m, lotes)"),
    "na chamada": ("generate_text(GPT(c), t, 'a')",),
    "par": ("m, t = load_pretrained('x')", "chat = Chat(m, t)"),
    "par aberto": ("print(generate_text(*load_pretrained('x'), 'a'))",),
    "avaliado antes": ("m = GPT(c).eval()", "evaluate(m, lotes)"),
    "outro nome": ("a = GPT(c)\nb = a", "train(b, lotes)"),
    "ou um novo": ("train(None or GPT(c), lotes)",),
    "otimizador": ("m = GPT(c)", "o = torch.optim.AdamW(m.parameters(), lr=1)"),
    "dentro de função": ("def f():\n    m = GPT(c)\n    return train(m, lotes)",),
    "dois de uma vez": ("a, b = GPT(c).to(d), GPT(c)", "train(b, lotes)"),
    "refeito": ("m = GPT(c).to(d)", "m = GPT(c)\ntrain(m, lotes)"),
}


@pytest.mark.parametrize("fontes", TREINA.values(), ids=TREINA)
def test_um_modelo_que_nao_foi_ao_dispositivo_e_acusado(tmp_path, fontes):
    (queixa,) = queixas(tmp_path, *fontes)
    assert "treina ou gera" in queixa and "choose_device()" in queixa


@pytest.mark.parametrize(
    "fontes",
    [
        ("m = GPT(c).to(d)", "train(m, lotes)"),
        ("m = GPT(c).to(d).eval()", "generate(m, ids, 3)"),
        ("m = GPT(c)", "m.to(d)\ntrain(m, lotes)"),
        ("m = GPT(c)\nm = m.to(d)", "train(m, lotes)"),
        ("m, t = load_pretrained('x')", "chat = Chat(m.to(d), t)"),
        ("train(None or GPT(c).to(d), lotes)",),
        ("a, b = GPT(c).to(d), GPT(c)", "train(a, lotes)"),
        ("m = GPT(c)", "m = outra_coisa()\ntrain(m, lotes)"),
        ("m = GPT(c)\nm(ids)",),  # só olhar para ele não é treinar
        ("x = torch.zeros(2)\ntrain(x)",),
    ],
)
def test_o_que_esta_certo_passa(tmp_path, fontes):
    assert queixas(tmp_path, *fontes) == []


def test_a_queixa_diz_a_linha(tmp_path):
    (queixa,) = queixas(tmp_path, "m = GPT(c)\n\ntrain(m, lotes)")
    linha = int(queixa.split(":")[1])
    raiz = tmp_path / "book/01-um.md"
    assert raiz.read_text("utf-8").split("\n")[linha - 1] == "train(m, lotes)"


def test_um_que_fica_na_cpu_diz_por_que_e_sai_da_lista_quando_deixa_de_ficar(tmp_path):
    ficam = {("book/01-um.md", "m"): "mede o processador"}
    assert queixas(tmp_path, "m = GPT(c)", "train(m, lotes)", ficam=ficam) == []
    (queixa,) = queixas(tmp_path, "m = GPT(c).to(d)\ntrain(m, lotes)", ficam=ficam)
    assert queixa.startswith("book/01-um.md:1: FICAM") and "tire-o da lista" in queixa
    assert all(len(razao) > 20 for razao in FICAM.values())


def test_nenhuma_pagina_do_livro_treina_na_cpu_de_quem_tem_gpu():
    celulas = [c for md in paginas(REPO) for c in le_celulas(md, REPO)]
    assert list(na_cpu(celulas)) == []


# ---------------------------------------------------------------- executando, no dispositivo emulado


def ensaia(raiz: Path, *nomes: str) -> tuple[int, str]:
    """O que `paginas_na_gpu.py` diz das páginas, num processo à parte: ele troca o `choose_device`."""
    caminho = os.pathsep.join([str(REPO), str(REPO / "tests")])
    feito = subprocess.run(
        [sys.executable, str(REPO / "tests/paginas_na_gpu.py"), *nomes],
        cwd=raiz, capture_output=True, text=True, timeout=900,
        env=os.environ | {"PYTHONPATH": caminho, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    return feito.returncode, feito.stdout + feito.stderr


COMECO = """import torch
from homellm.device import choose_device
from homellm.model import GPT, GPTConfig
from homellm.generation import generate
device = choose_device()
ids = torch.zeros(1, 4, dtype=torch.int64)
m = GPT(GPTConfig(vocab_size=9, context_length=8, emb_dim=8, n_heads=2, n_layers=1))"""
LACO = """o = torch.optim.AdamW(m.parameters())
for _ in range(1000):
    loss = m(x).logsumexp(-1).mean()
    o.zero_grad()
    loss.backward()
    o.step()"""


@pytest.mark.lento
def test_uma_pagina_certa_roda_inteira_com_o_treino_encurtado(tmp_path):
    certa = (
        COMECO,
        "m.to(device)\nx = ids.to(device)",
        LACO,
        "print(generate(m, x, 500, temperature=0).shape)",
    )
    codigo, dito = ensaia(livro(tmp_path, *certa), "book/01-um.md")
    assert codigo == 0, dito
    assert "torch.Size([1, 7])" in dito and "4 células (0 não rodaram), 4 passos de treino" in dito


DEFEITOS = {
    "treino na CPU": (("x = ids", LACO), "o treino ficou na CPU"),
    "dados na CPU": (("m.to(device)\nx = ids", LACO), "tensores em dispositivos diferentes"),
    "geração na CPU": (("generate(m, ids, 3)",), "a geração ficou na CPU"),
    "numpy": (("x = ids.to(device).numpy()",), "não vira numpy"),
}


@pytest.mark.lento
@pytest.mark.parametrize("defeito", DEFEITOS.values(), ids=DEFEITOS)
def test_um_defeito_e_dito_com_a_linha_da_celula(tmp_path, defeito):
    fontes, parte = defeito
    raiz = livro(tmp_path, COMECO, *fontes)
    codigo, dito = ensaia(raiz, "book/01-um.md")
    assert codigo == 1 and parte in dito, dito
    culpada = le_celulas(raiz / "book/01-um.md", raiz)[-1]
    assert f"{culpada.lugar}: " in dito


@pytest.mark.lento
@pytest.mark.parametrize("pagina", ["book/oficina/parar-e-continuar.md", "book/oficina/pesos.md"])
def test_uma_pagina_do_livro_nao_mistura_dispositivos(pagina):
    codigo, dito = ensaia(REPO, pagina)
    assert codigo == 0, dito
    assert "(0 não rodaram)" in dito and "0 defeitos" in dito
