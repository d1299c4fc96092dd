"""A conversation written as a Gemini request.

This module must not change the conversation: several attempts may write it.
"""

from __future__ import annotations

from typing import Any

from netrunner import sse
from netrunner.dialects.conversation import Conversation, Thinking, Tool, ToolChoice, Written
from netrunner.dialects.gaps import Gaps
from netrunner.dialects.gemini import paths, turns
from netrunner.dialects.gemini.turns import Document

MAX_STOPS = 5

_BUDGETS = {"minimal": 1024, "low": 1024, "medium": 8192, "high": 24576, "xhigh": 24576, "max": 24576}
"""Tokens by effort for models that think by budget: what Google's own OpenAI-compatible API makes of it."""
_LEVELS = {
    "minimal": "MINIMAL",
    "low": "LOW",
    "medium": "MEDIUM",
    "high": "HIGH",
    "xhigh": "XHIGH",
    "max": "XHIGH",
}
_MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY", "named": "ANY"}
_PLAIN = {
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "max_tokens": "maxOutputTokens",
    "seed": "seed",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
    "n": "candidateCount",
}


def write(conversation: Conversation, model: str, stream: bool, gaps: Gaps) -> Written:
    """Return a request to generate; a stream is always asked for as events.

    Raises:
        UnsupportedParameter: for what this dialect has no place for and would change the meaning.
    """
    instructions, contents = turns.contents(conversation, model, gaps)
    body: Document = {"contents": contents}
    if instructions:
        body["systemInstruction"] = {"parts": [{"text": text} for text in instructions]}
    if conversation.tools:
        body["tools"] = [{"functionDeclarations": [_declared(tool, gaps) for tool in conversation.tools]}]
        if conversation.tool_choice is not None:
            body["toolConfig"] = {"functionCallingConfig": _calling(conversation.tool_choice)}
    config = _config(conversation, model, gaps)
    if config:
        body["generationConfig"] = config
    if conversation.parallel_tool_calls is False:
        gaps.drop("parallel_tool_calls")
    if conversation.user is not None:
        gaps.drop("user")
    # Spliced arguments may hold line ends; nothing here minds them.
    action = paths.STREAM if stream else paths.GENERATE
    return Written(paths.path(model, action), sse.compact(body), b"alt=sse" if stream else b"")


def _declared(tool: Tool, gaps: Gaps) -> Document:
    declared: Document = {"name": tool.name}
    if tool.description is not None:
        declared["description"] = tool.description
    if tool.parameters is not None:
        declared["parametersJsonSchema"] = tool.parameters
    if tool.strict:
        gaps.drop("strict")
    return declared


def _calling(choice: ToolChoice) -> Document:
    calling: Document = {"mode": _MODES[choice.mode]}
    if choice.mode == "named":
        calling["allowedFunctionNames"] = [choice.name]
    return calling


def _config(conversation: Conversation, model: str, gaps: Gaps) -> Document:
    config: Document = {
        name: value for field, name in _PLAIN.items() if (value := getattr(conversation, field)) is not None
    }
    if len(conversation.stop) > MAX_STOPS:
        raise gaps.unsupported("stop", f"at most {MAX_STOPS}")
    if conversation.stop:
        config["stopSequences"] = list(conversation.stop)
    if conversation.logprobs:
        raise gaps.unsupported("logprobs")
    if conversation.logit_bias:
        raise gaps.unsupported("logit_bias")
    format = conversation.format
    if format is not None:
        config["responseMimeType"] = "application/json"
        if format.schema is not None:
            config["responseJsonSchema"] = format.schema
    if conversation.thinking is not None:
        thinking = _thinking(conversation.thinking, turns.is_of_third_generation(model))
        if thinking:
            config["thinkingConfig"] = thinking
    return config


def _thinking(thinking: Thinking, by_level: bool) -> Document:
    """Return how much a model is to think: Gemini 3 and later by level, those before by budget."""
    config: Document = {}
    if thinking.enabled is False:
        # The later ones cannot be kept from thinking altogether.
        return {"thinkingLevel": "MINIMAL"} if by_level else {"thinkingBudget": 0}
    effort: Any = thinking.effort
    if thinking.budget_tokens is not None:
        config["thinkingBudget"] = thinking.budget_tokens
    elif effort is not None and by_level:
        config["thinkingLevel"] = _LEVELS[effort]
    elif effort is not None:
        config["thinkingBudget"] = _BUDGETS[effort]
    elif thinking.enabled and not by_level:
        config["thinkingBudget"] = -1
    if thinking.shown or (thinking.enabled and thinking.shown is None):
        config["includeThoughts"] = True
    return config
