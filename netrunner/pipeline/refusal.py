"""An ``ExchangeError`` as an answer: status, fields that tell clients when to come back, body in a dialect.

This module must not end exchanges.
"""

from __future__ import annotations

from netrunner.errors import ExchangeError
from netrunner.interfaces import IDialect
from netrunner.values import Headers


def refusal(dialect: IDialect, error: ExchangeError) -> tuple[int, Headers, bytes]:
    """Return status, header fields and body for ``error``."""
    headers: Headers = [(b"content-type", b"application/json"), *error.fields()]
    return error.status, headers, dialect.error(error)
