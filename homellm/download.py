# Gerado por ferramentas/tangle.py. NÃO EDITE: mude book/oficina/arquivos-e-dados.md.
# sha256 do que segue: bff8bae5046b331b16fcd3da8e2c0d5d275e67b43ea7c1d07f05ed42bf7b8e5b
"""A rede: pedidos HTTP com prazo e limite de bytes, e o download conferido de arquivos.

`open_url` é o único caminho do pacote até a rede; `fetch` baixa o que há em `MANIFEST`.
"""

from __future__ import annotations

import errno
import hashlib
import http.client
import io
import math
import os
import shutil
import socket
import ssl
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import certifi
import platformdirs
from safetensors import SafetensorError, safe_open

import homellm
from homellm.files import read_json, read_text, write_json

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


class NetworkError(RuntimeError):
    """O pedido não deu certo; a mensagem diz por quê.

    `retry`: adianta insistir? `missing`: o servidor diz que o arquivo não existe.
    """

    def __init__(
        self, reason: str, *, retry: bool = True, missing: bool = False
    ) -> None:
        super().__init__(reason)
        self.retry, self.missing = retry, missing


@dataclass(frozen=True)
class _Clock:
    """O prazo de um pedido: segundos ao todo e segundos de silêncio."""

    deadline: float
    silence: float = math.inf
    start: float = field(default_factory=time.monotonic)

    def rest(self) -> float:
        """Quantos segundos faltam para o fim do prazo; negativo se passou."""
        return self.start + self.deadline - time.monotonic()

    def left(self) -> float:
        """Quanto a próxima operação pode demorar; `TimeoutError` se o prazo acabou."""
        if self.rest() <= 0:
            raise TimeoutError
        return min(self.rest(), self.silence)

    def error(self) -> NetworkError:
        """O erro de um prazo estourado, que diz qual dos dois."""
        if self.rest() <= 0:
            return NetworkError(f"não terminou em {self.deadline:.3g} s", retry=False)
        return NetworkError(f"não respondeu em {self.silence:g} s")


class _TimedReader(io.RawIOBase):
    """O que chega pelo soquete, com o prazo do relógio em cada leitura."""

    def __init__(self, sock: socket.socket, clock: _Clock) -> None:
        self.sock, self.clock = sock, clock
        self.raw = sock.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self.sock.settimeout(self.clock.left())
        return self.raw.readinto(buffer)

    def close(self) -> None:
        self.raw.close()
        super().close()


def _opener(clock: _Clock, proxies: bool) -> urllib.request.OpenerDirector:
    """Quem faz os pedidos: segue redirecionamentos e os proxies do ambiente."""

    class Response(http.client.HTTPResponse):
        def __init__(self, sock: socket.socket, *args: Any, **named: Any) -> None:
            super().__init__(sock, *args, **named)
            self.fp.close()
            self.fp = io.BufferedReader(_TimedReader(sock, clock))

    class Plain(http.client.HTTPConnection):
        response_class = Response

        def connect(self) -> None:
            self.timeout = clock.left()
            super().connect()

        def send(self, data: Any) -> None:
            if self.sock is not None:
                self.sock.settimeout(clock.left())
            super().send(data)

    class Secure(Plain, http.client.HTTPSConnection):
        pass

    class PlainHandler(urllib.request.HTTPHandler):
        def http_open(self, request: urllib.request.Request) -> Any:
            return self.do_open(Plain, request)

    class SecureHandler(urllib.request.HTTPSHandler):
        def https_open(self, request: urllib.request.Request) -> Any:
            context = ssl.create_default_context()
            context.load_verify_locations(certifi.where())
            return self.do_open(Secure, request, context=context)

    chosen = urllib.request.ProxyHandler(None if proxies else {})
    return urllib.request.build_opener(PlainHandler, SecureHandler, chosen)


