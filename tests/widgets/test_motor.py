"""O motor da página diz o que o pacote diz: os mesmos ids, logits, sorteios, classes e respostas."""

from __future__ import annotations

import itertools
import json
import random
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ferramentas.livro import RAIZ
from homellm.classification import GPTClassifier, class_probabilities, load_classifier
from homellm.generation import generate, known_ids, next_token_probs, penalize_repetition
from homellm.instruction import Chat, encode_conversation, fit_turns
from homellm.model import GPT, GPTConfig, eval_mode
from homellm.tokenizer import END, BPETokenizer, encode_text, end_id
from homellm.web import describe_tokenizer, pack_model, with_quantized_weights
from homellm.weights import load_pretrained
from no_node import ErroDoMotor, Motor

pytestmark = pytest.mark.usefixtures("one_thread")
TOKENIZERS = ("contos-mini", "conversa-mini", "letras-mini", "gpt2")


@pytest.fixture(scope="module")
def motor() -> Iterator[Motor]:
    aberto = Motor()
    yield aberto
    aberto.fecha()


def do_pacote(nome: str) -> BPETokenizer:
    if nome == "gpt2":
        return BPETokenizer.from_tiktoken("gpt2")
    return BPETokenizer.load(RAIZ / f"data/modelos/{nome}/tokenizer.json")


def abre(motor: Motor, modelo, tokenizer: BPETokenizer, pasta: Path):
    """Empacota e abre no motor; devolve o modelo do pacote com os mesmos pesos quantizados."""
    arquivo = pasta / "modelo.bin"
    arquivo.write_bytes(pack_model(modelo, tokenizer))
    motor.abre(arquivo)
    return with_quantized_weights(modelo).eval()


def brinquedo(**tamanhos) -> GPT:
    """Um GPT sem treino, com pesos grandes o bastante para que os logits difiram."""
    torch.manual_seed(0)
    modelo = GPT(GPTConfig(**tamanhos))
    for parametro in modelo.parameters():
        torch.nn.init.normal_(parametro, std=0.3)
    return modelo.eval()


# ---------------------------------------------------------------- o tokenizer


@pytest.fixture(scope="module", params=TOKENIZERS)  # três têm o pré-corte do livro
def tokenizer(request, motor) -> BPETokenizer:
    escolhido = do_pacote(request.param)
    motor.pede("tokenizer", describe_tokenizer(escolhido))
    return escolhido


def confere_ids(motor: Motor, tokenizer: BPETokenizer, textos: list[str]) -> int:
    esperados = [tokenizer.encode(texto) for texto in textos]
    for texto, esperado, veio in zip(textos, esperados, motor.pede("ids", textos), strict=True):
        assert veio == esperado, repr(texto)
    assert motor.pede("texts", esperados) == textos
    return len(textos)


def test_os_ids_de_todo_caractere_do_unicode(motor, tokenizer):
    """Cada caractere entre vizinhos que mudam o corte: mais de dez mil textos."""
    planos = itertools.chain(range(0xD800), range(0xE000, 0x33500), range(0xE0000, 0xE0200), (0x10FFFF,))
    todos = [chr(c) for c in planos]
    vizinhos = itertools.cycle(("{}", "{0}a{0}", " {}1", "{}\n", "'{}!", "\t{}"))
    textos = [
        "".join(next(vizinhos).format(c) for c in todos[start : start + 20])
        for start in range(0, len(todos), 20)
    ]
    assert confere_ids(motor, tokenizer, textos) > 10_000


def test_os_ids_dos_arquivos_de_dados(motor, tokenizer):
    arquivos = sorted(p for p in (RAIZ / "data").iterdir() if p.suffix in (".txt", ".jsonl", ".tsv", ".md"))
    textos = [linha for p in arquivos for linha in p.read_text("utf-8").split("\n")[:900]]
    inteiros = [p.read_text("utf-8")[:20_000] for p in arquivos]
    assert confere_ids(motor, tokenizer, textos + inteiros) > 5_000


@given(st.lists(st.text(max_size=30), min_size=10, max_size=30))
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
def test_os_ids_de_textos_sorteados_em_todo_o_unicode(motor, tokenizer, textos):
    confere_ids(motor, tokenizer, textos)


@given(
    st.lists(
        st.text("aáA1\u0301 \u00a0\u0085\ufeff\n\r\t'’-—.!🍎\u200d", max_size=90), min_size=10, max_size=30
    )
)
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
def test_os_ids_de_textos_feitos_de_fronteiras(motor, tokenizer, textos):
    confere_ids(motor, tokenizer, textos)


