"""O banco da conversa: lê os YAML desta pasta, confere tudo e reparte por split.

>>> bank = Bank.load()
>>> bank.intents["piada"].group
'brincadeira'
>>> set(bank.asks("piada", "train")) & set(bank.asks("piada", "test"))
set()
"""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import yaml

from .familias import assign_splits, family_key
from .historias import Split, family_split
from .historias import load as load_stories
from .texto import slots_of

FOLDER = Path(__file__).parent
WORDS = FOLDER.parents[1] / "palavras.tsv"
SPLITS: tuple[Split, ...] = ("train", "validation", "test")
ANY = "*"
STORY = "historia"
TELLING = "contar-historia"

Item = Mapping[str, Any]


class BankError(ValueError):
    """Um YAML do banco está mal escrito; a mensagem diz o arquivo e a intenção."""


@dataclass(frozen=True)
class Intent:
    """Uma intenção: como se pede, como se responde e depois de que faz sentido.

    `variants` são as respostas de casos à parte (`nunca_disse`, `zero`, `sem`,
    `sobrias`).
    """

    name: str
    group: str
    asks: tuple[str, ...]
    replies: tuple[str, ...]
    source: str
    after: tuple[str, ...] = ()
    variants: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    general: bool = True

    def follows(self, last: str) -> bool:
        """Diz se o pedido cabe depois da intenção `last` (o `*` não vê o que ela é)."""
        return last in self.after or ANY in self.after

    @property
    def free(self) -> bool:
        """Se o pedido vale em qualquer ponto da conversa, até no começo."""
        return not self.after


@dataclass(frozen=True)
class Word:
    """Uma palavra dos jogos, com as formas que tem (vazio: não tem)."""

    text: str
    kind: str
    syllables: str
    plural: str
    feminine: str
    antonym: str
    split: Split


@dataclass(frozen=True)
class Bank:
    """As intenções, as listas (nomes, cidades, pessoas…), os splits e os pesos."""

    intents: Mapping[str, Intent]
    items: Mapping[str, tuple[Item, ...]]
    words: tuple[Word, ...]
    weights: Mapping[str, Any]
    splits: Mapping[str, Split]
    _asks: Mapping[tuple[str, Split], tuple[str, ...]] = field(repr=False)
    _items: Mapping[tuple[str, Split], tuple[Item, ...]] = field(repr=False)
    _groups: Mapping[str, tuple[Intent, ...]] = field(repr=False)

    @classmethod
    def load(cls, folder: Path = FOLDER) -> Bank:
        """Lê e confere o banco, uma vez por processo.

        Raises:
            BankError: o que está errado, e em que arquivo e intenção.
        """
        return _load(folder)

    @cached_property
    def held_out(self) -> frozenset[str]:
        """Os pedidos que o treino não pode conter, normalizados."""
        return frozenset(family_key(a) for a, s in self.splits.items() if s != "train")

    def first_lessons(self) -> Bank:
        """O mesmo banco, com os pesos da primeira fase do treino."""
        first = self.weights["primeiro"]
        chances = {**self.weights["chances"], **first["chances"]}
        return replace(self, weights={**self.weights, **first, "chances": chances})

    def asks(self, intent: str, split: Split) -> tuple[str, ...]:
        """Os pedidos de uma intenção num split."""
        return self._asks[intent, split]

    def listed(self, name: str, split: Split) -> tuple[Item, ...]:
        """Os itens de uma lista num split; as de fatos valem inteiras em todos."""
        return self._items[name, split]

    def in_group(self, group: str) -> tuple[Intent, ...]:
        """As intenções de um grupo, na ordem dos arquivos."""
        return self._groups.get(group, ())


# ------------------------------------------------------------------ ler

