"""The pages of projects, their tokens and the audit, and what their forms do; and the same as JSON for tools.

This module must not let anybody in, nor change anything but by the operations of ``Office``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import msgspec

from netrunner.errors import BadRequest, ExchangeError, NotFound, Overloaded
from netrunner.http.request import Request
from netrunner.interfaces import ICounters
from netrunner.projects.office import Actor, Office
from netrunner.projects.reception import Reception
from netrunner.projects.wanted import ChosenTokens, entry_document
from netrunner.store.audit import Filters
from netrunner.values import Answer, Headers
from netrunner.web.admin import bars, forms
from netrunner.web.admin.entrance import Entrance, Fields
from netrunner.web.admin.pages import Asked, Asker, Shelf, Shows
from netrunner.web.manage import Manage

PAGE = 100
"""Rows of a list."""
LATEST = 10
"""Entries of the audit on the first page."""
MOST_PROJECTS = 1000
"""That a field offers."""
LIFE_H = 24
"""Hours that the form for a token proposes."""
_ACTIVE: Mapping[str, bool | None] = {"": None, "true": True, "false": False}


class Rules(msgspec.Struct, frozen=True):
    """What of the configuration matters here."""

    providers: tuple[str, ...]
    """Those that ask for a project's key."""
    per_hour: int | None
    """Requests an hour of a token that has no limit of its own."""


