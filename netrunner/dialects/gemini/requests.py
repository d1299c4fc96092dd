"""A Gemini request read in terms of no dialect.

This module must not write requests: ``writing`` does.
"""

from __future__ import annotations

from typing import Any

from netrunner.dialects.conversation import Conversation, Format, Thinking, Tool, ToolChoice
from netrunner.dialects.fields import Fields, document, invalid
from netrunner.dialects.gaps import Gaps
from netrunner.dialects.gemini import contents
from netrunner.dialects.gemini.schemas import json_schema
from netrunner.dialects.gemini.spelling import camelised

_CALLED = {
    "instructions": "systemInstruction",
    "system": "systemInstruction",
    "turns": "contents",
    "messages": "contents",
    "reasoning": "thoughtSignature",
    "tool_choice": "toolConfig.functionCallingConfig",
    "max_tokens": "generationConfig.maxOutputTokens",
    "temperature": "generationConfig.temperature",
    "top_p": "generationConfig.topP",
    "top_k": "generationConfig.topK",
    "stop": "generationConfig.stopSequences",
    "seed": "generationConfig.seed",
    "presence_penalty": "generationConfig.presencePenalty",
    "frequency_penalty": "generationConfig.frequencyPenalty",
    "n": "generationConfig.candidateCount",
    "format": "generationConfig.responseMimeType",
    "thinking": "generationConfig.thinkingConfig",
}
_EFFORTS: dict[str, Any] = {
    "MINIMAL": "minimal",
    "LOW": "low",
    "MEDIUM": "medium",
    "HIGH": "high",
    "XHIGH": "xhigh",
    "THINKING_LEVEL_UNSPECIFIED": None,
}
_TEXT_TYPES = ("text/plain", "application/json")


def called(gaps: Gaps) -> None:
    """Tell ``gaps`` the names of this dialect."""
    for field, name in _CALLED.items():
        gaps.called(field, name)


def read(body: bytes, gaps: Gaps) -> Conversation:
    """Return the conversation that a body asks for; of ``countTokens``, the one to be counted.

    Raises:
        BadRequest: naming the field; ``UnsupportedParameter`` for what cannot be carried to another dialect.
    """
    called(gaps)
    native = camelised(document(body))
    fields = Fields(native, "", gaps)
    inner = fields.inner("generateContentRequest")
    if inner is not None:
        if "contents" in fields:
            raise invalid("generateContentRequest", "given without contents beside it")
        fields.drop_rest()
        fields = inner
    conversation = Conversation(
        instructions=contents.instructions(fields), turns=contents.turns(fields), tools=_tools(fields), native=native
    )
    _choose(fields, conversation)
    config = fields.inner("generationConfig")
    if config is not None:
        _configure(config, conversation)
    fields.value("model")
    fields.refuse("cachedContent", "what is cached at Google is not in the request")
    fields.refuse("continuationToken", "only its model can go on")
    fields.drop_rest()
    return conversation


def _tools(fields: Fields) -> tuple[Tool, ...]:
    tools: list[Tool] = []
    for position, tool in enumerate(fields.objects("tools")):
        for name in fields.value("tools")[position]:
            if name != "functionDeclarations":
                tool.refuse(name, "only functionDeclarations")
        tools += [_function(one) for one in tool.objects("functionDeclarations")]
    return tuple(tools)


def _function(declared: Fields) -> Tool:
    name, description = declared.needed_text("name"), declared.text("description")
    parameters = _schema(declared, "parameters", "parametersJsonSchema")
    declared.drop_rest()
    return Tool(name, description, parameters)


def _schema(fields: Fields, older: str, newer: str) -> dict[str, Any] | None:
    """Return the schema given in one of two fields."""
    if older in fields and newer in fields:
        raise invalid(fields.name(newer), f"given without {older} beside it")
    if older in fields:
        return json_schema(fields.value(older), fields.name(older))
    return fields.mapping(newer)


