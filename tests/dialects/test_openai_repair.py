"""Answers that break clients of OpenAI's family, repaired event by event, and everything else left as it came."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netrunner.dialects.openai.decoder import MAX_CHOICES, ChatDecoder
from netrunner.dialects.openai.repair import Repair
from netrunner.dialects.openai.usage import ask_for_usage
from netrunner.errors import BadRequest, UpstreamError
from netrunner.events import Finish, StreamError, TextDelta
from netrunner.values import Usage
from tests.support.openai_wire import DONE, HEAD, call, calls, chunk, cuts, event

ROLE = chunk({"role": "assistant", "content": ""})
HI = chunk({"content": "Hi"})
STOP = chunk(finish="stop")
END = STOP + DONE
CALLED = chunk(finish="tool_calls") + DONE
PLAIN = ROLE + HI + END
USAGE = {"prompt_tokens": 3, "completion_tokens": 4}
COUNTS = event({**HEAD, "choices": [], "usage": USAGE})


def repair(streaming: bool = True, endpoint: str = "chat/completions", **more: Any) -> Repair:
    options: dict[str, Any] = {"answer_id": "ours", "model": "asked", "created": 5, "hide_usage": False}
    return Repair(endpoint, streaming, **{"max_bytes": 1 << 16, **options, **more})


def repaired(stream: bytes, complete: bool = True, **more: Any) -> bytes:
    """Return what goes on, and see that it is the same however the stream is cut."""
    outcomes = set()
    for pieces in cuts(stream):
        one = repair(**more)
        out = b"".join(one.feed(piece, False) for piece in pieces)
        outcomes.add((out + one.feed(b"", True), one.complete, one.tap.finish_reason, one.tap.usage))
    assert len(outcomes) == 1
    out, is_complete, _, _ = outcomes.pop()
    assert is_complete == complete
    return out


def documents(stream: bytes) -> list[Any]:
    """Return the documents of a stream that every client survives."""
    events = stream.split(b"\n\n")
    assert events.pop() == b""
    assert all(one.startswith((b"data: ", b":")) and b"\n" not in one for one in events)
    return [json.loads(one[6:]) for one in events if one.startswith(b"data: {")]


def deltas(stream: bytes) -> list[Any]:
    return [choice["delta"] for one in documents(stream) for choice in one["choices"]]


def pieces(stream: bytes) -> list[Any]:
    """Return the pieces of tool calls."""
    return [piece for delta in deltas(stream) for piece in delta.get("tool_calls", ())]


# --- nothing to repair --------------------------------------------------------------------------------------

FINE = [
    PLAIN,
    ROLE + COUNTS + END,
    event({**HEAD, "choices": [], "prompt_filter_results": [{}]}) + ROLE + END,
    ROLE + b": OPENROUTER PROCESSING\n\n" + HI + b":\n\n" + END,
    b'data: {"id": "x", "object": "y", "created": 1, "model": "",\t"choices": [ ], "more": {"a": 1e99} }\n\n'
    + ROLE
    + END,
    ROLE
    + calls(call(0, "a", "get", ""))
    + calls(call(0, None, None, '{"n"'))
    + calls(call(1, "b", "put", "{}"))
    + CALLED,
    ROLE + chunk({"reasoning_content": "hm", "reasoning_details": [{"type": "x"}]}) + END,
    ROLE + chunk({"role": None, "content": [{"type": "text", "text": "x"}]}) + END,
    ROLE + chunk({"role": "assistant"}, index=1) + STOP + chunk(index=1, finish="length") + DONE,
    ROLE + chunk({"function_call": {"name": "f", "arguments": "{}"}}, finish="function_call") + DONE,
    ROLE + chunk({"content": "Hé😀\\u2028"}).replace(b"\\u00e9", "é".encode()) + END,
    ROLE + HI + event({"error": {"message": "m", "type": "t", "code": None, "more": 1}}),
]


@pytest.mark.parametrize("stream", FINE)
def test_what_needs_no_repair_goes_on_as_its_own_bytes(stream: bytes) -> None:
    assert repaired(stream) == stream


def test_an_event_goes_on_at_once() -> None:
    one = repair()
    assert [one.feed(part, False) for part in (ROLE, HI[:9], HI[9:], STOP, DONE)] == [ROLE, b"", HI, STOP, DONE]


# --- the frame ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [b"\r\n", b"\r"])
def test_other_line_ends_become_lf(end: bytes) -> None:
    assert repaired(PLAIN.replace(b"\n", end)) == PLAIN


@pytest.mark.parametrize(
    "odd",
    [
        b"id: 7\n\n",
        b"id: 7\n: comment\n\n",
        b"retry: 100\n\n",
        b"event: ping\n\n",
        b"event: ping\ndata: {}\n\n",
        b"data:\n\n",
        b"data: \n\n",
        b'data: ""\n\n'[:6] + b"\n\n",
        b"\n\n\n",
        b'event: ping\ndata: {"type": "ping"}\n\n',
    ],
)
def test_fields_that_mean_nothing_and_events_without_data_go(odd: bytes) -> None:
    assert repaired(odd + ROLE + odd + HI + END + odd) == PLAIN


def test_fields_beside_data_go() -> None:
    stream = b"id: 1\nevent: message\n: comment\nretry: 5\n" + ROLE + b"event:\n" + HI[:-2] + b"\nid: 2\n\n" + END
    assert repaired(stream) == PLAIN


def test_a_mark_of_the_encoding_and_blank_lines_at_the_beginning_go() -> None:
    assert repaired(b"\n\r\n \xef\xbb\xbf" + PLAIN) == PLAIN


def test_data_gets_its_space() -> None:
    assert repaired(PLAIN.replace(b"data: ", b"data:")) == PLAIN


def test_data_over_several_lines_becomes_one() -> None:
    pretty = json.dumps(json.loads(HI[6:]), indent=1).encode()
    stream = ROLE + b"".join(b"data: " + line + b"\n" for line in pretty.split(b"\n")) + b"\n" + END
    assert repaired(stream) == PLAIN


def test_what_line_splitters_take_for_line_ends_is_escaped() -> None:
    raw = chunk({"content": "a\u2028b\u2029c\u0085d"}).replace(b"\\u2028", "\u2028".encode())
    raw = raw.replace(b"\\u2029", "\u2029".encode()).replace(b"\\u0085", "\u0085".encode())
    out = repaired(ROLE + raw + b"data:" + raw[6:] + END)
    assert out.isascii()
    assert [one["content"] for one in deltas(out)[1:3]] == ["a\u2028b\u2029c\u0085d"] * 2


def test_it_is_escaped_in_an_event_that_comes_alone() -> None:
    one = repair()
    one.feed(ROLE, False)
    assert one.feed(HI.replace(b"Hi", "é\u2028".encode()), False) == HI.replace(b"Hi", "é\\u2028".encode())


def test_a_last_event_without_its_blank_line_gets_one() -> None:
    assert repaired(ROLE + HI + STOP[:-2]) == PLAIN
    assert repaired(ROLE + HI + STOP + DONE[:-1]) == PLAIN


def test_the_mark_of_the_end_comes_once() -> None:
    assert repaired(PLAIN + DONE + HI) == PLAIN
    assert repaired(ROLE + HI + STOP) == PLAIN
    assert repaired(ROLE + HI + STOP + b"data:[DONE]\n\n") == PLAIN


# --- a stream that breaks off -------------------------------------------------------------------------------


def test_a_stream_that_breaks_off_is_never_completed() -> None:
    for at in range(len(ROLE + HI + STOP) - 3):
        one = repair()
        out = one.feed(PLAIN[:at], False) + one.feed(b"", True)
        assert not one.complete
        assert b"DONE" not in out
        assert PLAIN.startswith(out)
        documents(out)


def test_a_choice_that_is_not_finished_leaves_the_stream_incomplete() -> None:
    assert repaired(ROLE + chunk({"role": "assistant"}, index=1) + STOP, complete=False).endswith(STOP)


def test_the_providers_own_mark_of_the_end_is_taken_at_its_word() -> None:
    assert repaired(ROLE + HI + DONE) == ROLE + HI + DONE


# --- a chunk ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["id", "object", "created", "model"])
@pytest.mark.parametrize("value", [None, [], "gone"])
def test_a_head_that_is_missing_is_filled(field: str, value: Any) -> None:
    document = json.loads(HI[6:])
    del document[field]
    if value is None:
        document[field] = None
    elif value == []:
        document[field] = value
    filled = {"id": "ours", "object": "chat.completion.chunk", "created": 5, "model": "asked"}[field]
    out = documents(repaired(ROLE + event(document) + END))
    assert out[1] == {**json.loads(HI[6:]), field: filled}


def test_choices_that_are_null_are_a_list() -> None:
    odd = event({**HEAD, "choices": None, "usage": USAGE, "more": 1})
    assert documents(repaired(ROLE + odd + END))[1] == {**HEAD, "choices": [], "usage": USAGE, "more": 1}
    assert documents(repaired(event({**HEAD, "choices": None}) + ROLE + END))[0]["choices"] == []


@pytest.mark.parametrize("role", [{}, {"role": None}, {"role": ""}])
def test_the_first_chunk_of_each_choice_has_its_role(role: Any) -> None:
    stream = chunk({**role, "content": "a"}) + chunk({**role, "content": "b"}, index=1)
    out = deltas(repaired(stream + STOP + chunk(index=1, finish="stop") + DONE))
    assert out == [{"role": "assistant", "content": "a"}, {"role": "assistant", "content": "b"}, {}, {}]


def test_the_role_comes_once() -> None:
    each = chunk({"role": "assistant", "content": "a"})
    assert deltas(repaired(each + each + END)) == [{"role": "assistant", "content": "a"}, {"content": "a"}, {}]


def test_a_choice_that_begins_before_those_in_front_of_it_comes_after_them() -> None:
    other = chunk({"role": "assistant", "content": "b"}, index=2)
    out = documents(repaired(other + HI + STOP + chunk(index=1, finish="stop") + chunk(index=2, finish="stop")))
    assert [one["choices"][0]["index"] for one in out] == [0, 1, 2, 0, 0, 1, 2]
    assert [one["choices"][0]["delta"].get("role") for one in out] == ["assistant"] * 3 + [None] * 4
    assert out[0] == {**HEAD, "choices": [{"index": 0, "delta": {"role": "assistant"}, "finish_reason": None}]}
    out = documents(repaired(ROLE + other, complete=False))
    assert [one["choices"][0]["index"] for one in out] == [0, 1, 2]


@pytest.mark.parametrize(
    "choice",
    [
        {"index": 0, "message": {"role": "assistant", "content": "Hi"}},
        {"delta": {"role": "assistant", "content": "Hi"}},
        {"index": "0", "delta": {"role": "assistant", "content": "Hi"}},
    ],
)
def test_a_choice_gets_its_index_and_its_delta(choice: Any) -> None:
    out = documents(repaired(event({**HEAD, "choices": [{**choice, "kept": 1}]}) + END))[0]
    assert out["choices"] == [{"index": 0, "delta": {"role": "assistant", "content": "Hi"}, "kept": 1}]


def test_a_choice_without_anything_gets_an_empty_delta() -> None:
    bare = event({**HEAD, "choices": [{"index": 0, "finish_reason": None}]})
    assert deltas(repaired(bare + bare + END)) == [{"role": "assistant"}, {}, {}]


def test_a_finish_for_calls_that_never_came_is_a_stop() -> None:
    assert documents(repaired(ROLE + chunk(finish="tool_calls") + DONE))[-1]["choices"][0]["finish_reason"] == "stop"
    kept = ROLE + calls(call(0, "a", "f", "{}")) + CALLED
    assert repaired(kept) == kept


def test_a_stop_after_calls_is_a_finish_of_calls() -> None:
    called = ROLE + calls(call(0, "a", "f", "{}"))
    assert repaired(called + END) == called + CALLED
    older = ROLE + chunk({"function_call": {"name": "f", "arguments": "{}"}}) + END
    assert repaired(older) == older
    limited = called + chunk(finish="length") + DONE
    assert repaired(limited) == limited


def test_calls_that_never_got_arguments_have_an_empty_object_of_them() -> None:
    empty = [{"index": 0, "function": {"arguments": "{}"}}, {"index": 2, "function": {"arguments": "{}"}}]
    begun = calls(call(0, "a", "f", "")) + calls(call(1, "b", "g", '{"n":1}')) + calls(call(2, "c", "h"))
    assert pieces(repaired(ROLE + begun + CALLED))[3:] == empty
    at_once = chunk({"tool_calls": [call(0, "a", "f", ""), call(1, "b", "g", "{")]}, finish="tool_calls")
    (first, second) = pieces(repaired(ROLE + at_once + DONE))
    assert (first["function"], second["function"]["arguments"]) == ({"name": "f", "arguments": "{}"}, "{")
    cut = ROLE + calls(call(0, "a", "f", "")) + chunk(finish="length") + DONE
    assert repaired(cut) == cut
    whole = {"role": "assistant", "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f"}}]}
    function = mended(answer(whole, "tool_calls"))["choices"][0]["message"]["tool_calls"][0]["function"]
    assert function == {"name": "f", "arguments": "{}"}


def test_a_mark_of_the_end_before_anything_is_no_answer() -> None:
    assert repaired(DONE, complete=False) == b""
    for nothing in (b": hi\n\n", COUNTS):
        assert repaired(nothing + DONE, complete=False) == nothing


def test_unknown_fields_live_on_in_what_is_repaired() -> None:
    document = {**HEAD, "choices": [{"index": 0, "delta": {"content": "x", "a": [1.5]}, "b": {}}], "c": None}
    assert documents(repaired(event(document) + END))[0] == {
        **HEAD,
        "choices": [{"index": 0, "delta": {"content": "x", "a": [1.5], "role": "assistant"}, "b": {}}],
        "c": None,
    }


# --- tool calls ---------------------------------------------------------------------------------------------

GET, PUT = call(0, "a", "get", '{"n"'), call(1, "b", "put", '{"n":2}')
MORE = call(0, None, None, ":1}")
APART = {
    "without index": [call(None, "a", "get", '{"n"'), call(None, None, None, ":1}"), call(None, "b", "put", '{"n":2}')],
    "null for an index": [
        {**GET, "index": None},
        {**MORE, "index": None},
        {**PUT, "index": None},
    ],
    "a text for an index": [{**GET, "index": "0"}, {**MORE, "index": "0"}, {**PUT, "index": "1"}],
    "from one": [{**GET, "index": 1}, {**MORE, "index": 1}, {**PUT, "index": 2}],
    "two under one index": [GET, MORE, {**PUT, "index": 0}],
    "id and name in each piece": [GET, call(0, "a", "get", ":1}"), PUT],
    "type in each piece": [GET, {**MORE, "type": "function"}, PUT],
    "no type": [{**call(0, None, "get", '{"n"'), "id": "a"}, MORE, {**call(1, None, "put", '{"n":2}'), "id": "b"}],
}


@pytest.mark.parametrize("told", APART.values(), ids=APART.keys())
def test_calls_are_numbered_from_0_and_named_once(told: list[Any]) -> None:
    stream = ROLE + b"".join(calls(one) for one in told) + chunk(finish="tool_calls") + DONE
    assert pieces(repaired(stream)) == [GET, MORE, PUT]
    together = ROLE + calls(*told) + chunk(finish="tool_calls") + DONE
    assert pieces(repaired(together)) == [GET, MORE, PUT]


def test_arguments_that_are_an_object_become_a_text() -> None:
    stream = calls(call(0, "a", "get", {"n": 1}), call(1, "b", "put", {})) + END
    assert [one["function"]["arguments"] for one in pieces(repaired(ROLE + stream))] == ['{"n":1}', "{}"]
    older = ROLE + chunk({"function_call": {"name": "f", "arguments": {"n": 1}}}, finish="function_call") + DONE
    assert deltas(repaired(older))[1]["function_call"] == {"name": "f", "arguments": '{"n":1}'}


def test_a_call_without_an_id_gets_one_and_keeps_it() -> None:
    stream = calls(call(0, None, "get", '{"n"')) + calls(call(0, "late", None, ":1}"))
    assert pieces(repaired(ROLE + stream + END)) == [
        {**call(0, "call_chatcmpl1_0_0", "get", '{"n"')},
        call(0, None, None, ":1}"),
    ]


def test_a_name_may_come_after_the_id_and_a_call_before_its_function() -> None:
    stream = calls({"index": 0, "id": "a", "type": "function"}) + calls(call(0, None, "get", "{}"))
    assert pieces(repaired(ROLE + stream + END)) == [
        {"index": 0, "id": "a", "type": "function", "function": {"arguments": ""}},
        call(0, None, "get", "{}"),
    ]
    stream = calls(call(1, "a", None, "")) + calls(call(1, None, "get", "{}"))
    assert pieces(repaired(ROLE + stream + END)) == [call(0, "a", None, ""), call(0, None, "get", "{}")]


# --- usage --------------------------------------------------------------------------------------------------


def test_counts_that_nobody_asked_for_are_hidden() -> None:
    assert repaired(ROLE + HI + STOP + COUNTS + DONE, hide_usage=True) == PLAIN
    null = chunk({"content": "x"}, usage=None)
    assert repaired(ROLE + null + END, hide_usage=True) == ROLE + null + END
    last = chunk(finish="stop", usage=USAGE, x_groq={"id": "r"})
    out = documents(repaired(ROLE + last + DONE, hide_usage=True))[-1]
    assert out == {**json.loads(STOP[6:]), "x_groq": {"id": "r"}}
    assert repaired(ROLE + HI + STOP + COUNTS.replace(b"[]", b"null") + DONE, hide_usage=True) == PLAIN


@pytest.mark.parametrize("hide", [True, False])
def test_the_tap_knows_what_is_hidden(hide: bool) -> None:
    one = repair(hide_usage=hide)
    began = [one.feed(part, False) and one.tap.began for part in (b": comment\n\n", ROLE)]
    assert began == [False, True]
    one.feed(chunk(finish="length") + COUNTS, False)
    assert (one.tap.usage, one.tap.finish_reason) == (Usage(input_total=3, output_total=4), "length")
    assert one.tap.complete
    assert one.tap.error is None
    one.tap.feed(b"data: x")
    one.tap.close()
    assert one.tap.complete


def test_usage_that_is_none_goes() -> None:
    assert documents(repaired(ROLE + chunk({"content": "Hi"}, usage=7) + END)) == documents(PLAIN)


# --- errors -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("odd", "message"),
    [
        (event({"error": "broken"}), "broken"),
        (event({"error": [{"message": "broken", "more": 1}]}), "broken"),
        (event([{"error": {"message": "broken"}}]), "broken"),
        (b'event: error\ndata: {"message": "broken"}\n\n', "broken"),
        (b'event: error\ndata: {"error": {"message": "broken"}}\n\n', "broken"),
        (event({"object": "error", "message": "broken", "code": 5}), "broken"),
        (event({**HEAD, "choices": [], "error": {"code": 502}}), "The provider answered with status 502."),
    ],
)
def test_an_error_has_the_form_that_every_client_raises(odd: bytes, message: str) -> None:
    out = documents(repaired(ROLE + odd))
    assert out[1]["error"]["message"] == message
    one = repair()
    one.feed(ROLE + odd, False)
    assert isinstance(one.error, StreamError)
    assert one.tap.error == one.error.code == "provider_error"


@pytest.mark.parametrize("nothing", [None, False, "", {}, []])
def test_an_error_that_is_none_is_no_error(nothing: Any) -> None:
    out = documents(repaired(ROLE + chunk({"content": "Hi"}, error=nothing) + END))
    assert [one["choices"] for one in out] == [one["choices"] for one in documents(PLAIN)]
    assert not any(one.get("error") for one in out)


@pytest.mark.parametrize(
    "stream",
    [
        b"data: {nonsense}\n\n",
        b"data: 7\n\n",
        b"data: [7]\n\n",
        b'data: {"choices": 7}\n\n',
        b'data: {"choices": [7]}\n\n',
        b'data: {"choices": [{"index": -1}]}\n\n',
        b'data: {"choices": [{"delta": 7}]}\n\n',
        b'data: {"choices": [{"delta": {"tool_calls": [{"function": {"arguments": 7}}]}}]}\n\n',
        b'data: {"choices": [{"delta": {"tool_calls": [{"function": 7}]}}]}\n\n',
        b'data: {"choices": [{"delta": {"function_call": 7}}]}\n\n',
        b'data: {"id": "\xff", "choices": []}\n\n',
    ],
)
def test_what_cannot_be_repaired_is_an_error(stream: bytes) -> None:
    with pytest.raises(UpstreamError) as error:
        repair().feed(stream, False)
    assert error.value.code == "upstream_invalid_response"


def test_everything_is_bounded() -> None:
    for stream in (
        b"data: " + b"x" * 300,
        HI * 1 + b"data: " + b"x" * 300 + b"\n\n",
        b"data: {" + b" " * 300 + b"}\n\n",
        chunk(index=MAX_CHOICES),
        calls(call(0, "a", "f", "x" * 100)) + calls(call(0, None, None, "x" * 110)) * 2,
    ):
        one = repair(max_bytes=300)
        one.feed(ROLE, False)
        with pytest.raises(UpstreamError) as error:
            one.feed(stream, False)
        assert error.value.code == "answer_too_large"


# --- completions --------------------------------------------------------------------------------------------


def test_a_completion_keeps_its_text_and_gets_its_head() -> None:
    choices = [{"index": 1, "text": "Hi", "finish_reason": None}]
    fine = event({**HEAD, "choices": choices}) + event(
        {**HEAD, "choices": [{"text": "", "index": 1, "finish_reason": "stop"}]}
    )
    assert documents(repaired(fine + DONE, endpoint="completions")) == documents(fine)
    out = documents(repaired(event({"choices": choices}) + fine, endpoint="completions"))[0]
    assert out == {"id": "ours", "object": "text_completion", "created": 5, "model": "asked", "choices": choices}


# --- a document ---------------------------------------------------------------------------------------------

FUNCTION = {"name": "f", "arguments": "{}"}
MESSAGE = {
    "role": "assistant",
    "content": "Hé",
    "tool_calls": [{"id": "a", "type": "function", "function": FUNCTION}],
}


def answer(message: Any, finish: str = "stop", **more: Any) -> Any:
    head = {**HEAD, "object": "chat.completion"}
    return {**head, "choices": [{"index": 0, "message": message, "finish_reason": finish}], "kept": 1, **more}


def mended(document: Any) -> Any:
    return json.loads(repaired(json.dumps(document).encode(), streaming=False))


def test_a_document_that_needs_no_repair_keeps_its_bytes() -> None:
    fine = json.dumps(answer(MESSAGE, "tool_calls", usage=USAGE), indent=1).encode().replace(b"\\u00e9", "é".encode())
    assert repaired(b" \n\n" + fine + b"\n", streaming=False, hide_usage=True) == fine
    one = repair(False)
    one.feed(fine, True)
    assert (one.tap.usage, one.tap.finish_reason) == (Usage(input_total=3, output_total=4), "tool_calls")


@pytest.mark.parametrize("usage", [None, {}, USAGE, {"prompt_tokens": 3, "completion_tokens": -1}])
@pytest.mark.parametrize("finish", [None, "length"])
def test_a_document_tells_the_same_however_closely_it_is_looked_at(usage: Any, finish: str | None) -> None:
    told = set()
    ways: tuple[Any, ...] = (None, [])  # with a list of calls, be it empty, it is looked at closely
    for named in ways:
        message = {"role": "assistant", "content": "Hi \u00e9", "tool_calls": named}
        document = {**HEAD, "object": "chat.completion", "usage": usage}
        document["choices"] = [{"index": 0, "message": message, "finish_reason": finish}]
        body = json.dumps(document, ensure_ascii=False).encode()
        one = repair(streaming=False)
        assert one.feed(body, True) == body
        told.add((one.complete, one.tap.began, one.tap.finish_reason, one.tap.usage))
    assert len(told) == 1


def test_a_document_is_repaired_like_a_chunk() -> None:
    odd = {"content": "x", "tool_calls": [{"function": {"name": "f", "arguments": {"n": 1}}}]}
    out = mended({"choices": [{"message": odd, "finish_reason": "stop"}], "kept": 1})
    made = {"id": "call_ours_0_0", "type": "function", "function": {"name": "f", "arguments": '{"n":1}'}}
    assert out == {
        "id": "ours",
        "object": "chat.completion",
        "created": 5,
        "model": "asked",
        "choices": [
            {
                "index": 0,
                "message": {"content": "x", "role": "assistant", "tool_calls": [made]},
                "finish_reason": "tool_calls",
            }
        ],
        "kept": 1,
    }
    assert mended(answer({"role": "assistant"}, "tool_calls"))["choices"][0]["finish_reason"] == "stop"
    older = {"role": "assistant", "function_call": {"name": "f", "arguments": {}}}
    assert mended(answer(older))["choices"][0]["message"]["function_call"]["arguments"] == "{}"
    text = {**HEAD, "choices": [{"index": 0, "text": "x", "finish_reason": None}]}
    assert mended(text) == text


@pytest.mark.parametrize(
    "odd", [{"error": "broken"}, [{"error": {"message": "broken"}}], {"object": "error", "message": "broken"}]
)
def test_an_error_instead_of_a_document_is_one(odd: Any) -> None:
    assert mended(odd)["error"]["message"] == "broken"
    plain = {"error": {"message": "m", "type": "t"}}
    assert mended(plain) == plain


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"7",
        b"{}",
        b'{"choices": null}',
        b'{"choices": []}',
        b'{"choices": 7}',
        b'{"choices": [{"message": {"tool_calls": 7}}]}',
    ],
)
def test_a_document_that_cannot_be_repaired_is_an_error(body: bytes) -> None:
    one = repair(False)
    with pytest.raises(UpstreamError) as error:
        one.feed(body, True)
    assert error.value.code == "upstream_invalid_response"
    assert not one.complete


def test_a_document_is_bounded() -> None:
    with pytest.raises(UpstreamError) as error:
        repair(False, max_bytes=10).feed(b"x" * 11, False)
    assert error.value.code == "answer_too_large"


# --- whatever comes -----------------------------------------------------------------------------------------


@given(st.binary(max_size=200), st.booleans())
def test_nothing_but_an_upstream_error_is_raised(noise: bytes, streaming: bool) -> None:
    one = repair(streaming)
    try:
        out = one.feed((ROLE + b"data: ") * streaming + noise, True)
    except UpstreamError:
        return
    assert not streaming or documents(out)


@given(st.lists(st.text(max_size=9), max_size=5), st.booleans())
def test_what_is_repaired_is_read_as_what_it_was(texts: list[str], tidy: bool) -> None:
    stream = b"".join(chunk({"content": text}) for text in texts) + (END if tidy else STOP)
    read = ChatDecoder(True, 1 << 16).feed(repair().feed(stream, True), True)
    assert "".join(one.text for one in read if isinstance(one, TextDelta)) == "".join(texts)
    assert isinstance(read[-1], Finish)


# --- the request --------------------------------------------------------------------------------------------

ASKED = b'"stream_options":{"include_usage":true}'


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"stream":true}', b'{"stream":true,' + ASKED + b"}"),
        (b'{ "a" : "}", "stream": true }\n ', b'{ "a" : "}", "stream": true ,' + ASKED + b"}\n "),
        (b'{"stream_options" : null, "b": 1}', b'{"stream_options" : {"include_usage":true}, "b": 1}'),
        (b'{"stream_options":{ }}', b"{" + ASKED + b"}"),
        (
            b'{"stream_options": {"x":1, "include_usage":false},"b" : 1}',
            b'{"stream_options": {"x":1,"include_usage":true},"b" : 1}',
        ),
        (b'{"m":[{"stream_options":1}],"b":2}', b'{"m":[{"stream_options":1}],"b":2,' + ASKED + b"}"),
        (
            b'{"m":[{"stream_options":1}],"stream\\u005foptions":{}}',
            b'{"m":[{"stream_options":1}],"stream\\u005foptions":{"include_usage":true}}',
        ),
        (b'{"\xc5\xbftream_options": {}}', b'{"\xc5\xbftream_options": {"include_usage":true}}'),
    ],
)
def test_usage_is_asked_for_and_every_other_byte_stays(body: bytes, expected: bytes) -> None:
    assert ask_for_usage(body) == expected


def test_a_body_that_asks_for_usage_is_left_alone() -> None:
    body = b'{"stream_options": {"include_usage": true, "include_obfuscation": false}}'
    assert ask_for_usage(body) is body


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"stream_options":{},"stream_options":{}}', "duplicate_key"),
        (b'{"stream_options":{},"Stream_Options":{}}', "duplicate_key"),
        (b'{"stream_options":7}', "invalid_value"),
    ],
)
def test_options_that_cannot_be_told_are_refused(body: bytes, code: str) -> None:
    with pytest.raises(BadRequest) as error:
        ask_for_usage(body)
    assert error.value.code == code


def test_a_completions_piece_without_a_text_adds_nothing() -> None:
    piece = event({**HEAD, "object": "text_completion", "choices": [{"index": 0, "finish_reason": "stop"}]})
    one = repair(endpoint="completions")
    one.feed(piece + DONE, True)
    assert (one.complete, one.tap.made) == (True, 0.0)
