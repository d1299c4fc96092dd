"""``/api/health/targets``: how each target fares, for those who may look."""

from __future__ import annotations

import json
from typing import Any

from netrunner.http.site import Limits, Site
from netrunner.http.sweep import Sweep
from netrunner.routing.table import Candidate
from netrunner.settings import Health, Secret
from netrunner.web.gate import Gate
from netrunner.web.targets import TargetsPage
from netrunner.web.tree import NOTHING, pages_alone
from tests.support.client import Answer, Client, answers
from tests.support.stage import JSON, LOOPBACK, Stage, request


def page(stage: Stage, gate: Gate | None = None, path: str = "/targets") -> Answer:
    shown = TargetsPage(gate or Gate(None, None), stage.targets, stage.pipeline.table, stage.clock)
    site = Site(pages_alone({b"targets": shown}, stage.clock), Sweep(stage.clock), Limits(), NOTHING.refusal)
    client = Client(site, stage.clock)
    client.transport.hostAddr = client.transport.peerAddr = LOOPBACK
    (answer,) = answers(client.say(request(path)).heard())
    return answer


def told(stage: Stage) -> list[dict[str, Any]]:
    answer = page(stage)
    assert (answer.status, answer.headers[b"content-type"]) == (200, b"application/json")
    found: list[dict[str, Any]] = json.loads(answer.body)["targets"]
    return found


def test_every_target_is_told_with_the_names_that_lead_to_it_and_how_it_fares() -> None:
    two = Candidate("other", "n")
    stage = Stage(models={"m": (Candidate("up", "m"), two), "n": (two,)}, health=Health(failures=1))
    stage.ask()
    stage.clock.advance(1.0)
    stage.call.head(503, JSON).body(b"{}", True)
    stage.clock.advance(2.0)
    assert told(stage) == [
        {
            "provider": "up",
            "model": "m",
            "names": ["m"],
            "state": "open",
            "state_ends_in_s": 28.0,
            "failures_in_a_row": 1,
            "attempts": 1,
            "failed": 1,
            "in_flight": 0,
            "latency_s": None,
            "last_used_s_ago": 3.0,
        },
        {
            "provider": "other",
            "model": "n",
            "names": ["m", "n"],
            "state": "closed",
            "state_ends_in_s": None,
            "failures_in_a_row": 0,
            "attempts": 1,
            "failed": 0,
            "in_flight": 1,
            "latency_s": None,
            "last_used_s_ago": 2.0,
        },
    ]


def test_the_latency_of_a_target_is_told_once_it_has_answered() -> None:
    stage = Stage()
    stage.ask()
    stage.clock.advance(0.25)
    stage.call.head(200, JSON).body(b"{}", True)
    assert [one["latency_s"] for one in told(stage)] == [0.25, None]


def test_it_is_told_to_those_only_who_may_look_and_at_one_path() -> None:
    stage = Stage()
    assert page(stage, Gate(Secret("u"), Secret("p"))).status == 401
    assert page(stage, path="/targets/x").status == 404
