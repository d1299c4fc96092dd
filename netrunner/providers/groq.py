"""The provider ``groq``: Groq's API, which speaks like OpenAI's but for what stands here.

This module must not hold what its family shares.
"""

from __future__ import annotations

from netrunner.dialects.openai.family import COMFORT, HOSTED, Family
from netrunner.offers import ProviderFactory
from netrunner.providers.member import Member, member_settings

GroqSettings = member_settings("Groq", "https://api.groq.com/openai/v1")


class GroqProvider(Member):
    """Groq's differences."""

    family = Family(
        dropped=COMFORT - {"service_tier", "user"} | {"logprobs", "top_logprobs"},
        refused=HOSTED | {"logit_bias": "it has no token ids"},
        answers=False,
        reasoning="reasoning",
    )


plugin = ProviderFactory(
    name="groq",
    build=GroqProvider,
    settings=GroqSettings,
    doc="Groq.",
)
