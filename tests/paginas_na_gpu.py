"""Executa as células de uma página no dispositivo emulado (`emulado.py`), com os treinos encurtados.

uso: PYTHONPATH=.:tests python tests/paginas_na_gpu.py book/03-atencao.md …

Acusa a conta que mistura dispositivos, e o passo de treino ou a geração que fica na CPU: são os defeitos que
só apareceriam a quem abre o notebook com uma GPU. As saídas não importam: cada laço de treino dá só uns
passos, e uma célula que não roda por causa disso é contada, e a página segue. As escondidas não rodam.
"""

from __future__ import annotations

import ast
import itertools
import os
import sys
import tempfile
import types
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook

from emulado import GPU, Misturado, segundo_dispositivo
from ferramentas.celulas import Celula, le_celulas

PASSOS = 3  # de cada laço de treino
TOKENS = 3  # de cada geração
MENORES = {
    "max_steps": PASSOS,
    "steps": PASSOS,
    "epochs": 1,
    "max_new_tokens": TOKENS,
    "accumulation_steps": 2,
}
GERA = {"generate": 2, "generate_text": 3, "stream": 2}  # o lugar do max_new_tokens


@dataclass
class Ensaio:
    """O que a página fez."""

    defeitos: list[str] = field(default_factory=list)  # "book/03-atencao.md:12: …"
    paradas: list[str] = field(default_factory=list)  # as células que o encurtamento não deixou rodar
    celulas: int = 0
    passos: int = 0  # de otimizador, no dispositivo
    idas: int = 0  # tensores levados a ele


class _Encurta(ast.NodeTransformer):
    """Os laços que treinam dão `PASSOS` voltas; os números de passos e de tokens descem a isso."""

    def visit_For(self, no: ast.For) -> ast.AST:
        self.generic_visit(no)
        treina = any(isinstance(n, ast.Attribute) and n.attr == "backward" for n in ast.walk(no))
        if treina:
            no.iter = _chama("_poucos", no.iter)
        return no

    def visit_Call(self, no: ast.Call) -> ast.AST:
        self.generic_visit(no)
        for argumento in no.keywords:
            if argumento.arg in MENORES:
                argumento.value = _chama("_menor", argumento.value, ast.Constant(MENORES[argumento.arg]))
        lugar = GERA.get(no.func.id, 99) if isinstance(no.func, ast.Name) else 99
        if len(no.args) > lugar:
            no.args[lugar] = _chama("_menor", no.args[lugar], ast.Constant(TOKENS))
        return no


def _chama(nome: str, *argumentos: ast.expr) -> ast.Call:
    return ast.Call(ast.Name(nome, ast.Load()), list(argumentos), [])


def _menor(valor: Any, teto: int) -> Any:
    return min(valor, teto) if isinstance(valor, int) and not isinstance(valor, bool) else valor


def _poucos(voltas: Iterable[Any]) -> Iterable[Any]:
    """As primeiras voltas de um laço; de um `range`, também a última, em que ele pode devolver o que tem."""
    if isinstance(voltas, range) and len(voltas) > PASSOS:
        return [*voltas[:PASSOS], voltas[-1]]
    return itertools.islice(voltas, PASSOS)


def ensaia(celulas: Iterable[Celula]) -> Ensaio:
    """Roda as células, e diz o que se misturou e o que ficou na CPU. Uma página por processo."""
    import matplotlib

    import homellm.device
    import homellm.loss
    import homellm.training

    matplotlib.use("agg")
    fp32 = lambda precision, device: torch.float32  # noqa: E731  não há autocast no emulado
    homellm.device.choose_device = lambda: GPU
    homellm.loss.resolve_precision = homellm.training.resolve_precision = fp32
    ensaio, agora = Ensaio(), [""]
    modulo = types.ModuleType("pagina")
    sys.modules["pagina"] = modulo  # onde as dataclasses das células se procuram
    ns = modulo.__dict__
    ns |= {"_menor": _menor, "_poucos": _poucos}

    with segundo_dispositivo() as etiquetas, tempfile.TemporaryDirectory() as pasta:
        os.chdir(pasta)

        def anota(queixa: str) -> None:
            if (linha := f"{agora[0]}: {queixa}") not in ensaio.defeitos:
                ensaio.defeitos.append(linha)

        def deu_um_passo(otimizador: torch.optim.Optimizer, *_: Any) -> None:
            pesos = [p for grupo in otimizador.param_groups for p in grupo["params"]]
            if any(p.dim() > 1 for p in pesos) and not all(etiquetas.tem(p) for p in pesos):
                anota("o treino ficou na CPU; leve o modelo a choose_device()")
            else:
                ensaio.passos += 1

        def proximos(funcao: Any) -> Any:
            def logits(model: Any, ids: torch.Tensor, *resto: Any) -> torch.Tensor:
                if not etiquetas.tem(ids):
                    anota("a geração ficou na CPU; leve o modelo e os ids a choose_device()")
                return funcao(model, ids, *resto)

            return logits

        import homellm.generation

        homellm.generation._last_logits = proximos(homellm.generation._last_logits)
        gancho = register_optimizer_step_pre_hook(deu_um_passo)
        for celula in celulas:
            if "remove-cell" in celula.etiquetas:
                continue
            agora[0], arvore = celula.lugar, ast.parse(celula.fonte)
            if not celula.destino:
                arvore = ast.fix_missing_locations(_Encurta().visit(arvore))
            ensaio.celulas += 1
            try:
                exec(compile(arvore, celula.lugar, "exec"), ns)
            except Misturado as erro:
                anota(str(erro))
            except Exception as erro:
                ensaio.paradas.append(f"{celula.lugar}: {type(erro).__name__}: {str(erro)[:120]}")
            if "choose_device" in ns:
                ns["choose_device"] = homellm.device.choose_device
        gancho.remove()
        ensaio.idas = etiquetas.idas
    return ensaio


def main(paginas: list[str]) -> int:
    """Ensaia cada página num processo próprio; 1 se alguma tem defeito."""
    codigo = 0
    for pagina in paginas:
        if (pid := os.fork()) == 0:
            raiz = Path.cwd()
            ensaio = ensaia(le_celulas(raiz / pagina, raiz))
            for linha in (*ensaio.paradas, *ensaio.defeitos):
                print(linha)
            n = len(ensaio.paradas)
            print(
                f"{pagina}: {ensaio.celulas} células ({n} não rodaram), {ensaio.passos} passos de treino, "
                f"{ensaio.idas} idas ao dispositivo, {len(ensaio.defeitos)} defeitos",
                flush=True,
            )
            os._exit(bool(ensaio.defeitos))
        codigo |= os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return codigo


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
