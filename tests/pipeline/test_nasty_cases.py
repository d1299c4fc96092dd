"""What breaks other gateways (docs/wire-cases.md has the list): providers that are nasty, and what clients get of it.

Everything here is in memory; what needs sockets is in ``tests/integration/test_nasty_cases.py``.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
import struct
import zlib
from collections.abc import Iterable
from typing import Any

import pytest

from netrunner.errors import UpstreamError
from netrunner.routing.table import Candidate
from tests.support.client import answers
from tests.support.clients import (
    CLIENTS,
    STREAM_PATHS,
    WHOLE_PATHS,
    Heard,
    asked,
    broken,
    chat_choices,
    refused,
    streamed,
)
from tests.support.stage import DONE, JSON, KEY, SSE, Stage, body_of, request

everybody = pytest.mark.parametrize("client", CLIENTS)
NDJSON = (b"content-type", b"application/x-ndjson")
HEAD = {"id": "c1", "object": "chat.completion.chunk", "created": 7, "model": "gpt"}
CUT = UpstreamError("cut", code="upstream_truncated")
TWO = [("f", {"a": 1}), ("g", {"b": 2})]
"""What most providers here call."""


def data(*documents: Any) -> bytes:
    return b"".join(b"data: " + json.dumps(one).encode() + b"\n\n" for one in documents)


def chunk(delta: Any = None, finish: str | None = None, index: int = 0, **more: Any) -> bytes:
    """Return an event of OpenAI's."""
    return data({**HEAD, "choices": [{"index": index, "delta": delta or {}, "finish_reason": finish}], **more})


def text(words: str, **more: Any) -> bytes:
    return chunk({"role": "assistant", "content": words}, **more)


def call(id: str | None = None, name: str | None = None, arguments: Any = None, **more: Any) -> dict[str, Any]:
    """Return a piece of a call of OpenAI's, with those fields only that are told."""
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    told = {"id": id, "type": "function"} if id is not None else {}
    return {**told, "function": function, **more}


def calls(*pieces: dict[str, Any], finish: str | None = None) -> bytes:
    return chunk({"tool_calls": list(pieces)}, finish)


def named(*documents: Any) -> bytes:
    """Return events of Anthropic's or Cohere's, named by their type."""
    return b"".join(b"event: %b\ndata: %b\n\n" % (one["type"].encode(), json.dumps(one).encode()) for one in documents)


def stage_of(provider: str = "openai", **settings: Any) -> Stage:
    """Return a stage of a provider that speaks one dialect only, and that needs no token first."""
    key = None if provider == "gigachat" else KEY
    if provider in ("openai", "azure_openai"):
        settings.setdefault("responses", False)
    return Stage(provider=provider, key=key, repair=True, settings=settings)


def heard_of(
    client: str, answer: bytes | Iterable[bytes], provider: str = "openai", coding: Any = SSE, **more: Any
) -> bytes:
    """Return what a client hears of a stream that comes in these pieces."""
    stage = stage_of(provider)
    speaker = stage.ask(asked(client, **more), STREAM_PATHS[client])
    stage.call.head(200, coding)
    for piece in [answer] if isinstance(answer, bytes) else answer:
        stage.call.body(piece)
    stage.call.body(b"", True)
    return speaker.heard()


def said_to(client: str, answer: bytes | Iterable[bytes], **more: Any) -> Heard:
    """Return the same as the client adds it up."""
    return streamed(client, heard_of(client, answer, **more))


def sent(client: str, provider: str = "openai", path: str | None = None, **more: Any) -> dict[str, Any]:
    """Return the body of the request that a provider gets."""
    stage = stage_of(provider)
    speaker = stage.ask(asked(client, False, **more), path or WHOLE_PATHS[client])
    assert stage.upstream.calls, speaker.heard()
    body: dict[str, Any] = json.loads(stage.call.sent_body)
    return body


def finish_of_calls(client: str) -> str:
    return {"openai": "tool_calls", "anthropic": "tool_use", "responses": "completed", "gemini": "STOP"}.get(
        client, "stop"
    )


def finish_of_stop(client: str) -> str:
    return {"anthropic": "end_turn", "responses": "completed", "gemini": "STOP"}.get(client, "stop")


# --- tool calls ---------------------------------------------------------------------------------------------


def assert_calls(client: str, heard: Heard, expected: list[tuple[str, Any]]) -> None:
    assert heard.calls == expected
    assert len(set(heard.ids)) == len(expected) or client == "gemini"
    assert heard.finish == finish_of_calls(client)


@everybody
def test_case_01_calls_without_an_index_are_told_apart_and_numbered(client: str) -> None:
    stream = calls(call("a", "f", '{"a"')) + calls(call(arguments=":1}"))
    stream += calls(call("b", "g", '{"b":2}')) + chunk(finish="tool_calls") + DONE
    assert_calls(client, said_to(client, stream), TWO)


@everybody
def test_case_02_parallel_calls_under_one_index_are_two(client: str) -> None:
    stream = calls(call("a", "f", '{"a":1}', index=0)) + calls(call("b", "g", '{"b"', index=0))
    stream += calls(call(arguments=":2}", index=0)) + chunk(finish="tool_calls") + DONE
    assert_calls(client, said_to(client, stream), TWO)


@everybody
def test_case_03_an_id_and_a_name_in_every_piece_are_told_once(client: str) -> None:
    pieces = [calls(call("a", "f", part, index=0)) for part in ("", '{"a"', ":", "1}")]
    pieces += [calls(call("b", "g", part, index=1)) for part in ("", '{"b":2}')]
    heard = said_to(client, b"".join(pieces) + chunk(finish="tool_calls") + DONE)
    assert_calls(client, heard, TWO)
    assert client == "gemini" or [one[:1] for one in heard.ids] == ["a", "b"]


@everybody
def test_case_04_calls_in_one_chunk_whose_arguments_come_in_turns_keep_their_names(client: str) -> None:
    stream = calls(call("a", "f", "", index=0), call("b", "g", "", index=1))
    for first, second in (('{"a"', '{"b"'), (":1}", ":2}")):
        stream += calls(call(arguments=first, index=0)) + calls(call(arguments=second, index=1))
    assert_calls(client, said_to(client, stream + chunk(finish="tool_calls") + DONE), TWO)


