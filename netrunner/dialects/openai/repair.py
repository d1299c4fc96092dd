"""An OpenAI-like answer as every client of the family survives it, event by event: OpenAI in, OpenAI out.

An event that needs nothing goes on as its own bytes; which one does is decided from the few fields that matter, see
``mend``. Line ends become LF, each event one ``data`` line; comments stay, names, ids and empty events go. Counts that
the caller has not asked for are taken out again. A stream that breaks off is never completed.

This module must not turn an answer into block events.
"""

from __future__ import annotations

from typing import Any

import msgspec
from zope.interface import implementer

from netrunner import sse
from netrunner.dialects.answers import Document, objects, too_large, unreadable
from netrunner.dialects.estimate import BYTES
from netrunner.dialects.interfaces import IRepair, ITap
from netrunner.dialects.openai.calls import made_id
from netrunner.dialects.openai.decoder import NOTHING, decoded
from netrunner.dialects.openai.failure import failure, found_in
from netrunner.dialects.openai.mend import ChatChunk, Chunk, Mend, TextChunk, texts
from netrunner.dialects.openai.tap import counted, text_bytes, usage_of
from netrunner.dialects.openai.whole import Whole, sound
from netrunner.errors import UpstreamError
from netrunner.events import StreamError
from netrunner.values import Usage


@implementer(ITap)
class Told:
    """What an answer says about itself, learned while it is repaired.

    Args:
        mend: Looks at its texts; None if it has none.
    """

    __slots__ = ("_mend", "began", "complete", "error", "finish_reason", "usage")

    def __init__(self, mend: Mend | None = None) -> None:
        self._mend = mend
        self.usage: Usage | None = None
        self.finish_reason: str | None = None
        self.error: str | None = None
        self.complete = False
        self.began = False
        """Whether a whole event has come."""

    @property
    def made(self) -> float:
        """About how many tokens its texts take."""
        return 0.0 if self._mend is None else self._mend.made_bytes / BYTES

    def feed(self, data: bytes) -> None:
        """Ignore bytes: whoever repairs them tells what they say."""

    def close(self) -> None:
        """Nothing is left to settle."""


_BOM = b"\xef\xbb\xbf"
_chats = msgspec.json.Decoder(ChatChunk)
_texts = msgspec.json.Decoder(TextChunk)