@dataclass(frozen=True)
class Reply:
    """A resposta de um servidor; os bytes vêm por `chunks`, ou todos por `read`."""

    status: int
    headers: http.client.HTTPMessage
    chunks: Iterator[bytes]

    def read(self) -> bytes:
        """O corpo inteiro. Erros: `NetworkError`."""
        return b"".join(self.chunks)


def _network_error(error: Exception, clock: _Clock) -> NetworkError:
    """A frase que cabe a cada jeito de um pedido dar errado."""
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, Exception):
        error = error.reason
    if isinstance(error, TimeoutError):
        return clock.error()
    if isinstance(error, ssl.SSLCertVerificationError):
        return NetworkError("o certificado do servidor não confere", retry=False)
    if isinstance(error, (ConnectionRefusedError, socket.gaierror)):
        return NetworkError("sem conexão com o servidor")
    if isinstance(error, (http.client.IncompleteRead, ConnectionError)):
        return NetworkError("a conexão caiu no meio")
    if isinstance(error, http.client.HTTPException):
        return NetworkError(f"a resposta não é HTTP ({type(error).__name__})")
    return NetworkError(f"sem conexão com o servidor ({error})")


def _chunks(response: Any, clock: _Clock, max_bytes: int) -> Iterator[bytes]:
    """Os bytes da resposta, à medida que chegam, até o limite."""
    total = 0
    try:
        while chunk := response.read1(1 << 16):
            total += len(chunk)
            if total > max_bytes:
                raise NetworkError(f"veio mais que {max_bytes} bytes", retry=False)
            yield chunk
    except (OSError, http.client.HTTPException) as error:
        raise _network_error(error, clock) from error
    if response.length:  # prometido e não entregue
        raise NetworkError(
            f"a conexão caiu em {total} de {total + response.length} bytes"
        )


def _checked(url: str) -> str:
    """O endereço, se é um endereço http bem formado."""
    try:
        parts = urlsplit(url)
        if (
            parts.scheme not in ("http", "https")
            or not parts.hostname
            or parts.port == 0
        ):
            raise ValueError("falta http://servidor")
        if not url.isascii() or not url.isprintable() or " " in url:
            raise ValueError("há espaço, acento ou caractere invisível")
    except ValueError as error:
        raise ValueError(
            f"{url!r} não é um endereço http ({error}); corrija-o"
        ) from error
    return url


@contextmanager
def _request(
    url: str,
    clock: _Clock,
    max_bytes: int,
    data: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    proxies: bool = True,
) -> Iterator[Reply]:
    """O pedido de `open_url`, com um relógio que já pode estar andando."""
    identity = {
        "User-Agent": f"homellm/{homellm.__version__}",
        "Accept-Encoding": "identity",
    }
    request = urllib.request.Request(
        _checked(url), data, identity | dict(headers or {})
    )
    try:
        response = _opener(clock, proxies).open(request, timeout=clock.left())
    except urllib.error.HTTPError as error:
        response = error  # é uma resposta também
    except (OSError, http.client.HTTPException) as error:
        raise _network_error(error, clock) from error
    except ValueError as error:
        reason = f"o servidor mandou para um endereço malformado ({error})"
        raise NetworkError(reason, retry=False) from error
    with response:
        chunks = _chunks(response, clock, max_bytes)
        yield Reply(response.status, response.headers, chunks)


@contextmanager
def open_url(
    url: str,
    *,
    data: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    deadline: float,
    max_bytes: int,
    proxies: bool = True,
) -> Iterator[Reply]:
    """Um pedido HTTP (`GET`, ou `POST` se há `data`), com prazo e limite de bytes.

    Um status de erro não levanta exceção: está em `Reply.status`. Redirecionamentos são
    seguidos, e só para http e https.

    Args:
        deadline: segundos para o pedido todo: conexão, cabeçalho e corpo. Só a procura
            do nome do servidor, que é do sistema, fica de fora.
        max_bytes: quantos bytes de corpo são aceitos.
        proxies: usa os proxies do ambiente; `False` para um servidor desta máquina.

    Erros: `ValueError` se `url` não é um endereço http; `NetworkError` se não há
    conexão, se estoura o prazo ou o limite, ou se a resposta não é HTTP.

    Exemplo::

        tags = "http://localhost:11434/api/tags"
        with open_url(tags, deadline=5, max_bytes=10**6, proxies=False) as reply:
            if reply.status == 200:
                print(reply.read())
    """
    with _request(url, _Clock(deadline), max_bytes, data, headers, proxies) as reply:
        yield reply


