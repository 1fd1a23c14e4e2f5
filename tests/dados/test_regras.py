"""`data/palavras.tsv` e `data/regras.jsonl`: a lista, as exceções e a separação entre os splits."""

from __future__ import annotations

import json
import shutil
import subprocess
import unicodedata
from collections import Counter, defaultdict

import pytest

import regras
from ferramentas.livro import ErroDoLivro
from regras import (
    FONTES,
    INSTRUCOES,
    PALAVRAS,
    REGRAS,
    SPLITS,
    chave_alfabetica,
    gera,
    jsonl,
    le_palavras,
    termos,
)

LISTA = le_palavras()
POR_PALAVRA = {p.palavra: p for p in LISTA}
REGISTROS = [json.loads(linha) for linha in REGRAS.read_text("utf-8").splitlines()]

# escritos um a um: o que erra quem aplica a regra geral
PLURAIS = """
pão pães, cão cães, alemão alemães, capitão capitães, escrivão escrivães, catalão catalães,
tabelião tabeliães, mão mãos, irmão irmãos, cidadão cidadãos, cristão cristãos, órfão órfãos, órgão órgãos,
bênção bênçãos, grão grãos, sótão sótãos, chão chãos, leão leões, coração corações, avião aviões,
limão limões, botão botões, exceção exceções, lápis lápis, ônibus ônibus, pires pires, tênis tênis,
vírus vírus, oásis oásis, tórax tórax, simples simples, fóssil fósseis, réptil répteis, projétil projéteis,
míssil mísseis, fácil fáceis, útil úteis, frágil frágeis, barril barris, funil funis, cantil cantis,
gentil gentis, sutil sutis, infantil infantis, til tis, gol gols, animal animais, papel papéis, anel anéis,
anzol anzóis, lençol lençóis, túnel túneis, azul azuis, cônsul cônsules, caráter caracteres, hífen hifens,
pólen polens, abdômen abdomens, nêutron nêutrons, álbum álbuns, item itens, homem homens, som sons,
bom bons, comum comuns, mar mares, açúcar açúcares, repórter repórteres, hambúrguer hambúrgueres, luz luzes,
raiz raízes, juiz juízes, giz gizes, xadrez xadrezes, gás gases, mês meses, país países, inglês ingleses,
maçã maçãs, ímã ímãs, mãe mães, troféu troféus, degrau degraus, réu réus, herói heróis, álcool álcoois,
adeus adeuses
"""
FEMININOS = """
ator atriz, imperador imperatriz, réu ré, cão cadela, boi vaca, cavalo égua, bode cabra, galo galinha,
leão leoa, pavão pavoa, patrão patroa, leitão leitoa, irmão irmã, órfão órfã, cidadão cidadã, alemão alemã,
campeão campeã, anão anã, comilão comilona, ladrão ladra, herói heroína, rei rainha, príncipe princesa,
duque duquesa, conde condessa, barão baronesa, marquês marquesa, cônsul consulesa, sacerdote sacerdotisa,
profeta profetisa, monge monja, pai mãe, padrasto madrasta, padrinho madrinha, genro nora, compadre comadre,
cavaleiro amazona, cavalheiro dama, judeu judia, europeu europeia, plebeu plebeia, ateu ateia,
espanhol espanhola, português portuguesa, juiz juíza, mestre mestra, maestro maestrina, avô avó,
homem mulher, macho fêmea, elefante elefanta, bom boa, mau má, cru crua, nu nua, professor professora,
trabalhador trabalhadora, peru perua
"""
ANTONIMOS = """
mal bem, bem mal, bom mau, mau bom, melhor pior, maior menor, cedo tarde, sempre nunca, depressa devagar,
abrir fechar, nascer morrer, esquecer lembrar, aparecer desaparecer, fiel infiel, legal ilegal,
regular irregular, mortal imortal, previsível imprevisível, honesto desonesto, raso fundo, céu inferno,
regra exceção, vaia aplauso
"""
SILABAS = """
ca-chor-ro pás-sa-ro sa-ú-de á-gua qua-dro his-tó-ria ca-der-no cam-pa-i-nha ra-i-nha mo-i-nho ju-iz ra-iz
pa-ís ba-ú sa-í-da ru-im ru-í-na vi-ú-vo ci-ú-me po-e-ta te-a-tro co-e-lho na-vi-o di-a pi-a-no cri-an-ça
a-vi-ão ór-fão lin-gui-ça guer-ra pin-guim quei-jo prai-a fei-u-ra ba-lei-a ji-boi-a i-dei-a nas-cer
cres-cer pis-ci-na ex-ce-ção ex-ce-len-te rit-mo abs-tra-to ab-dô-men ad-vo-ga-do pneu psi-có-lo-go
subs-tan-ti-vo cons-tru-ir ins-tru-men-to trans-pa-ren-te e-xa-me tá-xi o-xi-gê-nio car-ro pês-se-go fi-lho
u-nha pro-fes-sor de-sor-dem a-ma-nhã cui-da-do au-to-mó-vel res-tau-ran-te sé-cu-lo gê-meo né-voa ré-gua
es-tá-tua á-rea pe-tró-leo su-per-fí-cie
"""


