"""Which answers of Gemini's are to be asked on for, and with what."""

from __future__ import annotations

import json
from typing import Any

import pytest

from netrunner.dialects.gemini.continuations import asked_on, token_in


def event(*candidates: Any) -> bytes:
    return b"data: " + json.dumps({"candidates": list(candidates)}).encode() + b"\n\n"


BROKEN_OFF = {"finishReason": "CONTINUATION", "continuationToken": "t"}


@pytest.mark.parametrize(
    ("answer", "token"),
    [
        (event(BROKEN_OFF), "t"),
        (event({"finishReason": "STOP"}) + event(BROKEN_OFF), "t"),
        (event(BROKEN_OFF) + event({"finishReason": "STOP"}), None),
        (event(BROKEN_OFF, BROKEN_OFF), None),
        (event({**BROKEN_OFF, "continuationToken": ""}), None),
        (event({**BROKEN_OFF, "continuationToken": 7}), None),
        (event(BROKEN_OFF)[:-9], None),
        (b'data: "CONTINUATION\n\n', None),
        (b"", None),
    ],
)
def test_the_last_document_tells_whether_to_ask_on(answer: bytes, token: str | None) -> None:
    assert token_in(answer) == token


def test_a_request_is_the_same_but_for_the_token() -> None:
    assert json.loads(asked_on(b'{"contents":[{"parts":[{"text":"}"}]}]}', 'a"b')) == {
        "contents": [{"parts": [{"text": "}"}]}],
        "continuationToken": 'a"b',
    }
