"""homellm.cells: métodos que entram numa classe já definida."""

from __future__ import annotations

import pytest

from homellm.cells import add_to_class


def test_method_property_classmethod_and_staticmethod_reach_objects_that_exist():
    class Ledger:
        rate = 2

        def __init__(self):
            self.debts = [3, 4]

    ledger = Ledger()

    @add_to_class(Ledger)
    def lend(self, value):
        self.debts.append(value)

    @add_to_class(Ledger)
    @property
    def total(self):
        return sum(self.debts)

    @add_to_class(Ledger)
    @total.setter
    def total(self, value):
        self.debts = [value]

    @add_to_class(Ledger)
    @classmethod
    def double(cls, value):
        return cls.rate * value

    @add_to_class(Ledger)
    @staticmethod
    def half(value):
        return value / 2

    ledger.lend(5)
    assert (ledger.total, ledger.double(4), Ledger.double(5), ledger.half(3)) == (12, 8, 10, 1.5)
    ledger.total = 1
    assert ledger.debts == [1]
    assert isinstance(Ledger.total, property) and Ledger.__dict__["double"] is double


def test_returns_what_it_received_and_the_last_one_wins():
    class A:
        def f(self):
            return 1

    def f(self):
        return 2

    assert add_to_class(A)(f) is f and A().f() == 2


@pytest.mark.parametrize("wrong", [3, "Ledger", None])
def test_not_a_class(wrong):
    with pytest.raises(TypeError, match="escreva @add_to_class.NomeDaClasse.; veio"):
        add_to_class(wrong)


@pytest.mark.parametrize("wrong", [3, property(), "f"])
def test_not_a_function(wrong):
    class A:
        pass

    with pytest.raises(TypeError, match="acima de uma função; veio"):
        add_to_class(A)(wrong)
