"""A bancada: as contas, a tabela, a conferência dos pares, e o arquivo que a página lê. Nenhum relógio."""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import replace
from statistics import median
from types import ModuleType

import pytest
import torch

from brinquedo import REPO
from homellm.corpus import Labeled, load_table
from homellm.model import GPT


def carrega(nome: str) -> ModuleType:
    """Um programa de `bancada/`, que não é pacote."""
    especificacao = importlib.util.spec_from_file_location(nome, REPO / f"bancada/{nome}.py")
    sys.modules[nome] = modulo = importlib.util.module_from_spec(especificacao)
    especificacao.loader.exec_module(modulo)
    return modulo


modelo = carrega("modelo")
PEQUENA = modelo.Shape(50, 12, 8, 2, 2, batch_size=3)
DADOS = json.loads((REPO / "data/bancada.json").read_text("utf-8"))
IMPLEMENTACOES = {"homellm", "homellm, logits inteiros", "transformers", "llms-from-scratch"}


# ------------------------------------------------------------------ contas


def test_rodadas_alternam_a_ordem_e_a_primeira_nao_conta():
    ordem: list[str] = []

    def tarefa(nome):
        ordem.append(nome)
        return {"tudo": float(len(ordem))}

    medido = modelo.interleave({n: (lambda n=n: tarefa(n)) for n in "xyz"}, 2)
    assert "".join(ordem) == "xyz" + "yzx" + "zxy"
    assert medido == {"x": {"tudo": [6.0, 8.0]}, "y": {"tudo": [4.0, 9.0]}, "z": {"tudo": [5.0, 7.0]}}


def test_razao_se_faz_dentro_da_rodada_e_por_token():
    """Uma rodada dez vezes mais lenta para todos não muda a razão de ninguém."""
    segundos = {"homellm": [1.0, 10.0, 1.0], "par": [1.5, 15.0, 1.5]}
    tabela = modelo.compare(segundos, {"homellm": 100, "par": 50})
    assert tabela["par"]["razao"] == {"mediana": 3.0, "min": 3.0, "max": 3.0}
    assert tabela["par"]["segundos"] == {"mediana": 1.5, "min": 1.5, "max": 15.0}
    assert (tabela["homellm"]["tokens_por_segundo"], tabela["par"]["tokens_por_segundo"]) == (100.0, 33.33)


def test_tabela_alinhada():
    texto = modelo.format_table(["", "razão"], [["homellm", "1,00"], ["um nome comprido", "12,30"]])
    linhas = texto.split("\n")
    assert linhas[1] == "homellm            1,00" and linhas[2] == "um nome comprido  12,30"
    assert len({len(linha) for linha in linhas}) == 1


def test_par_ausente_diz_como_instalar(monkeypatch, capsys):
    monkeypatch.setattr(modelo, "PEERS", {"json": "nada", "um_par_que_nao_existe": "pip install um-par"})
    faltam = modelo.missing_peers(modelo.PEERS)
    assert len(faltam) == 1 and "um_par_que_nao_existe" in faltam[0] and "pip install um-par" in faltam[0]
    monkeypatch.setattr(modelo, "missing_peers", lambda: faltam)
    assert modelo.main([]) == 1
    saida = capsys.readouterr()
    assert saida.out == "" and saida.err.strip() == faltam[0]


def test_o_pacote_do_outro_livro_tem_comando_de_instalacao():
    assert "pip install --no-deps llms-from-scratch" in modelo.PEERS.values()
    assert all("pip install" in comando and comando in modelo.__doc__ for comando in modelo.PEERS.values())


# ------------------------------------------------------------------ implementações


def test_transformers_com_os_nossos_pesos_da_os_nossos_logits_e_a_perda_deles():
    torch.manual_seed(0)
    nosso, par = modelo.build_homellm(PEQUENA), modelo.build_transformers(PEQUENA)
    modelo.copy_weights(nosso.model, "transformers", par.model)
    ids, _ = modelo.random_batch(PEQUENA)
    with torch.no_grad():
        torch.testing.assert_close(par.logits(ids), nosso.logits(ids), rtol=0, atol=1e-5)
    esperada = modelo.next_token_loss(nosso.logits(ids)[:, :-1], ids[:, 1:])
    torch.testing.assert_close(par.loss(ids, None), esperada)


