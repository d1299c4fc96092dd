"""Notices: that something of a topic has changed in the database, told to every process that uses it.

A notice is a topic and an id. Whoever follows a topic hears the notices of all processes, its own too, and ``None``
where some may have been missed: then anything of the topic may have changed.

This module must not know what a topic means, nor by which way notices come.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from netrunner.errors import NetrunnerError

Heard = Callable[[str | None], object]
"""Is told an id, or None: any of them."""


class Wire(Protocol):
    """One way by which notices come and go."""

    def start(self, heard: Callable[[str, str], object], missed: Callable[[], object]) -> None:
        """Connect, and again whenever the connection is lost.

        Args:
            heard: Called with the topic and the id of each notice.
            missed: Called whenever there is a connection again, before anything is heard by it.
        """

    def stop(self) -> Any:
        """Hang up; may return a Deferred that fires when that is done."""

    async def tell(self, topic: str, id: str) -> None:
        """Tell others; raises ``NetrunnerError`` when they cannot be told now."""


class Board:
    """Where notices are heard and told; without a wire nobody else is there."""

    log = Logger()

    def __init__(self) -> None:
        self._topics: dict[str, Heard] = {}
        self._wires: dict[str, Wire] = {}

    def follow(self, topic: str, heard: Heard) -> None:
        """Have ``heard`` called with what is told of a topic; one follows it."""
        self._topics[topic] = heard

    def use(self, wanted: Mapping[str, Callable[[], Wire]]) -> None:
        """Go by these wires from now on: those in use that are among them go on."""
        for name in self._wires.keys() - wanted.keys():
            self._stop(self._wires.pop(name))
        for name, make in wanted.items():
            if name not in self._wires:
                wire = self._wires[name] = make()
                wire.start(self._heard, self._missed)

    def stop(self) -> Deferred[Any]:
        """Hang up."""
        wires, self._wires = self._wires, {}
        return DeferredList([self._stop(wire) for wire in wires.values()])

    async def tell(self, topic: str, id: str) -> list[str]:
        """Tell all others that something has changed; return why some of them will hear of it late."""
        problems = []
        for wire in list(self._wires.values()):
            try:
                await wire.tell(topic, id)
            except NetrunnerError as error:
                problems.append(str(error))
        return problems

    def _heard(self, topic: str, id: str) -> None:
        heard = self._topics.get(topic)
        if heard is not None:
            heard(id)

    def _missed(self) -> None:
        for heard in list(self._topics.values()):
            heard(None)

    def _stop(self, wire: Wire) -> Deferred[Any]:
        return maybeDeferred(wire.stop).addErrback(self._not_stopped)

    def _not_stopped(self, failure: Failure) -> None:
        self.log.failure("a wire did not stop", failure)
