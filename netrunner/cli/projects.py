"""``netrunner project`` and ``netrunner token``: who may call, managed from a shell.

Keys of providers are read from files or standard input, since arguments are seen by everybody on a machine.

This module must not know which way an operation is done.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, ClassVar

import msgspec
from twisted.python import usage

from netrunner.cli.database import CONFIG, Place
from netrunner.cli.office import Here, Refused, There, Way
from netrunner.cli.options import Options
from netrunner.errors import ConfigurationError, ExchangeError, StoreError
from netrunner.projects.office import Office
from netrunner.projects.wanted import (
    ChosenTokens,
    NamedToken,
    NewProject,
    NewToken,
    ProjectChange,
    Refreshment,
    TokenChange,
    parse,
)

_ROWS = 1000
Rows = list[list[Any]]


def _read(path: str) -> str:
    return (sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")).strip()


def _truth(text: str) -> bool:
    if text not in ("yes", "no"):
        raise ValueError("yes or no")
    return text == "yes"


_LIMITS: list[Any] = ["limits", None, None, "Limits as JSON, such as '{\"requests_per_hour\": 100}'."]
_METADATA: list[Any] = ["metadata", None, None, 'What fields X-PROXY-NAME have to say, as JSON: \'{"team": "blue"}\'.']
_LIFE: Rows = [
    ["duration-hours", None, None, "How long it lives.", float],
    ["duration-minutes", None, None, "Likewise.", float],
]
_NAME: list[Any] = ["name", None, None, "What it is called."]
_ACTIVE: list[Any] = ["active", None, None, "Whether it is let in: yes or no.", _truth]
_MOST: list[Any] = ["max-requests", None, None, "Requests in all; 0 for as many as one likes.", int]


class Command(Options):
    """One thing to do, with an id or a name where it needs one."""

    takes = ""
    """What its argument is called."""

    def parseArgs(self, *arguments: str) -> None:
        """Take the argument."""
        if len(arguments) != bool(self.takes):
            raise usage.UsageError(f"expected {self.takes or 'no argument'}")
        self.argument = arguments[0] if arguments else ""

    def wanted(self, type: Any, **further: Any) -> Any:
        """Return what the options ask for, checked as the API checks it."""
        given = {name.replace("-", "_"): value for name, value in self.items() if value is not None}
        given = {"is_active" if name == "active" else name: value for name, value in given.items()} | further
        for name in given.keys() & {"limits", "metadata"}:
            try:
                given[name] = msgspec.json.decode(given[name])
            except msgspec.DecodeError as error:
                raise Refused(f"{name}: {error}.") from error
        return parse(msgspec.json.encode(given), type)

    def run(self, way: Way) -> Any:
        """Do it; return what is told."""
        raise NotImplementedError


class WithKeys(Command):
    """A command that takes keys of providers."""

    def __init__(self) -> None:
        super().__init__()
        self.keys_given: dict[str, list[str]] = {}

    def opt_key(self, text: str) -> None:
        """A key: PROVIDER=FILE, or PROVIDER=- for standard input. Several of one provider are used in turn."""
        provider, equals, path = text.partition("=")
        if not equals:
            raise usage.UsageError("--key is PROVIDER=FILE")
        try:
            self.keys_given.setdefault(provider, []).append(_read(path))
        except (OSError, UnicodeDecodeError) as error:
            raise usage.UsageError(f"{path}: {getattr(error, 'strerror', 'it is not UTF-8')}") from error


class CreateProject(WithKeys):
    """``netrunner project create``."""

    takes = "NAME"
    optParameters: ClassVar[Rows] = [_LIMITS]

    def run(self, way: Way) -> Any:
        """Make a project."""
        wanted = self.wanted(NewProject, name=self.argument, keys=self.keys_given)
        return way.change("project.create", Office.create_project, wanted)


class ChangeProject(WithKeys):
    """``netrunner project change``."""

    takes = "ID"
    optParameters: ClassVar[Rows] = [_NAME, _ACTIVE, _LIMITS]

    def run(self, way: Way) -> Any:
        """Change what is named."""
        wanted = self.wanted(ProjectChange, keys=self.keys_given)
        return way.change("project.change", Office.change_project, self.argument, wanted)


class DeleteProject(Command):
    """``netrunner project delete``."""

    takes = "ID"

    def run(self, way: Way) -> Any:
        """Delete it with all it has."""
        return way.change("project.delete", Office.delete_project, self.argument)


class RevokeTokens(Command):
    """``netrunner project revoke-tokens``."""

    takes = "ID"

    def run(self, way: Way) -> Any:
        """Revoke them; tell how many."""
        return {"revoked": way.change("project.revoke_tokens", Office.revoke_all, self.argument)}


class ShowProject(Command):
    """``netrunner project show``."""

    takes = "ID"

    def run(self, way: Way) -> Any:
        """Look it up."""
        return way.look(Office.project, self.argument)


class ListProjects(Command):
    """``netrunner project list``."""

    def run(self, way: Way) -> Any:
        """Look them up."""
        return way.look(Office.projects, _ROWS, None, None)


class CreateToken(Command):
    """``netrunner token create``."""

    takes = "PROJECT"
    optParameters: ClassVar[Rows] = [*_LIFE, _MOST, _NAME, _LIMITS, _METADATA]

    def run(self, way: Way) -> Any:
        """Issue it; this is the only time that it is told."""
        return way.change("token.create", Office.issue, self.wanted(NewToken, project_id=self.argument))


class ChangeToken(Command):
    """``netrunner token change``."""

    takes = "ID"
    optParameters: ClassVar[Rows] = [_NAME, _ACTIVE, _MOST, _LIMITS, _METADATA]

    def run(self, way: Way) -> Any:
        """Change what is named."""
        return way.change("token.change", Office.change_token, self.argument, self.wanted(TokenChange))


class RefreshToken(Command):
    """``netrunner token refresh``."""

    takes = "ID"
    optParameters: ClassVar[Rows] = _LIFE

    def run(self, way: Way) -> Any:
        """Put a new one in its place; this is the only time that it is told."""
        return way.change("token.refresh", Office.refresh, self.argument, self.wanted(Refreshment))


class RevokeToken(Command):
    """``netrunner token revoke``."""

    takes = "ID, several of them, or - for a token on standard input"

    def parseArgs(self, *arguments: str) -> None:
        """Take what is to be revoked."""
        super().parseArgs(*arguments[:1])
        self.ids = list(arguments)

    def run(self, way: Way) -> Any:
        """Revoke it, or them; tell how many where there are several."""
        if self.ids == ["-"]:
            return way.change("token.revoke", Office.revoke_named, NamedToken(_read("-")))
        if len(self.ids) == 1:
            return way.change("token.revoke", Office.revoke, self.argument)
        wanted = self.wanted(ChosenTokens, ids=self.ids)
        return {"revoked": way.change("token.revoke", Office.revoke_several, wanted)}


class ShowToken(Command):
    """``netrunner token show``."""

    takes = "ID"

    def run(self, way: Way) -> Any:
        """Look it up."""
        return way.look(Office.token, self.argument)


class ListTokens(Command):
    """``netrunner token list``."""

    optParameters: ClassVar[Rows] = [
        ["project", None, None, "Only those of this project."],
        ["active", None, None, "Only those that are valid now, or only the others: yes or no.", _truth],
    ]

    def run(self, way: Way) -> Any:
        """Look them up."""
        return way.look(Office.tokens, _ROWS, None, self["project"], self["active"])


class Managing(Options):
    """What both commands share: where things are done, and how they are told."""

    optParameters: ClassVar[Rows] = [
        CONFIG,
        ["url", None, None, "Ask a daemon there instead, with the token in the variable MANAGEMENT_TOKEN."],
    ]
    optFlags: ClassVar[list[list[str | None]]] = [["json", None, "Answer as JSON."]]
    subCommands: ClassVar[list[tuple[str, None, type[usage.Options], str]]] = []
    columns: tuple[str, ...] = ()
    """What a list shows."""

    def postOptions(self) -> None:
        if self.subCommand is None:
            raise usage.UsageError("say what to do: " + ", ".join(command[0] for command in self.subCommands))

    def run(self) -> int:
        """Do it; return 1 with one sentence if it is refused."""
        try:
            if self["url"] is not None:
                told = self.subOptions.run(There(self["url"], os.environ.get("MANAGEMENT_TOKEN", "")))
            else:
                with Place(self["config"]) as place:
                    told = self.subOptions.run(Here(place))
        except ExchangeError as error:
            print(error.message, file=sys.stderr)
            return 1
        except (ConfigurationError, StoreError, Refused) as error:
            print(error, file=sys.stderr)
            return 1
        if self["json"]:
            print(msgspec.json.encode(told).decode())
        else:
            self._show(told)
        return 0

    def _show(self, told: Any) -> None:
        if isinstance(told, list):
            for row in told:
                print("  ".join(str(row[column]) for column in self.columns))
        elif told is not None:
            for name, value in told.items():
                print(f"{name}: {value}")


class ProjectOptions(Managing):
    """``netrunner project``."""

    synopsis = "Usage: netrunner project [--config FILE | --url URL] [--json] COMMAND"
    longdesc = "Manages projects, in the database of a configuration or through a daemon."
    columns = ("id", "is_active", "tokens", "name")
    subCommands: ClassVar[list[tuple[str, None, type[usage.Options], str]]] = [
        ("list", None, ListProjects, "List projects, newest first."),
        ("create", None, CreateProject, "Make one: create --key PROVIDER=FILE NAME."),
        ("show", None, ShowProject, "Show one."),
        ("change", None, ChangeProject, "Change one."),
        ("revoke-tokens", None, RevokeTokens, "Revoke all tokens of one."),
        ("delete", None, DeleteProject, "Delete one with its keys and tokens."),
    ]


class TokenOptions(Managing):
    """``netrunner token``."""

    synopsis = "Usage: netrunner token [--config FILE | --url URL] [--json] COMMAND"
    longdesc = "Manages tokens, in the database of a configuration or through a daemon."
    columns = ("id", "token", "state", "expires_at", "request_count", "name")
    subCommands: ClassVar[list[tuple[str, None, type[usage.Options], str]]] = [
        ("list", None, ListTokens, "List tokens, newest first."),
        ("create", None, CreateToken, "Issue one: create --duration-hours 8 PROJECT."),
        ("show", None, ShowToken, "Show one."),
        ("change", None, ChangeToken, "Change one."),
        ("refresh", None, RefreshToken, "Put a new one in the place of one, for a new life."),
        ("revoke", None, RevokeToken, "Revoke one, or several."),
    ]
