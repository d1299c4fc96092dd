"""Reloading the configuration: all of it or nothing.

This module must not know what a configuration means, only what of it a running process cannot change.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, succeed

from netrunner.errors import ConfigurationError, Problem

_RESTART = "a restart takes it into use"
_UPGRADE = "`netrunner upgrade` takes it into use"
FIXED = {
    "listen": _RESTART,
    "admin.listen": _RESTART,
    "forward.listen": _RESTART,
    "workers": _UPGRADE,
    "state": _RESTART,
    "store": _UPGRADE,
}
"""What a process keeps from its start to its end, and what is to be done instead."""


class Reloading:
    """Reads the configuration again.

    Args:
        load: Reads it: settings, registry, warnings; raises ``ConfigurationError``.
        apply: Takes settings into use, or raises ``NetrunnerError`` and leaves everything as it was; may return a
            Deferred of that.
        settings: The settings in use.
    """

    def __init__(
        self, load: Callable[[], tuple[Any, Any, list[str]]], apply: Callable[[Any], object], settings: Any
    ) -> None:
        self._load = load
        self._apply = apply
        self._settings = settings

    def __call__(self) -> Deferred[list[str]]:
        """Take the configuration as it is now into use; return a Deferred of the warnings about it.

        Raises:
            NetrunnerError: when it is wrong or changes what is ``FIXED``; the old one then stays in use.
        """
        settings, _registry, warnings = self._load()
        changed = [name for name in FIXED if _value(settings, name) != _value(self._settings, name)]
        if changed:
            raise ConfigurationError(
                [Problem(name, f"cannot change while the process runs; {FIXED[name]}") for name in changed]
            )

        def applied(_: object) -> list[str]:
            self._settings = settings
            return warnings

        applying = self._apply(settings)
        return (applying if isinstance(applying, Deferred) else succeed(None)).addCallback(applied)


def _value(settings: Any, name: str) -> Any:
    """Return what a name with dots leads to; None if nothing is there. No ``listen`` at all is an empty one."""
    for part in name.split("."):
        settings = getattr(settings, part, None)
    return settings or None
