# Gerado por ferramentas/tangle.py. NÃO EDITE: mude book/oficina/arquivos-e-dados.md.
# sha256 do que segue: 7035fcb1b6db8527db9020ad51d7003f0581bd80b441d7a4d66bd3542cf3910f
"""Ler e gravar arquivos: texto e JSON com erros claros, gravação inteira ou nada.

>>> path = Path(tempfile.mkdtemp()) / "notas.json"
>>> write_json(path, {"média": 7.5})
>>> read_json(path)
{'média': 7.5}
"""

from __future__ import annotations

import errno
import json
import os
import platform
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

if TYPE_CHECKING:
    import torch


def read_text(path: str | Path) -> str:
    """O texto de um arquivo UTF-8, com ou sem BOM; o fim de linha vira `\\n`.

    Erros: `FileNotFoundError`; `OSError` se não se consegue ler; `ValueError` com
    arquivo e linha se não é UTF-8.
    """
    path = Path(path)
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{path}: o arquivo não existe; confira o caminho"
        ) from None
    except OSError as error:
        advice = "confira a permissão e o caminho"
        if path.is_dir():
            advice = "é uma pasta; dê o caminho de um arquivo"
        message = f"não consegui ler: {advice}"
        raise OSError(error.errno, message, str(path)) from error
    try:
        return raw.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ValueError(
            f"{path}:{line}: não é UTF-8; salve o arquivo em UTF-8"
        ) from error


def read_json(path: str | Path) -> dict[str, Any]:
    """O objeto JSON do arquivo, em UTF-8, com ou sem BOM.

    Erros: os de `read_text`, e `ValueError` se não é JSON, se não é um objeto ou se tem
    níveis demais.
    """
    text = read_text(path)
    try:
        data = json.loads(text)
    except ValueError as error:
        line = getattr(error, "lineno", 1)
        raise ValueError(
            f"{path}:{line}: não é JSON, ou está truncado ({error})"
        ) from error
    except RecursionError:
        raise ValueError(
            f"{path}: JSON com níveis demais; não é um arquivo são"
        ) from None
    if not isinstance(data, dict):
        raise ValueError(
            f"{path}: esperava um objeto JSON, e veio {type(data).__name__}"
        )
    return data


def _host() -> str:
    """O nome desta máquina, sem o que não cabe num nome de pasta."""
    return re.sub(r"\W", "_", platform.node())[:64]


def _alive(pid: int) -> bool:
    """O processo existe? No Windows não há pergunta inofensiva, e a resposta é sim."""
    if os.name == "nt":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # existe, e é de outra pessoa
        return True
    return True


def _workspace(parent: Path) -> Path:
    """Uma pasta temporária nova em `parent`; apaga as de processos mortos."""
    for old in parent.glob(".homellm-*.tmp"):
        found = re.fullmatch(r"\.homellm-(\d{1,9})-(\w*)-\w+\.tmp", old.name)
        if found and found[2] == _host() and not _alive(int(found[1])):
            shutil.rmtree(old, ignore_errors=True)
    prefix = f".homellm-{os.getpid()}-{_host()}-"
    return Path(tempfile.mkdtemp(".tmp", prefix, parent))


_FULL = "o disco encheu; libere espaço ou grave em outro disco"
_CLOSED = "a pasta não aceita gravação; mude a permissão ou grave em outra pasta"
_ADVICE = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EFBIG: "o sistema não deixa o arquivo crescer tanto; grave em outro disco",
    errno.EACCES: _CLOSED,
    errno.EPERM: _CLOSED,
    errno.EROFS: _CLOSED,
    errno.ENOENT: "a pasta não existe; crie-a antes",
    errno.ENOTDIR: "o caminho passa por um arquivo, e não por uma pasta; corrija-o",
    errno.EISDIR: "há uma pasta com esse nome; escolha outro",
    errno.ENAMETOOLONG: "o nome é comprido demais; escolha um menor",
}


def _explain(error: Exception, path: Path) -> OSError | None:
    """O erro de gravação numa frase com caminho e saída; `None` se é de outra coisa."""
    if isinstance(error, OSError):
        ours = (str(path), str(path.parent / ".homellm-"))
        if error.filename is not None and not str(error.filename).startswith(ours):
            return None  # de outro arquivo, que o chamador lia enquanto gravava
        number = error.errno
    else:
        found = re.search(r"os error (\d+)", str(error))
        number = int(found[1]) if found else None
    if number not in _ADVICE:
        return None
    return OSError(number, f"não consegui gravar {path}: {_ADVICE[number]}")


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Um caminho temporário para gravar; no fim ele substitui `path`, inteiro ou nada.

    Se o bloco levanta uma exceção, `path` fica como estava, e nada sobra ao lado dele.
    Dois processos podem gravar o mesmo `path`: vale a gravação que terminou por último.

    Erros: `OSError`, do mesmo tipo que o sistema levantou (disco cheio, pasta fechada
    ou que não existe), numa frase que diz o arquivo e o que fazer.

    >>> path = Path(tempfile.mkdtemp()) / "a.txt"
    >>> with replacing(path) as temporary:
    ...     _ = temporary.write_text("inteiro")
    >>> path.read_text()
    'inteiro'
    """
    path = Path(path)
    folder = None
    try:
        folder = _workspace(path.parent)
        temporary = folder / path.name
        yield temporary
        (folder / "modo").touch()
        temporary.chmod(stat.S_IMODE((folder / "modo").stat().st_mode))
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except (OSError, SafetensorError) as error:
        if clear := _explain(error, path):
            raise clear from error
        raise
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def write_json(path: str | Path, data: Mapping[str, Any]) -> None:
    """Grava um objeto JSON em UTF-8, inteiro ou nada. Erros: os de `replacing`."""
    with replacing(path) as temporary:
        text = json.dumps(data, ensure_ascii=False, indent=0)
        temporary.write_text(text, "utf-8", newline="\n")


@contextmanager
def reading_tensors(path: str | Path) -> Iterator[Any]:
    """O arquivo safetensors aberto (o objeto de `safetensors.safe_open`).

    Erros: `FileNotFoundError`; `ValueError` se está truncado ou é de outro formato.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: falta este arquivo; confira o caminho")
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except SafetensorError as error:
        raise ValueError(
            f"{path}: arquivo truncado ou estragado ({error}); baixe-o ou grave-o de "
            "novo"
        ) from error


def compare_tensors(
    expected: Mapping[str, torch.Tensor],
    found: Mapping[str, torch.Tensor],
    limit: int = 10,
) -> str:
    """O que falta, o que sobra e o que tem outra forma; `""` se tudo casa.

    Uma linha por tensor, `limit` linhas no máximo, e depois quantas ficaram de fora.

    >>> import torch
    >>> print(compare_tensors({"a": torch.zeros(2)}, {"b": torch.zeros(3)}))
    - falta a, (2,)
    - sobra b, (3,)
    """
    lines = [
        f"- falta {name}, {tuple(expected[name].shape)}"
        for name in expected
        if name not in found
    ]
    lines += [
        f"- sobra {name}, {tuple(found[name].shape)}"
        for name in found
        if name not in expected
    ]
    lines += [
        f"- {name}: esperava {tuple(tensor.shape)}, veio {tuple(found[name].shape)}"
        for name, tensor in expected.items()
        if name in found and tensor.shape != found[name].shape
    ]
    if len(lines) > limit:
        lines[limit:] = [f"- e mais {len(lines) - limit}"]
    return "\n".join(lines)
