"""Answers of the Responses API, read as block events."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netrunner.dialects.answers import MAX_BLOCKS
from netrunner.dialects.conversation import Asked, Conversation
from netrunner.dialects.responses.decoder import Decoder
from netrunner.dialects.responses.dialect import ResponsesDialect
from netrunner.errors import UpstreamError
from netrunner.events import (
    BlockClose,
    BlockKind,
    BlockOpen,
    Event,
    Finish,
    FinishKind,
    ReasoningDelta,
    Signature,
    Start,
    StreamError,
    TextDelta,
    ToolArgs,
    UsageSeen,
)
from netrunner.values import Usage

TEXT, CALL, REASONING, REDACTED = BlockKind.TEXT, BlockKind.TOOL_CALL, BlockKind.REASONING, BlockKind.REDACTED
START = Start(id="resp_1", model="m")
STOP = Finish(kind=FinishKind.STOP, reason="completed")
CALLED = Finish(kind=FinishKind.TOOL_CALLS, reason="completed")
COUNTS = {
    "input_tokens": 7,
    "input_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 2},
    "output_tokens": 5,
    "output_tokens_details": {"reasoning_tokens": 3},
    "total_tokens": 12,
}
SEEN = UsageSeen(usage=Usage(input_total=7, output_total=5, cache_read=1, cache_write=2, reasoning=3))

SAID = {"id": "msg_1", "type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hello"}]}
THOUGHT = {
    "id": "rs_1",
    "type": "reasoning",
    "summary": [{"type": "summary_text", "text": "hm"}],
    "encrypted_content": "s",
}
CALLS = {"id": "fc_1", "type": "function_call", "call_id": "c", "name": "f", "arguments": '{"a":1}'}


def response(status: str = "completed", output: Any = (), **fields: Any) -> dict[str, Any]:
    found = {"id": "resp_1", "object": "response", "model": "m", "status": status, "output": list(output)}
    return {**found, "error": None, "usage": COUNTS if status in ("completed", "incomplete") else None, **fields}


def event(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": f"response.{kind}", **fields}


def end(status: str = "completed", output: Any = (), **fields: Any) -> dict[str, Any]:
    return event(status, response=response(status, output, **fields))


BEGIN = (event("created", response=response("in_progress")), event("in_progress", response=response("in_progress")))


def sse(*documents: Any) -> bytes:
    found = ""
    for one in documents:
        found += f"event: {one.get('type', 'message')}\ndata: {json.dumps(one, ensure_ascii=False)}\n\n"
    return found.encode()


def decoded(body: bytes, streaming: bool = True, max_bytes: int = 1 << 20) -> list[Event]:
    decoder = Decoder(streaming, max_bytes)
    events = decoder.feed(body, True)
    assert decoder.complete
    return events


def after(*documents: Any) -> list[Event]:
    """Return what documents that follow the beginning of a stream tell."""
    events = decoded(sse(*BEGIN, *documents))
    assert events[0] == START
    return events[1:]


def added(item: dict[str, Any], index: int = 0) -> dict[str, Any]:
    empty = {name: [] if isinstance(value, list) else value for name, value in item.items()}
    if "arguments" in empty:
        empty["arguments"] = ""
    empty.pop("encrypted_content", None)
    return event("output_item.added", output_index=index, item=empty)


def done(item: dict[str, Any], index: int = 0) -> dict[str, Any]:
    return event("output_item.done", output_index=index, item=item)


def piece(kind: str, item: dict[str, Any], text: str, index: int = 0, **fields: Any) -> dict[str, Any]:
    return event(f"{kind}.delta", item_id=item["id"], output_index=index, delta=text, **fields)


TEXT_TURN = sse(
    *BEGIN,
    added(SAID),
    event(
        "content_part.added", item_id="msg_1", output_index=0, content_index=0, part={"type": "output_text", "text": ""}
    ),
    piece("output_text", SAID, "Hé", content_index=0, logprobs=[]),
    piece("output_text", SAID, "llo", content_index=0, logprobs=[]),
    event("output_text.done", item_id="msg_1", output_index=0, content_index=0, text="Héllo"),
    event(
        "content_part.done",
        item_id="msg_1",
        output_index=0,
        content_index=0,
        part={"type": "output_text", "text": "Héllo"},
    ),
    done({**SAID, "content": [{"type": "output_text", "text": "Héllo"}]}),
    end(output=[{**SAID, "content": [{"type": "output_text", "text": "Héllo"}]}]),
)
TEXT_EVENTS = [START, BlockOpen(kind=TEXT), TextDelta(text="Hé"), TextDelta(text="llo"), BlockClose(), SEEN, STOP]

AGENT_TURN = sse(
    *BEGIN,
    added(THOUGHT),
    piece("reasoning_summary_text", THOUGHT, "hm", summary_index=0),
    event("reasoning_summary_text.done", item_id="rs_1", output_index=0, summary_index=0, text="hm"),
    done(THOUGHT),
    added(CALLS, 1),
    piece("function_call_arguments", CALLS, '{"a"', 1),
    piece("function_call_arguments", CALLS, ":1}", 1),
    event("function_call_arguments.done", item_id="fc_1", output_index=1, arguments='{"a":1}'),
    done(CALLS, 1),
    end(output=[THOUGHT, CALLS]),
)
SEAL = Signature(data="openai-responses-v1:s")
CALL_EVENTS = [
    BlockOpen(kind=CALL, index=1, tool_id="c", tool_name="f"),
    ToolArgs(fragment='{"a"', index=1),
    ToolArgs(fragment=":1}", index=1),
    BlockClose(index=1),
    SEEN,
    CALLED,
]
THOUGHT_EVENTS = [BlockOpen(kind=REASONING), ReasoningDelta(text="hm"), SEAL, BlockClose()]

NAMELESS = {"type": "function_call", "call_id": "fc_9", "name": "f", "arguments": ""}
LLAMA_TURN = sse(
    *(
        event(kind, response={"id": "resp_1", "object": "response", "status": "in_progress"})
        for kind in ("created", "in_progress")
    ),
    event(
        "output_item.added",
        item={"id": "rs_1", "summary": [], "type": "reasoning", "content": [], "encrypted_content": ""},
    ),
    event("reasoning_text.delta", delta="hm", item_id="rs_1"),
    event(
        "output_item.done",
        item={
            "id": "rs_1",
            "type": "reasoning",
            "summary": [],
            "content": [{"type": "reasoning_text", "text": "hm"}],
            "encrypted_content": "",
        },
    ),
    event(
        "output_item.added",
        item={"content": [], "id": "msg_1", "role": "assistant", "status": "in_progress", "type": "message"},
    ),
    event("content_part.added", item_id="msg_1", part={"type": "output_text", "text": ""}),
    event("output_text.delta", item_id="msg_1", delta="hi"),
    event("output_text.done", item_id="msg_1", text="hi"),
    event("output_item.added", item=NAMELESS),
    event("function_call_arguments.delta", delta="{}", item_id="fc_9"),
    event("function_call_arguments.done", item={}),
    event("output_item.done", item={**NAMELESS, "arguments": "{}"}),
    event(
        "completed",
        response={
            "id": "resp_1",
            "status": "completed",
            "model": "m",
            "output": [
                {"id": "msg_1", "type": "message", "content": [{"type": "output_text", "text": "hi"}]},
                {**NAMELESS, "arguments": "{}"},
            ],
            "usage": {"input_tokens": 7, "output_tokens": 5},
        },
    ),
)
LLAMA_EVENTS = [
    Start(id="resp_1"),
    BlockOpen(kind=REASONING),
    ReasoningDelta(text="hm"),
    BlockClose(),
    BlockOpen(kind=TEXT, index=1),
    TextDelta(text="hi", index=1),
    BlockOpen(kind=CALL, index=2, tool_id="fc_9", tool_name="f"),
    ToolArgs(fragment="{}", index=2),
    BlockClose(index=2),
    BlockClose(index=1),
    UsageSeen(usage=Usage(input_total=7, output_total=5)),
    CALLED,
]

SAMPLES = [
    (TEXT_TURN, TEXT_EVENTS),
    (TEXT_TURN.replace(b"\n", b"\r\n"), TEXT_EVENTS),
    (TEXT_TURN.replace(b"\n", b"\r"), TEXT_EVENTS),
    (b"\xef\xbb\xbf: hello\n\n" + TEXT_TURN + b"data: [DONE]\n\n", TEXT_EVENTS),
    (TEXT_TURN.rstrip(), TEXT_EVENTS),
    (AGENT_TURN, [START, *THOUGHT_EVENTS, *CALL_EVENTS]),
    (LLAMA_TURN, LLAMA_EVENTS),
]


@pytest.mark.parametrize(("body", "events"), SAMPLES)
def test_a_stream_is_read_whole_byte_by_byte_and_split_at_each_position(body, events):
    assert decoded(body) == events
    decoder = Decoder(True, 1 << 20)
    one_by_one = [event for at in range(len(body)) for event in decoder.feed(body[at : at + 1], False)]
    assert one_by_one + decoder.feed(b"", True) == events
    for at in range(len(body)):
        decoder = Decoder(True, 1 << 20)
        assert decoder.feed(body[:at], False) + decoder.feed(body[at:], True) == events


def test_a_stream_without_names_is_read_by_its_types_and_one_without_types_by_its_names():
    unnamed = b"".join(line + b"\n" for line in TEXT_TURN.splitlines() if not line.startswith(b"event:"))
    assert decoded(unnamed) == TEXT_EVENTS
    lines = [json.loads(line[6:]) for line in TEXT_TURN.splitlines() if line.startswith(b"data:")]
    named = "".join(f"event: {one.pop('type')}\ndata: {json.dumps(one)}\n\n" for one in lines).encode()
    assert decoded(named) == TEXT_EVENTS


@pytest.mark.parametrize("body", [TEXT_TURN, AGENT_TURN, LLAMA_TURN])
def test_a_stream_cut_anywhere_before_its_end_is_no_answer(body):
    last = body.rindex(b"event: ")
    for at in range(0, last + 60, 7):
        decoder = Decoder(True, 1 << 20)
        with pytest.raises(UpstreamError) as raised:
            decoder.feed(body[:at], True)
        assert (raised.value.code, decoder.complete) == ("upstream_truncated", False)


# --- documents ----------------------------------------------------------------------------------------------

DOCUMENT = response(output=[THOUGHT, SAID, CALLS])
DOCUMENT_EVENTS = [
    START,
    *THOUGHT_EVENTS,
    BlockOpen(kind=TEXT, index=1),
    TextDelta(text="Hello", index=1),
    BlockClose(index=1),
    BlockOpen(kind=CALL, index=2, tool_id="c", tool_name="f"),
    ToolArgs(fragment='{"a":1}', index=2),
    BlockClose(index=2),
    SEEN,
    CALLED,
]


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("before", [b"", b"\n\n  ", b"\xef\xbb\xbf"])
def test_a_document_is_read_wherever_it_is_cut_also_where_a_stream_was_asked_for(streaming, before):
    body = before + json.dumps(DOCUMENT).encode()
    assert decoded(body, streaming) == DOCUMENT_EVENTS
    for at in range(len(body)):
        decoder = Decoder(streaming, 1 << 20)
        assert decoder.feed(body[:at], False) == []
        assert decoder.feed(body[at:], True) == DOCUMENT_EVENTS


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"x",
        b"{}",
        json.dumps(response("in_progress")).encode(),
        b'{"status":"queued"}',
        b'{"status":1}',
    ],
)
def test_what_is_no_answer_is_an_error(body):
    with pytest.raises(UpstreamError) as raised:
        Decoder(False, 1000).feed(body, True)
    assert raised.value.code == "upstream_invalid_response"


# --- how it ends --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("details", "kind", "reason"),
    [
        ({"reason": "max_output_tokens"}, FinishKind.LENGTH, "max_output_tokens"),
        ({"reason": "content_filter"}, FinishKind.CONTENT_FILTER, "content_filter"),
        ({"reason": "steered"}, FinishKind.ERROR, "steered"),
        (None, FinishKind.PAUSE, "incomplete"),
    ],
)
def test_an_incomplete_answer_says_why(details, kind, reason):
    assert after(end("incomplete", incomplete_details=details)) == [SEEN, Finish(kind=kind, reason=reason)]
    body = json.dumps(response("incomplete", incomplete_details=details)).encode()
    assert decoded(body, False)[-1] == Finish(kind=kind, reason=reason)


@pytest.mark.parametrize(
    ("told", "error"),
    [
        (
            {"type": "error", "code": "rate_limit_exceeded", "message": "Try again in 2s.", "param": None},
            StreamError(
                kind="rate_limit", message="Try again in 2s.", code="rate_limit_exceeded", status=429, retry_after_s=2
            ),
        ),
        (
            {"type": "error", "error": {"type": "invalid_request_error", "code": None, "message": "no"}},
            StreamError(kind="bad_request", message="no", code="invalid_request_error", status=400),
        ),
        (
            {"error": {"code": "context_length_exceeded", "message": "long"}},
            StreamError(kind="context_too_long", message="long", code="context_length_exceeded", status=400),
        ),
        (
            {"error": "gone"},
            StreamError(kind="upstream_error", message="gone", code="provider_error", status=502),
        ),
        (
            {"error": ["gone"]},
            StreamError(
                kind="upstream_error",
                message="The provider answered with status 502.",
                code="provider_error",
                status=502,
            ),
        ),
        (
            end("failed", error={"code": "server_error", "message": "oops"}),
            StreamError(kind="upstream_error", message="oops", code="server_error", status=502),
        ),
        (
            end("failed", error={"code": "insufficient_quota", "message": "pay"}),
            StreamError(kind="payment", message="pay", code="insufficient_quota", status=429),
        ),
        (
            end("failed"),
            StreamError(
                kind="upstream_error", message="The provider's answer was failed.", code="provider_error", status=502
            ),
        ),
        (
            end("cancelled"),
            StreamError(
                kind="upstream_error", message="The provider's answer was cancelled.", code="provider_error", status=502
            ),
        ),
    ],
)
def test_an_error_inside_a_stream_is_the_last_of_it(told, error):
    assert after(told, piece("output_text", SAID, "more"), end()) == [error]


def test_an_error_in_a_document_is_an_error():
    for body in ({"error": {"message": "no", "code": "c"}}, response("failed", error={"message": "no", "code": "c"})):
        (error,) = decoded(json.dumps(body).encode(), False)
        assert error == StreamError(kind="upstream_error", message="no", code="c", status=502)


def test_an_event_named_error_is_one_whatever_it_holds():
    assert decoded(b'event: error\ndata: {"message":"no"}\n\n') == [
        StreamError(kind="upstream_error", message="no", code="provider_error", status=502)
    ]


@pytest.mark.parametrize("usage", [None, {}, {"input_tokens": "x", "output_tokens": -1}])
def test_counts_that_are_none_do_not_break_an_answer(usage):
    assert after(end(usage=usage)) == [STOP]


def test_details_that_are_none_do_not_break_counts():
    usage: dict[str, Any] = {
        "input_tokens": 1,
        "output_tokens": None,
        "input_tokens_details": 1,
        "output_tokens_details": [],
    }
    assert after(end(usage=usage)) == [UsageSeen(usage=Usage(input_total=1)), STOP]


# --- what is left out ---------------------------------------------------------------------------------------


def test_an_answer_of_which_only_the_end_comes_is_read_from_there():
    assert decoded(sse(end(output=[THOUGHT, SAID, CALLS]))) == DOCUMENT_EVENTS


def test_items_that_come_at_once_are_read():
    assert after(done(THOUGHT), done(SAID, 1), done(CALLS, 2), end()) == DOCUMENT_EVENTS[1:]


def test_parts_that_come_at_once_are_read():
    assert after(
        added(SAID),
        event("output_text.done", item_id="msg_1", output_index=0, content_index=0, text="Hello"),
        added(CALLS, 1),
        event("function_call_arguments.done", item_id="fc_1", output_index=1, arguments="{}"),
        end(),
    ) == [
        BlockOpen(kind=TEXT),
        TextDelta(text="Hello"),
        BlockOpen(kind=CALL, index=1, tool_id="c", tool_name="f"),
        ToolArgs(fragment="{}", index=1),
        BlockClose(),
        BlockClose(index=1),
        SEEN,
        CALLED,
    ]


def test_a_piece_finds_its_item_by_place_or_as_the_last_of_its_type():
    by_place = event("output_text.delta", output_index=0, delta="a")
    by_type = event("output_text.delta", delta="b")
    assert after(added(SAID), by_place, by_type, end())[1:3] == [TextDelta(text="a"), TextDelta(text="b")]


def test_a_text_whose_item_was_not_told_has_one_all_the_same():
    assert after(event("output_text.delta", delta="a"), end()) == [
        BlockOpen(kind=TEXT),
        TextDelta(text="a"),
        BlockClose(),
        SEEN,
        STOP,
    ]
    other = event("output_text.delta", item_id="msg_2", delta="b")
    texts = [
        one for one in after(added(SAID), piece("output_text", SAID, "a"), other, end()) if isinstance(one, TextDelta)
    ]
    assert texts == [TextDelta(text="a"), TextDelta(text="b", index=1)]


def test_an_event_before_the_beginning_begins_the_answer():
    assert decoded(sse(added(SAID), *BEGIN, end()))[0] == Start()


def test_words_come_once_though_ids_differ_at_the_end():
    renamed = {**SAID, "id": "msg_9"}
    turn = after(added(SAID, 3), piece("output_text", SAID, "Hello", 3), end(output=[renamed]))
    assert [one for one in turn if isinstance(one, TextDelta)] == [TextDelta(text="Hello")]


def test_words_that_had_not_come_are_taken_from_the_end_though_ids_differ():
    renamed = {**SAID, "id": "msg_9"}
    turn = after(added(SAID, 3), end(output=[renamed]))
    assert [one for one in turn if isinstance(one, TextDelta)] == [TextDelta(text="Hello")]


def test_parts_of_a_message_are_blocks_and_refusals_are_told_from_texts():
    item = {
        **SAID,
        "content": [{"type": "output_text", "text": "a"}, {"type": "refusal", "refusal": "b"}, {"type": "x"}],
    }
    assert after(
        added(SAID),
        piece("output_text", SAID, "a", content_index=0),
        piece("refusal", SAID, "b", content_index=1),
        done(item),
        end(),
    ) == [
        BlockOpen(kind=TEXT),
        TextDelta(text="a"),
        BlockClose(),
        BlockOpen(kind=BlockKind.REFUSAL, index=1),
        TextDelta(text="b", index=1),
        BlockClose(index=1),
        SEEN,
        STOP,
    ]


def test_parts_of_a_thought_are_one_block_and_full_text_is_not_told_beside_its_summary():
    found = after(
        added(THOUGHT),
        piece("reasoning_summary_text", THOUGHT, "a", summary_index=0),
        piece("reasoning_text", THOUGHT, "all", content_index=0),
        piece("reasoning_summary_text", THOUGHT, "", summary_index=1),
        piece("reasoning_summary_text", THOUGHT, "b", summary_index=1),
        done({**THOUGHT, "encrypted_content": None}),
        end(),
    )
    assert found[:4] == [
        BlockOpen(kind=REASONING),
        ReasoningDelta(text="a"),
        ReasoningDelta(text="\n\nb"),
        BlockClose(),
    ]


def test_a_thought_of_which_only_the_seal_is_told_is_redacted():
    assert after(done({**THOUGHT, "summary": []}), end())[:3] == [BlockOpen(kind=REDACTED), SEAL, BlockClose()]


def test_items_of_hosted_tools_are_passed_over():
    search = {"id": "ws_1", "type": "web_search_call", "status": "completed"}
    found = after(added(search), event("web_search_call.searching", item_id="ws_1"), done(search), end(output=[search]))
    assert found == [SEEN, STOP]


def test_an_item_that_is_done_twice_is_told_once():
    assert after(done(SAID), done(SAID), end(output=[SAID]))[1:] == [TextDelta(text="Hello"), BlockClose(), SEEN, STOP]


# --- what cannot be read ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "told",
    [
        [1],
        {"type": 1},
        {"type": "response.created", "response": 1},
        event("output_item.added", item=1),
        event("output_item.added", item={"type": 1}),
        event("output_item.added", item={"type": "message", "id": 1}),
        event("output_item.added", item={"type": "function_call", "id": "x"}),
        event("output_item.added", output_index="x", item={"type": "message"}),
        event("output_item.added", output_index=True, item={"type": "message"}),
        event("output_item.done", item={"type": "message", "content": 1}),
        event("output_item.done", item={"type": "message", "content": [{"type": 1}]}),
        event("output_item.done", item={"type": "message", "content": [{"type": "refusal", "refusal": 1}]}),
        event("output_item.done", item={"type": "reasoning", "summary": [1]}),
        event("output_item.done", item={"type": "reasoning", "encrypted_content": 1}),
        event("output_item.done", item={"type": "function_call", "name": "f", "arguments": {}}),
        event("output_text.delta", item_id=1, delta="a"),
        event("output_text.delta", delta=1),
        event("output_text.delta", content_index="x", delta="a"),
        event("function_call_arguments.delta", item_id="fc_9", delta="{}"),
        event("function_call_arguments.delta", delta="{}"),
        event("function_call_arguments.delta", item_id="msg_1", delta="{}"),
        event("completed", response={"output": [1]}),
        event("completed", response={"output": [{"type": 1}]}),
        event("completed", response={"usage": 1}),
        event("incomplete", response={"incomplete_details": {"reason": 1}}),
        event("incomplete", response={"incomplete_details": 1}),
    ],
)
def test_what_is_not_as_it_has_to_be_is_an_error(told):
    body = sse(*BEGIN, added(SAID)) + b"data: " + json.dumps(told).encode() + b"\n\n" + sse(end())
    with pytest.raises(UpstreamError) as raised:
        decoded(body)
    assert raised.value.code == "upstream_invalid_response"


def test_an_event_that_is_not_json_is_an_error():
    with pytest.raises(UpstreamError) as raised:
        decoded(b"data: {\n\n" + TEXT_TURN)
    assert raised.value.code == "upstream_invalid_response"


def test_an_answer_is_bounded():
    for body, streaming in ((TEXT_TURN, True), (json.dumps(DOCUMENT).encode(), False)):
        with pytest.raises(UpstreamError) as raised:
            decoded(body, streaming, 100)
        assert raised.value.code == "answer_too_large"


@pytest.mark.parametrize(
    "told",
    [
        (done({"type": "web_search_call", "id": f"w{number}"}, number) for number in range(MAX_BLOCKS + 1)),
        (piece("reasoning_summary_text", {"id": "r"}, "a", summary_index=number) for number in range(MAX_BLOCKS + 1)),
    ],
    ids=["items", "parts"],
)
def test_there_may_not_be_any_number_of_parts(told):
    with pytest.raises(UpstreamError) as raised:
        decoded(sse(*told))
    assert raised.value.code == "answer_too_large"


# --- round trips --------------------------------------------------------------------------------------------

WORDS = st.text(min_size=1, max_size=5)
BLOCKS = st.lists(
    st.tuples(st.just(TEXT), WORDS)
    | st.tuples(st.just(BlockKind.REFUSAL), WORDS)
    | st.tuples(st.just(REASONING), WORDS)
    | st.tuples(st.just(CALL), st.just('{"a":1}')),
    max_size=5,
)


def written(blocks: list[tuple[BlockKind, str]], stream: bool) -> bytes:
    encoder = ResponsesDialect().encoder(
        Asked(
            id="x",
            model="m",
            endpoint="responses",
            stream=stream,
            wants_usage=True,
            at=0.0,
            elapsed_s=float,
            request=Conversation(),
        )
    )
    body: bytes = b""
    for number, (kind, words) in enumerate(blocks):
        tool_id, name = (f"c{number}", "f") if kind is CALL else (None, None)
        delta = {
            CALL: ToolArgs(fragment=words, index=number),
            REASONING: ReasoningDelta(text=words, index=number),
        }.get(kind, TextDelta(text=words, index=number))
        opened = BlockOpen(kind=kind, index=number, tool_id=tool_id, tool_name=name)
        body += encoder.write([opened, delta, BlockClose(index=number)])
    body += encoder.write([Finish(kind=FinishKind.STOP)]) + encoder.end()
    return body


@given(BLOCKS, st.booleans(), st.integers(1, 200))
def test_what_the_encoder_writes_the_decoder_reads(blocks, stream, size):
    body = written(blocks, stream)
    decoder = Decoder(stream, 1 << 20)
    events = [one for at in range(0, len(body), size) for one in decoder.feed(body[at : at + size], False)]
    events += decoder.feed(b"", True)
    opened = {one.index: one.kind for one in events if isinstance(one, BlockOpen)}
    words = dict.fromkeys(opened, "")
    for one in events:
        if isinstance(one, (TextDelta, ReasoningDelta)):
            words[one.index] += one.text
        elif isinstance(one, ToolArgs):
            words[one.index] += one.fragment
    assert [(opened[number], words[number]) for number in opened] == blocks
    assert isinstance(events[-1], Finish)
    assert events[-1].kind is (FinishKind.TOOL_CALLS if CALL in opened.values() else FinishKind.STOP)


@given(
    st.binary(max_size=60)
    | st.sampled_from([TEXT_TURN, AGENT_TURN, LLAMA_TURN]).flatmap(
        lambda body: st.integers(0, len(body) - 1).map(lambda at: body[:at] + b"\x00" + body[at + 1 :])
    ),
    st.booleans(),
)
def test_nothing_but_an_upstream_error_is_raised_whatever_a_provider_sends(body, streaming):
    with contextlib.suppress(UpstreamError):
        Decoder(streaming, 1 << 16).feed(body, True)
