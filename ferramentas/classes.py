"""Junta as células de um módulo; uma classe pode crescer de uma célula para outra.

A célula que começa por `@add_to_class(Nome)` (de `homellm.cells`) acrescenta métodos a
uma classe definida numa célula anterior da página. No notebook roda como está. No pacote,
a função aparece dentro da classe, sem o decorador, na ordem da página: quem lê o módulo vê
uma classe comum.
"""

from __future__ import annotations

import ast
import copy
import inspect
import io
import tokenize
from dataclasses import dataclass, field

from ferramentas.celulas import Celula
from ferramentas.livro import ErroDoLivro

DECORADOR = "add_to_class"
FUNCOES = (ast.FunctionDef, ast.AsyncFunctionDef)
DEFINICOES = (*FUNCOES, ast.ClassDef)


@dataclass
class Classe:
    """Uma classe do módulo, e o que outras células lhe acrescentam."""

    celula: Celula
    no: ast.ClassDef
    ordem: int  # lugar da célula no módulo
    definidos: dict[str, str]  # nome do membro e onde foi definido
    metodos: list[str] = field(default_factory=list)  # o texto de cada método, já recuado


def classes_que_crescem(arvore: ast.Module) -> list[str]:
    """As classes a que a célula acrescenta métodos, na ordem.

    >>> classes_que_crescem(ast.parse("@add_to_class(Trainer)\\ndef step(self): ..."))
    ['Trainer']
    """
    nomes = [no.decorator_list[0].args[0].id for no in arvore.body if _acrescenta(no)]
    return list(dict.fromkeys(nomes))


def nomes_definidos(arvore: ast.Module) -> list[str]:
    """As funções e classes que a célula define; método acrescentado leva a classe à frente.

    >>> nomes_definidos(ast.parse("class A: ...\\n@add_to_class(A)\\ndef f(self): ..."))
    ['A', 'A.f']
    """
    nomes = []
    for no in arvore.body:
        if isinstance(no, DEFINICOES):
            classe = f"{no.decorator_list[0].args[0].id}." if _acrescenta(no) else ""
            nomes.append(classe + no.name)
    return nomes


def junta(celulas: list[Celula]) -> str:
    """O corpo do módulo feito destas células, na ordem, com os métodos dentro das classes.

    Erros (`ErroDoLivro`, com página e linha): nome definido duas vezes, método de uma
    classe que não está antes na página, e o que dentro da classe teria outro sentido.
    """
    classes: dict[str, Classe] = {}
    definidos: dict[str, str] = {}  # nome no módulo e onde
    nascidos: dict[str, int] = {}  # nome no módulo e a ordem da célula que o define
    textos: dict[int, str] = {}
    for ordem, celula in enumerate(celulas):
        arvore = celula.arvore()
        _confere_usos(celula, arvore)
        if classes_que_crescem(arvore):
            _acrescenta_metodos(celula, arvore, classes, nascidos)
            continue
        textos[ordem] = celula.fonte
        for no in arvore.body:
            for nome in _nomes_ligados(no):
                nascidos.setdefault(nome, ordem)
            if isinstance(no, DEFINICOES) and not _repete_por_bem(no):
                if no.name in definidos:
                    raise _erro(
                        celula,
                        no,
                        f"{no.name} já foi definido em {definidos[no.name]}, e o módulo "
                        "ficaria só com um deles; apague um, ou dê-lhe outro nome",
                    )
                definidos[no.name] = _lugar(celula, no)
            if isinstance(no, ast.ClassDef):
                classes[no.name] = Classe(celula, no, ordem, _membros(celula, no))
    return "\n\n".join(
        _com_metodos(texto, [c for c in classes.values() if c.ordem == ordem])
        for ordem, texto in textos.items()
    )


def _com_metodos(fonte: str, classes: list[Classe]) -> str:
    """O texto da célula, com os métodos acrescentados ao fim de cada classe dela."""
    linhas = fonte.rstrip().split("\n")
    for classe in reversed(classes):
        fim = classe.no.end_lineno or 0
        while fim < len(linhas) and linhas[fim].lstrip().startswith("#") and linhas[fim][0] == " ":
            fim += 1  # um comentário ao fim da classe ainda é dela
        linhas[fim:fim] = [linha for metodo in classe.metodos for linha in ("", *metodo.split("\n"))]
    return "\n".join(linhas).strip("\n") + "\n"