def test_case_05_calls_of_several_choices_stay_with_their_choice() -> None:
    first, second = call("a", "f", '{"a":1}', index=0), call("b", "g", '{"b":2}', index=0)
    stream = chunk({"role": "assistant", "tool_calls": [second]}, index=1) + chunk({"tool_calls": [first]})
    stream += chunk(finish="tool_calls", index=1) + chunk(finish="tool_calls") + DONE
    choices = chat_choices(body_of(heard_of("openai", stream, n=2)))
    assert [(one.calls, one.finish) for one in choices] == [([TWO[0]], "tool_calls"), ([TWO[1]], "tool_calls")]
    heard = heard_of("gemini", stream, generationConfig={"candidateCount": 2})
    told = [json.loads(one[6:]) for one in body_of(heard).split(b"\n\n") if one]
    assert {
        (candidate["index"], part["functionCall"]["name"])
        for one in told
        for candidate in one["candidates"]
        for part in candidate.get("content", {}).get("parts", ())
        if "functionCall" in part
    } == {(0, "f"), (1, "g")}


# --- chunks of their own ------------------------------------------------------------------------------------


USAGE = data({**HEAD, "choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}})


@everybody
def test_case_06_a_chunk_of_counts_alone_breaks_nobody(client: str) -> None:
    heard = said_to(client, text("Good day") + chunk(finish="stop") + USAGE + DONE)
    assert (heard.text, heard.finish) == ("Good day", finish_of_stop(client))


def test_case_07_counts_are_shown_to_those_who_asked_and_recorded_for_all() -> None:
    events = [
        {"type": "message_start", "message": {"id": "x", "model": "c", "usage": {"input_tokens": 5}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "Good day"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 3}},
        {"type": "message_stop"},
    ]
    openai = text("Good day") + chunk(finish="stop") + USAGE + DONE
    for provider, stream in (("openai", openai), ("anthropic", named(*events))):
        for shown in (False, True):
            options: dict[str, Any] = {"stream_options": {"include_usage": True}} if shown else {}
            stage = stage_of(provider)
            speaker = stage.ask(asked("openai", **options), STREAM_PATHS["openai"])
            stage.call.head(200, SSE).body(stream, True)
            heard = speaker.heard()
            assert bool(streamed("openai", heard).usage) is shown
            assert (b'"choices":[]' in heard.replace(b" ", b"")) is shown
            usage = stage.record().usage
            assert usage is not None
            assert (usage.input_total, usage.output_total) == (5, 3)


@everybody
def test_case_08_a_first_chunk_without_choices_as_azure_sends_it_is_no_answer_yet(client: str) -> None:
    filters = {"prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {}}]}
    first = {"choices": [], "created": 0, "id": "", "model": "", "object": "", **filters}
    note = {**HEAD, "choices": [{"index": 0, "finish_reason": None, "content_filter_results": {}}]}
    stream = data(first) + text("Good day") + data(note) + chunk(finish="stop") + DONE
    heard = said_to(client, stream, provider="azure_openai")
    assert (heard.text, heard.finish) == ("Good day", finish_of_stop(client))


# --- finishes -----------------------------------------------------------------------------------------------


def gemini_call(**more: Any) -> Any:
    return {"functionCall": {"name": "f", "args": {"a": 1}}, **more}


def candidate(*parts: Any, finish: str | None = None, **more: Any) -> dict[str, Any]:
    told = {"content": {"role": "model", "parts": list(parts)}, "index": 0, **more}
    return {"candidates": [{**told, "finishReason": finish} if finish else told], "modelVersion": "g"}


OLLAMA_CALL = {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}]}


def line(message: Any, **more: Any) -> bytes:
    """Return a line of Ollama's."""
    told = {"model": "l", "created_at": "2026-11-01T00:00:00Z", "message": message, "done": False, **more}
    return json.dumps(told).encode() + b"\n"


@everybody
@pytest.mark.parametrize(
    ("provider", "answer"),
    [
        ("openai", calls(call("a", "f", '{"a":1}', index=0), finish="stop") + DONE),
        ("openai", calls(call("a", "f", '{"a":1}', index=0)) + chunk() + chunk(finish="stop") + DONE),
        ("gemini", data(candidate(gemini_call()), candidate({"text": ""}, finish="STOP"))),
        ("gemini", data(candidate(gemini_call(), finish="STOP"))),
        ("ollama", line(OLLAMA_CALL) + line({"role": "assistant", "content": ""}, done=True, done_reason="stop")),
    ],
)
def test_case_09_a_call_ends_in_a_finish_of_calls_whatever_the_provider_calls_it(
    client: str, provider: str, answer: bytes
) -> None:
    if client == provider != "openai":
        return  # the provider's own clients read it as it is
    coding = NDJSON if provider == "ollama" else SSE
    heard = said_to(client, answer, provider=provider, coding=coding)
    assert (heard.calls, heard.finish) == ([("f", {"a": 1})], finish_of_calls(client))


@everybody
def test_case_10_a_finish_of_calls_without_a_call_is_a_stop(client: str) -> None:
    heard = said_to(client, text("Good day") + chunk(finish="tool_calls") + DONE)
    assert (heard.text, heard.calls, heard.finish) == ("Good day", [], finish_of_stop(client))


@everybody
@pytest.mark.parametrize("first", [b"", chunk({"role": "assistant"}), chunk({"role": "assistant", "content": ""})])
def test_case_11_the_role_comes_first_whether_the_provider_tells_it_alone_or_never(client: str, first: bytes) -> None:
    heard = said_to(client, first + chunk({"content": "Good day"}) + chunk(finish="stop") + DONE)
    assert heard.text == "Good day"


@everybody
@pytest.mark.parametrize("arguments", [None, "", "{}"])
def test_case_12_a_call_without_arguments_has_an_empty_object_of_them(client: str, arguments: str | None) -> None:
    more = {**call(arguments=""), "index": 0, "type": "function"}
    stream = calls(call("a", "f", arguments, index=0)) + calls(more) + chunk(finish="tool_calls") + DONE
    assert_calls(client, said_to(client, stream), [("f", {})])


# --- signatures and reasoning -------------------------------------------------------------------------------


SEAL = base64.b64encode(b"a seal of Gemini's").decode()


def test_case_13_geminis_seal_of_a_call_comes_back_through_openais_shape() -> None:
    answer = data(candidate(gemini_call(thoughtSignature=SEAL)), candidate({"text": ""}, finish="STOP"))
    stage = stage_of("gemini")
    speaker = stage.ask(asked("openai"), STREAM_PATHS["openai"])
    stage.call.head(200, SSE).body(answer, True)
    chunks = [json.loads(one[6:]) for one in body_of(speaker.heard()).split(b"\n\n") if one.startswith(b"data: {")]
    pieces = [call for one in chunks for call in one["choices"][0]["delta"].get("tool_calls", ())]
    made = {name: value for piece in pieces for name, value in piece.items()}
    assert made["extra_content"]["google"]["thought_signature"]
    function = {"name": "f", "arguments": '{"a":1}'}
    again = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": None, "tool_calls": [{**made, "function": function}]},
        {"role": "tool", "tool_call_id": made["id"], "content": "7"},
    ]
    (_, turn, _) = sent("openai", "gemini", messages=again)["contents"]
    (part,) = [part for part in turn["parts"] if "functionCall" in part]
    assert (part["functionCall"]["args"], part["thoughtSignature"]) == ({"a": 1}, SEAL)


