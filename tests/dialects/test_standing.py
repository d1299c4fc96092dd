"""The fields that tell callers how full their windows are, in the form of each dialect's clients."""

from __future__ import annotations

import pytest

from netrunner.claims import Standing
from netrunner.dialects.standing import duration, limit_fields

MINUTE = Standing("model", "requests_per_minute", False, 20, 3, 12.5)
DAY = Standing("model", "requests_per_day", False, 1000, 3, 4000.0)
TOKENS = Standing("model", "tokens_per_minute", True, 5000, 4000, 0.0)


def test_clients_of_openai_are_told_of_the_window_with_the_least_room_and_the_longest_to_go() -> None:
    assert limit_fields("openai", [MINUTE, DAY, TOKENS], 0) == [
        (b"x-ratelimit-limit-requests", b"1000"),
        (b"x-ratelimit-remaining-requests", b"3"),
        (b"x-ratelimit-reset-requests", b"1h6m40s"),
        (b"x-ratelimit-limit-tokens", b"5000"),
        (b"x-ratelimit-remaining-tokens", b"4000"),
        (b"x-ratelimit-reset-tokens", b"0s"),
    ]


def test_clients_of_anthropic_are_told_when_it_closes() -> None:
    assert limit_fields("anthropic", [MINUTE], 1_800_000_000.0) == [
        (b"anthropic-ratelimit-requests-limit", b"20"),
        (b"anthropic-ratelimit-requests-remaining", b"3"),
        (b"anthropic-ratelimit-requests-reset", b"2027-01-15T08:00:13Z"),
    ]


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0, b"0s"), (0.0124, b"13ms"), (1.5, b"1.5s"), (60, b"1m0s"), (3600, b"1h0m0s"), (90061.25, b"25h1m1.25s")],
)
def test_a_duration_is_written_as_go_does(seconds: float, told: bytes) -> None:
    assert duration(seconds) == told
