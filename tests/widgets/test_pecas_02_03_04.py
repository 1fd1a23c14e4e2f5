"""As peças dos capítulos 2, 3 e 4: as contas são as do pacote e as das páginas."""

from __future__ import annotations

import random
import re
from typing import Any

import pytest
import torch

from contas import calcula, celula, roda
from ferramentas.livro import RAIZ
from homellm.model import GPT, PRESETS, GPTConfig
from homellm.tokenizer import BYTE_ORDER, BPETokenizer, encode_text, learn_merges
from homellm.weights import load_pretrained

# ---------------------------------------------------------------- 02: fusoes

TREINA = """d.map(([words, n]) => {
  let state = p.begin(words.map(([word, count]) => ({ word, count })));
  for (let i = 0; i < n; i++) state = p.step(state);
  return state.merges.map(({ pair }) => pair.map((symbol) => state.symbols[symbol]));
})"""


def treinadas(listas: list[tuple[dict[str, int], int]]) -> list[list[tuple[bytes, bytes]]]:
    pedido = [(list(palavras.items()), n) for palavras, n in listas]
    return [[(bytes(a), bytes(b)) for a, b in fusoes] for fusoes in calcula("fusoes", TREINA, pedido)]


def test_fusoes_da_pagina_na_mesma_ordem() -> None:
    pagina = roda("02-dados", "def count_pairs", "def fuse", "def naive_bpe", "def apply_merges")
    contadas = calcula("fusoes", "p.readWords(p.START)")
    assert {tuple(c["word"]): c["count"] for c in contadas} == pagina["words"]
    ((*fusoes,),) = treinadas([({c["word"]: c["count"] for c in contadas}, 4)])
    assert [(a.decode(), b.decode()) for a, b in fusoes] == pagina["merges"]
    cortes = calcula(
        "fusoes",
        """d.map((word) => {
          let state = p.begin(p.readWords(p.START));
          for (let i = 0; i < 4; i++) state = p.step(state);
          return p.encode(state, word).map((symbol) => p.nameOf(state, symbol));
        })""",
        ["casacas", "ocaso", "saco"],
    )
    assert [tuple(c) for c in cortes] == [
        pagina["apply_merges"](w, pagina["merges"]) for w in ("casacas", "ocaso", "saco")
    ]


def test_fusoes_do_pacote_em_listas_sorteadas() -> None:
    sorteio = random.Random(0)
    listas = []
    for letras in ("ab", "aáã", "casor", "cão🍞é", "aAbB12-’"):
        for _ in range(40):
            palavras = {
                "".join(sorteio.choices(letras, k=sorteio.randint(1, 9))): sorteio.randint(1, 4)
                for _ in range(sorteio.randint(1, 9))
            }
            listas.append((palavras, 60))
    esperadas = [learn_merges({w.encode(): n for w, n in palavras.items()}, n) for palavras, n in listas]
    assert treinadas(listas) == esperadas


def test_fusoes_cortam_a_palavra_nova_como_o_tokenizer() -> None:
    palavras = {"canção": 3, "coração": 2, "não": 5, "ação": 2, "cação": 1}
    novas = ["coração", "ações", "maçã", "caçã", "🍞"]
    cortes = calcula(
        "fusoes",
        """d.novas.map((word) => {
          let state = p.begin(Object.entries(d.palavras).map(([word, count]) => ({ word, count })));
          for (let i = 0; i < 9; i++) state = p.step(state);
          return p.encode(state, word).map((symbol) => state.symbols[symbol]);
        })""",
        {"palavras": palavras, "novas": novas},
    )
    fusoes = learn_merges({w.encode(): n for w, n in palavras.items()}, 9)
    vocabulario = {bytes([b]): b for b in range(256)}
    vocabulario |= {a + b: 256 + n for n, (a, b) in enumerate(fusoes)}
    tokenizer = BPETokenizer(vocabulario, {}, r"[\s\S]+")
    for nova, corte in zip(novas, cortes, strict=True):
        assert [bytes(b) for b in corte] == [tokenizer.token_bytes(i) for i in tokenizer.encode(nova)]


