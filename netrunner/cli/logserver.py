"""``netrunner logserver``: the logging server in the foreground, until Ctrl-C.

This module must not know the logging server's options.
"""

from __future__ import annotations

import sys
from typing import Any

from twisted.python import usage


class LogserverOptions(usage.Options):
    """``netrunner logserver``; whatever stands behind it is for ``twistd netrunner-logserver`` to read."""

    def parseOptions(self, options: Any = None) -> None:
        self._arguments = list(options or ())

    def run(self) -> int:
        """Run twistd's own runner; return the exit status."""
        from twisted.scripts.twistd import (  # type: ignore[attr-defined]  # each platform has one of its own
            ServerOptions,
            runApp,
        )

        twistd = ServerOptions()
        try:
            twistd.parseOptions(["--nodaemon", "--pidfile=", "netrunner-logserver", *self._arguments])
        except usage.UsageError as error:
            print(f"netrunner logserver: {error}; --help tells what it takes", file=sys.stderr)
            return 2
        runApp(twistd)
        return 0
