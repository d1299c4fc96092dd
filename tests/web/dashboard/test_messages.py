"""Recorded messages as they are shown, and what documents say."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netrunner.sse import DONE, event
from netrunner.web.dashboard.conversation import Turn, merged, pieces, turns
from netrunner.web.dashboard.messages import READ_BYTES, SHOWN_CHARACTERS, SHOWN_EVENTS, Shown, shown
from tests.support.dashboard import REQUEST, STREAM, Copies

JSON_TYPE = b"application/json"
SSE_TYPE = b"text/event-stream"


def show(body: bytes, content_type: bytes = JSON_TYPE, complete: bool = True) -> Shown:
    copies = Copies()
    return shown(copies, copies.add(b"HTTP/1.1 200 OK", [(b"content-type", content_type)], body, complete))


def test_what_was_not_recorded_is_told_from_what_has_expired() -> None:
    copies = Copies()
    copy = copies.add(b"HTTP/1.1 200 OK", [], b"x")
    copies.forget()
    assert (shown(copies, None).state, shown(copies, copy).state) == ("nothing", "expired")


def test_a_chat_is_a_conversation_and_a_document() -> None:
    found = show(json.dumps(REQUEST).encode())
    assert found.turns == (
        Turn("system", (("text", "You answer in one sentence."),)),
        Turn("user", (("text", "Why is the sky blue?"),)),
    )
    assert found.pretty == json.dumps(REQUEST, indent=2)
    assert found.text == json.dumps(REQUEST)


def test_numbers_are_written_out_as_they_came() -> None:
    assert (
        show(b'{"a":1.0e+2,"b":12345678901234567890123}').pretty
        == '{\n  "a": 1.0e+2,\n  "b": 12345678901234567890123\n}'
    )


def test_a_stream_is_a_text_and_its_events() -> None:
    found = show(STREAM, SSE_TYPE)
    assert found.said == (("text", "Because air scatters blue light most."),)
    assert found.events is not None
    assert [one.said for one in found.events] == ["Because ", "air scatters ", "blue light ", "most.", ""]
    assert found.events[-1].data == "[DONE]"


def test_lines_of_json_are_events_too() -> None:
    body = b'{"message":{"content":"a"}}\n{"message":{"content":"b"},"done":true}\n'
    found = show(body, b"application/x-ndjson")
    assert found.said == (("text", "ab"),)
    assert found.events is not None
    assert len(found.events) == 2


def test_a_long_stream_is_read_to_its_end_and_shown_in_part() -> None:
    found = show(event({"choices": [{"delta": {"content": "a"}}]}) * 5000 + DONE, SSE_TYPE)
    assert found.said == (("text", "a" * 5000),)
    assert found.events is not None
    assert len(found.events) == SHOWN_EVENTS
    assert found.more_events == 5001 - SHOWN_EVENTS


@pytest.mark.parametrize("content_type", [JSON_TYPE, SSE_TYPE, b"text/plain"])
def test_a_huge_body_is_shown_in_part(content_type: bytes) -> None:
    found = show("ä".encode() * READ_BYTES, content_type)
    assert found.state == "part"
    assert found.text == "ä" * SHOWN_CHARACTERS
    assert found.kept == 2 * READ_BYTES


def test_what_was_cut_within_a_character_is_still_text() -> None:
    assert show("grün".encode()[:3], b"text/plain", complete=False).text == "gr"


def test_what_is_no_text_is_not_shown() -> None:
    assert (show(b"\x89PNG\xff\xfe").state, show(b"").state) == ("binary", "empty")


@pytest.mark.parametrize(
    "body", [b"{", b"[" * 100_000, b'{"a":' * 50 + b"1" + b"}" * 50, b'"text"', b"12", b"\xef\xbb\xbf{}"]
)
def test_what_cannot_be_written_out_is_shown_as_it_came(body: bytes) -> None:
    found = show(body)
    assert found.pretty is None
    assert found.text == body.decode()[:SHOWN_CHARACTERS]


def test_what_would_be_mostly_white_space_is_not_written_out() -> None:
    assert show(b"[" * 23 + b"[]," * 60_000 + b"[]" + b"]" * 23).pretty is None


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"choices": [{"message": {"content": "a"}}]}, (("text", "a"),)),
        ({"choices": [{"text": "a"}]}, (("text", "a"),)),
        ({"choices": [{"delta": {"reasoning_content": "r", "content": "a"}}]}, (("reasoning", "r"), ("text", "a"))),
        (
            {
                "choices": [
                    {"message": {"content": None, "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}}
                ]
            },
            (("tool", "f {}"),),
        ),
        ({"type": "message", "content": [{"type": "text", "text": "a"}]}, (("text", "a"),)),
        ({"type": "message", "content": [{"type": "thinking", "thinking": "t"}]}, (("reasoning", "t"),)),
        ({"type": "content_block_delta", "delta": {"type": "text_delta", "text": "a"}}, (("text", "a"),)),
        ({"type": "content_block_delta", "delta": {"partial_json": "{}"}}, (("tool", "{}"),)),
        ({"type": "response.output_text.delta", "delta": "a"}, (("text", "a"),)),
        ({"type": "response.reasoning_summary_text.delta", "delta": "a"}, (("reasoning", "a"),)),
        ({"output": [{"type": "message", "content": [{"type": "output_text", "text": "a"}]}]}, (("text", "a"),)),
        ({"output": [{"type": "function_call", "name": "f", "arguments": "{}"}]}, (("tool", "f {}"),)),
        ({"message": {"role": "assistant", "content": "a"}}, (("text", "a"),)),
        ({"response": "a", "done": False}, (("text", "a"),)),
        ({"candidates": [{"content": {"parts": [{"text": "a"}]}}]}, (("text", "a"),)),
        ({"usage": {"prompt_tokens": 1}}, ()),
        ([1, 2], ()),
        (None, ()),
    ],
)
def test_every_familys_answers_are_understood(document: Any, said: tuple[tuple[str, str], ...]) -> None:
    assert merged(pieces(document)) == said


@pytest.mark.parametrize(
    ("document", "roles"),
    [
        ({"prompt": "a"}, ["user"]),
        ({"prompt": ["a", "b"]}, ["user", "user"]),
        ({"input": "a", "instructions": "b"}, ["system", "user"]),
        ({"input": [{"role": "user", "content": [{"type": "input_text", "text": "a"}]}]}, ["user"]),
        (
            {"system": [{"type": "text", "text": "s"}], "messages": [{"role": "user", "content": "a"}]},
            ["system", "user"],
        ),
        ({"contents": [{"role": "user", "parts": [{"text": "a"}]}]}, ["user"]),
        (
            {"systemInstruction": {"parts": [{"text": "s"}]}, "contents": [{"parts": [{"text": "a"}]}]},
            ["system", "user"],
        ),
        ({"system_instruction": {"role": "user", "parts": [{"text": "s"}]}}, ["system"]),
        ({"contents": {"parts": [{"text": "a"}]}}, ["user"]),
        ({"messages": "no list"}, ["user"]),
        ({"messages": [1, None, {"content": "a", "type": "x"}]}, ["user"]),
        ({}, []),
    ],
)
def test_every_familys_requests_are_understood(document: Any, roles: list[str]) -> None:
    assert [turn.role for turn in turns(document)] == roles


def test_a_call_of_a_function_is_told_in_every_familys_words() -> None:
    told = [
        {"choices": [{"message": {"tool_calls": [{"function": {"name": "look", "arguments": '{"at":1}'}}]}}]},
        {"type": "message", "content": [{"type": "tool_use", "name": "look", "input": {"at": 1}}]},
        {"candidates": [{"content": {"parts": [{"functionCall": {"name": "look", "args": {"at": 1}}}]}}]},
    ]
    assert {merged(pieces(document)) for document in told} == {(("tool", 'look {"at":1}'),)}


def test_a_list_that_gemini_streams_is_a_text_and_its_events() -> None:
    chunks = [b'{"candidates":[{"content":{"parts":[{"text":"%s"}]}}]}' % text for text in (b"one ", b"two")]
    found = show(b"[" + b",\r\n".join([*chunks, b'{"error":{"code":503}}']) + b"]")
    assert found.said == (("text", "one two"),)
    assert [one.said for one in found.events or ()] == ["one ", "two", ""]
    assert (found.events or ())[1].data == chunks[1].decode()


def test_an_image_is_told_by_its_size() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 100_000}}
    (turn,) = turns({"messages": [{"role": "user", "content": [picture]}]})
    ((kind, words),) = turn.pieces
    assert kind == "other"
    assert words.endswith("characters)")
    assert len(words) < 300


NAMES = st.sampled_from(
    ("choices", "delta", "message", "messages", "content", "contents", "parts", "text", "thinking", "type")
) | st.sampled_from(
    (
        "tool_calls",
        "function",
        "name",
        "arguments",
        "role",
        "input",
        "prompt",
        "system",
        "output",
        "candidates",
        "response",
    )
)
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=30,
)


@settings(deadline=None)
@given(DOCUMENTS)
def test_no_document_is_too_odd_to_be_read(document: Any) -> None:
    for turn in turns(document):
        assert all(isinstance(words, str) for _, words in turn.pieces)
    assert all(isinstance(words, str) for _, words in merged(pieces(document)))


@settings(deadline=None)
@given(st.binary(max_size=200), st.sampled_from([JSON_TYPE, SSE_TYPE, b"application/x-ndjson", b""]))
def test_no_body_is_too_odd_to_be_shown(body: bytes, content_type: bytes) -> None:
    assert show(body, content_type).kept == len(body)
