"""Block events written as Gemini's answers: events, lists and documents that its clients can read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netrunner.dialects.conversation import Asked, Conversation, Embedding, Thinking
from netrunner.dialects.gemini.dialect import GeminiDialect
from netrunner.errors import InternalError, Overloaded, UpstreamError
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
    TextDelta,
    ToolArgs,
    UsageSeen,
    Vectors,
)
from netrunner.values import Usage

GEMINI = GeminiDialect()
SHOWN = Thinking(shown=True)
STOP = Finish(kind=FinishKind.STOP)
SEAL = "google-gemini-v1:AAAA"
HEAD = {"modelVersion": "alias", "responseId": "id-1"}


def encoder(stream: bool = True, query: bytes = b"alt=sse", request: Any = None, thinking: Any = SHOWN) -> Any:
    action = "streamGenerateContent" if stream else "generateContent"
    asked = Asked(
        id="id-1",
        model="alias",
        endpoint=f"models/alias:{action}",
        stream=stream,
        wants_usage=True,
        at=0.0,
        elapsed_s=lambda: 0.0,
        query=query,
        request=request or Conversation(thinking=thinking),
    )
    return GEMINI.encoder(asked)


def streamed(*events: Event, thinking: Any = SHOWN) -> list[dict[str, Any]]:
    """Return the documents of a stream in which every event is written for itself."""
    writer = encoder(thinking=thinking)
    data = b"".join(writer.write([event]) for event in events) + writer.end()
    assert data.endswith(b"}\n\n")
    lines = data.split(b"\n\n")[:-1]
    assert all(line.startswith(b"data: {") and b"\n" not in line for line in lines)
    return [json.loads(line[6:]) for line in lines]


def whole(*events: Event, thinking: Any = SHOWN) -> dict[str, Any]:
    writer = encoder(stream=False, thinking=thinking)
    assert writer.write(events) == b""
    found: dict[str, Any] = json.loads(writer.end())
    return found


def said(documents: Sequence[dict[str, Any]], choice: int = 0) -> list[Any]:
    """Return the parts that a choice said, over all documents."""
    return [
        part
        for document in documents
        for candidate in document["candidates"]
        if candidate["index"] == choice
        for part in candidate["content"]["parts"]
    ]


def call(index: int, *fragments: str, id: str | None = "c1", name: str | None = "get") -> list[Event]:
    opened = BlockOpen(kind=BlockKind.TOOL_CALL, index=index, tool_id=id, tool_name=name)
    return [opened, *[ToolArgs(fragment=one, index=index) for one in fragments], BlockClose(index=index)]


def test_a_text_is_streamed_and_the_end_tells_finish_and_counts():
    usage = Usage(input_total=10, output_total=7, cache_read=4, reasoning=2)
    assert streamed(
        Start(id="x", model="y"), TextDelta(text="Hé"), TextDelta(text="llo"), STOP, UsageSeen(usage=usage)
    ) == [
        {"candidates": [{"content": {"parts": [{"text": "Hé"}], "role": "model"}, "index": 0}], **HEAD},
        {"candidates": [{"content": {"parts": [{"text": "llo"}], "role": "model"}, "index": 0}], **HEAD},
        {
            "candidates": [{"content": {"parts": [{"text": ""}], "role": "model"}, "index": 0, "finishReason": "STOP"}],
            "usageMetadata": {
                "promptTokenCount": 10,
                "cachedContentTokenCount": 4,
                "candidatesTokenCount": 5,
                "thoughtsTokenCount": 2,
                "totalTokenCount": 17,
            },
            **HEAD,
        },
    ]


def test_an_answer_that_is_no_stream_is_one_document():
    assert whole(TextDelta(text="Hé"), TextDelta(text="llo"), STOP) == {
        "candidates": [
            {"content": {"parts": [{"text": "Héllo"}], "role": "model"}, "index": 0, "finishReason": "STOP"}
        ],
        "usageMetadata": {},
        **HEAD,
    }


def test_counts_that_a_provider_never_told_are_not_invented():
    assert whole(STOP)["usageMetadata"] == {}
    assert whole(STOP, UsageSeen(usage=Usage(output_total=3)))["usageMetadata"] == {
        "candidatesTokenCount": 3,
        "totalTokenCount": 3,
    }
    assert whole(STOP, UsageSeen(usage=Usage(input_total=3)))["usageMetadata"]["promptTokenCount"] == 3


def test_a_call_is_written_once_it_is_whole():
    documents = streamed(*call(0, '{"a"', ":[1,\n2]}"), *call(1, id=None), STOP)
    assert len(documents) == 3
    assert said(documents)[:2] == [
        {"functionCall": {"id": "c1", "name": "get", "args": {"a": [1, 2]}}},
        {"functionCall": {"name": "get", "args": {}}},
    ]


def test_parallel_calls_that_come_interleaved_are_told_apart():
    opened = [BlockOpen(kind=BlockKind.TOOL_CALL, index=n, tool_id=f"c{n}", tool_name="get") for n in (0, 1)]
    pieces = [
        ToolArgs(fragment='{"a":'),
        ToolArgs(fragment='{"b":', index=1),
        ToolArgs(fragment="1}"),
        ToolArgs(fragment="2}", index=1),
    ]
    parts = said(streamed(opened[0], pieces[0], opened[1], *pieces[1:], STOP))
    assert [part["functionCall"]["args"] for part in parts[:2]] == [{"a": 1}, {"b": 2}]


def test_a_call_without_a_name_is_still_one():
    assert said([whole(*call(0, name=None), STOP)])[0]["functionCall"]["name"] == ""


@pytest.mark.parametrize("arguments", ["{", "[1]", '"x"', "[" * 5000])
def test_arguments_that_are_no_object_are_an_error(arguments):
    writer = encoder()
    with pytest.raises(UpstreamError) as caught:
        writer.write(call(0, arguments))
    assert caught.value.code == "upstream_invalid_response"


def test_a_signature_of_a_call_stands_on_its_part():
    signed = [*call(0)[:1], Signature(data=SEAL), BlockClose()]
    assert said([whole(*signed, STOP)]) == [
        {"functionCall": {"id": "c1", "name": "get", "args": {}}, "thoughtSignature": "AAAA"}
    ]


THOUGHT = [
    BlockOpen(kind=BlockKind.REASONING),
    ReasoningDelta(text="h"),
    ReasoningDelta(text="m"),
    Signature(data="anthropic-claude-v1:x"),
    BlockClose(),
    TextDelta(text="a", index=1),
]
SEALED = {"text": "", "thought": True, "thoughtSignature": "YW50aHJvcGljLWNsYXVkZS12MTp4"}


def test_thoughts_are_shown_to_who_asked_for_them_and_seals_to_all():
    assert said([whole(*THOUGHT, STOP)]) == [{"text": "hm", "thought": True}, SEALED, {"text": "a"}]
    for thinking in (None, Thinking(True), Thinking(shown=False)):
        assert said([whole(*THOUGHT, STOP, thinking=thinking)]) == [SEALED, {"text": "a"}]


def test_reasoning_without_a_seal_leaves_nothing_behind():
    assert said([whole(ReasoningDelta(text="hm"), STOP, thinking=None)]) == [{"text": ""}]


def test_redacted_reasoning_says_that_it_is():
    events = [BlockOpen(kind=BlockKind.REDACTED), Signature(data="anthropic-claude-v1:x"), BlockClose(), STOP]
    [part] = said([whole(*events)])
    assert part["thoughtSignature"] != SEALED["thoughtSignature"]


def test_a_refusal_is_text():
    assert said([whole(BlockOpen(kind=BlockKind.REFUSAL), TextDelta(text="no"), STOP)]) == [{"text": "no"}]


def test_choices_keep_their_numbers():
    documents = streamed(
        TextDelta(text="a"), TextDelta(text="b", choice=1), STOP, Finish(kind=FinishKind.LENGTH, choice=1)
    )
    assert (said(documents)[0], said(documents, 1)[0]) == ({"text": "a"}, {"text": "b"})
    assert [one["finishReason"] for one in documents[-1]["candidates"]] == ["STOP", "MAX_TOKENS"]


def test_a_choice_that_was_never_finished_has_no_reason():
    [first, second] = whole(TextDelta(text="a"), TextDelta(text="b", choice=1), STOP)["candidates"]
    assert ("finishReason" in first, "finishReason" in second) == (True, False)


@pytest.mark.parametrize(
    ("finish", "told"),
    [
        (Finish(kind=FinishKind.STOP_SEQUENCE, stop_sequence="x"), {"finishReason": "STOP"}),
        (Finish(kind=FinishKind.TOOL_CALLS, reason="tool_use"), {"finishReason": "STOP"}),
        (Finish(kind=FinishKind.CONTEXT_FULL, reason="model_length"), {"finishReason": "MAX_TOKENS"}),
        (Finish(kind=FinishKind.CONTENT_FILTER), {"finishReason": "SAFETY"}),
        (Finish(kind=FinishKind.CONTENT_FILTER, reason="RECITATION"), {"finishReason": "RECITATION"}),
        (
            Finish(kind=FinishKind.CONTENT_FILTER, reason="refusal"),
            {"finishReason": "SAFETY", "finishMessage": "refusal"},
        ),
        (
            Finish(kind=FinishKind.PAUSE, reason="pause_turn"),
            {"finishReason": "CONTINUATION", "finishMessage": "pause_turn"},
        ),
    ],
)
def test_every_finish_has_its_word(finish, told):
    [candidate] = whole(finish)["candidates"]
    assert {key: value for key, value in candidate.items() if key.startswith("finish")} == told


def test_an_error_is_never_told_as_a_finish():
    with pytest.raises(InternalError):
        encoder().write([Finish(kind=FinishKind.ERROR)])


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_without_a_finish_never_looks_complete(stream):
    writer = encoder(stream)
    writer.write([TextDelta(text="a")])
    with pytest.raises(UpstreamError) as caught:
        writer.end()
    assert caught.value.code == "upstream_truncated"


def test_a_keepalive_is_an_empty_line_and_never_the_first_thing():
    writer = encoder()
    assert writer.write([KeepAlive()]) == b""
    assert writer.write([TextDelta(text="a"), KeepAlive()]).startswith(b"data: ")
    assert writer.write([KeepAlive()]) == b"\n\n"
    assert writer.write([Start()]) == b""


def test_line_ends_of_other_kinds_are_escaped():
    assert "\u2028" not in encoder().write([TextDelta(text="a\u2028b")]).decode()


@pytest.mark.parametrize("query", [b"", b"alt=json", b"x=1", b"$alt=json"])
def test_without_alt_a_stream_is_a_list(query):
    writer = encoder(query=query)
    assert writer.content_type == b"application/json"
    data = writer.write([TextDelta(text="a")]) + GEMINI.keepalive("", "m", 0.0) + writer.write([TextDelta(text="b")])
    assert data.startswith(b"[{")
    documents = json.loads(data + writer.write([STOP]) + writer.end())
    assert [part["text"] for part in said(documents)] == ["a", "b", ""]


@pytest.mark.parametrize("query", [b"alt=sse", b"a=b&alt=SSE", b"%24alt=sse"])
def test_with_alt_it_is_a_stream_of_events(query):
    assert encoder(query=query).content_type == b"text/event-stream"
    assert encoder(stream=False, query=query).content_type == b"application/json"


def test_a_list_with_an_error_in_it_is_still_json():
    writer = encoder(query=b"")
    data = writer.write([TextDelta(text="a")]) + writer.error(Overloaded("no"))
    assert json.loads(data)[1]["error"]["status"] == "UNAVAILABLE"
    assert json.loads(encoder(query=b"").error(Overloaded("no")))[0]["error"]["code"] == 503
    assert encoder().error(Overloaded("no")) == GEMINI.error_event(Overloaded("no"))


EVENTS = st.one_of(
    st.builds(TextDelta, text=st.text(max_size=3), index=st.integers(0, 2), choice=st.integers(0, 1)),
    st.builds(ReasoningDelta, text=st.text(max_size=3), index=st.integers(0, 2)),
    st.builds(
        BlockOpen,
        kind=st.sampled_from(BlockKind),
        index=st.integers(0, 2),
        tool_id=st.just("c"),
        tool_name=st.just("f"),
    ),
    st.builds(BlockClose, index=st.integers(0, 2)),
    st.builds(UsageSeen, usage=st.builds(Usage, input_total=st.integers(0, 9))),
    st.just(STOP),
    st.just(KeepAlive()),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(EVENTS, max_size=12), st.sampled_from([b"", b"alt=sse"]))
def test_whatever_comes_the_answer_is_well_formed(events, query):
    writer = encoder(query=query)
    data = b"".join(writer.write([event]) for event in [*events, STOP]) + writer.end()
    if query:
        documents = [json.loads(block[6:]) for block in data.split(b"\n\n") if block]
    else:
        documents = json.loads(data)
    finishes = [candidate for one in documents for candidate in one["candidates"] if "finishReason" in candidate]
    assert finishes == [one for one in documents[-1]["candidates"] if "finishReason" in one]
    assert len(finishes) == 1


def test_what_is_written_is_read_again_as_the_same():
    decoder = GEMINI.decoder("models/m:streamGenerateContent", True, 1 << 20)
    events = [Start(), *THOUGHT, *call(2, '{"a":1}'), Finish(kind=FinishKind.TOOL_CALLS, reason="STOP")]
    writer = encoder()
    written = writer.write(events) + writer.end()
    read = decoder.feed(written, True)
    again = encoder()
    assert again.write(read) + again.end() == written


# --- embeddings ---------------------------------------------------------------------------------------------


def embedding(endpoint: str, *events: Event) -> Any:
    asked = Asked(
        id="1",
        model="m",
        endpoint=endpoint,
        stream=False,
        wants_usage=True,
        at=0.0,
        elapsed_s=lambda: 0.0,
        request=Embedding(inputs=("a",)),
    )
    writer = GEMINI.encoder(asked)
    assert writer.content_type == b"application/json"
    assert writer.write(list(events)) == b""
    return json.loads(writer.end())


def test_embeddings_have_the_form_of_their_endpoint():
    vectors = Vectors(vectors=[[0.5], [1.0]])
    assert embedding("models/m:embedContent", Start(), vectors) == {"embedding": {"values": [0.5]}}
    assert embedding("models/m:batchEmbedContents", vectors, UsageSeen(usage=Usage(input_total=3))) == {
        "embeddings": [{"values": [0.5]}, {"values": [1.0]}],
        "usageMetadata": {"promptTokenCount": 3},
    }


def test_no_embeddings_are_no_answer():
    with pytest.raises(UpstreamError):
        embedding("models/m:embedContent")
