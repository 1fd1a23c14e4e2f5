"""A geração: cada regra contra uma conta à mão, com e sem cache, e contra o `generate` do `transformers`."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_model import CALLED, HEADS, PLAIN, gpt, some_ids, with_head
from torch import nn

from homellm.generation import (
    generate,
    generate_text,
    known_ids,
    next_token_probs,
    penalize_repetition,
    stream,
)
from homellm.model import GPT, GPTConfig, plain_head
from homellm.tokenizer import BPETokenizer

OPTIONS = [
    dict(temperature=0),
    dict(temperature=1.0),
    dict(temperature=0.7, top_k=5),
    dict(temperature=1.3, top_p=0.8),
    dict(temperature=0.9, top_k=20, top_p=0.6),
    dict(temperature=0.8, repetition_penalty=1.4),
]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# A distribuição


def reference(logits: list[float], temperature: float, top_k: int | None, top_p: float | None) -> list[float]:
    """A mesma regra, um token por vez, sem pressa."""
    scaled = torch.tensor(logits, dtype=torch.float64) / temperature
    order = sorted(range(len(logits)), key=lambda i: -scaled[i])
    kept = order[:top_k]
    weights = torch.tensor([float(torch.exp(scaled[i] - scaled[order[0]])) for i in kept])
    probs = (weights / weights.sum()).tolist()
    if top_p is not None:
        total, n = 0.0, 0
        while n < len(kept) and total < top_p:
            total, n = total + probs[n], n + 1
        kept, probs = kept[:n], [p / sum(probs[:n]) for p in probs[:n]]
    result = [0.0] * len(logits)
    for i, p in zip(kept, probs, strict=True):
        result[i] = p
    return result


@settings(deadline=None, max_examples=150)
@given(
    st.lists(st.integers(-400, 400), min_size=1, max_size=12, unique=True),
    st.sampled_from([0.5, 1.0, 2.0]),
    st.none() | st.integers(1, 15),
    st.none() | st.sampled_from([0.05, 0.31, 0.5, 0.77, 0.93]),
)
def test_a_distribuicao_e_a_da_regra(logits, temperature, top_k, top_p):
    logits = [n / 97 for n in logits]
    got = next_token_probs(torch.tensor([logits]), temperature, top_k, top_p)
    want = torch.tensor([reference(logits, temperature, top_k, top_p)])
    torch.testing.assert_close(got, want, atol=2e-5, rtol=1e-4)


def test_top_p_guarda_ao_menos_um_e_um_vale_todos():
    logits = torch.tensor([[0.0, 3.0, 1.0]])
    assert next_token_probs(logits, top_p=1e-9).tolist() == [[0.0, 1.0, 0.0]]
    torch.testing.assert_close(next_token_probs(logits, top_p=1.0), logits.softmax(-1))
    torch.testing.assert_close(next_token_probs(logits, top_k=99), logits.softmax(-1))


@pytest.mark.parametrize("temperature", [1e-6, 1e-30, 1e-38, 1e-45, 5e-324])
def test_a_menor_das_temperaturas_e_a_gulosa(temperature):
    logits = torch.tensor([[1e4, -3e38, 1e4 + 0.01, 0.0], [-80.0, -90.0, -3e38, -80.5]])
    got = next_token_probs(logits, temperature)
    assert torch.equal(got, next_token_probs(logits, 0)) and got.sum(-1).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("temperature", [0, 0.7])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_logits_sem_numero_sao_um_erro_claro(bad, temperature):
    logits = torch.tensor([[0.0, 1.0, 2.0], [0.0, bad, 2.0]])
    for row in (logits, torch.full((1, 3), -float("inf"))):
        with pytest.raises(ValueError, match="logits têm NaN ou infinito.*divergiu"):
            next_token_probs(row, temperature)
    model = gpt()
    with torch.no_grad():
        model.norm.bias[0] = bad
    for n in (3, 20):
        with pytest.raises(ValueError, match="logits têm NaN ou infinito"):
            generate(model, torch.tensor([[1]]), n, temperature)


def test_um_logit_menos_infinito_so_nao_sai():
    logits = torch.tensor([[0.0, -float("inf"), 1.0]])
    torch.testing.assert_close(next_token_probs(logits, 0.5), (logits / 0.5).softmax(-1))


def test_cada_linha_e_filtrada_sozinha():
    logits = torch.tensor([[0.0, 9.0, 1.0], [5.0, 0.0, 4.9]])
    both = next_token_probs(logits, top_p=0.7)
    torch.testing.assert_close(both, torch.cat([next_token_probs(row[None], top_p=0.7) for row in logits]))
    assert (both > 0).sum(-1).tolist() == [1, 2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(temperature=-1), "temperature=-1"),
        (dict(temperature=float("nan")), "temperature=nan"),
        (dict(temperature=float("inf")), "temperature=inf.*finita"),
        (dict(top_k=0), "top_k=0: precisa ser ao menos 1"),
        (dict(top_p=0), r"top_p=0: precisa estar em \(0, 1\]"),
        (dict(top_p=1.1), "top_p=1.1"),
        (dict(repetition_penalty=0.5), "repetition_penalty=0.5"),
        (dict(repetition_penalty=float("nan")), "repetition_penalty=nan"),
        (dict(allowed=[]), "allowed não tem nenhum id"),
        (dict(allowed=[97, -1]), "allowed não tem nenhum id"),
        (dict(max_new_tokens=-1), "max_new_tokens=-1"),
        (dict(ids=torch.tensor([1, 2])), r"\(B, T\).*\(2,\)"),
        (dict(ids=torch.zeros(1, 0, dtype=torch.long)), r"\(1, 0\)"),
    ],
)
def test_argumento_impossivel(options, message):
    arguments = dict(ids=torch.tensor([[1, 2]]), max_new_tokens=3) | options
    with pytest.raises(ValueError, match=message):
        generate(gpt(), **arguments)


def test_a_penalidade_desce_os_positivos_e_os_negativos():
    logits = torch.tensor([[2.0, -1.0, 3.0], [2.0, -1.0, 3.0]])
    got = penalize_repetition(logits, torch.tensor([[0, 0], [1, 2]]), 2.0)
    assert got.tolist() == [[1.0, -1.0, 3.0], [2.0, -2.0, 1.5]]
    assert logits[0, 0] == 2.0


# O laço


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("start", [1, 5, 12, 20])
def test_com_e_sem_cache_os_mesmos_ids_mesmo_quando_a_janela_desliza(options, start):
    model = gpt()  # contexto 12
    ids = some_ids(model, B=3, T=start)
    runs = [generate(model, ids, 20, generator=seeded(), use_cache=c, **options) for c in (True, False)]
    assert torch.equal(*runs)
    assert runs[0].shape == (3, start + 20) and torch.equal(runs[0][:, :start], ids)


# Qualquer modelo: os ids são os de chamá-lo por inteiro, uma vez por token


@torch.no_grad()
def called_each_time(model, ids: torch.Tensor, n: int, **options) -> torch.Tensor:
    """O laço ingênuo: a janela inteira pelo modelo a cada token, e os mesmos sorteios."""
    generator, limit = seeded(), gpt().config.context_length
    for _ in range(n):
        probs = next_token_probs(model(ids[:, -limit:])[:, -1], **options)
        ids = torch.cat([ids, torch.multinomial(probs, 1, generator=generator)], dim=1)
    return ids


class Unrelated(nn.Module):
    """Cumpre o contrato sem herdar de nada, e faz os logits de outro jeito."""

    def __init__(self) -> None:
        super().__init__()
        inner = gpt()
        self.config, self.inner, self.head = inner.config, inner, inner.head

    def features(self, ids, cache=None):
        return self.inner.features(ids, cache)

    def forward(self, ids):
        return 2 * torch.tanh(self.head(self.features(ids)) / 2)


def compiled_in_place() -> GPT:
    model = gpt()
    model.compile(backend="eager")
    return model


MODELS = {
    **PLAIN,
    **CALLED,
    **{f"saída: {name}": lambda head=head: with_head(head) for name, head in HEADS.items()},
    "torch.compile": lambda: torch.compile(gpt(), backend="eager"),
    "compilado no lugar": compiled_in_place,
    "DataParallel": lambda: nn.DataParallel(gpt()),
    "média dos pesos": lambda: torch.optim.swa_utils.AveragedModel(gpt()),
    "outra classe": Unrelated,
}


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(make, id=name, marks=[pytest.mark.lento] * ("compil" in name))
        for name, make in MODELS.items()
    ],
)
@pytest.mark.filterwarnings("ignore:.*quantiz.*")
def test_os_ids_sao_os_de_chamar_o_modelo(make):
    """15 e 16 tokens novos (de 16 em diante há um atalho), dentro e além do contexto, com e sem cache."""
    model = make().eval()
    ids = some_ids(gpt(), B=2, T=1)
    want = called_each_time(model, ids, 16, temperature=0.8, top_k=20)
    for n in (15, 16):
        for use_cache in (True, False):
            got = generate(model, ids, n, temperature=0.8, top_k=20, generator=seeded(), use_cache=use_cache)
            assert torch.equal(got, want[:, : n + 1])


def test_o_atalho_da_matriz_copiada_e_tomado_onde_serve(monkeypatch):
    """O modelo do pacote não passa pela `head` quando a cópia se paga; um com viés passa."""
    for model, expected in ((gpt(), 0), (with_head(HEADS["viés"]), 16)):
        calls = []
        forward = type(model.head).forward
        monkeypatch.setattr(nn.Linear, "forward", lambda self, x, m=model, c=calls, f=forward: (
            c.append(1) if self is m.head else None, f(self, x))[1])  # fmt: skip
        generate(model, torch.tensor([[1]]), 16)
        monkeypatch.undo()
        assert len(calls) == expected and (plain_head(model) is None) == bool(expected)


def test_so_saem_os_ids_permitidos():
    model = gpt()
    ids = some_ids(model, B=4, T=2)
    for options in OPTIONS:
        got = generate(model, ids, 15, generator=seeded(), allowed=[5, 3, 60, 10**6], **options)
        assert set(got[:, 2:].flatten().tolist()) <= {3, 5, 60}
    everything = range(model.config.vocab_size)
    free, listed = (generate(model, ids, 9, generator=seeded(), allowed=a) for a in (None, everything))
    assert torch.equal(free, listed)


def test_guloso_e_o_mais_provavel_de_cada_passo():
    model = gpt()
    ids = some_ids(model, T=3)
    want = ids
    with torch.no_grad():
        for _ in range(15):
            want = torch.cat([want, model(want[:, -12:])[:, -1].argmax(-1, keepdim=True)], dim=1)
    for options in (dict(temperature=0), dict(top_k=1), dict(temperature=1e-4)):
        assert torch.equal(generate(model, ids, 15, **options), want)


def test_guloso_e_o_do_transformers(tmp_path):
    from transformers import AutoModelForCausalLM

    from homellm.weights import to_huggingface

    model = gpt("ímpar")
    to_huggingface(model, tmp_path)
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    ids = some_ids(model, B=2, T=2)
    want = theirs.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=5, do_sample=False, pad_token_id=0,
        eos_token_id=None,
    )  # fmt: skip
    assert torch.equal(generate(model, ids, 5, temperature=0), want)


def test_stream_da_o_que_generate_junta():
    model = gpt()
    ids = some_ids(model, B=3, T=4)
    steps = list(stream(model, ids, 9, generator=seeded(3)))
    assert [step.shape for step in steps] == [(3,)] * 9
    assert torch.equal(torch.stack(steps, dim=1), generate(model, ids, 9, generator=seeded(3))[:, 4:])


def test_nenhum_token_novo():
    ids = torch.tensor([[1, 2]])
    assert torch.equal(generate(gpt(), ids, 0), ids)


def test_o_gerador_repete_e_nao_depende_do_global():
    model = gpt()
    ids = some_ids(model, T=2)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = generate(model, ids, 12, generator=seeded(5))
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert torch.equal(generate(model, ids, 12, generator=seeded(5)), first)
    assert not torch.equal(generate(model, ids, 12, generator=seeded(6)), first)


def test_sem_gerador_vale_a_semente_global():
    model = gpt()
    ids = some_ids(model, T=2)
    runs = []
    for seed in (4, 4, 5):
        torch.manual_seed(seed)
        runs.append(generate(model, ids, 12))
    assert torch.equal(runs[0], runs[1]) and not torch.equal(runs[0], runs[2])


def successor(ids: torch.Tensor) -> torch.Tensor:
    """Depois de n vem n + 1."""
    return 50.0 * torch.nn.functional.one_hot((ids + 1) % 10, 10)


def test_cada_linha_para_no_seu_fim_e_tudo_para_no_ultimo():
    out = generate(successor, torch.tensor([[6], [3]]), 20, temperature=0, eos_id=8)
    assert out.tolist() == [[6, 7, 8, 8, 8, 8], [3, 4, 5, 6, 7, 8]]


def test_um_fim_no_prompt_nao_para():
    assert generate(successor, torch.tensor([[8]]), 3, temperature=0, eos_id=8).tolist() == [[8, 9, 0, 1]]


def test_o_sorteio_segue_a_distribuicao():
    logits = torch.tensor([2.0, 1.0, 0.0, -1.0])
    probs = logits.softmax(-1)
    n = 20_000
    ids = torch.zeros(n, 1, dtype=torch.long)
    got = generate(lambda ids: logits.expand(len(ids), 1, 4), ids, 1, generator=seeded(0))[:, 1]
    observed = torch.bincount(got, minlength=4)
    chi2 = ((observed - n * probs) ** 2 / (n * probs)).sum().item()
    assert chi2 < 16.3  # 3 graus de liberdade, p = 0,001


def test_o_modelo_volta_ao_modo_em_que_estava():
    model = gpt(dropout=0.5).train()
    ids = some_ids(model, T=3)
    first = generate(model, ids, 5, temperature=0)
    assert model.training and torch.equal(first, generate(model, ids, 5, temperature=0))
    steps = stream(model, ids, 5)
    next(steps)
    steps.close()
    assert model.training
    with pytest.raises(ValueError):
        generate(model, torch.tensor([[10**6]]), 2)
    assert model.training


def test_os_logits_nao_guardam_gradiente():
    assert not generate(gpt(), torch.tensor([[1]]), 3).requires_grad
    assert all(torch.is_grad_enabled() for _ in stream(gpt(), torch.tensor([[1]]), 3))


# Do prompt ao texto

BYTES = BPETokenizer({bytes([b]): b for b in range(256)}, {"<|endoftext|>": 256})
NO_SPECIALS = BPETokenizer({bytes([b]): b for b in range(256)}, {})


def speaks(text: str, then: int | None = 256):
    """Um "modelo" que, na ordem, aposta em cada byte de `text`, e depois em `then`; anota o que recebeu."""
    script, calls = [*text.encode("utf-8"), then], []

    def model(ids: torch.Tensor) -> torch.Tensor:
        calls.append(ids[0].tolist())
        best = torch.tensor([[script[min(len(calls), len(script)) - 1]]])
        return torch.nn.functional.one_hot(best, 257).float() * 50

    model.calls = calls
    return model


def text_gpt(**changes) -> GPT:
    torch.manual_seed(0)
    return GPT(
        GPTConfig(**dict(vocab_size=257, context_length=8, emb_dim=8, n_heads=2, n_layers=1) | changes)
    )


@pytest.mark.parametrize("prompt", ["", "Era", "maçã 🍎 ", "a" * 30])
def test_o_texto_e_o_prompt_e_o_que_generate_da(prompt):
    model = text_gpt()
    options = dict(temperature=0.9, top_k=40, eos_id=None)
    start = list(prompt.encode("utf-8")) or [256]
    ids = generate(model, torch.tensor([start]), 12, generator=torch.Generator().manual_seed(1), **options)
    text = generate_text(model, BYTES, prompt, 12, generator=torch.Generator().manual_seed(1), **options)
    assert text == prompt + BYTES.decode(ids[0, len(start) :])
    assert text.startswith(prompt) and len(ids[0]) == len(start) + 12


def test_o_texto_para_no_fim_do_documento_e_nao_o_mostra():
    model = speaks(" uma vez")
    assert generate_text(model, BYTES, "Era", 100, temperature=0) == "Era uma vez"
    assert len(model.calls) == len(" uma vez") + 1  # parou ali
    assert generate_text(speaks(" uma vez"), BYTES, "Era", 4, temperature=0) == "Era uma"
    assert generate_text(speaks(" x", then=256), BYTES, "Era", 0) == "Era"


def test_o_texto_passa_do_fim_se_pedido_e_para_noutro_id():
    assert (
        generate_text(speaks("a"), BYTES, "", 3, temperature=0, eos_id=None) == "a<|endoftext|><|endoftext|>"
    )
    assert generate_text(speaks("sim. não"), BYTES, "", 9, temperature=0, eos_id=ord(".")) == "sim"


def test_um_prompt_vazio_comeca_um_documento():
    model = speaks("Oi")
    assert generate_text(model, BYTES, "", 5, temperature=0) == "Oi"
    assert model.calls[0] == [256]
    with pytest.raises(ValueError, match=r"o tokenizer não tem <\|endoftext\|>"):
        generate_text(speaks("Oi"), NO_SPECIALS, "", 5)
    assert generate_text(speaks("i", then=ord("!")), NO_SPECIALS, "O", 3, temperature=0) == "Oi!!"


class Gaps(BPETokenizer):
    """Um vocabulário com buracos: os ids 256 e 258 não têm texto."""

    def __init__(self) -> None:
        tokens = {bytes([b]): b for b in range(256)} | {b"aa": 257}
        super().__init__(tokens, {"<|endoftext|>": 259})


@pytest.mark.parametrize("tokenizer", [BYTES, NO_SPECIALS, Gaps()], ids=["257", "256", "buracos"])
def test_um_modelo_com_mais_ids_que_o_tokenizer(tokenizer):
    """O vocabulário arredondado para cima: os ids que sobram não saem."""
    torch.manual_seed(0)
    model = GPT(GPTConfig(vocab_size=400, context_length=8, emb_dim=8, n_heads=2, n_layers=1))
    with torch.no_grad():  # sozinho, o modelo daria quase sempre um id sem texto
        model.token_embedding.weight[256:].mul_(500)
    prompt = "Era uma vez"
    text = generate_text(model, tokenizer, prompt, 40, generator=seeded(), eos_id=None)
    assert text.startswith(prompt) and len(text) > len(prompt)
    known = known_ids(tokenizer)
    assert [len(tokenizer.token_bytes(i)) > 0 for i in known] == [True] * len(known)
    assert len(known) == len(tokenizer.tokens) + len(tokenizer.special_tokens)


def test_o_prompt_passa_pelo_nfc():
    model = speaks("!")
    generate_text(model, BYTES, "corac\u0327a\u0303o", 1, temperature=0)
    assert model.calls[0] == list("coração".encode())


def test_um_especial_no_prompt_e_texto():
    """Nem o prompt vira comando, nem o id do fim que estivesse no prompt cortaria a resposta."""
    model = speaks(" b")
    assert generate_text(model, BYTES, "a<|endoftext|>", 5, temperature=0) == "a<|endoftext|> b"
    assert model.calls[0] == list(b"a<|endoftext|>")


def test_o_prompt_volta_como_veio():
    """O prompt volta como veio, e só a continuação é decodificada: meio caractere é “�”."""
    accent = "é".encode()
    half = speaks("a", then=accent[0])
    assert generate_text(half, BYTES, "e\u0301", 2, temperature=0) == "e\u0301a\ufffd"


def test_o_texto_se_repete_com_o_mesmo_gerador():
    model = text_gpt(dropout=0.5).train()
    texts = [
        generate_text(model, BYTES, "Era", 20, generator=torch.Generator().manual_seed(s)) for s in (1, 1, 2)
    ]
    assert texts[0] == texts[1] != texts[2] and model.training


def test_o_texto_passa_adiante_os_erros_de_generate():
    for bad in ({"temperature": -1}, {"top_k": 0}, {"top_p": 0}, {"repetition_penalty": 0.5}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            generate_text(text_gpt(), BYTES, "a", 3, **bad)
    with pytest.raises(ValueError, match="max_new_tokens=-1"):
        generate_text(text_gpt(), BYTES, "a", -1)
