"""What a request's head must be where it is sent to a proxy: CONNECT with host and port, or a whole URL.

This module must not know of connections, nor decide where a request may lead.
"""

from __future__ import annotations

import re

from netrunner.errors import BadRequest
from netrunner.http import rules
from netrunner.http.rules import Facts, HeadRefused
from netrunner.values import Headers

CONNECT = b"connect"
"""What ``Facts.upgrade`` says of a CONNECT: the bytes behind its head are not HTTP, as with any other upgrade."""
_AUTHORITY = re.compile(rb"(?:[A-Za-z0-9\-._~]+|\[[0-9A-Fa-f:.]+\]):[1-9][0-9]{0,4}")
_URL = re.compile(rb"http://", re.IGNORECASE)


def check(method: bytes, target: bytes, version: str, headers: Headers, max_headers: int) -> Facts:
    """Return the facts of a head as ``rules.check`` does; those of a CONNECT have the authority as their target.

    Raises:
        HeadRefused: also for what is no request to a proxy (RFC 9112, 3.2.2, 3.2.3).
    """
    if method == b"CONNECT":
        # By the rules it is a request like others, but for its target.
        facts = rules.check(b"GET", b"/", version, [field for field in headers if field[0] != b"upgrade"], max_headers)
        if _AUTHORITY.fullmatch(target) is None:
            raise HeadRefused(BadRequest("CONNECT needs a host and a port.", code="bad_target"))
        if facts.chunked or facts.content_length:
            raise HeadRefused(BadRequest("CONNECT has no body.", code="ambiguous_framing"))
        facts.target = facts.host = target.lower()
        facts.upgrade = CONNECT
        return facts
    facts = rules.check(method, target, version, headers, max_headers)
    if _URL.match(target) is None:
        raise HeadRefused(
            BadRequest(
                "This is a forward proxy: it takes CONNECT, and requests for a whole http:// URL.",
                code="not_for_a_proxy",
            )
        )
    return facts
