"""``netrunner logserver``: the logging server in the foreground, until Ctrl-C.

This module must not know the logging server's options.
"""

from __future__ import annotations

from typing import Any

from netrunner.cli.options import Options


class LogserverOptions(Options):
    """``netrunner logserver``; whatever stands behind it is for ``twistd netrunner-logserver`` to read."""

    synopsis = "Usage: netrunner logserver [options]"
    longdesc = "`netrunner logserver --help` tells them all."

    def parseOptions(self, options: Any = None) -> None:
        self._arguments = list(options or ())

    def run(self) -> int:
        """Run twistd's own runner; return the exit status."""
        from twisted.scripts.twistd import (  # type: ignore[attr-defined]  # each platform has one of its own
            ServerOptions,
            runApp,
        )

        twistd = ServerOptions()
        twistd.parseOptions(["--nodaemon", "--pidfile=", "netrunner-logserver", *self._arguments])
        runApp(twistd)
        return 0
