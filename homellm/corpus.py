# Gerado por ferramentas/tangle.py a partir de book/01-introducao.md, book/conjuntos.md. NÃO EDITE.
# sha256 do que segue: 64bbd0e1a1e907069ad7a322ed989badf3cb06d73c1332b784b05cc7238d9099
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
from typing import Any

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

    @property
    def document(self) -> str:
        """O texto como um modelo o lê: título, linha em branco, corpo."""
        return f"{self.title}\n\n{self.text}"


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


def load_table(name: str, split: str | None = None) -> list[Any]:
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

    Um split que existe mas está vazio devolve `""`. Erros: os de `load_table`, e `ValueError` se o conjunto
    não é de texto corrido.
    """
    rows = load_table(name, split)
    if not all(isinstance(row, Story) for row in rows):
        raise ValueError(f"{name!r} é uma tabela, e não texto corrido; use load_table({name!r}).")
    return "\n\n\n".join(row.document for row in rows)


import json
from dataclasses import fields
from functools import partial


@dataclass(frozen=True)
class Labeled:
    """Um texto com rótulo, de `spam` ou de `sentimento`; a `familia` reúne os que contam a mesma história."""

    texto: str
    rotulo: str
    familia: str
    split: str


@dataclass(frozen=True)
class Instruction:
    """Um pedido e a sua resposta, de `instrucoes` ou de `regras`; `entrada` pode ser vazia."""

    instrucao: str
    entrada: str
    resposta: str
    familia: str
    split: str


@dataclass(frozen=True)
class Dialogue:
    """Uma conversa, de `conversas`: pares (usuario, assistente); `sistema`, que dá o tom, pode ser vazio."""

    sistema: str
    turnos: tuple[tuple[str, str], ...]
    familia: str
    split: str


def _turns(where: str, value: object) -> tuple[tuple[str, str], ...]:
    """Os turnos de uma conversa, que no arquivo são listas de dois textos."""
    pairs = value if isinstance(value, list) else []
    texts = [text for pair in pairs if isinstance(pair, list) and len(pair) == 2 for text in pair]
    if not pairs or len(texts) != 2 * len(pairs) or not all(isinstance(t, str) and t.strip() for t in texts):
        raise ValueError(f"{where}: esperava em turnos uma lista de pares [usuario, assistente] de textos.")
    return tuple((user, assistant) for user, assistant in pairs)


def _record(where: str, line: str, names: list[str]) -> dict[str, Any]:
    """O objeto JSON de uma linha, que tem de ter exatamente estes campos."""
    expected = f"esperava um objeto JSON com os campos {', '.join(names)}"
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"{where}: não é JSON (coluna {error.colno}); {expected}.") from error
    if not isinstance(record, dict) or set(record) != set(names):
        found = ", ".join(record) if isinstance(record, dict) else type(record).__name__
        raise ValueError(f"{where}: {expected}; achei {found or 'nenhum'}.")
    return record


def read_table(path: Path, kind: type[Any], labels: tuple[str, ...] = ()) -> list[Any]:
    """Lê um arquivo `.jsonl`, um objeto por linha; `kind` é a dataclass de cada registro.

    Raises:
        ValueError: linha fora do formato ou arquivo que não é UTF-8; a mensagem traz arquivo e linha.
    """
    names = [field.name for field in fields(kind)]
    allowed = {"split": SPLITS, "rotulo": labels}
    lines = _lines(path)
    rows = []
    for number, line in enumerate(lines[:-1] if lines[-1] == "" else lines, start=1):
        where = f"{path}:{number}"
        record = _record(where, line, names)
        for name, value in record.items():
            if name == "turnos":
                record[name] = _turns(where, value)
            elif not isinstance(value, str) or not (value.strip() or name in ("entrada", "sistema")):
                raise ValueError(f"{where}: esperava em {name} um texto, achei {value!r}.")
            elif name in allowed and value not in allowed[name]:
                raise ValueError(f"{where}: {name} {value!r} não existe; use um de {allowed[name]}.")
        rows.append(kind(**record))
    return rows


_FEELINGS = ("positivo", "negativo", "misto")
DATASETS = DATASETS | {
    "spam": ("spam.jsonl", partial(read_table, kind=Labeled, labels=("spam", "ham"))),
    "sentimento": ("sentimento.jsonl", partial(read_table, kind=Labeled, labels=_FEELINGS)),
    "instrucoes": ("instrucoes.jsonl", partial(read_table, kind=Instruction)),
    "regras": ("regras.jsonl", partial(read_table, kind=Instruction)),
    "conversas": ("conversas.jsonl", partial(read_table, kind=Dialogue)),
}


@dataclass(frozen=True)
class RemoteFile:
    """Um arquivo a baixar.

    `urls` em ordem de preferência; `sha256` e `size` (bytes) quando conferidos; `alternative` é o arquivo
    que serve no lugar deste se nenhum endereço o tem.
    """

    name: str
    urls: tuple[str, ...]
    sha256: str | None = None
    size: int | None = None
    alternative: RemoteFile | None = None


@dataclass(frozen=True)
class Remote:
    """Um conjunto de fora: arquivos, licença, e `note` com o que não se pôde conferir."""

    title: str
    license: str
    files: tuple[RemoteFile, ...]
    unpack: bool = False
    note: str = ""


def _hugging_face(repo: str, revision: str, name: str, **known: Any) -> RemoteFile:
    """Um arquivo de um repositório do Hugging Face, com o espelho hf-mirror.com."""
    hosts = ("https://huggingface.co", "https://hf-mirror.com")
    return RemoteFile(name, tuple(f"{host}/{repo}/resolve/{revision}/{name}" for host in hosts), **known)


def _gutenberg(number: int, slug: str) -> RemoteFile:
    """Um livro do Projeto Gutenberg em texto UTF-8, com o espelho que o próprio projeto mantém."""
    hosts = ("https://www.gutenberg.org", "https://gutenberg.pglaf.org")
    return RemoteFile(f"{slug}.txt", tuple(f"{host}/cache/epub/{number}/pg{number}.txt" for host in hosts))


GUTENBERG_SHELF = {  # número do livro no Projeto Gutenberg: nome do arquivo
    54829: "machado-bras-cubas", 55682: "machado-quincas-borba", 55752: "machado-dom-casmurro",
    56737: "machado-esau-e-jaco", 53101: "machado-a-mao-e-a-luva", 57001: "machado-papeis-avulsos",
    67740: "alencar-iracema", 38496: "alencar-ubirajara", 44540: "alencar-cinco-minutos",
    67831: "alencar-a-pata-da-gazela", 40409: "eca-os-maias", 42942: "eca-o-primo-basilio",
    23145: "eca-a-ilustre-casa-de-ramires", 31347: "eca-contos",
}  # fmt: skip


_GPT2 = partial(_hugging_face, "openai-community/gpt2", "607a30d783dfa663caf39e06633721c8d4cfcd7e")
_GPT2_FILES = ("config.json", "vocab.json", "merges.txt", "model.safetensors")
_GPT2_PT = partial(_hugging_face, "pierreguillou/gpt2-small-portuguese", "main")

MANIFEST = {
    "uci-sms-spam": Remote(
        "SMS Spam Collection, da UCI: 5.574 mensagens em inglês", "CC BY 4.0",
        (RemoteFile(
            "sms-spam-collection.zip",
            ("https://archive.ics.uci.edu/static/public/228/sms+spam+collection.zip",
             "https://archive.ics.uci.edu/ml/machine-learning-databases/00228/smsspamcollection.zip",
             "https://f001.backblazeb2.com/file/LLMs-from-scratch/sms%2Bspam%2Bcollection.zip"),
            "1587ea43e58e82b14ff1f5425c88e17f8496bfcdb67a583dbff9eefaf9963ce3"),),
        unpack=True,
    ),
    "gutenberg-pt": Remote(
        "Machado, Alencar e Eça: 14 livros do Projeto Gutenberg",
        "domínio público; o nome Project Gutenberg tem regras próprias (gutenberg.org/policy/license.html)",
        tuple(_gutenberg(number, slug) for number, slug in GUTENBERG_SHELF.items()),
        note="O Gutenberg corrige seus textos de vez em quando: as somas são as do seu primeiro download.",
    ),
    "tinyshakespeare": Remote(
        "TinyShakespeare: peças de Shakespeare, em inglês", "domínio público",
        (RemoteFile(
            "input.txt",
            ("https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
             "https://raw.githubusercontent.com/jcjohnson/torch-rnn/master/data/tiny-shakespeare.txt"),
            "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed", 1_115_394),),
    ),
    "gpt2": Remote(
        "GPT-2 pequeno, da OpenAI: 124 milhões de parâmetros", "MIT",
        (_GPT2("config.json", size=665,
               sha256="0daed7749b4f02b8f76240d5444551d7b08712dab4d0adb8239c56ba823bb7b4"),
         _GPT2("vocab.json", size=1_042_301,
               sha256="196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783"),
         _GPT2("merges.txt", size=456_318,
               sha256="1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5"),
         _GPT2("model.safetensors", size=548_105_171,
               sha256="248dfc3911869ec493c76e65bf2fcf7f615828b0254c12b473182f0f81d3a707")),
    ),
    **{
        name: Remote(
            f"{title}, da OpenAI: {size} milhões de parâmetros", "MIT",
            tuple(_hugging_face(f"openai-community/{name}", "main", file) for file in _GPT2_FILES),
            note="Somas e tamanhos não conferidos; valem os do seu primeiro download.",
        )
        for name, title, size in (("gpt2-medium", "GPT-2 médio", 355), ("gpt2-large", "GPT-2 grande", 774),
                                  ("gpt2-xl", "GPT-2 XL", 1558))
    },
    "gpt2-small-portuguese": Remote(
        "GPorTuguese-2: o GPT-2 pequeno ajustado à Wikipédia em português", "MIT",
        (*map(_GPT2_PT, ("config.json", "vocab.json", "merges.txt")),
         _GPT2_PT("model.safetensors", alternative=_GPT2_PT("pytorch_model.bin"))),
        note="Somas e tamanhos não conferidos; sem model.safetensors no repositório, vem pytorch_model.bin.",
    ),
}  # fmt: skip


import errno
import hashlib
import os
import shutil
import time
import warnings
import zipfile


class FetchError(RuntimeError):
    """O download não deu certo; a mensagem diz o conjunto, o motivo e a saída."""


class _Failure(Exception):
    """Um endereço que não serviu: `missing` se o arquivo não existe ali, `retry` se adianta insistir."""

    def __init__(self, reason: str, *, missing: bool = False, retry: bool = True) -> None:
        super().__init__(reason)
        self.missing, self.retry = missing, retry and not missing


def _pooch() -> Any:
    """O pooch, importado só quando faz falta, e sem o aviso que ele provoca em Jupyter sem ipywidgets."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "IProgress not found")
        import pooch
    return pooch


