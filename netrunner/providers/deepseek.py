"""The provider ``deepseek``: DeepSeek's API, which speaks like OpenAI's but for what stands here.

This module must not hold what its family shares.
"""

from __future__ import annotations

from netrunner.dialects.openai.family import COMFORT, HOSTED, Family
from netrunner.offers import ProviderFactory
from netrunner.providers.member import Member, member_settings

DeepSeekSettings = member_settings("DeepSeek", "https://api.deepseek.com")


class DeepSeekProvider(Member):
    """DeepSeek's differences."""

    family = Family(
        renamed={"max_completion_tokens": "max_tokens"},
        dropped=COMFORT | {"seed", "parallel_tool_calls"},
        refused=HOSTED | {"logit_bias": "it has no token ids"},
        answers=False,
        max_stop=16,
        formats=frozenset({"text", "json_object"}),
        reasoning="reasoning_content",
    )


plugin = ProviderFactory(
    name="deepseek",
    build=DeepSeekProvider,
    settings=DeepSeekSettings,
    doc="DeepSeek.",
)
