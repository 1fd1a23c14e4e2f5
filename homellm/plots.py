# Gerado por ferramentas/tangle.py. NÃO EDITE: mude book/00-passo-zero.md.
# sha256 do que segue: 7b9cb022bf34985e079819d5987dc9a40cbbcb05199499bfdee4b243ae8b205e
"""Os gráficos e os números do livro: uma cor por ideia, e decimal com vírgula."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

COLORS = {  # uma por ideia, e a mesma no livro inteiro
    "text": "#5c677d",  # texto cru, bytes
    "token": "#1d6fa5",  # token e id
    "embedding": "#2a9d8f",  # vetor
    "attention": "#7b4fa3",
    "probability": "#d46a0f",  # probabilidade, saída
    "loss": "#c8373a",  # perda, erro
    "baseline": "#7d899e",  # linha de base
    "ink": "#22303c",
    "paper": "#fbf8f1",
}


def pyplot() -> Any:
    """O módulo `matplotlib.pyplot`.

    Erros: `ImportError` se falta o matplotlib; a mensagem diz como instalá-lo.
    """
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            "os gráficos precisam do matplotlib; instale-o com: pip install matplotlib"
        ) from error
    return plt


def book_style() -> None:
    """Aplica o estilo do livro ao matplotlib (muda `rcParams` da sessão inteira).

    Erros: os de `pyplot`.
    """
    plt = pyplot()
    ink, paper = COLORS["ink"], COLORS["paper"]
    plt.rcParams.update({
        "figure.figsize": (5, 3.2), "figure.dpi": 110, "figure.facecolor": paper,
        "savefig.facecolor": paper, "axes.facecolor": paper, "font.size": 13,
        "axes.titlesize": 13, "axes.labelsize": 13, "xtick.labelsize": 12,
        "ytick.labelsize": 12, "legend.fontsize": 12, "legend.frameon": False,
        "text.color": ink, "axes.labelcolor": ink, "axes.edgecolor": ink,
        "xtick.color": ink, "ytick.color": ink, "axes.spines.top": False,
        "axes.spines.right": False, "axes.grid": True, "axes.axisbelow": True,
        "grid.color": ink, "grid.alpha": 0.12, "figure.constrained_layout.use": True,
        "axes.prop_cycle": plt.cycler(color=[COLORS[key] for key in (
            "token", "probability", "embedding", "attention", "loss", "baseline",
            "text")]),
    })  # fmt: skip


def decimal_comma(*axes: Any) -> None:
    """Troca o ponto decimal por vírgula nos números dos eixos x e y de cada `Axes`.

    Eixos de categorias, com rótulos fixos ou logarítmicos ficam como estão. Chame
    depois de desenhar.
    """
    from matplotlib.ticker import ScalarFormatter

    class CommaFormatter(ScalarFormatter):
        def __call__(self, x: float, pos: int | None = None) -> str:
            return super().__call__(x, pos).replace(".", ",")

    for ax in axes:
        for axis in (ax.xaxis, ax.yaxis):
            if type(axis.get_major_formatter()) is ScalarFormatter:
                axis.set_major_formatter(CommaFormatter(useOffset=False))


def br(number: Any, digits: int = 0) -> str:
    """O número como se escreve no Brasil: ponto no milhar, vírgula no decimal.

    Um escalar: inteiro, `float`, do NumPy ou um tensor de um elemento. O que se
    arredonda a zero sai sem sinal; o infinito é ∞, e o que não é número, nan.

    Erros: `ValueError` se o tensor tem mais de um elemento, ou se `digits` é
    negativo; `TypeError` se não é um número.

    >>> br(1234.5, 1), br(1_000_000), br(-0.25, 2), br(float("inf"))
    ('1.234,5', '1.000.000', '-0,25', '∞')
    """
    if digits < 0:
        raise ValueError(f"digits é o número de casas, zero ou mais, e veio {digits}")
    if math.prod(getattr(number, "shape", ())) != 1:
        shape = tuple(number.shape)
        raise ValueError(f"br escreve um número de cada vez, e veio a forma {shape}")
    value = number.item() if hasattr(number, "item") else number
    if not isinstance(value, Real):
        raise TypeError(f"br escreve um número, e veio {value!r}")
    if isinstance(value, int):
        text = f"{value:,d}" + "." * bool(digits) + "0" * digits
    else:
        text = f"{float(value):,.{digits}f}".replace("inf", "∞")
    if text.startswith("-") and not text.strip("-0.,"):
        text = text[1:]
    return text.translate(str.maketrans(",.", ".,"))
