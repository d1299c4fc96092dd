"""twistd's door: options, which read the configuration and take hold of everything outside, and ``makeService``.

All that can be wrong at a start is found in ``postOptions``, before twistd forks, and told in our own few lines. Before
it reads a key, this process is one whose memory nobody gets to see; so is who is forked from it.

This module must not serve anything.
"""

from __future__ import annotations

import os
import secrets
import sys
import time
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any, NoReturn

import msgspec
from twisted.application.service import IService
from twisted.logger import Logger
from twisted.python import usage

from netrunner import __version__
from netrunner.config.load import interpret, read
from netrunner.config.settings import Settings
from netrunner.errors import ConfigurationError, Problem
from netrunner.ids import uuid7
from netrunner.process import limits, logfile
from netrunner.process.command import Started, for_libpq
from netrunner.process.daemon import Daemon, Place
from netrunner.process.handover import PidFile, Predecessor, began_with, inherited
from netrunner.process.lifeline import Lifeline, Snapshot
from netrunner.process.listen import bind
from netrunner.process.nursery import born
from netrunner.process.reload import Reloading
from netrunner.process.state import State, claim
from netrunner.process.supervisor import Supervisor
from netrunner.process.tuning import steady_time
from netrunner.process.upgrade import Upgrade
from netrunner.registry import Registry
from netrunner.service import NetrunnerService, make_service

_log = Logger("netrunner.plugins")


class Options(usage.Options):
    """What stands behind ``twistd netrunner``."""

    synopsis = "[options]"
    longdesc = """netrunner relays requests of applications to the providers of AI models.
Without --config it listens on http://127.0.0.1:8080 and answers by itself, from its built-in echo provider.
twistd's own options stand before the word netrunner: -n stays in the foreground, --pidfile= and --logfile= name files.
SIGTERM drains open streams and ends, a second one ends at once; SIGHUP reloads the configuration, all or nothing;
SIGUSR1 reopens the log file; SIGUSR2 starts the code as it is now in place of this process.
`netrunner check FILE` says what a configuration means without starting anything."""

    optParameters = [
        ["config", "c", None, "The configuration, a YAML file."],
        ["take-over", None, None, "Take the sockets of the netrunner process PID, then have it drain and end.", int],
        ["worker", None, None, "Fork workers for the supervisor at the other end of descriptor N; it says so.", int],
    ]

    settings: Settings
    warnings: list[str]
    place: Place
    snapshot: Snapshot
    """The configuration as it was read last."""
    started: Started
    _lifeline: Lifeline | None = None

    def opt_version(self) -> NoReturn:
        """Print netrunner's version and exit."""
        sys.stdout.write(f"netrunner {__version__}\n")
        raise SystemExit(0)

    def postOptions(self) -> None:
        """Read the configuration, bind the sockets, lock the state folder.

        Raises:
            SystemExit: with 1, when anything is wrong; stderr then says all of it.
        """
        if self["config"] is not None:
            self["config"] = os.path.abspath(self["config"])
        # Once dumps are forbidden the kernel shows it to root only, not even to this process.
        began = began_with()
        try:
            limits.forbid_dumps()
            limits.raise_descriptors()
            if self["worker"] is not None:
                self._lifeline = _lifeline(self["worker"])
            self.settings, _, self.warnings = self.load()
            self.place = self._take_place(began)
        except ConfigurationError as error:
            sys.stderr.write("netrunner cannot start:\n" + "".join(f"  {problem}\n" for problem in error.problems))
            raise SystemExit(1) from error

    def load(self) -> tuple[Settings, Registry, list[str]]:
        """Read the configuration as it is now; in a worker, as its supervisor has sent it last.

        Raises:
            ConfigurationError: with everything that is wrong with it.
        """
        if self._lifeline is None:
            self.snapshot = Snapshot.take(self["config"], read(self["config"]), os.environ)
        else:
            self.snapshot = self._lifeline.snapshot
            # From here on only: what the kernel shows of a process is the environment that it began with.
            os.environ.update(for_libpq(self.snapshot.variables()))
        snapshot = self.snapshot
        return interpret(
            snapshot.path,
            snapshot.data,
            lambda directories: Registry.discover(directories, _log),
            snapshot.variables(),
        )

    def _take_place(self, began: Mapping[str, str]) -> Place:
        twistd: MutableMapping[str, Any] = getattr(self, "parent", None) or {}
        self.started = Started(sys.argv, twistd, self["config"])
        folder = Path(self.settings.state).absolute()
        predecessor = None if self["take-over"] is None else Predecessor(folder, self["take-over"])
        given = predecessor.given if predecessor is not None else inherited(os.environ, os.getpid(), began)
        others = [one for one in (self.settings.admin, self.settings.forward) if one is not None]
        bound = bind((*self.settings.listen, *(text for one in others for text in one.listen)), given)
        owner = os.geteuid() if twistd.get("uid") is None else twistd["uid"]
        state = State(folder, uuid7(time.time(), secrets.randbits), owner)
        try:
            given_lock = None if predecessor is None else predecessor.lock
            lock = None if self._lifeline is not None else claim(folder, given_lock, owner)
        except ConfigurationError:
            state.close()
            raise
        return Place(
            state=state,
            bound=bound,
            pid_file=PidFile(twistd),
            predecessor=predecessor,
            log_file=self._log_file(logfile.chosen(twistd)),
            lock=lock,
            lifeline=self._lifeline,
        )

    def _log_file(self, path: str | None) -> logfile.BoundedLog | None:
        if path is None:
            return None
        try:
            return logfile.open_log(path, self.settings.log.max_bytes, self.settings.log.keep)
        except OSError as error:
            raise ConfigurationError([Problem("--logfile", f"{path}: {error.strerror}")]) from error


def _lifeline(descriptor: int) -> Lifeline:
    try:
        return Lifeline(born(descriptor))
    except ConnectionResetError:
        # It was never needed.
        raise SystemExit(1) from None
    except (OSError, msgspec.MsgspecError) as error:
        raise ConfigurationError([Problem("--worker", f"no supervisor: {error}")]) from error


def makeService(options: Options) -> IService:
    """Return the daemon that twistd is to run."""
    from twisted.internet import reactor  # noqa: TID251 - twistd offers no other way to it

    steady_time(reactor)
    place, started = options.place, options.started
    upgrade = Upgrade(lambda stderr: started.successor(os.environ, os.getpid(), stderr), reactor)
    service = _serving(options, reactor)
    reloading = Reloading(options.load, service.reload, options.settings)
    return Daemon(service, place, reloading, upgrade, options.warnings, reactor)


def _serving(options: Options, reactor: Any) -> NetrunnerService | Supervisor:
    """Return what is to be run: the service, or a supervisor of processes that run it."""
    settings, place = options.settings, options.place
    if place.lifeline is not None or settings.workers == 1:
        number = None if place.lifeline is None else place.lifeline.number
        return make_service(settings, place.bound, (place.state.folder, place.state.journal), reactor, number)
    return Supervisor(
        settings,
        place.bound,
        lambda: options.started.worker(os.environ, len(place.bound)),
        lambda: options.snapshot,
        place.log_file,
        reactor,
    )
