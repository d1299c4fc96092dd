"""A request as OpenAI-like providers want it: the plain form, which each of them knows.

What single providers want otherwise is patched behind this, see ``family``: ``max_tokens`` may have another name, and
reasoning of earlier turns is taken out for all but those that want it back.

This module must not read a caller's document.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator
from typing import Any

from netrunner import sse
from netrunner.dialects import seals
from netrunner.dialects.conversation import (
    Conversation,
    Embedding,
    Format,
    Media,
    Part,
    Reasoning,
    Refusal,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
    Written,
)
from netrunner.dialects.fields import data_url
from netrunner.dialects.gaps import Gaps
from netrunner.dialects.turns import ERROR

_FORMATS = {"audio/wav": "wav", "audio/x-wav": "wav", "audio/wave": "wav", "audio/mpeg": "mp3", "audio/mp3": "mp3"}
_BUDGETS = ((4096, "low"), (16384, "medium"))
"""Up to how many tokens of thinking which effort stands for; beyond them it is high."""
_SAMPLING = ("max_tokens", "temperature", "top_p", "seed", "presence_penalty", "frequency_penalty", "n", "logit_bias")
NO_PARAMETERS = {"type": "object", "properties": {}}

Document = dict[str, Any]


def write(request: Conversation | Embedding, model: str, stream: bool, gaps: Gaps) -> Written:
    """Return the request as this dialect's providers want it; see ``ITranslates.write``."""
    if isinstance(request, Embedding):
        return Written("embeddings", sse.compact(_embedding(request, model, gaps)))
    document: Document = {"model": model, "messages": list(_messages(request, gaps))}
    for field in _SAMPLING:
        if (value := getattr(request, field)) is not None:
            document[field] = value
    if request.stop:
        document["stop"] = list(request.stop)
    if request.user is not None:
        document["user"] = request.user
    for lost in ("top_k", "logprobs", "top_logprobs"):
        if getattr(request, lost):
            # The first is not known here; of the others nothing would come back through block events.
            gaps.drop(lost)
    _write_tools(request, document)
    if request.format is not None:
        document["response_format"] = _format(request.format)
    if request.thinking is not None and (word := effort(request.thinking)) is not None:
        document["reasoning_effort"] = word
    if stream:
        document["stream"], document["stream_options"] = True, {"include_usage": True}
    return Written("chat/completions", sse.compact(document))


def _embedding(request: Embedding, model: str, gaps: Gaps) -> Document:
    document: Document = {"model": model, "input": request.inputs[0] if request.single else list(request.inputs)}
    if request.dimensions is not None:
        document["dimensions"] = request.dimensions
    if request.user is not None:
        document["user"] = request.user
    if request.purpose is not None:
        gaps.drop("purpose")
    return document


def _write_tools(request: Conversation, document: Document) -> None:
    choice = request.tool_choice
    if request.tools:
        document["tools"] = [_tool(tool) for tool in request.tools]
        if request.parallel_tool_calls is not None:
            document["parallel_tool_calls"] = request.parallel_tool_calls
    if choice is not None and (request.tools or choice.mode in ("required", "named")):
        # Without tools, whoever demands a call is told so by the provider; to others it means nothing.
        document["tool_choice"] = _choice(choice)


def _tool(tool: Tool) -> Document:
    function: Document = {"name": tool.name, "parameters": tool.parameters or NO_PARAMETERS}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _choice(choice: ToolChoice) -> Any:
    return {"type": "function", "function": {"name": choice.name}} if choice.mode == "named" else choice.mode


def _format(format: Format) -> Document:
    if format.kind == "json_object":
        return {"type": "json_object"}
    schema: Document = {"name": format.name or "answer"}
    for field in ("schema", "description", "strict"):
        if (value := getattr(format, field)) is not None:
            schema[field] = value
    return {"type": "json_schema", "json_schema": schema}


def effort(thinking: Thinking) -> str | None:
    """Return how hard to think; None where the model is to think as it does."""
    if thinking.enabled is False:
        return "none"
    if thinking.effort is not None or not thinking.budget_tokens:
        return thinking.effort
    return next((word for most, word in _BUDGETS if thinking.budget_tokens <= most), "high")


# --- messages -----------------------------------------------------------------------------------------------


def _messages(request: Conversation, gaps: Gaps) -> Iterator[Document]:
    for text in request.instructions:
        yield {"role": "system", "content": text}
    for turn in request.turns:
        if turn.role == "assistant":
            yield from _assistant(turn, gaps)
        else:
            yield from _results(turn, gaps)
            rest = [part for part in turn.parts if not isinstance(part, ToolResult)]
            if rest:
                yield _named({"role": turn.role, "content": _content(rest, gaps)}, turn)