def casos(texto: str) -> list[tuple[str, str]]:
    return [tuple(par.split()) for par in texto.split(",")]


@pytest.mark.parametrize(
    ("campo", "texto"), [("plural", PLURAIS), ("feminino", FEMININOS), ("antonimo", ANTONIMOS)]
)
def test_as_excecoes_estao_certas(campo, texto):
    tidos = {palavra: getattr(POR_PALAVRA[palavra], campo) for palavra, _ in casos(texto)}
    assert tidos == dict(casos(texto))


def test_as_silabas_sao_as_da_norma():
    esperadas = {s.replace("-", ""): s for s in SILABAS.split()}
    tidas = {p: POR_PALAVRA[p].silabas for p in esperadas}
    assert tidas == esperadas


class TestLista:
    def test_tem_tamanho_e_ordem(self):
        assert len(LISTA) >= 1700
        assert [p.palavra for p in LISTA] == sorted((p.palavra for p in LISTA), key=chave_alfabetica)
        assert {p.classe for p in LISTA} == set(regras.CLASSES)

    def test_tamanho_dos_splits(self):
        conta = Counter(p.split for p in LISTA)
        for split, meta in zip(SPLITS, (0.85, 0.075, 0.075), strict=True):
            assert conta[split] / len(LISTA) == pytest.approx(meta, abs=0.005)
        for classe in ("substantivo", "adjetivo", "verbo"):
            assert {p.split for p in LISTA if p.classe == classe} == set(SPLITS)

    def test_nenhuma_forma_esta_em_dois_splits(self):
        splits = defaultdict(set)
        for p in LISTA:
            for forma in p.formas:
                splits[forma].add(p.split)
        assert {f: s for f, s in splits.items() if len(s) > 1} == {}

    def test_toda_silaba_tem_vogal(self):
        for p in LISTA:
            for silaba in p.silabas.split("-"):
                sem_acento = unicodedata.normalize("NFD", silaba)
                assert set(sem_acento) & set("aeiou"), p.silabas

    def test_letras_dobradas_e_digrafos_se_separam_como_devem(self):
        for p in LISTA:
            for errado in ("rr", "ss", "sc", "sç", "xc", "c-h", "l-h", "n-h", "q-u", "--"):
                assert errado not in p.silabas, p

    def test_os_campos_sao_os_da_classe(self):
        for p in LISTA:
            if p.classe in ("verbo", "advérbio"):
                assert not p.plural and not p.feminino, p
            if p.classe == "verbo":
                assert p.palavra.endswith(("ar", "er", "ir")), p
            if p.classe == "adjetivo":
                assert p.plural, p

    def test_plurais_terminam_como_plurais(self):
        for p in LISTA:
            if p.plural and p.plural != p.palavra:
                assert p.plural.endswith("s"), p
            if p.palavra.endswith("ão") and p.plural:
                assert p.plural.endswith(("ões", "ães", "ãos")), p

    def test_antonimos_valem_nos_dois_sentidos(self):
        for p in LISTA:
            outra = POR_PALAVRA.get(p.antonimo)
            if outra:
                assert outra.antonimo == p.palavra and outra.classe == p.classe, p

    @pytest.mark.skipif(not shutil.which("hunspell"), reason="sem hunspell")
    def test_ortografia(self):
        formas = sorted({f for p in LISTA for f in p.formas})
        feito = subprocess.run(
            ["hunspell", "-d", "pt_BR", "-i", "utf-8", "-l"],
            input="\n".join(formas), capture_output=True, encoding="utf-8", check=False,
        )  # fmt: skip
        if feito.returncode:
            pytest.skip("sem o dicionário pt_BR")
        assert set(feito.stdout.split()) <= {"irracionais"}  # certa; falta no dicionário


