"""Compõe histórias curtas com os enredos de `enredos.yaml` e o elenco de `elenco.yaml`.

Um enredo é uma fila de batidas (abertura, apuro, tentativa, virada, final…), cada uma
com várias redações; o programa sorteia a redação de cada batida, quem entra, com que
nome e com que objeto, e guarda esse estado até o fim: o nome dado fica, o gênero
concorda, a escolha feita numa batida vale nas seguintes. O cabeçalho de `enredos.yaml`
ensina a notação das redações.

>>> import random
>>> story = compose_story(random.Random(3), kinds=["raposa"])
>>> "raposa" in story.text and story.text.endswith(story.ending)
True
>>> story == compose_story(random.Random(3), kinds=["raposa"])
True
"""

from __future__ import annotations

import hashlib
import itertools
import random
import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml

Split = Literal["train", "validation", "test"]
UNSEEN = frozenset({"plot", "cast", "object"})
"""O que pode vir de famílias que o treino não viu."""

PASTA = Path(__file__).parent
PAPEIS = "ABC"
BANCOS = ("objeto", "lugar", "comida", "esconderijo", "medo", "dia", "noite", "tempo")

DETERMINANTES = {
    "o": "a", "do": "da", "no": "na", "ao": "à", "pelo": "pela",
    "um": "uma", "num": "numa", "meu": "minha", "seu": "sua", "nosso": "nossa",
    "este": "esta", "deste": "desta", "esse": "essa", "nesse": "nessa",
    "aquele": "aquela", "daquele": "daquela", "outro": "outra",
}  # fmt: skip
PRONOMES = {"ele": "ela", "dele": "dela", "nele": "nela", "lo": "la"}
PREPOSICOES = {"de": "do", "a": "ao", "em": "no", "por": "pelo"}
APRESENTA = ("intro", "mostra")

TENTATIVAS = 40
"""Quantas vezes se compõe de novo, até a história conter tudo o que se pediu."""

PARTE_DO_TIPO = 0.25
"""Com que frequência se diz “a raposa” onde se podia dizer o nome."""

PARTE_DO_TRACO = 0.2

_SLOT = re.compile(r"\{([^{}]*)\}")
_CORPO = re.compile(
    r"(?:(?P<palavra>[^\s:!]+) )?(?P<chave>[A-C]{1,3}|[a-z]\w*)"
    r"(?P<nome>!)?(?::(?P<masculino>[^/:]*)/(?P<feminino>[^/:]*))?"
)
_COORDENADOS = re.compile(r"\{[A-C]\} e \{[A-C]!?\}|\{[A-C]!\} e \{[A-C]\}")
_ALTERNATIVA = re.compile(r"\[([^\[\]]*)\]")
_COMECO = re.compile(r"(?:(?:^|\n)(?:— )?|[.!?] )«?$")


class ErroDeEnredo(ValueError):
    """Um enredo ou o elenco estão mal escritos; a mensagem diz onde."""


class SemHistoria(ValueError):
    """Nenhum enredo deste split atende ao que se pediu."""


# ------------------------------------------------------------------ os dados


def family_split(group: str, name: str) -> Split:
    """O split de uma família, pelo sha256: 15 % test, 10 % validation, o resto train.

    >>> family_split("objeto", "chapéu") == family_split("objeto", "chapéu")
    True
    """
    digest = hashlib.sha256(f"{group}:{name}".encode()).digest()
    share = int.from_bytes(digest[:8], "big") / 2**64
    return "test" if share < 0.15 else "validation" if share < 0.25 else "train"


SILABAS = (
    "ba be bi bo ca co cu da de di do fa fe fi fu ga go gui ja jo ju la le li lo lu ma me mi mo mu na ne ni "
    "no pa pe pi po ra ri ro sa se si so ta te ti to tu va ve vi vo za zé zi zu"
).split()
FINAIS = {"f": "lana mira nela nica rina sinha bela", "m": "lano miro nelo nico rino sinho belo"}
INVENTADOS = 0.35
"""Com que frequência, no treino, o nome é inventado: o que nunca se viu só se pode copiar."""