@implementer(IRepair)
class Repair:
    """Repairs one answer to a chat or a completion.

    Args:
        endpoint: ``chat/completions`` or ``completions``.
        streaming: Whether the answer is a stream.
        answer_id: Of chunks, or an answer, that have none.
        model: The name of the model in those that name none.
        created: Unix time in those that tell none.
        hide_usage: The caller has not asked for the counts in a stream.
        max_bytes: The most that one event, or an answer that is no stream, may take.
    """

    def __init__(
        self,
        endpoint: str,
        streaming: bool,
        *,
        answer_id: str,
        model: str,
        created: int,
        hide_usage: bool,
        max_bytes: int,
    ) -> None:
        kind = "chat.completion.chunk" if streaming else "chat.completion"
        if endpoint == "completions":
            kind = "text_completion"
        self._head: Document = {"id": answer_id, "object": kind, "created": created, "model": model}
        completions = endpoint == "completions"
        self._chunk: msgspec.json.Decoder[ChatChunk] | msgspec.json.Decoder[TextChunk] = (
            _texts if completions else _chats
        )
        self._mend = Mend(self._head, completions, max_bytes)
        self._streaming = streaming
        self._hide_usage = hide_usage
        self._max = max_bytes
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._begun = self._after_cr = self._done = False
        self.error: StreamError | None = None
        """An error inside the answer; its bytes have been given."""
        self.tap = Told(self._mend)

    @property
    def complete(self) -> bool:
        """The answer said that it is complete, or why it is not."""
        return self.tap.complete

    def feed(self, data: bytes, last: bool) -> bytes:
        """Return what may go on of all that has come; ``last`` tells that nothing follows.

        Raises:
            UpstreamError: ``upstream_invalid_response``, ``answer_too_large`` for what cannot be repaired; nothing
                may be fed after that.
        """
        if self._is_one_event(data, last):
            if not data.isascii():
                data = sse.escaped(data)
            return self._document(data[6:-2], data)
        if not self._begun:
            # A mark of the encoding, or blank lines that kept the connection open.
            data = b"".join([*self._held, data]).lstrip()
            self._held, self._held_bytes = [], 0
            if _BOM.startswith(data) and not last:
                self._hold(data)
                return b""
            data, self._begun = data.removeprefix(_BOM), True
        return self._stream(data, last) if self._streaming else self._whole(data, last)

    def _is_one_event(self, data: bytes, last: bool) -> bool:
        """Return whether ``data`` is one plain event, as nearly every read of a stream is."""
        return (
            data.endswith(b"}\n\n")
            and data.startswith(b"data: {")
            and data.find(b"\n") == len(data) - 2
            and b"\r" not in data
            and self._begun
            and self._streaming
            and not (last or self._held or self._after_cr or self._done)
            and len(data) <= self._max
        )

    def _hold(self, data: bytes) -> None:
        if data:
            self._held.append(data)
            self._held_bytes += len(data)
            if self._held_bytes > self._max:
                raise too_large()

    # --- a stream -------------------------------------------------------------------------------------------

    def _stream(self, data: bytes, last: bool) -> bytes:
        if b"\r" in data or self._after_cr:
            data = self._line_feeds(data)
        if self._held and b"\n" in data:
            data = b"".join(self._held) + data
            self._held, self._held_bytes = [], 0
        blocks = data.split(b"\n\n")
        rest = blocks.pop()
        out = [self._block(block) for block in blocks if block]
        self._hold(rest)
        if last:
            out.append(self._end())
        return b"".join(out)

    def _line_feeds(self, data: bytes) -> bytes:
        """Return ``data`` with LF for CRLF and CR, a CRLF over two reads included."""
        if self._after_cr and data.startswith(b"\n"):
            data = data[1:]
            if not data:
                return data
        self._after_cr = data.endswith(b"\r")
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _end(self) -> bytes:
        """Return the last event if it is whole without its blank line, and the mark of the end if that is missing."""
        rest = b"".join(self._held).strip()
        out = b""
        if rest:
            try:
                out = self._block(rest)
            except UpstreamError:
                # It broke off; whether anything is missing, the finish tells.
                out = b""
        if self.complete and not self._done and self.error is None:
            self._done = True
            out += sse.DONE
        return out

    def _block(self, block: bytes) -> bytes:
        """Return the bytes for one event, given without its blank line."""
        if self._done:
            return b""
        if len(block) > self._max:
            raise too_large()
        if block.startswith(b"data: {") and b"\n" not in block:
            if not block.isascii():
                block = sse.escaped(block)
            return self._document(block[6:], block + b"\n\n")
        return self._odd(block)

    def _odd(self, block: bytes) -> bytes:
        """Return the bytes for what is no plain event: comments, other fields, data over several lines."""
        data, name, comments = [], b"", True
        for line in block.strip(b"\n").split(b"\n"):
            field, _, value = line.partition(b":")
            comments &= field == b""
            if field == b"data":
                data.append(value.removeprefix(b" "))
            elif field == b"event":
                name = value.strip()
        if comments:
            return block.strip(b"\n") + b"\n\n"
        payload = b"\n".join(data).strip()
        if payload in NOTHING:
            return b""
        if payload == b"[DONE]":
            if not self._mend.has_begun():
                return b""  # no choice has come: that is no answer
            self._done = self.tap.complete = True
            return sse.DONE
        if name == b"error" and found_in(decoded(payload)) is None:
            payload = sse.compact({"error": decoded(payload)})
        payload = sse.escaped(payload)
        return self._document(payload, None if b"\n" in payload else b"data: " + payload + b"\n\n")

    def _document(self, payload: bytes, own: bytes | None) -> bytes:
        """Return the bytes for one chunk: ``own`` if nothing has to change."""
        document: Document | None = None
        try:
            chunk: Chunk = self._chunk.decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            found = decoded(payload)
            error = found_in(found)
            if error is not None:
                return self._failed(found, error, own)
            document = _object(found)
            if "choices" not in document and not document.get("usage"):
                return b""  # nothing of a chat: a sign of life, mostly
            chunk = self._settled(document)
        changes = self._mend.look(chunk)
        tap = self.tap
        tap.began = True
        if chunk.usage:
            tap.usage = usage_of(msgspec.json.encode(chunk.usage)) or tap.usage
        if self._mend.reason is not None:
            tap.finish_reason, tap.complete = self._mend.reason, self._mend.is_finished()
        hides = self._hide_usage and bool(chunk.usage)
        if hides and not chunk.choices:
            return b""
        if own is not None and document is None and not changes and not hides:
            return own
        if document is None:
            document = _object(decoded(payload))
        before = self._mend.before(changes, chunk)
        self._mend.change(document, changes)
        if hides:
            del document["usage"]
        return b"".join([sse.event(one) for one in (*before, document)])

    def _settled(self, document: Document) -> Chunk:
        self._mend.settled(document)
        try:
            return self._chunk.decode(msgspec.json.encode(document))
        except msgspec.ValidationError as error:
            raise unreadable("has a chunk that cannot be repaired") from error

    def _failed(self, found: Any, error: Any, own: bytes | None) -> bytes:
        """Return the bytes for an error, in the form that every client raises."""
        told = self._tell(error)
        if own is not None and isinstance(found, dict) and _is_plain(found.get("error")):
            return own
        return sse.event({"error": _plain(told, error)})

    def _tell(self, error: Any) -> StreamError:
        """Note an error inside the answer."""
        told = self.error = failure(error)
        self.tap.error, self.tap.complete, self.tap.began = told.code, True, True
        return told

    # --- a document -----------------------------------------------------------------------------------------

    def _whole(self, data: bytes, last: bool) -> bytes:
        self._hold(data)
        if not last:
            return b""
        body = b"".join(self._held).strip()
        whole = sound(body)
        if whole is not None and (usage := counted(whole.usage)) is not None:
            return self._goes_on(whole, usage, body)
        found = decoded(body)
        error = found_in(found)
        if error is not None:
            told = self._tell(error)
            plain = isinstance(found, dict) and _is_plain(found.get("error"))
            return body if plain else sse.compact({"error": _plain(told, error)})
        document = _object(found)
        changed = self._mended(document)
        self._done = self.tap.complete = self.tap.began = True
        if document.get("usage"):
            self.tap.usage = usage_of(msgspec.json.encode(document["usage"]))
        return sse.compact(document) if changed else sse.escaped(body)

    def _goes_on(self, whole: Whole, usage: Usage, body: bytes) -> bytes:
        """Return a whole answer in which nothing is to be repaired."""
        self._done = self.tap.complete = self.tap.began = True
        for choice in whole.choices:
            self.tap.finish_reason = choice.finish_reason or self.tap.finish_reason
        self.tap.usage = usage
        return sse.escaped(body)

    def _mended(self, document: Document) -> bool:
        """Repair a whole answer; return whether anything was to be repaired."""
        changed = False
        for field, value in self._head.items():
            if type(document.get(field)) is not type(value):
                document[field], changed = value, True
        choices = objects(document, "choices")
        if not choices:
            raise unreadable("has no choices")
        for position, choice in enumerate(choices):
            if type(choice.get("index")) is not int:
                choice["index"], changed = position, True
            message = choice.get("message")
            self._mend.made_bytes += text_bytes(choice)
            if isinstance(message, dict):
                changed |= _mended_message(choice, message, document["id"])
            if isinstance(choice.get("finish_reason"), str):
                self.tap.finish_reason = choice["finish_reason"]
        return changed


