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


@pytest.mark.parametrize("size", [1, 7, 100, 5000])
@pytest.mark.parametrize("words", [1, 300])
def test_texts_are_counted_alike_however_they_are_cut(size: int, words: int) -> None:
    tap = CountingTap(StreamTap(), "openai", lambda: None)
    event = b'data: {"choices": [{"delta": {"content": "%b"}}]}\n\n' % (WORDS.encode() * words)
    stream = event * (6000 // words)
    for start in range(0, len(stream), size):
        tap.feed(stream[start : start + size])
    tap.close()
    assert tap.made == 6000 // words * 10 * words


def test_a_text_whose_line_has_no_end_is_counted_when_the_stream_ends() -> None:
    tap = CountingTap(StreamTap(), "openai", lambda: None)
    tap.feed(b'data: {"choices": [{"delta": {"content": "%b"}}]}' % WORDS.encode())
    assert tap.made == 0
    tap.close()
    assert tap.made == 10


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
