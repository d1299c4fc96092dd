"""``/v2/chat`` as Cohere serves it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from typing import Any

from tests.integration.matrix.terms import INPUT_TOKENS, MODEL, OUTPUT_TOKENS, Asked, Part, Reply, ToolCall
from tests.integration.matrix.upstreams.openai import read_call, read_tools
from tests.integration.matrix.upstreams.server import Calls, Document, Upstream, data_url, known, one_of, texts


class Cohere(Upstream):
    """Version 2 of Cohere's chat."""

    name = "cohere"
    path = "/v2"

    def read(self, path: str, headers: Mapping[str, str], body: Document) -> Asked:
        """Return what a request asks for."""
        one_of(path, "/v2/chat")
        one_of(headers["authorization"], "Bearer sk-matrix")
        known(
            body,
            *("model", "messages", "stream", "tools", "strict_tools", "tool_choice", "response_format", "thinking"),
            *("max_tokens", "temperature", "stop_sequences", "p", "k"),
        )
        one_of(body["model"], MODEL)
        one_of(body.get("tool_choice", "REQUIRED"), "REQUIRED", "NONE")
        thinking = known(body.get("thinking", {"type": "disabled"}), "type", "token_budget")
        system, parts = _messages(body["messages"])
        return Asked(
            stream=body["stream"],
            system=system,
            parts=parts,
            tools=read_tools(body.get("tools", [])),
            schema=_schema(body.get("response_format")),
            thinking=one_of(thinking["type"], "enabled", "disabled") == "enabled",
            max_tokens=body.get("max_tokens"),
            temperature=body.get("temperature"),
        )

    def whole(self, reply: Reply) -> Any:
        """Return the answer as one document."""
        content: list[Document] = []
        if reply.thoughts:
            content.append({"type": "thinking", "thinking": "".join(reply.thoughts)})
        if reply.words:
            content.append({"type": "text", "text": "".join(reply.words)})
        message: Document = {"role": "assistant", "content": content}
        if reply.calls:
            message |= {"tool_calls": [_call(call) for call in reply.calls], "tool_plan": ""}
        return {"id": "c1", "finish_reason": _finish(reply), "message": message, "usage": _USAGE}

    def events(self, reply: Reply) -> Iterable[bytes]:
        """Return the answer as a stream, event by event."""
        empty = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
        yield _event("message-start", empty, id="c1")
        index = 0
        for kind, pieces in (("thinking", reply.thoughts), ("text", reply.words)):
            if pieces:
                yield _event("content-start", {"content": {"type": kind, kind: ""}}, index=index)
                for piece in pieces:
                    yield _event("content-delta", {"content": {kind: piece}}, index=index)
                yield _event("content-end", index=index)
                index += 1
        for number, call in enumerate(reply.calls):
            whole = _call(call)
            arguments = whole["function"].pop("arguments")
            start = {**whole, "function": {**whole["function"], "arguments": ""}}
            yield _event("tool-call-start", {"tool_calls": start}, index=number)
            for piece in (arguments[:9], arguments[9:]):
                yield _event("tool-call-delta", {"tool_calls": {"function": {"arguments": piece}}}, index=number)
            yield _event("tool-call-end", index=number)
        end = {"type": "message-end", "delta": {"finish_reason": _finish(reply), "usage": _USAGE}}
        yield _wire(end)

    def failure(self) -> list[bytes]:
        """Return how an error is told in the middle of a stream."""
        return [_wire({"type": "message-end", "delta": {"finish_reason": "ERROR", "error": "It broke."}})]

    def refusal(self, status: int, message: str) -> Any:
        """Return the document of an error answer."""
        return {"id": "c1", "message": message}


_USAGE = {
    "billed_units": {"input_tokens": 5.0, "output_tokens": float(OUTPUT_TOKENS)},
    "tokens": {"input_tokens": float(INPUT_TOKENS), "output_tokens": float(OUTPUT_TOKENS)},
}


def _finish(reply: Reply) -> str:
    return "TOOL_CALL" if reply.calls else "COMPLETE"


def _call(call: ToolCall) -> Document:
    arguments = json.dumps(call.arguments)
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def _event(kind: str, message: Document | None = None, **more: Any) -> bytes:
    delta = {} if message is None else {"delta": {"message": message}}
    return _wire({"type": kind, **more, **delta})


def _wire(document: Document) -> bytes:
    data = json.dumps(document, ensure_ascii=False)
    return f"event: {document['type']}\ndata: {data}\n\n".encode()


# --- reading --------------------------------------------------------------------------------------------------


def _schema(format: Document | None) -> Mapping[str, Any] | None:
    if format is None or format["type"] == "text":
        return None
    one_of(known(format, "type", "json_schema")["type"], "json_object")
    return dict(format["json_schema"])


def _messages(messages: Iterable[Document]) -> tuple[str, tuple[Part, ...]]:
    system: list[str] = []
    parts: list[Part] = []
    calls = Calls()
    for message in messages:
        known(message, "role", "content", "tool_calls", "tool_call_id", "tool_plan")
        role, content = message["role"], message.get("content")
        if role != "tool":
            calls.all_answered()
        if role == "system":
            system += [part.text for part in _content("user", content)]
        elif role == "tool":
            call = calls.answered(id=message["tool_call_id"])
            text = "".join(part.text for part in _content("user", content))
            parts.append(Part(role="user", text=text, result_of=call))
        else:
            parts += _content(one_of(role, "user", "assistant"), content)
            made = [calls.made(read_call(call)) for call in message.get("tool_calls", [])]
            parts += [Part(role=role, call=call) for call in made]
    calls.all_answered()
    return "\n".join(system), tuple(parts)


def _content(role: Any, content: Any) -> tuple[Part, ...]:
    if isinstance(content, str) or content is None:
        return texts(Part(role=role, text=content or ""))
    return texts(*(_part(role, part) for part in content))


def _part(role: Any, part: Document) -> Part:
    if part["type"] == "text":
        return Part(role=role, text=known(part, "type", "text")["text"])
    if part["type"] == "thinking":
        return Part(role=role, thought=known(part, "type", "thinking")["thinking"])
    if part["type"] == "document":
        return Part(role=role, text=known(part["document"], "data", "id")["data"])
    one_of(part["type"], "image_url")
    url = known(part["image_url"], "url", "detail")["url"]
    return Part(role=role, image=base64.b64decode(data_url(url), validate=True))
