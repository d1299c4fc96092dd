"""The SDK ``openai`` asking for Responses; streams by its own accumulator."""

from __future__ import annotations

from typing import Any

from tests.integration.matrix.clients.client import arguments
from tests.integration.matrix.clients.openai_chat import FUNCTION, PNG_URL, OpenAI
from tests.integration.matrix.terms import (
    EARLIER,
    QUESTION,
    RESULTS,
    SCHEMA,
    SYSTEM,
    Request,
    Result,
    ToolCall,
)


class Responses(OpenAI):
    """Responses, nothing of which is stored."""

    name = "OpenAI Responses"

    def _whole(self, model: str, request: Request) -> Result:
        return self._result(self._sdk.responses.create(model=model, **_asked(request)), 1)

    def _streamed(self, model: str, request: Request) -> Result:
        with self._sdk.responses.stream(model=model, **_asked(request)) as stream:
            answer: Any = None
            for event in stream:
                if event.type == "response.output_text.delta":
                    self._hear(event.delta)
                elif event.type == "response.incomplete":
                    answer = event.response  # The accumulator knows complete ones only.
            return self._result(answer or stream.get_final_response(), len(self._told))

    def _result(self, answer: Any, pieces: int) -> Result:
        calls = [item for item in answer.output if item.type == "function_call"]
        thoughts = [item for item in answer.output if item.type == "reasoning"]
        return Result(
            text=answer.output_text,
            thoughts="".join(part.text for item in thoughts for part in [*item.summary, *(item.content or [])]),
            calls=tuple(ToolCall(item.call_id, item.name, arguments(item.arguments)) for item in calls),
            finish="other" if answer.status != "completed" else "tool_calls" if calls else "stop",
            tokens=(answer.usage.input_tokens, answer.usage.output_tokens),
            pieces=pieces,
            dropped=self.dropped,
            message=answer.output,
        )


def _asked(request: Request) -> dict[str, Any]:
    asked: dict[str, Any] = {"input": _input(request), "max_output_tokens": request.max_tokens, "store": False}
    if request.system:
        asked["instructions"] = SYSTEM
    if request.temperature is not None and not request.thinking:
        asked["temperature"] = request.temperature
    if request.tools:
        asked["tools"] = [{"type": "function", "strict": None, **FUNCTION}]
    if request.schema:
        asked["text"] = {"format": {"type": "json_schema", "name": "weather", "schema": SCHEMA}}
    if request.thinking:
        asked["reasoning"] = {"effort": "medium", "summary": "auto"}
        asked["include"] = ["reasoning.encrypted_content"]
    return asked


def _input(request: Request) -> list[Any]:
    items: list[Any] = []
    if request.earlier:
        items += [{"role": "user", "content": EARLIER[0]}, {"role": "assistant", "content": EARLIER[1]}]
    content: Any = QUESTION
    if request.image:
        image = {"type": "input_image", "image_url": PNG_URL, "detail": "auto"}
        content = [{"type": "input_text", "text": QUESTION}, image]
    items.append({"role": "user", "content": content})
    if request.answered is not None:
        items += request.answered.message
        for call in request.answered.calls:
            told = RESULTS[call.arguments["city"]]
            items.append({"type": "function_call_output", "call_id": call.id, "output": told})
    return items
