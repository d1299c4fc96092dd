"""The management operations as commands reach them: in the database itself, or through a daemon's ``/manage/``.

This module must not be imported by the daemon.
"""

from __future__ import annotations

import getpass
import http.client
import secrets
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol
from urllib.parse import quote, urlencode, urlsplit

import msgspec
from sqlalchemy import Connection

from netrunner.cli.database import Place
from netrunner.cli.notices import tell_machines
from netrunner.errors import ExchangeError, NetrunnerError
from netrunner.news.topics import PROJECTS
from netrunner.process.peers import PROJECT_CHANGED, tell_others
from netrunner.projects.office import Actor, Change, Office, operate
from netrunner.projects.tokens import Mint
from netrunner.projects.trail import append
from netrunner.store.audit import Entry
from netrunner.store.secrets import made_pepper

TIMEOUT_S = 30.0


class Refused(NetrunnerError):
    """What was asked for is not done; the message says why."""


class Way(Protocol):
    """One way to the management operations."""

    def change(self, action: str, operation: Callable[..., Change], *args: Any) -> Any:
        """Do an operation of ``Office``; return what it tells. Raises ``Refused``."""

    def look(self, operation: Callable[..., Any], *args: Any) -> Any:
        """Return what an operation tells that changes nothing. Raises ``Refused``."""


class Here:
    """In the database itself; all daemons that use it are told of every change.

    Args:
        place: The configuration's.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        keyring = place.keyring()
        mint = Mint(place.database.write(made_pepper, keyring, secrets.token_bytes))
        providers = [
            one.name for one in place.settings.providers if getattr(one.settings, "api_key", None) == "project"
        ]
        self._office = Office(keyring, mint, providers, time.time, secrets.token_bytes)
        self._actor = Actor(f"cli:{getpass.getuser()}")

    def change(self, action: str, operation: Callable[..., Change], *args: Any) -> Any:
        """Do it in one transaction, then tell the daemons."""
        try:
            change = self._place.database.write(operate, self._office, operation, self._actor, *args)
        except ExchangeError as error:
            subject = next((one for one in args if isinstance(one, str)), None)
            entry = self._place.database.write(self._office.refused, self._actor, action, subject, error.code)
            raise Refused(" ".join([error.message, *self._note([entry])])) from error
        problems = [*self._tell(change.projects), *self._note(change.entries)]
        if problems:
            raise Refused(f"It is done, but {' '.join(problems)}")
        return change.told

    def _tell(self, projects: Sequence[str]) -> Iterator[str]:
        """Tell those beside, and those on other machines whom PostgreSQL has not told; yield what kept them from it."""
        problems = tell_machines(self._place.settings, PROJECTS, projects) if projects else []
        for project in projects:
            problems += tell_others(self._place.state, None, PROJECT_CHANGED, {"id": project})
        if problems:
            yield f"not every daemon has heard of it yet: {' '.join(problems)}"

    def _note(self, entries: Sequence[Entry]) -> Iterator[str]:
        """Append to the audit's file, if there is one; yield why it does not take that."""
        if self._place.settings.audit.file is not None:
            try:
                append(self._place.settings.audit, entries)
            except OSError as error:
                yield f"the audit tells of it in the database alone: {error}"

    def look(self, operation: Callable[..., Any], *args: Any) -> Any:
        """Look it up."""

        def work(connection: Connection) -> Any:
            return operation(self._office, connection, *args)

        try:
            return self._place.database.read(work)
        except ExchangeError as error:
            raise Refused(error.message) from error


_PATHS: dict[Callable[..., Any], tuple[str, str]] = {
    Office.create_project: ("POST", "/manage/projects"),
    Office.change_project: ("PATCH", "/manage/projects/{}"),
    Office.delete_project: ("DELETE", "/manage/projects/{}"),
    Office.project: ("GET", "/manage/projects/{}"),
    Office.issue: ("POST", "/manage/tokens"),
    Office.change_token: ("PATCH", "/manage/tokens/{}"),
    Office.revoke: ("DELETE", "/manage/tokens/{}"),
    Office.refresh: ("POST", "/manage/tokens/{}/refresh"),
    Office.revoke_named: ("DELETE", "/manage/tokens"),
    Office.revoke_several: ("POST", "/manage/tokens/revoke"),
    Office.revoke_all: ("POST", "/manage/projects/{}/tokens/revoke"),
    Office.token: ("GET", "/manage/tokens/{}"),
}
"""Where the API does what an operation does; ``{}`` is the id that it takes."""
_LISTS: dict[Callable[..., Any], tuple[str, tuple[str, ...]]] = {
    Office.projects: ("/manage/projects", ("limit", "before", "active")),
    Office.tokens: ("/manage/tokens", ("limit", "before", "project_id", "active")),
}
"""Where it lists what an operation lists, and by which arguments."""


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows nowhere: urllib would take the credential along."""

    def redirect_request(self, *_: object) -> None:
        """Return no request, so that the redirect is an error."""


# Nor through a proxy of the environment, which would read it.
_OPENER = urllib.request.build_opener(_Stay, urllib.request.ProxyHandler({}))


class There:
    """Through the management API of a daemon.

    Args:
        url: Where it serves.
        token: The management token.

    Raises:
        Refused: when the URL is none.
    """

    def __init__(self, url: str, token: str) -> None:
        if not _is_http(url):
            raise Refused(f"--url: expected a URL such as http://127.0.0.1:8080, got {url!r}")
        self._url = url.rstrip("/")
        self._token = token

    def change(self, action: str, operation: Callable[..., Change], *args: Any) -> Any:
        """Ask for it; the daemon's audit names who has its token."""
        method, path = _PATHS[operation]
        body = next((msgspec.json.encode(one) for one in args if isinstance(one, msgspec.Struct)), None)
        told = self._ask(method, path.format(*_ids(args)), body)
        return told["revoked"] if operation in (Office.revoke_all, Office.revoke_several) else told

    def look(self, operation: Callable[..., Any], *args: Any) -> Any:
        """Ask for it."""
        if operation in _LISTS:
            path, names = _LISTS[operation]
            wanted = {name: _argument(value) for name, value in zip(names, args, strict=True) if value is not None}
            return self._ask("GET", f"{path}?{urlencode(wanted)}", None)["data"]
        method, path = _PATHS[operation]
        return self._ask(method, path.format(*_ids(args)), None)

    def _ask(self, method: str, path: str, body: bytes | None) -> Any:
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"{self._url}{path}", body, headers, method=method)
        try:
            with _OPENER.open(request, timeout=TIMEOUT_S) as response:
                told = response.read()
            return msgspec.json.decode(told) if told else None
        except urllib.error.HTTPError as error:
            raise Refused(_reason(error)) from error
        except OSError as error:
            raise Refused(f"{self._url} cannot be asked: {getattr(error, 'reason', error)}") from error
        except (http.client.HTTPException, msgspec.DecodeError) as error:
            raise Refused(f"{self._url} does not answer as netrunner does") from error


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        return False


def _ids(args: Sequence[Any]) -> list[str]:
    return [quote(one, safe="") for one in args if isinstance(one, str)]


def _argument(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _reason(error: urllib.error.HTTPError) -> str:
    try:
        return str(msgspec.json.decode(error.read())["error"]["message"])
    except (msgspec.DecodeError, KeyError, TypeError):
        return f"status {error.code}"
