"""What is asked of a model, in terms of no dialect: what one dialect reads and another writes.

It is a superset of Anthropic's blocks and OpenAI's Responses items, so that nothing with a meaning is lost on the way:
order of parts, signatures, results of tools with images. What only one dialect knows has no place here; whoever reads
it tells its ``Gaps``.

This module must not know any dialect.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any, Literal

import msgspec


class Operation(enum.Enum):
    """What can be asked across dialects."""

    CHAT = "chat"
    EMBED = "embed"
    IMAGE = "image"
    COUNT = "count"
    """How many tokens a chat would take; without an answer of the provider's own it is estimated."""


# --- what a turn is made of ---------------------------------------------------------------------------------


class Text(msgspec.Struct, frozen=True):
    """Words."""

    text: str


class Refusal(msgspec.Struct, frozen=True):
    """Words by which a model once refused."""

    text: str


class Reasoning(msgspec.Struct, frozen=True):
    """What a model once thought; it goes back to the model that did, and to no other."""

    text: str = ""
    signature: str | None = None
    """The provider's seal on it, with its format before it (``netrunner.dialects.seals``)."""
    redacted: bool = False
    """There is no text, the signature holds all of it."""


class Media(msgspec.Struct, frozen=True, kw_only=True):
    """An image, a sound or a document: exactly one of ``data``, ``url`` and ``file_id`` is given."""

    kind: Literal["image", "audio", "video", "document"]
    mime: str | None = None
    data: str | None = None
    """Base64."""
    url: str | None = None
    file_id: str | None = None
    name: str | None = None
    detail: str | None = None
    """How closely an image is to be looked at: OpenAI's word."""


class ToolCall(msgspec.Struct, frozen=True):
    """A call that a model once made."""

    id: str
    name: str
    arguments: str
    """JSON of an object; what is no such thing was refused when it was read."""
    signature: str | None = None
    """As of ``Reasoning``."""


class ToolResult(msgspec.Struct, frozen=True):
    """What came of a call."""

    id: str
    content: tuple[Text | Media, ...]
    name: str | None = None
    """Of the tool; found by the call's id where the caller does not say it."""
    is_error: bool = False


Part = Text | Refusal | Reasoning | Media | ToolCall | ToolResult


class Turn(msgspec.Struct, frozen=True):
    """What one side said. Results of tools are parts of the user's turn."""

    role: Literal["system", "user", "assistant"]
    parts: tuple[Part, ...]
    name: str | None = None


# --- how it is asked ----------------------------------------------------------------------------------------


class Tool(msgspec.Struct, frozen=True):
    """A function that a model may call."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    """A JSON schema; None where the tool takes nothing."""
    strict: bool | None = None


class ToolChoice(msgspec.Struct, frozen=True):
    """Whether a model may, must or must not call."""

    mode: Literal["auto", "none", "required", "named"]
    name: str | None = None


class Format(msgspec.Struct, frozen=True):
    """The form an answer has to have."""

    kind: Literal["json_object", "json_schema"]
    schema: dict[str, Any] | None = None
    name: str | None = None
    description: str | None = None
    strict: bool | None = None


class Thinking(msgspec.Struct, frozen=True):
    """How much a model is to think before it answers."""

    enabled: bool | None = None
    effort: Literal["minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    budget_tokens: int | None = None
    shown: bool | None = None
    """Whether the caller wants to see it."""


class Conversation(msgspec.Struct, kw_only=True):
    """A request for a chat."""

    instructions: tuple[str, ...] = ()
    """What the operator said before the first turn."""
    turns: tuple[Turn, ...] = ()
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    format: Format | None = None
    thinking: Thinking | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    n: int | None = None
    """None where the caller asks for one answer."""
    logprobs: bool = False
    top_logprobs: int | None = None
    logit_bias: dict[str, float] | None = None
    user: str | None = None
    """Whom the caller asks for."""
    native: Any = None
    """The caller's document, decoded, for an encoder of its own dialect that has to tell it back."""


class Embedding(msgspec.Struct, kw_only=True):
    """A request for embeddings."""

    inputs: tuple[str, ...]
    single: bool = False
    """Whether the caller gave one text and not a list."""
    dimensions: int | None = None
    base64: bool = False
    """Whether the caller wants base64 of little-endian float32."""
    purpose: str | None = None
    """``query``, ``document``, ... where the caller says it."""
    user: str | None = None


class Picture(msgspec.Struct, kw_only=True):
    """A request for an image."""

    prompt: str
    size: tuple[int, int] | None = None
    """Width and height in pixels."""
    quality: str | None = None
    """OpenAI's word."""


Request = Conversation | Embedding | Picture


class Written(msgspec.Struct, frozen=True):
    """A request in a provider's dialect."""

    endpoint: str
    """The path below the provider's base URL."""
    body: bytes
    query: bytes = b""


class Asked(msgspec.Struct, kw_only=True):
    """What an answer has to repeat of its request."""

    id: str
    """UUID of the exchange."""
    model: str
    """As the caller named it."""
    endpoint: str
    """As the caller named it."""
    stream: bool
    wants_usage: bool
    """The caller asked for usage inside a stream; where a dialect always tells it, this does not matter."""
    at: float
    """Unix time at which the exchange began."""
    elapsed_s: Callable[[], float]
    """Tells the seconds since then."""
    query: bytes = b""
    request: Request
