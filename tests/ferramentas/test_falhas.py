"""O que tem de parar a construção: na primeira vez, em todas as seguintes, e só até ser consertado."""

from __future__ import annotations

import re
from collections.abc import Callable

from brinquedo import Livro

ANTES = "print('dobro:'"  # a célula que as causas estragam


def demora(livro: Livro) -> None:
    livro.muda("_config.yml", "timeout: 600", "timeout: 1")
    livro.muda("book/00-zero.md", ANTES, f"import time; time.sleep(60)\n{ANTES}")


CAUSAS: dict[str, tuple[Callable[[Livro], None], str]] = {
    "célula que falha": (
        lambda livro: livro.muda("book/00-zero.md", ANTES, f"1 / 0\n{ANTES}"),
        "a célula falhou: ZeroDivisionError: division by zero",
    ),
    "célula que não termina": (demora, "a célula passou dos 1 s que _config.yml dá a cada uma"),
    "aviso do Python": (
        lambda livro: livro.muda("book/00-zero.md", ANTES, f"import warnings; warnings.warn('ai')\n{ANTES}"),
        "a célula escreveu em stderr",
    ),
    "diretiva desconhecida": (
        lambda livro: livro.muda("book/04-quatro.md", "Prosa do quatro.", "```{notaa}\nx\n```"),
        "não há diretiva chamada notaa; confira o nome entre as chaves",
    ),
    "rótulo que outra página cita": (
        lambda livro: livro.muda("book/03-tres.md", "(cap-tres)=\n", ""),
        "nada no livro tem o rótulo cap-tres; confira o nome",
    ),
}


def test_cada_falha_se_repete_ate_ser_consertada(livro):
    for causa, (estraga, frase) in CAUSAS.items():
        livro.desfaz()
        estraga(livro)
        for vez in (1, 2):
            ruim = livro.constroi("--so-site")
            assert ruim.codigo == 1 and frase in ruim.texto, (causa, vez, ruim)
            assert "erro: a construção parou" in ruim.texto and "O livro está pronto" not in ruim.texto
            outras = [f for c, (_, f) in CAUSAS.items() if c != causa and f in ruim.texto]
            assert outras == [], (causa, vez, ruim)  # o conserto da causa anterior valeu
    livro.desfaz()
    bom = livro.constroi("--so-site")
    assert bom.codigo == 0 and bom.executadas == [], bom
    assert "dobro: 42" in livro.pagina("00-zero")


ENGANOS = [  # o que se escreve, e o que se lê, na linha em que a marca « está
    ("«{ref}`nada`", "nada no livro tem o rótulo nada; confira o nome, ou ponha (nada)= antes do título"),
    ("«{numref}`fig-nada`", "nada no livro tem o rótulo fig-nada; confira"),
    ("«{cite:p}`ninguem`", "a citação ninguem não está nas referências; confira o nome, ou acrescente"),
    ("«{term}`palavrório`", "o termo palavrório não está no glossário; acrescente-o a book/glossario.md"),
    ("«{eq}`eq-nada`", "nenhuma equação tem o rótulo eq-nada; ponha (eq-nada) depois do $$ que a fecha"),
    ("«[x](nada.md)", "a ligação leva a nada.md, que nada no livro tem; confira o nome"),
    ("«{doc}`nadinha`", "não há página nadinha; confira o nome, sem .md e a partir desta página"),
    ("«![x](figuras/nada.png)", "a imagem book/figuras/nada.png não existe; confira o nome em book/figuras/"),
    ("«```{notaa}\nx\n```", "não há diretiva chamada notaa; confira o nome entre as chaves"),
    ("«{papel}`x`", "não há papel chamado papel; confira o nome entre as chaves"),
    ("«#### Pula", "o título pula um nível: H1 to H4; use um # a menos"),
    ("«```{include} nada.txt\n```", "o arquivo incluído não existe: book/nada.txt; confira o caminho"),
    ("«```{figure} figuras/logo.svg\n:alt: x\n:opcao: 3\n```", "figure não tem a opção opcao; confira"),
    ("«```{figure} figuras/logo.svg\n:alt: x\n:width: abc\n```", "figure não aceita abc em :width:; confira"),
    ("```{figure} figuras/logo.svg\n:alt: x\n:name: fig-q\n```\n\n«{numref}`fig-q`", "fig-q não tem número"),
    ("«:::{note}\n:::", "note está vazia; escreva o que vai dentro, ou apague-a"),
    ("«:::{admonition}\nx\n:::", "admonition pede um nome, título ou endereço depois das chaves; escreva-o"),
    ("«:::{table} Uma\nx\n:::", "table não tem dentro o que pede (exactly one table expected); confira"),
    ("«```pyton\nx\n```", "não há linguagem chamada pyton; confira o nome, ou escreva text"),
    ("«:::{widget} rodar\n:titulo: x\n\ny\n:::", "não há peça 'rodar' em widgets/pecas; use uma destas"),
    ("«:::{widget} girar\n\ny\n:::", "a peça girar não tem título; acrescente a linha `:titulo: o que se vê"),
    ("«:::{widget} girar\n:titulo: x\n:::", "a peça girar precisa do que mostrar sem JavaScript: uma figura"),
    ("«:::{widget} girar\n:titulo: x\n:celula:\n:::", "a peça girar tem :celula:, e acima dela não há"),
    ("«```json\n{a b}\n```", "o bloco não é json válido, a partir de 'a'; conserte-o, ou escreva text"),
]  # fmt: skip


