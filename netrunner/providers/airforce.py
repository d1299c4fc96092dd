"""The provider ``airforce``: Api.Airforce, which speaks like OpenAI's API but for what stands here.

This module must not hold what its family shares.
"""

from __future__ import annotations

import math
from urllib.parse import urlencode

import msgspec

from netrunner.dialects.gaps import Gaps
from netrunner.dialects.openai.api import OpenAIApi
from netrunner.dialects.openai.family import COMFORT, HOSTED, Family
from netrunner.dialects.openai.images import prompt_and_sides
from netrunner.interfaces import IEnvironment
from netrunner.offers import ProviderFactory
from netrunner.providers.member import Member, member_settings
from netrunner.settings import ProviderSettings
from netrunner.values import Call, UpstreamRequest

AirforceSettings = member_settings("Airforce", "https://api.airforce/v1")
MAX_QUERY_BYTES = 8000
"""Servers take a request line of 8 KiB as a rule."""
_IMAGINE = "imagine2"
_FORMS = frozenset({"1:1", "16:9", "9:16", "21:9", "9:21", "1:2", "2:1"})
"""Width to height, as far as they can be asked for."""


class AirforceProvider(Member):
    """Api.Airforce's differences."""

    family = Family(dropped=COMFORT, refused=HOSTED)

    def __init__(self, settings: ProviderSettings, environment: IEnvironment) -> None:
        super().__init__(settings, environment)
        self._images = OpenAIApi(settings, environment.name, {_IMAGINE: b"GET"})

    def draw(self, call: Call) -> UpstreamRequest:
        """Return the request for an image: all of it is in the address, and it is answered with bytes.

        Raises:
            UnsupportedParameter: for a prompt that is too long for that.
        """
        gaps = call.gaps or Gaps()
        asked = prompt_and_sides(call)
        query = {"model": call.model, "prompt": asked["prompt"]}
        if "width" in asked:
            common = math.gcd(asked["width"], asked["height"])
            form = f"{asked['width'] // common}:{asked['height'] // common}"
            if form in _FORMS:
                query["size"] = form
            else:
                gaps.drop("size")
        written = urlencode(query).encode()
        if len(written) > MAX_QUERY_BYTES:
            raise gaps.unsupported("prompt", f"it takes {MAX_QUERY_BYTES} bytes in its address")
        drawn = msgspec.structs.replace(call, method=b"GET", endpoint=_IMAGINE, query=written, body=b"")
        return self._images.request(drawn)


plugin = ProviderFactory(
    name="airforce",
    build=AirforceProvider,
    settings=AirforceSettings,
    doc="Api.Airforce.",
)
