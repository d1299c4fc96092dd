"""The provider ``ollama``: an Ollama server, here or in its cloud, by its own API.

This module must not hold what any server of this dialect shares: that is ``netrunner.dialects.ollama.api``.
"""

from __future__ import annotations

import dataclasses

from zope.interface import implementer

from netrunner.dialects.ollama.api import OllamaApi
from netrunner.errors import UpstreamRejected
from netrunner.interfaces import IEnvironment, IProvider
from netrunner.offers import ProviderFactory
from netrunner.settings import ProviderSettings, setting
from netrunner.values import Call, Headers, UpstreamRequest


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class OllamaSettings(ProviderSettings):
    """Settings of the provider ``ollama``."""

    base_url: str = setting(
        "http://127.0.0.1:11434/api",
        doc="Where the API lives, path prefix included; `/api` where there is no path.",
        form="url",
    )


@implementer(IProvider)
class OllamaProvider:
    """An Ollama server, with a stored key, the caller's own, or none."""

    dialect = "ollama"

    def __init__(self, settings: OllamaSettings, environment: IEnvironment) -> None:
        self.settings = settings
        self._api = OllamaApi(settings, environment.name)

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
    name="ollama",
    build=OllamaProvider,
    settings=OllamaSettings,
    doc="An Ollama server, by its own API.",
)
