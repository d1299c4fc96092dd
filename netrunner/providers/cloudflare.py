"""The provider ``cloudflare``: Workers AI, or any model behind an AI Gateway; both speak like OpenAI's API.

With ``account_id`` it is Workers AI, whose models are called ``@cf/...``. Without it ``base_url`` is a gateway's, which
hands requests on as they are: ``https://gateway.ai.cloudflare.com/v1/ACCOUNT/GATEWAY/compat``.

This module must not hold what its family shares.
"""

from __future__ import annotations

import dataclasses

import msgspec

from netrunner import sse
from netrunner.dialects.openai.dialect import OpenAIDialect
from netrunner.dialects.openai.family import COMFORT, HOSTED, Family
from netrunner.dialects.openai.images import by_model, prompt_and_sides
from netrunner.errors import ConfigurationError, Problem, UpstreamRejected
from netrunner.interfaces import IEnvironment
from netrunner.offers import ProviderFactory
from netrunner.providers.member import Member
from netrunner.settings import ProviderSettings, Secret, setting
from netrunner.values import Call, Headers, UpstreamRequest

WORKERS_AI = "https://api.cloudflare.com/client/v4"
_DIALECT = OpenAIDialect()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CloudflareSettings(ProviderSettings):
    """Settings of the provider ``cloudflare``."""

    base_url: str = setting(
        WORKERS_AI, doc="Where the API lives; a gateway's address, up to `/compat` or the provider.", form="url"
    )
    account_id: str | None = setting(
        None, doc="Whose Workers AI it is; `/accounts/ID/ai/v1` is added to the address.", form="name"
    )
    cf_aig_token: Secret | None = setting(None, doc="What opens a gateway that is locked, beside `api_key`.")


class CloudflareProvider(Member):
    """Workers AI or an AI Gateway."""

    family = Family(
        dropped=COMFORT | {"logprobs", "seed", "top_logprobs"},
        refused=HOSTED | {"logit_bias": "it has no token ids"},
        answers=False,
    )

    def __init__(self, settings: CloudflareSettings, environment: IEnvironment) -> None:
        account = settings.account_id
        address = settings.base_url.rstrip("/")
        if account is None and address == WORKERS_AI:
            where = f"providers.{environment.name}"
            raise ConfigurationError([Problem(where, "account_id, or the base_url of a gateway, was expected")])
        if account is not None:
            address = f"{address}/accounts/{account}/ai/v1"
            self._models = by_model(
                settings, environment.name, f"{settings.base_url.rstrip('/')}/accounts/{account}/ai/run"
            )
        super().__init__(dataclasses.replace(settings, base_url=address), environment)
        self.settings = settings
        self._is_gateway = account is None
        self._token = _token(settings.cf_aig_token, environment.name)

    def build(self, call: Call) -> UpstreamRequest:
        """Return the request for one attempt; what Workers AI cannot do concerns no gateway.

        Raises:
            UnsupportedParameter: for what Workers AI cannot do.
        """
        if self._is_gateway:
            request = self.api.request(call)
        else:
            request = super().build(msgspec.structs.replace(call, body=_with_sign(call)))
        if self._token is not None:
            request.headers.append((b"cf-aig-authorization", b"Bearer " + self._token))
        return request

    def draw(self, call: Call) -> UpstreamRequest:
        """Return the request for an image: of Workers AI the model is part of the address."""
        body = sse.compact(prompt_and_sides(call))
        model = call.model if call.model.startswith("@") else f"@{call.model}"
        return self._models.request(msgspec.structs.replace(call, endpoint=model, body=body))

    def classify(self, status: int, headers: Headers, body: bytes) -> UpstreamRejected:
        """Return what an error answer means."""
        return super().classify(status, headers, _unwrapped(body))


def _token(secret: Secret | None, name: str) -> bytes | None:
    """Return the gateway's token as it stands in a header.

    Raises:
        ConfigurationError: if it cannot stand there.
    """
    token = None if secret is None else secret.reveal().strip()
    if token is not None and not (token and token.isascii() and token.isprintable()):
        raise ConfigurationError([Problem(f"providers.{name}.cf_aig_token", "must be printable ASCII characters")])
    return None if token is None else token.encode()


def _with_sign(call: Call) -> object:
    """Return the body with the ``@`` before the model's name that all names of Workers AI have."""
    if not call.model or call.model.startswith("@") or type(call.body) is not bytes:
        return call.body
    content_type = next((value for name, value in call.headers if name == b"content-type"), b"")
    return _DIALECT.rename(_DIALECT.envelope(call.endpoint, content_type, call.body, b""), f"@{call.model}")


def _unwrapped(body: bytes) -> bytes:
    """Return Cloudflare's list of errors as the one error that everybody knows."""
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body
    found = (document.get("errors") or document.get("error")) if isinstance(document, dict) else None
    if not isinstance(found, list) or not isinstance(found[0], dict):
        return body
    return sse.compact({"error": {"message": found[0].get("message"), "code": str(found[0].get("code", ""))}})


plugin = ProviderFactory(
    name="cloudflare",
    build=CloudflareProvider,
    settings=CloudflareSettings,
    doc="Cloudflare's Workers AI, or an AI Gateway.",
)
