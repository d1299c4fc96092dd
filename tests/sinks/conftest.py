"""Records to be written down."""

from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from netrunner.values import Record


@pytest.fixture
def record() -> Callable[..., Record]:
    """Return a maker of records."""

    def make(**changes: Any) -> Record:
        fields: dict[str, Any] = {
            "id": "01939999-aaaa-7bbb-8ccc-dddddddddddd",
            "request_id": "r",
            "correlation_id": None,
            "at_accept": 1_700_000_000.0,
            "source": "127.0.0.1",
            "method": "POST",
            "path": "/v1/chat/completions",
            "route": "models",
            "dialect": "openai",
            "streaming": False,
            "model": "fast",
            "upstream_model": "gpt",
            "provider": "acme",
            "upstream": "https://api.test:443",
            "attempts": [],
            "status": 200,
            "outcome": "done",
            "error": None,
            "finish_reason": "stop",
            "usage": None,
            "bytes_in": 1,
            "bytes_out": 2,
            "duration_s": 1.2345,
            "timings": {},
        }
        return Record(**{**fields, **changes})

    return make


@pytest.fixture
def run() -> Callable[[Coroutine[Any, Any, Any]], None]:
    """Return a runner of coroutines that finish at once."""

    def run(coroutine: Coroutine[Any, Any, Any]) -> None:
        done: list[object] = []
        failed: list[Any] = []
        Deferred.fromCoroutine(coroutine).addCallbacks(done.append, failed.append)
        if failed:
            failed[0].raiseException()
        assert done == [None]

    return run
