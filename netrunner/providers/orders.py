"""The orders that ``echo`` takes, and the refusal of wrong ones.

Orders are words before the text, in the header ``x-echo`` or after ``/echo`` at the beginning of the last user
message (which wins); the first word that is none begins the text.

=================  ==========================================================================================
``events=N``       N pieces of text; the words are repeated, or the rest left out (default: one per word)
``delay=SECONDS``  between two pieces; a whole answer waits as long as its stream would take
``wait=SECONDS``   before the head
``think``          a ``<think>`` block before the text
``tools``          a call of the request's first tool (or of one called ``echo``) instead of the text
``finish=REASON``  why it says it finished
``error=STATUS``   that status with an error document; with ``retry_after=SECONDS``, that header too
``fail=N``         an error inside the stream after N pieces of text
``cut=N``          the connection breaks after N pieces of text; a whole answer breaks in its middle
``stall=N``        nothing more comes after N pieces of text, not even the end
=================  ==========================================================================================

This module must not know what an answer looks like.
"""

from __future__ import annotations

import math

import msgspec

MAX_EVENTS = 1_000_000


class Mistake(Exception):
    """A request that echo refuses, as the API it plays would."""

    def __init__(self, message: str, param: str | None = None, status: int = 400) -> None:
        super().__init__(message)
        self.document = {
            "error": {"message": message, "type": "invalid_request_error", "param": param, "code": "invalid_value"}
        }
        self.status = status


class Orders(msgspec.Struct):
    """What echo was told; the module's docstring says what each means."""

    events: int | None = None
    delay: float | None = None
    wait: float = 0.0
    think: bool = False
    tools: bool = False
    finish: str | None = None
    error: int | None = None
    retry_after: float | None = None
    fail: int | None = None
    cut: int | None = None
    stall: int | None = None

    def obey(self, text: str) -> str:
        """Take in the orders that ``text`` begins with; return the rest of it."""
        while True:
            word, _, rest = text.lstrip().partition(" ")
            name, equals, value = word.partition("=")
            if name in ("think", "tools") and not equals:
                setattr(self, name, True)
            elif equals and name in _CONVERSIONS:
                setattr(self, name, _CONVERSIONS[name](name, value))
            else:
                return text.lstrip()
            text = rest


def _count(name: str, value: str) -> int:
    if not value.isascii() or not value.isdigit() or len(value) > 7 or int(value) > MAX_EVENTS:
        raise Mistake(f"/echo {name} must be a number up to {MAX_EVENTS}.")
    return int(value)


def _seconds(name: str, value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds <= 86400:
        raise Mistake(f"/echo {name} must be seconds, a day at most.")
    return seconds


def _status(name: str, value: str) -> int:
    status = _count(name, value)
    if not 400 <= status <= 599:
        raise Mistake(f"/echo {name} must be a status from 400 to 599.")
    return status


_CONVERSIONS = {
    "events": _count,
    "fail": _count,
    "cut": _count,
    "stall": _count,
    "delay": _seconds,
    "wait": _seconds,
    "retry_after": _seconds,
    "error": _status,
    "finish": lambda name, value: value,
}
