"""What a document of some API says: the turns of a request, the pieces of an answer, streamed or whole.

Everything here reads what strangers wrote, so nothing is taken for granted: what does not have a known shape says
nothing, and is shown as it is elsewhere. Pure.

This module must not raise for any document, and must not write any markup.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from netrunner.sse import compact

MAX_TURNS = 500
_SAID_IN = (
    *((key, "system") for key in ("system", "instructions", "systemInstruction", "system_instruction")),
    *((key, "user") for key in ("prompt", "input", "messages", "contents")),
)
"""The fields of requests that somebody speaks in, and who does where it is not said."""

Piece = tuple[str, str]
"""What kind of speech (``text``, ``reasoning``, ``tool``), and the words."""


class Turn(msgspec.Struct, frozen=True):
    """One turn of a conversation."""

    role: str
    pieces: tuple[Piece, ...]


def turns(document: Any) -> tuple[Turn, ...]:
    """Return the turns of a request: chats, completions, responses, messages, embeddings; none if it has none."""
    if not isinstance(document, dict):
        return ()
    found = [turn for key, role in _SAID_IN for turn in _turns(role, document.get(key))]
    return tuple(found[:MAX_TURNS])


def _turns(role: str, value: Any) -> list[Turn]:
    """Return the turns of one field: a list of messages, or of texts, or a text, or the parts of one."""
    if isinstance(value, str):
        return [Turn(role, (("text", value),))]
    if isinstance(value, dict) and "parts" in value:
        return [Turn(role, merged(_content(value)))]
    if not isinstance(value, list):
        return []
    if not any(isinstance(one, dict) and not one.keys().isdisjoint(("role", "type", "parts")) for one in value):
        return [Turn(role, (("text", one),)) for one in value[:MAX_TURNS] if isinstance(one, str)]
    if not any(isinstance(one, dict) and not one.keys().isdisjoint(("role", "parts")) for one in value):
        return [Turn(role, merged(_content(value)))]
    return [
        Turn(str(one.get("role", one.get("type", role)))[:40], merged(_message(one)))
        for one in value[:MAX_TURNS]
        if isinstance(one, dict)
    ]


def pieces(document: Any) -> Iterator[Piece]:
    """Return what an answer, or one event of a stream, says; nothing for what says nothing."""
    if not isinstance(document, dict):
        return
    for choice in _dicts(document.get("choices")):
        told = choice.get("delta", choice.get("message", choice))
        if isinstance(told, dict):
            yield from _message(told)
    for candidate in _dicts(document.get("candidates")):
        yield from _content(candidate.get("content"))
    delta = document.get("delta")
    if isinstance(delta, dict):
        yield from _message(delta)
    elif isinstance(delta, str):
        yield _kind_of_event(document.get("type")), delta
    if isinstance(document.get("message"), dict):
        yield from _message(document["message"])
    if isinstance(document.get("response"), str):
        yield "text", document["response"]
    if document.get("type") in (None, "message"):
        yield from _content(document.get("content"))
    for item in _dicts(document.get("output")):
        yield from _message(item)


def merged(found: Iterable[Piece]) -> tuple[Piece, ...]:
    """Return the pieces with those of one kind that follow each other joined."""
    joined: list[tuple[str, list[str]]] = []
    for kind, words in found:
        if joined and joined[-1][0] == kind:
            joined[-1][1].append(words)
        elif words:
            joined.append((kind, [words]))
    return tuple((kind, "".join(words)) for kind, words in joined)


def _kind_of_event(name: Any) -> str:
    if isinstance(name, str) and "reasoning" in name:
        return "reasoning"
    return "tool" if isinstance(name, str) and "arguments" in name else "text"


def _message(message: dict[Any, Any]) -> Iterator[Piece]:
    for key in ("reasoning_content", "reasoning", "thinking"):
        if isinstance(message.get(key), str):
            yield "reasoning", message[key]
    for key in ("content", "parts", "text"):
        yield from _content(message.get(key))
    if isinstance(message.get("partial_json"), str):
        yield "tool", message["partial_json"]
    for call in _dicts(message.get("tool_calls")):
        yield from _call(call.get("function"))
    if message.get("type") == "function_call":
        yield from _call(message)


def _call(function: Any) -> Iterator[Piece]:
    if not isinstance(function, dict):
        return
    if isinstance(function.get("name"), str):
        yield "tool", f"{function['name']} "
    arguments = function.get("arguments", function.get("input", function.get("args")))
    if arguments is not None:
        yield "tool", arguments if isinstance(arguments, str) else _written(arguments)


def _content(content: Any) -> Iterator[Piece]:
    """Yield the pieces of a content: a text, a list of parts, or an object with parts."""
    if isinstance(content, str):
        yield "text", content
    elif isinstance(content, dict):
        yield from _content(content.get("parts"))
    elif isinstance(content, list):
        for part in content[:MAX_TURNS]:
            if isinstance(part, str):
                yield "text", part
            elif isinstance(part, dict):
                yield from _part(part)


def _part(part: dict[Any, Any]) -> Iterator[Piece]:
    kind = part.get("type")
    if isinstance(part.get("text"), str):
        yield "reasoning" if part.get("thought") is True else "text", part["text"]
    elif isinstance(part.get("thinking"), str):
        yield "reasoning", part["thinking"]
    elif kind == "tool_use":
        yield from _call(part)
    elif isinstance(part.get("functionCall"), dict):
        yield from _call(part["functionCall"])
    elif kind == "tool_result":
        yield from _content(part.get("content"))
    else:
        yield "other", _written(part)


def _written(value: Any) -> str:
    """Return a value as JSON, shortened: an image in base64 says nothing to people."""
    text = compact(value).decode("utf-8", "replace")
    return text if len(text) <= 300 else f"{text[:200]}… ({len(text):,} characters)"


def _dicts(value: Any) -> list[dict[Any, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
