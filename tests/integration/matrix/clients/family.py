"""SDKs of OpenAI's family: each asks as OpenAI's does, and reads answers by types of its own."""

from __future__ import annotations

from typing import Any

import groq
import httpx
import httpx2
import huggingface_hub
import langchain_openai
import mistralai.client
import openai
from huggingface_hub.errors import HfHubHTTPError, InferenceTimeoutError
from langchain_core.messages import AIMessage
from mistralai.client import errors as mistral_errors

from tests.integration.matrix.clients.client import KEY, PATIENCE_S, Client, arguments
from tests.integration.matrix.clients.openai_chat import FUNCTION
from tests.integration.matrix.terms import (
    EARLIER,
    QUESTION,
    SYSTEM,
    TEMPERATURE,
    Request,
    Result,
    ToolCall,
)


class Member(Client):
    """What the SDKs have in common that give the answer as OpenAI's does."""

    _sdk: Any

    def _whole(self, model: str, request: Request) -> Result:
        answer = self._create(model=model, **asked(request))
        [choice] = answer.choices
        calls = [(call.id, call.function.name, call.function.arguments) for call in choice.message.tool_calls or []]
        return self._result(choice.message.content or "", calls, choice.finish_reason, answer.usage)

    def _streamed(self, model: str, request: Request) -> Result:
        finish, usage = None, None
        calls: list[list[str]] = []
        for chunk in self._chunks(model=model, **asked(request)):
            usage = chunk.usage or usage
            for choice in chunk.choices:
                finish = choice.finish_reason or finish
                self._hear(choice.delta.content or "")
                for delta in choice.delta.tool_calls or []:
                    function = delta.function
                    if delta.index == len(calls):
                        calls.append([delta.id, function.name, ""])
                    calls[delta.index][2] += function.arguments or ""
        return self._result("".join(self._told), calls, finish, usage)

    def _result(self, text: str, calls: Any, finish: Any, usage: Any) -> Result:
        return Result(
            text=text,
            calls=tuple(ToolCall(id, name, arguments(told)) for id, name, told in calls),
            finish=finish if finish in ("stop", "tool_calls") else "other",
            tokens=(usage.prompt_tokens, usage.completion_tokens) if usage else (0, 0),
            pieces=len(self._told),
            dropped=self.dropped,
        )

    def _create(self, **options: Any) -> Any:
        return self._sdk.chat.completions.create(**options)

    def _chunks(self, **options: Any) -> Any:
        return self._create(stream=True, stream_options={"include_usage": True}, **options)

    def _status(self, error: Any) -> int | None:
        return getattr(error, "status_code", None)


class Groq(Member):
    """Groq's SDK, which asks below ``/openai/v1``."""

    name = "groq"
    errors = (groq.GroqError, httpx.HTTPError)

    def __init__(self, port: int, base: str | None = None, key: str = KEY) -> None:
        super().__init__(port, base, key)
        http = groq.DefaultHttpxClient(trust_env=False, event_hooks={"response": [self._saw]})
        self._sdk = groq.Groq(base_url=self.address, api_key=key, max_retries=0, timeout=PATIENCE_S, http_client=http)

    def __exit__(self, *_: object) -> None:
        self._sdk.close()

    def _chunks(self, **options: Any) -> Any:
        # It has no word for the usage of a stream, which Groq tells unasked.
        return self._create(stream=True, extra_body={"stream_options": {"include_usage": True}}, **options)


class Mistral(Member):
    """Mistral's SDK."""

    name = "mistralai"
    joins_calls = False  # Mistral itself sends each of them whole.
    counts_streams = False  # It tells usage unasked.
    errors = (mistral_errors.MistralError, httpx2.HTTPError)

    def __init__(self, port: int, base: str | None = None, key: str = KEY) -> None:
        super().__init__(port, base, key)
        self._http = httpx2.Client(trust_env=False, event_hooks={"response": [self._saw]})
        self._sdk = mistralai.client.Mistral(
            api_key=key, server_url=self.address, client=self._http, timeout_ms=int(PATIENCE_S * 1000)
        )

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def _create(self, **options: Any) -> Any:
        return self._sdk.chat.complete(**options)

    def _chunks(self, **options: Any) -> Any:
        with self._sdk.chat.stream(**options) as stream:
            for event in stream:
                yield event.data


class HuggingFace(Member):
    """Hugging Face's client of inference."""

    name = "huggingface_hub"
    base = "/v1"
    errors = (HfHubHTTPError, InferenceTimeoutError, httpx2.HTTPError)

    def __init__(self, port: int, base: str | None = None, key: str = KEY) -> None:
        super().__init__(port, base, key)
        self._sdk = huggingface_hub.InferenceClient(base_url=self.address, api_key=key, timeout=PATIENCE_S)

    def __exit__(self, *_: object) -> None:
        self._sdk.exit_stack.close()

    def _status(self, error: Any) -> int | None:
        return getattr(getattr(error, "response", None), "status_code", None)


class LangChain(Client):
    """LangChain's model for APIs like OpenAI's."""

    name = "langchain-openai"
    base = "/v1"
    errors = (openai.OpenAIError, httpx2.HTTPError)

    def __init__(self, port: int, base: str | None = None, key: str = KEY) -> None:
        super().__init__(port, base, key)
        self._http = openai.DefaultHttpxClient(trust_env=False, event_hooks={"response": [self._saw]})

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def _model(self, model: str, request: Request) -> Any:
        chat: Any = langchain_openai.ChatOpenAI(
            base_url=self.address,
            api_key=self.key,  # type: ignore[arg-type]  # it takes a plain text as well
            model=model,
            http_client=self._http,
            max_retries=0,
            timeout=PATIENCE_S,
            temperature=TEMPERATURE,
            max_tokens=request.max_tokens,  # type: ignore[call-arg]  # an alias that only pydantic's plugin sees
            stream_usage=True,
        )
        return chat.bind_tools([{"type": "function", "function": FUNCTION}]) if request.tools else chat

    def _whole(self, model: str, request: Request) -> Result:
        return self._result(self._model(model, request).invoke(asked(request)["messages"]))

    def _streamed(self, model: str, request: Request) -> Result:
        whole: Any = None
        for chunk in self._model(model, request).stream(asked(request)["messages"]):
            self._hear(chunk.content)
            whole = chunk if whole is None else whole + chunk
        return self._result(whole)

    def _result(self, message: AIMessage) -> Result:
        usage: Any = message.usage_metadata
        finish = message.response_metadata["finish_reason"]
        return Result(
            text=str(message.content),
            calls=tuple(ToolCall(call["id"] or "", call["name"], call["args"]) for call in message.tool_calls),
            finish=finish if finish in ("stop", "tool_calls") else "other",
            tokens=(usage["input_tokens"], usage["output_tokens"]),
            pieces=len(self._told),
            dropped=self.dropped,
        )

    def _status(self, error: Any) -> int | None:
        return getattr(error, "status_code", None)


def asked(request: Request) -> dict[str, Any]:
    """Return what all of them understand."""
    messages = [{"role": "system", "content": SYSTEM}] if request.system else []
    if request.earlier:
        messages += [{"role": "user", "content": EARLIER[0]}, {"role": "assistant", "content": EARLIER[1]}]
    messages.append({"role": "user", "content": QUESTION})
    tools = {"tools": [{"type": "function", "function": FUNCTION}]} if request.tools else {}
    return {"messages": messages, "max_tokens": request.max_tokens, "temperature": TEMPERATURE, **tools}
