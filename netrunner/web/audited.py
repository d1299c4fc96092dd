"""Requests whose ids stand in the audit, which are therefore told them.

This module must not write the audit.
"""

from __future__ import annotations

from functools import partial
from uuid import uuid4

from twisted.internet.defer import Deferred

from netrunner.http.request import Request
from netrunner.values import Headers
from netrunner.web.gate import Guarded
from netrunner.web.proxy import client_id


class Audited(Guarded):
    """A resource whose answers, refusals too, tell the id of their request in ``X-Request-ID``."""

    def head_received(self, request: Request) -> Deferred[None] | None:
        """Give the request its id, before anything can be refused."""
        id_of(request)
        return super().head_received(request)


def id_of(request: Request) -> str:
    """Return the id that a request came with or was given, and have its answer tell it."""
    if request.id is None:
        request.id = client_id(request.header(b"x-request-id") or b"") or str(uuid4())
        request.amend = partial(_telling, request.id.encode())
    return request.id


def _telling(id: bytes, headers: Headers) -> Headers:
    return [*headers, (b"x-request-id", id)]
