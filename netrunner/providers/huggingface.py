"""The provider ``huggingface``: HuggingFace's API, which speaks like OpenAI's but for what stands here.

This module must not hold what its family shares.
"""

from __future__ import annotations

from netrunner.dialects.openai.family import COMFORT, HOSTED, Family
from netrunner.offers import ProviderFactory
from netrunner.providers.member import Member, member_settings

HuggingFaceSettings = member_settings("HuggingFace", "https://router.huggingface.co/v1")


class HuggingFaceProvider(Member):
    """HuggingFace's differences."""

    family = Family(
        renamed={"max_completion_tokens": "max_tokens"},
        dropped=COMFORT | {"parallel_tool_calls"},
        refused=HOSTED | {"logit_bias": "it takes a list of its own"},
        answers=False,
        reasoning="reasoning",
    )


plugin = ProviderFactory(
    name="huggingface",
    build=HuggingFaceProvider,
    settings=HuggingFaceSettings,
    doc="Hugging Face's router.",
)
