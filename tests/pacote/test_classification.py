"""homellm.classification: preenchimento, congelamento, medidas contra o scikit-learn, previsão e pastas."""

from __future__ import annotations

import json
import unicodedata
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support
from torch import nn

from homellm.classification import (
    ClassificationDataset,
    GPTClassifier,
    add_token_noise,
    calibration_table,
    class_probabilities,
    classification_loss,
    classification_report,
    collate_classification,
    create_classification_loader,
    encode_framed,
    finetune_classifier,
    load_classifier,
    predict,
    save_classifier,
    set_trainable,
)
from homellm.model import GPT, GPTConfig
from homellm.tokenizer import BPETokenizer
from homellm.training import TrainConfig
from homellm.weights import load_pretrained, save_pretrained

pytestmark = pytest.mark.usefixtures("one_thread")

TOKENIZER = BPETokenizer.train("o pão da padaria e o prêmio da loteria, pague já", 280)
END = TOKENIZER.special_tokens["<|endoftext|>"]
TEXTS = ["pague o prêmio já", "o pão", "a padaria da loteria", "prêmio", "e o pão da padaria, pague"]
NAMES = ["spam", "ham", "ham", "spam", "ham"]
LABELS = ("ham", "spam")


def tiny_gpt(**changes) -> GPT:
    torch.manual_seed(0)
    sizes = dict(vocab_size=TOKENIZER.vocab_size, context_length=24, emb_dim=12, n_heads=3, n_layers=3)
    return GPT(GPTConfig(**sizes | changes))


def tiny(**changes) -> GPTClassifier:
    """Um classificador pequeno, com pesos grandes o bastante para que qualquer diferença apareça."""
    model = GPTClassifier(tiny_gpt(**changes), 2, LABELS)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape) * 0.3)
    return model.eval()


def dataset(texts=TEXTS, names=NAMES, max_length=24) -> ClassificationDataset:
    return ClassificationDataset(texts, names, LABELS, TOKENIZER, max_length)


# --- textos em ids ---


def test_o_texto_fica_entre_as_pontas_e_do_longo_fica_o_comeco() -> None:
    ids = TOKENIZER.encode("pague o prêmio já")
    assert encode_framed(TOKENIZER, "pague o prêmio já", 24) == [END, *ids, END]
    assert encode_framed(TOKENIZER, "pague o prêmio já", 4) == [END, *ids[:2], END]
    assert encode_framed(TOKENIZER, "", 24) == [END, END] == encode_framed(TOKENIZER, "pão", 2)


def test_nfc_e_nfd_dao_os_mesmos_ids_e_o_especial_digitado_e_texto() -> None:
    nfd = unicodedata.normalize("NFD", "prêmio já")
    assert encode_framed(TOKENIZER, nfd, 24) == encode_framed(TOKENIZER, "prêmio já", 24)
    assert encode_framed(TOKENIZER, "a<|endoftext|>b", 24).count(END) == 2


def test_encode_framed_recusa_o_que_nao_serve() -> None:
    with pytest.raises(ValueError, match="ao menos 2"):
        encode_framed(TOKENIZER, "pão", 1)
    without = BPETokenizer.train("pão", 257, special_tokens=())
    with pytest.raises(ValueError, match=r"não tem <\|endoftext\|>"):
        encode_framed(without, "pão", 8)


def test_o_dataset_guarda_ids_e_classes() -> None:
    data = dataset()
    assert len(data) == 5 and data.classes == [1, 0, 0, 1, 0]
    ids, label = data[3]
    assert ids.tolist() == encode_framed(TOKENIZER, "prêmio", 24) and label == 1 and ids.dtype == torch.int64


