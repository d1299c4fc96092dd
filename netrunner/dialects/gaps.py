"""What gets lost between two dialects, told by the caller's own names.

What would change the meaning is refused; what is merely lost is dropped and named, in the header ``netrunner-dropped``
and in the record. A strict provider refuses both.

This module must not know any dialect.
"""

from __future__ import annotations

from netrunner.errors import UnsupportedParameter

MAX_NAMES = 32
"""Most names that are told: a caller may invent any number of fields."""
MAX_NAME_CHARACTERS = 64


class Gaps:
    """What one request loses.

    Args:
        strict: Whether whatever is lost is refused.
        target: Who it is lost to, for messages.
    """

    __slots__ = ("_called", "assumed", "dropped", "strict", "target")

    def __init__(self, strict: bool = False, target: str = "this provider") -> None:
        self.strict = strict
        self.target = target
        self.dropped: list[str] = []
        """The caller's names, each once."""
        self.assumed: set[str] = set()
        """Fields that had to be filled in, because the caller gave none: its provider may know better."""
        self._called: dict[str, str] = {}

    def called(self, field: str, name: str) -> None:
        """Note that the caller calls ``field``, a field of ``Conversation`` or ``Embedding``, by another name."""
        self._called[field] = name

    def name(self, field: str) -> str:
        """Return the caller's name of ``field``; its own where none was noted."""
        return self._called.get(field, field)

    def drop(self, field: str) -> None:
        """Give up what has no place in the other dialect.

        Raises:
            UnsupportedParameter: if this is strict.
        """
        if self.strict:
            raise self.unsupported(field)
        name = _told(self.name(field))
        if name not in self.dropped and len(self.dropped) < MAX_NAMES:
            self.dropped.append(name)

    def unsupported(self, field: str, why: str = "") -> UnsupportedParameter:
        """Return the error to be raised for what must not be given up; ``why`` is a clause of a few words."""
        name = _told(self.name(field))
        return UnsupportedParameter(f"{name}: not supported by {self.target}{why and f' ({why})'}.", param=name)

    def fork(self, strict: bool, target: str) -> Gaps:
        """Return what the next attempt begins with: the same losses and names, another provider.

        Raises:
            UnsupportedParameter: if that is strict, and something was lost already.
        """
        forked = Gaps(strict, target)
        forked._called = self._called
        for name in self.dropped:
            forked.drop(name)
        return forked


def _told(name: str) -> str:
    """Return a name that can stand in a header."""
    return "".join(one if one.isascii() and one.isprintable() and one != "," else "?" for one in name)[
        :MAX_NAME_CHARACTERS
    ]
