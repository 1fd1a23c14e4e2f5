# Gerado por ferramentas/tangle.py. NÃO EDITE: mude book/oficina/arquivos-e-dados.md.
# sha256 do que segue: 9becb9f0541e5caefa660f5e8764c3b957b11e455d18a269138c2f24d30d9aa9
"""Os textos do livro: lê, sem rede, os conjuntos que moram em `data/`.

>>> stories = load_table("contos", split="test")
>>> stories[0].split
'test'
>>> stories[0].title in load_text("contos", split="test")
True
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import homellm
from homellm.download import (
    GUTENBERG_SHELF,
    MANIFEST,
    FetchError,
    Remote,
    RemoteFile,
    cache_dir,
    fetch,
)
from homellm.files import read_text

__all__ = [
    "DATASETS",
    "GUTENBERG_SHELF",
    "LEVELS",
    "MANIFEST",
    "SPLITS",
    "Dialogue",
    "FetchError",
    "Instruction",
    "Labeled",
    "Remote",
    "RemoteFile",
    "Story",
    "cache_dir",
    "data_path",
    "fetch",
    "load_table",
    "load_text",
    "read_stories",
    "read_table",
]

SPLITS = ("train", "validation", "test")  # as partes de cada conjunto
LEVELS = ("simples", "dificil")  # os de um texto com rótulo


@dataclass(frozen=True)
class Story:
    """Um texto do corpus: título, forma (conto, carta…), tema, split e corpo.

    O corpo não tem linhas vazias nas pontas.
    """

    title: str
    form: str
    theme: str
    split: str
    text: str

    @property
    def document(self) -> str:
        """O texto como um modelo o lê: título, linha em branco, corpo."""
        return f"{self.title}\n\n{self.text}"


def _story(path: Path, block: list[tuple[int, str]]) -> Story:
    """Monta um `Story` com as linhas numeradas de um bloco; a primeira é o título."""
    start, heading = block[0]
    values = {"título": heading[1:].strip()}
    for offset, field in enumerate(("forma", "tema", "split"), start=1):
        number, line = block[offset] if offset < len(block) else (start + offset, "")
        key, _, value = line.partition(":")
        if key.strip() != field or not value.strip():
            raise ValueError(
                f"{path}:{number}: esperava “{field}: …”, achei {line!r}. "
                "Corrija essa linha."
            )
        values[field] = value.strip()
    if (split := values["split"]) not in SPLITS:
        raise ValueError(
            f"{path}:{start + 3}: split {split!r} não existe; use um de {SPLITS}."
        )
    text = "\n".join(line for _, line in block[4:]).strip("\n")
    if not values["título"] or not text.strip():
        raise ValueError(
            f"{path}:{start}: texto sem título ou sem corpo. Complete-o ou apague-o."
        )
    return Story(values["título"], values["forma"], values["tema"], split, text)


def read_stories(path: str | Path) -> list[Story]:
    """Lê um arquivo de textos no formato de `data/contos.txt`, na ordem em que estão.

    Cada texto começa em `# Título`, e segue com `forma:`, `tema:` e `split:`, uma por
    linha; depois, o corpo.

    Erros: `ValueError`, com arquivo e linha, se está fora do formato; os de
    `read_text`.
    """
    path = Path(path)
    blocks: list[list[tuple[int, str]]] = []
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if line.startswith("#"):
            blocks.append([(number, line)])
        elif blocks:
            blocks[-1].append((number, line))
        elif line.strip():
            raise ValueError(
                f"{path}:{number}: texto antes do primeiro título. "
                "Comece com “# Título”."
            )
    stories = [_story(path, block) for block in blocks]
    seen: set[str] = set()
    for story, block in zip(stories, blocks, strict=True):
        if story.title in seen:
            raise ValueError(
                f"{path}:{block[0][0]}: título repetido, {story.title!r}. "
                "Mude um dos dois."
            )
        seen.add(story.title)
    return stories


@dataclass(frozen=True)
class Labeled:
    """Um texto com rótulo, de `spam` ou de `sentimento`.

    A `familia` reúne os que contam a mesma história. O `nivel` é o de quem lê: num
    texto simples o rótulo salta aos olhos; o difícil foi escrito para dar trabalho.
    """

    texto: str
    rotulo: str
    familia: str
    split: str
    nivel: str


@dataclass(frozen=True)
class Instruction:
    """Um pedido e a sua resposta, de `instrucoes` ou de `regras`.

    `entrada` pode ser vazia.
    """

    instrucao: str
    entrada: str
    resposta: str
    familia: str
    split: str


@dataclass(frozen=True)
class Dialogue:
    """Uma conversa, de `conversas`: pares (usuário, assistente).

    `sistema`, que dá o tom, pode ser vazio.
    """

    sistema: str
    turnos: tuple[tuple[str, str], ...]
    familia: str
    split: str


def _turns(where: str, value: object) -> tuple[tuple[str, str], ...]:
    """Os turnos de uma conversa, que no arquivo são listas de dois textos."""
    pairs = value if isinstance(value, list) else []
    good = all(
        isinstance(pair, list)
        and len(pair) == 2
        and all(isinstance(text, str) and text.strip() for text in pair)
        for pair in pairs
    )
    if not pairs or not good:
        raise ValueError(
            f"{where}: esperava em turnos uma lista de pares [usuario, assistente] de "
            "textos."
        )
    return tuple((user, assistant) for user, assistant in pairs)


def _record(where: str, line: str, names: list[str]) -> dict[str, Any]:
    """O objeto JSON de uma linha, que tem de ter exatamente estes campos."""
    expected = f"esperava um objeto JSON com os campos {', '.join(names)}"
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        column = f" (coluna {error.colno})" if hasattr(error, "colno") else ""
        raise ValueError(f"{where}: não é JSON{column}; {expected}.") from error
    if not isinstance(record, dict) or set(record) != set(names):
        found = ", ".join(record) if isinstance(record, dict) else type(record).__name__
        raise ValueError(f"{where}: {expected}; achei {found or 'nenhum'}.")
    return record


def read_table(
    path: str | Path, kind: type[Any], labels: tuple[str, ...] = ()
) -> list[Any]:
    """Lê um arquivo `.jsonl`, um objeto por linha; `kind` é a dataclass dos registros.

    Erros: `ValueError`, com arquivo e linha, se uma está fora do formato; os de
    `read_text`.
    """
    names = [field.name for field in fields(kind)]
    allowed = {"split": SPLITS, "rotulo": labels, "nivel": LEVELS}
    lines = read_text(path).split("\n")
    rows = []
    for number, line in enumerate(lines[:-1] if lines[-1] == "" else lines, start=1):
        where = f"{path}:{number}"
        record = _record(where, line, names)
        for name, value in record.items():
            if name == "turnos":
                record[name] = _turns(where, value)
            elif not isinstance(value, str):
                raise ValueError(
                    f"{where}: esperava em {name} um texto, achei {value!r}."
                )
            elif not value.strip() and name not in ("entrada", "sistema"):
                raise ValueError(f"{where}: esperava em {name} um texto, e está vazio.")
            elif name in allowed and value not in allowed[name]:
                raise ValueError(
                    f"{where}: {name} {value!r} não existe; use um de {allowed[name]}."
                )
        rows.append(kind(**record))
    return rows


_FEELINGS = ("positivo", "negativo", "misto")
DATASETS: dict[str, tuple[str, Callable[..., list[Any]]]] = {  # nome → arquivo, leitor
    "contos": ("contos.txt", read_stories),
    "microcontos": ("microcontos.txt", read_stories),
    "folhetim": ("folhetim.txt", read_stories),
    "spam": ("spam.jsonl", partial(read_table, kind=Labeled, labels=("spam", "ham"))),
    "sentimento": (
        "sentimento.jsonl",
        partial(read_table, kind=Labeled, labels=_FEELINGS),
    ),
    "instrucoes": ("instrucoes.jsonl", partial(read_table, kind=Instruction)),
    "regras": ("regras.jsonl", partial(read_table, kind=Instruction)),
    "conversas": ("conversas.jsonl", partial(read_table, kind=Dialogue)),
}


def data_path(filename: str) -> Path:
    """Caminho de um arquivo de dados, no pacote instalado ou no repositório.

    Erros: `FileNotFoundError` se o arquivo não veio com a instalação.
    """
    package = Path(homellm.__path__[0])
    for folder in (package / "_data", package.parent / "data"):
        if (folder / filename).is_file():
            return folder / filename
    raise FileNotFoundError(
        f"não achei {filename} em {package / '_data'} nem em "
        f"{package.parent / 'data'}. Clone o repositório do livro e, na pasta dele, "
        "rode: pip install --force-reinstall --no-deps ."
    )


def load_table(name: str, split: str | None = None) -> list[Any]:
    """Os registros de um conjunto, na ordem do arquivo; `split=None` devolve todos.

    Erros: `ValueError` se o nome ou o split é desconhecido (a mensagem lista os que
    existem), ou se o arquivo está malformado; os de `data_path`.
    """
    if name not in DATASETS:
        raise ValueError(
            f"conjunto {name!r} não existe; use um de {tuple(sorted(DATASETS))}."
        )
    if split is not None and split not in SPLITS:
        raise ValueError(
            f"split {split!r} não existe; use um de {SPLITS}, ou None para tudo."
        )
    filename, reader = DATASETS[name]
    return [row for row in reader(data_path(filename)) if split in (None, row.split)]


def load_text(name: str, split: str | None = None) -> str:
    """O conjunto como um texto só, com duas linhas em branco entre os documentos.

    Um split que existe mas está vazio devolve `""`. Erros: os de `load_table`, e
    `ValueError` se o conjunto não é de texto corrido.
    """
    rows = load_table(name, split)
    if not all(isinstance(row, Story) for row in rows):
        raise ValueError(
            f"{name!r} é uma tabela, e não texto corrido; use load_table({name!r})."
        )
    return "\n\n\n".join(row.document for row in rows)
