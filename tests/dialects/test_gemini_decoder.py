"""Gemini's answers read as block events: whole, byte by byte, cut anywhere, and broken."""

from __future__ import annotations

import itertools
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netrunner.dialects.answers import MAX_BLOCKS
from netrunner.dialects.gemini.dialect import GeminiDialect
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
    Vectors,
)
from netrunner.values import Usage

GEMINI = GeminiDialect()
ASKED = "models/m:streamGenerateContent"
MAX = 1 << 20


def piece(*parts: Any, finish: str | None = None, index: int | None = None, **more: Any) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": list(parts), "role": "model"}, "finishReason": finish, "x": 1}
    if index is not None:
        candidate["index"] = index
    return {"candidates": [candidate], "modelVersion": "m-1", "responseId": "r1", **more}


def usage(**counts: int) -> dict[str, Any]:
    return {"usageMetadata": counts}


STREAM = [
    piece({"text": "hm", "thought": True}, **usage(promptTokenCount=3)),
    piece({"text": "H\xe9\U0001f600\u2028"}),
    piece({"text": 'llo } \\ " {'}),
    piece(
        {"functionCall": {"name": "get", "args": {"a": '}"{\\'}}, "thoughtSignature": "AAAA"},
        {"functionCall": {"id": "c2", "name": "put"}},
    ),
    piece(
        {"text": "", "thoughtSignature": "BBBB"},
        finish="STOP",
        **usage(promptTokenCount=3, toolUsePromptTokenCount=1, candidatesTokenCount=2, thoughtsTokenCount=5),
    ),
]


def sse(*documents: Any, end: bytes = b"\r\n\r\n") -> bytes:
    return b"".join(b"data: " + json.dumps(one, ensure_ascii=False).encode() + end for one in documents)


def listed(*documents: Any, indent: int | None = 2) -> bytes:
    return json.dumps(documents, indent=indent, ensure_ascii=False).encode()


def decode(*reads: bytes, streaming: bool = True, max_bytes: int = MAX) -> list[Event]:
    decoder = GEMINI.decoder(ASKED, streaming, max_bytes)
    events: list[Event] = []
    for data in reads:
        events += decoder.feed(data, False)
    events += decoder.feed(b"", True)
    assert decoder.complete
    return plain(events)


def plain(events: list[Event]) -> list[Event]:
    """Return events without what they came from."""
    return [msgspec.structs.replace(event, native=None) for event in events]


def failure(*reads: bytes, **more: Any) -> str:
    with pytest.raises(UpstreamError) as caught:
        decode(*reads, **more)
    return caught.value.code


def finish_of(*documents: Any) -> Finish:
    found = decode(sse(*documents))[-1]
    assert isinstance(found, Finish)
    return found


FRAMED = {
    "events": sse(*STREAM),
    "events with LF": b"\xef\xbb\xbf: hello\n\n" + sse(*STREAM, end=b"\n\n"),
    "events without the last blank line": sse(*STREAM).rstrip(b"\r\n"),
    "events with CR and other fields": b"id: 1\revent: x\rretry: 3\rodd: {\r" + sse(*STREAM, end=b"\r\r"),
    "events over several lines": b"".join(
        b"".join(b"data: " + line + b"\n" for line in json.dumps(one, indent=1).encode().split(b"\n")) + b"\n"
        for one in STREAM
    ),
    "events with a mark at their end": sse(*STREAM) + b"data: [DONE]\n\n",
    "a list": listed(*STREAM),
    "a list on one line": b" \n" + listed(*STREAM, indent=None) + b"\n",
    "documents in a row": b"".join(json.dumps(one).encode() for one in STREAM),
    "plain documents in a stream": b": x\n" + b"\n".join(json.dumps(one, indent=1).encode() for one in STREAM),
}


