"""One exchange that is copied to the logging server while it flows.

A copy that cannot be made live, for whatever reason, is given up; it is then sent from the journal. So nothing here
repairs anything, and nothing waits.

This module must not raise, and must not keep more than ``max_buffer_bytes``.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from zope.interface import implementer

from netrunner.interfaces import IWatcher
from netrunner.sinks.duplex_put import NotTaken, Put
from netrunner.sinks.duplex_raw import (
    DIRECTIONS,
    LAST_CHUNK,
    Direction,
    bodiless,
    chunk,
    declared_length,
    may_have_body,
    raw_head,
)
from netrunner.values import MessageHead, Outcome, Record


class Side:
    """One message of the exchange.

    Args:
        direction: Which.
        record: What is known of the exchange.
        head: What the message begins with.
        put: Carries it.
    """

    def __init__(self, direction: Direction, record: Record, head: MessageHead, put: Put) -> None:
        self.put = put
        self._direction = direction
        self._record = record
        self._head = head
        self._length = declared_length(head)
        self._bodiless = bodiless(direction, head, record)
        self._chunked = False
        self._begun = False
        self._settled = False
        self._bytes = 0
        put.start()
        # Without a declared length the head waits until it is known what follows it.
        if self._length is not None:
            self._begin()

    def piece(self, data: bytes) -> None:
        """The body goes on."""
        if self.put.over:
            return
        if self._settled:
            self.put.give_up("the body went on after its end")
            return
        if not self._begun:
            self._begin(chunked=True)
        self._bytes += len(data)
        self.put.write(chunk(data) if self._chunked else data)

    def settle(self) -> None:
        """The other message begins: this one is ended now, if it is certainly whole."""
        if self._begun or not may_have_body(self._head):
            if not self._begun:
                self._begin()
            if not self._chunked and self._bytes == (self._length or 0):
                self._settled = True
                self.put.end()

    def end(self, whole: bool) -> None:
        """Nothing follows.

        Args:
            whole: Whether the message is known to be complete.
        """
        if not self._begun:
            has_body = self._direction == "response" and not self._bodiless
            if has_body and whole:
                self._length = 0
            self._begin(chunked=has_body and not whole)
        if whole and not self._chunked and not self._bodiless and self._bytes != (self._length or 0):
            # What is recorded is not what was declared, since something in it is hidden: the journal knows its length.
            self.put.give_up("the body is not as long as declared")
            return
        if self._chunked and whole:
            self.put.write(LAST_CHUNK)
        self.put.end()

    def _begin(self, chunked: bool = False) -> None:
        self._begun, self._chunked = True, chunked
        self.put.write(raw_head(self._direction, self._head, self._record, self._length, chunked))


@implementer(IWatcher)
class LiveCopy:
    """Watches one exchange.

    Args:
        record: What is known of it.
        put: Makes what carries one of its messages.
        max_buffer_bytes: Most bytes of both messages that wait for the logging server.
        over: Called once, when the exchange has ended and both messages are confirmed or given up.
    """

    def __init__(
        self, record: Record, put: Callable[[Direction], Put], max_buffer_bytes: int, over: Callable[[], None]
    ) -> None:
        self._record = record
        self._put = put
        self._max_buffer_bytes = max_buffer_bytes
        self._over = over
        self._sides: dict[str, Side] = {}
        self._under_way = 0
        self._ended = False
        self.settled: Deferred[None] = Deferred()
        """Fires after ``over``."""

    def message(self, direction: Direction, head: MessageHead) -> None:
        before = self._sides.get(direction)
        if before is not None:
            before.put.give_up("the message began twice")
            return
        if direction == "response" and "request" in self._sides:
            self._sides["request"].settle()
        put = self._put(direction)
        self._under_way += 1
        put.done.addCallback(self._one_is_over)
        self._sides[direction] = Side(direction, self._record, head, put)

    def piece(self, direction: Direction, data: bytes) -> None:
        side = self._sides.get(direction)
        if side is None:
            return
        side.piece(data)
        if sum(one.put.waiting_bytes for one in self._sides.values()) > self._max_buffer_bytes:
            worst = max(self._sides.values(), key=lambda one: one.put.waiting_bytes)
            worst.put.give_up("the logging server does not keep up")

    def ended(self, record: Record) -> None:
        """Nothing follows; idempotent."""
        if self._ended:
            return
        self._ended = True
        for direction in DIRECTIONS:
            side = self._sides.get(direction)
            if side is not None:
                side.end(whole(direction, record))
        self._settle()

    def give_up(self, reason: str) -> None:
        """Abort whatever is not confirmed; nothing follows."""
        self._ended = True
        for side in self._sides.values():
            side.put.give_up(reason)
        self._settle()

    def _one_is_over(self, result: NotTaken | None) -> NotTaken | None:
        self._under_way -= 1
        self._settle()
        return result

    def _settle(self) -> None:
        if self._ended and not self._under_way and not self.settled.called:
            self._over()
            self.settled.callback(None)


def whole(direction: Direction, record: Record) -> bool:
    """Return whether a message of an ended exchange came to its end."""
    if direction == "request":
        return record.outcome not in (Outcome.CLIENT_GONE.value, Outcome.INTERRUPTED.value)
    return record.outcome in (Outcome.DONE.value, Outcome.REFUSED.value)