def test_cada_aviso_do_sphinx_diz_o_lugar_e_o_que_escrever(livro):
    """Todos de uma vez, numa construção de verdade: uma linha por engano, e nenhuma a mais."""
    livro.muda("book/04-quatro.md", "Prosa do quatro.", "\n\n".join(texto for texto, _ in ENGANOS))
    linhas = livro.le("book/04-quatro.md").split("\n")
    marcadas = [n for n, linha in enumerate(linhas, 1) if "«" in linha]
    livro.escreve("book/04-quatro.md", "\n".join(linhas).replace("«", ""))
    ruim = livro.constroi("--so-site")
    ditas = [frase for frase in ruim.texto.splitlines() if frase.startswith("book/")]
    assert ruim.codigo == 1 and len(ditas) == len(ENGANOS), ruim
    for linha, (_, frase) in zip(marcadas, ENGANOS, strict=True):
        assert [d for d in ditas if d.startswith(f"book/04-quatro.md:{linha}: {frase}")], (frase, ruim)


def test_construcao_morta_no_meio_nao_esconde_avisos(livro):
    """Morto sem aviso (kill -9) depois de gravar o ambiente, o Sphinx não releria a página ruim."""
    ambiente = livro.raiz / "_build/.doctrees/environment.pickle"
    (ambiente.parent / "pela-metade").write_text('["book/04-quatro"]', "utf-8")
    antes = ambiente.stat().st_ino, ambiente.stat().st_mtime_ns
    assert livro.constroi("--so-site").codigo == 0
    assert (ambiente.stat().st_ino, ambiente.stat().st_mtime_ns) != antes
    assert not (ambiente.parent / "pela-metade").exists()


def test_fonte_ruim_para_antes_do_sphinx(livro):
    livro.muda("book/04-quatro.md", "Prosa do quatro.", "![](x.png)")
    ruim = livro.constroi()
    assert ruim.codigo == 1 and "Sphinx" not in ruim.texto
    assert re.fullmatch(r"book/04-quatro.md:\d+: imagem sem texto alternativo.*\n", ruim.texto), ruim


def test_pacote_editado_a_mao_para_a_construcao_sem_perder_a_edicao(livro):
    antes = livro.le("homellm/a.py")
    livro.escreve("homellm/a.py", antes + "# minha mudança\n")
    try:
        ruim = livro.constroi()
        assert ruim.codigo == 1 and "minha mudança" in livro.le("homellm/a.py")
        assert re.match(r"erro: homellm/a.py:1: foi editado à mão, .* book/00-zero.md", ruim.texto), ruim
    finally:
        livro.escreve("homellm/a.py", antes)
