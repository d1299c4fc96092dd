"""One process up to its limit of descriptors, and past it (row 14)."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import wire
from tests.support.crowd import Crowd, Figures, Paced, Visitor, descriptors, idle, providers
from tests.support.daemon import Daemon

pytestmark = pytest.mark.integration
HELD = wire.Asked(0, 2, 3_600_000, False)
"""One event, and the next an hour later."""
EVENT = b"}]}\n\n"
ERROR = b"}}"


def assert_told_to_come_again(refused: list[Visitor]) -> None:
    for visitor in refused:
        assert visitor.status == 503, bytes(visitor.heard)
        assert b"\r\nretry-after: 1\r\n" in visitor.heard.lower()
        assert b'"code":"too_many_' in visitor.heard


@pytest.mark.parametrize(
    ("limit", "streams", "more", "at_once"),
    [(256, 80, 30, 30), pytest.param(20_000, 9_500, 1_000, 500, marks=pytest.mark.torture)],
)
def test_past_the_limit_of_descriptors_callers_are_told_so_and_streams_go_on(
    tmp_path: Path, limit: int, streams: int, more: int, at_once: int, figures: Figures
) -> None:
    with Paced() as paced, Daemon(tmp_path, providers(m=paced.port), descriptors=limit) as daemon:
        request = wire.request(daemon.port, "none", "m", HELD)
        assert daemon.request("GET", "/live")[0] == 200
        before = descriptors(daemon)
        with Crowd(daemon.port) as crowd:
            held = hold(crowd, request, streams)
            while (last := crowd.ask_one(request)).status == 200:
                held.append(last)
            refused = []
            for _ in range(more // at_once):
                late = crowd.ask([request] * at_once)
                crowd.wait(late, ERROR)
                refused += late
            one_by_one = [crowd.ask_one(request) for _ in range(100)]
            assert_told_to_come_again([last, *refused, *one_by_one])
            flood = crowd.ask([request] * (limit // 2 if limit < 1000 else 2 * at_once))
            crowd.wait(flood, ERROR)
            assert_told_to_come_again([one for one in flood if one.heard])
            crowd.listen()
            assert not any(visitor.over for visitor in held)
            figures.add("streams held", len(held))
            figures.add(f"refused, {at_once} at once", len(refused))
            figures.add("slowest of 100 refusals, ms", round(max(one.took_s for one in one_by_one) * 1000, 1))
            figures.add("descriptors", f"{descriptors(daemon)} of {limit}")
        daemon.wait_for(lambda: idle(daemon))
        daemon.wait_for(lambda: descriptors(daemon) <= before + 5)
        with Crowd(daemon.port) as crowd:
            hold(crowd, request, streams)
        log = daemon.log()
        assert "EMFILE" not in log
        assert "Too many open files" not in log


def hold(crowd: Crowd, request: bytes, streams: int) -> list[Visitor]:
    """Open streams that stay open, not all in the same moment."""
    held: list[Visitor] = []
    while len(held) < streams:
        group = crowd.ask([request] * min(20, streams - len(held)))
        crowd.wait(group, EVENT)
        held += group
    assert {visitor.status for visitor in held} == {200}
    return held
