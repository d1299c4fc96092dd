"""Every dialect that a provider may speak, by the name that its ``dialect`` says.

This module must not hold what any of them does.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from netrunner.dialects.anthropic.dialect import AnthropicDialect
from netrunner.dialects.cohere.dialect import CohereDialect
from netrunner.dialects.gemini.dialect import GeminiDialect
from netrunner.dialects.gigachat.dialect import GigaChatDialect
from netrunner.dialects.interfaces import ISpoken
from netrunner.dialects.ollama.dialect import OllamaDialect
from netrunner.dialects.openai.dialect import OpenAIDialect
from netrunner.dialects.responses.dialect import ResponsesDialect

_ALL: tuple[ISpoken, ...] = (
    AnthropicDialect(),
    CohereDialect(),
    GeminiDialect(),
    GigaChatDialect(),
    OllamaDialect(),
    OpenAIDialect(),
    ResponsesDialect(),
)
SPOKEN: Mapping[str, ISpoken] = MappingProxyType({one.name: one for one in _ALL})
"""What can be translated to, and from."""
