"""``netrunner ca``: makes the authority by which the forward proxy looks into tunnels.

This module must not show a key.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any, ClassVar

from twisted.python import usage

from netrunner.authority import create
from netrunner.cli.options import Options

MAX_DAYS = 3650


class CreateOptions(Options):
    """``netrunner ca create``."""

    synopsis = "Usage: netrunner ca create [--certificate FILE] [--key FILE] [--name NAME] [--days N]"
    longdesc = (
        "Makes a key, readable for its owner only, and a certificate for clients to trust. Whoever has the key can"
        " pretend to those clients to be any server; neither file is made where one is already."
    )
    optParameters: ClassVar[list[list[Any]]] = [
        ["certificate", "c", "ca.pem", "Where the certificate goes."],
        ["key", "k", "ca.key", "Where the key goes."],
        ["name", "n", "netrunner", "What the authority is called."],
        ["days", "d", 365, "Days for which it is good.", int],
    ]

    def postOptions(self) -> None:
        if not 1 <= self["days"] <= MAX_DAYS:
            raise usage.UsageError(f"--days: expected 1 to {MAX_DAYS}")
        if not 1 <= len(self["name"]) <= 64 or not self["name"].isprintable():
            raise usage.UsageError("--name: expected 1 to 64 printable characters")

    def run(self) -> int:
        """Make it; return the exit status."""
        certificate, key = create(self["name"], self["days"], time.time())
        try:
            _write(self["key"], key, 0o600)
            try:
                _write(self["certificate"], certificate, 0o644)
            except OSError:
                os.unlink(self["key"])
                raise
        except OSError as error:
            print(f"netrunner: {error.filename}: {error.strerror}", file=sys.stderr)
            return 1
        print(f"{self['certificate']}: for clients to trust\n{self['key']}: to be shown to nobody")
        return 0


class CaOptions(Options):
    """``netrunner ca``."""

    synopsis = "Usage: netrunner ca create"
    longdesc = "Makes the authority by which the forward proxy looks into tunnels."
    subCommands: ClassVar[list[tuple[str, None, type[usage.Options], str]]] = [
        ("create", None, CreateOptions, "Make a key and a certificate."),
    ]

    def postOptions(self) -> None:
        if self.subCommand is None:
            raise usage.UsageError("say what to do: create")

    def run(self) -> int:
        """Do it; return the exit status."""
        return int(self.subOptions.run())


def _write(path: str, data: bytes, mode: int) -> None:
    """Write a new file."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with open(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)
        file.write(data)
