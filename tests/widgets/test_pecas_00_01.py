"""As peças da capa e dos capítulos 0 e 1: as contas são as do pacote e as das páginas."""

from __future__ import annotations

import random
import re

import numpy as np
import pytest

from contas import calcula, roda
from ferramentas.livro import RAIZ
from homellm.corpus import load_text
from homellm.ngram import NGramModel, discounts
from homellm.plots import br
from homellm.weights import load_pretrained

TREINO = load_text("contos", "train")
ALFABETO = sorted(set(TREINO))
V = len(ALFABETO) + 1
FRASE = "O sino da praça bateu às seis, e o girassol atravessou a ponte."


def ids_de(texto: str) -> list[int]:
    onde = {letra: i for i, letra in enumerate(ALFABETO)}
    return [onde.get(letra, V - 1) for letra in texto]


# ---------------------------------------------------------------- 00: a taxa

TAXAS = (0.01, 0.15, 0.35)


@pytest.fixture(scope="module")
def pagina_zero() -> dict:
    return roda("00-passo-zero", "def line_loss", "def descend", "paths = {rate: descend(rate)")


def test_a_descida_da_peca_e_a_da_pagina(pagina_zero) -> None:
    daqui = calcula("taxa", "d.map((taxa) => p.descend(taxa))", TAXAS)
    for taxa, caminho in zip(TAXAS, daqui, strict=True):
        dela = np.array(pagina_zero["paths"][taxa])
        nosso = np.array([(q["w"], q["b"], q["loss"]) for q in caminho])
        assert np.allclose(nosso, dela, rtol=2e-3, atol=2e-4), taxa


def test_a_peca_diz_os_numeros_que_a_pagina_imprime(peca, pagina_zero) -> None:
    p = peca("taxa")
    visto = {0.01: "Vai no rumo certo", 0.15: "Chega", 0.35: "Diverge"}
    for taxa in TAXAS:
        w, b, perda = pagina_zero["paths"][taxa][-1]
        p.aba.get_by_role("button", name=f"taxa {br(taxa, 2)}").click()
        fala = p.vivo.locator("[aria-live]").inner_text()
        assert fala.startswith(visto[taxa]), fala
        if taxa < 0.35:  # depois de explodir, o float32 da página e o float64 da peça não são os mesmos
            assert f"w = {br(w, 2)}, b = {br(b, 2)}, perda {br(perda, 2)}" in fala


def test_o_vale_desenhado_e_o_da_perda() -> None:
    """Os pontos de cada elipse têm a perda que ela diz ter."""
    conta = """d.map(([nivel, t]) => {
      const raio = Math.sqrt(nivel - p.VALLEY.lowest);
      const x = raio / Math.sqrt(p.VALLEY.steep) * Math.cos(t);
      const y = raio / Math.sqrt(p.VALLEY.gentle) * Math.sin(t);
      const c = Math.cos(p.VALLEY.angle), s = Math.sin(p.VALLEY.angle);
      return p.lineLoss(p.VALLEY.best.w + c * x - s * y, p.VALLEY.best.b + s * x + c * y);
    })"""
    pontos = [(nivel, t) for nivel in (2, 30, 400) for t in (0, 0.7, 2, 4)]
    assert np.allclose(calcula("taxa", conta, pontos), [nivel for nivel, _ in pontos])


@pytest.mark.parametrize(
    ("taxa", "passos", "visto"),
    [(0.15, 0, "parado"), (0.01, 40, "vai"), (0.15, 40, "chega"), (0.3, 40, "oscila"), (0.35, 40, "diverge")],
)
def test_o_que_a_peca_conclui_do_caminho(taxa: float, passos: int, visto: str) -> None:
    assert calcula("taxa", f"p.verdict(p.descend({taxa}, {passos}))") == visto


# ---------------------------------------------------------------- 00: o empurrão


def test_o_gradiente_da_peca_e_o_do_autograd() -> None:
    import torch

    f = roda("00-passo-zero", "def f(a, b, c):")["f"]
    pontos = [[2, 3, -4], [0, 0, 0], [-5, 5, 1], [1, -3, 5]]
    for valores, daqui in zip(pontos, calcula("empurrao", "d.map(p.backward)", pontos), strict=True):
        a, b, c = (torch.tensor(float(v), requires_grad=True) for v in valores)
        f(a, b, c).backward()
        assert [daqui[n] for n in "abc"] == [a.grad, b.grad, c.grad]
        assert daqui["a"] == daqui["direct"] + daqui["through"]
    empurrado = calcula("empurrao", "p.push([2, 3, -4], 0, 0.1)")
    assert empurrado == {"predicted": pytest.approx(0.8), "actual": pytest.approx(0.83)}


