"""GigaChat's answers as block events."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netrunner import sse
from netrunner.dialects import seals
from netrunner.dialects.conversation import Conversation, Text, ToolCall, Turn
from netrunner.dialects.gaps import Gaps
from netrunner.dialects.gigachat.dialect import GigaChatDialect
from netrunner.errors import UpstreamError
from netrunner.events import (
    BlockClose,
    BlockKind,
    BlockOpen,
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
from tests.support.answers import (
    assert_survives,
    assert_truncation_shows,
    called,
    read,
    read_in_every_way,
    said,
    with_wrong_types,
)

MAX = 1 << 20
STATE = "77d3fb14-457a-46ba-937e-8d856156d003"
USAGE = {"prompt_tokens": 1, "completion_tokens": 4, "precached_prompt_tokens": 37, "total_tokens": 5}
COUNTS = UsageSeen(usage=Usage(input_total=38, output_total=4, cache_read=37))


def streaming():
    return GigaChatDialect().decoder("chat/completions", True, MAX)


def whole():
    return GigaChatDialect().decoder("chat/completions", False, MAX)


def embedding():
    return GigaChatDialect().decoder("embeddings", False, MAX)


def chunk(delta=None, finish=None, index=0, **more):
    choice = {"delta": delta or {}, "index": index, **({"finish_reason": finish} if finish else {})}
    return {"choices": [choice], "created": 17, "model": "GigaChat-2", "object": "chat.completion", **more}


def stream(*chunks, done=sse.DONE):
    return b"".join(b"data: " + json.dumps(one, ensure_ascii=False).encode() + b"\n\n" for one in chunks) + done


TEXT = [
    chunk({"content": "При", "role": "assistant"}),
    chunk({"content": "вет"}),
    chunk({"content": ""}, "stop", usage=USAGE),
]
CALL = {"name": "look", "arguments": {"at": "здесь", "n": 1.5}}
CALLS = [
    chunk({"content": "", "reasoning_content": "Hm.", "role": "assistant"}),
    chunk({"content": "", "function_call": CALL, "functions_state_id": STATE}),
    chunk({"content": ""}, "function_call"),
    {"choices": [], "usage": USAGE},
]


def test_a_text_is_a_block_with_a_start_usage_and_a_finish():
    assert read_in_every_way(streaming, stream(*TEXT)) == [
        Start(model="GigaChat-2"),
        BlockOpen(kind=BlockKind.TEXT),
        TextDelta(text="При"),
        TextDelta(text="вет"),
        BlockClose(),
        Finish(kind=FinishKind.STOP, reason="stop"),
        COUNTS,
    ]


def test_the_last_mark_may_be_missing_and_line_ends_may_be_crlf():
    assert read(streaming(), stream(*TEXT, done=b"")) == read(streaming(), stream(*TEXT))
    assert read(streaming(), stream(*TEXT).replace(b"\n", b"\r\n")) == read(streaming(), stream(*TEXT))


def test_nothing_counts_after_a_finish_and_nothing_at_all_after_the_last_mark():
    assert read(streaming(), stream(*TEXT, chunk({"content": "more"}))) == read(streaming(), stream(*TEXT))
    assert read(streaming(), stream(*TEXT) + b"data: {\n\n") == read(streaming(), stream(*TEXT))


def test_a_call_is_signed_with_its_state():
    events = read_in_every_way(streaming, stream(*CALLS))
    ((call_id, name, arguments),) = called(events)
    assert (name, json.loads(arguments)) == ("look", {"at": "здесь", "n": 1.5})
    assert call_id is not None
    assert call_id.startswith("call_")
    assert events == [
        Start(model="GigaChat-2"),
        BlockOpen(kind=BlockKind.REASONING),
        ReasoningDelta(text="Hm."),
        BlockClose(),
        BlockOpen(kind=BlockKind.TOOL_CALL, index=1, tool_id=call_id, tool_name="look"),
        ToolArgs(fragment=arguments, index=1),
        Signature(data=f"gigachat-v1:{STATE}", index=1),
        BlockClose(index=1),
        Finish(kind=FinishKind.TOOL_CALLS, reason="function_call"),
        COUNTS,
    ]


@pytest.mark.parametrize("before", [True, False])
def test_the_state_of_a_call_may_come_before_or_after_it(before):
    chunks = [chunk({"functions_state_id": STATE}), chunk({"function_call": CALL})]
    events = read(streaming(), stream(*(chunks if before else reversed(chunks)), chunk(finish="function_call")))
    assert [event.data for event in events if isinstance(event, Signature)] == [f"gigachat-v1:{STATE}"]


def test_what_a_call_is_signed_with_is_written_back():
    events = read(streaming(), stream(*CALLS))
    ((call_id, name, arguments),) = called(events)
    (signature,) = [event.data for event in events if isinstance(event, Signature)]
    call = ToolCall(call_id or "", name or "", arguments, signature)
    turns = (Turn("user", (Text("Hi"),)), Turn("assistant", (call,)))
    body = GigaChatDialect().write(Conversation(turns=turns), "m", False, Gaps()).body
    assert json.loads(body)["messages"][1] == {
        "role": "assistant",
        "content": "",
        "function_call": CALL,
        "functions_state_id": STATE,
    }
    assert seals.unsealed(seals.ANTHROPIC, signature) is None


def test_two_calls_have_two_ids_even_without_a_state():
    events = read(streaming(), stream(*[chunk({"function_call": {"name": "wait"}})] * 2, chunk(finish="stop")))
    calls = called(events)
    assert [one[1:] for one in calls] == [("wait", "{}")] * 2
    assert len({one[0] for one in calls}) == 2
    assert events[-1] == Finish(kind=FinishKind.TOOL_CALLS, reason="stop")


def test_choices_are_kept_apart():
    chunks = [chunk({"content": "a"}), chunk({"content": "b"}, index=1), chunk(finish="stop")]
    with pytest.raises(UpstreamError, match="ended early"):
        read(streaming(), stream(*chunks))
    assert read(streaming(), stream(*chunks, chunk(finish="length", index=1)))[1:] == [
        BlockOpen(kind=BlockKind.TEXT),
        TextDelta(text="a"),
        BlockOpen(kind=BlockKind.TEXT, choice=1),
        TextDelta(text="b", choice=1),
        BlockClose(),
        Finish(kind=FinishKind.STOP, reason="stop"),
        BlockClose(choice=1),
        Finish(kind=FinishKind.LENGTH, reason="length", choice=1),
    ]


ANSWER = {
    "choices": [
        {
            "message": {"role": "assistant", "content": "Yes", "function_call": CALL, "functions_state_id": STATE},
            "index": 0,
            "finish_reason": "function_call",
        }
    ],
    "created": 17,
    "model": "GigaChat-2",
    "message_id": "m1",
    "object": "chat.completion",
    "usage": USAGE,
}


def test_an_answer_that_is_one_document_gives_the_same_events():
    events = read_in_every_way(whole, json.dumps(ANSWER).encode())
    assert events[0] == Start(id="m1", model="GigaChat-2")
    assert said(events) == "Yes"
    assert [one[1] for one in called(events)] == ["look"]
    assert events[-2:] == [Finish(kind=FinishKind.TOOL_CALLS, reason="function_call"), COUNTS]


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("stop", FinishKind.STOP),
        ("length", FinishKind.LENGTH),
        ("function_call", FinishKind.STOP),
        ("blacklist", FinishKind.CONTENT_FILTER),
        ("error", FinishKind.ERROR),
        ("brand_new", FinishKind.ERROR),
    ],
)
def test_a_finish_means_what_came_and_never_a_stop_when_it_is_unknown(reason, kind):
    assert read(streaming(), stream(*TEXT[:2], chunk(finish=reason)))[-1] == Finish(kind=kind, reason=reason)


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({"status": 429, "message": "Too many"}, StreamError(kind="rate_limit", message="Too many", status=429)),
        ({"status": 500, "message": "Internal"}, StreamError(kind="upstream_error", message="Internal", status=500)),
        ({"code": 7, "message": "Odd"}, StreamError(kind="upstream_error", message="Odd")),
        ({"status": 7, "message": "Odd"}, StreamError(kind="upstream_error", message="Odd")),
    ],
)
def test_an_error_inside_a_200_is_an_error(document, told):
    decoder = streaming()
    events = read(decoder, stream(TEXT[0], document, *TEXT[1:]))
    assert events[-2:] == [BlockClose(), told]
    assert decoder.complete
    assert read(whole(), json.dumps(document).encode()) == [Start(), told]
    assert read(embedding(), json.dumps(document).encode()) == [told]


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        ({"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}, Usage(input_total=3, output_total=4)),
        ({"completion_tokens": 4, "precached_prompt_tokens": 2}, Usage(output_total=4, cache_read=2)),
        (
            {"prompt_tokens": 3, "completion_tokens": 4, "system_tokens": 5, "total_tokens": 12},
            Usage(input_total=8, output_total=4),
        ),
        (
            {"prompt_tokens": 8, "completion_tokens": 4, "system_tokens": 5, "total_tokens": 12},
            Usage(input_total=8, output_total=4),
        ),
        ({"prompt_tokens": "3", "total_tokens": 4}, None),
        ([], None),
        (None, None),
    ],
)
def test_usage_is_read_as_far_as_it_goes(usage, counts):
    events = read(streaming(), stream(*TEXT[:2], chunk(finish="stop", usage=usage)))
    assert [event.usage for event in events if isinstance(event, UsageSeen)] == ([] if counts is None else [counts])


def test_an_answer_that_ends_early_is_never_complete():
    data = stream(*CALLS[:3], done=b"")
    assert_truncation_shows(streaming, data, len(data))
    assert_truncation_shows(whole, json.dumps(ANSWER).encode(), len(json.dumps(ANSWER)))
    assert_truncation_shows(streaming, sse.DONE, len(sse.DONE) + 1)


def test_an_answer_beyond_its_bound_is_refused():
    for decoder in (GigaChatDialect().decoder("chat/completions", kind, 100) for kind in (True, False)):
        with pytest.raises(UpstreamError) as caught:
            decoder.feed(b"data: " + b"x" * 100, False)
        assert caught.value.code == "answer_too_large"


def test_an_answer_of_too_many_choices_is_refused():
    with pytest.raises(UpstreamError, match="too many choices"):
        read(streaming(), stream(*[chunk({"content": "x"}, index=index) for index in range(1025)]))


@pytest.mark.parametrize(
    "wrong",
    [
        {"choices": {}},
        {"choices": [1]},
        {"choices": [{"delta": []}]},
        {**chunk(), "model": 1},
        chunk({"content": 1}),
        chunk({"content": []}),
        chunk({"reasoning_content": 1}),
        chunk({"functions_state_id": 1}),
        chunk({"function_call": "look"}),
        chunk({"function_call": {"arguments": {}}}),
        chunk({"function_call": {"name": "look", "arguments": "{}"}}),
        chunk(finish={"a": 1}),
        [],
    ],
)
def test_a_field_of_the_wrong_type_is_an_error(wrong):
    with pytest.raises(UpstreamError) as caught:
        streaming().feed(stream(wrong), False)
    assert caught.value.code == "upstream_invalid_response"


def test_a_document_that_tells_nothing_is_passed_over():
    assert read(streaming(), stream({"object": "?"}, *TEXT))[1:] == read(streaming(), stream(*TEXT))[1:]


def test_vectors_are_in_the_order_of_their_texts():
    document = {
        "object": "list",
        "model": "Embeddings",
        "data": [
            {"index": 1, "embedding": [2.0, 3], "usage": {"prompt_tokens": 4}},
            {"index": 0, "embedding": [0.5], "usage": {"prompt_tokens": 6}},
        ],
    }
    assert read_in_every_way(embedding, json.dumps(document).encode()) == [
        Start(model="Embeddings"),
        Vectors(vectors=[[0.5], [2.0, 3]]),
        UsageSeen(usage=Usage(input_total=10)),
    ]
    assert read(embedding(), b'{"data": []}') == [Start(), Vectors(vectors=[])]


@pytest.mark.parametrize("data", [[{}], [{"embedding": ["1"]}], [1], {}])
def test_vectors_that_are_none_are_an_error(data):
    with pytest.raises(UpstreamError) as caught:
        read(embedding(), json.dumps({"data": data}).encode())
    assert caught.value.code == "upstream_invalid_response"


@pytest.mark.parametrize("chunks", [TEXT, CALLS])
def test_a_field_of_any_wrong_type_in_any_event_is_read_or_refused(chunks):
    for number, one in enumerate(chunks):
        for wrong in with_wrong_types(one):
            assert_survives(streaming, stream(*chunks[:number], wrong, *chunks[number + 1 :]))


def test_a_field_of_any_wrong_type_in_a_whole_answer_is_read_or_refused():
    for wrong in with_wrong_types(ANSWER):
        assert_survives(whole, json.dumps(wrong).encode())


@given(st.data())
def test_bytes_gone_wrong_are_read_or_refused(data):
    answer = bytearray(stream(*CALLS))
    for _ in range(data.draw(st.integers(1, 4))):
        answer[data.draw(st.integers(0, len(answer) - 1))] = data.draw(st.integers(0, 255))
    assert_survives(streaming, bytes(answer))
