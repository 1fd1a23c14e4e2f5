"""Um segundo dispositivo emulado: nada do pacote mistura o que está nele com o que está na CPU.

Os números são os da CPU, então cada caso dá, no dispositivo emulado, exatamente o que dá fora dele.
"""

from __future__ import annotations

import signal

import pytest
import torch
from torch import nn

from emulado import GPU, Misturado, segundo_dispositivo
from homellm.classification import GPTClassifier, predict
from homellm.corpus import Instruction
from homellm.data import create_dataloader
from homellm.generation import generate, generate_text, stream
from homellm.instruction import Chat, finetune_instructions, respond
from homellm.model import GPT, GPTConfig, device_of
from homellm.tokenizer import SPECIAL_TOKENS, BPETokenizer
from homellm.training import TrainConfig, bits_per_byte, evaluate, train
from homellm.weights import load_pretrained, save_pretrained, to_huggingface

TOKENIZER = BPETokenizer.train("o rato roeu a roupa do rei de Roma; a rainha riu", 290, SPECIAL_TOKENS)
TEXT = "o rato roeu a roupa do rei. " * 40
OPTIONS = dict(temperature=0.8, top_k=20)


@pytest.fixture(autouse=True)
def _one_thread(one_thread):
    """Os mesmos números em todo processo."""


def gpt(dropout: float = 0.0) -> GPT:
    torch.manual_seed(0)
    sizes = dict(vocab_size=TOKENIZER.vocab_size, context_length=32, emb_dim=16, n_heads=2, n_layers=2)
    return GPT(GPTConfig(**sizes, dropout=dropout))


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def same_on_both(run) -> None:
    """`run(device)` dá o mesmo na CPU e no dispositivo emulado, e usou o dispositivo."""
    here = run(torch.device("cpu"))
    with segundo_dispositivo() as tags:
        there = run(GPU)
    assert tags.idas and here == there


# O próprio emulador recusa o que uma GPU recusaria


MIXED = {
    "soma": lambda a, b: a + b,
    "lugar": lambda a, b: a.add_(b),
    "matriz": lambda a, b: a @ b,
    "linear": lambda a, b: nn.functional.linear(a, b),
    "cat": lambda a, b: torch.cat([a, b]),
    "where": lambda a, b: torch.where(a > 0, a, b),
    "embedding": lambda a, b: nn.functional.embedding(b.long(), a),
    "índice": lambda a, b: b[a.long()],
}


@pytest.mark.parametrize("operation", MIXED.values(), ids=MIXED)
@pytest.mark.parametrize("first", [True, False])
def test_o_emulador_recusa_contas_entre_dispositivos(operation, first):
    with segundo_dispositivo():
        a, b = torch.ones(2, 2), torch.ones(2, 2)
        if operation is MIXED["índice"]:
            a = a.to(GPU)  # índices na GPU, tensor na CPU; o contrário é permitido
        elif first:
            a = a.to(GPU)
        else:
            b = b.to(GPU)
        with pytest.raises(Misturado):
            operation(a, b)


def test_o_emulador_recusa_numpy_e_geradores_da_cpu():
    with segundo_dispositivo():
        there = torch.rand(3, device=GPU)
        assert there.device.type == "cuda" and (there * 2).device == GPU and there[1:].device == GPU
        assert there.cpu().device.type == "cpu" and there.cpu().numpy().shape == (3,)
        assert (there * torch.tensor(2.0)).device == GPU  # um número da CPU entra em qualquer conta
        for wrong in (
            lambda: there.numpy(),
            lambda: torch.multinomial(there, 1, generator=seeded()),
            lambda: torch.rand(3, device=GPU, generator=seeded()),
            lambda: there.uniform_(generator=seeded()),
        ):
            with pytest.raises(Misturado):
                wrong()


def test_o_emulador_segue_um_modulo_e_o_gradiente():
    with segundo_dispositivo():
        model = gpt().to(GPU)
        assert device_of(model) == GPU and model.head.weight is model.token_embedding.weight
        with pytest.raises(Misturado):
            model(torch.tensor([[1, 2]]))
        model(torch.tensor([[1, 2]], device=GPU)).sum().backward()
        assert {p.grad.device for p in model.parameters()} == {GPU}
        assert {p.device.type for p in model.to("cpu").parameters()} == {"cpu"}


