"""``netrunner plugins``: which plugins there are, and whether a provider keeps to the rules.

This module must not start a plugin.
"""

from __future__ import annotations

import os
import sys
from typing import Any, ClassVar

from twisted.logger import Logger
from twisted.python import usage

from netrunner.cli.options import Options
from netrunner.errors import ConfigurationError, PluginError, UnknownPlugin
from netrunner.registry import Registry


def table(registry: Registry) -> str:
    """Return the plugins as lines of kind, name, origin and what they do."""
    rows = [("KIND", "NAME", "ORIGIN", "")]
    rows += [(kind, name, origin, doc) for kind, name, doc, origin in registry.rows()]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join("  ".join(map(str.ljust, row[:3], widths)).rstrip() + "  " * bool(row[3]) + row[3] for row in rows)


class ConformanceOptions(Options):
    """``netrunner plugins check NAME``."""

    synopsis = "Usage: netrunner plugins [--directory DIR] check [--set KEY=VALUE] NAME"
    longdesc = "Runs a provider through the conformance checks; exits with 1 if it fails one. Nothing is sent anywhere."

    def __init__(self) -> None:
        super().__init__()
        self.given: dict[str, Any] = {}

    def opt_set(self, setting: str) -> None:
        """A setting that the provider needs, as KEY=VALUE; the value is read as YAML."""
        import yaml

        key, equals, value = setting.partition("=")
        if not equals:
            raise usage.UsageError(f"--set {setting}: expected KEY=VALUE")
        try:
            self.given[key] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise usage.UsageError(f"--set {key}: the value is no YAML") from None

    def parseArgs(self, name: str) -> None:  # type: ignore[override]  # Twisted calls it with what is there
        self.name = name

    def run(self, registry: Registry) -> int:
        """Print a line for each check; return the exit status."""
        from netrunner.testing.conformance import check_provider

        try:
            factory = registry.factory("provider", self.name)
        except UnknownPlugin as error:
            print(error, file=sys.stderr)
            return 1
        findings = check_provider(factory, self.given)
        for finding in findings:
            print(f"{'ok    ' if finding.ok else 'FAILED'}  {finding.name}{': ' * (not finding.ok)}{finding.message}")
        return 0 if all(finding.ok for finding in findings) else 1


class PluginsOptions(Options):
    """``netrunner plugins``."""

    synopsis = "Usage: netrunner plugins [--directory DIR | --config FILE] [check NAME]"
    longdesc = "Lists the plugins there are: built in, installed, and in the drop-in folders."
    optParameters: ClassVar[list[list[str | None]]] = [
        ["config", "c", None, "Take the drop-in folders from this configuration."]
    ]
    subCommands: ClassVar[list[tuple[str, None, type[usage.Options], str]]] = [
        ("check", None, ConformanceOptions, "Run a provider through the conformance checks.")
    ]

    def __init__(self) -> None:
        super().__init__()
        self.directories: list[str] = []

    def opt_directory(self, directory: str) -> None:
        """A drop-in folder; may be given more than once."""
        self.directories.append(directory)

    opt_d = opt_directory

    def run(self) -> int:
        """Print the table, or check one provider; return the exit status."""
        try:
            registry = self._registry()
        except (ConfigurationError, PluginError) as error:
            print(error, file=sys.stderr)
            return 1
        for problem in registry.problems:
            print(f"skipped: {problem}", file=sys.stderr)
        if self.subCommand == "check":
            return int(self.subOptions.run(registry))
        print(table(registry))
        return 0

    def _registry(self) -> Registry:
        log = Logger("netrunner.plugins")
        if self["config"] is None:
            return Registry.discover(self.directories, log)
        from netrunner.config.load import load

        _, registry, _ = load(
            self["config"], lambda found: Registry.discover((*found, *self.directories), log), os.environ
        )
        return registry
