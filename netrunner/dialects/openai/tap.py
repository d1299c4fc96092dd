"""What an OpenAI-like answer says about itself while its bytes pass by untouched: usage, finish, error, end.

A stream is searched for the few words that matter, and only events that hold one are decoded; a word inside a
text is told from a key by that decoding.

This module must not hold back or change a byte, and must not raise whatever it is fed.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Raw, UnsetType

from netrunner.dialects import taps
from netrunner.dialects.estimate import BYTES
from netrunner.dialects.taps import Tap, data_of
from netrunner.values import Usage

_Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
"""Of tokens; a provider that tells another number tells none: it could not be added up, nor recorded."""


class _InputDetails(msgspec.Struct):
    cached_tokens: _Count | None = None
    cache_write_tokens: _Count | None = None
    audio_tokens: _Count | None = None


class _OutputDetails(msgspec.Struct):
    reasoning_tokens: _Count | None = None
    audio_tokens: _Count | None = None


class Counts(msgspec.Struct):
    """The counts of tokens in an answer, in any of the family's words."""

    prompt_tokens: _Count | None = None
    completion_tokens: _Count | None = None
    input_tokens: _Count | None = None
    output_tokens: _Count | None = None
    prompt_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None
    input_tokens_details: _InputDetails | None = None
    output_tokens_details: _OutputDetails | None = None
    prompt_cache_hit_tokens: int | None = None
    """DeepSeek's word for cached tokens; GigaChat's is the next."""
    precached_prompt_tokens: int | None = None


class _Choice(msgspec.Struct):
    finish_reason: str | None = None


class _Reason(msgspec.Struct):
    reason: str | None = None


class _Document(msgspec.Struct):
    """A chunk, an answer, or an event of the Responses API; each field is trusted on its own."""

    choices: Raw | UnsetType = UNSET
    usage: Raw | UnsetType = UNSET
    error: Raw | UnsetType = UNSET
    response: Raw | UnsetType = UNSET
    type: Raw | UnsetType = UNSET
    status: Raw | UnsetType = UNSET
    code: Raw | UnsetType = UNSET
    incomplete_details: Raw | UnsetType = UNSET


class _Plain(msgspec.Struct):
    """What nearly every chunk and answer of the chat API is; whatever is not is read as a ``_Document``."""

    choices: list[_Choice] | None = None
    usage: Counts | None = None
    error: None = None
    response: UnsetType = UNSET
    type: UnsetType = UNSET
    status: UnsetType = UNSET


class _Error(msgspec.Struct):
    code: str | int | None = None
    type: str | None = None


_NO_INPUT_DETAILS = _InputDetails()
_NO_OUTPUT_DETAILS = _OutputDetails()

_plain = msgspec.json.Decoder(_Plain)
_document = msgspec.json.Decoder(_Document)
_usage = msgspec.json.Decoder(Counts)
_choices = msgspec.json.Decoder(list[_Choice])
_error = msgspec.json.Decoder(_Error)
_text = msgspec.json.Decoder(str)
_any = msgspec.json.Decoder()
_reason = msgspec.json.Decoder(_Reason)

_ENDS = {"response.completed": "completed", "response.incomplete": "incomplete", "response.failed": "failed"}
_LATE_USAGE = re.compile(
    rb'[{,][ \t\r\n]*+"usage"[ \t\r\n]*+:[ \t\r\n]*+(\{(?:[^{}"]++|"(?:[^"\\]++|\\.)*+"|\{[^{}]*+\})*+\})', re.DOTALL
)
_LATE_FINISH = re.compile(rb'[{,][ \t\r\n]*+"finish_reason"[ \t\r\n]*+:[ \t\r\n]*+"([a-z_]{1,64})"')


def _decoded(decoder: Any, raw: Any) -> Any:
    """Return ``raw`` decoded, or None if it is absent or not what the decoder expects."""
    if raw is UNSET:
        return None
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def usage_of(raw: Any) -> Usage | None:
    """Return the counts of a ``usage`` object, or None if it tells none."""
    seen: Counts | None = _decoded(_usage, raw)
    if seen is None and isinstance(found := _decoded(_any, raw), dict):
        # A count that is none does not take the others with it.
        seen = msgspec.convert(_whole_numbers(found), Counts)
    return None if seen is None else counted(seen)


def _whole_numbers(found: dict[str, Any]) -> dict[str, Any]:
    """Return what are counts of ``found``, and of its details."""
    counts: dict[str, Any] = {}
    for name, value in found.items():
        if isinstance(value, dict) and name.endswith("_details"):
            counts[name] = {of: int(count) for of, count in value.items() if _is_count(count)}
        elif _is_count(value) and not name.endswith("_details"):
            counts[name] = int(value)
    return counts


