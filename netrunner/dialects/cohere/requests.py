"""Chats and embeddings as Cohere wants them.

This module must not know where they are sent.
"""

from __future__ import annotations

from typing import Any

from netrunner import sse
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
from netrunner.dialects.fields import data_url
from netrunner.dialects.gaps import Gaps
from netrunner.dialects.turns import ERROR, merged, result_text, without_prefill, words

MAX_STOPS = 5
PURPOSES = {
    "query": "search_query",
    "document": "search_document",
    "classification": "classification",
    "clustering": "clustering",
}
"""Cohere's ``input_type`` by the purpose of an embedding; without one it is a document to be searched."""
_EMPTY = {"type": "object", "properties": {}}
_LEVELS = {"auto": "auto", "low": "low", "high": "high", "original": "high"}


def embed(request: Embedding, model: str, gaps: Gaps) -> bytes:
    """Return the body of a request for embeddings."""
    if request.user is not None:
        gaps.drop("user")
    purpose = request.purpose or "document"
    if purpose not in PURPOSES:
        gaps.drop("purpose")
    return _compact(
        model=model,
        texts=request.inputs,
        input_type=PURPOSES.get(purpose, PURPOSES["document"]),
        embedding_types=("float",),
        output_dimension=request.dimensions,
    )


def chat(request: Conversation, model: str, stream: bool, gaps: Gaps) -> bytes:
    """Return the body of a request for a chat.

    Raises:
        UnsupportedParameter: for what would change the meaning if it were left out.
    """
    _refuse(request, gaps)
    _drop(request, gaps)
    return _compact(
        model=model,
        messages=_messages(request, gaps),
        stream=stream,
        tools=[_tool(tool) for tool in request.tools] or None,
        strict_tools=_strict(request.tools, gaps),
        tool_choice=_tool_choice(request),
        response_format=_format(request.format),
        thinking=_thinking(request.thinking, gaps),
        max_tokens=request.max_tokens,
        temperature=request.temperature,
        p=_within("top_p", request.top_p, 0.01, 0.99, gaps),
        k=_within("top_k", request.top_k, 0, 500, gaps),
        stop_sequences=request.stop or None,
        seed=request.seed,
        presence_penalty=_within("presence_penalty", request.presence_penalty, 0, 1, gaps),
        frequency_penalty=_within("frequency_penalty", request.frequency_penalty, 0, 1, gaps),
    )


def _compact(**fields: Any) -> bytes:
    return sse.compact({name: value for name, value in fields.items() if value is not None})


def _refuse(request: Conversation, gaps: Gaps) -> None:
    if (request.n or 1) > 1:
        raise gaps.unsupported("n", "it gives one answer")
    if request.logit_bias:
        raise gaps.unsupported("logit_bias")
    if len(request.stop) > MAX_STOPS:
        raise gaps.unsupported("stop", f"it takes {MAX_STOPS}")
    if request.tool_choice is not None and request.tool_choice.mode == "named":
        raise gaps.unsupported("tool_choice", "it cannot be told which tool to call")


def _drop(request: Conversation, gaps: Gaps) -> None:
    if request.parallel_tool_calls is False:
        gaps.drop("parallel_tool_calls")
    if request.logprobs:
        # Cohere would tell them, but no event carries them.
        gaps.drop("logprobs")
    for field in ("top_logprobs", "user"):
        if getattr(request, field) is not None:
            gaps.drop(field)


def _within(field: str, value: float | None, low: float, high: float, gaps: Gaps) -> float | None:
    """Return the nearest value that Cohere takes."""
    if value is None or low <= value <= high:
        return value
    gaps.drop(field)
    return low if value < low else high


# --- messages -----------------------------------------------------------------------------------------------


def _messages(request: Conversation, gaps: Gaps) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = [{"role": "system", "content": text} for text in request.instructions]
    for turn in without_prefill(merged(request.turns, gaps), gaps):
        if turn.role == "system":
            messages.append({"role": "system", "content": words(turn.parts)})
        elif turn.role == "assistant":
            messages += _assistant(turn, gaps)
        else:
            messages += _user(turn, gaps)
    return messages