def nome_inventado(rng: random.Random, genero: str) -> str:
    """Um nome de duas a quatro sílabas que não é de lista nenhuma, só para o treino.

    >>> nome_inventado(random.Random(0), "f")
    'Tibina'
    """
    while True:
        comeco = "".join(rng.sample(SILABAS, rng.choice((1, 1, 2))))
        curto = rng.choice(("na", "ra", "la", "ca") if genero == "f" else ("no", "ro", "lo", "co"))
        fim = rng.choice((curto, curto, *FINAIS[genero].split()))
        nome = (comeco + fim).capitalize()
        if family_split("nome", nome) == "train":
            return nome


@dataclass(frozen=True)
class Termo:
    """Um substantivo (ou, sem gênero, uma expressão pronta) que entra numa história.

    >>> Termo("ponte", "f").com("no")
    'na ponte'
    """

    nome: str
    genero: str = ""
    etiquetas: frozenset[str] = frozenset()

    def com(self, determinante: str) -> str:
        """O nome com o determinante, dado no masculino, concordando com ele."""
        return f"{flexiona(determinante, self.genero)} {self.nome}"

    def serve(self, filtro: str) -> bool:
        """Se as etiquetas atendem a um filtro: `a b` é ou, `+c` também, `-d` não.

        >>> Termo("sapo", "m", frozenset({"anda", "nada"})).serve("voa anda -grande")
        True
        """
        pedidas = [p for p in filtro.split() if p[0] not in "+-"]
        return (
            (
                not pedidas
                or "todos" in pedidas
                or not self.etiquetas.isdisjoint(pedidas)
            )
            and all(p[1:] in self.etiquetas for p in filtro.split() if p[0] == "+")
            and all(p[1:] not in self.etiquetas for p in filtro.split() if p[0] == "-")
        )


@dataclass(frozen=True)
class Personagem:
    """Quem entra na história: o nome que recebeu e o tipo."""

    nome: str
    tipo: Termo

    @property
    def genero(self) -> str:
        """O gênero do tipo, que é também o do nome."""
        return self.tipo.genero


@dataclass(frozen=True)
class Elenco:
    """De onde se tiram personagens, nomes, objetos, lugares e expressões."""

    tipos: tuple[Termo, ...]
    nomes: Mapping[str, tuple[str, ...]]
    bancos: Mapping[str, tuple[Termo, ...]]
    tracos: tuple[str, ...]

    def nomes_de(self, genero: str, split: Split) -> list[str]:
        """Os nomes de um gênero que pertencem a um split."""
        return [n for n in self.nomes[genero] if family_split("nome", n) == split]

    def termos(self, banco: str, filtro: str, split: Split) -> list[Termo]:
        """Os termos de um banco que atendem ao filtro.

        Só os objetos se repartem. Se nenhum do split serve, valem os de train.
        """
        servem = [t for t in self.bancos[banco] if t.serve(filtro)]
        if banco != "objeto":
            return servem
        de = {
            s: [t for t in servem if family_split("objeto", t.nome) == s]
            for s in (split, "train")
        }
        return de[split] or de["train"]


@dataclass(frozen=True)
class Batida:
    """Um passo do enredo: as redações, por caso da `escolha` ou sob o caso vazio."""

    nome: str
    escolha: str
    casos: Mapping[str, tuple[str, ...]]

    def frases(self, escolhas: Mapping[str, str]) -> tuple[str, ...]:
        """As redações que valem para as escolhas já feitas."""
        return self.casos[escolhas[self.escolha] if self.escolha else ""]