def test_fusoes_conhecem_a_ordem_dos_bytes_e_o_texto_que_vier() -> None:
    assert calcula("fusoes", "p.BYTE_ORDER") == list(BYTE_ORDER)
    lidas = calcula("fusoes", "d.map(p.readWords)", ["", "\n \n", "casa 2\ncasa", "a casa a", "casa 0", "7"])
    assert [[(c["word"], c["count"]) for c in lista] for lista in lidas] == [
        [], [], [("casa", 3)], [("a", 2), ("casa", 1)], [], [("7", 1)],
    ]  # fmt: skip
    assert treinadas([({}, 3), ({"a": 9}, 3)]) == [[], []]


# ---------------------------------------------------------------- 02: tokens


def test_nome_do_token_mostra_o_pedaco_de_letra_em_bytes() -> None:
    nomes = calcula(
        "tokens", "d.map(p.tokenName)", [list(b" a"), list("ã".encode()), [0xC3], [0x20, 0xF0, 0x9F]]
    )
    assert nomes == ["␣a", "ã", "C3", "20 F0 9F"]


def test_a_frase_dos_tokens_e_a_da_pagina() -> None:
    (frase,) = re.findall(r'^sentence = "(.*)"$', celula("02-dados", "def token_pieces"), re.M)
    assert calcula("tokens", "p.START") == frase.strip()


# ---------------------------------------------------------------- 03


def test_tres_tokens_com_os_numeros_da_pagina() -> None:
    pagina = roda("03-atencao", "# a nota de cada posição, vista de “ele”")
    assert calcula("tres-tokens", "p.START") == pagina["x"].tolist()
    conta = calcula("tres-tokens", "p.attend(p.START, p.ASKS)")
    for nome in ("scores", "weights", "context"):
        assert conta[nome] == pytest.approx(pagina[nome].tolist(), abs=1e-6)
    assert conta["sum"] == pytest.approx(pagina["scores"].exp().sum().item(), abs=1e-5)


def test_tres_tokens_com_outros_numeros() -> None:
    torch.manual_seed(0)
    for asks in range(3):
        x = (6 * torch.rand(3, 2, dtype=torch.float64) - 3).round(decimals=1)
        conta = calcula("tres-tokens", "p.attend(d.x, d.asks)", {"x": x.tolist(), "asks": asks})
        weights = (x @ x[asks]).softmax(0)
        assert conta["weights"] == pytest.approx(weights.tolist(), abs=1e-9)
        assert conta["context"] == pytest.approx((weights @ x).tolist(), abs=1e-9)


def test_a_linha_de_uma_cabeca_sai_em_ordem() -> None:
    ordem = calcula(
        "cabecas", "p.ranking(Float32Array.from(d), 3, 1)", [1, 0, 0, 0.25, 0.75, 0, 0.5, 0.25, 0.25]
    )
    assert [(o["token"], o["weight"]) for o in ordem] == [(1, 0.75), (0, 0.25), (2, 0)]


def test_a_cabeca_em_que_se_comeca_faz_o_que_a_pagina_diz() -> None:
    """Na frase da abertura, “ele” olha, mais que para todos, para o fim de “sino”."""
    comeco = calcula("cabecas", "p.START_AT")
    modelo, tokenizer = load_pretrained(RAIZ / "data/modelos/contos-mini")
    ids = encode_text(tokenizer, calcula("cabecas", "p.START"))
    camada = modelo.blocks[comeco["layer"]].attention
    vistos: list[torch.Tensor] = []
    camada.qkv.register_forward_hook(lambda modulo, entrada, saida: vistos.append(saida[0]))
    with torch.no_grad():
        modelo.eval()(torch.tensor([ids]))
    D = camada.head_dim
    q, k, _ = (parte.view(len(ids), camada.n_heads, D)[:, comeco["head"]] for parte in vistos[0].chunk(3, -1))
    pesos = (q[comeco["asks"]] @ k[: comeco["asks"] + 1].T / D**0.5).softmax(0)
    tokens = [tokenizer.token_bytes(i).decode() for i in ids]
    assert tokens[:3] == ["O", " s", "ino"] and tokens[comeco["asks"]] == " ele"
    assert tokens[int(pesos.argmax())] == "ino" and pesos.max() > 0.35


