"""As peças dos capítulos 5, 6 e 7: as contas são as do pacote, e o que se lê na tela é o que elas dizem."""

from __future__ import annotations

import json
import math
import random
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from playwright.sync_api import expect

from contas import WIDGETS, calcula
from ferramentas.livro import RAIZ
from homellm.classification import class_probabilities, encode_framed, load_classifier
from homellm.corpus import Dialogue
from homellm.generation import generate, next_token_probs, penalize_repetition
from homellm.instruction import Chat, InstructionDataset, collate_instructions, encode_conversation
from homellm.model import GPT, GPTConfig
from homellm.optimization import TrainConfig, learning_rate_at
from homellm.plots import br
from homellm.tokenizer import encode_text, end_id
from homellm.web import pack_model, with_quantized_weights
from homellm.weights import load_pretrained

pytestmark = pytest.mark.usefixtures("one_thread")
FILME = json.loads((RAIZ / "widgets/dados/filme.json").read_text("utf-8"))


def do_livro(nome: str) -> tuple[Any, Any]:
    """Um modelo do livro com os pesos que a página tem, e o tokenizer."""
    abre = load_classifier if nome == "spam-mini" else load_pretrained
    modelo, tokenizer = abre(RAIZ / f"data/modelos/{nome}")
    return with_quantized_weights(modelo).eval(), tokenizer


def com_modelo(peca: str, nome: str, pasta: Path, corpo: str, **dados: Any) -> Any:
    """O que `corpo` devolve, com a peça em `p`, os dados em `d` e, do motor, `chat` e o modelo aberto."""
    abre = load_classifier if nome == "spam-mini" else load_pretrained
    arquivo = pasta / f"{nome}.bin"
    arquivo.write_bytes(pack_model(*abre(RAIZ / f"data/modelos/{nome}")))
    conta = f"""await (async () => {{
        const chat = await import("{(WIDGETS / "motor/chat.js").as_uri()}");
        const {{ Model }} = await import("{(WIDGETS / "motor/engine.js").as_uri()}");
        const lido = readFileSync(d.arquivo);
        const modelo = new Model(lido.buffer.slice(lido.byteOffset, lido.byteOffset + lido.length));
        {corpo}
    }})()"""
    return calcula(peca, conta, dados | {"arquivo": str(arquivo)})


# ---------------------------------------------------------------- 05: filme


def test_o_filme_e_de_um_treino_so_com_a_receita_que_se_diz():
    quadros, config = FILME["quadros"], GPTConfig(**FILME["modelo"])
    passos = [q["passo"] for q in quadros]
    total = len(FILME["perda"]) * FILME["de_quantos"]
    assert passos == sorted(set(passos)) and passos[0] == 0 and passos[-1] == total
    assert FILME["parametros"] == GPT(config).num_params()
    assert round(FILME["parametros"] / 1e6) == 1  # “de um milhão de parâmetros”
    receita = TrainConfig(learning_rate=0.02, warmup_steps=100, final_lr=0.02)  # a do historias-mini
    lidas = range(FILME["de_quantos"] - 1, total, FILME["de_quantos"])
    assert FILME["taxa"] == [round(learning_rate_at(n, total, receita), 6) for n in lidas]


def test_as_perdas_do_filme_contam_a_mesma_historia():
    quadros = FILME["quadros"]
    assert quadros[0]["treino"] is None
    assert quadros[0]["validacao"] == pytest.approx(math.log(FILME["modelo"]["vocab_size"]), abs=0.2)
    assert quadros[-1]["validacao"] < 0.1 * quadros[0]["validacao"]
    for antes, quadro in zip(quadros[20:], quadros[21:], strict=False):  # onde cabem vários pontos da curva
        a, b = antes["passo"] // FILME["de_quantos"], quadro["passo"] // FILME["de_quantos"]
        trecho = FILME["perda"][a:b]
        assert quadro["treino"] == pytest.approx(sum(trecho) / len(trecho), abs=0.03)
    for quadro in quadros:
        apostas = [p for _, p in quadro["apostas"]]
        assert apostas == sorted(apostas, reverse=True) and 0 < sum(apostas) <= 1.001
        assert quadro["amostra"].startswith(FILME["abertura"])


