"""What Anthropic's answers say about themselves, however they are cut."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netrunner.dialects.anthropic.tap import AnswerTap, StreamTap
from netrunner.dialects.taps import HELD_BYTES, WHOLE_BYTES
from netrunner.values import Usage

Seen = tuple[Usage | None, str | None, str | None, bool]

START = {
    "type": "message_start",
    "message": {"usage": {"input_tokens": 5, "cache_read_input_tokens": 2, "output_tokens": 1}},
}
TEXT = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "héllo"}}
TRICKY = {
    "type": "content_block_delta",
    "delta": {"type": "text_delta", "text": '{"type":"message_stop"} "error" "stop_reason":"x" "usage":{}'},
}
DELTA = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 7}}
STOP = {"type": "message_stop"}
SEEN = Usage(input_total=7, output_total=7, cache_read=2)


def stream(*documents: dict[str, Any], end: str = "\n") -> bytes:
    return "".join(
        f"event: {one['type']}{end}data: {json.dumps(one, ensure_ascii=False)}{end}{end}" for one in documents
    ).encode()


def seen(*pieces: bytes, whole: bool = False) -> Seen:
    tap: StreamTap | AnswerTap = AnswerTap() if whole else StreamTap()
    for piece in pieces:
        tap.feed(piece)
    tap.close()
    return tap.usage, tap.finish_reason, tap.error, tap.complete


SAMPLES: list[tuple[bytes, Seen]] = [
    (stream(START, TEXT, DELTA, STOP), (SEEN, "end_turn", None, True)),
    (stream(START, TEXT, DELTA, STOP, end="\r\n"), (SEEN, "end_turn", None, True)),
    (stream(START, TEXT, TRICKY), (Usage(input_total=7, output_total=1, cache_read=2), None, None, False)),
    (stream(START, DELTA), (SEEN, "end_turn", None, True)),
    (stream(STOP), (None, None, None, True)),
    (stream({"type": "error", "error": {"type": "overloaded_error"}}), (None, None, "overloaded_error", False)),
    (stream({"type": "error", "error": "broken"}), (None, None, "provider_error", False)),
    (stream({"type": "message_delta", "delta": {"stop_reason": None}, "usage": None}), (None, None, None, False)),
    (stream({"type": "message_start", "message": 1}), (None, None, None, False)),
    (b'data: ["message_stop"]\n\ndata: {"message_stop"\n\n: "error"\n\n', (None, None, None, False)),
]


@pytest.mark.parametrize(("body", "expected"), SAMPLES)
def test_a_stream_is_read_whole_byte_by_byte_and_split_at_each_position(body: bytes, expected: Seen) -> None:
    assert seen(body) == expected
    assert seen(*(body[at : at + 1] for at in range(len(body)))) == expected
    for at in range(len(body)):
        assert seen(body[:at], body[at:]) == expected


WHOLE = {
    "type": "message",
    "content": [{"type": "text", "text": 'x "usage":{"input_tokens":1}'}],
    "stop_reason": "tool_use",
    "usage": {"input_tokens": 5, "output_tokens": 7},
}


def test_a_whole_answer_is_read_at_its_end() -> None:
    body = json.dumps(WHOLE).encode()
    expected = (Usage(input_total=5, output_total=7), "tool_use", None, True)
    assert seen(body, whole=True) == expected
    assert seen(*(body[at : at + 1] for at in range(len(body))), whole=True) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"type":"error","error":{"type":"api_error"}}', (None, None, "api_error", True)),
        (b'{"input_tokens":5}', (None, None, None, True)),
        (b"<html>", (None, None, None, False)),
        (b"", (None, None, None, False)),
    ],
)
def test_what_is_no_message_tells_what_it_can(body: bytes, expected: Seen) -> None:
    assert seen(body, whole=True) == expected


def test_of_an_answer_that_is_too_long_the_end_is_read() -> None:
    body = json.dumps({"content": "x" * WHOLE_BYTES, **WHOLE}).encode()
    assert seen(body, whole=True) == (Usage(input_total=5, output_total=7), "tool_use", None, True)
    assert seen(b"x" * (WHOLE_BYTES + 1), whole=True) == (None, None, None, False)


def test_of_an_event_that_is_too_long_the_end_is_read() -> None:
    late = {"type": "message_delta", "x": "x" * HELD_BYTES * 3, "delta": {"stop_reason": "end_turn"}}
    body = stream(START, {**late, "usage": {"output_tokens": 7}})
    pieces = [body[at : at + 1000] for at in range(0, len(body), 1000)]
    assert seen(*pieces) == (SEEN, "end_turn", None, True)


def test_a_stream_has_begun_with_its_first_event() -> None:
    tap = StreamTap()
    tap.feed(b": hi\n\n")
    assert not tap.began
    tap.feed(stream(START))
    assert tap.began


@given(st.lists(st.binary(max_size=40), max_size=6), st.booleans())
def test_nothing_that_is_fed_raises(pieces: list[bytes], whole: bool) -> None:
    assert len(seen(*pieces, whole=whole)) == 4
