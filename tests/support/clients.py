"""What clients of every dialect ask and what they make of the answer, as strict as the strictest of the official ones.

Each reader adds an answer up and refuses, with ``AssertionError``, whatever would kill or silence a real client.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.support.client import answers
from tests.support.stage import body_of

MODEL = "m"
STREAM_PATHS = {
    "openai": "/v1/chat/completions",
    "anthropic": "/v1/messages",
    "responses": "/v1/responses",
    "gemini": f"/v1beta/models/{MODEL}:streamGenerateContent?alt=sse",
    "ollama": "/api/chat",
}
"""By the dialect that the client speaks."""
WHOLE_PATHS = {**STREAM_PATHS, "gemini": f"/v1beta/models/{MODEL}:generateContent"}
CLIENTS = tuple(STREAM_PATHS)
WITHHELD = ("\u2028", "\u2029", "\x85")
"""Line ends of other alphabets, at which some clients cut."""


def asked(dialect: str, stream: bool = True, **more: Any) -> dict[str, Any]:
    """Return the body of a short request."""
    turn = {"role": "user", "content": "Hi"}
    body: dict[str, Any] = {"model": MODEL, "stream": stream}
    if dialect == "gemini":
        body = {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}
    elif dialect == "responses":
        body["input"] = "Hi"
    elif dialect == "anthropic":
        body |= {"messages": [turn], "max_tokens": 64}
    else:
        body["messages"] = [turn]
    return {**body, **more}


@dataclass
class Heard:
    """An answer, added up."""

    text: str = ""
    reasoning: str = ""
    calls: list[tuple[str, Any]] = field(default_factory=list)
    """Name and arguments of each."""
    ids: list[str] = field(default_factory=list)
    finish: str = ""
    """In the dialect's own word."""
    usage: Mapping[str, Any] = field(default_factory=dict)
    signatures: list[str] = field(default_factory=list)


def streamed(dialect: str, heard: bytes, choice: int = 0) -> Heard:
    """Return what a stream adds up to; it has to be a complete one."""
    assert heard.startswith(b"HTTP/1.1 200 "), heard[:200]
    assert heard.endswith(b"0\r\n\r\n")
    assert b"\r\nconnection: close" not in heard.lower()
    body = body_of(heard)
    assert not any(one in body.decode() for one in WITHHELD)
    if dialect == "openai":
        return chat_choices(body)[choice]
    return _READERS[dialect](body)


def events(body: bytes) -> list[tuple[str, Any]]:
    """Return the name and document of each event of a stream, of which each has the form that every client reads."""
    assert body.endswith(b"\n\n")
    assert b"\r" not in body
    found: list[tuple[str, Any]] = []
    for block in body.removesuffix(b"\n\n").split(b"\n\n"):
        if block.startswith(b":"):
            continue
        name, _, rest = block.rpartition(b"\n")
        assert rest.startswith(b"data: "), block
        assert name == b"" or name.startswith(b"event: "), block
        assert b"\n" not in name
        data = rest.removeprefix(b"data: ")
        found.append((name.removeprefix(b"event: ").decode(), "[DONE]" if data == b"[DONE]" else json.loads(data)))
    return found


def chat_choices(body: bytes) -> list[Heard]:
    """Return the choices of a stream in OpenAI's dialect, added up as ``openai-python`` does."""
    told = events(body)
    assert [name for name, _ in told if name] == []
    assert [position for position, (_, data) in enumerate(told) if data == "[DONE]"] == [len(told) - 1]
    choices: list[Heard] = []
    usage: Mapping[str, Any] = {}
    for _, chunk in told[:-1]:
        for name, kind in (("id", str), ("object", str), ("created", int), ("model", str), ("choices", list)):
            assert type(chunk.get(name)) is kind, chunk
        usage = chunk.get("usage") or usage
        for choice in chunk["choices"]:
            if choice["index"] == len(choices):
                choices.append(Heard())
                assert choice["delta"]["role"] == "assistant"
            else:
                assert "role" not in choice["delta"]
            _add(choices[choice["index"]], choice)
    for choice in choices:
        assert choice.finish, "no finish"
        choice.calls = [(name, json.loads(arguments)) for name, arguments in choice.calls]
        choice.usage = usage
    return choices


