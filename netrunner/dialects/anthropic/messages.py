"""Turns of a conversation as Anthropic's messages: alternating, results of tools first, nothing blank, own seals only.

This module must not know parameters of a request.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable
from typing import Any

import msgspec

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
from netrunner.dialects.gaps import Gaps

Document = dict[str, Any]

_ID = re.compile(r"[a-zA-Z0-9_-]+")
_IMAGES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})


class Messages:
    """The turns of one request, written.

    Args:
        turns: In their order.
        system_turns: Whether the model takes messages of the role ``system``.
        gaps: Is told what is given up.

    Raises:
        UnsupportedParameter: for media that Anthropic does not take.
    """

    def __init__(self, turns: Iterable[Turn], system_turns: bool, gaps: Gaps) -> None:
        self.instructions: list[str] = []
        """What belongs to the instructions, since it may not stay where it was."""
        self.written: list[Document] = []
        self.called: dict[str, None] = {}
        """The names of the tools that were called, in the order of their first call."""
        self._gaps = gaps
        for turn in turns:
            if turn.name is not None:
                gaps.drop("name")
            if turn.role == "system":
                self._instruct(turn)
            else:
                self._say(turn.role, [one for part in turn.parts for one in self._blocks(turn.role, part)])
        self._settle(system_turns)

    @property
    def prefills(self) -> bool:
        """Whether the last word is the assistant's."""
        return bool(self.written) and self.written[-1]["role"] == "assistant"

    @property
    def calls_unsigned(self) -> bool:
        """Whether the assistant's last message has calls that no reasoning of Anthropic's comes before.

        Such a message is refused where thinking is asked for.
        """
        last = next((one["content"] for one in reversed(self.written) if one["role"] == "assistant"), ())
        kinds = [block["type"] for block in last]
        return "tool_use" in kinds and kinds[0] not in ("thinking", "redacted_thinking")

    def _instruct(self, turn: Turn) -> None:
        if not all(isinstance(part, Text) for part in turn.parts):
            raise self._gaps.unsupported("turns", "a system message that is no text")
        self._say("system", [one for part in turn.parts for one in self._blocks("system", part)])

    def _say(self, role: str, blocks: list[Document]) -> None:
        """Add blocks to the message before if its role is the same; a message without blocks is none."""
        if not blocks:
            return
        if self.written and self.written[-1]["role"] == role:
            self.written[-1]["content"] += blocks
        else:
            self.written.append({"role": role, "content": blocks})

    def _settle(self, system_turns: bool) -> None:
        """Put results first, and system messages where the model takes them."""
        messages, self.written = self.written, []
        for number, message in enumerate(messages):
            if message["role"] != "system":
                self._say(message["role"], message["content"])
                continue
            follows = messages[number + 1]["role"] if number + 1 < len(messages) else "assistant"
            if system_turns and follows == "assistant" and self.written and self.written[-1]["role"] == "user":
                self.written.append(message)
                continue
            if self.written:
                self._gaps.drop("system")
            self.instructions += [block["text"] for block in message["content"]]
        for message in self.written:
            message["content"].sort(key=lambda block: block["type"] != "tool_result")
        if self.prefills and (last := self.written[-1]["content"][-1])["type"] == "text":
            # What is to be continued may not end with white space.
            last["text"] = last["text"].rstrip()

    def _blocks(self, role: str, part: Part) -> list[Document]:
        """Return the block of a part; none for what is blank or not to be said."""
        if isinstance(part, (Text, Refusal)):
            return [{"type": "text", "text": part.text}] if part.text.strip() else []
        if isinstance(part, Reasoning):
            return self._reasoning(part)
        if isinstance(part, ToolCall):
            self.called[part.name] = None
            given = msgspec.json.decode(part.arguments or "{}")
            return [{"type": "tool_use", "id": call_id(part.id), "name": part.name, "input": given}]
        if isinstance(part, ToolResult):
            return [self._result(part)]
        if role != "user":
            raise self._gaps.unsupported("turns", f"the assistant's own {part.kind}")
        return [self._media(part)]

    def _reasoning(self, part: Reasoning) -> list[Document]:
        """Return what Anthropic sealed itself; of others' nothing."""
        own = seals.unsealed(seals.ANTHROPIC, part.signature)
        if own is None:
            self._gaps.drop("reasoning")
            return []
        if part.redacted:
            return [{"type": "redacted_thinking", "data": own}]
        return [{"type": "thinking", "thinking": part.text, "signature": own}]

    def _result(self, part: ToolResult) -> Document:
        result: Document = {"type": "tool_result", "tool_use_id": call_id(part.id)}
        content = [block for one in part.content for block in self._blocks("user", one)]
        if content:
            result["content"] = content
        if part.is_error:
            result["is_error"] = True
        return result

    def _media(self, part: Media) -> Document:
        if part.file_id is not None:
            raise self._gaps.unsupported("turns", "a file of another provider")
        if part.kind not in ("image", "document"):
            raise self._gaps.unsupported("turns", part.kind)
        if part.detail not in (None, "auto"):
            self._gaps.drop("detail")
        block: Document = {"type": part.kind, "source": self._source(part)}
        if part.kind == "document" and part.name:
            block["title"] = part.name
        return block

    def _source(self, part: Media) -> Document:
        if part.data is None:
            return {"type": "url", "url": part.url}
        mime = (part.mime or "").lower()
        if (part.kind == "image" and mime in _IMAGES) or (part.kind == "document" and mime == "application/pdf"):
            return {"type": "base64", "media_type": mime, "data": part.data}
        if part.kind == "document" and (mime.startswith("text/") or mime == "application/json"):
            try:
                text = base64.b64decode(part.data).decode()
            except (binascii.Error, UnicodeDecodeError) as error:
                raise self._gaps.unsupported("turns", "a document whose text is not UTF-8") from error
            return {"type": "text", "media_type": "text/plain", "data": text}
        raise self._gaps.unsupported("turns", f"{part.kind} of the type {mime[:40] or 'unknown'}")


def call_id(id: str) -> str:
    """Return a call's id as Anthropic takes it, the same for the call and its result: its letters, or a digest."""
    if _ID.fullmatch(id):
        return id
    return "toolu_" + hashlib.sha256(id.encode("utf-8", "surrogatepass")).hexdigest()[:24]