def test_an_answer_becomes_blocks_in_their_order():
    events = decode(FRAMED["events"])
    calls = [event for event in events if isinstance(event, BlockOpen) and event.kind is BlockKind.TOOL_CALL]
    made_up = calls[0].tool_id
    assert made_up is not None
    assert made_up.startswith("call_")
    assert events == [
        Start(id="r1", model="m-1"),
        BlockOpen(kind=BlockKind.REASONING, index=0),
        ReasoningDelta(text="hm", index=0),
        UsageSeen(usage=Usage(input_total=3)),
        BlockClose(index=0),
        BlockOpen(kind=BlockKind.TEXT, index=1),
        TextDelta(text="H\xe9\U0001f600\u2028", index=1),
        TextDelta(text='llo } \\ " {', index=1),
        BlockClose(index=1),
        BlockOpen(kind=BlockKind.TOOL_CALL, index=2, tool_id=made_up, tool_name="get"),
        Signature(data="google-gemini-v1:AAAA", index=2),
        ToolArgs(fragment='{"a":"}\\"{\\\\"}', index=2),
        BlockClose(index=2),
        BlockOpen(kind=BlockKind.TOOL_CALL, index=3, tool_id="c2", tool_name="put"),
        ToolArgs(fragment="{}", index=3),
        BlockClose(index=3),
        BlockOpen(kind=BlockKind.REASONING, index=4),
        Signature(data="google-gemini-v1:BBBB", index=4),
        BlockClose(index=4),
        UsageSeen(usage=Usage(input_total=4, output_total=7, reasoning=5)),
        Finish(kind=FinishKind.TOOL_CALLS, reason="STOP"),
    ]


@pytest.mark.parametrize("framed", FRAMED.values(), ids=FRAMED)
def test_every_framing_tells_the_same_however_it_is_cut(framed):
    expected = decode(FRAMED["events"])
    assert decode(framed) == expected
    assert decode(*[framed[at : at + 1] for at in range(len(framed))]) == expected
    for at in range(0, len(framed), 3):
        assert decode(framed[:at], framed[at:], streaming=False) == expected


WHOLE = json.dumps(piece({"text": "a"}, finish="STOP", **usage(promptTokenCount=3)), indent=1).encode()


@pytest.mark.parametrize("framed", [*FRAMED.values(), WHOLE], ids=[*FRAMED, "one document"])
def test_an_answer_whose_last_read_holds_all_or_most_of_it_tells_the_same(framed):
    expected = decode(framed)
    for at in (0, 1, len(framed) // 2):
        decoder = GEMINI.decoder(ASKED, False, MAX)
        assert plain(decoder.feed(framed[:at], False) + decoder.feed(framed[at:], True)) == expected
        assert decoder.complete


def test_a_document_that_comes_at_once_may_be_no_larger_than_others():
    assert GEMINI.decoder(ASKED, False, len(WHOLE)).feed(WHOLE, True)
    with pytest.raises(UpstreamError) as caught:
        GEMINI.decoder(ASKED, False, len(WHOLE) - 1).feed(WHOLE, True)
    assert caught.value.code == "answer_too_large"


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, len(FRAMED["a list"])), max_size=5))
def test_a_list_may_be_cut_anywhere(cuts):
    framed, places = FRAMED["a list"], sorted({0, len(FRAMED["a list"]), *cuts})
    assert decode(*[framed[a:b] for a, b in itertools.pairwise(places)]) == decode(FRAMED["events"])


@pytest.mark.parametrize("name", ["events", "a list", "documents in a row"])
def test_an_answer_that_is_cut_is_never_complete(name):
    framed = FRAMED[name].rstrip()
    for at in range(0, len(framed) - 1, 7):
        assert failure(framed[:at]) in ("upstream_truncated", "upstream_invalid_response")


def test_an_answer_that_ends_after_any_event_is_cut():
    for count in range(len(STREAM)):
        assert failure(sse(*STREAM[:count])) == "upstream_truncated"
        assert failure(listed(*STREAM[:count])) == "upstream_truncated"


def test_a_stream_that_goes_on_after_its_finish_must_still_be_whole():
    assert failure(sse(piece(finish="STOP")) + b'data: {"usa') == "upstream_truncated"
    assert failure(b"[" + json.dumps(piece(finish="STOP")).encode()) == "upstream_truncated"
    assert failure(b"\xef\xbb") == "upstream_truncated"


