# Gerado por ferramentas/tangle.py. NÃO EDITE: mude book/02-dados.md.
# sha256 do que segue: cba5e1acd899d81fbc26c44840e5fb9be2712c0f6b4b422d78c82e4a3758f040
"""Dos ids aos lotes: janelas deslizantes, arquivo de tokens mapeado em memória,
DataLoader; e a leitura de um texto do leitor.

Formas: cada item é um par `(input_ids, target_ids)` de tensores int64 `(T,)`, o alvo
deslocado de um; cada lote é um par `(B, T)`. O capítulo 2 do livro constrói este
módulo.

>>> inputs, targets = SlidingWindowDataset([10, 11, 12, 13, 14], context_length=3)[0]
>>> inputs.tolist(), targets.tolist()
([10, 11, 12], [11, 12, 13])
"""

from __future__ import annotations

import codecs
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from homellm.files import read_text, replacing


def _id_array(ids: Sequence[int] | np.ndarray | torch.Tensor) -> np.ndarray:
    """Os ids como array de uma dimensão, sem copiar o que já é array."""
    array = (
        ids.detach().cpu().numpy() if isinstance(ids, torch.Tensor) else np.asarray(ids)
    )
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise TypeError(
            f"esperava uma sequência de ids inteiros, e veio {array.dtype} de forma "
            f"{array.shape}; passe o texto por tokenizer.encode antes"
        )
    return array


def _check_window(n_ids: int, context_length: int, stride: int) -> None:
    """Recusa tamanhos que não são positivos e textos menores que uma janela."""
    if context_length < 1 or stride < 1:
        raise ValueError(
            f"context_length ({context_length}) e stride ({stride}) precisam ser "
            "ao menos 1"
        )
    missing = context_length + 1 - n_ids
    if missing > 0:
        raise ValueError(
            f"há {n_ids} tokens, e uma janela de {context_length} pede "
            f"{context_length + 1} (o alvo é um id adiante): faltam {missing}; use "
            "mais texto ou um context_length menor"
        )


