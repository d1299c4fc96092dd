"""A stream of Anthropic's as every client of it survives it, Anthropic in and out: of each event its name and its
data, and nothing of what others put between them.

Some providers of this dialect end their streams as OpenAI does, send events without names, or keep connections open
with comments. Official clients raise at the first, and hear nothing of the second.

This module must not change what an event says.
"""

from __future__ import annotations

import re
from typing import Any

from zope.interface import implementer

from netrunner import sse
from netrunner.dialects.answers import document, too_large
from netrunner.dialects.anthropic.errors import named, stream_error
from netrunner.dialects.anthropic.tap import StreamTap
from netrunner.dialects.interfaces import IRepair
from netrunner.events import StreamError

_PLAIN = re.compile(rb"(?:event: (?!error\n|message_stop\n)\w+\ndata: \{[^\r\n]*\}\n\n)+")
"""Events that may go on as they came, as nearly all do."""


class Seen(StreamTap):
    """What the stream says about itself, seen while it is repaired."""

    __slots__ = ()

    def feed(self, data: bytes) -> None:
        """Ignore bytes: whoever repairs them shows them."""

    def see(self, data: bytes) -> None:
        """See the next bytes."""
        super().feed(data)


@implementer(IRepair)
class Repair:
    """Repairs one stream.

    Args:
        max_bytes: The most that one event may take.
    """

    def __init__(self, max_bytes: int) -> None:
        self._reader = sse.Reader(max_bytes)
        self._max = max_bytes
        self._rests = True
        """Nothing is held of an event whose end has not come, and more may come."""
        self._stopped = False
        """The last event has come."""
        self.tap: Any = Seen()
        self.error: StreamError | None = None
        """An error that came instead of an answer; its bytes have been given."""

    @property
    def complete(self) -> bool:
        """The answer said that it is complete, or why it is not."""
        return self.tap.complete or self.tap.error is not None

    def feed(self, data: bytes, last: bool) -> bytes:
        """Return what may go on of all that has come; ``last`` tells that nothing follows.

        Raises:
            UpstreamError: ``upstream_invalid_response``, ``answer_too_large`` for what cannot be read.
        """
        if self._rests and not last and _PLAIN.fullmatch(data) and len(data) <= self._max:
            self.tap.see(data)
            return data
        try:
            told = self._reader.feed(data)
        except sse.OversizedEvent as error:
            raise too_large() from error
        out = b"".join([self._event(one) for one in told])
        self._rests = data.endswith(b"\n\n") and not self._stopped
        self.tap.see(out)
        if last:
            self.tap.close()
            if self.tap.complete and not self._stopped:
                # It said why it ends; accumulators wait for this as well.
                out += named("message_stop", {"type": "message_stop"})
        return out

    def _event(self, one: sse.Event) -> bytes:
        data, name = one.data.strip(), one.name
        if self._stopped or data[:1] != b"{":
            return b""  # a mark of the end that this dialect does not have, or a sign of life
        if not name or b"\n" in data or name == b"error":
            native = document(data)
            kind = native.get("type")
            if "error" in native and not self.tap.began:
                self.error = stream_error(native)
            name = name or (kind.encode() if isinstance(kind, str) else b"")
            data = sse.compact(native)
        self._stopped = name == b"message_stop"
        return b"event: " + name + b"\ndata: " + data + b"\n\n" if name else b""