def test_o_que_a_pagina_manda_procurar_no_filme_esta_la():
    olhos = [dict(map(tuple, q["apostas"])).get(" olhos", 0) for q in FILME["quadros"]]
    assert FILME["pergunta"].endswith("tanto fazia fechar os")
    assert max(olhos[:5]) < 0.05 and olhos[-1] > 0.9
    certa = next(n for n, p in enumerate(olhos) if p > 0.9)
    assert min(olhos[certa:]) < 0.5  # perde terreno de novo
    amostras = [q["amostra"] for q in FILME["quadros"]]
    assert "\n— " not in amostras[0] and "\n— " in amostras[-1]


def test_o_quadro_mais_perto_de_um_passo():
    passos = [q["passo"] for q in FILME["quadros"]]
    pedidos = [-50, 0, passos[3], passos[3] + 1, passos[-1] + 900]
    assert calcula("filme", "d[1].map((s) => p.nearestFrame(d[0], s))", [FILME["quadros"], pedidos]) == [
        0, 0, 3, 3, len(passos) - 1,
    ]  # fmt: skip


def test_o_filme_se_percorre_pelo_teclado_e_pelo_ponteiro(peca):
    p = peca("filme")
    passo = p.vivo.get_by_label("Passo do treino")
    ultimo = FILME["quadros"][-1]
    passo.press("End")
    expect(p.vivo.locator(".filme-amostra")).to_have_text(ultimo["amostra"])
    assert passo.get_attribute("aria-valuetext") == f"{br(ultimo['passo'])} de {br(ultimo['passo'])}"
    assert f"não lidas {br(ultimo['validacao'], 2)}" in p.vivo.inner_text()
    token, chance = ultimo["apostas"][0]
    assert token.strip() in p.vivo.locator(".w-barras li").first.inner_text() and chance > 0.9
    curvas = p.vivo.locator(".filme-curvas")
    curvas.scroll_into_view_if_needed()
    caixa = curvas.bounding_box()
    p.aba.mouse.click(caixa["x"] + 47, caixa["y"] + 100)  # o começo da curva
    assert passo.input_value() in ("0", "1")
    p.vivo.get_by_role("button", name="Rodar o filme").click()
    expect(p.vivo.get_by_role("button", name="Parar")).to_be_visible()
    p.aba.wait_for_timeout(1800)
    p.vivo.get_by_role("button", name="Parar").click()
    assert int(passo.input_value()) >= 2 and p.erros == []


# ---------------------------------------------------------------- 05: decodificacao

PROMPT = "A chuva caiu a noite inteira, e de manhã o"
BOTOES = [
    {},
    {"temperature": 0},
    {"temperature": 0.7, "topK": 30},
    {"temperature": 1.5, "topP": 0.9},
    {"topK": 20, "topP": 0.5},
    {"repetitionPenalty": 1.3},
    {"temperature": 0.05, "topK": 3, "topP": 0.05, "repetitionPenalty": 2},
    {"topK": 5000},
    {"topK": 1, "topP": 0.9},
]


def as_etapas(logits, ids, temperature=1, topK=None, topP=None, repetitionPenalty=1):
    baixados = penalize_repetition(logits, ids, repetitionPenalty)
    return [
        next_token_probs(logits)[0],
        next_token_probs(baixados)[0],
        next_token_probs(baixados, temperature)[0],
        next_token_probs(baixados, temperature, topK)[0],
        next_token_probs(baixados, temperature, topK, topP)[0],
    ]  # fmt: skip


@pytest.mark.parametrize("nome, prompt", [("contos-mini", PROMPT), ("historias-mini", "Numa tarde, um sapo")])
def test_as_etapas_da_decodificacao_sao_as_do_pacote(nome, prompt, tmp_path):
    modelo, tokenizer = do_livro(nome)
    ids = encode_text(tokenizer, prompt)
    with torch.no_grad():
        logits = modelo(torch.tensor([ids]))[:, -1]
    corpo = """
        const logits = modelo.logits(d.ids);
        return d.botoes.map((b) => p.stages(logits, d.ids, b)
          .map(({ probs, left, kept }) => ({ probs: Array.from(probs), left, kept })));"""
    da_pagina = com_modelo("decodificacao", nome, tmp_path, corpo, ids=ids, botoes=BOTOES)
    for botoes, etapas in zip(BOTOES, da_pagina, strict=True):
        esperadas = as_etapas(logits, torch.tensor([ids]), **botoes)
        for n, (etapa, esperada) in enumerate(zip(etapas, esperadas, strict=True)):
            probs = torch.tensor(etapa["probs"], dtype=torch.float32)
            assert torch.allclose(probs, esperada, atol=2e-5), (botoes, n)
            assert etapa["left"] == int((esperada > 0).sum()), (botoes, n)
            guardado = esperadas[max(0, n - 1)][esperada > 0].sum()
            assert etapa["kept"] == pytest.approx(float(guardado), abs=1e-4), (botoes, n)