GEMINIS_CALL = data(candidate(gemini_call(thoughtSignature=SEAL)), candidate({"text": ""}, finish="STOP"))


def called_again(stage: Stage, call: dict[str, Any], headers: Any = (), more: Any = ()) -> dict[str, Any]:
    """Return the call as Gemini is told it by a client that says nothing of it but id, name and arguments."""
    made = {"id": call["id"], "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
    again = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": None, "tool_calls": [made, *more]},
        *({"role": "tool", "tool_call_id": one["id"], "content": "7"} for one in [made, *more]),
    ]
    stage.ask(asked("openai", model="m", messages=again), STREAM_PATHS["openai"], headers=headers)
    (_, turn, _) = json.loads(stage.call.sent_body)["contents"]
    part: dict[str, Any] = next(part for part in turn["parts"] if "functionCall" in part)
    return part


def sealed_call(stage: Stage, headers: Any = ()) -> dict[str, Any]:
    """Return a call as a client is told it, which Gemini has sealed."""
    speaker = stage.ask(asked("openai"), STREAM_PATHS["openai"], headers=headers)
    stage.call.head(200, SSE).body(GEMINIS_CALL, True)
    chunks = [json.loads(one[6:]) for one in body_of(speaker.heard()).split(b"\n\n") if one.startswith(b"data: {")]
    (call,) = [one for made in chunks for one in made["choices"][0]["delta"].get("tool_calls", ()) if "id" in one]
    return dict(call)


def test_case_13_geminis_seal_is_kept_for_clients_that_drop_it() -> None:
    stage = stage_of("gemini")
    call = sealed_call(stage)
    assert called_again(stage, call)["thoughtSignature"] == SEAL
    assert called_again(stage, call)["thoughtSignature"] == SEAL
    assert "thoughtSignature" not in called_again(stage, {**call, "id": "call_of_another"})


def test_case_13_a_seal_is_kept_for_the_caller_alone_who_was_told_of_the_call() -> None:
    stage = Stage(provider="gemini", key="passthrough", repair=True)
    mine, theirs = [(b"authorization", b"Bearer mine")], [(b"authorization", b"Bearer theirs")]
    call = sealed_call(stage, mine)
    assert "thoughtSignature" not in called_again(stage, call, theirs)
    assert called_again(stage, call, mine)["thoughtSignature"] == SEAL


THINKING = [
    {"type": "message_start", "message": {"id": "x", "model": "c", "usage": {"input_tokens": 5}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "Hm\u2028m."}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "Eq+/QB=="}},
    {"type": "content_block_stop", "index": 0},
    {
        "type": "content_block_start",
        "index": 1,
        "content_block": {"type": "tool_use", "id": "t", "name": "f", "input": {}},
    },
    {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": '{"a":1}'}},
    {"type": "content_block_stop", "index": 1},
    {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 3}},
    {"type": "message_stop"},
]


def test_case_14_anthropics_thinking_comes_back_as_it_was_and_nobody_elses_goes_there() -> None:
    stage = stage_of("anthropic")
    speaker = stage.ask(asked("openai", False), WHOLE_PATHS["openai"])
    message: dict[str, Any] = {
        "id": "x",
        "type": "message",
        "role": "assistant",
        "model": "c",
        "content": [
            {"type": "thinking", "thinking": "Hm\u2028m.", "signature": "Eq+/QB=="},
            {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}},
        ],
        "stop_reason": "tool_use",
        "usage": {"input_tokens": 5, "output_tokens": 3},
    }
    stage.call.head(200, JSON).body(json.dumps(message).encode(), True)
    (answer,) = answers(speaker.heard(), b"POST")
    told = json.loads(answer.body)["choices"][0]["message"]
    again = [{"role": "user", "content": "Hi"}, told, {"role": "tool", "tool_call_id": "t", "content": "7"}]
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    written = sent("openai", "anthropic", messages=again, tools=tools)["messages"][1]["content"]
    assert written[0] == message["content"][0]
    assert written[1]["type"] == "tool_use"
    assert "Eq+" not in json.dumps(sent("openai", "gemini", messages=again))
    of_gemini = {"type": "thinking", "thinking": "Hm.", "signature": f"google-gemini-v1:{SEAL}"}
    turns = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": [of_gemini, {"type": "text", "text": "a"}]},
        {"role": "user", "content": "Go on"},
    ]
    item = {"type": "reasoning", "summary": [], "encrypted_content": f"google-gemini-v1:{SEAL}"}
    assert SEAL not in json.dumps(sent("responses", "anthropic", input=[item, {"role": "user", "content": "Hi"}]))
    assert SEAL not in json.dumps(sent("anthropic", "openai", messages=turns))


