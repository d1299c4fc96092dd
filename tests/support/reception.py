"""Projects over a real database without threads: what is asked of it is done at once, or when a test says so."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred, succeed

from netrunner.errors import StoreError
from netrunner.limits.memory import MemoryCounters
from netrunner.projects.office import Actor, Office
from netrunner.projects.reception import Reception, Rules
from netrunner.projects.trail import Trail
from netrunner.projects.wanted import NewProject, NewToken
from netrunner.store.database import Database, locate
from netrunner.store.migrate import migrate
from netrunner.testing.fakes import FakeClock

ANN = Actor("ann", "request-1", "10.0.0.1")


class Desk:
    """In the place of ``Store``: does what it is asked in this thread.

    Args:
        database: Where it is done.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self.broken = False
        self.asked: list[str] = []
        """Names of what was done."""
        self.held: list[Deferred[None]] | None = None
        """Those who wait; None lets nobody wait."""

    async def read(self, work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Do it."""
        return await self._do(self.database.read, work, *args, **kwargs)

    async def write(self, work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Do it."""
        return await self._do(self.database.write, work, *args, **kwargs)

    async def write_soon(self, within_s: float, work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Do it."""
        return await self.write(work, *args, **kwargs)

    async def _do(self, by: Callable[..., Any], work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self.asked.append(work.__name__)
        if self.broken:
            raise StoreError("broken")
        result = by(work, *args, **kwargs)
        if self.held is not None:
            waiting: Deferred[None] = Deferred()
            self.held.append(waiting)
            await waiting
        return result

    def let_go(self) -> None:
        """Let those who wait go on, and nobody else wait."""
        held, self.held = self.held or [], None
        for waiting in held:
            waiting.callback(None)


class Front:
    """A reception, its database and its clock.

    Args:
        folder: For the database and the master key.
        providers: Those that ask for a project's key.
        rules: Of the reception, beside them.
    """

    def __init__(self, folder: Path, providers: tuple[str, ...] = ("up",), **rules: Any) -> None:
        url = locate("sqlite", folder)
        if not Path(str(url.database)).exists():
            migrate(url.render_as_string(hide_password=False))
        self.clock = FakeClock()
        self.desk = Desk(Database(url, lambda _: None, self.clock.seconds))
        self.counters = MemoryCounters(self.clock)
        self.open: list[Any] = []
        """Callers of exchanges in progress."""
        self.ended: list[tuple[Any, str]] = []
        self.told: list[str] = []
        """Projects that other processes were told of."""
        self.rules = {
            "key": None,
            "previous": (),
            "providers": providers,
            "per_hour": 1000,
            "clean_s": 0.0,
            "keep_days": 7.0,
            **rules,
        }
        self.folder = folder
        self.reception = self.another()

    def _tell(self, project: str) -> Deferred[list[str]]:
        self.told.append(project)
        return succeed([])

    def another(self) -> Reception:
        """Return the reception of another process that uses the same database."""
        desk: Any = self.desk
        reception = Reception(
            Rules(**self.rules),
            lambda: desk,
            self.folder,
            self.clock,
            lambda: self.open,
            lambda caller, error: self.ended.append((caller, error.code)),
            self._tell,
            Trail(maybeDeferred, self.clock),
        )
        reception.apply(Rules(**self.rules))
        return reception

    def change(self, action: str, *args: Any) -> Any:
        """Do one of the operations of ``Office`` as Ann."""
        operation, *rest = args
        return now(self.reception.change(action, ANN, operation, *rest))

    def project(self, **wanted: Any) -> str:
        """Make a project with a key; return its id."""
        document = {"name": "team", "api_key": "sk-canary-0123456789-0123456789", **wanted}
        told = self.change("project.create", Office.create_project, NewProject(**document))
        return str(told["id"])

    def token(self, project: str, **wanted: Any) -> tuple[str, bytes]:
        """Issue a token for an hour; return its id and itself."""
        told = self.change(
            "token.create", Office.issue, NewToken(project_id=project, **{"duration_hours": 1, **wanted})
        )
        return told["id"], told["token"].encode()

    def close(self) -> None:
        """Let go of the database."""
        now(self.reception.stop())
        self.desk.database.close()


def now(work: Any) -> Any:
    """Return what ``work``, which does not wait, returns or raises."""
    results: list[Any] = []
    (work if isinstance(work, Deferred) else Deferred.fromCoroutine(work)).addBoth(results.append)
    assert results, "it waits"
    (result,) = results
    if hasattr(result, "raiseException"):
        result.raiseException()
    return result


def forged() -> bytes:
    """Return what looks like a token and is none."""
    return b"nr-" + secrets.token_urlsafe(38).encode()
