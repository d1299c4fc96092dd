"""The ``netrunner`` command: a word for each thing an operator wants to know without starting the daemon.

This module must not import what only one of its commands needs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import ClassVar, NoReturn, cast

from twisted.python import usage

from netrunner.cli.options import Options, innermost


def _check() -> usage.Options:
    from netrunner.cli.check import CheckOptions

    return CheckOptions()


def _bench() -> usage.Options:
    from netrunner.cli.bench.command import BenchOptions

    return BenchOptions()


def _chat() -> usage.Options:
    from netrunner.cli.chat import ChatOptions

    return ChatOptions()


def _setup() -> usage.Options:
    from netrunner.cli.setup import SetupOptions

    return SetupOptions()


def _logserver() -> usage.Options:
    from netrunner.cli.logserver import LogserverOptions

    return LogserverOptions()


def _plugins() -> usage.Options:
    from netrunner.cli.plugins import PluginsOptions

    return PluginsOptions()


def _journal() -> usage.Options:
    from netrunner.cli.journal import JournalOptions

    return JournalOptions()


def _cache() -> usage.Options:
    from netrunner.cli.cache import CacheOptions

    return CacheOptions()


def _ca() -> usage.Options:
    from netrunner.cli.ca import CaOptions

    return CaOptions()


def _import() -> usage.Options:
    from netrunner.cli.importing import ImportOptions

    return ImportOptions()


def _explain() -> usage.Options:
    from netrunner.cli.explain import ExplainOptions

    return ExplainOptions()


def _project() -> usage.Options:
    from netrunner.cli.projects import ProjectOptions

    return ProjectOptions()


def _token() -> usage.Options:
    from netrunner.cli.projects import TokenOptions

    return TokenOptions()


def _secrets() -> usage.Options:
    from netrunner.cli.secrets import SecretsOptions

    return SecretsOptions()


def _store() -> usage.Options:
    from netrunner.cli.store import StoreOptions

    return StoreOptions()


def _backup() -> usage.Options:
    from netrunner.cli.backup import BackupOptions

    return BackupOptions()


def _restore() -> usage.Options:
    from netrunner.cli.backup import RestoreOptions

    return RestoreOptions()


def _status() -> usage.Options:
    from netrunner.cli.status import StatusOptions

    return StatusOptions()


def _upgrade() -> usage.Options:
    from netrunner.cli.upgrade import UpgradeOptions

    return UpgradeOptions()


class NetrunnerOptions(Options):
    """The command line; each command is ``run`` by its own options, which return an exit status."""

    synopsis = "Usage: netrunner COMMAND [ARGUMENTS]"
    longdesc = (
        "Looks at configurations, plugins and records, measures, and runs what stands beside the proxy."
        " The daemon itself is started by `twistd netrunner --config FILE`."
        " `netrunner COMMAND --help` tells more of a command. Pages are listed in docs/README.md of the source, and"
        " docs/tutorial.md is the one to begin with."
    )
    subCommands: ClassVar[list[tuple[str, None, Callable[[], usage.Options], str]]] = [
        ("setup", None, _setup, "Write a first configuration, and its secrets."),
        ("check", None, _check, "Validate a configuration and show who is there."),
        ("explain", None, _explain, "Say who would serve a request, and why."),
        ("bench", None, _bench, "Send requests to a proxy or a provider, and tell how long answers took."),
        ("chat", None, _chat, "Talk to a model through a running daemon."),
        ("logserver", None, _logserver, "Run the logging server in the foreground."),
        ("plugins", None, _plugins, "List plugins, or try one."),
        ("cache", None, _cache, "Forget the answers that are kept."),
        ("ca", None, _ca, "Make the authority by which the forward proxy looks into tunnels."),
        ("import", None, _import, "Rewrite another system's configuration."),
        ("status", None, _status, "Say which processes serve, and where."),
        ("upgrade", None, _upgrade, "Replace a running daemon by the code as it is now."),
        ("journal", None, _journal, "Check, show or export the record of requests."),
        ("project", None, _project, "Manage projects."),
        ("token", None, _token, "Manage their tokens."),
        ("secrets", None, _secrets, "Look after what is sealed in the database."),
        ("store", None, _store, "Look at the database, or migrate it."),
        ("backup", None, _backup, "Write the database and what lasts of the state folder into one file."),
        ("restore", None, _restore, "Bring back what such a file holds."),
    ]

    def postOptions(self) -> None:
        if self.subCommand is None:
            raise usage.UsageError("a command is missing")


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run one command and exit with its status; 2 if the command line cannot be understood."""
    try:
        try:
            status = _run(arguments)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read standard output has gone; the interpreter must not flush into it at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    sys.exit(status)


def _run(arguments: list[str] | None) -> int:
    options = NetrunnerOptions()
    try:
        options.parseOptions(arguments)
        return cast(int, options.subOptions.run())
    except usage.UsageError as error:
        print(f"netrunner: {error}\n\n{innermost(options)}", file=sys.stderr)
        return 2
