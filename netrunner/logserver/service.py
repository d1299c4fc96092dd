"""The wiring of the logging server: folder, index, threads, tree, site and listening ports.

This module must not hold behaviour that could live where it wires from.
"""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IListeningPort
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.threadpool import ThreadPool
from twisted.web.resource import Resource

from netrunner.clock import SystemClock
from netrunner.http.flush import Flush
from netrunner.http.request import Request
from netrunner.http.site import Limits, Site
from netrunner.http.sweep import Sweep
from netrunner.interfaces import IClock
from netrunner.logserver.access import Access
from netrunner.logserver.api import Health, Logs, refusal
from netrunner.logserver.deposit import Deposit
from netrunner.logserver.folder import Folder
from netrunner.logserver.index import Index
from netrunner.logserver.live import Live
from netrunner.logserver.reading import Reading
from netrunner.logserver.retention import Keep, Retention
from netrunner.logserver.upload import Run
from netrunner.process import listen
from netrunner.process.signals import Ending, install
from netrunner.process.systemd import tell_systemd
from netrunner.settings import Secret

THREADS = 8
"""That may wait for the disk at a time."""
DRAIN_S = 10.0
"""How long messages that are coming get at the end."""
SETTLE_S = 2.0
"""How long it may take then to write down what is known of those that broke off."""
STALL_S = 900.0
"""How long a message may pause: a model may think for long, and its sender has another copy."""
RESERVED_DESCRIPTORS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the command line says."""

    token: Secret | None
    max_bytes: int
    """Most bytes of one message."""
    max_logs: int
    """Most exchanges that are found again."""
    keep: Keep
    """How much is kept at all."""


class Root(Resource):
    """What every path leads to."""

    def __init__(self, deposit: Deposit, logs: Logs, health: Health) -> None:
        super().__init__()
        self._deposit = deposit
        self._named: dict[bytes, Resource] = {b"api": logs, b"health": health}

    def getChildWithDefault(self, path: bytes, request: Request) -> Resource:
        """Choose by the first step; everything that has no name of its own stores messages, or is refused there."""
        named = self._named.get(path)
        if named is not None:
            return named
        request.postpath = [path, *(request.postpath or [])]
        return self._deposit


def site_of(
    folder: Folder,
    index: Index,
    reading: Reading,
    live: Live,
    run: Run,
    settings: Settings,
    sweep: Sweep,
    clock: IClock,
    flush: Flush | None = None,
) -> tuple[Site, Deposit]:
    """Return the site of a logging server, and what stores messages in it."""
    access = Access(settings.token)
    deposit = Deposit(access, folder, index, reading, live, run, clock, settings.max_bytes)
    logs = Logs(access, folder, index, reading, live, deposit.uploads.get, run)
    root = Root(deposit, logs, Health(reading))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    limits = Limits(
        body_grace_s=STALL_S,
        body_min_rate_bytes=1,
        max_body_bytes=65536,
        # Each connection may have a file open.
        max_connections=max(32, (soft - RESERVED_DESCRIPTORS) // 2),
        spare_connections=16,
        half_close_aborts=False,
    )
    return Site(root, sweep, limits, refusal, flush=flush), deposit


class LogServer(Service):
    """Listens, stores, and ends when asked to.

    Args:
        settings: What the command line says.
        folder: Where everything goes.
        listeners: Sockets bound beforehand.
        reactor: What it runs on.
    """

    log = Logger()

    def __init__(self, settings: Settings, folder: Folder, listeners: Sequence[listen.Bound], reactor: Any) -> None:
        self._reactor = reactor
        self._clock = SystemClock(reactor)
        self._sweep = Sweep(self._clock)
        self._folder = folder
        self._listeners = listeners
        self._ports: list[IListeningPort] = []
        self._threads = ThreadPool(0, THREADS, "logs")
        index = Index(settings.max_logs)
        self._reading = Reading(
            index, lambda: self._run(index.filled, folder.newest(2 * settings.max_logs)), self._clock
        )
        self._retention = Retention(settings.keep, folder, index, lambda: self._reading.over, self._run, self._clock)
        self._live = Live(self._clock)
        self._ending = Ending(reactor.stop, self._end_now)
        self._hurry = False
        self.site, self._deposit = site_of(
            folder, index, self._reading, self._live, self._run, settings, self._sweep, self._clock, Flush(self._clock)
        )

    def _run(self, function: Any, *arguments: Any) -> Deferred[Any]:
        return deferToThreadPool(self._reactor, self._threads, function, *arguments)

    def startService(self) -> None:
        """Take the sockets and read the folder, for which whatever comes before waits; see ``reading``."""
        super().startService()
        self._threads.start()
        self._sweep.start()
        for bound in self._listeners:
            self._ports.append(listen.adopt(self._reactor, bound, self.site))
            self.log.info("storing what comes to {name} in {folder}", name=bound.name, folder=str(self._folder.path))
        self._reading.begin()
        self._retention.begin()
        self._reactor.callWhenRunning(self._running)

    def _running(self) -> None:
        install(self._reactor, {signal.SIGTERM: self._ending.signalled, signal.SIGINT: self._ending.signalled})
        tell_systemd(os.environ, f"MAINPID={os.getpid()}\nREADY=1")

    def _end_now(self) -> None:
        self._hurry = True

    def stopService(self) -> Deferred[None]:
        """Take nothing new, let what is coming come for ``DRAIN_S``, then close."""
        super().stopService()
        tell_systemd(os.environ, "STOPPING=1")
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        for port in self._ports:
            await maybeDeferred(port.stopListening)
        self._live.close()
        self._retention.stop()
        self.site.stop_accepting()
        await self._until(lambda: self._hurry or not self.site.channels, DRAIN_S)
        for channel in list(self.site.channels):
            channel.abort()
        # What broke off is settled as incomplete.
        await self._until(lambda: not self.site.channels and not self._deposit.uploads, SETTLE_S)
        self._reading.stop()
        self._sweep.stop()
        self._threads.stop()
        self._folder.close()

    async def _until(self, happened: Callable[[], bool], within_s: float) -> None:
        limit = self._clock.seconds() + within_s
        while not happened() and self._clock.seconds() < limit:
            looked: Deferred[None] = Deferred()
            self._clock.callLater(0.05, looked.callback, None)
            await looked