def test_o_empurrao_comeca_pelos_numeros_da_pagina_e_segue_o_que_se_arrasta(peca) -> None:
    p = peca("empurrao")
    fala = p.vivo.locator("[aria-live]")
    assert "f = 4, e o gradiente é (8; 4; 2)" in fala.inner_text()
    assert "Por unidade, 8,30" in fala.inner_text()
    p.aba.get_by_label("b", exact=True).press("ArrowRight")
    p.aba.get_by_role("button", name="c", exact=True).click()
    assert "f = 8, e o gradiente é (12; 4; 2)" in fala.inner_text()
    assert "Empurrar c em +0,10: o gradiente prevê que f mude +0,20; a conta dá +0,20" in fala.inner_text()


# ---------------------------------------------------------------- 01: o n-grama

NGRAMA = """(() => {
  const contos = readFileSync(d.contos, "utf8"), treino = p.splitOf(contos, "train");
  const letras = new p.Letters(treino), ids = letras.encode(treino);
  const { NGram } = await import(d.motor);
  return d.ordens.map((ordem) => {
    const modelo = new NGram(ordem, letras.size).fit(ids);
    let u = 0;
    return {
      probs: d.contextos.map((texto) => Array.from(modelo.probs(letras.encode(texto)))),
      bits: Array.from(modelo.surprisal(letras.encode(d.frase))),
      palavras: p.wordBits(modelo, letras, d.frase),
      sorteio: modelo.sample(60, letras.encode("O s"), { temperature: 0.7, random: () => d.dardos[u++] }),
      guloso: modelo.sample(60, letras.encode("O s"), { temperature: 0 }),
    };
  });
})()""".replace("(() =>", "await (async () =>", 1)
CONTEXTOS = ["", "q", "casa d", "Dona Zulmira", "xqzw", "\n\n", "☃"]
ORDENS = (1, 2, 3, 6)


@pytest.fixture(scope="module")
def do_navegador() -> list[dict]:
    dados = {
        "contos": str(RAIZ / "data/contos.txt"), "motor": (RAIZ / "widgets/motor/ngram.js").as_uri(),
        "ordens": ORDENS, "contextos": CONTEXTOS, "frase": FRASE, "dardos": DARDOS,
    }  # fmt: skip
    return calcula("contos.js", NGRAMA, dados)


DARDOS = [random.Random(7).random() for _ in range(60)]


class Dardos:
    """Um gerador que devolve os números dados, como os da peça."""

    def __init__(self) -> None:
        self.restam = list(DARDOS)

    def random(self) -> float:
        return self.restam.pop(0)


def test_o_texto_e_o_alfabeto_sao_os_da_pagina() -> None:
    for parte in ("train", "validation"):
        conta = f'p.splitOf(readFileSync(d, "utf8"), "{parte}")'
        assert calcula("contos.js", conta, str(RAIZ / "data/contos.txt")) == load_text("contos", parte)
    letras = calcula("contos.js", "(({ alphabet, size }) => ({ alphabet, size }))(new p.Letters(d))", TREINO)
    assert letras == {"alphabet": ALFABETO, "size": V}


@pytest.mark.parametrize("n", range(len(ORDENS)), ids=[f"ordem {o}" for o in ORDENS])
def test_as_probabilidades_a_surpresa_e_o_sorteio_sao_os_do_pacote(do_navegador, monkeypatch, n: int) -> None:
    modelo, daqui = NGramModel(ORDENS[n], V).fit(ids_de(TREINO)), do_navegador[n]
    for contexto, p in zip(CONTEXTOS, daqui["probs"], strict=True):
        assert np.allclose(p, modelo.probs(ids_de(contexto)), rtol=1e-12, atol=0), repr(contexto)
    bits = modelo.surprisal(ids_de(FRASE))
    assert np.allclose(daqui["bits"], bits, rtol=1e-12)
    assert "".join(item["word"] for item in daqui["palavras"]) == FRASE
    assert sum(item["bits"] for item in daqui["palavras"]) == pytest.approx(bits.sum())
    assert daqui["guloso"] == modelo.sample(60, ids_de("O s"), temperature=0)
    monkeypatch.setattr(np.random, "default_rng", lambda dardos: dardos)
    assert daqui["sorteio"] == modelo.sample(60, ids_de("O s"), temperature=0.7, rng=Dardos())


