"""``/register-model``: who may names a model somewhere else, and takes the name back.

This module must not keep aliases, nor serve what they lead to.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable
from typing import Any, Protocol
from urllib.parse import unquote

import msgspec

from netrunner.errors import BadRequest, Forbidden, NotFound, Unauthenticated
from netrunner.http.local import is_local
from netrunner.http.request import Request
from netrunner.interfaces import IClock
from netrunner.routing.addresses import AddressPolicy
from netrunner.routing.names import Names
from netrunner.routing.patterns import MAX_NAME_CHARACTERS
from netrunner.settings import Secret
from netrunner.values import Alias, Answer, Origin
from netrunner.web.gate import MANAGEMENT, Gate, Guarded, bearer
from netrunner.web.late import Late
from netrunner.web.pages import JSON

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_FIELDS = ("name", "model", "api_url")
_encode = msgspec.json.Encoder().encode


class Management(Gate):
    """Lets those in who manage.

    Args:
        token: Their credential; without one only local requests are let in.
        late: Answers wrong credentials; at once without it.
    """

    def __init__(self, token: Secret | None, late: Late | None = None) -> None:
        super().__init__(None, None, late)
        self._token = None if token is None else token.reveal().encode()

    def check(self, request: Request) -> None:
        """Refuse who may not manage.

        Raises:
            Unauthenticated: for any credential but the token as Authorization Bearer, compared in constant time.
            Forbidden: ``not_local`` when there is no token and the request is not certainly of this machine.
        """
        if self._token is None:
            if not is_local(request):
                raise Forbidden(
                    "Only local requests may manage: configure access.management_token to ask for it.",
                    code="not_local",
                )
            return
        if not hmac.compare_digest(bearer(request.header(b"authorization")), self._token):
            raise Unauthenticated("The management token is required.", headers=((b"www-authenticate", b"Bearer"),))

    def account(self, request: Request) -> str | None:
        """Return the one account there is; None if the request brings no credential."""
        return None if request.header(b"authorization") is None else MANAGEMENT


class Registry(Protocol):
    """What keeps aliases."""

    async def put(self, alias: Alias) -> None:
        """Keep an alias, in the place of one of the same name."""

    async def drop(self, name: str) -> bool:
        """Forget an alias; return whether there was one."""


class Register(Guarded):
    """Takes aliases, and takes them back.

    Args:
        management: Who is let in.
        registry: Keeps aliases.
        names: Those of the configuration, which no alias may take.
        policy: Where an alias may lead.
        is_own: Whether an origin is this server itself.
        clock: Time.
    """

    methods = (b"POST", b"DELETE")

    def __init__(
        self,
        management: Management,
        registry: Registry,
        names: Names,
        policy: AddressPolicy,
        is_own: Callable[[Origin], bool],
        clock: IClock,
    ) -> None:
        super().__init__(management)
        self._registry = registry
        self._names = names
        self._policy = policy
        self._is_own = is_own
        self._clock = clock

    async def answer(self, request: Request) -> Answer:
        """Register what the body says, or forget what the path names."""
        below = [part for part in request.postpath or [] if part]
        if (request.method == b"POST") == bool(below) or len(below) > 1:
            raise NotFound(f"There is nothing to {request.method.decode()} at this path.")
        if request.method == b"DELETE":
            return await self._forget(unquote(below[0].decode("latin-1")))
        try:
            alias = self._read(request.body())
            await self._registry.put(alias)
        except BadRequest as error:
            return Answer(error.status, JSON, _encode({"error": error.message}))
        self._log.info(
            "{name} is now the model {model} at {api_url}", name=alias.name, model=alias.model, api_url=alias.api_url
        )
        return Answer(200, JSON, _encode({"status": "success", "name": alias.name, "model": alias.model}))

    async def _forget(self, name: str) -> Answer:
        if not await self._registry.drop(name):
            raise NotFound(f"No alias is called {name[:64]!r}.", code="model_not_found", param="name")
        self._log.info("{name} is no alias any more", name=name)
        return Answer(200, JSON, _encode({"status": "success", "name": name}))

    def _read(self, body: bytes) -> Alias:
        """Return the alias a body names.

        Raises:
            BadRequest: with the field and what was expected of it.
        """
        try:
            fields: Any = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BadRequest("The body is not valid JSON.", code="invalid_json") from error
        if not isinstance(fields, dict):
            raise BadRequest("The body is not a JSON object.", code="invalid_json")
        for field in _FIELDS:
            value = fields.get(field)
            if not isinstance(value, str) or not value:
                raise _wrong(field, "required, and a string that is not empty")
        unknown = next((str(field)[:64] for field in fields if field not in _FIELDS), None)
        if unknown is not None:
            raise _wrong(unknown, f"unknown; known are {', '.join(_FIELDS)}")
        name, model, api_url = (fields[field] for field in _FIELDS)
        if not _NAME.fullmatch(name):
            raise _wrong("name", "expected 1 to 64 letters, digits, dots, underscores and hyphens")
        if len(model) > MAX_NAME_CHARACTERS or not model.isprintable():
            raise _wrong("model", f"expected at most {MAX_NAME_CHARACTERS} printable characters")
        self._policy.check(api_url, "api_url")
        if self._is_own(Origin.of(api_url)):
            raise _wrong("api_url", "leads back to this server")
        reason = self._names.taken(name)
        if reason is not None:
            raise BadRequest(f"name: {reason}, which an alias would hide.", code="name_taken", param="name", status=409)
        return Alias(name, model, api_url.rstrip("/"), self._clock.wall())


def _wrong(field: str, reason: str) -> BadRequest:
    return BadRequest(f"{field}: {reason}.", code="invalid_value", param=field)
