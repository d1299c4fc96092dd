"""The seals of calls that are kept for callers who drop them: within bounds, and only where none came back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from netrunner.dialects.conversation import Conversation, Reasoning, Text, ToolCall, Turn
from netrunner.dialects.spoken import SPOKEN
from netrunner.events import BlockKind, BlockOpen, Event, Signature, TextDelta
from netrunner.pipeline.sealed import MAX_ASKED, MAX_SEAL_BYTES, TTL_S, SealMemory, Seals
from tests.support.stage import KEY, SSE, Stage, body_of

GEMINI, OPENAI = SPOKEN["gemini"], SPOKEN["openai"]


def caller(provider: str = "up", identity: str | None = None, credential: bytes | None = None) -> Any:
    """Return an exchange as far as it tells whose seals it may have."""
    return SimpleNamespace(provider=provider, identity=identity, credential=lambda: credential)


ANYBODY = caller()


class Others:
    """What other processes keep; answers when the test says so, or at once."""

    def __init__(self) -> None:
        self.available = True
        self.kept: dict[bytes, bytes] = {}
        self.ttls: set[float] = set()
        self.asked: list[Sequence[bytes]] = []
        self.waiting: Deferred[None] | None = None

    async def get_all(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return values, after what is waited for."""
        self.asked.append(keys)
        if self.waiting is not None:
            await self.waiting
        return [self.kept.get(key) if self.available else None for key in keys]

    def put(self, key: bytes, value: bytes, ttl_s: float) -> None:
        """Keep a value."""
        self.kept[key] = value
        self.ttls.add(ttl_s)


def answered(seals: Seals, *calls: tuple[str, str, str], whose: Any = ANYBODY, spoken: Any = GEMINI) -> list[Event]:
    """Let an answer be read that calls by id and name, each with its seal."""
    events: list[Event] = []
    for index, (id, name, seal) in enumerate(calls):
        events.append(BlockOpen(kind=BlockKind.TOOL_CALL, index=index, tool_id=id, tool_name=name))
        events.append(Signature(data=seal, index=index))
    decoder: Any = SimpleNamespace(complete=True, feed=lambda data, last: events)
    return list(seals.reader(whose, spoken, decoder).feed(b"", True))


def asked(*parts: Any) -> Conversation:
    return Conversation(turns=(Turn("user", (Text("Hi"),)), Turn("assistant", parts)))


def signatures(seals: Seals, *parts: Any, whose: Any = ANYBODY) -> list[Any]:
    """Return the signatures of a turn as Gemini is told it."""
    found = seals.restored(whose, GEMINI, asked(*parts))
    assert isinstance(found, Conversation)
    return [getattr(part, "signature", None) for part in found.turns[1].parts]


def fetched(seals: Seals, request: Conversation, whose: Any = ANYBODY) -> None:
    """Have what the request lacks, as far as others have it."""
    Deferred.fromCoroutine(seals.fetch(seals.lacking(whose, GEMINI, request)))


CALL = ToolCall("a", "f", "{}")


def test_a_call_without_a_seal_has_its_own_again() -> None:
    seals = Seals()
    answered(seals, ("a", "f", "old"))
    answered(seals, ("a", "f", "s"))
    calls = CALL, ToolCall("b", "f", "{}"), ToolCall("a", "g", "{}"), Text("x")
    assert signatures(seals, *calls) == ["s", None, None, None]


def test_a_turn_that_came_back_with_any_seal_is_left_alone() -> None:
    seals = Seals()
    answered(seals, ("a", "f", "s"))
    assert signatures(seals, Reasoning("", "x"), CALL) == ["x", None]


def test_providers_that_want_none_back_get_none() -> None:
    seals = Seals(others=Others())
    answered(seals, ("a", "f", "s"))
    request = asked(CALL)
    assert seals.restored(ANYBODY, OPENAI, request) is request
    assert seals.lacking(caller("other"), OPENAI, request) == ()
    decoder: Any = object()
    assert seals.reader(ANYBODY, OPENAI, decoder) is decoder


