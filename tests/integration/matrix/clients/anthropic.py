"""The SDK ``anthropic``; streams by its own accumulator."""

from __future__ import annotations

import base64
from typing import Any

import anthropic
import httpx2

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
    TOOL,
    Request,
    Result,
    ToolCall,
)


class Messages(Client):
    """Anthropic's Messages."""

    name = "Anthropic"
    errors = (anthropic.AnthropicError, httpx2.HTTPError)
    samples = False  # The API that this SDK speaks knows no temperature.

    def __init__(self, port: int, base: str | None = None, key: str = KEY) -> None:
        super().__init__(port, base, key)
        http = anthropic.DefaultHttpxClient(trust_env=False, event_hooks={"response": [self._saw]})
        self._sdk: Any = anthropic.Anthropic(
            base_url=self.address, api_key=key, max_retries=0, timeout=PATIENCE_S, http_client=http
        )

    def __exit__(self, *_: object) -> None:
        self._sdk.close()

    def _status(self, error: Any) -> int | None:
        return error.status_code if isinstance(error, anthropic.APIStatusError) and not self._told else None

    def _whole(self, model: str, request: Request) -> Result:
        return self._result(self._sdk.messages.create(model=model, **_asked(request)), 1)

    def _streamed(self, model: str, request: Request) -> Result:
        with self._sdk.messages.stream(model=model, **_asked(request)) as stream:
            for event in stream:
                if event.type == "text":
                    self._hear(event.text)
            return self._result(stream.get_final_message(), len(self._told))

    def _result(self, message: Any, pieces: int) -> Result:
        def of(kind: str) -> list[Any]:
            return [block for block in message.content if block.type == kind]

        usage = message.usage
        read = usage.input_tokens + (usage.cache_read_input_tokens or 0) + (usage.cache_creation_input_tokens or 0)
        return Result(
            text="".join(block.text for block in of("text")),
            thoughts="".join(block.thinking for block in of("thinking")),
            calls=tuple(ToolCall(block.id, block.name, block.input) for block in of("tool_use")),
            finish={"end_turn": "stop", "tool_use": "tool_calls"}.get(message.stop_reason, "other"),  # type: ignore[arg-type]  # the values are literals
            tokens=(read, usage.output_tokens),
            pieces=pieces,
            dropped=self.dropped,
            message=[block.model_dump(exclude_unset=True) for block in message.content],
        )


def _asked(request: Request) -> dict[str, Any]:
    asked: dict[str, Any] = {"messages": _messages(request), "max_tokens": request.max_tokens}
    if request.system:
        asked["system"] = SYSTEM
    if request.tools:
        asked["tools"] = [{"name": TOOL, "description": DESCRIPTION, "input_schema": PARAMETERS}]
    if request.schema:
        asked["output_config"] = {"format": {"type": "json_schema", "schema": SCHEMA}}
    if request.thinking:
        asked["thinking"] = {"type": "enabled", "budget_tokens": 2048}
    return asked


def _messages(request: Request) -> list[Any]:
    messages: list[Any] = []
    if request.earlier:
        messages += [{"role": "user", "content": EARLIER[0]}, {"role": "assistant", "content": EARLIER[1]}]
    content: Any = QUESTION
    if request.image:
        source = {"type": "base64", "media_type": "image/png", "data": base64.b64encode(PNG).decode()}
        content = [{"type": "text", "text": QUESTION}, {"type": "image", "source": source}]
    messages.append({"role": "user", "content": content})
    if request.answered is not None:
        messages.append({"role": "assistant", "content": request.answered.message})
        results = [
            {"type": "tool_result", "tool_use_id": call.id, "content": RESULTS[call.arguments["city"]]}
            for call in request.answered.calls
        ]
        messages.append({"role": "user", "content": results})
    return messages
