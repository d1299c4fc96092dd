"""The SDK ``openai`` asking for chats; streams by its own accumulator, which is stricter than whoever iterates."""

from __future__ import annotations

import base64
from typing import Any

import openai

from tests.integration.matrix.clients.client import PATIENCE_S, Client, arguments
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

FUNCTION = {"name": TOOL, "description": DESCRIPTION, "parameters": PARAMETERS}
PNG_URL = "data:image/png;base64," + base64.b64encode(PNG).decode()


class OpenAI(Client):
    """What all that the SDK ``openai`` speaks has in common."""

    base = "/v1"
    errors = (openai.OpenAIError,)

    def __init__(self, port: int, base: str | None = None, key: str = "sk-caller") -> None:
        super().__init__(port, base, key)
        http = openai.DefaultHttpxClient(trust_env=False, event_hooks={"response": [self._saw]})
        self._sdk: Any = openai.OpenAI(
            base_url=self.address, api_key=key, max_retries=0, timeout=PATIENCE_S, http_client=http
        )

    def __exit__(self, *_: object) -> None:
        self._sdk.close()

    def _status(self, error: Any) -> int | None:
        return error.status_code if isinstance(error, openai.APIStatusError) else None


class Chat(OpenAI):
    """Chat completions."""

    name = "OpenAI chat"

    def _whole(self, model: str, request: Request) -> Result:
        answer = self._sdk.chat.completions.create(model=model, **_asked(request))
        return self._result(answer, 1)

    def _streamed(self, model: str, request: Request) -> Result:
        options = {"include_usage": True}
        with self._sdk.chat.completions.stream(model=model, stream_options=options, **_asked(request)) as stream:
            try:
                for event in stream:
                    if event.type == "content.delta":
                        self._hear(event.delta)
                answer = stream.get_final_completion()
            except openai.LengthFinishReasonError as error:
                answer = error.completion
            return self._result(answer, len(self._told))

    def _result(self, answer: Any, pieces: int) -> Result:
        [choice] = answer.choices
        message = choice.message
        extra = message.model_extra or {}
        calls = message.tool_calls or []
        return Result(
            text=message.content or "",
            thoughts=extra.get("reasoning_content") or extra.get("reasoning") or "",
            calls=tuple(ToolCall(one.id, one.function.name, arguments(one.function.arguments)) for one in calls),
            finish=choice.finish_reason if choice.finish_reason in ("stop", "tool_calls") else "other",
            tokens=(answer.usage.prompt_tokens, answer.usage.completion_tokens),
            pieces=pieces,
            dropped=self.dropped,
            message=_without_parsed(message.model_dump(exclude_none=True)),
        )


def _without_parsed(message: dict[str, Any]) -> dict[str, Any]:
    """Return a message without what the accumulator has made of it for its user."""
    for call in message.get("tool_calls", []):
        call["function"].pop("parsed_arguments", None)
        call.pop("index", None)
    message.pop("parsed", None)
    return message


def _asked(request: Request) -> dict[str, Any]:
    asked: dict[str, Any] = {"messages": messages_of(request, "developer"), "max_completion_tokens": request.max_tokens}
    if request.temperature is not None and not request.thinking:
        asked["temperature"] = request.temperature
    if request.tools:
        asked["tools"] = [{"type": "function", "function": FUNCTION}]
    if request.schema:
        asked["response_format"] = {"type": "json_schema", "json_schema": {"name": "weather", "schema": SCHEMA}}
    if request.thinking:
        asked["reasoning_effort"] = "medium"
    return asked


def messages_of(request: Request, operator: str) -> list[Any]:
    """Return the conversation; ``operator`` is the role of who instructs the model."""
    messages: list[Any] = []
    if request.system:
        messages.append({"role": operator, "content": SYSTEM})
    if request.earlier:
        messages += [{"role": "user", "content": EARLIER[0]}, {"role": "assistant", "content": EARLIER[1]}]
    content: Any = QUESTION
    if request.image:
        content = [{"type": "text", "text": QUESTION}, {"type": "image_url", "image_url": {"url": PNG_URL}}]
    messages.append({"role": "user", "content": content})
    if request.answered is not None:
        messages.append(request.answered.message)
        for call in request.answered.calls:
            told = RESULTS[call.arguments["city"]]
            messages.append({"role": "tool", "tool_call_id": call.id, "content": told})
    return messages
