"""Several workers that would count each by itself."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from netrunner.config.checks import Subject, check
from netrunner.config.settings import PluginConfig
from netrunner.filters.rate_limit import RateLimitSettings

BROKEN = {"secrets", "listen", "access", "server", "providers", "models", "routes", "journal"}
LIMIT = PluginConfig(
    name="rate_limit", type="rate_limit", factory=None, settings=RateLimitSettings(concurrency=1), where="x.yaml:9"
)


@pytest.mark.parametrize(
    ("workers", "shared", "filters", "problems"),
    [
        (2, "memory", [LIMIT], ["x.yaml:9: rate_limit counts, so several workers need shared: redis://HOST:PORT/DB"]),
        (1, "memory", [LIMIT], []),
        (2, "memory", [], []),
        (2, "redis://127.0.0.1", [LIMIT], []),
    ],
)
def test_several_workers_that_count_have_to_count_together(
    workers: int, shared: str, filters: list[Any], problems: list[str]
) -> None:
    document: Any = SimpleNamespace(workers=workers, shared=shared)
    root: Any = None
    assert [str(one) for one in check(Subject(document, root, [], filters), BROKEN)] == problems
