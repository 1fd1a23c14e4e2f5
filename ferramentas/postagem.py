"""Leva um post do diário para o Medium e o Dev.to: Markdown comum, com endereços inteiros.

uso: python -m ferramentas.postagem 02

Escreve `_build/postagens/02.md`. O texto sai da página já lida e resolvida pelo Sphinx, pelo mesmo escritor
dos notebooks, e por isso as referências têm os números e os títulos do site. As figuras vão em PNG, porque o
Medium não aceita SVG; as fórmulas, em Unicode quando cabem numa linha, e em PNG quando não.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx

from ferramentas import diario, imagens
from ferramentas.colab import ConstrutorColab, Escritor, LugarDeCelula
from ferramentas.livro import RAIZ, ErroDoLivro, enderecos, grava

# ---------------------------------------------------------------- fórmulas

SIMBOLOS = {
    "times": "×", "cdot": "·", "approx": "≈", "le": "≤", "leq": "≤", "ge": "≥", "geq": "≥", "ne": "≠",
    "neq": "≠", "infty": "∞", "to": "→", "rightarrow": "→", "pm": "±", "sum": "Σ", "prod": "Π", "ldots": "…",
    "dots": "…", "cdots": "…", "mid": "|", "in": "∈", "partial": "∂", "quad": " ", ",": " ", ";": " ",
    " ": " ", "%": "%", "$": "$", "{": "{", "}": "}", "left": "", "right": "",
    **{nome: nome for nome in ("log", "ln", "exp", "max", "min")},
    **dict(zip(
        "alpha beta gamma delta epsilon varepsilon zeta eta theta kappa lambda mu nu pi rho sigma tau phi "
        "chi psi omega Gamma Delta Theta Lambda Pi Sigma Phi Psi Omega".split(),
        "αβγδεεζηθκλμνπρστφχψωΓΔΘΛΠΣΦΨΩ", strict=True,
    )),
}  # fmt: skip
ACIMA = dict(zip("0123456789+-−=()nixyTL", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁼⁽⁾ⁿⁱˣʸᵀᴸ", strict=True))
ABAIXO = dict(zip("0123456789+-−=()aehijklmnoprstuvx", "₀₁₂₃₄₅₆₇₈₉₊₋₋₌₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ", strict=True))


def em_unicode(latex: str) -> str | None:
    r"""A fórmula numa linha de texto; `None` se ela não cabe numa.

    >>> em_unicode(r"3 \times 10^{-3}"), em_unicode(r"\sqrt{2L}"), em_unicode(r"\frac{a}{b}")
    ('3 × 10⁻³', '√(2L)', None)
    """
    texto = " ".join(latex.split()).replace("{,}", ",")
    texto = re.sub(r"\\(?:text|mathrm|operatorname|mathbf)\{([^{}]*)\}", r"\1", texto)
    texto = re.sub(r"\\sqrt\{([^{}]*)\}", lambda m: f"√{m[1]}" if len(m[1]) == 1 else f"√({m[1]})", texto)

    def alto_ou_baixo(achado: re.Match[str]) -> str:
        tabela = ACIMA if achado[1] == "^" else ABAIXO
        dentro = achado[3] if achado[2] is None else achado[2]
        return "".join(tabela.get(c, "\\?") for c in dentro)

    texto = re.sub(r"([\^_])(?:\{([^{}]*)\}|(\w))", alto_ou_baixo, texto)
    texto = re.sub(r"\\([a-zA-Z]+|[,; %${}])(\s?)", lambda m: SIMBOLOS.get(m[1], "\\?") + m[2], texto)
    return None if re.search(r"[\\^_{}&]", texto) else " ".join(texto.split())


# ---------------------------------------------------------------- o Markdown


class EscritorDePostagem(Escritor):
    """O dos notebooks, com as figuras e as fórmulas que o Medium e o Dev.to aceitam."""

    def bloco_title(self, no: nodes.title) -> str:
        return "" if self.nivel <= 1 else super().bloco_title(no)  # o título vai no cabeçalho

    def bloco_image(self, no: nodes.image) -> str:
        uri = no["uri"]
        if uri.endswith(".svg") and "://" not in uri:
            png = imagens.png_da_figura(uri)
            if png is None:
                self.construtor.faltas.append(uri)
            else:
                no = no.deepcopy()
                no["uri"] = png
        return super().bloco_image(no)

    def _formula(self, latex: str) -> str:
        latex = " ".join(latex.split())
        if (texto := em_unicode(latex)) is not None:
            return self.linha(nodes.Text(texto))
        if (png := imagens.png_da_formula(latex)) is not None:
            return f"![{latex}]({self.publicos.bruto(png)})"
        raise ErroDoLivro(
            f"{self.docname}.md: a fórmula {latex[:60]} não cabe numa linha nem vira imagem; "
            "diga-a em palavras, ou desenhe-a numa figura"
        )

    def linha_math(self, no: nodes.math) -> str:
        return self._formula(no.astext())

    def bloco_math_block(self, no: nodes.math_block) -> str:
        return self._formula(no.astext())


def cabecalho(post: diario.Post) -> str:
    """O que o Dev.to lê antes do texto; no Medium, copie daqui o título e o endereço canônico."""
    campos: dict[str, object] = {
        "title": post.titulo,
        "published": False,
        "description": post.resumo,
        "tags": ", ".join(post.etiquetas[:4]),  # o Dev.to aceita quatro
        "canonical_url": enderecos().pagina(post.docname),
        "series": "Fazendo um LLM do Zero",
    }
    linhas = [
        f"{nome}: {json.dumps(valor, ensure_ascii=False)}" for nome, valor in campos.items() if valor != ""
    ]
    return "\n".join(["---", *linhas, "---"])


class ConstrutorDePostagem(ConstrutorColab):
    """Escreve o Markdown dos posts que o Sphinx lhe dá."""

    name = "postagem"
    epilog = ""

    def init(self) -> None:
        self.faltas: list[str] = []  # figuras que ficaram em SVG

    def write_doc(self, docname: str, doctree: nodes.document) -> None:
        post = next((p for p in self.app.livro_posts if p.docname == docname), None)
        if post is None:
            return
        partes = EscritorDePostagem(self, docname).partes(doctree)
        texto = [parte for parte in partes if not isinstance(parte, LugarDeCelula)]
        publicos = enderecos()
        rodape = (
            f"*Publicado primeiro no [diário de bordo]({publicos.pagina(docname)}) de "
            f"[{self.config.html_title}]({publicos.pagina(self.config.root_doc)}), livro aberto e executável "
            "em português.*"
        )
        texto = [cabecalho(post), *texto, "---", rodape]
        grava(Path(self.outdir) / f"{post.capitulo:02}.md", "\n\n".join(texto) + "\n")
        grava(Path(self.outdir) / "faltas", "\n".join(self.faltas))


# ---------------------------------------------------------------- o comando


def do_capitulo(pedido: str, raiz: Path = RAIZ) -> diario.Post:
    """O post do capítulo pedido (`02` ou `2`); se há mais de um, o mais novo."""
    lidos = diario.posts(raiz)
    achado = next((p for p in lidos if pedido.isdigit() and p.capitulo == int(pedido)), None)
    if achado is None:
        ha = ", ".join(f"{n:02}" for n in sorted({p.capitulo for p in lidos})) or "nenhum"
        raise ErroDoLivro(f"capítulo {pedido!r}: não há post dele em {diario.PASTA}; há dos capítulos: {ha}")
    return achado


def exporta(post: diario.Post, destino: Path, doctrees: Path) -> list[str]:
    """Escreve a postagem em `destino`; devolve as figuras que ficaram em SVG.

    O que a construção do site sabe das outras páginas está em `doctrees`. Lê-se dali, e escreve-se noutra
    pasta, para que a construção seguinte não dê por lido o que esta leu.
    """
    from ferramentas.construir import sphinx

    if not (doctrees / "environment.pickle").exists():
        raise ErroDoLivro("a postagem sai do site construído: rode antes make livro")
    with tempfile.TemporaryDirectory() as pasta:
        copia, muda = Path(pasta) / "doctrees", ["environment.pickle", f"{post.docname}.doctree"]
        shutil.copytree(doctrees, copia, copy_function=os.symlink)
        for nome in muda:  # o que o Sphinx reescreve
            (copia / nome).unlink(missing_ok=True)
        shutil.copy(doctrees / "environment.pickle", copia)
        sphinx("postagem", Path(pasta) / "saida", copia, {"nb_execution_mode": "off"}, so=post.docname)
        texto = (Path(pasta) / "saida" / f"{post.capitulo:02}.md").read_text("utf-8")
        grava(destino, texto)
        return (Path(pasta) / "saida" / "faltas").read_text("utf-8").split()


def main(argumentos: list[str]) -> int:
    """Ponto de entrada; devolve 0 se a postagem saiu, 1 se não."""
    from ferramentas.construir import CONSTRUCAO, DOCTREES

    if len(argumentos) != 1 or not argumentos[0]:
        print("erro: diga o capítulo: make postagem capitulo=02", file=sys.stderr)
        return 1
    try:
        post = do_capitulo(argumentos[0])
        destino = CONSTRUCAO / "postagens" / f"{post.capitulo:02}.md"
        faltas = exporta(post, destino, DOCTREES)
    except ErroDoLivro as erro:
        print(f"erro: {erro}", file=sys.stderr)
        return 1
    print(f"A postagem está em {destino.relative_to(RAIZ)}: {post.titulo}")
    for figura in faltas:
        print(f"aviso: {figura} ficou em SVG, que o Medium não aceita; instale o Chromium e rode de novo")
    print(f"As figuras que ela mostra estão em {imagens.PASTA}/; envie-as ao repositório antes de publicar.")
    return 0


def setup(app: Sphinx) -> dict[str, object]:
    app.add_builder(ConstrutorDePostagem)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": False}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
