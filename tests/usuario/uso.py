"""O que um leitor escreve com o pacote instalado: passa em `mypy --strict`, e roda."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

import homellm
from homellm.attention import KVCache, MultiHeadAttention
from homellm.classification import Prediction, load_classifier, predict
from homellm.corpus import Story, load_table, load_text
from homellm.data import SlidingWindowDataset, create_dataloader
from homellm.device import choose_device, set_seed
from homellm.evaluation import bits_per_byte, evaluate
from homellm.generation import generate, generate_text, stream
from homellm.instruction import Chat, respond
from homellm.loss import Batch, LossFunction, next_token_loss
from homellm.model import GPT, GPTConfig, LanguageModel
from homellm.ngram import NGramModel
from homellm.tokenizer import BPETokenizer, Tokenizer
from homellm.training import History, TrainConfig, TrainingDiverged, train
from homellm.web import export_web
from homellm.weights import load_pretrained, save_pretrained


def count(tokenizer: Tokenizer, texts: list[str]) -> int:
    """Quantos ids dão os textos; serve a qualquer tokenizer que cumpra o contrato."""
    return sum(len(tokenizer.encode(text)) for text in texts)


def sizes(model: LanguageModel) -> tuple[int, int]:
    """Os tamanhos de um modelo que cumpra o contrato, seja de que classe for."""
    return model.config.context_length, model.config.vocab_size


def my_loss(model: torch.nn.Module, batch: Batch) -> torch.Tensor:
    """A perda de sempre, escrita por quem usa o pacote."""
    ids, targets = batch
    return next_token_loss(model(ids), targets)


def report(step: int, model: torch.nn.Module) -> None:
    """Chamada a cada avaliação."""
    print(f"passo {step}, {sum(p.numel() for p in model.parameters())} parâmetros")


def generates() -> str:
    """Carregar e gerar: de uma vez, aos poucos, e por ids."""
    model, tokenizer = load_pretrained("contos-mini")
    ids = torch.tensor([tokenizer.encode("Era uma vez")], device=choose_device())
    model.to(ids.device)
    longer: torch.Tensor = generate(model, ids, max_new_tokens=3, temperature=0.0)
    steps: list[int] = [int(new) for new in stream(model, ids, 3, temperature=0.0)]
    assert longer[0, ids.shape[1] :].tolist() == steps
    assert sizes(model) == (256, tokenizer.vocab_size)
    return generate_text(model, tokenizer, "Era uma vez", max_new_tokens=5, top_k=10)


def trains(folder: Path) -> History:
    """Treinar um modelo pequeno, medi-lo e guardá-lo."""
    set_seed(0)
    text: str = load_text("contos", split="train")[:20_000]
    tokenizer = BPETokenizer.train(text, vocab_size=300)
    ids: list[int] = tokenizer.encode(text)
    windows = SlidingWindowDataset(ids, context_length=32)
    inputs, targets = windows[0]
    assert inputs.tolist() == ids[:32] and targets.tolist() == ids[1:33]
    loader = create_dataloader(windows, batch_size=4)
    model = GPT(GPTConfig.preset("mini", vocab_size=tokenizer.vocab_size, context_length=32))
    loss_fn: LossFunction = my_loss
    config = TrainConfig(max_steps=3, learning_rate=1e-3, eval_every=3)
    try:
        history = train(
            model, loader, loader, config, loss_fn=loss_fn, on_eval=report,
            checkpoint=folder / "treino.safetensors", progress=False,
        )  # fmt: skip
    except TrainingDiverged as error:
        sys.exit(str(error))
    baseline = NGramModel(order=2, vocab_size=tokenizer.vocab_size).fit(ids)
    sizes_of_text: int = len(text.encode("utf-8"))
    assert baseline.bits_per_byte(ids, sizes_of_text) > 0
    assert evaluate(model, loader, max_batches=1) > 0
    assert bits_per_byte(model, tokenizer, text[:200]) > 0
    save_pretrained(model, tokenizer, folder / "modelo")
    again, _ = load_pretrained(folder / "modelo")
    assert again.num_params() == model.num_params()
    page: Path = export_web(model, tokenizer, folder / "pagina")
    assert "{{" not in page.read_text("utf-8")
    return history


def answers() -> list[str]:
    """Classificar e conversar."""
    classifier, tokenizer = load_classifier("spam-mini")
    message = "Seu CPF será bloqueado hoje. Acesse o link e regularize"
    found: list[Prediction] = predict(classifier, tokenizer, [message])
    model, letters = load_pretrained("letras-mini")
    chat = Chat(model, letters)
    spoken: list[str] = [chat.send("Copie sem mudar nada.\njanela")]
    spoken.append(respond(model, letters, "Escreva em letras maiúsculas.", "janela"))
    return [found[0].label, *spoken]


def attends() -> tuple[int, ...]:
    """Uma peça do modelo, sozinha."""
    attention, cache = MultiHeadAttention(emb_dim=8, n_heads=2, context_length=4), KVCache()
    out: torch.Tensor = attention(torch.zeros(1, 3, 8), cache)
    return (*out.shape, cache.length)


def main() -> None:
    """Tudo, numa pasta que o chamador dá."""
    stories: list[Story] = load_table("contos", split="test")
    tokenizer = BPETokenizer.train(stories[0].text, vocab_size=280)
    print(homellm.__version__, count(tokenizer, [story.title for story in stories]))
    print(generates())
    history = trains(Path(sys.argv[1]))
    print(history.steps, [round(loss, 1) for loss in history.val_loss], history.tokens)
    print(answers(), attends())


if __name__ == "__main__":
    main()
