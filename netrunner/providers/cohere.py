"""The provider ``cohere``: Cohere's chats and embeddings, version 2 of its API.

This module must not hold what its dialect is made of: that is ``netrunner.dialects.cohere``.
"""

from __future__ import annotations

import dataclasses

from zope.interface import implementer

from netrunner.dialects.cohere.api import CohereApi
from netrunner.errors import UpstreamRejected
from netrunner.interfaces import IEnvironment, IProvider
from netrunner.offers import ProviderFactory
from netrunner.settings import ProviderSettings, setting
from netrunner.values import Call, Headers, UpstreamRequest


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CohereSettings(ProviderSettings):
    """Settings of the provider ``cohere``."""

    base_url: str = setting("https://api.cohere.com/v2", doc="Where the API lives, path prefix included.", form="url")


@implementer(IProvider)
class CohereProvider:
    """Cohere, with a stored key, the caller's own, or none."""

    dialect = "cohere"

    def __init__(self, settings: CohereSettings, environment: IEnvironment) -> None:
        self.settings = settings
        self._api = CohereApi(settings, environment.name)

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
    name="cohere",
    build=CohereProvider,
    settings=CohereSettings,
    doc="Cohere, version 2 of its API.",
)
