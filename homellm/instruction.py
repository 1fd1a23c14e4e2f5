# Gerado por ferramentas/tangle.py a partir de book/07-instrucoes.md. NÃO EDITE: mude o capítulo.
# sha256 do que segue: 97540a29805b55108c59f04096adf3190d343103ab152bb20a054baae693ade6
"""Do modelo que continua ao que responde. O capítulo 7 do livro constrói este módulo."""

from __future__ import annotations