_LIMITS = {".safetensors": 8 << 30, ".bin": 8 << 30}  # bytes; os pesos são os grandes
_LIMIT, _UNPACKED_LIMIT, _UNPACKED_FILES = 100 << 20, 1 << 30, 10_000
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


@dataclass(frozen=True)
class RemoteFile:
    """Um arquivo a baixar.

    `urls` em ordem de preferência; `sha256` e `size` (bytes) quando conferidos;
    `alternative` é o arquivo que serve no lugar deste se nenhum endereço o tem.
    """

    name: str
    urls: tuple[str, ...]
    sha256: str | None = None
    size: int | None = None
    alternative: RemoteFile | None = None

    @property
    def limit(self) -> int:
        """Quantos bytes são aceitos."""
        return self.size or _LIMITS.get(Path(self.name).suffix, _LIMIT)


@dataclass(frozen=True)
class Remote:
    """Um conjunto de fora; `note` diz o que não se pôde conferir."""

    title: str
    license: str
    files: tuple[RemoteFile, ...]
    unpack: bool = False
    note: str = ""


def _hugging_face(repo: str, revision: str, name: str, **known: Any) -> RemoteFile:
    """Um arquivo de um repositório do Hugging Face, com o espelho hf-mirror.com."""
    hosts = ("https://huggingface.co", "https://hf-mirror.com")
    urls = tuple(f"{host}/{repo}/resolve/{revision}/{name}" for host in hosts)
    return RemoteFile(name, urls, **known)


def _gutenberg(number: int, slug: str) -> RemoteFile:
    """Um livro do Projeto Gutenberg em UTF-8, com o espelho que o projeto mantém."""
    hosts = ("https://www.gutenberg.org", "https://gutenberg.pglaf.org")
    urls = tuple(f"{host}/cache/epub/{number}/pg{number}.txt" for host in hosts)
    return RemoteFile(f"{slug}.txt", urls)


GUTENBERG_SHELF = {  # número do livro no Projeto Gutenberg: nome do arquivo
    54829: "machado-bras-cubas",
    55682: "machado-quincas-borba",
    55752: "machado-dom-casmurro",
    56737: "machado-esau-e-jaco",
    53101: "machado-a-mao-e-a-luva",
    57001: "machado-papeis-avulsos",
    67740: "alencar-iracema",
    38496: "alencar-ubirajara",
    44540: "alencar-cinco-minutos",
    67831: "alencar-a-pata-da-gazela",
    40409: "eca-os-maias",
    42942: "eca-o-primo-basilio",
    23145: "eca-a-ilustre-casa-de-ramires",
    31347: "eca-contos",
}


_GPT2 = partial(
    _hugging_face, "openai-community/gpt2", "607a30d783dfa663caf39e06633721c8d4cfcd7e"
)
_GPT2_FILES = ("config.json", "vocab.json", "merges.txt", "model.safetensors")
_GPT2_PT = partial(_hugging_face, "pierreguillou/gpt2-small-portuguese", "main")
_UNCHECKED = "Somas e tamanhos não conferidos; valem os do seu primeiro download."
_UCI = "https://archive.ics.uci.edu"
_RAW = "https://raw.githubusercontent.com"

