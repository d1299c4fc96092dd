"""Stand-ins for what a plugin is handed: a clock, an environment, a receiver of one response.

This module must not import anything of netrunner but ``interfaces``, ``values`` and ``errors``.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from twisted.internet import task
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger
from zope.interface import implementer

from netrunner.errors import UpstreamError
from netrunner.interfaces import IClock, IEnvironment, IResponseReceiver
from netrunner.values import ResponseHead


@implementer(IClock)
class FakeClock(task.Clock):
    """Time that passes only by ``advance(seconds)``.

    Args:
        wall_s: Unix time at the start.
    """

    def __init__(self, wall_s: float = 1_750_000_000.0) -> None:
        super().__init__()
        self._wall_s = wall_s

    def wall(self) -> float:
        """Return Unix time in seconds; it passes as ``seconds`` does."""
        return self._wall_s + self.seconds()


@implementer(IEnvironment)
class FakeEnvironment:
    """What a plugin is built with; chance is seeded and time stands still.

    Args:
        http: What takes the plugin's side calls, if it makes any.
        copies: What a sink reads recorded messages from.
        store: What a sink keeps records in.
        counters: What limits count with.
        shared: What is kept with others.
    """

    def __init__(
        self,
        name: str = "test",
        *,
        clock: FakeClock | None = None,
        http: Any = None,
        copies: Any = None,
        store: Any = None,
        counters: Any = None,
        shared: Any = None,
    ) -> None:
        self.name = name
        self.clock = clock or FakeClock()
        self.log = Logger(namespace=f"netrunner.plugin.{name}")
        self.http = http
        self.random = random.Random(0)
        self.copies = copies
        self.store = store
        self.counters = counters
        self.shared = shared

    def shared_store(self, space: str) -> Any:
        """Return ``shared``, whatever the space."""
        return self.shared

    def http_for(self, ca_file: str | None) -> Any:
        """Return ``http``, whom it trusts or not."""
        return self.http

    def in_thread(self, pool: Any, function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        """Call ``function`` at once, in this thread."""
        return maybeDeferred(function, *arguments)


@implementer(IResponseReceiver)
class FakeReceiver:
    """Writes one response down and notes what breaks the contract of ``IResponseReceiver``.

    ``dialogue`` holds every call in order, ``("sent", reused)``, ``("head", head)``, ``("body", data, last)``,
    ``("failed", error)``; ``violations`` one sentence for each call that should not have come.
    """

    def __init__(self) -> None:
        self.dialogue: list[tuple[Any, ...]] = []
        self.violations: list[str] = []
        self.head: ResponseHead | None = None
        self.body = b""
        self.error: Any = None
        self.ended = False
        self._waiting: list[Deferred[FakeReceiver]] = []

    def sent(self, reused: bool) -> None:
        """See the request off."""
        self._note("sent", reused)
        if len(self.dialogue) > 1:
            self.violations.append("sent was not the first call")

    def head_received(self, head: ResponseHead) -> None:
        """Keep the head."""
        if self.head is not None:
            self.violations.append("a second head was received")
        if ("sent", False) not in self.dialogue and ("sent", True) not in self.dialogue:
            self.violations.append("the head came before sent")
        self._note("head", head)
        self.head = head

    def body_received(self, data: bytes, last: bool) -> None:
        """Keep the bytes."""
        if self.head is None:
            self.violations.append("a body came before the head")
        if not data and not last:
            self.violations.append("an empty piece of a body that goes on")
        self._note("body", data, last)
        self.body += data
        if last:
            self._end()

    def failed(self, error: Any) -> None:
        """Keep the error."""
        if not isinstance(error, UpstreamError):
            self.violations.append(f"failed with a {type(error).__name__}, which is no UpstreamError")
        self._note("failed", error)
        self.error = error
        self._end()

    def wait_for_end(self) -> Deferred[FakeReceiver]:
        """Return a Deferred of this receiver that fires when the response is complete or has failed."""
        waiting: Deferred[FakeReceiver] = Deferred()
        self._waiting.append(waiting)
        if self.ended:
            self._end()
        return waiting

    def _note(self, *call: Any) -> None:
        if self.ended:
            self.violations.append(f"{call[0]} came after the end")
        self.dialogue.append(call)

    def _end(self) -> None:
        self.ended = True
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            one.callback(self)