@pytest.mark.parametrize(
    ("texts", "names", "message"),
    [
        (["a", "b"], ["spam"], "2 textos e 1 rótulos"),
        ([], [], "não há nenhum texto"),
        (["a", "b"], ["ham", "Spam"], "texto 1: rótulo 'Spam' desconhecido"),
    ],
)
def test_o_dataset_recusa_rotulos_errados(texts, names, message) -> None:
    with pytest.raises(ValueError, match=message):
        dataset(texts, names)


# --- lotes ---


def test_collate_enche_a_direita_ate_o_mais_longo_do_lote() -> None:
    data = dataset()
    ids, lengths, classes = collate_classification([data[1], data[2]], pad_id=9)
    assert ids.shape == (2, max(data.lengths[1], data.lengths[2])) and classes.tolist() == [0, 0]
    for row, n in enumerate((1, 2)):
        assert lengths[row] == data.lengths[n]
        assert ids[row, : lengths[row]].tolist() == data.ids[n].tolist()
        assert (ids[row, lengths[row] :] == 9).all()


@pytest.mark.parametrize("items", [[], [(torch.tensor([1, 2]), 0), (torch.tensor([], dtype=torch.int64), 1)]])
def test_collate_recusa_lote_ou_texto_vazio(items) -> None:
    with pytest.raises(ValueError, match="vazio"):
        collate_classification(items)


def test_sem_embaralhar_o_carregador_guarda_a_ordem() -> None:
    batches = list(create_classification_loader(dataset(), 2, shuffle=False))
    assert [label for _, _, labels in batches for label in labels.tolist()] == [1, 0, 0, 1, 0]


# --- o modelo ---


def test_o_classificador_copia_o_corpo_e_troca_a_cabeca() -> None:
    gpt = tiny_gpt().eval()
    before = {name: p.clone() for name, p in gpt.named_parameters()}
    model = GPTClassifier(gpt, 2, LABELS).eval()
    ids = torch.randint(0, 250, (2, 7))
    assert torch.equal(model.gpt.features(ids), gpt.features(ids))
    assert model.gpt.head.weight.shape == (2, 12)
    assert sum(p.numel() for p in model.parameters()) == gpt.num_params() + 2 * 12 + 2
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1)
    assert all(torch.equal(p, before[name]) for name, p in gpt.named_parameters())


def test_as_notas_saem_do_ultimo_token_de_verdade() -> None:
    model, ids = tiny(), torch.randint(0, 250, (3, 9))
    lengths = torch.tensor([9, 1, 4])
    expected = torch.stack(
        [model.gpt(ids[n : n + 1, :size])[0, -1] for n, size in enumerate(lengths.tolist())]
    )
    assert torch.allclose(model(ids, lengths), expected, atol=1e-5)


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_enchimento_e_companhia_nao_mudam_probabilidade(data) -> None:
    """Sozinho, ou num lote qualquer com enchimento de qualquer id, o texto recebe a mesma nota."""
    model = MODEL
    sizes = data.draw(st.lists(st.integers(1, 20), min_size=1, max_size=6))
    rows = [torch.tensor(data.draw(st.lists(st.integers(0, 255), min_size=n, max_size=n))) for n in sizes]
    pad_id = data.draw(st.integers(0, TOKENIZER.vocab_size - 1))
    with torch.no_grad():
        ids, lengths, _ = collate_classification([(row, 0) for row in rows], pad_id)
        extra = torch.full((len(rows), data.draw(st.integers(0, 24 - max(sizes)))), pad_id)
        together = model(torch.cat([ids, extra], dim=1), lengths).softmax(-1)
        alone = torch.cat([model(row[None], torch.tensor([len(row)])).softmax(-1) for row in rows])
    assert torch.allclose(together, alone, atol=1e-5)


MODEL = tiny()