@pytest.mark.parametrize(
    "pedaco", ["a", "é", "palavra ", " ", "\n", "🍎", "\u0301", "xyzw", "\x00", "1", "—"]
)
def test_os_ids_de_cem_mil_letras(motor, tokenizer, pedaco):
    confere_ids(motor, tokenizer, [(pedaco * 100_000)[:100_000]])


@given(st.lists(st.lists(st.integers(0, 259), max_size=12), min_size=5, max_size=20))
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
def test_decodifica_bytes_que_nao_sao_utf8_como_o_pacote(motor, tokenizer, listas):
    assert motor.pede("texts", listas) == [tokenizer.decode(ids) for ids in listas]


def test_o_texto_que_o_modelo_le_vai_em_nfc(motor, tokenizer):
    """Menos o que só uma das duas versões de Unicode conhece."""
    conhecidos = [c for c in map(chr, range(0x110000)) if unicodedata.category(c) not in ("Cn", "Cs", "Co")]
    rng = random.Random(0)
    textos = ["".join(rng.choices(conhecidos, k=20)) for _ in range(2000)]
    textos += [unicodedata.normalize("NFD", texto) for texto in textos]
    textos.append("corac\u0327a\u0303o")
    assert motor.pede("idsNFC", textos) == [encode_text(tokenizer, texto) for texto in textos]


def test_surrogate_solto_e_recusado(motor, tokenizer):
    for texto in ("a\ud83c", "\udf4e", "ab\ud83cé"):
        with pytest.raises(ErroDoMotor, match="metade de um caractere na posição"):
            motor.pede("ids", [texto])
        with pytest.raises(ValueError, match="surrogate"):
            tokenizer.encode(texto)


def test_ids_fora_de_ordem(motor):
    """Um vocabulário cujos ids não seguem as fusões, como o do gpt2-small-portuguese."""
    base = do_pacote("contos-mini")
    numeros = list(range(len(base.tokens)))
    random.Random(1).shuffle(numeros)
    outro = BPETokenizer(dict(zip(base.tokens, numeros, strict=True)), base.special_tokens)
    motor.pede("tokenizer", describe_tokenizer(outro))
    confere_ids(motor, outro, ["Era uma vez um menino que morava", "12 pães"])


# ---------------------------------------------------------------- os logits

TAMANHOS = [
    dict(vocab_size=4096, context_length=256, emb_dim=160, n_heads=5, n_layers=6),
    dict(vocab_size=261, context_length=9, emb_dim=15, n_heads=3, n_layers=2, tie_weights=False),
    dict(vocab_size=263, context_length=5, emb_dim=6, n_heads=1, n_layers=1, qkv_bias=False),
    dict(vocab_size=258, context_length=1, emb_dim=2, n_heads=2, n_layers=3, tie_weights=False),
]  # fmt: skip


def letras() -> BPETokenizer:
    return BPETokenizer({bytes([b]): b for b in range(256)}, {END: 256})


