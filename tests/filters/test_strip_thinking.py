"""The filter ``strip_thinking``: tags cut anywhere, several blocks, everything else as it came."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netrunner.events import BlockClose, BlockKind, BlockOpen, Event, KeepAlive, ReasoningDelta, Signature, TextDelta
from netrunner.filters.strip_thinking import FORMS, Stripper, StripThinking, StripThinkingSettings, Tags
from netrunner.testing.fakes import FakeEnvironment

OPEN, CLOSE = FORMS["think"]
THINK, ALL = Tags(["think"]), Tags(FORMS)

CASES = [
    ("", ""),
    ("plain  text\n", "plain  text\n"),
    ("<think>a</think>b", "b"),
    ("a <think>\nx\n\n</think>\n b", "a \n b"),
    ("a<think>x</think>b<think>y</think>c", "abc"),
    ("a<think></think>b", "ab"),
    ("a < b, <thin, <thinking>, </thin>, <THINK>", "a < b, <thin, <thinking>, </thin>, <THINK>"),
    ("a<<think>x</think>>", "a<>"),
    ("the end: </think>", "the end: </think>"),
    ("a<think>x<think>y</think>z</think>b", "azb"),
    ("<think><think>x</think>b", "b"),
    ("a<think>1<think>2<think>3</think>b</think>c</think>d</think>", "abcd</think>"),
    ("a<think>never closed", "a"),
    ("a<think>x</thin", "a"),
    ("a<thin", "a<thin"),
    ("é<think>ü</think>😀", "é😀"),
]


def stripped(pieces: list[str], tags: Tags = THINK, leading_bytes: int = 0) -> str:
    stripper = Stripper(tags, leading_bytes)
    return "".join(map(stripper.feed, pieces)) + stripper.close()


@pytest.mark.parametrize(("text", "left"), CASES)
def test_blocks_are_taken_out_wherever_the_text_is_cut(text: str, left: str) -> None:
    assert stripped([text]) == left
    assert stripped(list(text)) == left
    for first in range(len(text)):
        for second in range(first, len(text)):
            assert stripped([text[:first], text[first:second], text[second:]]) == left


@settings(deadline=None)
@given(st.lists(st.sampled_from([OPEN, CLOSE, "<", "think>", "a", " ", "\n", "</"])), st.data())
def test_where_a_text_is_cut_makes_no_difference(parts: list[str], data: st.DataObject) -> None:
    text = "".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)))))
    assert stripped([text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]) == stripped([text])


@settings(deadline=None)
@given(
    st.recursive(
        st.sampled_from(["a", "b", " "]),
        lambda inner: st.lists(inner).map(lambda of: f"<think>{''.join(of)}</think>"),
        max_leaves=8,
    )
)
def test_blocks_inside_of_each_other_leave_no_tag_behind(text: str) -> None:
    assert "think>" not in stripped(list(text))


@settings(deadline=None)
@given(st.text(alphabet="<>/think ab").filter(lambda text: OPEN not in text))
def test_a_text_without_a_block_stays_as_it_is(text: str) -> None:
    assert stripped(list(text)) == text


@settings(deadline=None)
@given(st.text(alphabet="<>/think ab"))
def test_never_more_than_a_tag_less_one_character_is_held_back(text: str) -> None:
    stripper = Stripper(THINK)
    for character in text:
        stripper.feed(character)
        assert len(stripper._held) <= StripThinking(StripThinkingSettings(), FakeEnvironment()).hold_back_bytes == 7


class Exchange:
    """As much of an exchange as the filter looks at."""

    def __init__(self) -> None:
        self.notes: dict[Any, Any] = {}


def test_choices_do_not_mix_and_the_end_of_a_block_gives_what_was_held() -> None:
    phase, exchange = StripThinking(StripThinkingSettings(), FakeEnvironment()), Exchange()
    assert phase.on_event(exchange, TextDelta(text="<th", choice=0)) is None
    untouched = TextDelta(text="ink>", choice=1)
    assert phase.on_event(exchange, untouched) is untouched
    close = BlockClose(choice=0)
    assert phase.on_event(exchange, close) == (TextDelta(text="<th", choice=0), close)
    assert phase.on_event(exchange, close) is close
    assert phase.on_end(exchange) == []


def test_what_no_block_closed_is_given_at_the_end_and_other_events_pass() -> None:
    phase, exchange = StripThinking(StripThinkingSettings(), FakeEnvironment()), Exchange()
    other = KeepAlive()
    assert phase.on_event(exchange, other) is other
    event = phase.on_event(exchange, TextDelta(text="a<", choice=2, index=1, native={"x": 1}))
    assert event == TextDelta(text="a", choice=2, index=1, native={"x": 1})
    assert phase.on_end(exchange) == [TextDelta(text="<", choice=2, index=1)]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("a[think]x[/think]b<thinking>y</thinking>c<reasoning>z</reasoning>d", "abcd"),
        ("a<think>x</thinking>y</think>b", "ab"),
        ("a<think>x<reasoning>y</think>b</reasoning>", "ab</reasoning>"),
        ("a[th<think>x</think>", "a[th"),
        ("a[", "a["),
        ("a<[", "a<["),
    ],
)
def test_other_tags_are_taken_out_too_and_close_only_their_own_kind(text: str, left: str) -> None:
    assert stripped([text], ALL) == stripped(list(text), ALL) == left


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("let me see</think>yes", "yes"),
        ("let me see</think>yes</think>", "yes</think>"),
        ("plain", "plain"),
        ("a<think>b</think>c</think>", "ac</think>"),
        ("longer than what may be held back</think>x", "longer than what may be held back</think>x"),
        ("", ""),
        ("<thin", "<thin"),
    ],
)
def test_thinking_without_a_beginning_is_taken_out_where_it_may_be_held_back(text: str, left: str) -> None:
    assert stripped([text], THINK, 24) == stripped(list(text), THINK, 24) == left


def test_what_is_held_back_at_the_beginning_is_bounded_in_bytes() -> None:
    stripper = Stripper(THINK, 8)
    assert stripper.feed("éééé") == ""
    assert stripper.feed("é") == "ééééé"
    settings = StripThinkingSettings(leading_bytes=100)
    assert StripThinking(settings, FakeEnvironment()).hold_back_bytes == 100


@pytest.mark.parametrize("reasoning", ["keep", "drop"])
def test_reasoning_that_is_told_apart_is_kept_or_dropped(reasoning: Any) -> None:
    phase, exchange = StripThinking(StripThinkingSettings(reasoning=reasoning), FakeEnvironment()), Exchange()
    thought: list[Event] = [
        BlockOpen(kind=BlockKind.REASONING),
        ReasoningDelta(text="hm"),
        Signature(data="s"),
        BlockClose(),
        BlockOpen(kind=BlockKind.REDACTED, index=1),
        Signature(data="s", index=1),
        BlockClose(index=1),
    ]
    said: list[Event] = [
        BlockOpen(kind=BlockKind.TOOL_CALL, index=2),
        Signature(data="s", index=2),
        BlockClose(index=2),
        BlockOpen(kind=BlockKind.TEXT, index=3),
        TextDelta(text="yes", index=3),
        BlockClose(index=3),
    ]
    passed = [phase.on_event(exchange, event) for event in (*thought, *said)]
    kept = thought if reasoning == "keep" else [None] * len(thought)
    assert passed == [*kept, *said]