MANIFEST = {  # nome → o que `fetch` sabe baixar
    "uci-sms-spam": Remote(
        "SMS Spam Collection, da UCI: 5.574 mensagens em inglês",
        "CC BY 4.0",
        (
            RemoteFile(
                "sms-spam-collection.zip",
                (
                    f"{_UCI}/static/public/228/sms+spam+collection.zip",
                    f"{_UCI}/ml/machine-learning-databases/00228/smsspamcollection.zip",
                    "https://f001.backblazeb2.com/file/LLMs-from-scratch/"
                    "sms%2Bspam%2Bcollection.zip",
                ),
                "1587ea43e58e82b14ff1f5425c88e17f8496bfcdb67a583dbff9eefaf9963ce3",
            ),
        ),
        unpack=True,
    ),
    "gutenberg-pt": Remote(
        "Machado, Alencar e Eça: 14 livros do Projeto Gutenberg",
        "domínio público; o nome Project Gutenberg tem regras próprias "
        "(gutenberg.org/policy/license.html)",
        tuple(_gutenberg(number, slug) for number, slug in GUTENBERG_SHELF.items()),
        note="O Gutenberg corrige seus textos de vez em quando: as somas são as do seu "
        "primeiro download.",
    ),
    "tinyshakespeare": Remote(
        "TinyShakespeare: peças de Shakespeare, em inglês",
        "domínio público",
        (
            RemoteFile(
                "input.txt",
                (
                    f"{_RAW}/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
                    f"{_RAW}/jcjohnson/torch-rnn/master/data/tiny-shakespeare.txt",
                ),
                "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
                1_115_394,
            ),
        ),
    ),
    "gpt2": Remote(
        "GPT-2 pequeno, da OpenAI: 124 milhões de parâmetros",
        "MIT",
        tuple(
            _GPT2(name, size=size, sha256=sha256)
            for name, size, sha256 in (
                (
                    "config.json",
                    665,
                    "0daed7749b4f02b8f76240d5444551d7b08712dab4d0adb8239c56ba823bb7b4",
                ),
                (
                    "vocab.json",
                    1_042_301,
                    "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783",
                ),
                (
                    "merges.txt",
                    456_318,
                    "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5",
                ),
                (
                    "model.safetensors",
                    548_105_171,
                    "248dfc3911869ec493c76e65bf2fcf7f615828b0254c12b473182f0f81d3a707",
                ),
            )
        ),
    ),
    **{
        name: Remote(
            f"{title}, da OpenAI: {size} milhões de parâmetros",
            "MIT",
            tuple(
                _hugging_face(f"openai-community/{name}", "main", file)
                for file in _GPT2_FILES
            ),
            note=_UNCHECKED,
        )
        for name, title, size in (
            ("gpt2-medium", "GPT-2 médio", 355),
            ("gpt2-large", "GPT-2 grande", 774),
            ("gpt2-xl", "GPT-2 XL", 1558),
        )
    },
    "gpt2-small-portuguese": Remote(
        "GPorTuguese-2: o GPT-2 pequeno ajustado à Wikipédia em português",
        "MIT",
        (
            *map(_GPT2_PT, ("config.json", "vocab.json", "merges.txt")),
            _GPT2_PT("model.safetensors", alternative=_GPT2_PT("pytorch_model.bin")),
        ),
        note="Somas e tamanhos não conferidos; sem model.safetensors no repositório, "
        "vem pytorch_model.bin.",
    ),
}


class FetchError(RuntimeError):
    """O download não deu certo; a mensagem diz o conjunto, o motivo e a saída."""