def _add(heard: Heard, choice: Any) -> None:
    delta = choice["delta"]
    heard.text += delta.get("content") or ""
    heard.reasoning += delta.get("reasoning_content") or delta.get("reasoning") or ""
    for call in delta.get("tool_calls") or ():
        function = call["function"]
        assert type(call["index"]) is int
        if call["index"] == len(heard.calls):
            assert call["type"] == "function"
            heard.ids.append(call["id"])
            heard.calls.append((function["name"], ""))
        else:
            assert not {"id", "type"} & set(call)
            assert "name" not in function
        name, arguments = heard.calls[call["index"]]
        heard.calls[call["index"]] = name, arguments + function.get("arguments", "")
        seal = call.get("extra_content", {}).get("google", {}).get("thought_signature")
        heard.signatures += [seal] if seal else []
    if choice.get("finish_reason"):
        assert not heard.finish
        heard.finish = choice["finish_reason"]


def _message(body: bytes) -> Heard:
    """Add up a stream in Anthropic's dialect."""
    told = events(body)
    assert all(name == data["type"] for name, data in told)
    told = [one for one in told if one[0] != "ping"]
    assert (told[0][0], told[-2][0], told[-1][0]) == ("message_start", "message_delta", "message_stop")
    usage = dict(told[0][1]["message"]["usage"])
    heard = Heard()
    blocks: list[dict[str, Any]] = []
    open_block: dict[str, Any] | None = None
    for name, data in told[1:-2]:
        if name == "content_block_start":
            assert open_block is None
            assert data["index"] == len(blocks)
            open_block = {**data["content_block"], "json": ""}
            blocks.append(open_block)
        elif name == "content_block_stop":
            open_block = None
        else:
            assert name == "content_block_delta"
            assert open_block is not None
            _delta(open_block, data["delta"])
    assert open_block is None
    for block in blocks:
        if block["type"] == "tool_use":
            assert block["input"] == {}
            heard.calls.append((block["name"], json.loads(block["json"] or "{}")))
            heard.ids.append(block["id"])
        elif block["type"] == "thinking":
            heard.reasoning += block["thinking"]
            heard.signatures.append(block["signature"])
        else:
            heard.text += block["text"]
    usage |= told[-2][1]["usage"]
    heard.finish, heard.usage = told[-2][1]["delta"]["stop_reason"], usage
    return heard


def _delta(block: dict[str, Any], delta: Any) -> None:
    kind = delta["type"]
    to, value = {
        "text_delta": ("text", delta.get("text")),
        "input_json_delta": ("json", delta.get("partial_json")),
        "thinking_delta": ("thinking", delta.get("thinking")),
        "signature_delta": ("signature", delta.get("signature")),
    }[kind]
    block[to] += value


def _response(body: bytes) -> Heard:
    """Add up a stream in the dialect of OpenAI's Responses; every event of an item's life has to be there."""
    told = events(body)
    assert [data["sequence_number"] for _, data in told] == list(range(len(told)))
    assert all(name == data["type"] for name, data in told)
    assert [name for name, _ in told[:2]] == ["response.created", "response.in_progress"]
    assert told[-1][0] in ("response.completed", "response.incomplete")
    response = told[-1][1]["response"]
    added = [data["item"]["id"] for name, data in told if name == "response.output_item.added"]
    done = [data["item"] for name, data in told if name == "response.output_item.done"]
    assert [item["id"] for item in response["output"]] == added
    assert sorted(item["id"] for item in done) == sorted(added)
    heard = Heard(finish=response["status"], usage=response["usage"])
    for item in response["output"]:
        if item["type"] == "function_call":
            heard.calls.append((item["name"], json.loads(item["arguments"])))
            heard.ids.append(item["call_id"])
        elif item["type"] == "reasoning":
            heard.reasoning += "".join(part["text"] for part in item["summary"])
            heard.signatures += [item["encrypted_content"]] if item.get("encrypted_content") else []
        else:
            heard.text += "".join(part["text"] for part in item["content"])
    deltas = "".join(data["delta"] for name, data in told if name == "response.output_text.delta")
    assert deltas == heard.text
    return heard