class Bag(nn.Module):
    """Um modelo que não é um `GPT`, mas cumpre o contrato: médias correntes de embeddings."""

    def __init__(self) -> None:
        super().__init__()
        self.config = SimpleNamespace(vocab_size=TOKENIZER.vocab_size, context_length=24)
        self.table = nn.Embedding(TOKENIZER.vocab_size, 6)
        self.head = nn.Linear(6, TOKENIZER.vocab_size)

    def features(self, ids: torch.Tensor, cache=None) -> torch.Tensor:
        counts = torch.arange(1, ids.shape[1] + 1, device=ids.device)[:, None]
        return self.table(ids).cumsum(1) / counts

    def forward(self, ids: torch.Tensor, cache=None) -> torch.Tensor:
        return self.head(self.features(ids, cache))


def test_qualquer_modelo_do_contrato_serve_de_corpo(tmp_path) -> None:
    torch.manual_seed(0)
    bag = Bag()
    model = GPTClassifier(bag, 2, LABELS)
    assert model.gpt.head.weight.shape == (2, 6) and bag.head.out_features == TOKENIZER.vocab_size
    config = TrainConfig(epochs=40, learning_rate=3e-2)
    finetune_classifier(model, dataset(), config=config, batch_size=2, progress=False)
    assert [p.label for p in predict(model, TOKENIZER, TEXTS)] == NAMES
    with pytest.raises(ValueError, match="Bag não tem blocks e norm.*blocks=None"):
        set_trainable(model, 1)
    with pytest.raises(TypeError, match="só se guarda o classificador de um GPT; veio Bag"):
        save_classifier(model, TOKENIZER, tmp_path / "b")


def test_a_subclasse_e_o_modelo_compilado_servem_de_corpo_como_sao() -> None:
    class Louder(GPT):
        def features(self, ids, cache=None):
            return 2 * super().features(ids, cache)

    torch.manual_seed(0)
    louder = Louder(tiny_gpt().config).eval()
    ids = torch.tensor([[1, 2, 3]])
    assert torch.equal(GPTClassifier(louder, 2).gpt.features(ids), louder.features(ids))
    compiled = torch.compile(louder)  # preguiçoso: só compila se alguém o chama
    model = GPTClassifier(compiled, 2)
    assert torch.equal(model.gpt.features(ids), louder.features(ids))
    assert not [name for name in model.state_dict() if "_orig_mod" in name]


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_o_classificador_fica_no_tipo_do_modelo_dado(dtype) -> None:
    model = GPTClassifier(tiny_gpt().to(dtype), 2)
    assert {p.dtype for p in model.parameters()} == {dtype}
    assert model(torch.tensor([[1, 2, 3]]), torch.tensor([3])).dtype == dtype


def test_o_classificador_fica_no_dispositivo_do_modelo_dado() -> None:
    """No `meta`, que não tem dados: bastam as formas para saber onde cada peso foi parar."""
    model = GPTClassifier(tiny_gpt().to("meta"), 2)
    assert {p.device.type for p in model.parameters()} == {"meta"}


def test_predict_devolve_a_cada_parte_o_modo_em_que_estava() -> None:
    model = GPTClassifier(tiny_gpt(dropout=0.5), 2).train()
    model.gpt.blocks[0].eval()
    predict(model, TOKENIZER, TEXTS)
    assert model.training and model.gpt.blocks[1].training and not model.gpt.blocks[0].training


def test_trocar_um_token_do_texto_muda_a_nota() -> None:
    """O outro lado da propriedade anterior: o que é do texto conta, o primeiro token incluído."""
    ids, lengths = torch.randint(0, 200, (1, 8)), torch.tensor([8])
    other = ids.clone()
    other[0, 0] += 1
    assert not torch.allclose(MODEL(ids, lengths), MODEL(other, lengths), atol=1e-4)


@pytest.mark.parametrize("lengths", [[0, 3], [3, 6], [3], [1, 1, 1]])
def test_comprimentos_impossiveis_sao_recusados(lengths) -> None:
    with pytest.raises(ValueError, match="esperava um de 1 a T"):
        MODEL(torch.zeros(2, 5, dtype=torch.int64), torch.tensor(lengths))


