"""A célula de preparo: a primeira de cada notebook, igual em todos, escrita só aqui."""

from __future__ import annotations

from ferramentas.livro import PACOTE, Enderecos, enderecos

# O pip não troca um pacote por outro da mesma versão que venha de um endereço; o que vem de um arquivo, troca
# sempre. Por isso a célula baixa o arquivo e compara a soma dele com a que o pip anotou ao instalar. O pip a
# escreve por último: uma instalação interrompida não a tem, e recomeça.
MODELO = """\
# Preparo: no Google Colab, instala o pacote do livro; em qualquer outro lugar, não faz nada.
import sys

if "google.colab" in sys.modules:
    import subprocess
    import tempfile
    from hashlib import sha256
    from http.client import HTTPException
    from importlib.metadata import distributions, version
    from pathlib import Path
    from urllib.request import urlopen

    endereco = "{endereco}"
    try:
        with urlopen(endereco, timeout=60) as resposta:
            baixado = resposta.read()
    except (OSError, HTTPException) as erro:
        print(f"Sem rede, o pacote do livro não foi baixado ({{erro}}); rode esta célula de novo.")
    else:
        soma = sha256(baixado).hexdigest()
        ha = [str(d.read_text("direct_url.json")) for d in distributions(name="{pacote}")]
        if not any(soma in anotado for anotado in ha):
            with tempfile.TemporaryDirectory() as pasta:
                arquivo = Path(pasta) / "{pacote}.zip"
                arquivo.write_bytes(baixado)
                limites = Path(pasta) / "torch.txt"  # o PyTorch do Colab fica como está
                limites.write_text(f"torch=={{version('torch')}}\\n", "utf-8")
                requisito = f"{pacote}[paginas] @ {{arquivo.as_uri()}}"
                pip = [sys.executable, "-m", "pip", "install", "-q", "-c", str(limites), requisito]
                falhou = subprocess.run(pip).returncode
            if falhou:
                print("A instalação falhou; a causa está acima. Rode esta célula de novo; se insistir, use",
                      "“Ambiente de execução”, “Desconectar e excluir o ambiente de execução”.")
            elif "{pacote}" in sys.modules:
                print("O pacote mudou: reinicie a sessão e rode o notebook do começo.")

    import torch

    print("GPU:", torch.cuda.get_device_name() if torch.cuda.is_available() else "nenhuma (roda na CPU)")"""


def celula_de_preparo(publicos: Enderecos | None = None) -> str:
    """O código da célula, com o endereço do ramo ou etiqueta que `_config.yml` nomeia."""
    return MODELO.format(pacote=PACOTE, endereco=(publicos or enderecos()).pacote())
