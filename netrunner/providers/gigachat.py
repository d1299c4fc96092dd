"""The provider ``gigachat``: Sber's GigaChat, version 1 of its API, asked with access tokens that are got for a key.

The key goes to ``auth_url`` alone, the tokens to ``base_url`` alone, and both are verified, by ``ca_file`` if given.

This module must not hold what its dialect is made of: that is ``netrunner.dialects.gigachat``.
"""

from __future__ import annotations

import base64
import dataclasses
import random
import uuid
from typing import Any, Literal

import msgspec
from zope.interface import implementer

from netrunner.dialects.gigachat.api import GigaChatApi
from netrunner.errors import ConfigurationError, Problem, UpstreamError, UpstreamRejected
from netrunner.interfaces import IEnvironment, IPrepares, ISteps, IUpstream
from netrunner.offers import ProviderFactory
from netrunner.providers.api import ApiProvider
from netrunner.providers.token import Grant, Token
from netrunner.providers.uploads import Uploading
from netrunner.settings import ProviderSettings, Secret, setting
from netrunner.sidecall import post_form
from netrunner.values import Call, Headers, UpstreamRequest
from netrunner.veil import keys_of

LIFE_S = 1800.0
"""How long a token lasts whose answer does not say."""
_MILLISECONDS = 1e11
"""Unix times beyond it are in milliseconds."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GigaChatSettings(ProviderSettings):
    """Settings of the provider ``gigachat``."""

    base_url: str = setting("https://api.giga.chat/v1", doc="Where the API lives, path prefix included.", form="url")
    auth_url: str = setting(
        "https://ngw.devices.sberbank.ru:9443/api/v2/oauth", doc="Where access tokens come from.", form="url"
    )
    scope: Literal["GIGACHAT_API_PERS", "GIGACHAT_API_B2B", "GIGACHAT_API_CORP"] = setting(
        "GIGACHAT_API_PERS", doc="What the key is for: `GIGACHAT_API_PERS`, `GIGACHAT_API_B2B` or `GIGACHAT_API_CORP`."
    )
    client_id: str | None = setting(
        None, doc="Half of the key, where `api_key` does not have it whole; told in X-Client-ID.", form="text"
    )
    client_secret: Secret | None = setting(None, doc="The other half.")
    keep_files: bool = setting(
        False, doc="Whether images that were sent as files stay there; they are deleted after the answer otherwise."
    )
    max_at_once: int | None = setting(1, doc="Calls at once: a person's account has one stream.", minimum=1)


@implementer(IPrepares, ISteps)
class GigaChatProvider(ApiProvider):
    """GigaChat, with a stored key, the caller's own access token, or none."""

    dialect = "gigachat"
    speaks = GigaChatApi
    api: GigaChatApi

    def __init__(self, settings: GigaChatSettings, environment: IEnvironment) -> None:
        key = _key(settings, environment.name)
        super().__init__(dataclasses.replace(settings, api_key=key or settings.api_key), environment)
        self.settings = settings
        self._environment = environment
        self._authorization = "" if key is None else f"Basic {key.reveal().strip()}"
        stored = (key, settings.client_secret)
        self._keys = keys_of(tuple(one.reveal().strip().encode() for one in stored if one is not None))
        self._token = Token(environment.clock, self._fetch)
        self._http: Any = None
        self._session = _uuid(environment.random)
        """What requests are told apart by that may share a cache of prompts: those of one start."""

    async def prepare(self, call: Call) -> None:
        """Get an access token, or a new one shortly before the old one ends.

        Raises:
            UpstreamError: when there is none to be had.
        """
        if self.api.has_own_key:
            self.api.token = await self._token.get()

    def build(self, call: Call) -> UpstreamRequest:
        """Return the request for one attempt."""
        given = {name for name, _ in call.headers}
        own = [(b"x-session-id", self._session.encode())]
        if self.settings.client_id is not None:
            own.append((b"x-client-id", self.settings.client_id.encode()))
        headers = call.headers + [field for field in own if field[0] not in given]
        return super().build(msgspec.structs.replace(call, headers=headers))

    def over(self, upstream: IUpstream) -> IUpstream:
        """Return what sends the images of a request as files before it."""
        return Uploading(upstream, self.api, self.settings.keep_files)

    def classify(self, status: int, headers: Headers, body: bytes) -> UpstreamRejected:
        """Return what an error answer means; a token that was refused is got anew for the next attempt."""
        token = self.api.token
        error = super().classify(status, headers, body)
        if token is not None and self.api.token is None:
            self._token.forget(token)
        return error

    async def _fetch(self) -> Grant:
        """Get an access token for the key."""
        environment, settings = self._environment, self.settings
        if self._http is None:
            self._http = environment.http_for(settings.ca_file)
        headers = {
            "Accept": "application/json",
            "Authorization": self._authorization,
            "RqUID": _uuid(environment.random),
        }
        try:
            status, body = await post_form(
                self._http, environment.clock, settings.auth_url, {"scope": settings.scope}, headers
            )
        except UpstreamError as error:
            environment.log.warn("no access token: {reason}", reason=error.message)
            raise self._refusal(type(error), error.status, "upstream_connection_failed") from error
        if status != 200:
            said = body if self._keys is None else self._keys.masked(body)
            environment.log.warn("no access token: status {status}, {reason}", status=status, reason=_reason(said))
            retryable = status == 429 or status >= 500
            raise self._refusal(UpstreamError, 502, "upstream_auth_failed" if retryable else "upstream_auth")
        grant = _grant(body, environment.clock.wall())
        if grant is None:
            environment.log.warn("no access token: there is none in the answer")
            raise self._refusal(UpstreamError, 502, "upstream_auth_failed")
        return grant

    def _refusal(self, kind: type[UpstreamError], status: int, code: str) -> UpstreamError:
        error = kind(f"There is no access token for the provider {self._environment.name}.", status=status, code=code)
        error.retryable = code != "upstream_auth"
        error.sent = False
        return error


