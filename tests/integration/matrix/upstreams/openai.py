"""Chat completions as OpenAI and its family serve them; thoughts in ``reasoning_content``, as most of it has them."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from typing import Any

from tests.integration.matrix.terms import INPUT_TOKENS, MODEL, OUTPUT_TOKENS, Asked, Part, Reply, ToolCall
from tests.integration.matrix.upstreams.server import Calls, Document, Upstream, Wrong, data_url, known, one_of, texts

_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")


class OpenAI(Upstream):
    """OpenAI's chats and completions."""

    name = "openai"
    path = "/v1"
    thinks_unasked = True

    def __init__(self) -> None:
        super().__init__()
        self._chats = True
        """Whether the latest request is one for a chat, and none for a completion."""
        self._wants_usage = False

    @property
    def config(self) -> str:
        """The settings of the provider, without braces: it serves no Responses."""
        return f"{super().config}, responses: false"

    def read(self, path: str, headers: Mapping[str, str], body: Document) -> Asked:
        """Return what a request asks for."""
        self._chats = one_of(path, "/v1/chat/completions", "/v1/completions") == "/v1/chat/completions"
        one_of(headers["authorization"], "Bearer sk-matrix")
        known(
            body,
            *(
                "model",
                "messages" if self._chats else "prompt",
                "stream",
                "stream_options",
                "tools",
                "tool_choice",
                "response_format",
            ),
            *(
                "reasoning_effort",
                "max_tokens",
                "max_completion_tokens",
                "temperature",
                "stop",
                "parallel_tool_calls",
                "n",
            ),
        )
        one_of(body["model"], MODEL)
        stream = bool(body.get("stream"))
        options = body.get("stream_options")
        if options is not None and not stream:
            raise Wrong("stream_options without stream")
        self._wants_usage = bool(known(options or {}, "include_usage").get("include_usage"))
        messages = body["messages"] if self._chats else [{"role": "user", "content": body["prompt"]}]
        system, parts = _messages(messages)
        effort = body.get("reasoning_effort")
        return Asked(
            stream=stream,
            system=system,
            parts=parts,
            tools=read_tools(body.get("tools", [])),
            schema=_schema(body.get("response_format")),
            thinking=effort is not None and one_of(effort, *_EFFORTS) != "none",
            max_tokens=body.get("max_completion_tokens", body.get("max_tokens")),
            temperature=body.get("temperature"),
        )

    def whole(self, reply: Reply) -> Any:
        """Return the answer as one document."""
        if not self._chats:
            return {**_COMPLETION, "choices": [_completed("".join(reply.words), "stop")], "usage": _USAGE}
        message: Document = {"role": "assistant", "content": "".join(reply.words) or None, "refusal": None}
        if reply.thoughts:
            message["reasoning_content"] = "".join(reply.thoughts)
        if reply.calls:
            message["tool_calls"] = [_call(call) for call in reply.calls]
        choice = {"index": 0, "message": message, "finish_reason": _finish(reply), "logprobs": None}
        return {**_HEAD, "object": "chat.completion", "choices": [choice], "usage": _USAGE}

    def events(self, reply: Reply) -> Iterable[bytes]:
        """Return the answer as a stream, event by event."""
        yield from self._chat_events(reply) if self._chats else _completion_events(reply)
        if self._wants_usage:
            kind = "chat.completion.chunk" if self._chats else "text_completion"
            yield _event({**_HEAD, "object": kind, "choices": [], "usage": _USAGE})
        yield b"data: [DONE]\n\n"

    def _chat_events(self, reply: Reply) -> Iterable[bytes]:
        yield _chunk({"role": "assistant", "content": ""})
        for thought in reply.thoughts:
            yield _chunk({"reasoning_content": thought})
        for word in reply.words:
            yield _chunk({"content": word})
        for index, call in enumerate(reply.calls):
            whole = _call(call)
            arguments = whole["function"].pop("arguments")
            first = {**whole, "index": index, "function": {**whole["function"], "arguments": ""}}
            yield _chunk({"tool_calls": [first]})
            for piece in (arguments[:9], arguments[9:]):
                yield _chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
        yield _chunk({}, _finish(reply))

    def failure(self) -> list[bytes]:
        """Return how an error is told in the middle of a stream."""
        return [_event(self.refusal(500, "It broke."))]

    def refusal(self, status: int, message: str) -> Any:
        """Return the document of an error answer."""
        kind = {400: "invalid_request_error", 429: "rate_limit_exceeded"}.get(status, "server_error")
        return {"error": {"message": message, "type": kind, "param": None, "code": None}}


