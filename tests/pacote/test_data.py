"""Janelas, lotes e arquivos de tokens: contra fatias feitas à mão e o `unfold` do PyTorch."""

from __future__ import annotations

import itertools
import os
import pickle
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from homellm.data import (
    LengthBatches,
    SlidingWindowDataset,
    TokenFileDataset,
    create_dataloader,
    load_own_text,
    write_token_file,
)

IDS = list(range(100, 141))  # 41 ids


def test_windows_by_hand():
    data = SlidingWindowDataset([10, 11, 12, 13, 14, 15], context_length=3, stride=2)
    assert [(x.tolist(), y.tolist()) for x, y in data] == [
        ([10, 11, 12], [11, 12, 13]),
        ([12, 13, 14], [13, 14, 15]),
    ]
    assert data[-1][0].tolist() == [12, 13, 14]
    assert data[0][0].dtype == data[0][1].dtype == torch.int64


@settings(deadline=None)
@given(n=st.integers(2, 60), length=st.integers(1, 20), stride=st.integers(1, 25))
def test_same_windows_as_unfold(n, length, stride):
    if n < length + 1:
        return
    ids = torch.randint(0, 1000, (n,), generator=torch.Generator().manual_seed(n))
    expected = ids.unfold(0, length + 1, stride)
    data = SlidingWindowDataset(ids, length, stride)
    assert len(data) == len(expected)
    for (inputs, targets), window in zip(data, expected, strict=True):
        assert torch.equal(inputs, window[:-1])
        assert torch.equal(targets, window[1:])


def test_default_stride_makes_each_id_a_target_once():
    data = SlidingWindowDataset(IDS, 8)
    assert torch.cat([y for _, y in data]).tolist() == IDS[1:41]


@pytest.mark.parametrize("kind", [list, tuple, np.array, torch.tensor, lambda x: np.array(x, np.uint16)])
def test_any_sequence_of_ids(kind):
    assert SlidingWindowDataset(kind(IDS), 4)[3][0].tolist() == IDS[12:16]


def test_changing_an_item_does_not_change_the_data():
    data = SlidingWindowDataset(np.array(IDS), 4)
    data[0][0][:] = 0
    assert data[0][0].tolist() == IDS[:4]


def test_smallest_corpus_and_errors():
    assert len(SlidingWindowDataset([1, 2], 1)) == 1
    with pytest.raises(ValueError, match="há 4 tokens, e uma janela de 6 pede 7.*faltam 3"):
        SlidingWindowDataset([1, 2, 3, 4], 6)
    with pytest.raises(ValueError, match="faltam 2"):
        SlidingWindowDataset([], 1)
    for length, stride in [(0, 1), (4, 0), (4, -1), (-2, 1)]:
        with pytest.raises(ValueError, match="ao menos 1"):
            SlidingWindowDataset(IDS, length, stride)
    for bad in ("texto", [1.5, 2.5], [[1, 2], [3, 4]]):
        with pytest.raises(TypeError, match="ids inteiros"):
            SlidingWindowDataset(bad, 1)
    with pytest.raises(IndexError, match="janela 10 de um total de 10"):
        SlidingWindowDataset(IDS, 4)[10]


# --- DataLoader


def order(loader: DataLoader) -> list[int]:
    return [int(x[0]) for inputs, _ in loader for x in inputs]


def test_shapes_and_determinism():
    loader = create_dataloader(IDS, batch_size=3, context_length=4)
    inputs, targets = next(iter(loader))
    assert inputs.shape == targets.shape == (3, 4)
    assert inputs.dtype == torch.int64
    torch.manual_seed(123)
    again = create_dataloader(IDS, 3, 4)
    fresh = create_dataloader(IDS, 3, 4)
    epochs = [order(again), order(again)]
    assert epochs == [order(fresh), order(fresh)]
    assert epochs[0] != epochs[1]
    assert order(create_dataloader(IDS, 3, 4, seed=1)) != epochs[0]


def test_global_state_is_left_alone():
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    list(create_dataloader(IDS, 3, 4))
    assert torch.equal(torch.rand(1), expected)


def test_without_shuffle_and_with_the_last_batch():
    loader = create_dataloader(IDS, 3, 4, shuffle=False, drop_last=False)
    assert order(loader) == IDS[0:40:4]
    assert [len(x) for x, _ in loader] == [3, 3, 3, 1]
    assert len(create_dataloader(IDS, 3, 4)) == 3
    assert len(create_dataloader(IDS, 3, 4, stride=1)) == (41 - 4) // 3


