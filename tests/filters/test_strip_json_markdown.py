"""The filter ``strip_json_markdown``: one fenced block becomes what stands in it, everything else stays."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netrunner.events import BlockClose, TextDelta
from netrunner.filters.strip_json_markdown import (
    MAX_SPACE,
    StripJsonMarkdown,
    StripJsonMarkdownSettings,
    Unfencer,
)
from netrunner.testing.fakes import FakeEnvironment

CASES = [
    ("", ""),
    ('{"a": 1}', '{"a": 1}'),
    ('```json\n{"a": 1}\n```', '{"a": 1}'),
    ('\n ```json{"a":\n "x"}```\n', '{"a":\n "x"}'),
    ("```JSON\r\n[1]\r\n```", "[1]"),
    ('[json]{"a": 1}[json]', '{"a": 1}'),
    ('```json\n{"a": "```"}\n```', '{"a": "```"}'),
    ('```json\n{"a": "`" }', '{"a": "`" }'),
    ("```json\n{}\n``", "{}\n``"),
    ("```python\nx\n```", "```python\nx\n```"),
    ("text ```json\n{}\n``` text", "text ```json\n{}\n``` text"),
    ("``", "``"),
    ("[1, 2]", "[1, 2]"),
    (" " * (MAX_SPACE + 1) + "```json", " " * (MAX_SPACE + 1) + "```json"),
    ("```json\n1" + " " * 200 + "2\n```", "1" + " " * 200 + "2"),
    ("```json", ""),
]


def unfenced(pieces: list[str]) -> str:
    unfencer = Unfencer()
    return "".join(map(unfencer.feed, pieces)) + unfencer.close()


@pytest.mark.parametrize(("text", "left"), CASES)
def test_a_fence_is_taken_off_wherever_the_text_is_cut(text: str, left: str) -> None:
    assert unfenced([text]) == left
    assert unfenced(list(text)) == left
    for cut in range(len(text)):
        assert unfenced([text[:cut], text[cut:]]) == left


@settings(deadline=None)
@given(st.lists(st.sampled_from(["```json", "```", "[json]", "`", " ", "\n", "{}", "a", "é"])))
def test_what_is_held_back_is_bounded(parts: list[str]) -> None:
    unfencer = Unfencer()
    for part in parts:
        unfencer.feed(part)
        assert len(unfencer._held.encode()) <= StripJsonMarkdown.hold_back_bytes


def test_the_end_of_a_block_gives_what_was_held_back() -> None:
    class Exchange:
        notes: dict[Any, Any] = {}

    phase = StripJsonMarkdown(StripJsonMarkdownSettings(), FakeEnvironment())
    exchange = Exchange()
    assert phase.on_event(exchange, TextDelta(text="``")) is None
    assert phase.on_event(exchange, BlockClose()) == (TextDelta(text="``"), BlockClose())
    assert phase.on_event(exchange, TextDelta(text="```json {}\n`", index=1)) == TextDelta(text="{}", index=1)
    assert phase.on_end(exchange) == [TextDelta(text="\n`", index=1)]
