"""As provas da conversa: perguntas de fora do treino, e o que a resposta deve ser.

>>> from .banco import Bank
>>> probe = evaluation_sets("test")["capitais"][0]
>>> is_right(probe, f"É {probe.expected[0]}."), is_right(probe, "Não sei.")
(True, False)
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from random import Random

from homellm.files import write_json

from .banco import FIELDS, TELLING, Bank, Intent
from .cenas import capital, choose
from .conversas import Turn, compose
from .estado import Exchange, Talk
from .historias import Split
from .jogos import OPERATIONS, word_game
from .lembrancas import recall, tell
from .texto import capitalise, fill, normalise, number_words, slots_of

DATA = Path(__file__).parents[2]
SEED = 20_240
STORY_LENGTH = 120
"""Mais curta do que isto, não é história."""

SIMILAR = 0.8
"""A parte das palavras que basta em comum com uma resposta do banco."""

STOPWORDS = frozenset(
    "a o as os um uma e de do da dos das em no na nos nas por para com que se mais "
    "menos tem sao foi era ser nao sim so ao aos quem qual como quando seu sua esta "
    "isso".split()
)
NUMBERS = {normalise(number_words(n, g)): str(n) for n in range(101) for g in "mf"}
_NUMBER_WORDS = re.compile(
    r"\b(?:"
    + "|".join(sorted(NUMBERS.keys() - {"um", "uma"}, key=lambda w: (-len(w), w)))
    + r")\b"
)


@dataclass(frozen=True)
class Probe:
    """Uma pergunta, o que se disse antes dela e o que a resposta deve ser.

    `check` diz como se confere: `resposta` (uma do banco), `contem` (o que está em
    `expected`), `historia`, `conta`, `jogo`, `recusa` ou `atende` (não recusa).
    """

    kind: str
    user: str
    intent: str
    check: str
    expected: tuple[str, ...] = ()
    history: tuple[tuple[str, str], ...] = ()
    variant: str = ""
    slots: Mapping[str, str] = field(default_factory=dict)


# ------------------------------------------------------------------ as respostas


def _own_replies(bank: Bank, intent: Intent, variant: str) -> tuple[str, ...]:
    """As respostas de uma intenção, no caso dado."""
    if variant.startswith("de "):
        items = (*bank.items["pessoas"], *bank.items["lugares"])
        return tuple(
            r for i in items if i["nome"] == variant[3:] for r in i["respostas"]
        )
    if variant.startswith("="):
        return (*bank.intents[variant[1:]].replies, *intent.replies)
    if variant in ("", "gerais"):
        return (*intent.replies, *intent.variants.get("gerais", ()))
    return intent.variants[variant]


def acceptable(
    intent: str, variant: str = "", slots: Mapping[str, str] | None = None
) -> list[str]:
    """As respostas do banco que valem para o pedido; `*` é um nome qualquer.

    >>> "Prazer, Lia. Puxe uma cadeira que não esteja pingando." in acceptable(
    ...     "nome-contar", slots={"nome": "Lia"})
    True
    """
    bank = Bank.load()
    names = next((g for g in bank.weights["equivalentes"] if intent in g), [intent])
    replies = [
        r
        for name in names
        for r in _own_replies(
            bank, bank.intents[name], variant if name == intent else ""
        )
    ]
    known = {"nome": "*", **(slots or {})}
    return [fill(r, known) for r in replies if _fillable(r, known)]


def _fillable(reply: str, known: Mapping[str, str]) -> bool:
    """Se há valor para todos os slots da resposta."""
    return all(s.removesuffix("_maiusculo") in known for s in slots_of(reply))


def _tokens(text: str) -> Counter[str]:
    """As palavras de um texto, normalizadas e contadas."""
    return Counter(normalise(text).split())


def similarity(one: Counter[str], other: Counter[str]) -> float:
    """O coeficiente de Dice das palavras."""
    return 2 * (one & other).total() / max(1, one.total() + other.total())


def matches(answer: str, replies: Iterable[str]) -> bool:
    """Se a resposta é uma destas, ou quase: caixa, acento e um tropeço não contam."""
    said = _tokens(answer)
    return any(similarity(said, _tokens(r)) >= SIMILAR for r in replies)


@cache
def _refusals() -> tuple[Counter[str], ...]:
    """O que ele diz quando não sabe ou não faz."""
    bank = Bank.load()
    groups = ("fora", "limites", "conta-demais", "palavra-demais")
    knows = {"sabe-fazer-conta", "jogos-de-palavra"}
    found: dict[str, None] = {}
    for intent in bank.intents.values():
        if intent.group in groups and intent.name not in knows:
            found |= dict.fromkeys(
                (*intent.replies, *intent.variants.get("gerais", ()))
            )
    found |= dict.fromkeys(bank.intents["capital"].variants["nao_sei"])
    for kind in ("pessoa", "lugar"):
        found |= dict.fromkeys(bank.intents[kind].replies)
    return tuple(_tokens(re.sub(r"\{\w+\}", "", r)) for r in found)


def is_refusal(answer: str) -> bool:
    """Se a resposta é um dos “não sei” do banco.

    >>> is_refusal("Não sei, e não vou inventar."), is_refusal("Dá 15.")
    (True, False)
    """
    said = _tokens(answer)
    return any(similarity(said, r) >= SIMILAR for r in _refusals())


# ------------------------------------------------------------------ conferir


def digits(text: str) -> str:
    """O texto normalizado, com os números (menos “um”) em algarismos.

    >>> digits("Trinta e duas, ou 20.")
    '32 ou 20'
    """
    return _NUMBER_WORDS.sub(lambda m: NUMBERS[m[0]], normalise(text))


def contains(answer: str, value: str) -> bool:
    """Se o valor está na resposta, em palavras inteiras; caixa e acento não contam.

    >>> contains("Você é João, claro.", "joao"), contains("São 15.", "5")
    (True, False)
    """
    return f" {digits(value)} " in f" {digits(answer)} "


def _sum_is_right(probe: Probe, answer: str) -> bool:
    """Uma resposta do banco com estes números; ou outra com o resultado certo."""
    if matches_exactly(answer, acceptable(probe.intent, probe.variant, probe.slots)):
        return True
    if not probe.expected:
        return False
    a, b, result = (_value(probe.slots[s]) for s in "abr")
    said = [int(n) for n in re.findall(r"\b\d+\b", digits(answer))]
    if said[:2] in ([a, b], [b, a]):
        said = said[2:]
    return bool(said) and set(said) == {result}


def _value(number: str) -> int:
    """O número, escrito de um jeito ou de outro."""
    return int(NUMBERS.get(normalise(number), number))


def matches_exactly(answer: str, replies: Iterable[str]) -> bool:
    """Se a resposta é uma destas, sem contar caixa, acento e pontuação."""
    said = normalise(answer)
    return any(said == normalise(r) for r in replies)


def _game_is_right(probe: Probe, answer: str) -> bool:
    """Uma resposta do banco, letra por letra; ou o resultado, inteiro, noutra frase."""
    said = unicodedata.normalize("NFC", answer).strip().rstrip(".")
    replies = [
        r.rstrip(".") for r in acceptable(probe.intent, probe.variant, probe.slots)
    ]
    cased = probe.intent in ("jogo-maiusculas", "jogo-minusculas")
    if said in replies or not cased and said in map(capitalise, replies):
        return True
    if probe.intent == "jogo-comeca-com":
        return _starts_with(probe, said)
    result = probe.expected[0]
    return len(result) > 3 and bool(
        re.search(rf"(?<!\w){re.escape(result)}(?!\w)", said)
    )


def _starts_with(probe: Probe, said: str) -> bool:
    """Outra palavra com a letra também vale, se a resposta é das do banco."""
    letter = probe.slots["letra"]
    for reply in Bank.load().intents[probe.intent].replies:
        before, _, after = fill(reply, {"letra": letter, "resultado": "\0"}).partition(
            "\0"
        )
        pattern = re.escape(before) + r"(\w[\w-]*)" + re.escape(after.rstrip("."))
        found = re.fullmatch(pattern, said, re.I)
        if found:
            return normalise(found[1]).startswith(letter.lower())
    return False


def is_right(probe: Probe, answer: str) -> bool:
    """Se a resposta serve à prova."""
    if probe.check == "recusa":
        return is_refusal(answer)
    if probe.check == "atende":
        return bool(answer.strip()) and not is_refusal(answer)
    if probe.check == "conta":
        return _sum_is_right(probe, answer)
    if probe.check == "jogo":
        return _game_is_right(probe, answer)
    if probe.check == "historia" and (len(answer) < STORY_LENGTH or is_refusal(answer)):
        return False
    if probe.check in ("contem", "historia"):
        return all(contains(answer, e) for e in probe.expected)
    replies = acceptable(probe.intent, probe.variant, probe.slots)
    by_key = probe.expected and all(contains(answer, e) for e in probe.expected)
    return bool(by_key) or matches(answer, replies)


# ------------------------------------------------------------------ as provas


def fact_keys(intent: Intent) -> tuple[str, ...]:
    """As palavras que toda resposta de um fato traz e as perguntas, não.

    >>> fact_keys(Bank.load().intents["maior-ave"])
    ('avestruz',)
    """
    said = [set(digits(r).split()) - STOPWORDS for r in intent.replies]
    asked = Counter(t for a in intent.asks for t in set(digits(a).split()))
    usual = {t for t, n in asked.items() if n * 3 >= len(intent.asks)}
    shared = set.intersection(*said) - usual
    return tuple(sorted(t for t in shared if len(t) > 2 or t.isdigit()))


def _probe(
    kind: str, exchange: Exchange, check: str, history: Sequence[Turn] = ()
) -> Probe:
    """A prova de uma troca."""
    return Probe(
        kind, exchange.ask, exchange.intent, check, exchange.expected,
        tuple((t.user, t.assistant) for t in history), exchange.variant, exchange.slots,
    )  # fmt: skip


def check_of(intent: Intent, exchange: Exchange | Turn) -> str:
    """Como se confere a resposta a uma troca composta."""
    if intent.name in OPERATIONS:
        return "conta"
    if intent.group == "jogo":
        return "jogo" if exchange.expected else "resposta"
    if intent.group == TELLING:
        return "historia"
    if intent.group in ("capital", "memoria") and exchange.expected:
        return "contem"
    return "resposta"


def _simple_probes(bank: Bank, split: Split) -> Iterator[Probe]:
    """Todo pedido de fora das intenções comuns que valem em qualquer ponto."""
    special = {"conta", "capital", "pessoa", "lugar", "memoria", "jogo", TELLING}
    for intent in bank.intents.values():
        if intent.group in special or not intent.free or slots_of(intent.replies[0]):
            continue
        keys = fact_keys(intent) if intent.group == "saber" else ()
        for ask in bank.asks(intent.name, split):
            yield Probe("intencao", ask, intent.name, "resposta", keys)


def _each(
    talk: Callable[[], Talk], build: Callable[[Talk], Exchange | None], count: int
) -> Iterator[Exchange]:
    """`count` trocas de uma cena, com perguntas diferentes, cada uma do zero."""
    seen: set[str] = set()
    for _ in range(count * 20):
        exchange = build(talk())
        if exchange is not None and exchange.ask not in seen:
            seen.add(exchange.ask)
            yield exchange
        if len(seen) == count:
            return


def _recall_probe(
    bank: Bank, split: Split, rng: Random, name: str, never: bool
) -> Probe:
    """Conta um campo, fala de outras coisas por dois turnos e pergunta por ele."""
    while True:
        talk = Talk(rng, bank, split)
        told = tell(talk, name)
        turns = [Turn(told.ask, told.reply, told.intent, told.ask)]
        talk.record(told)
        filler = compose(rng, split, 2, noisy=False, scripted=True, bank=bank).turns
        intents = [bank.intents[t.intent].group for t in filler]
        if len(filler) < 2 or {"memoria", "cumprimento"} & set(intents):
            continue
        if never:
            asked = recall(Talk(rng, bank, split), name)
            return _probe("nunca-disse", asked, "resposta", filler)
        kind = "nome" if name == "nome" else "memoria"
        return _probe(kind, recall(talk, name), "contem", [*turns, *filler])


def evaluation_sets(
    split: Split = "test", bank: Bank | None = None
) -> dict[str, list[Probe]]:
    """As provas de um split, sempre as mesmas: um nome e uma lista de provas.

    intencao, fatos, capitais, contas, contas_100, nome, memoria, nunca_disse, fora,
    dentro, palavras e historias. Uma história confere-se aqui pelo que se pediu; o
    resto (nomes, final, cópia) é com os conferidores de `historias.py`.
    """
    bank = bank or Bank.load()
    rng = Random(f"provas:{SEED}:{split}")
    simple = list(_simple_probes(bank, split))
    group = {i.name: i.group for i in bank.intents.values()}

    def fresh() -> Talk:
        return Talk(rng, bank, split)

    def from_scene(kind: str, check: str, build: Callable, count: int) -> list[Probe]:
        return [_probe(kind, e, check) for e in _each(fresh, build, count)]

    def by_intent(name: str, builder: Callable) -> Callable[[Talk], Exchange | None]:
        return lambda talk: builder(talk, bank.intents[name])

    def known_capital(talk: Talk) -> Exchange | None:
        name = "capital" if rng.random() < 0.7 else "capital-inversa"
        exchange = capital(talk, bank.intents[name])
        return exchange if exchange.expected else None

    def unknown(talk: Talk) -> Exchange | None:
        name = ("capital", "pessoa", "lugar")[int(rng.random() * 3)]
        exchange = choose(talk, name)
        known = (
            exchange is None or exchange.expected or exchange.variant.startswith("de ")
        )
        return None if known else exchange

    def operation(top: int) -> Callable[[Talk], Exchange | None]:
        def build(talk: Talk) -> Exchange | None:
            exchange = choose(talk, OPERATIONS[int(rng.random() * len(OPERATIONS))])
            if exchange is None or not exchange.expected:
                return None
            most = max(_value(exchange.slots[s]) for s in "abr")
            return exchange if (most <= 20) == (top == 20) else None

        return build

    games = [i for i in bank.intents.values() if i.group == "jogo"]
    forms = [i for i in bank.intents.values() if i.group == TELLING and i.free]
    refusing = {"fora", "limites"}
    return {
        "intencao": [p for p in simple if group[p.intent] not in {"saber", "fora"}],
        "fatos": [p for p in simple if group[p.intent] == "saber"],
        "capitais": from_scene("capitais", "contem", known_capital, 160),
        "contas": from_scene("contas", "conta", operation(20), 300),
        "contas_100": from_scene("contas_100", "conta", operation(100), 60),
        "nome": [_recall_probe(bank, split, rng, "nome", False) for _ in range(100)],
        "memoria": [
            _recall_probe(bank, split, rng, name, False)
            for name in FIELDS[1:]
            for _ in range(12)
        ],
        "nunca_disse": [
            _recall_probe(bank, split, rng, name, True)
            for name in FIELDS
            for _ in range(8)
        ],
        "fora": [_as(p, "recusa") for p in simple if group[p.intent] in refusing]
        + from_scene("fora", "recusa", unknown, 60),
        "dentro": [_as(p, "atende") for p in simple if group[p.intent] in WITHIN]
        + from_scene("dentro", "atende", known_capital, 40)
        + from_scene("dentro", "atende", operation(20), 40),
        "palavras": [
            p
            for g in games
            for p in from_scene(
                "palavras", "jogo", _having(by_intent(g.name, word_game)), 12
            )
        ],
        "historias": [
            p
            for f in forms
            for p in from_scene(
                "historias", "historia", lambda t, f=f: choose(t, f.name), 12
            )
        ],
    }


WITHIN = frozenset(
    "identidade modelo capacidade vida-de-sapo gostos mundo saber afeto "
    "dia-a-dia".split()
)


def _having(
    build: Callable[[Talk], Exchange | None],
) -> Callable[[Talk], Exchange | None]:
    """A mesma cena, só quando há uma forma certa."""

    def with_result(talk: Talk) -> Exchange | None:
        exchange = build(talk)
        return exchange if exchange is not None and exchange.expected else None

    return with_result


def _as(probe: Probe, check: str) -> Probe:
    """A mesma pergunta, conferida de outro modo."""
    return Probe(probe.kind, probe.user, probe.intent, check, probe.expected)


def _turn_probe(bank: Bank, turns: Sequence[Turn], place: int) -> Probe:
    """A prova de um turno de uma conversa, depois dos que vieram antes."""
    turn = turns[place]
    check = check_of(bank.intents[turn.intent], turn)
    history = tuple((t.user, t.assistant) for t in turns[:place])
    return Probe(
        "conversa", turn.user, turn.intent, check, turn.expected, history, turn.variant,
        turn.slots,
    )  # fmt: skip


def evaluation_dialogues(
    split: Split = "test", count: int = 50, turns: int = 8
) -> list[list[Probe]]:
    """Conversas de oito turnos cujas falas não dependem das respostas, turno a turno.

    A história de cada prova traz as respostas do banco; quem avalia pode trocá-las
    pelas do modelo.
    """
    rng = Random(f"conversas:{SEED}:{split}")
    bank = Bank.load()
    found: list[list[Probe]] = []
    while len(found) < count:
        made = compose(rng, split, turns, scripted=True).turns
        if len(made) == turns:
            found.append([_turn_probe(bank, made, i) for i in range(turns)])
    return found


def main() -> None:
    """Grava o que se diz em cinquenta conversas de teste, para a página que as mostra."""
    talks = [[probe.user for probe in talk] for talk in evaluation_dialogues("test")]
    write_json(DATA / "cinquenta-conversas.json", {"split": "test", "falas": talks})


if __name__ == "__main__":
    main()
