"""What an OpenAI-like answer says about itself while its bytes pass by untouched: usage, finish, error, end.

A stream is searched for the few words that matter, and only events that hold one are decoded; a word inside a
text is told from a key by that decoding. Memory is bounded: an event of a stream by ``HELD_BYTES``, a whole
answer by ``WHOLE_BYTES``; of anything longer the end is kept, where usage and finish reason stand.

This module must not hold back or change a byte, and must not raise whatever it is fed.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Raw, UnsetType
from zope.interface import implementer

from netrunner.interfaces import ITap
from netrunner.values import Usage

HELD_BYTES = 65536
WHOLE_BYTES = 1 << 20


_Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
"""Of tokens; a provider that tells another number tells none: it could not be added up, nor recorded."""


class _InputDetails(msgspec.Struct):
    cached_tokens: _Count | None = None
    cache_write_tokens: _Count | None = None
    audio_tokens: _Count | None = None


class _OutputDetails(msgspec.Struct):
    reasoning_tokens: _Count | None = None
    audio_tokens: _Count | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: _Count | None = None
    completion_tokens: _Count | None = None
    input_tokens: _Count | None = None
    output_tokens: _Count | None = None
    prompt_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None
    input_tokens_details: _InputDetails | None = None
    output_tokens_details: _OutputDetails | None = None


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
    usage: _Usage | None = None
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
_usage = msgspec.json.Decoder(_Usage)
_choices = msgspec.json.Decoder(list[_Choice])
_error = msgspec.json.Decoder(_Error)
_text = msgspec.json.Decoder(str)
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
    seen: _Usage | None = _decoded(_usage, raw)
    return None if seen is None else _counts(seen)


def _counts(seen: _Usage) -> Usage | None:
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
        cache_read=inputs.cached_tokens,
        cache_write=inputs.cache_write_tokens,
        reasoning=outputs.reasoning_tokens,
        audio=sum(audio) if audio else None,
    )


class _Tap:
    """What both taps know; the later word on anything holds."""

    __slots__ = ("complete", "error", "finish_reason", "usage")

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.finish_reason: str | None = None
        self.error: str | None = None
        self.complete = False

    def _read(self, payload: bytes) -> bool:
        """Learn from one JSON document; return whether it was one."""
        try:
            plain = _plain.decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self._read_any(payload)
        if plain.usage is not None:
            self.usage = _counts(plain.usage) or self.usage
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


@implementer(ITap)
class StreamTap(_Tap):
    """Reads a stream of events.

    ``began`` tells whether a whole event has come: comments are no events.
    """

    __slots__ = ("_after_cr", "_cut", "_held", "_held_bytes", "began")

    def __init__(self) -> None:
        super().__init__()
        self.began = False
        self._held: list[bytes] = []
        """What came of an event whose end has not come."""
        self._held_bytes = 0
        self._cut = False
        """The beginning of the held event was let go."""
        self._after_cr = False

    def feed(self, data: bytes) -> None:
        """See the next bytes of the stream."""
        if b"\r" in data or self._after_cr:
            data = self._line_feeds(data)
        if self._held:
            if b"\n" not in data:
                self._hold(data)
                return
            data = b"".join(self._held) + data
            self._held, self._held_bytes = [], 0
        if data.endswith(b"\n\n"):
            self._look(data)
            return
        end = data.rfind(b"\n\n")
        if end >= 0:
            self._look(data[:end])
            data = data[end + 2 :]
        self._hold(data)

    def close(self) -> None:
        """The stream ended; providers without a last ``[DONE]`` have at least said why they finished."""
        if self._held:
            self._look(b"".join(self._held))
            self._held = []
        if self.finish_reason is not None:
            self.complete = True

    def _line_feeds(self, data: bytes) -> bytes:
        """Return ``data`` with LF for CRLF and CR, a CRLF over two reads included."""
        if self._after_cr and data.startswith(b"\n"):
            data = data[1:]
        self._after_cr = data.endswith(b"\r")
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _hold(self, data: bytes) -> None:
        if not data:
            return
        self._held.append(data)
        self._held_bytes += len(data)
        if self._held_bytes > 2 * HELD_BYTES:
            self._held = [b"".join(self._held)[-HELD_BYTES:]]
            self._held_bytes, self._cut = HELD_BYTES, True

    def _look(self, events: bytes) -> None:
        """Look at whole events."""
        if self._cut:
            self._cut = False
            self._read_end(events.split(b"\n\n", 1)[0])
        if not self.began and b"data:" in events:
            self.began = True
        if _matters(events):
            for text in events.split(b"\n\n"):
                if _matters(text):
                    self._event(text)

    def _event(self, text: bytes) -> None:
        payload = b"\n".join([line[5:].removeprefix(b" ") for line in text.split(b"\n") if line.startswith(b"data:")])
        if payload.strip() == b"[DONE]":
            self.complete = True
        elif payload:
            self._read(payload)


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


@implementer(ITap)
class AnswerTap(_Tap):
    """Reads an answer that comes as one document."""

    __slots__ = ("_cut", "_pieces", "_size")

    def __init__(self) -> None:
        super().__init__()
        self._pieces: list[bytes] = []
        self._size = 0
        self._cut = False

    def feed(self, data: bytes) -> None:
        """See the next bytes of the answer."""
        self._pieces.append(data)
        self._size += len(data)
        if self._size > WHOLE_BYTES:
            self._pieces = [b"".join(self._pieces)[-HELD_BYTES:]]
            self._size, self._cut = len(self._pieces[0]), True

    def close(self) -> None:
        """The answer ended; what it says is known now."""
        text = b"".join(self._pieces)
        self._pieces = []
        if self._cut:
            self._read_end(text)
            self.complete = text.rstrip().endswith(b"}")
        else:
            self.complete = self._read(text)
