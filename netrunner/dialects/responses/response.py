"""The ``response`` object: what was asked for, told back, with what has come of it so far.

Clients read it from three events of a stream, and it is all of an answer that is no stream; every field that OpenAI's
has is there, since some clients cannot do without.

This module must not know how an answer comes about.
"""

from __future__ import annotations

from typing import Any

from netrunner.dialects.answers import Document
from netrunner.dialects.conversation import Asked, Conversation
from netrunner.events import FinishKind
from netrunner.values import Usage

COMPLETED = (FinishKind.STOP, FinishKind.STOP_SEQUENCE, FinishKind.TOOL_CALLS)
_REASONS = {
    FinishKind.LENGTH: "max_output_tokens",
    FinishKind.CONTEXT_FULL: "max_output_tokens",
    FinishKind.CONTENT_FILTER: "content_filter",
}
"""Why an answer is incomplete; a pause has no word of its own."""

_DEFAULTS: Document = {
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "prompt_cache_key": None,
    "safety_identifier": None,
    "temperature": 1.0,
    "tool_choice": "auto",
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}
"""Settings as they are when the caller gives none."""
_ALWAYS: Document = {
    "background": False,
    "previous_response_id": None,
    "service_tier": "default",
    "store": False,
    "top_logprobs": 0,
}
"""Settings that are the same in every answer made here."""
_TOOL: Document = {"description": None, "parameters": None, "strict": None}


class Response:
    """Writes the ``response`` objects of one answer."""

    __slots__ = ("_head", "_settings")

    def __init__(self, asked: Asked, token: str) -> None:
        native = asked.request.native if isinstance(asked.request, Conversation) else None
        self._head: Document = {
            "id": f"resp_{token}",
            "object": "response",
            "created_at": int(asked.at),
        }
        self._settings = {"model": asked.model, **_settings(native or {})}

    def document(self, status: str, output: list[Document], usage: Usage | None, reason: str | None = None) -> Document:
        """Return the object.

        Args:
            status: ``in_progress``, ``completed``, ``incomplete`` or ``failed``.
            output: The items that are complete.
            usage: None as long as the answer goes on.
            reason: Why it is incomplete.
        """
        return {
            **self._head,
            "status": status,
            "error": None,
            "incomplete_details": None if reason is None else {"reason": reason},
            "output": output,
            "usage": None if usage is None else counts(usage),
            **self._settings,
        }

    def ended(self, kind: FinishKind, output: list[Document], usage: Usage | None) -> Document:
        """Return the object of an answer that has ended in one of the ways that are no error."""
        status = "completed" if kind in COMPLETED else "incomplete"
        return self.document(status, output, usage or Usage(), _REASONS.get(kind))


def counts(usage: Usage) -> Document:
    """Return token counts as this API tells them: all of them, 0 for what is not known."""
    inputs, outputs = usage.input_total or 0, usage.output_total or 0
    return {
        "input_tokens": inputs,
        "input_tokens_details": {
            "cached_tokens": usage.cache_read or 0,
            "cache_write_tokens": usage.cache_write or 0,
        },
        "output_tokens": outputs,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning or 0},
        "total_tokens": inputs + outputs,
    }


def _settings(native: Document) -> Document:
    """Return the settings of a request, which has been read: they are what they have to be."""
    told = {field: default if native.get(field) is None else native[field] for field, default in _DEFAULTS.items()}
    reasoning: Document = native.get("reasoning") or {}
    text: Document = native.get("text") or {}
    tools: list[Any] = native.get("tools") or []
    return {
        **told,
        **_ALWAYS,
        "reasoning": {"effort": None, "summary": None, **reasoning},
        "text": {"format": text.get("format") or {"type": "text"}, "verbosity": text.get("verbosity") or "medium"},
        "tools": [{**_TOOL, **tool} for tool in tools],
    }
