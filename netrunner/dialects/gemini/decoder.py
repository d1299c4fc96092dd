"""Reads a provider's answer to generateContent as block events, streamed or not.

This module must not know what the documents mean.
"""

from __future__ import annotations

from collections.abc import Iterator

from zope.interface import implementer

from netrunner.dialects import answers
from netrunner.dialects.gemini.answer import Answer
from netrunner.dialects.gemini.frames import Frames
from netrunner.dialects.interfaces import IDecoder
from netrunner.errors import UpstreamError
from netrunner.events import Event, StreamError

DONE = b"[DONE]"
"""Google's API has no such mark, but some that speak its dialect have."""


@implementer(IDecoder)
class Decoder:
    """Reads one answer; how it is framed shows in its first byte.

    Args:
        max_bytes: The most that one document of it may take.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max = max_bytes
        self._frames = Frames(max_bytes)
        self._answer = Answer()

    @property
    def complete(self) -> bool:
        """Whether the answer said that it is complete, or why it is not."""
        return self._answer.complete

    def feed(self, data: bytes, last: bool) -> list[Event]:
        """Return the events that the next bytes complete; finishes come with the last ones. See ``IDecoder``."""
        answer, events = self._answer, list[Event]()
        if answer.failed:
            return events
        for document in self._documents(data, last):
            events += answer.read(document)
            if isinstance(events[-1] if events else None, StreamError):
                return events
        if last:
            if self._frames.cut:
                raise answers.truncated()
            events += answer.end()
        return events

    def _documents(self, data: bytes, last: bool) -> Iterator[answers.Document]:
        """Yield the documents that the next bytes complete."""
        whole = self._whole(data) if last else None
        if whole is not None:
            yield whole
            return
        for document in self._frames.feed(data, last):
            if document.strip() != DONE:
                yield _decoded(document, last)

    def _whole(self, data: bytes) -> answers.Document | None:
        """Return the answer that ``data`` is, all of it in one document, as most are that are no streams."""
        if self._frames.form is not None or self._frames.cut or len(data) > self._max:
            return None
        try:
            return answers.document(data)
        except UpstreamError:
            return None


def _decoded(document: bytes, last: bool) -> answers.Document:
    try:
        return answers.document(document)
    except UpstreamError as error:
        # An event that no blank line ended may have been cut short.
        raise answers.truncated() if last else error from error
