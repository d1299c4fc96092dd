"""What looks after the daemon: systemd, where it is there, or nobody but twistd's pid file and log file.

This module must not decide when to start or end anything.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from netrunner.install.building import UNITS
from netrunner.install.failure import Refused
from netrunner.install.layout import Layout, Release

LOOK_S = 0.1
"""How often is looked whether something has happened."""
_UNIT_ENDS_S = 120.0
"""More than twice ``TimeoutStopSec`` of the unit: once for the daemon, and once for what it leaves."""


class Service(Protocol):
    """What starts the release that is linked to as ``current``, and ends it."""

    @property
    def folder(self) -> Path:
        """Where the daemon is started."""

    @property
    def environ(self) -> Mapping[str, str]:
        """What it is started with."""

    @property
    def places(self) -> Sequence[Path]:
        """Folders that are written to, besides the prefix."""

    @property
    def log(self) -> str:
        """Where the daemon tells what happens to it, for people."""

    def foreign(self) -> Path | None:
        """Return a file that is in the way on a machine where nothing was installed before."""

    def holds_sockets(self) -> bool:
        """Return whether the service's sockets are listened on though no daemon runs."""

    def write(self, release: Release, listen: Sequence[str]) -> None:
        """Write what the service needs to know of a release into that release's folder."""

    def put(self, release: Release | None) -> None:
        """Put in place what ``write`` has written for a release, or take it away; the machine starts it by that."""

    def start(self, patience_s: float) -> None:
        """Start the daemon; raise ``Refused`` if it does not start."""

    def stop(self, releases: Sequence[Release], patience_s: float) -> None:
        """End the daemon, whose processes are of ``releases``, when its streams have ended, or after ``patience_s``."""


@dataclass(frozen=True, slots=True)
class Alone:
    """A daemon that nobody looks after: twistd in the background.

    Args:
        layout: Where it is installed.
        config: Its configuration.
    """

    layout: Layout
    config: Path

    @property
    def folder(self) -> Path:
        """The prefix."""
        return self.layout.prefix

    @property
    def environ(self) -> Mapping[str, str]:
        """That of the installer."""
        return os.environ

    @property
    def places(self) -> Sequence[Path]:
        """None besides."""
        return ()

    @property
    def log(self) -> str:
        """The log file of twistd."""
        return str(self.layout.log_file)

    def foreign(self) -> Path | None:
        """Nothing is put in place, so nothing is in the way."""
        return None

    def holds_sockets(self) -> bool:
        """They are the daemon's alone."""
        return False

    def write(self, release: Release, listen: Sequence[str]) -> None:
        """Nothing is."""

    def put(self, release: Release | None) -> None:
        """Nothing is."""

    def start(self, patience_s: float) -> None:
        """Have twistd start it; its standard error is heard until the daemon has gone into the background."""
        pid_file, log_file = self.layout.pid_file, self.layout.log_file
        for path in (pid_file, log_file):
            path.parent.mkdir(mode=0o700, exist_ok=True)
        options = [f"--pidfile={pid_file}", f"--logfile={log_file}"]
        command = [self.layout.program("twistd"), *options, "netrunner", "--config", str(self.config)]
        run_plainly(command, patience_s, self.environ, self.folder)

    def stop(self, releases: Sequence[Release], patience_s: float) -> None:
        """Send SIGTERM, and a second one to whoever has streams left."""
        end(releases, patience_s)


