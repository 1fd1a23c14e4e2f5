# Gerado por ferramentas/tangle.py. NÃO EDITE: mude book/api.md.
# sha256 do que segue: 9c427a63b44e91336c6dcbef7729320f88a2f0d28781f4afd0ff8b821c80f36a
"""homellm: o pacote que o livro “Fazendo um LLM do Zero” constrói, página a página.

Por onde começar:

>>> from homellm.corpus import load_text
>>> from homellm.tokenizer import BPETokenizer
>>> tokenizer = BPETokenizer.train(load_text("contos", split="train"), vocab_size=300)
>>> tokenizer.decode(tokenizer.encode("pão de queijo"))
'pão de queijo'

Cada módulo nasce numa página do livro, que o explica, e não depende dos que vêm depois.
Importar `homellm` não carrega nenhum deles.
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("homellm")
except PackageNotFoundError:  # usado de uma pasta que não foi instalada
    __version__ = "0+desconhecida"
