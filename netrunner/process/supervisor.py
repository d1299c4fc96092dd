"""The supervisor of several workers: one process that holds the listening sockets and never accepts, and N that do.

A worker is an ordinary netrunner process on the same sockets, with a journal and a control socket of its own. One that
dies is started again: at once if it had lived for a while, else after a pause that grows to ``MAX_PAUSE_S``. Workers
are not forked from the supervisor, but from a nursery, which has imported what they need and holds nothing else.

This module must not serve, and must not read what a configuration says beyond ``workers`` and ``server.drain_s``.
"""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from netrunner.config.settings import Settings
from netrunner.errors import NetrunnerError
from netrunner.http.flush import Flush
from netrunner.process.command import Command
from netrunner.process.control import Commands, ControlError, NoArguments, Reply
from netrunner.process.lifeline import BEAT, HASTEN, Order, Report, Snapshot, hold
from netrunner.process.listen import Bound
from netrunner.process.logfile import BoundedLog
from netrunner.process.nursery import Child, Nursery
from netrunner.process.peers import PURGE

SHORT_LIFE_S = 5.0
"""A worker that dies sooner after its start is started again after a pause."""
PAUSE_S = 0.05
"""The first one; each further death doubles it."""
MAX_PAUSE_S = 0.25
END_S = 5.0
"""What workers get beyond ``drain_s`` before they are killed."""
BEAT_S = 10.0
"""How often workers have to show that their reactor turns."""
MAX_SILENT = 3
"""Beats in a row that one may leave unanswered before it is killed."""
ANSWER_S = 30.0
"""How long a worker may take to reload before it is killed, and started again with the new configuration."""

_RESTARTS = "Workers that died and were started again, as their supervisor counts them."
_STALE = "Whether the configuration was refused when it was read last, so that the one before is in force."