@pytest.mark.parametrize(
    ("n_classes", "labels", "message"),
    [(1, None, "ao menos 2"), (3, ("a", "b"), "3 nomes"), (2, ("a", "a"), "nomes diferentes")],
)
def test_classes_impossiveis_sao_recusadas(n_classes, labels, message) -> None:
    with pytest.raises(ValueError, match=message):
        GPTClassifier(tiny_gpt(), n_classes, labels)


def test_sem_nomes_as_classes_sao_numeros() -> None:
    assert GPTClassifier(tiny_gpt(), 3).labels == ("0", "1", "2")


def test_o_ruido_poupa_as_pontas_e_o_enchimento_e_troca_a_fracao_pedida() -> None:
    ids, lengths = torch.full((400, 12), 999), torch.tensor([12, 5, 2, 1] * 100)
    noisy = add_token_noise(ids, lengths, 0.25, 250)
    positions = torch.arange(12)
    inside = (positions > 0) & (positions < lengths[:, None] - 1)
    assert (noisy[~inside] == 999).all() and noisy[inside].ne(999).float().mean() == pytest.approx(
        0.25, abs=0.05
    )
    assert torch.equal(add_token_noise(ids, lengths, 0.0, 250), ids)


def test_o_ruido_so_entra_no_treino() -> None:
    batch = collate_classification([dataset()[n] for n in range(5)])
    clean = classification_loss(MODEL, batch)
    assert torch.equal(classification_loss(MODEL, batch, token_noise=0.9), clean)
    model = tiny().train()
    assert not torch.allclose(classification_loss(model, batch, token_noise=0.9), clean, atol=1e-3)
    with pytest.raises(ValueError, match="token_noise=1"):
        finetune_classifier(model, dataset(), token_noise=1, progress=False)


def test_a_perda_e_a_entropia_cruzada_a_mao() -> None:
    batch = collate_classification([dataset()[n] for n in range(5)])
    probs = MODEL(*batch[:2]).softmax(-1)
    expected = -probs[torch.arange(5), batch[2]].log().mean()
    assert torch.allclose(classification_loss(MODEL, batch), expected, atol=1e-6)


# --- congelar e treinar ---


@pytest.mark.parametrize("blocks", [0, 1, 2, 3, None])
def test_so_muda_o_que_treina(blocks) -> None:
    model = tiny(tie_weights=True)
    before = {name: p.clone() for name, p in model.named_parameters()}
    config = TrainConfig(epochs=2, learning_rate=1e-2, weight_decay=0.0)
    finetune_classifier(
        model, dataset(), config=config, batch_size=2, trainable_blocks=blocks, progress=False
    )
    changed = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    open_parts = (
        {"head", "norm"} if blocks is not None else {"head", "norm", "token_embedding", "position_embedding"}
    )
    open_blocks = set(range(3)) if blocks is None else set(range(3 - blocks, 3))
    for name, parameter in model.named_parameters():
        parts = name.split(".")
        trains = int(parts[2]) in open_blocks if parts[1] == "blocks" else parts[1] in open_parts
        assert parameter.requires_grad == trains and (name in changed) == trains, name
    assert not model.training


@pytest.mark.parametrize("blocks", [-1, 4])
def test_congelar_o_que_nao_existe_e_recusado(blocks) -> None:
    with pytest.raises(ValueError, match="use de 0 a 3"):
        set_trainable(tiny(), blocks)


def test_o_ajuste_aprende_e_repete_com_a_mesma_semente() -> None:
    def run(seed: int):
        model = GPTClassifier(tiny_gpt(), 2, LABELS)
        config = TrainConfig(epochs=30, learning_rate=1e-2, seed=seed)
        options = dict(batch_size=2, progress=False)
        return model, finetune_classifier(model, dataset(), dataset(), config, **options)

    model, history = run(0)
    assert history.val_loss[-1] < 0.1 < 0.6 < history.step_loss[0]
    assert [p.label for p in predict(model, TOKENIZER, TEXTS)] == NAMES
    assert run(0)[1].step_loss == history.step_loss != run(1)[1].step_loss


