"""docs/records.md: every field, in the order of the record."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from netrunner.values import Attempt, Copy, Outcome, Record, Usage

PAGE = (Path(__file__).parents[2] / "docs" / "records.md").read_text()


def rows(heading: str) -> list[str]:
    """Return the first column of the table that is headed so."""
    _, _, rest = PAGE.partition(f"| {heading} | meaning |\n|---|---|\n")
    return re.findall(r"^\| `(\w+)` \| .+ \|$", rest.partition("\n\n")[0], re.MULTILINE)


@pytest.mark.parametrize(
    ("heading", "kind"),
    [("field", Record), ("field of `attempts`", Attempt), ("field of `usage`", Usage), ("field of a copy", Copy)],
)
def test_every_field_is_documented(heading: str, kind: type[msgspec.Struct]) -> None:
    assert rows(heading) == [field.name for field in msgspec.structs.fields(kind)]


def test_every_outcome_is_documented() -> None:
    assert rows("outcome") == [outcome.value for outcome in Outcome]