def _is_count(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value < 1 << 53


def counted(seen: Counts) -> Usage | None:
    """Return counts in their canonical form; None if they tell nothing."""
    input_total = seen.prompt_tokens if seen.prompt_tokens is not None else seen.input_tokens
    output_total = seen.completion_tokens if seen.completion_tokens is not None else seen.output_tokens
    if input_total is None and output_total is None:
        return None
    inputs = seen.prompt_tokens_details or seen.input_tokens_details or _NO_INPUT_DETAILS
    outputs = seen.completion_tokens_details or seen.output_tokens_details or _NO_OUTPUT_DETAILS
    audio = [count for count in (inputs.audio_tokens, outputs.audio_tokens) if count is not None]
    return Usage(
        input_total=input_total,
        output_total=output_total,
        cache_read=_first(inputs.cached_tokens, seen.prompt_cache_hit_tokens, seen.precached_prompt_tokens),
        cache_write=inputs.cache_write_tokens,
        reasoning=outputs.reasoning_tokens,
        audio=sum(audio) if audio else None,
    )


def _first(*counts: int | None) -> int | None:
    return next((count for count in counts if count is not None), None)


def text_bytes(choice: Any) -> int:
    """Return how long the texts and the arguments of a whole answer's choice are, in UTF-8."""
    held = _holder(choice)
    message = _holder(held.get("message"))
    found = [held.get("text"), message.get("content"), message.get("reasoning_content") or message.get("reasoning")]
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        found.append(_holder(_holder(call).get("function")).get("arguments"))
    return sum(len(one.encode()) for one in found if isinstance(one, str))


def _holder(found: Any) -> dict[str, Any]:
    return found if isinstance(found, dict) else {}


class _Reading(Tap):
    """Reads one document; the later word on anything holds."""

    __slots__ = ()

    def _read(self, payload: bytes) -> bool:
        """Learn from one JSON document; return whether it was one."""
        try:
            plain = _plain.decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self._read_any(payload)
        if plain.usage is not None:
            self.usage = counted(plain.usage) or self.usage
        for choice in plain.choices or ():
            self.finish_reason = choice.finish_reason or self.finish_reason
        return True

    def _read_any(self, payload: bytes) -> bool:
        document = _decoded(_document, payload)
        if document is None:
            return False
        kind = _decoded(_text, document.type)
        if document.response is not UNSET and kind in _ENDS:
            self.complete = True
            document = _decoded(_document, document.response) or document
        self.usage = usage_of(document.usage) or self.usage
        for choice in _decoded(_choices, document.choices) or ():
            self.finish_reason = choice.finish_reason or self.finish_reason
        if document.status is not UNSET and document.choices is UNSET:
            status = _decoded(_text, document.status)
            details = _decoded(_reason, document.incomplete_details)
            self.finish_reason = (details and details.reason) or status or self.finish_reason
        if kind == "error" and document.error is UNSET:
            self.error = _decoded(_text, document.code) or "provider_error"
        elif document.error is not UNSET and bytes(document.error) not in (b"null", b"{}", b"false", b'""'):
            error = _decoded(_error, document.error) or _Error()
            self.error = str(error.code or error.type or "provider_error")
        return True

    def _read_end(self, text: bytes) -> None:
        """Learn from the end of a document whose beginning was let go."""
        usages = _LATE_USAGE.findall(text)
        if usages:
            self.usage = usage_of(usages[-1]) or self.usage
        finishes = _LATE_FINISH.findall(text)
        if finishes:
            self.finish_reason = finishes[-1].decode()


class StreamTap(_Reading, taps.StreamTap):
    """Reads a stream of events."""

    __slots__ = ()

    def _event(self, text: bytes) -> None:
        payload = data_of(text)
        if payload.strip() == b"[DONE]":
            self.complete = True
        elif payload:
            self._read(payload)

    def _says(self, events: bytes) -> bool:
        return b"data:" in events.replace(b"data: [DONE]", b"").replace(b"data:[DONE]", b"")

    @staticmethod
    def _matters(text: bytes) -> bool:
        return _matters(text)


class AnswerTap(_Reading, taps.AnswerTap):
    """Reads an answer that comes as one document."""

    __slots__ = ()

    def _read(self, payload: bytes) -> bool:
        """Learn from the document; its texts are looked at only where nobody has counted them."""
        read = super()._read(payload)
        if read and self.usage is None:
            choices = _holder(_decoded(_any, payload)).get("choices")
            self.made = sum(map(text_bytes, choices if isinstance(choices, list) else ())) / BYTES
        return read


def _matters(text: bytes) -> bool:
    """Return whether ``text`` may hold an event that tells something.

    The null that most chunks give for finish reason and usage is told apart in its two usual spellings; any
    other costs a decoding, no more.
    """
    finishes = text.count(b'"finish_reason"')
    if finishes and finishes != text.count(b'"finish_reason":null') + text.count(b'"finish_reason": null'):
        return True
    usages = text.count(b'"usage"')
    if usages and usages != text.count(b'"usage":null') + text.count(b'"usage": null'):
        return True
    return b'"error"' in text or b"[DONE]" in text or b'"response.' in text
