# Gerado por ferramentas/tangle.py a partir de book/04-arquitetura.md, book/05-pre-treino.md. NÃO EDITE.
# sha256 do que segue: dfee80bcca20c66dd5f607e35c7614fb2208e9b4d87060b1c5ebb757308efc51
"""Do modelo ao texto: escolher o próximo token, uma vez depois da outra.

O gerador não sabe nada de texto nem de arquitetura: recebe ids e uma função que devolve logits. Os capítulos
4 e 5 do livro constroem este módulo.

>>> def successor(ids):  # um "modelo" que sempre aposta no id seguinte
...     return torch.nn.functional.one_hot((ids + 1) % 10, 10).float()
>>> generate(successor, torch.tensor([[3]]), max_new_tokens=4, temperature=0).tolist()
[[3, 4, 5, 6, 7]]
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from homellm.attention import KVCache
from homellm.model import GPT, eval_mode


def next_token_probs(
    logits: torch.Tensor,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> torch.Tensor:
    """A distribuição de que se sorteia o próximo token: `(B, V) → (B, V)`, cada linha somando 1.

    `temperature` divide os logits; 0 põe tudo no mais provável. `top_k` guarda os k mais prováveis; `top_p`,
    o menor grupo dos mais prováveis cuja soma chega a p. Os filtros se aplicam nesta ordem.

    >>> next_token_probs(torch.tensor([[1.0, 3.0, 2.0]]), temperature=0).tolist()
    [[0.0, 1.0, 0.0]]
    """
    if not temperature >= 0:  # recusa também nan
        raise ValueError(f"temperature={temperature}: precisa ser 0 (sempre o mais provável) ou mais")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k={top_k}: precisa ser ao menos 1")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p={top_p}: precisa estar em (0, 1]")
    logits = logits.float()
    if temperature == 0:
        return torch.zeros_like(logits).scatter_(-1, logits.argmax(-1, keepdim=True), 1.0)
    logits = logits / temperature
    if top_k is not None and top_k < logits.shape[-1]:
        best = logits.topk(top_k)
        logits = torch.full_like(logits, float("-inf")).scatter(-1, best.indices, best.values)
    probs = logits.softmax(-1)
    if top_p is not None and top_p < 1:
        ordered, order = probs.sort(-1, descending=True)
        before = ordered.cumsum(-1) - ordered  # a soma dos que vêm antes de cada um
        probs = probs.scatter(-1, order, ordered.masked_fill(before >= top_p, 0.0))
        probs = probs / probs.sum(-1, keepdim=True)
    return probs


def penalize_repetition(logits: torch.Tensor, ids: torch.Tensor, penalty: float) -> torch.Tensor:
    """Baixa os logits `(B, V)` dos ids presentes em `ids`, `(B, T)`: divide os positivos, multiplica o resto.

    Keskar et al., «CTRL», 2019. `penalty` 1 não muda nada; os valores usuais vão de 1,1 a 1,5.

    >>> penalize_repetition(torch.tensor([[2.0, -1.0, 3.0]]), torch.tensor([[0, 1]]), 2.0).tolist()
    [[1.0, -2.0, 3.0]]
    """
    if penalty < 1:
        raise ValueError(f"repetition_penalty={penalty}: precisa ser 1 (sem efeito) ou mais")
    seen = logits.gather(-1, ids)
    return logits.scatter(-1, ids, torch.where(seen > 0, seen / penalty, seen * penalty))


def _last_logits(
    model: Callable[[torch.Tensor], torch.Tensor],
    ids: torch.Tensor,
    cache: KVCache | None,
    output: torch.Tensor | None,
) -> torch.Tensor:
    """Os logits da última posição, `(B, V)`. A um `GPT` vai só a janela ou, com cache, só o que falta nele.

    `output` é a matriz de saída transposta, `(C, V)`, ou `None` para usar a do modelo.
    """
    if not isinstance(model, GPT):
        return model(ids)[:, -1]
    limit = model.config.context_length
    if cache is not None and ids.shape[1] <= limit:
        features = model.features(ids[:, cache.length :], cache)
    else:  # ao deslizar a janela, todas as posições mudam, e nada do cache serve
        features = model.features(ids[:, -limit:])
    last = features[:, -1]  # (B, C)
    return model.head(last) if output is None else last @ output


def _draw(probs: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
    """Um id por linha de `probs`, `(B, V) → (B,)`, sorteado no dispositivo do gerador, se há um."""
    device = probs.device if generator is None else generator.device
    return torch.multinomial(probs.to(device), 1, generator=generator)[:, 0].to(probs.device)


@torch.no_grad()
def stream(
    model: Callable[[torch.Tensor], torch.Tensor],
    ids: torch.Tensor,
    max_new_tokens: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    eos_id: int | None = None,
    generator: torch.Generator | None = None,
    use_cache: bool = True,
    repetition_penalty: float = 1.0,
) -> Iterator[torch.Tensor]:
    """Os ids novos, um passo por vez, `(B,)`: o que `generate` junta. Os argumentos são os de lá."""
    if ids.dim() != 2 or not ids.numel():
        raise ValueError(f"ids tem forma (B, T), com B e T ao menos 1; veio {tuple(ids.shape)}")
    if max_new_tokens < 0:
        raise ValueError(f"max_new_tokens={max_new_tokens}: precisa ser 0 ou mais")
    cache = output = None
    if use_cache and isinstance(model, GPT):
        cache = KVCache()
        if ids.device.type == "cpu" and max_new_tokens >= 16:  # a cópia se paga em poucos tokens
            output = model.head.weight.t().contiguous()
    finished = torch.zeros(len(ids), dtype=torch.bool, device=ids.device)
    with eval_mode(model):
        for _ in range(max_new_tokens):
            logits = _last_logits(model, ids, cache, output)
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
    model: Callable[[torch.Tensor], torch.Tensor],
    ids: torch.Tensor,
    max_new_tokens: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    eos_id: int | None = None,
    generator: torch.Generator | None = None,
    use_cache: bool = True,
    repetition_penalty: float = 1.0,
) -> torch.Tensor:
    """Continua cada linha de `ids`, int64 `(B, T)`, com até `max_new_tokens` ids: `(B, T + novos)`.

    Passado o `context_length` do modelo, a janela desliza: cada token novo vê só os últimos `context_length`,
    e o cache deixa de servir (o tempo por token volta a ser o de uma passada inteira). Com e sem cache, os
    ids são os mesmos.

    Args:
        model: um `GPT`, ou qualquer função de ids `(B, T)` em logits `(B, T, V)`.
        temperature: 0 escolhe sempre o mais provável; abaixo de 1 concentra, acima espalha.
        top_k: sorteia só entre os k mais prováveis.
        top_p: sorteia só no menor grupo dos mais prováveis que soma p.
        eos_id: o id que encerra uma linha; ela é completada com ele, e tudo para quando todas encerram.
        generator: o gerador dos sorteios; o mesmo estado repete os mesmos ids.
        use_cache: guarda chaves e valores em vez de recalculá-los (só com um `GPT`).
        repetition_penalty: acima de 1, desfavorece os ids que já apareceram.

    Raises:
        ValueError: argumento fora do que se aceita; a mensagem diz qual e o que se aceita.
    """
    steps = list(
        stream(
            model, ids, max_new_tokens, temperature, top_k, top_p, eos_id, generator, use_cache,
            repetition_penalty,
        )
    )  # fmt: skip
    return torch.cat([ids, *(new[:, None] for new in steps)], dim=1)


from typing import Any

from homellm.tokenizer import BPETokenizer


def generate_text(
    model: Callable[[torch.Tensor], torch.Tensor],
    tokenizer: BPETokenizer,
    prompt: str,
    max_new_tokens: int = 100,
    **options: Any,
) -> str:
    """O prompt e a sua continuação, como texto; para no fim do documento, se o modelo o prevê.

    `options` são as de `generate`. Um prompt vazio começa um documento novo. O prompt é sempre texto comum:
    um `<|endoftext|>` escrito nele não vira o token especial.

    Erros: os de `generate`, e `ValueError` se o prompt é vazio e o tokenizer não tem `<|endoftext|>`.
    """
    end = tokenizer.special_tokens.get("<|endoftext|>")
    start = tokenizer.encode(prompt) or [end]
    if start == [None]:
        raise ValueError("o prompt está vazio, e o tokenizer não tem <|endoftext|> para começar sem ele")
    device = next(model.parameters()).device if isinstance(model, torch.nn.Module) else "cpu"
    options = {"eos_id": end} | options
    ids = generate(model, torch.tensor([start], device=device), max_new_tokens, **options)[0].tolist()
    if options["eos_id"] is not None and options["eos_id"] in ids[len(start) :]:
        ids = ids[: ids.index(options["eos_id"], len(start))]
    return prompt + tokenizer.decode(ids[len(start) :])
