"""As cenas da conversa: cada uma compõe um pedido e a resposta, segundo o estado.

>>> from random import Random
>>> from .banco import Bank
>>> talk = Talk(Random(2), Bank.load(), "train")
>>> exchange = choose(talk, "soma")
>>> exchange.intent, exchange.slots["r"] in exchange.reply
('soma', True)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from .banco import STORY, TELLING, Intent, Item
from .estado import REPEATABLE, Exchange, Talk, simple
from .historias import SemHistoria, Split, Story, compose_story, junta
from .historias import load as load_stories
from .jogos import arithmetic, word_game
from .lembrancas import correct, memory, memory_scene, recall, same_field, tell
from .texto import capitalise, fill, pick, slots_of, weighted

TRIES = 12

# ------------------------------------------------------------------ brincadeiras


def another(talk: Talk, intent: Intent) -> Exchange:
    """“Outra!”: quase sempre mais uma da mesma espécie."""
    ask = talk.ask(intent.name)
    if talk.base not in REPEATABLE or not talk.chance("outra_igual"):
        return Exchange(intent.name, ask, talk.reply(intent.replies, {}), template=ask)
    base = talk.bank.intents[talk.base]
    new = _new_riddle(talk) if talk.base == "adivinha" else None
    slots = dict(new or {})
    reply = talk.reply(base.replies, slots)
    return Exchange(
        intent.name, ask, reply, slots, f"={talk.base}", template=ask,
        labels=("adivinha",) if new else (), sets={"riddle": new} if new else {},
    )  # fmt: skip


def _new_riddle(talk: Talk) -> Item:
    """Uma adivinha que ainda não se fez."""
    riddles = talk.bank.items["adivinhas"]
    return pick(
        talk.rng, [r for r in riddles if r["certo"] not in talk.used] or riddles
    )


def riddle(talk: Talk, intent: Intent) -> Exchange | None:
    """A adivinha, o palpite certo ou errado, a dica e a desistência."""
    if intent.name == "outra":
        return another(talk, intent)
    sets: dict[str, Any] = {}
    if intent.name == "adivinha":
        sets = {"riddle": _new_riddle(talk), "base": "adivinha"}
        slots = dict(sets["riddle"])
    elif talk.riddle is None:
        return None
    else:
        slots = {**talk.riddle, "errado": _wrong_guess(talk)}
    ask = talk.ask(intent.name)
    reply = contract(talk.reply(intent.replies, slots))
    needed = {"adivinha-certo": "certo", "adivinha-desisto": "resposta"}.get(
        intent.name
    )
    if needed:
        sets = {"riddle": None}
    expected = (slots[needed],) if needed else ()
    guess = tuple(slots[s].partition(" ")[2] for s in slots_of(ask))
    return Exchange(
        intent.name, contract(fill(ask, slots)), reply, slots, expected=expected,
        keep=guess, template=ask, sets=sets,
    )  # fmt: skip


def contract(text: str) -> str:
    """As contrações de quem dá o palpite com o artigo.

    >>> contract("penso em o balde"), contract("vou de a poça"), contract("De o pão")
    ('penso no balde', 'vou de poça', 'Do pão')
    """
    text = re.sub(r"\b(vou de) [oa]\b", r"\1", text)
    text = re.sub(r"\b([Dd])e ([oa])\b", r"\1\2", text)
    return re.sub(r"\bem ([oa])\b", r"n\1", text)


def _wrong_guess(talk: Talk) -> str:
    """A solução de outra adivinha."""
    assert talk.riddle is not None
    others = [r["certo"] for r in talk.bank.items["adivinhas"] if r is not talk.riddle]
    return str(pick(talk.rng, others))


def play(talk: Talk, intent: Intent) -> Exchange | None:
    """As brincadeiras: adivinha à parte, são respostas da lista."""
    special = intent.name.startswith("adivinha") or intent.name == "outra"
    return riddle(talk, intent) if special else simple(talk, intent)


# ------------------------------------------------------------------ capitais


def capital(talk: Talk, intent: Intent) -> Exchange:
    """A capital de um estado ou país, a pergunta ao contrário, e a que ele não sabe."""
    items = talk.bank.items
    part = "direta" if intent.name == "capital" else "inversa"
    table = {k: v for k, v in talk.table("capital").items() if k != "inversa"}
    if part == "direta" and talk.rng.random() < _share(table, "nao-sei"):
        place = pick(talk.rng, talk.bank.listed("fora_do_mapa", talk.split))
        variant, replies, expected = "nao_sei", intent.variants["nao_sei"], ()
    else:
        places = [*items["estados"], *items["paises"]]
        if part == "inversa":
            twice = [p["capital"] for p in places]
            places = [p for p in places if twice.count(p["capital"]) == 1]
        place = pick(talk.rng, places)
        variant, replies = "", intent.replies
        expected = (place["capital"] if part == "direta" else place["x"],)
    slots = {k: str(v) for k, v in place.items()}
    ask = talk.ask(intent.name)
    keep = (slots["x"], slots.get("capital", ""))
    return Exchange(
        intent.name, fill(ask, slots), talk.reply(replies, slots), slots, variant,
        expected, keep, template=ask,
    )  # fmt: skip


def capital_scene(talk: Talk) -> Exchange:
    """A pergunta direta ou ao contrário."""
    direct = talk.rng.random() < _share(talk.table("capital"), "direta", "nao-sei")
    return capital(talk, talk.bank.intents["capital" if direct else "capital-inversa"])


def _share(table: Mapping[str, float], *names: str) -> float:
    """A parte de umas linhas numa tabela de pesos."""
    return sum(table[n] for n in names) / sum(table.values())


# ------------------------------------------------------------------ Pedra Miúda


def _forms(item: Item, kind: str) -> dict[str, str]:
    """Os slots de uma pessoa ou de um lugar, por um dos seus nomes."""
    with_article = item["com_artigo"]
    esse = "essa" if with_article.startswith("a ") else "esse"
    return {
        kind: item["nome"], f"o_{kind}": with_article, f"do_{kind}": item["de"],
        f"no_{kind}": item.get("em", ""), f"ao_{kind}": item.get("a", ""), "esse": esse,
    }  # fmt: skip


def someone(talk: Talk, intent: Intent) -> Exchange:
    """“Quem é o Tião?”, “onde fica a ponte?”; ou um nome que não é da cidade."""
    kind = intent.name
    known = {"pessoa": "conhecida", "lugar": "conhecido"}[kind]
    if talk.rng.random() < _share(talk.table(kind), known):
        item = pick(
            talk.rng, talk.bank.items["pessoas" if kind == "pessoa" else "lugares"]
        )
        named = (
            item if talk.rng.random() < 0.7 else pick(talk.rng, (item, *item["outros"]))
        )
        replies, variant = item["respostas"], f"de {item['nome']}"
    else:
        named = _stranger(talk) if kind == "pessoa" else _elsewhere(talk)
        replies, variant = intent.replies, ""
    slots = _forms(named, kind)
    ask = talk.ask(kind)
    return Exchange(
        kind, fill(ask, slots), capitalise(talk.reply(replies, slots)), slots, variant,
        keep=(slots[kind],), template=ask,
    )  # fmt: skip


def _stranger(talk: Talk) -> dict[str, str]:
    """Um nome que não é de ninguém em Pedra Miúda."""
    town = {
        n["nome"].split()[-1]
        for p in talk.bank.items["pessoas"]
        for n in (p, *p["outros"])
    }
    names = [n for n in talk.bank.listed("nomes", talk.split) if n["nome"] not in town]
    name = pick(talk.rng, names)
    article = "o" if name["genero"] == "m" else "a"
    text = name["nome"]
    return {"nome": text, "com_artigo": f"{article} {text}", "de": f"d{article} {text}"}


def _elsewhere(talk: Talk) -> dict[str, str]:
    """Uma cidade de verdade que não é capital."""
    capitals = {p["capital"] for k in ("estados", "paises") for p in talk.bank.items[k]}
    cities = [
        c for c in talk.bank.listed("cidades", talk.split) if c["nome"] not in capitals
    ]
    city = pick(talk.rng, cities or talk.bank.listed("cidades", "train"))
    text = city["nome"]
    return {
        "nome": text, "com_artigo": text, "de": city["de"], "em": city["em"],
        "a": f"a {text}",
    }  # fmt: skip


# ------------------------------------------------------------------ histórias


def storytelling(talk: Talk, intent: Intent) -> Exchange | None:
    """Um pedido de história e a história; ou outra, se o elenco não dá para aquela."""
    free = intent.name == "outra-historia"
    for _ in range(TRIES):
        slots, wanted = _request(talk, intent.name)
        if not wanted and not free:
            intent = talk.bank.intents["historia-livre"]
        try:
            story = compose_story(talk.rng, split=talk.split, **wanted)
        except SemHistoria:
            continue
        return _told_story(talk, intent, slots, story, wanted)
    return None


def _told_story(
    talk: Talk,
    intent: Intent,
    slots: dict[str, str],
    story: Story,
    wanted: Mapping[str, Any],
) -> Exchange:
    """A troca: talvez uma abertura, a história, talvez um fecho."""
    parts = [story.text]
    if talk.chance("abre_historia"):
        parts.insert(0, talk.reply(intent.replies, {}))
    if talk.chance("fecha_historia"):
        parts.append(talk.reply(intent.variants["fecho"], {}))
    ask = talk.ask(intent.name)
    needed = [*wanted.get("kinds", ())]
    needed += [wanted[k] for k in ("place", "object") if k in wanted]
    return Exchange(
        intent.name,
        fill(ask, slots),
        junta(parts),
        slots,
        expected=tuple(needed),
        keep=tuple(slots[s] for s in slots_of(ask)),
        labels=(STORY,),
        story=story,
        template=ask,
        sets={"story": story, "story_at": len(talk.past)},
    )


def _request(talk: Talk, form: str) -> tuple[dict[str, str], dict[str, Any]]:
    """O que se pede numa forma, em slots e em argumentos de `compose_story`."""
    rng, listed = talk.rng, talk.bank.listed

    def term(item: Item, name: str) -> dict[str, str]:
        return {
            name: item["nome"],
            f"um_{name}": item["um"],
            f"o_{name}": item["o"],
            f"do_{name}": item["do"],
        }

    if form in ("historia-com-personagem", "historia-com-dois"):
        one = pick(rng, listed("personagens", talk.split))
        slots, kinds = term(one, "personagem"), [one["nome"]]
        if form == "historia-com-dois":
            others = [o for o in listed("personagens", talk.split) if o is not one]
            other = pick(rng, others)
            slots |= term(other, "outro")
            kinds.append(other["nome"])
        return slots, {"kinds": kinds}
    if form == "historia-com-objeto":
        thing = pick(rng, listed("objetos", talk.split))
        return term(thing, "objeto"), {"object": thing["nome"]}
    if form == "historia-com-lugar":
        place = pick(rng, listed("cenarios", talk.split))
        return {"em_lugar": place["em"]}, {"place": place["nome"]}
    if form == "historia-com-tema":
        theme = pick(rng, story_themes(talk.split))
        return {"tema": theme}, {"theme": theme}
    tones = [
        t for t in talk.table("tons").get(form, ()) if t in story_themes(talk.split)
    ]
    return {}, {"theme": pick(rng, tones)} if tones else {"theme": None}


def story_themes(split: Split) -> list[str]:
    """Os temas dos enredos de um split."""
    plots = load_stories().enredos.values()
    return sorted({t for e in plots if e.split == split for t in e.temas})


def story_reaction(talk: Talk, intent: Intent) -> Exchange | None:
    """O que se diz de uma história; quem era o personagem sai da que se contou."""
    if intent.name != "historia-quem-era":
        return simple(talk, intent)
    if talk.story is None or not talk.story.cast:
        return None
    kind = talk.story.cast[0].tipo
    slots = {
        "personagem": kind.nome,
        "um_personagem": kind.com("um"),
        "o_personagem": kind.com("o"),
        "do_personagem": kind.com("do"),
    }
    ask = talk.ask(intent.name)
    return Exchange(
        intent.name, fill(ask, slots), talk.reply(intent.replies, slots), slots,
        keep=(kind.nome,), template=ask,
    )  # fmt: skip


# ------------------------------------------------------------------ a escolha


def _drawn(table: str) -> Callable[[Talk], Exchange | None]:
    """A cena que sorteia a intenção ou o grupo numa tabela de pesos."""
    return lambda talk: choose(talk, weighted(talk.rng, talk.table(table)))


SCENES: Mapping[str, Callable[[Talk], Exchange | None]] = {
    "conta": _drawn("conta"),
    "palavra": _drawn("palavra"),
    "historia": _drawn("historia"),
    "capital": capital_scene,
    "memoria": memory_scene,
    "contar-o-mesmo": lambda talk: same_field(talk, tell),
    "perguntar-o-mesmo": lambda talk: same_field(talk, recall),
    "corrigir": lambda talk: same_field(talk, correct),
}

BUILDERS: Mapping[str, Callable[[Talk, Intent], Exchange | None]] = {
    "conta": arithmetic,
    "capital": capital,
    "pessoa": someone,
    "lugar": someone,
    "memoria": memory,
    "jogo": word_game,
    "brincadeira": play,
    TELLING: storytelling,
    "sobre-historia": story_reaction,
}


def choose(talk: Talk, target: str) -> Exchange | None:
    """Uma troca da cena, do grupo ou da intenção; `None` se não cabe agora."""
    if target in SCENES:
        return SCENES[target](talk)
    if target in talk.bank.intents:
        chosen = talk.bank.intents[target]
    else:
        free = [i for i in talk.bank.in_group(target) if i.free]
        if not free:
            return None
        chosen = pick(talk.rng, free)
    if not talk.fits(chosen):
        return None
    return BUILDERS.get(chosen.group, simple)(talk, chosen)
