"""A caller's request to the Responses API read in terms of no dialect.

Everything OpenAI documents is read, given up by name, or refused by name where the answer would mean something else
without it: what was kept of earlier answers, tools that OpenAI runs itself, work in the background.

This module must not know to whom the request goes.
"""

from __future__ import annotations

from typing import Any

from netrunner.dialects.conversation import Conversation, Format, Text, Thinking, Tool, ToolChoice, Turn
from netrunner.dialects.fields import Fields, document, invalid
from netrunner.dialects.gaps import Gaps
from netrunner.dialects.responses.items import Items

_LOST = (
    "access_programs",
    "background_options",
    "context_management",
    "image",
    "max_tool_calls",
    "metadata",
    "moderation",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "service_tier",
)
"""What may be left out: the answer means the same without it."""
_KEPT = ("conversation", "previous_response_id", "prompt")
"""What refers to something that OpenAI keeps."""
_CALLED = {"max_tokens": "max_output_tokens", "format": "text.format", "thinking": "reasoning", "turns": "input"}
_EFFORTS = ("minimal", "low", "medium", "high", "xhigh", "max")
SEALS = "reasoning.encrypted_content"
_LOGPROBS = "message.output_text.logprobs"


def read(body: bytes, gaps: Gaps) -> Conversation:
    """Return what is asked for.

    Args:
        body: The request's.
        gaps: Hears of what is given up.

    Raises:
        BadRequest: naming the field, for what is malformed; ``UnsupportedParameter`` for what cannot be carried.
    """
    native = document(body)
    fields = Fields(native, "", gaps)
    for field, name in _CALLED.items():
        gaps.called(field, name)
    for routed in ("model", "stream"):
        fields.value(routed)
    _refuse(fields)
    items = _input(fields)
    asked = Conversation(
        instructions=tuple(items.instructions),
        turns=tuple(items.turns),
        tools=tuple(_tool(tool) for tool in fields.objects("tools")),
        parallel_tool_calls=fields.boolean("parallel_tool_calls"),
        max_tokens=fields.integer("max_output_tokens", 1),
        temperature=fields.number("temperature", 0, 2),
        top_p=fields.number("top_p", 0, 1),
        format=_format(fields),
        thinking=_thinking(fields),
        user=_user(fields),
        native=native,
    )
    _choice(fields, asked)
    _lose(fields)
    fields.drop_rest()
    return asked


def _refuse(fields: Fields) -> None:
    for field in _KEPT:
        fields.refuse(field, "nothing is kept between requests")
    if fields.boolean("background"):
        raise fields.gaps.unsupported("background", "nothing is kept between requests")
    if fields.integer("top_logprobs", 0, 20):
        raise fields.gaps.unsupported("top_logprobs")
    if _LOGPROBS in fields.texts("include"):
        raise fields.gaps.unsupported("include", _LOGPROBS)


def _lose(fields: Fields) -> None:
    """Give up what an answer can do without; values that ask for nothing are not worth a word."""
    if set(fields.texts("include")) - {SEALS}:
        fields.drop("include")
    if fields.boolean("store"):
        fields.drop("store")
    if fields.word("truncation", "auto", "disabled") == "auto":
        fields.drop("truncation")
    options = fields.inner("stream_options")
    if options is not None:
        if options.boolean("include_obfuscation"):
            options.drop("include_obfuscation")
        options.drop_rest()
    fields.drop(*_LOST)


def _input(fields: Fields) -> Items:
    items = Items()
    instructions = fields.text("instructions")
    if instructions:
        items.instructions.append(instructions)
    found = fields.value("input")
    if isinstance(found, str):
        items.turns.append(Turn("user", (Text(found),)))
    elif isinstance(found, list):
        for item in fields.objects("input"):
            items.read(item)
    if not items.turns and (not items.instructions or not found):
        raise invalid("input", "a string or a list of items that is not empty")
    return items


def _user(fields: Fields) -> str | None:
    user = fields.text("user")
    if user is not None:
        fields.drop("safety_identifier")
        return user
    fields.gaps.called("user", "safety_identifier")
    return fields.text("safety_identifier")


def _thinking(fields: Fields) -> Thinking | None:
    reasoning = fields.inner("reasoning")
    if reasoning is None:
        return None
    effort: Any = reasoning.word("effort", "none", *_EFFORTS)
    styles = ("auto", "concise", "detailed")
    summary = reasoning.word("summary", *styles) or reasoning.word("generate_summary", *styles)
    reasoning.drop("context")
    if reasoning.text("mode") not in (None, "standard"):
        reasoning.drop("mode")
    reasoning.drop_rest()
    shown = True if summary is not None else None
    if effort == "none":
        return Thinking(enabled=False)
    if effort is None and shown is None:
        return None
    return Thinking(enabled=None if effort is None else True, effort=effort, shown=shown)


def _format(fields: Fields) -> Format | None:
    text = fields.inner("text")
    if text is None:
        return None
    text.drop("verbosity")
    form = text.inner("format")
    text.drop_rest()
    if form is None:
        return None
    kind = form.word("type", "text", "json_object", "json_schema")
    if kind is None:
        raise invalid(form.name("type"), "one of text, json_object, json_schema")
    found = Format("json_object") if kind == "json_object" else None
    if kind == "json_schema":
        schema = form.mapping("schema")
        if schema is None:
            raise invalid(form.name("schema"), "an object")
        found = Format("json_schema", schema, form.text("name"), form.text("description"), form.boolean("strict"))
    form.drop_rest()
    return found


# --- tools --------------------------------------------------------------------------------------------------


def _tool(tool: Fields) -> Tool:
    _function(tool, tool.needed_text("type"))
    found = Tool(tool.needed_text("name"), tool.text("description"), tool.mapping("parameters"), tool.boolean("strict"))
    tool.drop_rest()
    return found


def _function(tool: Fields, kind: str) -> None:
    """Refuse a tool, or the choice of one, that is no function."""
    if kind != "function":
        raise tool.gaps.unsupported(tool.name("type"), "custom tools" if kind == "custom" else "hosted tools")


def _choice(fields: Fields, asked: Conversation) -> None:
    """Read which tools may be called; where only some are allowed, no others are left to choose from."""
    if not isinstance(fields.value("tool_choice"), dict):
        mode: Any = fields.word("tool_choice", "none", "auto", "required")
        asked.tool_choice = None if mode is None else ToolChoice(mode)
        return
    choice = fields.inner("tool_choice")
    assert choice is not None
    kind = choice.needed_text("type")
    if kind != "allowed_tools":
        _function(choice, kind)
        asked.tool_choice = ToolChoice("named", choice.needed_text("name"))
        return
    allowed = set()
    for tool in choice.objects("tools"):
        _function(tool, tool.needed_text("type"))
        allowed.add(tool.needed_text("name"))
    mode = choice.word("mode", "auto", "required") or "auto"
    asked.tools = tuple(tool for tool in asked.tools if tool.name in allowed)
    asked.tool_choice = ToolChoice(mode)
