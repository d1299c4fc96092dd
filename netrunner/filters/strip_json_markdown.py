"""The filter ``strip_json_markdown``: takes the fence off a text that is one fenced block of JSON.

Models that were asked for JSON like to write three backticks and ``json`` before it and three after it, or ``[json]``
and ``[json]``. What stands between them is left; a text that begins in any other way stays as it is, and so does a
fence in the middle of one.

This module must not know how a dialect writes text.
"""

from __future__ import annotations

import dataclasses

from zope.interface import implementer

from netrunner.filters.texts import TextPhase
from netrunner.interfaces import IEnvironment, IEventPhase
from netrunner.offers import FilterFactory

FENCES = {"```json": "```", "```JSON": "```", "[json]": "[json]", "[JSON]": "[JSON]"}
"""What ends a block, by what begins it."""
MAX_SPACE = 64
"""Most characters that are held back: white space before the fence, and the fence with what is around it behind."""
_SPACE = " \t\r\n"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StripJsonMarkdownSettings:
    """Settings of the filter ``strip_json_markdown``: none."""


class Unfencer:
    """Takes the fence off one text, piece by piece."""

    __slots__ = ("_begun", "_fence", "_held", "_inner")

    def __init__(self) -> None:
        self._begun = False
        """It is known whether the text begins with a fence."""
        self._fence: str | None = None
        """What ends the block."""
        self._inner = False
        """Something of the block has come, and not only white space."""
        self._held = ""

    def feed(self, text: str) -> str:
        """Return what is left of ``text``, as far as that can be told."""
        text, self._held = self._held + text, ""
        if not self._begun:
            start = text.lstrip(_SPACE)
            if len(text) - len(start) <= MAX_SPACE:
                found = next((fence for fence in FENCES if start.startswith(fence)), None)
                if found is not None:
                    text, self._fence = start[len(found) :], FENCES[found]
                elif any(fence.startswith(start) for fence in FENCES):
                    self._held = text
                    return ""
            self._begun = True
        return text if self._fence is None else self._inside(text, self._fence)

    def close(self) -> str:
        """Return what is left when nothing follows."""
        held, self._held = self._held, ""
        if self._fence is None:
            return held
        return held.rstrip(_SPACE).removesuffix(self._fence).rstrip(_SPACE)

    def _inside(self, text: str, fence: str) -> str:
        """Return text of the block up to what may be its end: the fence or a part of it, white space around it."""
        if not self._inner:
            text = text.lstrip(_SPACE)
            self._inner = bool(text)
        rest = text.rstrip(_SPACE)
        part = next((size for size in range(len(fence), 0, -1) if rest.endswith(fence[:size])), 0)
        rest = rest[: len(rest) - part].rstrip(_SPACE)
        if len(text) - len(rest) > MAX_SPACE:
            return text
        self._held = text[len(rest) :]
        return rest


@implementer(IEventPhase)
class StripJsonMarkdown(TextPhase):
    """Takes the fence off every text block for itself."""

    hold_back_bytes = MAX_SPACE + max(map(len, FENCES))

    def __init__(self, settings: StripJsonMarkdownSettings, environment: IEnvironment) -> None:
        self.settings = settings

    def reader(self) -> Unfencer:
        """Return what reads the next text block."""
        return Unfencer()


plugin = FilterFactory(
    name="strip_json_markdown",
    build=StripJsonMarkdown,
    settings=StripJsonMarkdownSettings,
    doc="Takes the fence off answers that are one fenced block of JSON.",
)