def test_nomes_do_gptmodel_cobrem_os_nossos_tensores():
    """Sem o pacote: cada número nosso vai para um lugar, com Q, K e V separados e a saída à parte."""
    nosso = GPT(PEQUENA.config)
    deles = modelo.raschka_tensors(dict(nosso.named_parameters()), PEQUENA.n_layers)
    tabela = PEQUENA.vocab_size * PEQUENA.emb_dim
    assert sum(t.numel() for t in deles.values()) == nosso.num_params() + tabela
    qkv = nosso.blocks[1].attention.qkv.weight
    partes = [deles[f"trf_blocks.1.att.W_{nome}.weight"] for nome in ("query", "key", "value")]
    assert torch.equal(torch.cat(partes), qkv)


def test_gptmodel_da_os_nossos_logits():
    pytest.importorskip("llms_from_scratch", reason="pip install --no-deps llms-from-scratch")
    torch.manual_seed(0)
    nosso, par = modelo.build_homellm(PEQUENA), modelo.build_raschka(PEQUENA)
    modelo.copy_weights(nosso.model, "llms-from-scratch", par.model)
    ids, alvos = modelo.random_batch(PEQUENA)
    with torch.no_grad():
        torch.testing.assert_close(par.logits(ids), nosso.logits(ids), rtol=0, atol=1e-5)
    torch.testing.assert_close(par.loss(ids, alvos), nosso.loss(ids, alvos))


def test_passo_de_treino_mede_as_partes_e_muda_os_pesos():
    torch.manual_seed(0)
    item = modelo.build_homellm(PEQUENA)
    antes = item.model.head.weight.detach().clone()
    tempos = modelo.training_task(item, PEQUENA, iter(range(100)).__next__)()
    assert tempos == {"ida e volta": 1, "otimizador": 1, "otimizador AdamW comum": 1}
    assert not torch.equal(item.model.head.weight, antes)
    assert all(p.grad is None for p in item.model.parameters())


def test_as_variantes_do_nosso_modelo_dao_a_mesma_perda():
    torch.manual_seed(0)
    item = modelo.build_homellm(PEQUENA)
    lote = modelo.random_batch(PEQUENA)
    inteira = modelo.whole_logits_loss(item.model, lote)
    torch.testing.assert_close(item.loss(*lote), inteira)
    torch.testing.assert_close(modelo.bf16_loss(item.model, lote).float(), inteira, rtol=2e-2, atol=0)


@pytest.mark.skipif(sys.platform != "linux", reason="a memória se lê em /proc")
def test_pico_de_memoria_e_ao_menos_o_dos_pesos_e_dos_momentos():
    forma = replace(PEQUENA, vocab_size=30_000, emb_dim=64)
    medido = modelo.peak_memory("homellm", forma)
    assert medido["treino_mb"] == pytest.approx(medido["pico_mb"] - medido["antes_mb"], abs=1)
    pesos = 4 * GPT(forma.config).num_params() / 1e6
    assert 0 < medido["antes_mb"] and medido["pico_mb"] > 4 * pesos  # pesos, gradiente e dois momentos


# ------------------------------------------------------------------ o arquivo da página


def test_arquivo_diz_a_maquina_e_o_metodo():
    maquina = DADOS["maquina"]
    assert maquina["processador"].strip() and maquina["nucleos"] >= 1 and maquina["fios"] == 1
    assert maquina["relogio"] == "CPU" and maquina["torch"] and maquina["data"].count("-") == 2
    assert DADOS["repeticoes"] >= 5
    formas = {nome: vars(forma) for nome, forma in modelo.SHAPES.items()}
    assert DADOS["formas"] == formas


