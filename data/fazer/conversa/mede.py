"""Mede os modelos do Seu Gota nas perguntas e nas histórias de fora do treino.

    python -m data.fazer.conversa.mede conversa MODELO --split validation --grava ARQUIVO
    python -m data.fazer.conversa.mede historias MODELO --split validation

O split de teste é para o fim, uma vez. As respostas da conversa são as mais prováveis
(temperatura 0), como o `Chat` as dá; as histórias, cinco sorteios de cada abertura.
"""

from __future__ import annotations

import argparse
import math
import random
import re
import shutil
import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from homellm.corpus import load_table, load_text
from homellm.device import choose_device
from homellm.evaluation import bits_per_byte
from homellm.files import read_json, write_json
from homellm.generation import generate, known_ids
from homellm.instruction import Chat, encode_conversation, fit_turns
from homellm.model import LanguageModel, device_of
from homellm.tokenizer import Tokenizer, encode_text, end_id
from homellm.weights import load_pretrained

from .banco import Bank
from .historias import Split, load
from .provas import Probe, evaluation_dialogues, evaluation_sets, is_right
from .texto import normalise
from .treina import STORIES, stories

LONGEST = 320
"""Tokens que cabem na história mais comprida, com folga."""
REPEATS = 5
WINDOW = 12
"""Palavras seguidas que contam como cópia."""


# ------------------------------------------------------------------ gerar


def _batches(
    model: LanguageModel, tokenizer: Tokenizer, prompts: Sequence[Sequence[int]],
    size: int, limit: int = 32, **options: Any,
) -> list[list[int]]:  # fmt: skip
    """O que o modelo escreve depois de cada prompt, até a marca de fim (inclusive)."""
    groups: defaultdict[int, list[int]] = defaultdict(list)
    for place, ids in enumerate(prompts):
        groups[len(ids)].append(place)
    end, found = end_id(tokenizer), [[]] * len(prompts)
    for length, places in groups.items():
        for first in range(0, len(places), limit):
            some = places[first : first + limit]
            batch = torch.tensor([prompts[p] for p in some], device=device_of(model))
            room = min(size, model.config.context_length - length)
            options["allowed"] = known_ids(tokenizer)
            whole = generate(model, batch, room, eos_id=end, **options)
            for place, row in zip(some, whole[:, length:].tolist(), strict=True):
                stop = row.index(end) + 1 if end in row else len(row)
                found[place] = row[:stop]
    return found


def answers(
    model: LanguageModel, tokenizer: Tokenizer, probes: Sequence[Probe]
) -> list[str]:
    """A resposta mais provável a cada prova, depois do que se disse antes dela."""
    size = model.config.context_length // 2
    limit = model.config.context_length - size
    prompts = []
    for probe in probes:
        turns = fit_turns(tokenizer, [*probe.history, (probe.user, None)], "", limit)
        prompts.append(encode_conversation(tokenizer, turns)[0])
    made = _batches(model, tokenizer, prompts, size, temperature=0.0)
    return [tokenizer.decode(ids).removesuffix("<|endoftext|>") for ids in made]


def share(right: Sequence[bool]) -> dict[str, float | int]:
    """A fração de acertos, o erro padrão e de quantos.

    >>> share([True, True, True, False])
    {'acerto': 0.75, 'erro': 0.2165, 'de': 4}
    """
    n, p = len(right), sum(right) / len(right)
    return {"acerto": round(p, 4), "erro": round(math.sqrt(p * (1 - p) / n), 4), "de": n}


# ------------------------------------------------------------------ a conversa


def measure_chat(
    model: LanguageModel, tokenizer: Tokenizer, split: Split, most: int | None = None
) -> tuple[dict[str, Any], list[tuple[Probe, str, bool]]]:
    """As notas de cada família de provas e as respostas, uma a uma.

    `most` limita as provas de cada família, para uma olhada no meio do treino.
    """
    scores: dict[str, Any] = {}
    log: list[tuple[Probe, str, bool]] = []
    for family, probes in evaluation_sets(split).items():
        some = probes
        if most is not None and len(probes) > most:
            some = random.Random(0).sample(probes, most)
        said = answers(model, tokenizer, some)
        right = [is_right(p, a) for p, a in zip(some, said, strict=True)]
        log += zip(some, said, right, strict=True)
        scores[family] = share(right)
        if family == "palavras":
            games = defaultdict(list)
            for probe, good in zip(some, right, strict=True):
                games[probe.intent].append(good)
            scores["jogos"] = {name: share(r)["acerto"] for name, r in games.items()}
    scores["grafia"] = spelling(a for _, a, _ in log)
    return scores, log


