"""From a file to settings: the one door to the configuration.

Two phases: where plugins are is read first, everything else once it is known who is there. All problems are
reported together; a problem in one top-level key leaves the others to be checked.

This module must not look at ``os.environ`` and must not know any plugin.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from netrunner.config import builtin, checks, outward, tree
from netrunner.config.interpolate import interpolate, read_env_files
from netrunner.config.settings import Common, Document, PluginConfig, Settings
from netrunner.config.typed import Section, Surroundings
from netrunner.errors import ConfigurationError, PluginError, Problem, UnknownPlugin
from netrunner.settings import setting

_CONSOLE = "sinks: [{type: console}]"


class Plugins(Protocol):
    """The registry, as far as the configuration needs it."""

    def factory(self, kind: str, name: str) -> Any:
        """Return the ``IPluginFactory`` of a provider, filter or sink; raises ``UnknownPlugin``."""


P = TypeVar("P", bound=Plugins)
_OF_ALL = {"provider": ("type",), "filter": ("type", "enabled"), "sink": ("type", "enabled", "required")}
"""Keys of a plugin's section that are not its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Typed:
    type: str = setting(doc="Which plugin it is.")
    enabled: bool = setting(True, doc="Whether it is there at all; so that an environment variable can say so.")
    required: bool = setting(False, doc="Whether the journal keeps what this sink has not read, whatever that costs.")


def load(
    path: str | None, discover: Callable[[tuple[str, ...]], P], environ: Mapping[str, str]
) -> tuple[Settings, P, list[str]]:
    """Read a configuration.

    Args:
        path: of the file; None for the built-in configuration.
        discover: Returns the registry, given the folders of ``plugins.directories``.
        environ: The process's environment.

    Returns:
        The settings, the registry, and warnings for the operator.

    Raises:
        ConfigurationError: with everything that is wrong.
    """
    return interpret(path, read(path), discover, environ)


