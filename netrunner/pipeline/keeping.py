"""The recording of an exchange whose answer a filter remembers: it hears the answer as the caller gets it.

This module must not keep anything itself.
"""

from __future__ import annotations

from collections.abc import Callable

from netrunner.interfaces import IWatcher
from netrunner.journal.entry import RESPONSE
from netrunner.pipeline.recording import Recording, Redaction
from netrunner.values import Headers, Record


class Keeping(Recording):
    """What is recorded of an exchange, its answer shown to one more who hears it unredacted.

    Args:
        listener: Hears it.
        redaction, secret_header: As of ``Recording``.
    """

    __slots__ = ("_plain",)

    def __init__(
        self, listener: IWatcher, redaction: Redaction | None = None, secret_header: bytes | None = None
    ) -> None:
        super().__init__(redaction, secret_header)
        self._plain = Recording()
        self._plain.watch([listener])

    def answer(self, start: bytes, headers: Headers, from_elsewhere: bool = True) -> None:
        """The response begins; see ``Recording``."""
        super().answer(start, headers, from_elsewhere)
        self._plain.answer(start, headers, False)

    def piece(self, direction: int, data: bytes) -> None:
        """The next bytes of a body; see ``Recording``."""
        super().piece(direction, data)
        if direction == RESPONSE:
            self._plain.piece(direction, data)

    def end(self, record: Callable[[], Record]) -> None:
        """The exchange has ended; see ``Recording``."""
        super().end(record)
        self._plain.end(record)