def test_older_models_say_stop_with_every_piece():
    texts = [piece({"text": text, "odd": 1}, finish="STOP") for text in "ab"]
    assert decode(sse(*texts))[1:] == [
        BlockOpen(kind=BlockKind.TEXT),
        TextDelta(text="a"),
        TextDelta(text="b"),
        BlockClose(),
        Finish(kind=FinishKind.STOP, reason="STOP"),
    ]


def test_candidates_are_told_apart():
    both = {"candidates": [{"content": {"parts": [{"text": "a"}]}}, {"content": {"parts": [{"text": "b"}]}}]}
    events = decode(sse(both, piece(finish="STOP", index=1), piece(finish="MAX_TOKENS", index=0)))
    assert [event for event in events if isinstance(event, (TextDelta, Finish))] == [
        TextDelta(text="a"),
        TextDelta(text="b", choice=1),
        Finish(kind=FinishKind.LENGTH, reason="MAX_TOKENS"),
        Finish(kind=FinishKind.STOP, reason="STOP", choice=1),
    ]
    assert failure(sse(both, piece(finish="STOP", index=1))) == "upstream_truncated"


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("STOP", FinishKind.STOP),
        ("FUNCTION_CALL", FinishKind.STOP),
        ("MAX_TOKENS", FinishKind.LENGTH),
        *[
            (reason, FinishKind.CONTENT_FILTER)
            for reason in (
                "SAFETY",
                "RECITATION",
                "LANGUAGE",
                "BLOCKLIST",
                "PROHIBITED_CONTENT",
                "SPII",
                "MODEL_ARMOR",
                "IMAGE_SAFETY",
                "IMAGE_PROHIBITED_CONTENT",
                "IMAGE_RECITATION",
                "IMAGE_OTHER",
            )
        ],
        ("CONTINUATION", FinishKind.PAUSE),
        *[
            (reason, FinishKind.ERROR)
            for reason in (
                "OTHER",
                "MALFORMED_FUNCTION_CALL",
                "MALFORMED_RESPONSE",
                "UNEXPECTED_TOOL_CALL",
                "TOO_MANY_TOOL_CALLS",
                "MISSING_THOUGHT_SIGNATURE",
                "NO_IMAGE",
                "ESCALATION",
                "NEW_ONE",
            )
        ],
    ],
)
def test_every_finish_reason_means_something(reason, kind):
    assert finish_of(piece({"text": "x"}, finish=reason)) == Finish(kind=kind, reason=reason)


def test_a_reason_that_is_none_finishes_nothing():
    assert failure(sse(piece({"text": "x"}, finish="FINISH_REASON_UNSPECIFIED"))) == "upstream_truncated"


def test_a_call_before_a_limit_is_no_finished_call():
    assert finish_of(piece({"functionCall": {"name": "x"}}, finish="MAX_TOKENS")).kind is FinishKind.LENGTH


def test_a_blocked_prompt_is_a_content_filter_without_text():
    events = decode(sse({"promptFeedback": {"blockReason": "SAFETY"}, **usage(promptTokenCount=4)}))
    assert events[1:] == [
        UsageSeen(usage=Usage(input_total=4)),
        Finish(kind=FinishKind.CONTENT_FILTER, reason="SAFETY"),
    ]
    assert finish_of({"promptFeedback": {"blockReason": "OTHER"}}).kind is FinishKind.CONTENT_FILTER
    assert failure(sse({"promptFeedback": {"blockReason": "BLOCK_REASON_UNSPECIFIED"}})) == "upstream_truncated"
    assert failure(sse(usage(promptTokenCount=4))) == "upstream_truncated"


def test_a_signed_thought_ends_its_block():
    signed = {"text": "a", "thought": True, "thoughtSignature": "AA=="}
    events = decode(sse(piece(signed, {"text": "b", "thought": True}, {"thought": True, "text": ""}, finish="STOP")))
    assert events[1:-1] == [
        BlockOpen(kind=BlockKind.REASONING),
        ReasoningDelta(text="a"),
        Signature(data="google-gemini-v1:AA=="),
        BlockClose(),
        BlockOpen(kind=BlockKind.REASONING, index=1),
        ReasoningDelta(text="b", index=1),
        BlockClose(index=1),
    ]


