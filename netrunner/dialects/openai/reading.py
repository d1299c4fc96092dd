"""A caller's request read in terms of no dialect: a chat, a completion, embeddings.

Everything OpenAI documents is read, given up by name, or refused by name where the answer would mean something else
without it. A completion's prompt is one turn of the user.

This module must not know to whom the request goes.
"""

from __future__ import annotations

from typing import Any

from netrunner.dialects.conversation import (
    Conversation,
    Embedding,
    Format,
    Text,
    Thinking,
    Tool,
    ToolChoice,
    Turn,
)
from netrunner.dialects.fields import Fields, document, invalid
from netrunner.dialects.gaps import Gaps
from netrunner.dialects.openai.turns import Messages

_LOST = (
    "metadata",
    "moderation",
    "prediction",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "service_tier",
    "verbosity",
)
"""What may be left out: the answer means the same without it."""
_EFFORTS = ("minimal", "low", "medium", "high", "xhigh", "max")


def read(body: bytes, endpoint: str, gaps: Gaps) -> Conversation | Embedding:
    """Return what is asked for.

    Args:
        body: The request's.
        endpoint: ``chat/completions``, ``completions`` or ``embeddings``.
        gaps: Hears of what is given up.

    Raises:
        BadRequest: naming the field, for what is malformed; ``UnsupportedParameter`` for what cannot be carried.
    """
    fields = Fields(document(body), "", gaps)
    for routed in ("model", "stream"):
        fields.value(routed)
    if endpoint == "embeddings":
        asked: Conversation | Embedding = _embedding(fields)
    elif endpoint == "completions":
        asked = _completion(fields)
    else:
        asked = _chat(fields)
    fields.drop_rest()
    return asked


def _chat(fields: Fields) -> Conversation:
    if fields.items("messages") is None:
        raise invalid("messages", "a list")
    messages = Messages()
    for message in fields.objects("messages"):
        messages.read(message)
    if not messages.turns and not messages.instructions:
        raise invalid("messages", "a list that is not empty")
    asked = _sampling(fields)
    asked.instructions, asked.turns = tuple(messages.instructions), tuple(messages.turns)
    _limit(fields, asked)
    asked.tools = (*_tools(fields), *_functions(fields))
    _choice(fields, asked)
    asked.parallel_tool_calls = fields.boolean("parallel_tool_calls")
    asked.format = _format(fields)
    asked.thinking = _thinking(fields)
    asked.logprobs = fields.boolean("logprobs") or False
    asked.top_logprobs = fields.integer("top_logprobs", 0, 20)
    fields.refuse("web_search_options", "hosted tools")
    fields.refuse("audio", "answers in audio")
    if set(fields.texts("modalities")) - {"text"}:
        raise fields.gaps.unsupported("modalities", "answers that are no text")
    if fields.boolean("store"):
        fields.drop("store")
    fields.drop(*_LOST)
    return asked


def _completion(fields: Fields) -> Conversation:
    prompt = fields.value("prompt")
    if isinstance(prompt, list):
        if len(prompt) != 1 or not isinstance(prompt[0], str):
            if all(isinstance(one, (str, int, list)) for one in prompt) and prompt:
                raise fields.gaps.unsupported("prompt", "several prompts, or token numbers")
            raise invalid("prompt", "a string")
        prompt = prompt[0]
    if not isinstance(prompt, str):
        raise invalid("prompt", "a string")
    asked = _sampling(fields)
    asked.turns = (Turn("user", (Text(prompt),)),)
    asked.max_tokens = fields.integer("max_tokens", 1)
    asked.top_logprobs = fields.integer("logprobs", 0, 5)
    asked.logprobs = asked.top_logprobs is not None
    fields.refuse("suffix", "text to be put before something")
    if fields.boolean("echo"):
        raise fields.gaps.unsupported("echo")
    if (fields.integer("best_of", 1) or 1) > 1:
        raise fields.gaps.unsupported("best_of")
    return asked


def _embedding(fields: Fields) -> Embedding:
    found = fields.value("input")
    inputs = [found] if isinstance(found, str) else found
    if not isinstance(inputs, list) or not inputs:
        raise invalid("input", "a string or a list of strings that is not empty")
    for position, one in enumerate(inputs):
        if type(one) is int or isinstance(one, list):
            raise fields.gaps.unsupported("input", "token numbers")
        if not isinstance(one, str):
            raise invalid(f"input[{position}]", "a string")
    fields.gaps.called("inputs", "input")
    fields.gaps.called("base64", "encoding_format")
    return Embedding(
        inputs=tuple(inputs),
        single=isinstance(found, str),
        dimensions=fields.integer("dimensions", 1),
        base64=fields.word("encoding_format", "float", "base64") == "base64",
        user=fields.text("user"),
    )


# --- parameters ---------------------------------------------------------------------------------------------


def _sampling(fields: Fields) -> Conversation:
    """Return a conversation with what chats and completions have in common."""
    options = fields.inner("stream_options")
    if options is not None:
        options.boolean("include_usage")
        if options.boolean("include_obfuscation"):
            options.drop("include_obfuscation")
        options.drop_rest()
    user = fields.text("user")
    if user is None and (user := fields.text("safety_identifier")) is not None:
        fields.gaps.called("user", "safety_identifier")
    else:
        fields.drop("safety_identifier")
    return Conversation(
        temperature=fields.number("temperature", 0, 2),
        top_p=fields.number("top_p", 0, 1),
        top_k=fields.integer("top_k", 0),
        stop=fields.texts("stop"),
        seed=fields.integer("seed"),
        presence_penalty=fields.number("presence_penalty", -2, 2),
        frequency_penalty=fields.number("frequency_penalty", -2, 2),
        n=fields.integer("n", 1, 128),
        logit_bias=_bias(fields),
        user=user,
    )