def cache_dir() -> Path:
    """A pasta dos downloads: `HOMELLM_CACHE`, ou a de cache do sistema."""
    chosen = os.environ.get("HOMELLM_CACHE") or platformdirs.user_cache_dir("homellm")
    return Path(chosen).expanduser()


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _wrong_kind(path: Path, name: str) -> str:
    """O que há de errado com um arquivo de que não se sabe a soma; `""` se nada."""
    with path.open("rb") as file:
        start = file.read(1024).lstrip(b"\xef\xbb\xbf \r\n\t").lower()
    if not start:
        return "veio vazio"
    page = b"<!doctype html" in start or b"<html" in start
    if start.startswith(b"<") and page:  # antes pode vir <?xml …> ou um comentário
        return "veio uma página da web no lugar do arquivo"
    try:
        if name.endswith(".json"):
            read_json(path)
        elif name.endswith(".txt"):
            read_text(path)
        elif name.endswith(".safetensors"):
            with safe_open(path, "numpy"):  # confere o cabeçalho e o tamanho
                pass
        elif name.endswith(".zip") and not zipfile.is_zipfile(path):
            return "não é um zip"
        elif name == "pytorch_model.bin" and not start.startswith((b"pk", b"\x80")):
            return "não são pesos do PyTorch"
    except (ValueError, SafetensorError) as error:
        return f"está estragado: {str(error).removeprefix(f'{path}:')}"
    return ""


def _resume(part: Path, url: str, known: bool) -> dict[str, str]:
    """Os cabeçalhos que pedem o resto de `part`, ou nenhum, se é melhor recomeçar."""
    try:
        origin, version = part.with_suffix(".tag").read_text("utf-8").split("\n")
        size = part.stat().st_size
    except (OSError, ValueError):
        return {}
    if origin != url or not size or not (version or known):
        return {}
    return {"Range": f"bytes={size}-"} | ({"If-Range": version} if version else {})


def _start(reply: Reply, part: Path) -> int:
    """O byte em que a resposta começa: 0, ou o fim de `part`, se é continuação."""
    status, headers = reply.status, reply.headers
    if status in (404, 410):
        raise NetworkError(f"não existe ali ({status})", retry=False, missing=True)
    if status not in (200, 206, 416):
        again = status >= 500 or status == 429
        raise NetworkError(f"o servidor respondeu {status}", retry=again)
    if "html" in headers.get("Content-Type", ""):
        raise NetworkError("veio uma página da web no lugar do arquivo", retry=False)
    if headers.get("Content-Encoding", "identity") != "identity":
        raise NetworkError("veio comprimido, sem que se pedisse", retry=False)
    if status == 200:
        return 0
    size = part.stat().st_size if part.exists() else 0
    wanted = f"bytes {size}-"
    if status != 206 or not headers.get("Content-Range", "").startswith(wanted):
        part.unlink(missing_ok=True)
        raise NetworkError(f"o servidor não soube continuar ({status})")
    return size


def _transfer(
    url: str, part: Path, file: RemoteFile, known: bool, clock: _Clock, progress: bool
) -> None:
    """Uma tentativa de baixar `url` para `part`."""
    if progress:
        from tqdm.auto import tqdm
    else:  # a barra dos notebooks avisa, ao ser importada, que lhe faltam os widgets
        from tqdm import tqdm

    headers = _resume(part, url, known)
    with _request(url, clock, file.limit, headers=headers) as reply:
        start = _start(reply, part)
        length = reply.headers.get("Content-Length", "")
        total = start + int(length) if length.isdecimal() else None
        if total and (total > file.limit or file.size not in (None, total)):
            part.unlink(missing_ok=True)
            raise NetworkError(
                f"o arquivo de lá tem {total} bytes: é outro", retry=False
            )
        etag = reply.headers.get("ETag", "")
        weak = not etag or etag.startswith("W/")
        version = reply.headers.get("Last-Modified", "") if weak else etag
        part.with_suffix(".tag").write_text(f"{url}\n{version}", "utf-8")
        bar = tqdm(
            total=total,
            initial=start,
            unit="B",
            unit_scale=True,
            desc=part.stem,
            disable=not progress,
        )
        with part.open("ab" if start else "wb") as out, bar:
            for chunk in reply.chunks:
                out.write(chunk)
                bar.update(len(chunk))
                if out.tell() > file.limit:
                    raise NetworkError(f"veio mais que {file.limit} bytes", retry=False)