def test_os_descontos_sao_os_do_pacote() -> None:
    casos = [[1, 1, 1, 1, 2, 2, 3, 4], [1], [5, 6], [1, 1, 2, 3, 3, 3, 4, 9]]
    for contagens, tabela in zip(casos, calcula("motor/ngram.js", "d.map(p.discounts)", casos), strict=True):
        vetor = np.array(contagens)
        assert np.allclose(np.array(tabela)[np.minimum(vetor, 3)], discounts(vetor))


def test_o_n_grama_escreve_para_e_obedece_a_ordem(peca) -> None:
    p = peca("ngrama")
    p.carrega()
    escreve = p.aba.get_by_role("button", name="Escrever")
    escreve.click()
    escreve.wait_for()  # acabou: o botão deixou de ser “Parar”
    p.aba.wait_for_function("document.querySelector('.ngrama-texto').textContent.length > 150")
    assert p.vivo.locator(".ngrama-texto").inner_text().startswith("O sino")
    p.aba.get_by_label("Começo do texto").fill("casa d")
    p.aba.get_by_role("button", name="6", exact=True).click()
    primeira = p.vivo.locator(".w-barra").first.inner_text().split()
    chance = NGramModel(6, V).fit(ids_de(TREINO)).probs(ids_de("asa d"))
    assert primeira[0] == ALFABETO[chance.argmax()] == "e"
    assert primeira[-1] == f"{round(100 * chance.max())}%"


def test_a_surpresa_da_pagina_e_a_do_modelo(peca) -> None:
    p = peca("surpresa")
    p.carrega()
    for ordem in (6, 2):
        p.aba.get_by_role("button", name=str(ordem), exact=True).click()
        bits = NGramModel(ordem, V).fit(ids_de(TREINO)).surprisal(ids_de(FRASE)).sum()
        fala = p.vivo.locator("[aria-live]").inner_text()
        assert f"{br(bits / len(FRASE.encode()), 2)} bits por byte" in fala, fala
    assert p.vivo.locator(".surpresa-palavras li").count() == len(FRASE.split())


# ---------------------------------------------------------------- a capa


def test_as_barras_da_capa_sao_as_probabilidades_do_contos_mini(peca) -> None:
    import torch

    modelo, tokenizer = load_pretrained("contos-mini")
    ids = tokenizer.encode("O ônibus das seis chegou às")
    with torch.no_grad():
        chances = modelo(torch.tensor([ids]))[0, -1].softmax(0).topk(8)
    p = peca("proximo")
    p.carrega()
    barras = [re.split(r"\s+", b) for b in p.vivo.locator("button.w-barra").all_inner_texts()]
    assert [b[0].replace("␣", " ") for b in barras] == [tokenizer.decode([int(i)]) for i in chances.indices]
    for barra, chance in zip(barras, chances.values, strict=True):  # os pesos da página são em 8 bits
        assert abs(float(barra[-1].rstrip("%").replace(",", ".")) - 100 * chance) < 1


def test_clicar_um_token_o_poe_na_frase_e_o_foco_fica(peca) -> None:
    p = peca("proximo")
    p.carrega()
    campo = p.aba.get_by_label("Escreva o começo de uma frase")
    p.vivo.locator("button.w-barra").first.press("Enter")
    p.aba.wait_for_function("document.querySelector('textarea').value.endsWith('às nove')")
    p.aba.wait_for_function("document.activeElement.matches('.w-barra')")
    p.aba.get_by_role("button", name="Sortear vinte").click()
    p.aba.get_by_role("button", name="Sortear vinte").wait_for(timeout=30_000)
    p.aba.wait_for_function("document.querySelector('textarea').value.length > 40")
    p.aba.get_by_role("button", name="Recomeçar").click()
    p.aba.wait_for_function("document.querySelector('.w-barra-token').textContent === '␣nove'")
    assert campo.input_value() == "O ônibus das seis chegou às"
    assert p.erros == []


def test_o_que_se_digita_no_meio_de_uma_escrita_vale_mais_que_ela(peca) -> None:
    p = peca("proximo")
    p.carrega()
    p.aba.get_by_role("button", name="Sortear vinte").click()
    p.aba.get_by_label("Escreva o começo de uma frase").fill("Dona Zulmira")
    p.aba.wait_for_timeout(1500)
    assert p.aba.get_by_label("Escreva o começo de uma frase").input_value() == "Dona Zulmira"
    assert p.erros == []
