"""What is known of a request before it is sent: its own tokens, and how many its answers may take."""

from __future__ import annotations

import json
from typing import Any

import pytest

from netrunner.dialects.expected import Expected, expected
from netrunner.dialects.openai.dialect import OpenAIDialect
from netrunner.values import Envelope

TURN = {"role": "user", "content": "x" * 396}


def known(endpoint: str, body: Any, method: bytes = b"POST") -> Expected:
    return expected(OpenAIDialect(), method, endpoint, Envelope(json.dumps(body).encode(), b"application/json"))


@pytest.mark.parametrize(
    ("endpoint", "body", "found"),
    [
        ("chat/completions", {"messages": [TURN], "n": 3, "max_tokens": 7}, Expected(103, 3, 7)),
        ("chat/completions", {"messages": [TURN]}, Expected(103, 1, None)),
        ("embeddings", {"input": "x" * 400}, Expected(100, 0, None)),
        ("chat/completions", {"messages": 7, "odd": "x" * 374}, Expected(100, 1, None)),
        ("moderations", {"input": "x" * 387}, Expected(100, 1, None)),
    ],
)
def test_tokens_are_those_of_texts_or_else_of_so_many_bytes(endpoint: str, body: Any, found: Expected) -> None:
    assert known(endpoint, body) == found


@pytest.mark.parametrize("envelope", [None, Envelope(b"", b"")])
def test_a_request_without_a_body_takes_nothing(envelope: Envelope | None) -> None:
    assert expected(OpenAIDialect(), b"GET", "models", envelope).total(500) == 0


def test_answers_take_what_the_request_allows_or_else_what_is_usual() -> None:
    assert (Expected(100, 2, 7).total(500), Expected(100, 2, None).total(500)) == (114, 1100)
