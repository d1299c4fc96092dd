"""The SDK ``ollama``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import httpx
import ollama

from tests.integration.matrix.clients.client import KEY, PATIENCE_S, Client
from tests.integration.matrix.clients.openai_chat import FUNCTION
from tests.integration.matrix.terms import (
    EARLIER,
    PARAMETERS,
    PNG,
    QUESTION,
    RESULTS,
    SCHEMA,
    SYSTEM,
    Request,
    Result,
    ToolCall,
)


class Ollama(Client):
    """Ollama's chat."""

    name = "Ollama"
    errors = (ollama.ResponseError, httpx.HTTPError, ConnectionError)
    # The SDK leaves out what it does not know of a schema.
    parameters: ClassVar[Mapping[str, Any]] = {name: PARAMETERS[name] for name in ("type", "properties", "required")}
    says_how_much = False
    signs = False  # Its messages have no place for a signature.

    def __init__(self, port: int, base: str | None = None, key: str = KEY) -> None:
        super().__init__(port, base, key)
        self._sdk: Any = ollama.Client(
            self.address,
            headers={"Authorization": f"Bearer {key}"},
            timeout=PATIENCE_S,
            trust_env=False,
            event_hooks={"response": [self._saw]},
        )

    def __exit__(self, *_: object) -> None:
        self._sdk._client.close()

    def _status(self, error: Any) -> int | None:
        told = isinstance(error, ollama.ResponseError) and error.status_code > 0
        return error.status_code if told else None

    def _whole(self, model: str, request: Request) -> Result:
        answer = self._sdk.chat(model=model, **_asked(request))
        return self._result(answer.message, answer, 1)

    def _streamed(self, model: str, request: Request) -> Result:
        thoughts: list[str] = []
        calls: list[Any] = []
        last: Any = None
        for last in self._sdk.chat(model=model, stream=True, **_asked(request)):
            self._hear(last.message.content or "")
            thoughts.append(last.message.thinking or "")
            calls += last.message.tool_calls or []
        text, thought = "".join(self._told), "".join(thoughts)
        message = ollama.Message(role="assistant", content=text, thinking=thought or None, tool_calls=calls or None)
        return self._result(message, last, len(self._told))

    def _result(self, message: Any, last: Any, pieces: int) -> Result:
        calls = [call.function for call in message.tool_calls or []]
        stops = "tool_calls" if calls else "stop"
        return Result(
            text=message.content or "",
            thoughts=message.thinking or "",
            calls=tuple(ToolCall("", call.name, call.arguments) for call in calls),
            finish=stops if last.done and last.done_reason == "stop" else "other",  # type: ignore[arg-type]  # literals
            tokens=(last.prompt_eval_count, last.eval_count),
            pieces=pieces,
            dropped=self.dropped,
            message=message,
        )


def _asked(request: Request) -> dict[str, Any]:
    asked: dict[str, Any] = {"messages": _messages(request), "options": {"num_predict": request.max_tokens}}
    if request.tools:
        asked["tools"] = [{"type": "function", "function": FUNCTION}]
    if request.schema:
        asked["format"] = SCHEMA
    if request.thinking:
        asked["think"] = True
    elif request.temperature is not None:
        asked["options"]["temperature"] = request.temperature
    return asked


def _messages(request: Request) -> list[Any]:
    messages: list[Any] = []
    if request.system:
        messages.append({"role": "system", "content": SYSTEM})
    if request.earlier:
        messages += [{"role": "user", "content": EARLIER[0]}, {"role": "assistant", "content": EARLIER[1]}]
    images = {"images": [PNG]} if request.image else {}
    messages.append({"role": "user", "content": QUESTION, **images})
    if request.answered is not None:
        messages.append(request.answered.message)
        for call in request.answered.calls:
            told = RESULTS[call.arguments["city"]]
            messages.append({"role": "tool", "tool_name": call.name, "content": told})
    return messages
