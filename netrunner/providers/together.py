"""The provider ``together``: Together's API, which speaks like OpenAI's but for what stands here.

This module must not hold what its family shares.
"""

from __future__ import annotations

import msgspec

from netrunner import sse
from netrunner.dialects.openai.family import COMFORT, HOSTED, Family
from netrunner.dialects.openai.images import with_sides
from netrunner.offers import ProviderFactory
from netrunner.providers.member import Member, member_settings
from netrunner.values import Call, UpstreamRequest

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

    def draw(self, call: Call) -> UpstreamRequest:
        """Return the request for an image: width and height by themselves, and another word for base64."""
        document = with_sides(call.body) | {"response_format": "base64"}
        return self.api.request(msgspec.structs.replace(call, body=sse.compact(document)))


plugin = ProviderFactory(
    name="together",
    build=TogetherProvider,
    settings=TogetherSettings,
    doc="Together AI.",
)
