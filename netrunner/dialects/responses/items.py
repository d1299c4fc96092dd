"""A caller's ``input`` read as turns: messages, calls, what came of them, and what was thought.

Instructions before the first turn stand apart. What a model said, thought and called in a row is one turn of it;
results that follow one another are one turn of the user. Items that only OpenAI's own servers can run or look up are
refused.

This module must not know what else is asked.
"""

from __future__ import annotations

from collections.abc import Iterator

from netrunner.dialects import seals
from netrunner.dialects.conversation import (
    Media,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
    Turn,
)
from netrunner.dialects.fields import Fields, arguments, invalid, of_data_url
from netrunner.dialects.turns import BETWEEN

_ROLES = ("user", "assistant", "system", "developer")
_STATUSES = ("in_progress", "completed", "incomplete")
_GIVEN = ("input_text", "input_image", "input_file")
_SAID = ("output_text", "refusal", "input_text")
_SEALED = (seals.ANTHROPIC, seals.RESPONSES)
"""Formats of seals that stand for thoughts; others are of calls."""


class Items:
    """Reads the items of one request."""

    def __init__(self) -> None:
        self.instructions: list[str] = []
        self.turns: list[Turn] = []
        self._names: dict[str, str] = {}
        """Of the functions called so far, by the call's id."""

    def read(self, item: Fields) -> None:
        """Read one item.

        Raises:
            BadRequest: for a malformed one; ``UnsupportedParameter`` for what no other dialect has.
        """
        kind = item.text("type") or ("message" if "role" in item else "item_reference")
        # Ids and states are what answers had; nothing depends on them.
        item.text("id")
        item.word("status", *_STATUSES)
        if kind == "message":
            self._message(item)
        elif kind == "function_call":
            self._add("assistant", self._call(item))
        elif kind == "function_call_output":
            self._add("user", self._result(item))
        elif kind == "reasoning":
            for thought in _thought(item):
                self._add("assistant", thought)
        else:
            raise item.gaps.unsupported(item.name("type"), _why(kind))
        item.drop_rest()

    def _message(self, message: Fields) -> None:
        role = message.word("role", *_ROLES)
        if role is None:
            raise invalid(message.name("role"), f"one of {', '.join(_ROLES)}")
        if role == "assistant":
            # Comments and the final answer are said alike.
            message.word("phase", "commentary", "final_answer")
            for part in _content(message, _SAID):
                # Clients write an empty text beside calls.
                if part != Text(""):
                    self._add("assistant", part)
        elif role == "user":
            parts = tuple(_content(message, _GIVEN))
            if not parts:
                raise invalid(message.name("content"), "a string or a list of parts that is not empty")
            self.turns.append(Turn("user", parts))
        else:
            parts = tuple(_content(message, ("input_text",)))
            if self.turns and parts:
                self.turns.append(Turn("system", parts))
            elif parts:
                self.instructions.append("".join(part.text for part in parts if isinstance(part, Text)))

    def _call(self, item: Fields) -> ToolCall:
        call_id, name = item.needed_text("call_id"), item.needed_text("name")
        self._names[call_id] = name
        return ToolCall(call_id, name, arguments(item.text("arguments") or "", item.name("arguments")))

    def _result(self, item: Fields) -> ToolResult:
        call_id, name = item.needed_text("call_id"), item.text("name")
        content = tuple(part for part in _content(item, _GIVEN, "output") if isinstance(part, (Text, Media)))
        return ToolResult(call_id, content, name or self._names.get(call_id))

    def _add(self, role: str, part: Part) -> None:
        """Add a part to the last turn if it goes on there, else to one of its own."""
        last = self.turns[-1] if self.turns else None
        if last is None or last.role != role or (role == "user" and not isinstance(last.parts[-1], ToolResult)):
            self.turns.append(Turn("assistant" if role == "assistant" else "user", (part,)))
        else:
            self.turns[-1] = Turn(last.role, (*last.parts, part))


def _why(kind: str) -> str:
    if kind == "item_reference":
        return "nothing is kept between requests"
    return "custom tools" if kind.startswith("custom_tool_call") else "items of hosted tools"


# --- content ------------------------------------------------------------------------------------------------


def _content(holder: Fields, types: tuple[str, ...], field: str = "content") -> Iterator[Part]:
    """Yield the parts of a content; ``types`` are those it may have."""
    content = holder.value(field)
    if isinstance(content, str):
        yield Text(content)
        return
    for part, kind in holder.parts(field, types):
        yield _part(part, kind)


def _part(part: Fields, kind: str) -> Part:
    if kind == "input_image":
        return _image(part)
    if kind == "input_file":
        return _file(part)
    if kind == "refusal":
        return Refusal(_words(part, "refusal"))
    for told in ("annotations", "logprobs"):
        # Answers have them, mostly empty.
        if part.items(told):
            part.drop(told)
    return Text(_words(part, "text"))


def _words(part: Fields, field: str) -> str:
    words = part.text(field)
    if words is None:
        raise invalid(part.name(field), "a string")
    return words


def _image(image: Fields) -> Media:
    detail, file_id = image.word("detail", "auto", "low", "high", "original"), image.text("file_id")
    if file_id:
        return Media(kind="image", file_id=file_id, detail=detail)
    url = image.needed_text("image_url")
    held = of_data_url(url)
    if held is None:
        return Media(kind="image", url=url, detail=detail)
    return Media(kind="image", mime=held[0], data=held[1], detail=detail)


def _file(file: Fields) -> Media:
    name, file_id, url, data = (file.text(field) for field in ("filename", "file_id", "file_url", "file_data"))
    file.drop("detail")
    if file_id:
        return Media(kind="document", file_id=file_id, name=name)
    if url and not data:
        return Media(kind="document", url=url, name=name)
    if not data:
        raise invalid(file.name("file_data"), "base64 or a data URL")
    mime, held = of_data_url(data) or ("application/pdf", data)
    return Media(kind="document", mime=mime, data=held, name=name)


# --- reasoning ----------------------------------------------------------------------------------------------


def _thought(item: Fields) -> Iterator[Reasoning]:
    """Yield what was thought: in full if it is there, else its summary; nothing if both and the seal are missing.

    A seal on nothing holds all of a thought, or belongs to the call that follows.
    """
    summary = [_words(part, "text") for part in _parts(item, "summary", "summary_text")]
    words = [_words(part, "text") for part in _parts(item, "content", "reasoning_text")] or summary
    data = item.text("encrypted_content")
    seal = seals.seal(seals.RESPONSES, data) if data else None
    if seal is not None or any(words):
        redacted = not words and seal is not None and seals.format_of(seal) in _SEALED
        yield Reasoning(BETWEEN.join(words), seal, redacted)


def _parts(item: Fields, field: str, kind: str) -> Iterator[Fields]:
    for part in item.objects(field):
        if part.word("type", kind) is None:
            raise invalid(part.name("type"), kind)
        yield part
        part.drop_rest()