def test_loader_of_a_dataset_and_errors():
    data = SlidingWindowDataset(IDS, 4)
    assert order(create_dataloader(data, 2, shuffle=False)) == IDS[0:40:4]
    with pytest.raises(ValueError, match="já tem context_length"):
        create_dataloader(data, 2, context_length=4)
    with pytest.raises(ValueError, match="faltou context_length"):
        create_dataloader(IDS, 2)
    with pytest.raises(ValueError, match="há 10 janelas e o lote pede 11"):
        create_dataloader(IDS, 11, 4)
    for size in (0, -1):
        with pytest.raises(ValueError, match=f"batch_size={size}: precisa ser ao menos 1"):
            create_dataloader(IDS, size, 4)
    assert len(create_dataloader(IDS, 11, 4, drop_last=False)) == 1


# --- arquivo de tokens


@given(
    ids=st.lists(st.integers(0, 70_000), min_size=2, max_size=40),
    length=st.integers(1, 10),
    stride=st.integers(1, 12),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_file_equals_memory(tmp_path, ids, length, stride):
    length = min(length, len(ids) - 1)
    path = tmp_path / "ids.npy"
    assert write_token_file(path, iter(ids), max(ids) + 1) == len(ids)
    on_disk, in_memory = TokenFileDataset(path, length, stride), SlidingWindowDataset(ids, length, stride)
    assert len(on_disk) == len(in_memory)
    assert np.load(path).tolist() == ids
    for a, b in zip(on_disk, in_memory, strict=True):
        assert torch.equal(a[0], b[0]) and torch.equal(a[1], b[1])


@pytest.mark.parametrize(("vocab_size", "itemsize"), [(1, 2), (65_536, 2), (65_537, 4), (2**32 - 1, 4)])
def test_item_size_follows_the_vocabulary(tmp_path, vocab_size, itemsize):
    write_token_file(tmp_path / "ids.npy", [0, vocab_size - 1], vocab_size)
    assert (tmp_path / "ids.npy").stat().st_size == 128 + 2 * itemsize
    assert TokenFileDataset(tmp_path / "ids.npy", 1).ids.tolist() == [0, vocab_size - 1]


def test_writes_a_stream_larger_than_a_block(tmp_path):
    n = 200_003
    assert write_token_file(tmp_path / "ids.npy", (i % 997 for i in range(n)), 997) == n
    data = TokenFileDataset(tmp_path / "ids.npy", 5)
    assert data.ids[199_999] == 199_999 % 997
    assert isinstance(data.ids.base, np.memmap)  # no disco, e não na memória


@pytest.mark.parametrize("kind", [np.array, torch.tensor])
def test_writes_arrays(tmp_path, kind):
    write_token_file(tmp_path / "ids.npy", kind(IDS), 141)
    assert TokenFileDataset(tmp_path / "ids.npy", 4).ids.tolist() == IDS


def test_write_errors_leave_nothing_behind(tmp_path):
    path = tmp_path / "ids.npy"
    bad = itertools.chain(itertools.repeat(1, 70_000), [7], itertools.repeat(1, 10))
    with pytest.raises(ValueError, match="o id 7, na posição 70000, não cabe num vocabulário de 7"):
        write_token_file(path, bad, 7)
    with pytest.raises(ValueError, match="o id -1, na posição 0"):
        write_token_file(path, [-1], 7)
    with pytest.raises(ValueError, match="nenhum id"):
        write_token_file(path, [], 7)
    with pytest.raises(ValueError, match="tamanho do vocabulário"):
        write_token_file(path, [1], 0)
    with pytest.raises(TypeError, match="ids inteiros"):
        write_token_file(path, ["a"], 7)
    assert list(tmp_path.iterdir()) == []


def test_failed_write_keeps_the_old_file(tmp_path):
    path = tmp_path / "ids.npy"
    write_token_file(path, IDS, 141)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="não cabe"):
        write_token_file(path, [5, 6], 6)
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_strange_files(tmp_path):
    path = tmp_path / "ids.npy"
    with pytest.raises(FileNotFoundError, match="write_token_file"):
        TokenFileDataset(path, 4)
    write_token_file(path, IDS, 141)
    good = path.read_bytes()
    for bad in (b"", good[:10], good[:-1], b"x" * 200, b"homeids1" + bytes(100), good[:8] + b"\xff" * 200):
        path.write_bytes(bad)
        with pytest.raises(ValueError, match=r"ids\.npy: não é um arquivo de tokens, ou está truncado"):
            TokenFileDataset(path, 4)
    path.write_bytes(good + b"\0")
    with pytest.raises(ValueError, match=f"deveria ter {len(good)} bytes e tem {len(good) + 1}"):
        TokenFileDataset(path, 4)
    for array in (np.zeros(9), np.zeros((3, 3), int), np.zeros(9, bool), np.array(7), np.array(["a"] * 9)):
        np.save(path, array)
        with pytest.raises(ValueError, match=r"ids\.npy: esperava ids inteiros numa dimensão"):
            TokenFileDataset(path, 4)
    np.save(path, np.array([{}] * 9), allow_pickle=True)  # objetos só com pickle: nunca abertos
    with pytest.raises(ValueError, match="não é um arquivo de tokens"):
        TokenFileDataset(path, 4)
    with path.open("wb") as file:
        huge = {"descr": "<u2", "fortran_order": False, "shape": (2**62,)}
        np.lib.format.write_array_header_1_0(file, huge)
    with pytest.raises(ValueError, match="não é um arquivo de tokens"):
        TokenFileDataset(path, 4)
    path.write_bytes(good)
    with pytest.raises(ValueError, match="faltam 10"):
        TokenFileDataset(path, 50)