@dataclass(frozen=True, slots=True)
class Systemd:
    """A daemon that systemd looks after.

    Args:
        layout: Where it is installed.
        config: Its configuration; secrets lie beside it.
        units: systemd's folder of units.
    """

    layout: Layout
    config: Path
    units: Path

    @property
    def folder(self) -> Path:
        """Where systemd starts it."""
        return Path("/")

    @property
    def environ(self) -> Mapping[str, str]:
        """As the unit has it."""
        given = {
            "STATE_DIRECTORY": "/var/lib/netrunner",
            "LOGS_DIRECTORY": "/var/log/netrunner",
            "CREDENTIALS_DIRECTORY": str(self.config.parent),
        }
        return {**os.environ, **given}

    @property
    def places(self) -> Sequence[Path]:
        """That of units."""
        return (self.units,)

    @property
    def log(self) -> str:
        """The journal of its unit."""
        return "journalctl --unit netrunner"

    def foreign(self) -> Path | None:
        """Return a unit that somebody else has made."""
        return next((path for path in map(self.units.joinpath, UNITS) if path.exists()), None)

    def holds_sockets(self) -> bool:
        """Return whether netrunner.socket is active."""
        try:
            _asked("is-active", "--quiet", "netrunner.socket")
        except Refused:
            return False
        return True

    def write(self, release: Release, listen: Sequence[str]) -> None:
        """Write the units as they are for this prefix, this configuration and its addresses."""
        release.units.mkdir(exist_ok=True)
        for name in UNITS:
            text = (release.path / "templates" / name).read_text()
            (release.units / name).write_text(rewritten(text, self.layout, self.config, listen))

    def put(self, release: Release | None) -> None:
        """Put a release's units in place of whatever is there, and enable them."""
        if release is None:
            _asked("disable", "--now", *UNITS, timeout_s=_UNIT_ENDS_S)
        for name in UNITS:
            path = self.units / name
            if release is None:
                path.unlink(missing_ok=True)
                continue
            fresh = path.with_name(f".{name}")
            fresh.write_bytes((release.units / name).read_bytes())
            fresh.rename(path)
        _asked("daemon-reload")
        if release is not None:
            _asked("enable", *UNITS)

    def start(self, patience_s: float) -> None:
        """Start both units; systemd waits until the daemon serves.

        Raises:
            Refused: when it does not, with what it has said itself: the unit may be gone by the time somebody looks.
        """
        since = time.time()
        try:
            _asked("start", "netrunner.socket", "netrunner.service", timeout_s=patience_s)
        except Refused as error:
            why = f"{error} {_logged(since)}".rstrip()
        else:
            return
        raise Refused(why)

    def stop(self, releases: Sequence[Release], patience_s: float) -> None:
        """Stop both units; systemd waits for the daemon's end, as long as the unit says."""
        _asked("stop", "netrunner.socket", "netrunner.service", timeout_s=_UNIT_ENDS_S)


def rewritten(text: str, layout: Layout, config: Path, listen: Sequence[str]) -> str:
    """Return a unit file as it is for a prefix, a configuration and its addresses.

    A credential that is not there is left out.

    Args:
        text: The unit as it is shipped.
        layout: Where netrunner is installed.
        config: Path of the configuration.
        listen: Addresses of the socket.
    """
    text = text.replace("/opt/netrunner/bin/twistd", layout.program("twistd"))
    text = text.replace("/etc/netrunner/prod.yaml", str(config))
    text = text.replace(":/etc/netrunner/", f":{config.parent}/")
    lines = []
    for line in text.splitlines():
        if line.startswith("ListenStream="):
            lines += [f"ListenStream={name.removeprefix('unix:')}" for name in listen]
            listen = ()
        elif not (credential := re.fullmatch(r"LoadCredential=\w+:(.+)", line)) or Path(credential[1]).exists():
            lines.append(line)
    return "\n".join(lines) + "\n"


def _asked(*words: str, timeout_s: float = 60.0) -> None:
    run_plainly(["systemctl", *words], timeout_s, os.environ, Path("/"))


def _logged(since: float) -> str:
    """Return what the daemon has said since a time, in one line, as far as the journal has it."""
    options = ["--unit=netrunner.service", "--output=cat", f"--since=@{since:.6f}", "_TRANSPORT=stdout"]
    said = ""
    for words in (["--sync"], options):
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            done = subprocess.run(
                ["journalctl", *words],
                capture_output=True,
                text=True,
                check=False,
                stdin=subprocess.DEVNULL,
                timeout=10,
            )
            said = done.stdout
    return " ".join(said.split())[-1000:]


def run_plainly(command: Sequence[str], timeout_s: float, environ: Mapping[str, str], folder: Path) -> None:
    """Run a program that says nothing when all is well.

    Raises:
        Refused: when it fails or takes too long, with all that it has said in one line.
    """
    try:
        done = subprocess.run(
            command,
            env=environ,
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired:
        raise Refused(f"{command[0]} took longer than {timeout_s:g} s") from None
    except OSError as error:
        raise Refused(f"{command[0]}: {error.strerror}") from error
    if done.returncode:
        said = " ".join(done.stderr.split()) or f"it ended with {done.returncode}"
        raise Refused(f"{Path(command[0]).name}: {said[-1000:]}")


def end(releases: Sequence[Release], patience_s: float) -> None:
    """End the processes of releases: asked to drain, asked again when time is up, killed when that does not help."""
    for number, limit_s in ((signal.SIGTERM, patience_s), (signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
        _signal(releases, number)
        limit = time.monotonic() + limit_s
        while any(release.processes() for release in releases):
            if time.monotonic() > limit:
                break
            time.sleep(LOOK_S)
        else:
            return


def _signal(releases: Sequence[Release], number: signal.Signals) -> None:
    for pid in (pid for release in releases for pid in release.processes()):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue
