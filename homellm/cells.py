# Gerado por ferramentas/tangle.py. NÃO EDITE: mude book/00-passo-zero.md.
# sha256 do que segue: be908adb630f9823f6c5656f9f01a52d11c7f1f3ae5f6aca2e643df9c05f8c62
"""Uma classe que cresce de célula em célula, como nas páginas do livro."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

Member = TypeVar("Member")  # o que se guarda na classe


def add_to_class(cls: type) -> Callable[[Member], Member]:
    """Decorador que guarda uma função na classe `cls`, com o nome que a função tem.

    Com `@property`, `@classmethod` ou `@staticmethod`, fica acima deles. Um objeto que
    já existe também ganha o método.

    Erros: `TypeError` se não vem uma classe, ou se o decorador não está acima de uma
    função.

    >>> class Ledger: ...
    >>> @add_to_class(Ledger)
    ... def total(self): return 3
    >>> Ledger().total()
    3
    """
    if not isinstance(cls, type):
        raise TypeError(f"escreva @add_to_class(NomeDaClasse); veio {cls!r}")

    def attach(member: Member) -> Member:
        wrapped: Any = member
        function = wrapped.fget if isinstance(member, property) else wrapped
        name = getattr(getattr(function, "__func__", function), "__name__", None)
        if name is None:
            raise TypeError(f"ponha @add_to_class acima de uma função; veio {member!r}")
        setattr(cls, name, member)
        return member

    return attach
