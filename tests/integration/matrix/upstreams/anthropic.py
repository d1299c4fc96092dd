"""Messages as Anthropic serves them, with what it is strict about: turns, results of tools, signatures."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from typing import Any

from tests.integration.matrix.terms import INPUT_TOKENS, MODEL, OUTPUT_TOKENS, SEAL, Asked, Part, Reply, ToolCall
from tests.integration.matrix.upstreams.server import Calls, Document, Upstream, Wrong, known, one_of, texts


class Anthropic(Upstream):
    """Anthropic's Messages."""

    name = "anthropic"
    signs = True
    path = "/v1"

    def read(self, path: str, headers: Mapping[str, str], body: Document) -> Asked:
        """Return what a request asks for."""
        one_of(path.removesuffix("?beta=true"), "/v1/messages")
        one_of(headers.get("x-api-key") or headers["authorization"].removeprefix("Bearer "), "sk-matrix")
        version = one_of(headers["anthropic-version"], "2023-06-01", "2026-10-21")
        sampling = ("temperature", "top_p", "top_k") if version == "2023-06-01" else ()
        known(
            body,
            *("model", "messages", "max_tokens", "system", "stream", "tools", "tool_choice", "thinking"),
            *("output_config", "stop_sequences", *sampling),
        )
        one_of(body["model"], MODEL)
        thinking = body.get("thinking", {"type": "disabled"})
        thinks = _thinks(thinking, body["max_tokens"])
        if thinks and body.get("temperature", 1) != 1:
            raise Wrong("temperature may only be 1 when thinking is enabled")
        output = known(body.get("output_config", {}), "effort", "format")
        one_of(output.get("effort", "high"), "low", "medium", "high", "xhigh", "max")
        return Asked(
            stream=bool(body.get("stream")),
            system=_text(body.get("system", "")),
            parts=_messages(body["messages"], thinks),
            tools=_tools(body.get("tools", [])),
            schema=_schema(output.get("format")),
            thinking=thinks,
            max_tokens=body["max_tokens"],
            temperature=body.get("temperature"),
        )

    def whole(self, reply: Reply) -> Any:
        """Return the answer as one document."""
        return {**_HEAD, "content": _blocks(reply), "stop_reason": _stop(reply), "usage": _USAGE}

    def events(self, reply: Reply) -> Iterable[bytes]:
        """Return the answer as a stream, event by event."""
        usage = {**_USAGE, "output_tokens": 1}
        yield _event({"type": "message_start", "message": {**_HEAD, "content": [], "usage": usage}})
        for index, block in enumerate(_blocks(reply)):
            empty, deltas = _deltas(block, reply)
            yield _event({"type": "content_block_start", "index": index, "content_block": empty})
            yield _event({"type": "ping"})
            for delta in deltas:
                yield _event({"type": "content_block_delta", "index": index, "delta": delta})
            yield _event({"type": "content_block_stop", "index": index})
        delta = {"stop_reason": _stop(reply), "stop_sequence": None}
        yield _event({"type": "message_delta", "delta": delta, "usage": _USAGE})
        yield _event({"type": "message_stop"})

    def failure(self) -> list[bytes]:
        """Return how an error is told in the middle of a stream."""
        return [_event(self.refusal(529, "It broke."))]

    def refusal(self, status: int, message: str) -> Any:
        """Return the document of an error answer."""
        kind = {400: "invalid_request_error", 429: "rate_limit_error", 529: "overloaded_error"}[status]
        return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}


_HEAD = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": MODEL,
    "stop_reason": None,
    "stop_sequence": None,
}
# Two of the tokens were read from the cache: they are counted apart.
_USAGE = {
    "input_tokens": INPUT_TOKENS - 2,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 2,
    "output_tokens": OUTPUT_TOKENS,
}


def _stop(reply: Reply) -> str:
    return "tool_use" if reply.calls else "end_turn"


def _blocks(reply: Reply) -> list[Document]:
    blocks: list[Document] = []
    if reply.thoughts:
        blocks.append({"type": "thinking", "thinking": "".join(reply.thoughts), "signature": SEAL})
    if reply.words:
        blocks.append({"type": "text", "text": "".join(reply.words), "citations": None})
    for call in reply.calls:
        id = f"toolu_{call.id.removeprefix('call_')}"
        blocks.append({"type": "tool_use", "id": id, "name": call.name, "input": call.arguments})
    return blocks


