"""O ritmo dos capítulos: palavras por linha de código à vista, figuras nas seções longas."""

from __future__ import annotations

from pathlib import Path

import pytest

from brinquedo import CABECALHO, CONFIG, celula
from ferramentas import ritmo
from ferramentas.celulas import le_celulas

PAGINA = "book/03-tres.md"
LINHAS = "\n".join(f"x{n} = {n}" for n in range(ritmo.CURTO))
POUCAS, MUITAS = "palavra " * 20, "palavra " * (ritmo.MENOS_PALAVRAS * ritmo.CURTO)
FECHADA = LINHAS.replace("x", "y")


def queixas(tmp_path: Path, corpo: str, pagina: str = PAGINA, **opcoes: object) -> list[str]:
    md = tmp_path / pagina
    md.parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "_config.yml").write_text(CONFIG, "utf-8")
    md.write_text(f"{CABECALHO}\n# Três\n\n{corpo}\n", "utf-8")
    texto = md.read_text("utf-8")
    return list(ritmo.confere(texto, pagina, le_celulas(md, tmp_path), **opcoes))


def test_um_capitulo_de_muito_codigo_e_pouca_prosa_e_recusado(tmp_path):
    (queixa,) = queixas(tmp_path, f"{POUCAS}\n\n{celula(LINHAS)}")
    assert f"para {ritmo.CURTO} linhas de código à vista" in queixa and queixa.startswith(f"{PAGINA}:1: ")


def test_prosa_que_chegue_passa(tmp_path):
    corpo = f"{MUITAS}\n\n{celula(LINHAS)}\n\n" + "```{image} a.svg\n:alt: um a\n```\n"
    assert queixas(tmp_path, corpo) == []


@pytest.mark.parametrize(
    "recolhida",
    [
        f"```{{code-cell}} ipython3\n:resumo: confere o arquivo\n{FECHADA}\n```",
        f"```{{code-cell}} ipython3\n:tags: [hide-input]\n{FECHADA}\n```",
        f"```{{solution-start}} ex\n:class: dropdown\n```\n{celula(FECHADA)}\n```{{solution-end}}\n```",
    ],
    ids=["resumo", "hide-input", "solução"],
)
def test_o_codigo_recolhido_nao_conta(tmp_path, recolhida):
    assert queixas(tmp_path, f"{POUCAS}\n\n{recolhida}") == []


def test_so_os_capitulos_tem_ritmo(tmp_path):
    assert queixas(tmp_path, f"{POUCAS}\n\n{celula(LINHAS)}", "book/bancada.md") == []


def test_uma_secao_longa_pede_figura(tmp_path):
    longa = "## Longa\n\n" + "palavra " * (ritmo.SECAO_LONGA + 1)
    (queixa,) = queixas(tmp_path, longa)
    assert "a seção “Longa” tem 601 palavras e nenhuma figura" in queixa
    assert queixas(tmp_path, longa + "\n\n```{figure} figuras/a.svg\n:alt: um a\n```\n") == []
    assert queixas(tmp_path, longa + "\n\n## Outra\n\n![um a](a.svg)") == [queixa]
    assert queixas(tmp_path, longa, sem_figura={(PAGINA, "Longa"): "é uma lista"}) == []


def test_as_excecoes_sao_de_secoes_que_existem():
    assert all(razao for razao in ritmo.SEM_FIGURA.values())
