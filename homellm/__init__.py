# Gerado por ferramentas/tangle.py. NÃO EDITE: mude book/api.md.
# sha256 do que segue: 1279320481630a7ea2323ba73ba1d4f3ae5b89efbeec8ccdd313258423cae247
"""Um GPT em PyTorch, do tokenizer ao chat, em português.

É o pacote que o livro “Fazendo um LLM do Zero” constrói, página a página.

Carregar um modelo que vem com o pacote, e gerar:

>>> from homellm.generation import generate_text
>>> from homellm.weights import load_pretrained
>>> model, tokenizer = load_pretrained("contos-mini")
>>> generate_text(model, tokenizer, "Era uma vez", max_new_tokens=20)[:11]
'Era uma vez'

Treinar um do zero, com o seu texto no lugar do nosso:

>>> from homellm.corpus import load_text
>>> from homellm.data import create_dataloader
>>> from homellm.model import GPT, GPTConfig
>>> from homellm.tokenizer import BPETokenizer
>>> from homellm.training import TrainConfig, train
>>> text = load_text("contos", split="train")[:20_000]
>>> tokenizer = BPETokenizer.train(text, vocab_size=300)
>>> ids = tokenizer.encode(text)
>>> loader = create_dataloader(ids, batch_size=8, context_length=64)
>>> model = GPT(GPTConfig.preset("mini", vocab_size=tokenizer.vocab_size))
>>> config = TrainConfig(max_steps=5)
>>> history = train(model, loader, config=config, progress=False)
>>> history.step_loss[-1] < history.step_loss[0]
True

Os módulos, cada um com a sua ajuda, como em `help("homellm.model")`:

    corpus          os textos do livro, que vêm com o pacote
    download        baixar e conferir o que vem de fora
    files           ler com erros claros, gravar inteiro ou nada
    ngram           contar pedaços: a linha de base
    tokenizer       texto em ids e ids em texto, por BPE em bytes
    data            ids em lotes
    attention       a atenção e o seu cache
    model           o GPT
    generation      do modelo ao texto
    loss            a perda, inteira, em pedaços e em 16 bits
    optimization    a configuração do treino, a taxa, o AdamW
    training        o laço de treino
    evaluation      a perda e os bits por byte em texto separado
    checkpoint      parar um treino e continuar
    distributed     um treino em várias GPUs
    weights         guardar, carregar, trocar com o Hugging Face
    lora            ajustar com correções de posto baixo
    classification  classificar textos
    spreadsheet     ler uma planilha de textos com rótulo
    instruction     responder: o ajuste com instruções e o chat
    judge           dar nota a respostas, com um modelo local
    pretrain        do arquivo de texto ao modelo guardado
    recipes         treinar os modelos do livro, pela linha de comando
    web             um modelo do livro dentro de uma página
    device          onde as contas rodam, e como repetir sorteios
    plots           o estilo dos gráficos
    cells           uma classe escrita aos poucos, num notebook

Nenhum depende dos que nascem depois dele no livro, e importar `homellm` não
carrega nenhum.
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("homellm")
except PackageNotFoundError:  # usado de uma pasta que não foi instalada
    __version__ = "0+desconhecida"
