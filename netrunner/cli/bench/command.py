"""``netrunner bench``: its flags, its exit status, and ``netrunner bench compare``.

This module must not measure anything.
"""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path
from typing import Any, ClassVar, get_args

import msgspec
from twisted.python import usage

from netrunner.cli.bench import settings
from netrunner.cli.bench.compare import Row, compare, differences
from netrunner.cli.bench.report import csv_of, summary
from netrunner.cli.bench.settings import FIELDS, BenchSettings, wrong
from netrunner.cli.options import Options
from netrunner.config.typed import hints
from netrunner.errors import ConfigurationError

_PROFILES = "bench.yaml"
_SEVERAL = frozenset({"header", "payload"})
_SWITCHES = frozenset(flag for flag, field in FIELDS.items() if hints(BenchSettings)[field.name] is bool)
INTERRUPTED = 130
"""As a shell reports a program that Ctrl-C ended."""


def _doc(flag: str) -> str:
    field = FIELDS[flag]
    default = field.default
    told = str(field.metadata["doc"])
    shown = default is not None and default != () and flag not in _SWITCHES and default != 0
    choices = [arm for kind in get_args(hints(BenchSettings)[field.name]) for arm in get_args(kind)]
    return told + (f" [{', '.join(choices)}]" if choices else "") + (f" [default: {default}]" if shown else "")


class CompareOptions(Options):
    """``netrunner bench compare``."""

    synopsis = "Usage: netrunner bench compare [--max-regression PERCENT] BEFORE.json AFTER.json"
    longdesc = "Shows what changed between two runs. Exits with 1 if a figure is worse by more than is allowed."
    optParameters: ClassVar[list[list[Any]]] = [
        ["max-regression", "m", None, "By how many per cent a figure may be worse."],
        ["format", "f", "text", "text or json."],
    ]

    def parseArgs(self, *paths: str) -> None:
        if len(paths) != 2:
            raise usage.UsageError("compare takes two reports: BEFORE.json AFTER.json")
        self.paths = paths

    def run(self) -> int:
        """Print the rows; return the exit status."""
        try:
            allowed = _percent(self["max-regression"])
            if self["format"] not in ("text", "json"):
                raise wrong("format", "expected text or json")
            before, after = (_document(path) for path in self.paths)
        except ConfigurationError as error:
            print(error, file=sys.stderr)
            return 2
        rows = compare(before, after)
        if not rows:
            print("the two reports have no figure in common", file=sys.stderr)
            return 1
        changed = differences(before, after)
        if self["format"] == "json":
            print(_json({"rows": rows, "differences": changed}))
        else:
            for name, one, other in changed:
                print(f"not the same: {name} was {one}, is {other}")
            print("\n".join(_table(rows)))
        worse = [row for row in rows if allowed is not None and row.worse * 100 > allowed]
        for row in worse:
            print(f"{row.name} is worse by more than {allowed:g} %", file=sys.stderr)
        return 1 if worse else 0


def _table(rows: list[Row]) -> list[str]:
    lines = [f"{'':26}{'before':>14}{'after':>14}{'change':>10}"]
    for row in rows:
        change = "" if row.change is None else f"{row.change:+.1%}"
        lines.append(f"{row.name:26}{row.before:>14.3f}{row.after:>14.3f}{change:>10}".rstrip())
    return lines


def _percent(given: str | None) -> float | None:
    if given is None:
        return None
    try:
        allowed = float(given)
    except ValueError:
        allowed = -1.0
    if not 0 <= allowed < float("inf"):
        raise wrong("max-regression", f"expected a number from 0, got {given[:40]!r}")
    return allowed