def _key(settings: GigaChatSettings, name: str) -> Secret | None:
    """Return the key that access tokens are got for; None where the caller brings his own, or there is none.

    Raises:
        ConfigurationError: for a key that is given twice, or by half, or is a project's.
    """
    if settings.api_key == "project":
        reason = "a project's key cannot be exchanged for an access token"
        raise ConfigurationError([Problem(f"providers.{name}.api_key", reason)])
    if settings.client_secret is None and (settings.api_key is not None or settings.client_id is None):
        return settings.api_key if isinstance(settings.api_key, Secret) else None
    if settings.api_key is not None or settings.client_id is None or settings.client_secret is None:
        where = f"providers.{name}"
        raise ConfigurationError([Problem(where, "either api_key, or client_id and client_secret, were expected")])
    pair = f"{settings.client_id}:{settings.client_secret.reveal()}"
    return Secret(base64.b64encode(pair.encode()).decode())


def _uuid(chance: random.Random) -> str:
    return str(uuid.UUID(int=chance.getrandbits(128), version=4))


def _document(body: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _reason(body: bytes) -> str:
    """Return what an error answer says, as far as it belongs into a log."""
    document = _document(body)
    return f"{document.get('code', '')} {document.get('message', '')}".strip()[:200] or "no reason"


def _grant(body: bytes, now: float) -> Grant | None:
    """Return the token of an answer, in either of two shapes; None if there is none."""
    document = _document(body)
    token = document.get("access_token", document.get("tok"))
    if not isinstance(token, str) or not token or not token.isascii() or not token.isprintable():
        return None
    ends = document.get("expires_at", document.get("exp"))
    if isinstance(ends, bool) or not isinstance(ends, (int, float)) or ends <= 0:
        return Grant(token, now + LIFE_S)
    return Grant(token, ends / 1000 if ends > _MILLISECONDS else float(ends))


plugin = ProviderFactory(
    name="gigachat",
    build=GigaChatProvider,
    settings=GigaChatSettings,
    doc="Sber's GigaChat, version 1 of its API.",
)
