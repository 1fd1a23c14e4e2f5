# Gerado por ferramentas/tangle.py a partir de book/api.md. NÃO EDITE: mude o capítulo.
# sha256 do que segue: f9b17b67eaf2d153fad63913d8429e4036eb92154cd2b8984555fc2fa64f3f99
"""homellm: o pacote que o livro «Fazendo um LLM do Zero» constrói, capítulo a capítulo.

Por onde começar:

>>> from homellm.corpus import load_text
>>> from homellm.tokenizer import BPETokenizer
>>> tokenizer = BPETokenizer.train(load_text("contos", split="train"), vocab_size=300)
>>> tokenizer.decode(tokenizer.encode("pão de queijo"))
'pão de queijo'

Cada módulo nasce num capítulo e não depende dos seguintes: `device` e `plots` no 00; `corpus` e `ngram`
no 01; `tokenizer` e `data` no 02; `attention` no 03; `model` e `generation` no 04; `training`,
`weights` e `pretrain` no 05; `classification` no 06; `instruction` no 07. Importar `homellm` não carrega
nenhum deles.
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("homellm")
except PackageNotFoundError:  # usado de uma pasta que não foi instalada
    __version__ = "0+desconhecida"