def cache_dir() -> Path:
    """A pasta dos downloads: `HOMELLM_CACHE`, ou a de cache do sistema."""
    return Path(os.environ.get("HOMELLM_CACHE") or _pooch().os_cache("homellm")).expanduser()


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


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


def _start(response: Any, part: Path) -> int:
    """O byte em que a resposta começa: 0, ou o fim de `part`, se o servidor sabe continuar."""
    status, headers = response.status_code, response.headers
    if status in (404, 410):
        raise _Failure(f"não existe ali ({status})", missing=True)
    if status >= 400 and status != 416:
        raise _Failure(f"o servidor respondeu {status}", retry=status >= 500 or status == 429)
    if "html" in headers.get("Content-Type", ""):
        raise _Failure("veio uma página da web no lugar do arquivo", retry=False)
    if status == 200:
        return 0
    size = part.stat().st_size if part.exists() else 0
    if status != 206 or not headers.get("Content-Range", "").startswith(f"bytes {size}-"):
        part.unlink(missing_ok=True)
        raise _Failure(f"o servidor não soube continuar ({status})")
    return size


def _save(response: Any, url: str, part: Path, progress: bool) -> None:
    """Grava em `part` o corpo da resposta, a partir do byte em que ela começa."""
    from tqdm.auto import tqdm

    start, headers = _start(response, part), response.headers
    length = None if headers.get("Content-Encoding") else headers.get("Content-Length")
    total = None if length is None else start + int(length)
    etag = headers.get("ETag", "")
    version = headers.get("Last-Modified", "") if not etag or etag.startswith("W/") else etag
    part.with_suffix(".tag").write_text(f"{url}\n{version}", "utf-8")
    bar = tqdm(total=total, initial=start, unit="B", unit_scale=True, desc=part.stem, disable=not progress)
    with part.open("ab" if start else "wb") as out, bar:
        for chunk in response.iter_content(1 << 16):
            out.write(chunk)
            bar.update(len(chunk))
    if total is not None and (size := part.stat().st_size) != total:
        raise _Failure(f"a conexão caiu em {size} de {total} bytes")


