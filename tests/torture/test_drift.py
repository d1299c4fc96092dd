"""What limits count, against a ledger of a million requests, their ends and the time between (row 19)."""

from __future__ import annotations

import random

import pytest

from tests.limits.drift import Drift
from tests.support.crowd import Figures

pytestmark = pytest.mark.torture
OPERATIONS = 1_000_000


def test_a_million_operations_leave_no_difference(figures: Figures) -> None:
    machine, chance = Drift(), random.Random(5)
    machine.begin()
    open_ones: list[int] = []
    admitted = 0
    for _ in range(OPERATIONS):
        kind = chance.random()
        if kind < 0.5 or (kind < 0.8 and not open_ones):
            number = machine.ask(chance.randrange(80))
            if number in machine.inside:
                admitted += 1
                open_ones.append(number)
        elif kind < 0.8:
            number = open_ones.pop(chance.randrange(len(open_ones)))
            if kind < 0.75:
                machine.release(number, chance.choice([None, chance.randrange(80)]))
            else:
                machine.withdraw(number)
        else:
            machine.wait(chance.choice([1, 3, 10, 41]))
    figures.add("admitted of those that asked", f"{admitted} of {machine.number}")