def _contents(body: bytes) -> Heard:
    """Add up a stream in Gemini's dialect, of events with data only."""
    told = events(body)
    assert [name for name, _ in told if name] == []
    heard = Heard()
    for _, chunk in told:
        heard.usage = chunk.get("usageMetadata") or heard.usage
        for candidate in chunk.get("candidates", ()):
            if candidate.get("index", 0) == 0:
                _part_of(heard, candidate)
    assert heard.finish
    return heard


def _part_of(heard: Heard, candidate: Any) -> None:
    for part in candidate.get("content", {}).get("parts", ()):
        heard.signatures += [part["thoughtSignature"]] if "thoughtSignature" in part else []
        if "functionCall" in part:
            assert type(part["functionCall"]["args"]) is dict
            heard.calls.append((part["functionCall"]["name"], part["functionCall"]["args"]))
            heard.ids.append(part["functionCall"].get("id", ""))
        elif part.get("thought"):
            heard.reasoning += part["text"]
        else:
            heard.text += part.get("text", "")
    heard.finish = candidate.get("finishReason") or heard.finish


def _lines(body: bytes) -> Heard:
    """Add up a stream in Ollama's dialect: an object on each line, and no other line."""
    assert body.endswith(b"\n")
    told = [json.loads(line) for line in body.removesuffix(b"\n").split(b"\n")]
    assert [one["done"] for one in told] == [False] * (len(told) - 1) + [True]
    heard = Heard(finish=told[-1]["done_reason"], usage=told[-1])
    for one in told:
        message = one["message"]
        heard.text += message["content"]
        heard.reasoning += message.get("thinking", "")
        for call in message.get("tool_calls", ()):
            assert type(call["function"]["arguments"]) is dict
            heard.calls.append((call["function"]["name"], call["function"]["arguments"]))
            heard.ids.append(call.get("id", ""))
    return heard


_READERS: Mapping[str, Callable[[bytes], Heard]] = {
    "anthropic": _message,
    "responses": _response,
    "gemini": _contents,
    "ollama": _lines,
}


def refused(dialect: str, heard: bytes) -> tuple[int, str, str]:
    """Return status, message and code of an error answer in its dialect's shape; ``""`` for what has no code."""
    (answer,) = answers(heard, b"POST")
    assert answer.headers[b"content-type"].startswith(b"application/json")
    return answer.status, *error_in(dialect, json.loads(answer.body))


def error_in(dialect: str, document: Any) -> tuple[str, str]:
    """Return message and code of an error's document."""
    if dialect == "ollama":
        return document["error"], document.get("code", "")
    error = document["error"]
    if dialect == "anthropic":
        assert document["type"] == "error"
    if dialect == "gemini":
        return error["message"], error["details"][0]["reason"]
    return error["message"], error["code"]


def broken(dialect: str, heard: bytes, told_by_provider: bool = False) -> tuple[str, str]:
    """Return message and code of the error that a stream ends with: in its own form, the last event, without an end.

    Args:
        dialect: The client's.
        heard: All it got.
        told_by_provider: The provider's own words may have gone on as they came, up to a proper end.
    """
    assert heard.startswith(b"HTTP/1.1 200 "), heard[:200]
    assert told_by_provider or not heard.endswith(b"\r\n0\r\n\r\n"), "the stream ends as if it were complete"
    body = body_of(heard)
    if dialect == "ollama":
        return error_in(dialect, json.loads(body.splitlines()[-1]))
    name, document = events(body)[-1]
    assert name == ("error" if dialect in ("anthropic", "responses") else "")
    if dialect == "responses":
        assert [one["sequence_number"] for _, one in events(body)] == list(range(len(events(body))))
    return error_in(dialect, document)