class SlidingWindowDataset(Dataset):
    """Janelas de `context_length` ids, uma a cada `stride`; o alvo é a mesma janela, um
    id adiante.

    `ids`: sequência de inteiros, `(N,)`. São `(N - 1 - T) // stride + 1` janelas; a
    sobra do fim, menor que uma janela, fica de fora. Com `stride=T` (o padrão), nenhum
    id é alvo duas vezes.

    Erros: `ValueError` se `context_length` ou `stride` não são positivos, ou se não há
    `T + 1` ids; `TypeError` se os ids não são inteiros.
    """

    def __init__(
        self,
        ids: Sequence[int] | np.ndarray | torch.Tensor,
        context_length: int,
        stride: int | None = None,
    ) -> None:
        stride = context_length if stride is None else stride
        self.ids = _id_array(ids)
        _check_window(len(self.ids), context_length, stride)
        self.context_length = context_length
        self.stride = stride

    def __len__(self) -> int:
        return (len(self.ids) - 1 - self.context_length) // self.stride + 1

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        """`(input_ids, target_ids)`, int64, `(T,)` cada um."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"janela {index} de um total de {len(self)}")
        ids = self._window((index % len(self)) * self.stride)
        window = torch.from_numpy(ids.astype(np.int64))  # (T + 1,)
        return window[:-1], window[1:]

    def _window(self, start: int) -> np.ndarray:
        """Os `T + 1` ids que começam em `start`."""
        return self.ids[start : start + self.context_length + 1]


def _as_windows(
    data: Dataset | Sequence[int] | np.ndarray | torch.Tensor,
    context_length: int | None,
    stride: int | None,
) -> Dataset:
    """O próprio `Dataset`, ou as janelas dos ids."""
    if isinstance(data, Dataset):
        if context_length is not None or stride is not None:
            raise ValueError(
                "o Dataset já tem context_length e stride; não os passe de novo"
            )
        return data
    if context_length is None:
        raise ValueError("faltou context_length: quantos ids o modelo lê de cada vez?")
    return SlidingWindowDataset(data, context_length, stride)


def _check_batches(n_windows: int, batch_size: int, drop_last: bool) -> None:
    """Recusa um lote vazio, ou que as janelas não enchem."""
    if batch_size < 1:
        raise ValueError(f"batch_size={batch_size}: precisa ser ao menos 1")
    if drop_last and n_windows < batch_size:
        raise ValueError(
            f"há {n_windows} janelas e o lote pede {batch_size}: com drop_last=True "
            "não sairia lote; diminua batch_size, context_length ou stride, ou use "
            "drop_last=False"
        )


def create_dataloader(
    data: Dataset | Sequence[int] | np.ndarray | torch.Tensor,
    batch_size: int,
    context_length: int | None = None,
    stride: int | None = None,
    shuffle: bool = True,
    drop_last: bool = True,
    seed: int = 0,
    num_workers: int = 0,
) -> DataLoader:
    """Lotes `(input_ids, target_ids)`, int64, `(B, T)`, de uma lista de ids ou de um
    `Dataset` pronto.

    Embaralha com um gerador próprio: a mesma `seed` dá a mesma sequência de épocas,
    seja qual for o estado global do PyTorch. Com `drop_last`, o lote incompleto do fim
    é descartado.

    Erros: `ValueError` se as janelas não enchem um lote, ou se falta (ou sobra)
    `context_length`; os de `SlidingWindowDataset`.

    >>> loader = create_dataloader(list(range(100)), batch_size=4, context_length=8)
    >>> [tuple(t.shape) for t in next(iter(loader))]
    [(4, 8), (4, 8)]
    """
    dataset = _as_windows(data, context_length, stride)
    _check_batches(len(dataset), batch_size, drop_last)  # type: ignore[arg-type]
    return DataLoader(
        dataset,
        batch_size=batch_size,
        shuffle=shuffle,
        drop_last=drop_last,
        num_workers=num_workers,
        generator=torch.Generator().manual_seed(seed),
    )


class LengthBatches(Sampler[list[int]]):
    """Lotes de índices de textos de tamanho parecido, com pouco preenchimento.

    Com `batch_size`, cada lote tem tantos textos (o último, os que sobram). Com
    `max_tokens`, tantos textos quantos cabem nesses ids, contado o preenchimento; um
    texto maior que isso fica sozinho. `shuffle=False` dá sempre a mesma ordem, do mais
    curto ao mais comprido. `generator` é o estado do sorteio: guardado e devolvido,
    repete a época.

    Erros: `ValueError` se não vem exatamente um de `batch_size` e `max_tokens`, ou se
    não é positivo.

    >>> list(LengthBatches([3, 9, 3, 4], max_tokens=9, shuffle=False))
    [[0, 2], [3], [1]]
    """

    def __init__(
        self,
        lengths: Sequence[int],
        *,
        batch_size: int | None = None,
        max_tokens: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
    ) -> None:
        limit = max_tokens if batch_size is None else batch_size
        if limit is None or (batch_size is not None and max_tokens is not None):
            raise ValueError("passe batch_size ou max_tokens, um dos dois")
        if limit < 1:
            raise ValueError(f"o lote precisa de ao menos 1, e veio {limit}")
        self.lengths, self.shuffle = lengths, shuffle
        self.batch_size, self.max_tokens = batch_size, max_tokens
        self.generator = torch.Generator().manual_seed(seed)
        self._n_batches = len(self._group(range(len(lengths))))

    def _group(self, order: Iterable[int]) -> list[list[int]]:
        """Os lotes, depois de aproximar os textos de tamanho parecido."""
        order, by_length = list(order), self.lengths.__getitem__
        pool = 16 * self.batch_size if self.batch_size and self.shuffle else len(order)
        near = [
            index
            for start in range(0, len(order), max(pool, 1))
            for index in sorted(order[start : start + pool], key=by_length)
        ]
        batches: list[list[int]] = []
        for index in near:
            if not batches or self._full(batches[-1], index):
                batches.append([])
            batches[-1].append(index)
        return batches

    def _full(self, batch: list[int], index: int) -> bool:
        """O lote está cheio demais para receber `index`, que é o mais comprido dele?"""
        if self.max_tokens is None:
            return len(batch) == self.batch_size
        return (len(batch) + 1) * self.lengths[index] > self.max_tokens

    def __len__(self) -> int:
        return self._n_batches

    def __iter__(self) -> Iterator[list[int]]:
        size = len(self.lengths)
        if not self.shuffle:
            return iter(self._group(range(size)))
        batches = self._group(torch.randperm(size, generator=self.generator).tolist())
        order = torch.randperm(len(batches), generator=self.generator).tolist()
        return (batches[n] for n in order)


def _write_header(file: BinaryIO, dtype: np.dtype, total: int) -> None:
    """O cabeçalho do `.npy`; ocupa os mesmos bytes para qualquer `total`."""
    header = {"descr": dtype.str, "fortran_order": False, "shape": (total,)}
    np.lib.format.write_array_header_1_0(file, header)


def _check_ids(ids: np.ndarray, vocab_size: int, start: int) -> None:
    """`ValueError` se algum id não cabe no vocabulário; `start`, a posição do
    primeiro."""
    if ids.min() < 0 or ids.max() >= vocab_size:
        where = int(np.flatnonzero((ids < 0) | (ids >= vocab_size))[0])
        raise ValueError(
            f"o id {ids[where]}, na posição {start + where}, não cabe num vocabulário "
            f"de {vocab_size}; os ids são de outro tokenizer?"
        )


def write_token_file(path: str | Path, ids: Iterable[int], vocab_size: int) -> int:
    """Grava ids num arquivo `.npy` e devolve quantos foram.

    `ids` pode ser um gerador maior que a memória. O tipo é uint16 (vocabulário até
    65.536) ou uint32, little-endian. Um erro no meio não deixa arquivo.

    Erros: `ValueError` se algum id não cabe no vocabulário, ou se não há nenhum id;
    `TypeError` se não são inteiros; `OSError` numa frase se o disco encheu ou a pasta
    não aceita gravação.
    """
    if not 1 <= vocab_size < 2**32:
        raise ValueError(
            f"vocab_size={vocab_size}: passe o tamanho do vocabulário que gerou os ids"
        )
    dtype = np.dtype("<u2" if vocab_size <= 2**16 else "<u4")
    if isinstance(ids, (np.ndarray, torch.Tensor)):
        ids = _id_array(ids).tolist()
    stream = iter(ids)
    total = 0
    with replacing(path) as temporary, temporary.open("wb") as file:
        _write_header(file, dtype, 0)
        while chunk := list(islice(stream, 2**16)):
            block = _id_array(chunk)
            _check_ids(block, vocab_size, total)
            file.write(block.astype(dtype).tobytes())
            total += len(block)
        if total == 0:
            raise ValueError(f"nenhum id para gravar em {path}")
        file.seek(0)
        _write_header(file, dtype, total)
    return total


def _open_token_file(path: Path) -> np.ndarray:
    """Os ids do arquivo, mapeados em memória, `(N,)`."""
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: o arquivo não existe; crie-o com write_token_file"
        )
    try:
        with np.errstate(over="ignore"):  # um cabeçalho absurdo é recusado adiante
            ids = np.lib.format.open_memmap(path, mode="r")
        offset = ids.offset
    except (ValueError, OverflowError, OSError) as error:
        raise ValueError(
            f"{path}: não é um arquivo de tokens, ou está truncado ({error}); grave-o "
            "com write_token_file"
        ) from error
    if ids.ndim != 1 or ids.dtype.kind not in "iu":
        raise ValueError(
            f"{path}: esperava ids inteiros numa dimensão, e há {ids.dtype} de forma "
            f"{ids.shape}; grave-o com write_token_file"
        )
    expected, found = offset + ids.nbytes, path.stat().st_size
    if expected != found:
        raise ValueError(
            f"{path}: deveria ter {expected} bytes e tem {found}; grave-o de novo"
        )
    return ids


class TokenFileDataset(SlidingWindowDataset):
    """As janelas de um arquivo de `write_token_file`, lidas do disco quando pedidas.

    Item a item igual a `SlidingWindowDataset` sobre os mesmos ids, com o arquivo do
    tamanho que for (mapa de memória). Com `vocab_size`, um id que não cabe no
    vocabulário é um `ValueError` quando a janela dele é lida.

    Erros: `FileNotFoundError` se o arquivo não existe; `ValueError` se é outra coisa ou
    está truncado; os de `SlidingWindowDataset`.
    """

    def __init__(
        self,
        path: str | Path,
        context_length: int,
        stride: int | None = None,
        vocab_size: int | None = None,
    ) -> None:
        self.path, self.vocab_size = Path(path), vocab_size
        super().__init__(_open_token_file(self.path), context_length, stride)

    def _window(self, start: int) -> np.ndarray:
        ids = super()._window(start)
        if self.vocab_size is not None:
            _check_ids(ids, self.vocab_size, start)
        return ids

    def __getstate__(self) -> dict[str, Any]:
        """Um processo auxiliar recebe o caminho, e não uma cópia dos ids."""
        return {name: value for name, value in self.__dict__.items() if name != "ids"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.ids = _open_token_file(self.path)


_NOT_TEXT = {  # como começam os arquivos que não são texto
    b"%PDF": "um PDF",
    b"PK\x03\x04": "um .docx, ou um zip",
    b"\xd0\xcf\x11\xe0": "um .doc antigo",
    b"{\\rtf": "um .rtf",
}


def _is_utf8(raw: bytes) -> bool:
    """Os bytes são UTF-8, e sem bytes nulos, que em texto não há?"""
    try:
        return "\0" not in raw.decode("utf-8")
    except UnicodeDecodeError:
        return False


def _check_plain(path: Path, raw: bytes, encoding: str) -> None:
    """Recusa o que não é texto nessa codificação; o erro diz a que parece ser."""
    for start, kind in _NOT_TEXT.items():
        if raw.startswith(start):
            raise ValueError(
                f"{path}: é {kind}, e não texto; abra-o no programa dele e salve "
                "como .txt, em UTF-8"
            )
    try:
        codec = codecs.lookup(encoding).name
    except LookupError:
        raise ValueError(
            f"encoding={encoding!r}: não conheço; os comuns são 'utf-8', 'cp1252' e "
            "'utf-16'"
        ) from None
    wide = raw[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) or b"\0" in raw
    if codec == "utf-8" and not _is_utf8(raw):
        guess = "utf-16" if wide else "cp1252"
        raise ValueError(
            f"{path}: não é UTF-8; parece {guess}: passe encoding={guess!r} e confira "
            "os acentos, ou salve o arquivo em UTF-8"
        )
    if codec != "utf-8" and not raw.isascii() and _is_utf8(raw):
        raise ValueError(
            f"{path}: já está em UTF-8; lido como {encoding}, os acentos sairiam "
            "trocados: tire o encoding"
        )
    try:
        raw.decode(codec)
    except UnicodeError as error:
        raise ValueError(
            f"{path}: não está em {encoding}; confira em que programa foi gravado"
        ) from error


def load_own_text(path: str | Path, encoding: str = "utf-8") -> str:
    """O texto de um arquivo seu, em NFC e com `\\n` no fim de cada linha.

    `encoding` é o de quando o arquivo foi gravado; o do Windows antigo é `"cp1252"`.

    Erros: os de `read_text` se o arquivo não existe ou não se deixa ler; `ValueError`,
    com o caminho e o que fazer, se não é texto, se está em outra codificação ou se está
    vazio.
    """
    path = Path(path)
    try:
        raw = path.read_bytes()
    except OSError:
        read_text(path)  # levanta o mesmo erro, numa frase
        raise
    _check_plain(path, raw, encoding)
    text = raw.decode(encoding).removeprefix("\ufeff")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip():
        raise ValueError(f"{path}: o arquivo não tem texto; confira se é esse mesmo")
    return unicodedata.normalize("NFC", text)
