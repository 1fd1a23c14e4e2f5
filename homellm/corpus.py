# Gerado por ferramentas/tangle.py a partir de book/01-introducao.md. NÃO EDITE: mude o capítulo.
# sha256 do que segue: a084a0fae1c696c4ee3648ce901cfd9eee0ada9b17b81590c5f03ea367aa9d33
"""Os textos do livro: lê, sem rede, os conjuntos que moram em `data/`.

>>> stories = load_table("contos", split="test")
>>> stories[0].split
'test'
>>> stories[0].title in load_text("contos", split="test")
True
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import homellm

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Story:
    """Um texto do corpus: título, forma (conto, carta…), tema, split e corpo sem linhas vazias nas pontas."""

    title: str
    form: str
    theme: str
    split: str
    text: str


def _lines(path: Path) -> list[str]:
    """As linhas do arquivo, que tem de ser UTF-8; aceita o fim de linha do Windows."""
    raw = path.read_bytes()
    try:
        return raw.decode("utf-8").replace("\r\n", "\n").split("\n")
    except UnicodeDecodeError as error:
        number = raw[: error.start].count(b"\n") + 1
        raise ValueError(f"{path}:{number}: não é UTF-8. Salve o arquivo em UTF-8.") from error


def _story(path: Path, block: list[tuple[int, str]]) -> Story:
    """Monta um `Story` com as linhas numeradas de um bloco, que começa em `# Título`."""
    start, heading = block[0]
    values = {"título": heading[1:].strip()}
    for offset, field in enumerate(("forma", "tema", "split"), start=1):
        number, line = block[offset] if offset < len(block) else (start + offset, "")
        key, _, value = line.partition(":")
        if key.strip() != field or not value.strip():
            raise ValueError(f"{path}:{number}: esperava «{field}: …», achei {line!r}. Corrija essa linha.")
        values[field] = value.strip()
    if values["split"] not in SPLITS:
        raise ValueError(f"{path}:{start + 3}: split {values['split']!r} não existe; use um de {SPLITS}.")
    text = "\n".join(line for _, line in block[4:]).strip("\n")
    if not values["título"] or not text.strip():
        raise ValueError(f"{path}:{start}: texto sem título ou sem corpo. Complete-o ou apague-o.")
    return Story(values["título"], values["forma"], values["tema"], values["split"], text)


def read_stories(path: Path) -> list[Story]:
    """Lê um arquivo de textos no formato de `data/contos.txt`, na ordem em que estão.

    Cada texto começa em `# Título`, e segue com `forma:`, `tema:` e `split:`, uma por linha; depois, o corpo.

    Raises:
        ValueError: arquivo fora do formato ou que não é UTF-8; a mensagem traz arquivo e linha.
    """
    blocks: list[list[tuple[int, str]]] = []
    for number, line in enumerate(_lines(path), start=1):
        if line.startswith("#"):
            blocks.append([(number, line)])
        elif blocks:
            blocks[-1].append((number, line))
        elif line.strip():
            raise ValueError(f"{path}:{number}: texto antes do primeiro título. Comece com «# Título».")
    stories = [_story(path, block) for block in blocks]
    seen: set[str] = set()
    for story, block in zip(stories, blocks, strict=True):
        if story.title in seen:
            raise ValueError(f"{path}:{block[0][0]}: título repetido, {story.title!r}. Mude um dos dois.")
        seen.add(story.title)
    return stories


DATASETS = {"contos": ("contos.txt", read_stories), "folhetim": ("folhetim.txt", read_stories)}


def data_path(filename: str) -> Path:
    """Caminho de um arquivo de dados: `homellm/_data/` no pacote instalado, `data/` no repositório."""
    package = Path(homellm.__path__[0])
    for folder in (package / "_data", package.parent / "data"):
        if (folder / filename).is_file():
            return folder / filename
    raise FileNotFoundError(
        f"não achei {filename} em {package / '_data'} nem em {package.parent / 'data'}. "
        "Reinstale o pacote (pip install --force-reinstall homellm) ou clone o repositório inteiro."
    )


def load_table(name: str, split: str | None = None) -> list[Story]:
    """Os registros de um conjunto, na ordem do arquivo; `split=None` devolve todos.

    Raises:
        ValueError: nome ou split desconhecidos (a mensagem lista os que existem) ou arquivo malformado.
        FileNotFoundError: o arquivo de dados não veio com a instalação.
    """
    if name not in DATASETS:
        raise ValueError(f"conjunto {name!r} não existe; use um de {tuple(sorted(DATASETS))}.")
    if split is not None and split not in SPLITS:
        raise ValueError(f"split {split!r} não existe; use um de {SPLITS}, ou None para tudo.")
    filename, reader = DATASETS[name]
    return [row for row in reader(data_path(filename)) if split in (None, row.split)]


def load_text(name: str, split: str | None = None) -> str:
    """O conjunto como um texto só: título, linha em branco, corpo, com duas linhas em branco entre textos.

    Um split que existe mas está vazio devolve `""`. Erros: os de `load_table`.
    """
    return "\n\n\n".join(f"{row.title}\n\n{row.text}" for row in load_table(name, split))