FIELDS = ("nome", "idade", "cidade", "bicho", "cor", "comida", "profissao")
OPERATIONS = ("soma", "subtracao")
HELD_OUT_LISTS = {
    "nomes": "nome", "bichos": "nome", "cidades": "cidade", "cores": "cor",
    "comidas": "comida", "profissoes": "profissao", "coisas": "coisa",
    "fora_do_mapa": "pais",
}  # fmt: skip
"""As listas repartidas por item e o grupo do sorteio (nomes: o das histórias)."""

KEYS = frozenset(
    "nome grupo pedidos respostas depois_de usa_gerais respostas_sobrias slots".split()
)


def _read(folder: Path, name: str) -> Any:
    """O conteúdo de um YAML, que tem de ser UTF-8 em NFC."""
    path = folder / f"{name}.yaml"
    text = path.read_text("utf-8")
    if not unicodedata.is_normalized("NFC", text):
        raise BankError(f"{path.name}: o texto não está em NFC. Salve-o em NFC.")
    try:
        return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise BankError(f"{path.name}: YAML malformado: {error}") from error


def _phrases(value: Any, where: str) -> tuple[str, ...]:
    """Uma lista de frases: textos, sem vazio nem repetido."""
    if not isinstance(value, list) or not value:
        raise BankError(f"{where}: esperava uma lista de frases, achei {value!r}.")
    for phrase in value:
        if not isinstance(phrase, str) or phrase != phrase.strip() or not phrase:
            raise BankError(f"{where}: {phrase!r} não é frase. Ponha-a entre aspas.")
        if re.search(r"[{}]", re.sub(r"\{\w+\}", "", phrase)):
            raise BankError(f"{where}: chave sem par em «{phrase}».")
    if len(set(value)) < len(value):
        twice = next(p for p in value if value.count(p) > 1)
        raise BankError(f"{where}: frase repetida, «{twice}».")
    return tuple(value)


def _simple(raw: Any, source: str) -> Intent:
    """Uma intenção comum: nome, grupo, pedidos e respostas."""
    if not isinstance(raw, dict) or not isinstance(raw.get("nome"), str):
        raise BankError(f"{source}.yaml: intenção sem nome: {str(raw)[:60]!r}.")
    where = f"{source}.yaml, intenção «{raw['nome']}»"
    missing = {"grupo", "pedidos", "respostas"} - raw.keys()
    unknown = raw.keys() - KEYS
    if missing or unknown:
        what = (
            f"falta {sorted(missing)}" if missing else f"não conheço {sorted(unknown)}"
        )
        raise BankError(f"{where}: {what}.")
    sober = raw.get("respostas_sobrias")
    return Intent(
        raw["nome"],
        raw["grupo"],
        _phrases(raw["pedidos"], f"{where}, pedidos"),
        _phrases(raw["respostas"], f"{where}, respostas"),
        source,
        tuple(raw.get("depois_de", ())),
        {"sobrias": _phrases(sober, f"{where}, sobrias")} if sober else {},
        raw.get("usa_gerais", source == "fora"),
    )


def _part(
    data: Mapping[str, Any],
    source: str,
    name: str,
    group: str,
    asks: str,
    replies: str,
    **variants: str,
) -> Intent:
    """Uma intenção feita de chaves soltas de um arquivo (`pedidos_x`…)."""

    def phrases(key: str) -> tuple[str, ...]:
        if key not in data:
            raise BankError(f"{source}.yaml, intenção «{name}»: falta a chave {key}.")
        return _phrases(data[key], f"{source}.yaml, {name}, {key}")

    extra = {variant: phrases(key) for variant, key in variants.items()}
    return Intent(name, group, phrases(asks), phrases(replies), source, variants=extra)


