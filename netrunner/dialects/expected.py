"""How many tokens a request and its answer are expected to take: what limits go by until it is known better.

A request that can be read is estimated by what it says, any other by its bytes.

This module must not know who limits what.
"""

from __future__ import annotations

import math

import msgspec

from netrunner.dialects.conversation import Conversation
from netrunner.dialects.estimate import estimate
from netrunner.dialects.gaps import Gaps
from netrunner.dialects.interfaces import IDialect, ITranslates
from netrunner.errors import ExchangeError
from netrunner.values import Envelope

OUTPUT_TOKENS = 500
"""What an answer is expected to take where neither its request nor a setting says anything."""
_BYTES_PER_TOKEN = 4
"""Of a body that nobody can read."""


class Expected(msgspec.Struct, frozen=True):
    """What is known beforehand of one request."""

    request: int
    """Tokens that it takes itself."""
    answers: int
    """How many are written for it."""
    bound: int | None
    """Tokens that each of them may take, as the request says."""

    def total(self, output_tokens: int) -> int:
        """Return the tokens of request and answers, ``output_tokens`` being those of one that is not bounded."""
        return self.request + self.answers * (output_tokens if self.bound is None else self.bound)


def expected(dialect: IDialect, method: bytes, endpoint: str, envelope: Envelope | None) -> Expected:
    """Return what is known of a request in ``dialect``, its body read; nothing at all of one without any."""
    if envelope is None or not envelope.body:
        return Expected(0, 0, None)
    if ITranslates.providedBy(dialect) and dialect.operation(method, endpoint) is not None:
        try:
            request = dialect.read(envelope, endpoint, Gaps())
        except ExchangeError:
            # Its own provider may understand it all the same, and is the one to judge.
            pass
        else:
            if isinstance(request, Conversation):
                return Expected(estimate(request), max(1, request.n or 1), request.max_tokens)
            return Expected(estimate(request), 0, None)
    return Expected(math.ceil(len(envelope.body) / _BYTES_PER_TOKEN), 1, None)
