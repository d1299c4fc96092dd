"""Requests written for Anthropic's API, in what the version 2023-06-01 and the model's family know.

This module must not know callers, and must not leave out silently what they asked for.
"""

from __future__ import annotations

from typing import Any

import msgspec

from netrunner import sse
from netrunner.dialects.anthropic.messages import Messages
from netrunner.dialects.anthropic.models import Family, family_of
from netrunner.dialects.anthropic.reading import MIN_BUDGET
from netrunner.dialects.conversation import Conversation, Thinking, Written
from netrunner.dialects.gaps import Gaps
from netrunner.errors import BadRequest

Document = dict[str, Any]

BUDGETS = {"minimal": 1024, "low": 4096, "medium": 10_240, "high": 24_576, "xhigh": 32_768, "max": 49_152}
"""Tokens of thinking for an effort, where a model wants tokens."""
JSON_ONLY = "Answer with a single valid JSON object and nothing else: no words before or after it, no code fence."
"""Stands for ``json_object``, which Anthropic does not know."""

_EFFORTS = ((2048, "low"), (10_240, "medium"), (24_576, "high"), (32_768, "xhigh"))
"""Up to so many tokens of thinking an effort stands for, where a model wants one; beyond the last it is ``max``."""
_CHOICES = {"auto": "auto", "required": "any", "named": "tool", "none": "none"}


def write(request: Conversation, model: str, stream: bool, gaps: Gaps) -> Written:
    """Return a request as Anthropic's providers want it.

    Args:
        request: What is asked; never changed.
        model: The name the provider knows.
        stream: Whether the answer is to be a stream.
        gaps: Is told what is given up.

    Raises:
        UnsupportedParameter: for what would change the meaning if it were left out.
        BadRequest: for a request that says nothing.
    """
    family = family_of(model)
    _refuse(request, gaps)
    messages = Messages(request.turns, family.system_turns, gaps)
    _refuse_messages(messages, family, gaps)
    if request.max_tokens is None:
        gaps.assumed.add("max_tokens")
    body: Document = {"model": model, "max_tokens": request.max_tokens or family.max_tokens}
    instructions = [text for text in (*request.instructions, *messages.instructions) if text.strip()]
    output = _format(request, family, instructions, gaps)
    if instructions:
        body["system"] = [{"type": "text", "text": text} for text in instructions]
    body["messages"] = messages.written
    _tools(request, body, messages, family, gaps)
    thinking, effort = _thinking(request, family, body["max_tokens"], messages, gaps)
    if thinking is not None:
        body["thinking"] = thinking
    if effort is not None:
        output["effort"] = effort
    if output:
        body["output_config"] = output
    thinks = thinking is not None and thinking["type"] != "disabled"
    body.update(_sampling(request, family, thinks, gaps))
    if request.stop:
        body["stop_sequences"] = list(request.stop)
    if request.user is not None:
        body["metadata"] = {"user_id": request.user}
    if stream:
        body["stream"] = True
    return Written("messages", sse.compact(body))


def bounded(body: bytes, max_tokens: int) -> bytes:
    """Return a request that ``write`` made with another ``max_tokens``; thinking fits into it, or is left off."""
    document = msgspec.json.decode(body)
    document["max_tokens"] = max_tokens
    thinking = document.get("thinking", {})
    if thinking.get("budget_tokens", 0) >= max_tokens:
        if max_tokens > MIN_BUDGET:
            thinking["budget_tokens"] = _share(max_tokens)
        else:
            del document["thinking"]
    return sse.compact(document)


