"""A registry of four plugins, and a way to load text with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from netrunner.config.load import load
from netrunner.config.settings import Settings
from netrunner.errors import ConfigurationError, PluginError, UnknownPlugin
from netrunner.interfaces import ISection
from netrunner.settings import ProviderSettings, Secret, setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One field of every kind there is."""

    flag: bool = setting(False, doc="A switch.")
    count: int = setting(1, minimum=0, maximum=10, doc="A number.")
    share: float = setting(0.5, minimum=0, doc="A fraction.")
    label: str | None = setting(None, doc="A text.")
    word: Literal["one", "two"] = setting("one", doc="A word.")
    key: Secret | None = setting(None, doc="A secret.")
    tags: tuple[str, ...] = setting((), doc="Some texts.")
    weights: dict[str, int] | None = setting(None, form="name", doc="Numbers by name.")


@dataclass(frozen=True)
class FakeFactory:
    """Reads its section into ``settings``, or fails as told."""

    name: str
    settings: type[Any]
    error: Exception | None = None

    def parse(self, section: ISection) -> Any:
        if self.error:
            raise self.error
        return section.read(self.settings)


class FakeRegistry:
    """The part of a registry that the configuration asks."""

    _factories: Mapping[str, tuple[FakeFactory, ...]] = {
        "provider": (FakeFactory("echo", Sample), FakeFactory("openai", ProviderSettings)),
        "filter": (FakeFactory("no_think", Sample), FakeFactory("broken", Sample, KeyError("sk-canary"))),
        "sink": (FakeFactory("console", Sample), FakeFactory("jsonl", Sample)),
    }

    def __init__(self, directories: tuple[str, ...]) -> None:
        self.directories = directories
        if "no-plugins" in "".join(directories):
            raise PluginError("two providers are called echo\nand two sinks console")

    def factory(self, kind: str, name: str) -> FakeFactory:
        there = {factory.name: factory for factory in self._factories[kind]}
        if name not in there:
            raise UnknownPlugin(f"there is no {kind} called {name!r}; there are: {', '.join(there)}")
        return there[name]


class Loader:
    """Loads text as the file ``netrunner.yaml``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "netrunner.yaml"

    def __call__(self, text: str, **environ: str) -> tuple[Settings, list[str]]:
        """Return the settings and warnings."""
        self.path.write_text(text)
        settings, _, warnings = load(str(self.path), FakeRegistry, environ)
        return settings, [warning.replace(f"{self.folder}/", "") for warning in warnings]

    def problems(self, text: str, **environ: str) -> list[str]:
        """Return the problems, each as ``file:line: message``, without the folder."""
        try:
            self(text, **environ)
        except ConfigurationError as error:
            return [str(problem).replace(f"{self.folder}/", "") for problem in error.problems]
        return []

    def sample(self, section: str, **environ: str) -> Any:
        """Return the settings of a provider given as ``flag: true``, one key a line."""
        lines = "".join(f"    {line}\n" for line in section.splitlines())
        settings, _ = self(f"providers:\n  a:\n    type: echo\n{lines}", **environ)
        return settings.providers[0].settings

    def sample_problems(self, section: str, **environ: str) -> list[str]:
        """Return the problems of such a provider; its first line is line 4."""
        lines = "".join(f"    {line}\n" for line in section.splitlines())
        return self.problems(f"providers:\n  a:\n    type: echo\n{lines}", **environ)
