"""O motor no Chromium: no Worker, como o site o usa, e na página que `export_web` escreve."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from playwright.sync_api import Browser, Page

from homellm.classification import load_classifier, predict
from homellm.generation import generate
from homellm.instruction import respond
from homellm.tokenizer import BPETokenizer, encode_text
from homellm.web import export_web, with_quantized_weights
from homellm.weights import load_pretrained
from navegador import CELULAR, Visita

pytestmark = pytest.mark.usefixtures("one_thread")
VAZIA = "<!doctype html><html lang=pt-BR><title>vazia</title><link rel=icon href='data:,'>"
IMPORTA = "const {load, loadTokenizer, open} = await import('/_static/widgets/modelo.js');"
ERRO = "(error) => error.message"
COMECO = "O velho abriu a porta"


@pytest.fixture
def aba(visita: Callable[..., Visita]) -> Iterator[Page]:
    """Uma página vazia na origem do site, com o cliente do motor à mão."""
    aberta = visita()
    aberta.aba.route("**/vazia.html", lambda rota: rota.fulfill(body=VAZIA, content_type="text/html"))
    aberta.aba.goto(f"{aberta.endereco}vazia.html")
    yield aberta.aba
    assert aberta.de_fora == []


def roda(aba: Page, corpo: str, argumento: object = None):
    return aba.evaluate(f"async (x) => {{ {IMPORTA} {corpo} }}", argumento)


# ---------------------------------------------------------------- no Worker


def test_no_worker_sai_o_mesmo_que_no_pacote(aba):
    modelo, tokenizer = load_pretrained("contos-mini")
    ids = encode_text(tokenizer, COMECO)
    esperados = generate(with_quantized_weights(modelo), torch.tensor([ids]), 30, temperature=0)
    veio = roda(
        aba,
        """const model = await load("contos-mini");
        const ids = await model.encode(x);
        const seen = [];
        const onToken = (token) => seen.push(token.text);
        const made = await model.stream(ids, {temperature: 0, maxNewTokens: 30, onToken});
        return {ids, made, text: seen.join(""), whole: await model.decode(made), info: model.info,
          config: model.config, tokens: await model.tokens("coração"),
          next: await model.next(ids, {top: 3})};""",
        COMECO,
    )
    assert veio["ids"] == ids
    assert veio["made"] == esperados[0, len(ids) :].tolist()
    assert veio["text"] == veio["whole"] == tokenizer.decode(veio["made"])
    assert veio["info"]["params"] == modelo.num_params()
    assert veio["config"]["context_length"] == 256
    assert bytes(b for token in veio["tokens"] for b in token["bytes"]) == "coração".encode()
    assert veio["next"][0]["id"] == veio["made"][0] and len(veio["next"]) == 3


def test_o_progresso_chega_ao_fim_e_o_modelo_se_carrega_uma_vez(aba):
    pedidos: list[str] = []
    aba.on("request", lambda pedido: pedidos.append(pedido.url))
    veio = roda(
        aba,
        """const seen = [];
        const both = [load("letras-mini", {onProgress: (f) => seen.push(f)}), load("letras-mini")];
        const [a, b] = await Promise.all(both);
        return [seen, a === b];""",
    )
    assert veio[0] == sorted(veio[0]) and veio[0][-1] == 1 and veio[1]
    assert sum(url.endswith("letras-mini.bin") for url in pedidos) == 1


def test_parar_no_meio(aba):
    veio = roda(
        aba,
        """const model = await load("letras-mini"), control = new AbortController();
        let count = 0;
        const onToken = () => { if (++count === 5) control.abort(); };
        const ids = await model.stream([97], {maxNewTokens: 400, signal: control.signal, onToken, seed: 1});
        const before = await model.stream([97], {maxNewTokens: 400, signal: AbortSignal.abort()});
        return [ids.length, before.length];""",
    )
    assert 5 <= veio[0] < 40 and veio[1] < 3


@pytest.mark.parametrize(
    ("estrago", "frase"),
    [
        ({"status": 404, "body": "não há"}, "o modelo não chegou (erro 404)"),
        ({"body": "<!doctype html>"}, "isto não é o arquivo de um modelo do livro"),
        ({"body": b"HOMELLM\n\xff\x00\x00\x00{"}, "incompleto ou estragado"),
        (None, "o modelo não chegou; confira a rede"),
    ],
)
def test_pesos_que_nao_carregam_sao_uma_frase_e_se_pode_tentar_de_novo(aba, estrago, frase):
    falha = (lambda rota: rota.fulfill(**estrago)) if estrago else (lambda rota: rota.abort())
    aba.route("**/letras-mini.bin", falha)
    assert frase in roda(aba, f"return load('letras-mini').catch({ERRO});")
    aba.unroute("**/letras-mini.bin")
    assert roda(aba, "return (await (await load('letras-mini')).next([97])).length;") == 10


def test_um_navegador_sem_worker_diz_o_que_fazer(aba):
    aba.evaluate("delete window.Worker")
    frase = roda(aba, f"return load('letras-mini').catch({ERRO});")
    assert frase == "este navegador não conseguiu abrir o modelo; atualize-o ou use outro"


def test_um_worker_que_nao_abre_diz_o_que_fazer(aba):
    aba.route("**/motor/engine.js", lambda rota: rota.fulfill(status=404, body=""))
    frase = roda(aba, f"return load('letras-mini').catch({ERRO});")
    assert frase == "este navegador não conseguiu abrir o modelo; atualize-o ou use outro"


def test_um_pedido_errado_nao_estraga_os_outros(aba):
    veio = roda(
        aba,
        f"""const model = await load("letras-mini");
        const [error, fine] = await Promise.all([model.next([99999]).catch({ERRO}), model.next([97])]);
        return [error, fine.length, await model.classify("oi").catch({ERRO})];""",
    )
    nao_classifica = "este modelo não classifica; abra um que seja GPTClassifier"
    assert veio == ["o id 99999 não está no vocabulário", 10, nao_classifica]


def test_o_tokenizer_sozinho(aba):
    esperados = BPETokenizer.from_tiktoken("gpt2").encode("O coração 🍎 de 1888.")
    veio = roda(
        aba,
        """const t = await loadTokenizer("gpt2");
        return [await t.encode(x), await t.decode(await t.encode(x)), t.vocabSize];""",
        "O coração 🍎 de 1888.",
    )
    assert veio == [esperados, "O coração 🍎 de 1888.", 50257]


# ---------------------------------------------------------------- a página exportada


@pytest.fixture
def exportada(navegador: Browser) -> Iterator[Callable[..., Page]]:
    """`exportada(caminho)` abre a página do disco; nenhum pedido pode ir a outro lugar."""
    contextos, queixas = [], []

    def abre(caminho: Path, **opcoes: object) -> Page:
        contexto = navegador.new_context(locale="pt-BR", **opcoes)
        contextos.append(contexto)
        aba = contexto.new_page()
        aba.on("console", lambda m: queixas.append(m.text))
        aba.on("pageerror", lambda e: queixas.append(str(e)))
        aba.on(
            "request", lambda p: queixas.append(p.url) if not p.url.startswith(("file:", "blob:")) else None
        )
        aba.goto(caminho.as_uri())
        aba.locator("form").wait_for(state="visible")
        return aba

    yield abre
    assert queixas == []
    for contexto in contextos:
        contexto.close()


def espera_acabar(aba: Page) -> None:
    aba.wait_for_function("!document.querySelector('#vai').disabled")


def test_a_pagina_exportada_continua_um_texto(exportada, tmp_path):
    modelo, tokenizer = load_pretrained("letras-mini")
    caminho = export_web(modelo, tokenizer, tmp_path / "com espaço & acentuação", chat=False)
    aba = exportada(caminho, viewport=CELULAR, color_scheme="dark")
    aba.get_by_label("Temperatura").fill("0")
    assert aba.locator("output").inner_text() == "0"
    aba.get_by_label("Comece um texto").fill("gato gato\ngato ")
    aba.get_by_role("button", name="Continuar").click()
    espera_acabar(aba)
    ids = encode_text(tokenizer, "gato gato\ngato ")
    feitos = generate(with_quantized_weights(modelo), torch.tensor([ids]), 200, temperature=0, eos_id=256)[0]
    esperado = tokenizer.decode([i for i in feitos.tolist() if i != 256])
    assert aba.locator("#saida").evaluate("(e) => e.textContent") == esperado
    assert aba.evaluate("document.documentElement.scrollWidth") <= 390
    lados = aba.locator("button, input").evaluate_all("(l) => l.map((e) => e.getBoundingClientRect().height)")
    assert min(lados) >= 40


def test_a_pagina_exportada_conversa(exportada, tmp_path):
    modelo, tokenizer = load_pretrained("conversa-mini")
    aba = exportada(export_web(modelo, tokenizer, tmp_path))
    campo = aba.get_by_label("Diga alguma coisa")
    campo.fill("qual é a capital da França?")
    campo.press("Enter")
    aba.locator(".modelo").wait_for()
    espera_acabar(aba)
    resposta = respond(with_quantized_weights(modelo), tokenizer, "qual é a capital da França?")
    assert aba.locator(".fala").all_inner_texts() == ["qual é a capital da França?", resposta]
    for texto, frase in (("   ", "O texto está vazio"), ("palavra " * 5000, "encurte-a")):
        campo.fill(texto)
        aba.get_by_role("button", name="Enviar").click()
        aba.get_by_text(frase).wait_for()
        espera_acabar(aba)
    assert aba.locator(".fala").count() == 2
    campo.fill("oi")  # e segue funcionando
    campo.press("Enter")
    aba.locator(".fala").nth(3).wait_for()
    espera_acabar(aba)
    assert aba.locator(".fala").nth(3).inner_text()


def test_a_pagina_exportada_classifica(exportada, tmp_path):
    modelo, tokenizer = load_classifier("spam-mini")
    aba = exportada(export_web(modelo, tokenizer, tmp_path))
    texto = "Pague a taxa e ganhe o prêmio: premio-certo.invalido"
    aba.get_by_label("Escreva um texto").fill(texto)
    aba.get_by_role("button", name="Classificar").click()
    aba.locator("table").wait_for()
    previsto = predict(modelo, tokenizer, [texto])[0]
    assert aba.locator("#saida p").inner_text() == f"O modelo diz: {previsto.label}."
    assert aba.locator("th").all_inner_texts() == list(modelo.labels)
    assert not aba.get_by_label("Temperatura").is_visible()


def test_a_pagina_exportada_estragada_diz_que_nao_abriu(navegador, tmp_path):
    caminho = export_web(*load_pretrained("letras-mini"), tmp_path)
    texto = caminho.read_text("utf-8")
    onde = texto.index('id="pesos"') + 200
    caminho.write_text(texto[:onde] + texto[onde + 4000 :], "utf-8")
    aba = navegador.new_page()
    aba.goto(caminho.as_uri())
    aba.get_by_text("O modelo não abriu: o arquivo do modelo está incompleto ou estragado").wait_for()
    aba.close()