_HEAD = {"id": "chatcmpl-1", "created": 1_700_000_000, "model": MODEL, "system_fingerprint": "fp_1"}
_COMPLETION = {**_HEAD, "object": "text_completion"}
_USAGE = {
    "prompt_tokens": INPUT_TOKENS,
    "completion_tokens": OUTPUT_TOKENS,
    "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
}


def _finish(reply: Reply) -> str:
    return "tool_calls" if reply.calls else "stop"


def _call(call: ToolCall) -> Document:
    arguments = json.dumps(call.arguments)
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def _event(document: Document) -> bytes:
    # Unescaped, U+2028 is what some splitters of lines stumble over.
    return b"data: %b\n\n" % json.dumps(document, ensure_ascii=False).encode()


def _completed(text: str, finish: str | None = None) -> Document:
    return {"index": 0, "text": text, "finish_reason": finish, "logprobs": None}


def _completion_events(reply: Reply) -> Iterable[bytes]:
    for word in reply.words:
        yield _event({**_COMPLETION, "choices": [_completed(word)]})
    yield _event({**_COMPLETION, "choices": [_completed("", "stop")]})


def _chunk(delta: Document, finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
    return _event({**_HEAD, "object": "chat.completion.chunk", "choices": [choice]})


def read_tools(tools: Iterable[Document]) -> dict[str, tuple[str, Mapping[str, Any]]]:
    """Return the functions of ``tools`` in OpenAI's form, which others have as well."""
    functions = []
    for tool in tools:
        one_of(known(tool, "type", "function")["type"], "function")
        functions.append(known(tool["function"], "name", "description", "parameters", "strict"))
    return {one["name"]: (one["description"], one["parameters"]) for one in functions}


def _schema(format: Document | None) -> Mapping[str, Any] | None:
    if format is None or format["type"] == "text":
        return None
    one_of(format["type"], "json_schema")
    schema = known(format["json_schema"], "name", "description", "schema", "strict")
    if not schema["name"]:
        raise Wrong("a schema without a name")
    return dict(schema["schema"])


def _messages(messages: Iterable[Document]) -> tuple[str, tuple[Part, ...]]:
    system: list[str] = []
    parts: list[Part] = []
    calls = Calls()
    for message in messages:
        known(message, "role", "content", "tool_calls", "tool_call_id", "reasoning_content", "prefix")
        one_of(message.get("prefix", False), False)
        role, content = message["role"], message.get("content")
        if role != "tool":
            calls.all_answered()
        if role in ("system", "developer"):
            system += [part.text for part in _content("user", content)]
        elif role == "tool":
            call = calls.answered(id=message["tool_call_id"])
            text = "".join(part.text for part in _content("user", content))
            parts.append(Part(role="user", text=text, result_of=call))
        else:
            thought = message.get("reasoning_content", "")
            parts += texts(Part(role=one_of(role, "user", "assistant"), thought=thought))
            parts += _content(role, content)
            made = [calls.made(read_call(call)) for call in message.get("tool_calls", [])]
            parts += [Part(role=role, call=call) for call in made]
    calls.all_answered()
    return "\n".join(system), tuple(parts)


def read_call(call: Document) -> ToolCall:
    """Return a call, whose arguments are JSON."""
    one_of(known(call, "id", "type", "function")["type"], "function")
    function = known(call["function"], "name", "arguments")
    return ToolCall(call["id"], function["name"], json.loads(function["arguments"]))


def _content(role: Any, content: Any) -> tuple[Part, ...]:
    if isinstance(content, str) or content is None:
        return texts(Part(role=role, text=content or ""))
    return texts(*(_read_part(role, part) for part in content))


def _read_part(role: Any, part: Document) -> Part:
    if part["type"] == "text":
        return Part(role=role, text=known(part, "type", "text")["text"])
    one_of(part["type"], "image_url")
    url = known(part["image_url"], "url", "detail")["url"]
    return Part(role=role, image=base64.b64decode(data_url(url), validate=True))