def _memory(data: Any) -> Iterator[Intent]:
    """Três intenções por campo: contar, perguntar e corrigir."""
    names = tuple(f["nome"] for f in data["campos"])
    if names != FIELDS:
        raise BankError(f"memoria.yaml: os campos são {FIELDS}, achei {names}.")
    for raw in data["campos"]:
        for verb, replies in (
            ("contar", "respostas_contar"),
            ("perguntar", "respostas_lembro"),
            ("corrigir", "respostas_corrigir"),
        ):
            never = (
                {"nunca_disse": "respostas_nunca_disse"} if verb == "perguntar" else {}
            )
            name = f"{raw['nome']}-{verb}"
            group = "memoria"
            yield _part(
                raw, "memoria", name, group, f"pedidos_{verb}", replies, **never
            )


def _structured(data: Mapping[str, Any]) -> Iterator[Intent]:
    """As intenções que não têm a forma comum, arquivo por arquivo."""
    sums = data["contas"]
    for operation in OPERATIONS:
        for suffix in ("", "_coisas"):
            yield _part(
                sums, "contas", f"{operation}{suffix}".replace("_", "-"), "conta",
                f"pedidos_{operation}{suffix}", f"respostas_{operation}{suffix}",
                zero="respostas_zero", abaixo="respostas_abaixo_de_zero",
            )  # fmt: skip
    facts = data["saberes"]
    yield _part(
        facts, "saberes", "capital", "capital", "pedidos_capital", "respostas_capital",
        nao_sei="respostas_capital_nao_sei",
    )  # fmt: skip
    yield _part(
        facts, "saberes", "capital-inversa", "capital",
        "pedidos_capital_inversa", "respostas_capital_inversa",
    )  # fmt: skip
    world = data["mundo"]
    for name, unknown in (("pessoa", "desconhecida"), ("lugar", "desconhecido")):
        asks, replies = f"pedidos_{name}", f"respostas_{name}_{unknown}"
        yield _part(world, "mundo", name, name, asks, replies)
    yield from _memory(data["memoria"])
    for raw in data["palavras"]["jogos"]:
        none = {"sem": "respostas_sem"} if "respostas_sem" in raw else {}
        name = f"jogo-{raw['nome']}"
        yield _part(raw, "palavras", name, "jogo", "pedidos", "respostas", **none)
    stories = data["historias-pedidos"]
    for raw in stories["formas"]:
        where = f"historias-pedidos.yaml, forma «{raw['nome']}»"
        asks = _phrases(raw["pedidos"], where)
        after = tuple(raw.get("depois_de", ()))
        replies = _phrases(stories["respostas_abertura"], "respostas_abertura")
        closing = {"fecho": _phrases(stories["respostas_fecho"], "respostas_fecho")}
        yield Intent(
            raw["nome"], TELLING, asks, replies, "historias-pedidos", after, closing
        )


SIMPLE = (
    "intencoes-convivio", "fora", "mundo", "saberes", "contas", "palavras",
    "historias-pedidos",
)  # fmt: skip
SOURCES = (*SIMPLE, "memoria", "pesos")
PREFIXES = {
    "fora": "fora", "saberes": "saber", "mundo": "mundo",
    "historias-pedidos": "sobre-historia",
}  # fmt: skip
"""O grupo dado às intenções destes arquivos, que os trazem mais finos."""


def _intents(data: Mapping[str, Any]) -> dict[str, Intent]:
    """Todas as intenções, conferidas umas contra as outras."""
    found: dict[str, Intent] = {}
    simple = (_simple(raw, s) for s in SIMPLE for raw in data[s]["intencoes"])
    for intent in (*simple, *_structured(data)):
        if intent.name in found:
            raise BankError(
                f"{intent.source}.yaml: intenção repetida, «{intent.name}»."
            )
        found[intent.name] = intent
    owner: dict[str, str] = {}
    for intent in found.values():
        where = f"{intent.source}.yaml, intenção «{intent.name}»"
        for after in intent.after:
            if after not in (ANY, STORY) and after not in found:
                raise BankError(f"{where}: depois_de «{after}», que não existe.")
        for ask in intent.asks:
            if ask in owner and not slots_of(ask):
                raise BankError(f"{where}: «{ask}» já é de «{owner[ask]}».")
            owner[ask] = intent.name
    return found


