"""Finds the plugins and hands out their factories by kind and name.

Two doors: a ``.py`` file in a folder named in ``plugins.directories``, or an installed package with an entry
point in the group ``netrunner.plugins``, called ``<kind>.<name>``. The operator's folder is imported whole; of
the entry points only those asked for are ever imported, and so it is with the built-in ones. Packages that put modules
into ``netrunner.plugins`` come through ``twisted.plugin``.

This module must not start, configure or build a plugin.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.metadata
import os
import pkgutil
import re
import stat
import sys
import traceback
import types
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, Self

from twisted.logger import Logger
from twisted.plugin import getPlugins
from zope.interface.exceptions import Invalid
from zope.interface.verify import verifyObject

import netrunner.plugins
from netrunner.errors import PluginError, UnknownPlugin
from netrunner.interfaces import IFilterFactory, IPluginFactory, IProviderFactory, ISinkFactory
from netrunner.plugins import builtin

KINDS = {"provider": IProviderFactory, "filter": IFilterFactory, "sink": ISinkFactory}
GROUP = "netrunner.plugins"
BUILT_IN = "built in"
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclasses.dataclass(frozen=True, slots=True)
class Offer:
    """One plugin somebody offers; ``factory`` is None while its entry point has not been imported."""

    kind: str
    name: str
    doc: str
    origin: str
    """Where it comes from: a file, a distribution's entry point, or ``built in``."""
    factory: Any
    entry_point: importlib.metadata.EntryPoint | None = None


class Registry:
    """The plugins there are.

    ``problems`` holds one line for each that was skipped.
    """

    def __init__(self) -> None:
        self.problems: list[str] = []
        self._offers: dict[tuple[str, str], Offer] = {}

    @classmethod
    def discover(cls, directories: Sequence[str], log: Logger) -> Self:
        """Find every plugin there is now; calling it again finds new files too.

        Args:
            directories: Drop-in folders.
            log: Hears one line for each plugin that is skipped.

        Raises:
            PluginError: for folders that are missing or writable by others and for plugins of one kind and
                name, all of them in one message.
        """
        registry = cls()
        errors: list[str] = []
        for kind, name, doc, module in builtin.BUILT_IN:
            entry_point = importlib.metadata.EntryPoint(f"{kind}.{name}", f"{module}:plugin", GROUP)
            registry._insert(Offer(kind, name, doc, BUILT_IN, None, entry_point))
        registry._take(((BUILT_IN, factory) for factory in getPlugins(IPluginFactory, netrunner.plugins)), errors)
        for directory in directories:
            try:
                package = _package(directory)
            except PluginError as error:
                errors.append(str(error))
            else:
                registry._take(registry._drop_ins(package), errors)
        registry._take_entry_points(errors)
        for problem in registry.problems:
            log.warn("plugin skipped: {problem}", problem=problem)
        if errors:
            raise PluginError("\n".join(errors))
        return registry

    def add(self, factory: Any, origin: str) -> None:
        """Offer one more plugin, at any time.

        Raises:
            PluginError: if the factory lacks a part or its name is taken.
        """
        self._insert(_offer(factory, origin))

    def factory(self, kind: str, name: str) -> Any:
        """Return the ``IPluginFactory``; imports its entry point the first time.

        Raises:
            UnknownPlugin: a ``LookupError`` that names those there are, or why this one cannot be used.
        """
        offer = self._offers.get((kind, name))
        if offer is None:
            there_are = ", ".join(self.names(kind)) or "none"
            raise UnknownPlugin(f"there is no {kind} called {name!r}; there are: {there_are}")
        if offer.entry_point is not None:
            offer = _load(offer, offer.entry_point)
            self._offers[kind, name] = offer
        return offer.factory

    def names(self, kind: str) -> tuple[str, ...]:
        """Return the names of one kind in order."""
        return tuple(sorted(name for offered, name in self._offers if offered == kind))

    def rows(self) -> list[tuple[str, str, str, str]]:
        """Return kind, name, doc and origin of every plugin in order; imports nothing."""
        order = list(KINDS)
        offers = sorted(self._offers.values(), key=lambda offer: (order.index(offer.kind), offer.name))
        return [(offer.kind, offer.name, offer.doc, offer.origin) for offer in offers]

    def _insert(self, offer: Offer) -> None:
        known = self._offers.setdefault((offer.kind, offer.name), offer)
        if known is not offer and (known.factory is None or known.factory is not offer.factory):
            raise PluginError(f"{offer.kind} {offer.name!r} is offered twice: by {known.origin} and by {offer.origin}")

    def _take(self, found: Iterator[tuple[str, Any]], errors: list[str]) -> None:
        """Insert what was found: an incomplete one is a problem, a second one of its name an error."""
        for origin, factory in found:
            try:
                offer = _offer(factory, origin)
            except PluginError as error:
                self.problems.append(str(error))
                continue
            try:
                self._insert(offer)
            except PluginError as error:
                errors.append(str(error))

    def _drop_ins(self, package: types.ModuleType) -> Iterator[tuple[str, Any]]:
        """Import the modules of a folder and yield what they offer; ``_name.py`` is a helper of the others."""
        importlib.invalidate_caches()
        for module_info in pkgutil.iter_modules(package.__path__):
            if module_info.name.startswith("_"):
                continue
            path = os.path.join(package.__path__[0], module_info.name + ("" if module_info.ispkg else ".py"))
            try:
                if os.path.exists(path):
                    _refuse_writable(path)
                module = importlib.import_module(f"{package.__name__}.{module_info.name}")
            except PluginError as error:
                self.problems.append(str(error))
            except (Exception, SystemExit) as error:  # noqa: BLE001 - plugin border: a broken one costs itself only
                self.problems.append(_one_line(path, error))
            else:
                offered = [value for value in vars(module).values() if IPluginFactory.providedBy(value)]
                if not offered:
                    self.problems.append(f"{path}: offers no plugin")
                yield from ((path, factory) for factory in offered)

    def _take_entry_points(self, errors: list[str]) -> None:
        for entry_point in importlib.metadata.entry_points(group=GROUP):
            dist = entry_point.dist
            summary = (dist.metadata["Summary"] or "") if dist else ""
            origin = f"{dist.name} {dist.version} ({entry_point.value})" if dist else entry_point.value
            kind, _, name = entry_point.name.partition(".")
            if kind not in KINDS or not _NAME.fullmatch(name):
                self.problems.append(f"{origin}: the entry point {entry_point.name!r} is not called <kind>.<name>")
                continue
            try:
                self._insert(Offer(kind, name, summary, origin, None, entry_point))
            except PluginError as error:
                errors.append(str(error))


