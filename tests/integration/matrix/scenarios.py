"""The scenarios of the matrix: what is asked, what the upstream answers, and what has to arrive on either side.

A check that fails is an error of a dialect. What cannot be in the upstream's dialect is told by name: refused, or
dropped.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from tests.integration.matrix.clients.client import Client
from tests.integration.matrix.terms import (
    BERGEN,
    DESCRIPTION,
    EARLIER,
    INPUT_TOKENS,
    MAX_TOKENS,
    OBJECT,
    OSLO,
    OUTPUT_TOKENS,
    PNG,
    QUESTION,
    RESULTS,
    RETRY_AFTER_S,
    SCHEMA,
    SEAL,
    SYSTEM,
    TEMPERATURE,
    TEXT,
    THOUGHTS,
    TOOL,
    WORDS,
    Asked,
    Refused,
    Reply,
    Request,
    Result,
    Trouble,
)
from tests.integration.matrix.upstreams.server import Upstream

OK = "ok"
ONE_CALL = " (one call a turn)"
_UNSUPPORTED = re.compile(r"([^\s'\"]+): not supported by")


class Cell:
    """One inbound dialect, one outbound one.

    Args:
        client: Asks.
        upstream: Is asked.
        model: The name under which the client finds it.
    """

    def __init__(self, client: Client, upstream: Upstream, model: str) -> None:
        self.client = client
        self.upstream = upstream
        self.model = model
        self.dropped: set[str] = set()
        self.remark = ""

    def ask(self, request: Request, reply: Reply) -> tuple[Result, Asked]:
        """Return what the client is told, and what the upstream was asked."""
        self.upstream.play(reply)
        self.client.on_word = self.upstream.heard.set
        result = self.client.ask(self.model, request)
        [asked] = self.upstream.asked
        assert asked.stream == request.stream
        if self.client.counts_streams or not request.stream:
            assert result.tokens == (INPUT_TOKENS, OUTPUT_TOKENS)
        assert asked.max_tokens == MAX_TOKENS
        self.dropped |= set(result.dropped)
        return result, asked

    def refused(self, request: Request, trouble: Trouble) -> Refused:
        """Return what is raised when the upstream is in trouble."""
        self.upstream.play(Reply(words=WORDS, trouble=trouble))
        self.client.on_word = self.upstream.heard.set
        try:
            result = self.client.ask(self.model, request)
        except Refused as refused:
            assert self.upstream.wrong == []
            assert len(self.upstream.asked) == 1
            return refused
        raise AssertionError(f"nothing was raised: {result}")


Scenario = Callable[[Cell], None]


def run(scenario: Scenario, cell: Cell) -> str:
    """Return what came of a scenario: ``ok``, what was lost, or what was refused.

    Raises:
        AssertionError: for anything else.
    """
    try:
        scenario(cell)
    except Refused as refused:
        unsupported = _UNSUPPORTED.search(refused.message)
        if unsupported is None or refused.status != 400 or cell.upstream.asked:
            raise AssertionError(f"{refused}; {cell.upstream.wrong}") from refused
        return f"refused: {unsupported[1]}"
    if cell.dropped:
        return f"lossy: {', '.join(sorted(cell.dropped))}"
    return OK + cell.remark


# --- what is asked --------------------------------------------------------------------------------------------


def text(cell: Cell, stream: bool = False) -> None:
    """Ask after an instruction and a turn of each side."""
    chats = cell.client.chats
    result, asked = cell.ask(Request(system=chats, earlier=chats, stream=stream), Reply(words=WORDS, waits=True))
    assert (result.text, result.finish, result.thoughts, result.calls) == (TEXT, "stop", "", ())
    assert not stream or result.pieces > 1
    earlier = [("user", EARLIER[0]), ("assistant", EARLIER[1])] if chats else []
    assert asked.said() == [*earlier, ("user", QUESTION)]
    assert asked.system == (SYSTEM if chats else "")
    assert (asked.tools, asked.schema, asked.thinking) == ({}, None, False)
    assert asked.temperature == (TEMPERATURE if cell.client.samples else None)


def stream(cell: Cell) -> None:
    """Ask the same, and read the answer piece by piece."""
    text(cell, True)


def tool_call(cell: Cell) -> None:
    """Offer a tool, and get some words and a call."""
    for streaming in (False, True) if cell.client.joins_calls else (False,):
        words = WORDS[:2]
        result, asked = cell.ask(Request(tools=True, stream=streaming), Reply(words=words, calls=(OSLO,)))
        [call] = result.calls
        assert (call.name, call.arguments) == (OSLO.name, OSLO.arguments)
        assert (result.finish, result.text) == ("tool_calls", "".join(words))
        assert asked.tools == {TOOL: (DESCRIPTION, cell.client.parameters)}


def parallel_calls(cell: Cell) -> None:
    """Offer a tool, and get two calls of it at once."""
    for streaming in (False, True):
        _calls(cell, streaming)


def _calls(cell: Cell, streaming: bool) -> Result:
    made = (OSLO,) if cell.upstream.one_call else (OSLO, BERGEN)
    cell.remark = ONE_CALL if cell.upstream.one_call else ""
    result, _ = cell.ask(Request(tools=True, stream=streaming), Reply(calls=made))
    assert [call.arguments for call in result.calls] == [call.arguments for call in made]
    assert {call.name for call in result.calls} == {TOOL}
    ids = [call.id for call in result.calls if call.id]
    assert len(set(ids)) == len(ids)
    assert result.finish == "tool_calls"
    return result


def tool_results(cell: Cell) -> None:
    """Return the results of all calls, and get an answer."""
    for streaming in (False, True):
        called = _calls(cell, streaming)
        result, asked = cell.ask(Request(tools=True, stream=streaming, answered=called), Reply(words=WORDS))
        assert (result.text, result.finish) == (TEXT, "stop")
        _check_results(called, asked)


def _check_results(called: Result, asked: Asked) -> None:
    """Check that an upstream was told the calls that were made, in order, and the result of each."""
    made = [part.call for part in asked.parts if part.call is not None]
    assert [(call.name, call.arguments) for call in made] == [(call.name, call.arguments) for call in called.calls]
    results = [part for part in asked.parts if part.result_of is not None]
    assert sorted(part.result_of.arguments["city"] for part in results if part.result_of) == sorted(
        call.arguments["city"] for call in called.calls
    )
    for part in results:
        assert part.role == "user"
        assert part.result_of is not None
        assert RESULTS[part.result_of.arguments["city"]] in part.text
    assert asked.said() == [("user", QUESTION)] + ([("assistant", called.text)] if called.text else [])


def image(cell: Cell) -> None:
    """Show an image beside the question."""
    result, asked = cell.ask(Request(image=True), Reply(words=WORDS))
    assert result.text == TEXT
    assert [(part.role, part.image) for part in asked.parts if part.image] == [("user", PNG)]
    assert asked.said() == [("user", QUESTION)]


def json_schema(cell: Cell) -> None:
    """Ask for an answer in the form of a schema."""
    for streaming in (False, True):
        result, asked = cell.ask(Request(schema=True, stream=streaming), Reply(words=OBJECT))
        assert result.text == "".join(OBJECT)
        assert asked.schema == SCHEMA


def thinking(cell: Cell) -> None:
    """Have it think: what it thought arrives, and what its provider signed goes back with the result of a call."""
    for streaming in (False, True):
        reply = Reply(thoughts=THOUGHTS, words=WORDS)
        result, asked = cell.ask(Request(thinking=True, stream=streaming), reply)
        assert (result.thoughts, result.text, result.finish) == ("".join(THOUGHTS), TEXT, "stop")
        if cell.client.says_how_much or not cell.upstream.thinks_unasked:
            assert asked.thinking or result.dropped
        reply = Reply(thoughts=THOUGHTS, calls=(OSLO,))
        called, _ = cell.ask(Request(thinking=True, tools=True, stream=streaming), reply)
        assert (called.thoughts, called.finish) == ("".join(THOUGHTS), "tool_calls")
        again = Request(thinking=True, tools=True, stream=streaming, answered=called)
        _, asked = cell.ask(again, Reply(words=WORDS))
        _check_results(called, asked)
        seals = [part.seal for part in asked.parts if part.seal == SEAL]
        if cell.upstream.signs and cell.client.signs:
            assert seals == [SEAL]
        else:
            assert seals == []


# --- what goes wrong ------------------------------------------------------------------------------------------


def error(cell: Cell) -> None:
    """Be refused with a status, and be told an error in the middle of an answer."""
    for streaming in (False, True):
        refused = cell.refused(Request(stream=streaming), "refuses")
        assert refused.status == 429
        assert refused.retry_after == (str(RETRY_AFTER_S) if cell.upstream.tells_when else None)
    failed = cell.refused(Request(stream=True), "fails")
    assert failed.told
    assert TEXT.startswith(failed.told)


def cut(cell: Cell) -> None:
    """Never take for complete what was cut: by a lost connection, or by what looks like an end."""
    for trouble in _CUTS:
        cut_off = cell.refused(Request(stream=True), trouble)
        assert cut_off.told
        assert TEXT.startswith(cut_off.told)
    assert cell.refused(Request(), "drops").status in (None, 500, 502)


_CUTS: tuple[Trouble, ...] = ("drops", "ends")

SCENARIOS: dict[str, Scenario] = {
    "text": text,
    "stream": stream,
    "tool call": tool_call,
    "parallel tool calls": parallel_calls,
    "tool results": tool_results,
    "image": image,
    "JSON schema": json_schema,
    "thinking": thinking,
    "error": error,
    "cut mid-stream": cut,
}
OF_COMPLETIONS = ("text", "stream", "error", "cut mid-stream")
"""The scenarios that a client knows which has no turns."""