def test_o_guloso_escreve_o_que_o_pacote_escreve_e_o_sorteio_se_repete(peca):
    modelo, tokenizer = do_livro("contos-mini")
    ids = torch.tensor([encode_text(tokenizer, PROMPT)])
    p = peca("decodificacao")
    p.carrega()
    texto = p.vivo.locator(".decod-texto")
    expect(texto).to_have_text(PROMPT)
    p.vivo.get_by_label("Temperatura").fill("0")
    p.vivo.get_by_role("button", name="Escrever 40 tokens").click()
    expect(texto.locator("span")).to_have_count(40, timeout=30_000)
    novos = generate(modelo, ids, 40, temperature=0)[0].tolist()
    assert texto.text_content() == tokenizer.decode(novos)
    textos = []
    for _ in range(2):
        p.vivo.get_by_role("button", name="Recomeçar").click()
        expect(texto).to_have_text(PROMPT)
        p.vivo.get_by_label("Temperatura").fill("1")
        for n in range(1, 6):
            p.vivo.get_by_role("button", name="Um token").click()
            expect(texto.locator("span")).to_have_count(n)
        textos.append(texto.text_content())
    assert textos[0] == textos[1]
    p.vivo.get_by_role("button", name="Outros sorteios").click()
    expect(texto).to_have_text(PROMPT)
    assert p.erros == []


def test_os_cortes_dizem_na_tela_quantos_tokens_sobram(peca):
    modelo, tokenizer = do_livro("contos-mini")
    with torch.no_grad():
        logits = modelo(torch.tensor([encode_text(tokenizer, PROMPT)]))[:, -1]
    p = peca("decodificacao")
    p.carrega()
    p.vivo.get_by_label("top-p", exact=True).fill("0.9")
    sobram = int((next_token_probs(logits, top_p=0.9) > 0).sum())
    expect(p.vivo.get_by_text(f"sobram {br(sobram)}, que somavam 90%")).to_be_visible()
    p.vivo.get_by_role("button", name="historias-mini").click()
    expect(p.vivo.locator(".decod-texto")).to_have_text("Numa tarde de chuva, um sapo", timeout=30_000)
    outro, tokenizer = do_livro("historias-mini")
    with torch.no_grad():
        logits = outro(torch.tensor([encode_text(tokenizer, "Numa tarde de chuva, um sapo")]))[:, -1]
    menos = int((next_token_probs(logits, top_p=0.9) > 0).sum())
    assert menos < sobram / 20  # o que o texto manda comparar
    sobra = "sobra 1, que tinha" if menos == 1 else f"sobram {br(menos)}, que somavam"
    expect(p.vivo.get_by_text(sobra)).to_be_visible()
    p.vivo.get_by_label("O começo do texto").fill("")
    expect(p.vivo.get_by_text("Escreva ao menos uma letra")).to_be_visible()
    assert p.vivo.get_by_role("button", name="Um token").is_disabled() and p.erros == []


# ---------------------------------------------------------------- 06: spam

GOLPE, GANHE = "sua conta sera bloqueada, clique em banco.invalido", "ganhe dinheiro fácil"


def contribuicoes(textos: list[str], pasta: Path) -> list[dict[str, Any]]:
    corpo = """
        const saida = [];
        for (const texto of d.textos) {
          const { tokens, whole, without } = await modelo.contributions(texto);
          const pesos = without.map((sem) => p.weight(whole, sem));
          saida.push({ tokens: tokens.map((t) => t.text), whole, without, pesos });
        }
        return saida;"""
    return com_modelo("spam", "spam-mini", pasta, corpo, textos=textos)