@dataclass(frozen=True)
class Enredo:
    """Uma família de histórias: os papéis, os slots e as batidas."""

    nome: str
    temas: tuple[str, ...]
    papeis: Mapping[str, str]
    slots: Mapping[str, str | tuple[Termo, ...]]
    batidas: tuple[Batida, ...]

    @property
    def split(self) -> Split:
        """O split da família."""
        return family_split("historia", self.nome)

    @property
    def escolhas(self) -> dict[str, tuple[str, ...]]:
        """Os casos possíveis de cada escolha que o enredo faz."""
        return {b.escolha: tuple(b.casos) for b in self.batidas if b.escolha}

    def caminhos(self) -> Iterator[dict[str, str]]:
        """Todas as combinações de escolhas."""
        for casos in itertools.product(*self.escolhas.values()):
            yield dict(zip(self.escolhas, casos, strict=True))


@dataclass(frozen=True)
class Acervo:
    """O elenco e os enredos, lidos e conferidos."""

    elenco: Elenco
    enredos: Mapping[str, Enredo]

    @property
    def temas(self) -> list[str]:
        """Os temas de todos os enredos, em ordem alfabética."""
        return sorted({t for e in self.enredos.values() for t in e.temas})


@dataclass(frozen=True)
class Story:
    """Uma história pronta e o que se sabe dela."""

    text: str
    plot: str
    themes: tuple[str, ...]
    cast: tuple[Personagem, ...]
    things: Mapping[str, str]
    choices: Mapping[str, str]
    ending: str


# ------------------------------------------------------------------ a notação


@dataclass(frozen=True)
class Slot:
    """O que vai entre chaves numa redação.

    >>> Slot.le("o coisa")
    Slot(chave='coisa', palavra='o', nome=False, flexoes=None)
    >>> Slot.le("B:sozinho/sozinha").flexoes
    ('sozinho', 'sozinha')
    """

    chave: str
    palavra: str = ""
    nome: bool = False
    flexoes: tuple[str, str] | None = None

    @classmethod
    @cache
    def le(cls, corpo: str) -> Slot:
        """Lê o corpo de um slot; recusa o que a notação não tem."""
        achado = _CORPO.fullmatch(corpo)
        if not achado:
            raise ErroDeEnredo(f"slot que não se entende: {{{corpo}}}")
        masculino, feminino = achado["masculino"], achado["feminino"]
        flexoes = None if masculino is None else (masculino, feminino)
        slot = cls(
            achado["chave"], achado["palavra"] or "", bool(achado["nome"]), flexoes
        )
        if (slot.nome or slot.flexoes) and slot.palavra or slot.nome and slot.flexoes:
            raise ErroDeEnredo(f"slot que pede duas coisas: {{{corpo}}}")
        return slot

    @property
    def de_personagem(self) -> bool:
        """Se a chave é um papel ou um grupo de papéis."""
        return self.chave[0] in PAPEIS


def slots(frase: str) -> list[Slot]:
    """Os slots de uma redação, na ordem."""
    return [Slot.le(corpo) for corpo in _SLOT.findall(frase)]


def flexiona(palavra: str, genero: str) -> str:
    """Um determinante ou pronome, dado no masculino, no gênero pedido.

    >>> flexiona("ao", "f"), flexiona("dele", "m")
    ('à', 'dele')
    """
    return palavra if genero == "m" else {**DETERMINANTES, **PRONOMES}[palavra]


def sorteia_alternativas(frase: str, rng: random.Random) -> str:
    """Resolve os colchetes de uma redação, de dentro para fora.

    >>> sorteia_alternativas("Choveu [um dia|dois [dias|invernos]].", random.Random(1))
    'Choveu um dia.'
    """
    while _ALTERNATIVA.search(frase):
        frase = _ALTERNATIVA.sub(lambda a: rng.choice(a[1].split("|")), frase)
    return frase


def maiuscula(texto: str) -> str:
    """O texto com a primeira letra maiúscula."""
    return texto[:1].upper() + texto[1:]


def junta(passos: Iterable[str]) -> str:
    """Junta as batidas em parágrafos: a fala, que abre com travessão, tem o seu.

    >>> junta(["Choveu.", "Parou.", "— Viu?", "Ninguém viu."])
    'Choveu. Parou.\\n— Viu?\\nNinguém viu.'
    """
    texto = ""
    for passo in passos:
        fala = passo.startswith("— ") or texto.rpartition("\n")[2].startswith("— ")
        texto += ("\n" if fala else " ") * bool(texto) + passo
    return texto