def _choose(fields: Fields, conversation: Conversation) -> None:
    """Read whether and which functions are to be called; fewer of them are allowed by offering fewer."""
    config = fields.inner("toolConfig")
    calling = None if config is None else config.inner("functionCallingConfig")
    if config is not None:
        config.drop_rest()
    if calling is None:
        return
    mode = (calling.text("mode") or "AUTO").upper()
    allowed = calling.texts("allowedFunctionNames")
    calling.drop_rest()
    if mode not in ("AUTO", "ANY", "NONE", "VALIDATED", "MODE_UNSPECIFIED"):
        raise invalid(calling.name("mode"), "one of AUTO, ANY, NONE, VALIDATED")
    if mode == "VALIDATED":
        calling.gaps.drop(calling.name("mode"))
    if allowed:
        names = {tool.name for tool in conversation.tools}
        if mode not in ("ANY", "VALIDATED") or not names.issuperset(allowed):
            raise invalid(calling.name("allowedFunctionNames"), "names of declared functions, with the mode ANY")
        conversation.tools = tuple(tool for tool in conversation.tools if tool.name in allowed)
    if mode == "ANY":
        conversation.tool_choice = ToolChoice("named", allowed[0]) if len(allowed) == 1 else ToolChoice("required")
    else:
        conversation.tool_choice = ToolChoice("none" if mode == "NONE" else "auto")


def _configure(config: Fields, conversation: Conversation) -> None:
    """Read ``generationConfig``."""
    conversation.max_tokens = config.integer("maxOutputTokens", 1)
    conversation.temperature = config.number("temperature", 0)
    conversation.top_p = config.number("topP", 0, 1)
    conversation.top_k = config.integer("topK", 0)
    conversation.stop = config.texts("stopSequences")
    conversation.seed = config.integer("seed")
    conversation.presence_penalty = config.number("presencePenalty", -2, 2)
    conversation.frequency_penalty = config.number("frequencyPenalty", -2, 2)
    count = config.integer("candidateCount", 1)
    conversation.n = None if count == 1 else count
    if config.boolean("responseLogprobs"):
        raise config.gaps.unsupported(config.name("responseLogprobs"))
    config.value("logprobs")
    for modality in config.texts("responseModalities"):
        if modality.upper() not in ("TEXT", "MODALITY_UNSPECIFIED"):
            raise config.gaps.unsupported(config.name("responseModalities"), "only TEXT")
    config.refuse("responseFormat")
    conversation.format = _format(config)
    conversation.thinking = _thinking(config)
    config.drop_rest()


def _format(config: Fields) -> Format | None:
    mime = config.text("responseMimeType")
    schema = _schema(config, "responseSchema", "responseJsonSchema")
    if mime is not None and mime not in _TEXT_TYPES:
        raise config.gaps.unsupported(config.name("responseMimeType"), "only text and JSON")
    if schema is not None and mime == "text/plain":
        raise invalid(config.name("responseMimeType"), "application/json where a schema is given")
    if schema is not None:
        return Format("json_schema", schema)
    return Format("json_object") if mime == "application/json" else None


def _thinking(config: Fields) -> Thinking | None:
    thinking = config.inner("thinkingConfig")
    if thinking is None:
        return None
    # Who does not ask for thoughts is not told them, so their provider may as well keep them.
    shown = thinking.boolean("includeThoughts") or False
    budget = thinking.integer("thinkingBudget", -1)
    level = (thinking.text("thinkingLevel") or "THINKING_LEVEL_UNSPECIFIED").upper()
    if level not in _EFFORTS:
        raise invalid(thinking.name("thinkingLevel"), "one of MINIMAL, LOW, MEDIUM, HIGH, XHIGH")
    effort = _EFFORTS[level]
    if effort is not None and budget is not None:
        raise invalid(thinking.name("thinkingLevel"), "given without thinkingBudget beside it")
    thinking.drop_rest()
    enabled = None if budget is None and effort is None else budget != 0
    return Thinking(enabled, effort, budget if budget and budget > 0 else None, shown)
