"""The command line this process was started by, and those that start others like it; and how those ended.

This module must not start anything.
"""

from __future__ import annotations

import getopt
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from twisted.python.failure import Failure

WORKER_LIFELINE = 3
"""The descriptor at which a worker finds its lifeline; listening sockets follow."""
STDERR = "NETRUNNER_STDERR"
"""Names the descriptor of a successor's real standard error, until it serves."""
_NO_PID_FILE = "--pidfile="
_PLAIN = ("PATH", "HOME", "LANG", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR")


@dataclass(frozen=True, slots=True)
class Command:
    """What is executed."""

    arguments: Sequence[str]
    """The first is the program."""
    environ: Mapping[str, str]
    folder: str


class Started:
    """How this process was started.

    Args:
        arguments: ``sys.argv``.
        twistd: twistd's options, with its grammar.
        config: Absolute path of the configuration; None for the built-in one.
    """

    def __init__(self, arguments: Sequence[str], twistd: Any, config: str | None) -> None:
        self._program = os.path.abspath(arguments[0])
        # A link in it may lead elsewhere by the time a worker is started, which is to run the code of this process.
        self._own_program = os.path.realpath(self._program)
        self._twistd = twistd
        self._options = _before_the_plugin(list(arguments[1:]), twistd)
        self._config = config
        self._folder = os.getcwd()

    def worker(self, environ: Mapping[str, str], sockets: int) -> Command:
        """Return what starts a worker with so many listening sockets; it logs to its standard output."""
        options = ["-n", _NO_PID_FILE, "--logfile=-"]
        if self._twistd.get("syslog"):
            options += ["--syslog", f"--prefix={self._twistd['prefix']}"]
        if self._twistd.get("logger"):
            options.append(f"--logger={self._twistd['logger']}")
        kept = plain(environ)
        first = WORKER_LIFELINE + 1
        kept["NETRUNNER_LISTEN_FDS"] = ",".join(str(number) for number in range(first, first + sockets))
        program = [sys.executable, self._own_program]
        arguments = [*program, *options, "netrunner", "--worker", str(WORKER_LIFELINE)]
        return Command(arguments, kept, self._folder)

    def successor(self, environ: Mapping[str, str], pid: int, stderr: int) -> Command:
        """Return what starts the successor of process ``pid``, as this one was started.

        The program is executed as it stands where it was found: its first line names the interpreter, and with it the
        code, that belongs to it by now.

        Args:
            environ: Of this process.
            pid: Whose place is taken.
            stderr: Descriptor of what is standard error once it serves.
        """
        given = {name: value for name, value in environ.items() if name != "WATCHDOG_PID"}
        config = [] if self._config is None else ["--config", self._config]
        program = [self._program] if os.access(self._program, os.X_OK) else [sys.executable, self._program]
        arguments = [*program, *self._options, _NO_PID_FILE, "netrunner", *config, "--take-over", str(pid)]
        return Command(arguments, {**given, STDERR: str(stderr)}, self._folder)


def plain(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what any child needs of an environment, Python's, the locale's and where things are: nothing secret."""
    return {name: value for name, value in environ.items() if name in _PLAIN or name.startswith(("PYTHON", "LC_"))}


def for_libpq(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what PostgreSQL's library reads of an environment by itself, a password among it."""
    return {name: value for name, value in environ.items() if name.startswith("PG")}


def how_it_ended(reason: Failure) -> str:
    """Return with which status or by which signal a process has ended."""
    ended: Any = reason.value
    return f"status {ended.exitCode}" if ended.signal is None else f"signal {ended.signal}"


def _before_the_plugin(arguments: list[str], twistd: Any) -> list[str]:
    """Return twistd's own options: what stands before the word ``netrunner``, but for what successors add to it."""
    try:
        _, rest = getopt.getopt(arguments, twistd.shortOpt, twistd.longOpt)
    except (AttributeError, getopt.GetoptError):
        return []
    options = arguments[: len(arguments) - len(rest)]
    while options[-1:] == [_NO_PID_FILE]:
        options.pop()
    return options
