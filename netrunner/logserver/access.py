"""Who may store logs and read them: whoever is on this machine, and whoever has the token.

This module must not know what is asked for.
"""

from __future__ import annotations

import hmac

from netrunner.errors import Forbidden, Unauthenticated
from netrunner.http.local import is_local
from netrunner.http.request import Request
from netrunner.settings import Secret


class Access:
    """The rule.

    Args:
        token: What ``Authorization: Bearer`` has to carry; without it only local requests are served.
    """

    def __init__(self, token: Secret | None) -> None:
        self._token = token

    def check(self, request: Request) -> None:
        """Refuse whoever may not come in; raises ``Unauthenticated`` or ``Forbidden``."""
        if is_local(request):
            return
        if self._token is None:
            raise Forbidden(
                "Without a token only local requests are served: start with --token-file.", code="not_local"
            )
        scheme, _, given = (request.header(b"authorization") or b"").partition(b" ")
        # Both are bytes, so that any credential at all can be compared.
        if scheme.lower() != b"bearer" or not hmac.compare_digest(given.strip(), self._token.reveal().encode()):
            raise Unauthenticated(
                "The logging server's token is asked for.", headers=[(b"www-authenticate", b"Bearer")]
            )
