"""A logging server in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.logserver import LogSite


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., LogSite]]:
    """Return a maker of logging servers over one folder; a new one takes it from the one before."""
    made: list[LogSite] = []

    def make(**kinds: Any) -> LogSite:
        if made:
            made[-1].folder.close()
        made.append(LogSite(tmp_path / "logs", **kinds))
        return made[-1]

    yield make
    if made:
        made[-1].folder.close()


@pytest.fixture
def server(make: Callable[..., LogSite]) -> LogSite:
    """Return one that has read its folder."""
    return make()
