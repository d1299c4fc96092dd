"""The provider ``anthropic``: Anthropic itself, or any API that speaks like it.

This module must not hold what any API of this dialect shares: that is ``netrunner.dialects.anthropic.api``.
"""

from __future__ import annotations

import dataclasses

from netrunner.dialects.anthropic.api import AnthropicApi
from netrunner.dialects.anthropic.writing import bounded
from netrunner.offers import ProviderFactory
from netrunner.providers.api import ApiProvider
from netrunner.settings import ProviderSettings, setting
from netrunner.values import Call, UpstreamRequest


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


class AnthropicProvider(ApiProvider):
    """Anthropic's API, with a stored key, the caller's own, or none."""

    dialect = "anthropic"
    speaks = AnthropicApi

    def build(self, call: Call) -> UpstreamRequest:
        """Return the request for one attempt."""
        request = super().build(call)
        most = self.settings.default_max_tokens
        if most is not None and call.gaps is not None and "max_tokens" in call.gaps.assumed:
            request.body = bounded(call.body, most)
        return request


plugin = ProviderFactory(
    name="anthropic",
    build=AnthropicProvider,
    settings=AnthropicSettings,
    doc="Anthropic, or any API that speaks like it.",
)
