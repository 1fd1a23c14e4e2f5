"""`data/fazer/conversa`: o treino dos modelos do Seu Gota e as medidas."""

from __future__ import annotations

import random
import signal
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from data.fazer.conversa import mede, treina
from data.fazer.conversa.banco import Bank
from data.fazer.conversa.historias import compose_story, family_split, nome_inventado
from data.fazer.conversa.muon import Muon
from data.fazer.conversa.provas import Probe, evaluation_sets
from homellm.model import GPTConfig
from homellm.plots import br
from homellm.weights import load_pretrained


@pytest.fixture
def pequeno(monkeypatch):
    """A receita inteira, em miniatura: uns segundos."""
    sizes = GPTConfig(vocab_size=700, context_length=512, emb_dim=16, n_heads=2, n_layers=1)
    monkeypatch.setattr(treina, "SIZES", sizes)
    monkeypatch.setattr(treina, "STORIES", 40)
    monkeypatch.setattr(treina, "DIALOGUES", 40)
    curto = replace(treina.STORY_TRAINING, precision="fp32", warmup_steps=1, eval_every=2, eval_batches=1)
    monkeypatch.setattr(treina, "STORY_TRAINING", replace(curto, max_steps=4))
    monkeypatch.setattr(treina, "FIRST_TRAINING", replace(curto, max_steps=2))
    monkeypatch.setattr(treina, "QUESTION_TRAINING", replace(curto, max_steps=2))
    monkeypatch.setattr(treina, "CHAT_TRAINING", replace(curto, max_steps=3))
    monkeypatch.setattr(treina, "TOPIC_ROWS", {"perguntas": 20, "conversas": 10, "licoes": 10})
    monkeypatch.setattr(treina, "TOPIC_TRAINING", replace(curto, max_steps=3))
    total = treina.stories
    monkeypatch.setattr(treina, "stories", lambda n, *a, **k: total(min(n, 40), *a, **k))
    conversas = treina.conversations
    monkeypatch.setattr(treina, "conversations", lambda n, *a, **k: conversas(min(n, 40), *a, **k))


def test_as_duas_receitas_dao_modelos(pequeno, tmp_path, capsys):
    treina.main(["historias-mini", "--saida", str(tmp_path / "h")])
    treina.main(["conversa-mini", "--saida", str(tmp_path / "c")])
    modelo, tokenizer = load_pretrained(tmp_path / "c" / "modelo")
    assert modelo.config.vocab_size == tokenizer.vocab_size == 700
    assert {p.dtype for p in modelo.parameters()} == {torch.float32}
    assert "nats por token" in capsys.readouterr().out
    notas, registro = mede.measure_chat(modelo, tokenizer, "validation", most=1)
    assert notas["contas"]["de"] == 1 and notas["contas"]["acerto"] == 0.0
    assert len(registro) == len(evaluation_sets("validation"))


def test_o_treino_interrompido_continua(pequeno, tmp_path, monkeypatch):
    inteiro = treina.train_stories(tmp_path / "inteiro")
    medir = treina.generate_text

    def interrompe(*args, **options):
        if not (tmp_path / "ja").exists():
            (tmp_path / "ja").touch()
            signal.raise_signal(signal.SIGINT)
        return medir(*args, **options)

    monkeypatch.setattr(treina, "generate_text", interrompe)
    parte = treina.train_stories(tmp_path / "partes")
    assert parte.interrupted and not (tmp_path / "partes" / "modelo").exists()
    fim = treina.train_stories(tmp_path / "partes")
    assert fim.step_loss == inteiro.step_loss


def test_as_historias_de_cada_split_sao_sempre_as_mesmas_e_diferentes():
    listas = {s: list(treina.stories(5, s)) for s in ("train", "validation", "test")}
    assert listas["train"] == list(treina.stories(5))
    assert len({t for lista in listas.values() for t in lista}) == 15
    vistas = list(treina.stories(5, "validation", unseen=False))
    assert not set(vistas) & set(listas["validation"])


def test_o_elenco_das_historias_do_gerador_se_guarda():
    guardadas = [mede.keeps_the_cast(t) for t in treina.stories(200, "validation")]
    assert sum(guardadas) / 200 > 0.93  # um enredo deixa o primeiro sem volta


