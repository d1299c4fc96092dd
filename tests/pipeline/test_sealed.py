"""The seals of calls that are kept for callers who drop them: within bounds, and only where none came back."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from netrunner.dialects.conversation import Conversation, Reasoning, Text, ToolCall, Turn
from netrunner.dialects.spoken import SPOKEN
from netrunner.events import BlockKind, BlockOpen, Event, Signature, TextDelta
from netrunner.pipeline.sealed import MAX_SEAL_BYTES, SealReader, Seals

EXCHANGE: Any = SimpleNamespace(provider="up", identity=None, credential=lambda: None)
OWNER = ("up", None, hash(None))


def asked(*parts: Any) -> Conversation:
    return Conversation(turns=(Turn("user", (Text("Hi"),)), Turn("assistant", parts)))


def signatures(seals: Seals, *parts: Any) -> list[Any]:
    """Return the signatures of a turn as Gemini is told it."""
    found = seals.restored(EXCHANGE, SPOKEN["gemini"], asked(*parts))
    assert isinstance(found, Conversation)
    return [getattr(part, "signature", None) for part in found.turns[1].parts]


def test_a_call_without_a_seal_has_its_own_again() -> None:
    seals = Seals()
    seals.keep(OWNER, "a", "f", "old")
    seals.keep(OWNER, "a", "f", "s")
    calls = ToolCall("a", "f", "{}"), ToolCall("b", "f", "{}"), ToolCall("a", "g", "{}"), Text("x")
    assert signatures(seals, *calls) == ["s", None, None, None]


def test_a_turn_that_came_back_with_any_seal_is_left_alone() -> None:
    seals = Seals()
    seals.keep(OWNER, "a", "f", "s")
    assert signatures(seals, Reasoning("", "x"), ToolCall("a", "f", "{}")) == ["x", None]


def test_providers_that_want_none_back_get_none() -> None:
    seals = Seals()
    seals.keep(OWNER, "a", "f", "s")
    request = asked(ToolCall("a", "f", "{}"))
    assert seals.restored(EXCHANGE, SPOKEN["openai"], request) is request
    decoder: Any = object()
    assert seals.reader(EXCHANGE, SPOKEN["openai"], decoder) is decoder


def test_those_longest_unused_go_first_and_a_long_one_is_not_kept() -> None:
    seals = Seals(max_bytes=3 * (256 + 10))
    for id in "abc":
        seals.keep(OWNER, id, "f", "s" * 10)
    assert signatures(seals, ToolCall("a", "f", "{}")) == ["s" * 10]
    seals.keep(OWNER, "d", "f", "s" * 10)
    seals.keep(OWNER, "e", "f", "s" * (MAX_SEAL_BYTES + 1))
    kept = [one for one in "abcde" if signatures(seals, ToolCall(one, "f", "{}")) != [None]]
    assert kept == ["a", "c", "d"]


def test_seals_of_what_is_no_call_are_not_kept() -> None:
    kept: list[Any] = []
    events: list[Event] = [
        BlockOpen(kind=BlockKind.REASONING, index=0),
        Signature(data="r", index=0),
        TextDelta(text="x", index=1),
        BlockOpen(kind=BlockKind.TOOL_CALL, index=2, tool_id="a", tool_name="f"),
        Signature(data="s", index=2),
    ]
    decoder: Any = SimpleNamespace(complete=True, feed=lambda data, last: events)
    reader = SealReader(decoder, lambda *call: kept.append(call))
    assert (reader.feed(b"", True), reader.complete) == (events, True)
    assert kept == [("a", "f", "s")]
