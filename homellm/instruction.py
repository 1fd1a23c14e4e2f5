# Gerado por ferramentas/tangle.py. NÃO EDITE: mude book/07-instrucoes.md.
# sha256 do que segue: 12ae1591d19a027857cc6e589b6bfed01a36bf2fbbd8b3e64df8ab4137c30c86
"""Do modelo que continua ao que responde: o formato da conversa, o ajuste, o chat.

Cada exemplo é uma conversa com marcas de quem fala; a perda só conta o que o assistente
escreve. O laço de treino é o de `homellm.training`. O capítulo 7 do livro constrói este
módulo; o comando que treina o `letras-mini` é `python -m homellm.recipes`.

>>> from homellm.weights import load_pretrained
>>> model, tokenizer = load_pretrained("conversa-mini")
>>> "Paris" in respond(model, tokenizer, "qual é a capital da França?")
True
"""

from __future__ import annotations

import codecs
import json
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from homellm.corpus import Dialogue, Instruction
from homellm.data import LengthBatches
from homellm.files import read_text
from homellm.generation import generate, known_ids, stream
from homellm.judge import JudgeError as JudgeError  # o juiz mora na oficina;
from homellm.judge import judge as judge  # estes nomes também servem aqui
from homellm.judge import local_models as local_models
from homellm.judge import parse_score as parse_score
from homellm.model import LanguageModel, device_of
from homellm.tokenizer import (
    SPECIAL_TOKENS,
    BPETokenizer,
    Tokenizer,
    encode_text,
    end_id,
)
from homellm.training import IGNORE_INDEX, History, TrainConfig, train

SYSTEM, USER, ASSISTANT = SPECIAL_TOKENS[1:]  # as marcas de quem fala
Turns = Sequence[tuple[str, str | None]]  # (usuário, assistente)


def join_request(instruction: str, input: str = "") -> str:
    """O que o usuário diz: o pedido e, se há, o material dele, na linha de baixo.

    >>> join_request("Escreva no plural.", "pão")
    'Escreva no plural.\\npão'
    """
    return f"{instruction}\n{input}" if input else instruction


def format_prompt(instruction: str, input: str = "", system: str = "") -> str:
    """O prompt como se lê: quem fala, o que diz, e a vez passada ao assistente.

    É para os olhos. O modelo recebe os ids de `encode_conversation`, em que uma marca
    escrita pelo usuário não vale como marca.

    >>> format_prompt("Escreva no plural.", "pão")
    '<|usuario|>Escreva no plural.\\npão<|assistente|>'
    """
    start = SYSTEM + system if system else ""
    return start + USER + join_request(instruction, input) + ASSISTANT


def _mark(tokenizer: Tokenizer, mark: str) -> list[int]:
    """Os ids de uma marca: um só, se o tokenizer a tem; se não, os do texto dela."""
    special = tokenizer.special_tokens
    return [special[mark]] if mark in special else tokenizer.encode(mark)


def encode_conversation(
    tokenizer: Tokenizer, turns: Turns, system: str = "", skip: int = 0
) -> tuple[list[int], list[bool]]:
    """Os ids de uma conversa e, para cada um, se é o assistente quem o escreve.

    `turns` são pares (usuário, assistente); o assistente do último pode ser `None`, e a
    vez fica com o modelo. As `skip` primeiras respostas não contam como escritas. As
    falas são texto comum (`encode_text`): uma marca dentro delas não vira token
    especial.

    Erros: `ValueError` se o tokenizer não tem `<|endoftext|>`, que fecha cada resposta.
    """
    end = end_id(tokenizer)
    parts: list[tuple[list[int], bool]] = []
    if system:
        parts.append((_mark(tokenizer, SYSTEM) + encode_text(tokenizer, system), False))
    for n, (user, assistant) in enumerate(turns):
        said = encode_text(tokenizer, user)
        request = _mark(tokenizer, USER) + said + _mark(tokenizer, ASSISTANT)
        parts.append((request, False))
        if assistant is not None:
            parts.append(([*encode_text(tokenizer, assistant), end], n >= skip))
    ids = [i for part, _ in parts for i in part]
    return ids, [written for part, written in parts for _ in part]


