"""Records as points of tokens and time."""

from __future__ import annotations

from netrunner.figures import Point, point
from netrunner.values import Usage
from tests.journal.conftest import make_record


def test_a_point_tells_tokens_and_time_and_whether_they_are_estimated() -> None:
    counted = make_record(usage=Usage(input_total=10, output_total=20), model="My-Model", bytes_in=1, bytes_out=1)
    assert point(counted) == Point(
        counted.id, counted.at_accept, counted.dialect, "My-Model", "m", 200, 0.5, 10, 20, False
    )
    uncounted = point(make_record(usage=Usage(input_total=10), bytes_out=800))
    assert (uncounted.input_tokens, uncounted.output_tokens, uncounted.estimated) == (10, 200, True)
