"""homellm.files: erros claros, gravação inteira ou nada; disco cheio, mortes e dois escritores de verdade."""

from __future__ import annotations

import codecs
import errno
import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from homellm.files import compare_tensors, read_json, read_text, reading_tensors, replacing, write_json


def run(code: str, *args: object) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, args)], capture_output=True, text=True, check=False
    )


# ---------------------------------------------------------------- ler


def test_text_in_every_dress(tmp_path):
    path = tmp_path / "a.txt"
    for raw in ("pão\nsó\n".encode(), codecs.BOM_UTF8 + "pão\r\nsó\r\n".encode()):
        path.write_bytes(raw)
        assert read_text(path) == read_text(str(path)) == "pão\nsó\n"
    path.write_bytes(b"")
    assert read_text(path) == ""


def test_text_that_is_not_utf8_names_file_and_line(tmp_path):
    path = tmp_path / "a.txt"
    for raw, line in ((b"um\ndois\np\xe3o\n", 3), (codecs.BOM_UTF8 + b"\n\np\xe3o", 3), (b"\xff\xfea\0", 1)):
        path.write_bytes(raw)
        with pytest.raises(ValueError, match="não é UTF-8; salve") as error:
            read_text(path)
        assert str(error.value).startswith(f"{path}:{line}: ")
    with pytest.raises(FileNotFoundError, match=r"nada\.txt: o arquivo não existe"):
        read_text(tmp_path / "nada.txt")


def test_what_cannot_be_read_says_so_and_keeps_its_path(tmp_path):
    with pytest.raises(OSError, match="é uma pasta; dê o caminho de um arquivo") as error:
        read_text(tmp_path)
    assert error.value.filename == str(tmp_path)
    (tmp_path / "a.txt").touch()
    with pytest.raises(OSError, match="não consegui ler: confira") as error:
        read_text(tmp_path / "a.txt" / "b.txt")
    assert error.value.filename == str(tmp_path / "a.txt" / "b.txt")


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "não é JSON"),
        (b'{"a":\n 1,', ":2: não é JSON, ou está truncado"),
        (b"[1]", "esperava um objeto JSON, e veio list"),
        (b"null", "veio NoneType"),
        (b"[" * 200_000, "níveis demais"),
        (b'{"a":' * 100_000, "níveis demais"),
        (b'{"a": ' + b"1" * 5000 + b"}", "não é JSON"),
        (b'{"a": "\xe3"}', "não é UTF-8"),
    ],
    ids=range(8),
)
def test_json_that_does_not_serve(tmp_path, raw, message):
    path = tmp_path / "a.json"
    path.write_bytes(raw)
    with pytest.raises(ValueError, match=message) as error:
        read_json(path)
    assert str(error.value).startswith(f"{path}:")


def test_json_round_trip_and_byte_order_mark(tmp_path):
    path = tmp_path / "ção.json"
    data = {"média": 7.5, "🍞": ["\ud7ff", None, 2**70]}
    write_json(path, data)
    assert read_json(path) == data and "média" in path.read_text("utf-8")
    path.write_bytes(codecs.BOM_UTF8 + path.read_bytes())
    assert read_json(path) == data


# ---------------------------------------------------------------- gravar


def test_exception_keeps_the_old_file_and_leaves_nothing(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("velho")
    with pytest.raises(KeyError), replacing(path) as temporary:
        temporary.write_text("no")
        (temporary.parent / "outro").touch()  # o que a biblioteca criar ao lado some junto
        raise KeyError
    assert path.read_text() == "velho" and list(tmp_path.iterdir()) == [path]


def test_bytes_that_do_not_encode_leave_the_old_file(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    with pytest.raises(UnicodeEncodeError):
        write_json(path, {"a": "\ud800"})
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert read_json(path) == {"a": 1} and list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name == "nt", reason="as permissões são as do POSIX")
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_permissions_are_those_of_the_umask(tmp_path, umask, mode):
    old = os.umask(umask)
    try:
        with replacing(tmp_path / "a.safetensors") as temporary:  # a safetensors cria com 0600
            save_file({"x": torch.zeros(3)}, temporary)
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "a.safetensors").stat().st_mode) == mode


FULL = """
import resource, sys
import numpy as np
from pathlib import Path
from safetensors.numpy import save_file
from homellm.files import replacing, write_json
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
path = Path(sys.argv[2])
try:
    if sys.argv[1] == "json":
        write_json(path, {"a": "0" * 100_000})
    else:
        with replacing(path) as temporary:
            save_file({"x": np.zeros(100_000)}, temporary)
except OSError as error:
    print(error.errno, error)
"""


@pytest.mark.skipif(os.name == "nt", reason="RLIMIT_FSIZE é do POSIX")
@pytest.mark.parametrize("kind", ["json", "safetensors"])
def test_no_room_left_is_one_sentence_with_path_and_way_out(tmp_path, kind):
    """O limite de tamanho é do sistema, e o erro é o dele: o mesmo caminho do disco cheio."""
    path = tmp_path / f"a.{kind}"
    path.write_text("velho")
    done = run(FULL, kind, path)
    assert done.stdout.startswith(f"{errno.EFBIG} "), done
    assert f"não consegui gravar {path}: " in done.stdout and "grave em outro disco" in done.stdout
    assert path.read_text() == "velho" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("number", "advice"),
    [(errno.ENOSPC, "o disco encheu"), (errno.EROFS, "não aceita gravação"), (errno.EDQUOT, "encheu")],
)
def test_system_errors_keep_their_class_and_gain_advice(tmp_path, monkeypatch, number, advice):
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match=rf"não consegui gravar .*a\.json: .*{advice}.*grave em outr") as error:
        write_json(tmp_path / "a.json", {})
    assert error.value.errno == number and list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="os erros e as permissões são os do POSIX")
