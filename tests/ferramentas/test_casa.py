"""Tudo o que nomeia o repositório vem de `_config.yml`: quem faz uma edição sua muda um arquivo só."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from brinquedo import REPO
from ferramentas import casa, citacao
from ferramentas.livro import ErroDoLivro, enderecos

# o que fala de pessoas, e não de endereços: numa bifurcação, o crédito continua a ser de quem fez
PESSOAS = {"LICENSE", "LICENSE-TEXTO", "CODE_OF_CONDUCT.md", ".github/CODEOWNERS"}


@pytest.fixture
def copia(tmp_path) -> Path:
    """Os arquivos que trazem endereços, e o `_config.yml`."""
    (tmp_path / "book").mkdir()
    for nome in ("_config.yml", *casa.ESCRITOS):
        shutil.copy(REPO / nome, tmp_path / nome)
    return tmp_path


def muda_config(raiz: Path, dono: str, projeto: str, ramo: str) -> None:
    """O `_config.yml` como o deixaria quem bifurcou."""
    texto = (raiz / "_config.yml").read_text("utf-8")
    publicos = enderecos()
    for antes, depois in (
        (publicos.site, f"https://{dono}.github.io/{projeto}/"),
        (publicos.repositorio, f"https://github.com/{dono}/{projeto}"),
        (f"branch: {publicos.ramo}", f"branch: {ramo}"),
    ):
        assert antes in texto
        texto = texto.replace(antes, depois)
    (raiz / "_config.yml").write_text(texto, "utf-8")


def test_o_projeto_diz_em_toda_parte_os_enderecos_do_config():
    assert casa.confere() == []


@pytest.mark.parametrize("projeto", ["fazendo-um-llm-do-zero", "llm.na-mao_2"])
def test_uma_bifurcacao_muda_so_o_config(copia, projeto):
    antes = {nome: (copia / nome).read_text("utf-8") for nome in casa.ESCRITOS}
    velhos, config = enderecos(), (copia / "_config.yml").read_text("utf-8")
    muda_config(copia, "outra-dona", projeto, "v3.1.0")
    queixas = casa.confere(copia)
    assert [re.sub(r":\d+:.*", "", q) for q in queixas] == list(casa.ESCRITOS)
    assert all("rode make livro" in q for q in queixas)
    assert casa.escreve(copia) == list(casa.ESCRITOS) and casa.confere(copia) == []
    novos, projeto_velho = enderecos(copia), velhos.repositorio.split("github.com/")[1]
    for nome in casa.ESCRITOS:
        texto = (copia / nome).read_text("utf-8")
        assert velhos.site not in texto and f"{projeto_velho}/" not in texto, nome
        assert novos.site in texto or novos.repositorio in texto, nome
    assert citacao.livro(copia).endereco == novos.site
    leiame = (copia / "README.md").read_text("utf-8")
    assert novos.colab("notebooks/03-atencao.ipynb") in leiame and novos.pacote() in leiame
    assert novos.bruto("book/figuras/tela.png") in leiame
    (copia / "_config.yml").write_text(config, "utf-8")  # e a volta deixa tudo como era, byte por byte
    casa.escreve(copia)
    assert {nome: (copia / nome).read_text("utf-8") for nome in casa.ESCRITOS} == antes


def test_nenhum_outro_arquivo_escreve_o_endereco_da_casa():
    """O que precisa dele o pergunta a `ferramentas.livro.enderecos`; os notebooks são gerados."""
    if not (shutil.which("git") and (REPO / ".git").exists()):
        pytest.skip("sem git")
    publicos = enderecos()
    projeto = publicos.repositorio.split("://github.com/")[1]
    procura = ["git", "-c", f"safe.directory={REPO}", "grep", "-lF", "-e", projeto, "-e", publicos.site]
    achados = subprocess.run(procura, cwd=REPO, capture_output=True, text=True).stdout.split()
    escrevem = {nome for nome in achados if not nome.startswith("notebooks/")}
    assert escrevem - PESSOAS == {"_config.yml", *casa.ESCRITOS}


def test_os_fluxos_nao_dizem_de_quem_e_o_repositorio():
    dono = enderecos().repositorio.split("/")[3]
    for arquivo in sorted((REPO / ".github").rglob("*.yml")):
        assert dono not in arquivo.read_text("utf-8"), arquivo.name
        yaml.safe_load(arquivo.read_text("utf-8"))


def test_sem_saber_os_enderecos_em_uso_o_erro_diz_onde(copia):
    (copia / "CITATION.cff").write_text("title: Um livro\n", "utf-8")
    with pytest.raises(ErroDoLivro, match="CITATION.cff:1: faltam url"):
        casa.confere(copia)


def test_um_livro_sem_citacao_nao_tem_o_que_escrever(tmp_path):
    assert casa.escreve(tmp_path) == []
