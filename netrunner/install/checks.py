"""What is looked at before anything changes: folders, ports, the configuration, the database; by the new release.

This module must not change anything.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Iterable
from pathlib import Path

from netrunner.install.asking import Asking, Status
from netrunner.install.failure import Refused
from netrunner.install.layout import Layout, Release


def writable(folders: Iterable[Path]) -> None:
    """See that each folder can be written to, or made.

    Raises:
        Refused: naming the first that cannot.
    """
    for folder in folders:
        there = folder
        while not there.exists() and there != there.parent:
            there = there.parent
        if not there.is_dir():
            raise Refused(f"{there} is no folder")
        if not os.access(there, os.W_OK | os.X_OK):
            raise Refused(f"{there} is not writable for user {os.geteuid()}")


def sound(release: Release, asking: Asking) -> None:
    """See that a release's command starts, and that it takes the configuration.

    Raises:
        Refused: with everything that is wrong with it.
    """
    done = asking.run(release, "check", str(asking.config))
    if done.returncode:
        problems = "; ".join(line.strip() for line in done.stderr.strip().splitlines()[-10:])
        raise Refused(f"{release.name} does not take the configuration: {problems or f'status {done.returncode}'}")


def replaceable(status: Status, layout: Layout) -> Release | None:
    """Return the release that serves now; None when nobody does.

    Raises:
        Refused: when who serves was not installed here.
    """
    if status.serving is None:
        return None
    pid = status.serving["pid"]
    release = layout.release_of(pid)
    if release is None:
        raise Refused(f"process {pid} serves by this configuration, and was not installed in {layout.prefix}: end it")
    return release


def ports(status: Status) -> None:
    """See that each address is free, or held by the netrunner that is to be replaced.

    Raises:
        Refused: naming the first that somebody else has.
    """
    held = set() if status.serving is None else set(status.serving["listening"])
    for name in status.listen:
        if name in held:
            continue
        try:
            _bind(name)
        except OSError as error:
            reason = "is in use by another program" if error.errno == errno.EADDRINUSE else f"{error.strerror}".lower()
            raise Refused(f"{name}: {reason}") from error


def _bind(name: str) -> None:
    """Bind to an address as the daemon will, and let go of it."""
    if name.startswith("unix:"):
        with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
            probe.connect(name.removeprefix("unix:"))
            raise OSError(errno.EADDRINUSE, "")
        return
    host, port = split(name)
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if probe.family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        probe.bind((host, port))
        probe.listen()


def split(name: str) -> tuple[str, int]:
    """Return host and port of an address such as ``[::1]:8080``."""
    host, _, port = name.rpartition(":")
    return host.strip("[]"), int(port)


def migration(status: Status, asking: Asking, release: Release) -> str | None:
    """Return the migration that a release would bring the database from; None when it leaves it as it is.

    Raises:
        Refused: when the database is of a newer release, or cannot be looked at.
    """
    if not status.state.exists() or (status.database is not None and not status.database.exists()):
        return None
    found, latest = asking.migrations(release)
    if found is not None and found > latest:
        raise Refused(f"the database is of a newer netrunner: migration {found}, {release.name} knows {latest}")
    return None if found in (None, latest) else found