@pytest.mark.parametrize("chave", ["ida_e_volta", "passo", "bf16", "geracao", "saida"])
def test_toda_medida_tem_mediana_faixa_e_razao(chave):
    assert DADOS[chave]
    for tabela in DADOS[chave].values():
        assert next(iter(tabela)) == "homellm" and len(tabela) > 1
        assert tabela["homellm"]["razao"] == {"mediana": 1.0, "min": 1.0, "max": 1.0}
        for linha in tabela.values():
            for tres in (linha["segundos"], linha["razao"]):
                assert 0 < tres["min"] <= tres["mediana"] <= tres["max"]
            vezes = linha["tokens"] / linha["segundos"]["mediana"]
            assert linha["tokens_por_segundo"] == pytest.approx(vezes, rel=2e-3)


def test_arquivo_tem_as_formas_e_as_implementacoes_que_a_pagina_mostra():
    for chave in ("ida_e_volta", "passo", "memoria"):
        assert list(DADOS[chave]) == ["a", "b"]
        for tabela in DADOS[chave].values():
            assert IMPLEMENTACOES <= set(tabela)
    assert "transformers, AdamW fundido" in DADOS["passo"]["a"]
    assert list(DADOS["geracao"]) == list(DADOS["saida"]) == ["b", "124M"]
    for tabela in DADOS["geracao"].values():
        assert {"transformers", "homellm, sem cache", "llms-from-scratch, sem cache"} <= set(tabela)
    assert all("matriz (V, C)" in tabela for tabela in DADOS["saida"].values())


def test_conferencia_gravada_deu_certo():
    assert list(DADOS["conferencia"]) == ["a", "b"]
    for linhas in DADOS["conferencia"].values():
        assert set(linhas) == {"homellm", "transformers", "llms-from-scratch"}
        assert all(linha["diferenca_logits"] < 1e-4 for linha in linhas.values())


def test_memoria_gravada_e_coerente():
    for tabela in DADOS["memoria"].values():
        nossa = tabela["homellm"]["treino_mb"]
        for linha in tabela.values():
            assert linha["treino_mb"] == pytest.approx(linha["pico_mb"] - linha["antes_mb"], abs=1)
            assert linha["razao"] == pytest.approx(nossa / linha["treino_mb"], abs=2e-3)


def test_relatorio_mostra_tudo_o_que_o_arquivo_tem():
    texto = modelo.report(DADOS)
    for titulo in modelo.TITLES.values():
        assert titulo in texto
    assert DADOS["maquina"]["processador"] in texto and texto.count("memória do passo de treino") == 2
    assert all(aviso in texto for aviso in DADOS["avisos"])


# ------------------------------------------------------------------ contos-mini


def test_medidas_gravadas_do_contos_mini():
    medidas = json.loads((REPO / "data/modelos/contos-mini/medidas.json").read_text("utf-8"))
    gpt, *ngramas = medidas.values()
    assert list(gpt) == list(ngramas[0]) and len(ngramas) == 4
    assert all(gpt[nome] < min(linha[nome] for linha in ngramas) for nome in gpt)
    assert max(gpt["romance-casaVelha"], gpt["romance-maoLuva"]) < 1.7


# ------------------------------------------------------------------ historias-mini


def test_medidas_gravadas_do_historias_mini():
    pasta = REPO / "data/modelos/historias-mini"
    cartao = (pasta / "README.md").read_text("utf-8")
    tudo = json.loads((pasta / "medidas.json").read_text("utf-8"))
    for medidas in tudo.values():
        assert medidas["conhecidas"]["elenco"]["media"] <= medidas["gerador"]["conhecidas"]["elenco"]
        dele, do_outro = medidas["bits_por_byte"], medidas["contos-mini"]["bits_por_byte"]
        assert [n for n in dele if dele[n] < do_outro[n]] == ["conhecidas"]
    for grupo in ("conhecidas", "ineditas"):  # o cartão diz as do teste
        assert f"{100 * tudo['test'][grupo]['elenco']['media']:.1f}%".replace(".", ",") in cartao


