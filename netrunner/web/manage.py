"""The management API: projects, their tokens, and the audit, for whoever has the management token.

Answers are JSON and no cache keeps them; bodies of ``/manage/`` are in no journal, since they carry keys.

This module must not decide what may be changed; ``netrunner.projects.office`` does.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from typing import Any

from twisted.web.resource import Resource

from netrunner.errors import BadRequest, MethodNotAllowed, NotFound, Unauthenticated
from netrunner.http.request import Request
from netrunner.projects.office import Actor, Office
from netrunner.projects.reception import Reception
from netrunner.projects.wanted import (
    ChosenTokens,
    NamedToken,
    NewProject,
    NewToken,
    ProjectChange,
    Refreshment,
    TokenChange,
    entry_document,
    parse,
)
from netrunner.settings import Secret
from netrunner.store.audit import Filters
from netrunner.values import Answer, Headers
from netrunner.web.access import Sources
from netrunner.web.arguments import MAX_ROWS, Arguments, is_id
from netrunner.web.audited import Audited, id_of
from netrunner.web.gate import MANAGEMENT, Gate, bearer
from netrunner.web.late import Late
from netrunner.web.logs import JSON, tell

PAGE_ROWS = 100
MAX_BODY_BYTES = 1048576
_CHALLENGE = ((b"www-authenticate", b'Bearer realm="netrunner management"'),)
_TRUTHS = {"true": True, "false": False}


class Key(Gate):
    """Lets in whoever has the management token.

    Args:
        token: It; nobody is let in without one.
        late: Answers wrong credentials.
    """

    def __init__(self, token: Secret | None, late: Late) -> None:
        super().__init__(None, None, late)
        self._token = None if token is None else token.reveal().encode()

    def check(self, request: Request) -> None:
        """Refuse everybody else, in constant time."""
        given = bearer(request.header(b"authorization"))
        if self._token is None or not hmac.compare_digest(given, self._token):
            raise Unauthenticated("The management token is required.", code="invalid_token", headers=_CHALLENGE)

    def account(self, request: Request) -> str | None:
        """Return the one account there is; None if the request brings no credential."""
        return None if request.header(b"authorization") is None else MANAGEMENT


Does = Callable[[Request], Awaitable[tuple[int, Any]]]
Named = Callable[[Request], str]


def _management(request: Request) -> str:
    return MANAGEMENT


class Managed(Audited):
    """What is below one path: each method does something, and what is left of the path may be an id and a word.

    Args:
        gate: Who is let in.
        reception: Where things are done.
        sources: Where requests come from.
        named: Tells the name of who asks, for the audit.
    """

    methods = (b"GET", b"HEAD", b"POST", b"PATCH", b"DELETE")

    def __init__(self, gate: Gate, reception: Reception, sources: Sources, named: Named = _management) -> None:
        super().__init__(gate)
        self._reception = reception
        self._sources = sources
        self._named = named

    def does(self, rest: tuple[str, ...]) -> dict[bytes, Does]:
        """Return what each method does at what is left of the path; nothing where nothing is."""
        return {}

    async def answer(self, request: Request) -> Answer | None:
        """Do it, and tell what came of it."""
        rest = tuple(part.decode("latin-1") for part in request.postpath or [] if part)
        does = self.does(rest)
        if not does:
            raise NotFound(f"There is nothing at {request.path.decode('latin-1')!r}.", code="not_found")
        does = {**does, b"HEAD": does[b"GET"]} if b"GET" in does else does
        if request.method not in does:
            allowed = b", ".join(does)
            raise MethodNotAllowed(f"Only {allowed.decode()} is allowed here.", headers=[(b"allow", allowed)])
        if len(request.body()) > MAX_BODY_BYTES:
            raise BadRequest(f"The body is larger than {MAX_BODY_BYTES} bytes.", code="invalid_json")
        status, told = await does[request.method](request)
        return Answer(204, _UNCACHED, b"") if told is None else tell(told, status=status)

    def actor(self, request: Request) -> Actor:
        """Return who asks, by the id that the request came with or was given."""
        return Actor(self._named(request), id_of(request), self._sources.of(request.client, request.raw_headers))


_UNCACHED: Headers = [field for field in JSON if field[0] != b"content-type"]


class Projects(Managed):
    """``/manage/projects``."""

    def does(self, rest: tuple[str, ...]) -> dict[bytes, Does]:
        """Return what is done with all, with one, and with the tokens of one."""
        if not rest:
            return {b"GET": self._list, b"POST": self._create}
        if len(rest) == 1:
            return {b"GET": self._one, b"PATCH": self._change, b"DELETE": self._delete}
        return {b"POST": self._revoke} if rest[1:] == ("tokens", "revoke") else {}

    async def _list(self, request: Request) -> tuple[int, Any]:
        arguments = Arguments(request, ("limit", "before", "active", "q"))
        limit, before = arguments.number("limit", PAGE_ROWS, MAX_ROWS), _before(arguments)
        active, named = arguments.choice("active", _TRUTHS), arguments.text("q")
        return 200, _page(await self._reception.look(Office.projects, limit + 1, before, active, named), limit)

    async def _create(self, request: Request) -> tuple[int, Any]:
        wanted = parse(request.body(), NewProject)
        return 201, await self._reception.change("project.create", self.actor(request), Office.create_project, wanted)

    async def _one(self, request: Request) -> tuple[int, Any]:
        return 200, await self._reception.look(Office.project, _id(request))

    async def _change(self, request: Request) -> tuple[int, Any]:
        wanted = parse(request.body(), ProjectChange)
        actor, id = self.actor(request), _id(request)
        return 200, await self._reception.change("project.change", actor, Office.change_project, id, wanted)

    async def _delete(self, request: Request) -> tuple[int, Any]:
        await self._reception.change("project.delete", self.actor(request), Office.delete_project, _id(request))
        return 204, None

    async def _revoke(self, request: Request) -> tuple[int, Any]:
        actor = self.actor(request)
        count = await self._reception.change("project.revoke_tokens", actor, Office.revoke_all, _id(request))
        return 200, {"revoked": count}


class Tokens(Managed):
    """``/manage/tokens``."""

    def does(self, rest: tuple[str, ...]) -> dict[bytes, Does]:
        """Return what is done with all, with several, and with one."""
        if not rest:
            return {b"GET": self._list, b"POST": self._issue, b"DELETE": self._revoke_named}
        if rest == ("revoke",):
            return {b"POST": self._revoke_several}
        if len(rest) == 1:
            return {b"GET": self._one, b"PATCH": self._change, b"DELETE": self._revoke}
        return {b"POST": self._refresh} if rest[1:] == ("refresh",) else {}

    async def _list(self, request: Request) -> tuple[int, Any]:
        arguments = Arguments(request, ("limit", "before", "active", "project_id", "q"))
        limit, before = arguments.number("limit", PAGE_ROWS, MAX_ROWS), _before(arguments)
        project, active = arguments.text("project_id"), arguments.choice("active", _TRUTHS)
        found = await self._reception.look(Office.tokens, limit + 1, before, project, active, arguments.text("q"))
        return 200, _page(found, limit)

    async def _issue(self, request: Request) -> tuple[int, Any]:
        wanted = parse(request.body(), NewToken)
        return 201, await self._reception.change("token.create", self.actor(request), Office.issue, wanted)

    async def _revoke_named(self, request: Request) -> tuple[int, Any]:
        wanted = parse(request.body(), NamedToken)
        await self._reception.change("token.revoke", self.actor(request), Office.revoke_named, wanted)
        return 204, None

    async def _one(self, request: Request) -> tuple[int, Any]:
        return 200, await self._reception.look(Office.token, _id(request))

    async def _change(self, request: Request) -> tuple[int, Any]:
        wanted = parse(request.body(), TokenChange)
        actor, id = self.actor(request), _id(request)
        return 200, await self._reception.change("token.change", actor, Office.change_token, id, wanted)

    async def _revoke(self, request: Request) -> tuple[int, Any]:
        await self._reception.change("token.revoke", self.actor(request), Office.revoke, _id(request))
        return 204, None

    async def _revoke_several(self, request: Request) -> tuple[int, Any]:
        wanted = parse(request.body(), ChosenTokens)
        count = await self._reception.change("token.revoke", self.actor(request), Office.revoke_several, wanted)
        return 200, {"revoked": count}

    async def _refresh(self, request: Request) -> tuple[int, Any]:
        wanted = parse(request.body() or b"{}", Refreshment)
        actor, id = self.actor(request), _id(request)
        return 200, await self._reception.change("token.refresh", actor, Office.refresh, id, wanted)


class Audit(Managed):
    """``/manage/audit``."""

    def does(self, rest: tuple[str, ...]) -> dict[bytes, Does]:
        """Return what is done: it is read."""
        return {} if rest else {b"GET": self._list}

    async def _list(self, request: Request) -> tuple[int, Any]:
        texts = ("actor", "action", "outcome", "project_id", "token_id")
        arguments = Arguments(request, ("limit", "before", "since", "until", *texts))
        limit = arguments.number("limit", PAGE_ROWS, MAX_ROWS)
        filters = Filters(
            actor=arguments.text("actor"),
            action=arguments.text("action"),
            outcome=arguments.text("outcome"),
            project=arguments.text("project_id"),
            token=arguments.text("token_id"),
            since_s=arguments.time("since"),
            until_s=arguments.time("until"),
            before=_before(arguments),
        )
        entries = await self._reception.look(Office.audit, filters, limit + 1)
        return 200, _page([entry_document(entry) for entry in entries], limit)


class Manage(Managed):
    """Everything below ``/manage``: the token is asked for before it is told what is there."""

    def __init__(self, gate: Gate, reception: Reception, sources: Sources, named: Named = _management) -> None:
        super().__init__(gate, reception, sources, named)
        kinds = {"projects": Projects, "tokens": Tokens, "audit": Audit}
        self._parts = {name: kind(gate, reception, sources, named) for name, kind in kinds.items()}

    def does(self, rest: tuple[str, ...]) -> dict[bytes, Does]:
        """Return what is done in one of its parts."""
        part = self._parts.get(rest[0]) if rest else None
        return {} if part is None else part.does(rest[1:])


def manage(token: Secret | None, reception: Reception, sources: Sources, late: Late) -> Resource:
    """Return what is served at ``/manage``."""
    return Manage(Key(token, late), reception, sources)


def _page(rows: list[dict[str, Any]], limit: int) -> dict[str, Any]:
    """Return a page of a list, and by what the next one is asked for."""
    shown = rows[:limit]
    more = len(rows) > limit
    return {"object": "list", "data": shown, "has_more": more, "next_before": shown[-1]["id"] if more else None}


def _before(arguments: Arguments) -> str | None:
    before = arguments.text("before")
    if before is not None and not is_id(before):
        raise BadRequest("before: is the id of a row.", code="invalid_filter", param="before")
    return before


def _id(request: Request) -> str:
    parts = [part for part in request.postpath or [] if part]
    return parts[1].decode("latin-1")
