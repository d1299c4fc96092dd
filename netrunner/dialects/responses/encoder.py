"""Writes block events as answers of the Responses API: a stream of named events, or one document.

A stream's events are numbered from 0 without gaps, and the last is the only one that tells how the response ended: it
is completed or incomplete, or there was an error. No ``[DONE]`` follows.

This module must not read a provider's answer.
"""

from __future__ import annotations

from collections.abc import Iterable

from zope.interface import implementer

from netrunner import sse
from netrunner.dialects.answers import Document
from netrunner.dialects.conversation import Asked
from netrunner.dialects.interfaces import IEncoder
from netrunner.dialects.openai.dialect import ERROR_TYPES
from netrunner.dialects.responses.lifecycle import Lifecycle
from netrunner.dialects.responses.response import Response
from netrunner.errors import ExchangeError, InternalError
from netrunner.events import Event

_EVENTS = b"text/event-stream; charset=utf-8"
_JSON = b"application/json"


def event(name: str, fields: Document, number: int) -> bytes:
    """Return one event of a stream: its name stands in front of its data, and in it."""
    document = {"type": name, **fields, "sequence_number": number}
    return b"event: " + name.encode() + b"\n" + sse.event(document)


def failure(error: ExchangeError, number: int) -> bytes:
    """Return the event that tells an error.

    The API's own fields are flat. The object beside them is what makes OpenAI's clients raise, as they do everywhere
    else; without it they hand the event on, and a program that does not look for it takes the answer for complete.
    """
    told: Document = {"code": error.code, "message": error.message, "param": error.param}
    nested = {"type": ERROR_TYPES.get(error.kind, "server_error"), **told, **error.whose()}
    return event("error", {**told, "error": nested}, number)


def _token(asked: Asked) -> str:
    return asked.id.replace("-", "")


@implementer(IEncoder)
class StreamEncoder:
    """Writes a stream."""

    content_type = _EVENTS

    def __init__(self, asked: Asked) -> None:
        self._response = Response(asked, _token(asked))
        self._life = Lifecycle(_token(asked))
        self._next = 0

    def write(self, events: Iterable[Event]) -> bytes:
        """Return the events for ``events``."""
        written = []
        for told in self._life.of(events):
            if told is None:
                written.append(sse.KEEPALIVE)
            elif told[0]:
                written.append(self._event(*told))
            else:
                begun = {"response": self._response.document("in_progress", [], None)}
                written.append(self._event("response.created", begun))
                written.append(self._event("response.in_progress", begun))
        return b"".join(written)

    def end(self) -> bytes:
        """Return the event that ends the response.

        Raises:
            InternalError: if the answer is not finished; such a stream has no end.
        """
        document = _ended(self._response, self._life)
        return self._event(f"response.{document['status']}", {"response": document})

    def error(self, error: ExchangeError) -> bytes:
        """Return the event that ends the response with an error, numbered like all others."""
        self._next += 1
        return failure(error, self._next - 1)

    def _event(self, name: str, fields: Document) -> bytes:
        self._next += 1
        return event(name, fields, self._next - 1)


@implementer(IEncoder)
class AnswerEncoder:
    """Writes an answer of one document."""

    content_type = _JSON

    def __init__(self, asked: Asked) -> None:
        self._response = Response(asked, _token(asked))
        self._life = Lifecycle(_token(asked))

    def write(self, events: Iterable[Event]) -> bytes:
        """Keep ``events``; return nothing."""
        for _ in self._life.of(events):
            pass
        return b""

    def end(self) -> bytes:
        """Return the document.

        Raises:
            InternalError: if the answer is not finished.
        """
        return sse.compact(_ended(self._response, self._life))


def _ended(response: Response, life: Lifecycle) -> Document:
    if life.finish is None:
        raise InternalError("An answer that is not complete cannot be written as one that is.")
    return response.ended(life.finish, life.output, life.usage)
