"""The SDK ``openai`` asking for completions: a text and its end."""

from __future__ import annotations

from typing import Any

from tests.integration.matrix.clients.openai_chat import OpenAI
from tests.integration.matrix.terms import QUESTION, Request, Result


class Completions(OpenAI):
    """Completions of a prompt."""

    name = "OpenAI completions"
    chats = False

    def _whole(self, model: str, request: Request) -> Result:
        answer = self._sdk.completions.create(model=model, **_asked(request))
        [choice] = answer.choices
        return self._result(choice.text, choice.finish_reason, answer.usage, 1)

    def _streamed(self, model: str, request: Request) -> Result:
        options = {"include_usage": True}
        usage: Any = None
        finish = None
        for chunk in self._sdk.completions.create(model=model, stream=True, stream_options=options, **_asked(request)):
            usage = chunk.usage or usage
            for choice in chunk.choices:
                finish = choice.finish_reason or finish
                self._hear(choice.text)
        return self._result("".join(self._told), finish, usage, len(self._told))

    def _result(self, text: str, finish: str | None, usage: Any, pieces: int) -> Result:
        return Result(
            text=text,
            finish="stop" if finish == "stop" else "other",
            tokens=(usage.prompt_tokens, usage.completion_tokens),
            pieces=pieces,
            dropped=self.dropped,
        )


def _asked(request: Request) -> dict[str, Any]:
    sampled = {} if request.temperature is None else {"temperature": request.temperature}
    return {"prompt": QUESTION, "max_tokens": request.max_tokens, **sampled}