class TestRegistros:
    def test_o_arquivo_e_o_que_a_lista_gera(self):
        assert jsonl(gera(LISTA)) == REGRAS.read_bytes()

    def test_outra_semente_da_outro_arquivo(self):
        assert gera(LISTA, semente=1) != REGISTROS

    def test_contagens(self):
        assert len(REGISTROS) >= 14_000
        conta = Counter((r["familia"], r["split"]) for r in REGISTROS)
        assert set(conta) == {(f, s) for f in FONTES for s in SPLITS}
        assert min(conta.values()) >= 50

    def test_esquema(self):
        for r in REGISTROS:
            assert list(r) == ["instrucao", "entrada", "resposta", "familia", "split"]
            assert all(isinstance(v, str) and v == v.strip() and v for v in r.values())
        assert unicodedata.is_normalized("NFC", REGRAS.read_text("utf-8"))

    def test_os_pares_sao_unicos(self):
        assert len({(r["instrucao"], r["entrada"]) for r in REGISTROS}) == len(REGISTROS)

    def test_cada_familia_tem_de_tres_a_seis_redacoes_suas(self):
        usadas = defaultdict(set)
        for r in REGISTROS:
            usadas[r["familia"]].add(r["instrucao"])
        assert {f: set(redacoes) for f, redacoes in INSTRUCOES.items()} == usadas
        assert all(3 <= len(redacoes) <= 6 for redacoes in usadas.values())
        assert sum(len(redacoes) for redacoes in usadas.values()) == len(set().union(*usadas.values()))

    def test_nenhuma_palavra_atravessa_os_splits(self):
        """Nem como entrada, nem como resposta, nem dentro de uma instrução; nem as formas derivadas."""
        formas = {s: {f for p in LISTA if p.split == s for f in p.formas} for s in SPLITS}
        for r in REGISTROS:
            tudo = set(termos(f"{r['instrucao']} {r['entrada']} {r['resposta']}"))
            dos_outros = SPLITS[1:] if r["split"] == "train" else set(SPLITS[1:]) - {r["split"]}
            for outro in dos_outros:
                assert not tudo & formas[outro], r
            if r["split"] != "train":
                assert not set(termos(f"{r['entrada']} {r['resposta']}")) & formas["train"], r

    def test_as_respostas_seguem_a_regra(self):
        """As regras ditas de outro modo que no gerador."""
        for r in REGISTROS:
            entrada, resposta = r["entrada"], r["resposta"]
            match r["familia"]:
                case "copiar":
                    assert resposta == entrada
                case "maiusculas":
                    assert resposta.isupper() and resposta.lower() == entrada
                case "contar-letras":
                    assert int(resposta) == sum(map(str.isalpha, entrada))
                case "primeira-letra":
                    assert len(resposta) == 1 and entrada.startswith(resposta)
                case "ultima-letra":
                    assert len(resposta) == 1 and entrada.endswith(resposta)
                case "soletrar":
                    assert resposta.split("-") == list(entrada)
                case "separar-silabas":
                    assert resposta.replace("-", "") == entrada
                case "ordem-alfabetica":
                    assert sorted(resposta.split(", ")) == sorted(entrada.split(", "))
                    assert 3 <= len(entrada.split(", ")) <= 5
                    sem_acento = resposta.translate(str.maketrans("áàâãéêíóôõúç", "aaaaeeiooouc")).split(", ")
                    assert sem_acento == sorted(sem_acento), r
                case familia:
                    assert resposta == getattr(POR_PALAVRA[entrada], familia)


