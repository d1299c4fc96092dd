"""``netrunner status``: who serves by a configuration, and where.

This module must not start or change anything.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from netrunner.cli.configured import configured
from netrunner.cli.options import Options
from netrunner.cli.running import running
from netrunner.config.forms import listener
from netrunner.config.settings import Settings
from netrunner.errors import ConfigurationError, StoreError
from netrunner.process.listen import name_of

_TOLD = ("pid", "version", "listening", "draining", "inflight")


class StatusOptions(Options):
    """``netrunner status``."""

    synopsis = "Usage: netrunner status [--config FILE] [--json]"
    longdesc = "Says which processes serve by a configuration, and which drain. The exit status is 1 if none serves."
    optParameters: ClassVar[list[list[Any]]] = [
        ["config", "c", None, "The configuration of the daemon; the built-in one without."]
    ]
    optFlags: ClassVar[list[list[str | None]]] = [
        ["json", None, "Answer as JSON, with what the configuration says of addresses and the state folder."]
    ]

    def run(self) -> int:
        """Print it; return the exit status."""
        try:
            settings = configured(self["config"] and os.path.abspath(self["config"]))
            wanted = _wanted(settings) if self["json"] else {}
        except (ConfigurationError, StoreError) as error:
            print(error, file=sys.stderr)
            return 1
        state = Path(settings.state)
        found = [{name: status[name] for name in _TOLD} for status in running(state)]
        if self["json"]:
            print(msgspec.json.encode({**wanted, "processes": found}).decode())
        else:
            for status in found:
                print(_line(status))
        if any(not status["draining"] for status in found):
            return 0
        print(f"nobody serves on the state folder {state}", file=sys.stderr)
        return 1


def _wanted(settings: Settings) -> dict[str, Any]:
    """Return where the daemon is to be found.

    ``host`` is a name that it answers to, ``database`` the path of SQLite's file, null for a server.
    """
    # SQLAlchemy is loaded by those who want to know only.
    from netrunner.store.database import locate

    url = locate(settings.store, Path(settings.state))
    others = [one.listen for one in (settings.admin, settings.forward) if one is not None]
    named = [host for host in settings.server.hosts if host != "*"]
    return {
        "state": settings.state,
        "database": url.database if url.drivername == "sqlite" else None,
        "listen": [name_of(listener(text)) for text in (*settings.listen, *(text for each in others for text in each))],
        "host": named[0] if named else "localhost",
    }


def _line(status: dict[str, Any]) -> str:
    does = "drains" if status["draining"] else f"serves at {', '.join(status['listening'])}"
    return f"process {status['pid']}, version {status['version']}, {does}, {status['inflight']} in progress"