def test_a_signed_text_has_a_block_for_the_seal_before_it():
    events = decode(sse(piece({"text": "a"}), piece({"text": "b", "thoughtSignature": "AA=="}, finish="STOP")))
    assert [type(event) for event in events[1:]] == [
        BlockOpen,
        TextDelta,
        BlockClose,
        BlockOpen,
        Signature,
        BlockClose,
        BlockOpen,
        TextDelta,
        BlockClose,
        Finish,
    ]


@pytest.mark.parametrize(
    ("part", "kind"),
    [
        ({"inlineData": {"mimeType": "image/png", "data": "AA"}}, BlockKind.IMAGE),
        ({"inlineData": {"mimeType": "audio/wav", "data": "AA"}}, BlockKind.AUDIO),
        ({"executableCode": {"code": "1"}}, BlockKind.OPAQUE),
    ],
)
def test_what_is_no_text_is_a_block_of_its_own(part, kind):
    assert decode(sse(piece(part, {}, finish="STOP")))[1:3] == [BlockOpen(kind=kind), BlockClose()]


def test_counts_are_canonical():
    counts = {
        "promptTokenCount": 10,
        "cachedContentTokenCount": 4,
        "toolUsePromptTokenCount": 2,
        "candidatesTokenCount": 5,
        "thoughtsTokenCount": 3,
        "totalTokenCount": 20,
        "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 6}, 1],
        "candidatesTokensDetails": [{"modality": "AUDIO"}, {"modality": "TEXT", "tokenCount": 5}],
    }
    [_, seen, _] = decode(sse(piece(finish="STOP", usageMetadata=counts)))
    assert seen == UsageSeen(usage=Usage(input_total=12, output_total=8, cache_read=4, reasoning=3, audio=6))
    odd = {"promptTokenCount": "x", "promptTokensDetails": 1, "candidatesTokenCount": 5}
    [_, seen, _] = decode(sse(piece(finish="STOP", usageMetadata=odd)))
    assert seen == UsageSeen(usage=Usage(output_total=5))


# --- errors -------------------------------------------------------------------------------------------------

ERROR = {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}


@pytest.mark.parametrize(
    "told",
    [
        json.dumps(ERROR, indent=2).encode(),
        json.dumps([ERROR], indent=2).encode(),
        json.dumps(ERROR).encode() + b"\n\n" + sse(*STREAM),
        sse(ERROR),
    ],
)
def test_an_error_in_the_middle_of_a_stream_is_found(told):
    events = decode(sse(STREAM[1]) + told)
    assert events[-1] == StreamError(
        kind="overloaded", message="The model is overloaded.", code="UNAVAILABLE", status=503
    )
    assert not any(isinstance(event, Finish) for event in events)


def test_nothing_follows_an_error():
    decoder = GEMINI.decoder(ASKED, True, MAX)
    [error] = decoder.feed(sse(ERROR, *STREAM), False)
    assert isinstance(error, StreamError)
    assert decoder.feed(sse(*STREAM), False) == []
    assert decoder.feed(b"", True) == []


def test_an_error_is_found_in_a_list_and_in_a_document():
    assert decode(listed(STREAM[1], ERROR))[-1:] == decode(json.dumps(ERROR).encode())


def test_an_error_without_a_shape_is_one_all_the_same():
    assert decode(sse({"error": "no"})) == [StreamError(kind="upstream_error", message="no")]


def test_an_error_that_is_cut_is_a_truncation():
    assert failure(sse(STREAM[1]) + b'{\n "error": {\n') == "upstream_truncated"