# ------------------------------------------------------------------ contar


@dataclass
class Historia:
    """Uma história enquanto se conta: quem já entrou e o que já se escolheu."""

    rng: random.Random
    enredo: Enredo
    papeis: Mapping[str, Personagem]
    coisas: Mapping[str, Termo]
    tracos: Sequence[str]
    escolhas: Mapping[str, str]
    apresentados: list[str] = field(default_factory=list)
    pelo_tipo: str = ""

    def conta(self) -> Story:
        """Conta o enredo, batida por batida."""
        passos = [
            self.escreve(self.rng.choice(b.frases(self.escolhas)))
            for b in self.enredo.batidas
        ]
        texto = junta(passos)
        return Story(
            text=texto,
            plot=self.enredo.nome,
            themes=self.enredo.temas,
            cast=tuple(self.papeis[p] for p in self.apresentados),
            things={k: t.nome for k, t in self.coisas.items() if t.nome in texto},
            choices=self.escolhas,
            ending=passos[-1],
        )

    def escreve(self, frase: str) -> str:
        """Uma redação com as alternativas sorteadas e os slots preenchidos."""
        texto, fim = "", 0
        frase = sorteia_alternativas(frase, self.rng)
        for achado in _SLOT.finditer(frase):
            texto += frase[fim : achado.start()]
            valor = self.preenche(Slot.le(achado[1]))
            texto += maiuscula(valor) if _COMECO.search(texto) else valor
            fim = achado.end()
        return texto + frase[fim:]

    def preenche(self, slot: Slot) -> str:
        """O texto que entra no lugar de um slot."""
        if slot.flexoes:
            return slot.flexoes[self._genero(slot.chave) == "f"]
        if not slot.de_personagem:
            return self._coisa(slot)
        if len(slot.chave) > 1:
            return self._grupo(slot)
        if slot.palavra in APRESENTA:
            return self._apresenta(slot)
        return self._menciona(slot)

    def _genero(self, chave: str) -> str:
        """O gênero de uma coisa ou de um grupo, feminino se todas o são."""
        if chave in self.coisas:
            return self.coisas[chave].genero
        return "f" if all(self.papeis[p].genero == "f" for p in chave) else "m"

    def _coisa(self, slot: Slot) -> str:
        """“chapéu”, “o chapéu”, “no chapéu”; ou só o pronome."""
        coisa = self.coisas[slot.chave]
        if slot.palavra in PRONOMES:
            return flexiona(slot.palavra, coisa.genero)
        return coisa.com(slot.palavra) if slot.palavra else coisa.nome

    def _grupo(self, slot: Slot) -> str:
        """“os dois”, “das três”."""
        genero = self._genero(slot.chave)
        numero = "três" if len(slot.chave) == 3 else "dois" if genero == "m" else "duas"
        artigo = flexiona(PREPOSICOES.get(slot.palavra, "o"), genero)
        return f"{artigo}s {numero}"

    def _apresenta(self, slot: Slot) -> str:
        """A primeira menção: “uma raposa chamada Rita”, “a raposa Rita”."""
        quem = self.papeis[slot.chave]
        self.apresentados.append(slot.chave)
        if slot.palavra == "mostra":
            return f"{quem.tipo.com('o')} {quem.nome}"
        traco = (
            f" {self.rng.choice(self.tracos)}"
            if self.rng.random() < PARTE_DO_TRACO
            else ""
        )
        chamado = "chamado" if quem.genero == "m" else "chamada"
        return f"{quem.tipo.com('um')}{traco} {chamado} {quem.nome}"

    def _menciona(self, slot: Slot) -> str:
        """Uma menção seguinte: o nome, o tipo ou o pronome, se não houver dúvida."""
        quem = self.papeis[slot.chave]
        if slot.palavra in DETERMINANTES:
            return quem.tipo.com(slot.palavra)
        if slot.palavra in PRONOMES:
            return self._pronome(slot)
        pelo_tipo = (
            not slot.nome
            and self.pelo_tipo != slot.chave
            and self.rng.random() < PARTE_DO_TIPO
        )
        self.pelo_tipo = slot.chave if pelo_tipo else ""
        if pelo_tipo:
            return quem.tipo.com(PREPOSICOES.get(slot.palavra, "o"))
        return f"{slot.palavra} {quem.nome}".strip()

    def _pronome(self, slot: Slot) -> str:
        """“ela”, se só uma pessoa apresentada pode ser; senão, o nome."""
        quem = self.papeis[slot.chave]
        outros = {self.papeis[p].genero for p in self.apresentados if p != slot.chave}
        if quem.genero not in outros:
            return flexiona(slot.palavra, quem.genero)
        preposicao = {"dele": "de ", "nele": "em "}.get(slot.palavra, "")
        return preposicao + quem.nome


