"""The filter ``no_think``: asks models that think aloud by default (Qwen 3 and its kin) not to.

A chat gets ``/no_think`` as its last system message, a completion's prompt gets it appended.

This module must not know how a dialect writes either.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from zope.interface import implementer

from netrunner.interfaces import IEnvironment, IRequestPhase
from netrunner.offers import FilterFactory

SWITCH = "/no_think"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NoThinkSettings:
    """Settings of the filter ``no_think``: none."""


@implementer(IRequestPhase)
class NoThink:
    """Appends the switch to every request that holds a conversation or a prompt."""

    def __init__(self, settings: NoThinkSettings, environment: IEnvironment) -> None:
        self.settings = settings

    async def on_request(self, exchange: Any) -> None:
        """Append the switch; a request without turns stays as it came."""
        exchange.view().append_system(SWITCH)


plugin = FilterFactory(
    name="no_think",
    build=NoThink,
    settings=NoThinkSettings,
    doc="Asks models that think aloud not to.",
)