@dataclass(frozen=True)
class _Options:
    """O que `fetch` recebeu, e vale para o conjunto todo."""

    clock: _Clock
    retries: int
    wait: float
    progress: bool


def _download(
    url: str, path: Path, file: RemoteFile, known: str | None, options: _Options
) -> None:
    """Baixa `url` para `path`, conferido; insiste enquanto adianta."""
    part = path.with_name(f"{path.name}.part")
    attempt = best = 0
    while True:
        try:
            _transfer(url, part, file, bool(known), options.clock, options.progress)
            break
        except NetworkError as failure:
            size = part.stat().st_size if part.exists() else 0
            attempt, best = (1, size) if size > best else (attempt + 1, best)
            if not failure.retry or attempt > options.retries:
                raise
            pause = min(options.wait * 2 ** (attempt - 1), options.clock.rest())
            time.sleep(max(pause, 0))
    part.with_suffix(".tag").unlink(missing_ok=True)
    if known:
        same = _sha256(part) == known
        reason = "" if same else "veio outro arquivo: a soma SHA-256 não bate"
    else:
        reason = _wrong_kind(part, file.name)
    if reason:
        part.unlink()
        raise NetworkError(reason, retry=False)
    os.replace(part, path)


def _obtain(
    name: str,
    folder: Path,
    file: RemoteFile,
    sums: Mapping[str, Any],
    options: _Options,
) -> Path:
    """O caminho de um arquivo do conjunto, do cache ou baixado; conferido."""
    path, known = folder / file.name, file.sha256 or sums.get(file.name)
    if path.exists():
        if known and _sha256(path) != known:
            raise FetchError(
                f"{name!r}: {path} mudou desde que foi baixado (a soma SHA-256 é "
                f"outra). Apague-o e chame fetch({name!r}) de novo, ou guarde a sua "
                "versão em outra pasta."
            )
        if not known and (problem := _wrong_kind(path, file.name)):
            raise FetchError(
                f"{name!r}: {path} não serve ({problem}). Apague-o e chame "
                f"fetch({name!r}) de novo."
            )
        return path
    if file.alternative and (folder / file.alternative.name).exists():
        return _obtain(name, folder, file.alternative, sums, options)
    failures: list[tuple[str, NetworkError]] = []
    for url in file.urls:
        try:
            _download(url, path, file, known, options)
            return path
        except NetworkError as failure:
            failures.append((url, failure))
    if file.alternative and all(failure.missing for _, failure in failures):
        return _obtain(name, folder, file.alternative, sums, options)
    reasons = "\n".join(f"- {url}: {failure}" for url, failure in failures)
    raise FetchError(
        f"não consegui baixar {file.name}, de {name!r}:\n{reasons}\n"
        f"Confira a rede e chame fetch({name!r}) de novo (o que já veio é "
        f"aproveitado), ou baixe o arquivo por outro meio e ponha-o em {path}"
    )


def _check_zip(bundle: zipfile.ZipFile, root: Path) -> None:
    """Recusa o zip que sai da pasta, que é grande demais por dentro, ou cifrado."""
    members = bundle.infolist()
    if not all((root / m.filename).resolve().is_relative_to(root) for m in members):
        raise zipfile.BadZipFile("há caminhos que saem da pasta de destino")
    unpacked = sum(member.file_size for member in members)
    if unpacked > _UNPACKED_LIMIT or len(members) > _UNPACKED_FILES:
        raise zipfile.BadZipFile(
            f"por dentro há {len(members)} arquivos e {unpacked} bytes, "
            "mais que o limite"
        )
    if any(member.flag_bits & 1 for member in members):
        raise zipfile.BadZipFile("está cifrado")
    if any(member.compress_type not in _COMPRESSIONS for member in members):
        raise zipfile.BadZipFile("usa uma compressão que o livro não lê")


