"""The alarm: posts a JSON object to a URL when an alert begins and when it ends.

One at a time and in order, each of them tried a few times; what cannot be delivered is logged and let go.

This module must not know which alerts there are, and must not tell the URL in any message: it may hold a secret.
"""

from __future__ import annotations

import platform
import random
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from netrunner import __version__
from netrunner.alerts import Alert
from netrunner.config.settings import AlertSettings
from netrunner.environment import Environment
from netrunner.errors import UpstreamError
from netrunner.sidecall import post_json
from netrunner.times import stamp

TRIES = 5
PAUSE_S = 1.0
"""Before the second try; each further one waits twice as long."""
TIMEOUT_S = 10.0
"""For an answer to begin, and as much for it to end."""
MOST = 100
"""Objects that wait; the oldest go first."""


class Alarm:
    """Posts as long as a configuration says so.

    Args:
        reactor: What everything runs on.
        clock: Time.
        http: A client like treq's; one is made when it is first needed.
    """

    _log = Logger()

    def __init__(self, reactor: Any, clock: Any, http: Any = None) -> None:
        self._reactor = reactor
        self._clock = clock
        self._http = http
        self._settings = AlertSettings()
        self._leave: Callable[[], None] | None = None
        self._waiting: deque[bytes] = deque(maxlen=MOST)
        self._work: Deferred[None] | None = None

    def use(self, settings: AlertSettings, follow: Callable[[Callable[..., object]], Callable[[], None]]) -> None:
        """Post as ``settings`` say.

        Args:
            settings: Where to, if anywhere.
            follow: Has a function called with what begins and what ends, until the one it returns is called.
        """
        if settings == self._settings:
            return
        self.stop()
        self._settings = settings
        if settings.webhook is not None:
            self._leave = follow(self._tell)

    def stop(self) -> None:
        """Post nothing more; idempotent."""
        self._settings = AlertSettings()
        self._waiting.clear()
        if self._leave is not None:
            self._leave()
            self._leave = None
        if self._work is not None:
            self._work.cancel()

    def _tell(self, begun: Sequence[Alert], ended: Sequence[Alert]) -> None:
        at = self._clock.wall()
        self._waiting.extend(_told("ended", alert, at) for alert in ended)
        self._waiting.extend(_told("began", alert, at) for alert in begun)
        if self._work is None:
            self._work = Deferred.fromCoroutine(self._deliver())
            self._work.addBoth(self._delivered)

    def _delivered(self, result: object) -> None:
        self._work = None
        if isinstance(result, Failure) and not result.check(CancelledError):
            self._log.failure("alerts could not be posted", result)

    async def _deliver(self) -> None:
        while self._waiting:
            document = self._waiting.popleft()
            why = ""
            for number in range(TRIES):
                if number:
                    await deferLater(self._clock, PAUSE_S * 2 ** (number - 1))
                why = await self._post(document)
                if not why or self._settings.webhook is None:
                    break
            else:
                self._log.error("an alert could not be posted: {why}", why=why)

    async def _post(self, document: bytes) -> str:
        """Post one; return why it was not taken."""
        settings = self._settings
        if settings.webhook is None:
            return ""
        if self._http is None:
            self._http = Environment("alerts", self._reactor, self._clock, random.SystemRandom()).http
        headers = {name: secret.reveal() for name, secret in (settings.headers or {}).items()}
        try:
            status, _ = await post_json(self._http, self._clock, settings.webhook, document, headers, TIMEOUT_S)
        except UpstreamError as error:
            return str(error)
        return "" if 200 <= status < 300 else f"status {status}"


def _told(state: str, alert: Alert, at: float) -> bytes:
    document = {
        "state": state,
        **msgspec.structs.asdict(alert),
        "since": stamp(alert.since),
        "at": stamp(at),
        "host": platform.node(),
        "netrunner": __version__,
    }
    return msgspec.json.encode(document)
