"""How many tokens a request or an answer takes, by a rule of thumb: for providers that do not count themselves.

A token stands for 4 characters of Latin text, for 2.5 of other scripts that write words, and for 1.5 of Chinese,
Japanese and Korean; an image for ``IMAGE``, a document that is no text for ``DOCUMENT``, any other medium for
``OTHER_MEDIA``. Every turn takes ``TURN`` besides, every tool ``TOOL``. Real counts are within a third of it, mostly.

This module must not know any dialect or tokenizer.
"""

from __future__ import annotations

import math
import re

import msgspec

from netrunner.dialects.conversation import Conversation, Embedding, Media, Part, Reasoning, ToolCall, ToolResult
from netrunner.events import Event, ReasoningDelta, TextDelta, ToolArgs

BYTES = 4
"""Of a text whose script nobody has looked at, for each token."""
IMAGE = 1500
DOCUMENT = 3000
OTHER_MEDIA = 2000
TURN = 4
TOOL = 16

_LATIN, _WORDS, _WIDE = 1 / 4, 1 / 2.5, 1 / 1.5
_WIDE_ONES = re.compile(
    "[\u1100-\u11ff\u2e80-\ua4cf\uac00-\ud7af\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef\U00020000-\U0003ffff]"
)
_NO_LATIN = re.compile("[^\u0000-\u024f\u2000-\u206f]")


def estimate(request: Conversation | Embedding) -> int:
    """Return about how many tokens a request takes; at least 1."""
    if isinstance(request, Embedding):
        return max(1, math.ceil(sum(tokens_of(text) for text in request.inputs)))
    conversation = request
    tokens = sum(tokens_of(text) + TURN for text in conversation.instructions)
    for turn in conversation.turns:
        tokens += TURN + sum(_part(part) for part in turn.parts)
    for tool in conversation.tools:
        tokens += TOOL + tokens_of(tool.name) + tokens_of(tool.description or "") + _json(tool.parameters or {})
    if conversation.format is not None and conversation.format.schema is not None:
        tokens += _json(conversation.format.schema)
    return max(1, math.ceil(tokens))


def of_length(body: bytes) -> int | None:
    """Return about how many tokens the body of a request takes, by its length; None if it has more than text in it."""
    return None if b"base64" in body else math.ceil(len(body) / BYTES)


def made_by(event: Event) -> float:
    """Return about how many tokens a piece of an answer takes; 0 for what is no piece of one."""
    if isinstance(event, TextDelta | ReasoningDelta):
        return tokens_of(event.text)
    return tokens_of(event.fragment) if isinstance(event, ToolArgs) else 0.0


def tokens_of(text: str) -> float:
    """Return about how many tokens a text takes, or a piece of one."""
    if text.isascii():
        return len(text) * _LATIN
    wide = len(_WIDE_ONES.findall(text))
    words = len(_NO_LATIN.findall(text)) - wide
    return wide * _WIDE + words * _WORDS + (len(text) - wide - words) * _LATIN


def _json(value: object) -> float:
    return tokens_of(msgspec.json.encode(value).decode())


def _part(part: Part) -> float:
    if isinstance(part, Media):
        return _media(part)
    if isinstance(part, ToolCall):
        return TURN + tokens_of(part.name) + tokens_of(part.arguments)
    if isinstance(part, ToolResult):
        return TURN + sum(_part(one) for one in part.content)
    if isinstance(part, Reasoning) and part.redacted:
        return 0
    return tokens_of(part.text)


def _media(part: Media) -> float:
    if part.kind == "image":
        return IMAGE
    if part.kind != "document":
        return OTHER_MEDIA
    if part.data is not None and (part.mime or "").startswith("text/"):
        # Base64 writes three bytes with four characters.
        return len(part.data) * 3 / 4 * _LATIN
    return DOCUMENT
