"""The daemon around what it runs: control socket, signals, hand-over, upgrade, pid file, log file.

What it runs is the service itself, or the supervisor of workers; each worker is a daemon around a service again.

This module must not know how requests are served.
"""

from __future__ import annotations

import atexit
import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import IO, Any, Protocol, cast

import msgspec
from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.threads import deferToThreadPool
from twisted.logger import ILogObserver, Logger, textFileLogObserver
from twisted.python.failure import Failure

from netrunner import __version__
from netrunner.errors import NetrunnerError
from netrunner.http.flush import Flush
from netrunner.process.command import STDERR
from netrunner.process.control import Commands, ControlError, ControlSocket, NoArguments, Reply
from netrunner.process.handover import DrainArguments, HandoverAnswer, PidFile, Predecessor
from netrunner.process.lifeline import Lifeline
from netrunner.process.listen import Bound, name_of
from netrunner.process.logfile import BoundedLog
from netrunner.process.peers import PROJECT_CHANGED
from netrunner.process.signals import Ending, install
from netrunner.process.state import State, control_path
from netrunner.process.systemd import Systemd
from netrunner.process.tuning import settle_memory, shorten_loop
from netrunner.process.upgrade import Upgrade


class Serving(Protocol):
    """What the daemon asks of the service it runs."""

    @property
    def flush(self) -> Flush | None:
        """What it sends at the end of each turn of the reactor."""

    def startService(self) -> object:
        """Begin to accept."""

    def ready(self) -> Deferred[None]:
        """Fire when requests are accepted; fail when none will be."""

    def stopService(self) -> Any:
        """Stop accepting and drain; return a Deferred that fires when all is over."""

    def end_now(self) -> object:
        """Cut a drain short."""

    def offer(self, commands: Commands) -> None:
        """Add the commands that only it understands."""

    def inflight(self) -> list[dict[str, Any]]:
        """Return the exchanges that are open."""

    def counts(self) -> dict[str, int]:
        """Return how much of everything there is now."""

    def windows(self) -> list[Any]:
        """Return what limits have counted, in terms of JSON, for a successor."""

    def absorb_windows(self, windows: list[Any]) -> object:
        """Go on with what a predecessor's limits have counted."""

    def read_aliases(self) -> None:
        """Read the aliases that another process has changed."""

    def end(self, exchange_id: str) -> bool:
        """End one exchange; return False if there is none of that id."""

    def project_changed(self, id: str) -> object:
        """Hear that another process has changed something about a project or its tokens."""

    def configuration_read(self, refused: bool) -> object:
        """Hear that the configuration was read again, and whether it was refused."""


class EndArguments(msgspec.Struct, forbid_unknown_fields=True):
    """What ``end`` takes."""

    id: str


class ProjectArguments(msgspec.Struct, forbid_unknown_fields=True):
    """What ``project-changed`` takes."""

    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What a process got hold of before it runs."""

    state: State
    bound: Sequence[Bound]
    pid_file: PidFile
    predecessor: Predecessor | None = None
    """The process whose sockets these are."""
    log_file: BoundedLog | None = None
    """In the place of twistd's own."""
    lock: int | None = None
    """Of the state folder; None in a worker, whose supervisor has it."""
    lifeline: Lifeline | None = None
    """To the supervisor, in a worker."""