# O pacote


@pytest.mark.parametrize("use_cache", [True, False])
def test_geracao(use_cache):
    def run(device):
        model = gpt().to(device)
        ids = torch.tensor([[1, 2], [3, 4]], device=device)
        options = OPTIONS | dict(generator=seeded(), use_cache=use_cache, eos_id=5, repetition_penalty=1.2)
        got = generate(model, ids, 40, allowed=range(280), **options)  # passa do contexto
        assert got.device == ids.device
        steps = [step.tolist() for step in stream(model, ids, 3, temperature=0, use_cache=use_cache)]
        text = generate_text(model, TOKENIZER, "o rato", 8, generator=seeded(), **OPTIONS)
        return got.tolist(), steps, text

    same_on_both(run)


def loader(seed: int = 0):
    return create_dataloader(TOKENIZER.encode(TEXT), 4, 16, seed=seed)


@pytest.mark.parametrize("accumulation", [1, 2])
def test_treino_e_recomeco(accumulation, tmp_path):
    """Um treino inteiro, e o mesmo parado a meio e recomeçado de um checkpoint, com dropout."""
    config = TrainConfig(
        max_steps=6, warmup_steps=1, eval_every=3, learning_rate=1e-2, precision="fp32",
        accumulation_steps=accumulation,
    )  # fmt: skip

    def run(device):
        whole, halves = gpt(0.1).to(device), gpt(0.1).to(device)
        torch.manual_seed(1)
        full = train(whole, loader(), loader(), config, progress=False)
        path = tmp_path / f"{device.type}.safetensors"

        def stops(step, model):
            if step == 3:
                signal.raise_signal(signal.SIGINT)

        options = dict(checkpoint=path, progress=False)
        torch.manual_seed(1)
        assert train(halves, loader(), loader(), config, on_eval=stops, **options).interrupted
        halves = gpt(0.1).to(device)
        resumed = train(halves, loader(), loader(), config, resume=True, **options)
        assert resumed.step_loss == full.step_loss
        assert all(p.device.type == device.type for p in halves.parameters())
        return full.step_loss, full.val_loss, resumed.step_loss

    same_on_both(run)


def test_avaliacao():
    same_on_both(
        lambda device: (
            evaluate(gpt().to(device), loader()),
            bits_per_byte(gpt().to(device), TOKENIZER, TEXT),
        )
    )


def test_pesos(tmp_path):
    def run(device):
        folder = tmp_path / device.type
        save_pretrained(gpt().to(device), TOKENIZER, folder, dtype=torch.float16)
        to_huggingface(gpt().to(device), folder / "hf", TOKENIZER)
        model, _ = load_pretrained(folder)
        return (folder / "model.safetensors").read_bytes(), model.to(device)(
            torch.tensor([[1, 2]], device=device)
        ).tolist()

    same_on_both(run)


def test_classificador():
    def run(device):
        torch.manual_seed(0)
        model = GPTClassifier(gpt(), 2, ["bom", "mau"]).to(device)
        return [(p.label, p.probability) for p in predict(model, TOKENIZER, ["o rato", "a rainha riu"])]

    same_on_both(run)


def test_instrucoes_e_conversa():
    rows = [
        Instruction(familia="eco", instrucao=a, entrada="", resposta=b, split="train")
        for a, b in (("diga", "rato"), ("conte", "um rei"))
    ]

    def run(device):
        model = gpt().to(device)
        config = TrainConfig(epochs=2, warmup_steps=0, precision="fp32")
        history = finetune_instructions(model, TOKENIZER, rows, rows, config, progress=False)
        answer = respond(model, TOKENIZER, "diga", max_new_tokens=6, generator=seeded())
        chat = Chat(model, TOKENIZER, generator=seeded(), max_new_tokens=6)
        return history.step_loss, answer, chat.send("conte")

    same_on_both(run)
