"""The formats of signatures: whose seal it is stands before it, so that it goes back to nobody else.

A provider seals what its model thought, and wants the seal back byte for byte; another provider's is refused with an
error. Inside of netrunner, and inside callers' fields that may hold any text, a seal is ``FORMAT:DATA``. The formats
are OpenRouter's, which clients know, and one more for the state that a call of GigaChat's belongs to.

This module must not look into a seal.
"""

from __future__ import annotations

ANTHROPIC = "anthropic-claude-v1"
GEMINI = "google-gemini-v1"
RESPONSES = "openai-responses-v1"
GIGACHAT = "gigachat-v1"
FORMATS = (ANTHROPIC, GEMINI, RESPONSES, GIGACHAT)


def seal(format: str, data: str) -> str:
    """Return ``data`` with its format; what says one already, because a caller returned it, is left as it is."""
    return data if format_of(data) is not None else f"{format}:{data}"


def format_of(sealed: str) -> str | None:
    """Return the format of a seal; None for what has none."""
    format, colon, _ = sealed.partition(":")
    return format if colon and format in FORMATS else None


def unsealed(format: str, sealed: str | None) -> str | None:
    """Return the provider's own data if the seal is of that format, else None."""
    if sealed is None or format_of(sealed) != format:
        return None
    return sealed.partition(":")[2]
