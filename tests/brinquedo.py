"""Livros de brinquedo: o bastante para exercitar as ferramentas numa pasta temporária."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from html import unescape
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
CABECALHO = """\
---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

"""
PRIMEIRA_LINHA = CABECALHO.count("\n") + 1  # a linha em que começa o que vem depois do cabeçalho
CONFIG = """\
repository: { url: "https://github.com/dono/livro", branch: v1.2 }
html: { baseurl: "https://dono.github.io/livro" }
"""


def restos_de_myst(texto: str) -> list[str]:
    """O que denuncia MyST num texto que devia ser Markdown comum; código não conta.

    >>> restos_de_myst("a {ref}`b` e `[^c]`")
    ['{ref}`']
    """
    sem_blocos = re.sub(r"(?ms)^([> ]*)(`{3,})\w*$.*?^\1\2$", "", texto)
    papeis = re.findall(r"\{[a-z][\w:+-]+\}`", sem_blocos)
    sem_codigo = re.sub(r"(?<!`)(`+)(?!`).+?(?<!`)\1(?!`)", "", sem_blocos)
    cercas = re.findall(r"(?m):::|^[> ]*[`~]{3,}.*|\{code-cell\}", sem_codigo)
    return papeis + cercas + re.findall(r"(?m)^\([\w-]+\)=|^%.*|^:[\w-]+:|\[\^|^\+\+\+", sem_codigo)


def celula(codigo: str, *opcoes: str) -> str:
    """Uma célula de código em MyST."""
    return "\n".join(["```{code-cell} ipython3", *opcoes, codigo, "```", ""])


def api(*modulos: str) -> str:
    """Uma página da API que documenta os módulos."""
    diretivas = "\n\n".join(
        f"```{{eval-rst}}\n.. automodule:: homellm.{m}\n   :members:\n```" for m in modulos
    )
    return f"(api)=\n# API\n\n{diretivas}\n"


def escreve_livro(raiz: Path, paginas: dict[str, str], fora_do_toc: tuple[str, ...] = ()) -> Path:
    """Escreve `_config.yml`, `_toc.yml` (na ordem dada) e as páginas, com os nomes de `book/` sem `.md`."""
    (raiz / "book").mkdir(parents=True, exist_ok=True)
    (raiz / "homellm").mkdir(exist_ok=True)
    (raiz / "_config.yml").write_text(CONFIG, "utf-8")
    (raiz / "book/index.md").write_text("(inicio)=\n# Início\n", "utf-8")
    nomes = [nome for nome in paginas if nome not in fora_do_toc]
    capitulos = "".join(f"  - file: book/{nome}\n" for nome in nomes)
    toc = "format: jb-book\nroot: book/index\n" + (f"chapters:\n{capitulos}" if nomes else "")
    (raiz / "_toc.yml").write_text(toc, "utf-8")
    for nome, texto in paginas.items():
        (raiz / f"book/{nome}.md").parent.mkdir(exist_ok=True)
        (raiz / f"book/{nome}.md").write_text(texto, "utf-8")
    return raiz


def copia_o_projeto(destino: Path, *nomes: str) -> Path:
    """Copia do repositório estes arquivos e pastas, sem restos de execução."""
    destino.mkdir(parents=True, exist_ok=True)
    for nome in nomes:
        origem, alvo = REPO / nome, destino / nome
        if origem.is_dir():
            shutil.copytree(origem, alvo, ignore=shutil.ignore_patterns("__pycache__", "*.tmp"))
        else:
            shutil.copy(origem, alvo)
    return destino


@dataclass
class Resultado:
    """O fim de uma construção."""

    codigo: int
    texto: str
    executadas: list[str]  # "00" da página que chegou à célula que conta

    def __repr__(self) -> str:
        return f"código {self.codigo}, executadas {self.executadas}:\n{self.texto}"


class Livro:
    """O livro de `tests/livro_minimo`, com as ferramentas, a configuração e o tema de verdade."""

    def __init__(self, raiz: Path) -> None:
        self.raiz = raiz
        do_projeto = [
            n for n in ("ferramentas", "_static", "_templates", "_config.yml") if (REPO / n).exists()
        ]
        copia_o_projeto(raiz, *do_projeto, "pyproject.toml", "constraints.txt", "LICENSE", "CITATION.cff")
        shutil.copytree(REPO / "tests/livro_minimo", raiz, dirs_exist_ok=True)
        for pasta in ("book/figuras", "homellm", "notebooks"):
            (raiz / pasta).mkdir()
        for desenho in ("logo.svg", "favicon.svg"):
            shutil.copy(REPO / "book/figuras" / desenho, raiz / "book/figuras")
        fontes = [raiz / "_config.yml", *(raiz / "book").rglob("*.md"), *(raiz / "data").glob("*")]
        self.fontes = {p: p.read_bytes() for p in fontes}

    def escreve(self, nome: str, texto: str) -> None:
        (self.raiz / nome).write_text(texto, "utf-8")

    def le(self, nome: str) -> str:
        return (self.raiz / nome).read_text("utf-8")

    def muda(self, nome: str, de: str, para: str) -> None:
        assert self.le(nome).count(de) == 1, (nome, de)
        self.escreve(nome, self.le(nome).replace(de, para))

    def desfaz(self) -> None:
        """Devolve as fontes ao que eram."""
        for arquivo, dados in self.fontes.items():
            if arquivo.read_bytes() != dados:
                arquivo.write_bytes(dados)

    def constroi(self, *opcoes: str, **ambiente: str) -> Resultado:
        """Roda `construir.py`; diz o que saiu e que páginas foram executadas."""
        conta = self.raiz / "execucoes"
        conta.write_text("", "utf-8")
        fim = subprocess.run(
            [sys.executable, "-m", "ferramentas.construir", *opcoes],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            encoding="utf-8", cwd=self.raiz.parent, timeout=300,
            env={**os.environ, "PYTHONPATH": str(self.raiz), "EXECUCOES": str(conta), **ambiente},
        )  # fmt: skip
        return Resultado(fim.returncode, fim.stdout, sorted(conta.read_text("utf-8").split()))

    def escritas(self) -> dict[str, int]:
        """Quando cada página do site foi escrita pela última vez."""
        site = self.raiz / "_build/html/book"
        paginas = {p.relative_to(site).with_suffix("").as_posix(): p for p in site.rglob("*.html")}
        return {nome: p.stat().st_mtime_ns for nome, p in paginas.items()}

    def pagina(self, nome: str) -> str:
        """O texto da página do site, sem marcas."""
        html = re.search(r"(?s)<article.*?</article>", self.le(f"_build/html/book/{nome}.html"))[0]
        return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())

    def caderno(self, nome: str) -> list[dict]:
        return json.loads(self.le(f"notebooks/{nome}.ipynb"))["cells"]

    def prosa(self, nome: str) -> str:
        """O Markdown do notebook, todo junto."""
        return "\n\n".join("".join(c["source"]) for c in self.caderno(nome) if c["cell_type"] == "markdown")

    def gerados(self) -> dict[str, bytes]:
        return {
            p.relative_to(self.raiz).as_posix(): p.read_bytes()
            for pasta in ("homellm", "notebooks")
            for p in (self.raiz / pasta).rglob("*.*")
        }
