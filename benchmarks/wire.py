"""The bytes of a paced stream, which both of its ends know: the request and the events.

Every event has the same size and carries its stream, its number and when it was sent, so that the reader
checks each byte without decoding JSON.

This module must not open sockets or read a clock.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

EVENT_BYTES = 250

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


@dataclass(frozen=True, slots=True)
class Form:
    """How a provider of some dialect streams the same texts: what comes before and after each, first and last."""

    first: bytes
    before: bytes
    after: bytes
    last: bytes


def _named(*events: bytes) -> bytes:
    return b"".join(b"event: %b\ndata: %b\n\n" % (json.loads(data)["type"].encode(), data) for data in events)


_FORMS = {
    b"/anthropic/": Form(
        _named(
            b'{"type":"message_start","message":{"id":"msg_bench","type":"message","role":"assistant","content":[],'
            b'"model":"real-model","stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":9,"output_tokens":1}}}',
            b'{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}',
        ),
        b"event: content_block_delta\ndata: "
        b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"',
        b'"}}\n\n',
        _named(
            b'{"type":"content_block_stop","index":0}',
            b'{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":80}}',
            b'{"type":"message_stop"}',
        ),
    ),
    b"/gemini/": Form(
        b"",
        b'data: {"candidates":[{"content":{"role":"model","parts":[{"text":"',
        b'"}]},"index":0}],"modelVersion":"real-model"}\n\n',
        b'data: {"candidates":[{"content":{"role":"model","parts":[{"text":""}]},"finishReason":"STOP","index":0}],'
        b'"usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":80,"totalTokenCount":89},'
        b'"modelVersion":"real-model"}\n\n',
    ),
}
_OPENAI = Form(b"", _HEAD, _TAIL, LAST)

_TEXT = re.compile(rb"(\d{6}) (\d{6}) (\d{20}) %b(?!x)" % _PADDING)
_ORDER = re.compile(rb"stream=(\d+) events=(\d+) pace_ms=(\d+) in_step=([01]) at_once=(\d+)")


@dataclass(frozen=True, slots=True)
class Asked:
    """A stream as asked for: the first event comes at once, then ``at_once`` each ``pace_ms``, in one write.

    ``in_step``: at multiples of ``pace_ms`` on the monotonic clock, so that all such streams have their events
    at the same moment, as they do from a server that computes one token for each of its streams at a time.
    """

    stream: int
    events: int
    pace_ms: int
    in_step: bool
    at_once: int = 1


def form(path: bytes) -> Form:
    """Return how the provider at ``path`` streams: OpenAI's way where nothing else is said."""
    return next((form for prefix, form in _FORMS.items() if path.startswith(prefix)), _OPENAI)


def event(stream: int, number: int, sent_ns: int, form: Form = _OPENAI) -> bytes:
    """Return event ``number`` of ``stream`` as sent at ``sent_ns`` of the monotonic clock."""
    return form.before + _STAMP % (stream, number, sent_ns) + _PADDING + form.after


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
    prompt += f" at_once={asked.at_once}"
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
    stream, events, pace_ms, in_step, at_once = map(int, match.groups())
    return Asked(stream, events, pace_ms, bool(in_step), at_once)
