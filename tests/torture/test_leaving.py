"""Clients that leave at any point of a stream (row 17)."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.support.crowd import Figures, connections, idle
from tests.support.daemon import Daemon
from tests.support.dialogue import STREAM_HEAD, Provider, chat, dial, event

pytestmark = pytest.mark.integration
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":5}}\n\n'
TOLD = event("one") + b"%x\r\n%b\r\n" % (len(USAGE), USAGE) + event("two")
TOLD_USAGE = len(event("one")) + TOLD[len(event("one")) :].index(b"\n\n")
"""How much has to come before the usage is known: the last of its braces."""
MOST_S = 0.25


@pytest.mark.parametrize("points", [100, pytest.param(1000, marks=pytest.mark.torture)])
def test_a_client_that_leaves_at_any_point_aborts_its_upstream_and_is_recorded_with_what_it_used(
    tmp_path: Path, points: int, figures: Figures
) -> None:
    cuts = [len(TOLD) * point // points for point in range(points)]
    aborted_after_s = []
    with Provider() as provider:
        sinks = f"sinks: [{{type: jsonl, path: {json.dumps(str(tmp_path / 'records'))}}}]\n"
        with Daemon(tmp_path, provider.config + sinks) as daemon:
            for number, cut in enumerate(cuts):
                client = dial(daemon.port)
                client.send(chat())
                with provider.accept() as upstream:
                    upstream.message()
                    upstream.send(STREAM_HEAD + TOLD[:cut])
                    if cut >= len(event("one")):
                        client.until(b"\n\n")
                    left = time.monotonic()
                    if number % 2:
                        client.reset()
                    else:
                        client.__exit__()
                    assert upstream.gone()
                    aborted_after_s.append(time.monotonic() - left)
            daemon.wait_for(lambda: idle(daemon))
            assert provider.untouched()
            assert connections(daemon, provider.port) == 0
    records = [json.loads(line) for line in (tmp_path / "records").read_text().splitlines()]
    assert [record["outcome"] for record in records] == ["client_gone"] * points
    usages = [record["usage"] or {"source": "provider", "output_total": None} for record in records]
    used = [usage["output_total"] if usage["source"] == "provider" else None for usage in usages]
    assert used == [5 if cut >= TOLD_USAGE else None for cut in cuts]
    counted = [usage["output_total"] for usage in usages if usage["source"] == "counted"]
    assert set(counted) == {1}
    assert len(counted) >= sum(len(event("one")) <= cut < TOLD_USAGE for cut in cuts)
    assert (records[0]["status_code"], records[-1]["status_code"]) == (499, 200)
    aborted_after_s.sort()
    figures.add("recorded as left, with what was used", f"{len(records)} of {points}")
    figures.add("of these with the usage", f"{points - used.count(None)} of {sum(cut >= TOLD_USAGE for cut in cuts)}")
    figures.add(
        "upstream aborted after, p50, most, ms",
        [round(aborted_after_s[points // 2] * 1000, 1), round(aborted_after_s[-1] * 1000, 1)],
    )
    if points == 1000:
        assert aborted_after_s[-1] <= MOST_S