class Daemon(Service):
    """Runs a service as a process that can be asked, reloaded, replaced and ended.

    Args:
        service: What is run.
        place: Its sockets, folder and files.
        reload: Reads the configuration again; returns a Deferred of warnings, raises ``NetrunnerError``.
        upgrade: Starts a successor.
        warnings: What to tell the operator at the start.
        reactor: That of the process.
    """

    _log = Logger()

    def __init__(
        self,
        service: Serving,
        place: Place,
        reload: Callable[[], Deferred[list[str]]],
        upgrade: Upgrade,
        warnings: Sequence[str],
        reactor: Any,
    ) -> None:
        self._service = service
        self._place = place
        self._reload = reload
        self._upgrade = upgrade
        self._told: Systemd | Lifeline = place.lifeline or Systemd(os.environ, reactor)
        """Who wants to know how this process fares."""
        self._warnings = warnings
        self._reactor = reactor
        self._ending = Ending(reactor.stop, service.end_now)
        self._control: ControlSocket | None = None
        self._dismissed = False
        """A successor serves: the end of this process is not the end of the service."""

    def setServiceParent(self, parent: Any) -> None:
        """Join twistd's application, and have it log to our file.

        twistd looks for this component before it opens a log file of its own, and after this call.
        """
        super().setServiceParent(parent)
        if self._place.log_file is not None:
            parent.setComponent(ILogObserver, textFileLogObserver(cast(IO[Any], self._place.log_file)))

    def startService(self) -> None:
        """Open the control socket and start the service; signals follow when the reactor runs."""
        super().startService()
        for warning in self._warnings:
            self._log.warn("{warning}", warning=warning)
        if abandoned := self._place.state.abandoned():
            self._log.info("{count} journals of processes that are gone", count=len(abandoned))
        # Here and not sooner: twistd has forked by now.
        path = control_path(self._place.state.folder, os.getpid())
        self._control = ControlSocket(path, self._commands(), frozenset({os.geteuid(), 0}))
        self._control.start(self._reactor)
        self._service.startService()
        flush = self._service.flush
        if flush is not None and shorten_loop(self._reactor, flush.run):
            flush.promised()
        self._reactor.callWhenRunning(self._running)

    def stopService(self) -> Deferred[None]:
        """Stop the service; whoever asks is answered until it is over."""
        super().stopService()
        self._upgrade.finish()
        if not self._dismissed:
            self._told.stopping()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        await self._service.stopService()
        if self._control is not None:
            await self._control.stop()
        self._place.state.close()
        if self._place.lock is not None:
            os.close(self._place.lock)
        self._told.close()

    def _running(self) -> None:
        settle_memory()
        install(self._reactor, self._reactions())
        if self._place.lifeline is not None:
            self._place.lifeline.follow(self._reactor, self._ending.begin, self._service.end_now, self._reload_as_told)
        self._service.ready().addCallbacks(self._serves, self._cannot_serve)

    def _reactions(self) -> dict[signal.Signals, Callable[[], object]]:
        if self._place.lifeline is not None:
            # A terminal sends its signals to the supervisor as well, which knows what is to be done. systemd does so
            # with SIGTERM: a second one comes from the supervisor then, and is no second wish.
            ignored = (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
            return {signal.SIGTERM: self._ending.begin, **dict.fromkeys(ignored, lambda: None)}
        reactions: dict[signal.Signals, Callable[[], object]] = {
            signal.SIGTERM: self._ending.signalled,
            signal.SIGINT: self._ending.signalled,
            signal.SIGHUP: self._hung_up,
            signal.SIGUSR2: self._upgrade_as_told,
        }
        if self._place.log_file is not None:
            reactions[signal.SIGUSR1] = self._place.log_file.reopen
        return reactions

    def _serves(self, _: None) -> None:
        self._told.serving()
        stderr = os.environ.pop(STDERR, None)
        if stderr is not None:
            os.dup2(int(stderr), 2)
            os.close(int(stderr))
        if self._place.predecessor is not None:
            Deferred.fromCoroutine(self._dismiss(self._place.predecessor)).addErrback(
                lambda failure: self._log.failure("the process before this one was not dismissed", failure)
            )

    def _cannot_serve(self, failure: Failure) -> None:
        self._log.critical("nothing is served: {reason}", reason=failure.getErrorMessage())
        # Past twistd, which has what is written to sys.stderr logged: whoever started this process reads the other end.
        os.write(2, f"netrunner cannot start:\n  {failure.getErrorMessage()}\n".encode())
        # twistd ends with 0 whenever its reactor was stopped.
        atexit.register(os._exit, 1)
        self._ending.begin()

    async def _dismiss(self, predecessor: Predecessor) -> None:
        """Send the predecessor home; its pid file is ours unless we were given one."""
        pid_file = self._place.pid_file
        pool = self._reactor.getThreadPool()
        try:
            left = await deferToThreadPool(self._reactor, pool, predecessor.dismiss, not pid_file.path)
        except ControlError as error:
            self._log.error("process {pid} still serves: {error}", pid=predecessor.pid, error=error)
            return
        if left["pid_file"]:
            pid_file.claim(left["pid_file"], os.getpid())
        # One of a version before this has none.
        self._service.absorb_windows(left.get("windows", []))
        self._log.info("took over from process {pid}", pid=predecessor.pid)

    def _hung_up(self) -> None:
        self._reload_now().addErrback(self._not_reloaded)

    def _reload_as_told(self) -> Deferred[str | None]:
        """Reload for the supervisor; return a Deferred of None, or of why it was refused."""
        return self._reload_now().addCallbacks(lambda _: None, self._not_reloaded)

    def _not_reloaded(self, failure: Failure) -> str:
        if failure.check(NetrunnerError) is None:
            self._log.failure("not reloaded, the old configuration stays", failure)
        else:
            self._log.error("not reloaded, the old configuration stays: {error}", error=failure.value)
        return failure.getErrorMessage()

    def _reload_now(self) -> Deferred[list[str]]:
        return maybeDeferred(self._reload).addCallbacks(self._reloaded, self._refused)

    def _refused(self, failure: Failure) -> Failure:
        self._service.configuration_read(True)
        return failure

    def _reloaded(self, warnings: list[str]) -> list[str]:
        self._service.configuration_read(False)
        for warning in warnings:
            self._log.warn("{warning}", warning=warning)
        self._log.info("configuration reloaded")
        return warnings

    def _upgrade_as_told(self) -> None:
        try:
            self._upgrade.start()
        except ControlError as error:
            self._log.error("not upgraded: {error}", error=error)

    def _commands(self) -> Commands:
        commands = Commands()
        commands.add("ping", NoArguments, lambda _: Reply({"pid": os.getpid()}))
        commands.add("status", NoArguments, self._status)
        commands.add("inflight", NoArguments, lambda _: Reply({"inflight": self._service.inflight()}))
        commands.add("end", EndArguments, self._end)
        commands.add("aliases", NoArguments, self._read_aliases)
        commands.add(PROJECT_CHANGED, ProjectArguments, self._project_changed)
        self._service.offer(commands)
        if self._place.lifeline is None:
            commands.add("reload", NoArguments, lambda _: self._reload_now().addCallback(_warned))
            commands.add("upgrade", NoArguments, lambda _: Reply({"pid": self._upgrade.start()}))
            commands.add("handover", NoArguments, self._hand_over)
            commands.add("drain", DrainArguments, self._drain)
        return commands

    def _status(self, _: NoArguments) -> Reply:
        return Reply(
            {
                "pid": os.getpid(),
                "boot_id": self._place.state.boot_id,
                "version": __version__,
                "listening": [bound.name for bound in self._place.bound if bound.fileno() >= 0],
                "draining": self._ending.begun,
                "inflight": len(self._service.inflight()),
                "counts": self._service.counts(),
                "pid_file": self._place.pid_file.path,
                "worker": None if self._place.lifeline is None else self._place.lifeline.number,
                "successor": {"pid": self._upgrade.pid, "failure": self._upgrade.failure},
            }
        )

    def _read_aliases(self, _: NoArguments) -> Reply:
        self._service.read_aliases()
        return Reply()

    def _end(self, arguments: EndArguments) -> Reply:
        if not self._service.end(arguments.id):
            raise ControlError(f"no exchange {arguments.id!r} is open")
        return Reply()

    def _project_changed(self, arguments: ProjectArguments) -> Reply:
        self._service.project_changed(arguments.id)
        return Reply()

    def _hand_over(self, _: NoArguments) -> Reply:
        if self._ending.begun:
            raise ControlError("this process is ending and listens no longer")
        lock = self._place.lock
        answer = HandoverAnswer([name_of(bound.wanted) for bound in self._place.bound], lock is not None)
        sent = [bound.fileno() for bound in self._place.bound]
        return Reply(msgspec.structs.asdict(answer), sent if lock is None else [*sent, lock])

    def _drain(self, arguments: DrainArguments) -> Reply:
        path = self._place.pid_file.release() if arguments.pid_file else ""
        self._dismissed = True
        # From now on it is the successor's life that is of interest: ours would hide its death.
        self._told.close()
        self._upgrade.finish()
        self._ending.begin()
        return Reply({"pid_file": path, "windows": self._service.windows()})


def _warned(warnings: list[str]) -> Reply:
    return Reply({"warnings": warnings})
