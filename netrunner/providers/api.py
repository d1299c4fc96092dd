"""What every provider is that stands for one API: asked, and understood where it fails, as its dialect says.

This module must not name any provider.
"""

from __future__ import annotations

from typing import Any, ClassVar

from zope.interface import implementer

from netrunner.dialects.openai.api import OpenAIApi
from netrunner.errors import UpstreamRejected
from netrunner.interfaces import IEnvironment, IProvider
from netrunner.settings import ProviderSettings
from netrunner.values import Call, Headers, UpstreamRequest


@implementer(IProvider)
class ApiProvider:
    """One API, with a stored key, the caller's own, or none; a subclass says which."""

    dialect: ClassVar[str] = "openai"
    speaks: ClassVar[type[OpenAIApi]] = OpenAIApi
    """How it is asked."""

    def __init__(self, settings: ProviderSettings, environment: IEnvironment) -> None:
        self.settings: Any = settings
        self.api = self.speaks(settings, environment.name)

    def build(self, call: Call) -> UpstreamRequest:
        """Return the request for one attempt."""
        return self.api.request(call)

    def serves(self, endpoint: str, model_named: bool) -> bool:
        """Return whether ``endpoint`` may be called with this provider's key, a model named or not."""
        return self.api.serves(endpoint)

    def classify(self, status: int, headers: Headers, body: bytes) -> UpstreamRejected:
        """Return what an error answer means."""
        return self.api.classify(status, headers, body)
