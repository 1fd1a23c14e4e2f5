# Gerado por ferramentas/tangle.py. NÃO EDITE: mude book/00-passo-zero.md.
# sha256 do que segue: 0012837515dcea67ec693c5e2eb75418bd4c2e58ea1f1cb83bfaa8720cb05efa
"""Os gráficos do livro: uma cor por ideia, papel claro, decimal com vírgula."""

from __future__ import annotations

from typing import Any

COLORS = {  # uma por ideia, e a mesma no livro inteiro
    "text": "#5c677d",  # texto cru, bytes
    "token": "#1d6fa5",  # token e id
    "embedding": "#2a9d8f",  # vetor
    "attention": "#7b4fa3",
    "probability": "#e07a1f",  # probabilidade, saída
    "loss": "#c8373a",  # perda, erro
    "baseline": "#8d99ae",  # linha de base
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
        "figure.figsize": (6.4, 3.6), "figure.dpi": 110, "figure.facecolor": paper,
        "savefig.facecolor": paper, "axes.facecolor": paper, "font.size": 11,
        "axes.titlesize": 12, "axes.labelsize": 11, "xtick.labelsize": 11,
        "ytick.labelsize": 11, "legend.fontsize": 11, "legend.frameon": False,
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
