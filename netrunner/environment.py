"""What a plugin is handed to do its work.

This module must not hand out the server.
"""

from __future__ import annotations

import random
from typing import Any

from twisted.logger import Logger
from zope.interface import implementer

from netrunner.interfaces import IClock, IEnvironment


@implementer(IEnvironment)
class Environment:
    """The real environment of one plugin.

    Args:
        name: The plugin's name in the configuration.
        reactor: For side calls.
        clock: Time.
        chance: The one source of chance.
    """

    def __init__(self, name: str, reactor: Any, clock: IClock, chance: random.Random) -> None:
        self.name = name
        self.clock = clock
        self.log = Logger(namespace=f"netrunner.plugin.{name}")
        self.random = chance
        self._reactor = reactor
        self._http: Any = None

    @property
    def http(self) -> Any:
        """The client of treq, imported when a plugin first asks: most configurations make no side calls."""
        if self._http is None:
            from treq.client import HTTPClient
            from twisted.web.client import Agent

            self._http = HTTPClient(Agent(self._reactor))
        return self._http
