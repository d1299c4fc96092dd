"""The provider ``github``: GitHub's API, which speaks like OpenAI's but for what stands here.

This module must not hold what its family shares.
"""

from __future__ import annotations

from netrunner.dialects.openai.family import COMFORT, HOSTED, Family
from netrunner.offers import ProviderFactory
from netrunner.providers.member import Member, member_settings

GitHubSettings = member_settings("GitHub", "https://models.github.ai/inference")


class GitHubProvider(Member):
    """GitHub's differences."""

    family = Family(
        dropped=COMFORT,
        refused=HOSTED | {"logit_bias": "it has no token ids"},
        developer=True,
    )


plugin = ProviderFactory(
    name="github",
    build=GitHubProvider,
    settings=GitHubSettings,
    doc="GitHub Models.",
)
