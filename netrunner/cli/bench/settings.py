"""What a benchmark is asked to do: the flags, and profiles that are named sets of them.

A flag is read as the value of a profile would be: by the configuration's own reader, which is strict.

This module must not read payloads, and must not send anything.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from netrunner.cli.bench.schedule import Plan
from netrunner.config import tree
from netrunner.config.interpolate import interpolate
from netrunner.config.typed import Section, Surroundings, hints
from netrunner.errors import ConfigurationError, Problem
from netrunner.settings import Secret, setting

REQUESTS = 100
CONCURRENCY = 10
OPEN_CONCURRENCY = 1000
DialectName = Literal["openai", "responses", "anthropic", "gemini", "ollama", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchSettings:
    """Each field is a flag, less the unit of seconds, and a key of a profile."""

    base_url: str = setting(
        "http://127.0.0.1:8080", doc="The proxy or the provider, a path prefix included.", form="url"
    )
    endpoint: str | None = setting(None, doc="The path below it; /v1/chat/completions, or that of --dialect.")
    dialect: DialectName | None = setting(
        None, doc="What is spoken there, where the endpoint does not tell; none measures any URL."
    )
    token: Secret | None = setting(None, doc="The credential: itself, env:NAME or @FILE.")
    header: tuple[str, ...] = setting((), doc="A further header field, 'Name: value'; may be given more than once.")
    model: str = setting("echo", doc="What the built-in payload names, and {model} stands for.", form="text")
    payload: tuple[str, ...] = setting(
        (), doc="JSON to send, or @FILE of JSON or JSON lines; several are sent in turn. May be given more than once."
    )
    stream: bool = setting(False, doc="Ask for streams.")
    requests: int | None = setting(
        None, doc=f"How many requests; {REQUESTS}, or with --duration any number.", minimum=1, maximum=1_000_000_000
    )
    concurrency: int | None = setting(
        None,
        doc=f"Most requests at once; {CONCURRENCY}, with --rate {OPEN_CONCURRENCY}.",
        minimum=1,
        maximum=100_000,
    )
    duration_s: float | None = setting(
        None, doc="Seconds after which no request begins any more.", minimum=0.01, maximum=604800.0
    )
    rate: float | None = setting(
        None,
        doc="Requests per second, sent when they are due whatever became of those before; latencies count from then.",
        minimum=0.001,
        maximum=1_000_000.0,
    )
    warmup: int = setting(0, doc="Requests sent before, which are not counted.", minimum=0, maximum=1_000_000)
    timeout_s: float = setting(
        60.0, doc="Seconds for an answer to begin, and between two pieces of it.", minimum=0.001, maximum=86400.0
    )
    ca_file: str | None = setting(
        None, doc="PEM file of the authorities to trust instead of the system's.", form="path"
    )
    max_error_rate: float | None = setting(
        None, doc="Share of requests that may fail, 0 to 1; beyond it the exit status is 1.", minimum=0.0, maximum=1.0
    )
    max_p99_ms: float | None = setting(
        None, doc="What p99_latency_ms may be; beyond it the exit status is 1.", minimum=0.0
    )
    output: str | None = setting(None, doc="Where the report goes, besides the summary; - is standard output.")
    format: Literal["json", "csv"] | None = setting(
        None, doc="json, or csv as for an --output that ends so. Alone it goes to standard output."
    )
    quiet: bool = setting(False, doc="Show no progress.")

    def plan(self) -> Plan:
        """Return what is to be measured."""
        concurrency = self.concurrency or (CONCURRENCY if self.rate is None else OPEN_CONCURRENCY)
        requests = self.requests
        if requests is None and self.duration_s is None:
            requests = REQUESTS
        return Plan(concurrency=concurrency, requests=requests, duration_s=self.duration_s, rate=self.rate)


FIELDS = {each.name.removesuffix("_s").replace("_", "-"): each for each in dataclasses.fields(BenchSettings)}
"""By the flag, without its dashes."""


def read(
    flags: Mapping[str, Any], profile: str | None, profiles_file: str, environ: Mapping[str, str]
) -> tuple[BenchSettings, list[str]]:
    """Return the settings, and warnings for whoever typed them.

    Args:
        flags: Those given, by their names without dashes: text, a list of texts, or True.
        profile: The profile that holds for all other flags; None without one.
        profiles_file: Where profiles are.
        environ: For secrets and for ``${NAME}`` in profiles.

    Raises:
        ConfigurationError: with everything wrong, each by its flag or by file and line.
    """
    warnings: list[str] = []
    entries: dict[str, tree.Node] = {}
    places: dict[str, str] = {}
    if profile is not None:
        chosen = _profile(profile, profiles_file, environ)
        entries |= chosen.entries
        places |= chosen.key_where
    for flag, given in flags.items():
        name = FIELDS[flag].name
        entries[name] = _node(flag, name, given)
        places[name] = f"--{flag}"
    section = Section(tree.Mapping("command line", entries, places), Surroundings(environ, warnings))
    try:
        return section.read(BenchSettings), warnings
    except ConfigurationError as error:
        raise ConfigurationError([_plainer(problem) for problem in error.problems]) from None


def wrong(flag: str, message: str) -> ConfigurationError:
    """Return the error for one flag."""
    return failure(f"--{flag}", message)


def failure(where: str, message: str) -> ConfigurationError:
    """Return the error for one file or flag."""
    return ConfigurationError([Problem(where, message)])


def _profile(name: str, path: str, environ: Mapping[str, str]) -> tree.Mapping:
    try:
        with open(path, "rb") as file:
            root = tree.parse(file.read(tree.MAX_BYTES + 1), path)
    except OSError as error:
        raise wrong("profiles", f"{path} cannot be read: {error.strerror}") from None
    found = root.entries.get(name)
    if not isinstance(found, tree.Mapping):
        known = ", ".join(root.entries) or "none"
        raise wrong("profile", f"{path} has no profile {name!r}; it has {known}")
    interpolated = interpolate(found, environ)
    assert isinstance(interpolated, tree.Mapping)
    return interpolated


def _node(flag: str, name: str, given: Any) -> tree.Node:
    """Return the value of a flag as if it stood in a profile."""
    where = f"--{flag}"
    if isinstance(given, Sequence) and not isinstance(given, str):
        return tree.Sequence(where, tuple(tree.Scalar(where, text, True, True) for text in given))
    if given is True:
        return tree.Scalar(where, "true", True)
    if name == "token":
        return _token(where, given)
    kinds = get_args(hints(BenchSettings)[name]) or (hints(BenchSettings)[name],)
    # Of a number what was given is shown; a text may be anything, a number too.
    return tree.Scalar(where, given, True, not {int, float} & set(kinds))


def _token(where: str, given: str) -> tree.Node:
    kind, _, rest = ("file", "", given[1:]) if given.startswith("@") else given.partition(":")
    if kind in ("env", "file") and (kind == "env" or given.startswith("@")):
        return tree.Mapping(where, {kind: tree.Scalar(where, rest, False)}, {kind: where})
    return tree.Scalar(where, given, True, True)


def _plainer(problem: Problem) -> Problem:
    """Say what is wrong with a flag without naming its field as well."""
    if not problem.where.startswith("--"):
        return problem
    field = FIELDS[problem.where[2:]].name
    return Problem(problem.where, problem.message.removeprefix(f"{field}: "))


def writable(path: str) -> bool:
    """Return whether a report can be written to ``path``."""
    if os.path.isdir(path):
        return False
    return os.access(path if os.path.exists(path) else os.path.dirname(path) or ".", os.W_OK)