def test_o_ajuste_continua_de_um_checkpoint_nos_mesmos_numeros(tmp_path) -> None:
    config = TrainConfig(epochs=4, learning_rate=1e-2, eval_every=2)
    options = dict(batch_size=2, progress=False, token_noise=0.3)

    def run(**more):
        return finetune_classifier(
            GPTClassifier(tiny_gpt(), 2), numbered(), numbered(), config, **options, **more
        )

    def stop(step: int, model) -> None:
        if step == 6:
            raise KeyboardInterrupt

    path = tmp_path / "treino.safetensors"
    with pytest.raises(KeyboardInterrupt):
        run(checkpoint=path, on_eval=stop)
    assert run(checkpoint=path, resume=True).step_loss == run().step_loss


def numbered() -> ClassificationDataset:
    return ClassificationDataset(TEXTS, ["1", "0", "0", "1", "0"], ("0", "1"), TOKENIZER, 24)


# --- medidas ---

labels_lists = st.integers(2, 4).flatmap(
    lambda k: st.lists(st.tuples(st.integers(0, k - 1), st.integers(0, k - 1)), min_size=1, max_size=40).map(
        lambda pairs: (k, pairs)
    )
)


@given(labels_lists)
@settings(max_examples=80, deadline=None)
def test_as_medidas_sao_as_do_scikit_learn(case) -> None:
    k, pairs = case
    names = [f"c{n}" for n in range(k)]
    truth, guess = [names[a] for a, _ in pairs], [names[b] for _, b in pairs]
    report = classification_report(truth, guess, names)
    precision, recall, f1, support = precision_recall_fscore_support(
        truth, guess, labels=names, zero_division=0
    )
    assert (report.confusion == confusion_matrix(truth, guess, labels=names)).all()
    assert np.allclose(report.precision, precision) and np.allclose(report.recall, recall)
    assert np.allclose(report.f1, f1) and (report.support == support).all()
    assert report.accuracy == pytest.approx(accuracy_score(truth, guess))
    assert report.macro_f1 == pytest.approx(f1.mean())


def test_o_relatorio_impresso_traz_os_nomes_e_os_numeros() -> None:
    text = str(classification_report(["ham", "ham", "spam"], ["ham", "spam", "spam"], LABELS))
    assert "acurácia 0,667" in text and "ham          1,000      0,500  0,667       2" in text


@pytest.mark.parametrize(
    ("truth", "guess", "message"),
    [
        (["ham"], [], "1 verdadeiros e 0 previstos"),
        ([], [], "nenhum rótulo verdadeiro"),
        (["ham"], ["phishing"], r"desconhecidos: \['phishing'\]"),
    ],
)
def test_o_relatorio_recusa_o_que_nao_casa(truth, guess, message) -> None:
    with pytest.raises(ValueError, match=message):
        classification_report(truth, guess, LABELS)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=50), st.integers(1, 12))
def test_a_calibracao_reparte_todas_as_previsoes(pairs, n_bins) -> None:
    confidence, correct = zip(*pairs, strict=True)
    table = calibration_table(confidence, correct, n_bins)
    assert sum(n for _, _, n in table) == len(pairs) and len(table) <= n_bins
    assert sum(hits * n for _, hits, n in table) == pytest.approx(sum(correct))
    assert sum(mean * n for mean, _, n in table) == pytest.approx(sum(confidence))


def test_a_calibracao_recusa_o_que_nao_e_probabilidade() -> None:
    for confidence, correct in (([1.2], [True]), ([float("nan")], [True]), ([0.5, 0.5], [True])):
        with pytest.raises(ValueError, match="de 0 a 1"):
            calibration_table(confidence, correct)
    with pytest.raises(ValueError, match="n_bins=0"):
        calibration_table([0.5], [True], n_bins=0)


