"""As peças dos capítulos 2, 3 e 4 no Chromium: o que cada uma faz."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, expect

from ferramentas.livro import RAIZ
from homellm.tokenizer import BPETokenizer, encode_text
from homellm.weights import load_pretrained
from navegador import CELULAR


def carregada(peca, nome: str, **opcoes: object):
    aberta = peca(nome, **opcoes)
    aberta.carrega()
    return aberta


def fala(p) -> Locator:
    return p.vivo.locator("[aria-live]").first


@pytest.mark.parametrize("nome", ["fusoes", "tokens", "cabecas", "pedido"])
def test_sem_texto_pede_texto_e_com_texto_de_mais_fica_com_o_comeco(peca, nome) -> None:
    p = carregada(peca, nome)
    campo = p.vivo.get_by_role("textbox").first
    campo.fill("")
    expect(fala(p)).to_contain_text("Escreva")
    campo.fill("abcdefgh " * 11_112)
    expect(p.vivo.get_by_text("Fiquei com as primeiras")).to_be_visible()
    expect(fala(p)).not_to_contain_text("Escreva", timeout=20_000)


# ---------------------------------------------------------------- 02


def test_fusoes_pelo_teclado(peca) -> None:
    p = peca("fusoes")
    botao = p.vivo.get_by_role("button", name=re.compile("^Fundir ."))
    botao.first.focus()
    for _ in range(4):
        p.aba.keyboard.press("Enter")
    fusoes = p.vivo.locator(".w-fusoes li")
    assert [f.split(" →")[0] for f in fusoes.all_inner_texts()] == ["a + s", "c + as", "cas + a", "as + a"]
    expect(fala(p)).to_contain_text("Fusão 4: as + a vira asa, 2 vezes.")
    assert p.vivo.locator(".w-tokens .w-token").all_inner_texts() == ["casa", "cas"]  # “casacas”
    p.vivo.get_by_role("button", name="Voltar uma").click()
    assert fusoes.count() == 3
    expect(p.vivo.get_by_text("Empate de 2 pares")).to_be_visible()
    p.vivo.get_by_role("button", name="Fundir até o fim").click()
    expect(fala(p)).to_contain_text("Cada palavra é um símbolo só.")
    p.vivo.get_by_role("textbox").first.fill("pão 2")
    expect(p.vivo.locator(".w-palavras .w-token").nth(1)).to_have_text("C3")
    assert p.erros == []


def test_tokens_sao_os_do_pacote(peca) -> None:
    p = carregada(peca, "tokens")
    texto = "Às 7h, a vó pôs o pão 🍞 no “forno”.\n  E-mail? Não!"
    p.vivo.get_by_role("textbox").fill(texto)
    nomes = ("contos-mini", "conversa-mini")
    tokenizers = [BPETokenizer.load(RAIZ / f"data/modelos/{nome}/tokenizer.json") for nome in nomes]
    tokenizers.append(BPETokenizer.from_tiktoken("gpt2"))
    for i, tokenizer in enumerate(tokenizers):
        ids = encode_text(tokenizer, texto)
        linha = p.vivo.locator(".w-vocabularios > div").nth(i)
        expect(linha.locator(".w-nota")).to_contain_text(
            f"{len(ids)} tokens para {len(texto.encode())} bytes"
        )
        assert linha.locator(".w-pedaco-id").all_inner_texts() == [str(i) for i in ids]
    assert p.erros == []


# ---------------------------------------------------------------- 03


def test_tres_tokens_pelo_teclado_e_pelo_dedo(peca) -> None:
    p = peca("tres-tokens", viewport=CELULAR, has_touch=True)
    pesos = p.vivo.locator(".w-peso")
    assert pesos.all_inner_texts() == ["0,67", "0,09", "0,24"]
    p.vivo.get_by_label("sino, coisa").focus()
    p.aba.keyboard.press("Home")  # −3
    assert pesos.all_inner_texts()[0] == "0,01"
    p.vivo.get_by_role("button", name="Os números do capítulo").click()
    assert pesos.all_inner_texts() == ["0,67", "0,09", "0,24"]
    seta = p.vivo.locator(".w-toque").nth(1).bounding_box()
    x, y = seta["x"] + seta["width"] / 2, seta["y"] + seta["height"] / 2
    p.aba.mouse.move(x, y)
    p.aba.mouse.down()
    p.aba.mouse.move(x + 500, y, steps=4)  # além da borda
    p.aba.mouse.up()
    expect(p.vivo.get_by_label("rachou, coisa")).to_have_value("3")
    expect(p.vivo.locator("tbody tr").nth(1)).to_contain_text("(3, 1)")
    assert p.erros == []


def test_cabecas_pelo_teclado(peca) -> None:
    p = carregada(peca, "cabecas")
    expect(fala(p)).to_contain_text("Na camada 2, cabeça 0, “␣ele” olha sobretudo para “ino”")
    p.vivo.get_by_role("button", name="Camada 2, cabeça 0").focus()
    p.aba.keyboard.press("ArrowRight")
    p.aba.keyboard.press("ArrowDown")
    expect(p.vivo.get_by_role("button", name="Camada 3, cabeça 1")).to_be_focused()
    expect(fala(p)).to_contain_text("Na camada 3, cabeça 1")
    tokens = p.vivo.locator(".w-peca")
    tokens.first.click()
    expect(fala(p)).to_contain_text("“O” olha sobretudo para “O” (100%).")
    assert tokens.all_inner_texts()[1].endswith("–")  # o futuro, que a máscara esconde
    p.vivo.get_by_role("button", name="desligada").click()
    expect(fala(p)).to_contain_text("Sem a máscara")
    porcentos = [int(re.search(r"(\d+)%$", t)[1]) for t in tokens.all_inner_texts()]
    assert abs(sum(porcentos) - 100) <= len(porcentos) / 2 and porcentos[0] < 100
    assert p.erros == []


# ---------------------------------------------------------------- 04


def test_pedido_do_texto_aos_logits(peca) -> None:
    p = carregada(peca, "pedido")
    linhas = p.vivo.locator(".w-corrente tbody tr")
    expect(linhas).to_have_count(7)
    modelo, tokenizer = load_pretrained(RAIZ / "data/modelos/contos-mini")
    campo = p.vivo.get_by_role("textbox")
    texto = campo.input_value()
    n = len(encode_text(tokenizer, texto))
    assert [t.split("\n")[0] for t in linhas.locator("th").all_inner_texts()] == [
        "tabelas", *(f"bloco {i}" for i in range(modelo.config.n_layers))
    ]  # fmt: skip
    expect(linhas.first).to_contain_text(f"(1, {n}, {modelo.config.emb_dim})")
    proximo = p.vivo.locator(".w-barra").first
    token = proximo.locator(".w-barra-token").inner_text()
    expect(linhas.last.locator(".w-token").first).to_contain_text(token)
    proximo.focus()
    p.aba.keyboard.press("Enter")
    expect(campo).to_have_value(texto + token.replace("␣", " "))
    expect(linhas.first).to_contain_text(f"(1, {n + 1}, {modelo.config.emb_dim})")
    p.vivo.locator(".w-peca").first.click()
    expect(linhas.first).to_contain_text(f"(1, 1, {modelo.config.emb_dim})")
    assert p.erros == []


def test_parametros_pelo_teclado(peca) -> None:
    p = peca("parametros")
    total = p.vivo.locator(".w-total")
    p.vivo.get_by_label("Preset").select_option("gpt2-small")
    expect(total).to_have_text("124.439.808 parâmetros")
    p.vivo.get_by_role("button", name="outra").click()
    expect(total).to_have_text("163.037.184 parâmetros")
    p.vivo.get_by_role("button", name="a da entrada").click()
    p.vivo.get_by_label(re.compile("^H, ")).focus()
    p.aba.keyboard.press("ArrowRight")
    expect(fala(p)).to_contain_text("emb_dim=768 não se divide em n_heads=13 cabeças iguais")
    expect(total).to_have_text("124.439.808 parâmetros")
    expect(p.vivo.get_by_label("Preset")).to_have_value("")
    assert p.erros == []
