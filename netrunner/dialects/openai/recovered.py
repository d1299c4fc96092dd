"""Calls that a provider could not read in what its model wrote, and tells in its error (``failed_generation``).

Groq refuses a whole answer so (400, ``tool_use_failed``) where the model wrote a call in a form of its own, or with
arguments that are not as the tool's schema wants them. What is a call of a tool that was offered, its arguments an
object, is one: whether they suit, callers find out as with every call. Anything else stays an error.

This module must not send anything.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

import msgspec

from netrunner import sse
from netrunner.dialects.answers import MAX_BLOCKS

CODE = "tool_use_failed"
DONE = b"data: [DONE]\n\n"
_TAGGED = re.compile(
    r"\s*<function=([A-Za-z0-9_-]{1,64})>?\s*(\{.*?\})\s*(?:</function>|<function>|(?=<function=)|\Z)", re.S
)
_WRAPPED = re.compile(r"\s*<tool_call>\s*(\{.*?\})\s*(?:</tool_call>|\Z)", re.S)

Call = tuple[str, bytes]
"""A tool's name, and the JSON of its arguments."""


def recovered(request: bytes, error: bytes, created: int) -> tuple[bytes, bytes] | None:
    """Return the answer to a chat that its provider could have given.

    Args:
        request: The chat's body.
        error: The body of the answer with status 400.
        created: Unix time.

    Returns:
        Its Content-Type and its body, a stream if one was asked for; None if there is no call to be found.
    """
    asked, told = _decoded(request), _decoded(error).get("error")
    if not isinstance(told, dict) or told.get("code") != CODE:
        return None
    generation = told.get("failed_generation")
    calls = _calls(generation) if isinstance(generation, str) else []
    offered = _offered(asked.get("tools"))
    if not calls or len(calls) > MAX_BLOCKS or any(name not in offered for name, _ in calls):
        return None
    seed = hashlib.blake2b(error, digest_size=12).hexdigest()
    made = [
        {
            "index": index,
            "id": f"call_{seed[:20]}{index:02}",
            "type": "function",
            "function": {"name": name, "arguments": arguments.decode()},
        }
        for index, (name, arguments) in enumerate(calls)
    ]
    head = {"id": f"chatcmpl-{seed}", "created": created, "model": asked.get("model")}
    return _written(head, made, asked.get("stream") is True)


def _written(head: dict[str, Any], calls: list[dict[str, Any]], stream: bool) -> tuple[bytes, bytes]:
    if not stream:
        told = [{name: value for name, value in call.items() if name != "index"} for call in calls]
        message = {"role": "assistant", "content": None, "tool_calls": told}
        choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
        return b"application/json", sse.compact({**head, "object": "chat.completion", "choices": [choice]})
    delta = {"role": "assistant", "content": None, "tool_calls": calls}
    events = b"".join(
        b"data: %b\n\n" % sse.compact({**head, "object": "chat.completion.chunk", "choices": [{"index": 0, **choice}]})
        for choice in (
            {"delta": delta, "finish_reason": None},
            {"delta": {}, "finish_reason": "tool_calls"},
        )
    )
    return b"text/event-stream", events + DONE


def _offered(tools: Any) -> set[str]:
    """Return the names of the tools that a chat offers."""
    functions = [tool.get("function") for tool in tools if isinstance(tool, dict)] if isinstance(tools, list) else []
    names = [function.get("name") for function in functions if isinstance(function, dict)]
    return {name for name in names if isinstance(name, str)}


def _calls(generation: str) -> list[Call]:
    """Return the calls that a text consists of; none if it is anything else besides."""
    for form in (_TAGGED, _WRAPPED):
        found: list[Call | None] = []
        at = 0
        while (match := form.match(generation, at)) is not None and match.end() > at:
            at = match.end()
            one = _document(match[form.groups])
            found.append(_call({"name": match[1], "arguments": one}) if form is _TAGGED else _call(one))
        if found:
            return _all(found) if not generation[at:].strip() else []
    document = _document(generation)
    return _all([_call(one) for one in (document if isinstance(document, list) else [document])])


def _all(found: list[Call | None]) -> list[Call]:
    """Return the calls if every one is a call."""
    calls = [call for call in found if call is not None]
    return calls if len(calls) == len(found) else []


def _call(found: Any) -> Call | None:
    """Return a call as models write it: a name, and arguments or parameters that are an object."""
    if not isinstance(found, dict):
        return None
    name, arguments = found.get("name"), found.get("arguments", found.get("parameters"))
    return (name, sse.compact(arguments)) if isinstance(name, str) and isinstance(arguments, dict) else None


def _decoded(body: bytes) -> dict[str, Any]:
    found = _document(body)
    return found if isinstance(found, dict) else {}


def _document(text: str | bytes) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