def compose_story(
    rng: random.Random,
    plot: str | None = None,
    kinds: Sequence[str] = (),
    place: str | None = None,
    object: str | None = None,
    food: str | None = None,
    theme: str | None = None,
    split: Split = "train",
    unseen: Collection[str] = UNSEEN,
    acervo: Acervo | None = None,
) -> Story:
    """Compõe uma história que contém tudo o que se pediu.

    `kinds`, `place`, `object` e `food` são nomes do elenco (“raposa”, “beira do rio”),
    `theme` é um dos temas. Fora de train, o que está em `unseen` vem das famílias do
    split; o resto, das de train.

    >>> story = compose_story(random.Random(0), kinds=["gato", "coruja"], theme="chuva")
    >>> "gato" in story.text, "coruja" in story.text, "chuva" in story.themes
    (True, True, True)
    >>> compose_story(random.Random(0), kinds=["ornitorrinco"])
    Traceback (most recent call last):
    ...
    data.fazer.conversa.historias.SemHistoria: não há no elenco: tipo “ornitorrinco”
    """
    acervo = acervo or load()
    pedido = {
        banco: nome
        for banco, nome in (("lugar", place), ("objeto", object), ("comida", food))
        if nome is not None
    }
    _confere_pedido(acervo.elenco, kinds, pedido)
    de = {parte: split if parte in unseen else "train" for parte in UNSEEN}
    candidatos = [
        enredo
        for enredo in acervo.enredos.values()
        if enredo.split == de["plot"]
        and (plot is None or plot == enredo.nome)
        and (theme is None or theme in enredo.temas)
        and _cabem(enredo, acervo.elenco, kinds)
        and all(
            _slots_para(enredo, acervo.elenco, b, n, de["object"])
            for b, n in pedido.items()
        )
    ]
    if not candidatos:
        pedidos = [plot, *kinds, *pedido.values(), theme]
        quer = ", ".join(f"“{p}”" for p in pedidos if p is not None)
        raise SemHistoria(
            f"nenhum enredo de {de['plot']} serve a {quer or 'este split'}"
        )
    for _ in range(TENTATIVAS):
        story = _sorteia(
            rng, rng.choice(candidatos), acervo.elenco, kinds, pedido, de
        ).conta()
        tipos = {p.tipo.nome for p in story.cast}
        if tipos.issuperset(kinds) and set(story.things.values()).issuperset(
            pedido.values()
        ):
            return story
    raise SemHistoria(
        f"em {TENTATIVAS} tentativas, nenhuma história conteve o que se pediu"
    )


def _confere_pedido(
    elenco: Elenco, kinds: Sequence[str], pedido: Mapping[str, str]
) -> None:
    """Recusa o que o elenco não tem."""
    estranhos = [
        f"tipo “{k}”" for k in kinds if k not in {t.nome for t in elenco.tipos}
    ]
    estranhos += [
        f"{b} “{n}”"
        for b, n in pedido.items()
        if n not in {t.nome for t in elenco.bancos[b]}
    ]
    if estranhos:
        raise SemHistoria(f"não há no elenco: {', '.join(estranhos)}")


