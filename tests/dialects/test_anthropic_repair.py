"""Streams of Anthropic's that are repaired on their way: what is between events, and how they are framed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from netrunner.dialects.anthropic.dialect import AnthropicDialect
from netrunner.dialects.anthropic.repair import Repair
from netrunner.errors import UpstreamError
from netrunner.values import Usage


def event(document: Any, name: str | None = None) -> bytes:
    kind = document["type"] if name is None else name
    return f"event: {kind}\ndata: {json.dumps(document, ensure_ascii=False)}\n\n".encode()


START = event({"type": "message_start", "message": {"usage": {"input_tokens": 3, "output_tokens": 1}}})
PING = event({"type": "ping"})
OTHER = event({"type": "something_new", "text": "h\u00e9 \u2028"})
DELTA = event({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 4}})
STOP = event({"type": "message_stop"})
FINE = START + PING + OTHER + DELTA + STOP


def repaired(stream: bytes) -> bytes:
    """Return what goes on, and see that it is the same however the stream is cut."""
    whole = Repair(1 << 16)
    out = whole.feed(stream, True)
    for size in (1, 7):
        one = Repair(1 << 16)
        cut = b"".join(one.feed(stream[at : at + size], False) for at in range(0, len(stream), size))
        assert (cut + one.feed(b"", True), one.complete) == (out, whole.complete)
    return out


def test_what_needs_no_repair_goes_on_as_its_own_bytes() -> None:
    assert repaired(FINE) == FINE


def test_what_a_stream_says_is_known_when_it_is_over() -> None:
    one = Repair(1 << 16)
    assert not one.tap.began
    one.tap.feed(FINE)
    assert not one.tap.began
    one.feed(FINE, True)
    assert (one.complete, one.error, one.tap.finish_reason) == (True, None, "end_turn")
    assert one.tap.usage == Usage(input_total=3, output_total=4)


@pytest.mark.parametrize(
    "odd",
    [
        b": OPENROUTER PROCESSING\n\n",
        b"data: [DONE]\n\n",
        b"event: data\ndata: [DONE]\n\n",
        b"data:\n\n",
        b'data: ""\n\n',
        b"id: 7\n\n",
        b"retry: 7\n\n",
        b'data: {"no": "type"}\n\n',
    ],
)
def test_what_no_client_knows_goes(odd: bytes) -> None:
    assert repaired(odd + START + odd + DELTA + odd + STOP + odd) == START + DELTA + STOP


def test_other_line_ends_become_lf_and_ids_go() -> None:
    for end in (b"\r\n", b"\r"):
        assert repaired(FINE.replace(b"\n", end)) == FINE
    assert repaired(FINE.replace(b"event: ", b"id: 7\nevent: ")) == FINE


def test_an_event_without_a_name_gets_its_type_for_one() -> None:
    nameless = b"".join(b"data: " + one.split(b"data: ")[1] for one in (START, DELTA, STOP))
    assert [json.loads(one.split(b"data: ")[1]) for one in repaired(nameless).split(b"\n\n")[:-1]] == [
        json.loads(one.split(b"data: ")[1]) for one in (START, DELTA, STOP)
    ]
    assert repaired(nameless).startswith(b"event: message_start\ndata: {")


def test_data_over_several_lines_becomes_one() -> None:
    assert repaired(b'event: ping\ndata: {"type":\ndata: "ping"}\n\n') == b'event: ping\ndata: {"type":"ping"}\n\n'


def test_an_error_is_told_whether_something_came_before_it_or_not() -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "no room"}}
    first = Repair(1 << 16)
    first.feed(event(error), True)
    assert first.error is not None
    assert (first.error.kind, first.error.message, first.complete) == ("overloaded", "no room", True)
    later = Repair(1 << 16)
    later.feed(START, False)
    assert json.loads(later.feed(event(error), True).split(b"data: ")[1]) == error
    assert (later.error, later.complete, later.tap.error) == (None, True, "overloaded_error")


def test_a_stream_that_breaks_off_is_not_complete() -> None:
    for stream in (b"", START, START + DELTA[:-5]):
        one = Repair(1 << 16)
        one.feed(stream, True)
        assert not one.complete


def test_the_last_event_comes_once_where_the_stream_says_why_it_ends() -> None:
    for end in (b"", STOP[:-5], STOP, STOP + STOP + START):
        out = repaired(START + DELTA + end)
        assert [json.loads(one.split(b"data: ")[1])["type"] for one in out.split(b"\n\n")[:-1]] == [
            "message_start",
            "message_delta",
            "message_stop",
        ]


def test_what_cannot_be_read_is_an_error() -> None:
    for stream in (b"data: {nonsense\n\n", b"event: error\ndata: {nonsense\n\n"):
        with pytest.raises(UpstreamError) as error:
            repaired(stream)
        assert error.value.code == "upstream_invalid_response"
    with pytest.raises(UpstreamError) as error:
        Repair(99).feed(b"data: " + b"x" * 200, False)
    assert error.value.code == "answer_too_large"


def test_streams_of_messages_are_repaired_and_nothing_else() -> None:
    dialect = AnthropicDialect()
    assert (dialect.repairs("messages", None), dialect.repairs("messages/count_tokens", None)) == (True, False)
    assert isinstance(dialect.repair("messages", True, "x", "m", 7, True, 99), Repair)
    assert dialect.repair("messages", False, "x", "m", 7, True, 99) is None
    assert dialect.ask_for_usage(b"{}") == b"{}"
