"""Tira da STIX Two Math a fonte das fórmulas: só os sinais que um livro como este escreve.

uso: python -m ferramentas.fonte_das_formulas STIXTwoMath-Regular.ttf

Precisa de `pip install fonttools brotli`; a fonte inteira está em https://github.com/stipub/stixfonts e no
pacote ziamath. O resultado vai no repositório, e só se refaz quando falta um sinal em `SINAIS`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTFont

from ferramentas.livro import RAIZ

DESTINO = RAIZ / "_static/fontes/formulas.woff2"
SINAIS = (
    "20-7E A0 AC AF B0-B7 C0-C3 C7 C9 CA CD D3-D5 D7 DA E0-E3 E7 E9 EA ED F3-F5 F7 FA 2C6 2D9 2DC"
    " 391-3A9 3B1-3C9 3D1 3D5 3F1 3F5 1D434-1D467 1D6E4-1D71B"
    " 210E 2113 2102 2112 2115 211D 2124 1D53C 1D7D9 FE00"
    " 2010-2014 2016 2018-201D 2022 2026 2032-2034 2044 2061-2063 2190-2194 21A6 21D0-21D4"
    " 2200 2202 2203 2205-2208 220F 2211-2213 221A 221D 221E 2220 2223 2225 2227-222B"
    " 223C 2248 2260 2261 2264 2265 226A 226B 227A 227B 2282-2287 2295 2297 2299 22A4 22A5 22C5"
    " 22EE-22F1 2308-230B 23DE 23DF 27E8 27E9"
)


def recorta(origem: Path, destino: Path) -> int:
    """Escreve a fonte pequena e devolve os seus bytes."""
    fonte = TTFont(origem)
    opcoes = subset.Options(
        flavor="woff2", hinting=False, layout_features=["dtls", "flac"], name_IDs=range(15)
    )
    recorte = subset.Subsetter(opcoes)
    faixas = [faixa.split("-") for faixa in SINAIS.split()]
    recorte.populate(
        unicodes=[c for de, *ate in faixas for c in range(int(de, 16), int((ate or [de])[0], 16) + 1)]
    )
    recorte.subset(fonte)
    destino.parent.mkdir(exist_ok=True)
    subset.save_font(fonte, destino, opcoes)
    return destino.stat().st_size


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("diga onde está a fonte: python -m ferramentas.fonte_das_formulas STIXTwoMath-Regular.ttf")
    print(f"{DESTINO.relative_to(RAIZ)}: {recorta(Path(sys.argv[1]), DESTINO)} bytes")
