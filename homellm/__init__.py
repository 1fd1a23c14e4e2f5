# Gerado por ferramentas/tangle.py a partir de book/api.md. NÃO EDITE: mude o capítulo.
# sha256 do que segue: f3de5526b494bb36513b040fe677192e68c6f3f74687a20ae4d2b554bbcf3ae0
"""homellm: o pacote que o livro «Fazendo um LLM do Zero» constrói, capítulo a capítulo.

Por onde começar:

>>> from homellm.corpus import load_text
>>> from homellm.tokenizer import BPETokenizer
>>> tokenizer = BPETokenizer.train(load_text("contos", split="train"), vocab_size=300)
>>> tokenizer.decode(tokenizer.encode("pão de queijo"))
'pão de queijo'

Cada módulo nasce num capítulo e não depende dos seguintes: `device` no 00; `corpus`, `ngram` e `plots`
no 01; `tokenizer` e `data` no 02; `attention` no 03; `model` e `generation` no 04; `training`,
`weights` e `pretrain` no 05; `classification` no 06; `instruction` no 07. Importar `homellm` não carrega
nenhum deles.
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("homellm")
except PackageNotFoundError:  # usado de uma pasta que não foi instalada
    __version__ = "0+desconhecida"
