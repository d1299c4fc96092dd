"""The provider ``huggingface``: HuggingFace's API, which speaks like OpenAI's but for what stands here.

This module must not hold what its family shares.
"""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec

from netrunner import sse
from netrunner.dialects.openai.family import COMFORT, HOSTED, Family
from netrunner.dialects.openai.images import by_model, prompt_and_sides
from netrunner.interfaces import IEnvironment
from netrunner.offers import ProviderFactory
from netrunner.providers.member import Member, member_settings
from netrunner.settings import ProviderSettings
from netrunner.values import Call, UpstreamRequest

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

    def __init__(self, settings: ProviderSettings, environment: IEnvironment) -> None:
        super().__init__(settings, environment)
        url = urlsplit(settings.base_url)
        path = url.path.rstrip("/").removesuffix("/v1") + "/hf-inference/models"
        self._models = by_model(settings, environment.name, url._replace(path=path).geturl())

    def draw(self, call: Call) -> UpstreamRequest:
        """Return the request for an image: its model is part of the address, and it is answered with bytes."""
        asked = prompt_and_sides(call)
        document = {"inputs": asked.pop("prompt"), **({"parameters": asked} if asked else {})}
        return self._models.request(msgspec.structs.replace(call, endpoint=call.model, body=sse.compact(document)))


plugin = ProviderFactory(
    name="huggingface",
    build=HuggingFaceProvider,
    settings=HuggingFaceSettings,
    doc="Hugging Face's router.",
)
