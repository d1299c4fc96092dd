"""The configuration that a command is told of.

This module must not start anything by it.
"""

from __future__ import annotations

import os

from twisted.logger import Logger

from netrunner.config.load import load
from netrunner.config.settings import Settings
from netrunner.registry import Registry


def configured(path: str | None) -> Settings:
    """Return what the configuration at ``path`` says, the built-in one for None.

    Raises:
        ConfigurationError: with everything that is wrong with it.
    """
    log = Logger("netrunner.plugins")
    return load(path, lambda folders: Registry.discover(folders, log), os.environ)[0]
