"""O que as ferramentas sabem do livro: onde fica a raiz, que páginas há, que endereços o `_config.yml` dá."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import yaml

RAIZ = Path(__file__).resolve().parents[1]
PACOTE = "homellm"
CONSTRUCAO = RAIZ / "_build"
SITE = CONSTRUCAO / "html"
DOCTREES = CONSTRUCAO / ".doctrees"


class ErroDoLivro(Exception):
    """Erro numa fonte do livro; a mensagem diz arquivo, linha e o que fazer."""


@dataclass(frozen=True)
class Enderecos:
    """Endereços públicos, todos derivados de `_config.yml`."""

    site: str  # "https://…/": termina em barra
    repositorio: str  # "https://github.com/dono/projeto"
    ramo: str  # ramo ou etiqueta que o Colab instala

    def pagina(self, docname: str) -> str:
        """Endereço da página no site."""
        return f"{self.site}{docname}.html"

    def bruto(self, caminho: str) -> str:
        """Endereço do arquivo do repositório, sem moldura (para imagens no Colab)."""
        return f"{self.repositorio.replace('://github.com', '://raw.githubusercontent.com')}/{self.ramo}/{caminho}"

    def colab(self, caderno: str) -> str:
        """Endereço que abre no Colab o notebook `caderno` (caminho dentro do repositório)."""
        projeto = self.repositorio.split("://github.com/")[1]
        return f"https://colab.research.google.com/github/{projeto}/blob/{self.ramo}/{caderno}"

    def pacote(self) -> str:
        """O repositório no ramo ou etiqueta do livro, num arquivo que o pip instala."""
        return f"{self.repositorio}/archive/{self.ramo}.zip"


def le_texto(arquivo: Path, raiz: Path = RAIZ) -> str:
    """O texto do arquivo; se não é UTF-8, o erro diz a linha."""
    dados = arquivo.read_bytes()
    if conflito := re.search(rb"(?m)^(<{7}|>{7}) ", dados):
        linha = dados[: conflito.start()].count(b"\n") + 1
        raise ErroDoLivro(
            f"{arquivo.relative_to(raiz).as_posix()}:{linha}: marca de conflito do git; fique com uma "
            "das duas versões e apague as marcas"
        )
    if dados.startswith(b"\xef\xbb\xbf"):
        raise ErroDoLivro(
            f"{arquivo.relative_to(raiz).as_posix()}:1: o arquivo começa por uma marca invisível (BOM); "
            "grave-o em “UTF-8 sem BOM”"
        )
    try:
        return dados.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as erro:
        linha = dados[: erro.start].count(b"\n") + 1
        raise ErroDoLivro(
            f"{arquivo.relative_to(raiz).as_posix()}:{linha}: não é UTF-8; grave o arquivo em UTF-8"
        ) from erro


def _le_yaml(nome: str, raiz: Path) -> object:
    return _yaml(nome, le_texto(raiz / nome, raiz))


@lru_cache(maxsize=8)  # uma construção pergunta centenas de vezes pelos mesmos endereços
def _yaml(nome: str, texto: str) -> object:
    try:
        return yaml.safe_load(texto)
    except yaml.YAMLError as erro:
        marca = getattr(erro, "problem_mark", None)
        linha = marca.line + 1 if marca else 1
        raise ErroDoLivro(
            f"{nome}:{linha}: YAML ilegível ({getattr(erro, 'problem', erro)}); confira recuos, : e aspas"
        ) from erro


def enderecos(raiz: Path = RAIZ) -> Enderecos:
    """Lê site, repositório e ramo de `_config.yml`."""
    config = _le_yaml("_config.yml", raiz)
    try:
        site, repo, ramo = (
            config["html"]["baseurl"],
            config["repository"]["url"],
            config["repository"]["branch"],
        )
    except (KeyError, TypeError) as erro:
        raise ErroDoLivro(
            f"_config.yml: falta a chave {erro} (html.baseurl, repository.url, repository.branch)"
        ) from erro
    if "://github.com/" not in repo:
        raise ErroDoLivro(
            f"_config.yml: repository.url deve ser https://github.com/dono/projeto, e é {repo!r}"
        )
    return Enderecos(site.rstrip("/") + "/", repo.rstrip("/"), str(ramo))


def extensoes(raiz: Path = RAIZ) -> frozenset[str]:
    """As extensões de Markdown que `_config.yml` liga."""
    config = _le_yaml("_config.yml", raiz)
    lidas = config.get("parse", {}) if isinstance(config, dict) else {}
    return frozenset(lidas.get("myst_enable_extensions", ()))


def tempo_por_celula(raiz: Path = RAIZ) -> int:
    """Quantos segundos `_config.yml` dá a cada célula."""
    config = _le_yaml("_config.yml", raiz)
    lido = config.get("execute", {}) if isinstance(config, dict) else {}
    return int(lido.get("timeout", 600))


def paginas(raiz: Path = RAIZ) -> list[Path]:
    """As páginas do livro, na ordem de `_toc.yml`."""

    def percorre(no: object) -> Iterator[str]:
        if isinstance(no, list):
            for item in no:
                yield from percorre(item)
        elif isinstance(no, dict):
            yield from (no[chave] for chave in ("root", "file") if chave in no)
            for chave in ("parts", "chapters", "sections"):
                yield from percorre(no.get(chave, []))

    lista = [raiz / f"{nome}.md" for nome in percorre(_le_yaml("_toc.yml", raiz))]
    for pagina in lista:
        if not pagina.is_file():
            nome = pagina.relative_to(raiz).as_posix()
            linhas = le_texto(raiz / "_toc.yml", raiz).split("\n")
            n = next((n for n, linha in enumerate(linhas, 1) if linha.rstrip(" \"'").endswith(nome[:-3])), 1)
            raise ErroDoLivro(f"_toc.yml:{n}: a página {nome} não existe; crie-a ou tire-a da lista")
    return lista


def nome_da_pagina(md: Path, raiz: Path = RAIZ) -> str:
    """O nome por que o Sphinx conhece a página: `book/03-atencao`."""
    return md.relative_to(raiz).with_suffix("").as_posix()


def acha_pagina(pedido: str, raiz: Path = RAIZ) -> str:
    """O nome da página que o leitor chama de `03`, `03-atencao` ou `book/03-atencao.md`.

    >>> acha_pagina("03"), acha_pagina("index")
    ('book/03-atencao', 'book/index')
    """
    nomes = [nome_da_pagina(md, raiz) for md in paginas(raiz)]
    curto = pedido.removesuffix(".md").removeprefix("book/")
    iguais = [n for n in nomes if curto == n.removeprefix("book/")]  # “index” é a página de início
    iguais = iguais or [n for n in nomes if curto == n.rpartition("/")[2]]
    achados = iguais or [n for n in nomes if curto and n.rpartition("/")[2].startswith(curto)]
    if len(achados) != 1:
        lista = ", ".join(n.removeprefix("book/") for n in achados or nomes)
        oque = "mais de uma página começa assim" if achados else "não há página com esse nome"
        raise ErroDoLivro(f"página {pedido!r}: {oque}; escolha uma destas: {lista}")
    return achados[0]


def exige_o_livro() -> None:
    """Erro se o livro ainda não foi construído inteiro."""
    if not (DOCTREES / "citaveis").exists():
        raise ErroDoLivro("antes de uma página só, ou de servir o livro, construa-o uma vez: make livro")


def numero_do_capitulo(docname: str) -> int | None:
    """O número que o nome do arquivo dá ao capítulo; `None` se a página não é capítulo.

    >>> numero_do_capitulo("book/03-atencao"), numero_do_capitulo("book/glossario")
    (3, None)
    """
    achado = re.fullmatch(r"(?:.*/)?(\d\d)-[^/]*", docname)
    return int(achado[1]) if achado else None


def numeros_das_paginas(raiz: Path = RAIZ) -> dict[str, int | str]:
    """O que vem antes do ponto em “Figura 3.1” e “Figura B.1”: o capítulo, ou a letra da oficina."""
    numeros: dict[str, int | str] = {}
    letras = iter("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    for pagina in paginas(raiz):
        docname = pagina.relative_to(raiz).with_suffix("").as_posix()
        if (capitulo := numero_do_capitulo(docname)) is not None:
            numeros[docname] = capitulo
        elif docname.startswith("book/oficina/"):
            numeros[docname] = next(letras)
    return numeros


def caminho_do_caderno(docname: str) -> str:
    """Onde mora, no repositório, o notebook da página.

    >>> caminho_do_caderno("book/02-dados"), caminho_do_caderno("book/oficina/pesos")
    ('notebooks/02-dados.ipynb', 'notebooks/oficina/pesos.ipynb')
    """
    return f"notebooks/{docname.removeprefix('book/')}.ipynb"


def grava(destino: Path, texto: str) -> None:
    """Escreve `texto` num nome temporário e o move para `destino`: nunca fica um arquivo pela metade."""
    destino.parent.mkdir(parents=True, exist_ok=True)
    temporario = destino.with_name(f".{destino.name}.tmp")
    temporario.write_text(texto, "utf-8", newline="\n")
    temporario.replace(destino)
