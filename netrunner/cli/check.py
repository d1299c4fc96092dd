"""``netrunner check``: everything wrong with a configuration, or the plugins it would run with.

This module must not start anything.
"""

from __future__ import annotations

import os
import sys

from twisted.logger import Logger

from netrunner.cli.options import Options
from netrunner.cli.plugins import table
from netrunner.config.load import load
from netrunner.config.pooling import table_of, unbroken
from netrunner.errors import ConfigurationError
from netrunner.registry import Registry


class CheckOptions(Options):
    """``netrunner check``."""

    synopsis = "Usage: netrunner check [FILE]"
    longdesc = "Validates FILE, or the built-in configuration, and says everything that is wrong with it."

    def parseArgs(self, path: str | None = None) -> None:
        self.path = path

    def run(self) -> int:
        """Print the table of plugins, or the problems; return the exit status."""
        log = Logger("netrunner.plugins")
        try:
            settings, registry, warnings = load(self.path, lambda folders: Registry.discover(folders, log), os.environ)
        except ConfigurationError as error:
            print(error, file=sys.stderr)
            return 1
        for warning in (*warnings, *registry.problems):
            print(f"warning: {warning}", file=sys.stderr)
        print(table(registry))
        if names := unbroken(settings, table_of(settings)):
            print(f"asked however they fare, since they have one target (health.alone): {', '.join(names)}")
        print("configuration is valid")
        return 0
