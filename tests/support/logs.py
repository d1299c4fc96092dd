"""Failures and warnings that were logged while tests ran."""

from __future__ import annotations

from typing import Self

from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent, globalLogPublisher
from twisted.python.failure import Failure
from zope.interface import implementer


@implementer(ILogObserver)
class FailureLog:
    """Keeps every failure that reaches Twisted's log until it is flushed; a context manager."""

    def __init__(self) -> None:
        self._events: list[LogEvent] = []

    def __enter__(self) -> Self:
        globalLogPublisher.addObserver(self)
        return self

    def __exit__(self, *_: object) -> None:
        globalLogPublisher.removeObserver(self)

    def __call__(self, event: LogEvent) -> None:
        if event.get("log_failure") is not None:
            self._events.append(event)

    def flush(self, *types: type[BaseException]) -> list[Failure]:
        """Return the failures logged so far, those of ``types`` where any are given, and forget them."""
        taken = [event for event in self._events if _is_one_of(event, types)]
        self._events = [event for event in self._events if event not in taken]
        return [event["log_failure"] for event in taken]

    def assert_empty(self) -> None:
        """Raise ``AssertionError`` with everything logged and not flushed; forget it."""
        events, self._events = self._events, []
        assert not events, "failures were logged:\n\n" + "\n\n".join(map(_told, events))


@implementer(ILogObserver)
class WarningLog:
    """Keeps the field ``reason`` of every warning that reaches Twisted's log; a context manager."""

    def __init__(self) -> None:
        self.reasons: list[str] = []

    def __enter__(self) -> Self:
        globalLogPublisher.addObserver(self)
        return self

    def __exit__(self, *_: object) -> None:
        globalLogPublisher.removeObserver(self)

    def __call__(self, event: LogEvent) -> None:
        if event["log_level"] is LogLevel.warn:
            self.reasons.append(event["reason"])


def _is_one_of(event: LogEvent, types: tuple[type[BaseException], ...]) -> bool:
    return not types or event["log_failure"].check(*types) is not None


def _told(event: LogEvent) -> str:
    return f"{formatEvent(event)}\n{event['log_failure'].getTraceback()}"
