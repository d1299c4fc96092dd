"""Records to be written down."""

from collections.abc import Callable, Coroutine
from typing import Any, get_type_hints

import pytest
from twisted.internet.defer import Deferred

from netrunner.values import Attempt, Record, Usage
from tests.support.records import make_record

LINE_ENDS = "\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
HOSTILE = f"a{LINE_ENDS}\x00\x1b[2J\x9b\u202e\ufeff\\\"'{{}} \U0001f600\x7f"
"""Every way to end a line, to turn a terminal's head and to break out of a string."""


@pytest.fixture
def record() -> Callable[..., Record]:
    """Return a maker of records."""
    return make_record


@pytest.fixture
def hostile(record: Callable[..., Record]) -> Record:
    """Return a record with hostile text wherever text from outside may stand."""
    texts = [name for name, kind in get_type_hints(Record).items() if kind in (str, str | None) and name != "id"]
    attempt = Attempt(HOSTILE, HOSTILE, 200, HOSTILE)
    return record(**dict.fromkeys(texts, HOSTILE), attempts=[attempt], usage=Usage(1, 2), timings={HOSTILE: 1.0})


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
