"""The provider ``openrouter``: OpenRouter's API, which speaks like OpenAI's but for what stands here.

This module must not hold what its family shares.
"""

from __future__ import annotations

from netrunner.dialects.openai.family import Family
from netrunner.offers import ProviderFactory
from netrunner.providers.member import Member, member_settings

OpenRouterSettings = member_settings("OpenRouter", "https://openrouter.ai/api/v1")


class OpenRouterProvider(Member):
    """OpenRouter's differences."""

    family = Family(
        max_stop=None,
        tools=frozenset({"function", "openrouter:web_search"}),
        audio=True,
        reasoning="reasoning",
    )


plugin = ProviderFactory(
    name="openrouter",
    build=OpenRouterProvider,
    settings=OpenRouterSettings,
    doc="OpenRouter.",
)