@pytest.mark.parametrize("tamanhos", TAMANHOS, ids=lambda t: f"C{t['emb_dim']}")
def test_logits_com_e_sem_cache(motor, tmp_path, tamanhos):
    quantizado = abre(motor, brinquedo(**tamanhos), letras(), tmp_path)
    limite = tamanhos["context_length"]
    for n in sorted({1, 2, 3, limite // 2, limite - 1, limite} & set(range(1, limite + 1))):
        ids = torch.randint(tamanhos["vocab_size"], (n,), generator=torch.Generator().manual_seed(n)).tolist()
        with torch.no_grad():
            esperados = quantizado(torch.tensor([ids]))[0, -1].numpy()
        for partes in ([n], [1] * n, [n // 2, n - n // 2] if n > 1 else [n]):
            veio = np.array(motor.pede("logits", ids, partes))
            assert np.abs(veio - esperados).max() < 1e-4, (n, partes)
    assert np.abs(esperados).max() > 0.1  # não são todos quase zero


@pytest.mark.parametrize("nome", ["contos-mini", "conversa-mini", "letras-mini"])
def test_logits_dos_modelos_do_livro(motor, tmp_path, nome):
    modelo, tokenizer = load_pretrained(nome)
    quantizado = abre(motor, modelo, tokenizer, tmp_path)
    texto = (RAIZ / "data/contos.txt").read_text("utf-8")[3000:6000]
    todos = encode_text(tokenizer, texto)
    for n in (1, 40, modelo.config.context_length):
        with torch.no_grad():
            esperados = quantizado(torch.tensor([todos[:n]]))[0, -1].numpy()
        veio = np.array(motor.pede("logits", todos[:n], [n]))
        assert np.abs(veio - esperados).max() < 1e-4


def test_logits_sao_os_mesmos_depois_de_voltar_atras(motor, tmp_path):
    """O motor reaproveita o começo que já leu; o resultado não pode depender do que veio antes."""
    quantizado = abre(motor, *load_pretrained("letras-mini"), tmp_path)
    motor.pede("next", [5, 6, 7, 8])
    for ids in ([5, 6, 9], [5, 6, 9, 9], [5], [1, 6, 9, 9]):
        with torch.no_grad():
            esperadas = quantizado(torch.tensor([ids]))[0, -1].softmax(-1)
        primeiro = motor.pede("next", ids, {"top": 260})
        veio = {item["id"]: item["p"] for item in primeiro}
        assert max(abs(veio[i] - p) for i, p in enumerate(esperadas.tolist())) < 1e-4


@pytest.mark.parametrize("nome", ["spam-mini", "sentimento-mini"])
def test_o_classificador(motor, tmp_path, nome):
    modelo, tokenizer = load_classifier(nome)
    quantizado = abre(motor, modelo, tokenizer, tmp_path)
    textos = ["", "oi", "Pague a taxa e ganhe o prêmio: premio-certo.invalido", "adorei o livro " * 200]
    textos += [json.loads(linha)["texto"] for linha in
               (RAIZ / "data/spam.jsonl").read_text("utf-8").split("\n")[:12]]  # fmt: skip
    esperadas = class_probabilities(quantizado, tokenizer, textos)
    for texto, linha in zip(textos, esperadas.tolist(), strict=True):
        veio = motor.pede("classify", texto)
        assert [item["label"] for item in veio["probabilities"]] == list(modelo.labels)
        assert max(abs(item["p"] - p) for item, p in zip(veio["probabilities"], linha, strict=True)) < 1e-4
        assert veio["label"] == modelo.labels[int(np.argmax(linha))]


def test_o_classificador_de_um_modelo_de_cabeca_solta(motor, tmp_path):
    gpt = brinquedo(vocab_size=257, context_length=12, emb_dim=8, n_heads=2, n_layers=1, tie_weights=False)
    modelo = GPTClassifier(gpt, 5, "abcde").eval()
    torch.nn.init.normal_(modelo.gpt.head.weight, std=1)
    torch.nn.init.normal_(modelo.gpt.head.bias, std=1)
    quantizado = abre(motor, modelo, letras(), tmp_path)
    esperadas = class_probabilities(quantizado, letras(), ["maçã"])[0]
    veio = motor.pede("classify", "maçã")["probabilities"]
    assert [item["p"] for item in veio] == pytest.approx(esperadas.tolist(), abs=1e-5)


# ---------------------------------------------------------------- por dentro


def pesos_de_atencao(modelo: GPT, ids: list[int], causal: bool) -> torch.Tensor:
    """(L, H, n, n), com as contas escritas por extenso."""
    C, H = modelo.config.emb_dim, modelo.config.n_heads
    n, camadas = len(ids), []
    x = modelo.token_embedding.weight[ids] + modelo.position_embedding.weight[:n]
    for bloco in modelo.blocks:
        q, k, v = bloco.attention.qkv(bloco.norm1(x)).view(n, 3, H, C // H).permute(1, 2, 0, 3)
        notas = q @ k.transpose(1, 2) / (C // H) ** 0.5
        if causal:
            notas = notas.masked_fill(~torch.ones(n, n, dtype=torch.bool).tril(), -torch.inf)
        pesos = notas.softmax(-1)
        camadas.append(pesos)
        x = x + bloco.attention.proj((pesos @ v).transpose(0, 1).reshape(n, C))
        x = x + bloco.mlp(bloco.norm2(x))
    return torch.stack(camadas)


@pytest.mark.parametrize("causal", [True, False])
@torch.no_grad()
def test_a_atencao(motor, tmp_path, causal):
    modelo, tokenizer = load_pretrained("contos-mini")
    quantizado = abre(motor, modelo, tokenizer, tmp_path)
    ids = encode_text(tokenizer, "Era uma vez um menino que morava na serra.")
    veio = motor.pede("attention", ids, {"causal": causal})
    assert (veio["n"], veio["layers"], veio["heads"]) == (len(ids), 6, 5)
    esperados = pesos_de_atencao(quantizado, ids, causal)
    vieram = torch.tensor(veio["weights"]).view(6, 5, len(ids), len(ids))
    assert (vieram - esperados).abs().max() < 1e-5


@torch.no_grad()
def test_o_que_se_le_depois_de_cada_bloco(motor, tmp_path):
    modelo, tokenizer = load_pretrained("contos-mini")
    quantizado = abre(motor, modelo, tokenizer, tmp_path)
    ids = encode_text(tokenizer, "Era uma vez um menino")
    x = quantizado.token_embedding.weight[ids] + quantizado.position_embedding.weight[: len(ids)]
    x = x[None]
    etapas = motor.pede("lens", ids, {"top": 5})
    assert [etapa["block"] for etapa in etapas] == list(range(7))
    for etapa, bloco in zip(etapas, [None, *quantizado.blocks], strict=True):
        x = bloco(x) if bloco else x
        probs = quantizado.head(quantizado.norm(x))[0, -1].softmax(-1)
        esperados = probs.topk(5)
        assert etapa["shape"] == [len(ids), 160]
        assert etapa["norm"] == pytest.approx(x[0, -1].norm().item(), rel=1e-5)
        assert [t["id"] for t in etapa["top"]] == esperados.indices.tolist()
        assert [t["p"] for t in etapa["top"]] == pytest.approx(esperados.values.tolist(), abs=1e-5)
    assert etapas[-1]["top"] == motor.pede("next", ids, {"top": 5})


# ---------------------------------------------------------------- os sorteios

OPCOES = [
    dict(temperature=t, top_k=k, top_p=p)
    for t, k, p in itertools.product((0, 0.3, 1.0, 2.5), (None, 1, 7, 10_000), (None, 0.05, 0.9, 1.0))
]


def em_js(opcoes: dict) -> dict:
    nomes = {"top_k": "topK", "top_p": "topP", "repetition_penalty": "repetitionPenalty"}
    return {nomes.get(nome, nome): valor for nome, valor in opcoes.items()}


def sorteia(probs: torch.Tensor, u: float) -> int:
    """O id em que `u` cai na soma acumulada: a referência, em NumPy."""
    soma = probs.numpy().astype(np.float64).cumsum()
    return min(int(np.searchsorted(soma, u, side="right")), int(np.flatnonzero(probs.numpy()).max()))


@pytest.mark.parametrize("opcoes", OPCOES, ids=str)
def test_a_distribuicao_e_os_sorteios(motor, opcoes):
    gerador = torch.Generator().manual_seed(3)
    uniformes = torch.rand(300, generator=gerador, dtype=torch.float64).tolist()
    for tamanho in (1, 2, 50, 4096):
        logits = torch.randn(1, tamanho, generator=gerador) * 4
        logits[0, : tamanho // 10] = -torch.inf
        esperadas = next_token_probs(logits, **opcoes)[0]
        numeros = [None if v == -np.inf else v for v in logits[0].tolist()]
        numeros = [-3e38 if v is None else v for v in numeros]  # o JSON não tem infinito
        veio = motor.pede("probs", numeros, em_js(opcoes))
        assert veio == pytest.approx(esperadas.tolist(), abs=1e-6)
        assert motor.pede("draws", veio, uniformes) == [sorteia(esperadas, u) for u in uniformes]


def test_a_penalidade_de_repeticao(motor):
    logits = torch.randn(1, 200, generator=torch.Generator().manual_seed(0))
    ids = torch.randint(200, (1, 60), generator=torch.Generator().manual_seed(1))
    esperados = penalize_repetition(logits, ids, 1.3)[0].tolist()
    assert motor.pede("penalize", logits[0].tolist(), ids[0].tolist(), 1.3) == pytest.approx(
        esperados, rel=1e-6
    )


def test_os_uniformes_repetem_e_cobrem_o_intervalo(motor):
    numeros = np.array(motor.pede("uniforms", 7, 20_000))
    assert motor.pede("uniforms", 7, 20_000) == numeros.tolist() != motor.pede("uniforms", 8, 20_000)
    assert numeros.min() >= 0 and numeros.max() < 1
    contagem, _ = np.histogram(numeros, 20, (0, 1))
    assert ((contagem - 1000) ** 2 / 1000).sum() < 43.8  # qui-quadrado com 19 graus, a 0,1%
    assert abs(np.corrcoef(numeros[:-1], numeros[1:])[0, 1]) < 0.03


@torch.no_grad()
def gera_no_pacote(
    modelo, tokenizer, ids: list[int], uniformes: list[float], penalidade: float, **opcoes
) -> list[int]:
    """A geração do pacote, com os sorteios dados."""
    todos, limite = list(ids), modelo.config.context_length
    vazios = sorted(set(range(modelo.config.vocab_size)) - set(known_ids(tokenizer)))
    for u in uniformes:
        logits = modelo(torch.tensor([todos[-limite:]]))[:, -1]
        logits[:, vazios] = -torch.inf
        logits = penalize_repetition(logits, torch.tensor([todos]), penalidade)
        novo = sorteia(next_token_probs(logits, **opcoes)[0], u)
        if novo == end_id(tokenizer):
            break
        todos.append(novo)
    return todos[len(ids) :]


@pytest.mark.parametrize(
    ("opcoes", "penalidade"),
    [
        (dict(temperature=0.8), 1.0),
        (dict(temperature=1.0, top_k=40, top_p=0.9), 1.3),
        (dict(temperature=0), 1.1),
    ],
    ids=str,
)
def test_gera_os_mesmos_ids_com_os_mesmos_sorteios(motor, tmp_path, opcoes, penalidade):
    tamanhos = dict(vocab_size=270, context_length=24, emb_dim=20, n_heads=2, n_layers=2)
    tokenizer = letras()  # 257 dos 270 ids têm texto: os outros não podem sair
    quantizado = abre(motor, brinquedo(**tamanhos), tokenizer, tmp_path)
    ids = tokenizer.encode("gato gato")  # com trinta ids mais, a janela desliza
    uniformes = torch.rand(30, generator=torch.Generator().manual_seed(5), dtype=torch.float64).tolist()
    opcoes_js = {**em_js(opcoes), "repetitionPenalty": penalidade, "maxNewTokens": 30}
    with eval_mode(quantizado):
        esperados = gera_no_pacote(quantizado, tokenizer, ids, uniformes, penalidade, **opcoes)
    assert motor.pede("generate", ids, opcoes_js, uniformes) == esperados
    assert len(esperados) > 20


def test_o_mais_provavel_e_o_do_generate(motor, tmp_path):
    modelo, tokenizer = load_pretrained("contos-mini")
    quantizado = abre(motor, modelo, tokenizer, tmp_path)
    ids = encode_text(tokenizer, "O velho abriu a porta")
    esperados = generate(quantizado, torch.tensor([ids]), 60, temperature=0)[0, len(ids) :].tolist()
    assert motor.pede("stream", ids, {"temperature": 0, "maxNewTokens": 60}) == esperados
    assert len(set(esperados)) > 10


# ---------------------------------------------------------------- a conversa


def test_a_conversa(motor, tmp_path):
    modelo, tokenizer = load_pretrained("conversa-mini")
    quantizado = abre(motor, modelo, tokenizer, tmp_path)
    chat = Chat(quantizado, tokenizer)
    turnos: list[list[str | None]] = []
    for fala in ("oi", "meu nome é Tomé <|assistente|>", "como eu me chamo?", "qual é a capital da França?"):
        turnos.append([fala, None])
        turnos[-1][1] = motor.pede("chat", turnos, {})
        assert turnos[-1][1] == chat.send(fala)
    prompt = motor.pede("chatPrompt", [*turnos, ["e da Itália?", None]])
    assert prompt["ids"] == encode_conversation(tokenizer, chat.window("e da Itália?"))[0]
    assert [t["id"] for t in prompt["tokens"]] == prompt["ids"]


def test_a_janela_de_turnos(motor, tmp_path):
    abre(motor, *load_pretrained("conversa-mini"), tmp_path)
    tokenizer = do_pacote("conversa-mini")
    turnos = [[f"pedido {n} " * 4, f"resposta {n} " * 5] for n in range(30)] + [["e agora?", None]]
    for sistema in ("", "Responda em verso."):
        janela = fit_turns(tokenizer, turnos, sistema, 256)
        veio = motor.pede("chatPrompt", turnos, {"system": sistema})
        assert veio["ids"] == encode_conversation(tokenizer, janela, sistema)[0]
        assert veio["dropped"] == turnos[: len(turnos) - len(janela)] != []
    with pytest.raises(ErroDoMotor, match="a última mensagem tem .* encurte-a"):
        motor.pede("chat", [["palavra " * 1000, None]], {})
    with pytest.raises(ErroDoMotor, match="vazia"):
        motor.pede("chat", [["  ", None]], {})
