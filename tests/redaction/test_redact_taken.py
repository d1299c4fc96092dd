"""Small pieces that nobody waits for are looked at together: the same is hidden, and what waits is bounded."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from netrunner.journal.entry import RESPONSE
from netrunner.pipeline.recording import Recording
from netrunner.redaction.redact import BATCH_BYTES, BATCH_S, Redaction, compile_redaction
from netrunner.testing.fakes import FakeClock

KEY = "sk-proj-abcDEF0123456789xyz"
SSE = b"text/event-stream"
LOREM = "The quick brown fox jumps over the lazy dog. "


def redaction(clock: FakeClock) -> Redaction:
    compiled = compile_redaction(("secrets",), clock.seconds)
    assert compiled is not None
    return compiled


CLOCK = FakeClock()
SECRETS = redaction(CLOCK)


def delta(text: str, index: int = 0) -> bytes:
    """Return an event of two lines, as Anthropic writes them."""
    told = {"type": "content_block_delta", "index": index, "delta": {"type": "text_delta", "text": text}}
    return b"event: content_block_delta\ndata: " + json.dumps(told).encode() + b"\n\n"


def taken(pieces: list[bytes]) -> bytes:
    redactor = SECRETS.stream(SSE)
    return b"".join([redactor.take(piece) for piece in pieces]) + redactor.close()


def fed(body: bytes) -> bytes:
    redactor = SECRETS.stream(SSE)
    return redactor.feed(body) + redactor.close()


words = st.sampled_from([KEY[:5], KEY[5:], KEY, LOREM, "\n", '"', "\\", '\\"', "password=", "hunter2", "é", ""])


@settings(deadline=None)
@given(st.lists(st.tuples(words, st.integers(0, 1)), max_size=30), st.integers(1, 400))
def test_what_is_taken_comes_out_as_what_is_fed(events: list[tuple[str, int]], size: int) -> None:
    pieces = [delta(*event) for event in events]
    body = b"".join(pieces)
    whole = fed(body)
    assert taken(pieces) == whole
    assert taken([body[at : at + size] for at in range(0, len(body), size)]) == whole


def test_a_secret_over_many_events_is_hidden_among_those_that_repeat_each_other() -> None:
    words = [LOREM] * 40 + list(KEY) + [" and"] + [LOREM] * 200
    marked = [LOREM] * 40 + ["[redacted:provider_keys]"] + [""] * (len(KEY) - 1) + [" and"] + [LOREM] * 200
    assert taken([delta(word) for word in words]) == b"".join(map(delta, marked))


def test_what_breaks_a_row_of_events_is_looked_at_too() -> None:
    ping = b'event: ping\ndata: {"type": "ping", "id": "' + KEY.encode() + b'"}\n\n'
    hidden = ping.replace(KEY.encode(), b"[redacted:provider_keys]")
    row = b"".join(delta(f"{LOREM}\n") for _ in range(60))
    assert taken([row, ping, row, ping]) == row + hidden + row + hidden


def test_no_more_than_a_batch_waits_to_be_looked_at() -> None:
    redactor = SECRETS.stream(SSE)
    told = sum(len(redactor.take(delta(LOREM))) for _ in range(1000))
    assert told > 1000 * len(delta(LOREM)) - 2 * BATCH_BYTES


def test_what_has_waited_for_its_time_is_told_with_what_comes_next() -> None:
    redactor = SECRETS.stream(SSE)
    assert redactor.take(delta(LOREM)) == b""
    CLOCK.advance(BATCH_S)
    assert redactor.take(delta(LOREM)) == 2 * delta(LOREM)


class Seen:
    """One who looks on."""

    def __init__(self) -> None:
        self.body = b""

    def message(self, *_: Any) -> None:
        """Heads are of no interest."""

    def piece(self, _: str, data: bytes) -> None:
        self.body += data


def test_one_who_looks_on_waits_for_nothing() -> None:
    recording, seen = Recording(SECRETS), Seen()
    recording.answer(b"HTTP/1.1 200 OK", [(b"content-type", SSE)])
    recording.piece(RESPONSE, delta(LOREM))
    recording.watch([seen])  # type: ignore[list-item]  # it is told of no end
    recording.piece(RESPONSE, delta(LOREM))
    assert seen.body == 2 * delta(LOREM)
