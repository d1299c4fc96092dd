"""The block events that event filters see and that translation between dialects goes through.

They are a superset of Anthropic's content blocks and OpenAI's Responses items. Each event carries
``native``, the decoded chunk or block it came from, so that the encoder of the same dialect patches that
and unknown fields live on. A non-streamed answer passes the event phase as a short list of the same events.

These shapes do not change: filters of third parties rely on them. This module must not import
anything of netrunner but ``values``.
"""

from __future__ import annotations

import enum
from typing import Any

import msgspec

from netrunner.values import Usage


class BlockKind(enum.Enum):
    """What a block of an answer holds."""

    TEXT = "text"
    REASONING = "reasoning"
    REDACTED = "redacted"
    TOOL_CALL = "tool_call"
    REFUSAL = "refusal"
    IMAGE = "image"
    AUDIO = "audio"
    CITATION = "citation"
    OPAQUE = "opaque"


class FinishKind(enum.Enum):
    """Why a model stopped, in canonical terms."""

    STOP = "stop"
    STOP_SEQUENCE = "stop_sequence"
    LENGTH = "length"
    CONTEXT_FULL = "context_full"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"
    PAUSE = "pause"
    ERROR = "error"


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Common to all events."""

    native: Any = None
    """The decoded chunk or block this event came from; None for an event a filter made."""


class Start(Event, frozen=True, kw_only=True):
    """The answer begins."""

    id: str | None = None
    model: str | None = None


class BlockOpen(Event, frozen=True, kw_only=True):
    """A block begins in choice ``choice`` at position ``index``; tool calls carry id and name."""

    kind: BlockKind
    choice: int = 0
    index: int = 0
    tool_id: str | None = None
    tool_name: str | None = None


class TextDelta(Event, frozen=True, kw_only=True):
    """More text of an open TEXT or REFUSAL block."""

    text: str
    choice: int = 0
    index: int = 0


class ReasoningDelta(Event, frozen=True, kw_only=True):
    """More reasoning text."""

    text: str
    choice: int = 0
    index: int = 0


class Signature(Event, frozen=True, kw_only=True):
    """The provider's seal on a reasoning block or tool call, to be returned byte for byte."""

    data: str
    choice: int = 0
    index: int = 0


class ToolArgs(Event, frozen=True, kw_only=True):
    """A fragment of a tool call's JSON arguments."""

    fragment: str
    choice: int = 0
    index: int = 0


class BlockClose(Event, frozen=True, kw_only=True):
    """The block is complete."""

    choice: int = 0
    index: int = 0


class Vectors(Event, frozen=True, kw_only=True):
    """All embeddings of an answer, in the order of their inputs."""

    vectors: list[list[float]]


class Image(Event, frozen=True, kw_only=True):
    """A finished image."""

    data: bytes
    mime: str


class UsageSeen(Event, frozen=True, kw_only=True):
    """Counts so far; field by field the last one that is not None holds."""

    usage: Usage


class Finish(Event, frozen=True, kw_only=True):
    """A choice is complete; ``reason`` is the provider's own word for ``kind``."""

    kind: FinishKind
    reason: str | None = None
    choice: int = 0
    stop_sequence: str | None = None


class StreamError(Event, frozen=True, kw_only=True):
    """The provider reported an error inside the answer; nothing follows."""

    kind: str
    message: str
    code: str | None = None
    status: int | None = None
    retry_after_s: float | None = None


class KeepAlive(Event, frozen=True, kw_only=True):
    """Nothing happened, and the connection lives."""
