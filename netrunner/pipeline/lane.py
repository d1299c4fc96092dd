"""One answer on its way through the event filters: bytes in, decoded, filtered, encoded, bytes out.

Chunks that tell that a choice is complete wait for the end of the answer, so that filters can give what they hold
back before any of them. What cannot be read, or what a filter fails at, raises, and nothing of it has been given.

This module must not know sockets or dialects.
"""

from __future__ import annotations

from typing import Any

from netrunner.dialects.answers import truncated
from netrunner.dialects.estimate import made_by
from netrunner.dialects.interfaces import IEventCodec, IRepair
from netrunner.errors import UpstreamError
from netrunner.events import Event, Finish, UsageSeen
from netrunner.pipeline.chain import Chain
from netrunner.pipeline.failures import failed

_LATE = (Finish, UsageSeen)
MAX_REPAIRED_BYTES = 32 << 20
"""The most that an answer which is no stream, or one event of a stream, may take to be repaired."""
MAX_ANSWER_BYTES = 8 << 20
"""The most that an answer which is no stream, one event of a stream, or what waits for its end may take."""

MAX_IMAGE_BYTES = 32 << 20
"""The most that the answer with an image may take, which is base64 in most."""


class EventLane:
    """Takes one answer through the filters.

    Args:
        chain: The compiled filters.
        exchange: What the answer belongs to.
        codec: Reads and writes the answer.
    """

    error = None
    """Unlike a ``TranslatingLane``, this one raises what is wrong with an answer."""

    __slots__ = ("_chain", "_codec", "_ended", "_exchange", "_waiting", "_waiting_bytes")

    def __init__(self, chain: Chain, exchange: Any, codec: IEventCodec) -> None:
        self._chain = chain
        self._exchange = exchange
        self._codec = codec
        self._waiting: list[Any] = []
        """Chunks that tell of a finish."""
        self._waiting_bytes = 0
        self._ended = False

    def feed(self, data: bytes, last: bool) -> bytes:
        """Return what may go to the client of all that has come; ``last`` tells that nothing follows.

        Raises:
            UpstreamError: for an answer that cannot be filtered, or that ends without saying that it is complete.
            ExchangeError: from a filter; ``filter_failed`` for one that raised anything else.
        """
        out: list[bytes] = []
        codec = self._codec
        for chunk in codec.feed(data, last):
            if self._ended and not chunk.done and chunk.native is not None:
                raise UpstreamError("The provider's answer goes on after its end.", code="upstream_invalid_response")
            self._exchange.tap.made += sum(map(made_by, chunk.events))
            if chunk.done and not self._ended:
                out.append(self._end(chunk))
            elif chunk.finishes:
                self._wait(chunk)
            else:
                events: list[Event] = []
                for event in chunk.events:
                    events += self._chain.on_event(self._exchange, event)
                out.append(codec.write(chunk, events))
        if last and not self._ended:
            if not codec.complete and codec.streaming:
                raise truncated()
            out.append(self._end())
        return b"".join(out)

    def _wait(self, chunk: Any) -> None:
        self._waiting.append(chunk)
        self._waiting_bytes += len(chunk.raw)
        if self._waiting_bytes > 2 * MAX_ANSWER_BYTES:
            raise UpstreamError("The provider's answer is too large to be filtered.", code="answer_too_large")

    def _end(self, done: Any = None) -> bytes:
        """Return everything that waited: texts first, then what the filters held back, then the finishes."""
        self._ended = True
        chain, exchange, codec = self._chain, self._exchange, self._codec
        waiting, self._waiting = self._waiting, []
        texts = [
            [(event,) if isinstance(event, _LATE) else chain.on_event(exchange, event) for event in chunk.events]
            for chunk in waiting
        ]
        held = chain.on_end(exchange)
        written: list[tuple[Any, list[Event]]] = []
        for chunk, results in zip(waiting, texts, strict=True):
            events: list[Event] = []
            for event, result in zip(chunk.events, results, strict=True):
                if isinstance(event, Finish):
                    events += [one for one in held if _choice(one) == event.choice]
                    held = [one for one in held if _choice(one) != event.choice]
                events += chain.on_event(exchange, event) if isinstance(event, _LATE) else result
            written.append((chunk, events))
        if done is not None:
            written.append((done, []))
        if written:
            # Where the provider has told an error instead of a finish, nothing follows that.
            written[0][1].extend(held)
        return b"".join([codec.write(chunk, events) for chunk, events in written])


class PlainLane:
    """Takes an answer that is no stream on as it came, but whole, so that it is looked at before it is committed."""

    __slots__ = ("_bytes",)
    error = None

    def __init__(self) -> None:
        self._bytes = 0

    def feed(self, data: bytes, last: bool) -> bytes:
        """Return ``data``.

        Raises:
            UpstreamError: for an answer that is too large to be kept.
        """
        self._bytes += len(data)
        if self._bytes > MAX_REPAIRED_BYTES:
            raise UpstreamError("The provider's answer is too large to be looked at.", code="answer_too_large")
        return data


class RepairLane:
    """Takes one answer on, repaired event by event where that is needed.

    What is wrong before anything of the answer can be seen is kept in ``error``. Later an error inside of the answer is
    the caller's to see, in the provider's words.

    Args:
        repair: Repairs the answer.
        streaming: Whether it is a stream.
    """

    __slots__ = ("_repair", "_streaming", "error", "tap")

    def __init__(self, repair: IRepair, streaming: bool) -> None:
        self._repair = repair
        self._streaming = streaming
        self.tap: Any = repair.tap
        self.error: UpstreamError | None = None

    def feed(self, data: bytes, last: bool) -> bytes:
        """Return what may go on of all that has come; ``last`` tells that nothing follows.

        Raises:
            UpstreamError: for an answer that cannot be repaired.
        """
        repair = self._repair
        begun = self.tap.began
        written: bytes = repair.feed(data, last)
        if repair.error is not None and not begun:
            self.error = failed(repair.error)
        elif last and self._streaming and not repair.complete:
            self.error = truncated()
        return written


def _choice(event: Any) -> int | None:
    return getattr(event, "choice", None)
