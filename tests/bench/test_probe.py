"""What one answer tells: when its parts came, what it cost, whether it was as it should be."""

from __future__ import annotations

import json
from typing import Any

import pytest

from netrunner.cli.bench.probe import Probe
from netrunner.cli.bench.tally import Sample
from netrunner.cli.bench.targets import Target
from netrunner.testing.fakes import FakeClock
from netrunner.values import UpstreamRequest
from tests.support.bench import BARE, CHAT, Exchange, numbered

EVENTS = (b"content-type", b"text/event-stream; charset=utf-8")
JSON = (b"content-type", b"application/json")


class Asked:
    """A request under measurement, that was due half a second before it was sent."""

    def __init__(self, target: Target) -> None:
        self.clock = FakeClock()
        due_s = self.clock.seconds()
        self.clock.advance(0.5)
        self.ended: list[Sample] = []
        probe = Probe(target, self.clock.seconds, due_s, lambda probe: self.ended.append(probe.sample))
        request: UpstreamRequest = numbered(1)
        self.exchange = Exchange(request, probe)

    def head(self, status: int = 200, *headers: tuple[bytes, bytes]) -> Asked:
        self.exchange.head(status, *headers)
        return self

    def after(self, seconds: float, data: bytes, last: bool = False) -> Asked:
        self.clock.advance(seconds)
        self.exchange.body(data, last)
        return self

    @property
    def sample(self) -> Sample:
        (sample,) = self.ended
        return sample


def chunk(content: str | None, **fields: Any) -> bytes:
    delta = {"role": "assistant"} if content is None else {"content": content}
    choice = {"index": 0, "delta": delta, "finish_reason": fields.pop("finish", None)}
    return b"data: " + json.dumps({"id": "x", "model": "m", "choices": [choice], **fields}).encode() + b"\n\n"


END = chunk("", finish="stop", usage={"prompt_tokens": 3, "completion_tokens": 5}) + b"data: [DONE]\n\n"


def test_a_stream_tells_its_first_text_its_gaps_and_its_tokens() -> None:
    asked = Asked(CHAT)
    asked.head(200, EVENTS).after(0.25, chunk(None)).after(0.25, chunk("a")).after(1.0, chunk("b") + chunk("c"))
    asked.after(2.0, chunk("d")).after(0.5, END, True)
    sample = asked.sample
    assert sample.error is None
    assert (sample.late_s, sample.head_s, sample.first_token_s, sample.latency_s) == (0.5, 0.5, 1.0, 4.5)
    assert (sample.gaps_s, sample.generating_s, sample.pieces) == ([1.0, 2.0], 3.0, 4)
    assert (sample.input_tokens, sample.output_tokens) == (3, 5)


def test_a_stream_that_ends_early_is_an_error() -> None:
    assert Asked(CHAT).head(200, EVENTS).after(1.0, chunk("a"), True).sample.error == "truncated"


def test_an_error_inside_a_stream_is_an_error_by_its_code() -> None:
    told = b'data: {"error": {"message": "the prompt was: x", "type": "server_error", "code": "overloaded"}}\n\n'
    sample = Asked(CHAT).head(200, EVENTS).after(1.0, chunk("a")).after(1.0, told, True).sample
    assert sample.error == "overloaded"


def test_an_answer_that_is_no_stream_tells_its_tokens_and_no_first_one() -> None:
    body = {
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "a"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 2},
    }
    sample = Asked(CHAT).head(200, JSON).after(1.0, json.dumps(body).encode(), True).sample
    assert (sample.error, sample.first_token_s, sample.input_tokens, sample.output_tokens) == (None, None, 7, 2)


def test_an_answer_that_is_no_json_is_an_error() -> None:
    assert Asked(CHAT).head(200, JSON).after(1.0, b"<html>", True).sample.error == "invalid_response"


@pytest.mark.parametrize("status", [301, 401, 429, 500])
def test_any_other_status_is_an_error_of_its_own(status: int) -> None:
    assert Asked(CHAT).head(status, EVENTS).after(1.0, chunk("a"), True).sample.error == f"http_{status}"


def test_where_nothing_is_known_of_a_dialect_any_answer_will_do() -> None:
    sample = Asked(BARE).head(204).after(1.0, b"x" * 10, True).sample
    assert (sample.error, sample.bytes) == (None, 10)


def test_ours_of_several_server_timings_is_read() -> None:
    ours = (b"server-timing", b"recv;dur=1, route;dur=2, upstream;dur=3")
    sample = Asked(BARE).head(200, (b"server-timing", b"db;dur=5"), ours).after(0.5, b"", True).sample
    assert sample.stages_s == {"recv": 0.001, "route": 0.002, "upstream": 0.003}
    assert sample.sent_to_head_s == 0.0
