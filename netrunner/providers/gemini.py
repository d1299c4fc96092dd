"""The provider ``gemini``: Google's Gemini by its own API.

This module must not hold what belongs to the dialect: that is ``netrunner.dialects.gemini``.
"""

from __future__ import annotations

import dataclasses

from netrunner.dialects.gemini.api import GeminiApi
from netrunner.offers import ProviderFactory
from netrunner.providers.api import ApiProvider
from netrunner.settings import ProviderSettings, setting


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GeminiSettings(ProviderSettings):
    """Settings of the provider ``gemini``."""

    base_url: str = setting(
        "https://generativelanguage.googleapis.com/v1beta", doc="Where the API lives, path prefix included.", form="url"
    )


class GeminiProvider(ApiProvider):
    """Gemini with a stored key, the caller's own, or none."""

    dialect = "gemini"
    speaks = GeminiApi


plugin = ProviderFactory(
    name="gemini",
    build=GeminiProvider,
    settings=GeminiSettings,
    doc="Google's Gemini, by its own API.",
)
