"""The hand-over: how a new process takes the listening sockets of one that runs, and sends it home.

1. The new one asks ``handover`` and is given the sockets, by name; the old one goes on as if nothing had happened.
2. Once the new one accepts, it asks ``drain``: the old one stops accepting, lets its streams end, and exits.
If the new one dies in between, nothing is lost: the old one still serves.

Sockets also come by inheritance: ``NETRUNNER_LISTEN_FDS=3,4``, or systemd's ``LISTEN_PID`` and ``LISTEN_FDS``
(sd_listen_fds(3)).

This module must not bind, accept or end anything itself.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec

from netrunner.errors import ConfigurationError, Problem
from netrunner.process.control import ControlError, ask, ask_for_descriptors
from netrunner.process.listen import address_of, name_of
from netrunner.process.state import control_path

PATIENCE_S = 60.0
"""How long a predecessor may take to answer. One that was asked to drain does so even if nobody waits any more for
what it leaves: its pid file and what limits have counted would be lost."""
_FIRST_INHERITED = 3
"""SD_LISTEN_FDS_START."""


class DrainArguments(msgspec.Struct, forbid_unknown_fields=True):
    """What ``drain`` takes."""

    pid_file: bool = False
    """Whether the one who asks takes over the pid file."""


class HandoverAnswer(msgspec.Struct):
    """What ``handover`` answers; the sockets come along."""

    listening: list[str]
    """Names of the addresses, in the order of the sockets."""
    lock: bool = False
    """Whether the lock of the state folder comes behind them."""


class Predecessor:
    """The process whose place is taken.

    Raises:
        ConfigurationError: when it cannot be asked; nothing has changed then.
    """

    def __init__(self, state_folder: Path, pid: int) -> None:
        self._control = control_path(state_folder, pid)
        self.pid = pid
        try:
            values, descriptors = ask_for_descriptors(self._control, "handover", timeout_s=PATIENCE_S)
            answer = msgspec.convert(values, HandoverAnswer)
            names = answer.listening
            self.lock = descriptors.pop() if answer.lock and descriptors else None
            """Of the state folder."""
            if len(names) != len(descriptors):
                raise ControlError(f"it sent {len(descriptors)} sockets for {len(names)} addresses")
        except (ControlError, msgspec.ValidationError) as error:
            raise ConfigurationError([Problem("--take-over", f"process {pid} does not hand over: {error}")]) from error
        self.given = [
            (name, socket.socket(fileno=descriptor)) for name, descriptor in zip(names, descriptors, strict=True)
        ]
        """Its listening sockets, for ``listen.bind``."""

    def dismiss(self, take_pid_file: bool) -> dict[str, Any]:
        """Have it drain and exit; return what it leaves.

        That is ``pid_file``, a path if it was taken over, else empty; and ``windows``, what its limits have counted.
        Blocks for the time of one answer.

        Raises:
            ControlError: when it cannot be asked.
        """
        return ask(self._control, "drain", {"pid_file": take_pid_file}, PATIENCE_S)


def inherited(
    environ: MutableMapping[str, str], pid: int, began: Mapping[str, str] = MappingProxyType({})
) -> list[tuple[str, socket.socket]]:
    """Take the listening sockets this process was started with, and their variables out of ``environ``.

    Args:
        environ: The process's environment.
        pid: This process, which ``LISTEN_PID`` has to name.
        began: The environment that the process began with, where systemd's variables are looked for besides: Twisted
            takes them out of the other one when its endpoints are imported.

    Raises:
        ConfigurationError: when a variable makes no sense.
    """
    ours = environ.pop("NETRUNNER_LISTEN_FDS", "")
    count, meant_for = (environ.pop(name, began.get(name, "")) for name in ("LISTEN_FDS", "LISTEN_PID"))
    try:
        descriptors = [int(number) for number in ours.split(",") if number]
        if meant_for == str(pid):
            descriptors += range(_FIRST_INHERITED, _FIRST_INHERITED + int(count))
        sockets = [socket.socket(fileno=descriptor) for descriptor in descriptors]
    except (ValueError, OSError) as error:
        raise ConfigurationError(
            [Problem("NETRUNNER_LISTEN_FDS, LISTEN_FDS", f"not listening sockets: {error}")]
        ) from error
    return [(name_of(address_of(sock)), sock) for sock in sockets]


def began_with() -> dict[str, str]:
    """Return the environment that this process began with; empty where the system does not tell (proc(5))."""
    try:
        fields = os.fsdecode(Path("/proc/self/environ").read_bytes()).split("\0")
    except OSError:
        return {}
    return {name: value for name, found, value in (field.partition("=") for field in fields) if found}


class PidFile:
    """The pid file that twistd writes at the start and removes at the end, so that it can change hands.

    Args:
        twistd: twistd's own options; it reads ``pidfile`` again when it ends.
    """

    def __init__(self, twistd: MutableMapping[str, Any]) -> None:
        self._twistd = twistd

    @property
    def path(self) -> str:
        """Its absolute path; empty when there is none."""
        return self._twistd.get("pidfile") or ""

    def release(self) -> str:
        """Leave the file to a successor; return its path."""
        path = self.path
        self._twistd["pidfile"] = ""
        return path

    def claim(self, path: str, pid: int) -> None:
        """Make the file name this process, at once and whole; twistd will remove it at the end."""
        fresh = f"{path}.{pid}"
        with open(fresh, "w", encoding="ascii") as file:
            file.write(str(pid))
        os.rename(fresh, path)
        self._twistd["pidfile"] = path
