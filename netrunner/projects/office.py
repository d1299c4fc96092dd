"""The management operations: whatever changes who may call, each with its entry in the audit, in one transaction.

HTTP API, pages and command line all come here. Every operation takes a connection first, runs in a thread of the
database inside a transaction that nobody else writes beside, and returns a ``Change``; or it raises an
``ExchangeError``, and nothing of it has happened.

This module must not commit, nor know who asks by which way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec import UNSET
from sqlalchemy import Connection

from netrunner.errors import BadRequest, Forbidden, NotFound
from netrunner.ids import uuid7
from netrunner.news.topics import PROJECTS
from netrunner.projects import tokens as made
from netrunner.projects.terms import read, written
from netrunner.projects.tokens import Mint
from netrunner.projects.wanted import (
    MAX_KEYS,
    ChosenTokens,
    NamedToken,
    NewProject,
    NewToken,
    ProjectChange,
    Refreshment,
    TokenChange,
    check_terms,
    project_document,
    token_document,
)
from netrunner.store import audit, projects, tokens
from netrunner.store.audit import Entry, Filters
from netrunner.store.notices import announce
from netrunner.store.projects import KeyRow, ProjectRow
from netrunner.store.sealing import Keyring, masked
from netrunner.store.tokens import TokenRow


class Actor(msgspec.Struct, frozen=True):
    """Who asks for a change."""

    name: str
    request_id: str | None = None
    address: str | None = None


class Change(msgspec.Struct, frozen=True):
    """What came of an operation."""

    told: Any
    """The document, or the count, that the caller is told."""
    projects: tuple[str, ...] = ()
    """Those about which processes have to think anew; none for what no process can know yet."""
    entries: tuple[Entry, ...] = ()
    """What is in the audit about it."""


class Office:
    """The management operations.

    Args:
        keyring: Seals provider keys.
        mint: Makes tokens.
        providers: Those that ask for a project's key, in the order of the configuration.
        wall: Unix time.
        random: Gives random bytes.
    """

    def __init__(
        self,
        keyring: Keyring,
        mint: Mint,
        providers: Sequence[str],
        wall: Callable[[], float],
        random: Callable[[int], bytes],
    ) -> None:
        self._keyring = keyring
        self._mint = mint
        self._providers = tuple(providers)
        self._wall = wall
        self._random = random

    # Projects.

    def create_project(self, connection: Connection, actor: Actor, wanted: NewProject) -> Change:
        """Make a project."""
        check_terms(wanted.limits, of_token=False)
        given = self._keys(wanted.api_key, wanted.keys)
        now, id = self._wall(), self._id()
        row = ProjectRow(id, wanted.name, wanted.is_active, now, now, written(wanted.limits))
        projects.add(connection, row)
        self._put_keys(connection, id, given)
        details = {"name": wanted.name, "keys": _masked(given)}
        entry = self._note(connection, actor, "project.create", id, None, details)
        return Change(self.project(connection, id), (), (entry,))

    def change_project(self, connection: Connection, actor: Actor, id: str, wanted: ProjectChange) -> Change:
        """Change what a project is called, may use and has; deactivating it stops its tokens at once."""
        self._project(connection, id)
        values: dict[str, Any] = {"changed_at": self._wall()}
        details: dict[str, Any] = {}
        if wanted.name is not UNSET:
            values["name"] = details["name"] = wanted.name
        if wanted.is_active is not UNSET:
            values["active"] = details["is_active"] = wanted.is_active
        if wanted.limits is not UNSET:
            check_terms(wanted.limits, of_token=False)
            values["limits"] = written(wanted.limits)
            details["limits"] = msgspec.to_builtins(wanted.limits)
        given = self._keys(wanted.api_key, wanted.keys)
        if given:
            self._put_keys(connection, id, given)
            details["keys"] = _masked(given)
        projects.change(connection, id, values)
        if wanted.revoke_tokens:
            details["revoked"] = tokens.revoke_all(connection, id, self._wall())
        told = self.project(connection, id) | ({"revoked": details["revoked"]} if wanted.revoke_tokens else {})
        entry = self._note(connection, actor, "project.change", id, None, details)
        return Change(told, (id,), (entry,))

    def delete_project(self, connection: Connection, actor: Actor, id: str) -> Change:
        """Delete a project with all it has; what it did stays in the audit and the records."""
        row = self._project(connection, id)
        projects.remove(connection, id)
        entry = self._note(connection, actor, "project.delete", id, None, {"name": row.name})
        return Change(None, (id,), (entry,))

    def project(self, connection: Connection, id: str) -> dict[str, Any]:
        """Return the document of a project."""
        return self._project_documents(connection, [self._project(connection, id)])[0]

    def projects(
        self, connection: Connection, limit: int, after: str | None, active: bool | None, named: str | None = None
    ) -> list[dict[str, Any]]:
        """Return the documents of projects, newest first; arguments as of ``store.projects.page``."""
        return self._project_documents(connection, projects.page(connection, limit, after, active, named))

    def _project_documents(self, connection: Connection, rows: Sequence[ProjectRow]) -> list[dict[str, Any]]:
        ids = [row.id for row in rows]
        keys: dict[str, list[KeyRow]] = {}
        for key in projects.keys_of(connection, ids):
            keys.setdefault(key.project, []).append(key)
        counts = tokens.counts(connection, ids, self._wall())
        return [project_document(row, keys.get(row.id, []), counts.get(row.id, (0, 0))) for row in rows]

    # Tokens.

    def issue(self, connection: Connection, actor: Actor, wanted: NewToken) -> Change:
        """Issue a token: this is the only time that it is told."""
        life_s = wanted.life_s
        project = self._active_project(connection, wanted.project_id)
        check_terms(wanted.limits, of_token=True, within=read(project.limits))
        now, id, token = self._wall(), self._id(), self._mint.make(self._random)
        row = TokenRow(
            id,
            project.id,
            made.masked(token),
            wanted.name,
            True,
            now,
            now + life_s,
            max_requests=wanted.max_requests or None,
            limits=written(wanted.limits),
            metadata=_written(wanted.metadata),
        )
        tokens.add(connection, row, self._mint.digest(token.encode()))
        details = {"token": row.masked, "name": row.name, "life_s": life_s, "max_requests": wanted.max_requests}
        entry = self._note(connection, actor, "token.create", project.id, id, details)
        return Change({**token_document(row, now), "token": token, "masked": row.masked}, (), (entry,))

    def refresh(self, connection: Connection, actor: Actor, id: str, wanted: Refreshment) -> Change:
        """Put a new token in the place of one, with what that has left, for a new life; only this answer tells it."""
        row = self._token(connection, id)
        if not row.active:
            raise Forbidden("The token was revoked.", code="token_inactive")
        self._active_project(connection, row.project)
        now, token = self._wall(), self._mint.make(self._random)
        life_s = row.expires_at - row.created_at if wanted.life_s is None else wanted.life_s
        digest, shown = self._mint.digest(token.encode()), made.masked(token)
        values = {"digest": digest, "masked": shown, "created_at": now, "expires_at": now + life_s}
        tokens.change(connection, id, values)
        details = {"before": row.masked, "token": shown, "life_s": life_s}
        entry = self._note(connection, actor, "token.refresh", row.project, id, details)
        return Change({**self.token(connection, id), "token": token, "masked": shown}, (row.project,), (entry,))

    def change_token(self, connection: Connection, actor: Actor, id: str, wanted: TokenChange) -> Change:
        """Change what a token is called and may use, revoke it, or let it in again."""
        row = self._token(connection, id)
        values: dict[str, Any] = {}
        details: dict[str, Any] = {"token": row.masked}
        if wanted.name is not UNSET:
            values["name"] = details["name"] = wanted.name
        if wanted.is_active is not UNSET:
            details["is_active"] = wanted.is_active
            values |= {"active": wanted.is_active, "revoked_at": None if wanted.is_active else self._wall()}
        if wanted.max_requests is not UNSET:
            values["max_requests"] = wanted.max_requests or None
            details["max_requests"] = wanted.max_requests
            if row.max_requests is None:
                # What was never counted against a cap is from now on.
                values["taken"] = row.request_count
        if wanted.limits is not UNSET:
            check_terms(wanted.limits, of_token=True, within=read(self._project(connection, row.project).limits))
            values["limits"] = written(wanted.limits)
            details["limits"] = msgspec.to_builtins(wanted.limits)
        if wanted.metadata is not UNSET:
            values["metadata"] = _written(wanted.metadata)
        if values:
            tokens.change(connection, id, values)
        entry = self._note(connection, actor, "token.change", row.project, id, details)
        return Change(self.token(connection, id), (row.project,), (entry,))

    def revoke(self, connection: Connection, actor: Actor, id: str) -> Change:
        """Revoke a token by its id; one that is revoked stays so."""
        row = self._token(connection, id)
        if row.active:
            tokens.change(connection, id, {"active": False, "revoked_at": self._wall()})
        entry = self._note(connection, actor, "token.revoke", row.project, id, {"token": row.masked})
        return Change(None, (row.project,), (entry,))

    def revoke_named(self, connection: Connection, actor: Actor, named: NamedToken) -> Change:
        """Revoke a token as its holder has it."""
        row = tokens.by_digest(connection, self._mint.digest(named.token.encode()))
        if row is None:
            raise _no_token()
        return self.revoke(connection, actor, row.id)

    def revoke_several(self, connection: Connection, actor: Actor, chosen: ChosenTokens) -> Change:
        """Revoke tokens by their ids, all or none; tells how many were not before."""
        rows = [self._token(connection, id) for id in dict.fromkeys(chosen.ids)]
        entries = [entry for row in rows for entry in self.revoke(connection, actor, row.id).entries]
        whose = dict.fromkeys(row.project for row in rows)
        return Change(sum(row.active for row in rows), tuple(whose), tuple(entries))

    def revoke_all(self, connection: Connection, actor: Actor, project: str) -> Change:
        """Revoke every token of a project; tells how many."""
        self._project(connection, project)
        count = tokens.revoke_all(connection, project, self._wall())
        entry = self._note(connection, actor, "project.revoke_tokens", project, None, {"revoked": count})
        return Change(count, (project,), (entry,))

    def token(self, connection: Connection, id: str) -> dict[str, Any]:
        """Return the document of a token."""
        return token_document(self._token(connection, id), self._wall())

    def tokens(
        self,
        connection: Connection,
        limit: int,
        after: str | None,
        project: str | None,
        active: bool | None,
        named: str | None = None,
    ) -> list[dict[str, Any]]:
        """Return the documents of tokens, newest first; arguments as of ``store.tokens.page``."""
        now = self._wall()
        rows = tokens.page(connection, limit, after, project, active, now, named)
        return [token_document(row, now) for row in rows]

    def audit(self, connection: Connection, filters: Filters, limit: int) -> list[Entry]:
        """Return entries of the audit, newest first."""
        return audit.page(connection, filters, limit)

    # What all of them share.

    def refused(self, connection: Connection, actor: Actor, action: str, subject: str | None, code: str) -> Entry:
        """Note that a change was refused; return what is in the audit about it.

        Args:
            connection, actor: As of every operation.
            action: What was asked for.
            subject: Whose id was named.
            code: Of the error.
        """
        project, token = (None, subject) if action.startswith("token.") else (subject, None)
        return self._note(connection, actor, action, project, token, {}, code)

    def _note(
        self,
        connection: Connection,
        actor: Actor,
        action: str,
        project: str | None,
        token: str | None,
        details: dict[str, Any],
        outcome: str = "done",
    ) -> Entry:
        entry = Entry(
            self._id(),
            self._wall(),
            actor.name,
            action,
            outcome,
            project,
            token,
            actor.request_id,
            actor.address,
            _written(details),
        )
        audit.add(connection, entry)
        return entry

    def _id(self) -> str:
        return uuid7(self._wall(), lambda bits: int.from_bytes(self._random(16), "big") >> (128 - bits))

    def _project(self, connection: Connection, id: str) -> ProjectRow:
        row = projects.one(connection, id)
        if row is None:
            raise NotFound("There is no such project.", code="project_not_found")
        return row

    def _active_project(self, connection: Connection, id: str) -> ProjectRow:
        project = self._project(connection, id)
        if not project.active:
            raise Forbidden("The project is not active.", code="project_inactive")
        return project

    def _token(self, connection: Connection, id: str) -> TokenRow:
        row = tokens.one(connection, id)
        if row is None:
            raise _no_token()
        return row

    def _keys(self, api_key: str | None, keys: dict[str, str | list[str]]) -> dict[str, list[str]]:
        """Return the keys that were given, by provider."""
        given = {provider: [key] if isinstance(key, str) else list(key) for provider, key in keys.items()}
        if api_key is not None:
            if len(self._providers) != 1:
                raise _wrong("api_key", f"name the provider in keys: {', '.join(self._providers) or 'there is none'}")
            given.setdefault(self._providers[0], []).insert(0, api_key)
        for provider, some in given.items():
            if provider not in self._providers:
                known = ", ".join(self._providers) or "there are none"
                raise _wrong("keys", f"no provider with api_key: project is called so; known are: {known}")
            if len(some) > MAX_KEYS or any(not (key.isascii() and key.isprintable() and key.strip()) for key in some):
                raise _wrong("keys", f"at most {MAX_KEYS} keys of printable ASCII characters")
        return given

    def _put_keys(self, connection: Connection, project: str, given: dict[str, list[str]]) -> None:
        # Ids of one millisecond have no order of their own, and keys have one.
        ids = iter(sorted(self._id() for some in given.values() for _ in some))
        rows = []
        for provider, some in given.items():
            for secret, id in zip(some, ids, strict=False):
                sealed = self._keyring.seal(secret.strip().encode(), id)
                rows.append(KeyRow(id, project, provider, masked(secret), self._keyring.current.id, sealed))
        projects.put_keys(connection, project, list(given), rows)


def operate(
    connection: Connection, office: Office, operation: Callable[..., Change], actor: Actor, *args: Any, **kwargs: Any
) -> Change:
    """Do an operation, and have every process that shares the database hear of it once it is committed."""
    change = operation(office, connection, actor, *args, **kwargs)
    for project in change.projects:
        announce(connection, PROJECTS, project)
    return change


def _masked(given: dict[str, list[str]]) -> dict[str, list[str]]:
    return {provider: [masked(key) for key in some] for provider, some in given.items()}


def _written(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _no_token() -> NotFound:
    return NotFound("There is no such token.", code="token_not_found")


def _wrong(name: str, what: str) -> BadRequest:
    return BadRequest(f"{name}: {what}.", code="invalid_value", param=name)
