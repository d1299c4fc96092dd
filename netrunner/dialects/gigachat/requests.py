"""Chats and embeddings as GigaChat wants them.

A turn makes one call at most: several of one turn are told one after the other, each with its result. The state that a
call belongs to travels as the call's signature. An image stands in the place of the id that it has once it was sent.

This module must not know where they are sent.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from netrunner import sse
from netrunner.dialects import seals
from netrunner.dialects.conversation import (
    Conversation,
    Embedding,
    Format,
    Media,
    Reasoning,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    Turn,
)
from netrunner.dialects.gaps import Gaps
from netrunner.dialects.gigachat.files import MAX_IMAGES, attachment
from netrunner.dialects.turns import BETWEEN, merged, result_text, without_prefill, words

JSON_ONLY = "Answer with one JSON object and nothing else."
"""The instruction that stands for a form without a schema."""
_EMPTY = {"type": "object", "properties": {}}
_EFFORTS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "high", "max": "high"}
_BUDGETS = ((2048, "low"), (8192, "medium"))
"""The effort that stands for thinking of fewer tokens; beyond them it is high."""

Message = dict[str, Any]


def embed(request: Embedding, model: str, gaps: Gaps) -> bytes:
    """Return the body of a request for embeddings.

    Raises:
        UnsupportedParameter: for dimensions: the model has its own.
    """
    if request.dimensions is not None:
        raise gaps.unsupported("dimensions", "the model has its own")
    for field in ("purpose", "user"):
        if getattr(request, field) is not None:
            gaps.drop(field)
    return sse.compact({"model": model, "input": request.inputs})


def chat(request: Conversation, model: str, stream: bool, gaps: Gaps) -> bytes:
    """Return the body of a request for a chat.

    Raises:
        UnsupportedParameter: for what would change the meaning if it were left out.
    """
    if request.logit_bias:
        raise gaps.unsupported("logit_bias")
    _drop(request, gaps)
    # A temperature of 0 is refused; to choose among nothing but the likeliest means the same.
    coldest = request.temperature == 0
    fields = {
        "model": model,
        "messages": _messages(request, gaps),
        "stream": stream,
        "functions": [_function(tool, gaps) for tool in request.tools] or None,
        "function_call": _function_call(request, gaps),
        "response_format": _format(request.format, gaps),
        "reasoning_effort": _effort(request.thinking, gaps),
        "max_tokens": request.max_tokens,
        "temperature": None if coldest else request.temperature,
        "top_p": 0 if coldest else request.top_p,
        "n": request.n,
    }
    return sse.compact({name: value for name, value in fields.items() if value is not None})


def _drop(request: Conversation, gaps: Gaps) -> None:
    for field in ("top_k", "seed", "presence_penalty", "frequency_penalty", "top_logprobs", "user"):
        if getattr(request, field) is not None:
            gaps.drop(field)
    for field in ("stop", "logprobs"):
        if getattr(request, field):
            gaps.drop(field)


# --- messages -----------------------------------------------------------------------------------------------


def _messages(request: Conversation, gaps: Gaps) -> list[Message]:
    """Return the messages: of the system one, at the beginning."""
    instructions = list(request.instructions)
    turns = list(request.turns)
    while turns and turns[0].role == "system":
        instructions.append(words(turns.pop(0).parts))
    if request.format is not None and request.format.schema is None:
        instructions.append(JSON_ONLY)
    messages: list[Message] = []
    if any(instructions):
        messages.append({"role": "system", "content": BETWEEN.join(one for one in instructions if one)})
    history = _History(without_prefill(merged(_demoted(turns, gaps), gaps), gaps), gaps)
    messages += history.messages()
    if sum("attachments" in message for message in messages) > MAX_IMAGES:
        raise gaps.unsupported("image", f"a request has {MAX_IMAGES} at most")
    return messages


def _demoted(turns: Iterable[Turn], gaps: Gaps) -> Iterable[Turn]:
    """Yield the turns, those of the system as the user's."""
    for turn in turns:
        if turn.role == "system":
            gaps.drop("system")
            yield Turn("user", turn.parts)
        else:
            yield turn


