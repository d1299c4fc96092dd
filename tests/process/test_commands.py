"""What a line on the control socket is answered."""

from __future__ import annotations

import msgspec
import pytest

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


def test_a_command_is_given_its_arguments(commands: Commands) -> None:
    line = b'{"command": "divide", "arguments": {"left": 6, "right": 3}}'
    assert commands.answer(line).values == {"ok": True, "result": 2}


def test_arguments_may_be_left_out(commands: Commands) -> None:
    assert commands.answer(b'{"command": "ping"}').values == {"ok": True}


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
    answer = commands.answer(line).values
    assert answer["ok"] is False
    assert error in answer["error"]


def test_a_name_is_given_once(commands: Commands) -> None:
    with pytest.raises(ValueError, match="'ping' already"):
        commands.add("ping", NoArguments, lambda _: Reply())
