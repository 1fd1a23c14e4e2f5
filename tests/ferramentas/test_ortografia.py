"""`ferramentas/ortografia.py`: as palavras da prosa, o dicionário do projeto, e o que se diz sem hunspell."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from brinquedo import REPO
from ferramentas import ortografia
from ferramentas.livro import ErroDoLivro
from ferramentas.ortografia import aceita, confere, dicionario, palavras
from ferramentas.prosa import Trecho

if not ortografia.instalado() and os.environ.get("CI"):
    pytest.fail("falta o hunspell pt_BR: apt install hunspell hunspell-pt-br", pytrace=False)
com_hunspell = pytest.mark.skipif(
    not ortografia.instalado(), reason="sem hunspell pt_BR (apt install hunspell hunspell-pt-br)"
)


def prosa(*linhas: str) -> list[Trecho]:
    return [Trecho("book/x.md", n, linha) for n, linha in enumerate(linhas, 1)]


def com_dicionario(raiz: Path, texto: str) -> Path:
    (raiz / "ferramentas").mkdir(exist_ok=True)
    (raiz / ortografia.DICIONARIO).write_text(texto, "utf-8")
    return raiz


@pytest.mark.parametrize(
    ("linha", "lidas"),
    [
        ("Em três passos, não.", "Em três passos não"),
        ("O GPT-2, o PyTorch e a sigla IDs.", "sigla"),
        ("a desinência -ões, o pré-treino e o fim…", "desinência pré-treino fim"),
        ("*corpora* e **forte**", "forte"),
        ("“ casinh” e “duas casas”", "duas casas"),
        ("homellm.plots, dono/projeto, x_y e v0.2", ""),
        ("# Título {.botao}", "Título"),
    ],
)
def test_que_palavras_se_conferem(linha, lidas):
    curtas = {"O", "o", "a", "e", "x"}
    assert [p for p in palavras(Trecho("x", 1, linha)) if p not in curtas] == lidas.split()


@com_hunspell
def test_palavra_estranha_diz_o_lugar_quantas_vezes_e_o_que_fazer(tmp_path, monkeypatch):
    monkeypatch.setattr(ortografia, "PACIENCIA", 300)
    (queixa,) = confere(tmp_path, prosa("uma casa", "um cachoro", "dois cachoro"))
    assert queixa.startswith("book/x.md:2: “cachoro” (e mais 1) não está no dicionário. Seria ")
    assert "cachorro" in queixa and queixa.endswith("--aceita cachoro")


@com_hunspell
def test_se_as_parecidas_demoram_diz_se_sem_elas(tmp_path, monkeypatch):
    monkeypatch.setattr(ortografia, "PACIENCIA", 1e-6)
    (queixa,) = confere(tmp_path, prosa("um cachoro"))
    assert "não está no dicionário. Código vai entre crases" in queixa


@com_hunspell
def test_o_dicionario_do_projeto_vale_no_comeco_da_frase_e_nas_partes_com_hifen(tmp_path):
    raiz = com_dicionario(tmp_path, "Raschka\ntokenizer\n")
    assert confere(raiz, prosa("Tokenizer e tokenizer, palavra-tokenizer, de Raschka")) == []
    (queixa,) = confere(raiz, prosa("de raschka"))
    assert "“raschka”" in queixa


@com_hunspell
def test_as_mensagens_do_codigo_nao_se_conferem(tmp_path):
    assert confere(tmp_path, [Trecho("x.py", 1, "cachoro", mensagem=True)]) == []


def test_o_dicionario_diz_a_linha_fora_de_ordem(tmp_path):
    for texto, frase in (("b\na\n", "2: 'a' vem antes de 'b'"), ("a\na\n", "2: 'a' está repetida")):
        with pytest.raises(ErroDoLivro, match=f"{ortografia.DICIONARIO}:{frase}; rode python -m"):
            dicionario(com_dicionario(tmp_path, texto))


def test_aceitar_poe_em_ordem_e_sem_repetir(tmp_path):
    raiz = com_dicionario(tmp_path, "zebra\natenção\n")
    aceita(["Átila", "bpe", "zebra"], raiz)
    assert (raiz / ortografia.DICIONARIO).read_text("utf-8") == "atenção\nÁtila\nbpe\nzebra\n"
    assert dicionario(raiz) == {"atenção", "Átila", "bpe", "zebra"}


def test_sem_hunspell_diz_que_nao_conferiu_e_no_ci_falha(tmp_path):
    ambiente = {**os.environ, "PATH": str(tmp_path), "PYTHONPATH": str(REPO)}
    for ci, rc in ((None, 0), ("true", 1)):
        ambiente.pop("CI", None)
        saida = subprocess.run(
            [sys.executable, "-m", "ferramentas.ortografia"], cwd=REPO, capture_output=True, text=True,
            env=ambiente | ({"CI": ci} if ci else {}),
        )  # fmt: skip
        assert saida.returncode == rc, saida
        assert saida.stderr.count("\n") == 1 and "A ortografia não foi conferida: falta o hunspell" in saida.stderr


@com_hunspell
def test_o_livro_nao_tem_palavra_estranha():
    assert confere(REPO) == []
