# Gerado por ferramentas/tangle.py. NÃO EDITE: mude book/04-arquitetura.md.
# sha256 do que segue: e0a6569577dfd3db9532925265ef28bfab792ba0f21cb24438acb4dc3c0ad83a
"""Do modelo ao texto: escolher o próximo token, uma vez depois da outra.

O gerador não sabe nada de texto nem de arquitetura: recebe ids e uma função que devolve
logits. Só `generate_text` conhece um tokenizer. O capítulo 4 constrói este módulo.

>>> def successor(ids):  # um "modelo" que sempre aposta no id seguinte
...     return torch.nn.functional.one_hot((ids + 1) % 10, 10).float()
>>> generate(successor, torch.tensor([[3]]), max_new_tokens=4, temperature=0).tolist()
[[3, 4, 5, 6, 7]]
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator
from typing import Any

import torch

from homellm.attention import KVCache
from homellm.model import device_of, eval_mode, plain_forward, plain_head, unwrap
from homellm.tokenizer import END, Tokenizer, encode_text, end_id

LogitsFunction = Callable[..., torch.Tensor]  # ids (B, T) → logits (B, T, V)


def _check_draw(
    highest: torch.Tensor, temperature: float, top_k: int | None, top_p: float | None
) -> None:
    """`highest` é o maior logit de cada linha."""
    if not 0 <= temperature < math.inf:  # recusa também nan
        what = "precisa ser 0 (sempre o mais provável) ou mais, e finita"
        raise ValueError(f"temperature={temperature}: {what}")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k={top_k}: precisa ser ao menos 1")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p={top_p}: precisa estar em (0, 1]")
    if not highest.isfinite().all():
        raise ValueError(
            "os logits têm NaN ou infinito, e não há o que sortear; o treino divergiu, "
            "ou os pesos estão estragados"
        )


def next_token_probs(
    logits: torch.Tensor,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> torch.Tensor:
    """A distribuição de que se sorteia o próximo token: `(B, V) → (B, V)`.

    Cada linha soma 1. `temperature` divide os logits; 0 põe tudo no mais provável.
    `top_k` guarda os k mais prováveis (Fan et al., 2018); `top_p`, o menor grupo dos
    mais prováveis cuja soma chega a p (Holtzman et al., 2020). Os filtros se aplicam
    nesta ordem.

    Erros: `ValueError` para um argumento fora do que se aceita, ou logits com NaN ou
    +inf.

    >>> next_token_probs(torch.tensor([[1.0, 3.0, 2.0]]), temperature=0).tolist()
    [[0.0, 1.0, 0.0]]
    """
    logits = logits.float()
    highest = logits.amax(-1, keepdim=True)
    _check_draw(highest, temperature, top_k, top_p)
    if temperature == 0:
        return torch.zeros_like(logits).scatter_(
            -1, logits.argmax(-1, keepdim=True), 1.0
        )
    # com o maior em 0, nem a menor das temperaturas transborda
    logits = (logits - highest) / max(temperature, torch.finfo(torch.float32).tiny)
    if top_k is not None and top_k < logits.shape[-1]:
        best = logits.topk(top_k)
        logits = torch.full_like(logits, float("-inf")).scatter(
            -1, best.indices, best.values
        )
    probs = logits.softmax(-1)
    if top_p is not None and top_p < 1:
        ordered, order = probs.sort(-1, descending=True)
        before = ordered.cumsum(-1) - ordered  # a soma dos que vêm antes de cada um
        probs = probs.scatter(-1, order, ordered.masked_fill(before >= top_p, 0.0))
        probs = probs / probs.sum(-1, keepdim=True)
    return probs


def penalize_repetition(
    logits: torch.Tensor, ids: torch.Tensor, penalty: float
) -> torch.Tensor:
    """Baixa os logits `(B, V)` dos ids presentes em `ids`, `(B, T)`.

    Divide os positivos e multiplica o resto, como em Keskar et al. (2019). `penalty` 1
    não muda nada; os valores usuais vão de 1,1 a 1,5.

    Erros: `ValueError` se `penalty` é menor que 1, ou não é finita.

    >>> logits, ids = torch.tensor([[2.0, -1.0, 3.0]]), torch.tensor([[0, 1]])
    >>> penalize_repetition(logits, ids, 2.0).tolist()
    [[1.0, -2.0, 3.0]]
    """
    if not 1 <= penalty < math.inf:
        what = "precisa ser 1 (sem efeito) ou mais, e finita"
        raise ValueError(f"repetition_penalty={penalty}: {what}")
    seen = logits.gather(-1, ids)
    return logits.scatter(
        -1, ids, torch.where(seen > 0, seen / penalty, seen * penalty)
    )


def _last_logits(
    model: Any, ids: torch.Tensor, cache: KVCache | None, output: torch.Tensor | None
) -> torch.Tensor:
    """Os logits da última posição, `(B, V)`.

    `output` é a matriz de saída transposta, `(C, V)`, ou `None` para chamar a do
    modelo.
    """
    limit = getattr(getattr(model, "config", None), "context_length", ids.shape[1])
    window = ids[:, -limit:]
    if not plain_forward(model):
        return model(window)[:, -1]
    if cache is not None and ids.shape[1] <= limit:
        features = model.features(ids[:, cache.length :], cache)
    else:  # ao deslizar a janela, todas as posições mudam, e nada do cache serve
        features = model.features(window)
    last = features[:, -1:]  # (B, 1, C)
    return (model.head(last) if output is None else last @ output)[:, -1]


def _draw(probs: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
    """Um id por linha, `(B, V) → (B,)`, no dispositivo do gerador, se há um."""
    device = probs.device if generator is None else generator.device
    drawn = torch.multinomial(probs.to(device), 1, generator=generator)[:, 0]
    return drawn.to(probs.device)


def _check_prompt(ids: torch.Tensor, max_new_tokens: int) -> None:
    if ids.dim() != 2 or not ids.numel():
        raise ValueError(
            f"ids tem forma (B, T), com B e T ao menos 1; veio {tuple(ids.shape)}"
        )
    if max_new_tokens < 0:
        raise ValueError(f"max_new_tokens={max_new_tokens}: precisa ser 0 ou mais")


def _forbidden(allowed: Collection[int], logits: torch.Tensor) -> torch.Tensor | None:
    """A máscara `(V,)` do que não pode sair; `None` se pode sair tudo."""
    mask = torch.ones(logits.shape[-1], dtype=torch.bool)
    mask[[i for i in allowed if 0 <= i < len(mask)]] = False
    if mask.all():
        raise ValueError("allowed não tem nenhum id do vocabulário do modelo")
    return mask.to(logits.device) if mask.any() else None


@torch.no_grad()
def stream(
    model: LogitsFunction,
    ids: torch.Tensor,
    max_new_tokens: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    eos_id: int | None = None,
    generator: torch.Generator | None = None,
    use_cache: bool = True,
    repetition_penalty: float = 1.0,
    allowed: Collection[int] | None = None,
) -> Iterator[torch.Tensor]:
    """Os ids novos, um passo por vez, `(B,)`; os argumentos são os de `generate`.

    Erros: `ValueError` se `ids` não tem forma `(B, T)`, se `max_new_tokens` é negativo,
    ou se nada em `allowed` é do vocabulário; os de `next_token_probs` e de
    `penalize_repetition`.
    """
    _check_prompt(ids, max_new_tokens)
    model = unwrap(model)
    cache = KVCache() if use_cache and plain_forward(model) else None
    output, weight = None, plain_head(model)
    if cache is not None and weight is not None and ids.device.type == "cpu":
        # a cópia se paga em poucos tokens
        output = weight.t().contiguous() if max_new_tokens >= 16 else None
    finished = torch.zeros(len(ids), dtype=torch.bool, device=ids.device)
    forbidden = None
    with eval_mode(model):
        for step in range(max_new_tokens):
            logits = _last_logits(model, ids, cache, output)
            if allowed is not None and step == 0:
                forbidden = _forbidden(allowed, logits)
            if forbidden is not None:
                logits = logits.masked_fill(forbidden, -math.inf)
            if repetition_penalty != 1:
                logits = penalize_repetition(logits, ids, repetition_penalty)
            probs = next_token_probs(logits, temperature, top_k, top_p)
            new = probs.argmax(-1) if temperature == 0 else _draw(probs, generator)
            if eos_id is not None:
                new = new.masked_fill(finished, eos_id)
                finished |= new == eos_id
            yield new
            if eos_id is not None and finished.all():
                return
            ids = torch.cat([ids, new[:, None]], dim=1)


def generate(
    model: LogitsFunction,
    ids: torch.Tensor,
    max_new_tokens: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    eos_id: int | None = None,
    generator: torch.Generator | None = None,
    use_cache: bool = True,
    repetition_penalty: float = 1.0,
    allowed: Collection[int] | None = None,
) -> torch.Tensor:
    """Continua cada linha de `ids`, int64 `(B, T)`, com até `max_new_tokens` ids.

    Devolve `(B, T + novos)`. Passado o `context_length` do modelo, a janela desliza:
    cada token novo vê só os últimos `context_length`, e o cache deixa de servir (o
    tempo por token volta a ser o de uma passada inteira). Com e sem cache, os ids são
    os mesmos.

    Args:
        model: um `homellm.model.LanguageModel`, embrulhado ou não, ou qualquer função
            de ids `(B, T)` em logits `(B, T, V)`.
        temperature: 0 escolhe sempre o mais provável; abaixo de 1 concentra, acima
            espalha.
        top_k: sorteia só entre os k mais prováveis.
        top_p: sorteia só no menor grupo dos mais prováveis que soma p.
        eos_id: o id que encerra uma linha; ela é completada com ele, e tudo para quando
            todas encerram.
        generator: o gerador dos sorteios; o mesmo estado repete os mesmos ids.
        use_cache: guarda chaves e valores em vez de recalculá-los, se o `forward` do
            modelo é o do contrato (`homellm.model.plain_forward`).
        repetition_penalty: acima de 1, desfavorece os ids que já apareceram.
        allowed: os ids que podem sair; `None`, todos.

    Erros: os de `stream`; a mensagem diz qual argumento, e o que se aceita.
    """
    steps = stream(
        model, ids, max_new_tokens, temperature, top_k, top_p, eos_id, generator,
        use_cache, repetition_penalty, allowed,
    )  # fmt: skip
    return torch.cat([ids, *(new[:, None] for new in steps)], dim=1)


def known_ids(tokenizer: Tokenizer) -> list[int]:
    """Os ids que têm texto: o que pode sair de um modelo que tem mais ids."""

    def has_text(token_id: int) -> bool:
        try:
            tokenizer.token_bytes(token_id)
        except ValueError:
            return False
        return True

    return [i for i in range(tokenizer.vocab_size) if has_text(i)]


def generate_text(
    model: LogitsFunction,
    tokenizer: Tokenizer,
    prompt: str,
    max_new_tokens: int = 100,
    **options: Any,
) -> str:
    """O prompt e a sua continuação; para no fim do documento, se o modelo o prevê.

    `options` são as de `generate`. Um prompt vazio começa um documento novo. O prompt é
    sempre texto comum: um `<|endoftext|>` escrito nele não vira o token especial. Só
    saem ids que o tokenizer tem.

    Erros: os de `generate`, e `ValueError` se o prompt é vazio e o tokenizer não tem
    `<|endoftext|>`.
    """
    start = encode_text(tokenizer, prompt) or [end_id(tokenizer)]
    defaults = {
        "eos_id": tokenizer.special_tokens.get(END),
        "allowed": known_ids(tokenizer),
    }
    options = defaults | options
    prompt_ids = torch.tensor([start], device=device_of(model))
    whole = generate(model, prompt_ids, max_new_tokens, **options)[0]
    ids = whole[len(start) :].tolist()
    if options["eos_id"] in ids:
        ids = ids[: ids.index(options["eos_id"])]
    return prompt + tokenizer.decode(ids)