# ------------------------------------------------------------------ classificadores

classificadores = carrega("classificadores")
TEXTOS = [Labeled(t, r, f, "test", n) for t, r, f, n in (
    ("a", "spam", "x", "simples"), ("b", "spam", "x", "simples"),
    ("c", "ham", "y", "dificil"), ("d", "ham", "z", "dificil"),
)]  # fmt: skip


def test_acertos_por_nivel_e_diferenca_pareada_a_mao():
    um, outro = ["spam", "ham", "ham", "ham"], ["ham", "ham", "ham", "spam"]
    medido = classificadores.scores(TEXTOS, um, ("ham", "spam"))
    assert medido == {"acurácia": 0.75, "F1": 0.666667, "simples": 0.5, "dificil": 1.0}
    diferenca = classificadores.paired(TEXTOS, um, outro)
    # por texto: 1, 0, 0, 1; por família: 1/2, 0, 1
    assert diferenca == {"diferença": 0.5, "erro por texto": 0.2887, "erro por família": 0.2887}


@pytest.mark.parametrize("nome", ["spam-mini", "sentimento-mini"])
def test_medidas_gravadas_dos_classificadores(nome):
    medidas = json.loads((REPO / f"data/modelos/{nome}/medidas.json").read_text("utf-8"))
    treinos = medidas["treinos"]
    modos = {"por inteiro", "dois blocos", "LoRA", "do zero"}
    assert set(treinos) == (modos if nome == "spam-mini" else {"por inteiro"})
    inteiro = treinos["por inteiro"][0]["exposição"]
    for corridas in treinos.values():
        assert [corrida["semente"] for corrida in corridas] == [0, 1, 2]
        for corrida in corridas:  # a mesma exposição em todos os modos
            vista = corrida["exposição"]
            assert all(vista[campo] == inteiro[campo] for campo in ("épocas", "textos"))
            assert vista["números"] <= inteiro["números"]
            assert len(corrida["perda na validação"]) == vista["épocas"]
    cartao = (REPO / f"data/modelos/{nome}/README.md").read_text("utf-8")
    for quem in (medidas["modelo"], *medidas["linhas de base"].values()):
        for nivel in ("acurácia", "simples", "dificil"):
            assert f"{quem['teste'][nivel]:.3f}".replace(".", ",") in cartao, nivel


@pytest.mark.parametrize("nome", ["spam-mini", "sentimento-mini"])
def test_as_mensagens_comuns_nao_estao_no_treino(nome):
    comuns = json.loads(classificadores.COMMON.read_text("utf-8"))[nome]
    medidas = json.loads((REPO / f"data/modelos/{nome}/medidas.json").read_text("utf-8"))
    assert [texto for texto, _ in comuns] == medidas["comuns"]["textos"] and len(comuns) == 30

    def letras(texto: str) -> str:
        return "".join(filter(str.isalnum, texto.lower()))

    treino = {letras(linha.texto) for linha in load_table(classificadores.CLASSIFIERS[nome].table, "train")}
    assert not treino & {letras(texto) for texto, _ in comuns}


# ------------------------------------------------------------------ pedaços e letras


def test_medidas_gravadas_de_pedacos_e_letras():
    medidas = json.loads((REPO / "data/pedacos-letras.json").read_text("utf-8"))
    familias = {"plural", "copiar", "maiusculas"}
    for lado in ("pedaços", "letras"):
        tentadas, sementes = medidas[lado]["taxas tentadas"], medidas[lado]["sementes"]
        assert len({treino["taxa"] for treino in tentadas}) == 3
        assert [treino["semente"] for treino in sementes] == [0, 1, 2]
        melhor = max(treino["média na validação"] for treino in tentadas)
        assert sementes[0] in tentadas and sementes[0]["média na validação"] == melhor
        assert len({treino["taxa"] for treino in sementes}) == 1
        for treino in tentadas + sementes:  # três épocas dos mesmos pares
            assert set(treino["treino"]) == set(treino["validação"]) == familias
            assert treino["passos"] == sementes[0]["passos"] and treino["alvos"] == sementes[0]["alvos"]


