# -*- coding: utf-8 -*-
"""Prepara o ambiente `.venv` do projeto. Roda com qualquer Python 3: usa só a biblioteca padrão.

uso: python3 ferramentas/ambiente.py livro|teste

Escreve .venv/.livro ou .venv/.teste ao fim; enquanto essas marcas forem mais novas que pyproject.toml e
constraints.txt, e o projeto não mudar de pasta, não faz nada. Interrompido, recomeça de onde der.
"""

import os
import subprocess
import sys

RAIZ = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(RAIZ, ".venv")
PYTHON = os.path.join(VENV, "Scripts" if os.name == "nt" else "bin", "python")
MINIMO = (3, 10)
SINAIS_DE_REDE = ("name resolution", "nodename nor servname", "newconnectionerror", "getaddrinfo",
                  "timed out", "connection refused", "proxyerror", "network is unreachable", "connecttimeout",
                  "max retries exceeded")  # fmt: skip


def sai(frase):
    """Diz uma linha e termina."""
    sys.exit("erro: " + frase)


def em_dia(marca):
    """A marca é desta pasta e mais nova que os arquivos que definem o ambiente?"""
    if not (os.path.exists(marca) and os.path.exists(PYTHON)):
        return False
    with open(marca, encoding="utf-8") as arquivo:
        if arquivo.read() not in ("", RAIZ):  # o pacote é editável: aponta para a pasta em que foi instalado
            return False
    fontes = [os.path.join(RAIZ, nome) for nome in ("pyproject.toml", "constraints.txt")]
    return all(os.path.getmtime(marca) >= os.path.getmtime(fonte) for fonte in fontes)


def confere_python(versao=None):
    """Termina com uma linha clara se o Python é velho demais."""
    versao = tuple((versao or sys.version_info)[:2])
    if versao < MINIMO:
        sai("este é o Python %d.%d, e o livro precisa do 3.10 ou mais novo; instale-o e rode: make livro "
            "PYTHON=python3.12" % versao)  # fmt: skip


def cria_venv():
    """Cria `.venv` se falta, se ficou pela metade ou se o seu Python é velho."""
    pergunta = "import pip, sys; sys.exit(sys.version_info < (%d, %d))" % MINIMO
    if os.path.exists(PYTHON) and subprocess.call([PYTHON, "-c", pergunta], stderr=subprocess.DEVNULL) == 0:
        return
    try:
        import ensurepip  # noqa: F401  (o Debian o separa no pacote python3-venv)
        import venv
    except ImportError:
        sai("falta o módulo venv deste Python; no Debian e no Ubuntu: sudo apt install python3-venv")
    print("ambiente: criando .venv", flush=True)
    try:
        venv.create(VENV, clear=True, with_pip=True)
    except (OSError, subprocess.CalledProcessError) as erro:
        sai("não foi possível criar a pasta .venv (%s); apague-a e rode o mesmo comando de novo" % erro)


def instala(extra):
    """Instala o pacote em modo editável, com o extra pedido e as versões de `constraints.txt`."""
    comando = [PYTHON, "-m", "pip", "install", "--disable-pip-version-check", "--retries", "2", "-c",
               "constraints.txt", "-e", ".[%s]" % extra]  # fmt: skip
    print("ambiente: instalando homellm[%s] (na primeira vez baixa o PyTorch; leva alguns minutos)" % extra,
          flush=True)  # fmt: skip
    processo = subprocess.Popen(comando, cwd=RAIZ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    ultimas = []
    for bruta in processo.stdout:
        linha = bruta.decode("utf-8", "replace").rstrip()
        ultimas = (ultimas + [linha])[-40:]
        if linha.startswith(("Collecting", "  Downloading", "Installing", "Successfully", "Building")):
            print(linha[:120], flush=True)
    if processo.wait() != 0:
        rabo = "\n".join(ultimas)
        if any(sinal in rabo.lower() for sinal in SINAIS_DE_REDE):
            sai("sem rede: não foi possível baixar os pacotes. Ligue-a e rode de novo o mesmo comando")
        print(rabo, file=sys.stderr)
        sai("a instalação falhou; a causa está nas linhas acima (as versões vêm de constraints.txt)")


def espera_a_vez():
    """Uma instalação de cada vez: a segunda espera a primeira acabar. Devolve o que a segura.

    A tranca é este arquivo, aberto para leitura, e cai quando o processo acaba. No Windows não há.
    """
    try:
        import fcntl
    except ImportError:
        return None
    tranca = open(__file__, "rb")
    try:
        fcntl.flock(tranca, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        print("ambiente: outro comando está instalando; esperando que acabe", flush=True)
        fcntl.flock(tranca, fcntl.LOCK_EX)
    return tranca


def main():
    if len(sys.argv) != 2 or sys.argv[1] not in ("livro", "teste"):
        sai("uso: python3 ferramentas/ambiente.py livro|teste")
    extra = sys.argv[1]
    marca = os.path.join(VENV, "." + extra)
    if em_dia(marca):
        return
    confere_python()
    tranca = espera_a_vez()
    if em_dia(marca):  # a outra instalação já fez esta
        return
    cria_venv()
    instala(extra)
    # o matplotlib lista as fontes na primeira vez; aqui, para não demorar nem avisar dentro de uma página
    subprocess.call([PYTHON, "-c", "import matplotlib.font_manager"], stderr=subprocess.DEVNULL)
    for nome in {"livro", extra}:  # o extra `teste` contém o `livro`
        with open(os.path.join(VENV, "." + nome), "w", encoding="utf-8") as arquivo:
            arquivo.write(RAIZ)
    print("ambiente: pronto", flush=True)
    if tranca:
        tranca.close()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sai("interrompido; rode o mesmo comando para continuar")
