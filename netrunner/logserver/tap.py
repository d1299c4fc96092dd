"""twistd's door to the logging server: options, which take hold of everything outside, and ``makeService``.

All that can be wrong at a start is found in ``postOptions``, before twistd forks, and told in our own few lines.

This module must not serve anything.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

from twisted.application.service import IService
from twisted.python import usage

from netrunner import __version__
from netrunner.config.forms import listener
from netrunner.errors import ConfigurationError, Problem
from netrunner.logserver.folder import Folder
from netrunner.logserver.retention import Keep
from netrunner.logserver.service import LogServer, Settings
from netrunner.process import limits
from netrunner.process.handover import began_with, inherited
from netrunner.process.listen import Bound, bind
from netrunner.process.tuning import steady_time
from netrunner.settings import Secret

LISTEN = "tcp:8081:interface=127.0.0.1"
MAX_TOKEN_BYTES = 4096
MAX_DAYS = 36500


def _count(text: str, least: int = 1) -> int:
    number = int(text)
    if number < least:
        raise ValueError(f"a number of at least {least} was expected")
    return number


def _bound(text: str) -> int:
    return _count(text, 0)


def _days(text: str) -> float:
    number = float(text)
    if not 0 <= number <= MAX_DAYS:
        raise ValueError(f"a number from 0 to {MAX_DAYS} was expected")
    return number


class Options(usage.Options):
    """What stands behind ``twistd netrunner-logserver`` and ``netrunner logserver``."""

    synopsis = "[options]"
    longdesc = """Keeps what the sink `duplex` of netrunner sends: PUT /{uuid}/request and PUT /{uuid}/response,
byte for byte, in one file each. Requests of this machine need no credential; everybody else needs the token of
--token-file, without which only loopback addresses may be listened at."""

    optParameters = [
        ["directory", "d", "logs", "The folder of the logs; made with mode 0700."],
        ["max-bytes", None, 1 << 30, "Most bytes of one message.", _count],
        ["max-logs", None, 50_000, "Most exchanges that are found again; older files stay.", _count],
        ["keep-days", None, 0.0, "Days after which a message is removed; 0 for never.", _days],
        ["keep-bytes", None, 0, "Bytes of all files, beyond which the oldest are removed; 0 for no bound.", _bound],
        ["token-file", "t", None, "A file with the token that others than this machine send as Bearer."],
    ]

    settings: Settings
    folder: Folder
    bound: list[Bound]

    def __init__(self) -> None:
        super().__init__()
        self["listen"] = []

    def opt_listen(self, endpoint: str) -> None:
        """Where to listen, such as tcp:8081:interface=127.0.0.1, which is the default; may be given again."""
        self["listen"].append(endpoint)

    opt_l = opt_listen

    def opt_version(self) -> NoReturn:
        """Print netrunner's version and exit."""
        sys.stdout.write(f"netrunner {__version__}\n")
        raise SystemExit(0)

    def postOptions(self) -> None:
        """Read the token, bind the sockets, lock the folder.

        Raises:
            SystemExit: with 1, when anything is wrong; stderr then says all of it.
        """
        try:
            limits.raise_descriptors()
            listen = self["listen"] or [LISTEN]
            self.settings = Settings(
                token=_token(self["token-file"]),
                max_bytes=self["max-bytes"],
                max_logs=self["max-logs"],
                keep=Keep(days=self["keep-days"], bytes=self["keep-bytes"]),
            )
            if self.settings.token is None:
                _check_private(listen)
            self.folder = Folder(Path(self["directory"]).absolute())
            self.bound = bind(listen, inherited(os.environ, os.getpid(), began_with()))
        except ConfigurationError as error:
            sys.stderr.write(
                "netrunner-logserver cannot start:\n" + "".join(f"  {problem}\n" for problem in error.problems)
            )
            raise SystemExit(1) from error


def _token(path: str | None) -> Secret | None:
    if path is None:
        return None
    try:
        with Path(path).open("rb") as opened:
            text = opened.read(MAX_TOKEN_BYTES).decode("ascii").removesuffix("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "ASCII text was expected"
        raise ConfigurationError([Problem("--token-file", f"{path}: {reason}")]) from error
    if not text.strip() or not text.isprintable():
        raise ConfigurationError([Problem("--token-file", f"{path}: one line with a token was expected")])
    return Secret(text.strip())


def _check_private(endpoints: list[str]) -> None:
    problems = []
    for endpoint in endpoints:
        try:
            public = not listener(endpoint).loopback
        except ValueError as error:
            problems.append(Problem("--listen", f"{endpoint}: expected {error}"))
            continue
        if public:
            problems.append(Problem("--listen", f"{endpoint}: others can reach this, which needs --token-file"))
    if problems:
        raise ConfigurationError(problems)


def makeService(options: Options) -> IService:
    """Return the service that twistd is to run."""
    from twisted.internet import reactor  # noqa: TID251 - twistd offers no other way to it

    steady_time(reactor)
    limits.forbid_dumps()
    return LogServer(options.settings, options.folder, options.bound, reactor)