def _offer(factory: Any, origin: str) -> Offer:
    """Return the offer of a factory, or raise ``PluginError`` if a part of it is missing."""
    kind = next((kind for kind, interface in KINDS.items() if interface.providedBy(factory)), None)
    if kind is None:
        raise PluginError(f"{origin}: {type(factory).__name__} makes neither providers nor filters nor sinks")
    try:
        verifyObject(KINDS[kind], factory)
    except Invalid as error:
        raise PluginError(f"{origin}: {' '.join(str(error).split())}") from error
    if not isinstance(factory.name, str) or not _NAME.fullmatch(factory.name):
        raise PluginError(f"{origin}: the name {factory.name!r} is not 1-64 characters of A-Za-z0-9._-")
    if not dataclasses.is_dataclass(factory.settings):
        raise PluginError(f"{origin}: the settings of {kind} {factory.name!r} are no dataclass")
    return Offer(kind, factory.name, " ".join(str(factory.doc).split()), origin, factory)


def _load(offer: Offer, entry_point: importlib.metadata.EntryPoint) -> Offer:
    """Import an entry point; raises ``UnknownPlugin`` if that does not give the plugin it promised."""
    try:
        loaded = _offer(entry_point.load(), offer.origin)
    except PluginError as error:
        raise UnknownPlugin(str(error)) from error
    except (Exception, SystemExit) as error:  # plugin border: whoever configured it hears of it
        raise UnknownPlugin(_one_line(offer.origin, error)) from error
    if (loaded.kind, loaded.name) != (offer.kind, offer.name):
        raise UnknownPlugin(f"{offer.origin}: promised {offer.kind}.{offer.name}, is {loaded.kind}.{loaded.name}")
    return loaded


def _package(directory: str) -> types.ModuleType:
    """Return the package made of a folder, the same one each time.

    It has a name of its own, so that a drop-in ``openai.py`` is not mistaken for another module, and it is
    scanned by import rather than by ``getPlugins``, whose cache may be stale and is a pickle.
    """
    path = os.path.realpath(directory)
    if not os.path.isdir(path):
        raise PluginError(f"{directory}: there is no such plugin folder")
    _refuse_writable(path)
    name = f"netrunner_drop_in_{zlib.crc32(os.fsencode(path)):08x}"
    package = sys.modules.get(name)
    if package is None:
        package = sys.modules[name] = types.ModuleType(name, f"The drop-in folder {path}.")
        package.__path__ = [path]
    return package


def _refuse_writable(path: str) -> None:
    """Raise ``PluginError`` if others may write to ``path``; a user's private group counts as the user."""
    status = os.stat(path)
    shared_group = status.st_mode & stat.S_IWGRP and status.st_gid != status.st_uid
    if status.st_mode & stat.S_IWOTH or shared_group:
        mode = stat.S_IMODE(status.st_mode)
        raise PluginError(f"{path}: others may write here (mode {mode:04o}); it is code, so `chmod go-w` it")


def _one_line(where: str, error: BaseException) -> str:
    """Return what went wrong and in which line, without a traceback."""
    if isinstance(error, SyntaxError):
        return f"{error.filename or where}:{error.lineno}: SyntaxError: {error.msg}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(where)]
    line = f":{frames[-1].lineno}" if frames else ""
    return " ".join(f"{where}{line}: {type(error).__name__}: {error}".split())
