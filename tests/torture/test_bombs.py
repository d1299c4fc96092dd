"""Bodies of JSON that are made to be expensive: refused, or sent on as the very bytes that were judged (row 40)."""

from __future__ import annotations

import json
import time

import pytest

from tests.support.client import Client, answers
from tests.support.crowd import Figures
from tests.support.stage import JSON, Stage, request

pytestmark = pytest.mark.torture

MEBIBYTE = 1 << 20
SAID = b'"messages":[{"role":"user","content":"hi"}]'


def chat(more: bytes) -> bytes:
    return b'{"model":"m",' + SAID + b',"more":' + more + b"}"


def keys(size: int) -> bytes:
    count = size // 16
    return b"{" + b",".join(b'"key%08d":1' % n for n in range(count)) + b"}"


REFUSED = {
    "a million brackets": chat(b"[" * 500_000 + b"]" * 500_000),
    "a million brackets, never closed": chat(b"[" * 1_000_000),
    "two models": b'{"model":"m",' + SAID + b',"model":"other"}',
    "two models, one of them escaped": b'{"model":"m",' + SAID + b',"\\u006dodel":"other"}',
    "no UTF-8": chat(b'"' + b"\xff" * 1000 + b'"'),
    "half a character at the end of 1 MiB": chat(b'"' + b"x" * MEBIBYTE + b"\xe2\x82" + b'"'),
}
FORWARDED = {
    "a million keys": chat(keys(16_000_000)),
    "1 MiB of keys": chat(keys(MEBIBYTE - 200)),
    "an integer of 5,000 digits": chat(b"9" * 5000),
    "1 MiB of integers of 5,000 digits": chat(b"[" + b",".join([b"9" * 5000] * 200) + b"]"),
    "1 MiB of escapes": chat(b'"' + b"\\u006d" * (MEBIBYTE // 6 - 50) + b'"'),
    "16 MiB of text": chat(b'"' + b"x" * (16 * MEBIBYTE) + b'"'),
    "16 MiB of text that is not ASCII": chat(b'"' + "ä".encode() * (8 * MEBIBYTE) + b'"'),
}


def most_ms(body: bytes) -> float:
    return 50 if len(body) <= MEBIBYTE else 300


def judged(body: bytes) -> tuple[Stage, Client, float]:
    """Return the stage and what its client heard after a request, and the CPU time of that, the best of three."""
    best_ms = 1e9
    text = request(body=body)
    for _ in range(3):
        stage = Stage(max_body_bytes=32 * MEBIBYTE)
        client = stage.client()
        begun = time.thread_time()
        client.say(text)
        best_ms = min(best_ms, (time.thread_time() - begun) * 1000)
    return stage, client, best_ms


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_honest_request_is_refused_at_once(what: str, figures: Figures) -> None:
    stage, client, took_ms = judged(REFUSED[what])
    (answer,) = answers(client.heard(), b"POST")
    assert answer.status == 400
    assert json.loads(answer.body)["error"]["code"] in ("invalid_json", "duplicate_key")
    assert stage.upstream.calls == []
    figures.add(f"{what}, ms", f"{took_ms:.1f}")
    assert took_ms <= most_ms(REFUSED[what])


@pytest.mark.parametrize("what", FORWARDED)
def test_what_is_odd_and_honest_goes_on_byte_by_byte(what: str, figures: Figures) -> None:
    stage, _, took_ms = judged(FORWARDED[what])
    assert stage.call.sent_body == FORWARDED[what]
    stage.call.head(200, JSON).body(b"{}", True)
    figures.add(f"{what}, ms", f"{took_ms:.1f}")
    assert took_ms <= most_ms(FORWARDED[what])