def fit_turns(tokenizer: Tokenizer, turns: Turns, system: str, limit: int) -> Turns:
    """Os últimos turnos cujos ids, com a linha de sistema, não passam de `limit`.

    Saem os mais velhos. Erros: `ValueError` se nem o último turno cabe.
    """
    size = len(encode_conversation(tokenizer, [], system)[0])
    first = len(turns)
    while first > 0:  # do mais novo para o mais velho
        size += len(encode_conversation(tokenizer, turns[first - 1 : first])[0])
        if size > limit:
            break
        first -= 1
    if first == len(turns):
        raise ValueError(
            f"o último turno, com a linha de sistema, tem {size} tokens, e cabem "
            f"{limit}; encurte-o"
        )
    return turns[first:]


def _windows(
    row: Instruction | Dialogue, tokenizer: Tokenizer, limit: int
) -> Iterator[tuple[list[int], list[bool]]]:
    """Os trechos de até `limit` ids em que um registro se reparte."""
    turns: Turns
    if isinstance(row, Dialogue):
        turns, system = row.turnos, row.sistema
    else:
        request = join_request(row.instrucao, row.entrada)
        turns, system = ((request, row.resposta),), ""
    done = 0  # respostas que contaram
    while done < len(turns):
        window = fit_turns(tokenizer, turns[: done + 1], system, limit)
        first, stop = done + 1 - len(window), done + 1
        item = encode_conversation(tokenizer, window, system, done - first)
        while stop < len(turns):  # os seguintes que ainda cabem
            more = turns[first : stop + 1]
            longer = encode_conversation(tokenizer, more, system, done - first)
            if len(longer[0]) > limit:
                break
            item, stop = longer, stop + 1
        yield item
        done = stop


class InstructionDataset(Dataset):
    """Pedidos e conversas como ids. Item: `(ids, written)`, int64 e bool, `(n,)`.

    n é no máximo `context_length + 1`. `rows` mistura `Instruction` e `Dialogue`. Uma
    conversa que não cabe vira vários itens, cada um com os turnos que cabem antes dele,
    como no `Chat`, e cada resposta conta uma vez. Com `response_only=False`, tudo
    conta, o pedido inclusive.

    Erros: `ValueError` se um turno sozinho não cabe, com o número do registro.
    """

    def __init__(
        self,
        rows: Sequence[Instruction | Dialogue],
        tokenizer: Tokenizer,
        context_length: int,
        response_only: bool = True,
    ) -> None:
        self.items: list[tuple[torch.Tensor, torch.Tensor]] = []
        for n, row in enumerate(rows):
            try:
                for ids, written in _windows(row, tokenizer, context_length + 1):
                    counts = written if response_only else [True] * len(ids)
                    self.items.append((torch.tensor(ids), torch.tensor(counts)))
            except ValueError as error:
                raise ValueError(f"registro {n}, de {row.familia}: {error}") from error

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        return self.items[index]


def collate_instructions(
    items: Sequence[tuple[torch.Tensor, torch.Tensor]],
) -> tuple[torch.Tensor, torch.Tensor]:
    """Junta itens num lote `(ids, alvos)`, int64 `(B, T)`.

    O alvo é o id seguinte, ou −100 se não conta. Completa à direita até o mais
    comprido. O id do preenchimento tanto faz: a máscara causal o esconde de tudo o que
    vem antes, e o alvo ali é −100.

    >>> ids, written = torch.tensor([7, 8, 9]), torch.tensor([False, False, True])
    >>> [tensor.tolist() for tensor in collate_instructions([(ids, written)])]
    [[[7, 8]], [[-100, 9]]]
    """
    size = max(len(ids) for ids, _ in items) - 1
    inputs = torch.zeros(len(items), size, dtype=torch.int64)
    targets = torch.full_like(inputs, IGNORE_INDEX)
    for row, (ids, written) in enumerate(items):
        inputs[row, : len(ids) - 1] = ids[:-1]
        targets[row, : len(ids) - 1] = ids[1:].where(written[1:], IGNORE_INDEX)
    return inputs, targets