def test_case_15_what_deepseek_thought_goes_back_to_it_and_is_never_made_up() -> None:
    stream = chunk({"role": "assistant", "reasoning_content": "Hm."}) + calls(call("a", "f", "{}", index=0))
    stream += chunk(finish="tool_calls") + DONE
    assert said_to("openai", stream, provider="deepseek").reasoning == "Hm."
    heard = said_to("anthropic", stream, provider="deepseek")
    assert heard.reasoning == "Hm."
    made = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    turn = {"role": "assistant", "content": None, "tool_calls": [made]}
    result = {"role": "tool", "tool_call_id": "a", "content": "7"}
    for reasoning, expected in (({"reasoning_content": "Hm."}, "Hm."), ({"reasoning": "Hm."}, "Hm."), ({}, None)):
        again = [{"role": "user", "content": "Hi"}, {**turn, **reasoning}, result]
        assert sent("openai", "deepseek", messages=again)["messages"][1].get("reasoning_content") == expected
    again = [{"role": "user", "content": "Hi"}, {**turn, "reasoning_content": ""}, result]
    assert "reasoning_content" not in sent("openai", "deepseek", messages=again)["messages"][1]
    thinking = {"type": "thinking", "thinking": "Hm.", "signature": heard.signatures[0]}
    content = [thinking, {"type": "tool_use", "id": "a", "name": "f", "input": {}}]
    again = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": content}]
    again.append({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": "7"}]})
    assert sent("anthropic", "deepseek", messages=again)["messages"][1]["reasoning_content"] == "Hm."


# --- errors and truncation ----------------------------------------------------------------------------------


LATE = data({"error": {"message": "out of memory", "type": "server_error", "code": "engine_died"}})


@everybody
def test_case_16_an_error_inside_a_stream_is_an_error_answer_first_and_an_error_event_later(client: str) -> None:
    assert refused(client, heard_of(client, LATE)) == (502, "out of memory", "engine_died")
    assert broken(client, heard_of(client, [text("Good"), LATE]), told_by_provider=True)[0] == "out of memory"


@everybody
@pytest.mark.parametrize("document", [{"error": {"message": "no room", "code": 503}}, {"error": "no room"}])
def test_case_18_an_error_with_status_200_is_one(client: str, document: Any) -> None:
    stage = stage_of()
    speaker = stage.ask(asked(client, False), WHOLE_PATHS[client])
    stage.call.head(200, JSON).body(json.dumps(document).encode(), True)
    status, message, _ = refused(client, speaker.heard())
    assert status in (502, 503, 529)
    assert message == "no room"


@everybody
@pytest.mark.parametrize("document", [{}, {"choices": []}, {"choices": None}])
def test_case_18_an_answer_without_choices_is_no_empty_success(client: str, document: Any) -> None:
    stage = stage_of()
    speaker = stage.ask(asked(client, False), WHOLE_PATHS[client])
    stage.call.head(200, JSON).body(json.dumps({**HEAD, **document}).encode(), True)
    assert refused(client, speaker.heard())[0] == 502


@everybody
def test_case_19_a_provider_that_fails_before_its_first_event_is_no_empty_stream(client: str) -> None:
    for begun in (None, b"", b": processing\n\n"):
        stage = stage_of()
        speaker = stage.ask(asked(client), STREAM_PATHS[client])
        if begun is not None:
            stage.call.head(200, SSE).body(begun)
        stage.call.fail(CUT)
        assert refused(client, speaker.heard())[::2] == (502, "upstream_truncated")


def test_case_20_events_of_a_response_are_numbered_without_gaps_up_to_an_error_of_ours() -> None:
    stream = text("Good ") + calls(call("a", "f", "{}", index=0))
    assert said_to("responses", stream + chunk(finish="tool_calls") + DONE).text == "Good "
    for failing in (LATE, b""):
        assert broken("responses", heard_of("responses", [stream, failing]))[1] in ("engine_died", "upstream_truncated")


# --- requests written for another provider ------------------------------------------------------------------


CALL_TURN: dict[str, Any] = {
    "role": "assistant",
    "content": None,
    "tool_calls": [
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}},
        {"id": "b", "type": "function", "function": {"name": "g", "arguments": '{"b":2}'}},
    ],
}
RESULTS = [
    {"role": "tool", "tool_call_id": "a", "content": "7"},
    {"role": "tool", "tool_call_id": "b", "content": "8"},
]
USER = {"role": "user", "content": "Hi"}


def test_case_21_results_of_tools_stand_together_and_first_in_anthropics_next_turn() -> None:
    turns = [USER, CALL_TURN, *RESULTS, {"role": "user", "content": "Go on"}]
    written = sent("openai", "anthropic", messages=turns)["messages"]
    assert [one["role"] for one in written] == ["user", "assistant", "user"]
    assert [(one["type"], one.get("tool_use_id")) for one in written[2]["content"]] == [
        ("tool_result", "a"),
        ("tool_result", "b"),
        ("text", None),
    ]


@pytest.mark.parametrize("blank", ["", " \n", None])
def test_case_22_a_blank_turn_between_calls_and_results_goes(blank: str | None) -> None:
    turns = [USER, CALL_TURN, {"role": "assistant", "content": blank}, *RESULTS]
    written = sent("openai", "anthropic", messages=turns)["messages"]
    assert [one["role"] for one in written] == ["user", "assistant", "user"]
    assert [one["type"] for one in written[1]["content"]] == ["tool_use", "tool_use"]
    contents = sent("openai", "gemini", messages=turns)["contents"]
    assert [one["role"] for one in contents] == ["user", "model", "user"]


@pytest.mark.parametrize("provider", ["openai", "anthropic", "gemini", "ollama", "cohere", "gigachat", "mistral"])
@pytest.mark.parametrize("content", [None, [], "", "absent"])
def test_case_23_calls_without_words_are_taken_however_the_words_are_missing(content: Any, provider: str) -> None:
    turn = {name: value for name, value in {**CALL_TURN, "content": content}.items() if value != "absent"}
    body = sent("openai", provider, messages=[USER, turn, *RESULTS])
    written = body["contents" if provider == "gemini" else "messages"][1]
    if provider in ("ollama", "gigachat"):
        assert written.get("content", "") == ""
    if provider == "anthropic":
        assert [one["type"] for one in written["content"]] == ["tool_use", "tool_use"]
    if provider == "gemini":
        assert [next(iter(one)) for one in written["parts"]] == ["functionCall", "functionCall"]


