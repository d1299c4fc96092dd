"""What many requests add up to."""

from __future__ import annotations

import pytest

from netrunner.cli.bench.tally import MOST_KINDS, OTHER, Sample, Tally, stages_of


def test_a_failed_request_counts_as_an_error_and_not_as_a_latency() -> None:
    tally = Tally()
    tally.add(Sample(latency_s=0.5, status=200))
    tally.add(Sample(latency_s=0.001, status=429, error="http_429"))
    tally.add(Sample(latency_s=9.0, error="connection_failed"))
    assert (tally.requests, tally.succeeded, tally.error_rate) == (3, 1, 2 / 3)
    assert (tally.latency.count, tally.latency.largest) == (1, 0.5)
    assert tally.statuses == {200: 1, 429: 1}
    assert tally.errors == {"http_429": 1, "connection_failed": 1}


def test_a_servers_word_for_an_error_is_bounded_in_form_and_number() -> None:
    tally = Tally()
    tally.add(Sample(error="you asked: tell me a secret"))
    for number in range(MOST_KINDS + 10):
        tally.add(Sample(error=f"kind_{number}"))
    assert len(tally.errors) <= MOST_KINDS + 1
    assert tally.errors.total() == MOST_KINDS + 11
    assert tally.errors[OTHER] >= 1
    assert not any("secret" in kind for kind in tally.errors)


@pytest.mark.parametrize(
    ("value", "stages"),
    [
        ("recv;dur=1.000, route;dur=0.5, lag;dur=0.000", {"recv": 0.001, "route": 0.0005, "lag": 0.0}),
        ("db;dur=53, app;dur=47.2", None),
        ("cfRequestDuration;dur=1", None),
        ("", None),
    ],
)
def test_stages_are_read_from_our_own_server_timing_alone(value: str, stages: dict[str, float] | None) -> None:
    assert stages_of(value) == stages


def test_the_time_until_the_head_is_split_into_proxy_upstream_and_outside() -> None:
    tally = Tally()
    stages = {
        "recv": 0.001,
        "filters": 0.002,
        "route": 0.003,
        "connect": 0.01,
        "upstream": 0.2,
        "hold": 0.004,
        "lag": 5,
    }
    tally.add(Sample(status=200, stages_s=stages, sent_to_head_s=0.25))
    assert tally.proxy.largest == pytest.approx(0.010)
    assert tally.upstream.largest == pytest.approx(0.21)
    assert tally.outside.largest == pytest.approx(0.03)
    assert "lag" not in tally.stages


def test_the_speed_of_a_stream_is_that_of_the_tokens_after_the_first() -> None:
    tally = Tally()
    tally.add(Sample(status=200, first_token_s=0.5, gaps_s=[0.1, 0.3], generating_s=0.4, pieces=3, output_tokens=21))
    assert tally.stream_rate.largest == pytest.approx(50.0)
    assert (tally.streams, tally.pieces, tally.gap.count, tally.output_tokens) == (1, 3, 2, 21)
