"""Writes what is asked for an Ollama provider.

This module must not fetch anything: an image that is not there as data is refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from netrunner import sse
from netrunner.dialects.conversation import (
    Conversation,
    Embedding,
    Format,
    Media,
    Part,
    Reasoning,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    Turn,
    Written,
)
from netrunner.dialects.fields import of_data_url
from netrunner.dialects.gaps import Gaps
from netrunner.dialects.ollama.reading import OPTIONS
from netrunner.dialects.turns import BETWEEN, ERROR, words

EFFORTS = {"minimal": "low", "xhigh": "max"}
"""Efforts that Ollama does not know, and what comes closest."""

Document = dict[str, Any]


def written(request: Conversation | Embedding, model: str, stream: bool, gaps: Gaps) -> Written:
    """Return a request in Ollama's own terms; see ``ITranslates.write``."""
    if isinstance(request, Embedding):
        return Written("embed", sse.compact(_embedding(request, model, gaps)))
    return Written("chat", sse.compact(_chat(request, model, stream, gaps)))


def _chat(request: Conversation, model: str, stream: bool, gaps: Gaps) -> Document:
    _refuse(request, gaps)
    messages: list[Document] = [{"role": "system", "content": text} for text in request.instructions]
    for turn in request.turns:
        messages += _messages(turn, gaps)
    body: Document = {"model": model, "messages": messages, "stream": stream}
    if tools := _tools(request, gaps):
        body["tools"] = tools
    if request.format is not None:
        body["format"] = _format(request.format)
    think = _think(request.thinking, gaps)
    if think is not None:
        body["think"] = think
    if options := _options(request):
        body["options"] = options
    return body


def _embedding(request: Embedding, model: str, gaps: Gaps) -> Document:
    body: Document = {"model": model, "input": request.inputs[0] if request.single else request.inputs}
    if request.dimensions is not None:
        body["dimensions"] = request.dimensions
    for field in ("purpose", "user"):
        if getattr(request, field) is not None:
            gaps.drop(field)
    return body


def _refuse(request: Conversation, gaps: Gaps) -> None:
    """Refuse what would mean something else without it, and give up what is merely lost."""
    if request.n is not None and request.n > 1:
        raise gaps.unsupported("n", "it gives one answer")
    if request.logprobs:
        raise gaps.unsupported("logprobs")
    if request.logit_bias:
        raise gaps.unsupported("logit_bias")
    if request.top_logprobs:
        gaps.drop("top_logprobs")
    if request.parallel_tool_calls is False:
        gaps.drop("parallel_tool_calls")
    if request.user is not None:
        gaps.drop("user")


def _options(request: Conversation) -> Document:
    found = {option: getattr(request, field) for field, option in OPTIONS.items()}
    return {option: value for option, value in found.items() if value is not None and value != ()}


def _format(format: Format) -> Any:
    return format.schema if format.kind == "json_schema" and format.schema is not None else "json"


def _think(thinking: Thinking | None, gaps: Gaps) -> bool | str | None:
    if thinking is None:
        return None
    if thinking.enabled is False:
        return False
    if thinking.budget_tokens is not None:
        gaps.drop("budget_tokens")
    if thinking.effort is not None:
        return EFFORTS.get(thinking.effort, thinking.effort)
    return True if thinking.enabled or thinking.budget_tokens is not None else None


def _tools(request: Conversation, gaps: Gaps) -> list[Document]:
    choice = request.tool_choice
    if choice is not None and choice.mode == "named":
        raise gaps.unsupported("tool_choice", "no tool can be named")
    if choice is not None and choice.mode == "none":
        return []
    if choice is not None and choice.mode == "required":
        gaps.drop("tool_choice")
    return [_tool(one, gaps) for one in request.tools]


def _tool(tool: Tool, gaps: Gaps) -> Document:
    if tool.strict:
        gaps.drop("strict")
    function: Document = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    function["parameters"] = tool.parameters or {"type": "object", "properties": {}}
    return {"type": "function", "function": function}


# --- messages -----------------------------------------------------------------------------------------------


def _messages(turn: Turn, gaps: Gaps) -> list[Document]:
    """Return the messages of one turn: each result of a tool is one of its own."""
    if turn.name is not None:
        gaps.drop("name")
    if turn.role == "assistant":
        return [_said(turn, gaps)]
    found: list[Document] = []
    parts: list[Part] = []
    for part in turn.parts:
        if isinstance(part, ToolResult):
            if parts:
                found.append(_content(turn.role, parts, gaps))
                parts = []
            found.append(_result(part, gaps))
        else:
            parts.append(part)
    if parts or not found:
        found.append(_content(turn.role, parts, gaps))
    return found


def _content(role: str, parts: Iterable[Part], gaps: Gaps) -> Document:
    """Return a message of texts and images."""
    message: Document = {"role": role, "content": words(parts)}
    images = [_image(part, gaps) for part in parts if isinstance(part, Media)]
    if images:
        message["images"] = images
    return message


def _said(turn: Turn, gaps: Gaps) -> Document:
    """Return what the model said."""
    message = _content("assistant", turn.parts, gaps)
    thoughts = [part for part in turn.parts if isinstance(part, Reasoning)]
    own = [part.text for part in thoughts if part.signature is None and not part.redacted]
    if len(own) != len(thoughts):
        # Sealed by another provider, whose model has thought it.
        gaps.drop("reasoning")
    if any(own):
        message["thinking"] = BETWEEN.join([text for text in own if text])
    calls = [_call(part, number) for number, part in enumerate(p for p in turn.parts if isinstance(p, ToolCall))]
    if calls:
        message["tool_calls"] = calls
    return message


def _call(call: ToolCall, number: int) -> Document:
    arguments = msgspec.Raw(call.arguments.encode())
    return {"id": call.id, "function": {"index": number, "name": call.name, "arguments": arguments}}


def _result(result: ToolResult, gaps: Gaps) -> Document:
    message = _content("tool", result.content, gaps)
    if result.is_error:
        message["content"] = ERROR + message["content"]
    if result.name is not None:
        message["tool_name"] = result.name
    message["tool_call_id"] = result.id
    return message


def _image(media: Media, gaps: Gaps) -> str:
    """Return the base64 of an image or a sound.

    Raises:
        UnsupportedParameter: for one that would have to be fetched, and for what Ollama has no place for.
    """
    if media.kind not in ("image", "audio"):
        raise gaps.unsupported(media.kind)
    inline = of_data_url(media.url) if media.url is not None else None
    data = media.data if inline is None else inline[1]
    if data is None:
        raise gaps.unsupported(media.kind, "it takes base64 only, and nothing is fetched here")
    return data
