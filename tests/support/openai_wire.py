"""Answers as OpenAI-like providers write them, and the ways in which a network cuts them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

HEAD = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 7, "model": "m"}
DONE = b"data: [DONE]\n\n"


def event(document: Any) -> bytes:
    """Return an event of a stream."""
    return b"data: " + json.dumps(document, separators=(",", ":")).encode() + b"\n\n"


def chunk(delta: Any = None, finish: str | None = None, index: int = 0, **more: Any) -> bytes:
    """Return a chunk with one choice."""
    return event({**HEAD, "choices": [{"index": index, "delta": delta or {}, "finish_reason": finish}], **more})


def call(index: int | None, tool_id: str | None = None, name: str | None = None, arguments: Any = "") -> dict[str, Any]:
    """Return a piece of a tool call with the fields that are not None."""
    found: dict[str, Any] = {"function": {"arguments": arguments}}
    if index is not None:
        found["index"] = index
    if tool_id is not None:
        found["id"], found["type"] = tool_id, "function"
    if name is not None:
        found["function"]["name"] = name
    return found


def calls(*pieces: dict[str, Any], **more: Any) -> bytes:
    """Return a chunk with pieces of tool calls."""
    return chunk({"tool_calls": list(pieces)}, **more)


def cuts(data: bytes) -> Iterator[list[bytes]]:
    """Yield ``data`` whole, byte by byte, and in two at each position."""
    yield [data]
    yield [data[at : at + 1] for at in range(len(data))]
    for at in range(1, len(data)):
        yield [data[:at], data[at:]]