@pytest.mark.parametrize(
    ("historia", "guarda"),
    [
        ("Um gato chamado Bino viu a lua. Bino miou.", True),
        ("Um gato chamado Bino viu a lua. O gato miou.", True),
        ("Um gato chamado Bino viu a lua. E choveu.", False),  # sumiu
        ("Um gato chamado Bino viu a lua. Bino chamou Lia.", False),  # quem é Lia?
        ("Um gato chamado Bino viu a lua. O sapo Bino miou.", False),  # virou sapo
        ("Um gato chamado Bino viu a lua. Bino chamou Zortrac.", False),  # não é nome
        ("Um gato chamado Vutipo viu a lua. E Vutipo miou.", True),  # inventado
        ("Choveu o dia todo.", False),  # ninguém
    ],
)
def test_guardar_o_elenco_a_mao(historia, guarda):
    assert mede.keeps_the_cast(historia) is guarda


def test_a_copia_conta_sequencias_de_doze_palavras(monkeypatch):
    frase = "um dois três quatro cinco seis sete oito nove dez onze doze treze"
    monkeypatch.setattr(mede, "stories", lambda count: iter([frase]))
    vistas = mede.Seen(1)
    assert vistas.copied([frase]) == 1.0
    assert vistas.copied([frase.replace("treze", "catorze")]) == 0.5
    assert vistas.copied(["frase curta"]) == 0.0


def test_a_resposta_vem_depois_do_que_se_disse_e_sem_a_marca(pequeno, tmp_path):
    treina.train_stories(tmp_path)
    modelo, tokenizer = load_pretrained(tmp_path / "modelo")
    provas = [Probe("nome", "quem sou?", "x", "contem", (), (("sou a Lia", "Prazer!"),)) for _ in range(2)]
    uma, outra = mede.answers(modelo, tokenizer, provas)
    assert uma == outra and "<|" not in uma


def test_o_vizinho_mais_parecido_acerta_mais_que_o_acaso():
    notas = mede.nearest("validation")
    assert 0.5 < notas["fatos"]["acerto"] < 1


def test_a_primeira_frase_abre_a_historia():
    texto = compose_story(random.Random(0)).text
    assert texto.startswith(mede.opening_of(texto)) and len(mede.opening_of(texto)) < len(texto)


def test_as_falhas_tiram_palavras_so_onde_nada_se_perde():
    inteiras = list(treina.dialogues(treina.SEEDS["train"], 300))
    com_falhas = treina.conversations(300)
    trocadas = 0
    for conversa, linha in zip(inteiras, com_falhas, strict=True):
        for turno, (fala, resposta) in zip(conversa.turns, linha.turnos, strict=True):
            assert resposta == turno.assistant
            if fala != turno.user:
                trocadas += 1
                assert not turno.slots and not turno.expected
                tiradas = Counter(turno.user.split(" ")) - Counter(fala.split(" "))
                assert tiradas.total() and {t.lower() for t in tiradas} <= treina.SMALL
    assert trocadas > 30


def test_fora_do_treino_nao_ha_falhas():
    inteiras = treina.dialogues(treina.SEEDS["test"], 20, "test")
    falas = [[t.user for t in d.turns] for d in inteiras]
    assert [[f for f, _ in d.turnos] for d in treina.conversations(20, "test")] == falas


@pytest.mark.parametrize("forma", [(6, 6), (24, 6), (6, 24)])
def test_o_muon_da_o_passo_do_pytorch(forma):
    torch.manual_seed(0)
    nosso = torch.nn.Linear(forma[1], forma[0], bias=False)
    deles = torch.nn.Parameter(nosso.weight.detach().clone())
    oraculo = torch.optim.Muon([deles], lr=0.02, weight_decay=0.1, adjust_lr_fn="original")
    otimizador = Muon(nosso, lr=0.02, weight_decay=0.1)
    for _ in range(4):
        nosso.weight.grad = torch.randn(forma)
        deles.grad = nosso.weight.grad.clone()
        otimizador.step()
        oraculo.step()
    torch.testing.assert_close(nosso.weight, deles, rtol=0, atol=2e-3)


def test_fora_das_matrizes_o_muon_e_o_adam():
    torch.manual_seed(0)
    nosso = torch.nn.Embedding(5, 3)
    deles = torch.nn.Parameter(nosso.weight.detach().clone())
    oraculo = torch.optim.Adam([deles], lr=0.01, betas=(0.9, 0.98))
    otimizador = Muon(nosso, lr=0.02)
    for _ in range(4):
        nosso.weight.grad = torch.randn(5, 3)
        deles.grad = nosso.weight.grad.clone()
        otimizador.step()
        oraculo.step()
    torch.testing.assert_close(nosso.weight, deles)


