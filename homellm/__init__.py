# Gerado por ferramentas/tangle.py a partir de book/api.md. NÃO EDITE: mude o capítulo.
# sha256 do que segue: 78af77229e86d40663f7fa0e0a51ef4733b51e02a0c44045c06c9359aa27c6c3
"""homellm: o pacote que o livro «Fazendo um LLM do Zero» constrói, capítulo a capítulo.

Por onde começar:

>>> from homellm.corpus import load_text
>>> from homellm.tokenizer import BPETokenizer
>>> tokenizer = BPETokenizer.train(load_text("contos", split="train"), vocab_size=300)
>>> tokenizer.decode(tokenizer.encode("pão de queijo"))
'pão de queijo'

Cada módulo nasce num capítulo e não depende dos seguintes: `corpus`, `ngram` e `plots` no 01;
`tokenizer` e `data` no 02. Importar `homellm` não carrega nenhum deles.
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("homellm")
except PackageNotFoundError:  # usado de uma pasta que não foi instalada
    __version__ = "0+desconhecida"