def _unpack(name: str, archive: Path, folder: Path) -> Path:
    """Extrai `archive` para `folder`, inteiro ou nada."""
    work = folder.with_suffix(".part")
    shutil.rmtree(work, ignore_errors=True)
    try:
        with zipfile.ZipFile(archive) as bundle:
            _check_zip(bundle, work.resolve())
            bundle.extractall(work)
        return work.rename(folder)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, ValueError) as error:
        archive.unlink()
        raise FetchError(
            f"{name!r}: {archive.name} não é um zip confiável ({error}) e foi apagado. "
            f"Chame fetch({name!r}) de novo; se continuar, o servidor está servindo "
            "outra coisa."
        ) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


@contextmanager
def _alone(folder: Path, clock: _Clock) -> Iterator[None]:
    """Só um processo por vez nesta pasta."""
    if fcntl is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(min(0.1, clock.left()))
            except OSError:  # um disco de rede sem trancas
                break
        yield
    finally:
        os.close(handle)


def _noted(notes: Path) -> dict[str, Any]:
    """As somas anotadas em downloads anteriores."""
    try:
        return read_json(notes) if notes.exists() else {}
    except ValueError as error:
        raise FetchError(f"{error}. Apague {notes} e chame fetch de novo.") from error


def _collect(name: str, remote: Remote, folder: Path, options: _Options) -> Path:
    """Obtém os arquivos e anota em `sha256.json` as somas que o manifesto não traz."""
    notes = folder / "sha256.json"
    sums = _noted(notes)
    paths = [_obtain(name, folder, file, sums, options) for file in remote.files]
    result = paths[0] if len(paths) == 1 else folder
    if remote.unpack:
        result = folder / "unpacked"
        result = result if result.is_dir() else _unpack(name, paths[0], result)
    published = {file.name for file in remote.files if file.sha256}
    if missing := [path for path in paths if path.name not in published | sums.keys()]:
        write_json(notes, sums | {path.name: _sha256(path) for path in missing})
    return result


def fetch(
    name: str,
    *,
    progress: bool = True,
    timeout: float = 30.0,
    deadline: float = 3600.0,
    retries: int = 3,
    wait: float = 1.0,
) -> Path:
    """Baixa um conjunto de fora, ou o acha no cache, e devolve o arquivo, ou a pasta.

    A soma SHA-256 é conferida em todo uso; no primeiro download de um arquivo sem soma
    publicada, confere-se a espécie. Um download interrompido continua na próxima
    chamada.

    Args:
        name: um dos nomes de `MANIFEST`.
        progress: mostra uma barra de progresso.
        timeout: segundos sem chegar nada até desistir de uma tentativa.
        deadline: segundos para o conjunto todo.
        retries: novas tentativas por endereço; a espera entre elas começa em `wait`
            segundos e dobra.

    Erros: `ValueError` se o nome é desconhecido (a mensagem lista os que existem);
    `FetchError` se falta a rede, estoura o prazo, a soma é outra, um arquivo do cache
    mudou, ou o disco está cheio ou fechado. A mensagem diz o conjunto e a saída, e no
    destino não fica arquivo pela metade.
    """
    if name not in MANIFEST:
        raise ValueError(
            f"não sei baixar {name!r}; use um de {tuple(sorted(MANIFEST))}."
        )
    folder, clock = cache_dir() / name, _Clock(deadline, timeout)
    options = _Options(clock, retries, wait, progress)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder, clock):
            return _collect(name, MANIFEST[name], folder, options)
    except TimeoutError:
        raise FetchError(
            f"{name!r}: outro processo está baixando o mesmo, e não terminou em "
            f"{deadline:g} s. Espere por ele, ou encerre-o."
        ) from None
    except OSError as error:
        trouble = f"não consigo escrever em {folder} ({error.strerror or error})"
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            trouble = "o disco encheu"
            for rest in (*folder.glob("*.part"), *folder.glob("*.tag")):
                rest.unlink()
        raise FetchError(
            f"{name!r}: {trouble}. Libere espaço, ou aponte HOMELLM_CACHE para uma "
            "pasta sua em outro disco."
        ) from error
