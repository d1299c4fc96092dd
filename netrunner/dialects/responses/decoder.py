"""Reads answers of the Responses API as block events, a stream or one document.

Providers of it leave much out: names of events, numbers, indices, the deltas or all but them, one of the two ids of a
call. An item is known by whichever of them is told, and what had not come in pieces is taken from what is told at the
end of a part, of an item, or of the response. Items of tools that nobody asked for are passed over.

This module must not write anything; an answer that does not say how it ended is an error, never a stop.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from zope.interface import implementer

from netrunner import sse
from netrunner.dialects.answers import (
    Document,
    count,
    document,
    obj,
    objects,
    text,
    too_large,
    truncated,
    unreadable,
)
from netrunner.dialects.interfaces import IDecoder
from netrunner.dialects.openai.failure import failure
from netrunner.dialects.responses.outputs import Output
from netrunner.errors import UpstreamError
from netrunner.events import Event, Finish, FinishKind, Start, StreamError, UsageSeen
from netrunner.values import Usage

_BLANK = b" \t\r\n\xef\xbb\xbf"
"""What may stand before an answer: white space, and the bytes of a byte order mark."""
_INCOMPLETE = {
    None: FinishKind.PAUSE,
    "max_output_tokens": FinishKind.LENGTH,
    "content_filter": FinishKind.CONTENT_FILTER,
}
"""What it means that a response is incomplete; a word that is none of these is an ``ERROR``, never a stop."""
_ENDS = ("response.completed", "response.incomplete", "response.failed", "response.cancelled")
_BEGINNINGS = ("response.created", "response.queued", "response.in_progress")


@implementer(IDecoder)
class Decoder:
    """Reads one answer.

    Args:
        streaming: Whether it is a stream; a document that comes instead is read all the same.
        max_bytes: The most that one event, or an answer that is no stream, may take.
    """

    def __init__(self, streaming: bool, max_bytes: int) -> None:
        self.complete = False
        """The answer said that it is complete, or why it is not."""
        self._reader = sse.Reader(max_bytes) if streaming else None
        self._max = max_bytes
        self._buffer = bytearray()
        self._begun = False
        self._started = False
        self._output = Output()

    def feed(self, data: bytes, last: bool) -> list[Event]:
        """Return the events that ``data`` completes; ``last`` tells that nothing follows.

        Raises:
            UpstreamError: for an answer that cannot be read, is too large, or ended early.
        """
        if not self._begun:
            data = data.lstrip(_BLANK)
            self._begun = bool(data)
            if data.startswith(b"{"):
                self._reader = None
        return self._whole(data, last) if self._reader is None else self._stream(self._reader, data, last)

    def _whole(self, data: bytes, last: bool) -> list[Event]:
        self._buffer += data
        if len(self._buffer) > self._max:
            raise too_large()
        return list(self._document(document(bytes(self._buffer)))) if last else []

    def _stream(self, reader: sse.Reader, data: bytes, last: bool) -> list[Event]:
        try:
            # Some leave out the blank line after the last event.
            told = reader.feed(data) + (reader.feed(b"\n\n") if last else [])
        except sse.OversizedEvent as error:
            raise too_large() from error
        events: list[Event] = []
        for number, one in enumerate(told):
            payload = one.data.strip()
            if self.complete or not payload or payload == b"[DONE]":
                continue
            try:
                found = document(payload)
            except UpstreamError as error:
                raise truncated() if last and number == len(told) - 1 else error from error
            events += self._event(found, one.name)
        if last and not self.complete:
            raise truncated()
        return events

    def _event(self, told: Document, name: bytes | None) -> Iterator[Event]:
        kind = text(told, "type") or (name or b"").decode("ascii", "replace")
        if kind == "error" or (told.get("error") and "response" not in told):
            yield self._failed(told.get("error") or told)
        elif kind in _BEGINNINGS:
            yield from self._start(obj(told, "response"))
        elif kind in _ENDS:
            yield from self._end(kind.removeprefix("response."), obj(told, "response"))
        else:
            yield from self._start({})
            yield from self._output.event(kind, told)

    def _document(self, answer: Document) -> Iterator[Event]:
        """Yield all that an answer tells which is no stream, or stands in the event that ends one."""
        status = text(answer, "status")
        if answer.get("error"):
            yield self._failed(answer["error"])
        elif f"response.{status}" not in _ENDS:
            raise unreadable("does not say how it ended")
        else:
            yield from self._end(str(status), answer)

    def _start(self, response: Document) -> Iterator[Event]:
        """Yield the beginning, once; an event that came before it knows no name."""
        if not self._started:
            self._started = True
            yield Start(id=text(response, "id"), model=text(response, "model"))

    def _end(self, status: str, response: Document) -> Iterator[Event]:
        if status in ("failed", "cancelled"):
            yield self._failed(response.get("error") or {"message": f"The provider's answer was {status}."})
            return
        yield from self._start(response)
        yield from self._output.rest(objects(response, "output"))
        yield from self._output.close()
        usage = _usage(obj(response, "usage"))
        if usage is not None:
            yield UsageSeen(usage=usage)
        self.complete = True
        if status == "completed":
            yield Finish(kind=FinishKind.TOOL_CALLS if self._output.calls else FinishKind.STOP, reason=status)
        else:
            reason = text(obj(response, "incomplete_details"), "reason")
            yield Finish(kind=_INCOMPLETE.get(reason, FinishKind.ERROR), reason=reason or status)

    def _failed(self, error: Any) -> StreamError:
        self.complete = True
        return failure(error)


def _usage(told: Document) -> Usage | None:
    inputs, outputs = count(told, "input_tokens"), count(told, "output_tokens")
    if inputs is None and outputs is None:
        return None
    before, after = told.get("input_tokens_details"), told.get("output_tokens_details")
    cached: Document = before if isinstance(before, dict) else {}
    reasoned: Document = after if isinstance(after, dict) else {}
    return Usage(
        input_total=inputs,
        output_total=outputs,
        cache_read=count(cached, "cached_tokens"),
        cache_write=count(cached, "cache_write_tokens"),
        reasoning=count(reasoned, "reasoning_tokens"),
    )
