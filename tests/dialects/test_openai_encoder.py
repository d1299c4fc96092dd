"""Block events as OpenAI's answers, which every client of that family survives."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netrunner.dialects.conversation import Asked, Conversation, Embedding
from netrunner.dialects.openai.decoder import ChatDecoder
from netrunner.dialects.openai.dialect import OpenAIDialect
from netrunner.errors import InternalError
from netrunner.events import (
    BlockClose,
    BlockKind,
    BlockOpen,
    Event,
    Finish,
    FinishKind,
    KeepAlive,
    ReasoningDelta,
    Signature,
    Start,
    StreamError,
    TextDelta,
    ToolArgs,
    UsageSeen,
    Vectors,
)
from netrunner.values import Usage

TEXT, REASONING, REDACTED, CALL = BlockKind.TEXT, BlockKind.REASONING, BlockKind.REDACTED, BlockKind.TOOL_CALL
STOP = Finish(kind=FinishKind.STOP)
USAGE = Usage(input_total=3, output_total=4, cache_read=1, reasoning=2)
COUNTS = {
    "prompt_tokens": 3,
    "completion_tokens": 4,
    "total_tokens": 7,
    "prompt_tokens_details": {"cached_tokens": 1},
    "completion_tokens_details": {"reasoning_tokens": 2},
}


def asked(stream: bool = True, endpoint: str = "chat/completions", usage: bool = False, request: Any = None) -> Asked:
    return Asked(
        id="01234567-89ab-cdef-0123-456789abcdef",
        model="mine",
        endpoint=endpoint,
        stream=stream,
        wants_usage=usage,
        at=7.9,
        elapsed_s=lambda: 0.0,
        request=request or Conversation(),
    )


def written(*events: Event, stream: bool = True, endpoint: str = "chat/completions", usage: bool = False) -> bytes:
    encoder = OpenAIDialect().encoder(asked(stream, endpoint, usage))
    assert encoder.content_type.startswith(b"text/event-stream" if stream else b"application/json")
    begun = b"".join(encoder.write([event]) for event in events)
    assert stream or begun == b""
    whole: bytes = begun + encoder.end()
    return whole


def chunks(stream: bytes) -> list[dict[str, Any]]:
    """Return the documents of a stream, and see that it is one that every client survives."""
    events = stream.split(b"\n\n")
    assert events[-2:] == [b"data: [DONE]", b""]
    documents = [json.loads(one.removeprefix(b"data: ")) for one in events[:-2] if one != b": keepalive"]
    for document in documents:
        assert set(document) >= {"id", "object", "created", "model", "choices"}
        assert isinstance(document["choices"], list)
    assert all(b"\n" not in one and b"\r" not in one for one in events)
    return documents


def deltas(stream: bytes) -> list[dict[str, Any]]:
    return [choice["delta"] for one in chunks(stream) for choice in one["choices"]]


def whole(*events: Event, endpoint: str = "chat/completions") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(written(*events, stream=False, endpoint=endpoint))
    return found


def test_a_chunk_has_its_head_its_choice_and_the_role_once() -> None:
    events = [Start(id="theirs", model="theirs"), BlockOpen(kind=TEXT), TextDelta(text="Hé\u2028"), TextDelta(text="x")]
    stream = written(*events, STOP)
    head = {
        "id": "chatcmpl-0123456789abcdef0123456789abcdef",
        "object": "chat.completion.chunk",
        "created": 7,
        "model": "mine",
    }
    assert chunks(stream) == [
        {**head, "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]}
        for delta, finish in (
            ({"role": "assistant", "content": "Hé\u2028"}, None),
            ({"content": "x"}, None),
            ({}, "stop"),
        )
    ]
    assert b"\\u2028" in stream


def test_an_empty_answer_has_its_role_too() -> None:
    assert deltas(written(STOP)) == [{"role": "assistant"}]
    assert whole(STOP)["choices"][0]["message"] == {"role": "assistant", "content": "", "refusal": None}


def test_counts_come_in_a_chunk_of_their_own_if_they_were_asked_for() -> None:
    events = UsageSeen(usage=Usage(input_total=3, output_total=1)), TextDelta(text="x"), STOP, UsageSeen(usage=USAGE)
    assert all("usage" not in one for one in chunks(written(*events)))
    *others, last = chunks(written(*events, usage=True))
    assert (last["choices"], last["usage"]) == ([], COUNTS)
    assert [one["usage"] for one in others] == [None, None]
    assert all(one["choices"] for one in chunks(written(TextDelta(text="x"), STOP, usage=True)))


def test_a_keepalive_is_a_comment() -> None:
    assert written(KeepAlive(), STOP).startswith(b": keepalive\n\ndata: ")
    assert whole(KeepAlive(), STOP)["choices"][0]["finish_reason"] == "stop"


CALLS = [
    BlockOpen(kind=CALL, tool_id="a", tool_name="get"),
    ToolArgs(fragment='{"n"'),
    BlockOpen(kind=CALL, index=1, tool_name="put"),
    ToolArgs(fragment=":1}"),
    BlockClose(index=1),
    BlockClose(),
    Finish(kind=FinishKind.TOOL_CALLS),
]
MADE_ID = "call_89abcdef0123456789abcdef_0_1"


def test_calls_are_numbered_from_0_named_once_and_have_arguments() -> None:
    shifted = [
        event if isinstance(event, Finish) else type(event)(**{**fields(event), "index": fields(event)["index"] + 1})
        for event in CALLS
    ]
    told = [one["tool_calls"] for one in deltas(written(TextDelta(text="x"), *shifted)) if "tool_calls" in one]
    assert told == [
        [{"index": 0, "id": "a", "type": "function", "function": {"name": "get", "arguments": ""}}],
        [{"index": 0, "function": {"arguments": '{"n"'}}],
        [{"index": 1, "id": MADE_ID, "type": "function", "function": {"name": "put", "arguments": ""}}],
        [{"index": 0, "function": {"arguments": ":1}"}}],
        [{"index": 1, "function": {"arguments": "{}"}}],
    ]


def fields(event: Any) -> dict[str, Any]:
    return {name: getattr(event, name) for name in event.__struct_fields__}


def test_calls_of_a_whole_answer_have_all_their_arguments_and_no_index() -> None:
    choice = whole(*CALLS)["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"] == {
        "role": "assistant",
        "content": None,
        "refusal": None,
        "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "get", "arguments": '{"n":1}'}},
            {"id": MADE_ID, "type": "function", "function": {"name": "put", "arguments": "{}"}},
        ],
    }


THOUGHT = [
    ReasoningDelta(text="h"),
    ReasoningDelta(text="m"),
    Signature(data="anthropic-claude-v1:S"),
    BlockOpen(kind=REDACTED, index=1),
    Signature(data="openai-responses-v1:D", index=1),
    BlockOpen(kind=REASONING, index=2),
    BlockOpen(kind=TEXT, index=3),
    TextDelta(text="x", index=3),
    Signature(data="unknown", index=3),
    BlockOpen(kind=CALL, index=4, tool_id="a", tool_name="f"),
    Signature(data="google-gemini-v1:G", index=4),
    BlockOpen(kind=CALL, index=5, tool_id="b", tool_name="f"),
    Signature(data="anthropic-claude-v1:T", index=5),
    Finish(kind=FinishKind.TOOL_CALLS),
]


def test_reasoning_is_shown_as_text_and_told_in_details_with_its_seals() -> None:
    choice = whole(*THOUGHT)["choices"][0]["message"]
    assert (choice["content"], choice["reasoning_content"]) == ("x", "hm")
    assert choice["reasoning_details"] == [
        {"type": "reasoning.text", "index": 0, "text": "hm", "signature": "S", "format": "anthropic-claude-v1"},
        {"type": "reasoning.encrypted", "index": 1, "data": "D", "format": "openai-responses-v1"},
        {"type": "reasoning.encrypted", "index": 2, "data": "unknown", "format": None},
    ]
    assert [one["extra_content"]["google"] for one in choice["tool_calls"]] == [
        {"thought_signature": "G"},
        {"thought_signature": "anthropic-claude-v1:T"},
    ]
    assert [one["function"]["arguments"] for one in choice["tool_calls"]] == ["{}", "{}"]


def test_what_a_stream_tells_adds_up_to_the_whole_answer() -> None:
    message: dict[str, Any] = {}
    details: dict[int, dict[str, Any]] = {}
    for delta in deltas(written(*THOUGHT)):
        for detail in delta.get("reasoning_details", ()):
            known = details.setdefault(detail["index"], {})
            known.update({**detail, "text": known.get("text", "") + detail.get("text", "")})
        for name in ("content", "reasoning_content"):
            message[name] = message.get(name, "") + delta.get(name, "")
    expected = whole(*THOUGHT)["choices"][0]["message"]
    assert message == {name: expected[name] for name in message}
    assert [{**one, "text": one.get("text", "")} for one in expected["reasoning_details"]] == list(details.values())


def test_a_refusal_has_a_field_of_its_own() -> None:
    events = BlockOpen(kind=BlockKind.REFUSAL), TextDelta(text="no"), STOP
    assert deltas(written(*events))[0] == {"role": "assistant", "refusal": "no"}
    message = whole(*events)["choices"][0]["message"]
    assert (message["refusal"], message["content"]) == ("no", None)


def test_each_choice_has_its_role_and_its_finish() -> None:
    events = TextDelta(text="b", choice=1), TextDelta(text="a"), Finish(kind=FinishKind.LENGTH, choice=1), STOP
    assert [one.get("role") for one in deltas(written(*events))] == ["assistant", "assistant", None, None, None]
    assert [one["choices"][0]["index"] for one in chunks(written(*events))] == [0, 1, 0, 1, 0]
    choices = whole(*events)["choices"]
    assert [(one["index"], one["message"]["content"], one["finish_reason"]) for one in choices] == [
        (0, "a", "stop"),
        (1, "b", "length"),
    ]


def test_a_whole_answer_has_its_head_and_the_counts_that_are_known() -> None:
    answer = whole(TextDelta(text="x"), STOP)
    assert "usage" not in answer
    assert {name: answer[name] for name in ("object", "created", "model")} == {
        "object": "chat.completion",
        "created": 7,
        "model": "mine",
    }
    assert whole(UsageSeen(usage=USAGE), STOP)["usage"] == COUNTS
    counts = {"prompt_tokens": 3, "completion_tokens": 0, "total_tokens": 3}
    assert whole(UsageSeen(usage=Usage(input_total=3)), STOP)["usage"] == counts


# --- completions --------------------------------------------------------------------------------------------

COMPLETION = [
    ReasoningDelta(text="hm"),
    TextDelta(text="He", index=1),
    TextDelta(text="y", index=1),
    UsageSeen(usage=USAGE),
    Finish(kind=FinishKind.TOOL_CALLS),
]


def test_a_completion_is_text_alone_and_knows_no_calls() -> None:
    documents = chunks(written(*COMPLETION, endpoint="completions"))
    assert [one["choices"][0]["text"] for one in documents] == ["He", "y", ""]
    assert [one["choices"][0]["finish_reason"] for one in documents] == [None, None, "stop"]
    assert {(one["object"], one["id"][:5]) for one in documents} == {("text_completion", "cmpl-")}
    answer = whole(*COMPLETION, endpoint="completions")
    assert answer["object"] == "text_completion"
    assert answer["choices"] == [{"index": 0, "text": "Hey", "logprobs": None, "finish_reason": "stop"}]
    assert whole(STOP, endpoint="completions")["choices"][0]["text"] == ""


# --- embeddings ---------------------------------------------------------------------------------------------


def embeddings(packed: bool, *events: Event) -> dict[str, Any]:
    request = Embedding(inputs=("a", "b"), base64=packed)
    encoder = OpenAIDialect().encoder(asked(False, "embeddings", request=request))
    assert encoder.content_type == b"application/json"
    assert encoder.write(events) == b""
    found: dict[str, Any] = json.loads(encoder.end())
    return found


def test_embeddings_are_numbers_or_little_endian_base64() -> None:
    vectors = Vectors(vectors=[[1.5, -2.0], [0.0, 3.0]])
    answer = embeddings(False, Start(), vectors, UsageSeen(usage=Usage(input_total=5)))
    assert answer == {
        "object": "list",
        "model": "mine",
        "data": [
            {"object": "embedding", "index": 0, "embedding": [1.5, -2.0]},
            {"object": "embedding", "index": 1, "embedding": [0.0, 3.0]},
        ],
        "usage": {"prompt_tokens": 5, "total_tokens": 5},
    }
    answer = embeddings(True, vectors)
    assert answer["usage"] == {"prompt_tokens": 0, "total_tokens": 0}
    packed = [base64.b64decode(row["embedding"]) for row in answer["data"]]
    assert packed == [struct.pack("<2f", 1.5, -2.0), struct.pack("<2f", 0.0, 3.0)]


# --- what has no end ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [True, False])
def test_an_answer_without_a_finish_has_no_end(stream: bool) -> None:
    for events in ((), (Start(),), (TextDelta(text="x"),), (TextDelta(text="x", choice=1), STOP)):
        with pytest.raises(InternalError):
            written(*events, stream=stream)


def test_embeddings_that_never_came_have_no_end() -> None:
    with pytest.raises(InternalError):
        embeddings(False, Start())


def test_a_finish_that_is_an_error_cannot_be_written() -> None:
    with pytest.raises(InternalError):
        written(Finish(kind=FinishKind.ERROR))


@pytest.mark.parametrize("kind", [one for one in FinishKind if one is not FinishKind.ERROR])
def test_every_other_finish_has_a_word(kind: FinishKind) -> None:
    reason = whole(Finish(kind=kind))["choices"][0]["finish_reason"]
    assert reason in ("stop", "length", "tool_calls", "content_filter")


# --- and back -----------------------------------------------------------------------------------------------

blocks = st.lists(
    st.one_of(
        st.builds(lambda text: (TEXT, text), st.text(min_size=1, max_size=5)),
        st.builds(lambda text: (REASONING, text), st.text(min_size=1, max_size=5)),
        st.builds(lambda text: (CALL, json.dumps({"a": text})), st.text(max_size=5)),
    ),
    max_size=6,
)


@given(blocks, st.booleans())
def test_what_is_written_is_read_again(blocks: list[tuple[BlockKind, str]], stream: bool) -> None:
    events: list[Event] = [Start()]
    for index, (kind, text) in enumerate(blocks):
        if kind is CALL:
            events.append(BlockOpen(kind=kind, index=index, tool_id=f"i{index}", tool_name="f"))
            events.append(ToolArgs(fragment=text, index=index))
        else:
            events.append(BlockOpen(kind=kind, index=index))
            delta = TextDelta if kind is TEXT else ReasoningDelta
            events.append(delta(text=text, index=index))
        events.append(BlockClose(index=index))
    events.append(STOP)
    read = ChatDecoder(stream, 1 << 16).feed(written(*events, stream=stream), True)
    for sort, field in ((TextDelta, "text"), (ReasoningDelta, "text"), (ToolArgs, "fragment")):
        before = "".join(getattr(one, field) for one in events if isinstance(one, sort))
        assert "".join(getattr(one, field) for one in read if isinstance(one, sort)) == before
    assert [one.tool_id for one in read if isinstance(one, BlockOpen) and one.tool_id] == [
        f"i{index}" for index, (kind, _) in enumerate(blocks) if kind is CALL
    ]
    assert not any(isinstance(one, StreamError) for one in read)