def _cabem(
    enredo: Enredo, elenco: Elenco, kinds: Sequence[str]
) -> list[dict[str, Termo]]:
    """As maneiras de repartir os tipos pedidos pelos papéis do enredo."""
    tipos = {t.nome: t for t in elenco.tipos}
    return [
        {papel: tipos[k] for papel, k in zip(papeis, kinds, strict=True)}
        for papeis in itertools.permutations(enredo.papeis, len(kinds))
        if all(
            tipos[k].serve(enredo.papeis[papel])
            for papel, k in zip(papeis, kinds, strict=True)
        )
    ]


def _slots_para(
    enredo: Enredo, elenco: Elenco, banco: str, nome: str, split: Split
) -> list[str]:
    """Os slots do enredo em que cabe o termo pedido."""
    achados = []
    for slot, filtro in enredo.slots.items():
        if isinstance(filtro, str) and filtro.split()[0] == banco:
            termos = elenco.termos(banco, filtro.partition(" ")[2], split)
            achados += [slot] * (nome in {t.nome for t in termos})
    return achados


def _sorteia(
    rng: random.Random,
    enredo: Enredo,
    elenco: Elenco,
    kinds: Sequence[str],
    pedido: Mapping[str, str],
    de: Mapping[str, Split],
) -> Historia:
    """Sorteia o elenco, as coisas e as escolhas de uma história."""
    tipos = dict(rng.choice(_cabem(enredo, elenco, kinds)))
    for papel, filtro in enredo.papeis.items():
        if papel not in tipos:
            usados = [t.nome for t in tipos.values()]
            servem = [
                t for t in elenco.tipos if t.serve(filtro) and t.nome not in usados
            ]
            tipos[papel] = rng.choice(servem)
    papeis: dict[str, Personagem] = {}
    for papel in enredo.papeis:
        iniciais = {p.nome[0] for p in papeis.values()}
        nomes = elenco.nomes_de(tipos[papel].genero, de["cast"])
        nome = rng.choice([n for n in nomes if n[0] not in iniciais])
        if de["cast"] == "train" and rng.random() < INVENTADOS:
            outro = nome_inventado(rng, tipos[papel].genero)
            nome = nome if outro[0] in iniciais else outro
        papeis[papel] = Personagem(nome, tipos[papel])
    coisas: dict[str, Termo] = {}
    for banco, nome in pedido.items():
        slot = rng.choice(_slots_para(enredo, elenco, banco, nome, de["object"]))
        coisas[slot] = next(t for t in elenco.bancos[banco] if t.nome == nome)
    for slot, filtro in enredo.slots.items():
        if slot not in coisas:
            if isinstance(filtro, str):
                banco, _, etiquetas = filtro.partition(" ")
                termos: Sequence[Termo] = elenco.termos(banco, etiquetas, de["object"])
            else:
                termos = filtro
            usadas = {t.nome for t in coisas.values()}
            coisas[slot] = rng.choice([t for t in termos if t.nome not in usadas])
    escolhas = {nome: rng.choice(casos) for nome, casos in enredo.escolhas.items()}
    return Historia(rng, enredo, papeis, coisas, elenco.tracos, escolhas)


# ------------------------------------------------------------------ ler e conferir


@cache
def load(pasta: Path = PASTA) -> Acervo:
    """Lê e confere `elenco.yaml` e `enredos.yaml`, uma vez por processo."""
    elenco = le_elenco(_yaml(pasta / "elenco.yaml"))
    return Acervo(elenco, le_enredos(_yaml(pasta / "enredos.yaml"), elenco))