def test_o_nome_inventado_e_so_do_treino():
    nomes = [nome_inventado(random.Random(n), "fm"[n % 2]) for n in range(300)]
    assert len(set(nomes)) > 150
    assert {family_split("nome", n) for n in nomes} == {"train"}


def test_o_capitulo_7_diz_os_numeros_desta_receita():
    pagina = (Path(__file__).parents[2] / "book/07-instrucoes.md").read_text("utf-8")
    banco = Bank.load()
    pedidos = sum(len(banco.asks(i, s)) for i in banco.intents for s in ("train", "validation", "test"))
    assert f"{treina.STORIES // 1000} mil histórias de bichos" in pagina
    licoes, perguntas, conversas = (n // 1000 for n in (treina.LESSONS, treina.QUESTIONS, treina.DIALOGUES))
    assert f"{licoes} mil conversas curtas, lidas duas vezes" in pagina
    assert treina.FIRST_TRAINING.epochs == 2
    assert treina.CHAT_TRAINING.epochs == 1
    passos = br(treina.QUESTION_TRAINING.max_steps)
    assert f"{passos} passos de perguntas soltas, de tudo, sorteadas entre {perguntas} mil" in pagina
    assert f"Em seguida, {conversas} mil conversas, uma vez" in pagina
    ultimos = br(treina.TOPIC_TRAINING.max_steps)
    assert f"Por fim, {ultimos} passos de tudo isso misturado" in pagina
    assert f"com peso {br(treina.TOPIC_WEIGHT)}" in pagina and treina.TOPIC_BLOCK == 3
    assert treina.OPENING == 3 and treina.OPENING_WEIGHT == 4
    lido = f"{licoes} mil lições curtas, {passos} passos de perguntas soltas, {conversas} mil conversas"
    assert f"| {lido}; {ultimos} passos de tudo |" in pagina
    assert f"18 intenções, {len(banco.intents)}; em vez de 270 pedidos, {pedidos // 1000} mil" in pagina
    assert f"passos de {treina.BATCH // 1000}.{treina.BATCH % 1000:03} tokens" in pagina


def lote_de_assuntos(tokenizer, quantas=6):
    nomes = treina.topic_names()
    cada = dict.fromkeys(treina.TOPIC_ROWS, quantas)
    itens = list(treina.topic_items("train", tokenizer, nomes, cada))
    return nomes, itens


def test_o_assunto_esta_na_posicao_que_abre_a_resposta():
    _, tokenizer = load_pretrained("conversa-mini")
    nomes, itens = lote_de_assuntos(tokenizer)
    de_volta = {numero: nome for nome, numero in nomes.items()}
    (marca,) = {int(i) for ids, _, assuntos in itens for i in ids[assuntos >= 0]}
    assert tokenizer.decode([marca]) == "<|assistente|>"
    assert all(((ids == marca) == (assuntos >= 0)).all() for ids, _, assuntos in itens)
    ditos = {de_volta[int(a)] for _, _, assuntos in itens for a in assuntos[assuntos >= 0]}
    assert len(ditos) > 5 and ditos <= {*Bank.load().intents, "historia", "contar-historia"}


def test_a_perda_do_assunto_pesa_o_comeco_e_some_na_avaliacao():
    _, tokenizer = load_pretrained("conversa-mini")
    nomes, itens = lote_de_assuntos(tokenizer, 2)
    lote = treina.collate_topics(itens)
    ids, assuntos, alvos = lote
    torch.manual_seed(0)
    modelo = treina.TopicModel(treina.GPT(replace(treina.SIZES, n_layers=4)), len(nomes))
    logits, palpites = modelo(ids)
    assert palpites.shape == (*ids.shape, len(nomes))
    pesos = torch.zeros(alvos.shape)
    for linha, alvo in enumerate(alvos.tolist()):
        desde = 0
        for lugar, conta in enumerate(a != -100 for a in alvo):
            desde = desde + 1 if conta else 0
            pesos[linha, lugar] = 0 if not conta else 4 if desde <= 3 else 1
    uma_a_uma = torch.nn.functional.cross_entropy(logits.mT, alvos, reduction="none")
    assunto = torch.nn.functional.cross_entropy(palpites.mT, assuntos)
    certa = (uma_a_uma * pesos).sum() / pesos.sum() + 0.5 * assunto
    assert torch.allclose(treina.topic_loss(modelo, lote), certa, atol=1e-4)
    modelo.eval()
    so_a_resposta = torch.nn.functional.cross_entropy(modelo(ids)[0].mT, alvos)
    assert torch.allclose(treina.topic_loss(modelo, lote), so_a_resposta, atol=1e-4)
