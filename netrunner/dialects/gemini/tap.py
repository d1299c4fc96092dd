"""What Gemini's answer says about itself while its bytes pass by untouched: usage, finish, error, end.

Counts stand in nearly every event and the last ones hold, so they are read when somebody asks for them.

This module must not hold back or change a byte, and must not raise whatever it is fed.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from netrunner.dialects import taps
from netrunner.dialects.gemini.answer import usage_of
from netrunner.dialects.gemini.failures import of_document
from netrunner.dialects.taps import Tap
from netrunner.values import Usage

_USAGE = b'"usageMetadata"'
_ENDS = (b'"finishReason"', b'"error"', b'"blockReason"')
_LATE_USAGE = re.compile(
    rb'[{,][ \t\r\n]*+"usageMetadata"[ \t\r\n]*+:[ \t\r\n]*+(\{(?:[^{}"]++|"(?:[^"\\]++|\\.)*+"|\{[^{}]*+\})*+\})',
    re.DOTALL,
)
_LATE_FINISH = re.compile(rb'[{,][ \t\r\n]*+"finishReason"[ \t\r\n]*+:[ \t\r\n]*+"([A-Z_]{1,64})"')


def _decoded(payload: bytes) -> Any:
    try:
        return msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _dict(found: Any) -> dict[str, Any]:
    return found if isinstance(found, dict) else {}


class _Reading(Tap):
    """What a document tells; the later word on anything holds."""

    __slots__ = ()

    def _learn(self, document: Any) -> bool:
        """Learn from a decoded document, or from each of a list; return whether there was one."""
        if isinstance(document, list):
            return [self._learn(one) for one in document].count(True) > 0
        if not isinstance(document, dict):
            return False
        failure = of_document(document)
        if failure is not None:
            self.error = failure.code or "provider_error"
        self.usage = usage_of(_dict(document.get("usageMetadata"))) or self.usage
        candidates = document.get("candidates")
        reasons = [_dict(one).get("finishReason") for one in candidates] if isinstance(candidates, list) else []
        for reason in (*reasons, _dict(document.get("promptFeedback")).get("blockReason")):
            if isinstance(reason, str):
                self.finish_reason = reason
        return True

    def _read(self, payload: bytes) -> bool:
        return self._learn(_decoded(payload))

    def _read_end(self, text: bytes) -> None:
        """Learn from the end of a document whose beginning was let go."""
        usages = _LATE_USAGE.findall(text)
        if usages:
            self.usage = usage_of(_dict(_decoded(usages[-1]))) or self.usage
        finishes = _LATE_FINISH.findall(text)
        if finishes:
            self.finish_reason = finishes[-1].decode()


class AnswerTap(_Reading, taps.AnswerTap):
    """Reads an answer that comes as one document, or as a list of them."""

    __slots__ = ()

    def close(self) -> None:
        """The answer ended; a list is complete if it has ended too."""
        cut, text = self._cut, b"".join(self._pieces)
        super().close()
        if cut:
            self.complete = text.rstrip().endswith((b"}", b"]"))


class StreamTap(_Reading, taps.StreamTap):
    """Reads a stream of events."""

    __slots__ = ("_counts", "_usage")

    def __init__(self) -> None:
        self._counts = b""
        """The last event that has counts."""
        self._usage: Usage | None = None
        super().__init__()

    @property
    def usage(self) -> Usage | None:
        """The counts so far."""
        if self._counts:
            counts, self._counts = self._counts, b""
            super()._event(counts)
        return self._usage

    @usage.setter
    def usage(self, usage: Usage | None) -> None:
        self._usage = usage

    @staticmethod
    def _matters(text: bytes) -> bool:
        return _USAGE in text or any(word in text for word in _ENDS)

    def _event(self, text: bytes) -> None:
        if not any(word in text for word in _ENDS):
            self._counts = text
        elif text.lstrip().startswith((b"{", b"[")):
            # An error comes as plain JSON, without the form of an event.
            self._read(text)
        else:
            if _USAGE in text:
                self._counts = b""
            super()._event(text)
