"""The SDK ``cohere``: no dialect of callers, but a judge of the upstream that speaks as Cohere does."""

from __future__ import annotations

from typing import Any

import cohere
import httpx
from cohere.core.api_error import ApiError

from tests.integration.matrix.clients.client import KEY, PATIENCE_S, Client, arguments
from tests.integration.matrix.clients.openai_chat import FUNCTION, messages_of
from tests.integration.matrix.terms import (
    SCHEMA,
    TEMPERATURE,
    Request,
    Result,
    ToolCall,
)


class Cohere(Client):
    """Version 2 of Cohere's chat."""

    name = "Cohere"
    errors = (ApiError, httpx.HTTPError)
    signs = False

    def __init__(self, port: int, base: str | None = None, key: str = KEY) -> None:
        super().__init__(port, base, key)
        self._http = httpx.Client(trust_env=False, timeout=PATIENCE_S, event_hooks={"response": [self._saw]})
        self._sdk: Any = cohere.ClientV2(api_key=key, base_url=self.address, httpx_client=self._http)

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def _status(self, error: Any) -> int | None:
        return error.status_code if isinstance(error, ApiError) else None

    def _whole(self, model: str, request: Request) -> Result:
        answer = self._sdk.chat(model=model, request_options={"max_retries": 0}, **_asked(request))
        content = [part.model_dump(exclude_none=True) for part in answer.message.content or []]
        calls = [call.model_dump(exclude_none=True) for call in answer.message.tool_calls or []]
        return self._result(content, calls, answer.finish_reason, answer.usage, 1)

    def _streamed(self, model: str, request: Request) -> Result:
        content: list[dict[str, Any]] = []
        calls: list[dict[str, Any]] = []
        finish, usage = None, None
        for event in self._sdk.chat_stream(model=model, request_options={"max_retries": 0}, **_asked(request)):
            if event.type == "content-start":
                content.append(event.delta.message.content.model_dump(exclude_none=True))
            elif event.type == "content-delta":
                told = event.delta.message.content
                kind = content[event.index]["type"]
                piece = getattr(told, kind)
                content[event.index][kind] += piece
                self._hear(piece if kind == "text" else "")
            elif event.type == "tool-call-start":
                calls.append(event.delta.message.tool_calls.model_dump(exclude_none=True))
            elif event.type == "tool-call-delta":
                calls[event.index]["function"]["arguments"] += event.delta.message.tool_calls.function.arguments
            elif event.type == "message-end":
                finish, usage = event.delta.finish_reason, event.delta.usage
        return self._result(content, calls, finish, usage, len(self._told))

    def _result(self, content: list[Any], calls: list[Any], finish: Any, usage: Any, pieces: int) -> Result:
        stops = {"COMPLETE": "stop", "TOOL_CALL": "tool_calls"}
        return Result(
            text="".join(part.get("text", "") for part in content),
            thoughts="".join(part.get("thinking", "") for part in content),
            calls=tuple(
                ToolCall(call["id"], call["function"]["name"], arguments(call["function"]["arguments"]))
                for call in calls
            ),
            finish=stops.get(finish, "other"),  # type: ignore[arg-type]  # the values are literals
            tokens=(int(usage.tokens.input_tokens), int(usage.tokens.output_tokens)) if usage else (0, 0),
            pieces=pieces,
            dropped=self.dropped,
            message={"role": "assistant", "content": content or None, "tool_calls": calls or None},
        )


def _asked(request: Request) -> dict[str, Any]:
    asked: dict[str, Any] = {"messages": messages_of(request, "system"), "max_tokens": request.max_tokens}
    if not request.thinking:
        asked["temperature"] = TEMPERATURE
    if request.tools:
        asked["tools"] = [{"type": "function", "function": FUNCTION}]
    if request.schema:
        asked["response_format"] = {"type": "json_object", "json_schema": SCHEMA}
    if request.thinking:
        asked["thinking"] = {"type": "enabled", "token_budget": 2048}
    return asked
