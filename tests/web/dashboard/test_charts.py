"""Figures as geometry."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netrunner.testing.fakes import FakeClock
from netrunner.values import Usage
from netrunner.web.dashboard import performance, rows
from netrunner.web.dashboard.charts import HEIGHT, SPANS, WIDTH, bars, ceiling, charts, line, scatter, stages
from netrunner.web.dashboard.figures import Figures
from tests.support.dashboard import NOW_S, record

HOUR = SPANS["1h"]


@pytest.mark.parametrize(
    ("value", "top"), [(0, 1), (0.3, 0.5), (1, 1), (1.1, 2), (2.1, 5), (5, 5), (51, 100), (100, 100)]
)
def test_a_scale_ends_at_a_round_number(value: float, top: float) -> None:
    assert ceiling(value) == pytest.approx(top)


@settings(deadline=None)
@given(st.just(0.0) | st.floats(1e-6, 1e12))
def test_a_scale_holds_its_values_and_is_not_far_too_long(value: float) -> None:
    assert value <= ceiling(value) * 1.000001
    assert ceiling(value) <= max(1, value * 2.500001)


def test_a_bar_stands_on_those_below_it() -> None:
    step = WIDTH / 2
    assert bars([0, 5], 10, [3, 5]) == f"M{step * 1.1:.1f} {HEIGHT / 2:.1f}v-60.0h{step * 0.8:.1f}v60.0z"


def test_a_small_value_is_seen() -> None:
    assert "v-1.0h" in bars([0.001], 1000)


def test_a_line_has_a_gap_where_nothing_is_known() -> None:
    assert re.findall("[ML]", line([1, 2, None, 1], 2)) == ["M", "L", "M"]


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1e9), st.floats(0, 1e6), st.booleans())))
def test_every_point_lies_in_the_picture(points: list[tuple[float, float, bool]]) -> None:
    drawn = scatter(points)
    found = re.findall(r"M([-\d.]+) ([-\d.]+)h0", drawn.good + drawn.failed)
    assert len(found) == len([tokens for tokens, _, _ in points if tokens])
    assert all(0 <= float(x) <= WIDTH and 0 <= float(y) <= 2 * HEIGHT for x, y in found)


def test_charts_say_in_words_what_they_show() -> None:
    figures = Figures(FakeClock(NOW_S))
    for number in range(4):
        figures.ended(record(number, status=500 if number == 0 else 200, duration_s=2.0, usage=Usage(100, 50)))
    rate, failures, latency, tokens = charts(figures.slots(HOUR.slots, HOUR.minutes), HOUR)
    assert (rate.figure, rate.summary) == ("4", "4 requests in the last hour, 4 in the busiest minute.")
    assert (failures.figure, failures.top) == ("25 %", "50 %")
    assert latency.summary.startswith("Of all requests in the last hour: 50% within 1.9")
    assert (latency.bottom, latency.top) == ("1 s", "10 s")
    assert (tokens.figure, tokens.summary) == ("600", "400 tokens in and 200 out in the last hour.")


def test_charts_of_nothing_are_drawn() -> None:
    drawn = charts(Figures(FakeClock(NOW_S)).slots(HOUR.slots, HOUR.minutes), HOUR)
    assert [shape.d for chart in drawn for shape in chart.shapes] == [""] * 8
    assert drawn[2].figure == rows.UNKNOWN


def test_the_stages_of_an_exchange_follow_each_other() -> None:
    found = stages({"body": 0.1, "upstream_sent": 0.2, "first_byte": 0.5, "last_byte": 1.0}, 1.0)
    assert [(one.key, one.x, one.width) for one in found] == [
        ("body", 0, 100),
        ("upstream_sent", 100, 100),
        ("first_byte", 200, 300),
        ("last_byte", 500, 500),
    ]


@pytest.mark.parametrize("timings", [{}, {"last_byte": 0.0}, {"body": 5.0, "first_byte": 1.0}, {"else": 1.0}])
def test_odd_timings_are_drawn_within_the_picture(timings: dict[str, float]) -> None:
    assert all(one.x + one.width <= 1000 for one in stages(timings, 0.0))


def test_models_are_told_apart_by_their_provider() -> None:
    records = [
        record(1, duration_s=1.0),
        record(2, duration_s=3.0),
        record(3, provider="local", usage=None, bytes_in=40, bytes_out=80, duration_s=2.0),
        record(4, status=500, usage=None),
    ]
    one, other = performance.by_model(records)
    assert (one.name, one.provider, one.requests, one.failures, one.tokens_out, one.estimated) == (
        *("gpt-4o", "openai", 3, 1, 26, False),
    )
    assert one.per_second == 26 / 4
    assert (other.provider, other.tokens_in, other.tokens_out, other.estimated) == ("local", 10, 20, True)


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, "0 ms"),
        (0.00001, "0 ms"),
        (0.00031, "0.3 ms"),
        (0.4123, "412 ms"),
        (1.234, "1.23 s"),
        (12.34, "12.3 s"),
        (125, "2 m 05 s"),
        (7260, "2 h 01 m"),
    ],
)
def test_durations_are_told_in_three_digits(seconds: float, told: str) -> None:
    assert rows.duration(seconds) == told


@pytest.mark.parametrize(
    ("count", "told"),
    [(None, rows.UNKNOWN), (0, "0 B"), (999, "999 B"), (1840, "1.8 kB"), (52_300, "52 kB"), (5_200_000_000, "5.2 GB")],
)
def test_sizes_are_told_in_three_digits(count: int | None, told: str) -> None:
    assert rows.size(count) == told


@pytest.mark.parametrize(
    ("count", "told"),
    [(0, "0"), (9.5, "9.5"), (1234, "1,234"), (10_000, "10k"), (201_000, "201k"), (1_500_000, "1.5M")],
)
def test_counts_are_told_briefly(count: float, told: str) -> None:
    assert rows.brief(count) == told
