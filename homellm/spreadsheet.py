# Gerado por ferramentas/tangle.py. NÃO EDITE: mude book/06-classificacao.md.
# sha256 do que segue: f4c05e1848944866212a763d618624b8c0a524f266b6fcf098b98ed00400893c
"""Ler uma planilha de textos com rótulo, em CSV, e reparti-la por grupo.

O capítulo 6 do livro constrói este módulo.

>>> deal_groups(list("aabbcc"), ["sim", "não"] * 3)  # cada grupo inteiro num split
['train', 'train', 'validation', 'validation', 'test', 'test']
"""

from __future__ import annotations

import csv
import io
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from homellm.corpus import SPLITS, Labeled


def _decode(path: Path, encoding: str) -> str:
    """O texto do arquivo; se a codificação não é essa, diz o que tentar."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: o arquivo não existe; confira o caminho")
    raw = path.read_bytes()
    if raw[:2] == b"PK":
        raise ValueError(f"{path}: é uma pasta de trabalho do Excel; salve-a como CSV")
    try:
        return raw.decode("utf-8-sig" if encoding == "utf-8" else encoding)
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ValueError(
            f"{path}:{line}: não é {encoding}; salve como “CSV UTF-8”, ou, se veio do "
            'Excel antigo, passe encoding="cp1252"'
        ) from error


def _table(path: Path, text: str) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Os nomes das colunas, e cada linha com o seu número; o separador se adivinha."""
    if not text.strip():
        raise ValueError(f"{path}: está vazio; a primeira linha nomeia as colunas")
    head = text.split("\n", 1)[0]
    mark = max(";,\t", key=head.count)  # no Brasil, o do Excel é o ponto e vírgula
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True)
    rows: list[tuple[int, list[str]]] = []
    try:
        names = [name.strip() for name in next(reader, [])]
        for cells in reader:
            if len(cells) not in (0, len(names)):  # 0: uma linha em branco
                raise ValueError(
                    f"{path}:{reader.line_num}: são {len(names)} colunas, e a linha "
                    f"tem {len(cells)}; se há {mark!r} dentro de um texto, ponha o "
                    "texto entre aspas"
                )
            if any(cell.strip() for cell in cells):
                rows.append((reader.line_num, cells))
    except csv.Error as error:
        raise ValueError(
            f"{path}:{reader.line_num}: há aspas abertas e não fechadas ({error})"
        ) from error
    return names, rows


def _column(path: Path, names: list[str], wanted: str) -> int:
    """A posição de uma coluna; se não há, a mensagem diz as que há."""
    if names.count(wanted) != 1:
        raise ValueError(
            f"{path}: {'há mais de uma' if wanted in names else 'não há'} coluna "
            f"{wanted!r}; as da primeira linha são {', '.join(map(repr, names))}"
        )
    return names.index(wanted)


def _filled(path: Path, line: int, name: str, cell: str) -> str:
    """A célula, sem espaços nas pontas, que não pode estar vazia."""
    if not cell.strip():
        raise ValueError(
            f"{path}:{line}: {name!r} está vazia; preencha ou tire a linha"
        )
    return cell.strip()


def deal_groups(
    groups: Sequence[str], labels: Sequence[str], seed: int = 0
) -> list[str]:
    """O split de cada texto, com cada grupo inteiro num só: perto de 70, 15 e 15%.

    Os grupos se repartem dentro do rótulo mais comum de cada um.

    Erros: `ValueError` se um rótulo falta num dos splits: ele está em grupos de menos.
    """
    counts: dict[str, Counter[str]] = {}
    for group, label in zip(groups, labels, strict=True):
        counts.setdefault(group, Counter())[label] += 1
    by_label: dict[str, list[str]] = {}
    for group in sorted(counts):
        common = min(counts[group], key=lambda name: (-counts[group][name], name))
        by_label.setdefault(common, []).append(group)
    rng, where = random.Random(seed), {}
    for label in sorted(by_label):
        order = rng.sample(by_label[label], len(by_label[label]))
        held = max(1, round(0.15 * len(order)))
        for n, group in enumerate(order):
            where[group] = SPLITS[1 + (n >= held)] if n < 2 * held else SPLITS[0]
    for label in sorted(set(labels)):
        found = {where[group] for group in counts if counts[group][label]}
        if missing := [split for split in SPLITS if split not in found]:
            total = sum(label in count for count in counts.values())
            raise ValueError(
                f"nenhum {label!r} ficou em {missing[0]}: ele está em {total} grupo(s)"
                "; junte exemplos de outros grupos, ou tente outra seed"
            )
    return [where[group] for group in groups]


def read_spreadsheet(
    path: str | Path,
    text: str = "texto",
    label: str = "rotulo",
    group: str | None = None,
    *,
    encoding: str = "utf-8",
    seed: int = 0,
) -> list[Labeled]:
    """Os textos de um CSV, com rótulo, grupo e split; o nível de todos é `"dificil"`.

    `text`, `label` e `group` são nomes de colunas. O grupo (o cliente, a conversa, o
    produto) fica inteiro num split; sem ele, só as cópias de um texto ficam juntas. O
    separador é o `;`, a vírgula ou a tabulação, o que mais aparece na primeira linha.

    Erros: `FileNotFoundError`; `ValueError`, com arquivo e linha, se a codificação não
    é `encoding`, se falta uma coluna ou uma célula, se uma linha tem células de mais ou
    de menos, ou se os rótulos não parecem rótulos; os de `deal_groups`.
    """
    path = Path(path)
    names, rows = _table(path, _decode(path, encoding))
    wanted = [name for name in (text, label, group) if name is not None]
    columns = [(name, _column(path, names, name)) for name in wanted]
    table = [
        [_filled(path, line, name, cells[n]) for name, n in columns]
        for line, cells in rows
    ]
    labels = [row[1] for row in table]
    if not 2 <= len(set(labels)) <= max(2, len(table) // 3):
        raise ValueError(
            f"{path}: {len(set(labels))} rótulos diferentes em {len(table)} linhas; "
            f"confira se {label!r} é a coluna dos rótulos"
        )
    groups = [row[-1] if group else row[0].lower() for row in table]
    parts = deal_groups(groups, labels, seed)
    return [
        Labeled(row[0], row[1], name, split, "dificil")
        for row, name, split in zip(table, groups, parts, strict=True)
    ]
