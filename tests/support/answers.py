"""One provider's answer, read in every way its bytes may come."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from netrunner.errors import UpstreamError
from netrunner.events import BlockOpen, Event, TextDelta, ToolArgs

WRONG: tuple[Any, ...] = (None, True, -1, 1.5, "x", [], [[]], {}, {"x": {}})
"""What a field may hold instead of what it should."""


def read(decoder: Any, *pieces: bytes) -> list[Event]:
    """Return the events of an answer that comes in ``pieces`` and then ends."""
    events: list[Event] = []
    for piece in pieces:
        events += decoder.feed(piece, False)
    events += decoder.feed(b"", True)
    return events


def read_in_every_way(make: Callable[[], Any], data: bytes) -> list[Event]:
    """Return the events of ``data``, which are the same byte by byte and split anywhere."""
    whole = read(make(), data)
    assert read(make(), *[data[at : at + 1] for at in range(len(data))]) == whole
    for at in range(1, len(data)):
        assert read(make(), data[:at], data[at:]) == whole
    return whole


def assert_truncation_shows(make: Callable[[], Any], data: bytes, until: int) -> None:
    """Cut ``data`` before each position below ``until``: every such answer has to be an error."""
    for at in range(until):
        decoder = make()
        decoder.feed(data[:at], False)
        assert not decoder.complete
        with pytest.raises(UpstreamError) as caught:
            decoder.feed(b"", True)
        assert caught.value.code in ("upstream_truncated", "upstream_invalid_response")


def said(events: list[Event]) -> str:
    """Return all text."""
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def called(events: list[Event]) -> list[tuple[str | None, str | None, str]]:
    """Return id, name and arguments of every call."""
    opened = {event.index: event for event in events if isinstance(event, BlockOpen) and event.tool_name}
    arguments = dict.fromkeys(opened, "")
    for event in events:
        if isinstance(event, ToolArgs):
            arguments[event.index] += event.fragment
    return [(one.tool_id, one.tool_name, arguments[index]) for index, one in opened.items()]


def with_wrong_types(document: Any) -> Iterator[Any]:
    """Yield the document with each of its fields, at any depth, replaced by what it should not be."""
    if isinstance(document, dict):
        for name, value in document.items():
            for wrong in WRONG:
                yield {**document, name: wrong}
            for inner in with_wrong_types(value):
                yield {**document, name: inner}
    elif isinstance(document, list):
        for number, value in enumerate(document):
            for inner in with_wrong_types(value):
                yield [*document[:number], inner, *document[number + 1 :]]


def assert_survives(make: Callable[[], Any], data: bytes) -> None:
    """Read whatever ``data`` is: events or our own error, and nothing else."""
    code = None
    try:
        assert all(isinstance(event, Event) for event in read(make(), data))
    except UpstreamError as error:
        code = error.code
    assert code in (None, "upstream_invalid_response", "upstream_truncated", "answer_too_large")
