"""The provider ``openrouter``: OpenRouter's API, which speaks like OpenAI's but for what stands here.

It ranks applications by what they say of themselves (https://openrouter.ai/docs/app-attribution).

This module must not hold what its family shares.
"""

from __future__ import annotations

import dataclasses

from netrunner.dialects.openai.family import Family
from netrunner.interfaces import IEnvironment
from netrunner.offers import ProviderFactory
from netrunner.providers.member import Member
from netrunner.settings import ProviderSettings, setting
from netrunner.values import Call, UpstreamRequest


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class OpenRouterSettings(ProviderSettings):
    """Settings of the provider ``openrouter``."""

    base_url: str = setting(
        "https://openrouter.ai/api/v1", doc="Where the API lives, path prefix included.", form="url"
    )
    referer: str | None = setting(None, doc="The application's URL, told where its caller tells none.", form="url")
    title: str | None = setting(None, doc="The application's name, told where its caller tells none.", form="text")


class OpenRouterProvider(Member):
    """OpenRouter's differences."""

    family = Family(
        max_stop=None,
        tools=frozenset({"function", "openrouter:web_search"}),
        audio=True,
        reasoning="reasoning",
    )

    def __init__(self, settings: OpenRouterSettings, environment: IEnvironment) -> None:
        super().__init__(settings, environment)
        told = ((b"http-referer", settings.referer), (b"x-title", settings.title))
        self._told = [(name, value.encode()) for name, value in told if value is not None]

    def build(self, call: Call) -> UpstreamRequest:
        """Return the request for one attempt, with the application's name."""
        request = super().build(call)
        if self._told:
            given = {name for name, _ in request.headers}
            request.headers += [field for field in self._told if field[0] not in given]
        return request


plugin = ProviderFactory(
    name="openrouter",
    build=OpenRouterProvider,
    settings=OpenRouterSettings,
    doc="OpenRouter.",
)
