"""The provider ``anthropic``: Anthropic itself, or any API that speaks like it.

This module must not hold what any API of this dialect shares: that is ``netrunner.dialects.anthropic.api``.
"""

from __future__ import annotations

import dataclasses

from zope.interface import implementer

from netrunner.dialects.anthropic.api import AnthropicApi
from netrunner.dialects.anthropic.writing import bounded
from netrunner.errors import UpstreamRejected
from netrunner.interfaces import IEnvironment, IProvider
from netrunner.offers import ProviderFactory
from netrunner.settings import ProviderSettings, setting
from netrunner.values import Call, Headers, UpstreamRequest


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AnthropicSettings(ProviderSettings):
    """Settings of the provider ``anthropic``."""

    base_url: str = setting(
        "https://api.anthropic.com/v1", doc="Where the API lives, path prefix included.", form="url"
    )
    default_max_tokens: int | None = setting(
        None,
        doc="Tokens an answer may take where another dialect's caller does not say; by the model's family if absent.",
        minimum=1,
    )


@implementer(IProvider)
class AnthropicProvider:
    """Anthropic's API, with a stored key, the caller's own, or none."""

    dialect = "anthropic"

    def __init__(self, settings: AnthropicSettings, environment: IEnvironment) -> None:
        self.settings = settings
        self._api = AnthropicApi(settings, environment.name)

    def build(self, call: Call) -> UpstreamRequest:
        """Return the request for one attempt."""
        request = self._api.request(call)
        most = self.settings.default_max_tokens
        if most is not None and call.gaps is not None and "max_tokens" in call.gaps.assumed:
            request.body = bounded(call.body, most)
        return request

    def serves(self, endpoint: str, model_named: bool) -> bool:
        """Return whether ``endpoint`` may be called with this provider's key, a model named or not."""
        return self._api.serves(endpoint)

    def classify(self, status: int, headers: Headers, body: bytes) -> UpstreamRejected:
        """Return what an error answer means."""
        return self._api.classify(status, headers, body)


plugin = ProviderFactory(
    name="anthropic",
    build=AnthropicProvider,
    settings=AnthropicSettings,
    doc="Anthropic, or any API that speaks like it.",
)
