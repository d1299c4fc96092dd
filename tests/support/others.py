"""Other processes of a state folder, in this one."""

from __future__ import annotations

from typing import Any

import msgspec
from twisted.internet.defer import Deferred, succeed

from netrunner.process.control import Commands


class Others:
    """In the place of ``Siblings``: asks what other processes offer, in this one."""

    def __init__(self) -> None:
        self.commands: list[Commands] = []
        self.asked = 0

    def ask(self, command: str, arguments: Any = None) -> Deferred[list[dict[str, Any]]]:
        """Return what each answers, as it comes over a socket."""
        self.asked += 1
        line = msgspec.json.encode({"command": command, "arguments": arguments or {}})
        replies: list[Any] = [offered.answer(line) for offered in self.commands]
        answers = [msgspec.json.decode(msgspec.json.encode(reply.values)) for reply in replies]
        return succeed([answer for answer in answers if answer.pop("ok")])

    def watch(self, *_: Any) -> Any:
        """Nobody watches."""