@pytest.mark.parametrize(
    "document",
    [
        [],
        {"candidates": 1},
        {"candidates": [1]},
        {"candidates": [{"index": "x"}]},
        {"candidates": [{"index": -1}]},
        {"candidates": [{"content": 1}]},
        {"candidates": [{"content": {"parts": {}}}]},
        {"candidates": [{"content": {"parts": [1]}}]},
        {"candidates": [{"finishReason": 1}]},
        {"responseId": 1},
        {"modelVersion": 1},
        {"promptFeedback": 1},
        {"promptFeedback": {"blockReason": 1}},
        {"usageMetadata": 1},
        piece({"text": 1}),
        piece({"text": "x", "thoughtSignature": 1}),
        piece({"inlineData": 1}),
        piece({"functionCall": 1}),
        piece({"functionCall": {}}),
        piece({"functionCall": {"name": "x", "args": []}}),
        piece({"functionCall": {"name": "x", "id": 1}}),
        piece({"functionCall": {"name": "x", "partialArgs": []}}),
    ],
)
def test_a_wrong_type_anywhere_is_an_error(document):
    assert failure(sse(document, piece(finish="STOP"))) == "upstream_invalid_response"


@pytest.mark.parametrize(
    "data", [b"data: {\n\n", b"data: \xff\n\n", b"[1]", b"{},x", b"[]{}", b"[[", b"[{}][", b"{}]x"]
)
def test_what_is_not_json_is_an_error(data):
    assert failure(data + b" ") == "upstream_invalid_response"


def test_everything_is_bounded():
    text = piece({"text": "x" * 5000}, finish="STOP")
    for framed in (sse(text), listed(text), json.dumps(text, indent=1).encode()):
        assert failure(framed, max_bytes=1000) == "answer_too_large"
        assert failure(framed[:2000], framed[2000:4000], max_bytes=1000) == "answer_too_large"
    many = piece(*[{"functionCall": {"name": "x"}}] * (MAX_BLOCKS + 1), finish="STOP")
    assert failure(sse(many)) == "answer_too_large"
    assert failure(sse({"candidates": [{"index": n} for n in range(MAX_BLOCKS + 1)]})) == "answer_too_large"


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60) | st.text('{}[],:" \\datano\n\r', max_size=60).map(str.encode))
def test_no_input_does_more_than_raise(data):
    decoder = GEMINI.decoder(ASKED, True, 50)
    try:
        decoder.feed(data, False)
        decoder.feed(b"", True)
    except UpstreamError:
        return
    assert decoder.complete


# --- embeddings ---------------------------------------------------------------------------------------------


def embedded(*reads: bytes, max_bytes: int = MAX) -> list[Event]:
    decoder = GEMINI.decoder("models/m:embedContent", False, max_bytes)
    return plain([event for data in reads for event in decoder.feed(data, False)] + decoder.feed(b"", True))


def test_embeddings_are_read_from_both_forms():
    one = json.dumps({"embedding": {"values": [0.5, 1]}}).encode()
    assert embedded(one[:5], one[5:]) == [Start(), Vectors(vectors=[[0.5, 1]])]
    batch = {"embeddings": [{"values": [1.0]}, {"values": [2.0]}], "usageMetadata": {"promptTokenCount": 3}}
    assert embedded(json.dumps(batch).encode())[1:] == [
        Vectors(vectors=[[1.0], [2.0]]),
        UsageSeen(usage=Usage(input_total=3, output_total=0)),
    ]


def test_an_error_instead_of_embeddings_is_told():
    assert embedded(json.dumps(ERROR).encode())[0].kind == "overloaded"  # type: ignore[attr-defined]  # a StreamError


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "upstream_truncated"),
        (b"{", "upstream_invalid_response"),
        (b"{}", "upstream_invalid_response"),
        (b'{"embedding":{"values":["x"]}}', "upstream_invalid_response"),
        (b'{"embedding":{"values":[true]}}', "upstream_invalid_response"),
        (b'{"embeddings":1}', "upstream_invalid_response"),
        (b" " * 200, "answer_too_large"),
    ],
)
def test_what_holds_no_embeddings_is_an_error(data, code):
    with pytest.raises(UpstreamError) as caught:
        embedded(data, max_bytes=100)
    assert caught.value.code == code
