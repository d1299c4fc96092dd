"""What a line on the control socket is answered."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from twisted.internet.defer import Deferred

from netrunner.process.control import Commands, ControlError, NoArguments, Reply


class Numbers(msgspec.Struct, forbid_unknown_fields=True):
    left: int
    right: int = 1


def divide(arguments: Numbers) -> Reply:
    if not arguments.right:
        raise ControlError("nothing can be divided by 0")
    return Reply({"result": arguments.left // arguments.right})


@pytest.fixture
def commands() -> Commands:
    commands = Commands()
    commands.add("divide", Numbers, divide)
    commands.add("ping", NoArguments, lambda _: Reply())
    return commands


def answered(commands: Commands, line: bytes) -> dict[str, Any]:
    """Return what a command answers that does its work at once."""
    reply = commands.answer(line)
    assert isinstance(reply, Reply)
    return dict(reply.values)


def test_a_command_is_given_its_arguments(commands: Commands) -> None:
    line = b'{"command": "divide", "arguments": {"left": 6, "right": 3}}'
    assert answered(commands, line) == {"ok": True, "result": 2}


def test_arguments_may_be_left_out(commands: Commands) -> None:
    assert answered(commands, b'{"command": "ping"}') == {"ok": True}


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b"", "Input data was truncated"),
        (b"ping", "JSON is malformed"),
        (b'{"command": "ping", "x": 1}', "unknown field `x`"),
        (b'{"command": "pong"}', "no command 'pong'; there are divide, ping"),
        (b'{"command": "ping", "arguments": {"x": 1}}', "unknown field `x`"),
        (b'{"command": "divide"}', "missing required field `left`"),
        (b'{"command": "divide", "arguments": {"left": "6"}}', "Expected `int`, got `str`"),
        (b'{"command": "divide", "arguments": {"left": 6, "right": 0}}', "nothing can be divided by 0"),
        (b'{"command": "\xff"}', "invalid"),
        (b"[" * 100_000, "Expected `object`"),
    ],
)
def test_bad_input_is_answered_with_what_is_wrong(commands: Commands, line: bytes, error: str) -> None:
    answer = answered(commands, line)
    assert answer["ok"] is False
    assert error in answer["error"]


def test_a_name_is_given_once(commands: Commands) -> None:
    with pytest.raises(ValueError, match="'ping' already"):
        commands.add("ping", NoArguments, lambda _: Reply())


def test_an_answer_may_come_later_and_so_may_a_refusal(commands: Commands) -> None:
    waiting: list[Deferred[Reply]] = []

    def wait(_: NoArguments) -> Deferred[Reply]:
        waiting.append(Deferred())
        return waiting[-1]

    commands.add("wait", NoArguments, wait)
    replies: list[Reply] = []
    for _ in range(2):
        later = commands.answer(b'{"command": "wait"}')
        assert isinstance(later, Deferred)
        later.addCallback(replies.append)
    waiting[1].errback(ControlError("not now"))
    waiting[0].callback(Reply({"x": 1}))
    assert [reply.values for reply in replies] == [{"ok": False, "error": "not now"}, {"ok": True, "x": 1}]