def finetune_instructions(
    model: nn.Module,
    tokenizer: Tokenizer,
    train_rows: Sequence[Instruction | Dialogue],
    val_rows: Sequence[Instruction | Dialogue] = (),
    config: TrainConfig | None = None,
    *,
    batch_tokens: int = 4096,
    response_only: bool = True,
    **options: Any,
) -> History:
    """Ajusta `model` a responder, com o laço de `homellm.training`; devolve a história.

    Cada lote tem até `batch_tokens` ids. `response_only=False` cobra também a previsão
    do pedido. `options` são as de `train`: `checkpoint`, `resume`, `on_eval`,
    `progress`.

    É o ajuste com instruções (Wei et al., 2022; Ouyang et al., 2022), só com a parte
    supervisionada.

    Erros: `ValueError` se não há registros de treino; os de `InstructionDataset` e os
    de `train`.
    """
    if not train_rows:
        raise ValueError("não há registros de treino; confira o filtro que os escolheu")
    config = config or TrainConfig(epochs=3, learning_rate=5e-4, warmup_steps=50)
    loaders = []
    for rows, shuffle in ((train_rows, True), (val_rows, False)):
        size = cast(LanguageModel, model).config.context_length
        data = InstructionDataset(rows, tokenizer, size, response_only)
        batches = LengthBatches(
            [len(ids) for ids, _ in data.items],
            max_tokens=batch_tokens,
            shuffle=shuffle,
            seed=config.seed,
        )
        loaders.append(
            DataLoader(
                data,
                batch_sampler=batches,
                collate_fn=collate_instructions,
                generator=batches.generator,
            )
        )
    val_loader = loaders[1] if val_rows else None
    return train(model, loaders[0], val_loader, config, **options)


def _reserved(model: LanguageModel, max_new_tokens: int | None) -> int:
    """Quantos ids do contexto se guardam para a resposta: metade, se não se diz."""
    context = model.config.context_length
    size = context // 2 if max_new_tokens is None else max_new_tokens
    if not 1 <= size < context:
        raise ValueError(
            f"max_new_tokens={size}: precisa estar entre 1 e {context - 1}, para que "
            "sobre lugar para o pedido"
        )
    return size


def _prompts_by_length(
    tokenizer: Tokenizer, rows: Sequence[Instruction], limit: int
) -> dict[int, list[tuple[int, list[int]]]]:
    """Comprimento → os registros com um prompt desse tamanho, com o número de cada um.

    Erros: `ValueError` se um pedido passa de `limit` ids.
    """
    groups: defaultdict[int, list[tuple[int, list[int]]]] = defaultdict(list)
    for n, row in enumerate(rows):
        turns = [(join_request(row.instrucao, row.entrada), None)]
        try:
            ids, _ = encode_conversation(
                tokenizer, fit_turns(tokenizer, turns, "", limit)
            )
        except ValueError as error:
            raise ValueError(f"registro {n}, de {row.familia}: {error}") from error
        groups[len(ids)].append((n, ids))
    return groups


