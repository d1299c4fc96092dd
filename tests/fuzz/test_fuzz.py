"""Generated input against every reader: as many inputs as a change can wait for; ``make fuzz`` runs more."""

from __future__ import annotations

import pytest

from tests.fuzz.run import fuzz
from tests.fuzz.targets import TARGETS
from tests.support.fuzz import inputs_per_target


@pytest.mark.fuzz
@pytest.mark.parametrize("target", TARGETS)
def test_no_input_breaks_it(target: str) -> None:
    report = fuzz(target, inputs_per_target())
    assert report.inputs == inputs_per_target()
