"""``netrunner journal``: whether it is as it was written, what it holds, and all of it as JSON lines.

This module must not change a journal.
"""

from __future__ import annotations

import sys
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import msgspec
from twisted.python import usage

from netrunner.cli.configured import configured
from netrunner.cli.options import Options
from netrunner.errors import BadRequest, ConfigurationError, Expired
from netrunner.journal.copies import Copies
from netrunner.journal.logs import find, newest_first
from netrunner.journal.records import refusals
from netrunner.journal.segments import Reader
from netrunner.journal.upkeep import is_live
from netrunner.journal.verify import journals, verify
from netrunner.query import Query, matches, parse


class VerifyOptions(Options):
    """``netrunner journal verify``."""

    synopsis = "Usage: netrunner journal [--state DIR | --config FILE] verify"
    longdesc = (
        "Checks every checksum and the chain of digests over everything written. Prints what is wrong; exits with 1 if"
        " anything is. The journal of a running process has no end yet, which is no fault."
    )

    def run(self, state: Path) -> int:
        """Check every journal of the state folder."""
        wrong = 0
        for folder in journals(state):
            live = is_live(folder)
            findings = verify(folder, live)
            wrong += len(findings)
            print(f"{folder.name}  {'live' if live else 'ended'}  {'ok' if not findings else 'NOT as it was written'}")
            for one in findings:
                print(f"  {one.path.name} at {one.offset}: {one.what}")
            for code, count in sorted(_only_counted(folder).items()):
                print(f"  {count} refused with {code} came too fast to be recorded one by one")
        return 1 if wrong else 0


def _only_counted(folder: Path) -> Counter[str]:
    reader = Reader(folder, "refused")
    try:
        return refusals(reader)
    finally:
        reader.close()


class ShowOptions(Options):
    """``netrunner journal show ID``."""

    synopsis = "Usage: netrunner journal [--state DIR | --config FILE] show [--request | --response] ID"
    longdesc = "Shows one record, or the bytes of one of its messages as they were recorded."
    optFlags: ClassVar[list[list[str | None]]] = [
        ["request", None, "Write the request's body to standard output."],
        ["response", None, "Write the response's body to standard output."],
    ]

    def postOptions(self) -> None:
        if self["request"] and self["response"]:
            raise usage.UsageError("--request and --response exclude each other")

    def parseArgs(self, id: str) -> None:  # type: ignore[override]  # Twisted calls it with what is there
        self.id = id

    def run(self, state: Path) -> int:
        """Print the record, or one body."""
        record = find(state, self.id)
        if record is None:
            print(f"the journal holds no record {self.id!r}", file=sys.stderr)
            return 1
        if not (self["request"] or self["response"]):
            print(msgspec.json.format(msgspec.json.encode(record), indent=2).decode())
            return 0
        copy = record.request_copy if self["request"] else record.response_copy
        if copy is None:
            print("nothing of it was recorded", file=sys.stderr)
            return 1
        try:
            for piece in Copies(state / "journal").pieces(copy):
                sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
        except Expired as error:
            print(error, file=sys.stderr)
            return 1
        return 0


def _count(text: str) -> int:
    """Return a number of records; raise ``ValueError`` for what is none."""
    if not text.isdecimal():
        raise ValueError(f"{text!r} is no number of records")
    return int(text)


class ExportOptions(Options):
    """``netrunner journal export``."""

    synopsis = "Usage: netrunner journal [--state DIR | --config FILE] export [--filter TEXT] [--limit N]"
    longdesc = "Writes records as lines of JSON, newest first."
    optParameters: ClassVar[list[list[Any]]] = [
        ["filter", "q", "", "Only those that match, written as in the log API: model:gpt status:50 ..."],
        ["limit", "n", None, "At most so many.", _count],
    ]

    def run(self, state: Path) -> int:
        """Print the records."""
        try:
            query = Query(terms=parse(self["filter"]))
        except BadRequest as error:
            print(error.message, file=sys.stderr)
            return 1
        encode = msgspec.json.Encoder().encode
        found = (record for record in newest_first(state) if matches(query, record))
        for record in islice(found, self["limit"]):
            sys.stdout.buffer.write(encode(record) + b"\n")
        sys.stdout.buffer.flush()
        return 0


class JournalOptions(Options):
    """``netrunner journal``."""

    synopsis = "Usage: netrunner journal [--state DIR | --config FILE] verify | show ID | export"
    longdesc = "Looks into the record of requests; a running daemon is not disturbed."
    optParameters: ClassVar[list[list[Any]]] = [
        ["config", "c", None, "Take the state folder from this configuration."],
        ["state", "s", "./var", "The state folder."],
    ]
    subCommands: ClassVar[list[tuple[str, None, type[usage.Options], str]]] = [
        ("verify", None, VerifyOptions, "Check that nothing was altered."),
        ("show", None, ShowOptions, "Show one record or one of its messages."),
        ("export", None, ExportOptions, "Write records as lines of JSON."),
    ]

    def postOptions(self) -> None:
        if self.subCommand is None:
            raise usage.UsageError("say what to do: verify, show or export")

    def run(self) -> int:
        """Do it; return the exit status."""
        state = Path(self["state"])
        if self["config"] is not None:
            try:
                state = Path(configured(self["config"]).state)
            except ConfigurationError as error:
                print(error, file=sys.stderr)
                return 1
        try:
            if not (state / "journal").is_dir():
                print(f"{state}: there is no journal; name the state folder by --state or --config", file=sys.stderr)
                return 1
            return int(self.subOptions.run(state))
        except PermissionError as error:
            print(f"{error.filename}: {error.strerror}; it belongs to the daemon's user", file=sys.stderr)
            return 1