@pytest.mark.parametrize("other", [caller("b"), caller(identity="me"), caller(credential=b"Bearer x")])
def test_nobody_finds_the_seals_of_another(other: Any) -> None:
    others = Others()
    seals = Seals(others=others)
    answered(seals, ("a", "f", "s"))
    fetched(seals, asked(CALL), other)
    assert (signatures(seals, CALL, whose=other), signatures(seals, CALL)) == ([None], ["s"])


def test_a_provider_that_has_got_the_name_of_another_gets_none_of_its_seals() -> None:
    memory = SealMemory()
    answered(Seals(memory, addresses={"up": "http://a"}), ("a", "f", "s"))
    assert signatures(Seals(memory, addresses={"up": "http://b"}), CALL) == [None]
    assert signatures(Seals(memory, addresses={"up": "http://a"}), CALL) == ["s"]


def test_those_longest_unused_go_first_and_a_long_one_is_not_kept() -> None:
    others = Others()
    seals = Seals(SealMemory(max_bytes=3 * (256 + 10)), others)
    for id in "abc":
        answered(seals, (id, "f", "s" * 10))
    assert signatures(seals, CALL) == ["s" * 10]
    answered(seals, ("d", "f", "s" * 10))
    answered(seals, ("e", "f", "s" * (MAX_SEAL_BYTES + 1)))
    kept = [one for one in "abcde" if signatures(seals, ToolCall(one, "f", "{}")) != [None]]
    assert kept == ["a", "c", "d"]
    assert (seals.memory.bytes, len(others.kept)) == (3 * (256 + 10), 4)


def test_seals_of_what_is_no_call_are_not_kept() -> None:
    seals = Seals()
    events: list[Event] = [
        BlockOpen(kind=BlockKind.REASONING, index=0),
        Signature(data="r", index=0),
        TextDelta(text="x", index=1),
        BlockOpen(kind=BlockKind.TOOL_CALL, index=2, tool_id="a", tool_name="f"),
        Signature(data="s", index=2),
    ]
    decoder: Any = SimpleNamespace(complete=True, feed=lambda data, last: events)
    reader = seals.reader(ANYBODY, GEMINI, decoder)
    assert (reader.feed(b"", True), reader.complete) == (events, True)
    assert (len(seals.memory), signatures(seals, CALL)) == (1, ["s"])


# With others.


def test_another_process_finds_a_seal_for_a_day() -> None:
    others = Others()
    answered(Seals(others=others), ("a", "f", "s"))
    seals = Seals(others=others)
    assert signatures(seals, CALL) == [None]
    fetched(seals, asked(CALL, ToolCall("b", "f", "{}")))
    assert signatures(seals, CALL) == ["s"]
    assert (others.ttls, seals.memory.asked) == ({TTL_S}, {"found": 1, "missing": 1})


def test_what_others_find_tells_nothing_of_the_caller() -> None:
    others = Others()
    answered(Seals(others=others), ("a", "f", "s"), whose=caller("up", "token-1", b"Bearer canary"))
    ((key, value),) = others.kept.items()
    assert (len(key), value) == (32, b"s")
    # As every process has it, of every machine.
    assert key.hex() == "86a8288665c6260619fb3df6577158d2dff4f8511f6895044167e45e1b672326"


def test_others_are_asked_for_turns_only_of_which_no_seal_is_at_hand() -> None:
    seals = Seals(others=Others())
    answered(seals, ("a", "f", "s"))
    beside = ToolCall("b", "f", "{}")
    assert list(seals.lacking(ANYBODY, GEMINI, asked(CALL, beside))) == []
    assert list(seals.lacking(ANYBODY, GEMINI, asked(Reasoning("", "x"), beside))) == []
    assert len(seals.lacking(ANYBODY, GEMINI, asked(beside, ToolCall("c", "f", "{}"), Text("x")))) == 2
    assert list(Seals().lacking(ANYBODY, GEMINI, asked(beside))) == []


