"""An ``ExchangeError`` as an answer: status, fields that tell clients when to come back, body in a dialect.

This module must not end exchanges.
"""

from __future__ import annotations

import math

from netrunner.errors import ExchangeError
from netrunner.interfaces import IDialect
from netrunner.values import Headers


def refusal(dialect: IDialect, error: ExchangeError) -> tuple[int, Headers, bytes]:
    """Return status, header fields and body for ``error``; ``Retry-After`` in whole seconds where it is known."""
    headers: Headers = [(b"content-type", b"application/json"), *error.headers]
    if error.retry_after_s is not None:
        headers.append((b"retry-after", b"%d" % max(1, math.ceil(error.retry_after_s))))
    return error.status, headers, dialect.error(error)
