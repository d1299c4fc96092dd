"""What the requests of a dialect look like, as far as they can be checked before anybody reads them.

This module must not know any dialect.
"""

from __future__ import annotations

import msgspec


class Shape(msgspec.Struct, frozen=True):
    """How turns are written, and what a bound may be."""

    roles: frozenset[str]
    """Who may speak."""
    content: str = "content"
    """The field of a turn that holds what is said."""
    forms: tuple[type, ...] = (str, list)
    """What that is."""
    instead: frozenset[str] = frozenset()
    """Fields of a turn that may stand in its place."""
    default_role: str | None = None
    """Who speaks where a turn does not say."""
    loads: bool = False
    """Whether a list without turns means something: a model is to be loaded."""
    typed: bool = False
    """Whether things of other types stand among the turns, and one text may stand for all of them."""
    boundless: frozenset[int] = frozenset()
    """Values of ``max_tokens`` that say that there is no bound, as leaving it out does."""