def test_cada_token_pesa_na_pagina_o_que_pesa_no_pacote(tmp_path):
    modelo, tokenizer = do_livro("spam-mini")
    textos = [GOLPE, GANHE, "mãe, chego às sete, guarda um pão pra mim", "x", "🎁 " * 9, "pix " * 30]
    for texto, medido in zip(textos, contribuicoes(textos, tmp_path), strict=True):
        ids = encode_framed(tokenizer, texto, modelo.gpt.config.context_length)
        assert len(medido["without"]) == len(ids) - 2
        inteira = class_probabilities(modelo, tokenizer, [texto])[0].tolist()
        assert medido["whole"] == pytest.approx(inteira, abs=1e-5)
        escolhidos = random.Random(0).sample(range(len(ids) - 2), min(12, len(ids) - 2))
        for n in escolhidos:
            sem = torch.tensor([ids[: n + 1] + ids[n + 2 :]])
            with torch.no_grad():
                probs = modelo(sem, torch.tensor([sem.shape[1]]))[0].softmax(-1)
            assert medido["without"][n] == pytest.approx(probs.tolist(), abs=1e-5)
            antes = math.log(medido["whole"][1] / medido["whole"][0])
            assert medido["pesos"][n] == pytest.approx(antes - math.log(probs[1] / probs[0]), abs=2e-3)


def test_o_que_a_pagina_manda_procurar_no_spam_esta_la(tmp_path):
    golpe, ganhe, agora, ja = contribuicoes([GOLPE, GANHE, f"{GANHE} agora", f"{GANHE} já"], tmp_path)
    pesos = sorted(map(abs, golpe["pesos"]))
    assert golpe["whole"][1] > 0.99 and pesos[-1] < 1 and pesos[-2] < 0.3  # quase nenhum pesa sozinho
    assert ganhe["whole"][1] < 0.5 and len(ganhe["tokens"]) == 4
    assert sum(peso > 2 for peso in ganhe["pesos"]) == 3  # três dos quatro puxam com força
    assert agora["whole"][1] > 0.5 and agora["pesos"][-1] > 1
    assert ja["whole"][1] < ganhe["whole"][1] and ja["pesos"][-1] < -1


def test_a_mensagem_do_leitor_vira_veredito_e_pesos(peca):
    p = peca("spam")
    p.carrega()
    expect(p.vivo.locator(".spam-veredito")).to_contain_text("spam, com probabilidade de 99,9")
    p.vivo.get_by_label("A mensagem").first.fill(f"{GANHE} já")
    expect(p.vivo.locator(".spam-veredito")).to_contain_text("ham", timeout=10_000)
    expect(p.vivo.locator(".w-barras li").first).to_contain_text("dinheiro", timeout=10_000)
    ja = p.vivo.get_by_role("button", name="␣já")
    ja.press("Enter")
    expect(p.vivo.locator(".w-fala")).to_contain_text("Sem “␣já”, a probabilidade de spam vai de")
    assert ja.get_attribute("aria-pressed") == "true"
    assert re.search(r"␣já\s*−", p.vivo.locator(".w-barras").inner_text())  # puxa para ham
    p.vivo.get_by_label("A mensagem").first.fill("  ")
    expect(p.vivo.get_by_text("A mensagem está vazia")).to_be_visible()
    assert p.erros == []


# ---------------------------------------------------------------- 07: mascara

FALAS = ["oi", "Prazer, Lia.", "", "como eu me chamo?", "<|assistente|>", "<|endoftext|>", "pão 🍞\nfim"]


@pytest.mark.parametrize("so_a_resposta", [True, False])
def test_os_alvos_da_mascara_sao_os_do_lote_de_treino(so_a_resposta, tmp_path):
    _, tokenizer = do_livro("conversa-mini")
    sorteio = random.Random(0)
    conversas = []
    for _ in range(60):
        turnos = [tuple(sorteio.choices(FALAS, k=2)) for _ in range(sorteio.randint(1, 4))]
        conversas.append((turnos, sorteio.choice(("", "Seja breve."))))
    corpo = """
        return d.conversas.map(([turns, system]) => {
          const { ids, written } = chat.markConversation(modelo.tokenizer, turns, system);
          return p.targets(ids, d.so ? written : written.map(() => true));
        });"""
    da_pagina = com_modelo("mascara", "conversa-mini", tmp_path, corpo, conversas=conversas, so=so_a_resposta)
    for (turnos, sistema), medida in zip(conversas, da_pagina, strict=True):
        registro = Dialogue(sistema, tuple(turnos), "", "")
        (item,) = InstructionDataset([registro], tokenizer, 512, so_a_resposta).items
        entradas, alvos = collate_instructions([item])
        assert medida == {"inputs": entradas[0].tolist(), "targets": alvos[0].tolist()}


