"""``/api/chat`` as Ollama serves it: lines of JSON, whole calls, and results told by the tool's name."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from tests.integration.matrix.terms import INPUT_TOKENS, MODEL, OUTPUT_TOKENS, Asked, Part, Reply, ToolCall
from tests.integration.matrix.upstreams.openai import read_tools
from tests.integration.matrix.upstreams.server import Calls, Document, Upstream, known, one_line, one_of, texts

_OPTIONS = ("num_predict", "temperature", "top_k", "top_p", "seed", "stop", "presence_penalty", "frequency_penalty")


class Ollama(Upstream):
    """Ollama's native chat."""

    name = "ollama"
    path = "/api"
    sse = "application/x-ndjson"
    tells_when = False
    retry_after: ClassVar[Mapping[str, str]] = {}

    def read(self, path: str, headers: Mapping[str, str], body: Document) -> Asked:
        """Return what a request asks for."""
        one_of(path, "/api/chat")
        known(body, "model", "messages", "stream", "tools", "format", "options", "think")
        one_of(body["model"], MODEL)
        options = known(body.get("options", {}), *_OPTIONS)
        format = body.get("format")
        think = one_of(body.get("think", False), False, True, "low", "medium", "high", "max")
        system, parts = _messages(body["messages"])
        return Asked(
            stream=body.get("stream", True),
            system=system,
            parts=parts,
            tools=read_tools(body.get("tools", [])),
            schema=None if format is None else dict(format),
            thinking=think is not False,
            max_tokens=options.get("num_predict"),
            temperature=options.get("temperature"),
        )

    def whole(self, reply: Reply) -> Any:
        """Return the answer as one document."""
        message: Document = {"role": "assistant", "content": "".join(reply.words)}
        if reply.thoughts:
            message["thinking"] = "".join(reply.thoughts)
        if reply.calls:
            message["tool_calls"] = _calls(reply)
        return {**_HEAD, "message": message, **_DONE}

    def events(self, reply: Reply) -> Iterable[bytes]:
        """Return the answer as a stream, event by event."""
        for thought in reply.thoughts:
            yield _line({"content": "", "thinking": thought})
        for word in reply.words:
            yield _line({"content": word})
        for call in _calls(reply):
            yield _line({"content": "", "tool_calls": [call]})
        yield _line({"content": ""}, _DONE)

    def failure(self) -> list[bytes]:
        """Return how an error is told in the middle of a stream."""
        return [json.dumps(self.refusal(500, "It broke.")).encode() + b"\n"]

    def refusal(self, status: int, message: str) -> Any:
        """Return the document of an error answer."""
        return {"error": message}


_HEAD = {"model": MODEL, "created_at": "2026-11-01T12:00:00.123456789Z"}
_DONE = {
    "done": True,
    "done_reason": "stop",
    "total_duration": 5_000_000,
    "load_duration": 1_000_000,
    "prompt_eval_count": INPUT_TOKENS,
    "prompt_eval_duration": 1_000_000,
    "eval_count": OUTPUT_TOKENS,
    "eval_duration": 3_000_000,
}


def _line(message: Document, more: Document | None = None) -> bytes:
    whole = {**_HEAD, "message": {"role": "assistant", **message}, **(more or {"done": False})}
    return one_line(whole) + b"\n"


def _calls(reply: Reply) -> list[Document]:
    functions = [
        {"index": index, "name": call.name, "arguments": call.arguments} for index, call in enumerate(reply.calls)
    ]
    return [{"function": function} for function in functions]


def _messages(messages: Iterable[Document]) -> tuple[str, tuple[Part, ...]]:
    system: list[str] = []
    parts: list[Part] = []
    calls = Calls()
    for message in messages:
        known(message, "role", "content", "thinking", "images", "tool_calls", "tool_name", "tool_call_id")
        role, content = message["role"], message.get("content", "")
        one_of(type(content), str)
        if role == "system":
            system.append(content)
        elif role == "tool":
            call = calls.answered(id=message.get("tool_call_id"), name=message["tool_name"])
            parts.append(Part(role="user", text=content, result_of=call))
        else:
            calls.all_answered()
            one_of(role, "user", "assistant")
            parts.append(Part(role=role, thought=message.get("thinking", ""), text=content))
            images = message.get("images", [])
            parts += [Part(role=role, image=base64.b64decode(image, validate=True)) for image in images]
            parts += [Part(role=role, call=calls.made(_read_call(call))) for call in message.get("tool_calls", [])]
    calls.all_answered()
    return "\n".join(system), texts(*parts)


def _read_call(call: Document) -> ToolCall:
    function = known(known(call, "id", "type", "function")["function"], "index", "name", "arguments")
    return ToolCall(call.get("id", ""), function["name"], function["arguments"])
