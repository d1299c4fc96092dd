"""Anthropic's messages read as turns, block by block.

This module must not know parameters of a request.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from typing import Any

from netrunner import sse
from netrunner.dialects import seals
from netrunner.dialects.conversation import Media, Part, Reasoning, Text, ToolCall, ToolResult, Turn
from netrunner.dialects.fields import Fields, invalid

NO_SAMPLING_SINCE = "2026-10-21"
"""The version of the API that no longer knows sampling, documents of the assistant's, and citations of a user's."""
MAX_MESSAGES = 100_000

_SERVERS_OWN = frozenset({"search_result", "container_upload", "server_tool_use", "mcp_tool_use", "tool_reference"})
"""Blocks that only Anthropic's own servers understand, beside all whose type ends in ``_tool_result``."""


def turns(fields: Fields, version: str) -> Iterator[Turn]:
    """Yield the turns that ``messages`` holds.

    Args:
        fields: The request's.
        version: Of the API.

    Raises:
        BadRequest: naming what is malformed, or what only Anthropic's servers understand.
    """
    messages = fields.items("messages")
    if not messages or len(messages) > MAX_MESSAGES:
        raise invalid("messages", f"a list of 1 to {MAX_MESSAGES} messages")
    names: dict[str, str] = {}
    for message in fields.objects("messages"):
        role = message.word("role", "user", "assistant", "system")
        if role is None:
            raise invalid(message.name("role"), "one of user, assistant, system")
        if "content" not in message:
            raise invalid(message.name("content"), "a string or a list of blocks")
        parts: list[Part]
        if role == "system" or isinstance(message.value("content"), str):
            parts = list(words(message, "content"))
        elif role == "assistant":
            parts = [_assistant_part(block, names, version) for block in message.objects("content")]
        else:
            parts = [_user_part(block, names, version) for block in message.objects("content")]
        message.drop_rest()
        yield Turn(role, tuple(parts))  # type: ignore[arg-type]  # one of the three words


def words(fields: Fields, field: str) -> Iterator[Text]:
    """Yield the text of a field that holds a string or blocks of text."""
    if isinstance(fields.value(field), str):
        yield Text(fields.value(field))
        return
    for block in fields.objects(field):
        if block.word("type", "text") is None:
            raise invalid(block.name("type"), "text")
        yield _text(block)


def _text(block: Fields, version: str = "") -> Text:
    text = block.text("text")
    if text is None:
        raise invalid(block.name("text"), "a string")
    if block.items("citations"):
        if version >= NO_SAMPLING_SINCE:
            raise invalid(block.name("citations"), f"empty since version {NO_SAMPLING_SINCE} of the API")
        block.gaps.drop("citations")
    end(block)
    return Text(text)


def end(block: Fields) -> None:
    """Give up what nobody has read of a block; a hint to caches, which may stand anywhere, is told once."""
    if block.value("cache_control") is not None:
        block.gaps.drop("cache_control")
    block.drop_rest()


def _type(block: Fields, known: dict[str, Any] | frozenset[str]) -> str:
    """Return a block's type if it is one of those known here."""
    kind = block.needed_text("type")
    if kind in known:
        return kind
    if kind in _SERVERS_OWN or kind.endswith("_tool_result"):
        raise block.gaps.unsupported(block.name("type"), kind[:40])
    raise invalid(block.name("type"), f"one of {', '.join(sorted(known))}")


def _assistant_part(block: Fields, names: dict[str, str], version: str) -> Part:
    kind = _type(block, _ASSISTANTS)
    if kind == "document" and version < NO_SAMPLING_SINCE:
        raise block.gaps.unsupported(block.name("type"), "a document of the assistant's")
    read: Callable[[Fields], Part] | None = _ASSISTANTS[kind]
    if read is None:
        raise invalid(block.name("type"), "a block that an assistant may write")
    part = read(block)
    if isinstance(part, ToolCall):
        names[part.id] = part.name
    return part


def _user_part(block: Fields, names: dict[str, str], version: str) -> Part:
    kind = _type(block, _USERS)
    if kind == "tool_result":
        return _tool_result(block, names)
    return _text(block, version) if kind == "text" else _media(block, kind)


def _thinking_block(block: Fields) -> Reasoning:
    text = block.text("thinking") or ""
    signature = block.text("signature")
    end(block)
    return Reasoning(text, seals.seal(seals.ANTHROPIC, signature) if signature else None)


def _redacted(block: Fields) -> Reasoning:
    data = block.needed_text("data")
    end(block)
    return Reasoning(signature=seals.seal(seals.ANTHROPIC, data), redacted=True)


def _tool_use(block: Fields) -> ToolCall:
    given = block.mapping("input")
    if given is None:
        raise invalid(block.name("input"), "an object")
    if block.value("caller") not in (None, {"type": "direct"}):
        raise block.gaps.unsupported(block.name("caller"), "a call by a tool of the server's")
    call = ToolCall(block.needed_text("id"), block.needed_text("name"), sse.compact(given).decode())
    end(block)
    return call


_ASSISTANTS: dict[str, Callable[[Fields], Part] | None] = {
    "text": _text,
    "thinking": _thinking_block,
    "redacted_thinking": _redacted,
    "tool_use": _tool_use,
    "document": None,
}
_USERS = frozenset({"text", "image", "document", "tool_result"})
_RESULTS = frozenset({"text", "image", "document"})


def _tool_result(block: Fields, names: dict[str, str]) -> ToolResult:
    call = block.needed_text("tool_use_id")
    content: list[Text | Media] = []
    if isinstance(block.value("content"), str):
        content.append(Text(block.value("content")))
    else:
        for one in block.objects("content"):
            kind = _type(one, _RESULTS)
            content.append(_text(one) if kind == "text" else _media(one, kind))
    failed = block.boolean("is_error") or False
    end(block)
    return ToolResult(call, tuple(content), names.get(call), failed)


# --- media --------------------------------------------------------------------------------------------------

_IMAGES = ("image/jpeg", "image/png", "image/gif", "image/webp")


def _media(block: Fields, kind: str) -> Media:
    source = block.inner("source")
    if source is None:
        raise invalid(block.name("source"), "an object")
    form = source.needed_text("type")
    name = block.text("title") if kind == "document" else None
    if form == "base64":
        allowed = _IMAGES if kind == "image" else ("application/pdf",)
        mime = source.word("media_type", *allowed)
        if mime is None:
            raise invalid(source.name("media_type"), f"one of {', '.join(allowed)}")
        media = Media(kind=kind, mime=mime, data=source.needed_text("data"), name=name)  # type: ignore[arg-type]
    elif form == "url":
        media = Media(kind=kind, url=source.needed_text("url"), name=name)  # type: ignore[arg-type]
    elif form == "file":
        media = Media(kind=kind, file_id=source.needed_text("file_id"), name=name)  # type: ignore[arg-type]
    elif form == "text" and kind == "document":
        source.word("media_type", "text/plain")
        data = base64.b64encode(source.needed_text("data").encode()).decode()
        media = Media(kind="document", mime="text/plain", data=data, name=name)
    elif form == "content" and kind == "document":
        raise block.gaps.unsupported(source.name("type"), "a document made of blocks")
    else:
        raise invalid(source.name("type"), "one of base64, url, file" + (", text" if kind == "document" else ""))
    source.drop_rest()
    if kind == "document" and (block.value("citations") or {}) not in ({}, {"enabled": False}):
        block.gaps.drop("citations")
    end(block)
    return media
