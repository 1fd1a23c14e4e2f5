"""Um treino pequeno, quadro a quadro: o que o filme do capítulo 5 mostra.

uso: python -m bancada.filme

Um GPT de um milhão de parâmetros lê histórias do `historias-mini`, todas diferentes, com o
tokenizer e a receita dele. Guarda em `widgets/dados/filme.json` a perda e a taxa de dez em dez passos e, em
cada quadro, a perda em histórias que não leu, o que ele escreve com o mesmo sorteio, e o que acha que vem
depois de um mesmo começo. Os quadros são mais juntos no começo, que é onde as coisas mudam. Num núcleo livre,
demora perto de quinze minutos.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import torch

from data.fazer.conversa.treina import STORY_TRAINING, quick, stories
from homellm.data import create_dataloader
from homellm.files import write_json
from homellm.generation import generate, next_token_probs
from homellm.model import GPT, GPTConfig
from homellm.plots import br
from homellm.tokenizer import encode_text, end_id
from homellm.training import Trainer
from homellm.weights import load_pretrained

CONFIG = GPTConfig(vocab_size=2048, context_length=256, emb_dim=128, n_heads=4, n_layers=4)
STEPS, BATCH, FRAMES, STRIDE = 4000, 8, 32, 10
TRAINING = replace(STORY_TRAINING, max_steps=STEPS)
OPENING, QUESTION = "Era uma vez", "Estava tão escuro que tanto fazia fechar os"
SAMPLE, TOP = 220, 8


def main() -> None:
    _, tokenizer = load_pretrained("historias-mini")
    end = end_id(tokenizer)

    def ids_of(texts):
        return [i for text in texts for i in (*encode_text(tokenizer, text), end)]

    size = CONFIG.context_length
    train_ids = ids_of(stories(STEPS * BATCH * 3 // 2))  # uma história ocupa quase três quartos da janela
    train_loader = create_dataloader(train_ids, BATCH, size)
    held_out = ids_of(stories(100, "validation", unseen=False))
    val_loader = create_dataloader(held_out, BATCH, size, shuffle=False, drop_last=False)
    assert len(train_loader) >= STEPS, "faltam histórias: alguma seria lida duas vezes"
    torch.manual_seed(0)
    model, frames = GPT(CONFIG), []

    def shoot(step: int, model: GPT) -> None:
        start = torch.tensor([[end, *encode_text(tokenizer, OPENING)]])
        written = generate(
            model, start, SAMPLE, temperature=0.7, top_k=30, eos_id=end,
            generator=torch.Generator().manual_seed(0),
        )[0, 1:].tolist()  # fmt: skip
        if end in written:
            written = written[: written.index(end)]
        context = torch.tensor([[end, *encode_text(tokenizer, QUESTION)]])
        with torch.no_grad():
            probs, ids = next_token_probs(model(context)[:, -1])[0].topk(TOP)
        frames.append({
            "passo": step,
            "amostra": tokenizer.decode(written),
            "apostas": [
                [tokenizer.decode([i]), round(p, 4)]
                for i, p in zip(ids.tolist(), probs.tolist(), strict=True)
            ],
        })  # fmt: skip
        print(step, frames[-1]["amostra"], flush=True)

    due = {round(STEPS * (n / FRAMES) ** 2) for n in range(FRAMES + 1)}
    with quick():
        trainer = Trainer(model, train_loader, TRAINING)
        batches = trainer.begin(None)
        for step in range(STEPS + 1):
            if step in due:
                trainer.measure(val_loader, shoot)
                model.train()
            if step < STEPS:
                trainer.step(batches)
    history = trainer.history
    for n, frame in enumerate(frames):
        frame["treino"] = round(history.train_loss[n], 3) if n else None  # antes do primeiro passo não há
        frame["validacao"] = round(history.val_loss[n], 3)
    losses, rates = torch.tensor(history.step_loss), history.lr
    write_json(Path(__file__).parents[1] / "widgets/dados/filme.json", {
        "modelo": asdict(CONFIG), "parametros": model.num_params(), "tokens": history.tokens,
        "abertura": OPENING, "pergunta": QUESTION, "de_quantos": STRIDE,
        "perda": [round(float(mean), 3) for mean in losses.view(-1, STRIDE).mean(1)],
        "taxa": [round(rate, 6) for rate in rates[STRIDE - 1 :: STRIDE]],
        "quadros": frames,
    })  # fmt: skip
    print(f"{br(history.tokens)} tokens em {br(history.seconds)} s")


if __name__ == "__main__":
    main()
