"""What the members of OpenAI's family share beyond its dialect: a body made fit before it is sent.

This module must not name any member.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from zope.interface import implementer

from netrunner.dialects.openai.api import OpenAIApi
from netrunner.dialects.openai.family import Family, fit
from netrunner.errors import UpstreamRejected
from netrunner.interfaces import IAdapts, IEnvironment, IProvider
from netrunner.settings import ProviderSettings, setting
from netrunner.values import Call, Headers, UpstreamRequest


def member_settings(name: str, base_url: str) -> type[ProviderSettings]:
    """Return the settings of a member of the family: those of every provider, at its own address."""
    address = setting(base_url, doc="Where the API lives, path prefix included.", form="url")
    settings = dataclasses.make_dataclass(
        f"{name}Settings",
        [("base_url", str, address)],
        bases=(ProviderSettings,),
        namespace={"__doc__": f"Settings of a provider at {base_url}.", "__module__": __name__},
        frozen=True,
        slots=True,
        kw_only=True,
    )
    return settings


@implementer(IProvider, IAdapts)
class Member:
    """An API that speaks like OpenAI's, but for what its ``family`` says."""

    dialect = "openai"
    family: ClassVar[Family]

    def __init__(self, settings: ProviderSettings, environment: IEnvironment) -> None:
        self.settings = settings
        self.api = OpenAIApi(settings, environment.name)

    def build(self, call: Call) -> UpstreamRequest:
        """Return the request for one attempt.

        Raises:
            UnsupportedParameter: for what the member cannot do.
        """
        if call.endpoint == "chat/completions" and type(call.body) is bytes and call.gaps is not None:
            call.body = fit(call.body, self.family, call.gaps)
        return self.api.request(call)

    def serves(self, endpoint: str, model_named: bool) -> bool:
        """Return whether ``endpoint`` may be called with this provider's key, a model named or not."""
        return self.api.serves(endpoint)

    def classify(self, status: int, headers: Headers, body: bytes) -> UpstreamRejected:
        """Return what an error answer means."""
        return self.api.classify(status, headers, body)
