"""``netrunner check``: everything wrong with a configuration, or the plugins it would run with.

This module must not start anything.
"""

from __future__ import annotations

import os
import sys

from twisted.python import usage

from netrunner.config.load import load
from netrunner.errors import ConfigurationError
from netrunner.registry import discover


class CheckOptions(usage.Options):
    """``netrunner check FILE``."""

    synopsis = "Usage: netrunner check [FILE]"
    longdesc = "Validates FILE, or the built-in configuration; exits with 1 and every problem if it is not valid."

    def parseArgs(self, path: str | None = None) -> None:
        self.path = path

    def run(self) -> int:
        """Print the table of plugins, or the problems; return the exit status."""
        from netrunner.cli.plugins import table

        try:
            _, registry, warnings = load(self.path, discover, os.environ)
        except ConfigurationError as error:
            print(error, file=sys.stderr)
            return 1
        for warning in warnings:
            print(f"warning: {warning}", file=sys.stderr)
        print(table(registry))
        print("configuration is valid")
        return 0
