"""What Gemini's answer documents mean, as block events: parts, signatures, finish reasons, counts, errors.

Function calls come whole. A signature of a text, or of nothing, becomes a block of reasoning without text. Why a choice
finished is only noted: older models say it with every piece.

This module must not know how documents are framed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import msgspec

from netrunner.dialects import answers, seals
from netrunner.dialects.answers import Document
from netrunner.dialects.gemini.failures import stream_error
from netrunner.events import (
    BlockClose,
    BlockKind,
    BlockOpen,
    Event,
    Finish,
    FinishKind,
    ReasoningDelta,
    Signature,
    Start,
    TextDelta,
    ToolArgs,
    UsageSeen,
)
from netrunner.values import Usage

_FILTERED = FinishKind.CONTENT_FILTER
FINISHES = {
    "STOP": FinishKind.STOP,
    "FUNCTION_CALL": FinishKind.STOP,  # no word of Google's, but others that speak its dialect say it
    "MAX_TOKENS": FinishKind.LENGTH,
    "SAFETY": _FILTERED,
    "RECITATION": _FILTERED,
    "LANGUAGE": _FILTERED,
    "BLOCKLIST": _FILTERED,
    "PROHIBITED_CONTENT": _FILTERED,
    "SPII": _FILTERED,
    "MODEL_ARMOR": _FILTERED,
    "IMAGE_SAFETY": _FILTERED,
    "IMAGE_PROHIBITED_CONTENT": _FILTERED,
    "IMAGE_RECITATION": _FILTERED,
    "IMAGE_OTHER": _FILTERED,
    "CONTINUATION": FinishKind.PAUSE,
}
"""What a finish reason means; a word that is none of these is an ``ERROR``, never a stop."""
_NO_REASONS = ("FINISH_REASON_UNSPECIFIED", "BLOCK_REASON_UNSPECIFIED", "BLOCKED_REASON_UNSPECIFIED")
_TEXT_ALONE = {"text"}
_COUNTS = (
    "promptTokenCount",
    "toolUsePromptTokenCount",
    "candidatesTokenCount",
    "thoughtsTokenCount",
    "cachedContentTokenCount",
)
_MEDIA = {"image": BlockKind.IMAGE, "audio": BlockKind.AUDIO}


class _Choice:
    """What is known of one candidate."""

    __slots__ = ("blocks", "called", "kind", "reason")

    def __init__(self) -> None:
        self.blocks = 0
        self.kind: BlockKind | None = None
        """Of the open block."""
        self.called = False
        self.reason: str | None = None


class Answer:
    """One answer, document by document."""

    def __init__(self) -> None:
        self.failed = False
        """It has told an error; nothing follows that."""
        self._started = False
        self._choices: dict[int, _Choice] = {}
        self._blocked: str | None = None
        self._id = ""
        self._calls = 0
        self._usage: Usage | None = None
        """Of the part of the answer that goes on."""
        self._before: Usage | None = None
        """Of the parts before it."""

    @property
    def complete(self) -> bool:
        """Whether it has said that it is complete, or why it is not."""
        if self.failed or self._blocked is not None:
            return True
        return bool(self._choices) and all(choice.reason is not None for choice in self._choices.values())

    def read(self, native: Document) -> list[Event]:
        """Return the events of one document, without finishes.

        Raises:
            UpstreamError: for what is no answer.
        """
        failed = stream_error(native) if "error" in native else None
        if failed is not None:
            self.failed = True
            return [failed]
        events: list[Event] = []
        if not self._started:
            self._started = True
            self._id = answers.text(native, "responseId") or ""
            start = Start(id=self._id or None, model=answers.text(native, "modelVersion"), native=native)
            events.append(start)
        candidates = answers.objects(native, "candidates")
        for position, candidate in enumerate(candidates):
            events += self._candidate(_index(candidate, position), candidate)
        if "promptFeedback" in native and not candidates:
            reason = answers.text(answers.obj(native, "promptFeedback"), "blockReason")
            self._blocked = reason if reason and reason not in _NO_REASONS else self._blocked
        usage = usage_of(answers.obj(native, "usageMetadata")) if "usageMetadata" in native else None
        if usage is not None:
            self._usage = usage
            events.append(UsageSeen(usage=_total(self._before, usage), native=native))
        if any(candidate.get("finishReason") == "CONTINUATION" for candidate in candidates):
            # What follows is another answer's, and counted anew.
            self._before, self._usage = _total(self._before, self._usage), None
        return events

    def told(self, native: Document) -> list[int]:
        """Return the choices that a document, which was read, says to be finished."""
        numbers = [
            _index(candidate, position)
            for position, candidate in enumerate(answers.objects(native, "candidates"))
            if candidate.get("finishReason")
        ]
        return numbers or ([0] if self._blocked is not None and "promptFeedback" in native else [])

    def finish(self, number: int) -> list[Event]:
        """Return what ends a choice; what it has said before counts for why."""
        choice = self._choices.setdefault(number, _Choice())
        reason = choice.reason or self._blocked
        kind = FINISHES.get(reason or "", FinishKind.ERROR)
        if choice.reason is None and self._blocked is not None:
            kind = _FILTERED
        elif kind is FinishKind.STOP and choice.called:
            kind = FinishKind.TOOL_CALLS
        return [*self._close(number, choice), Finish(kind=kind, reason=reason, choice=number)]

    def end(self) -> list[Event]:
        """Return what ends all choices of an answer that told no error.

        Raises:
            UpstreamError: ``upstream_truncated`` if it is not complete.
        """
        if not self.complete:
            raise answers.truncated()
        return [event for number in sorted(self._choices) or [0] for event in self.finish(number)]

    def _candidate(self, number: int, candidate: Document) -> Iterator[Event]:
        choice = self._choices.setdefault(number, _Choice())
        if len(self._choices) > answers.MAX_BLOCKS:
            raise answers.too_large()
        for part in answers.objects(answers.obj(candidate, "content"), "parts"):
            if choice.kind is BlockKind.TEXT and part.keys() == _TEXT_ALONE and answers.text(part, "text"):
                # What most pieces of most answers are.
                yield TextDelta(text=part["text"], choice=number, index=choice.blocks - 1, native=part)
            else:
                yield from self._part(number, choice, part)
        reason = answers.text(candidate, "finishReason")
        if reason and reason not in _NO_REASONS:
            choice.reason = reason

    def _part(self, number: int, choice: _Choice, part: Document) -> Iterator[Event]:
        text, signature = answers.text(part, "text"), answers.text(part, "thoughtSignature")
        sealed = seals.seal(seals.GEMINI, signature) if signature else None
        if part.get("functionCall") is not None:
            yield from self._call(number, choice, part, sealed)
            return
        thought = part.get("thought") is True and (text is not None or sealed is not None)
        if sealed is not None or thought:
            yield from self._reasoning(number, choice, part, text if thought else None, sealed)
        if text and not thought:
            if choice.kind is not BlockKind.TEXT:
                yield from self._open(number, choice, BlockKind.TEXT, part)
            yield TextDelta(text=text, choice=number, index=choice.blocks - 1, native=part)
        elif text is None and set(part) - {"thought", "thoughtSignature"}:
            mime = str(answers.obj(part, "inlineData").get("mimeType"))
            kind = _MEDIA.get(mime.partition("/")[0], BlockKind.OPAQUE)
            yield from self._open(number, choice, kind, part)
            yield from self._close(number, choice)

    def _reasoning(
        self, number: int, choice: _Choice, part: Document, text: str | None, sealed: str | None
    ) -> Iterator[Event]:
        """Yield what was thought; a seal ends its block. Without a text it seals something else, in a block alone."""
        if choice.kind is not BlockKind.REASONING or text is None:
            yield from self._open(number, choice, BlockKind.REASONING, part)
        if text:
            yield ReasoningDelta(text=text, choice=number, index=choice.blocks - 1, native=part)
        if sealed is not None:
            yield Signature(data=sealed, choice=number, index=choice.blocks - 1, native=part)
            yield from self._close(number, choice)

    def _call(self, number: int, choice: _Choice, part: Document, sealed: str | None) -> Iterator[Event]:
        call = answers.obj(part, "functionCall")
        name, arguments = answers.text(call, "name"), answers.obj(call, "args")
        if not name:
            raise answers.unreadable("has a call without a name")
        if call.get("partialArgs") is not None:
            raise answers.unreadable("has a call in pieces")
        fragment = msgspec.json.encode(arguments).decode()
        self._calls += 1
        choice.called = True
        tool_id = answers.text(call, "id") or self._made_up(name, fragment)
        yield from self._open(number, choice, BlockKind.TOOL_CALL, part, tool_id, name)
        index = choice.blocks - 1
        if sealed is not None:
            yield Signature(data=sealed, choice=number, index=index, native=part)
        yield ToolArgs(fragment=fragment, choice=number, index=index, native=part)
        yield from self._close(number, choice)

    def _made_up(self, name: str, arguments: str) -> str:
        """Return an id for a call that has none: other dialects match results by it, over all turns."""
        seed = f"{self._id} {self._calls} {name} {arguments}"
        return f"call_{hashlib.blake2b(seed.encode(), digest_size=12).hexdigest()}"

    def _open(
        self, number: int, choice: _Choice, kind: BlockKind, part: Any, id: str | None = None, name: str | None = None
    ) -> Iterator[Event]:
        yield from self._close(number, choice)
        if choice.blocks >= answers.MAX_BLOCKS:
            raise answers.too_large()
        choice.kind = kind
        index, choice.blocks = choice.blocks, choice.blocks + 1
        yield BlockOpen(kind=kind, choice=number, index=index, tool_id=id, tool_name=name, native=part)

    def _close(self, number: int, choice: _Choice) -> Iterator[Event]:
        if choice.kind is not None:
            choice.kind = None
            yield BlockClose(choice=number, index=choice.blocks - 1)


def usage_of(found: Document) -> Usage | None:
    """Return the counts of a ``usageMetadata``; None if it tells none."""
    counts = {
        field: count for field in _COUNTS if field in found and (count := answers.count(found, field)) is not None
    }
    thoughts = counts.get("thoughtsTokenCount")
    input_total = _sum(counts.get("promptTokenCount"), counts.get("toolUsePromptTokenCount"))
    output_total = _sum(counts.get("candidatesTokenCount"), thoughts)
    if input_total is None and output_total is None:
        return None
    cached = counts.get("cachedContentTokenCount")
    return Usage(input_total, output_total, cache_read=cached, reasoning=thoughts, audio=_audio(found))


def _total(before: Usage | None, now: Usage | None) -> Any:
    """Return the counts of several parts of an answer together."""
    if before is None or now is None:
        return now if before is None else before
    counts: dict[str, Any] = {
        name: _sum(getattr(before, name), getattr(now, name)) for name in now.__struct_fields__ if name != "source"
    }
    return Usage(**counts)


def _sum(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return one if other is None else other
    return one + other


def _audio(found: Document) -> int | None:
    """Return how many of the tokens are sound."""
    counts = [
        answers.count(one, "tokenCount") or 0
        for field in ("promptTokensDetails", "candidatesTokensDetails")
        if isinstance(found.get(field), list)
        for one in found[field]
        if isinstance(one, dict) and one.get("modality") == "AUDIO"
    ]
    return sum(counts) if counts else None


def _index(candidate: Document, position: int) -> int:
    number = candidate.get("index", position)
    if not isinstance(number, int) or isinstance(number, bool) or number < 0:
        raise answers.unreadable("has an index that is no number")
    return number
