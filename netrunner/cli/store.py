"""``netrunner store``: which migration a database is of, and bringing it to the latest.

This module must not know what a migration does.
"""

from __future__ import annotations

import sys
from typing import Any, ClassVar

import msgspec
from twisted.python import usage

from netrunner.cli.database import CONFIG, Place, bring_up
from netrunner.cli.options import Options
from netrunner.errors import ConfigurationError, StoreError
from netrunner.store.database import connect, plainly, revision
from netrunner.store.tables import REVISION


class _Migrate(Options):
    """``netrunner store migrate``."""

    synopsis = "Usage: netrunner store migrate"

    def run(self, place: Place) -> None:
        """Migrate; with what is there already nothing happens."""
        bring_up(place.url)


class _Status(Options):
    """``netrunner store status``."""

    synopsis = "Usage: netrunner store status"

    def run(self, place: Place) -> None:
        """Look only."""


class StoreOptions(Options):
    """``netrunner store``."""

    synopsis = "Usage: netrunner store [--config FILE] [--json] migrate | status"
    longdesc = "Looks at the database. The daemon migrates it by itself when it starts."
    optParameters: ClassVar[list[list[Any]]] = [CONFIG]
    optFlags: ClassVar[list[list[str | None]]] = [["json", None, "Answer as JSON."]]
    subCommands: ClassVar[list[tuple[str, None, type[usage.Options], str]]] = [
        ("migrate", None, _Migrate, "Bring it to the latest migration."),
        ("status", None, _Status, "Say which one it is of."),
    ]

    def postOptions(self) -> None:
        if self.subCommand is None:
            raise usage.UsageError("say what to do: migrate or status")

    def run(self) -> int:
        """Do it, and say where the database is then; return 1 while it is not of the latest migration."""
        try:
            with Place(self["config"]) as place:
                self.subOptions.run(place)
                found = _found(place)
        except (ConfigurationError, StoreError) as error:
            print(error, file=sys.stderr)
            return 1
        where = place.url.render_as_string(hide_password=True)
        if self["json"]:
            print(msgspec.json.encode({"store": where, "migration": found, "latest": REVISION}).decode())
        else:
            print(f"{where}: migration {found or 'none'}, the latest is {REVISION}")
        return 0 if found == REVISION else 1


def _found(place: Place) -> str | None:
    engine = connect(place.url)
    try:
        with plainly():
            return revision(engine)
    finally:
        engine.dispose()