class _History:
    """The turns of a conversation as messages; each result stands behind its call."""

    def __init__(self, turns: list[Turn], gaps: Gaps) -> None:
        self._turns = turns
        self._gaps = gaps
        self._names: dict[str, str] = {}
        """Of tools, by the ids of their calls."""

    def messages(self) -> list[Message]:
        """Return them all."""
        messages: list[Message] = []
        for number, turn in enumerate(self._turns):
            following = self._turns[number + 1] if number + 1 < len(self._turns) else None
            if turn.role == "assistant":
                messages += self._assistant(turn, following)
            else:
                before = self._turns[number - 1] if number else None
                messages += self._user(turn, before)
        return messages

    def _assistant(self, turn: Turn, following: Turn | None) -> list[Message]:
        """Return what the model said, with its calls and what came of each."""
        results = _results(following)
        said: Message = {"role": "assistant", "content": words(turn.parts)}
        messages: list[Message] = []
        state: str | None = None
        for part in turn.parts:
            if isinstance(part, Media):
                raise self._gaps.unsupported(part.kind, "the assistant's messages hold none")
            if isinstance(part, Reasoning):
                state = self._state(part) or state
            elif isinstance(part, ToolCall):
                self._names[part.id] = part.name
                call = {"name": part.name, "arguments": msgspec.Raw((part.arguments or "{}").encode())}
                state = seals.unsealed(seals.GIGACHAT, part.signature) or state
                told = {} if state is None else {"functions_state_id": state}
                messages.append({**said, "function_call": call, **told})
                if part.id in results:
                    messages.append(self._result(results[part.id]))
                said, state = {"role": "assistant", "content": ""}, None
        return messages or ([said] if said["content"] else [])

    def _state(self, reasoning: Reasoning) -> str | None:
        """Return the state that stands before its call, where the caller's dialect has no place for it at the call."""
        state = seals.unsealed(seals.GIGACHAT, reasoning.signature)
        if state is None or reasoning.text:
            self._gaps.drop("reasoning")
        return state

    def _user(self, turn: Turn, before: Turn | None) -> list[Message]:
        """Return the results whose calls are not right before them, and then what the user said."""
        calls = {part.id for part in before.parts if isinstance(part, ToolCall)} if before is not None else set()
        results = [part for part in turn.parts if isinstance(part, ToolResult)]
        messages = [self._result(part) for part in results if part.id not in calls]
        images = [attachment(part, self._gaps) for part in turn.parts if isinstance(part, Media)]
        if len(images) > 1:
            raise self._gaps.unsupported("image", "a message has one at most")
        text = words(turn.parts)
        if text or images or not results:
            attached = {"attachments": images} if images else {}
            messages.append({"role": "user", "content": text, **attached})
        return messages

    def _result(self, result: ToolResult) -> Message:
        name = result.name or self._names.get(result.id) or result.id
        return {"role": "function", "name": name, "content": _object(result_text(result, self._gaps), result.is_error)}


def _results(turn: Turn | None) -> dict[str, ToolResult]:
    parts = turn.parts if turn is not None else ()
    return {part.id: part for part in parts if isinstance(part, ToolResult)}


def _object(text: str, is_error: bool) -> str:
    """Return what a tool said as the JSON of an object, which it has to be."""
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        found = text
    if isinstance(found, dict) and not is_error:
        return text
    return sse.compact({"error" if is_error else "result": found}).decode()


# --- the rest -----------------------------------------------------------------------------------------------


def _function(tool: Tool, gaps: Gaps) -> dict[str, Any]:
    if tool.strict:
        gaps.drop("strict")
    described = {} if tool.description is None else {"description": tool.description}
    return {"name": tool.name, **described, "parameters": tool.parameters or _EMPTY}


def _function_call(request: Conversation, gaps: Gaps) -> str | dict[str, str] | None:
    """Return whether to call: it cannot be told to call just anything."""
    choice = request.tool_choice
    if choice is None or not request.tools:
        return None
    if choice.mode == "required":
        gaps.drop("tool_choice")
    if choice.mode == "named" and choice.name is not None:
        return {"name": choice.name}
    return "none" if choice.mode == "none" else "auto"


def _format(wanted: Format | None, gaps: Gaps) -> dict[str, Any] | None:
    if wanted is None:
        return None
    if wanted.schema is None:
        gaps.drop("format")
        return None
    described = {} if wanted.description is None else {"description": wanted.description}
    strict = {} if wanted.strict is None else {"strict": wanted.strict}
    return {"type": "json_schema", "schema": {**described, **wanted.schema}, **strict}


def _effort(wanted: Thinking | None, gaps: Gaps) -> str | None:
    """Return how much to think; models that can think do when they are asked to."""
    if wanted is None or wanted.enabled is False:
        return None
    if wanted.effort is not None:
        return _EFFORTS[wanted.effort]
    if wanted.budget_tokens is not None:
        return next((effort for most, effort in _BUDGETS if wanted.budget_tokens <= most), "high")
    return "medium" if wanted.enabled else None