def _mended_message(choice: Document, message: Document, answer_id: str) -> bool:
    changed = False
    if not message.get("role"):
        message["role"], changed = "assistant", True
    calls = objects(message, "tool_calls")
    for number, call in enumerate(calls):
        changed |= texts(call)
        if not call.get("id"):
            call["id"], changed = made_id(answer_id, choice["index"], number), True
        if not call.get("type"):
            call["type"], changed = "function", True
        function = call.get("function")
        if isinstance(function, dict) and not function.get("arguments"):
            function["arguments"], changed = "{}", True
    if isinstance(message.get("function_call"), dict):
        changed |= texts({"function": message["function_call"]})
    elif choice.get("finish_reason") == ("stop" if calls else "tool_calls"):
        choice["finish_reason"], changed = "tool_calls" if calls else "stop", True
    return changed


def _object(found: Any) -> Document:
    if not isinstance(found, dict):
        raise unreadable("is no JSON object")
    return found


def _is_plain(error: Any) -> bool:
    return isinstance(error, dict) and isinstance(error.get("message"), str)


def _plain(told: StreamError, error: Any) -> Document:
    """Return an error in OpenAI's shape, with what else the provider has told of it."""
    more = error if isinstance(error, dict) else {}
    return {"type": told.kind, "param": None, "code": told.code, **more, "message": told.message}