def test_any_array_of_ids_that_numpy_saved_serves(tmp_path):
    np.save(tmp_path / "a.npy", np.array(IDS))
    assert TokenFileDataset(tmp_path / "a.npy", 4).ids.tolist() == IDS


@pytest.mark.parametrize(("bad", "dtype"), [(141, np.uint16), (60_000, np.uint16), (-1, np.int64)])
def test_id_outside_the_vocabulary_is_refused_when_it_is_read(tmp_path, bad, dtype):
    path = tmp_path / "a.npy"
    ids = np.array([*IDS, bad], dtype)
    np.save(path, ids)
    data = TokenFileDataset(path, 4, stride=1, vocab_size=141)
    assert data[0][0].tolist() == IDS[:4]
    with pytest.raises(ValueError, match=f"o id {bad}, na posição 41, não cabe num vocabulário de 141"):
        data[-1]
    with pytest.raises(ValueError, match="na posição 41"):
        pickle.loads(pickle.dumps(data))[-1]
    assert TokenFileDataset(path, 4, stride=1)[-1][1][-1] == bad


FULL = """
import resource, sys
from homellm.data import write_token_file
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
try:
    write_token_file(sys.argv[1], iter([1] * 100_000), 10)
except OSError as error:
    print(error)
"""


@pytest.mark.skipif(os.name == "nt", reason="RLIMIT_FSIZE é do POSIX")
def test_no_room_left_keeps_the_old_file_and_says_what_to_do(tmp_path):
    path = tmp_path / "ids.npy"
    write_token_file(path, IDS, 141)
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(path)], capture_output=True, text=True, check=False
    )
    assert f"não consegui gravar {path}: " in done.stdout and "grave em outro disco" in done.stdout
    assert TokenFileDataset(path, 4).ids.tolist() == IDS and list(tmp_path.iterdir()) == [path]


