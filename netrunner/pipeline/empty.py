"""Whether a whole answer says anything: an answer without any content, and without a reason for that, is none.

This module must not know any dialect by its name.
"""

from __future__ import annotations

from netrunner.dialects.interfaces import IDialect
from netrunner.errors import UpstreamRejected
from netrunner.events import BlockKind, BlockOpen, Finish, FinishKind, ReasoningDelta, TextDelta, ToolArgs, Vectors
from netrunner.pipeline.lane import MAX_REPAIRED_BYTES

EMPTY = "empty_answer"
"""The code of an answer that says nothing."""
_TEXTS = frozenset({BlockKind.TEXT, BlockKind.REASONING})
_UNEXPLAINED = frozenset({FinishKind.STOP, FinishKind.ERROR})
"""Why a model stopped, where that is no reason for saying nothing."""


def says_something(dialect: IDialect, method: bytes, endpoint: str, body: bytes) -> bool:
    """Return whether an answer that is no stream says anything: a text, a thought, a call of a tool, an image.

    One that says why it has nothing to say (it was cut, or kept back) is an answer as well, and so is any that holds
    no events.

    Raises:
        UpstreamError: for one that cannot be read.
    """
    if dialect.has_events(method, endpoint) is not True:
        return True
    codec = dialect.events(endpoint, False, MAX_REPAIRED_BYTES)
    return any(_tells(event) for chunk in codec.feed(body, True) for event in chunk.events)


def _tells(event: object) -> bool:
    match event:
        case TextDelta(text=text) | ReasoningDelta(text=text):
            return bool(text)
        case BlockOpen(kind=kind):
            return kind not in _TEXTS
        case Finish(kind=kind):
            return kind not in _UNEXPLAINED
        case _:
            return isinstance(event, ToolArgs | Vectors)


def nothing_said() -> UpstreamRejected:
    """Return the error of an answer that says nothing."""
    return UpstreamRejected("The provider's answer is empty.", code=EMPTY, status=502, retryable=True)
