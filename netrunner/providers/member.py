"""What the members of OpenAI's family share beyond its dialect: a body made fit before it is sent, and images.

This module must not name any member.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from zope.interface import implementer

from netrunner.dialects.openai import images
from netrunner.dialects.openai.family import Family, fit
from netrunner.interfaces import IAdapts
from netrunner.providers.api import ApiProvider
from netrunner.settings import ProviderSettings, setting
from netrunner.values import Call, UpstreamRequest


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


@implementer(IAdapts)
class Member(ApiProvider):
    """An API that speaks like OpenAI's, but for what its ``family`` says."""

    family: ClassVar[Family]

    def build(self, call: Call) -> UpstreamRequest:
        """Return the request for one attempt.

        Raises:
            UnsupportedParameter: for what the member cannot do.
        """
        if call.endpoint == images.ENDPOINT and call.translated:
            return self.draw(call)
        if call.endpoint == "chat/completions" and type(call.body) is bytes and call.gaps is not None:
            call.body = fit(call.body, self.family, call.gaps)
        return super().build(call)

    def draw(self, call: Call) -> UpstreamRequest:
        """Return the request for an image whose caller does not see the answer's form: the plain one.

        Raises:
            BadRequest: for a model's name that cannot stand where the member wants it.
        """
        return self.api.request(call)
