"""Turns written as Gemini's ``contents``: roles alternate, results stand together, signatures where they belong.

A seal goes back on the part it came on. One that could not travel on its call stands in the reasoning before it, so a
seal of reasoning goes on the next call that has none of its own; without one on the next text, else on a part alone.

This module must not write anything else of a request.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from netrunner.dialects import seals
from netrunner.dialects.conversation import Conversation, Media, Part, Reasoning, Refusal, Text, ToolCall, ToolResult
from netrunner.dialects.fields import invalid
from netrunner.dialects.gaps import Gaps
from netrunner.dialects.gemini.signatures import DUMMY

Document = dict[str, Any]
_VERSION = re.compile(r"gemini-(?:[a-z]+-)*(\d+)")
_MIMES = {"image": "image/jpeg", "audio": "audio/wav", "video": "video/mp4", "document": "application/pdf"}
"""Of data whose media type is not told."""


def is_of_third_generation(model: str) -> bool:
    """Return whether a model is Gemini 3 or later: it thinks by level, and refuses calls without a signature."""
    found = _VERSION.search(model)
    return int(found[1]) >= 3 if found is not None else model.endswith("-latest")


def contents(conversation: Conversation, model: str, gaps: Gaps) -> tuple[list[str], list[Document]]:
    """Return the instructions and the contents of a conversation.

    Raises:
        BadRequest: for a result that answers no call.
        UnsupportedParameter: for a file kept at another provider.
    """
    instructions = list(conversation.instructions)
    writer = _Writer(is_of_third_generation(model), gaps)
    for turn in conversation.turns:
        if turn.name is not None:
            gaps.drop("name")
        if turn.role == "system" and not writer.contents:
            instructions += [text for text in _texts(turn.parts) if text]
        elif turn.role == "system":
            # There is one place for instructions, and it is before all turns.
            gaps.drop("system")
            writer.add("user", [{"text": f"<system>\n{text}\n</system>"} for text in _texts(turn.parts) if text])
        elif turn.role == "assistant":
            writer.add("model", writer.said(turn.parts))
        else:
            writer.add("user", [writer.part(part) for part in turn.parts if not _is_empty(part)])
    if not writer.contents:
        # It does not answer instructions alone.
        gaps.drop("system")
        writer.add("user", [{"text": text} for text in instructions])
        instructions = []
    for content in writer.contents:
        if content["role"] == "user":
            content["parts"].sort(key=lambda part: "functionResponse" not in part)
    return instructions, writer.contents


class _Writer:
    """Writes the turns one after another.

    Args:
        signs: Whether the model refuses calls without a signature.
    """

    def __init__(self, signs: bool, gaps: Gaps) -> None:
        self.contents: list[Document] = []
        self._signs = signs
        self._gaps = gaps
        self._names: dict[str, str] = {}
        """Of called tools, by the id of the call."""

    def add(self, role: str, parts: list[Document]) -> None:
        """Add what one side said; to what it said last if nobody spoke since."""
        if not parts:
            return
        if self.contents and self.contents[-1]["role"] == role:
            self.contents[-1]["parts"] += parts
        else:
            self.contents.append({"role": role, "parts": parts})

    def said(self, parts: tuple[Part, ...]) -> list[Document]:
        """Return the parts of a turn of the model."""
        written: list[Document] = []
        waiting: tuple[str, Document | None] | None = None
        unsigned = sum(isinstance(part, ToolCall) and not _own_seal(part) for part in parts)
        own = any(isinstance(part, (Reasoning, ToolCall)) and _own_seal(part) for part in parts)
        for part in parts:
            if isinstance(part, Reasoning):
                sealed = _own_seal(part)
                # Of a turn of Gemini's own, the seal is often on what came of its thoughts.
                if sealed is None and (not own or part.signature is not None):
                    self._gaps.drop("reasoning")
                    continue
                thought = {"text": part.text, "thought": True} if part.text else None
                if sealed is not None:
                    _settle(waiting, written)
                    waiting = sealed, thought
                written += [thought] if thought else []
            elif not _is_empty(part):
                one = self.part(part)
                takes = isinstance(part, ToolCall) and not _own_seal(part)
                unsigned -= takes
                if waiting is not None and (takes or (isinstance(part, Text) and not unsigned)):
                    one["thoughtSignature"], waiting = waiting[0], None
                written.append(one)
        _settle(waiting, written)
        calls = [part for part in written if "functionCall" in part]
        if self._signs and calls and not any("thoughtSignature" in call for call in calls):
            # Of parallel calls the model itself signs the first alone.
            calls[0]["thoughtSignature"] = DUMMY
        return written

    def part(self, part: Part) -> Document:
        """Return one part, whosever it is."""
        if isinstance(part, (Text, Refusal, Reasoning)):
            return {"text": part.text}
        if isinstance(part, Media):
            return self._media(part)
        if isinstance(part, ToolResult):
            return {"functionResponse": self._result(part)}
        self._names[part.id] = part.name
        call: Document = {
            "functionCall": {"id": part.id, "name": part.name, "args": msgspec.Raw(part.arguments.encode())}
        }
        sealed = _own_seal(part)
        if sealed is not None:
            call["thoughtSignature"] = sealed
        return call

    def _result(self, result: ToolResult) -> Document:
        name = result.name or self._names.get(result.id)
        if name is None:
            raise invalid(self._gaps.name("tool_call_id"), "the id of a call before it")
        text = "\n".join(_texts(result.content))
        told = {"error": text} if result.is_error else {"output": _structured(text)}
        written: Document = {"id": result.id, "name": name, "response": told}
        parts = [self._media(part) for part in result.content if isinstance(part, Media)]
        if parts:
            written["parts"] = parts
        return written

    def _media(self, media: Media) -> Document:
        if media.file_id is not None:
            raise self._gaps.unsupported("file_id", "a file kept at another provider")
        if media.name is not None:
            self._gaps.drop("filename")
        if media.detail not in (None, "auto"):
            self._gaps.drop("detail")
        if media.data is not None:
            return {"inlineData": {"mimeType": media.mime or _MIMES[media.kind], "data": media.data}}
        file: Document = {"fileUri": media.url}
        if media.mime is not None:
            file["mimeType"] = media.mime
        return {"fileData": file}


def _settle(waiting: tuple[str, Document | None] | None, written: list[Document]) -> None:
    """Put a seal for which no other part came where it was."""
    if waiting is None:
        return
    seal, thought = waiting
    if thought is not None:
        thought["thoughtSignature"] = seal
    else:
        written.append({"text": "", "thoughtSignature": seal})


def _own_seal(part: Reasoning | ToolCall) -> str | None:
    return seals.unsealed(seals.GEMINI, part.signature) or None


def _is_empty(part: Part) -> bool:
    """Return whether a part says nothing, which the API refuses."""
    return isinstance(part, (Text, Refusal)) and not part.text


def _texts(parts: Iterable[Part]) -> list[str]:
    return [part.text for part in parts if isinstance(part, (Text, Refusal))]


def _structured(text: str) -> Any:
    """Return a result that is a JSON object or list as that, any other as the text it is."""
    if text.lstrip()[:1] not in ("{", "["):
        return text
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return text
    return msgspec.Raw(text.encode())
