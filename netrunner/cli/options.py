"""What every command's options share: how help says what to type.

This module must not know any command.
"""

from __future__ import annotations

from twisted.python import usage


class Options(usage.Options):
    """Options whose ``synopsis`` is the whole line that is typed, or without one what its parent's leads on to."""

    def getSynopsis(self) -> str:
        """Return it; Twisted would put those of all parents before it."""
        own: str | None = getattr(self, "synopsis", None)
        if own is not None or self.parent is None:
            return own or super().getSynopsis()
        before = self.parent.getSynopsis().removesuffix(" COMMAND")
        words = [before, self.parent.subCommand, "[options]" if self.longOpt else "", getattr(self, "takes", "")]
        return " ".join(filter(None, words))
