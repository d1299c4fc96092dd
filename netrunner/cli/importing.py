"""``netrunner import``: another system's configuration file, rewritten as ours.

This module must not know any other system's file.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, ClassVar

import yaml
from twisted.python import usage

from netrunner.cli.options import Options
from netrunner.imports import duplex, pool
from netrunner.imports.imported import Imported, NotImportable, mapping

SYSTEMS = {"pool": pool.imported, "duplex": duplex.imported}
MAX_BYTES = 1048576


class ImportOptions(Options):
    """``netrunner import``."""

    synopsis = "Usage: netrunner import --from SYSTEM [--output FILE] [--env-file FILE] FILE"
    longdesc = (
        "Reads the configuration FILE of another system, pool or duplex, and writes ours: to FILE of --output, or to"
        " stdout. What has no equivalent is told on stderr. Secrets never go into the configuration: --env-file writes"
        " them into a file of its own, readable by its owner alone; without it the variables to set are named."
    )
    optParameters: ClassVar[list[list[Any]]] = [
        ["from", None, None, "Whose file it is: pool or duplex."],
        ["output", "o", None, "Where to write the configuration; a file that exists is left alone."],
        ["env-file", None, None, "Where to write the secrets; a file that exists is left alone."],
    ]

    def parseArgs(self, path: str = "") -> None:
        self.path = path

    def postOptions(self) -> None:
        if not self.path:
            raise usage.UsageError("the FILE to import is missing")
        if self["from"] not in SYSTEMS:
            raise usage.UsageError(f"--from: expected {' or '.join(SYSTEMS)}")

    def run(self) -> int:
        """Write the configuration; return the exit status."""
        try:
            imported = SYSTEMS[self["from"]](mapping(_read(self.path), self.path))
            if self["env-file"] and imported.secrets:
                imported.config["env_files"] = [*imported.config.get("env_files", ()), self["env-file"]]
            _write(self["output"], self._text(imported), 0o644)
            if self["env-file"] and imported.secrets:
                _write(self["env-file"], _assignments(imported.secrets), 0o600)
        except (NotImportable, OSError) as error:
            print(f"{self.path}: {error}", file=sys.stderr)
            return 1
        for note in imported.notes:
            print(f"note: {note}", file=sys.stderr)
        if imported.secrets and not self["env-file"]:
            print(f"note: these variables have to be set: {', '.join(imported.secrets)}", file=sys.stderr)
        return 0

    def _text(self, imported: Imported) -> str:
        head = f"# Imported from a configuration of the system {self['from']}; docs/config.md describes every key.\n"
        return head + yaml.safe_dump(imported.config, sort_keys=False, allow_unicode=True, width=110)


def _read(path: str) -> Any:
    """Return the file, decoded.

    Raises:
        NotImportable: if it is no YAML.
        OSError: if it cannot be read.
    """
    with open(path, "rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise NotImportable(f"is larger than {MAX_BYTES} bytes")
    try:
        return yaml.safe_load(data)
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise NotImportable(f"{line}not YAML: {error.problem}") from None
    except (yaml.YAMLError, ValueError, RecursionError):
        raise NotImportable("not YAML") from None


def _write(path: str | None, text: str, mode: int) -> None:
    """Write a new file, or to stdout.

    Raises:
        OSError: if it cannot be written, or is there already.
    """
    if path is None:
        sys.stdout.write(text)
        return
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode), "w", encoding="utf-8") as file:
        file.write(text)


def _assignments(secrets: dict[str, str]) -> str:
    """Return lines of a .env file (docs/config.md, "Values from outside")."""
    escaped = {name: value.replace("\\", "\\\\").replace('"', '\\"') for name, value in secrets.items()}
    return "".join(f'{name}="{value}"\n' for name, value in escaped.items())
