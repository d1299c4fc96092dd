"""What the options of all commands share: how a command is used, and whose version it is.

This module must not know any command.
"""

from __future__ import annotations

import sys
from typing import NoReturn

from twisted.python import usage

from netrunner import __version__


class Options(usage.Options):
    """The options of a command, which says in ``synopsis`` how it is used, from the program's name on."""

    synopsis = ""

    def getSynopsis(self) -> str:
        """Return it; Twisted would put those of the commands above before it."""
        return self.synopsis

    def opt_version(self) -> NoReturn:
        """Display the version of netrunner and exit."""
        print(f"netrunner {__version__}")
        sys.exit(0)


def innermost(options: usage.Options) -> usage.Options:
    """Return the options of the command that a command line got to."""
    while (below := getattr(options, "subOptions", None)) is not None:
        options = below
    return options
