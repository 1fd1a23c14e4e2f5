# Gerado por ferramentas/tangle.py. NÃO EDITE: mude book/06-classificacao.md.
# sha256 do que segue: e2f53706da4fcc728484dcfdab18e75986622bc939fae44dcd6744ab7fec39af
"""Um GPT que classifica textos: muda a cabeça, e o resto é o mesmo.

Formas: `B` textos por lote, `T` tokens do mais longo deles, `C` emb_dim, `K` classes. O
capítulo 6 do livro constrói este módulo; o comando que treina os classificadores do
livro é `python -m homellm.recipes`.

>>> model, tokenizer = load_classifier("spam-mini")
>>> model.labels
('ham', 'spam')
>>> texts = ["Pague a taxa e ganhe o prêmio: premio-certo.invalido"]
>>> predict(model, tokenizer, texts)[0].label
'spam'
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Dataset

from homellm.data import LengthBatches
from homellm.lora import low_rank
from homellm.model import GPTConfig, LanguageModel, device_of, eval_mode, unwrap
from homellm.plots import br
from homellm.tokenizer import BPETokenizer, Tokenizer, encode_text, end_id
from homellm.training import Batch, History, TrainConfig, train
from homellm.weights import (
    build_gpt,
    check_pair,
    find_model,
    read_description,
    read_weights,
    write_folder,
)


@dataclass(frozen=True, eq=False)
class Report:
    """As medidas de um classificador; o que é por classe segue a ordem de `labels`.

    `confusion[i, j]` é quantos textos da classe `i` foram dados como `j`; `support`,
    quantos há de cada uma. Precisão, cobertura ou F1 sem nada a dividir valem 0.
    """

    labels: tuple[str, ...]
    confusion: np.ndarray  # (K, K)
    precision: np.ndarray  # (K,)
    recall: np.ndarray
    f1: np.ndarray
    support: np.ndarray

    @property
    def accuracy(self) -> float:
        """A fração de acertos."""
        return float(np.trace(self.confusion) / self.confusion.sum())

    @property
    def macro_f1(self) -> float:
        """A média dos F1, cada classe com o mesmo peso."""
        return float(self.f1.mean())

    def __str__(self) -> str:
        width = max(8, *map(len, self.labels))
        lines = [f"{'':{width}}  precisão  cobertura     F1  textos"]
        for n, label in enumerate(self.labels):
            rates = (br(x[n], 3) for x in (self.precision, self.recall, self.f1))
            row = "{:>8}  {:>9}  {:>5}".format(*rates)
            lines.append(f"{label:{width}}  {row}  {br(self.support[n]):>6}")
        lines.append(
            f"acurácia {br(self.accuracy, 3)}, F1 médio {br(self.macro_f1, 3)}"
        )
        return "\n".join(lines)


def _class_numbers(labels: Sequence[str]) -> dict[str, int]:
    """O número de cada rótulo, que é a posição dele em `labels`."""
    if len(set(labels)) != len(labels):
        raise ValueError(f"labels={tuple(labels)}: há nome repetido")
    return {label: n for n, label in enumerate(labels)}


def _check_pairs(
    truth: Sequence[str], predicted: Sequence[str], labels: Sequence[str]
) -> None:
    """Recusa o que não casa um para um, o que está vazio e o rótulo desconhecido."""
    if len(truth) != len(predicted):
        raise ValueError(
            f"são {len(truth)} verdadeiros e {len(predicted)} previstos; esperava um "
            "para um"
        )
    if len(truth) == 0:
        raise ValueError("não há o que comparar: nenhum rótulo verdadeiro")
    if unknown := sorted({*truth, *predicted} - {*labels}):
        raise ValueError(f"rótulos desconhecidos: {unknown}; use os de {tuple(labels)}")


def classification_report(
    truth: Sequence[str], predicted: Sequence[str], labels: Sequence[str]
) -> Report:
    """Compara rótulos verdadeiros e previstos.

    Erros: `ValueError` se não há um para um, se não há nenhum, se `labels` repete um
    nome, ou se há rótulo fora de `labels`.

    >>> report = classification_report(["a", "a", "b"], ["a", "b", "b"], ["a", "b"])
    >>> print(report.confusion)
    [[1 1]
     [0 1]]
    """
    position = _class_numbers(labels)
    _check_pairs(truth, predicted, labels)
    confusion = np.zeros((len(labels), len(labels)), dtype=int)
    for true, guess in zip(truth, predicted, strict=True):
        confusion[position[true], position[guess]] += 1
    hits, support, given = np.diag(confusion), confusion.sum(1), confusion.sum(0)
    precision, recall = hits / np.maximum(given, 1), hits / np.maximum(support, 1)
    f1 = 2 * hits / np.maximum(support + given, 1)
    return Report(tuple(labels), confusion, precision, recall, f1, support)


def encode_framed(tokenizer: Tokenizer, text: str, max_length: int) -> list[int]:
    """Os ids de um texto, entre dois `<|endoftext|>`, em no máximo `max_length` ids.

    Do que não cabe fica o começo; o `<|endoftext|>` final fica sempre. Um texto vazio
    são só os dois.

    Erros: `ValueError` se `max_length` é menor que 2; os de `end_id` e de
    `encode_text`.
    """
    if max_length < 2:
        raise ValueError(f"max_length={max_length}: precisa ser ao menos 2, as pontas")
    end = end_id(tokenizer)
    return [end, *encode_text(tokenizer, text)[: max_length - 2], end]


def _texts(texts: Iterable[str]) -> list[str]:
    """Os textos, numa lista. Erros: `TypeError` se é um só, ou se um não é texto."""
    if isinstance(texts, str):
        raise TypeError("esperava uma lista de textos; para um só, escreva [texto]")
    if not isinstance(texts, Iterable):
        raise TypeError(f"esperava uma lista de textos, e veio {texts!r}")
    listed = list(texts)  # pode vir um gerador
    for n, text in enumerate(listed):
        if not isinstance(text, str):
            raise TypeError(
                f"texto {n}: esperava um texto, e veio {text!r}, um "
                f"{type(text).__name__}; se é uma célula vazia de tabela, troque-a por "
                '""'
            )
    return listed


def _classes(
    texts: Sequence[str], rotulos: Sequence[str], labels: Sequence[str]
) -> list[int]:
    """O número da classe de cada texto; recusa o que não casa e o desconhecido."""
    if len(texts) != len(rotulos):
        raise ValueError(
            f"são {len(texts)} textos e {len(rotulos)} rótulos; esperava um para um"
        )
    if len(texts) == 0:
        raise ValueError("não há nenhum texto; confira o filtro que os escolheu")
    position = _class_numbers(labels)
    for n, rotulo in enumerate(rotulos):
        if rotulo not in position:
            raise ValueError(
                f"texto {n}: rótulo {rotulo!r} desconhecido; use um de {tuple(labels)}"
            )
    return [position[rotulo] for rotulo in rotulos]


class ClassificationDataset(Dataset):
    """Textos em ids, com a classe de cada um. Item: `(ids, classe)`, `(T,)` e int.

    `rotulos` traz um nome por texto; `labels`, os nomes na ordem das classes do modelo.

    Erros: `ValueError` se os comprimentos não casam, se não há textos, se `labels`
    repete um nome, ou se há rótulo fora de `labels`; `TypeError` se um dos textos não é
    texto; os de `encode_framed`.
    """

    def __init__(
        self,
        texts: Sequence[str],
        rotulos: Sequence[str],
        labels: Sequence[str],
        tokenizer: Tokenizer,
        max_length: int,
    ) -> None:
        self.labels, self.classes = tuple(labels), _classes(texts, rotulos, labels)
        rows = (encode_framed(tokenizer, text, max_length) for text in _texts(texts))
        self.ids = [torch.tensor(row) for row in rows]
        self.lengths = [len(ids) for ids in self.ids]

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.ids[index], self.classes[index]


def collate_classification(
    items: Sequence[tuple[torch.Tensor, int]], pad_id: int = 0
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """O lote `(ids, comprimentos, classes)`, int64 `(B, T)`, `(B,)`, `(B,)`.

    T é o do texto mais longo. O preenchimento fica à direita e pode ser qualquer id do
    vocabulário: a atenção causal não deixa nenhum token do texto olhar para ele.

    Erros: `ValueError` se o lote está vazio, ou se há nele um texto sem nenhum id.

    >>> items = [(torch.tensor([7, 8, 9]), 1), (torch.tensor([5]), 0)]
    >>> collate_classification(items)[0].tolist()
    [[7, 8, 9], [5, 0, 0]]
    """
    rows = [ids for ids, _ in items]
    if not rows or not all(map(len, rows)):
        raise ValueError("o lote está vazio, ou há nele um texto sem nenhum id")
    ids = nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=pad_id)
    return ids, torch.tensor([*map(len, rows)]), torch.tensor([c for _, c in items])


def create_classification_loader(
    dataset: ClassificationDataset,
    batch_size: int = 32,
    shuffle: bool = True,
    seed: int = 0,
) -> DataLoader:
    """Lotes de `collate_classification`; com `shuffle`, os de `LengthBatches`.

    Erros: os de `LengthBatches`.
    """
    if not shuffle:
        return DataLoader(dataset, batch_size, collate_fn=collate_classification)
    batches = LengthBatches(dataset.lengths, batch_size=batch_size, seed=seed)
    return DataLoader(
        dataset,
        batch_sampler=batches,
        collate_fn=collate_classification,
        generator=batches.generator,
    )


def _names(n_classes: int, labels: Sequence[str] | None) -> tuple[str, ...]:
    """Os nomes das classes, todos diferentes; sem nomes, "0", "1", …"""
    if n_classes < 2:
        raise ValueError(f"n_classes={n_classes}: para classificar, ao menos 2")
    names = tuple(labels if labels is not None else map(str, range(n_classes)))
    if len(set(names)) != n_classes or len(names) != n_classes:
        raise ValueError(f"labels={names}: esperava {n_classes} nomes diferentes")
    return names


def _check_lengths(ids: torch.Tensor, lengths: torch.Tensor) -> None:
    """Recusa comprimentos que não são um de 1 a T por linha."""
    inside = lengths.shape == ids.shape[:1] and 1 <= lengths.min()
    if not inside or lengths.max() > ids.shape[1]:
        raise ValueError(
            f"lengths={lengths.tolist()}: esperava um de 1 a T por linha de "
            f"{tuple(ids.shape)}"
        )


class GPTClassifier(nn.Module):
    """Um modelo de linguagem com outra cabeça: `n_classes` notas do último token.

    `gpt` é um `GPT`, ou qualquer modelo com `features`, `head` e `config`; o que se
    ajusta é uma cópia dele, no mesmo dispositivo e no mesmo tipo. `labels` dá nome às
    classes (sem ele, "0", "1", …).

    Trocar a cabeça e ajustar o resto é o que fez o GPT-1 (Radford et al., 2018).

    Erros: `ValueError` se `n_classes` é menor que 2, ou se `labels` não são `n_classes`
    nomes diferentes.
    """

    def __init__(
        self, gpt: LanguageModel, n_classes: int, labels: Sequence[str] | None = None
    ) -> None:
        super().__init__()
        self.labels = _names(n_classes, labels)
        self.gpt = copy.deepcopy(unwrap(gpt))
        like = next(self.gpt.parameters())
        with torch.no_grad():
            first = torch.zeros(1, 1, dtype=torch.int64, device=like.device)
            width = self.gpt.features(first).shape[-1]
        head = nn.Linear(width, n_classes, device=like.device, dtype=like.dtype)
        nn.init.normal_(head.weight, std=0.02)
        nn.init.zeros_(head.bias)
        self.gpt.head = head  # a das V notas fica para trás

    def forward(self, ids: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Logits `(B, K)` de ids `(B, T)`; `lengths`, `(B,)`, são os ids de cada texto.

        Erros: os de `features`, e `ValueError` se há comprimento fora de 1 a T.
        """
        _check_lengths(ids, lengths)
        x = self.gpt.features(ids)  # (B, T, C)
        last = x[torch.arange(len(ids), device=ids.device), lengths - 1]  # (B, C)
        return self.gpt.head(last)


