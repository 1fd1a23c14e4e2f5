"""O que `CONTRIBUTING.md` e os ganchos do pre-commit prometem existe."""

from __future__ import annotations

import re

import pytest
import yaml

from brinquedo import REPO
from ferramentas.celulas import ETIQUETAS, OPCOES

TEXTO = (REPO / "CONTRIBUTING.md").read_text("utf-8")
ALVOS = set(re.findall(r"(?m)^([\w-]+):", (REPO / "Makefile").read_text("utf-8")))


def test_cada_comando_make_existe():
    citados = set(re.findall(r"\bmake ([a-z][\w-]*)", TEXTO))
    assert {"novo-capitulo", "pagina", "verificar"} <= citados <= ALVOS


def test_os_ganchos_do_pre_commit_chamam_o_makefile():
    lido = yaml.safe_load((REPO / ".pre-commit-config.yaml").read_text("utf-8"))
    ganchos = [g for repo in lido["repos"] for g in repo["hooks"]]
    assert all(repo["repo"] == "local" for repo in lido["repos"])  # nada vem de fora
    for gancho in ganchos:
        comando, alvo = gancho["entry"].split()
        assert comando == "make" and alvo in ALVOS | {"confere-estilo", "confere-livro"}, gancho
        assert gancho["language"] == "system" and gancho["pass_filenames"] is False


@pytest.mark.parametrize("arquivo", ["CONTRIBUTING.md", "README.md", "SECURITY.md"])
def test_as_ligacoes_a_arquivos_levam_a_algum_lugar(arquivo):
    texto = (REPO / arquivo).read_text("utf-8")
    for destino in re.findall(r"\]\((?!https?:|#)([^)]+)\)", texto):
        assert (REPO / destino).exists(), destino


def test_os_arquivos_citados_existem():
    citados = set(re.findall(r"`((?:book|ferramentas|tests|data|homellm|\.github)/[\w./-]*\w)`", TEXTO))
    proprios = {c for c in citados if "nome" not in c.lower() and "*" not in c}
    assert proprios and not [c for c in sorted(proprios) if not (REPO / c).exists()]


def test_as_etiquetas_dos_formularios_estao_na_lista_de_quem_mantem():
    for formulario in (REPO / ".github/ISSUE_TEMPLATE").glob("*.yml"):
        for etiqueta in yaml.safe_load(formulario.read_text("utf-8")).get("labels", []):
            assert f"`{etiqueta}`" in TEXTO.split("**Etiquetas**")[1].split("\n")[0], (
                formulario.name,
                etiqueta,
            )


def test_os_exemplos_usam_opcoes_que_a_celula_aceita():
    exemplos = re.findall(r"(?s)```\{code-cell\} ipython3\n(.*?)\n```", TEXTO)
    assert exemplos
    for exemplo in exemplos:
        opcoes = re.findall(r"(?m)^:(\w+): (.*)$", exemplo)
        assert {nome for nome, _ in opcoes} <= OPCOES
        assert set(re.findall(r"[\w-]+", dict(opcoes).get("tags", ""))) <= ETIQUETAS


def test_o_endereco_e_dito_uma_vez_por_fork():
    """Quem faz um fork não encontra o dono do projeto no meio dos comandos."""
    assert "SEU-NOME/" in TEXTO and "github.com/vongrossi" not in TEXTO
