"""As funções e classes do pacote, página por página, e os erros que cada uma pode levantar.

Nada é importado nem executado: tudo se lê da árvore das células. Os erros de uma função são os dos seus
`raise` e os das funções do pacote que ela chama pelo nome, salvo os que um `try` dela apanha. Uma chamada só
com constantes não conta: não é quem chama a função que as escolhe.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator
from dataclasses import dataclass

from ferramentas.celulas import Celula
from ferramentas.livro import PACOTE

FUNCOES = (ast.FunctionDef, ast.AsyncFunctionDef)
VAGAS = ("BaseException", "Exception")  # passadas adiante, não dizem nada
Chave = tuple[str, str]  # módulo e nome: ("attention", "KVCache.append")


@dataclass(frozen=True)
class Definicao:
    """Uma função, um método ou uma classe do pacote."""

    modulo: str
    nome: str  # "KVCache.append"
    no: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    lugar: str  # página e linha

    @property
    def publica(self) -> bool:
        """Nenhuma parte do nome começa por sublinhado?"""
        return not any(parte.startswith("_") for parte in self.nome.split("."))

    @property
    def docstring(self) -> str:
        """A docstring; a de uma classe, com a do `__init__`."""
        partes = [ast.get_docstring(self.no)]
        if isinstance(self.no, ast.ClassDef):
            partes += [
                ast.get_docstring(no)
                for no in self.no.body
                if isinstance(no, FUNCOES) and no.name == "__init__"
            ]
        return "\n\n".join(filter(None, partes))


class Pacote:
    """O que as células definem, com quem chama quem."""

    def __init__(self, celulas: list[Celula]) -> None:
        self.definicoes: dict[Chave, Definicao] = {}
        self.importados: dict[Chave, Chave] = {}  # módulo e nome: de onde vem
        self.modulos: dict[str, Celula] = {}  # cada módulo e a sua primeira célula
        for celula in celulas:
            if celula.modulo is not None:
                self.modulos.setdefault(celula.modulo, celula)
                self._le(celula, celula.modulo)

    def _le(self, celula: Celula, modulo: str) -> None:
        arvore = celula.arvore()
        for no in ast.walk(arvore):
            if isinstance(no, ast.ImportFrom) and (no.module or "").startswith(f"{PACOTE}."):
                de = (no.module or "").split(".")[1]
                for nome in no.names:
                    self.importados[modulo, nome.asname or nome.name] = (de, nome.name)
        for no in arvore.body:
            if isinstance(no, FUNCOES):
                acrescenta = [d for d in no.decorator_list if ast.unparse(d).startswith("add_to_class(")]
                dona = f"{ast.unparse(acrescenta[0].args[0])}." if acrescenta else ""
                self._anota(celula, modulo, dona + no.name, no)
            elif isinstance(no, ast.ClassDef):
                self._anota(celula, modulo, no.name, no)
                for metodo in no.body:
                    if isinstance(metodo, FUNCOES):
                        self._anota(celula, modulo, f"{no.name}.{metodo.name}", metodo)

    def _anota(self, celula: Celula, modulo: str, nome: str, no: ast.stmt) -> None:
        lugar = f"{celula.pagina}:{celula.linha_do_codigo + no.lineno - 1}"
        self.definicoes[modulo, nome] = Definicao(modulo, nome, no, lugar)

    def acha(self, modulo: str, nome: str) -> Chave | None:
        """Onde mora o que o módulo chama de `nome`, ou `None` se não é do pacote."""
        if (modulo, nome) in self.definicoes:
            return modulo, nome
        if (modulo, nome) in self.importados:
            return self.acha(*self.importados[modulo, nome])
        return None

    def _metodo(self, modulo: str, classe: str, nome: str) -> Chave | None:
        """O método da classe, ou de uma de que ela herda."""
        if (modulo, f"{classe}.{nome}") in self.definicoes:
            return modulo, f"{classe}.{nome}"
        definicao = self.definicoes.get((modulo, classe))
        for base in definicao.no.bases if definicao else []:
            if (dona := self.acha(modulo, ast.unparse(base))) and (achado := self._metodo(*dona, nome)):
                return achado
        return None

    def ancestrais(self, excecao: str) -> list[str]:
        """A exceção, do Python ou do pacote, e as de que ela deriva; lista vazia se o nome é de outra coisa.

        >>> Pacote([]).ancestrais("FileNotFoundError")[:2]
        ['FileNotFoundError', 'OSError']
        """
        for definicao in self.definicoes.values():
            if definicao.nome == excecao and isinstance(definicao.no, ast.ClassDef):
                acima = [n for base in definicao.no.bases for n in self.ancestrais(ast.unparse(base))]
                return [excecao, *acima] if acima else []
        classe = getattr(builtins, excecao, None)
        if not isinstance(classe, type) or not issubclass(classe, BaseException):
            return []
        return [c.__name__ for c in classe.__mro__ if issubclass(c, BaseException)]

    def erros(self, chave: Chave, vistas: tuple[Chave, ...] = ()) -> dict[str, set[str]]:
        """Cada exceção que a função (ou o construtor da classe) pode levantar, e por quais nomes públicos.

        O nome vazio é o `raise` da própria função, ou de uma função interna que ela chama.
        """
        definicao = self.definicoes.get(chave)
        if definicao is None or chave in vistas:
            return {}
        achados: dict[str, set[str]] = {}
        if isinstance(definicao.no, ast.ClassDef):
            for nome in ("__init__", "__post_init__"):
                dona = self._metodo(*chave, nome)
                for excecao, por in self.erros(dona, (*vistas, chave)).items() if dona else ():
                    achados.setdefault(excecao, set()).update(por)
            return achados
        for excecao, por in _Leitor(self, definicao, (*vistas, chave)).le():
            achados.setdefault(excecao, set()).add(por)
        return achados


class _Leitor:
    """Percorre uma função, sem entrar nas que ela define."""

    def __init__(self, pacote: Pacote, definicao: Definicao, vistas: tuple[Chave, ...]) -> None:
        self.pacote, self.definicao, self.vistas = pacote, definicao, vistas
        self.modulo = definicao.modulo
        self.classe = definicao.nome.partition(".")[0] if "." in definicao.nome else ""
        self.variaveis: dict[str, list[str]] = {}  # a variável e as exceções que pode conter

    def le(self) -> Iterator[tuple[str, str]]:
        for no in self.definicao.no.body:
            yield from self._visita(no, [])

    def _visita(
        self, no: ast.AST, apanhadas: list[str], tratadas: list[str] | None = None
    ) -> Iterator[tuple[str, str]]:
        """O que o nó levanta e não está entre as `apanhadas`; um `raise` sem nada repete as `tratadas`."""
        if isinstance(no, (*FUNCOES, ast.Lambda, ast.ClassDef)):
            return
        if isinstance(no, ast.Try):
            tipos = [self._apanha(tratador) for tratador in no.handlers]
            for filho in no.body:
                todos = [nome for tipo in tipos for nome in tipo]
                yield from self._visita(filho, apanhadas + todos, tratadas)
            for tratador, tipo in zip(no.handlers, tipos, strict=True):
                for filho in tratador.body:
                    yield from self._visita(filho, apanhadas, tipo)
            for filho in (*no.orelse, *no.finalbody):
                yield from self._visita(filho, apanhadas, tratadas)
            return
        if isinstance(no, ast.With):
            for item in no.items:
                chamada = item.context_expr
                if isinstance(chamada, ast.Call) and ast.unparse(chamada.func) == "suppress":
                    apanhadas = apanhadas + [ast.unparse(a) for a in chamada.args]
        if isinstance(no, ast.NamedExpr) and isinstance(no.value, ast.Call):
            self.variaveis[no.target.id] = self._devolvidas(no.value)
        levantadas: list[tuple[str, str]] = []
        if isinstance(no, ast.Raise):
            tipos_ = (tratadas or []) if no.exc is None else self._tipos(no.exc)
            levantadas = [(excecao, "") for excecao in tipos_]
        elif isinstance(no, ast.Call):
            levantadas = self._da_chamada(no)
        for excecao, por in levantadas:
            acima = set(self.pacote.ancestrais(excecao))
            if acima and not acima & set(apanhadas) and excecao not in VAGAS:
                yield excecao, por
        for filho in ast.iter_child_nodes(no):
            yield from self._visita(filho, apanhadas, tratadas)

    def _apanha(self, tratador: ast.ExceptHandler) -> list[str]:
        if tratador.type is None:
            return ["BaseException"]
        tipos = tratador.type.elts if isinstance(tratador.type, ast.Tuple) else [tratador.type]
        nomes = [ast.unparse(tipo).rpartition(".")[2] for tipo in tipos]
        if tratador.name:
            self.variaveis[tratador.name] = nomes
        return nomes

    def _tipos(self, levantado: ast.expr) -> list[str]:
        """As exceções de um `raise`: pelo nome, pela variável, ou pela função que as devolve."""
        funcao = levantado.func if isinstance(levantado, ast.Call) else levantado
        if isinstance(funcao, ast.Call) and ast.unparse(funcao.func) == "type":  # raise type(error)(…)
            funcao = funcao.args[0]
        nome = ast.unparse(funcao).rpartition(".")[2]
        if nome in self.variaveis:
            return self.variaveis[nome]
        if nome[0].isupper():
            return [nome]
        return self._devolvidas(levantado) if isinstance(levantado, ast.Call) else []

    def _devolvidas(self, chamada: ast.Call) -> list[str]:
        """As exceções que uma função do pacote devolve, pela anotação."""
        alvo = self.pacote.definicoes.get(self._alvo(chamada.func))
        anotacao = getattr(alvo.no, "returns", None) if alvo else None
        nomes = ast.unparse(anotacao).split(" | ") if anotacao else []
        return [nome for nome in nomes if self.pacote.ancestrais(nome)]

    def _alvo(self, funcao: ast.expr) -> Chave | None:
        """A função, o método ou a classe do pacote que se chama assim."""
        if isinstance(funcao, ast.Name):
            if funcao.id == "cls" and self.classe:
                return self.modulo, self.classe
            return self.pacote.acha(self.modulo, funcao.id)
        if not isinstance(funcao, ast.Attribute):
            return None
        dono = ast.unparse(funcao.value)
        if dono in ("self", "cls") and self.classe:
            return self.pacote._metodo(self.modulo, self.classe, funcao.attr)
        if dono == "super()" and self.classe:
            for base in self.pacote.definicoes[self.modulo, self.classe].no.bases:
                if (acima := self.pacote.acha(self.modulo, ast.unparse(base))) is not None:
                    return self.pacote._metodo(*acima, funcao.attr)
            return None
        classe = self.pacote.acha(self.modulo, dono)
        return self.pacote._metodo(*classe, funcao.attr) if classe else None

    def _da_chamada(self, no: ast.Call) -> list[tuple[str, str]]:
        alvo = self._alvo(no.func)
        passados = [*no.args, *(k.value for k in no.keywords)]
        fixa = isinstance(no.func, ast.Name) and all(isinstance(v, ast.Constant) for v in passados)
        if fixa or alvo is None or alvo not in self.pacote.definicoes:
            return []  # o que só recebe constantes não depende de quem chama
        dona, _, ultimo = alvo[1].rpartition(".")
        ultimo = dona if ultimo == "__init__" else ultimo  # super().__init__(…)
        erros = self.pacote.erros(alvo, self.vistas)
        if ultimo.startswith("_"):  # o que uma função interna chama conta como chamado aqui
            return [(excecao, por) for excecao, todas in erros.items() for por in sorted(todas)]
        return [(excecao, ultimo) for excecao in erros]
