"""A worked example: the provider ``example``, an OpenAI-compatible API that wants its key in ``x-api-key``.

Copy this file into a folder named in ``plugins.directories``, then say who it is::

    providers:
      acme: {type: example, base_url: https://llm.example/v1, api_key: {env: ACME_KEY}, team: blue}
"""

import dataclasses

from zope.interface import implementer

from netrunner.dialects.openai.api import OpenAIApi
from netrunner.errors import UpstreamRejected
from netrunner.interfaces import IEnvironment, IProvider
from netrunner.offers import ProviderFactory
from netrunner.settings import ProviderSettings, setting
from netrunner.values import Call, Headers, UpstreamRequest


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ExampleSettings(ProviderSettings):
    """Settings of the provider ``example``: those of every provider, and one of its own."""

    team: str | None = setting(None, doc="Whom the usage is accounted to.", form="name")


@implementer(IProvider)
class Example:
    """Asks as OpenAI is asked, but for the header with the key and one about the team."""

    dialect = "openai"

    def __init__(self, settings: ExampleSettings, environment: IEnvironment) -> None:
        self.settings = settings
        self._api = OpenAIApi(settings, environment.name)

    def build(self, call: Call) -> UpstreamRequest:
        """Return the request for one attempt."""
        request = self._api.request(call)
        request.headers = [self._own(name, value) for name, value in request.headers]
        if self.settings.team is not None:
            request.headers.append((b"x-team", self.settings.team.encode()))
        return request

    def serves(self, endpoint: str, model_named: bool) -> bool:
        """Return whether ``endpoint`` may be called with this provider's key."""
        return self._api.serves(endpoint)

    def classify(self, status: int, headers: Headers, body: bytes) -> UpstreamRejected:
        """Return what an error answer means."""
        return self._api.classify(status, headers, body)

    def _own(self, name: bytes, value: bytes) -> tuple[bytes, bytes]:
        return (b"x-api-key", value.removeprefix(b"Bearer ")) if name == b"authorization" else (name, value)


example = ProviderFactory(
    name="example",
    build=Example,
    settings=ExampleSettings,
    doc="An OpenAI-compatible API that wants its key in x-api-key.",
)