@pytest.mark.parametrize("provider", ["groq", "deepseek", "mistral", "openrouter", "huggingface", "together"])
def test_case_24_a_developer_is_the_system_to_those_who_know_no_developers(provider: str) -> None:
    turns = [{"role": "developer", "content": "Be brief."}, USER]
    for body in (sent("openai", provider, messages=turns), sent("responses", provider, input=turns)):
        assert [one["role"] for one in body["messages"]] == ["system", "user"]
    assert sent("openai", "openai", messages=turns)["messages"][0]["role"] == "developer"


def test_case_25_instructions_go_where_the_provider_takes_them() -> None:
    system = {"role": "system", "content": "Be brief."}
    later = {"role": "system", "content": "Be kind."}
    turns = [system, later, USER, {"role": "assistant", "content": "Yes?"}, system, USER]
    anthropic = sent("openai", "anthropic", messages=turns)
    assert {one["role"] for one in anthropic["messages"]} == {"user", "assistant"}
    assert json.dumps(anthropic["system"]).index("brief") < json.dumps(anthropic["system"]).index("kind")
    gemini = sent("openai", "gemini", messages=turns)
    assert {one["role"] for one in gemini["contents"]} == {"user", "model"}
    assert "kind" in json.dumps(gemini["systemInstruction"])
    roles = [one["role"] for one in sent("openai", "gigachat", messages=turns)["messages"]]
    assert roles[0] == "system"
    assert "system" not in roles[1:]


@pytest.mark.parametrize(
    ("client", "given", "provider", "field"),
    [
        ("openai", {"max_completion_tokens": 9}, "anthropic", "max_tokens"),
        ("openai", {"max_tokens": 9}, "anthropic", "max_tokens"),
        ("openai", {"max_completion_tokens": 9}, "mistral", "max_tokens"),
        ("openai", {"max_completion_tokens": 9}, "deepseek", "max_tokens"),
        ("openai", {"max_completion_tokens": 9}, "cohere", "max_tokens"),
        ("anthropic", {"max_tokens": 9}, "openai", "max_tokens"),
        ("ollama", {"options": {"num_predict": 9}}, "openai", "max_tokens"),
        ("gemini", {"generationConfig": {"maxOutputTokens": 9}}, "groq", "max_tokens"),
        ("responses", {"max_output_tokens": 9}, "mistral", "max_tokens"),
    ],
)
def test_case_26_the_most_tokens_have_the_providers_own_name(
    client: str, given: dict[str, Any], provider: str, field: str
) -> None:
    body = sent(client, provider, **given)
    assert {name: value for name, value in body.items() if name.startswith("max_")} == {field: 9}


def test_case_26_models_that_reason_are_told_by_the_newer_name() -> None:
    stage = Stage(repair=True, models={"m": (Candidate("up", "gpt-5"),)})
    stage.ask(asked("anthropic", False), STREAM_PATHS["anthropic"])
    assert json.loads(stage.call.sent_body)["max_completion_tokens"] == 64
    assert "max_tokens" not in json.loads(stage.call.sent_body)


LONG_ID = "call|" + "x" * 90


def test_case_27_ids_of_calls_fit_the_provider_and_belong_to_their_results() -> None:
    turn = {**CALL_TURN, "tool_calls": [{**CALL_TURN["tool_calls"][0], "id": LONG_ID}]}
    turns = [USER, turn, {"role": "tool", "tool_call_id": LONG_ID, "content": "7"}]
    mistral = sent("openai", "mistral", messages=turns)["messages"]
    id = mistral[1]["tool_calls"][0]["id"]
    assert id == mistral[2]["tool_call_id"]
    assert (len(id), id.isalnum()) == (9, True)
    anthropic = sent("openai", "anthropic", messages=turns)["messages"]
    id = anthropic[1]["content"][0]["id"]
    assert id == anthropic[2]["content"][0]["tool_use_id"]
    assert set(id) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
    stream = calls(call(LONG_ID, "f", "{}", index=0)) + chunk(finish="tool_calls") + DONE
    (id,) = said_to("responses", stream).ids
    assert len(id) <= 64


def test_case_28_schemas_that_gemini_does_not_know_whole_go_where_it_takes_any() -> None:
    schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": {
            "n": {"type": "number", "exclusiveMinimum": 0, "multipleOf": 5},
            "k": {"const": "x"},
            "l": {"type": "array", "uniqueItems": True, "items": {"$ref": "#/$defs/one"}},
        },
        "$defs": {"one": {"type": "string"}},
    }
    tools = [{"type": "function", "function": {"name": "f", "parameters": schema}}]
    form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    body = sent("openai", "gemini", tools=tools, response_format=form)
    (declared,) = body["tools"][0]["functionDeclarations"]
    assert declared["parametersJsonSchema"] == schema
    assert "parameters" not in declared
    assert body["generationConfig"]["responseJsonSchema"] == schema


# --- other answers ------------------------------------------------------------------------------------------


VECTOR = [0.5, -1.25, 3.0]
PACKED = base64.b64encode(struct.pack("<3f", *VECTOR)).decode()


@pytest.mark.parametrize(
    ("provider", "answer"),
    [
        (
            "openai",
            {"object": "list", "model": "e", "data": [{"object": "embedding", "index": 0, "embedding": VECTOR}]},
        ),
        ("ollama", {"model": "e", "embeddings": [VECTOR]}),
        ("gemini", {"embedding": {"values": VECTOR}}),
        ("cohere", {"id": "x", "embeddings": {"float": [VECTOR]}, "texts": ["Hi"]}),
    ],
)
def test_case_29_vectors_come_as_base64_to_those_who_asked_for_it(provider: str, answer: Any) -> None:
    for form, expected in (("base64", PACKED), ("float", VECTOR)):
        stage = stage_of(provider)
        speaker = stage.ask({"model": "m", "input": "Hi", "encoding_format": form}, "/v1/embeddings")
        stage.call.head(200, JSON).body(json.dumps(answer).encode(), True)
        (got,) = answers(speaker.heard(), b"POST")
        assert json.loads(got.body)["data"][0]["embedding"] == expected