@dataclass(frozen=True)
class Prediction:
    """O rótulo mais provável de um texto, e a probabilidade que o modelo lhe dá."""

    label: str
    probability: float


@torch.no_grad()
def class_probabilities(
    model: GPTClassifier,
    tokenizer: Tokenizer,
    texts: Iterable[str],
    batch_size: int = 32,
) -> torch.Tensor:
    """As probabilidades de cada classe, `(N, K)`, na ordem de `model.labels`, na CPU.

    Vale para qualquer texto, o vazio incluído; de um longo demais só se lê o começo
    (`encode_framed`). O dropout fica desligado.

    Erros: `TypeError` se `texts` é um texto só, ou se há nele o que não é texto;
    `ValueError` se `batch_size` não é ao menos 1; os de `encode_framed`.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size={batch_size}: precisa ser ao menos 1")
    size, device = model.gpt.config.context_length, device_of(model)
    rows = [torch.tensor(encode_framed(tokenizer, t, size)) for t in _texts(texts)]
    order = sorted(range(len(rows)), key=lambda n: len(rows[n]))  # pouco preenchimento
    probs = torch.zeros(len(rows), len(model.labels))
    with eval_mode(model):
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            ids, lengths, _ = collate_classification([(rows[n], 0) for n in chosen])
            logits = model(ids.to(device), lengths.to(device))
            probs[chosen] = logits.float().softmax(-1).cpu()
    return probs


def predict(
    model: GPTClassifier, tokenizer: Tokenizer, texts: Iterable[str]
) -> list[Prediction]:
    """Uma `Prediction` por texto, na ordem dada; lista vazia, se não há textos.

    Erros: os de `class_probabilities`.
    """
    probs, best = class_probabilities(model, tokenizer, texts).max(-1)
    return [
        Prediction(model.labels[n], p)
        for p, n in zip(probs.tolist(), best.tolist(), strict=True)
    ]


def add_token_noise(
    ids: torch.Tensor, lengths: torch.Tensor, rate: float, vocab_size: int
) -> torch.Tensor:
    """Troca cada token de dentro do texto por um id sorteado, com probabilidade `rate`.

    `(B, T) → (B, T)`. É parente do *dropout* de palavras (Iyyer et al., 2015). As duas
    pontas de cada texto e o preenchimento ficam como estão.

    >>> ids, lengths = torch.tensor([[9, 5, 9, 0]]), torch.tensor([3])
    >>> add_token_noise(ids, lengths, rate=1.0, vocab_size=1).tolist()
    [[9, 0, 9, 0]]
    """
    positions = torch.arange(ids.shape[1], device=ids.device)
    inside = (positions > 0) & (positions < lengths[:, None] - 1)  # (B, T)
    swap = inside & (torch.rand(ids.shape, device=ids.device) < rate)
    return torch.where(swap, torch.randint_like(ids, vocab_size), ids)


def classification_loss(
    model: nn.Module, batch: Batch, token_noise: float = 0.0
) -> torch.Tensor:
    """Entropia cruzada média, um escalar, em nats por texto.

    O `batch` é o de `collate_classification`. `token_noise` é a taxa de
    `add_token_noise`, e só vale enquanto o modelo treina.
    """
    ids, lengths, classes = batch
    if token_noise and model.training:
        vocab_size = cast(GPTClassifier, model).gpt.config.vocab_size
        ids = add_token_noise(ids, lengths, token_noise, vocab_size)
    return F.cross_entropy(model(ids, lengths).float(), classes)


def _blocks(model: GPTClassifier, wanted: int) -> tuple[nn.Module, nn.ModuleList]:
    """A última normalização e os blocos do corpo; recusa se não há tantos."""
    parts = getattr(model.gpt, "blocks", None)
    norm = getattr(model.gpt, "norm", None)
    if parts is None or norm is None:
        raise ValueError(
            f"blocks={wanted}: {type(model.gpt).__name__} não tem blocks e norm, e só "
            "se pode ajustar por inteiro, com blocks=None"
        )
    if not 0 <= wanted <= len(parts):
        raise ValueError(
            f"blocks={wanted}: use de 0 a {len(parts)}, os que o modelo tem, ou None"
        )
    return norm, parts


def set_trainable(model: GPTClassifier, blocks: int | None) -> None:
    """Deixa treinar a cabeça, a última normalização e os últimos `blocks` blocos.

    `None` libera tudo. Erros: `ValueError` se o modelo não tem tantos blocos.
    """
    if blocks is None:
        model.requires_grad_(True)
        return
    norm, parts = _blocks(model, blocks)
    model.requires_grad_(False)
    for part in (model.gpt.head, norm, *parts[len(parts) - blocks :]):
        part.requires_grad_(True)


def _check_tuning(
    model: GPTClassifier,
    datasets: Sequence[ClassificationDataset | None],
    token_noise: float,
    trainable_blocks: int | None,
    lora_rank: int,
) -> None:
    """Recusa um ajuste que não faz sentido."""
    if not 0 <= token_noise < 1:
        raise ValueError(f"token_noise={token_noise}: precisa estar em [0, 1)")
    if lora_rank < 0 or (lora_rank and trainable_blocks is not None):
        raise ValueError(
            f"lora_rank={lora_rank}, trainable_blocks={trainable_blocks}: use um "
            "posto de 0 em diante, e um dos dois de cada vez"
        )
    for data in datasets:
        if data is not None and data.labels != model.labels:
            raise ValueError(
                f"os dados têm as classes {data.labels}, e o modelo, {model.labels}; "
                "use a mesma ordem"
            )


def finetune_classifier(
    model: GPTClassifier,
    train_data: ClassificationDataset,
    val_data: ClassificationDataset | None = None,
    config: TrainConfig | None = None,
    *,
    batch_size: int = 32,
    trainable_blocks: int | None = None,
    lora_rank: int = 0,
    token_noise: float = 0.0,
    **options: Any,
) -> History:
    """Ajusta o classificador pelo laço `homellm.training.train`; devolve a história.

    `trainable_blocks` é o de `set_trainable`: `None` ajusta tudo, 0 só a cabeça e a
    última normalização. Com `lora_rank`, as matrizes dos blocos ficam paradas e treinam
    correções desse posto (`homellm.lora`), somadas a elas no fim. `token_noise` é a
    fração de tokens trocados (`add_token_noise`). Com a mesma semente em `config`, os
    lotes são os mesmos. `options` são as de `train`. O modelo fica em modo de
    avaliação.

    Erros: os de `set_trainable` e de `train`, e `ValueError` se `token_noise` não está
    em [0, 1), se vêm `lora_rank` e `trainable_blocks`, ou se as classes dos dados não
    são as do modelo, na mesma ordem.
    """
    _check_tuning(
        model, (train_data, val_data), token_noise, trainable_blocks, lora_rank
    )
    config = config or TrainConfig(
        epochs=4, learning_rate=1e-3, warmup_steps=20, final_lr=0.02
    )
    set_trainable(model, 0 if lora_rank else trainable_blocks)
    train_loader = create_classification_loader(
        train_data, batch_size, seed=config.seed
    )
    val_loader = None
    if val_data is not None:  # lotes de tamanho parecido, e os mesmos em toda avaliação
        val_loader = list(create_classification_loader(val_data, batch_size))
    loss_fn = partial(classification_loss, token_noise=token_noise)
    with low_rank(model.gpt.blocks, lora_rank) if lora_rank else nullcontext():
        history = train(
            model, train_loader, val_loader, config, loss_fn=loss_fn, **options
        )
    model.eval()
    return history


def save_classifier(
    model: GPTClassifier,
    tokenizer: BPETokenizer,
    folder: str | Path,
    dtype: torch.dtype | None = None,
) -> None:
    """Guarda o classificador, os nomes das classes e o tokenizer numa pasta.

    `load_classifier` a lê. Erros: `TypeError` se o corpo não é um GPT; os de
    `write_folder`.
    """
    inner = unwrap(model)
    config = inner.gpt.config
    if not isinstance(config, GPTConfig):
        raise TypeError(
            f"só se guarda o classificador de um GPT; veio {type(inner.gpt).__name__}"
        )
    description = {"model": asdict(config), "labels": list(inner.labels)}
    write_folder(folder, inner, tokenizer, description, dtype)


def _empty_classifier(path: Path, description: dict[str, Any]) -> GPTClassifier:
    """A rede que a descrição manda, com pesos quaisquer."""
    labels = description.get("labels")
    if labels is None:
        raise ValueError(
            f"{path}: não é um classificador; se é um modelo de linguagem, use "
            "load_pretrained"
        )
    if not isinstance(labels, list) or not all(isinstance(x, str) for x in labels):
        raise ValueError(
            f"{path}: esperava em labels uma lista de nomes; veio {labels!r}"
        )
    gpt = build_gpt(path, description.get("model"))
    try:
        return GPTClassifier(gpt, len(labels), labels)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _check_tokenizer(
    folder: Path, tokenizer: BPETokenizer, model: GPTClassifier
) -> None:
    """Recusa um tokenizer que não é o do modelo."""
    try:
        check_pair(tokenizer, model.gpt.config.vocab_size)
    except ValueError as error:
        raise ValueError(f"{folder}: {error}") from error


def load_classifier(name_or_folder: str | Path) -> tuple[GPTClassifier, BPETokenizer]:
    """O classificador, em fp32 e em modo de avaliação, e o seu tokenizer.

    Aceita uma pasta de `save_classifier`, ou o nome de um que vem com o pacote:
    `"spam-mini"`, `"sentimento-mini"`.

    Erros: `FileNotFoundError` se não há tal modelo; `ValueError` se os arquivos estão
    estragados, não casam, ou são de um modelo de linguagem; `OSError` se não se
    consegue ler.
    """
    folder = find_model(name_or_folder)
    model = _empty_classifier(folder / "config.json", read_description(folder))
    read_weights(folder, model)
    tokenizer = BPETokenizer.load(folder / "tokenizer.json")
    _check_tokenizer(folder, tokenizer, model)
    return model.eval(), tokenizer


def calibration_table(
    confidence: Sequence[float], correct: Sequence[bool], n_bins: int = 10
) -> list[tuple[float, float, int]]:
    """Junta as previsões por confiança, em `n_bins` faixas iguais de 0 a 1.

    É a tabela do diagrama de confiabilidade (Guo et al., 2017). Cada linha é (confiança
    média, fração de acertos, quantas); as faixas vazias ficam de fora.

    Erros: `ValueError` se não há uma confiança de 0 a 1 para cada acerto ou erro, ou se
    `n_bins` não é ao menos 1.

    >>> calibration_table([0.75, 1.0, 0.5], [True, False, True], n_bins=4)
    [(0.5, 1.0, 1), (0.875, 0.5, 2)]
    """
    sure, hits = np.asarray(confidence, dtype=float), np.asarray(correct, dtype=float)
    if sure.shape != hits.shape or not ((sure >= 0) & (sure <= 1)).all():
        raise ValueError("esperava uma confiança, de 0 a 1, para cada acerto ou erro")
    if n_bins < 1:
        raise ValueError(f"n_bins={n_bins}: precisa ser ao menos 1")
    bins = np.minimum((sure * n_bins).astype(int), n_bins - 1)
    groups = [bins == b for b in np.unique(bins)]
    return [
        (float(sure[group].mean()), float(hits[group].mean()), int(group.sum()))
        for group in groups
    ]
