"""The provider ``gemini``: Google's Gemini by its own API.

This module must not hold what belongs to the dialect: that is ``netrunner.dialects.gemini``.
"""

from __future__ import annotations

import dataclasses

import msgspec
from zope.interface import implementer

from netrunner.dialects.gemini import paths
from netrunner.dialects.gemini.api import GeminiApi
from netrunner.interfaces import ISteps, IUpstream
from netrunner.offers import ProviderFactory
from netrunner.providers.api import ApiProvider
from netrunner.providers.continuing import Continuable, Continuing
from netrunner.settings import ProviderSettings, setting
from netrunner.values import Call, UpstreamRequest


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GeminiSettings(ProviderSettings):
    """Settings of the provider ``gemini``."""

    base_url: str = setting(
        "https://generativelanguage.googleapis.com/v1beta", doc="Where the API lives, path prefix included.", form="url"
    )


@implementer(ISteps)
class GeminiProvider(ApiProvider):
    """Gemini with a stored key, the caller's own, or none."""

    dialect = "gemini"
    speaks = GeminiApi

    def build(self, call: Call) -> UpstreamRequest:
        """Return the request for one attempt; callers of Gemini's own dialect ask on themselves."""
        request = super().build(call)
        if call.translated and paths.parsed(call.endpoint)[1] in (paths.GENERATE, paths.STREAM):
            return Continuable(*msgspec.structs.astuple(request))
        return request

    def over(self, upstream: IUpstream) -> IUpstream:
        """Return what asks on for answers that are broken off."""
        return Continuing(upstream)


plugin = ProviderFactory(
    name="gemini",
    build=GeminiProvider,
    settings=GeminiSettings,
    doc="Google's Gemini, by its own API.",
)
