"""Cada passo de terminal dos fluxos, extraído e rodado num clone, com imitações do Python e do `gh`.

O Makefile, o git e o bash são os de verdade, e também as ferramentas que falam com o GitHub; o que instala,
executa páginas ou testa só é anotado, que disso cuidam outros testes.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest
import yaml

from brinquedo import REPO, copia_o_projeto
from ferramentas import casa, testa_pacote, versao

ETIQUETA, SHA = f"v{versao.versao()}", "a" * 40
DE_VERDADE = ("zipfile", *(f"ferramentas.{nome}" for nome in ("versao", "previa", "ramo_do_site", "avisa")))
PYTHON = f"""\
#!/bin/sh
echo "$@" >> "$PEDIDOS/python"
case "$2" in
  {"|".join(DE_VERDADE)}) exec "{sys.executable}" "$@" ;;
esac
"""
GH = f"""\
#!/bin/sh
echo "$@" >> "$PEDIDOS/gh"
case "$1 $2" in
  "pr list") echo '[{{"number": 12, "headRefOid": "{SHA}"}}]' ;;
  "issue list") echo '[]' ;;
esac
"""


def passos() -> dict[str, tuple[str, dict[str, str]]]:
    """Cada comando diferente dos fluxos, com as suas variáveis, uma vez por valor da matriz que o muda."""
    achados: dict[str, tuple[str, dict[str, str]]] = {}
    for fluxo in sorted((REPO / ".github/workflows").glob("*.yml")):
        lido = yaml.safe_load(fluxo.read_text("utf-8"))
        for trabalho in lido["jobs"].values():
            matriz = trabalho.get("strategy", {}).get("matrix", {})
            listas = {nome: valores for nome, valores in matriz.items() if nome != "include"}
            combinacoes = [dict(zip(listas, valores, strict=True)) for valores in product(*listas.values())]
            combinacoes = [c for c in combinacoes if c] + matriz.get("include", [])
            for passo, combinacao in product(trabalho.get("steps", []), combinacoes or [{}]):
                if "run" not in passo:
                    continue
                variaveis = passo.get("env", {})
                textos = (passo["run"], *variaveis.values())
                comando, *valores = (_com_a_matriz(texto, combinacao) for texto in textos)
                nomeadas = dict(zip(variaveis, valores, strict=True))
                achados[" ".join([comando.split("#")[0].strip(), *nomeadas.values()])] = (comando, nomeadas)
    return achados


def _com_a_matriz(texto: str, combinacao: dict[str, str]) -> str:
    return re.sub(r"\$\{\{ matrix\.(\w+) \}\}", lambda m: str(combinacao[m[1]]), texto)


PASSOS = passos()


@pytest.fixture
def clone(tmp_path) -> Path:
    """Um clone no commit de uma etiqueta, com um servidor de mentira no lugar do GitHub."""
    if not (shutil.which("git") and shutil.which("make")):
        pytest.skip("sem git ou make")
    nomes = ("Makefile", ".ci", ".gitignore", "ferramentas", "constraints.txt", "CHANGELOG.md", "_config.yml")
    raiz = copia_o_projeto(tmp_path / "clone", *nomes)
    (raiz / "book").mkdir()
    for nome in casa.ESCRITOS:
        shutil.copy(REPO / nome, raiz / nome)
    for pasta in ("homellm", "notebooks", "_build/html", ".venv/bin", "bin"):
        (raiz / pasta).mkdir(parents=True, exist_ok=True)
    config = (raiz / "_config.yml").read_text("utf-8")
    (raiz / "_config.yml").write_text(re.sub(r"(?m)^(  branch: )\S+", rf"\g<1>{ETIQUETA}", config), "utf-8")
    casa.escreve(raiz)
    (raiz / "_build/html/index.html").write_text("o livro", "utf-8")
    imitacoes = {"bin/gh": GH, "bin/chromium": "#!/bin/sh\n", "bin/hunspell": "#!/bin/sh\necho pt_BR\n"}
    imitacoes["bin/sudo"] = '#!/bin/sh\necho "$@" >> "$PEDIDOS/sudo"\n'
    imitacoes |= dict.fromkeys(("bin/python", "bin/python3", ".venv/bin/python"), PYTHON)
    for nome, texto in imitacoes.items():
        (raiz / nome).write_text(texto, "utf-8")
        (raiz / nome).chmod(0o755)
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"]
    servidor = str(tmp_path / "servidor")
    for comando in (["init", "-q", "--bare", servidor], ["init", "-q"], ["add", "."],
                    ["commit", "-q", "-m", "um"], ["remote", "add", "origin", servidor]):  # fmt: skip
        subprocess.run([*git, *comando], cwd=raiz, check=True)
    for pasta in ("site", "arquivos"):
        (tmp_path / pasta).mkdir()
        for nome in ("index.html", "homellm-1-py3-none-any.whl")[: 1 if pasta == "site" else 2]:
            (tmp_path / pasta / nome).write_text("x", "utf-8")
    return raiz


def roda(clone: Path, comando: str, variaveis: dict[str, str]) -> dict[str, list[str]]:
    """Roda o comando como o GitHub roda; devolve o que se pediu ao Python e ao `gh`."""
    trocas = {
        "runner.temp": str(clone.parent), "github.token": "segredo", "github.ref_name": ETIQUETA,
        "github.event.workflow_run.head_sha": SHA, "github.repository": "dono/livro", "github.run_id": "7",
        "github.server_url": "https://github.com",
    }  # fmt: skip
    pedidos = clone.parent / "pedidos"
    pedidos.mkdir()
    de_fora = ("PYTHON", "MAKE", "GIT")
    ambiente = {nome: valor for nome, valor in os.environ.items() if not nome.startswith(de_fora)}
    ambiente |= {"PATH": f"{clone / 'bin'}{os.pathsep}{os.environ['PATH']}", "PEDIDOS": str(pedidos)}
    ambiente |= {"HOME": str(clone.parent), "CI": "true", "PYTHONPATH": str(clone)}
    for nome, valor in variaveis.items():
        ambiente[nome] = re.sub(r"\$\{\{ ([\w.]+) \}\}", lambda m: trocas[m[1]], valor)
    assert "${{" not in comando  # nada do GitHub entra no texto do comando: só por variáveis
    fim = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", comando], cwd=clone, env=ambiente,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert fim.returncode == 0, fim.stdout
    return {p.name: p.read_text("utf-8").splitlines() for p in pedidos.iterdir()}


def do_ramo(clone: Path) -> set[str]:
    """Os arquivos do ramo do site."""
    subprocess.run(["git", "fetch", "-q", "origin", "site"], cwd=clone, check=True)
    lista = ["git", "ls-tree", "-r", "--name-only", "FETCH_HEAD"]
    return set(subprocess.run(lista, cwd=clone, check=True, capture_output=True, text=True).stdout.split())


@pytest.mark.parametrize("nome", PASSOS)
def test_cada_passo_roda_e_chama_o_que_existe(nome, clone):
    comando, variaveis = PASSOS[nome]
    pedidos = roda(clone, comando, variaveis)
    assert pedidos  # chamou alguma coisa
    for pedido in pedidos.get("python", []):
        primeiro, *resto = pedido.split()
        if primeiro == "-m":
            assert importlib.util.find_spec(resto[0]) is not None, pedido
        elif primeiro != "-c":
            assert (REPO / primeiro).is_file(), pedido
        if "testa_pacote.py" in pedido and resto:
            assert resto[:1] == ["--torch"] and resto[1] in testa_pacote.ESCOLHAS
    assert all("segredo" not in linha for linhas in pedidos.values() for linha in linhas)


def passo(comeco: str) -> tuple[str, dict[str, str]]:
    (nome,) = (nome for nome in PASSOS if nome.startswith(comeco))
    return PASSOS[nome]


def test_o_site_vai_para_a_raiz_e_a_previa_para_a_pasta_do_pull_request(clone):
    roda(clone, *passo("make publica "))
    assert do_ramo(clone) == {"index.html", ".nojekyll"}
    shutil.rmtree(clone.parent / "pedidos")
    pedidos = roda(clone, *passo("make previa "))
    assert do_ramo(clone) == {"index.html", ".nojekyll", "previa/12/index.html"}
    assert any(linha.startswith("pr comment 12 --edit-last --create-if-none") for linha in pedidos["gh"])
    shutil.rmtree(clone.parent / "pedidos")
    roda(clone, *passo("make limpa-previas "))
    assert "previa/12/index.html" in do_ramo(clone)  # o pull request 12 continua aberto


def test_a_versao_leva_as_notas_e_os_arquivos(clone):
    pedidos = roda(clone, *passo("make publica-versao "))
    (criada,) = (linha for linha in pedidos["gh"] if linha.startswith("release create"))
    de_arquivos = [f"{clone.parent}/arquivos/{nome}" for nome in ("homellm-1-py3-none-any.whl", "index.html")]
    opcoes = f"--verify-tag --title {ETIQUETA} --notes-file notas.md"
    assert criada == " ".join(["release create", ETIQUETA, opcoes, *de_arquivos])
    notas = (clone / "notas.md").read_text("utf-8").strip()
    assert notas == versao.notas(versao.versao())


def test_a_falha_da_semana_abre_uma_issue_com_o_endereco_dela(clone):
    pedidos = roda(clone, *passo("python -m ferramentas.avisa"))
    (criada,) = (linha for linha in pedidos["gh"] if linha.startswith("issue create"))
    assert "https://github.com/dono/livro/actions/runs/7" in criada


def test_o_livro_vai_num_zip(clone):
    roda(clone, *passo("make zip"))
    assert (clone / "_build/fazendo-um-llm-do-zero.zip").stat().st_size > 0


def test_a_etiqueta_de_outra_versao_para_tudo(clone):
    comando, variaveis = passo("make confere-etiqueta ")
    with pytest.raises(AssertionError, match="a etiqueta é v9.9.9"):
        roda(clone, comando, variaveis | {"ETIQUETA": "v9.9.9"})
