"""Treinos e gerações das páginas acontecem em `choose_device()`, e não na CPU de quem tem uma GPU.

Aqui se lê o código das células. Um modelo que treina ou gera precisa ter passado por `.to(…)`: ao ser criado,
ou depois. Quem o pôs num dispositivo e deixou os dados noutro é achado por `tests/paginas_na_gpu.py`, que
executa as páginas num dispositivo emulado.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from ferramentas.celulas import Celula

MODELOS = {"GPT", "GPTClassifier", "load_pretrained", "load_gpt2", "load_classifier"}
USOS = {  # as funções do livro que treinam, medem ou geram, com o modelo em primeiro lugar
    "Chat", "Trainer", "bits_per_byte", "create_optimizer", "evaluate", "finetune_classifier",
    "finetune_instructions", "generate", "generate_text", "language_model_loss", "predict", "respond",
    "stream", "talk", "train",
}  # fmt: skip
LEVAM = {"to", "cuda"}

# (página, nome do modelo) → por que este fica onde nasceu.
FICAM: dict[tuple[str, str], str] = {}


def na_cpu(celulas: Iterable[Celula], ficam: dict[tuple[str, str], str] | None = None) -> Iterator[str]:
    """Os modelos que uma célula treina, ou põe para gerar, sem que ninguém os tenha levado ao dispositivo.

    As células do pacote não contam, que recebem o modelo de quem chama; nem as escondidas, que só conferem.
    """
    ficam = FICAM if ficam is None else ficam
    sobram, paginas = set(ficam), set()
    das_paginas: dict[str, _Pagina] = {}
    for celula in celulas:
        paginas.add(celula.pagina)
        if celula.destino or "remove-cell" in celula.etiquetas:
            continue
        pagina = das_paginas.setdefault(celula.pagina, _Pagina())
        for linha, nome in pagina.le(celula.arvore()):
            if (celula.pagina, nome) in ficam:
                sobram.discard((celula.pagina, nome))
                continue
            yield (
                f"{celula.pagina}:{celula.linha_do_codigo + linha - 1}: {nome} treina ou gera, e nunca foi "
                f"ao dispositivo: numa GPU ficaria na CPU; escreva {nome}.to(choose_device()), ou diga em "
                "FICAM (ferramentas/dispositivo.py) por que ele fica"
            )
    for pagina, nome in sorted(sobram):
        if pagina in paginas:
            yield (
                f"{pagina}:1: FICAM (ferramentas/dispositivo.py) fala de {nome}, que nenhuma célula deixa na "
                "CPU; tire-o da lista"
            )


class _Pagina:
    """O que se sabe dos nomes de uma página, na ordem em que ela é lida."""

    def __init__(self) -> None:
        self.levado: dict[str, bool] = {}  # modelo → se já foi ao dispositivo

    def le(self, arvore: ast.Module) -> Iterator[tuple[int, str]]:
        """Lê mais uma célula; dá linha e nome de cada modelo usado onde não devia."""
        for no in sorted(_nos(arvore), key=_ordem):
            if isinstance(no, ast.Assign):
                self._guarda(no)
            elif isinstance(no, ast.Call):
                yield from self._chamada(no)

    def _guarda(self, no: ast.Assign) -> None:
        """`modelo = …`, `modelo, tokenizer = …` e `modelo, outro = …, …`."""
        alvo, valor = no.targets[0], no.value
        pares = [(alvo, valor)]
        if isinstance(alvo, ast.Tuple) and alvo.elts:
            iguais = isinstance(valor, ast.Tuple) and len(valor.elts) == len(alvo.elts)
            pares = list(zip(alvo.elts, valor.elts, strict=True)) if iguais else [(alvo.elts[0], valor)]
        for nome, feito in pares:
            if isinstance(nome, ast.Name):
                estado = self._estado(feito)
                if estado is None:
                    self.levado.pop(nome.id, None)  # virou outra coisa
                else:
                    self.levado[nome.id] = estado

    def _estado(self, no: ast.expr) -> bool | None:
        """Se o que a expressão dá é um modelo levado, um que não foi, ou outra coisa."""
        if isinstance(no, ast.Name):
            return self.levado.get(no.id)
        if isinstance(no, ast.BoolOp):  # modelo or GPT(…)
            estados = [self._estado(valor) for valor in no.values]
            return None if set(estados) == {None} else False not in estados
        if not isinstance(no, ast.Call):
            return None
        if isinstance(no.func, ast.Attribute):
            de_dentro = self._estado(no.func.value)
            if de_dentro is not None and no.func.attr in LEVAM:
                return True
            return de_dentro if no.func.attr in ("eval", "train", "requires_grad_") else None
        return False if isinstance(no.func, ast.Name) and no.func.id in MODELOS else None

    def _chamada(self, no: ast.Call) -> Iterator[tuple[int, str]]:
        if isinstance(no.func, ast.Attribute) and isinstance(no.func.value, ast.Name):
            dono = no.func.value.id
            if no.func.attr in LEVAM and dono in self.levado:
                self.levado[dono] = True
        for usado in _usados(no):
            if self._estado(usado) is False:
                yield no.lineno, usado.id if isinstance(usado, ast.Name) else ast.unparse(usado)


def _usados(no: ast.Call) -> list[ast.expr]:
    """Os modelos que a chamada treina ou põe para gerar."""
    if isinstance(no.func, ast.Name) and no.func.id in USOS:
        primeiro = no.args[0] if no.args else None
        return [primeiro.value if isinstance(primeiro, ast.Starred) else primeiro] if primeiro else []
    if isinstance(no.func, ast.Attribute) and "optim" in ast.unparse(
        no.func
    ):  # torch.optim.AdamW(m.parameters())
        return [
            dentro.func.value
            for argumento in no.args
            for dentro in ast.walk(argumento)
            if isinstance(dentro, ast.Call)
            and isinstance(dentro.func, ast.Attribute)
            and dentro.func.attr == "parameters"
        ]
    return []


def _nos(arvore: ast.AST) -> list[ast.Assign | ast.Call]:
    return [no for no in ast.walk(arvore) if isinstance(no, (ast.Assign, ast.Call))]


def _ordem(no: ast.Assign | ast.Call) -> tuple[int, int]:
    """Na ordem em que o Python os faz: o valor de uma atribuição vem antes dela."""
    return no.end_lineno or no.lineno, isinstance(no, ast.Assign)
