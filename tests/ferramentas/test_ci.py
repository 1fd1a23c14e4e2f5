"""`.ci/run`: os comandos do README, do limpo, e o repositório igual ao que eles geram."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from brinquedo import REPO

MAKE = """\
#!/bin/sh
# faz as vezes do make: anota o alvo; `livro` gera o que o arquivo `gera` traz; falha no alvo de `falha`
echo "$@" >> pedidos
[ "$1" = limpar ] && rm -rf _build
[ "$1" = livro ] && ls _build/.jupyter_cache >> pedidos 2>/dev/null
[ "$1" = livro ] && [ -f gera ] && cp gera homellm/a.py
[ "$1" = livro ] && [ -f sobra ] && cp sobra notebooks/novo.ipynb
read -r nada && echo "há entrada padrão: $nada" >> pedidos
[ "$(cat falha 2>/dev/null)" = "$1" ] && exit 2
echo "fim de $1"
"""

pytestmark = pytest.mark.skipif(not shutil.which("git"), reason="sem git")


@pytest.fixture
def clone(tmp_path) -> Path:
    """Um clone com `.ci/run`, e imitações do que o sistema tem de dar."""
    raiz = tmp_path / "clone"
    for pasta in (".ci", "homellm", "notebooks", "bin"):
        (raiz / pasta).mkdir(parents=True)
    shutil.copy(REPO / ".ci/run", raiz / ".ci/run")
    (raiz / "homellm/a.py").write_text("x = 1\n", "utf-8")
    for nome, texto in (("make", MAKE), ("chromium", "#!/bin/sh\n"), ("hunspell", "#!/bin/sh\necho pt_BR\n")):
        (raiz / "bin" / nome).write_text(texto, "utf-8")
        (raiz / "bin" / nome).chmod(0o755)
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"]
    for comando in (["init", "-q"], ["add", "homellm"], ["commit", "-q", "-m", "um"]):
        subprocess.run([*git, *comando], cwd=raiz, check=True)
    return raiz


def roda(raiz: Path, *argumentos: str) -> subprocess.CompletedProcess[str]:
    """Roda `.ci/run` de outra pasta, com algo na entrada padrão."""
    ambiente = {
        **os.environ,
        "PATH": f"{raiz / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHON": sys.executable,
    }
    return subprocess.run(
        [str(raiz / ".ci/run"), *argumentos], cwd=raiz.parent, input="sim\n", capture_output=True,
        text=True, env=ambiente,
    )  # fmt: skip


def pedidos(raiz: Path) -> list[str]:
    return (raiz / "pedidos").read_text("utf-8").splitlines()


def test_roda_os_comandos_do_readme_e_o_resumo_e_o_fim(clone):
    fim = roda(clone)
    assert fim.returncode == 0, fim.stderr
    assert pedidos(clone) == ["limpar", "livro", "teste"]
    assert fim.stdout.endswith("fim de teste\n") and fim.stderr == ""
    readme = (REPO / "README.md").read_text("utf-8")
    assert all(f"make {alvo}" in readme for alvo in pedidos(clone))


@pytest.mark.parametrize("aproveita", [True, False])
def test_as_execucoes_guardadas_so_ficam_se_se_pede(clone, aproveita):
    """O que o cache do GitHub trouxe não se perde no `make limpar`; o resto de `_build`, sim."""
    guardadas = clone / "_build/.jupyter_cache"
    guardadas.mkdir(parents=True)
    (guardadas / "global.db").write_text("execuções", "utf-8")
    (clone / "_build/html").mkdir()
    assert roda(clone, *(["--aproveita"] if aproveita else [])).returncode == 0
    achadas = ["global.db"] if aproveita else []
    assert pedidos(clone) == ["limpar", "livro", *achadas, "teste"]
    assert not (clone / "_build/html").exists() and guardadas.exists() == aproveita


def test_pedir_as_execucoes_guardadas_sem_as_ter_nao_atrapalha(clone):
    assert roda(clone, "--aproveita").returncode == 0
    assert pedidos(clone) == ["limpar", "livro", "teste"]


@pytest.mark.parametrize("alvo", ["livro", "teste"])
def test_para_na_primeira_falha(clone, alvo):
    (clone / "falha").write_text(alvo, "utf-8")
    assert roda(clone).returncode != 0
    assert pedidos(clone)[-1] == alvo


@pytest.mark.parametrize(("causa", "nome"), [("gera", "homellm/a.py"), ("sobra", "notebooks/")])
def test_gerado_diferente_do_guardado_diz_o_que_fazer(clone, causa, nome):
    (clone / causa).write_text("x = 2\n", "utf-8")
    fim = roda(clone)
    assert fim.returncode == 1 and pedidos(clone) == ["limpar", "livro"]
    assert nome in fim.stderr and "Rode make livro e guarde" in fim.stderr