def _acrescenta(no: ast.stmt) -> bool:
    """O primeiro decorador desta função é `@add_to_class(Nome)`?"""
    if not isinstance(no, FUNCOES) or not no.decorator_list:
        return False
    chamada = no.decorator_list[0]
    return (
        isinstance(chamada, ast.Call)
        and isinstance(chamada.func, ast.Name)
        and chamada.func.id == DECORADOR
        and len(chamada.args) == 1
        and isinstance(chamada.args[0], ast.Name)
        and not chamada.keywords
    )


def _confere_usos(celula: Celula, arvore: ast.Module) -> None:
    """`add_to_class` só serve de primeiro decorador, e a célula que o usa só acrescenta métodos."""
    bons = {id(no.decorator_list[0].func) for no in arvore.body if _acrescenta(no)}
    for no in ast.walk(arvore):
        if isinstance(no, (ast.Import, ast.ImportFrom)) and any(a.name == DECORADOR for a in no.names):
            raise _erro(
                celula,
                no,
                f"importe {DECORADOR} numa célula sem `:tangle:`; no pacote, os métodos "
                "já estão dentro da classe",
            )
        if isinstance(no, ast.Name) and no.id == DECORADOR and id(no) not in bons:
            raise _erro(
                celula,
                no,
                f"escreva @{DECORADOR}(NomeDaClasse) logo acima de uma função, antes dos "
                "outros decoradores; numa célula com `:tangle:` ele não serve de outro modo",
            )
    if bons:
        for no in arvore.body:
            if not _acrescenta(no):
                raise _erro(
                    celula,
                    no,
                    "a célula acrescenta métodos a uma classe e tem também outra coisa; "
                    "ponha-a noutra célula",
                )


def _acrescenta_metodos(
    celula: Celula,
    arvore: ast.Module,
    classes: dict[str, Classe],
    nascidos: dict[str, int],
) -> None:
    """Põe os métodos da célula nas classes, já recuados."""
    linhas = celula.fonte.split("\n")
    inicio = 0
    for n, no in enumerate(arvore.body):
        nome = no.decorator_list[0].args[0].id
        classe = classes.get(nome)
        if classe is None:
            raise _erro(
                celula,
                no,
                f"a classe {nome} não foi definida antes, nesta página, numa célula que "
                f"vai para {celula.destino}; defina-a numa célula acima desta",
            )
        if _numa_linha(classe):
            raise _erro(
                classe.celula,
                classe.no,
                f"a classe {nome} recebe métodos de outra célula; escreva o corpo dela na linha de baixo",
            )
        _confere_sentido(celula, no, classe, nascidos)
        if no.name in classe.definidos and not _repete_por_bem(no):
            raise _erro(
                celula,
                no,
                f"{nome}.{no.name} já foi definido em {classe.definidos[no.name]}; "
                "apague um, ou dê-lhe outro nome",
            )
        classe.definidos[no.name] = _lugar(celula, no)
        fim = len(linhas) if n == len(arvore.body) - 1 else no.end_lineno
        classe.metodos.append(_recuado(celula, no, linhas, inicio, fim, classe.no.body[0].col_offset))
        inicio = fim


def _recuado(
    celula: Celula,
    no: ast.FunctionDef,
    linhas: list[str],
    inicio: int,
    fim: int,
    recuo: int,
) -> str:
    """As linhas do método, com o comentário que vem antes, sem o decorador e recuadas.

    As linhas que estão dentro de uma string ficam onde estão, para que a string não
    mude; a docstring acompanha o código, porque o recuo dela não conta.
    """
    decorador = no.decorator_list[0]
    tiradas = range(decorador.lineno, decorador.end_lineno + 1)
    fixas = _linhas_de_strings(celula.fonte) - _linhas_de_docstrings(no)
    saida = [
        linhas[n - 1] if n in fixas or not linhas[n - 1].strip() else " " * recuo + linhas[n - 1]
        for n in range(inicio + 1, fim + 1)
        if n not in tiradas
    ]
    texto = "\n".join(saida).strip("\n").rstrip()
    esperado = copy.deepcopy(no)
    esperado.decorator_list.pop(0)
    (obtido,) = ast.parse(f"class _:\n{texto}\n").body[0].body
    if _sem_recuo(obtido) != _sem_recuo(esperado):
        raise _erro(
            celula,
            no,
            f"{no.name} mudaria de sentido ao ser recuado para dentro da classe; escreva "
            "as strings de várias linhas de outro modo",
        )
    return texto


