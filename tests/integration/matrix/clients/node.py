"""The official Node SDKs: one process of Node asks for all of them, told by lines of JSON."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any, Self

from tests.integration.matrix.clients.client import Client
from tests.integration.matrix.terms import (
    DESCRIPTION,
    EARLIER,
    PARAMETERS,
    QUESTION,
    SYSTEM,
    TOOL,
    Request,
    Result,
    ToolCall,
)
from tests.support.node import FOLDER, NODE

_SCRIPT = Path(__file__).parents[1] / "node" / "ask.mjs"


class Process:
    """One Node that asks one thing after the other; a context manager."""

    def __enter__(self) -> Self:
        # A script that is an argument finds its packages in the folder where it runs.
        self._process = subprocess.Popen(
            [NODE, "--input-type=module", "-e", _SCRIPT.read_text()],
            cwd=FOLDER,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def send(self, asked: dict[str, Any]) -> None:
        """Have something asked."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()

    def told(self) -> dict[str, Any]:
        """Return the next line of what comes of it."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "Node has ended"
        return dict(json.loads(line))


class Failed(Exception):
    """What a Node SDK has thrown."""

    def __init__(self, status: int | None, message: str) -> None:
        super().__init__(message)
        self.status = status


class Node(Client):
    """One of the Node SDKs, as ``ask.mjs`` calls it.

    Args:
        port: Where netrunner is.
        process: Asks.
        sdk: The SDK's name.
    """

    name = "Node"
    errors = (Failed,)

    def __init__(self, port: int, process: Process, sdk: str) -> None:
        super().__init__(port)
        self._process = process
        self._sdk = sdk
        # As the one of Python, it speaks an API without a temperature.
        self.samples = sdk != "anthropic"

    def __exit__(self, *_: object) -> None:
        """Leave the process to others."""

    def _status(self, error: Any) -> int | None:
        status: int | None = error.status
        return status

    def _whole(self, model: str, request: Request) -> Result:
        turns = [["user", EARLIER[0]], ["assistant", EARLIER[1]]] if request.earlier else []
        tool = {"name": TOOL, "description": DESCRIPTION, "parameters": PARAMETERS} if request.tools else None
        asked = {"sdk": self._sdk, "address": self.address, "key": self.key, "model": model, "stream": request.stream}
        asked |= {"turns": [*turns, ["user", QUESTION]], "system": SYSTEM if request.system else None, "tool": tool}
        self._process.send({**asked, "max_tokens": request.max_tokens, "temperature": request.temperature})
        while "word" in (told := self._process.told()):
            self._hear(told["word"])
        if "error" in told:
            raise Failed(told["error"]["status"], told["error"]["message"])
        return self._result(told["result"])

    _streamed = _whole

    def _result(self, result: dict[str, Any]) -> Result:
        return Result(
            text=result["text"],
            calls=tuple(ToolCall(*call) for call in result["calls"]),
            finish=result["finish"],
            tokens=(result["tokens"][0], result["tokens"][1]),
            pieces=len(self._told),
        )
