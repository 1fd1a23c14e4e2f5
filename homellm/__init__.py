# Gerado por ferramentas/tangle.py a partir de book/api.md. NÃO EDITE: mude o capítulo.
# sha256 do que segue: 0f5cb101b2b0ac91bcd435f7a55be78ebf06292c0d76d658726516d7af3d6848
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

from importlib.metadata import version

__version__ = version("homellm")
