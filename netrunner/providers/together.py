"""The provider ``together``: Together's API, which speaks like OpenAI's but for what stands here.

This module must not hold what its family shares.
"""

from __future__ import annotations

from netrunner.dialects.openai.family import COMFORT, HOSTED, Family
from netrunner.offers import ProviderFactory
from netrunner.providers.member import Member, member_settings

TogetherSettings = member_settings("Together", "https://api.together.xyz/v1")


class TogetherProvider(Member):
    """Together's differences."""

    family = Family(
        renamed={"max_completion_tokens": "max_tokens"},
        dropped=COMFORT,
        refused=HOSTED,
        max_stop=None,
        reasoning="reasoning",
    )


plugin = ProviderFactory(
    name="together",
    build=TogetherProvider,
    settings=TogetherSettings,
    doc="Together AI.",
)
