"""How long messages are kept: which are too old, or too many, and their removal now and then.

This module must not touch files itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from netrunner.interfaces import IClock
from netrunner.logserver.folder import File, Folder
from netrunner.logserver.index import Index
from netrunner.logserver.metadata import moment

LOOK_S = 60.0
"""How often it is looked."""
AT_ONCE = 500
"""Files that are removed in one go, so that those who store messages get their turn."""
DAY_S = 86400.0
_EXCHANGE_CHARACTERS = len("2026-11-25_09-00-00.000_0193a1b2")
"""What the names of both messages of an exchange begin with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """How much is kept; 0 is without a bound."""

    days: float = 0.0
    bytes: int = 0
    """Of all files together."""


def outdated(files: Sequence[File], keep: Keep, now_s: float) -> Iterator[str]:
    """Yield the names of the files that are to be removed, whole exchanges and the oldest first.

    An exchange of which more is to come stays, whatever it takes, and so does the newest one when there are too many
    bytes. What is too old is gone by the time of the exchange, which is in its name.
    """
    left = sum(file.bytes for file in files)
    earliest = moment(max(0.0, now_s - keep.days * DAY_S)) if keep.days else ""
    names = sorted(files)
    newest = names[-1].name[:_EXCHANGE_CHARACTERS] if names else ""
    for exchange, group in groupby(names, lambda file: file.name[:_EXCHANGE_CHARACTERS]):
        both = list(group)
        too_many = keep.bytes and left > keep.bytes and exchange != newest
        if not too_many and exchange >= earliest:
            return
        if not any(file.coming for file in both):
            left -= sum(file.bytes for file in both)
            yield from (file.name for file in both)


class Retention:
    """Looks now and then, and removes what is not to be kept.

    Args:
        keep: How much that is.
        folder: Where it is removed from.
        index: What forgets it.
        ready: Tells whether the index knows what is in the folder; before that nothing is removed.
        run: Calls what may block.
        clock: Tells when to look.
    """

    log = Logger()

    def __init__(
        self,
        keep: Keep,
        folder: Folder,
        index: Index,
        ready: Callable[[], bool],
        run: Callable[..., Awaitable[Any]],
        clock: IClock,
    ) -> None:
        self._keep = keep
        self._folder = folder
        self._index = index
        self._ready = ready
        self._run = run
        self._clock = clock
        self._again: IDelayedCall | None = None
        self._stopped = False

    def begin(self) -> None:
        """Look from now on, if there is any bound."""
        if self._keep != Keep():
            self._look_in(1.0)

    def stop(self) -> None:
        """Do not look again; what is being removed is."""
        self._stopped = True
        if self._again is not None:
            self._again.cancel()
            self._again = None

    def _look_in(self, seconds: float) -> None:
        if not self._stopped:
            self._again = self._clock.callLater(seconds, self._look)

    def _look(self) -> None:
        self._again = None
        if not self._ready():
            self._look_in(1.0)
            return
        looking = Deferred.fromCoroutine(self.remove())
        looking.addErrback(self._failed).addBoth(lambda _: self._look_in(LOOK_S))

    async def remove(self) -> None:
        """Remove what is not to be kept.

        Raises:
            OSError: when the folder, or one file in it, does not let itself.
        """
        names = await self._run(self._outdated)
        for start in range(0, len(names), AT_ONCE):
            piece = frozenset(names[start : start + AT_ONCE])
            await self._run(self._folder.remove, piece)
            self._index.forget_files(piece)
            if self._stopped:
                return
        if names:
            self.log.info("{count} files were removed that are not to be kept", count=len(names))

    def _outdated(self) -> list[str]:
        return list(outdated(self._folder.files(), self._keep, self._clock.wall()))

    def _failed(self, failure: Failure) -> None:
        if isinstance(failure.value, OSError):
            reason = failure.value.strerror or str(failure.value)
            self.log.error("old files were not removed: {reason}", reason=reason)
        else:
            self.log.failure("old files were not removed", failure)
