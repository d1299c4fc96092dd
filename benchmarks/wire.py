"""The bytes of a paced stream, which both of its ends know: the request and the events.

Every event has the same size and carries its stream, its number and when it was sent, so that the reader
checks each byte without decoding JSON.

This module must not open sockets or read a clock.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

EVENT_BYTES = 250
CHUNK_HEAD = b"%x\r\n" % EVENT_BYTES

_HEAD = (
    b'data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1,"model":"real-model",'
    b'"choices":[{"index":0,"delta":{"content":"'
)
_TAIL = b'"},"finish_reason":null}]}\n\n'
_STAMP = b"%06d %06d %020d "
_STAMP_BYTES = len(_STAMP % (0, 0, 0))
_PADDING = b"x" * (EVENT_BYTES - len(_HEAD) - _STAMP_BYTES - len(_TAIL))
_SENT = slice(len(_HEAD) + _STAMP_BYTES - 21, len(_HEAD) + _STAMP_BYTES - 1)

LAST = (
    b'data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1,"model":"real-model",'
    b'"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
)

_TEXT = re.compile(rb"(\d{6}) (\d{6}) (\d{20}) %b(?!x)" % _PADDING)
_ORDER = re.compile(rb"stream=(\d+) events=(\d+) pace_ms=(\d+) in_step=([01])")


@dataclass(frozen=True, slots=True)
class Asked:
    """A stream as asked for: the first event comes at once, then one each ``pace_ms``.

    ``in_step``: at multiples of ``pace_ms`` on the monotonic clock, so that all such streams have their events
    at the same moment, as they do from a server that computes one token for each of its streams at a time.
    """

    stream: int
    events: int
    pace_ms: int
    in_step: bool


def event(stream: int, number: int, sent_ns: int) -> bytes:
    """Return event ``number`` of ``stream`` as sent at ``sent_ns`` of the monotonic clock."""
    return _HEAD + _STAMP % (stream, number, sent_ns) + _PADDING + _TAIL


def sent_ns(data: bytes) -> int:
    """Return when an event says it was sent.

    Raises:
        ValueError: It carries no number at that place.
    """
    return int(data[_SENT])


def found(event: bytes) -> tuple[int, int, int] | None:
    """Return the stream, the number and ``sent_ns`` of an event written anew; None if no text of ours is in it."""
    match = _TEXT.search(event)
    return None if match is None else (int(match[1]), int(match[2]), int(match[3]))


def request(
    port: int, token: str, model: str, asked: Asked, headers: Mapping[str, str] = MappingProxyType({})
) -> bytes:
    """Return the request for a stream, a chat completion whose prompt asks for it."""
    prompt = f"stream={asked.stream} events={asked.events} pace_ms={asked.pace_ms} in_step={asked.in_step:d}"
    body = f'{{"model":"{model}","stream":true,"messages":[{{"role":"user","content":"{prompt}"}}]}}'
    more = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\n{more}"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


def asked(body: bytes) -> Asked:
    """Return what a request's body asks for.

    Raises:
        ValueError: The body does not ask for a paced stream.
    """
    match = _ORDER.search(body)
    if match is None:
        raise ValueError("not a request for a paced stream")
    stream, events, pace_ms, in_step = map(int, match.groups())
    return Asked(stream, events, pace_ms, bool(in_step))
