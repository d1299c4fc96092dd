"""An ``ExchangeError`` as an answer: status, fields that tell clients when to come back, body in a dialect.

This module must not end exchanges.
"""

from __future__ import annotations

from netrunner.dialects.interfaces import IDialect
from netrunner.errors import ExchangeError
from netrunner.values import Headers


def refusal(dialect: IDialect, error: ExchangeError) -> tuple[int, Headers, bytes]:
    """Return status, header fields and body for ``error``."""
    headers: Headers = [(b"content-type", b"application/json"), *error.fields()]
    return dialect.status(error), headers, dialect.error(error)