def _deltas(block: Document, reply: Reply) -> tuple[Document, list[Document]]:
    if block["type"] == "thinking":
        deltas = [{"type": "thinking_delta", "thinking": thought} for thought in reply.thoughts]
        sealed = {"type": "signature_delta", "signature": block["signature"]}
        return {**block, "thinking": "", "signature": ""}, [*deltas, sealed]
    if block["type"] == "text":
        return {**block, "text": ""}, [{"type": "text_delta", "text": word} for word in reply.words]
    told = json.dumps(block["input"])
    pieces = ("", told[:9], told[9:])
    return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]


def _event(document: Document) -> bytes:
    data = json.dumps(document, ensure_ascii=False)
    return f"event: {document['type']}\ndata: {data}\n\n".encode()


# --- reading --------------------------------------------------------------------------------------------------


def _thinks(thinking: Document, max_tokens: int) -> bool:
    if thinking["type"] == "enabled":
        budget = known(thinking, "type", "budget_tokens", "display")["budget_tokens"]
        if not 1024 <= budget < max_tokens:
            raise Wrong(f"budget_tokens {budget} of max_tokens {max_tokens}")
        return True
    return bool(one_of(known(thinking, "type", "display")["type"], "adaptive", "disabled") == "adaptive")


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    for block in content:
        one_of(known(block, "type", "text", "cache_control")["type"], "text")
    return "\n".join(block["text"] for block in content)


def _tools(tools: Iterable[Document]) -> dict[str, tuple[str, Mapping[str, Any]]]:
    for tool in tools:
        one_of(known(tool, "name", "description", "input_schema", "strict")["input_schema"]["type"], "object")
    return {tool["name"]: (tool["description"], tool["input_schema"]) for tool in tools}


def _schema(format: Document | None) -> Mapping[str, Any] | None:
    if format is None:
        return None
    one_of(known(format, "type", "schema")["type"], "json_schema")
    return dict(format["schema"])


def _messages(messages: list[Document], thinks: bool) -> tuple[Part, ...]:
    parts: list[Part] = []
    calls = Calls()
    one_of(messages[0]["role"], "user")
    for message in messages:
        role, content = known(message, "role", "content")["role"], message["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        if not blocks:
            raise Wrong("a message without content")
        if one_of(role, "user", "assistant") == "assistant":
            calls.all_answered()
            _check_order(blocks, thinks)
        results = [block["type"] == "tool_result" for block in blocks]
        if sorted(results, reverse=True) != results:
            raise Wrong("tool_result blocks come first")
        parts += [_block(role, block, calls) for block in blocks]
        if role == "user":
            calls.all_answered()
    calls.all_answered()
    return texts(*parts)


def _check_order(blocks: list[Document], thinks: bool) -> None:
    """Thoughts come first; while the model thinks, a turn with a call has to begin with some."""
    kinds = [block["type"] for block in blocks]
    if "thinking" in kinds[1:]:
        raise Wrong("thinking blocks come first")
    if thinks and "tool_use" in kinds and kinds[0] != "thinking":
        raise Wrong(f"Expected `thinking` or `redacted_thinking`, but found `{kinds[0]}`")


def _block(role: Any, block: Document, calls: Calls) -> Part:
    if block["type"] == "text":
        if not known(block, "type", "text", "cache_control")["text"]:
            raise Wrong("text content blocks must be non-empty")
        return Part(role=role, text=block["text"])
    if block["type"] == "image":
        source = known(block["source"], "type", "media_type", "data")
        one_of((source["type"], source["media_type"]), ("base64", "image/png"))
        return Part(role=role, image=base64.b64decode(source["data"], validate=True))
    if block["type"] == "thinking":
        one_of(role, "assistant")
        seal = one_of(known(block, "type", "thinking", "signature")["signature"], SEAL)
        return Part(role=role, thought=block["thinking"], seal=seal)
    if block["type"] == "tool_use":
        one_of(role, "assistant")
        known(block, "type", "id", "name", "input")
        return Part(role=role, call=calls.made(ToolCall(block["id"], block["name"], block["input"])))
    one_of(known(block, "type", "tool_use_id", "content", "is_error")["type"], "tool_result")
    call = calls.answered(id=block["tool_use_id"])
    return Part(role=role, text=_text(block["content"]), result_of=call)