# ---------------------------------------------------------------- 04: parametros


def test_parametros_sao_os_do_modelo() -> None:
    configs = {nome: GPTConfig.preset(nome) for nome in PRESETS}
    configs |= {"solta": GPTConfig.preset("contos-mini", tie_weights=False)}
    configs |= {"ímpar": GPTConfig(vocab_size=999, context_length=7, emb_dim=60, n_heads=5, n_layers=1)}
    pedido = [
        dict(V=c.vocab_size, T=c.context_length, C=c.emb_dim, H=c.n_heads, L=c.n_layers, tied=c.tie_weights)
        for c in configs.values()
    ]
    contas = calcula("parametros", "d.map((c) => [p.countParameters(c), p.flopsPerToken(c)])", pedido)
    partes = {"token_embedding": "tokens", "position_embedding": "positions", "attention": "attention",
              "mlp": "mlp", "norm": "norms", "head": "head"}  # fmt: skip
    for config, (conta, flops) in zip(configs.values(), contas, strict=True):
        with torch.device("meta"):
            modelo = GPT(config)
        esperado = dict.fromkeys(partes.values(), 0)
        for nome, p in modelo.named_parameters():
            esperado[next(parte for chave, parte in partes.items() if chave in nome)] += p.numel()
        assert conta == {**esperado, "total": modelo.num_params()}
        assert flops == config.flops_per_token()


def test_parametros_tem_os_presets_do_pacote() -> None:
    presets = calcula("parametros", "p.PRESETS")
    letras = {"vocab_size": "V", "context_length": "T", "emb_dim": "C", "n_heads": "H", "n_layers": "L"}
    for nome in PRESETS:
        config = GPTConfig.preset(nome)
        assert presets.pop(nome) == {letra: getattr(config, campo) for campo, letra in letras.items()}
    assert not presets


def test_parametros_recusam_com_a_frase_do_pacote() -> None:
    pares = [(160, 7), (768, 32), (64, 3), (64, 2)]
    frases = calcula("parametros", "d.map(([C, H]) => p.problem({ C, H }))", pares)
    for (c, h), frase in zip(pares, frases, strict=True):
        if frase:
            with pytest.raises(ValueError, match=f"^{re.escape(frase)}$"):
                GPTConfig(emb_dim=c, n_heads=h)
        else:
            assert GPTConfig(emb_dim=c, n_heads=h).emb_dim == c


# ---------------------------------------------------------------- 04: pedido


def test_as_formas_do_bloco_sao_as_do_modelo() -> None:
    config, n = GPTConfig.preset("contos-mini"), 7
    modelo = GPT(config).eval()
    vistas: dict[str, list[int]] = {}

    def anota(nome: str) -> Any:
        return lambda modulo, entrada, saida: vistas.__setitem__(nome, list(saida.shape))

    bloco = modelo.blocks[0]
    for nome in ("norm1", "attention.qkv", "attention", "mlp.expand", "mlp"):
        bloco.get_submodule(nome).register_forward_hook(anota(nome))
    modelo(torch.zeros(1, n, dtype=torch.long))
    pedido = {"emb_dim": config.emb_dim, "n_heads": config.n_heads}
    normal, qkv, pesos, contexto, larga, saida = (
        f["shape"] for f in calcula("pedido", f"p.blockShapes(d, {n})", pedido)
    )
    H, D = config.n_heads, config.emb_dim // config.n_heads
    assert normal == vistas["norm1"] and contexto == vistas["attention"]
    assert qkv == [1, H, n, D] and 3 * H * D == vistas["attention.qkv"][-1]
    assert pesos == [1, H, n, n] and larga == vistas["mlp.expand"] and saida == vistas["mlp"]
