"""Records to be written down."""

from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from netrunner.values import Attempt, Record, Usage

LINE_ENDS = "\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
HOSTILE = f"a{LINE_ENDS}\x00\x1b[2J\x9b\u202e\ufeff\\\"'{{}} \U0001f600\x7f"
"""Every way to end a line, to turn a terminal's head and to break out of a string."""


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
def hostile(record: Callable[..., Record]) -> Record:
    """Return a record with hostile text wherever text from outside may stand."""
    names = (
        "request_id correlation_id source method path route dialect model upstream_model provider upstream outcome"
        " error finish_reason token project upstream_dialect upstream_request_id request_sha256 response_sha256"
    ).split()
    attempt = Attempt(HOSTILE, HOSTILE, 200, HOSTILE)
    return record(**dict.fromkeys(names, HOSTILE), attempts=[attempt], usage=Usage(1, 2), timings={HOSTILE: 1.0})


@pytest.fixture
def run() -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """Return a runner of coroutines that finish at once; it returns what they do."""

    def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
        done: list[object] = []
        failed: list[Any] = []
        Deferred.fromCoroutine(coroutine).addCallbacks(done.append, failed.append)
        if failed:
            failed[0].raiseException()
        (returned,) = done
        return returned

    return run