def _linhas_de_strings(fonte: str) -> set[int]:
    """As linhas que começam dentro de uma string."""
    linhas: set[int] = set()
    abertas: list[int] = []  # f-strings, que do Python 3.12 em diante vêm em pedaços
    for sinal in tokenize.generate_tokens(io.StringIO(fonte).readline):
        nome = tokenize.tok_name[sinal.type]
        if nome == "STRING":
            linhas |= set(range(sinal.start[0] + 1, sinal.end[0] + 1))
        elif nome.endswith("STRING_START"):
            abertas.append(sinal.start[0])
        elif nome.endswith("STRING_END"):
            linhas |= set(range(abertas.pop() + 1, sinal.end[0] + 1))
    return linhas


def _linhas_de_docstrings(funcao: ast.AST) -> set[int]:
    return {
        linha
        for no in ast.walk(funcao)
        if isinstance(no, DEFINICOES) and ast.get_docstring(no, clean=False) is not None
        for linha in range(no.body[0].lineno + 1, no.body[0].end_lineno + 1)
    }


def _sem_recuo(funcao: ast.AST) -> str:
    """A árvore, sem posições e com as docstrings sem o recuo."""
    for no in ast.walk(funcao):
        if isinstance(no, DEFINICOES) and (docstring := ast.get_docstring(no, clean=False)) is not None:
            no.body[0] = ast.Expr(ast.Constant(inspect.cleandoc(docstring)))
    return ast.dump(funcao)


def _confere_sentido(
    celula: Celula, metodo: ast.FunctionDef, classe: Classe, nascidos: dict[str, int]
) -> None:
    """O método diz dentro da classe o mesmo que diz fora dela?"""
    for no in ast.walk(metodo):
        sem_argumentos = isinstance(no, ast.Call) and not no.args and getattr(no.func, "id", "") == "super"
        if sem_argumentos or getattr(no, "id", "") == "__class__":
            raise _erro(
                celula,
                no,
                "`super()` sem argumentos só funciona dentro da classe; escreva "
                f"super({classe.no.name}, self), ou leve {metodo.name} para a célula da classe",
            )
        for nome in (getattr(no, campo, None) for campo in ("id", "attr", "arg", "name")):
            if isinstance(nome, str) and nome.startswith("__") and not nome.endswith("__"):
                raise _erro(
                    celula,
                    no,
                    f"dentro da classe o Python muda o nome de {nome}; use um só _",
                )
    argumentos = metodo.args
    avaliados = [
        *metodo.decorator_list[1:],
        *argumentos.defaults,
        *filter(None, argumentos.kw_defaults),
    ]
    for no in (filho for expressao in avaliados for filho in ast.walk(expressao)):
        if isinstance(no, ast.Name) and nascidos.get(no.id, -1) > classe.ordem:
            raise _erro(
                celula,
                no,
                f"{metodo.name} usa {no.id}, que só é definido depois da classe "
                f"{classe.no.name}; defina-o antes dela",
            )


def _membros(celula: Celula, classe: ast.ClassDef) -> dict[str, str]:
    return {nome: _lugar(celula, no) for no in classe.body for nome in _nomes_ligados(no)}


def _nomes_ligados(no: ast.stmt) -> list[str]:
    """Os nomes que uma linha do módulo ou da classe define."""
    if isinstance(no, DEFINICOES):
        return [no.name]
    if isinstance(no, (ast.Import, ast.ImportFrom)):
        return [(a.asname or a.name).split(".")[0] for a in no.names]
    return [n.id for n in ast.walk(no) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]


def _repete_por_bem(no: ast.stmt) -> bool:
    """É o `setter` de uma propriedade, um `overload`, ou o registro de um caso?"""
    decoradores = {getattr(d, "attr", getattr(d, "id", "")) for d in no.decorator_list}
    return no.name == "_" or bool(decoradores & {"setter", "getter", "deleter", "overload", "register"})


def _numa_linha(classe: Classe) -> bool:
    """O corpo da classe está na linha do cabeçalho dela?"""
    primeira = classe.no.body[0]
    return bool(classe.celula.fonte.split("\n")[primeira.lineno - 1][: primeira.col_offset].strip())


def _erro(celula: Celula, no: ast.AST, frase: str) -> ErroDoLivro:
    return ErroDoLivro(f"{_lugar(celula, no)}: {frase}")


def _lugar(celula: Celula, no: ast.AST) -> str:
    """Página e linha do nó; de uma definição com decoradores, a linha do primeiro."""
    decoradores = getattr(no, "decorator_list", [])
    linha = decoradores[0].lineno if decoradores else no.lineno
    return f"{celula.pagina}:{celula.linha_do_codigo + linha - 1}"
