"""Figures of the long runs are shown, whether they pass or not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.crowd import Figures


@pytest.fixture
def figures(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> Iterator[Figures]:
    figures = Figures()
    yield figures
    if request.node.get_closest_marker("torture") or request.node.get_closest_marker("soak"):
        with capsys.disabled():
            print(f"\n{request.node.name}\n{figures}")  # noqa: T201 - what the run is for