def _words(path: Path) -> tuple[Word, ...]:
    """As palavras dos jogos, com o split que o arquivo dá."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    names = ("palavra", "classe", "silabas", "plural", "feminino", "antonimo", "split")
    return tuple(Word(*(row[n] for n in names)) for row in rows)  # type: ignore[arg-type]


def _as_items(values: Sequence[Any]) -> tuple[Item, ...]:
    """Uma lista de nomes soltos ou de fichas, sempre como fichas."""
    return tuple(v if isinstance(v, dict) else {"nome": v} for v in values)


def _item_name(item: Item) -> str:
    """O nome por que um item se sorteia."""
    return str(item.get("nome") or item.get("m") or item["x"])


def _items(data: Mapping[str, Any]) -> dict[str, tuple[Item, ...]]:
    """As listas de todos os arquivos, e as que vêm do elenco das histórias."""
    wanted = {
        "memoria": "nomes cidades bichos tipos cores comidas profissoes",
        "contas": "coisas",
        "saberes": "estados paises fora_do_mapa",
        "mundo": "pessoas lugares",
        "intencoes-convivio": "adivinhas",
    }
    found = {
        name: _as_items(data[source][name])
        for source, names in wanted.items()
        for name in names.split()
    }
    cast = load_stories().elenco
    banks = {"personagens": cast.tipos, "objetos": cast.bancos["objeto"]}
    for name, terms in {**banks, "cenarios": cast.bancos["lugar"]}.items():
        found[name] = tuple(
            {
                "nome": t.nome,
                "genero": t.genero,
                "um": t.com("um"),
                "o": t.com("o"),
                "do": t.com("do"),
                "em": t.com("no"),
            }
            for t in terms
        )
    return found


@cache
def _load(folder: Path) -> Bank:
    """O banco de uma pasta."""
    data = {name: _read(folder, name) for name in SOURCES}
    intents = _intents(data)
    general = _phrases(
        data["fora"]["respostas_nao_sei"], "fora.yaml, respostas_nao_sei"
    )
    intents = {n: _grouped(i, general) for n, i in intents.items()}
    splits = assign_splits({n: i.asks for n, i in intents.items()})
    for intent in intents.values():
        if sum(splits[a] == "test" for a in intent.asks) < 2:
            where = f"{intent.source}.yaml, intenção «{intent.name}»"
            raise BankError(f"{where}: menos de dois pedidos diferentes para o teste.")
    items = _items(data)
    return Bank(
        intents,
        items,
        _words(WORDS),
        data["pesos"],
        splits,
        {
            (name, side): tuple(a for a in intent.asks if splits[a] == side)
            for name, intent in intents.items()
            for side in SPLITS
        },
        {(name, s): _side(name, items[name], s) for name in items for s in SPLITS},
        {
            group: tuple(i for i in intents.values() if i.group == group)
            for group in dict.fromkeys(i.group for i in intents.values())
        },
    )


def _grouped(intent: Intent, general: tuple[str, ...]) -> Intent:
    """A intenção com o grupo largo e, se for de fora, os «não sei» gerais."""
    own = ("capital", "pessoa", "lugar", TELLING)
    group = (
        intent.group
        if intent.group in own
        else PREFIXES.get(intent.source, intent.group)
    )
    extra = {"gerais": general} if intent.source == "fora" and intent.general else {}
    return Intent(
        intent.name, group, intent.asks, intent.replies, intent.source, intent.after,
        {**intent.variants, **extra}, intent.general,
    )  # fmt: skip


def _side(name: str, items: tuple[Item, ...], split: Split) -> tuple[Item, ...]:
    """Os itens que valem num split."""
    group = {**HELD_OUT_LISTS, "objetos": "objeto"}.get(name)
    if group is None:
        return items
    return tuple(i for i in items if family_split(group, _item_name(i)) == split)
