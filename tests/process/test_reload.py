"""Reloading: all or nothing, and some things never."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from netrunner.errors import ConfigurationError, NetrunnerError, Problem
from netrunner.process.reload import Reloading


@dataclass(frozen=True)
class Settings:
    listen: tuple[str, ...] = ("tcp:1",)
    state: str = "/var"
    drain_s: float = 30.0


class Loaded:
    """Stands for the configuration file and for the service."""

    def __init__(self) -> None:
        self.file: Any = Settings()
        self.applied: list[Any] = []
        self.reloading = Reloading(self.load, self.apply, Settings())

    def load(self) -> tuple[Any, Any, list[str]]:
        if isinstance(self.file, Exception):
            raise self.file
        return self.file, None, ["a warning"]

    def apply(self, settings: Any) -> None:
        if settings.drain_s < 0:
            raise NetrunnerError("cannot be built")
        self.applied.append(settings)


def reloaded(loaded: Loaded) -> list[str]:
    """Return the warnings of a reload that ends at once."""
    warnings: list[list[str]] = []
    loaded.reloading().addCallback(warnings.append)
    return warnings[0]


def test_what_may_change_is_applied_and_warnings_come_back() -> None:
    loaded = Loaded()
    loaded.file = Settings(drain_s=1.0)
    assert reloaded(loaded) == ["a warning"]
    assert loaded.applied == [Settings(drain_s=1.0)]


def test_what_is_fixed_is_refused_by_name_and_nothing_is_applied() -> None:
    loaded = Loaded()
    loaded.file = Settings(listen=("tcp:2",), state="/other", drain_s=1.0)
    with pytest.raises(ConfigurationError) as caught:
        loaded.reloading()
    assert [problem.where for problem in caught.value.problems] == ["listen", "state"]
    assert loaded.applied == []


@pytest.mark.parametrize("file", [ConfigurationError([Problem("x.yaml:1", "broken")]), Settings(drain_s=-1.0)])
def test_a_broken_configuration_leaves_everything_as_it_was(file: Any) -> None:
    loaded = Loaded()
    loaded.file = file
    with pytest.raises(NetrunnerError):
        loaded.reloading()
    loaded.file = Settings()
    loaded.reloading()
    assert loaded.applied == [Settings()]