def read(path: str | None) -> bytes:
    """Return the text of a configuration; that of the built-in one for None.

    Raises:
        ConfigurationError: when it cannot be read.
    """
    if path is None:
        return builtin.TEXT.encode()
    try:
        with open(path, "rb") as file:
            return file.read(tree.MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigurationError([Problem(path, f"cannot be read: {reason}")]) from None


def interpret(
    path: str | None, data: bytes, discover: Callable[[tuple[str, ...]], P], environ: Mapping[str, str]
) -> tuple[Settings, P, list[str]]:
    """Do as ``load`` does with the text of a configuration that was ``read`` before, from ``path``."""
    loader = _Loader(tree.parse(data, builtin.NAME if path is None else path), environ)
    registry = loader.discover(discover)
    return loader.settings(registry), registry, list(dict.fromkeys(loader.warnings))


class _Loader:
    """One run over one document."""

    def __init__(self, document: tree.Mapping, environ: Mapping[str, str]) -> None:
        self.warnings: list[str] = []
        self._problems: list[Problem] = []
        self._broken: set[str] = set()
        self._environ = self._environment(document, environ)
        self._root = self._section(_routes_listed(document), self._environ)

    def _section(self, mapping: tree.Mapping, environ: Mapping[str, str]) -> Section:
        interpolated = interpolate(mapping, environ)
        assert isinstance(interpolated, tree.Mapping)
        return Section(interpolated, Surroundings(environ, self.warnings))

    def _environment(self, document: tree.Mapping, environ: Mapping[str, str]) -> dict[str, str]:
        """Where .env files are is known before anything in them is."""
        entries = {key: node for key, node in document.entries.items() if key == "env_files"}
        early = self._section(dataclasses.replace(document, entries=entries), environ)
        return read_env_files(self._early(early).env_files, environ, self.warnings, self._problems)

    def _early(self, section: Section) -> Common:
        try:
            return section.read(Common)
        except ConfigurationError:
            return Common()  # Reported when everything is read.

    def discover(self, discover: Callable[[tuple[str, ...]], P]) -> P:
        """Return the registry; without it nothing more can be said."""
        try:
            return discover(self._early(self._root.only("plugins")).plugins.directories)
        except PluginError as error:
            where = self._root.at("plugins", "directories")
            self._problems += [Problem(where, line) for line in str(error).splitlines()]
            self._document()
            raise self._failure() from error

    def settings(self, registry: Plugins) -> Settings:
        """Return the settings, or raise with every problem met."""
        document = self._document()
        providers = self._plugins("provider", list((document.providers or {}).items()), registry)
        filters = self._plugins("filter", [(None, section) for section in document.filters], registry)
        sinks = self._plugins("sink", [(None, section) for section in self._sinks(document)], registry)
        subject = checks.Subject(document, self._root, providers, filters)
        self._problems += checks.check(subject, self._broken)
        proxies, problems = outward.check(subject, self._broken, self._environ)
        self._problems += problems
        if self._problems:
            raise self._failure()
        self.warnings += checks.warn(subject)
        common = {each.name: getattr(document, each.name) for each in dataclasses.fields(Common)}
        common["server"] = dataclasses.replace(document.server, hosts=checks.hosts(document))
        return Settings(**common, providers=providers, filters=filters, sinks=sinks, environment=proxies)

    def _failure(self) -> ConfigurationError:
        return ConfigurationError(sorted(dict.fromkeys(self._problems), key=_place))

    def _document(self) -> Document:
        """Read key by key, so that one that is broken leaves the others standing."""
        values: dict[str, Any] = {}
        for key in list(self._root.keys()):
            try:
                part = self._root.only(key).read(Document)
            except ConfigurationError as error:
                self._problems += error.problems
                self._broken.add(key)
            else:
                values |= {key: getattr(part, key)} if hasattr(part, key) else {}
        return dataclasses.replace(self._root.only().read(Document), **values)

    def _sinks(self, document: Document) -> Sequence[Section]:
        if document.sinks is not None or "sinks" in self._broken:
            return document.sinks or ()
        default = self._section(tree.parse(_CONSOLE, builtin.NAME), {})
        return default.read(Document).sinks or ()

    def _plugins(
        self, kind: str, sections: Sequence[tuple[str | None, Section]], registry: Plugins
    ) -> tuple[PluginConfig, ...]:
        configured: list[PluginConfig] = []
        for name, section in sections:
            try:
                plugin = self._plugin(kind, name, section, registry)
                if plugin is not None:
                    configured.append(plugin)
            except ConfigurationError as error:
                self._problems += error.problems
        return tuple(_named(configured))

    def _plugin(self, kind: str, name: str | None, section: Section, registry: Plugins) -> PluginConfig | None:
        of_all = _OF_ALL[kind]
        typed = section.only(*of_all).read(_Typed)
        type_name = typed.type
        try:
            factory = registry.factory(kind, type_name)
        except UnknownPlugin as error:
            raise ConfigurationError([Problem(section.at("type"), str(error))]) from None
        try:
            settings = factory.parse(section.without(*of_all))
        except ConfigurationError:
            raise
        except Exception as error:  # A plugin's own fault must not keep the other problems from being told.
            problem = Problem(section.where, f"{kind} {type_name} failed to read its settings: {type(error).__name__}")
            raise ConfigurationError([problem]) from error
        if not typed.enabled:
            return None
        return PluginConfig(
            name=name or type_name,
            type=type_name,
            factory=factory,
            settings=settings,
            where=section.where,
            required=typed.required,
        )


def _routes_listed(document: tree.Mapping) -> tree.Mapping:
    """Return the document with routes as a list, where they are a mapping by name."""
    routes = document.entries.get("routes")
    if not isinstance(routes, tree.Mapping):
        return document
    items: list[tree.Node] = []
    for name, route in routes.entries.items():
        if not isinstance(route, tree.Mapping):
            items.append(route)
            continue
        where = routes.key_where[name]
        entries = {"name": tree.Scalar(where, name, False), **route.entries}
        items.append(dataclasses.replace(route, entries=entries, key_where={"name": where, **route.key_where}))
    listed = tree.Sequence(routes.where, tuple(items))
    return dataclasses.replace(document, entries={**document.entries, "routes": listed})


def _named(configured: Sequence[PluginConfig]) -> list[PluginConfig]:
    """Number those of one name; only filters and sinks can have the same."""
    seen: dict[str, int] = {}
    named = []
    for plugin in configured:
        count = seen[plugin.name] = seen.get(plugin.name, 0) + 1
        named.append(plugin if count == 1 else dataclasses.replace(plugin, name=f"{plugin.name}-{count}"))
    return named


def _place(problem: Problem) -> tuple[str, int]:
    file, _, line = problem.where.rpartition(":")
    return (file, int(line)) if line.isdigit() else (problem.where, 0)