def _document(path: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(Path(path).read_bytes(), type=dict[str, Any])
    except OSError as error:
        raise settings.failure(path, f"cannot be read: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise settings.failure(path, "is no report of netrunner bench in JSON") from None


class BenchOptions(Options):
    """``netrunner bench``; its flags are the fields of ``BenchSettings``."""

    synopsis = "Usage: netrunner bench [FLAGS] | netrunner bench compare BEFORE.json AFTER.json"
    longdesc = (
        "Sends requests to a proxy or a provider and tells how long answers took. Exits with 1 if all requests failed"
        " or a figure is beyond what is allowed, 2 for wrong flags, 130 after Ctrl-C, which tells what was measured"
        " until then."
    )
    optParameters: ClassVar[list[list[Any]]] = [
        *([flag, None, None, _doc(flag)] for flag in FIELDS if flag not in _SWITCHES | _SEVERAL),
        ["profile", "p", None, "A named set of flags; flags given here go before it."],
        ["profiles", None, _PROFILES, "The YAML file of profiles."],
    ]
    optFlags: ClassVar[list[list[Any]]] = [[flag, None, _doc(flag)] for flag in FIELDS if flag in _SWITCHES]
    subCommands: ClassVar[list[tuple[str, None, type[usage.Options], str]]] = [
        ("compare", None, CompareOptions, "Show what changed between two runs.")
    ]

    def __init__(self) -> None:
        super().__init__()
        self.several: dict[str, list[str]] = {}

    def opt_header(self, text: str) -> None:
        self.several.setdefault("header", []).append(text)

    opt_header.__doc__ = _doc("header")

    def opt_payload(self, text: str) -> None:
        self.several.setdefault("payload", []).append(text)

    opt_payload.__doc__ = _doc("payload")

    def run(self) -> int:
        """Do it; return the exit status."""
        if self.subCommand is not None:
            return int(self.subOptions.run())
        given = {flag: self[flag] for flag in FIELDS if flag not in _SEVERAL and self[flag] not in (None, 0)}
        given |= self.several
        given |= dict.fromkeys(_SWITCHES & given.keys(), True)
        try:
            chosen, warnings = settings.read(given, self["profile"], self["profiles"], os.environ)
            document = _measured(chosen, warnings)
        except ConfigurationError as error:
            print(error, file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            # Before anything was sent; from then on a run ends with its report.
            return INTERRUPTED
        return _tell(chosen, document)


def _measured(chosen: BenchSettings, warnings: list[str]) -> dict[str, Any]:
    """Measure and return the report.

    Raises:
        ConfigurationError: naming the flag.
    """
    from netrunner.cli.bench.progress import display
    from netrunner.cli.bench.requests import Requests
    from netrunner.cli.bench.run import Benchmark

    if chosen.output not in (None, "-") and not settings.writable(chosen.output):
        raise wrong("output", f"{chosen.output} cannot be written")
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)
    requests = Requests(chosen, random.Random())
    from twisted.internet import reactor  # noqa: TID251 - the command's own, handed on from here

    return Benchmark(reactor, chosen, requests, display(chosen.quiet)).run()


def _tell(chosen: BenchSettings, document: dict[str, Any]) -> int:
    as_csv = chosen.format == "csv" or (chosen.format is None and (chosen.output or "").endswith(".csv"))
    text = csv_of(document) if as_csv else _json(document) + "\n"
    if chosen.output == "-" or (chosen.output is None and chosen.format is not None):
        sys.stdout.write(text)
    else:
        print("\n".join(summary(document)))
    status = _verdict(chosen, document)
    if chosen.output not in (None, "-"):
        try:
            Path(chosen.output).write_text(text)
        except OSError as error:
            print(f"--output: {chosen.output} cannot be written: {error.strerror}", file=sys.stderr)
            return 1
    return status


def _verdict(chosen: BenchSettings, document: dict[str, Any]) -> int:
    """Return the exit status, and say what was beyond what is allowed."""
    beyond = []
    if chosen.max_error_rate is not None and document["error_rate"] > chosen.max_error_rate:
        beyond.append(f"error_rate is {document['error_rate']}, more than --max-error-rate {chosen.max_error_rate}")
    p99 = document["p99_latency_ms"]
    if chosen.max_p99_ms is not None and p99 is not None and p99 > chosen.max_p99_ms:
        beyond.append(f"p99_latency_ms is {p99}, more than --max-p99-ms {chosen.max_p99_ms}")
    for one in beyond:
        print(one, file=sys.stderr)
    if document["interrupted"]:
        return INTERRUPTED
    failed = document["error_rate"] == 1.0 or not document["requests"]
    return 1 if beyond or failed else 0


def _json(document: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode()
