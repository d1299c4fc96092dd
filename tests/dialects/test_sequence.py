"""Events in the order that every client can follow."""

from __future__ import annotations

import pytest

from netrunner.dialects.sequence import Sequence
from netrunner.errors import UpstreamError
from netrunner.events import (
    BlockClose,
    BlockKind,
    BlockOpen,
    Event,
    Finish,
    FinishKind,
    KeepAlive,
    ReasoningDelta,
    Signature,
    Start,
    TextDelta,
    ToolArgs,
    UsageSeen,
)
from netrunner.values import Usage

TEXT, CALL, REASONING = BlockKind.TEXT, BlockKind.TOOL_CALL, BlockKind.REASONING
STOP = Finish(kind=FinishKind.STOP)


def ordered(*events: Event) -> list[Event]:
    return list(Sequence().order(events))


def test_what_is_in_order_stays_as_it_is() -> None:
    events = [
        Start(id="a"),
        BlockOpen(kind=TEXT),
        TextDelta(text="x"),
        BlockClose(),
        BlockOpen(kind=CALL, index=1, tool_id="c", tool_name="f"),
        ToolArgs(fragment="{}", index=1),
        BlockClose(index=1),
        STOP,
    ]
    got = ordered(*events)
    assert got == events
    assert all(a is b for a, b in zip(got, events, strict=True) if not isinstance(a, BlockClose))


def test_a_start_that_is_missing_is_made_and_a_second_one_dropped() -> None:
    assert ordered(TextDelta(text="x"))[0] == Start()
    assert ordered(Start(id="a"), Start(id="b")) == [Start(id="a")]


def test_a_sign_of_life_comes_through_before_the_start() -> None:
    assert ordered(KeepAlive(), Start()) == [KeepAlive(), Start()]


def test_text_without_a_block_gets_one() -> None:
    assert ordered(Start(), TextDelta(text="x"), STOP) == [
        Start(),
        BlockOpen(kind=TEXT),
        TextDelta(text="x"),
        BlockClose(),
        STOP,
    ]


def test_text_after_its_block_was_closed_opens_another() -> None:
    got = ordered(Start(), BlockOpen(kind=TEXT), BlockClose(), TextDelta(text="late"))
    assert got[-2:] == [BlockOpen(kind=TEXT, index=1), TextDelta(text="late", index=1)]


def test_reasoning_and_text_of_one_number_are_two_blocks() -> None:
    got = ordered(Start(), ReasoningDelta(text="r"), TextDelta(text="t"))
    assert got[1:] == [
        BlockOpen(kind=REASONING),
        ReasoningDelta(text="r"),
        BlockClose(),
        BlockOpen(kind=TEXT, index=1),
        TextDelta(text="t", index=1),
    ]


def test_a_block_that_begins_ends_the_one_before() -> None:
    got = ordered(Start(), BlockOpen(kind=TEXT), TextDelta(text="x"), BlockOpen(kind=CALL, index=1))
    assert got[3] == BlockClose()


def test_a_call_whose_arguments_have_not_begun_stays_open_beside_the_next() -> None:
    got = ordered(
        Start(),
        BlockOpen(kind=CALL),
        BlockOpen(kind=CALL, index=1),
        ToolArgs(fragment="{}"),
        ToolArgs(fragment="{}", index=1),
        STOP,
    )
    assert got[1:] == [
        BlockOpen(kind=CALL),
        BlockOpen(kind=CALL, index=1),
        ToolArgs(fragment="{}"),
        ToolArgs(fragment="{}", index=1),
        BlockClose(),
        BlockClose(index=1),
        STOP,
    ]


def test_calls_that_are_written_at_once_stay_open_until_they_are_whole() -> None:
    got = ordered(
        Start(),
        BlockOpen(kind=CALL),
        ToolArgs(fragment='{"a":'),
        BlockOpen(kind=CALL, index=1),
        ToolArgs(fragment="{}", index=1),
        ToolArgs(fragment="1}"),
        STOP,
    )
    assert got[2:] == [
        ToolArgs(fragment='{"a":'),
        BlockOpen(kind=CALL, index=1),
        ToolArgs(fragment="{}", index=1),
        ToolArgs(fragment="1}"),
        BlockClose(),
        BlockClose(index=1),
        STOP,
    ]


@pytest.mark.parametrize("event", [ToolArgs(fragment="{}"), Signature(data="s")])
def test_what_belongs_to_no_open_block_is_an_error(event: Event) -> None:
    with pytest.raises(UpstreamError, match="not open"):
        ordered(Start(), event)
    with pytest.raises(UpstreamError, match="not open"):
        ordered(Start(), BlockOpen(kind=CALL), BlockClose(), event)


def test_arguments_in_a_block_of_text_are_an_error() -> None:
    with pytest.raises(UpstreamError):
        ordered(Start(), BlockOpen(kind=TEXT), ToolArgs(fragment="{}"))


def test_a_close_of_what_is_not_open_is_dropped() -> None:
    assert ordered(Start(), BlockClose(), BlockOpen(kind=TEXT), BlockClose(), BlockClose()) == [
        Start(),
        BlockOpen(kind=TEXT),
        BlockClose(),
    ]


def test_a_choice_finishes_once() -> None:
    assert ordered(Start(), STOP, STOP) == [Start(), STOP]
    assert ordered(Start(), STOP, Finish(kind=FinishKind.LENGTH, choice=1))[1:] == [
        STOP,
        Finish(kind=FinishKind.LENGTH, choice=1),
    ]


def test_blocks_are_numbered_without_gaps_by_choice() -> None:
    got = ordered(Start(), BlockOpen(kind=TEXT, index=4), TextDelta(text="x", index=4), BlockClose(index=4))
    assert got[1:] == [BlockOpen(kind=TEXT), TextDelta(text="x"), BlockClose()]
    got = ordered(Start(), BlockOpen(kind=TEXT), BlockOpen(kind=TEXT, choice=1))
    assert got[1:] == [BlockOpen(kind=TEXT), BlockOpen(kind=TEXT, choice=1)]


def test_usage_comes_through() -> None:
    seen = UsageSeen(usage=Usage(input_total=1))
    assert ordered(Start(), seen) == [Start(), seen]
