"""What breaks other gateways (docs/wire-cases.md has the list): providers that are nasty, and what clients get of it.

Everything here is in memory; what needs sockets is in ``tests/integration/test_nasty_cases.py``.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from typing import Any

import pytest

from netrunner.errors import UpstreamError
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
from tests.support.stage import DONE, JSON, SSE, Stage, body_of

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
    """Return a stage of a provider that speaks one dialect only."""
    if provider in ("openai", "azure_openai"):
        settings.setdefault("responses", False)
    return Stage(provider=provider, repair=True, settings=settings)


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
        for options, shown in ({}, False), ({"stream_options": {"include_usage": True}}, True):
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


THINKING = [
    {"type": "message_start", "message": {"id": "x", "model": "c", "usage": {"input_tokens": 5}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "Hm\u2028m."}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "Eq+/QB=="}},
    {"type": "content_block_stop", "index": 0},
    {"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "id": "t", "name": "f"}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": '{"a":1}'}},
    {"type": "content_block_stop", "index": 1},
    {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 3}},
    {"type": "message_stop"},
]


def test_case_14_anthropics_thinking_comes_back_as_it_was_and_nobody_elses_goes_there() -> None:
    stage = stage_of("anthropic")
    speaker = stage.ask(asked("openai", False), WHOLE_PATHS["openai"])
    message = {
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
    assert not any("reasoning" in one for one in sent("openai", "gemini", messages=again)["contents"])
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
