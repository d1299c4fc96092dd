"""What is counted of the texts of a stream passing by, in each dialect."""

from __future__ import annotations

import json
from typing import Any

import pytest

from netrunner.dialects.anthropic.tap import StreamTap as AnthropicTap
from netrunner.dialects.counting import CountingTap, counts
from netrunner.dialects.openai.tap import StreamTap

WORDS = "x" * 40


@pytest.mark.parametrize(
    ("dialect", "document", "tokens"),
    [
        ("openai", {"choices": [{"delta": {"content": WORDS}}]}, 10),
        ("openai", {"choices": [{"text": WORDS, "logprobs": {"content": [{"token": WORDS}]}}]}, 10),
        ("openai", {"choices": [{"delta": {"tool_calls": [{"function": {"name": "f", "arguments": WORDS}}]}}]}, 10),
        ("openai", {"choices": [{"delta": {"content": None}}], "model": WORDS}, 0),
        ("responses", {"type": "response.output_text.delta", "delta": WORDS}, 10),
        ("responses", {"type": "response.output_text.done", "text": WORDS}, 0),
        ("anthropic", {"type": "content_block_delta", "delta": {"type": "thinking_delta", "thinking": WORDS}}, 10),
        ("anthropic", {"type": "content_block_delta", "delta": {"partial_json": '{"text":"' + WORDS}}, 12),
        ("gemini", {"candidates": [{"content": {"parts": [{"text": WORDS}]}}]}, 10),
        ("ollama", {"message": {"content": WORDS, "thinking": WORDS}}, 20),
        ("ollama", {"response": "中" * 15}, 10),
    ],
)
def test_the_texts_of_pieces_are_counted(dialect: str, document: Any, tokens: int) -> None:
    tap = CountingTap(StreamTap(), dialect, lambda: None)
    tap.feed(b"data: " + json.dumps(document).encode() + b"\n\n")
    assert round(tap.made) == tokens


def test_what_the_other_tap_learns_is_there_and_told_of() -> None:
    told: list[str] = []
    tap = CountingTap(AnthropicTap(), "anthropic", lambda: told.append("told"))
    tap.feed(b'event: message_start\ndata: {"type":"message_start","message":{"usage":{"input_tokens":5}}}\n\n')
    assert (tap.began, tap.complete, told) == (True, False, [])
    tap.close()
    assert tap.usage is not None
    assert (tap.usage.input_total, told) == (5, ["told"])


def test_dialects_whose_texts_are_not_known_are_not_counted() -> None:
    assert [counts(name) for name in ("openai", "cohere", "image")] == [True, False, False]
