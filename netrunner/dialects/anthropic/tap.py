"""What an answer of Anthropic's says about itself while its bytes pass by untouched: usage, stop reason, error, end.

Only the events that tell any of it are decoded; their words inside a text are told from them by that decoding.

This module must not hold back or change a byte, and must not raise whatever it is fed.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from netrunner.dialects import taps
from netrunner.dialects.anthropic.usage import Counts
from netrunner.dialects.taps import Tap

_TELLS = re.compile(rb'"(?:message_start|message_delta|message_stop|error)"')
_LATE_USAGE = re.compile(rb'[{,]\s*+"usage"\s*+:\s*+(\{(?:[^{}"]++|"(?:[^"\\]++|\\.)*+"|\{[^{}]*+\})*+\})', re.DOTALL)
_LATE_STOP = re.compile(rb'[{,]\s*+"stop_reason"\s*+:\s*+"([a-z_]{1,64})"')


class _Reading(Tap):
    """Reads one document; the later word on anything holds."""

    __slots__ = ()

    _counts: Counts

    def _read(self, payload: bytes) -> bool:
        document = _decoded(payload)
        if not isinstance(document, dict):
            return False
        kind, error = document.get("type"), document.get("error")
        if kind == "error" or error:
            code = error.get("type") if isinstance(error, dict) else None
            self.error = code if isinstance(code, str) and code else "provider_error"
        elif kind == "message_start":
            self._message(document.get("message"))
        elif kind == "message_delta":
            self._stopped(document.get("delta"))
            self._message(document)
        elif kind == "message_stop":
            self.complete = True
        elif kind == "message":
            self._stopped(document)
            self._message(document)
        return True

    def _message(self, holder: Any) -> None:
        if isinstance(holder, dict):
            self.usage = self._counts.see(holder.get("usage")) or self.usage

    def _stopped(self, holder: Any) -> None:
        reason = holder.get("stop_reason") if isinstance(holder, dict) else None
        if isinstance(reason, str) and reason:
            self.finish_reason = reason

    def _read_end(self, text: bytes) -> None:
        for usage in _LATE_USAGE.findall(text)[-1:]:
            self.usage = self._counts.see(_decoded(usage)) or self.usage
        for reason in _LATE_STOP.findall(text)[-1:]:
            self.finish_reason = reason.decode()


class StreamTap(_Reading, taps.StreamTap):
    """Reads a stream of events."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        super().__init__()
        self._counts = Counts()

    @staticmethod
    def _matters(text: bytes) -> bool:
        return _TELLS.search(text) is not None


class AnswerTap(_Reading, taps.AnswerTap):
    """Reads an answer that comes as one document."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        super().__init__()
        self._counts = Counts()


def _decoded(data: bytes) -> Any:
    """Return ``data`` decoded; None for what is no JSON."""
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
