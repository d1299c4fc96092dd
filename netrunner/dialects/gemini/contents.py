"""The turns of a Gemini request read: ``contents`` and ``systemInstruction``.

A call without an id is given one, and a result finds its call by the id, or as the first of its name that waits. The
pieces in which a client keeps a streamed turn are put together again.

This module must not know the rest of a request.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from typing import Any

import msgspec

from netrunner.dialects.conversation import Media, Part, Reasoning, Text, ToolCall, ToolResult, Turn
from netrunner.dialects.fields import Fields, invalid
from netrunner.dialects.gemini import signatures

_ROLES = {"model": "assistant", "user": "user", "function": "user", "tool": "user"}
"""The last two are found in Google's own examples, around results."""
_DATA = ("text", "inlineData", "fileData", "functionCall", "functionResponse")
_FOREIGN = (
    "executableCode",
    "codeExecutionResult",
    "toolCall",
    "toolResponse",
    "audioTranscription",
)
"""Parts of tools that Google runs itself."""
_KINDS = {
    "png": "image",
    "jpg": "image",
    "jpeg": "image",
    "gif": "image",
    "webp": "image",
    "mp3": "audio",
    "wav": "audio",
    "mp4": "video",
    "mov": "video",
    "webm": "video",
}
"""Of a URL whose media type is not told, by the end of its path; anything else is a document."""
_GOOGLES = ("gs://", "https://generativelanguage.googleapis.com/", "files/")


class Calls:
    """The calls of a conversation, and which of them wait for a result."""

    def __init__(self) -> None:
        self._waiting: list[tuple[str, str]] = []
        """Ids and names."""
        self._made = 0

    def made(self, id: str | None, name: str) -> str:
        """Note a call; return its id, made up if it has none."""
        self._made += 1
        id = id or f"call_{self._made}"
        self._waiting.append((id, name))
        return id

    def answered(self, id: str | None, name: str) -> str | None:
        """Return the id of the call that a result belongs to; None if none waits."""
        found = next((one for one in self._waiting if one[0] == id), None) or next(
            (one for one in self._waiting if one[1] == name), None
        )
        if found is None:
            return None
        self._waiting.remove(found)
        return found[0]


def turns(fields: Fields) -> tuple[Turn, ...]:
    """Return the turns of ``contents``; each is what one side said without the other.

    Raises:
        BadRequest: naming the field; ``UnsupportedParameter`` for parts that only Google knows.
    """
    if not fields.items("contents"):
        raise invalid(fields.name("contents"), "a list of at least one content")
    calls = Calls()
    found: list[Turn] = []
    for content in fields.objects("contents"):
        role = content.text("role") or "user"
        if role not in _ROLES:
            raise invalid(content.name("role"), "user or model")
        side: Any = _ROLES[role]
        said = [part for one in content.objects("parts") for part in _parts(one, side, calls)]
        content.drop_rest()
        if side == "assistant" and found and found[-1].role == side:
            found[-1] = Turn(side, _joined([*found[-1].parts, *said]))
        elif said:
            found.append(Turn(side, _joined(said) if side == "assistant" else tuple(said)))
    return tuple(found)


def instructions(fields: Fields) -> tuple[str, ...]:
    """Return the texts of ``systemInstruction``, which is a content or a plain text."""
    if isinstance(fields.value("systemInstruction"), str):
        text = fields.text("systemInstruction")
        return (text,) if text else ()
    content = fields.inner("systemInstruction")
    if content is None:
        return ()
    content.value("role")
    return tuple(texts(content))


def texts(content: Fields) -> Iterator[str]:
    """Yield the texts of a content that may hold nothing else."""
    for part in content.objects("parts"):
        for name in (*_DATA[1:], *_FOREIGN):
            part.refuse(name, "only text")
        text = part.text("text")
        part.drop("thoughtSignature")
        part.value("thought")
        part.drop_rest()
        if text:
            yield text
    content.drop_rest()


def _joined(parts: list[Part]) -> tuple[Part, ...]:
    """Put together what came of one text in pieces, and reasoning with the seal that followed it."""
    joined: list[Part] = []
    for part in parts:
        last = joined[-1] if joined else None
        if isinstance(part, Text) and isinstance(last, Text):
            joined[-1] = Text(last.text + part.text)
        elif (
            isinstance(part, Reasoning)
            and isinstance(last, Reasoning)
            and last.signature is None
            and not (part.redacted or last.redacted)
        ):
            joined[-1] = Reasoning(last.text + part.text, part.signature)
        else:
            joined.append(part)
    return tuple(joined)


