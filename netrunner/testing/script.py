"""What a scripted provider is told to do: steps, the usual answers made of them, and the request it got.

This module must not import anything of netrunner but ``values``.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

from netrunner.values import Headers


@dataclasses.dataclass(frozen=True, slots=True)
class Send:
    """Write bytes and wait until the kernel has them."""

    data: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class Delay:
    """Do nothing for a time."""

    seconds: float


@dataclasses.dataclass(frozen=True, slots=True)
class ReadBody:
    """Wait for the end of the request; without this step the answer starts at the end of its head."""


@dataclasses.dataclass(frozen=True, slots=True)
class ReadRaw:
    """Wait until so many bytes have come after a protocol switch; ``ReceivedRequest.raw`` holds them."""

    size: int


@dataclasses.dataclass(frozen=True, slots=True)
class StopReading:
    """Leave whatever else the client sends in the socket; its end goes unnoticed too."""


@dataclasses.dataclass(frozen=True, slots=True)
class Stall:
    """Say nothing more and keep the connection open."""


@dataclasses.dataclass(frozen=True, slots=True)
class Cut:
    """Close the connection in order (FIN)."""


@dataclasses.dataclass(frozen=True, slots=True)
class Reset:
    """Break the connection (RST)."""


Step = Send | Delay | ReadBody | ReadRaw | StopReading | Stall | Cut | Reset
Script: TypeAlias = Sequence[Step]


@dataclasses.dataclass(slots=True)
class ReceivedRequest:
    """One request as it came."""

    method: bytes = b""
    target: bytes = b""
    headers: Headers = dataclasses.field(default_factory=list)
    """Names in lowercase, in wire order, trailers at the end."""
    body: bytes = b""
    head: bytes = b""
    """Everything received up to the read that completed the head, exactly."""
    raw: bytes = b""
    """What came after a protocol switch."""
    connection: int = 0
    """Number of its connection, from 0."""
    complete: bool = False

    def header(self, name: bytes) -> bytes | None:
        """Return the first value of the header called ``name`` (lowercase), or None."""
        return next((value for key, value in self.headers if key == name), None)

    def json(self) -> Any:
        """Return the body, decoded."""
        return json.loads(self.body)


def answer(status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> Script:
    """Return a script that reads the request, then sends one answer with a Content-Length."""
    length = (b"content-length", b"%d" % len(body))
    return (ReadBody(), Send(_head(status, [*headers, length]) + body))


def json_answer(document: Any, status: int = 200, headers: Iterable[tuple[bytes, bytes]] = ()) -> Script:
    """Return a script that answers with a JSON document."""
    return answer(status, [(b"content-type", b"application/json"), *headers], _json(document))


def sse_answer(
    events: Iterable[Any],
    *,
    chunked: bool = True,
    gap_s: float = 0.0,
    status: int = 200,
    headers: Iterable[tuple[bytes, bytes]] = (),
) -> Script:
    """Return a script that streams Server-Sent Events, one ``Send`` each.

    Args:
        events: JSON documents, or bytes that go out as they are.
        chunked: Frame the body in chunks; otherwise it ends with the connection.
        gap_s: Seconds between two events.
    """
    fields = [(b"content-type", b"text/event-stream"), *headers]
    framing = (b"transfer-encoding", b"chunked") if chunked else (b"connection", b"close")
    steps: list[Step] = [ReadBody(), Send(_head(status, [*fields, framing]))]
    for number, event in enumerate(events):
        if gap_s and number:
            steps.append(Delay(gap_s))
        data = event if isinstance(event, bytes) else b"data: " + _json(event) + b"\n\n"
        steps.append(Send(chunk(data) if chunked else data))
    steps.append(Send(chunk(b"")) if chunked else Cut())
    return tuple(steps)


def chunk(data: bytes) -> bytes:
    """Return one chunk of a chunked body; the last one for no bytes (RFC 9112, 7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def _head(status: int, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    return b"HTTP/1.1 %d Scripted\r\n%b\r\n" % (status, b"".join(b"%b: %b\r\n" % field for field in headers))


def _json(document: Any) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