def test_case_30_cached_tokens_are_counted_once() -> None:
    begun = {"input_tokens": 5, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 20, "output_tokens": 1}
    events = [
        {"type": "message_start", "message": {"id": "x", "model": "c", "usage": begun}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "Good day"}},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn"},
            "usage": {**begun, "output_tokens": 3, "cache_read_input_tokens": 100},
        },
        {"type": "message_stop"},
    ]
    options = {"stream_options": {"include_usage": True}}
    usage = said_to("openai", named(*events), provider="anthropic", **options).usage
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (125, 3, 128)
    assert usage["prompt_tokens_details"]["cached_tokens"] == 100
    counts = {"prompt_tokens": 125, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 100}}
    stream = text("Good day") + chunk(finish="stop") + data({**HEAD, "choices": [], "usage": counts}) + DONE
    usage = said_to("anthropic", stream).usage
    assert (usage["input_tokens"], usage["cache_read_input_tokens"], usage["output_tokens"]) == (25, 100, 3)


# --- the framing of streams ---------------------------------------------------------------------------------


PLAIN = text("Good d\u00e4y \U0001f600") + chunk(finish="stop") + DONE


@everybody
@pytest.mark.parametrize("end", [b"\r\n", b"\r", b"\n"])
@pytest.mark.parametrize("space", [b" ", b""])
def test_case_31_every_line_end_and_a_missing_space_are_read(client: str, end: bytes, space: bytes) -> None:
    stream = PLAIN.replace(b"data: ", b"data:" + space).replace(b"\n", end)
    heard = said_to(client, [stream[at : at + 3] for at in range(0, len(stream), 3)])
    assert heard.text == "Good d\u00e4y \U0001f600"


@everybody
def test_case_32_line_ends_of_other_alphabets_never_reach_clients_that_cut_there(client: str) -> None:
    words = "a\u2028b\u2029c\x85d"
    raw = text("@") + chunk(finish="stop") + DONE
    heard = said_to(client, raw.replace(b"@", words.encode()))
    assert heard.text == words


@everybody
def test_case_33_characters_cut_between_reads_are_whole(client: str) -> None:
    raw = text("@") + chunk(finish="stop") + DONE
    stream = raw.replace(b"@", "d\u00e4y \U0001f600".encode())
    assert said_to(client, [stream[at : at + 1] for at in range(len(stream))]).text == "d\u00e4y \U0001f600"


@everybody
@pytest.mark.parametrize(
    "sign",
    [
        b": OPENROUTER PROCESSING\n\n",
        b"id: 7\n: still here\n\n",
        b"id: 7\n\n",
        b"data:\n\n",
        b'data: ""\n\n',
        b"data: {}\n\n",
        b"event: ping\n\n",
        b"event: ping\ndata: {}\n\n",
        b"retry: 500\n\n",
        b":\n\n\n\n",
    ],
)
def test_case_34_signs_of_life_are_never_taken_for_data(client: str, sign: bytes) -> None:
    words, finish, done = text("Good day"), chunk(finish="stop"), DONE
    stream = sign + words + sign + finish.replace(b"data: ", b"id: 8\ndata: ") + sign + done
    assert said_to(client, stream).text == "Good day"


def test_case_34_a_sign_of_life_of_anthropics_is_one_in_every_dialect() -> None:
    ping = named({"type": "ping"})
    stream = named(THINKING[0]) + ping + named(*THINKING[1:5]) + ping + named(*THINKING[5:])
    for client in set(CLIENTS) - {"anthropic"}:
        assert said_to(client, stream, provider="anthropic").calls == [("f", {"a": 1})]


@everybody
def test_case_35_an_answer_in_a_coding_that_nobody_asked_for_is_undone_or_refused(client: str) -> None:
    for coding, packed in ((b"gzip", gzip.compress(PLAIN)), (b"deflate", zlib.compress(PLAIN))):
        stage = stage_of()
        speaker = stage.ask(asked(client), STREAM_PATHS[client], headers=[(b"accept-encoding", b"br, gzip")])
        assert stage.call.header(b"accept-encoding") == [b"identity"]
        stage.call.head(200, SSE, (b"content-encoding", coding)).body(packed[:20]).body(packed[20:], True)
        heard = speaker.heard()
        assert b"content-encoding" not in heard
        assert streamed(client, heard).text == "Good d\u00e4y \U0001f600"


@pytest.mark.parametrize("client", ["anthropic", "responses", "gemini", "ollama"])
def test_case_35_a_coding_that_cannot_be_read_is_no_answer_where_it_has_to_be(client: str) -> None:
    stage = stage_of()
    speaker = stage.ask(asked(client), STREAM_PATHS[client])
    stage.call.head(200, SSE, (b"content-encoding", b"br")).body(b"\x0b\x02\x80", True)
    assert refused(client, speaker.heard())[::2] == (502, "upstream_bad_encoding")


# --- what later issues go on with ---------------------------------------------------------------------------


def test_case_39_a_call_that_groq_could_not_read_is_an_honest_error() -> None:
    message = "Failed to call a function. Please adjust your prompt."
    error = {"message": message, "type": "invalid_request_error", "code": "tool_use_failed"}
    body = json.dumps({"error": {**error, "failed_generation": '<function=f>{"a":1}'}}).encode()
    for client in CLIENTS:
        stage = stage_of("groq")
        speaker = stage.ask(asked(client), STREAM_PATHS[client])
        stage.call.head(400, JSON).body(body, True)
        heard = speaker.heard()
        if client == "openai":
            assert answers(heard, b"POST")[0].body == body
        assert refused(client, heard) == (400, message, "tool_use_failed")
        event = b"event: error\n" + data(json.loads(body))
        assert refused(client, heard_of(client, event, provider="groq"))[:2] == (400, message)
        assert broken(client, heard_of(client, [text("Good"), event], provider="groq"), True)[0] == message


GENERATIONS = [
    '<function=f>{"a":1}</function>',
    '<function=f{"a":1}</function>',
    '{"name": "f", "arguments": {"a": 1}}',
    '[{"name": "f", "parameters": {"a": 1}}]',
    '<tool_call>\n{"name": "f", "arguments": {"a": 1}}\n</tool_call>',
]


