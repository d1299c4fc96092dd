"""``netrunner secrets``: what is sealed by which master key, and sealing it anew after a rotation.

A daemon may run meanwhile: every key that opens something stays at hand until nothing is sealed by it any more.

This module must not show a secret.
"""

from __future__ import annotations

import sys
from typing import Any, ClassVar

import msgspec
from twisted.python import usage

from netrunner.cli.database import CONFIG, Place
from netrunner.cli.options import Options
from netrunner.errors import ConfigurationError, StoreError
from netrunner.store import secrets
from netrunner.store.master import renew


class _Seal(Options):
    """``netrunner secrets seal``."""

    synopsis = "Usage: netrunner secrets seal"
    longdesc = "Seals provider keys that were put into the database as they are; what is sealed stays as it is."

    def run(self, place: Place) -> int:
        """Seal them, a batch at a time."""
        keyring, done = place.keyring(), 0
        while count := place.database.write(secrets.seal_plain, keyring):
            done += count
        return done


class _Rotate(Options):
    """``netrunner secrets rotate``."""

    synopsis = "Usage: netrunner secrets rotate"
    longdesc = (
        "Seals everything by the master key secrets.key that is still sealed by one of secrets.previous. Without"
        " secrets.key a new key is put before those of the state folder's secret.key first, if nothing else is left to"
        " do. May be interrupted and begun again at any time."
    )

    def run(self, place: Place) -> int:
        """Make a new key if that is ours to do, then seal by it, a batch at a time."""
        if place.settings.secrets.key is None:
            current = place.keyring().current.id
            if set(place.database.read(secrets.status)) <= {current}:
                renew(place.state)
        keyring, done = place.keyring(), 0
        while count := place.database.write(secrets.reseal, keyring):
            done += count
        return done


class _Status(Options):
    """``netrunner secrets status``."""

    synopsis = "Usage: netrunner secrets status"
    longdesc = "Counts what each master key has sealed, and opens all of it."

    def run(self, place: Place) -> int:
        """Do nothing to it."""
        return 0


class SecretsOptions(Options):
    """``netrunner secrets``."""

    synopsis = "Usage: netrunner secrets [--config FILE] [--json] seal | rotate | status"
    longdesc = "Looks after the sealed secrets of the database."
    optParameters: ClassVar[list[list[Any]]] = [CONFIG]
    optFlags: ClassVar[list[list[str | None]]] = [["json", None, "Answer as JSON."]]
    subCommands: ClassVar[list[tuple[str, None, type[usage.Options], str]]] = [
        ("seal", None, _Seal, "Seal what lies there as it is."),
        ("rotate", None, _Rotate, "Seal everything by the newest master key."),
        ("status", None, _Status, "Count and check what is sealed."),
    ]

    def postOptions(self) -> None:
        if self.subCommand is None:
            raise usage.UsageError("say what to do: seal, rotate or status")

    def run(self) -> int:
        """Do it, and say how things are then; return 1 if anything cannot be opened."""
        try:
            with Place(self["config"]) as place:
                done = self.subOptions.run(place)
                keyring = place.keyring()
                counts = place.database.read(secrets.status)
                wrong = place.database.read(secrets.check, keyring)
        except (ConfigurationError, StoreError) as error:
            print(error, file=sys.stderr)
            return 1
        plain = counts.pop(None, 0)
        sealed = {str(id): count for id, count in counts.items()}
        told = {"changed": done, "current_key": keyring.current.id, "sealed": sealed, "plain": plain, "problems": wrong}
        if self["json"]:
            print(msgspec.json.encode(told).decode())
        else:
            _show(told)
        return 1 if wrong else 0


def _show(told: dict[str, Any]) -> None:
    print(f"changed: {told['changed']}")
    for id, count in told["sealed"].items():
        print(f"sealed by {id}{' (current)' if id == told['current_key'] else ''}: {count}")
    print(f"not sealed: {told['plain']}")
    for problem in told["problems"]:
        print(f"problem: {problem}")
