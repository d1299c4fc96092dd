"""Records to be kept, and somebody who hands them over until they are taken, as the journal's reader does."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.task import deferLater

from netrunner.errors import StoreError
from netrunner.ids import uuid7
from netrunner.interfaces import ILogStore
from netrunner.values import Record

PAUSE_S = 0.05
"""Between two tries."""


def make_record(**changes: Any) -> Record:
    """Return the record of an ordinary request, with some of its fields changed."""
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


def record_maker() -> Callable[..., Record]:
    """Return a maker of records: each a second younger than the one before, with an id of its own."""
    chance = random.Random(0)
    at = 1_700_000_000.0

    def make(**changes: Any) -> Record:
        nonlocal at
        at += 1
        accepted = changes.get("at_accept", at)
        id = uuid7(accepted, chance.getrandbits)
        return make_record(**{"id": id, "request_id": id, "at_accept": accepted, **changes})

    return make


class Cursor:
    """Adds batches to a store, in order, each until it is taken.

    Args:
        store: Where they go.
        reactor: Waits between two tries.
    """

    def __init__(self, store: ILogStore, reactor: Any) -> None:
        self.refusals: list[str] = []
        """What the store said each time it took nothing."""
        self.taken = 0
        self._store = store
        self._reactor = reactor

    async def add(self, batch: Sequence[Record]) -> None:
        """Add one batch."""
        while True:
            try:
                await self._store.add(batch)
            except StoreError as error:
                self.refusals.append(str(error))
                await deferLater(self._reactor, PAUSE_S)
            else:
                self.taken += 1
                return
