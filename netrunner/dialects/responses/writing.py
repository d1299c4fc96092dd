"""A conversation of any dialect written as a request to the Responses API.

Nothing is to be kept of it (``store`` is false), so what the model thought comes back sealed, and goes back so. The API
knows no stop sequences, no second answer and no bias of tokens: those are refused.

This module must not know who asks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from netrunner import sse
from netrunner.dialects import seals
from netrunner.dialects.answers import Document
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
    ToolResult,
    Turn,
    Written,
)
from netrunner.dialects.fields import data_url
from netrunner.dialects.gaps import Gaps
from netrunner.dialects.openai.writing import NO_PARAMETERS, effort
from netrunner.dialects.responses.names import call_id
from netrunner.dialects.responses.reading import SEALS
from netrunner.dialects.turns import BETWEEN, ERROR

_LOST = ("top_k", "seed", "presence_penalty", "frequency_penalty", "logprobs", "top_logprobs")
_REFUSED = ("stop", "logit_bias")


def write(asked: Conversation | Embedding, model: str, stream: bool, gaps: Gaps) -> Written:
    """Return the request.

    Args:
        asked: What is asked for.
        model: The name the provider knows.
        stream: Whether the answer is to be a stream.
        gaps: Hears of what this API has no place for.

    Raises:
        UnsupportedParameter: for what would change the meaning if it were left out.
    """
    if isinstance(asked, Embedding):
        raise gaps.unsupported("inputs", "embeddings")
    _give_up(asked, gaps)
    body: Document = {"model": model, "input": list(_input(asked.turns, gaps)), "stream": stream, "store": False}
    if asked.instructions:
        body["instructions"] = BETWEEN.join(asked.instructions)
    body |= _tools(asked)
    if asked.format is not None:
        body["text"] = {"format": _format(asked.format)}
    if asked.thinking is not None:
        body |= _thinking(asked.thinking)
    plain = {
        "max_output_tokens": asked.max_tokens,
        "temperature": asked.temperature,
        "top_p": asked.top_p,
        "user": asked.user,
    }
    body.update((name, value) for name, value in plain.items() if value is not None)
    return Written("responses", sse.compact(body))


def _give_up(asked: Conversation, gaps: Gaps) -> None:
    for field in _REFUSED:
        if getattr(asked, field):
            raise gaps.unsupported(field)
    if (asked.n or 1) > 1:
        raise gaps.unsupported("n", "one answer a request")
    for field in _LOST:
        value = getattr(asked, field)
        if value is not None and value is not False:
            gaps.drop(field)


def _thinking(thinking: Thinking) -> Document:
    word = effort(thinking)
    reasoning = {} if word is None else {"effort": word}
    if thinking.enabled is False:
        return {"reasoning": reasoning}
    if thinking.shown:
        reasoning["summary"] = "auto"
    return {"include": [SEALS], **({"reasoning": reasoning} if reasoning else {})}


def _format(format: Format) -> Document:
    if format.kind == "json_object":
        return {"type": "json_object"}
    told: Document = {"type": "json_schema", "name": format.name or "answer", "schema": format.schema or {}}
    for name, value in (("description", format.description), ("strict", format.strict)):
        if value is not None:
            told[name] = value
    return told


def _tools(asked: Conversation) -> Document:
    """Return what is asked about tools; where there are none, only a demand for one means something."""
    told: Document = {}
    if asked.tools:
        told["tools"] = [_tool(tool) for tool in asked.tools]
        if asked.parallel_tool_calls is not None:
            told["parallel_tool_calls"] = asked.parallel_tool_calls
    choice = asked.tool_choice
    if choice is not None and (asked.tools or choice.mode in ("required", "named")):
        told["tool_choice"] = {"type": "function", "name": choice.name} if choice.mode == "named" else choice.mode
    return told


def _tool(tool: Tool) -> Document:
    told: Document = {"type": "function", "name": tool.name}
    if tool.description is not None:
        told["description"] = tool.description
    # Left out, strict would be true here; in every other dialect it is not.
    return {**told, "parameters": tool.parameters or NO_PARAMETERS, "strict": tool.strict or False}


# --- turns --------------------------------------------------------------------------------------------------


def _input(turns: Iterable[Turn], gaps: Gaps) -> Iterator[Document]:
    for turn in turns:
        if turn.name is not None:
            gaps.drop("name")
        said: list[Document] = []
        for part in turn.parts:
            item = _item(part, gaps)
            if item is not None:
                yield from _message(turn, said)
                said = []
                yield item
            elif not isinstance(part, Reasoning):
                said += _content(part, turn.role, gaps)
        yield from _message(turn, said)


def _message(turn: Turn, said: list[Document]) -> Iterator[Document]:
    if said:
        yield {"type": "message", "role": turn.role, "content": said}


def _item(part: Part, gaps: Gaps) -> Document | None:
    """Return the item that a part is of its own; None for what is said in messages, and for what is not said again."""
    if isinstance(part, ToolCall):
        call = {"call_id": call_id(part.id), "name": part.name, "arguments": part.arguments}
        return {"type": "function_call", **call}
    if isinstance(part, ToolResult):
        return {"type": "function_call_output", "call_id": call_id(part.id), "output": _output(part, gaps)}
    if isinstance(part, Reasoning):
        sealed = seals.unsealed(seals.RESPONSES, part.signature)
        if sealed is None:
            gaps.drop("reasoning")
            return None
        summary = [{"type": "summary_text", "text": part.text}] if part.text else []
        return {"type": "reasoning", "summary": summary, "encrypted_content": sealed}
    return None


def _output(result: ToolResult, gaps: Gaps) -> str | list[Document]:
    content = [one for part in result.content for one in _content(part, "user", gaps)]
    if result.is_error:
        content.insert(0, {"type": "input_text", "text": ERROR})
    if all(one["type"] == "input_text" for one in content):
        return "".join(one["text"] for one in content)
    return content


def _content(part: Any, role: str, gaps: Gaps) -> list[Document]:
    """Return a part of a message; none for one that has no place there."""
    if isinstance(part, Text):
        return [{"type": "output_text" if role == "assistant" else "input_text", "text": part.text}]
    if isinstance(part, Refusal):
        return [{"type": "refusal", "refusal": part.text}]
    if role == "assistant" or part.kind == "audio":
        gaps.drop("assistant_media" if role == "assistant" else part.kind)
        return []
    if part.kind == "video":
        raise gaps.unsupported("video")
    return [_image(part) if part.kind == "image" else _file(part)]


def _image(image: Media) -> Document:
    told: Document = {"type": "input_image", "detail": image.detail or "auto"}
    if image.file_id is not None:
        return {**told, "file_id": image.file_id}
    return {**told, "image_url": image.url or data_url(image.mime or "image/png", image.data or "")}


def _file(file: Media) -> Document:
    told: Document = {"type": "input_file"}
    if file.file_id is not None:
        return {**told, "file_id": file.file_id}
    if file.url is not None:
        return {**told, "file_url": file.url}
    data = data_url(file.mime or "application/pdf", file.data or "")
    return {**told, "filename": file.name or "document", "file_data": data}
