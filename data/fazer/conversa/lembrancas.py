"""O que a pessoa conta de si, corrige e pergunta depois.

>>> from random import Random
>>> from .banco import Bank
>>> talk = Talk(Random(2), Bank.load(), "train")
>>> talk.record(tell(talk, "nome"))
>>> recall(talk, "nome").expected == (talk.name,)
True
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from .banco import FIELDS, Intent
from .estado import Exchange, Talk
from .texto import capitalise, fill, pick, strip_accents, weighted

TRIES = 12


def _draw(talk: Talk, name: str) -> dict[str, str]:
    """Um valor novo para um campo, na forma de slots."""
    rng = talk.rng
    if name == "idade":
        child = "profissao" not in talk.told and rng.random() < 0.25
        age = 6 + int(rng.random() * 12) if child else 18 + int(rng.random() * 63)
        return {"idade": str(age)}
    if name == "profissao":
        if int(talk.told.get("idade", {}).get("idade", "30")) < 18:
            return {"profissao": "estudante"}
        job = pick(rng, talk.bank.listed("profissoes", talk.split))
        return {"profissao": job[talk.gender]}
    if name == "bicho":
        kind = talk.told.get("bicho") or pick(rng, talk.bank.items["tipos"])
        named = pick(rng, talk.bank.listed("bichos", talk.split))["nome"]
        return {**kind, "bicho": named}
    if name == "cidade":
        city = pick(rng, talk.bank.listed("cidades", talk.split))
        return {
            "cidade": city["nome"],
            "em_cidade": city["em"],
            "de_cidade": city["de"],
        }
    if name == "nome":
        same = [
            n
            for n in talk.bank.listed("nomes", talk.split)
            if n["genero"] == talk.gender
        ]
        return {"nome": pick(rng, same)["nome"]}
    plural = {"cor": "cores", "comida": "comidas"}[name]
    return {name: pick(rng, talk.bank.listed(plural, talk.split))["nome"]}


def memory(talk: Talk, intent: Intent) -> Exchange | None:
    """Contar, perguntar ou corrigir um campo, conforme o que se contou até aqui."""
    name, _, verb = intent.name.rpartition("-")
    if verb == "contar":
        return None if name in talk.told else tell(talk, name)
    if verb == "corrigir":
        recent = talk.last is not None and talk.last.intent.startswith(f"{name}-")
        return correct(talk, name) if name in talk.told and recent else None
    return recall(talk, name)


def tell(talk: Talk, name: str) -> Exchange:
    """A pessoa conta."""
    slots = {"nome": talk.name} if name == "nome" else _draw(talk, name)
    intent = talk.bank.intents[f"{name}-contar"]
    first = talk.last is None
    greeting = re.compile(r"^(?:oi|olá|boa tarde|bom dia)\b")
    ask = talk.ask(intent.name, lambda a: first or not greeting.search(a))
    return _about(talk, name, intent, ask, slots, "", "contou")


def correct(talk: Talk, name: str) -> Exchange:
    """A pessoa corrige o que contou, logo depois de o ouvir de volta."""
    old = talk.told[name]
    new = _draw(talk, name)
    for _ in range(TRIES):
        if new[name] != old[name]:
            break
        new = _draw(talk, name)
    else:
        new = old
    intent = talk.bank.intents[f"{name}-corrigir"]
    accented = strip_accents(new[name]) != new[name]
    ask = talk.ask(intent.name, lambda a: accented or "acento" not in a)
    return _about(talk, name, intent, ask, new, "", "contou")


def recall(talk: Talk, name: str) -> Exchange:
    """A pessoa pergunta: ele lembra, se ela disse; se não, diz que não disse."""
    intent = talk.bank.intents[f"{name}-perguntar"]
    known = name in talk.told
    slots = talk.told[name] if known else _draw(talk, name)
    ask = talk.ask(intent.name, lambda a: known or not PRESUMES.search(a))
    variant, label = ("", "lembrou") if known else ("nunca_disse", "nunca-disse")
    return _about(talk, name, intent, ask, slots, variant, label)


PRESUMES = re.compile(r"\b(?:disse|falei|contei|esqueceu|decorou|guardou)\b")
"""As perguntas de quem já contou; sem ter contado, fazem-se menos."""


def _about(
    talk: Talk,
    name: str,
    intent: Intent,
    ask: str,
    slots: dict[str, str],
    variant: str,
    label: str,
) -> Exchange:
    """A troca sobre um campo; a resposta começa sempre por maiúscula."""
    replies = intent.variants[variant] if variant else intent.replies
    reply = talk.reply(replies, slots)
    sets = {}
    if label == "contou":
        sets = {
            "told": {**talk.told, name: dict(slots)},
            "told_at": {**talk.told_at, name: len(talk.past)},
        }
    return Exchange(
        intent.name,
        fill(ask, slots),
        capitalise(reply),
        slots,
        variant,
        () if label == "nunca-disse" else (slots[name],),
        tuple(v for k, v in slots.items() if k in (name, "tipo")),
        (label,),
        template=ask,
        sets=sets,
    )


def memory_scene(talk: Talk) -> Exchange:
    """Contar o que falta, perguntar o que se contou ou o que nunca se disse."""
    fields: Mapping[str, float] = talk.table("campos")
    untold = {f: w for f, w in fields.items() if f not in talk.told}
    told = [f for f in FIELDS if f in talk.told]
    options = dict(talk.table("memoria"))
    if not untold:
        options["contar"] = options["nunca-disse"] = 0
    if not told:
        options["perguntar"] = 0
    choice = weighted(talk.rng, options)
    if choice == "perguntar":
        return recall(talk, pick(talk.rng, told))
    name = weighted(talk.rng, untold)
    return tell(talk, name) if choice == "contar" else recall(talk, name)


def remember(talk: Talk, wait: int) -> Exchange | None:
    """Pergunta pelo que se contou há pelo menos `wait` turnos."""
    ready = [
        f for f in FIELDS if f in talk.told and len(talk.past) - talk.told_at[f] >= wait
    ]
    ready = [f for f in ready if f"{f}-perguntar" not in talk.labels]
    return recall(talk, pick(talk.rng, ready)) if ready else None


def same_field(talk: Talk, verb: Callable[[Talk, str], Exchange]) -> Exchange | None:
    """O campo de que se acabou de falar, com outro verbo."""
    last = talk.last
    if last is None or last.intent not in talk.bank.intents:
        return None
    name = last.intent.rpartition("-")[0]
    if name not in FIELDS or (verb is tell) == (name in talk.told):
        return None
    return verb(talk, name)
