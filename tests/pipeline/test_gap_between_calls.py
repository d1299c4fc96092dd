"""A provider whose calls have to be a gap apart, as the path of an exchange keeps to it."""

from __future__ import annotations

import pytest

from netrunner.pipeline.gap import Gap
from tests.support.client import answers
from tests.support.stage import JSON, Stage, error_of


@pytest.fixture
def stage() -> Stage:
    stage = Stage()
    stage.pipeline.providers["up"].gap = Gap("up", stage.counters, stage.clock, 1.0, 1, 2.5)
    return stage


def test_calls_begin_a_gap_apart_and_one_at_a_time(stage: Stage) -> None:
    stage.ask(), stage.ask()
    assert len(stage.upstream.calls) == 1
    stage.clock.advance(1.0)
    assert len(stage.upstream.calls) == 1
    stage.call.head(200, JSON).body(b"{}", True)
    assert len(stage.upstream.calls) == 2
    stage.call.head(500, JSON).body(b"{}", True)
    assert [record.status for record in stage.records] == [200, 500]


def test_who_waits_too_long_is_told_to_come_back(stage: Stage) -> None:
    stage.ask()
    late = stage.ask()
    stage.clock.advance(2.5)
    (answer,) = answers(late.heard(), b"POST")
    assert (answer.status, error_of(answer.body)["code"]) == (429, "provider_busy")
    assert len(stage.upstream.calls) == 1


def test_who_leaves_while_waiting_takes_no_turn(stage: Stage) -> None:
    stage.ask()
    stage.ask().settle()
    assert [record.outcome for record in stage.records] == ["client_gone"]
    stage.call.head(200, JSON).body(b"{}", True)
    stage.clock.advance(5.0)
    assert len(stage.upstream.calls) == 1
    stage.ask()
    assert len(stage.upstream.calls) == 2


def test_a_caller_that_leaves_gives_its_turn_back(stage: Stage) -> None:
    stage.ask().settle()
    stage.clock.advance(1.0)
    stage.ask()
    assert len(stage.upstream.calls) == 2