def respond_all(
    model: LanguageModel,
    tokenizer: Tokenizer,
    rows: Sequence[Instruction],
    max_new_tokens: int | None = None,
    **options: Any,
) -> list[str]:
    """Uma resposta por registro, geradas em lotes de prompts de igual comprimento.

    Cada resposta vai até `max_new_tokens` ids: metade do contexto, se não for dado.
    `options` são as de `generate`; sem `temperature`, a resposta é a mais provável.

    Erros: `ValueError` se um pedido não cabe, com o número do registro.
    """
    size = _reserved(model, max_new_tokens)
    groups = _prompts_by_length(tokenizer, rows, model.config.context_length - size)
    answers, stops = [""] * len(rows), set(tokenizer.special_tokens.values())
    defaults: dict[str, Any] = {
        "temperature": 0.0,
        "eos_id": end_id(tokenizer),
        "allowed": known_ids(tokenizer),
    }
    device = device_of(model)
    for length, group in groups.items():
        batch = torch.tensor([ids for _, ids in group], device=device)
        output = generate(model, batch, size, **defaults | options)
        answered = output[:, length:].tolist()
        for (n, _), new in zip(group, answered, strict=True):
            stop = next((k for k, i in enumerate(new) if i in stops), len(new))
            answers[n] = tokenizer.decode(new[:stop])
    return answers


def exact_match(answer: str, reference: str) -> bool:
    """Se a resposta é a esperada, letra por letra, sem contar os espaços das pontas.

    >>> exact_match(" os pães\\n", "os pães"), exact_match("Os pães", "os pães")
    (True, False)
    """
    return answer.strip() == reference.strip()


def token_f1(answer: str, reference: str) -> float:
    """Média harmônica de precisão e cobertura das palavras.

    Não conta ordem, caixa nem pontuação: é a medida do SQuAD (Rajpurkar et al., 2016).
    Duas respostas sem nenhuma palavra valem 1.

    >>> token_f1("A feira começa às seis.", "às seis")
    0.5714285714285714
    """
    words, expected = (
        Counter(re.findall(r"\w+", text.lower())) for text in (answer, reference)
    )
    if not words or not expected:
        return float(words == expected)
    return 2 * (words & expected).total() / (words.total() + expected.total())


@dataclass(frozen=True)
class FamilyScore:
    """A nota de uma família: quantos itens, fração de exatas, F1 médio das palavras."""

    family: str
    count: int
    exact: float
    f1: float


def score_families(
    rows: Sequence[Instruction], answers: Sequence[str]
) -> list[FamilyScore]:
    """Uma nota por família, na ordem em que aparecem."""
    groups: defaultdict[str, list[tuple[bool, float]]] = defaultdict(list)
    for row, answer in zip(rows, answers, strict=True):
        scored = exact_match(answer, row.resposta), token_f1(answer, row.resposta)
        groups[row.familia].append(scored)
    scores = []
    for family, pairs in groups.items():
        exact, f1 = (sum(column) / len(pairs) for column in zip(*pairs, strict=True))
        scores.append(FamilyScore(family, len(pairs), exact, f1))
    return scores


_NAMES = {  # o campo e os nomes que ele tem por aí
    "pedido": ("pedido", "instruction", "prompt"),
    "entrada": ("entrada", "input"),
    "resposta": ("resposta", "output", "completion"),
    "sistema": ("sistema", "system"),
}


def _plain_row(where: str, record: dict[str, Any]) -> Dialogue:
    """Uma conversa de um turno, de um pedido e uma resposta."""
    found = {}
    for field, names in _NAMES.items():
        name = next((name for name in names if name in record), field)
        found[field] = value = record.get(name, "")
        if not isinstance(value, str):
            raise ValueError(f"{where}: esperava um texto em {name}, achei {value!r}.")
        if field in ("pedido", "resposta") and not value.strip():
            fields = ", ".join(record) or "nenhum"
            raise ValueError(
                f"{where}: falta o texto de {field}; os campos da linha: {fields}."
            )
    asked = join_request(found["pedido"].strip(), found["entrada"].strip())
    return Dialogue(found["sistema"], ((asked, found["resposta"].strip()),), "", "")


