"""Answers that Gemini breaks off to be asked on (``CONTINUATION``): the token it wants back, and the request with it.

This module must not send anything.
"""

from __future__ import annotations

import msgspec

from netrunner import sse
from netrunner.dialects.gemini.frames import Frames
from netrunner.errors import UpstreamError

MARK = b'"CONTINUATION"'
FINISH = b'"finishReason"'


class _Candidate(msgspec.Struct, rename="camel"):
    finish_reason: str | None = None
    continuation_token: str | None = None


class _Answer(msgspec.Struct):
    candidates: list[_Candidate] = []


_answer = msgspec.json.Decoder(_Answer)


def token_in(answer: bytes) -> str | None:
    """Return the token of an answer's only candidate, if the last whole document of ``answer`` wants to be asked on."""
    try:
        documents = Frames(len(answer) + 1).feed(answer, False)
        candidates = _answer.decode(documents[-1]).candidates if documents else []
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, UpstreamError):
        return None
    if len(candidates) != 1 or candidates[0].finish_reason != "CONTINUATION":
        return None
    return candidates[0].continuation_token or None


def asked_on(body: bytes, token: str) -> bytes:
    """Return the body of a request, as it is written here, that asks on."""
    return b'%b,"continuationToken":%b}' % (body.removesuffix(b"}"), sse.compact(token))
