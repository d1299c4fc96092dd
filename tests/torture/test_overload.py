"""Ten times what there is room for: what has room goes on as before, the rest is told at once (row 33)."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.support.crowd import Crowd, Figures, Visitor
from tests.support.daemon import ECHO, Daemon
from tests.support.dialogue import chat

pytestmark = [pytest.mark.integration, pytest.mark.torture]
AT_ONCE, ANSWER_S = 20, 1.0
CAPACITY = AT_ONCE / ANSWER_S
"""Requests a second."""
SECONDS = 60
CONFIG = f"{ECHO}filters: [{{type: rate_limit, per: global, concurrency: {AT_ONCE}}}]\n"
ASK = chat(
    "Connection: close",
    stream=False,
    model="echo",
    messages=[{"role": "user", "content": f"/echo wait={ANSWER_S} Hello"}],
)


def offered(crowd: Crowd, rate: float, seconds: float) -> list[Visitor]:
    """Send so many requests a second, whatever becomes of them; return them when all are answered."""
    asked: list[Visitor] = []
    begun = time.monotonic()
    while (now := time.monotonic() - begun) < seconds:
        asked += crowd.ask([ASK] * (int(now * rate) - len(asked)))
        crowd.listen(0.002)
    crowd.wait(asked, b"\r\n\r\n{")
    return asked


def goodput(asked: list[Visitor], seconds: float) -> float:
    return sum(one.status == 200 for one in asked) / seconds


def test_what_has_no_room_is_told_at_once_and_costs_the_others_nothing(tmp_path: Path, figures: Figures) -> None:
    with Daemon(tmp_path, CONFIG) as daemon, Crowd(daemon.port) as crowd:
        peak = goodput(offered(crowd, CAPACITY * 1.2, SECONDS), SECONDS)
        asked = offered(crowd, CAPACITY * 10, SECONDS)
        good = goodput(asked, SECONDS)
        refused = [one for one in asked if one.status == 429]
        assert len(refused) + sum(one.status == 200 for one in asked) == len(asked)
        for one in refused:
            head, _, body = bytes(one.heard).partition(b"\r\n\r\n")
            assert b"\r\nretry-after: 1\r\n" in head.lower() + b"\r\n"
            assert json.loads(body)["error"]["code"] == "rate_limit_exceeded"
        begun = time.monotonic()
        assert crowd.ask_one(ASK).status == 200
        took = sorted(one.took_s * 1000 for one in refused)
        figures.add("answered a second, with room for all", f"{peak:.1f}")
        figures.add("answered a second, at ten times that", f"{good:.1f}")
        figures.add("refusals, ms: median, p95, p99", [round(took[len(took) * p // 100], 1) for p in (50, 95, 99)])
        figures.add("recovered after s", f"{time.monotonic() - begun:.2f}")
        assert good >= 0.9 * peak
        assert took[len(took) * 95 // 100] <= 20
