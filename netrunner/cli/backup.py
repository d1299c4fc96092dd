"""``netrunner backup`` and ``netrunner restore``: the database and the state folder as one file, and back.

A backup is made while the daemon runs. Restored is only what would be lost otherwise: into an empty database and a
state folder without any journal, and never beneath a daemon.

This module must not open a sealed secret.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any, ClassVar

import msgspec
from sqlalchemy import URL

from netrunner.cli.archive import Reader, Writer, plainly
from netrunner.cli.database import CONFIG, Place
from netrunner.cli.options import Options
from netrunner.errors import ConfigurationError, StoreError
from netrunner.process.state import claim
from netrunner.store.database import Database, connect, revision
from netrunner.store.database import plainly as asked_plainly
from netrunner.store.dump import dump, load
from netrunner.store.master import FILE as KEY_FILE


class _Options(Options):
    """What both have in common."""

    optParameters: ClassVar[list[list[Any]]] = [CONFIG]

    def parseArgs(self, path: str) -> None:  # type: ignore[override]  # Twisted calls it with what is there
        self.path = Path(path).absolute()

    def run(self) -> int:
        """Do it and say what was done; return the exit status."""
        try:
            told = self.done()
        except (ConfigurationError, StoreError) as error:
            print(error, file=sys.stderr)
            return 1
        if self["json"]:
            print(msgspec.json.encode(told).decode())
        else:
            print(f"{told['rows']} rows and {told['files']} files{told.get('note', '')}")
        return 0

    def done(self) -> dict[str, Any]:
        """Do it; return the counts."""
        raise NotImplementedError


class BackupOptions(_Options):
    """``netrunner backup``."""

    synopsis = "Usage: netrunner backup [--config FILE] [--with-key] [--json] BACKUP"
    longdesc = (
        "Writes the database and what lasts of the state folder into the new file BACKUP, mode 0600; the daemon may run"
        " meanwhile. Secrets in it stay sealed, and are of use only with the master key, which is not in it unless"
        " --with-key says so."
    )
    optFlags: ClassVar[list[list[str | None]]] = [
        ["with-key", "k", "Put the key file of the state folder in as well: whoever has the backup has it all then."],
        ["json", None, "Answer as JSON."],
    ]

    def done(self) -> dict[str, Any]:
        """Write the backup. Cursors come first: what came after them is then handed to the sinks again."""
        with Place(self["config"]) as place, Writer(self.path, time.time()) as archive:
            files = archive.folder(place.state, "cursors/*")
            counts = place.database.read(dump, archive.table)
            files += archive.folder(place.state, "journal/*/*")
            kept = place.settings.secrets.key is None and (place.state / KEY_FILE).exists()
            if self["with-key"]:
                files += archive.folder(place.state, KEY_FILE)
        apart = kept and not self["with-key"]
        note = f"; the master key {place.state / KEY_FILE} is not in it, keep it elsewhere" if apart else ""
        return {"rows": sum(counts.values()), "files": files, "tables": counts, "note": note}


class RestoreOptions(_Options):
    """``netrunner restore``."""

    synopsis = "Usage: netrunner restore [--config FILE] [--json] BACKUP"
    longdesc = (
        "Restores BACKUP into the database and the state folder of a configuration whose daemon does not run. Both have"
        " to be empty. A backup of an older netrunner is migrated, one of a newer refused."
    )
    optFlags: ClassVar[list[list[str | None]]] = [["json", None, "Answer as JSON."]]

    def done(self) -> dict[str, Any]:
        """Restore it, once all of it could be read; a file of SQLite that could not be filled is removed again."""
        place = Place(self["config"])
        with Reader(self.path) as archive:
            archive.check()
            with plainly(place.state):
                place.state.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = claim(place.state, None, os.geteuid())
            try:
                _refuse_full(place, archive)
                counts = _fill(place, archive)
                files = archive.files(place.state)
            finally:
                place.database.close()
                os.close(lock)
        return {"rows": sum(counts.values()), "files": files, "tables": counts}


def _refuse_full(place: Place, archive: Reader) -> None:
    if any((place.state / "journal").glob("[!.]*")) or any((place.state / "cursors").glob("*")):
        raise StoreError(f"The state folder {place.state} has a journal already: name an empty one.")
    if archive.has_key and (place.state / KEY_FILE).exists():
        raise StoreError(f"The state folder {place.state} has a master key already, and the backup another one.")
    engine = connect(place.url)
    try:
        with asked_plainly():
            found = revision(engine)
    finally:
        engine.dispose()
    if found is not None:
        where = place.url.render_as_string(hide_password=True)
        raise StoreError(f"The database {where} is not empty: name another one.")


def _fill(place: Place, archive: Reader) -> dict[str, int]:
    """Make the tables as they were, put the rows into them, and bring them to the latest migration."""
    # With it comes Alembic, which a backup has no need of.
    from netrunner.store.migrate import migrate

    of = place.url.render_as_string(hide_password=False)
    before = Database(place.url, _nothing, time.monotonic)
    try:
        migrate(of, archive.manifest.migration)
        counts: dict[str, int] = before.write(load, archive.table)
        migrate(of)
    except StoreError:
        before.close()
        if place.url.drivername == "sqlite":
            Path(str(place.url.database)).unlink(missing_ok=True)
        raise
    before.close()
    return counts


def _nothing(_: URL) -> None:
    """Leave a database of whatever migration as it is."""