class ProjectPages:
    """The pages of projects.

    Args:
        shelf: What pages show.
        entrance: Who is let in.
        reception: Where things are done.
        counters: What limits count with.
        rules: What of the configuration matters.
    """

    def __init__(
        self, shelf: Shelf, entrance: Entrance, reception: Reception, counters: ICounters, rules: Rules
    ) -> None:
        self._shelf, self._reception, self._counters, self._rules = shelf, reception, counters, rules
        self._api = Manage(entrance, reception, entrance.sources, lambda request: entrance.actor_name)
        self.shows: Mapping[str, Shows] = {
            "": self._overview,
            "projects": self._projects,
            "tokens": self._tokens,
            "audit": self._audit,
        }

    async def tell(self, request: Request) -> Answer | None:
        """Do what a tool asks for; to delete, an id may stand in the body."""
        path = [part for part in request.postpath or [] if part]
        if request.method == b"DELETE" and len(path) == 1 and (id := _named(request)) is not None:
            request.postpath = [path[0], id.encode("latin-1", "replace")]
        return await self._api.answer(request)

    async def note(self, by: Asker, action: str, outcome: str) -> None:
        """Write into the audit what changes nothing; who comes and goes does not depend on that."""
        await self._reception.note(action, _actor(by), outcome)

    def _page(
        self, template: str, asked: Asked, values: Mapping[str, Any], error: ExchangeError | None = None
    ) -> Answer:
        return self._shelf.page(template, asked, {"limits": forms.LIMITS, **values}, error)

    async def _change(self, action: str, asked: Asked, operation: Any, *args: Any) -> Any:
        return await self._reception.change(action, _actor(asked.by), operation, *args)

    async def _overview(self, asked: Asked) -> Answer:
        try:
            entries, error = await self._entries(Filters(), LATEST), None
        except Overloaded as unavailable:
            # Whoever has just logged in while the database is away should see more than that.
            entries, error = [], unavailable
        return self._page("overview", asked, {"tab": "", "entries": entries, "managed": True}, error)

    # Projects.

    async def _projects(self, asked: Asked) -> Answer:
        if len(asked.path) == 2:
            return await self._project(asked, asked.path[1])
        error = None
        if asked.fields is not None:
            try:
                wanted = forms.new_project(asked.fields, self._rules.providers)
                told = await self._change("project.create", asked, Office.create_project, wanted)
                return _to(f"/admin/projects/{told['id']}")
            except BadRequest as refused:
                error = refused
        q, active = asked.argument("q"), asked.arguments.get("active", "")
        rows = await self._reception.look(Office.projects, PAGE + 1, asked.argument("before"), _ACTIVE.get(active), q)
        values = {
            "tab": "projects",
            "rows": rows[:PAGE],
            "older": _older("/admin/projects", rows, q=q, active=active),
            "q": q or "",
            "active": active,
            "providers": self._rules.providers,
            "typed": _typed(asked.fields),
        }
        return self._page("projects", asked, values, error)

    async def _project(self, asked: Asked, id: str) -> Answer:
        error = None
        if asked.fields is not None:
            try:
                if (answer := await self._change_project(asked, id)) is not None:
                    return answer
            except BadRequest as refused:
                error = refused
        project = await self._reception.look(Office.project, id)
        values = {
            "tab": "projects",
            "project": project,
            "bars": bars.of_project(project, await self._windows("project", id)),
            "providers": self._rules.providers,
            "typed": _typed(asked.fields) if error else {"name": project["name"], **_as_typed(project["limits"])},
        }
        return self._page("project", asked, values, error)

    async def _change_project(self, asked: Asked, id: str) -> Answer | None:
        assert asked.fields is not None
        match _does(asked):
            case "change":
                before = await self._reception.look(Office.project, id)
                wanted = forms.project_change(asked.fields, self._rules.providers, before)
                await self._change("project.change", asked, Office.change_project, id, wanted)
            case "revoke_tokens":
                await self._change("project.revoke_tokens", asked, Office.revoke_all, id)
            case "delete":
                project = await self._reception.look(Office.project, id)
                if forms.text(asked.fields, "confirm") != project["name"]:
                    raise BadRequest("Type the project's name to delete it.", code="not_confirmed", param="confirm")
                await self._change("project.delete", asked, Office.delete_project, id)
                return _to("/admin/projects")
            case _:
                raise BadRequest("The form asks for nothing that is known.", code="invalid_form")
        return _to(f"/admin/projects/{id}")

    # Tokens.

    async def _tokens(self, asked: Asked) -> Answer:
        if len(asked.path) == 2:
            return await self._token(asked, asked.path[1])
        error = None
        if asked.fields is not None:
            try:
                return await self._change_tokens(asked, asked.fields)
            except BadRequest as refused:
                error = refused
        q, active, project = asked.argument("q"), asked.arguments.get("active", ""), asked.argument("project_id")
        rows = await self._reception.look(
            Office.tokens, PAGE + 1, asked.argument("before"), project, _ACTIVE.get(active), q
        )
        projects = await self._offered(project)
        typed = _typed(asked.fields) if error else {"duration_hours": str(LIFE_H), "project_id": project or ""}
        values = {
            "tab": "tokens",
            "rows": rows[:PAGE],
            "older": _older("/admin/tokens", rows, q=q, active=active, project_id=project),
            "projects": projects,
            "names": {one["id"]: one["name"] for one in projects},
            "q": q or "",
            "active": active,
            "project_id": project or "",
            "typed": typed,
        }
        return self._page("tokens", asked, values, error)

    async def _offered(self, wanted: str | None) -> list[dict[str, Any]]:
        """Return the projects that a field offers: the newest, and the one that is wanted."""
        newest: list[dict[str, Any]] = await self._reception.look(Office.projects, MOST_PROJECTS, None, None)
        if wanted is None or any(one["id"] == wanted for one in newest):
            return newest
        try:
            return [await self._reception.look(Office.project, wanted), *newest]
        except NotFound:
            return newest

    async def _change_tokens(self, asked: Asked, fields: Fields) -> Answer:
        if _does(asked) == "revoke":
            chosen = ChosenTokens(fields.get("id", [])[:PAGE])
            await self._change("token.revoke", asked, Office.revoke_several, chosen)
            return _to("/admin/tokens")
        told = await self._change("token.create", asked, Office.issue, forms.new_token(fields))
        return self._page("created", asked, {"tab": "tokens", "token": told})

    async def _token(self, asked: Asked, id: str) -> Answer:
        error = None
        if asked.fields is not None:
            try:
                return await self._change_token(asked, asked.fields, id)
            except BadRequest as refused:
                error = refused
        token = await self._reception.look(Office.token, id)
        project = await self._reception.look(Office.project, token["project_id"])
        before = {
            "name": token["name"] or "",
            "max_requests": str(token["max_requests"] or ""),
            "metadata": forms.as_lines(token["metadata"]),
        }
        values = {
            "tab": "tokens",
            "token": token,
            "project": project,
            "bars": bars.of_token(token, await self._windows("token", id), self._rules.per_hour),
            "typed": _typed(asked.fields) if error else before | _as_typed(token["limits"]),
        }
        return self._page("token", asked, values, error)

    async def _change_token(self, asked: Asked, fields: Fields, id: str) -> Answer:
        match _does(asked):
            case "change":
                before = await self._reception.look(Office.token, id)
                await self._change("token.change", asked, Office.change_token, id, forms.token_change(fields, before))
            case "refresh":
                told = await self._change("token.refresh", asked, Office.refresh, id, forms.refreshment(fields))
                return self._page("created", asked, {"tab": "tokens", "token": told})
            case "revoke":
                await self._change("token.revoke", asked, Office.revoke, id)
            case _:
                raise BadRequest("The form asks for nothing that is known.", code="invalid_form")
        return _to(f"/admin/tokens/{id}")

    async def _windows(self, scope: str, subject: str) -> Sequence[int] | None:
        try:
            used: Sequence[int] = await self._counters.used(scope, subject, bars.WINDOWS)
        except Overloaded:
            return None
        return used

    async def _audit(self, asked: Asked) -> Answer:
        names = ("actor", "action", "outcome", "project", "token")
        wanted: dict[str, Any] = {name: asked.argument(name) for name in (*names, "before")}
        filters = Filters(**wanted)
        rows = await self._entries(filters, PAGE + 1)
        typed = {name: asked.argument(name) or "" for name in names}
        values = {"tab": "audit", "rows": rows[:PAGE], "older": _older("/admin/audit", rows, **typed), "typed": typed}
        return self._page("audit", asked, values)

    async def _entries(self, filters: Filters, limit: int) -> list[dict[str, Any]]:
        return [entry_document(one) for one in await self._reception.look(Office.audit, filters, limit)]