def test_others_are_asked_for_the_latest_calls_of_a_long_request() -> None:
    others = Others()
    seals, here = Seals(others=others), Seals(others=others)
    ids = [str(number) for number in range(MAX_ASKED + 2)]
    answered(here, *((id, "f", "s") for id in ids))
    turns = tuple(Turn("assistant", (ToolCall(id, "f", "{}"),)) for id in ids)
    fetched(seals, Conversation(turns=turns))
    assert (len(others.asked), len(others.asked[0])) == (1, MAX_ASKED)
    assert signatures(seals, ToolCall(ids[0], "f", "{}"), ToolCall(ids[-1], "f", "{}")) == [None, "s"]


@pytest.mark.parametrize("value", [b"\xff", b"s" * (MAX_SEAL_BYTES + 1)])
def test_what_is_no_seal_is_not_taken_for_one(value: bytes) -> None:
    others = Others()
    seals = Seals(others=others)
    answered(Seals(others=others), ("a", "f", "s"))
    others.kept = dict.fromkeys(others.kept, value)
    fetched(seals, asked(CALL))
    assert (len(seals.memory), seals.memory.asked["missing"]) == (0, 1)


def test_without_the_others_it_goes_on_without() -> None:
    others = Others()
    seals = Seals(others=others)
    assert (seals.available, Seals().available) == (True, True)
    others.available = False
    fetched(seals, asked(CALL))
    assert (seals.available, seals.memory.asked["unavailable"]) == (False, 1)
    assert signatures(seals, CALL) == [None]


# On the way of a request.

SEAL = "c2VhbA=="
PART = {"functionCall": {"name": "f", "args": {"a": 1}}, "thoughtSignature": SEAL}
ANSWER = {"candidates": [{"content": {"role": "model", "parts": [PART]}, "finishReason": "STOP"}]}
QUESTION = {"role": "user", "content": "Hi"}


def stage_with(others: Others | None) -> Stage:
    return Stage(provider="gemini", key=KEY, repair=True, seals=Seals(others=others))


def called(stage: Stage) -> list[dict[str, Any]]:
    """Return the messages of the next request of a client that drops the seal of the call it was told."""
    client = stage.ask({"model": "m", "stream": True, "messages": [QUESTION]})
    stage.call.head(200, SSE).body(b"data: " + json.dumps(ANSWER).encode() + b"\n\n", True)
    chunks = [json.loads(one[6:]) for one in body_of(client.heard()).split(b"\n\n") if one.startswith(b"data: {")]
    (call,) = [one for made in chunks for one in made["choices"][0]["delta"].get("tool_calls", ()) if "id" in one]
    made = {"id": call["id"], "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
    return [
        QUESTION,
        {"role": "assistant", "content": None, "tool_calls": [made]},
        {"role": "tool", "tool_call_id": call["id"], "content": "7"},
    ]


def seal_told(stage: Stage) -> Any:
    """Return the seal of the call that Gemini is told."""
    _, turn, _ = json.loads(stage.call.sent_body)["contents"]
    return next(part for part in turn["parts"] if "functionCall" in part).get("thoughtSignature")


def test_a_request_waits_for_the_seals_that_another_process_keeps_and_no_other_request_does() -> None:
    others = Others()
    there, here = stage_with(others), stage_with(others)
    messages = called(there)
    others.waiting = Deferred()
    here.ask({"model": "m", "messages": messages})
    assert here.upstream.calls == []
    here.ask({"model": "m", "messages": [QUESTION]})
    there.ask({"model": "m", "messages": messages})
    assert (len(here.upstream.calls), seal_told(there), len(others.asked)) == (1, SEAL, 1)
    others.waiting.callback(None)
    assert (len(here.upstream.calls), seal_told(here)) == (2, SEAL)


def test_a_client_that_leaves_while_seals_are_asked_for_is_asked_for_no_more() -> None:
    others = Others()
    stage = stage_with(others)
    others.waiting = Deferred()
    client = stage.ask({"model": "m", "messages": called(stage_with(others))})
    client.settle()
    others.waiting.callback(None)
    assert stage.upstream.calls == []
    assert stage.record().outcome == "client_gone"