class Worker:
    """One worker, from its start to its end.

    Args:
        supervisor: Whose it is.
        number: Which one.
        started: When, by the reactor's clock.
    """

    def __init__(self, supervisor: Supervisor, number: int, started: float) -> None:
        self._supervisor = supervisor
        self._process: Child | None = None
        self.number = number
        """From 1; the one that takes its place has the same."""
        self.pid = 0
        """0 until it is born."""
        self.serves = False
        self.silent = 0
        """Beats in a row that it has not answered."""
        self.started = started
        self.line: Any = None
        self.runs: Snapshot | None = None
        """What it was told to run last."""
        self.asked: Deferred[str | None] | None = None
        """Fires when a reload is answered: with None, or why it was refused."""

    def heard(self, message: bytes) -> None:
        """It reports, or answers a beat."""
        self.silent = 0
        if message == BEAT:
            return
        report = msgspec.msgpack.decode(message, type=Report)
        if not self.serves:
            self.serves = True
            self._supervisor.serves(self, report.imported)
        else:
            self.answered(report.refused)

    def answered(self, refused: str | None) -> None:
        """Tell whoever asked for a reload."""
        asked, self.asked = self.asked, None
        if asked is not None:
            asked.callback(refused)

    def born(self, pid: int | None) -> None:
        """It is a process now, or will never be one."""
        if pid is None:
            self._ended("its parent")
        else:
            self.pid = pid
            self._process = Child(pid, self._ended)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal; one that is gone, or not born, needs none."""
        if self._process is not None:
            self._process.signal(number)

    def _ended(self, how: str) -> None:
        self.answered("the worker died")
        self.line.transport.loseConnection()
        self._supervisor.ended(self, how)


class Supervisor(Service):
    """Starts workers, starts them again, reloads them, ends them.

    Args:
        settings: How many, and how long they may take to drain.
        bound: The listening sockets.
        command: Returns what starts a worker.
        snapshot: Returns the configuration as it was read last.
        log_file: Where workers log to; None lets them have this process's standard output.
        reactor: Of this process.
    """

    _log = Logger()
    flush: Flush | None = None
    """Nothing is sent from here."""

    def __init__(
        self,
        settings: Settings,
        bound: Sequence[Bound],
        command: Callable[[], Command],
        snapshot: Callable[[], Snapshot],
        log_file: BoundedLog | None,
        reactor: Any,
    ) -> None:
        self._count = settings.workers
        self._settings = settings
        self._bound = bound
        self._nursery = Nursery(
            command,
            lambda: [one.fileno() for one in bound],
            None if log_file is None else lambda data: _write(log_file, data),
            reactor,
        )
        self._snapshot = snapshot
        self._current: Snapshot | None = None
        """What workers run, or are to run."""
        self._reactor = reactor
        self._workers: dict[int, Worker] = {}
        self._pauses: dict[int, float] = {}
        self._waiting: dict[int, IDelayedCall] = {}
        self._beating: IDelayedCall | None = None
        self._turn = DeferredLock()
        self._ready: Deferred[None] = Deferred()
        self._gone: Deferred[None] | None = None
        self._limit: IDelayedCall | None = None
        self.restarts = 0
        self._stale = False
        """Whether the configuration was refused when it was read last."""

    # What the daemon asks.

    def startService(self) -> None:
        """Start the workers once the reactor runs, which has to hear of their ends."""
        super().startService()
        self._current = self._snapshot()
        self._reactor.callWhenRunning(self._start_all)

    def ready(self) -> Deferred[None]:
        """Fire when every worker serves; fail when one has died before that."""
        return self._ready

    def stopService(self) -> Deferred[Any]:
        """Have the workers drain; fire when all are gone, those that do not go being killed."""
        super().stopService()
        for call in self._waiting.values():
            call.cancel()
        self._waiting.clear()
        if self._beating is not None:
            self._beating.cancel()
        self._gone = Deferred()
        for one in self._bound:
            one.close()
        self._nursery.end(self._look)
        self._all(signal.SIGTERM)
        self._limit = self._reactor.callLater(self._settings.server.drain_s + END_S, self._all, signal.SIGKILL)
        self._look()
        return self._gone

    def end_now(self) -> None:
        """Have the workers cut their drain short."""
        for worker in self._workers.values():
            worker.line.sendString(HASTEN)

    def reload(self, settings: Settings) -> Deferred[None]:
        """Have every worker run the configuration that was read last.

        One worker is asked before the others: when it refuses, nothing has changed anywhere. One of the others that
        refuses what the first has taken is started anew with it.

        Raises:
            NetrunnerError: (by the Deferred) when it is refused.
        """
        snapshot = self._snapshot()
        return self._turn.run(lambda: Deferred.fromCoroutine(self._reload(settings, snapshot)))

    def inflight(self) -> list[dict[str, Any]]:
        """Return nothing: workers have what is in progress."""
        return []

    def end(self, id: str) -> bool:
        """Return False: nothing is in progress here."""
        return False

    def windows(self) -> list[Any]:
        """Return nothing: what several workers count they count in Redis."""
        return []

    def absorb_windows(self, windows: list[Any]) -> None:
        """Nothing is counted here."""

    def read_aliases(self) -> None:
        """Workers are told themselves."""

    def project_changed(self, id: str) -> None:
        """Workers are told themselves."""

    def configuration_read(self, refused: bool) -> None:
        """Remember whether it was refused; workers do not hear of one that cannot be read."""
        self._stale = refused

    def counts(self) -> dict[str, int]:
        """Return how many workers there are, how many of them serve, and how many took the place of another."""
        serving = sum(worker.serves for worker in self._workers.values())
        return {"workers": len(self._workers), "serving": serving, "restarts": self.restarts}

    def offer(self, commands: Commands) -> None:
        """Add what only a supervisor can be asked."""
        commands.add("workers", NoArguments, lambda _: Reply({"workers": self._listed()}))
        commands.add("metrics", NoArguments, lambda _: Reply(self._metrics()))
        commands.add("figures", NoArguments, lambda _: Reply({"figures": self._samples()}))
        commands.add(PURGE, NoArguments, lambda _: Reply({"forgotten": 0}))

    def _metrics(self) -> dict[str, Any]:
        """Return what the supervisor adds to the metrics of its workers, as they tell theirs to each other."""
        if self._gone is not None:
            raise ControlError("this process is ending")
        restarts, stale = self._samples()
        return {
            "worker": "supervisor",
            "families": [
                {"name": "netrunner_worker_restarts", "type": "counter", "help": _RESTARTS, "samples": [restarts]},
                {"name": "netrunner_configuration_stale", "type": "gauge", "help": _STALE, "samples": [stale]},
            ],
        }

    def _samples(self) -> list[dict[str, Any]]:
        return [
            {"name": "netrunner_worker_restarts_total", "labels": {}, "value": self.restarts},
            {"name": "netrunner_configuration_stale", "labels": {}, "value": int(self._stale)},
        ]

    def _listed(self) -> list[dict[str, Any]]:
        return [
            {"number": worker.number, "pid": worker.pid, "serves": worker.serves}
            for _, worker in sorted(self._workers.items())
        ]

    # What workers tell.

    def serves(self, worker: Worker, imported: Sequence[str]) -> None:
        """One accepts; what was reloaded while it started it has yet to be told.

        Args:
            worker: Which one.
            imported: Modules that it was not born with.
        """
        self._log.info("worker {number} serves, process {pid}", number=worker.number, pid=worker.pid)
        self._nursery.learn(imported)
        if worker.runs is not self._current:
            self._order(worker)
        if sum(one.serves for one in self._workers.values()) == self._count and not self._ready.called:
            self._ready.callback(None)

    def ended(self, worker: Worker, how: str) -> None:
        """One is gone: start another, unless all are to go."""
        del self._workers[worker.number]
        if self._gone is not None:
            self._look()
            return
        if not self._ready.called:
            self._ready.errback(Failure(NetrunnerError(f"worker {worker.number} did not start: it ended with {how}")))
            return
        pause = self._pause(worker)
        self._log.error(
            "worker {number} (process {pid}) ended with {how}; another one is started in {pause} s",
            number=worker.number, pid=worker.pid, how=how, pause=pause,
        )  # fmt: skip
        self._waiting[worker.number] = self._reactor.callLater(pause, self._start_again, worker.number)

    def _pause(self, worker: Worker) -> float:
        number = worker.number
        if worker.serves and self._reactor.seconds() - worker.started >= SHORT_LIFE_S:
            self._pauses.pop(number, None)
            return 0.0
        pause = self._pauses.get(number, PAUSE_S)
        self._pauses[number] = min(pause * 2, MAX_PAUSE_S)
        return pause

    # Starting and ending.

    def _start_all(self) -> None:
        for number in range(1, self._count + 1):
            if self._gone is None:
                self._start(number)
        if self._gone is None:
            self._beating = self._reactor.callLater(BEAT_S, self._beat)

    def _beat(self) -> None:
        self._beating = self._reactor.callLater(BEAT_S, self._beat)
        self._nursery.reap_orphans()
        for worker in self._workers.values():
            if worker.silent >= MAX_SILENT:
                self._log.error("worker {number} hangs and is killed", number=worker.number)
                worker.signal(signal.SIGKILL)
            elif worker.serves:
                worker.silent += 1
                worker.line.sendString(BEAT)

    def _start_again(self, number: int) -> None:
        del self._waiting[number]
        self.restarts += 1
        self._start(number)

    def _start(self, number: int) -> None:
        worker = Worker(self, number, self._reactor.seconds())
        self._workers[number] = worker
        ours, theirs = socket.socketpair()
        worker.line = hold(self._reactor, ours, worker.heard, lambda: None)
        self._order(worker)
        self._nursery.want(theirs, worker.born)

    def _order(self, worker: Worker) -> None:
        assert self._current is not None
        worker.runs = self._current
        worker.line.sendString(msgspec.msgpack.encode(Order(worker.number, self._current)))

    def _all(self, number: signal.Signals) -> None:
        for worker in list(self._workers.values()):
            worker.signal(number)

    def _look(self) -> None:
        gone = self._gone
        if gone is not None and not self._workers and not self._nursery.alive and not gone.called:
            if self._limit is not None and self._limit.active():
                self._limit.cancel()
            gone.callback(None)

    async def _reload(self, settings: Settings, snapshot: Snapshot) -> None:
        before, self._current = self._current, snapshot
        taken = False
        for worker in [worker for worker in self._workers.values() if worker.serves]:
            refused = await self._asked(worker)
            if refused is None:
                taken = True
            elif self._workers.get(worker.number) is not worker:
                continue  # It died, and the next one begins with the new configuration.
            elif not taken:
                self._current = before
                raise NetrunnerError(refused)
            else:
                self._log.error("worker {number} is started anew: {why}", number=worker.number, why=refused)
                worker.signal(signal.SIGTERM)
        self._settings = settings

    def _asked(self, worker: Worker) -> Deferred[str | None]:
        answer: Deferred[str | None] = Deferred()
        worker.asked = answer
        self._order(worker)
        limit = self._reactor.callLater(ANSWER_S, worker.signal, signal.SIGKILL)

        def answered(refused: str | None) -> str | None:
            if limit.active():
                limit.cancel()
            return refused

        return answer.addCallback(answered)


def _write(log_file: BoundedLog, data: bytes) -> None:
    """Write down what workers log."""
    log_file.write(data.decode(errors="replace"))
    log_file.flush()