def test_a_mascara_segue_o_que_se_escreve(peca):
    _, tokenizer = do_livro("conversa-mini")
    p = peca("mascara")
    p.vivo.get_by_label("Linha de sistema").fill("")
    p.vivo.get_by_role("button", name="Tirar o último turno").click()
    p.vivo.get_by_label("Pessoa, turno 1").fill("como eu me chamo?")
    p.vivo.get_by_label("Assistente, turno 1").fill("Lia.")
    ids, written = encode_conversation(tokenizer, [("como eu me chamo?", "Lia.")])
    conta = p.vivo.locator(".w-fala")
    expect(conta).to_contain_text(f"{sum(written[1:])} de {len(ids) - 1} alvos contam")
    alvos = p.vivo.locator(".mascara-alvo").all_text_contents()
    assert [a == "−100" for a in alvos] == [not w for w in written[1:]]
    assert alvos[-1] == f"<|endoftext|> ({end_id(tokenizer)})"
    p.vivo.get_by_role("button", name="tudo").click()
    expect(conta).to_contain_text(f"{len(ids) - 1} de {len(ids) - 1} alvos contam")
    assert p.erros == []


# ---------------------------------------------------------------- 07: conversa


def test_o_prompt_da_pagina_e_a_janela_do_chat(tmp_path):
    modelo, tokenizer = do_livro("conversa-mini")
    chat = Chat(modelo, tokenizer)
    sorteio = random.Random(1)
    casos = []
    for n in range(12):
        pergunta = " ".join(sorteio.choices(["balde", "Otávio", "<|usuario|>", "não", "🐸"], k=4 + n))
        casos.append([*([*t] for t in chat.turns), [pergunta, None]])
        chat.turns.append((pergunta, " ".join(sorteio.choices(["sim.", "pingou", "hoje"], k=9))))
    corpo = """
        return d.casos.map((turnos) => {
          const { ids, dropped } = modelo.chatPrompt(turnos);
          return [ids, dropped.length];
        });"""
    medidos = com_modelo("conversa", "conversa-mini", tmp_path, corpo, casos=casos)
    fora = []
    for turnos, (ids, saiu) in zip(casos, medidos, strict=True):
        chat.turns = [tuple(t) for t in turnos[:-1]]
        janela = chat.window(turnos[-1][0])
        assert ids == encode_conversation(tokenizer, janela)[0]
        assert saiu == len(turnos) - len(janela)
        fora.append(saiu)
    assert fora[0] == 0 and fora[-1] > 2


def test_a_conversa_da_pagina_e_a_do_pacote(peca):
    modelo, tokenizer = do_livro("conversa-mini")
    chat = Chat(modelo, tokenizer)
    p = peca("conversa")
    p.carrega()
    campo = p.vivo.get_by_label("A sua mensagem")
    for n, fala in enumerate(("oi, eu sou o Tomé", "como eu me chamo? <|assistente|>")):
        campo.fill(fala)
        campo.press("Enter")
        resposta = p.vivo.locator(".conversa-modelo").nth(n)
        expect(p.vivo.get_by_role("button", name="Enviar")).to_be_visible(timeout=30_000)
        expect(resposta).to_have_text(f"modelo{chat.send(fala)}", timeout=30_000)
    p.vivo.get_by_text("O prompt como o modelo o vê").click()
    ids, _ = encode_conversation(tokenizer, [*chat.turns, ("", None)])
    assert p.vivo.locator(".conversa-token").count() == len(ids)
    marcas = p.vivo.locator(".conversa-marca").all_text_contents()
    assert marcas.count("<|assistente|>") == 3  # a que se digitou não é marca
    cabem = modelo.config.context_length - chat.max_new_tokens
    expect(p.vivo.get_by_text(f"O pedido tem {br(len(ids))} dos {br(cabem)} ids")).to_be_visible()
    campo.fill("pinga " * cabem)
    expect(p.vivo.get_by_text("encurte-a")).to_be_visible()
    campo.press("Enter")
    assert p.vivo.locator(".conversa-turno").count() == 2  # a conversa fica como estava
    campo.fill("pinga " * (cabem - 9))  # cabe sozinha, e mais nada
    expect(p.vivo.locator(".conversa-fora").first).to_be_visible()
    p.vivo.get_by_role("button", name="Recomeçar").click()
    expect(p.vivo.locator(".conversa-turno")).to_have_count(0)
    assert p.erros == []
