"""Providers behind aliases: any API at the address an alias was registered with, asked as its callers ask.

This module must not decide where an alias may lead; the pool that its requests go through does.
"""

from __future__ import annotations

from collections.abc import Mapping

from zope.interface import implementer

from netrunner.dialects.anthropic.api import AnthropicApi
from netrunner.dialects.openai.api import OpenAIApi
from netrunner.errors import UpstreamRejected
from netrunner.interfaces import IProvider, ISpeaksMore, IUpstream
from netrunner.pipeline.shared import Pipeline
from netrunner.routing.names import ALIAS_PROVIDER
from netrunner.settings import ProviderSettings
from netrunner.values import Alias, Call, Headers, UpstreamRequest


@implementer(IProvider, ISpeaksMore)
class AliasProvider:
    """An API that somebody named: no key is stored for it, and what it answers goes through as it comes.

    Args:
        alias: Its address.
        passthrough: Whether the caller's own credential goes on; not where that is the one for this server.
    """

    dialect = "openai"
    also = frozenset({"responses", "anthropic"})

    def __init__(self, alias: Alias, passthrough: bool) -> None:
        self.settings = ProviderSettings(
            base_url=alias.api_url, api_key="passthrough" if passthrough else None, repair=False
        )
        self._openai = OpenAIApi(self.settings, alias.name)
        self._anthropic = AnthropicApi(self.settings, alias.name)

    def build(self, call: Call) -> UpstreamRequest:
        """Return the request for one attempt; Anthropic's own endpoints have the credential in Anthropic's field."""
        api = self._anthropic if call.endpoint.partition("/")[0] == "messages" else self._openai
        return api.request(call)

    def serves(self, endpoint: str, model_named: bool) -> bool:
        """Return True: whatever is below ``/v1`` goes there."""
        return True

    def classify(self, status: int, headers: Headers, body: bytes) -> UpstreamRejected:
        """Return what an error answer means."""
        return self._openai.classify(status, headers, body)


class AliasProviders:
    """The providers behind all aliases of one pipeline.

    Args:
        pipeline: What they serve.
        upstream: Carries their requests, and refuses addresses that they must not lead to.
        passthrough: As of ``AliasProvider``.
    """

    def __init__(self, pipeline: Pipeline, upstream: IUpstream, passthrough: bool) -> None:
        self._pipeline = pipeline
        self._upstream = upstream
        self._passthrough = passthrough
        self._known: dict[str, Alias] = {}

    def follow(self, aliases: Mapping[str, Alias]) -> None:
        """Serve these from now on. One that is gone stays until nothing in progress is served by it."""
        busy = {exchange.provider for exchange in self._pipeline.inflight.values()}
        for name in [name for name in self._known if name not in aliases]:
            if ALIAS_PROVIDER + name not in busy:
                self._pipeline.dismiss(ALIAS_PROVIDER + name)
                del self._known[name]
        for name, alias in aliases.items():
            if self._known.get(name) != alias:
                self._known[name] = alias
                self._pipeline.admit(ALIAS_PROVIDER + name, AliasProvider(alias, self._passthrough), self._upstream)
