"""The provider ``openai``: OpenAI itself, or any API that speaks like it.

This module must not hold what every provider of this family shares: that is ``netrunner.dialects.openai.api``.
"""

from __future__ import annotations

import dataclasses

from zope.interface import implementer

from netrunner.dialects.openai.api import OpenAIApi
from netrunner.errors import UpstreamRejected
from netrunner.interfaces import IEnvironment, IProvider
from netrunner.settings import ProviderSettings, setting
from netrunner.values import Call, Headers, UpstreamRequest


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class OpenAISettings(ProviderSettings):
    """Settings of the provider ``openai``."""

    base_url: str = setting("https://api.openai.com/v1", doc="Where the API lives, path prefix included.", form="url")


@implementer(IProvider)
class OpenAIProvider:
    """Any OpenAI-compatible API, with a stored key, the caller's own, or none."""

    dialect = "openai"

    def __init__(self, settings: OpenAISettings, environment: IEnvironment) -> None:
        self.settings = settings
        self._api = OpenAIApi(settings, environment.name)

    def build(self, call: Call) -> UpstreamRequest:
        """Return the request for one attempt."""
        return self._api.request(call)

    def serves(self, endpoint: str, model_named: bool) -> bool:
        """Return whether ``endpoint`` may be called with this provider's key, a model named or not."""
        return self._api.serves(endpoint)

    def classify(self, status: int, headers: Headers, body: bytes) -> UpstreamRejected:
        """Return what an error answer means."""
        return self._api.classify(status, headers, body)
