"""The provider ``ollama``: an Ollama server, here or in its cloud, by its own API.

This module must not hold what any server of this dialect shares: that is ``netrunner.dialects.ollama.api``.
"""

from __future__ import annotations

import dataclasses

from netrunner.dialects.ollama.api import OllamaApi
from netrunner.offers import ProviderFactory
from netrunner.providers.api import ApiProvider
from netrunner.settings import ProviderSettings, setting


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class OllamaSettings(ProviderSettings):
    """Settings of the provider ``ollama``."""

    base_url: str = setting(
        "http://127.0.0.1:11434/api",
        doc="Where the API lives, path prefix included; `/api` where there is no path.",
        form="url",
    )


class OllamaProvider(ApiProvider):
    """An Ollama server, with a stored key, the caller's own, or none."""

    dialect = "ollama"
    speaks = OllamaApi


plugin = ProviderFactory(
    name="ollama",
    build=OllamaProvider,
    settings=OllamaSettings,
    doc="An Ollama server, by its own API.",
)
