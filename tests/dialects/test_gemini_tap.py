"""What an answer of Gemini's says about itself while it passes by."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netrunner.dialects.gemini.tap import AnswerTap, StreamTap
from netrunner.dialects.taps import HELD_BYTES, WHOLE_BYTES
from netrunner.values import Usage

ERROR = {"error": {"code": 429, "message": "slow", "status": "RESOURCE_EXHAUSTED"}}


def piece(text: str = "x", finish: str | None = None, **more: Any) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": [{"text": text}]}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], **more}


def counts(prompt: int, output: int) -> dict[str, Any]:
    return {"usageMetadata": {"promptTokenCount": prompt, "candidatesTokenCount": output}}


def sse(*documents: Any, end: str = "\r\n\r\n") -> bytes:
    return "".join("data: " + json.dumps(one) + end for one in documents).encode()


STREAM = sse(piece(**counts(3, 1)), piece('"finishReason"'), piece("", "STOP", **counts(3, 2)))


def seen(*reads: bytes, whole: bool = False) -> Any:
    tap = AnswerTap() if whole else StreamTap()
    for data in reads:
        tap.feed(data)
    tap.close()
    return tap


@pytest.mark.parametrize("end", ["\n\n", "\r\n\r\n", "\r\r"])
def test_a_stream_tells_finish_counts_and_end(end):
    stream = sse(piece(**counts(3, 1)), piece("", "STOP", **counts(3, 2)), end=end)
    for reads in ([stream], [stream[at : at + 1] for at in range(len(stream))]):
        tap = seen(*reads)
        assert (tap.usage, tap.finish_reason, tap.error) == (Usage(input_total=3, output_total=2), "STOP", None)
        assert tap.complete
        assert tap.began


def test_a_stream_without_a_finish_is_not_complete():
    tap = seen(sse(piece(**counts(3, 1)), piece("more")))
    assert not tap.complete
    assert tap.usage == Usage(input_total=3, output_total=1)
    assert tap.usage == Usage(input_total=3, output_total=1)


def test_counts_can_be_asked_for_in_the_middle():
    tap = StreamTap()
    tap.feed(sse(piece(**counts(3, 1))))
    assert tap.usage == Usage(input_total=3, output_total=1)
    tap.feed(sse(piece(**counts(3, 9))))
    tap.close()
    assert tap.usage == Usage(input_total=3, output_total=9)


def test_counts_before_a_finish_without_any_are_kept():
    assert seen(sse(piece(**counts(3, 1)), piece("", "STOP"))).usage == Usage(input_total=3, output_total=1)


def test_a_blocked_prompt_has_finished():
    tap = seen(sse({"promptFeedback": {"blockReason": "SAFETY"}}))
    assert (tap.finish_reason, tap.complete) == ("SAFETY", True)


@pytest.mark.parametrize(
    "told", [sse(ERROR), json.dumps(ERROR, indent=2).encode(), json.dumps([ERROR], indent=2).encode()]
)
def test_an_error_inside_a_stream_is_seen(told):
    tap = seen(sse(piece()) + told)
    assert (tap.error, tap.complete) == ("RESOURCE_EXHAUSTED", False)


def test_words_in_a_text_are_no_keys():
    tap = seen(sse(piece('{"finishReason": "STOP", "error": "usageMetadata"}')))
    assert (tap.finish_reason, tap.error, tap.usage) == (None, None, None)


def test_a_long_event_is_read_from_its_end():
    long = sse(piece("x" * 3 * HELD_BYTES, "STOP", **counts(3, 2)))
    tap = seen(*[long[at : at + 60_000] for at in range(0, len(long), 60_000)])
    assert (tap.usage, tap.finish_reason) == (Usage(input_total=3, output_total=2), "STOP")


def test_documents_and_lists_are_read():
    for body in (
        json.dumps(piece("a", "STOP", **counts(3, 2))),
        json.dumps([piece(**counts(3, 1)), piece("", "STOP", **counts(3, 2))]),
    ):
        tap = seen(body[:9].encode(), body[9:].encode(), whole=True)
        assert (tap.usage, tap.finish_reason) == (Usage(input_total=3, output_total=2), "STOP")
        assert tap.complete
    assert seen(json.dumps([ERROR]).encode(), whole=True).error == "RESOURCE_EXHAUSTED"
    assert seen(json.dumps({"error": "x"}).encode(), whole=True).error == "provider_error"


def test_what_is_cut_is_not_complete():
    assert not seen(b"[", json.dumps(piece()).encode(), whole=True).complete
    assert not seen(b"[]", whole=True).complete


@pytest.mark.parametrize("form", [lambda one: one, lambda one: [one]])
def test_a_long_answer_is_read_from_its_end(form):
    body = json.dumps(form(piece("x" * 2 * WHOLE_BYTES, "STOP", **counts(3, 2)))).encode()
    tap = seen(body, whole=True)
    assert (tap.usage, tap.finish_reason, tap.complete) == (Usage(input_total=3, output_total=2), "STOP", True)
    tap = seen(body[:-1000] + b"x" * 1000, whole=True)
    assert (tap.usage, tap.finish_reason, tap.complete) == (None, None, False)


@given(
    st.binary(max_size=80)
    | st.sampled_from(
        [
            b'data: {"usageMetadata": 1, "candidates": [1], "promptFeedback": []}\n\n',
            b'data: {"error": [1]}\n\n',
            b'data: {"finishReason"\n\n',
        ]
    )
)
def test_nothing_makes_it_raise(data):
    for whole in (True, False):
        assert seen(data, whole=whole).usage is None