# ------------------------------------------------------------------ escala

escala = carrega("escala")


def test_no_orcamento_do_meio_vale_a_melhor_taxa_do_primeiro_e_nada_se_repete():
    plano, feitos, ordem = escala.REHEARSAL, {}, []
    for nome, config, orcamento, taxa in escala.runs(plano, feitos):
        ordem.append(((config.emb_dim, config.n_layers), orcamento, taxa))
        feitos[nome] = {"bits": 1.0 if taxa == 6e-3 else 2.0}
    (pouco, (pequeno, medio)), (meio, _), (muito, (grande,)) = plano.grid
    assert ordem == [
        *((tamanho, pouco, taxa) for tamanho in (pequeno, medio) for taxa in plano.rates),
        (medio, meio, 6e-3),
        *((grande, muito, taxa) for taxa in plano.rates),
    ]
    assert not list(escala.runs(plano, feitos))


def test_cada_treino_gasta_o_orcamento_a_menos_de_um_passo():
    plano = escala.Plan()
    for orcamento, tamanhos in plano.grid:
        for tamanho in tamanhos:
            config = plano.config(*tamanho)
            passo = 3 * config.flops_per_token() * plano.batch_size * plano.context_length
            assert abs(plano.steps(config, orcamento) * passo - orcamento) <= passo / 2
            assert plano.steps(config, orcamento) > 100


def test_medidas_gravadas_da_escala():
    dados, plano = json.loads((REPO / "data/escala.json").read_text("utf-8")), escala.Plan()
    corridas = dados["corridas"]
    pares = {(c["orcamento"], c["emb_dim"], c["blocos"]) for c in corridas}
    pedidos = {(orcamento, *tamanho) for orcamento, tamanhos in plano.grid for tamanho in tamanhos}
    assert pares == pedidos and len({c["orcamento"] for c in corridas}) >= 3
    for c in corridas:
        config = plano.config(c["emb_dim"], c["blocos"])
        assert c["parametros"] == GPT(config).num_params() and 1 < c["bits"] < 6
        assert c["tokens"] == c["passos"] * plano.batch_size * plano.context_length
        assert c["passos"] == plano.steps(config, c["orcamento"])


# ------------------------------------------------------------------ a máscara


def test_medidas_gravadas_da_mascara():
    lados = json.loads((REPO / "data/mascara.json").read_text("utf-8"))["lados"]
    assert set(lados) == {"só a resposta", "tudo", "AdamW, só a resposta"}
    for medido in lados.values():
        assert len(medido["tokens"]) == len(medido["resposta"]) == len(medido["pedido"]) > 5
        assert medido["tokens"] == sorted(medido["tokens"]) and min(medido["pedido"]) > 2


def test_resposta_e_pedido_repartem_os_tokens_sem_sobra():
    mascara = carrega("mascara")
    itens = [(torch.arange(5), torch.tensor([False, False, True, False, True]))]
    partes = mascara.parts(itens)
    (ids, resposta), (_, pedido) = partes["resposta"][0], partes["pedido"][0]
    assert torch.equal(ids, itens[0][0]) and bool((resposta ^ pedido).all())


# ------------------------------------------------------------------ o navegador


def test_medidas_gravadas_do_navegador():
    """Cinco rodadas ou mais de cada lado, e ao menos cem tokens por segundo na página."""
    medido = json.loads((REPO / "data/navegador.json").read_text("utf-8"))
    assert medido["navegador"].startswith("Chromium ") and medido["tokens"] == 200
    for oque in ("gerar", "ler"):
        navegador, pacote = medido[oque]["navegador"], medido[oque]["pacote"]
        assert len(navegador) == len(pacote) >= 5
        assert 0 < min(navegador) <= max(navegador) < max(pacote)
    assert median(medido["gerar"]["navegador"]) >= 100
