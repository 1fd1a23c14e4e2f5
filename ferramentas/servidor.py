"""Serve o livro nesta máquina; com uma página, constrói-a e recarrega-a no navegador a cada gravação.

uso: python -m ferramentas.servidor [03] [--porta 8000]

Vigia o texto da página, as figuras que ele cita e a bibliografia. Cada construção é um processo novo: uma
página com erro é dita no terminal, e o servidor continua. O trecho que recarrega a página entra só no que se
serve: o que está em `_build/html` fica como a construção o deixou.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from ferramentas.livro import RAIZ, SITE, ErroDoLivro, acha_pagina, exige_o_livro

INTERVALO = 0.3  # segundos entre duas olhadas nos arquivos
PORTAS = 20  # quantas se tentam, a partir da pedida
VERSAO = "/.versao"
RECARREGA = f"""<script>{{
  let vista;
  setInterval(() => fetch("{VERSAO}").then((r) => r.text()).then((versao) => {{
    if (vista && versao !== vista) location.reload();
    vista = versao;
  }}).catch(() => {{}}), 500);
}}</script>
"""


class Pedidos(SimpleHTTPRequestHandler):
    """Os arquivos do site, sempre os do disco; nas páginas, o trecho que as recarrega."""

    # no Windows o tipo vem do registro, que pode dizer outro, e um módulo de JavaScript só abre com este
    extensions_map = {**SimpleHTTPRequestHandler.extensions_map, ".js": "text/javascript"}

    def do_GET(self) -> None:
        arquivo = Path(self.translate_path(self.path))
        if self.path == VERSAO:
            self.responde(self.server.versao, "text/plain")
        elif self.server.versao and arquivo.suffix == ".html" and arquivo.is_file():
            antes, fecho, depois = arquivo.read_text("utf-8").rpartition("</body>")
            self.responde(antes + RECARREGA + fecho + depois, "text/html")
        else:
            super().do_GET()

    def responde(self, texto: str, tipo: str) -> None:
        corpo = texto.encode()
        self.send_response(200)
        self.send_header("Content-Type", f"{tipo}; charset=utf-8")
        self.send_header("Content-Length", str(len(corpo)))
        self.end_headers()
        self.wfile.write(corpo)

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-store")
        super().end_headers()

    def log_message(self, *_: object) -> None:
        pass


class Servidor(ThreadingHTTPServer):
    """O servidor; `versao` muda a cada construção, e vazia diz que não há o que recarregar."""

    daemon_threads = True
    versao = ""

    @property
    def endereco(self) -> str:
        return f"http://localhost:{self.server_port}/"

    def handle_error(self, *_: object) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):  # o navegador largou o pedido no meio
            super().handle_error(*_)


def abre(porta: int, site: Path = SITE) -> Servidor:
    """O servidor na primeira porta livre a partir desta, já a atender."""
    for tentada in range(porta, porta + PORTAS):
        try:
            servidor = Servidor(("127.0.0.1", tentada), partial(Pedidos, directory=str(site)))
        except (OSError, OverflowError):
            continue
        threading.Thread(target=servidor.serve_forever, daemon=True).start()
        return servidor
    raise ErroDoLivro(f"nenhuma porta livre de {porta} a {porta + PORTAS - 1}; escolha outra: PORTA=9000")


def retrato(pagina: str, raiz: Path = RAIZ) -> dict[Path, int | None]:
    """Quando foi gravado cada arquivo de que a página é feita; `None` se ele não existe."""
    md = raiz / f"{pagina}.md"
    texto = md.read_text("utf-8", "replace")
    citadas = re.findall(r"[\w./-]+\.(?:svg|png|jpe?g|gif|webp)\b", texto)
    arquivos = {md, raiz / "book/referencias.bib", *(md.parent / nome for nome in citadas)}
    if "{widget}" in texto:
        arquivos |= {p for tipo in ("js", "css") for p in (raiz / "widgets").rglob(f"*.{tipo}")}
    return {a: a.stat().st_mtime_ns if a.is_file() else None for a in arquivos}


def espera(pagina: str, visto: dict[Path, int | None], raiz: Path = RAIZ) -> dict[Path, int | None]:
    """O retrato seguinte, quando for diferente deste."""
    agora = visto
    while agora == visto:
        time.sleep(INTERVALO)
        try:
            agora = retrato(pagina, raiz)
        except FileNotFoundError:  # há editores que apagam o arquivo antes de o gravar
            continue
    return agora


def constroi(pagina: str, endereco: str) -> bool:
    """Constrói a página; deu certo? O Ctrl-C do terminal não chega a esse processo: quem o para é este."""
    comando = [sys.executable, "-m", "ferramentas.construir", "--pagina", pagina, "--servida", endereco]
    processo = subprocess.Popen(comando, cwd=RAIZ, start_new_session=True)
    try:
        return processo.wait() == 0
    finally:
        processo.kill()  # se ainda andava: o que ficou por fazer está anotado em _build
        processo.wait()


def acompanha(servidor: Servidor, pagina: str) -> None:
    """Constrói a página agora e a cada vez que algo dela é gravado; só Ctrl-C o encerra."""
    visto = retrato(pagina)
    while True:
        if constroi(pagina, servidor.endereco):
            servidor.versao = str(time.time_ns())
        visto = espera(pagina, visto)


def main(argumentos: list[str] | None = None) -> int:
    """Ponto de entrada; devolve 0 se foi encerrado com Ctrl-C, 1 se não há o que servir."""
    opcoes = argparse.ArgumentParser(description="serve o livro nesta máquina")
    opcoes.add_argument("pagina", nargs="?", help="constrói e vigia esta página: 03, 03-atencao")
    opcoes.add_argument("--porta", type=int, default=8000, help="a primeira a tentar")
    escolhidas = opcoes.parse_args(argumentos)
    try:
        exige_o_livro()
        pagina = None if escolhidas.pagina is None else acha_pagina(escolhidas.pagina)
        servidor = abre(escolhidas.porta)
        onde = f"{servidor.endereco}{pagina or 'book/index'}.html"
        if pagina is None:
            print(f"O livro está em {onde}  (Ctrl-C encerra)", flush=True)
            threading.Event().wait()
        print(f"A página está em {onde}, e recarrega quando você a salva  (Ctrl-C encerra)", flush=True)
        servidor.versao = "0"
        acompanha(servidor, pagina)
    except ErroDoLivro as erro:
        print(f"erro: {erro}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nencerrado", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
