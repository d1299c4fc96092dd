"""The daemon around the service: control socket, signals, hand-over, pid file, log file.

This module must not know how requests are served.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import IO, Any, Protocol, cast

import msgspec
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.logger import ILogObserver, Logger, textFileLogObserver

from netrunner import __version__
from netrunner.errors import NetrunnerError
from netrunner.http.flush import Flush
from netrunner.process.control import Commands, ControlError, ControlSocket, NoArguments, Reply
from netrunner.process.handover import DrainArguments, HandoverAnswer, PidFile, Predecessor, tell_systemd
from netrunner.process.listen import Bound, name_of
from netrunner.process.logfile import BoundedLog
from netrunner.process.neighbours import PROJECT_CHANGED
from netrunner.process.signals import Ending, install
from netrunner.process.state import State, control_path
from netrunner.process.tuning import settle_memory, shorten_loop


class Serving(Protocol):
    """What the daemon asks of the service it runs."""

    flush: Flush
    """What the service sends at the end of each turn of the reactor."""

    def startService(self) -> object:
        """Begin to accept."""

    def stopService(self) -> Any:
        """Stop accepting and drain; return a Deferred that fires when all is over."""

    def end_now(self) -> object:
        """Cut a drain short."""

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


class Daemon(Service):
    """Runs a service as a process that can be asked, reloaded, replaced and ended.

    Args:
        service: What is run.
        place: Its sockets, folder and files.
        reload: Reads the configuration again; returns warnings, raises ``NetrunnerError``.
        warnings: What to tell the operator at the start.
        reactor: That of the process.
    """

    _log = Logger()

    def __init__(
        self, service: Serving, place: Place, reload: Callable[[], list[str]], warnings: Sequence[str], reactor: Any
    ) -> None:
        self._service = service
        self._place = place
        self._reload = reload
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
        if shorten_loop(self._reactor, self._service.flush.run):
            self._service.flush.promised()
        self._reactor.callWhenRunning(self._running)

    def stopService(self) -> Deferred[None]:
        """Stop the service; whoever asks is answered until it is over."""
        super().stopService()
        if not self._dismissed:
            tell_systemd(os.environ, "STOPPING=1")
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        await self._service.stopService()
        if self._control is not None:
            await self._control.stop()
        self._place.state.close()

    def _running(self) -> None:
        settle_memory()
        reactions: dict[signal.Signals, Callable[[], object]] = {
            signal.SIGTERM: self._ending.signalled,
            signal.SIGINT: self._ending.signalled,
            signal.SIGHUP: self._hung_up,
        }
        if self._place.log_file is not None:
            reactions[signal.SIGUSR1] = self._place.log_file.reopen
        install(self._reactor, reactions)
        tell_systemd(os.environ, f"MAINPID={os.getpid()}\nREADY=1")
        if self._place.predecessor is not None:
            Deferred.fromCoroutine(self._dismiss(self._place.predecessor)).addErrback(
                lambda failure: self._log.failure("the process before this one was not dismissed", failure)
            )

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
        try:
            self._reload_now()
        except NetrunnerError as error:
            self._log.error("not reloaded, the old configuration stays: {error}", error=error)

    def _reload_now(self) -> list[str]:
        warnings = self._reload()
        for warning in warnings:
            self._log.warn("{warning}", warning=warning)
        self._log.info("configuration reloaded")
        return warnings

    def _commands(self) -> Commands:
        commands = Commands()
        commands.add("ping", NoArguments, lambda _: Reply({"pid": os.getpid()}))
        commands.add("status", NoArguments, self._status)
        commands.add("inflight", NoArguments, lambda _: Reply({"inflight": self._service.inflight()}))
        commands.add("end", EndArguments, self._end)
        commands.add("aliases", NoArguments, self._read_aliases)
        commands.add(PROJECT_CHANGED, ProjectArguments, self._project_changed)
        commands.add("reload", NoArguments, lambda _: Reply({"warnings": self._reload_now()}))
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
        answer = HandoverAnswer([name_of(bound.wanted) for bound in self._place.bound])
        return Reply(msgspec.structs.asdict(answer), [bound.fileno() for bound in self._place.bound])

    def _drain(self, arguments: DrainArguments) -> Reply:
        path = self._place.pid_file.release() if arguments.pid_file else ""
        self._dismissed = True
        self._ending.begin()
        return Reply({"pid_file": path, "windows": self._service.windows()})
