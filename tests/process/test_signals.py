"""What ends a daemon, and how often it has to be told."""

from __future__ import annotations

import pytest

from netrunner.process.signals import Ending


@pytest.fixture
def calls() -> list[str]:
    return []


@pytest.fixture
def ending(calls: list[str]) -> Ending:
    return Ending(lambda: calls.append("stop"), lambda: calls.append("hasten"))


def test_the_first_signal_stops_and_the_second_hastens(ending: Ending, calls: list[str]) -> None:
    for _ in range(3):
        ending.signalled()
    assert calls == ["stop", "hasten"]


def test_a_signal_during_a_hand_over_does_not_cut_streams(ending: Ending, calls: list[str]) -> None:
    ending.begin()
    ending.begin()
    ending.signalled()
    assert calls == ["stop"]
    ending.signalled()
    assert calls == ["stop", "hasten"]
