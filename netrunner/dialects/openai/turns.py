"""A caller's ``messages`` read as turns: who said what, which results belong to which calls, what was thought.

Instructions before the first turn stand apart. Results that follow one another are one turn of the user. Reasoning
comes back from callers as it was given to them, see ``deltas``.

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

_ROLES = ("developer", "system", "user", "assistant", "tool", "function")
_SOUNDS = {"wav": "audio/wav", "mp3": "audio/mpeg"}


class Messages:
    """Reads the messages of one request."""

    def __init__(self) -> None:
        self.instructions: list[str] = []
        self.turns: list[Turn] = []
        self._names: dict[str, str] = {}
        """Of the tools called so far, by the call's id."""
        self._last_call = ""

    def read(self, message: Fields) -> None:
        """Read one message.

        Raises:
            BadRequest: for a malformed one; ``UnsupportedParameter`` for what no other dialect has.
        """
        role = message.word("role", *_ROLES)
        if role is None:
            raise invalid(message.name("role"), f"one of {', '.join(_ROLES)}")
        if role in ("developer", "system"):
            self._system(message)
        elif role == "user":
            parts = tuple(_content(message))
            if not parts:
                raise invalid(message.name("content"), "a string or a list of parts that is not empty")
            self.turns.append(Turn("user", parts, message.text("name")))
        elif role == "assistant":
            # Clients write an empty text beside calls, or nothing at all.
            said = tuple(part for part in self._assistant(message) if part != Text(""))
            name = message.text("name")
            if said:
                self.turns.append(Turn("assistant", said, name))
        else:
            self._result(message, role)
        message.drop_rest()

    def _system(self, message: Fields) -> None:
        parts = tuple(_content(message, "text"))
        if self.turns:
            self.turns.append(Turn("system", parts, message.text("name")))
        else:
            self.instructions.append("".join(part.text for part in parts if isinstance(part, Text)))

    def _assistant(self, message: Fields) -> Iterator[Part]:
        message.refuse("audio", "audio of an earlier answer")
        yield from _thoughts(message)
        if message.value("content") is not None:
            yield from _content(message, "text", "refusal")
        if refusal := message.text("refusal"):
            yield Refusal(refusal)
        for call in message.objects("tool_calls"):
            if call.word("type", "function", "custom") == "custom":
                raise call.gaps.unsupported(call.name("type"), "custom tools")
            function = call.inner("function")
            if function is None:
                raise invalid(call.name("function"), "an object")
            yield self._call(function, call.needed_text("id"), _thought(call))
            call.value("index")
            call.drop_rest()
        if (function := message.inner("function_call")) is not None:
            yield self._call(function, f"call_{len(self.turns)}", None)

    def _call(self, function: Fields, call_id: str, signature: str | None) -> ToolCall:
        name = function.needed_text("name")
        self._names[call_id], self._last_call = name, call_id
        words = arguments(function.text("arguments") or "", function.name("arguments"))
        function.drop_rest()
        return ToolCall(call_id, name, words, signature)

    def _result(self, message: Fields, role: str) -> None:
        # A result in the older form names its function only: it is what came of the last call.
        call_id = message.needed_text("tool_call_id") if role == "tool" else self._last_call
        name = message.text("name") or self._names.get(call_id)
        content = tuple(part for part in _content(message) if isinstance(part, (Text, Media)))
        result = ToolResult(call_id, content, name)
        last = self.turns[-1] if self.turns else None
        if last is not None and last.role == "user" and isinstance(last.parts[-1], ToolResult):
            self.turns[-1] = Turn("user", (*last.parts, result))
        else:
            self.turns.append(Turn("user", (result,)))


# --- content ------------------------------------------------------------------------------------------------


def _content(message: Fields, *only: str) -> Iterator[Part]:
    """Yield the parts of a message; ``only`` names the types it may have."""
    content = message.value("content")
    if isinstance(content, str):
        yield Text(content)
        return
    for part, kind in message.parts("content", only or ("text", "image_url", "input_audio", "file")):
        yield _part(part, kind)


def _part(part: Fields, kind: str) -> Part:
    if kind in ("text", "refusal"):
        words = part.text(kind)
        if words is None:
            raise invalid(part.name(kind), "a string")
        return Text(words) if kind == "text" else Refusal(words)
    inner = part.inner(kind)
    if inner is None:
        raise invalid(part.name(kind), "an object")
    media = _image(inner) if kind == "image_url" else _sound(inner) if kind == "input_audio" else _file(inner)
    inner.drop_rest()
    return media


def _image(image: Fields) -> Media:
    url, detail = image.needed_text("url"), image.word("detail", "auto", "low", "high", "original")
    held = of_data_url(url)
    if held is None:
        return Media(kind="image", url=url, detail=detail)
    return Media(kind="image", mime=held[0], data=held[1], detail=detail)


def _sound(sound: Fields) -> Media:
    format = sound.word("format", *_SOUNDS)
    if format is None:
        raise invalid(sound.name("format"), f"one of {', '.join(_SOUNDS)}")
    return Media(kind="audio", mime=_SOUNDS[format], data=sound.needed_text("data"))


def _file(file: Fields) -> Media:
    name, file_id, data = file.text("filename"), file.text("file_id"), file.text("file_data")
    if file_id:
        return Media(kind="document", file_id=file_id, name=name)
    if not data:
        raise invalid(file.name("file_data"), "base64 or a data URL")
    mime, held = of_data_url(data) or ("application/pdf", data)
    return Media(kind="document", mime=mime, data=held, name=name)


# --- reasoning ----------------------------------------------------------------------------------------------


def _thoughts(message: Fields) -> Iterator[Reasoning]:
    """Yield what was thought: in details if the caller has kept them, else as text alone."""
    words = message.text("reasoning_content") or message.text("reasoning")
    details = list(message.objects("reasoning_details"))
    for one in details:
        yield from _detail(one)
    if not details and words:
        yield Reasoning(words)
    if signature := _thought(message):
        yield Reasoning(signature=signature)


def _detail(one: Fields) -> Iterator[Reasoning]:
    words, format = one.text("text") or one.text("summary") or "", one.text("format")
    data, signature = one.text("data"), one.text("signature")
    held = data or signature
    seal: str | None = None
    if held and format in seals.FORMATS:
        seal = seals.seal(format, held)
    elif held and seals.format_of(held) is not None:
        seal = held
    elif held:
        one.gaps.drop("reasoning_details")
    if seal is not None or words:
        yield Reasoning(words, seal, redacted=bool(data) and not words)


def _thought(holder: Fields) -> str | None:
    """Return the seal that stands where Gemini's compatible API puts it."""
    extra = holder.inner("extra_content")
    google = None if extra is None else extra.inner("google")
    data = None if google is None else google.text("thought_signature")
    return seals.seal(seals.GEMINI, data) if data else None