def test_closed_folder_missing_folder_and_folder_in_the_way(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"x/a\.json: a pasta não existe; crie-a"):
        write_json(tmp_path / "x/a.json", {})
    (tmp_path / "arquivo").touch()
    with pytest.raises(NotADirectoryError, match="passa por um arquivo"):
        write_json(tmp_path / "arquivo/a.json", {})
    (tmp_path / "pasta").mkdir()
    with pytest.raises(IsADirectoryError, match="há uma pasta com esse nome"):
        write_json(tmp_path / "pasta", {})
    with pytest.raises(OSError, match="comprido demais"):
        write_json(tmp_path / ("a" * 300), {})
    closed = tmp_path / "fechada"
    closed.mkdir(mode=0o500)
    if os.geteuid() == 0:  # para o root nada é fechado: faz-se de conta

        def refuse(path, mode=0o777):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

        monkeypatch.setattr(os, "mkdir", refuse)
    with pytest.raises(
        PermissionError, match=r"fechada/a\.json: a pasta não aceita gravação; mude a permissão"
    ):
        write_json(closed / "a.json", {})


def test_error_of_another_file_is_left_as_it_is(tmp_path):
    with pytest.raises(FileNotFoundError) as error, replacing(tmp_path / "a.txt") as temporary:
        temporary.write_text((tmp_path / "fonte.txt").read_text())
    assert "fonte.txt" in str(error.value) and "não consegui gravar" not in str(error.value)


WRITER = """
import sys
from homellm.files import write_json
for _ in range(100):
    write_json(sys.argv[1], {"quem": sys.argv[2], "o quê": sys.argv[2] * 20_000})
"""


def test_two_writers_at_once_never_destroy_each_others_file(tmp_path):
    path = tmp_path / "a.json"
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(path), mark]) for mark in "ab"]
    seen = set()
    while any(writer.poll() is None for writer in writers):
        if path.exists():
            data = read_json(path)  # nunca pela metade
            assert data["o quê"] == data["quem"] * 20_000
            seen.add(data["quem"])
    assert [writer.wait() for writer in writers] == [0, 0] and seen
    assert list(tmp_path.iterdir()) == [path]


KILLED = """
import sys, time
from homellm.files import replacing
with replacing(sys.argv[1]) as temporary:
    temporary.write_text("pela met")
    print("gravando", flush=True)
    time.sleep(60)
"""


@pytest.mark.lento
@pytest.mark.skipif(os.name == "nt", reason="no Windows os restos ficam")
def test_killed_writer_keeps_the_old_file_and_the_next_one_cleans_up(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    with subprocess.Popen([sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE) as writer:
        writer.stdout.readline()
        with replacing(tmp_path / "b.json") as temporary:  # o dono está vivo: nada se apaga
            temporary.touch()
        assert len(list(tmp_path.glob(".homellm-*"))) == 1
        writer.kill()
    assert read_json(path) == {"a": 1} and len(list(tmp_path.glob(".homellm-*"))) == 1
    strange = tmp_path / ".homellm-de-outra-coisa.tmp"
    strange.mkdir()
    write_json(path, {"a": 2})
    assert read_json(path) == {"a": 2}
    assert set(tmp_path.iterdir()) == {path, tmp_path / "b.json", strange}


# ---------------------------------------------------------------- pesos


def test_reading_tensors(tmp_path):
    path = tmp_path / "a.safetensors"
    save_file({"x": torch.arange(3)}, path)
    with reading_tensors(path) as file:
        assert file.get_tensor("x").tolist() == [0, 1, 2]
    good = path.read_bytes()
    huge = (2**63).to_bytes(8, "little") + b"{}"
    for bad in (b"", good[:5], good[:-1], good + b"x", b"<html>", huge, json.dumps({}).encode()):
        path.write_bytes(bad)
        with pytest.raises(ValueError, match=rf"{path.name}: arquivo truncado ou estragado"):
            with reading_tensors(path):
                pass
    for missing in (tmp_path / "nada.safetensors", tmp_path):
        with pytest.raises(FileNotFoundError, match="falta este arquivo"):
            with reading_tensors(missing):
                pass


def test_compare_tensors_says_what_differs_and_stops_at_the_limit():
    def shapes(**named: tuple[int, ...]) -> dict[str, torch.Tensor]:
        return {name: torch.empty(shape, device="meta") for name, shape in named.items()}

    assert compare_tensors(shapes(a=(2,)), shapes(a=(2,))) == ""
    assert compare_tensors(shapes(a=(2,), b=(1,), c=()), shapes(a=(3,), d=(4, 5), c=())) == (
        "- falta b, (1,)\n- sobra d, (4, 5)\n- a: esperava (2,), veio (3,)"
    )
    many = {f"w{n}": torch.empty(1, device="meta") for n in range(300)}
    lines = compare_tensors(many, {}).split("\n")
    assert len(lines) == 11 and lines[-1] == "- e mais 290"
    assert compare_tensors(many, {}, limit=2).split("\n")[-1] == "- e mais 298"


def test_import_loads_nothing_heavy():
    done = run("import sys, homellm.files; print('torch' in sys.modules or 'numpy' in sys.modules)")
    assert done.stdout.strip() == "False"


def test_writing_is_not_slow(tmp_path):
    start = time.perf_counter()
    for n in range(20):
        write_json(tmp_path / f"{n}.json", {})
    assert time.perf_counter() - start < 5


def test_paths_may_be_text(tmp_path):
    with replacing(str(tmp_path / "a")) as temporary:
        assert isinstance(temporary, Path)
        temporary.touch()
