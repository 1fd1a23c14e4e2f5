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
