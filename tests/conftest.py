"""Fixtures for every test; the one that matters most is the one nobody asks for: a logged failure fails its test."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.support.crowd import Figures
from tests.support.logs import FailureLog

# No test judges by the time it takes: machines are busy with other things.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_collection_finish() -> None:
    """Keep what collecting made, near a million objects that live to the end, out of every later collection."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def _failure_log() -> Iterator[FailureLog]:
    with FailureLog() as log:
        yield log


@pytest.fixture(scope="module", autouse=True)
def _no_failure_left_to_the_collector(_failure_log: FailureLog) -> Iterator[None]:
    """Find the Deferreds of a module that failed unheard and lived on in a cycle."""
    yield
    gc.collect()
    _failure_log.assert_empty()


@pytest.fixture(autouse=True)
def logged_failures(_failure_log: FailureLog) -> Iterator[FailureLog]:
    """Fail a test during which a failure was logged.

    A test that means to cause one asks for this fixture and calls ``flush``, as with trial's ``flushLoggedErrors``.
    """
    _failure_log.assert_empty()
    yield _failure_log
    _failure_log.assert_empty()


@pytest.fixture
def figures(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> Iterator[Figures]:
    """Show the figures of a long run, whether it passes or not."""
    figures = Figures()
    yield figures
    if request.node.get_closest_marker("torture") or request.node.get_closest_marker("soak"):
        with capsys.disabled():
            print(f"\n{request.node.name}\n{figures}")  # noqa: T201 - what the run is for
