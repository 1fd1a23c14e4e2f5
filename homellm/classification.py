# Gerado por ferramentas/tangle.py a partir de book/06-classificacao.md. NÃO EDITE: mude o capítulo.
# sha256 do que segue: 40786d9fcf708e8044d53a3c431a84ce13cdd9886cc8de1d14336bbb36c571b6
"""Um GPT que classifica textos. O capítulo 6 do livro constrói este módulo."""

from __future__ import annotations