def test_ordem_alfabetica_do_portugues():
    em_ordem = "água aguar avó avô caça cacau café cafezal órgão ovo sabia sabiá".split()
    assert sorted(reversed(em_ordem), key=chave_alfabetica) == em_ordem


LINHA = "casa\tsubstantivo\tca-sa\tcasas\t\t\ttrain\n"


@pytest.mark.parametrize(
    ("texto", "queixa"),
    [
        ("palavra\tclasse\n", "1: o cabeçalho"),
        ("casa\tsubstantivo\n", "3: há 2 campos"),
        (LINHA, "3: “casa” já está na linha 2"),
        ("rua\tsubstantivo\tru-as\truas\t\t\ttrain\n", "3: as sílabas “ru-as” não dão “rua”"),
        ("rua\tnome\tru-a\truas\t\t\ttrain\n", "3: a classe “nome”"),
        ("rua\tsubstantivo\tru-a\truas\t\t\ttreino\n", "3: o split “treino”"),
        ("Rua\tsubstantivo\tRu-a\t\t\t\ttrain\n", "3: as formas"),
        ("lar\tsubstantivo\tlar\tlares\t\tcasas\ttest\n", "3: “casas” é de test aqui e de train na linha 2"),
        ("letra\tsubstantivo\tle-tra\t\t\t\ttest\n", "3: “letra” está numa redação"),
        ("pe\u0301\tsubstantivo\tpe\u0301\t\t\t\ttrain\n", "3: "),
        ("nu\tadjetivo\tnu\tnus\tnu\t\ttrain\n", "3: feminino ou antônimo igual"),
    ],
)
def test_lista_ruim_diz_arquivo_linha_e_causa(tmp_path, texto, queixa):
    arquivo = tmp_path / "palavras.tsv"
    cabecalho = "\t".join(regras.CABECALHO) + "\n"
    arquivo.write_text(texto if queixa.startswith("1:") else cabecalho + LINHA + texto, "utf-8")
    with pytest.raises(ErroDoLivro) as erro:
        le_palavras(arquivo)
    assert str(erro.value).startswith(f"palavras.tsv:{queixa}")


def test_o_comando_escreve_confere_e_se_queixa(tmp_path, monkeypatch, capsys):
    destino = tmp_path / "regras.jsonl"
    monkeypatch.setattr(regras, "REGRAS", destino)
    assert regras.main(["--check"]) == 1
    assert "rode python data/fazer/regras.py" in capsys.readouterr().out
    assert regras.main([]) == 0
    assert destino.read_bytes() == REGRAS.read_bytes()
    assert regras.main(["--check"]) == 0
    destino.write_bytes(destino.read_bytes() + b"{}\n")
    assert regras.main(["--check"]) == 1
    monkeypatch.setattr(regras, "PALAVRAS", tmp_path / "nada.tsv")
    assert regras.main([]) == 2
    assert "nada.tsv" in capsys.readouterr().err


def test_gravacao_interrompida_nao_deixa_meio_arquivo(tmp_path, monkeypatch):
    destino = tmp_path / "regras.jsonl"
    destino.write_bytes(b"antes")

    def falha(*_):
        raise OSError("disco cheio")

    monkeypatch.setattr(regras.os, "replace", falha)
    with pytest.raises(OSError, match="disco cheio"):
        regras.escreve(b"depois", destino)
    assert [p.name for p in tmp_path.iterdir()] == ["regras.jsonl"]
    assert destino.read_bytes() == b"antes"


def test_o_cartao_diz_os_numeros_dos_arquivos():
    cartao = REGRAS.with_suffix(".md").read_text("utf-8")
    for numero in (len(LISTA), len(REGISTROS), *Counter(r["split"] for r in REGISTROS).values()):
        assert f"{numero:,}".replace(",", ".") in cartao
    for familia, total in Counter(r["familia"] for r in REGISTROS).items():
        assert f"| `{familia}` | {total:,} |".replace(",", ".") in cartao


def test_arquivos_em_utf8_com_fim_de_linha_unix():
    for arquivo in (PALAVRAS, REGRAS):
        dados = arquivo.read_bytes()
        assert b"\r" not in dados and dados.endswith(b"\n") and not dados.startswith(b"\xef\xbb\xbf")
        dados.decode("utf-8")