BY_WORDING = ("intencao", "fatos", "fora")
"""As famílias em que a redação do pedido é tudo o que muda."""


def nearest(split: Split) -> dict[str, dict[str, float | int]]:
    """As notas de quem só procura: a resposta do pedido de treino mais parecido.

    Parecido é o de maior cosseno entre vetores TF-IDF de pedaços de 2 a 5 letras, e a
    resposta é a primeira da intenção dele.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    bank = Bank.load()
    pairs = [(normalise(a), i) for i in bank.intents for a in bank.asks(i, "train")]
    vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True)
    known = vectorizer.fit_transform([ask for ask, _ in pairs])
    scores = {}
    for family in BY_WORDING:
        probes = evaluation_sets(split)[family]
        asked = vectorizer.transform([normalise(p.user) for p in probes])
        places = (asked @ known.T).argmax(axis=1).A1.tolist()
        said = [bank.intents[pairs[place][1]].replies[0] for place in places]
        scores[family] = share([is_right(p, a) for p, a in zip(probes, said, strict=True)])
    return scores


def talk(
    model: LanguageModel, tokenizer: Tokenizer, split: Split, count: int = 50
) -> tuple[dict[str, Any], list[list[tuple[str, str]]]]:
    """Conversas de oito turnos com as respostas do próprio modelo, e o acerto por turno."""
    by_turn: defaultdict[int, list[bool]] = defaultdict(list)
    transcripts = []
    for probes in evaluation_dialogues(split, count):
        chat = Chat(model, tokenizer)
        for place, probe in enumerate(probes):
            by_turn[place].append(is_right(probe, chat.send(probe.user)))
        transcripts.append(chat.turns)
    return {
        "por_turno": [share(by_turn[n])["acerto"] for n in sorted(by_turn)],
        "ao_todo": share([good for turn in by_turn.values() for good in turn]),
    }, transcripts


# ------------------------------------------------------------------ as histórias


_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
_INSIDE = re.compile(r"(?<=[a-zà-ú,;] )[A-ZÀ-Ú][a-zà-ú-]+")


def words(text: str) -> list[str]:
    """As palavras de um texto, em minúsculas."""
    return [w.lower() for w in _WORD.findall(text)]


@cache
def _known() -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
    """Os nomes do elenco, os tipos e as outras maiúsculas das histórias de treino."""
    elenco = load().elenco
    names = frozenset(name for names in elenco.nomes.values() for name in names)
    others = {w for t in stories(2_000) for w in _INSIDE.findall(t)} - names
    return names, frozenset(t.nome for t in elenco.tipos), frozenset(others)


def cast_of(text: str) -> dict[str, set[str]]:
    """Os nomes do elenco que o texto diz, e de que bichos ou gentes cada um é.

    >>> cast_of("Um gato de passos curtos chamado Bino viu a raposa Dora.")
    {'Bino': {'gato'}, 'Dora': {'raposa'}}
    """
    names, kinds, _ = _known()
    found: dict[str, set[str]] = {}
    for name in {w for w in _WORD.findall(text) if w in names or w in _INSIDE.findall(text)}:
        before = re.findall(rf"((?:[\w-]+ ){{1,5}})chamad[oa] {name}\b|([\w-]+) {name}\b", text)
        kind = set(" ".join(map(" ".join, before)).split()) & kinds
        if kind or name in names:  # um nome inventado só conta se alguém o apresenta
            found[name] = kind
    return found


def strangers(text: str) -> list[str]:
    """As maiúsculas no meio da frase que ninguém apresenta, nem o treino escreve assim."""
    _, _, others = _known()
    return [w for w in _INSIDE.findall(text) if w not in others.union(cast_of(text))]


def keeps_the_cast(text: str) -> bool:
    """Se quem aparece é apresentado, fica da mesma espécie, e não entra nome estranho.

    O primeiro nome tem de voltar, ele ou a sua espécie; cada um dos outros tem de ser
    apresentado (“a raposa Lia”, “um gato chamado Bino”), e de uma espécie só.

    >>> [keeps_the_cast(f"A raposa Dora riu. {t}") for t in ("Dora saiu.", "Bino riu.")]
    [True, False]
    """
    said, cast = Counter(words(text)), cast_of(text)
    if not cast or strangers(text):
        return False
    first = min(cast, key=text.index)
    back = said[first.lower()] > 1 or any(said[kind] > 1 for kind in cast[first])
    return back and all(len(kinds) == 1 for kinds in cast.values())


def _grams(text: str) -> np.ndarray:
    """Um resumo de cada sequência de `WINDOW` palavras: int64, (n,)."""
    found = words(text)
    spans = (" ".join(found[i : i + WINDOW]) for i in range(len(found) - WINDOW + 1))
    return np.array([hash(s) for s in spans], dtype=np.int64)


class Seen:
    """As sequências de `WINDOW` palavras das histórias de treino."""

    def __init__(self, count: int = STORIES) -> None:
        self.grams = np.unique(np.concatenate([_grams(t) for t in stories(count)]))

    def copied(self, texts: Iterable[str]) -> float:
        """A parte das sequências destes textos que está em alguma história de treino."""
        grams = np.concatenate([_grams(t) for t in texts])
        return float(np.isin(grams, self.grams).mean()) if grams.size else 0.0


@cache
def seen_in_training() -> Seen:
    """As sequências do treino, que levam um minuto para juntar."""
    return Seen()


def spelling(texts: Iterable[str]) -> float | None:
    """A parte das palavras que o hunspell (ou o elenco) conhece; `None` se ele falta."""
    if shutil.which("hunspell") is None:
        return None
    counts = Counter(w for t in texts for w in _WORD.findall(t))
    listed = subprocess.run(
        ["hunspell", "-d", "pt_BR", "-i", "utf-8", "-l"],
        input="\n".join(counts), capture_output=True, encoding="utf-8", check=True,
    )  # fmt: skip
    known = {w for t in stories(2_000) for w in _WORD.findall(t)}
    wrong = {w for w in listed.stdout.split() if w not in known}
    return round(1 - sum(counts[w] for w in wrong) / counts.total(), 4)


def tell(
    model: LanguageModel, tokenizer: Tokenizer, openings: Sequence[str], seed: int = 0
) -> list[tuple[str, bool]]:
    """Uma história por abertura, inteira, e se o modelo chegou ao fim dela."""
    end = end_id(tokenizer)
    prompts = [[end, *encode_text(tokenizer, o)] for o in openings]  # como no treino
    made = _batches(
        model, tokenizer, prompts, LONGEST, temperature=0.7, top_p=0.95,
        generator=torch.Generator().manual_seed(seed),
    )  # fmt: skip
    told = []
    for opening, ids in zip(openings, made, strict=True):
        text = opening + tokenizer.decode([i for i in ids if i != end])
        told.append((text, ids[-1:] == [end] and text[-1:] in ".!?…”"))
    return told


def opening_of(story: str) -> str:
    """A primeira frase de uma história.

    >>> opening_of("Era cedo. A Lia saiu.")
    'Era cedo.'
    """
    return re.split(r"(?<=[.!?…]) |\n", story, maxsplit=1)[0]


def bits(
    model: LanguageModel, tokenizer: Tokenizer, texts: Mapping[str, Sequence[str]]
) -> dict[str, float]:
    """Os bits por byte de cada grupo de documentos, cada um lido do começo."""
    scores = {}
    for name, documents in texts.items():
        sizes = [len(text.encode("utf-8")) for text in documents]
        found = [bits_per_byte(model, tokenizer, text) for text in documents]
        scores[name] = round(float(np.average(found, weights=sizes)), 4)
    return scores


def measure_told(
    model: LanguageModel, tokenizer: Tokenizer, openings: Sequence[str], seen: Seen
) -> tuple[dict[str, Any], list[str]]:
    """As notas das histórias que continuam `openings`, em `REPEATS` sorteios de cada."""
    told = tell(model, tokenizer, [*openings] * REPEATS)
    rows = defaultdict(list)
    for first in range(0, len(told), len(openings)):
        some = told[first : first + len(openings)]
        rows["elenco"].append(float(np.mean([keeps_the_cast(t) for t, _ in some])))
        rows["fim"].append(float(np.mean([ended for _, ended in some])))
        rows["copia"].append(seen.copied(t for t, _ in some))
    texts = [text for text, _ in told]
    scores = {
        name: {
            "media": round(float(np.mean(r)), 4),
            "desvio": round(float(np.std(r, ddof=1)), 4),
        }
        for name, r in rows.items()
    }
    return {**scores, "grafia": spelling(texts)}, texts


def measure_stories(
    model: LanguageModel,
    tokenizer: Tokenizer,
    split: Split,
    count: int = 60,
    other: str = "contos-mini",
) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """Notas das histórias que continuam a primeira frase de outras, de fora do treino.

    São duas medidas: com aberturas de enredos, nomes e objetos que o treino não viu
    (`ineditas`), e com as de um sorteio novo dos que ele viu (`conhecidas`). `gerador` é
    a mesma medida nas histórias do próprio gerador, que é o melhor que se pode esperar.
    Do modelo `other` sai só o que se aplica: a grafia e os bits por byte.
    """
    seen = seen_in_training()
    made = {
        "ineditas": list(stories(count, split)),
        "conhecidas": list(stories(count, split, unseen=False)),
    }
    openings = {name: [opening_of(s) for s in texts] for name, texts in made.items()}
    scores: dict[str, Any] = {"aberturas": count, "sorteios": REPEATS}
    told = {}
    for name in made:
        scores[name], told[name] = measure_told(model, tokenizer, openings[name], seen)
    scores["gerador"] = {
        name: {
            "elenco": share([keeps_the_cast(t) for t in texts])["acerto"],
            "copia": round(seen.copied(texts), 4),
        }
        for name, texts in made.items()
    }
    texts = {
        **made,
        "microcontos": [s.document for s in load_table("microcontos", split)],
        "contos": [load_text("contos", split)],
        "folhetim": [load_text("folhetim")],
    }
    rival = load_pretrained(other)
    rival[0].to(device_of(model)).eval()
    scores["bits_por_byte"] = bits(model, tokenizer, texts)
    scores[other] = {
        "grafia": spelling(t for t, _ in tell(*rival, openings["conhecidas"])),
        "bits_por_byte": bits(*rival, texts),
    }
    return scores, told


def main(args: Sequence[str] | None = None) -> None:
    """O comando."""
    parser = argparse.ArgumentParser(description="Mede os modelos do Seu Gota.")
    parser.add_argument("o_que", choices=("conversa", "historias"))
    parser.add_argument("modelo", help="nome ou pasta")
    parser.add_argument("--split", choices=("validation", "test"), required=True)
    parser.add_argument("--ate", type=int, help="no máximo tantas provas por família")
    parser.add_argument("--erros", action="store_true", help="mostra as que errou")
    parser.add_argument("--mostra", action="store_true", help="mostra vinte histórias")
    parser.add_argument("--grava", type=Path, help="onde guardar as medidas, em JSON")
    options = parser.parse_args(args)
    model, tokenizer = load_pretrained(options.modelo)
    model.to(choose_device()).eval()
    if options.o_que == "conversa":
        scores, log = measure_chat(model, tokenizer, options.split, options.ate)
        if options.ate is None:
            scores["oito_turnos"], _ = talk(model, tokenizer, options.split)
            scores["vizinho"] = nearest(options.split)
        for probe, answer, good in log if options.erros else ():
            if not good:
                print(f"{probe.kind} · {probe.intent} · {probe.user} — {answer}")
    else:
        scores, told = measure_stories(model, tokenizer, options.split)
        for name, texts in told.items() if options.mostra else ():
            print(name, *texts[:20], sep="\n\n")
    for name, value in scores.items():
        print(f"{name}: {value}")
    if options.grava:
        before = read_json(options.grava) if options.grava.exists() else {}
        write_json(options.grava, {**before, options.split: scores})


if __name__ == "__main__":
    main()
