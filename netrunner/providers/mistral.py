"""The provider ``mistral``: Mistral's API, which speaks like OpenAI's but for what stands here.

This module must not hold what its family shares.
"""

from __future__ import annotations

from netrunner.dialects.openai.family import COMFORT, HOSTED, Family
from netrunner.offers import ProviderFactory
from netrunner.providers.member import Member, member_settings

MistralSettings = member_settings("Mistral", "https://api.mistral.ai/v1")


class MistralProvider(Member):
    """Mistral's differences."""

    family = Family(
        renamed={"max_completion_tokens": "max_tokens", "seed": "random_seed"},
        dropped=COMFORT | {"logprobs", "top_logprobs", "stream_options"},
        refused=HOSTED | {"logit_bias": "it has no token ids"},
        max_stop=None,
        choices={"required": "any"},
        call_id="[a-zA-Z0-9]{9}",
        merges=True,
    )


plugin = ProviderFactory(
    name="mistral",
    build=MistralProvider,
    settings=MistralSettings,
    doc="Mistral AI.",
)
