"""Anthropic's requests read in terms of no dialect.

This module must not know whom the request goes to.
"""

from __future__ import annotations

import msgspec

from netrunner.dialects.anthropic.blocks import NO_SAMPLING_SINCE, end, turns, words
from netrunner.dialects.conversation import Conversation, Format, Thinking, Tool, ToolChoice
from netrunner.dialects.fields import Fields, document, invalid
from netrunner.dialects.gaps import Gaps
from netrunner.errors import BadRequest
from netrunner.values import Envelope

MIN_BUDGET = 1024
"""The least that ``budget_tokens`` may be."""

_CALLED = {
    "turns": "messages",
    "instructions": "system",
    "stop": "stop_sequences",
    "user": "metadata.user_id",
    "format": "output_config.format",
    "parallel_tool_calls": "tool_choice.disable_parallel_tool_use",
}
_CHOICES = {"auto": "auto", "any": "required", "tool": "named", "none": "none"}


def read(envelope: Envelope, gaps: Gaps, count: bool) -> Conversation:
    """Return what a request asks for.

    Args:
        envelope: The request's.
        gaps: Is told what is given up.
        count: Whether tokens are to be counted only, so that no answer has to be bounded.

    Raises:
        BadRequest: naming the field that is malformed, or cannot be carried to another dialect.
    """
    found = document(envelope.body)
    fields = Fields(found, "", gaps)
    for field, name in _CALLED.items():
        gaps.called(field, name)
    version = envelope.version or ""
    if version >= NO_SAMPLING_SINCE:
        _refuse_sampling(fields)
    max_tokens = _max_tokens(fields, count)
    for field in ("model", "stream", "betas"):
        fields.value(field)
    for field in ("container", "mcp_servers", "inference_geo"):
        fields.refuse(field)
    conversation = Conversation(
        instructions=tuple(text.text for text in words(fields, "system")),
        turns=tuple(turns(fields, version)),
        tools=tuple(_tool(tool) for tool in fields.objects("tools")),
        max_tokens=max_tokens,
        temperature=fields.number("temperature", 0, 1),
        top_p=fields.number("top_p", 0, 1),
        top_k=fields.integer("top_k", 0),
        stop=fields.texts("stop_sequences"),
        native=found,
    )
    _read_choice(fields, conversation)
    _read_thinking(fields, conversation)
    _read_output(fields, conversation)
    _read_metadata(fields, conversation)
    end(fields)
    return conversation


def _max_tokens(fields: Fields, count: bool) -> int | None:
    most = fields.integer("max_tokens", 0)
    if most is None and not count:
        raise invalid("max_tokens", "an integer")
    if most == 0:
        raise fields.gaps.unsupported("max_tokens", "an answer of no tokens")
    return most


def _refuse_sampling(fields: Fields) -> None:
    for field in ("temperature", "top_p", "top_k"):
        if field in fields:
            raise BadRequest(
                f"{field}: not supported since version {NO_SAMPLING_SINCE} of the API, which the request names.",
                code="invalid_value",
                param=field,
            )


def _read_metadata(fields: Fields, conversation: Conversation) -> None:
    metadata = fields.inner("metadata")
    if metadata is not None:
        conversation.user = metadata.text("user_id")
        metadata.drop_rest()


# --- how it is asked ----------------------------------------------------------------------------------------


def _tool(tool: Fields) -> Tool:
    kind = tool.text("type")
    if kind not in (None, "custom"):
        raise tool.gaps.unsupported(tool.name("type"), kind[:40])
    schema = tool.mapping("input_schema")
    if schema is None:
        raise invalid(tool.name("input_schema"), "an object")
    read = Tool(tool.needed_text("name"), tool.text("description"), schema, tool.boolean("strict"))
    if tool.value("allowed_callers") not in (None, ["direct"]):
        raise tool.gaps.unsupported(tool.name("allowed_callers"))
    end(tool)
    return read


def _read_choice(fields: Fields, conversation: Conversation) -> None:
    choice = fields.inner("tool_choice")
    if choice is None:
        return
    kind = choice.word("type", *_CHOICES)
    if kind is None:
        raise invalid("tool_choice.type", f"one of {', '.join(_CHOICES)}")
    name = choice.needed_text("name") if kind == "tool" else None
    conversation.tool_choice = ToolChoice(_CHOICES[kind], name)  # type: ignore[arg-type]  # one of its words
    if choice.boolean("disable_parallel_tool_use"):
        conversation.parallel_tool_calls = False
    choice.drop_rest()


def _read_thinking(fields: Fields, conversation: Conversation) -> None:
    thinking = fields.inner("thinking")
    if thinking is None:
        return
    kind = thinking.word("type", "enabled", "adaptive", "disabled", "between_tools")
    if kind is None:
        raise invalid("thinking.type", "one of enabled, adaptive, disabled, between_tools")
    shown = thinking.word("display", "summarized", "omitted")
    budget = thinking.integer("budget_tokens", MIN_BUDGET) if kind == "enabled" else None
    if kind == "enabled":
        if budget is None:
            raise invalid("thinking.budget_tokens", "an integer")
        if conversation.max_tokens is not None and budget >= conversation.max_tokens:
            raise invalid("thinking.budget_tokens", "less than max_tokens")
    if kind == "disabled":
        conversation.thinking = Thinking(enabled=False)
    else:
        conversation.thinking = Thinking(enabled=True, budget_tokens=budget, shown=shown != "omitted")
    thinking.drop_rest()


def _read_output(fields: Fields, conversation: Conversation) -> None:
    output = fields.inner("output_config")
    forms = [fields.inner("output_format")]
    if output is not None:
        effort = output.word("effort", "low", "medium", "high", "xhigh", "max")
        if effort is not None:
            told = conversation.thinking
            if told is None:
                fields.gaps.called("thinking", "output_config.effort")
            conversation.thinking = msgspec.structs.replace(told or Thinking(), effort=effort)
        forms.insert(0, output.inner("format"))
        output.drop_rest()
    for form in forms:
        if form is not None and conversation.format is None:
            conversation.format = _format(form)


def _format(form: Fields) -> Format:
    if form.word("type", "json_schema") is None:
        raise invalid(form.name("type"), "json_schema")
    schema = form.mapping("schema")
    if schema is None:
        raise invalid(form.name("schema"), "an object")
    form.drop_rest()
    return Format("json_schema", schema, strict=True)