def _yaml(caminho: Path) -> Any:
    """O conteúdo de um YAML, que tem de estar em NFC."""
    texto = caminho.read_text("utf-8")
    if not unicodedata.is_normalized("NFC", texto):
        raise ErroDeEnredo(f"{caminho.name}: o texto não está em NFC")
    return yaml.load(texto, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def le_elenco(dados: Mapping[str, Any]) -> Elenco:
    """O elenco, a partir do YAML lido."""

    def termos(banco: str) -> tuple[Termo, ...]:
        lidos = tuple(
            Termo(t["nome"], t.get("genero", ""), frozenset(t["etiquetas"].split()))
            for t in dados[banco]
        )
        if len({t.nome for t in lidos}) < len(lidos) or {t.genero for t in lidos} - {
            "m",
            "f",
            "",
        }:
            raise ErroDeEnredo(
                f"elenco, {banco}: termo repetido ou gênero que não é m nem f"
            )
        return lidos

    nomes = {genero: tuple(dados["nomes"][genero]) for genero in "fm"}
    todos = [n for grupo in nomes.values() for n in grupo]
    if len(set(todos)) < len(todos):
        raise ErroDeEnredo("elenco, nomes: nome repetido")
    return Elenco(
        termos("tipos"), nomes, {b: termos(b) for b in BANCOS}, tuple(dados["tracos"])
    )


def le_enredos(dados: Sequence[Mapping[str, Any]], elenco: Elenco) -> dict[str, Enredo]:
    """Os enredos, a partir do YAML lido, cada um conferido contra o elenco."""
    enredos: dict[str, Enredo] = {}
    for cru in dados:
        enredo = _enredo(cru, elenco)
        if enredo.nome in enredos:
            raise ErroDeEnredo(f"enredo “{enredo.nome}”: nome repetido")
        confere_enredo(enredo, elenco)
        enredos[enredo.nome] = enredo
    return enredos


def _enredo(cru: Mapping[str, Any], elenco: Elenco) -> Enredo:
    """Um enredo por conferir; um slot com nome de banco não precisa de declaração."""
    batidas = []
    for batida in cru["batidas"]:
        casos = batida["frases"] if "escolha" in batida else {"": batida["frases"]}
        casos = {caso: tuple(frases) for caso, frases in casos.items()}
        batidas.append(Batida(batida["nome"], batida.get("escolha", ""), casos))
    declarados = {
        slot: filtro if isinstance(filtro, str) else tuple(map(_literal, filtro))
        for slot, filtro in cru.get("slots", {}).items()
    }
    texto = " ".join(f for b in batidas for frases in b.casos.values() for f in frases)
    usados = {b for b in BANCOS if re.search(rf"\{{(?:\w+ )?{b}[}}:]", texto)}
    declarados |= {b: b for b in BANCOS if b in usados and b not in declarados}
    return Enredo(
        cru["nome"], tuple(cru["tema"]), cru["elenco"], declarados, tuple(batidas)
    )


def _literal(texto: str) -> Termo:
    """Um valor escrito no próprio enredo: com artigo, substantivo; sem, expressão."""
    artigo, _, nome = texto.partition(" ")
    genero = {"o": "m", "a": "f"}.get(artigo)
    return Termo(nome, genero) if genero else Termo(texto)


def confere_enredo(enredo: Enredo, elenco: Elenco) -> None:
    """Confere um enredo; o erro diz o enredo e a batida."""
    try:
        _confere_declaracoes(enredo, elenco)
        for batida in enredo.batidas:
            try:
                _confere_batida(batida, enredo)
            except ErroDeEnredo as erro:
                raise ErroDeEnredo(f"batida “{batida.nome}”: {erro}") from None
        for escolhas in enredo.caminhos():
            _confere_apresentacoes(enredo, escolhas)
    except ErroDeEnredo as erro:
        raise ErroDeEnredo(f"enredo “{enredo.nome}”, {erro}") from None


def _confere_declaracoes(enredo: Enredo, elenco: Elenco) -> None:
    """Batidas, papéis e filtros; e os mesmos casos em toda batida da mesma escolha."""
    if not 5 <= len(enredo.batidas) <= 9:
        raise ErroDeEnredo(f"{len(enredo.batidas)} batidas; são de 5 a 9")
    if (enredo.batidas[0].nome, enredo.batidas[-1].nome) != ("abertura", "final"):
        raise ErroDeEnredo("a primeira batida é a abertura e a última, o final")
    for papel, filtro in enredo.papeis.items():
        if papel not in PAPEIS or sum(t.serve(filtro) for t in elenco.tipos) < 4:
            raise ErroDeEnredo(
                f"papel {papel}: menos de quatro tipos atendem a “{filtro}”"
            )
    for slot, filtro in enredo.slots.items():
        if isinstance(filtro, str):
            banco, _, etiquetas = filtro.partition(" ")
            if banco not in BANCOS or len(elenco.termos(banco, etiquetas, "train")) < 2:
                raise ErroDeEnredo(
                    f"slot {slot}: menos de dois termos atendem a “{filtro}”"
                )
    for batida in enredo.batidas:
        if batida.escolha and tuple(batida.casos) != enredo.escolhas[batida.escolha]:
            raise ErroDeEnredo(
                f"batida “{batida.nome}”: a escolha “{batida.escolha}” mudou de casos"
            )


def _confere_batida(batida: Batida, enredo: Enredo) -> None:
    """Redações bastantes e diferentes, colchetes fechados, slots conhecidos."""
    frases = [f for caso in batida.casos.values() for f in caso]
    minimo = 6 if batida.nome in ("abertura", "final") else 4
    if len(set(frases)) < max(minimo, 2 * len(batida.casos)) or len(set(frases)) < len(
        frases
    ):
        raise ErroDeEnredo(
            f"{len(set(frases))} redações diferentes; são ao menos {minimo}"
        )
    for frase in frases:
        resto = _SLOT.sub("x", frase)
        while _ALTERNATIVA.search(resto):
            resto = _ALTERNATIVA.sub("x", resto)
        if re.search(r"[{}\[\]|]", resto):
            raise ErroDeEnredo(f"chave ou colchete sem par: {frase}")
        if re.search(r"(?:^|\n)(?!— )[^\n]*[.!?:] — ", frase):
            raise ErroDeEnredo(f"fala que não abre parágrafo: {frase}")
        if _COORDENADOS.search(frase):
            raise ErroDeEnredo(f"nomes ligados por “e” pedem {{A!}} e {{B!}}: {frase}")
        for slot in slots(frase):
            _confere_slot(slot, enredo, frase)


def _confere_slot(slot: Slot, enredo: Enredo, frase: str) -> None:
    """O slot existe no enredo e a palavra que o acompanha é da sua espécie."""
    if slot.de_personagem:
        conhecido = all(p in enredo.papeis for p in slot.chave)
        um_so = (
            {*DETERMINANTES, *PRONOMES, *APRESENTA} if len(slot.chave) == 1 else set()
        )
        palavras = {"", *PREPOSICOES, *um_so}
    else:
        conhecido = slot.chave in enredo.slots
        palavras = {"", *DETERMINANTES, *PRONOMES}
    if (
        not conhecido
        or slot.palavra not in palavras
        or slot.nome
        and not slot.de_personagem
    ):
        raise ErroDeEnredo(f"slot sem dono ou palavra fora de lugar, {slot}: {frase}")


def _confere_apresentacoes(enredo: Enredo, escolhas: Mapping[str, str]) -> None:
    """Por um caminho de escolhas, cada papel entra uma vez, antes de ser mencionado."""
    dentro: set[str] = set()
    for batida in enredo.batidas:
        entradas = []
        for frase in batida.frases(escolhas):
            entram: list[str] = []
            for slot in filter(lambda s: s.de_personagem, slots(frase)):
                if slot.palavra in APRESENTA:
                    entram.append(slot.chave)
                elif not slot.flexoes and not dentro.union(entram).issuperset(
                    slot.chave
                ):
                    raise ErroDeEnredo(
                        f"batida “{batida.nome}”: menção antes de entrar: {frase}"
                    )
            if dentro.intersection(entram) or len(set(entram)) < len(entram):
                raise ErroDeEnredo(f"batida “{batida.nome}”: entra duas vezes: {frase}")
            entradas.append(set(entram))
        if any(entram != entradas[0] for entram in entradas):
            raise ErroDeEnredo(
                f"batida “{batida.nome}”: as redações não apresentam os mesmos papéis"
            )
        dentro |= entradas[0]