def _messages_row(where: str, messages: object) -> Dialogue:
    """Uma conversa, de uma lista de mensagens com papel e texto."""
    texts, roles = [], []
    for n, message in enumerate(messages if isinstance(messages, list) else [], 1):
        text = message.get("content") if isinstance(message, dict) else None
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f"{where}: a mensagem {n} não tem texto em content.")
        texts.append(text.strip())
        roles.append(message.get("role"))
    system = texts.pop(0) if roles[:1] == ["system"] else ""
    roles = roles[len(roles) - len(texts) :]
    expected = ["user", "assistant"] * max(1, len(texts) // 2)
    if roles != expected:
        raise ValueError(
            f"{where}: depois de system, que é opcional, as mensagens alternam user e "
            f"assistant, e a última é de assistant; achei {', '.join(map(str, roles))}."
        )
    turns = tuple(zip(texts[::2], texts[1::2], strict=True))
    return Dialogue(system, turns, "", "")


def _row(where: str, line: str) -> Dialogue:
    """A conversa de uma linha."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        column = f", na coluna {error.colno}" if hasattr(error, "colno") else ""
        raise ValueError(
            f"{where}: não é JSON{column}; cada linha é um objeto inteiro, como "
            '{"pedido": "…", "resposta": "…"}.'
        ) from error
    if isinstance(record, list):
        raise ValueError(
            f"{where}: é uma lista, e não um objeto. Num .jsonl cada linha é um "
            "registro, sem colchetes em volta nem vírgula no fim."
        )
    if not isinstance(record, dict):
        raise ValueError(f"{where}: esperava um objeto JSON, achei {record!r}.")
    if "messages" in record:
        return _messages_row(where, record["messages"])
    return _plain_row(where, record)


def read_conversations(path: str | Path, seed: int = 0) -> list[Dialogue]:
    """As conversas de um `.jsonl`, sem repetidas, com o split de cada uma.

    Cada linha é `{"pedido": …, "resposta": …}`, a forma do Alpaca, ou a de `messages`;
    linhas em branco se pulam. De cada cinco pedidos diferentes, um é da validação; a
    `familia` é o primeiro pedido, em minúsculas e sem pontuação.

    Erros: `ValueError`, com arquivo e linha, se uma está fora do formato, ou se há
    menos de cinco pedidos diferentes; os de `read_text`.
    """
    rows = {}  # sem repetidas
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if line.strip():
            row = _row(f"{path}:{number}", line)
            family = " ".join(re.findall(r"\w+", row.turnos[0][0].lower()))
            rows[row] = replace(row, familia=family or row.turnos[0][0])
    families = sorted({row.familia for row in rows.values()})
    if len(families) < 5:
        raise ValueError(
            f"{path}: {len(families)} pedidos diferentes, e são precisos ao menos 5, "
            "para que um meça o que os outros ensinam."
        )
    random.Random(seed).shuffle(families)
    held_out = set(families[::5])
    return [
        replace(row, split="validation" if row.familia in held_out else "train")
        for row in rows.values()
    ]


def _check_message(text: object) -> None:
    """Recusa a mensagem vazia, e a que não é texto."""
    if not isinstance(text, str):
        raise TypeError(f"a mensagem é um texto; veio {text!r}")
    if not text.strip():
        raise ValueError("a mensagem está vazia; escreva alguma coisa")


class Chat:
    """Uma conversa: guarda os turnos, monta o prompt, gera até a marca de fim.

    Erros: `ValueError` se `max_new_tokens` não deixa lugar para o pedido.

    >>> from homellm.weights import load_pretrained
    >>> chat = Chat(*load_pretrained("conversa-mini"))
    >>> "Tomé" in chat.send("meu nome é Tomé")
    True
    >>> "Tomé" in chat.send("como eu me chamo?"), len(chat.turns)
    (True, 2)

    Antes de cada resposta, saem da janela os turnos mais velhos, inteiros, até que
    sobrem `max_new_tokens` (metade do contexto, se não for dado); a linha de sistema
    nunca sai. `options` são as de `generation.stream`: `temperature` (aqui, 0),
    `top_k`, `top_p`, `generator`, `repetition_penalty`.
    """

    def __init__(
        self,
        model: LanguageModel,
        tokenizer: Tokenizer,
        system: str = "",
        max_new_tokens: int | None = None,
        **options: Any,
    ) -> None:
        self.max_new_tokens = _reserved(model, max_new_tokens)
        self.model, self.tokenizer, self.system = model, tokenizer, system
        known = known_ids(tokenizer)  # o modelo pode ter lugares vagos
        defaults: dict[str, Any] = {"temperature": 0.0, "allowed": known}
        self.options = defaults | options
        self.turns: list[tuple[str, str]] = []

    def window(self, text: str) -> Turns:
        """Os turnos que o modelo verá se o usuário disser `text`, que é o último deles.

        Erros: `ValueError` se o texto é vazio, ou se sozinho não cabe; `TypeError` se
        não é texto. A conversa fica como estava.
        """
        _check_message(text)
        limit = self.model.config.context_length - self.max_new_tokens
        turns = [*self.turns, (text, None)]
        return fit_turns(self.tokenizer, turns, self.system, limit)

    def stream(self, text: str) -> Iterator[str]:
        """A resposta aos poucos: cada pedaço traz um ou mais caracteres inteiros.

        Se quem ouve parar no meio, o turno fica na conversa com o que foi dito até ali.

        Erros: os de `window`.
        """
        ids, _ = encode_conversation(self.tokenizer, self.window(text), self.system)
        return self._stream(text, ids)

    def _stream(self, text: str, ids: list[int]) -> Iterator[str]:
        stops = set(self.tokenizer.special_tokens.values())
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        device = device_of(self.model)
        prompt = torch.tensor([ids], device=device)
        answer, finished = "", False
        try:
            steps = stream(self.model, prompt, self.max_new_tokens, **self.options)
            for new in map(int, steps):
                if new in stops:
                    break
                if piece := decoder.decode(self.tokenizer.token_bytes(new)):
                    answer += piece
                    yield piece
            if piece := decoder.decode(
                b"", final=True
            ):  # acabou no meio de um caractere
                answer += piece
                yield piece
            finished = True
        finally:
            if finished or answer:
                self.turns.append((text, answer))

    def send(self, text: str) -> str:
        """A resposta inteira ao que o usuário diz.

        Erros: os de `stream`.
        """
        return "".join(self.stream(text))

    def reset(self) -> None:
        """Esquece os turnos; a linha de sistema fica."""
        self.turns.clear()


def respond(
    model: LanguageModel,
    tokenizer: Tokenizer,
    instruction: str,
    input: str = "",
    system: str = "",
    **options: Any,
) -> str:
    """A resposta a um pedido sem conversa antes.

    `options` são as de `Chat`.

    Erros: os de `Chat` e de `Chat.send`.
    """
    chat = Chat(model, tokenizer, system, **options)
    return chat.send(join_request(instruction, input))


def byte_tokenizer() -> BPETokenizer:
    """Um tokenizer sem fusões: os 256 bytes e as quatro marcas. Com ele se veem letras.

    >>> byte_tokenizer().encode("pão")
    [112, 195, 163, 111]
    """
    marks = {mark: 256 + n for n, mark in enumerate(SPECIAL_TOKENS)}
    return BPETokenizer({bytes([b]): b for b in range(256)}, marks)


def echo_lines(words: Sequence[str], count: int, seed: int = 0) -> list[str]:
    """Documentos: uma linha de uma a quatro palavras sorteadas, de duas a quatro vezes.

    Da segunda vez em diante, só acerta a próxima letra quem olha para trás: o exercício
    ensina a copiar.

    >>> echo_lines(["sol", "lua"], 2, seed=1)
    ['lua lua\\nlua lua', 'sol lua sol\\nsol lua sol\\nsol lua sol']
    """
    rng = random.Random(seed)
    lines = (" ".join(rng.choices(words, k=rng.randint(1, 4))) for _ in range(count))
    return ["\n".join([line] * rng.randint(2, 4)) for line in lines]
