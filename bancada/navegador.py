"""O `contos-mini` no navegador e no pacote, no mesmo núcleo: quantos tokens por segundo, gerando e lendo.

uso: python bancada/navegador.py [--nucleo 0] [--rodadas 7]

No navegador, é o motor de `widgets/`, com os pesos em int8, num Worker do Chromium sem tela; no pacote, o
PyTorch em fp32, com uma thread. Os dois geram 200 tokens com cache, e leem um prompt de 200 tokens. As
rodadas se alternam, e a primeira não conta. Grava em `data/navegador.json`, que a página “O modelo na
página” lê. Demora um minuto. Precisa do Chromium, e de: pip install "homellm[teste]"
"""

from __future__ import annotations

import argparse
import functools
import http.server
import os
import platform
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))  # o Chromium se abre como nos testes

from homellm.files import write_json  # noqa: E402
from homellm.generation import stream  # noqa: E402
from homellm.plots import br  # noqa: E402
from homellm.tokenizer import encode_text  # noqa: E402
from homellm.web import pack_model  # noqa: E402
from homellm.weights import load_pretrained  # noqa: E402
from navegador import abre_navegador  # noqa: E402

TOKENS = 200
PAGE = """<!doctype html><link rel=icon href="data:,"><script type="module">
import { load } from "./widgets/modelo.js";
window.model = await load("contos-mini");
</script>"""
GENERATE = """async ([ids, count, seed]) => {
  const start = performance.now();
  await model.stream(ids, {maxNewTokens: count, temperature: 0.8, seed, stops: []});
  return performance.now() - start;
}"""
READ = """async (ids) => {
  await model.next([ids.at(-1)]);  // o cache esquece o prompt
  const start = performance.now();
  await model.next(ids);
  return performance.now() - start;
}"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serve uma pasta sem escrever nada na tela."""

    def log_message(self, *_: object) -> None:
        pass


def tasks(page: Page, prompt: list[int], text: list[int]) -> dict[tuple[str, str], Callable[[int], float]]:
    """(o que se faz, quem faz) → uma função que o faz, e devolve os segundos."""
    model, _ = load_pretrained("contos-mini")
    ids, whole = torch.tensor([prompt]), torch.tensor([text])

    def timed(work: Callable[[], object]) -> float:
        start = time.perf_counter()
        work()
        return time.perf_counter() - start

    def generate(turn: int) -> float:
        draws = torch.Generator().manual_seed(turn)
        return timed(lambda: list(stream(model, ids, TOKENS, temperature=0.8, generator=draws)))

    def read(_: int) -> float:
        with torch.no_grad():
            return timed(lambda: model.head(model.features(whole)[:, -1]))

    return {
        ("gerar", "navegador"): lambda turn: page.evaluate(GENERATE, [prompt, TOKENS, turn]) / 1000,
        ("gerar", "pacote"): generate,
        ("ler", "navegador"): lambda _: page.evaluate(READ, text) / 1000,
        ("ler", "pacote"): read,
    }


def measure(folder: Path, rounds: int) -> tuple[str, dict[str, dict[str, list[float]]]]:
    """A versão do navegador e os tokens por segundo de cada rodada."""
    model, tokenizer = load_pretrained("contos-mini")
    shutil.copytree(ROOT / "widgets", folder / "widgets")
    (folder / "modelos").mkdir()
    (folder / "modelos/contos-mini.bin").write_bytes(pack_model(model, tokenizer))
    (folder / "index.html").write_text(PAGE, "utf-8")
    text = encode_text(tokenizer, (ROOT / "data/contos.txt").read_text("utf-8"))[1000 : 1000 + TOKENS]
    handler = functools.partial(Quiet, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    rates: dict[str, dict[str, list[float]]] = {what: {} for what in ("gerar", "ler")}
    with sync_playwright() as engine, abre_navegador(engine) as browser:
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{server.server_port}/index.html")
        page.wait_for_function("window.model")
        jobs = tasks(page, encode_text(tokenizer, "Era uma vez"), text)
        for turn in range(rounds + 1):
            for (what, who), job in jobs.items():
                seconds = job(turn)
                if turn:
                    rates[what].setdefault(who, []).append(round(TOKENS / seconds, 1))
        version = f"Chromium {browser.version}"
    server.shutdown()
    return version, rates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--nucleo", type=int, default=0, help="o núcleo em que tudo roda")
    parser.add_argument("--rodadas", type=int, default=7)
    options = parser.parse_args()
    os.sched_setaffinity(0, {options.nucleo})  # o navegador herda
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        version, rates = measure(Path(folder), options.rodadas)
    for what, sides in rates.items():
        for who, values in sides.items():
            low, middle, high = (br(f(values)) for f in (min, median, max))
            print(f"{what:<6} {who:<10} {middle:>7} tokens por segundo   ({low} a {high})")
    where = {"máquina": f"{platform.machine()}, um núcleo", "navegador": version, "torch": torch.__version__}
    write_json(ROOT / "data/navegador.json", {**where, "tokens": TOKENS, **rates})


if __name__ == "__main__":
    main()
