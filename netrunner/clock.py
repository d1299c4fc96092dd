"""The real clock: monotonic for differences, wall time for records, the reactor for calls.

This module must not import anything of netrunner but ``interfaces``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from zope.interface import implementer

from netrunner.interfaces import IClock


@implementer(IClock)
class SystemClock:
    """Time of this machine; jumps of the wall clock do not reach ``seconds``."""

    def __init__(self, reactor: IReactorTime) -> None:
        self._reactor = reactor

    seconds = staticmethod(time.monotonic)
    wall = staticmethod(time.time)

    def callLater(self, delay: float, callable: Callable[..., Any], *args: Any, **kw: Any) -> IDelayedCall:
        """Schedule on the reactor."""
        return self._reactor.callLater(delay, callable, *args, **kw)