def _transfer(url: str, part: Path, known: bool, timeout: float, progress: bool) -> None:
    """Uma tentativa de baixar `url` para `part`."""
    import requests

    headers = {"Accept-Encoding": "identity", "User-Agent": f"homellm/{homellm.__version__}"}
    headers |= _resume(part, url, known)
    try:
        with requests.get(url, headers=headers, stream=True, timeout=timeout) as response:
            _save(response, url, part, progress)
    except requests.RequestException as error:
        if isinstance(error, requests.Timeout) or "timed out" in str(error):
            reason = f"não respondeu em {timeout:g} s"
        elif isinstance(error, requests.exceptions.ChunkedEncodingError):
            reason = "a conexão caiu no meio"
        elif isinstance(error, requests.ConnectionError):
            reason = "sem conexão com o servidor"
        else:
            reason = f"{type(error).__name__}: {error}"
        raise _Failure(reason) from error


@dataclass(frozen=True)
class _Downloader:
    """O que `pooch.retrieve` chama para baixar: `url` para `output_file`, passando por `part`."""

    part: Path
    known: bool
    timeout: float
    retries: int
    wait: float
    progress: bool

    def __call__(self, url: str, output_file: str, pooch: Any = None) -> None:
        attempt = best = 0
        while True:
            try:
                _transfer(url, self.part, self.known, self.timeout, self.progress)
                break
            except _Failure as failure:
                size = self.part.stat().st_size if self.part.exists() else 0
                attempt, best = (1, size) if size > best else (attempt + 1, best)
                if not failure.retry or attempt > self.retries:
                    raise
                time.sleep(self.wait * 2 ** (attempt - 1))
        self.part.with_suffix(".tag").unlink(missing_ok=True)
        os.replace(self.part, output_file)


