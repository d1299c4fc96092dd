"""What sinks that ship records to somebody else share: an orderly refusal, and where refused records go.

This module must not know how anything is sent.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, TypeVar

import msgspec
from twisted.internet.defer import Deferred

from netrunner.errors import NetrunnerError
from netrunner.interfaces import IEnvironment
from netrunner.linefile import LineFile

T = TypeVar("T")


class Undelivered(NetrunnerError):
    """The receiver did not take a batch; it may take the same batch later."""


class Refused(NetrunnerError):
    """The receiver will never take this batch as it is: there is something in it that it does not want."""


class Parcel(NamedTuple):
    """One record on its way."""

    id: str
    document: bytes
    """JSON on one line."""


class DeadLetters:
    """A file of the records that their receiver refused, as JSON lines with time, sink and reason.

    Args:
        path: Of the file; made with mode 0600 when there is something to write.
        environment: Of the sink.
    """

    def __init__(self, path: str, environment: IEnvironment) -> None:
        self.count = 0
        """Records written there since the start."""
        self._file = LineFile(path)
        self._environment = environment

    def bury(self, parcels: Sequence[Parcel], reason: str) -> None:
        """Write records down with the reason they were refused for; raises ``OSError`` when that fails."""
        environment = self._environment
        letters = [
            {
                "at": environment.clock.wall(),
                "sink": environment.name,
                "reason": reason,
                "record": msgspec.Raw(parcel.document),
            }
            for parcel in parcels
        ]
        self._file.append(msgspec.json.Encoder().encode_lines(letters))
        self.count += len(parcels)
        for parcel in parcels:
            environment.log.warn(
                "the record {id} was refused ({reason}) and went to the dead letters", id=parcel.id, reason=reason
            )

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class Turn:
    """A write that is going on; a context manager, and a way to wait for its end."""

    def __init__(self) -> None:
        self._going_on = False
        self._waiting: list[Deferred[None]] = []

    def __enter__(self) -> None:
        self._going_on = True

    def __exit__(self, *_: object) -> None:
        self._going_on = False
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            one.callback(None)

    def ended(self) -> Deferred[None]:
        """Return a Deferred that fires when no write is going on."""
        ended: Deferred[None] = Deferred()
        if self._going_on:
            self._waiting.append(ended)
        else:
            ended.callback(None)
        return ended


async def deliver(
    batch: Sequence[T], send: Callable[[Sequence[T]], Awaitable[None]], bury: Callable[[T, str], None]
) -> None:
    """Send a batch; halve one that is refused until the records at fault are found, and bury those.

    Args:
        batch: What is to be sent, in order.
        send: Sends some of it; raises ``Refused`` for what will never be taken.
        bury: Takes one that was refused by itself, and why.

    Raises:
        Undelivered: or whatever else ``send`` raises; what came before in the batch is sent or buried by then.
    """
    waiting = [batch]
    while waiting:
        some = waiting.pop()
        try:
            await send(some)
        except Refused as refused:
            if len(some) == 1:
                bury(some[0], str(refused))
            else:
                middle = len(some) // 2
                waiting += [some[middle:], some[:middle]]