# --- prever ---


def test_predict_devolve_na_ordem_e_nao_depende_do_lote() -> None:
    texts = [TEXTS[n % 5] * (n % 3 + 1) for n in range(11)]
    probs = class_probabilities(MODEL, TOKENIZER, texts, batch_size=4)
    assert torch.allclose(probs, class_probabilities(MODEL, TOKENIZER, texts, batch_size=1), atol=1e-5)
    assert torch.allclose(probs.sum(-1), torch.ones(11))
    for prediction, row in zip(predict(MODEL, TOKENIZER, texts), probs, strict=True):
        assert prediction.label == LABELS[int(row.argmax())]
        assert prediction.probability == pytest.approx(float(row.max()), abs=1e-5)


def test_predict_vale_para_o_vazio_o_longo_e_o_emoji() -> None:
    for text in ("", "   ", "🎁🚀👩🏽‍🚀", "pague o prêmio já " * 5000, "\n" * 300):
        ids = torch.tensor([encode_framed(TOKENIZER, text, MODEL.gpt.config.context_length)])
        with torch.no_grad():
            alone = MODEL(ids, torch.tensor([ids.shape[1]])).softmax(-1)[0]
        (prediction,) = predict(MODEL, TOKENIZER, [text])
        assert prediction.label == LABELS[int(alone.argmax())]
        assert prediction.probability == pytest.approx(float(alone.max()), abs=1e-5)
    long = "pague o prêmio já " * 50
    assert predict(MODEL, TOKENIZER, [long]) == predict(MODEL, TOKENIZER, [long + "e o pão"])
    assert predict(MODEL, TOKENIZER, []) == []
    assert predict(MODEL, TOKENIZER, (text for text in TEXTS)) == predict(MODEL, TOKENIZER, TEXTS)
    with pytest.raises(ValueError, match="batch_size"):
        class_probabilities(MODEL, TOKENIZER, TEXTS, batch_size=0)


def test_predict_recusa_o_que_nao_e_lista_de_textos() -> None:
    with pytest.raises(TypeError, match="lista de textos"):
        predict(MODEL, TOKENIZER, "pague já")
    with pytest.raises(TypeError, match="lista de textos, e veio None"):
        predict(MODEL, TOKENIZER, None)
    for wrong, value in ((["pão", None], "None"), (["pão", float("nan")], "nan"), (["pão", 3], "3")):
        with pytest.raises(TypeError, match=rf"texto 1: .* veio {value}.*troque-a por"):
            predict(MODEL, TOKENIZER, wrong)
        with pytest.raises(TypeError, match=rf"texto 1: .* veio {value}"):
            dataset(wrong, ["ham", "spam"])


def test_predict_desliga_o_dropout_e_devolve_o_modo() -> None:
    model = GPTClassifier(tiny_gpt(dropout=0.5), 2).train()
    assert predict(model, TOKENIZER, TEXTS) == predict(model, TOKENIZER, TEXTS) and model.training


def test_o_lora_ajusta_as_matrizes_num_posto_so_e_o_resto_do_corpo_fica() -> None:
    model = GPTClassifier(tiny_gpt(), 2, LABELS)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    config = TrainConfig(epochs=2, learning_rate=0.05)
    finetune_classifier(model, dataset(), config=config, lora_rank=1, progress=False)
    after = model.state_dict()
    assert sorted(after) == sorted(before)
    for name, tensor in after.items():
        change = tensor - before[name]
        if ".blocks." in name and name.endswith("weight") and tensor.dim() == 2:
            assert int(torch.linalg.matrix_rank(change, rtol=1e-4)) == 1, name
        elif "head" not in name and not name.startswith("gpt.norm"):
            assert not change.any(), name
    assert not torch.equal(after["gpt.head.weight"], before["gpt.head.weight"])