def _obtain(name: str, folder: Path, file: RemoteFile, sums: dict[str, str], **options: Any) -> Path:
    """O caminho de um arquivo do conjunto, do cache ou baixado; soma conferida."""
    path, known = folder / file.name, file.sha256 or sums.get(file.name)
    if path.exists():
        if known and _sha256(path) != known:
            raise FetchError(
                f"{name!r}: {path} mudou desde que foi baixado (a soma SHA-256 é outra). "
                f"Apague-o e chame fetch({name!r}) de novo, ou guarde a sua versão noutra pasta."
            )
        return path
    if file.alternative and (folder / file.alternative.name).exists():
        return _obtain(name, folder, file.alternative, sums, **options)
    downloader = _Downloader(folder / f"{file.name}.part", bool(known), **options)
    failures: list[tuple[str, Exception]] = []
    for url in file.urls:
        try:
            _pooch().retrieve(url, known, file.name, folder, downloader=downloader)
            return path
        except _Failure as failure:
            failures.append((url, failure))
        except ValueError:  # é assim que o pooch diz que a soma não bate
            failures.append((url, _Failure("veio outro arquivo: a soma SHA-256 não bate")))
    if file.alternative and all(failure.missing for _, failure in failures):
        return _obtain(name, folder, file.alternative, sums, **options)
    reasons = "\n".join(f"- {url}: {failure}" for url, failure in failures)
    raise FetchError(
        f"não consegui baixar {file.name}, de {name!r}:\n{reasons}\n"
        f"Confira a rede e chame fetch({name!r}) de novo (o que já veio é aproveitado), "
        f"ou baixe o arquivo por outro meio e ponha-o em {path}"
    )


