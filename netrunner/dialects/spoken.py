"""Every dialect by its name, loaded when somebody speaks it.

This module must not hold what any of them does.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import Any

_MODULES = {
    "anthropic": "AnthropicDialect",
    "cohere": "CohereDialect",
    "gemini": "GeminiDialect",
    "gigachat": "GigaChatDialect",
    "image": "ImageDialect",
    "ollama": "OllamaDialect",
    "openai": "OpenAIDialect",
    "responses": "ResponsesDialect",
}
"""The class of each; it lives in ``netrunner.dialects.NAME.dialect``."""


class Dialects(Mapping[str, Any]):
    """By name: each an ``ISpoken``; those that callers speak an ``IDialect`` and ``ITranslates`` as well."""

    def __init__(self) -> None:
        self._loaded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        dialect = self._loaded.get(name)
        if dialect is None:
            kind = _MODULES[name]
            module = importlib.import_module(f"netrunner.dialects.{name}.dialect")
            dialect = self._loaded[name] = getattr(module, kind)()
        return dialect

    def __contains__(self, name: object) -> bool:
        return name in _MODULES

    def __iter__(self) -> Iterator[str]:
        return iter(_MODULES)

    def __len__(self) -> int:
        return len(_MODULES)


SPOKEN = Dialects()
"""What can be translated to, and from."""
