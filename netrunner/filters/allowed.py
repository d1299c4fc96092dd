"""What a request may be by its head alone: which paths, methods and pages are served.

This module must not look at bodies.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from netrunner.errors import BadRequest, Forbidden, MethodNotAllowed, NotFound
from netrunner.globs import Globs
from netrunner.settings import setting


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Origins:
    """Which pages may call."""

    required: bool = setting(False, doc="Whether every request has to say in `Origin` which page it comes from.")
    allow: tuple[str, ...] = setting(
        (), form="text", doc="Values that `Origin` may have, `*` for any characters; all when absent."
    )


class HeadRules:
    """Lets requests in by their heads.

    Args:
        endpoints: Patterns of paths.
        methods: Their names.
        origins: The rule for ``Origin``.
    """

    def __init__(self, endpoints: Sequence[str], methods: Sequence[str], origins: Origins) -> None:
        self._endpoints = Globs(endpoints)
        self._methods = tuple(method.upper().encode() for method in methods)
        self._origins = Globs(origins.allow)
        self._required = origins.required
        self.refuse = bool(self._endpoints or self._methods or self._origins or self._required)
        """Whether there is anything to check."""

    def check(self, exchange: Any) -> None:
        """Refuse what is not served.

        Raises:
            NotFound: ``endpoint_not_found``.
            MethodNotAllowed: with ``Allow``.
            BadRequest: ``origin_required``.
            Forbidden: ``origin_not_allowed``.
        """
        path = exchange.path.decode("latin-1")
        if self._endpoints and path not in self._endpoints and path.removesuffix("/") not in self._endpoints:
            raise NotFound("No such endpoint.", code="endpoint_not_found")
        if self._methods and exchange.method not in self._methods:
            allowed = b", ".join(self._methods)
            raise MethodNotAllowed(f"Only {allowed.decode()} is allowed here.", headers=[(b"allow", allowed)])
        named = [value.decode("latin-1") for name, value in exchange.headers if name == b"origin"]
        if self._required and not named:
            raise BadRequest("A request has to say in Origin which page it comes from.", code="origin_required")
        if self._origins and any(origin not in self._origins for origin in named):
            raise Forbidden("Pages of this origin may not call.", code="origin_not_allowed")
