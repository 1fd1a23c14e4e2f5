"""As conversas que a página de início e o README mostram são as que o modelo do livro dá."""

from __future__ import annotations

import ast
import json
import re

from ferramentas.celulas import le_celulas
from ferramentas.livro import RAIZ
from homellm.instruction import Chat
from homellm.weights import load_pretrained

COMO_ATUALIZAR = "troque a conversa do README.md por esta:\n\n"


def falas_da_pagina() -> list[str]:
    """O que a célula da página de início diz ao modelo."""
    celulas = le_celulas(RAIZ / "book/index.md", RAIZ)
    (falas,) = (
        no.value
        for celula in celulas
        for no in celula.arvore().body
        if isinstance(no, ast.Assign) and ast.unparse(no.targets[0]) == "asks"
    )
    return ast.literal_eval(falas)


def conversa(falas: list[str]) -> str:
    """A conversa inteira, como se mostra."""
    chat = Chat(*load_pretrained("conversa-mini"))
    return "\n".join(f"você: {fala}\ngota: {chat.send(fala)}\n" for fala in falas).rstrip("\n")


def test_o_readme_mostra_a_conversa_que_o_modelo_da() -> None:
    (no_readme,) = re.findall(r"(?s)```text\n(você: .*?)\n```", (RAIZ / "README.md").read_text("utf-8"))
    esperada = conversa(falas_da_pagina())
    assert no_readme == esperada, COMO_ATUALIZAR + esperada


def test_o_readme_e_a_pagina_dizem_quanto_ele_acerta() -> None:
    medidas = json.loads((RAIZ / "data/modelos/conversa-mini/medidas.json").read_text("utf-8"))
    acerto = round(100 * medidas["test"]["oito_turnos"]["ao_todo"]["acerto"])
    assert f"acerta {acerto}:" in (RAIZ / "README.md").read_text("utf-8")
    assert f"acerta {acerto} respostas em cada 100" in (RAIZ / "book/index.md").read_text("utf-8")


def test_cada_resposta_da_vitrine_e_curta_e_nao_e_vazia() -> None:
    chat = Chat(*load_pretrained("conversa-mini"))
    respostas = [chat.send(fala) for fala in falas_da_pagina()]
    assert len(respostas) >= 3 and all(0 < len(r.strip()) < 200 for r in respostas)