def offering(client: str) -> dict[str, Any]:
    """Return the tool ``f`` as a client offers it."""
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    function = {"name": "f", "parameters": schema}
    if client == "gemini":
        return {"tools": [{"functionDeclarations": [function]}]}
    if client == "anthropic":
        return {"tools": [{"name": "f", "input_schema": schema}]}
    return {"tools": [{"type": "function", **(function if client == "responses" else {"function": function})}]}


def failed_generation(generation: str) -> bytes:
    error = {"message": "Failed to call a function.", "type": "invalid_request_error", "code": "tool_use_failed"}
    return json.dumps({"error": {**error, "failed_generation": generation}}).encode()


@everybody
@pytest.mark.parametrize("generation", GENERATIONS)
def test_case_39_a_call_that_groq_could_not_read_is_made_all_the_same(client: str, generation: str) -> None:
    stage = stage_of("groq")
    speaker = stage.ask(asked(client, **offering(client)), STREAM_PATHS[client])
    body = failed_generation(generation)
    stage.call.head(400, JSON).body(body[:30]).body(body[30:], True)
    heard = streamed(client, speaker.heard())
    assert heard.calls == [("f", {"a": 1})]
    assert heard.finish == finish_of_calls(client)
    record = stage.record()
    assert (record.outcome, record.usage and record.usage.source) == ("done", "counted")


def test_case_39_several_calls_of_a_document_are_made_as_one() -> None:
    stage = stage_of("groq")
    speaker = stage.ask(asked("openai", False, **offering("openai")), WHOLE_PATHS["openai"])
    stage.call.head(400, JSON).body(
        failed_generation('<function=f>{"a":1}</function>\n<function=f>{}</function>'), True
    )
    (answer,) = answers(speaker.heard(), b"POST")
    (choice,) = json.loads(answer.body)["choices"]
    made = choice["message"]["tool_calls"]
    assert [one["function"] for one in made] == [
        {"name": "f", "arguments": '{"a":1}'},
        {"name": "f", "arguments": "{}"},
    ]
    assert len({one["id"] for one in made}) == 2
    assert choice["finish_reason"] == "tool_calls"


@pytest.mark.parametrize(
    "generation",
    [
        '<function=g>{"a":1}</function>',
        'I call <function=f>{"a":1}</function>',
        '<function=f>{"a":1}</function> and so on',
        '<function=f>{"a":</function>',
        '<function=f>{"a":1',
        '{"name": "f", "arguments": "1"}',
        '{"name": "f"}',
        '["f"]',
        "f(1)",
        "",
    ],
)
def test_case_39_what_is_no_call_of_an_offered_tool_stays_an_error(generation: str) -> None:
    stage = stage_of("groq")
    speaker = stage.ask(asked("openai", **offering("openai")), STREAM_PATHS["openai"])
    body = failed_generation(generation)
    stage.call.head(400, JSON).body(body, True)
    (answer,) = answers(speaker.heard(), b"POST")
    assert (answer.status, answer.body) == (400, body)


def test_case_40_ollamas_clients_find_what_they_look_for() -> None:
    client = stage_of().client()
    client.say(request("/api/version"))
    (answer,) = answers(client.heard(), b"GET")
    assert re.fullmatch(r"\d+\.\d+\.\d+", json.loads(answer.body)["version"])
    client = stage_of().ask({"model": "m"}, "/api/show")
    (answer,) = answers(client.heard(), b"POST")
    shown = json.loads(answer.body)
    assert {"completion", "tools"} <= set(shown["capabilities"])
    assert any(name.endswith(".context_length") and size > 0 for name, size in shown["model_info"].items())
    client = stage_of().client()
    client.say(request("/api/tags"))
    assert [one["name"] for one in json.loads(answers(client.heard(), b"GET")[0].body)["models"]] == ["m", "alias"]


@everybody
@pytest.mark.parametrize("end", [b"", DONE, DONE + DONE])
def test_case_41_the_mark_of_the_end_comes_once_however_often_the_provider_tells_it(client: str, end: bytes) -> None:
    assert said_to(client, text("Good day") + chunk(finish="stop") + end).text == "Good day"


@everybody
def test_case_41_a_finish_that_never_came_is_never_made_up(client: str) -> None:
    stream = text("Good day")
    assert broken(client, heard_of(client, [stream, b""]))[1] == "upstream_truncated"
    if client == "openai":
        heard = heard_of(client, stream + DONE)
        assert b'"finish_reason":"' not in heard.replace(b" ", b"")
    else:
        assert broken(client, heard_of(client, [stream, DONE]))[1] == "upstream_truncated"


@everybody
def test_case_42_a_mark_of_the_end_among_anthropics_events_reaches_nobody_there(client: str) -> None:
    done = b"event: data\ndata: [DONE]\n\n"
    heard = heard_of(client, named(*THINKING) + done, provider="anthropic")
    assert streamed(client, heard).calls == [("f", {"a": 1})]
    assert (b"[DONE]" in heard) is (client == "openai")


@everybody
def test_case_43_an_end_without_error_and_without_finish_is_an_error(client: str) -> None:
    heard = heard_of(client, [text("Good"), chunk({"content": ""})])
    assert broken(client, heard)[1] == "upstream_truncated"


def test_case_44_both_versions_of_anthropics_api_are_spoken_on_either_side() -> None:
    for version, header in ((b"2023-06-01", b"x-api-key"), (b"2026-10-21", b"authorization")):
        stage = Stage(token="t", repair=True)
        value = b"Bearer t" if header == b"authorization" else b"t"
        fields = [(b"anthropic-version", version), (header, value)]
        stage.ask(asked("anthropic"), STREAM_PATHS["anthropic"], headers=fields)
        assert stage.call.header(b"authorization") == [f"Bearer {KEY}".encode()]
        sampling = stage.ask(asked("anthropic", temperature=0.5), STREAM_PATHS["anthropic"], headers=fields)
        if version == b"2026-10-21":
            status, message, _ = refused("anthropic", sampling.heard())
            assert (status, message.split(":")[0]) == (400, "temperature")
        else:
            assert json.loads(stage.call.sent_body)["temperature"] == 0.5
    for model, kept in (("claude-3-haiku-20240307", True), ("claude-opus-5", False)):
        stage = Stage(provider="anthropic", models={"m": (Candidate("up", model),)})
        speaker = stage.ask(asked("openai", False, temperature=0.5), STREAM_PATHS["openai"])
        assert stage.call.header(b"anthropic-version") == [b"2023-06-01"]
        assert ("temperature" in json.loads(stage.call.sent_body)) is kept
        stage.call.head(200, JSON).body(b"{}", True)
        assert (b"netrunner-dropped: temperature" in speaker.heard()) is not kept


