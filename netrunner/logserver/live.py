"""What is arriving, told to those who look on: each message as it begins, when its head is there, and as it ends.

This module must not know who may look on.
"""

from __future__ import annotations

from netrunner.errors import Overloaded
from netrunner.http.outbox import EventStream
from netrunner.http.request import Request
from netrunner.interfaces import IClock
from netrunner.logserver.index import Entry, Wanted

MAX_ONLOOKERS = 100
"""At once."""


class Live:
    """Everybody who looks on.

    Args:
        clock: For keepalives.
    """

    def __init__(self, clock: IClock) -> None:
        self._clock = clock
        self._wanted: dict[EventStream, Wanted] = {}

    def open(self, request: Request, wanted: Wanted) -> None:
        """Answer with what happens from now on to the exchanges that are ``wanted``, as Server-Sent Events.

        Raises:
            Overloaded: when there are ``MAX_ONLOOKERS``.
        """
        if len(self._wanted) >= MAX_ONLOOKERS:
            raise Overloaded("Too many look on already.", code="too_many_onlookers", retry_after_s=5)

        def over() -> None:
            self._wanted.pop(stream, None)

        stream = EventStream(request, self._clock, over)
        self._wanted[stream] = wanted
        stream.begin()

    def tell(self, happened: str, entry: Entry | None) -> None:
        """Tell what happened to a message of an exchange; None is one beyond those that are known."""
        if entry is not None:
            for stream, wanted in list(self._wanted.items()):
                if wanted.matches(entry):
                    stream.put(happened, entry)

    def close(self) -> None:
        """Send everybody home."""
        for stream in list(self._wanted):
            stream.end()
