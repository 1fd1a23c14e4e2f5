"""As receitas: o que cada modelo lê (e o que não), os comandos, e os modelos que vêm com o pacote."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import unicodedata
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from brinquedo import REPO
from homellm import recipes
from homellm.classification import Prediction, classification_report, load_classifier, predict
from homellm.corpus import Dialogue, Instruction, data_path, load_table, load_text
from homellm.instruction import (
    Chat,
    byte_tokenizer,
    respond,
    respond_all,
    score_families,
)
from homellm.model import GPT, GPTConfig
from homellm.recipes import (
    CLASSIFIERS,
    LETTERS,
    SYSTEM_LINES,
    LettersRecipe,
    base_corpus,
    chain_rows,
    load_labeled,
    main,
    new_lists,
    train_classifier,
    train_letters,
    training_rows,
)
from homellm.tokenizer import END, BPETokenizer
from homellm.training import TrainConfig
from homellm.weights import find_model, load_pretrained, save_pretrained

pytestmark = pytest.mark.usefixtures("one_thread")

TOK = byte_tokenizer()
TOKENIZER = BPETokenizer.train("o pão da padaria e o prêmio da loteria, pague já", 280)


def pair(request: str, answer: str, entrada: str = "", family: str = "f") -> Instruction:
    return Instruction(request, entrada, answer, family, "train")


def tiny_gpt() -> GPT:
    torch.manual_seed(0)
    return GPT(GPTConfig(TOKENIZER.vocab_size, context_length=24, emb_dim=12, n_heads=3, n_layers=3))


# --- os comandos ----------------------------------------------------------------------------------------


ROWS = [pair("Troque.", answer, word) for word, answer in (("sol", "LUA"), ("rio", "MAR"), ("pão", "PÃES"))]


@pytest.fixture
def small(monkeypatch) -> LettersRecipe:
    """Um modelo de letras minúsculo, e poucos registros."""
    monkeypatch.setattr(recipes, "training_rows", lambda: ROWS)
    monkeypatch.setattr(recipes, "base_corpus", lambda: ["um texto que se repete\n" * 60])
    lists = [pair("Copie.", "sol, mar", "sol, mar", "copiar")]
    monkeypatch.setattr(recipes, "load_table", lambda name, split: ROWS * 2 + lists)
    model = GPTConfig(260, 512, 8, 1, 1)
    return LettersRecipe(model, base_steps=2, steps=2, batch_tokens=512, new_lists=3)


def test_o_modelo_de_letras_tem_tres_fases_e_de_novo_nao_refaz_nenhuma(small, tmp_path, capsys) -> None:
    assert train_letters(tmp_path, small)
    said = capsys.readouterr().out
    assert "base: perda" in said and said.count("passo 2: f 0,00") == 2
    first, second = (load_pretrained(tmp_path / name)[0] for name in ("letras", "modelo"))
    assert second.config == small.model
    assert any(not torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    before = (tmp_path / "modelo" / "model.safetensors").read_bytes()
    assert train_letters(tmp_path, small)
    assert "passo" not in capsys.readouterr().out  # não havia passo a dar
    assert (tmp_path / "modelo" / "model.safetensors").read_bytes() == before


def test_interrompido_em_cada_fase_da_o_mesmo_modelo(small, tmp_path, capsys, monkeypatch) -> None:
    assert train_letters(tmp_path / "inteiro", small)
    real, calls = recipes.train, []

    def ctrl_c(*args, **kwargs):
        calls.append(1)
        if len(calls) == 1:
            kwargs["on_eval"] = lambda step, model: signal.raise_signal(signal.SIGINT)
        return real(*args, **kwargs)

    monkeypatch.setattr(recipes, "train", ctrl_c)  # a primeira fase
    assert not train_letters(tmp_path / "partes", small)
    assert not (tmp_path / "partes" / "letras").exists()
    answers, stops = recipes.respond_all, []

    def ctrl_c_once(*args, **kwargs):
        stops.append(1)
        if len(stops) in (1, 4):  # no começo de cada ajuste
            signal.raise_signal(signal.SIGINT)
        return answers(*args, **kwargs)

    monkeypatch.setattr(recipes, "respond_all", ctrl_c_once)
    finished = [train_letters(tmp_path / "partes", small) for _ in range(3)]
    assert finished[-1] and not all(finished)
    for name in ("letras", "modelo"):
        one, other = (tmp_path / way / name / "model.safetensors" for way in ("inteiro", "partes"))
        assert one.read_bytes() == other.read_bytes()


def test_o_comando_das_letras_entrega_os_argumentos(tmp_path, monkeypatch, capsys) -> None:
    seen = []
    monkeypatch.setattr(recipes, "train_letters", lambda *args: seen.append(args) or len(seen) > 1)
    arguments = ["letras-mini", "--saida", str(tmp_path), "--passos-base", "3", "--passos", "4"]
    main([*arguments, "--taxa", "0.1", "--lote", "64"])
    assert "interrompido; chame de novo" in capsys.readouterr().out
    assert seen == [(tmp_path, LettersRecipe(LETTERS, 3, 4, 0.1, 64))]
    main(arguments)
    assert f"modelo em {tmp_path / 'modelo'}" in capsys.readouterr().out


def test_o_comando_do_classificador_treina_guarda_e_nao_recomeca(tmp_path, monkeypatch, capsys) -> None:
    save_pretrained(tiny_gpt(), TOKENIZER, tmp_path / "gpt")
    monkeypatch.setattr(recipes, "load_table", lambda name, split: load_table(name, split)[:60:6])
    arguments = ["sentimento-mini", "--saida", str(tmp_path / "saida"), "--de", str(tmp_path / "gpt")]
    main(arguments)
    said = capsys.readouterr().out
    assert "validação:" in said and f"modelo em {tmp_path / 'saida' / 'modelo'}" in said
    model, tokenizer = load_classifier(tmp_path / "saida" / "modelo")
    assert model.labels == CLASSIFIERS["sentimento-mini"].labels
    assert all(isinstance(p, Prediction) for p in predict(model, tokenizer, ["gostei", "odiei"]))
    before = (tmp_path / "saida" / "modelo" / "model.safetensors").read_bytes()
    main(arguments)
    assert (tmp_path / "saida" / "modelo" / "model.safetensors").read_bytes() == before


@pytest.mark.parametrize("arguments", [[], ["outra-coisa", "--saida", "x"], ["spam-mini"], ["contos-mini"]])
def test_o_comando_recusa_o_que_nao_conhece(arguments, capsys, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as error:
        main(arguments)
    assert error.value.code == 2 and "homellm.recipes" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


# --- vazamento ------------------------------------------------------------------------------------------


def plain(text: str) -> str:
    text = "".join(c for c in unicodedata.normalize("NFD", text.lower()) if not unicodedata.combining(c))
    return re.sub(r"\d", "0", re.sub(r"\W+", " ", text)).strip()


def grams(text: str, size: int = 5) -> set[str]:
    return {text[i : i + size] for i in range(max(1, len(text) - size + 1))}


def texts(row: Instruction | Dialogue) -> list[str]:
    if isinstance(row, Dialogue):
        return [f"{user} {assistant}" for user, assistant in row.turnos]
    return [f"{row.instrucao} {row.entrada}"]


def test_a_base_so_le_contos_de_treino_e_ecos_de_palavras_de_treino() -> None:
    words = {word for row in load_table("regras", "train") for word in row.entrada.split(", ")}
    stories = {story.document for story in load_table("contos", "train")}
    documents = base_corpus()
    assert stories <= set(documents) and documents == base_corpus() != base_corpus(seed=1)
    for text in set(documents) - stories:
        for echo in text.split(END):
            lines = echo.split("\n")
            assert 2 <= len(lines) <= 4 and len(set(lines)) == 1 and set(lines[0].split(" ")) <= words


def test_o_modelo_so_viu_o_split_de_treino() -> None:
    rows = training_rows()
    assert {row.split for row in rows} == {"train"}
    assert len(rows) == sum(len(load_table(name, "train")) for name in ("regras", "instrucoes", "conversas"))


def held_out(*names: str) -> list[Instruction | Dialogue]:
    return [row for name in names for split in ("validation", "test") for row in load_table(name, split)]


def test_os_pares_encadeados_sao_os_mesmos_cada_um_uma_vez() -> None:
    rows = [row for row in training_rows() if row.familia in RULES]
    chains = chain_rows(rows)
    pairs = [(f"{row.instrucao}\n{row.entrada}", row.resposta) for row in rows]
    assert sorted(turn for chain in chains for turn in chain.turnos) == sorted(pairs)
    assert {len(chain.turnos) for chain in chains[:-1]} == set(range(2, 11)) and len(chains[-1].turnos) <= 10
    lines = Counter(chain.sistema for chain in chains)
    assert set(lines) == {"", *SYSTEM_LINES} and abs(lines[""] / len(chains) - 0.5) < 0.05
    assert {chain.split for chain in chains} == {"train"}
    assert chains == chain_rows(rows) != chain_rows(rows, seed=1)


def test_as_listas_novas_so_tem_palavras_de_treino_e_a_resposta_certa() -> None:
    rules = load_table("regras", "train")
    words = {word for row in rules for word in row.entrada.split(", ")}
    wordings = {(row.familia, row.instrucao) for row in rules}
    lists = new_lists(rules, 300)
    for row in lists:
        assert set(row.entrada.split(", ")) <= words and (row.familia, row.instrucao) in wordings
        assert row.resposta == {"copiar": row.entrada, "maiusculas": row.entrada.upper()}[row.familia]
    assert len(lists) == 300 and len({row.entrada for row in lists}) > 290
    assert {row.entrada.count(",") for row in lists} == {1, 2} and lists == new_lists(rules, 300)


def test_nenhuma_instrucao_separada_nem_quase_igual_esta_no_treino() -> None:
    seen = [grams(plain(text)) for row in training_rows() if row.familia not in RULES for text in texts(row)]
    where = defaultdict(list)  # 5-grama → textos de treino que o têm
    for n, theirs in enumerate(seen):
        for gram in theirs:
            where[gram].append(n)
    compared = 0
    for row in held_out("instrucoes", "conversas"):
        for text in texts(row):
            mine = grams(plain(text))
            if len(mine) < 15:  # “e depois?”: curto demais para ser de alguém
                continue
            common = Counter(n for gram in mine for n in where[gram])
            compared += 1
            for n, size in common.items():
                assert size / (len(mine) + len(seen[n]) - size) < 0.5, text
    assert compared > 200


RULES = {row.familia for row in load_table("regras")}


def test_nenhuma_palavra_separada_nem_forma_dela_esta_nos_pares_de_treino() -> None:
    """As sílabas soltas da separação não contam: “sol” é palavra e é sílaba."""

    def entries(rows) -> set[str]:
        return {word for row in rows for word in re.findall(r"\w+", row.entrada.lower())}

    def answers(rows) -> set[str]:
        shown = (row for row in rows if row.familia not in ("separar-silabas", "soletrar"))
        return {word for row in shown for word in re.findall(r"[^\W\d]{2,}", row.resposta.lower())}

    train, separate = load_table("regras", "train"), held_out("regras")
    assert len(entries(separate)) > 350
    assert not entries(separate) & (entries(train) | answers(train))
    forms = {row.resposta for row in separate if row.familia in ("plural", "feminino")}
    assert len(forms) > 300 and not forms & (entries(train) | answers(train))


def runs(text: str) -> set[tuple[str, ...]]:
    words = plain(text).split()
    return {tuple(words[i : i + 7]) for i in range(len(words) - 6)}


@pytest.fixture(scope="module")
def held_out_runs() -> set[tuple[str, ...]]:
    """Toda sequência de sete palavras de um pedido, de uma fala ou de uma resposta que não são de treino."""
    rows = held_out("regras", "instrucoes", "conversas")
    answers = [row.resposta for row in rows if isinstance(row, Instruction)]
    found = set().union(*(runs(text) for row in rows for text in texts(row)), *map(runs, answers))
    assert len(found) > 5000
    return found


def test_nenhum_trecho_das_instrucoes_separadas_esta_nos_contos(held_out_runs) -> None:
    assert not held_out_runs & runs(load_text("contos", "train"))


def test_nem_nos_romances_que_o_contos_mini_leu(held_out_runs) -> None:
    folder = os.environ.get("HOMELLM_ROMANCES")
    if not folder:
        pytest.skip("os romances não vêm com o livro; aponte HOMELLM_ROMANCES para a pasta deles")
    files = sorted(Path(folder).rglob("*.txt"))
    assert files
    for path in files:
        assert not held_out_runs & runs(path.read_text("utf-8-sig")), path.name


# --- o modelo que vem com o pacote ----------------------------------------------------------------------

GOALS = {"plural": 0.85, "copiar": 0.90, "maiusculas": 0.90}


@pytest.fixture(scope="module")
def shipped() -> tuple[GPT, BPETokenizer]:
    return load_pretrained("letras-mini")


def test_o_modelo_de_letras_cabe_e_traz_cartao(shipped) -> None:
    folder = data_path("modelos/letras-mini/config.json").parent
    assert sum(path.stat().st_size for path in folder.iterdir()) < 10 * 2**20
    card = (folder / "README.md").read_text("utf-8")
    assert "## Para que não serve" in card and "python -m homellm.recipes letras-mini" in card
    assert f"{shipped[0].num_params():,}".replace(",", ".") in card


def test_o_modelo_de_letras_ve_letras_e_atinge_as_metas_em_palavras_novas(shipped) -> None:
    model, tokenizer = shipped
    assert tokenizer.tokens == TOK.tokens and tokenizer.special_tokens == TOK.special_tokens
    rows = [row for row in load_table("regras", "test") if row.familia in GOALS]
    scores = score_families(rows, respond_all(model, tokenizer, rows, max_new_tokens=64))
    assert {s.family for s in scores} == set(GOALS)
    card = (data_path("modelos/letras-mini/config.json").parent / "README.md").read_text("utf-8")
    for score in scores:
        assert score.exact >= GOALS[score.family], score
        printed = re.search(rf"(?m)^\| `{score.family}` \|.* ([\d,]+) \|$", card)[1]
        assert abs(float(printed.replace(",", ".")) - score.exact) < 0.02  # outra máquina, um ou dois itens


def test_o_modelo_de_letras_responde_a_uma_conversa_comprida_com_e_sem_linha_de_sistema(shipped) -> None:
    rows = [row for row in load_table("regras", "validation") if row.familia in GOALS]
    for system in ("", "Seja breve.", "Fale como um professor paciente."):  # a última não está no treino
        hits = []
        for start in range(0, 48, 6):
            chat = Chat(*shipped, system)
            for row in rows[start : start + 240 : 24]:
                hits.append(chat.send(f"{row.instrucao}\n{row.entrada}") == row.resposta)
        assert len(hits) == 80 and sum(hits) / len(hits) > 0.7

def test_o_modelo_de_letras_poe_em_maiusculas_o_que_vem_com_acentos_soltos(shipped) -> None:
    loose = unicodedata.normalize("NFD", "coração")
    assert loose != "coração"
    assert respond(*shipped, "Escreva em letras maiúsculas.", loose) == "CORAÇÃO"
    assert Chat(*shipped).send(f"Escreva em letras maiúsculas.\n{loose}") == "CORAÇÃO"
    row = pair("Escreva em letras maiúsculas.", "CORAÇÃO", loose)
    assert respond_all(*shipped, [row]) == ["CORAÇÃO"]


# --- os classificadores que vêm com o pacote ---------------------------------------------------------------

CARDS = {  # acurácia e F1 médio nos cartões: validação e teste
    "spam-mini": {"validation": (0.859, 0.857), "test": (0.845, 0.844)},
    "sentimento-mini": {"validation": (0.573, 0.563), "test": (0.591, 0.591)},
}


@pytest.mark.parametrize("name", sorted(CARDS))
def test_o_modelo_do_pacote_faz_o_que_o_cartao_diz(name) -> None:
    model, tokenizer = load_classifier(name)
    recipe = CLASSIFIERS[name]
    assert model.labels == recipe.labels
    card = (find_model(name) / "README.md").read_text("utf-8")
    for split, (accuracy, macro_f1) in CARDS[name].items():
        rows = load_table(recipe.table, split)
        guesses = [p.label for p in predict(model, tokenizer, [row.texto for row in rows])]
        report = classification_report([row.rotulo for row in rows], guesses, model.labels)
        assert report.accuracy == pytest.approx(accuracy, abs=0.01)
        assert report.macro_f1 == pytest.approx(macro_f1, abs=0.01)
        assert f"{accuracy:.3f}".replace(".", ",") in card


@pytest.mark.parametrize("name", sorted(CARDS))
def test_o_cartao_diz_para_que_nao_serve_e_o_modelo_e_pequeno(name) -> None:
    folder = find_model(name)
    card = (folder / "README.md").read_text("utf-8")
    assert "## Para que não serve" in card and "Não use este modelo" in card and name in card
    assert sum(path.stat().st_size for path in folder.iterdir()) < 5.3e6
    names = {path.name for path in folder.iterdir()}
    assert names - {"medidas.json"} == {"README.md", "config.json", "model.safetensors", "tokenizer.json"}


def test_o_modelo_do_pacote_se_carrega_de_outra_pasta(tmp_path) -> None:
    code = (
        "from homellm.classification import load_classifier, predict\n"
        "model, tokenizer = load_classifier('spam-mini')\n"
        "print(predict(model, tokenizer, ['oi mãe, chego às sete'])[0].label)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, encoding="utf-8",
        env={**os.environ, "PYTHONPATH": str(REPO)},
    )  # fmt: skip
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "ham", "")


def test_o_modelo_do_pacote_decide_o_vazio_o_longo_e_o_emoji() -> None:
    model, tokenizer = load_classifier("sentimento-mini")
    texts = ["", "🎁" * 40, "ótimo " * 3000, "Adorei."]
    empty, emoji, long, plain = predict(model, tokenizer, texts)
    assert plain.label == "positivo" and long == predict(model, tokenizer, ["ótimo " * 2000])[0]
    assert empty == predict(model, tokenizer, [""])[0] != emoji


def test_a_receita_nao_le_o_teste_e_repete_com_a_semente(monkeypatch) -> None:
    asked = []
    monkeypatch.setattr(
        recipes,
        "load_table",
        lambda name, split: asked.append(split) or load_table(name, split)[:40:7],
    )
    recipe = replace(CLASSIFIERS["spam-mini"], config=TrainConfig(epochs=1), batch_size=3)
    runs = [train_classifier(recipe, tiny_gpt(), TOKENIZER, seed=seed, progress=False) for seed in (3, 3, 4)]
    assert set(asked) == {"train", "validation"}
    losses = [history.step_loss for _, history in runs]
    assert losses[0] == losses[1] != losses[2] and runs[0][0].labels == ("ham", "spam")


def test_o_rotulo_de_outra_tabela_e_recusado() -> None:
    wrong = replace(CLASSIFIERS["spam-mini"], labels=("negativo", "positivo"))
    with pytest.raises(ValueError, match="rótulo 'ham' desconhecido|rótulo 'spam' desconhecido"):
        load_labeled(wrong, "train", TOKENIZER, 24)