@everybody
@pytest.mark.parametrize("blank", [b"\n", b"\n\n\n", b" \r\n", b"\xef\xbb\xbf"])
def test_case_46_blank_lines_before_a_document_are_no_part_of_it(client: str, blank: bytes) -> None:
    message = {"role": "assistant", "content": "Good day"}
    body = json.dumps({**HEAD, "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}).encode()
    stage = stage_of("deepseek")
    speaker = stage.ask(asked(client, False), WHOLE_PATHS[client])
    stage.call.head(200, JSON).body(blank).body(b"\n").body(body, True)
    (answer,) = answers(speaker.heard(), b"POST")
    assert "Good day" in json.dumps(json.loads(answer.body))
    assert stage.record().outcome == "done"


OTHERS = tuple(client for client in CLIENTS if client != "gemini")
"""Whose callers do not ask on themselves."""
BROKEN_OFF = candidate({"text": "Good"}, finish="CONTINUATION", continuationToken="t1")
COUNTED = {"usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 2}}


@pytest.mark.parametrize("client", OTHERS)
@pytest.mark.parametrize("streaming", [True, False])
def test_case_47_an_answer_that_gemini_breaks_off_is_asked_on_for(client: str, streaming: bool) -> None:
    stage = stage_of("gemini")
    speaker = stage.ask(asked(client, streaming), (STREAM_PATHS if streaming else WHOLE_PATHS)[client])
    first = stage.call
    parts = [{**BROKEN_OFF, **COUNTED}, {**candidate({"text": " day"}, finish="STOP"), **COUNTED}]
    if streaming:
        event = data(parts[0])
        first.head(200, SSE).body(event[:70]).body(event[70:]).body(b"", True)
        stage.call.head(200, SSE).body(data(parts[1]), True)
        heard = streamed(client, speaker.heard())
        assert (heard.text, heard.finish) == ("Good day", finish_of_stop(client) or "stop")
    else:
        first.head(200, JSON).body(json.dumps(parts[0]).encode(), True)
        stage.call.head(200, JSON).body(json.dumps(parts[1]).encode(), True)
        (answer,) = answers(speaker.heard(), b"POST")
        assert answer.status == 200
        assert b"Good day" in answer.body
    assert len(stage.upstream.calls) == 2
    again = json.loads(stage.call.sent_body)
    assert again.pop("continuationToken") == "t1"
    assert again == json.loads(first.sent_body)
    assert stage.call.request.target == first.request.target
    record = stage.record()
    assert (record.outcome, len(record.attempts)) == ("done", 1)
    assert record.usage is not None
    assert (record.usage.input_total, record.usage.output_total) == (10, 4)


def test_case_47_googles_own_clients_ask_on_themselves() -> None:
    stage = stage_of("gemini")
    speaker = stage.ask(asked("gemini"), STREAM_PATHS["gemini"])
    stage.call.head(200, SSE).body(data(BROKEN_OFF), True)
    assert body_of(speaker.heard()) == data(BROKEN_OFF)
    assert len(stage.upstream.calls) == 1


@pytest.mark.parametrize(
    ("client", "finish"),
    [("openai", "stop"), ("anthropic", "pause_turn"), ("responses", "incomplete"), ("ollama", "stop")],
)
def test_case_47_an_answer_that_cannot_be_asked_on_for_is_a_pause(client: str, finish: str) -> None:
    answer = data(candidate({"text": "Good"}, finish="CONTINUATION"))
    heard = said_to(client, answer, provider="gemini")
    assert (heard.text, heard.finish) == ("Good", finish)


def test_case_47_an_answer_that_asks_on_with_what_it_was_asked_with_is_a_pause() -> None:
    stage = stage_of("gemini")
    speaker = stage.ask(asked("anthropic"), STREAM_PATHS["anthropic"])
    for _ in range(2):
        stage.call.head(200, SSE).body(data(BROKEN_OFF), True)
    heard = streamed("anthropic", speaker.heard())
    assert (heard.text, heard.finish, len(stage.upstream.calls)) == ("GoodGood", "pause_turn", 2)


@pytest.mark.parametrize("client", OTHERS)
def test_case_47_an_answer_that_does_not_go_on_has_broken_off(client: str) -> None:
    stage = stage_of("gemini")
    speaker = stage.ask(asked(client), STREAM_PATHS[client])
    stage.call.head(200, SSE).body(data(BROKEN_OFF), True)
    stage.call.head(500, JSON)
    assert broken(client, speaker.heard())[1] == "upstream_truncated"
    assert stage.record().outcome == "upstream_truncated"


def test_case_47_a_client_that_leaves_ends_the_step_that_is_going_on() -> None:
    stage = stage_of("gemini")
    speaker = stage.ask(asked("openai"), STREAM_PATHS["openai"])
    stage.call.head(200, SSE).body(data(BROKEN_OFF), True)
    speaker.settle()
    assert stage.call.aborted
    assert (len(stage.upstream.calls), stage.record().outcome) == (2, "client_gone")


@everybody
def test_case_48_a_wait_of_days_is_none_that_a_client_sleeps_through(client: str) -> None:
    stage = stage_of("anthropic")
    speaker = stage.ask(asked(client), STREAM_PATHS[client])
    error = {"type": "error", "error": {"type": "rate_limit_error", "message": "slow down"}}
    stage.call.head(429, JSON, (b"retry-after", b"287441")).body(json.dumps(error).encode(), True)
    (answer,) = answers(speaker.heard(), b"POST")
    assert (answer.status, answer.headers[b"retry-after"]) == (429, b"3600")
    assert answer.headers[b"x-should-retry"] == b"false"
