"""What is asked of counters, and what they answer.

A claim names whom something is counted for; a grant or a denial says what came of it.

This module must not import anything of netrunner but ``settings``.
"""

from __future__ import annotations

import msgspec

from netrunner.settings import Limits


class Claim(msgspec.Struct, frozen=True):
    """One party that a request counts for, and what it may have."""

    scope: str
    """Who limits: a filter's name, ``model``, ``target``, ``token``. A word of the configuration, never a caller's."""
    subject: str
    """Whom, within the scope: an address, a model, a token's id; no secret, and bounded in length by who claims."""
    limits: Limits


class Standing(msgspec.Struct, frozen=True):
    """How full one window is, the request that asked included."""

    scope: str
    what: str
    """The limit's name in the configuration: ``requests_per_minute``."""
    tokens: bool
    """Whether it counts tokens, not requests."""
    limit: int
    remaining: int
    reset_s: float
    """Seconds until it closes; 0 when it is not open."""


class Denial(msgspec.Struct, frozen=True):
    """A request that was not admitted."""

    scope: str
    """Of the claim that was refused; of several the one that takes longest."""
    subject: str
    what: str
    """The name of its limit: ``requests_per_minute``, ``concurrency``, ``min_gap_s``."""
    limit: float
    wait_s: float | None
    """Seconds until it may succeed; None if it never can. Of ``concurrency`` it is a guess."""
    standings: tuple[Standing, ...] = ()
    """Of all claims."""


class Grant:
    """A request that was admitted; counters keep what they need to settle and release it in a class of their own.

    Args:
        standings: Of all claims.
    """

    __slots__ = ("standings",)

    def __init__(self, standings: tuple[Standing, ...]) -> None:
        self.standings = standings
