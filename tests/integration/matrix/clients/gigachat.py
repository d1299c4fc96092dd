"""The SDK ``gigachat``: no dialect of callers, but a judge of the upstream that speaks as GigaChat does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

import gigachat
import httpx
from gigachat.exceptions import GigaChatException, ResponseError

from tests.integration.matrix.clients.client import KEY, PATIENCE_S, Client
from tests.integration.matrix.terms import (
    DESCRIPTION,
    EARLIER,
    PARAMETERS,
    PNG,
    QUESTION,
    RESULTS,
    SCHEMA,
    SYSTEM,
    TEMPERATURE,
    TOOL,
    Request,
    Result,
    ToolCall,
)


class GigaChat(Client):
    """Version 1 of GigaChat's chat."""

    name = "GigaChat"
    # The SDK knows no more of a schema.
    parameters: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "properties": {name: {**told, "description": ""} for name, told in PARAMETERS["properties"].items()},
        "required": PARAMETERS["required"],
    }
    errors = (GigaChatException, httpx.HTTPError)

    def __init__(self, port: int, base: str | None = None, key: str = KEY) -> None:
        super().__init__(port, base, key)
        self._sdk: Any = gigachat.GigaChat(
            base_url=self.address,
            auth_url=f"http://127.0.0.1:{port}/oauth",
            credentials=key,
            timeout=PATIENCE_S,
            max_retries=0,
        )

    def __exit__(self, *_: object) -> None:
        self._sdk.close()

    def _status(self, error: Any) -> int | None:
        return error.status_code if isinstance(error, ResponseError) else None

    def _whole(self, model: str, request: Request) -> Result:
        answer = self._sdk.chat(self._asked(model, request))
        [choice] = answer.choices
        return self._result(choice.message.model_dump(exclude_none=True), choice.finish_reason, answer.usage, 1)

    def _streamed(self, model: str, request: Request) -> Result:
        message: dict[str, Any] = {"role": "assistant", "content": ""}
        finish, usage = None, None
        for chunk in self._sdk.stream(self._asked(model, request)):
            [choice] = chunk.choices
            finish, usage = choice.finish_reason or finish, chunk.usage or usage
            delta = choice.delta.model_dump(exclude_none=True)
            self._hear(delta.get("content", ""))
            for name in ("content", "reasoning_content"):
                message[name] = message.get(name, "") + delta.get(name, "")
            message |= {name: delta[name] for name in ("function_call", "functions_state_id") if name in delta}
        return self._result(message, finish, usage, len(self._told))

    def _asked(self, model: str, request: Request) -> dict[str, Any]:
        asked = _asked(model, request)
        if request.image:
            asked["messages"][-1]["attachments"] = [self._sdk.upload_file(("a.png", PNG, "image/png")).id_]
        return asked

    def _result(self, message: dict[str, Any], finish: Any, usage: Any, pieces: int) -> Result:
        thoughts = message.pop("reasoning_content", "")
        call = message.get("function_call")
        return Result(
            text=message["content"],
            thoughts=thoughts,
            calls=(ToolCall("", call["name"], call["arguments"]),) if call else (),
            finish={"stop": "stop", "function_call": "tool_calls"}.get(finish, "other"),  # type: ignore[arg-type]  # the values are literals
            tokens=(usage.prompt_tokens + usage.precached_prompt_tokens, usage.completion_tokens),
            pieces=pieces,
            message=message,
        )


def _asked(model: str, request: Request) -> dict[str, Any]:
    asked: dict[str, Any] = {"model": model, "messages": _messages(request), "max_tokens": request.max_tokens}
    if request.tools:
        asked["functions"] = [{"name": TOOL, "description": DESCRIPTION, "parameters": PARAMETERS}]
    if request.schema:
        asked["response_format"] = {"type": "json_schema", "schema": SCHEMA}
    if request.thinking:
        asked["reasoning_effort"] = "medium"
    else:
        asked["temperature"] = TEMPERATURE
    return asked


def _messages(request: Request) -> list[Any]:
    messages: list[Any] = []
    if request.system:
        messages.append({"role": "system", "content": SYSTEM})
    if request.earlier:
        messages += [{"role": "user", "content": EARLIER[0]}, {"role": "assistant", "content": EARLIER[1]}]
    messages.append({"role": "user", "content": QUESTION})
    if request.answered is not None:
        messages.append(request.answered.message)
        for call in request.answered.calls:
            told = json.dumps({"result": RESULTS[call.arguments["city"]]}, ensure_ascii=False)
            messages.append({"role": "function", "name": call.name, "content": told})
    return messages
