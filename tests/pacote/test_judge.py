"""O juiz: a nota que se lê na fala dele, e tudo o que o servidor pode fazer de errado."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from homellm.judge import JudgeError, judge, local_models, parse_score


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("85", 85),
        (" 0\n", 0),
        ("100/100", 100),
        ("**Nota: 85/100**", 85),
        ("Nota final: 70.", 70),
        ("nota é 40 de 100", 40),
        ("Dos 3 pontos, acertou 2. Nota: 67", 67),
        ("92,5", 92),
        ("A nota final é 85.", 85),
        ("Nota: 85. Faltaram 2 acentos.", 85),
        ("<think>talvez 30, talvez 50</think>\n60", 60),
        ("penso que a nota 3 é pouco…</think> 90", 90),
        ("nota 10? nota 20?</think><think>nota 30</think>\nNota: 55", 55),
        ("70 <think>nota 30", 70),
    ],
)
def test_le_a_nota_do_juiz(text: str, score: int) -> None:
    assert parse_score(text) == score


@pytest.mark.parametrize(
    "text",
    [
        "", "muito boa", "de 40 a 60", "Nota: 850", "-5", "<think>80", "10 de 10 seria 100, mas dou 7",
        "Nota: 8/10", "Nota: 8,5 de 10", "A nota final é 85; não merece nota 0.", "Nota: 85 a 90",
        "Nota: 90 ou 10", "nota 100/1000", "Nota: 85,5,2", "Quase certa, faltou o til: 2 erros.", "8/10",
    ],
)  # fmt: skip
def test_o_que_nao_e_nota_e_erro(text: str) -> None:
    with pytest.raises(JudgeError, match="não entendi a nota"):
        parse_score(text)


@pytest.fixture
def server() -> Iterator[tuple[str, dict]]:
    """Um servidor no lugar do Ollama: `state` diz o que responder e guarda o que ouviu."""
    state: dict = {"status": 200, "body": b"{}", "delay": 0.0, "hang": 0.0, "drops": 0, "heard": []}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.reply()

        def do_POST(self) -> None:
            size = int(self.headers["Content-Length"])
            state["heard"].append((self.path, json.loads(self.rfile.read(size))))
            self.reply()

        def reply(self) -> None:
            time.sleep(state["delay"])
            try:
                if "raw" in state:
                    self.wfile.write(state["raw"])
                    self.wfile.flush()
                    time.sleep(state["hang"])
                    for _ in range(state["drops"]):
                        self.wfile.write(state["drop"])
                        self.wfile.flush()
                        time.sleep(0.02)
                    return
                self.send_response(state["status"])
                self.end_headers()
                self.wfile.write(state["body"])
            except OSError:
                pass  # quem perguntou desistiu de esperar

        def log_message(self, *_) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{http.server_port}", state
    http.shutdown()
    http.server_close()
    thread.join()


def test_o_juiz_ouve_tudo_e_a_nota_volta(server) -> None:
    url, state = server
    state["body"] = json.dumps({"response": "Nota: 75/100"}).encode()
    assert judge("Ponha no {plural}.", "pães", "pãos", model="qualquer", url=url + "/") == 75
    path, body = state["heard"][0]
    assert path == "/api/generate" and body["model"] == "qualquer" and body["stream"] is False
    assert all(part in body["prompt"] for part in ("Ponha no {plural}.", "pães", "pãos"))


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (200, b"<html>ola</html>", "JSON"),
        (200, b"\xff\xfe", "JSON"),
        (200, b"[" * 100_000, "JSON"),
        (200, b"[]", "response"),
        (200, b'{"response": 7}', "response"),
        (200, b'{"response": "excelente!"}', "não entendi a nota"),
        (404, b'{"error": "model not found"}', "ollama pull llama3.2"),
        (500, b"sem mem\xf3ria", "500"),
    ],
)
def test_o_que_o_servidor_diz_de_errado_vira_erro_claro(server, status, body, message) -> None:
    url, state = server
    state |= {"status": status, "body": body}
    with pytest.raises(JudgeError, match=message):
        judge("p", "r", "a", url=url)


@pytest.mark.parametrize(
    "raw", [b"oi, tudo bem?\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", b""]
)
def test_o_que_nem_e_http_vira_erro_claro(server, raw) -> None:
    url, state = server
    state["raw"] = raw
    with pytest.raises(JudgeError, match=r"não é HTTP|caiu"):
        judge("p", "r", "a", url=url)
    assert local_models(url) == []


def test_servidor_lento_e_servidor_que_nao_ha(server) -> None:
    url, state = server
    state["delay"] = 1.0
    with pytest.raises(JudgeError, match="aumente timeout"):
        judge("p", "r", "a", url=url, timeout=0.1)
    with pytest.raises(JudgeError, match="ollama serve"):
        judge("p", "r", "a", url="http://127.0.0.1:9", timeout=5)


@pytest.mark.parametrize(
    ("raw", "drop"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", b" "),
        (b"HTTP/1.1 200 OK\r\nX-Longo: ", b"a"),
        (b"HTTP/1.1 ", b"2"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"HTTP/1.1 500 Ai\r\nContent-Length: 999\r\n\r\n", b"a"),
    ],
    ids=["corpo", "cabeçalho", "status", "100 sem fim", "corpo de um erro"],
)
def test_o_prazo_e_da_resposta_inteira_e_nao_de_cada_pedaco(server, raw, drop) -> None:
    """Um pedaço a cada 20 ms, por 4 s: nenhuma leitura demora, e a resposta não acaba."""
    url, state = server
    state |= {"raw": raw, "drop": drop, "drops": 200}
    start = time.monotonic()
    with pytest.raises(JudgeError, match=r"não terminou em 0\.3 s.*aumente timeout"):
        judge("p", "r", "a", url=url, timeout=0.3)
    assert time.monotonic() - start < 2


@pytest.mark.parametrize("url", ["", "abc", "localhost:11434", "http://[::1", "http://", "ftp://x"])
def test_endereco_que_nao_e_http_diz_o_que_falta(url) -> None:
    with pytest.raises(JudgeError, match="não é um endereço http.*localhost:11434"):
        judge("p", "r", "a", url=url)
    assert local_models(url) == []


def test_os_modelos_do_servidor(server) -> None:
    url, state = server
    state["body"] = b'{"models": [{"name": "llama3.2"}, {"name": "qwen3"}]}'
    assert local_models(url) == ["llama3.2", "qwen3"]
    for nonsense in (b"[]", b"oi", b'{"models": 3}', b'{"models": [1]}'):
        state["body"] = nonsense
        assert local_models(url) == []
    assert local_models("http://127.0.0.1:9") == []


def test_os_nomes_do_juiz_continuam_onde_estavam():
    from homellm import instruction, judge

    for nome in ("JudgeError", "judge", "local_models", "parse_score"):
        assert getattr(instruction, nome) is getattr(judge, nome)