def _bias(fields: Fields) -> dict[str, float] | None:
    found = fields.inner("logit_bias")
    if found is None:
        return None
    return {token: found.number(token, -100, 100) or 0.0 for token in fields.mapping("logit_bias") or ()} or None


def _limit(fields: Fields, asked: Conversation) -> None:
    newer, older = fields.integer("max_completion_tokens", 1), fields.integer("max_tokens", 1)
    asked.max_tokens = older if newer is None else newer
    if newer is not None:
        fields.gaps.called("max_tokens", "max_completion_tokens")


def _thinking(fields: Fields) -> Thinking | None:
    fields.gaps.called("thinking", "reasoning_effort")
    effort: Any = fields.word("reasoning_effort", "none", *_EFFORTS)
    if effort is not None:
        return Thinking(enabled=False) if effort == "none" else Thinking(enabled=True, effort=effort)
    if (wider := fields.inner("reasoning")) is None:
        return None
    # OpenRouter's form of it.
    fields.gaps.called("thinking", "reasoning")
    effort = wider.word("effort", "none", *_EFFORTS)
    enabled = False if effort == "none" else wider.boolean("enabled")
    budget, hidden = wider.integer("max_tokens", 0), wider.boolean("exclude")
    wider.drop_rest()
    return Thinking(
        enabled=True if enabled is None else enabled,
        effort=None if effort == "none" else effort,
        budget_tokens=budget,
        shown=None if hidden is None else not hidden,
    )


def _format(fields: Fields) -> Format | None:
    fields.gaps.called("format", "response_format")
    form = fields.inner("response_format")
    if form is None:
        return None
    kind = form.word("type", "text", "json_object", "json_schema")
    if kind is None:
        raise invalid(form.name("type"), "one of text, json_object, json_schema")
    schema = form.inner("json_schema")
    form.drop_rest()
    if kind != "json_schema":
        return Format("json_object") if kind == "json_object" else None
    if schema is None:
        raise invalid(form.name("json_schema"), "an object")
    name, description = schema.text("name"), schema.text("description")
    found = Format("json_schema", schema.mapping("schema"), name, description, schema.boolean("strict"))
    schema.drop_rest()
    return found


# --- tools --------------------------------------------------------------------------------------------------


def _tools(fields: Fields) -> list[Tool]:
    tools = []
    for tool in fields.objects("tools"):
        kind = tool.needed_text("type")
        if kind != "function":
            why = "custom tools" if kind == "custom" else "hosted tools"
            raise tool.gaps.unsupported(tool.name("type"), why)
        function = tool.inner("function")
        if function is None:
            raise invalid(tool.name("function"), "an object")
        tools.append(_tool(function))
        tool.drop_rest()
    return tools


def _functions(fields: Fields) -> list[Tool]:
    """Return tools in the form that came before ``tools``."""
    return [_tool(function) for function in fields.objects("functions")]


def _tool(function: Fields) -> Tool:
    name, description = function.needed_text("name"), function.text("description")
    tool = Tool(name, description, function.mapping("parameters"), function.boolean("strict"))
    function.drop_rest()
    return tool


def _choice(fields: Fields, asked: Conversation) -> None:
    choice = fields.value("tool_choice")
    if isinstance(choice, dict):
        asked.tool_choice = _chosen(fields, asked)
    elif choice is not None:
        asked.tool_choice = _word(fields, "tool_choice", "none", "auto", "required")
    elif (older := fields.value("function_call")) is not None:
        fields.gaps.called("tool_choice", "function_call")
        if isinstance(older, str):
            asked.tool_choice = _word(fields, "function_call", "none", "auto")
        elif (one := fields.inner("function_call")) is not None:
            asked.tool_choice = ToolChoice("named", one.needed_text("name"))


def _word(fields: Fields, field: str, *words: str) -> ToolChoice:
    mode: Any = fields.word(field, *words)
    return ToolChoice(mode)


def _chosen(fields: Fields, asked: Conversation) -> ToolChoice:
    """Return a choice that is an object; one among allowed tools leaves no others to choose from."""
    choice = fields.inner("tool_choice")
    assert choice is not None
    kind = choice.word("type", "function", "custom", "allowed_tools")
    if kind == "custom":
        raise choice.gaps.unsupported(choice.name("type"), "custom tools")
    if kind is None:
        raise invalid(choice.name("type"), "one of function, custom, allowed_tools")
    inner = choice.inner(kind)
    if inner is None:
        raise invalid(choice.name(kind), "an object")
    if kind == "function":
        return ToolChoice("named", inner.needed_text("name"))
    mode: Any = inner.word("mode", "auto", "required")
    names = {_allowed(tool) for tool in inner.objects("tools")}
    asked.tools = tuple(tool for tool in asked.tools if tool.name in names)
    return ToolChoice(mode or "auto")


def _allowed(tool: Fields) -> str:
    function = tool.inner("function")
    if function is None:
        raise invalid(tool.name("function"), "an object")
    return function.needed_text("name")