def _unpack(name: str, archive: Path, folder: Path) -> Path:
    """Extrai `archive` para `folder`, inteiro ou nada."""
    work = folder.with_suffix(".part")
    shutil.rmtree(work, ignore_errors=True)
    try:
        with zipfile.ZipFile(archive) as bundle:
            root = work.resolve()
            if not all((root / member).resolve().is_relative_to(root) for member in bundle.namelist()):
                raise zipfile.BadZipFile("há caminhos que saem da pasta de destino")
            bundle.extractall(work)
        return work.rename(folder)
    except zipfile.BadZipFile as error:
        archive.unlink()
        raise FetchError(
            f"{name!r}: {archive.name} não é um zip confiável ({error}) e foi apagado. "
            f"Chame fetch({name!r}) de novo; se continuar, o servidor está servindo outra coisa."
        ) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _collect(name: str, remote: Remote, folder: Path, **options: Any) -> Path:
    """Obtém tudo o que é do conjunto e anota em `sha256.json` as somas que o manifesto não traz."""
    folder.mkdir(parents=True, exist_ok=True)
    notes = folder / "sha256.json"
    sums: dict[str, str] = json.loads(notes.read_text("utf-8")) if notes.exists() else {}
    paths = [_obtain(name, folder, file, sums, **options) for file in remote.files]
    result = paths[0] if len(paths) == 1 else folder
    if remote.unpack:
        result = folder / "unpacked"
        result = result if result.is_dir() else _unpack(name, paths[0], result)
    published = {file.name for file in remote.files if file.sha256}
    if missing := [path for path in paths if path.name not in published | sums.keys()]:
        sums |= {path.name: _sha256(path) for path in missing}
        draft = notes.with_suffix(".part")
        draft.write_text(json.dumps(sums, indent=1), "utf-8")
        draft.replace(notes)
    return result


def fetch(
    name: str, *, progress: bool = True, timeout: float = 30.0, retries: int = 3, wait: float = 1.0
) -> Path:
    """Baixa um conjunto de fora, ou o acha no cache, e devolve o arquivo, ou a pasta se são vários.

    A soma SHA-256 é conferida em todo uso. Um download interrompido continua na chamada seguinte.

    Args:
        name: um dos nomes de `MANIFEST`.
        progress: mostra uma barra de progresso.
        timeout: segundos sem resposta até desistir de uma tentativa.
        retries: novas tentativas por endereço; a espera entre elas começa em `wait` segundos e dobra.

    Raises:
        ValueError: nome desconhecido; a mensagem lista os que existem.
        FetchError: sem rede, endereço morto, soma errada, arquivo do cache mudado, disco cheio ou fechado.
            A mensagem diz o conjunto e a saída, e no destino não fica arquivo pela metade.
    """
    if name not in MANIFEST:
        raise ValueError(f"não sei baixar {name!r}; use um de {tuple(sorted(MANIFEST))}.")
    folder, logger = cache_dir() / name, _pooch().get_logger()
    options = {"timeout": timeout, "retries": retries, "wait": wait, "progress": progress}
    level = logger.level
    logger.setLevel("ERROR")  # o pooch anuncia cada download em inglês
    try:
        return _collect(name, MANIFEST[name], folder, **options)
    except OSError as error:
        trouble = f"não consigo escrever em {folder} ({error.strerror or error})"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            trouble = "o disco encheu"
            for rest in (*folder.glob("*.part"), *folder.glob("*.tag")):
                rest.unlink()
        raise FetchError(
            f"{name!r}: {trouble}. Libere espaço, ou aponte HOMELLM_CACHE para uma pasta sua noutro disco."
        ) from error
    finally:
        logger.setLevel(level)
