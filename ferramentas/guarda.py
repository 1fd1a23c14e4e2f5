"""O que cada kernel roda antes da página (PYTHONSTARTUP): o que ela executa não escreve nos dados do livro.

A página que tenta para na linha em que tentou, e nada se perde. Não é uma prisão: quem escreve sem passar
pelo Python (o `torch.save`, um subprocesso) é visto depois, pelo executor.
"""


def _guarda():
    import os
    import sys

    if "LIVRO_DADOS" not in os.environ:  # fora de um kernel do livro, não há o que guardar
        return
    dados = os.path.realpath(os.environ["LIVRO_DADOS"])
    que_mexem = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link", "os.symlink"}

    class EscreveEmData(Exception):
        pass

    def ouve(evento, argumentos):
        if evento == "open":
            nomes = argumentos[:1] if argumentos[2] & (os.O_WRONLY | os.O_RDWR) else ()
        else:
            nomes = argumentos if evento in que_mexem else ()
        for nome in nomes:
            if isinstance(nome, (str, bytes, os.PathLike)):
                caminho = os.path.realpath(os.fsdecode(nome))
                if caminho.startswith(dados + os.sep):
                    raise EscreveEmData(f"data/{os.path.relpath(caminho, dados)}")

    sys.addaudithook(ouve)


_guarda()
del _guarda
