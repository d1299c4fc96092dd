"""The provider ``openai``: OpenAI itself, or any API that speaks like it.

This module must not hold what every provider of this family shares: that is ``netrunner.dialects.openai.api``.
"""

from __future__ import annotations

import dataclasses
import re

import msgspec
from zope.interface import implementer

from netrunner.dialects.openai.family import Family, fit
from netrunner.interfaces import IEnvironment, ISpeaksMore
from netrunner.offers import ProviderFactory
from netrunner.providers.api import ApiProvider
from netrunner.settings import ProviderSettings, setting
from netrunner.values import Call, UpstreamRequest

_REASONS = re.compile(r"(?:.*/)?(?:o\d|gpt-[5-9])")
"""OpenAI's models that know ``max_tokens`` by its newer name only; a caller of its own API is taken at its word."""
PLAIN = Family(developer=True, max_stop=None, audio=True)
REASONING = msgspec.structs.replace(PLAIN, renamed={"max_tokens": "max_completion_tokens"})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class OpenAISettings(ProviderSettings):
    """Settings of the provider ``openai``."""

    base_url: str = setting("https://api.openai.com/v1", doc="Where the API lives, path prefix included.", form="url")
    responses: bool = setting(
        True, doc="Whether it serves `/v1/responses` itself; requests for it are translated into chats otherwise."
    )


@implementer(ISpeaksMore)
class OpenAIProvider(ApiProvider):
    """Any OpenAI-compatible API, with a stored key, the caller's own, or none."""

    def __init__(self, settings: OpenAISettings, environment: IEnvironment) -> None:
        super().__init__(settings, environment)
        self.also = frozenset({"responses"}) if settings.responses else frozenset()

    def build(self, call: Call) -> UpstreamRequest:
        """Return the request for one attempt."""
        if call.gaps is not None and call.endpoint == "chat/completions":
            call.body = fit(call.body, REASONING if _REASONS.match(call.model) else PLAIN, call.gaps)
        return super().build(call)


plugin = ProviderFactory(
    name="openai",
    build=OpenAIProvider,
    settings=OpenAISettings,
    doc="OpenAI, or any API that speaks like it.",
)