def _named(message: Document, turn: Turn) -> Document:
    if turn.name is not None:
        message["name"] = turn.name
    return message


def _assistant(turn: Turn, gaps: Gaps) -> Iterator[Document]:
    """Yield what a model said as one message; none if nothing of it is left."""
    texts: list[str] = []
    refusals: list[str] = []
    calls: list[Document] = []
    thoughts: list[Reasoning] = []
    for part in turn.parts:
        if isinstance(part, Text):
            texts.append(part.text)
        elif isinstance(part, Refusal):
            refusals.append(part.text)
        elif isinstance(part, ToolCall):
            calls.append(
                {"id": part.id, "type": "function", "function": {"name": part.name, "arguments": part.arguments}}
            )
        elif isinstance(part, Reasoning):
            thoughts.append(part)
        else:
            gaps.drop("assistant_media")
    message: Document = {"role": "assistant", "content": "".join(texts) if texts or not calls else None}
    if thoughts:
        message |= _reasoning(thoughts)
    if refusals:
        message["refusal"] = "".join(refusals)
    if calls:
        message["tool_calls"] = calls
    if texts or refusals or calls:
        yield _named(message, turn)


def _reasoning(thoughts: list[Reasoning]) -> Document:
    """Return what was thought as text, and with its seals in OpenRouter's form."""
    told: Document = {}
    if words := "".join(one.text for one in thoughts):
        told["reasoning_content"] = words
    details: list[Document] = []
    for one in thoughts:
        format = seals.format_of(one.signature or "")
        seal = seals.unsealed(format, one.signature) if format is not None else None
        if one.text:
            sealed = {} if seal is None else {"signature": seal, "format": format}
            details.append({"type": "reasoning.text", "text": one.text, **sealed, "index": len(details)})
        elif seal is not None:
            details.append({"type": "reasoning.encrypted", "data": seal, "format": format, "index": len(details)})
    if any("format" in one for one in details):
        told["reasoning_details"] = details
    return told


def _results(turn: Turn, gaps: Gaps) -> Iterator[Document]:
    """Yield the results in a turn, which have to follow their calls at once; media of theirs come after them."""
    shown: list[Part] = []
    for part in turn.parts:
        if isinstance(part, ToolResult):
            words = "\n".join(one.text for one in part.content if isinstance(one, Text))
            media = [one for one in part.content if isinstance(one, Media)]
            if media:
                gaps.drop("tool_result_images")
                shown += [Text(f"What the tool call {part.id} returned:"), *media]
            content = ERROR + words if part.is_error else words
            yield {"role": "tool", "tool_call_id": part.id, "content": content}
    if shown:
        yield {"role": "user", "content": _content(shown, gaps)}


def _content(parts: Iterable[Part], gaps: Gaps) -> Any:
    """Return a content: a text as such, which every provider knows, anything else as a list of parts."""
    parts = list(parts)
    if len(parts) == 1 and isinstance(parts[0], Text):
        return parts[0].text
    return [_part(part, gaps) for part in parts]


def _part(part: Part, gaps: Gaps) -> Document:
    if isinstance(part, Media):
        return _media(part, gaps)
    assert isinstance(part, (Text, Refusal))  # all that a turn of this role may hold beside results
    return {"type": "text", "text": part.text}


def _media(media: Media, gaps: Gaps) -> Document:
    """Return media in a form of OpenAI's own.

    Raises:
        UnsupportedParameter: for what has none.
    """
    mime, data = media.mime or "", media.data
    if media.kind == "image" and media.file_id is None:
        image: Document = {"url": media.url if data is None else data_url(mime or "image/png", data)}
        if media.detail is not None:
            image["detail"] = media.detail
        return {"type": "image_url", "image_url": image}
    if media.kind == "audio" and data is not None and mime in _FORMATS:
        return {"type": "input_audio", "input_audio": {"data": data, "format": _FORMATS[mime]}}
    if media.kind == "document" and media.file_id is not None:
        return {"type": "file", "file": {"file_id": media.file_id}}
    if media.kind == "document" and data is not None:
        words = _words(data) if mime.startswith("text/") else None
        if words is not None:
            return {"type": "text", "text": words}
        name, url = media.name or "document", data_url(mime or "application/pdf", data)
        return {"type": "file", "file": {"filename": name, "file_data": url}}
    raise gaps.unsupported(media.kind, "in this form")


def _words(data: str) -> str | None:
    """Return a text document's words; None where they cannot be read."""
    try:
        return base64.b64decode(data, validate=True).decode()
    except (binascii.Error, ValueError):
        return None