@pytest.mark.parametrize("options", [{"lora_rank": -1}, {"lora_rank": 2, "trainable_blocks": 1}])
def test_posto_e_blocos_sao_um_de_cada_vez(options) -> None:
    with pytest.raises(ValueError, match="um dos dois de cada vez"):
        finetune_classifier(tiny(), dataset(), progress=False, **options)


def test_as_classes_dos_dados_sao_as_do_modelo_na_mesma_ordem() -> None:
    data = ClassificationDataset(TEXTS, ["1", "0", "0", "1", "0"], ("1", "0"), TOKENIZER, 24)
    for train_data, val_data in ((data, None), (numbered(), data)):
        with pytest.raises(ValueError, match="use a mesma ordem"):
            finetune_classifier(GPTClassifier(tiny_gpt(), 2), train_data, val_data)
    for wrong in (lambda: ClassificationDataset(["a"], ["x"], ("x", "x"), TOKENIZER, 24),
                  lambda: classification_report(["x"], ["x"], ("x", "x"))):  # fmt: skip
        with pytest.raises(ValueError, match="nome repetido"):
            wrong()


def test_o_corpo_de_um_classificador_serve_a_outro() -> None:
    other = GPTClassifier(MODEL.gpt, 3)
    ids = torch.tensor([[1, 2, 3]])
    assert torch.equal(other.eval().gpt.features(ids), MODEL.eval().gpt.features(ids))
    assert other.gpt.head.out_features == 3


# --- guardar e ler ---


def test_guardar_e_ler_da_o_mesmo_modelo(tmp_path) -> None:
    save_classifier(MODEL, TOKENIZER, tmp_path / "m")
    model, tokenizer = load_classifier(tmp_path / "m")
    assert model.labels == LABELS and not model.training and model.gpt.config == MODEL.gpt.config
    assert predict(model, tokenizer, TEXTS) == predict(MODEL, TOKENIZER, TEXTS)


def test_guardar_um_classificador_compilado_da_a_mesma_pasta(tmp_path) -> None:
    save_classifier(torch.compile(MODEL), TOKENIZER, tmp_path / "c")
    save_classifier(MODEL, TOKENIZER, tmp_path / "m")
    assert len({(tmp_path / n / "model.safetensors").read_bytes() for n in "cm"}) == 1


def test_um_tokenizer_maior_que_o_modelo_e_recusado_ao_ler(tmp_path) -> None:
    save_classifier(MODEL, TOKENIZER, tmp_path)
    BPETokenizer.train("o pão da padaria e o prêmio da loteria, pague já", 290).save(
        tmp_path / "tokenizer.json"
    )
    with pytest.raises(ValueError, match="não são par"):
        load_classifier(tmp_path)


def test_um_classificador_nao_e_um_modelo_de_linguagem_nem_o_contrario(tmp_path) -> None:
    save_classifier(MODEL, TOKENIZER, tmp_path / "c")
    with pytest.raises(ValueError, match="use load_classifier"):
        load_pretrained(tmp_path / "c")
    save_pretrained(tiny_gpt(), TOKENIZER, tmp_path / "g")
    with pytest.raises(ValueError, match="use load_pretrained"):
        load_classifier(tmp_path / "g")
    with pytest.raises(FileNotFoundError, match="spam-mini"):
        load_classifier("nao-existe")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["ham"], "ao menos 2"),
        (["ham", "ham"], "nomes diferentes"),
        ("ham", "lista de nomes"),
        ([1, 2], "lista de nomes"),
        (["ham", "spam", "outro"], "os pesos não são os do modelo"),
    ],
)
def test_rotulos_estragados_na_pasta_sao_recusados(tmp_path, labels, message) -> None:
    save_classifier(MODEL, TOKENIZER, tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | {"labels": labels}), "utf-8")
    with pytest.raises(ValueError, match=message):
        load_classifier(tmp_path)
