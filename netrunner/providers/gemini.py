"""The provider ``gemini``: Google's Gemini by its own API.

This module must not hold what belongs to the dialect: that is ``netrunner.dialects.gemini``.
"""

from __future__ import annotations

import dataclasses

from zope.interface import implementer

from netrunner.dialects.gemini.api import GeminiApi
from netrunner.errors import UpstreamRejected
from netrunner.interfaces import IEnvironment, IProvider
from netrunner.offers import ProviderFactory
from netrunner.settings import ProviderSettings, setting
from netrunner.values import Call, Headers, UpstreamRequest


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GeminiSettings(ProviderSettings):
    """Settings of the provider ``gemini``."""

    base_url: str = setting(
        "https://generativelanguage.googleapis.com/v1beta", doc="Where the API lives, path prefix included.", form="url"
    )


@implementer(IProvider)
class GeminiProvider:
    """Gemini with a stored key, the caller's own, or none."""

    dialect = "gemini"

    def __init__(self, settings: GeminiSettings, environment: IEnvironment) -> None:
        self.settings = settings
        self._api = GeminiApi(settings, environment.name)

    def build(self, call: Call) -> UpstreamRequest:
        """Return the request for one attempt."""
        return self._api.request(call)

    def serves(self, endpoint: str, model_named: bool) -> bool:
        """Return whether ``endpoint`` may be called with this provider's key, a model named or not."""
        return self._api.serves(endpoint)

    def classify(self, status: int, headers: Headers, body: bytes) -> UpstreamRejected:
        """Return what an error answer means."""
        return self._api.classify(status, headers, body)


plugin = ProviderFactory(
    name="gemini",
    build=GeminiProvider,
    settings=GeminiSettings,
    doc="Google's Gemini, by its own API.",
)
