"""Both messages of one exchange on their way past: to the journal, and to whoever watches.

What is recorded and shown is redacted; the digests are of the bytes as they were. This module must not hold anything
back from the relay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from netrunner.interfaces import IClock, IWatcher
from netrunner.journal.entry import REQUEST, RESPONSE, Entry
from netrunner.journal.masking import mask_headers
from netrunner.values import Headers, MessageHead, Record

DIRECTIONS = ("request", "response")
SLICE_BYTES = 1 << 20
"""Of a large request that is recorded in one turn of the reactor."""
_NOTHING = memoryview(b"")
_log = Logger()


class Ledger(Protocol):
    """The journal, as far as exchanges need it."""

    def begin(
        self,
        record: Callable[[], Record],
        lost: Callable[[], None],
        head: Callable[[], MessageHead],
        body: bytes,
        told: bytes,
    ) -> Entry | None:
        """Record that a provider is about to be called; see ``Journal.begin``."""

    def ended(self, record: Record, refused: bool) -> None:
        """Record the end of what nobody was called for; see ``Journal.ended``."""


class Redactor(Protocol):
    """Hides what is not to be recorded of one body, piece by piece."""

    def feed(self, data: bytes) -> bytes:
        """Return what may be recorded by now."""

    def take(self, data: bytes) -> bytes:
        """Do the same, sooner or later: what comes in small pieces is looked at in larger ones."""

    def close(self) -> bytes:
        """Return the rest."""


class Redaction(Protocol):
    """What is hidden in bodies."""

    def stream(self, content_type: bytes | None) -> Redactor:
        """Return a redactor of one body."""


class Recording:
    """What is recorded of one exchange.

    Args:
        redaction: What is hidden; None hides nothing.
        secret_header: A further field that holds the caller's credential, lowercase.
    """

    __slots__ = ("_redaction", "_redactors", "_rest", "_secret_header", "_turn", "entry", "watchers")

    def __init__(self, redaction: Redaction | None = None, secret_header: bytes | None = None) -> None:
        self.entry: Entry | None = None
        """Its place in the journal; None if it is not recorded."""
        self.watchers: tuple[IWatcher, ...] = ()
        """Those who see it flow."""
        self._redaction = redaction
        self._redactors: list[Redactor | None] = [None, None]
        self._rest = _NOTHING
        """Of a large request, what is still to be taken."""
        self._turn: IDelayedCall | None = None
        self._secret_header = secret_header

    def begin(
        self,
        journal: Ledger,
        record: Callable[[], Record],
        lost: Callable[[], None],
        start: bytes,
        headers: Headers,
        body: bytes,
    ) -> None:
        """The exchange is about to call its provider.

        Args:
            journal: Where that is written down.
            record: Returns the record, before its end as it would be if the process died now.
            lost: Called when it could not be written down after all.
            start, headers, body: The request; an empty body if it is still to come.

        Raises:
            Overloaded: when it cannot be written down.
        """
        told = body
        if self._redaction is not None:
            redactor = self._redaction.stream(_content_type(headers))
            if body:
                told = redactor.feed(body) + redactor.close()
            else:
                self._redactors[REQUEST] = redactor

        def head() -> MessageHead:
            return MessageHead(start, mask_headers(headers, self._secret_header))

        self.entry = journal.begin(record, lost, head, body, told)
        if self.watchers:
            self._show_head(REQUEST, head(), len(told) if body else None)
            self._tell("piece", DIRECTIONS[REQUEST], told)

    def take(self, body: bytes, clock: IClock) -> None:
        """Take a large request, a slice in each turn of the reactor: digests and disks take their time."""
        self._rest = memoryview(body)
        self._turn = clock.callLater(0, self._take_slice, clock)

    def _take_slice(self, clock: IClock) -> None:
        piece, self._rest = bytes(self._rest[:SLICE_BYTES]), self._rest[SLICE_BYTES:]
        self.piece(REQUEST, piece)
        self._turn = clock.callLater(0, self._take_slice, clock) if self._rest else None

    def _take_rest(self) -> None:
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None
            self.piece(REQUEST, bytes(self._rest))
            self._rest = _NOTHING

    def answer(self, start: bytes, headers: Headers, from_elsewhere: bool = True) -> None:
        """The response begins.

        Args:
            start, headers: Of the response.
            from_elsewhere: Whether its fields may hold credentials; those of model routes are chosen here.
        """
        if self._redaction is not None:
            self._redactors[RESPONSE] = self._redaction.stream(_content_type(headers))
        entry = self.entry
        if entry is None and not self.watchers:
            return
        head = MessageHead(start, mask_headers(headers, self._secret_header) if from_elsewhere else headers)
        if entry is not None:
            entry.message(RESPONSE).head(head)
        if self.watchers:
            self._show_head(RESPONSE, head, None)

    def piece(self, direction: int, data: bytes) -> None:
        """The next bytes of a body: ``direction`` is ``REQUEST`` or ``RESPONSE``."""
        if not data:
            return
        redactor = self._redactors[direction]
        if redactor is None:
            told = data
        else:
            told = redactor.feed(data) if self.watchers else redactor.take(data)
        if self.entry is not None:
            self.entry.message(direction).piece(data, told)
        if told and self.watchers:
            self._tell("piece", DIRECTIONS[direction], told)

    def end(self, record: Callable[[], Record]) -> None:
        """The exchange has ended; once it is written, what ``record`` returns says where the messages are."""
        if self._turn is not None:
            self._take_rest()
        if self._redaction is not None:
            self._finish_redaction()
        if self.entry is not None:
            self.entry.end(record)
        if self.watchers:
            self._tell("ended", record())

    def watch(self, watchers: Iterable[IWatcher]) -> None:
        """Let further ones see the rest."""
        self.watchers = (*self.watchers, *watchers)

    def unwatch(self, watcher: IWatcher) -> None:
        """Show it nothing more."""
        self.watchers = tuple(one for one in self.watchers if one is not watcher)

    def _finish_redaction(self) -> None:
        for direction, redactor in enumerate(self._redactors):
            rest = b"" if redactor is None else redactor.close()
            if rest and self.entry is not None:
                self.entry.message(direction).keep(rest)
            if rest and self.watchers:
                self._tell("piece", DIRECTIONS[direction], rest)

    def _show_head(self, direction: int, head: MessageHead, length: int | None) -> None:
        """Show how a message begins; ``length`` is that of its body as it will be shown, None if not known yet.

        What is declared counts for the body as it came, which is another where something in it is hidden.
        """
        if self._redaction is not None:
            framed = [field for field in head.headers if field[0] != b"content-length" or field[1] == b"0"]
            if length is not None:
                framed.append((b"content-length", b"%d" % length))
            head = MessageHead(head.start, framed)
        self._tell("message", DIRECTIONS[direction], head)

    def _tell(self, what: str, *arguments: Any) -> None:
        for watcher in self.watchers:
            try:
                getattr(watcher, what)(*arguments)
            except Exception:  # noqa: BLE001 - the border to a watcher: one that raises sees nothing more
                _log.failure("a watcher failed")
                self.unwatch(watcher)


def _content_type(headers: Headers) -> bytes | None:
    return next((value for name, value in headers if name == b"content-type"), None)
