"""The filter ``retry``: says what is tried again, how often and how soon.

This module must not try anything itself: the path of an exchange does.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

from zope.interface import implementer

from netrunner.asked import IRetries
from netrunner.interfaces import IEnvironment
from netrunner.offers import FilterFactory
from netrunner.settings import setting


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RetrySettings:
    """Settings of the filter ``retry``."""

    attempts: int = setting(3, minimum=1, maximum=20, doc="Tries at each target, the first one included.")
    base_delay_s: float = setting(
        1.0, minimum=0.0, doc="Seconds before the second try, twice as many before each next."
    )
    max_delay_s: float = setting(30.0, minimum=0.0, doc="Most seconds before a try.")
    jitter: float = setting(
        0.1, minimum=0.0, maximum=1.0, doc="The share by which chance makes such a wait longer or shorter."
    )
    unanswered: Literal["fail", "next", "again"] = setting(
        "next",
        doc="What becomes of a request that a provider got and did not answer, and that may have to be paid for: it "
        "fails, the next target is asked, or the same one too.",
    )


@implementer(IRetries)
class Retry:
    """What is tried again."""

    def __init__(self, settings: RetrySettings, environment: IEnvironment) -> None:
        self.settings = settings


plugin = FilterFactory(
    name="retry",
    build=Retry,
    settings=RetrySettings,
    doc="Tries again what has failed.",
)