def test_memory_does_not_grow_with_the_file(tmp_path):
    path = tmp_path / "ids.npy"

    def peak(n: int) -> int:
        tracemalloc.start()
        write_token_file(path, itertools.repeat(3, n), 10)
        TokenFileDataset(path, 4, vocab_size=10)[n // 5 - 2]
        try:
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(1_000_000) < 1.5 * peak(200_000)


# --- lotes por tamanho


@settings(deadline=None)
@given(
    lengths=st.lists(st.integers(1, 50), max_size=80),
    limit=st.integers(1, 120),
    by=st.sampled_from(["batch_size", "max_tokens"]),
    shuffle=st.booleans(),
)
def test_length_batches_have_each_index_once_and_respect_the_limit(lengths, limit, by, shuffle):
    sampler = LengthBatches(lengths, **{by: limit}, shuffle=shuffle)
    for _ in range(2):
        batches = list(sampler)
        assert len(batches) == len(sampler)
        assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
        for batch in batches:
            padded = len(batch) * max(lengths[i] for i in batch)
            assert len(batch) <= limit if by == "batch_size" else (padded <= limit or len(batch) == 1)
    if by == "batch_size":
        assert len(sampler) == -(-len(lengths) // limit)


def test_length_batches_by_hand():
    assert list(LengthBatches([3, 9, 3, 4], max_tokens=9, shuffle=False)) == [[0, 2], [3], [1]]
    assert list(LengthBatches([3, 9, 3, 4], batch_size=3, shuffle=False)) == [[0, 2, 3], [1]]
    assert list(LengthBatches([], max_tokens=9)) == [] and len(LengthBatches([], batch_size=9)) == 0


def test_length_batches_have_their_own_draw_and_resume_from_it():
    lengths = torch.randint(1, 90, (200,), generator=torch.Generator().manual_seed(0)).tolist()
    for by in ({"batch_size": 8}, {"max_tokens": 300}):
        sampler, again = LengthBatches(lengths, **by, seed=5), LengthBatches(lengths, **by, seed=5)
        torch.manual_seed(1)
        first = list(sampler)
        torch.manual_seed(2)
        assert first == list(again) != list(LengthBatches(lengths, **by, seed=6))
        state = sampler.generator.get_state()
        second = list(sampler)
        sampler.generator.set_state(state)
        assert second == list(sampler) != first


def test_length_batches_waste_little():
    lengths = torch.randint(1, 200, (640,), generator=torch.Generator().manual_seed(0)).tolist()
    for by in ({"batch_size": 8}, {"max_tokens": 800}):
        batches = list(LengthBatches(lengths, **by))
        padded = sum(len(batch) * max(lengths[i] for i in batch) for batch in batches)
        assert sum(lengths) / padded > 0.9


@pytest.mark.parametrize(
    "options", [{}, {"batch_size": 2, "max_tokens": 3}, {"batch_size": 0}, {"max_tokens": -1}]
)
def test_length_batches_ask_for_one_positive_limit(options):
    with pytest.raises(ValueError, match="passe batch_size ou max_tokens|ao menos 1"):
        LengthBatches([1, 2], **options)


# --- processos auxiliares


def test_worker_receives_the_path_and_not_the_ids(tmp_path):
    path = tmp_path / "ids.npy"
    write_token_file(path, itertools.repeat(3, 100_000), 10)
    data = TokenFileDataset(path, 4)
    pickled = pickle.dumps(data)
    assert len(pickled) < 2000
    assert len(pickle.loads(pickled)) == len(data)
    assert torch.equal(pickle.loads(pickled)[7][1], data[7][1])


def test_loader_with_workers_gives_the_same_batches(tmp_path):
    path = tmp_path / "ids.npy"
    write_token_file(path, IDS, 141)
    alone = create_dataloader(TokenFileDataset(path, 4), 2)
    helped = create_dataloader(TokenFileDataset(path, 4), 2, num_workers=1)
    assert order(alone) == order(helped)


OWN = "São João\ncoração, “pão” — 1,50"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_own_text_in_each_common_encoding(tmp_path, encoding):
    path = tmp_path / "meu.txt"
    path.write_bytes(OWN.replace("\n", "\r\n").encode(encoding))
    said = "utf-8" if encoding.startswith("utf-8") else encoding
    assert load_own_text(path, said) == OWN


def test_own_text_comes_in_nfc_with_unix_lines(tmp_path):
    path = tmp_path / "mac.txt"
    path.write_bytes("corac\u0327a\u0303o\rfim".encode())
    assert load_own_text(path) == "coração\nfim"


@pytest.mark.parametrize(
    ("raw", "encoding", "message"),
    [
        (OWN.encode("cp1252"), "utf-8", "encoding='cp1252'"),
        (OWN.encode("utf-16"), "utf-8", "encoding='utf-16'"),
        ("so ascii".encode("utf-16-le"), "utf-8", "encoding='utf-16'"),
        (OWN.encode(), "cp1252", "tire o encoding"),
        (OWN.encode("cp1252"), "ascii", "não está em ascii"),
        (b"\x81\x8d", "cp1252", "não está em cp1252"),
        (OWN.encode(), "utf8000", "não conheço"),
        (b"%PDF-1.7 ...", "utf-8", "é um PDF"),
        (b"PK\x03\x04 ...", "utf-8", "docx"),
        (b"{\\rtf1 ola}", "utf-8", "rtf"),
        (b"", "utf-8", "não tem texto"),
        (b"\xef\xbb\xbf \r\n", "utf-8", "não tem texto"),
    ],
)
def test_own_text_refusals_say_what_to_do(tmp_path, raw, encoding, message):
    path = tmp_path / "meu.txt"
    path.write_bytes(raw)
    with pytest.raises(ValueError, match=message):
        load_own_text(path, encoding)


def test_own_text_missing_file_or_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="confira o caminho"):
        load_own_text(tmp_path / "nada.txt")
    with pytest.raises(OSError, match="é uma pasta"):
        load_own_text(tmp_path)