def _parts(part: Fields, side: str, calls: Calls) -> Iterator[Part]:
    for name in _FOREIGN:
        part.refuse(name, "only Google runs its tools")
    given = [name for name in _DATA if name in part]
    if len(given) > 1:
        raise invalid(part.path.removesuffix("."), f"of one kind, not {' and '.join(given)}")
    signature, redacted = signatures.read(part.text("thoughtSignature"))
    thought = part.boolean("thought")
    if thought and given not in ([], ["text"]):
        part.drop(*given)
        given = []
    if thought or given in ([], ["text"]):
        text = part.text("text") or ""
        if thought:
            if text or signature is not None:
                yield Reasoning(text, signature, redacted)
        else:
            if signature is not None:
                yield Reasoning("", signature, redacted)
            if text:
                yield Text(text)
    elif given == ["functionCall"]:
        yield _call(part, side, calls, signature)
    else:
        if signature is not None:
            yield Reasoning("", signature, redacted)
        yield _result(part, side, calls) if given == ["functionResponse"] else media(part, given[0])
    part.drop_rest()


def _call(part: Fields, side: str, calls: Calls, signature: str | None) -> ToolCall:
    call = part.inner("functionCall")
    assert call is not None  # the caller has seen it
    if side != "assistant":
        raise invalid(part.name("functionCall"), "in a content of the model")
    name, arguments = call.needed_text("name"), call.mapping("args") or {}
    id = calls.made(call.text("id"), name)
    call.refuse("partialArgs", "only whole calls")
    call.drop_rest()
    return ToolCall(id, name, msgspec.json.encode(arguments).decode(), signature)


def _result(part: Fields, side: str, calls: Calls) -> ToolResult:
    result = part.inner("functionResponse")
    assert result is not None  # the caller has seen it
    if side != "user":
        raise invalid(part.name("functionResponse"), "in a content of the user")
    name, response = result.needed_text("name"), result.mapping("response") or {}
    id = calls.answered(result.text("id"), name)
    if id is None:
        raise invalid(part.name("functionResponse"), "the result of a functionCall before it")
    content: list[Text | Media] = []
    is_error = set(response) == {"error"}
    if response or not result.value("parts"):
        told = response["error"] if is_error else response["output"] if set(response) == {"output"} else response
        content.append(Text(told if isinstance(told, str) else msgspec.json.encode(told).decode()))
    for one in result.objects("parts"):
        for field in ("inlineData", "fileData"):
            if field in one:
                content.append(media(one, field))
        one.drop_rest()
    result.drop_rest()
    return ToolResult(id, tuple(content), name, is_error)


def media(part: Fields, field: str) -> Media:
    """Return the ``inlineData`` or ``fileData`` of a part."""
    blob = part.inner(field)
    assert blob is not None  # the caller has seen it
    mime = blob.text("mimeType")
    if field == "inlineData":
        mime = blob.needed_text("mimeType").lower()
        made = Media(kind=_kind(mime), mime=mime, data=_base64(blob, "data"), name=blob.text("displayName"))
    else:
        url = blob.needed_text("fileUri")
        if url.startswith(_GOOGLES):
            raise part.gaps.unsupported(blob.name("fileUri"), "a file kept at Google")
        ending = url.partition("?")[0].rpartition(".")[2].lower()
        kind: Any = _kind(mime) if mime else _KINDS.get(ending, "document")
        made = Media(kind=kind, mime=mime and mime.lower(), url=url, name=blob.text("displayName"))
    blob.drop_rest()
    return made


def _kind(mime: str) -> Any:
    kind = mime.partition("/")[0].lower()
    return kind if kind in ("image", "audio", "video") else "document"


def _base64(blob: Fields, field: str) -> str:
    """Return base64 in the usual alphabet; official clients write the one for URLs."""
    data = blob.needed_text(field)
    if "-" in data or "_" in data:
        data = data.replace("-", "+").replace("_", "/")
    try:
        binascii.a2b_base64(data, strict_mode=True)
    except (binascii.Error, ValueError):
        try:
            return base64.b64encode(binascii.a2b_base64(data + "=" * (-len(data) % 4))).decode()
        except (binascii.Error, ValueError):
            raise invalid(blob.name(field), "base64") from None
    return data
