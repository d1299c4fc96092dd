"""How a moment is written down."""

from __future__ import annotations

import pytest

from netrunner.times import stamp


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (1_700_000_000.9996, "2023-11-14T22:13:20.999Z"),
        (1_750_000_003.0, "2025-06-15T15:06:43.000Z"),
    ],
)
def test_a_time_is_utc_to_the_millisecond(at: float, text: str) -> None:
    assert stamp(at) == text


def test_every_thousandth_is_told_as_it_was_meant() -> None:
    assert [stamp(1_750_000_000 + ms / 1000)[20:23] for ms in range(1000)] == [f"{ms:03}" for ms in range(1000)]
