"""The SDK ``google-genai``."""

from __future__ import annotations

from typing import Any

import httpx2
from google import genai
from google.genai import errors, types

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


class Gemini(Client):
    """Gemini's ``generateContent``."""

    name = "Gemini"
    errors = (errors.APIError, errors.UnknownApiResponseError, httpx2.HTTPError)

    def __init__(self, port: int, base: str | None = None, key: str = KEY) -> None:
        super().__init__(port, base, key)
        options = types.HttpOptions(
            base_url=self.address,
            timeout=int(PATIENCE_S * 1000),
            client_args={"trust_env": False, "event_hooks": {"response": [self._saw]}},
        )
        self._sdk: Any = genai.Client(api_key=key, http_options=options)

    def __exit__(self, *_: object) -> None:
        self._sdk.close()

    def _status(self, error: Any) -> int | None:
        return error.code if isinstance(error, errors.APIError) and not self._told else None

    def _whole(self, model: str, request: Request) -> Result:
        answer = self._sdk.models.generate_content(model=model, contents=_contents(request), config=_config(request))
        [candidate] = answer.candidates
        return self._result(candidate.content.parts, candidate.finish_reason, answer.usage_metadata, 1)

    def _streamed(self, model: str, request: Request) -> Result:
        parts: list[Any] = []
        usage: Any = None
        finish = None
        for chunk in self._sdk.models.generate_content_stream(
            model=model, contents=_contents(request), config=_config(request)
        ):
            usage = chunk.usage_metadata or usage
            for candidate in chunk.candidates or []:
                finish = candidate.finish_reason or finish
                new = (candidate.content and candidate.content.parts) or []
                parts += new
                self._hear("".join(part.text or "" for part in new if not part.thought))
        return self._result(parts, finish, usage, len(self._told))

    def _result(self, parts: list[Any], finish: Any, usage: Any, pieces: int) -> Result:
        calls = [part.function_call for part in parts if part.function_call]
        stops = "tool_calls" if calls else "stop"
        return Result(
            text="".join(part.text or "" for part in parts if not part.thought),
            thoughts="".join(part.text or "" for part in parts if part.thought),
            calls=tuple(ToolCall(call.id or "", call.name, call.args) for call in calls),
            finish=stops if finish == types.FinishReason.STOP else "other",  # type: ignore[arg-type]  # literals
            tokens=(
                usage.prompt_token_count,
                usage.candidates_token_count + (usage.thoughts_token_count or 0),
            ),
            pieces=pieces,
            dropped=self.dropped,
            message=types.Content(role="model", parts=parts),
        )


def _config(request: Request) -> types.GenerateContentConfig:
    config = types.GenerateContentConfig(max_output_tokens=request.max_tokens)
    if request.system:
        config.system_instruction = SYSTEM
    if request.tools:
        function = types.FunctionDeclaration(name=TOOL, description=DESCRIPTION, parameters_json_schema=PARAMETERS)
        config.tools = [types.Tool(function_declarations=[function])]
    if request.schema:
        config.response_mime_type = "application/json"
        config.response_json_schema = SCHEMA
    if request.thinking:
        config.thinking_config = types.ThinkingConfig(include_thoughts=True, thinking_budget=2048)
    else:
        config.temperature = request.temperature
    return config


def _contents(request: Request) -> list[types.Content]:
    contents: list[types.Content] = []
    if request.earlier:
        contents.append(types.Content(role="user", parts=[types.Part(text=EARLIER[0])]))
        contents.append(types.Content(role="model", parts=[types.Part(text=EARLIER[1])]))
    parts = [types.Part(text=QUESTION)]
    if request.image:
        parts.append(types.Part.from_bytes(data=PNG, mime_type="image/png"))
    contents.append(types.Content(role="user", parts=parts))
    if request.answered is not None:
        contents.append(request.answered.message)
        contents.append(types.Content(role="user", parts=[_response(call) for call in request.answered.calls]))
    return contents


def _response(call: ToolCall) -> types.Part:
    told = {"output": RESULTS[call.arguments["city"]]}
    return types.Part(function_response=types.FunctionResponse(id=call.id or None, name=call.name, response=told))