def _share(max_tokens: int) -> int:
    """Return the most of an answer that may be thought, unless the caller says how much: a fifth is left to be said."""
    return max(MIN_BUDGET, max_tokens * 4 // 5)


def _refuse(request: Conversation, gaps: Gaps) -> None:
    """Refuse what cannot be done, and give up what is merely lost."""
    if request.n is not None and request.n > 1:
        raise gaps.unsupported("n", "it gives one answer")
    if request.logprobs or request.top_logprobs:
        raise gaps.unsupported("logprobs" if request.logprobs else "top_logprobs")
    if request.logit_bias:
        raise gaps.unsupported("logit_bias")
    if any(not text.strip() for text in request.stop):
        raise gaps.unsupported("stop", "a stop sequence of white space only")
    for field in ("presence_penalty", "frequency_penalty"):
        if getattr(request, field):
            gaps.drop(field)
    if request.seed is not None:
        gaps.drop("seed")


def _refuse_messages(messages: Messages, family: Family, gaps: Gaps) -> None:
    """Refuse messages that say nothing, or that a model does not go on from."""
    if not messages.written:
        message = "The request has no message that says anything."
        raise BadRequest(message, code="invalid_value", param=gaps.name("turns"))
    if messages.prefills and not family.prefill:
        raise gaps.unsupported("turns", "a last message of the assistant's, to be continued")


def _format(request: Conversation, family: Family, instructions: list[str], gaps: Gaps) -> Document:
    """Return ``output_config`` for a form of the answer; one that only an instruction can ask for is told as lost."""
    form = request.format
    if form is None:
        return {}
    if form.kind == "json_schema" and form.schema is not None:
        if not family.schemas:
            raise gaps.unsupported("format", "the model knows no schemas")
        return {"format": {"type": "json_schema", "schema": form.schema}}
    gaps.drop("format")
    instructions.append(JSON_ONLY)
    return {}


# --- tools --------------------------------------------------------------------------------------------------


def _tools(request: Conversation, body: Document, messages: Messages, family: Family, gaps: Gaps) -> None:
    tools: list[Document] = []
    for tool in request.tools:
        written: Document = {"name": tool.name}
        if tool.description is not None:
            written["description"] = tool.description
        written["input_schema"] = {"type": "object", **(tool.parameters or {"properties": {}})}
        if tool.strict and family.schemas:
            written["strict"] = True
        elif tool.strict:
            gaps.drop("strict")
        tools.append(written)
    if tools:
        body["tools"] = tools
    elif messages.called:
        # Calls in what was said are refused without tools; none may be called now.
        body["tools"] = [{"name": name, "input_schema": {"type": "object"}} for name in messages.called]
        body["tool_choice"] = {"type": "none"}
    choice = request.tool_choice
    single = request.parallel_tool_calls is False
    if not tools and (choice is None or choice.mode in ("auto", "none")):
        return
    if choice is None and not single:
        return
    asked: Document = {"type": _CHOICES[choice.mode] if choice is not None else "auto"}
    if choice is not None and choice.mode == "named":
        asked["name"] = choice.name
    if single and asked["type"] != "none":
        asked["disable_parallel_tool_use"] = True
    body["tool_choice"] = asked


# --- thinking and sampling ----------------------------------------------------------------------------------


def _thinking(
    request: Conversation, family: Family, max_tokens: int, messages: Messages, gaps: Gaps
) -> tuple[Document | None, str | None]:
    """Return ``thinking`` and ``output_config.effort``."""
    asked = request.thinking
    if asked is None:
        return None, None
    if asked.enabled is False:
        if family.thinking == "none" or family.disables:
            return None if family.thinking == "none" else {"type": "disabled"}, None
        # It thinks whether it is asked to or not.
        gaps.drop("thinking")
        return None, None
    if asked.enabled is None and asked.effort is None and asked.budget_tokens is None:
        return None, None
    effort = _effort(asked, family) if family.thinking == "adaptive" else None
    forced = request.tool_choice is not None and request.tool_choice.mode in ("required", "named")
    if family.thinking == "none" or forced or messages.calls_unsigned or messages.prefills:
        # A model that must call at once, or go on from where nobody has thought, is not allowed to think.
        gaps.drop("thinking")
        return None, effort
    thinking: Document = {"type": "adaptive"}
    if family.thinking == "budget":
        budget = _budget(asked, max_tokens, gaps)
        if budget is None:
            return None, None
        thinking = {"type": "enabled", "budget_tokens": budget}
    if asked.shown is False:
        thinking["display"] = "omitted"
    elif asked.shown and family.thinking == "adaptive":
        thinking["display"] = "summarized"
    return thinking, effort


def _budget(asked: Thinking, max_tokens: int, gaps: Gaps) -> int | None:
    """Return tokens to think with: those asked for, or what the effort stands for, less than the whole answer."""
    if max_tokens <= MIN_BUDGET:
        gaps.drop("thinking")
        return None
    if asked.budget_tokens is None:
        return min(BUDGETS[asked.effort or "medium"], _share(max_tokens))
    budget = max(MIN_BUDGET, asked.budget_tokens)
    if budget >= max_tokens:
        gaps.drop("thinking")
        budget = max_tokens - 1
    return budget


def _effort(asked: Thinking, family: Family) -> str | None:
    effort: str | None = asked.effort
    if effort is None and asked.budget_tokens is not None:
        effort = next((word for most, word in _EFFORTS if asked.budget_tokens <= most), "max")
    if effort == "minimal":
        return "low"
    return "max" if effort == "xhigh" and not family.xhigh else effort


def _sampling(request: Conversation, family: Family, thinks: bool, gaps: Gaps) -> Document:
    """Return temperature, top_p and top_k as far as the model takes them; what is the default anyhow is no loss."""
    temperature, top_p, top_k = request.temperature, request.top_p, request.top_k
    if temperature is not None and temperature > 1:
        gaps.drop("temperature")
        temperature = 1
    if family.sampling == "none" or thinks:
        if temperature not in (None, 1):
            gaps.drop("temperature")
        if top_k is not None:
            gaps.drop("top_k")
        temperature = top_k = None
        if top_p is not None and (family.sampling == "none" or top_p < 0.95):
            if top_p != 1:
                gaps.drop("top_p")
            top_p = None
    elif family.sampling == "one" and temperature is not None and top_p is not None:
        if top_p != 1:
            gaps.drop("top_p")
        top_p = None
    named = {"temperature": temperature, "top_p": top_p, "top_k": top_k}
    return {name: value for name, value in named.items() if value is not None}
