"""The provider ``azure_openai``: OpenAI's models on Azure, whose key and addresses have another form.

Without ``api_version`` the address is the newer one, ``https://NAME.openai.azure.com/openai/v1``, which names models in
bodies. With it, ``https://NAME.openai.azure.com/openai``, the path names them: ``deployments/MODEL/chat/completions``.

This module must not hold what its family shares.
"""

from __future__ import annotations

import dataclasses
from urllib.parse import quote, urlsplit

from netrunner.interfaces import IEnvironment
from netrunner.offers import ProviderFactory
from netrunner.providers.openai import OpenAIProvider, OpenAISettings
from netrunner.settings import setting
from netrunner.values import Call, UpstreamRequest


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AzureOpenAISettings(OpenAISettings):
    """Settings of the provider ``azure_openai``."""

    base_url: str = setting(doc="Where the resource lives, `/openai/v1` or `/openai` included.", form="url")
    api_version: str | None = setting(None, doc="Of the older addresses, such as `2024-10-21`.", form="text")


class AzureOpenAIProvider(OpenAIProvider):
    """OpenAI's API under Azure's rules."""

    def __init__(self, settings: AzureOpenAISettings, environment: IEnvironment) -> None:
        super().__init__(settings, environment)
        self._version = settings.api_version
        self._base = urlsplit(settings.base_url).path.rstrip("/").encode("ascii") + b"/"

    def build(self, call: Call) -> UpstreamRequest:
        """Return the request for one attempt: ``api-key`` for the stored key, the model in the path if it has to be."""
        request = super().build(call)
        if self.settings.api_key != "passthrough":
            request.headers = [
                (b"api-key", value.removeprefix(b"Bearer ")) if name == b"authorization" else (name, value)
                for name, value in request.headers
            ]
        if self._version is not None:
            rest = request.target.removeprefix(self._base)
            if call.model:
                rest = b"deployments/" + quote(call.model, safe="").encode() + b"/" + rest
            mark = b"&" if b"?" in rest else b"?"
            request.target = self._base + rest + mark + b"api-version=" + quote(self._version, safe="").encode()
        return request


plugin = ProviderFactory(
    name="azure_openai",
    build=AzureOpenAIProvider,
    settings=AzureOpenAISettings,
    doc="OpenAI's models on Azure.",
)