def _assistant(turn: Turn, gaps: Gaps) -> list[dict[str, Any]]:
    """Return what the model said; what it said beside calls is its plan for them."""
    if any(isinstance(part, Reasoning) for part in turn.parts):
        gaps.drop("reasoning")
    for part in turn.parts:
        if isinstance(part, Media):
            raise gaps.unsupported(part.kind, "the assistant's messages hold none")
    text = words(turn.parts)
    calls = [
        {"id": part.id, "type": "function", "function": {"name": part.name, "arguments": part.arguments}}
        for part in turn.parts
        if isinstance(part, ToolCall)
    ]
    if calls:
        return [{"role": "assistant", **({"tool_plan": text} if text else {}), "tool_calls": calls}]
    return [{"role": "assistant", "content": text}] if text else []


def _user(turn: Turn, gaps: Gaps) -> list[dict[str, Any]]:
    """Return the results of tools, which follow their calls at once, and then what the user said."""
    messages: list[dict[str, Any]] = [
        {"role": "tool", "tool_call_id": part.id, "content": (ERROR if part.is_error else "") + result_text(part, gaps)}
        for part in turn.parts
        if isinstance(part, ToolResult)
    ]
    rest = [part for part in turn.parts if not isinstance(part, ToolResult)]
    if any(isinstance(part, Media) for part in rest):
        content = [_media(part, gaps) if isinstance(part, Media) else _text(part) for part in rest]
        messages.append({"role": "user", "content": content})
    elif rest or not messages:
        messages.append({"role": "user", "content": words(rest)})
    return messages


def _text(part: Any) -> dict[str, Any]:
    return {"type": "text", "text": part.text}


def _media(part: Media, gaps: Gaps) -> dict[str, Any]:
    if part.kind != "image":
        raise gaps.unsupported(part.kind, "it takes texts and images")
    if part.file_id is not None:
        raise gaps.unsupported("image", "a file stored elsewhere cannot be sent")
    image = {"url": part.url or data_url(part.mime or "application/octet-stream", part.data or "")}
    if part.detail is not None:
        image["detail"] = _LEVELS.get(part.detail, "auto")
    return {"type": "image_url", "image_url": image}


# --- the rest -----------------------------------------------------------------------------------------------


def _tool(tool: Tool) -> dict[str, Any]:
    described = {} if tool.description is None else {"description": tool.description}
    function = {"name": tool.name, **described, "parameters": tool.parameters or _EMPTY}
    return {"type": "function", "function": function}


def _strict(tools: tuple[Tool, ...], gaps: Gaps) -> bool | None:
    """Return whether calls have to follow their schemas: for all or none, and each requires something."""
    wanted = [tool for tool in tools if tool.strict]
    if not wanted:
        return None
    if len(wanted) == len(tools) and all((tool.parameters or _EMPTY).get("required") for tool in tools):
        return True
    gaps.drop("strict")
    return None


def _tool_choice(request: Conversation) -> str | None:
    if request.tool_choice is None or not request.tools:
        return None
    return {"none": "NONE", "required": "REQUIRED"}.get(request.tool_choice.mode)


def _format(wanted: Format | None) -> dict[str, Any] | None:
    if wanted is None:
        return None
    if wanted.schema is None:
        return {"type": "json_object"}
    described = {} if wanted.description is None else {"description": wanted.description}
    return {"type": "json_object", "json_schema": {**described, **wanted.schema}}


def _thinking(wanted: Thinking | None, gaps: Gaps) -> dict[str, Any] | None:
    """Return whether and how long to think: there is a budget, and no effort.

    Models that can think do by default, and others may refuse to be told; so an effort, which many clients send to any
    model, is no reason to tell them.
    """
    if wanted is None:
        return None
    if wanted.enabled is False:
        return {"type": "disabled"}
    if wanted.budget_tokens is not None:
        return {"type": "enabled", "token_budget": wanted.budget_tokens}
    if wanted.effort is not None:
        gaps.drop("thinking")
        return None
    return {"type": "enabled"} if wanted.enabled else None