def _does(asked: Asked) -> str:
    """Return what the button that was pressed does."""
    return forms.text(asked.fields or {}, "do")


def _actor(by: Asker) -> Actor:
    return Actor(by.name, by.request_id, by.address)


class _Named(msgspec.Struct):
    id: str


def _named(request: Request) -> str | None:
    """Return the id in a body; None when it holds something else."""
    try:
        return msgspec.json.decode(request.body(), type=_Named).id
    except msgspec.ValidationError:
        return None
    except msgspec.DecodeError as error:
        raise BadRequest("The body is not a JSON object.", code="invalid_json") from error


def _to(path: str) -> Answer:
    headers: Headers = [(b"location", path.encode("latin-1", "replace")), (b"cache-control", b"no-store")]
    return Answer(303, headers, b"")


def _older(path: str, rows: list[dict[str, Any]], **arguments: str | None) -> str | None:
    if len(rows) <= PAGE:
        return None
    return f"{path}?{urlencode({**{k: v for k, v in arguments.items() if v}, 'before': rows[PAGE - 1]['id']})}"


def _typed(fields: Fields | None) -> dict[str, str]:
    """Return what was typed, for the form to show again; never a key."""
    return {name: values[-1] for name, values in (fields or {}).items() if not name.startswith("key:")}


def _as_typed(limits: Mapping[str, Any]) -> dict[str, str]:
    numbers = {
        name: f"{limits[name]:g}" if name == "max_cost" else str(limits[name])
        for name in forms.LIMITS
        if name in limits
    }
    return numbers | {"models": " ".join(limits.get("models", ()))}
