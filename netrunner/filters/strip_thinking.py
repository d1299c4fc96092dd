"""The filter ``strip_thinking``: takes ``<think>...</think>`` and its kin out of the text of every choice.

Tags may be cut anywhere, there may be several blocks, and every other character stays as it is. A block ends with
the first tag that closes its kind; if others of that kind began inside of it, their ends are taken out too. A block
that never ends is cut to the end of the answer: to leave it alone, all of it would have to be held back.

This module must not know how a dialect writes text.
"""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from zope.interface import implementer

from netrunner.events import BlockClose, BlockKind, BlockOpen, Event, ReasoningDelta, Signature
from netrunner.filters.texts import TextPhase
from netrunner.interfaces import IEnvironment, IEventPhase
from netrunner.offers import FilterFactory
from netrunner.settings import setting

FORMS = {
    "think": ("<think>", "</think>"),
    "thinking": ("<thinking>", "</thinking>"),
    "reasoning": ("<reasoning>", "</reasoning>"),
    "[think]": ("[think]", "[/think]"),
}
"""What opens and closes a block, by the name that settings give it."""
_THOUGHT = (BlockKind.REASONING, BlockKind.REDACTED)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StripThinkingSettings:
    """Settings of the filter ``strip_thinking``."""

    tags: tuple[Literal["think", "thinking", "reasoning", "[think]"], ...] = setting(
        ("think",), doc="Blocks that are taken out: `think` stands for `<think>...</think>`."
    )
    leading_bytes: int = setting(
        0,
        doc="Most bytes at the beginning of a text that are held back to see whether a closing tag without an opening "
        "one follows; then everything up to it is taken out. 0 leaves such text alone.",
        minimum=0,
        maximum=1 << 20,
    )
    reasoning: Literal["keep", "drop"] = setting(
        "keep", doc="What becomes of reasoning that a provider tells apart from its text."
    )


class Tags:
    """What opens and closes blocks.

    Args:
        names: Of ``FORMS``.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.closing = dict(map(FORMS.__getitem__, names))
        """What closes a block, by what opens it."""
        self.all = (*self.closing, *self.closing.values())
        self.pattern = re.compile("|".join(map(re.escape, self.all)))
        self.marks = "".join(sorted({tag[0] for tag in self.all}))
        """The characters that tags begin with, and hold nowhere else."""
        self.held = max(map(len, self.all)) - 1
        """The most that may have to be held back: a tag less its last character."""


class Stripper:
    """Takes the blocks out of one text, piece by piece.

    Args:
        tags: What blocks are made of.
        leading_bytes: How much of the beginning may be held back, see the settings.
    """

    __slots__ = ("_closing", "_held", "_lead", "_leading_bytes", "_owed", "_tags")

    def __init__(self, tags: Tags, leading_bytes: int = 0) -> None:
        self._tags = tags
        self._held = ""
        """The end of what came, as long as it may be the beginning of a tag."""
        self._closing: str | None = None
        """What closes the block that has begun."""
        self._owed: Counter[str] = Counter()
        """Ends of blocks that began inside of one of their kind."""
        self._leading_bytes = leading_bytes
        self._lead: str | None = "" if leading_bytes else None
        """The beginning, until it is known whether it is thinking."""

    def feed(self, text: str) -> str:
        """Return what is left of ``text``."""
        if self._lead is not None:
            self._lead += text
            if (decided := self._decided(self._lead)) is None:
                return ""
            text, self._lead = decided, None
        if self._held:
            text, self._held = self._held + text, ""
        if not any(mark in text for mark in self._tags.marks):
            return text if self._closing is None else ""
        left: list[str] = []
        begin = 0
        for found in self._tags.pattern.finditer(text):
            if self._closing is None:
                left.append(text[begin : found.start()])
            left.append(self._passed(found[0]))
            begin = found.end()
        end = max(begin, *(text.rfind(mark) for mark in self._tags.marks))
        if any(tag.startswith(text[end:]) for tag in self._tags.all):
            self._held = text[end:]
        else:
            end = len(text)
        if self._closing is None:
            left.append(text[begin:end])
        return "".join(left)

    def close(self) -> str:
        """Return what is left when nothing follows."""
        lead, self._lead = self._lead, None
        left = self.feed(lead) if lead else ""
        held, self._held = self._held, ""
        return left + held if self._closing is None else left

    def _decided(self, lead: str) -> str | None:
        """Return what is left of the beginning; None while that cannot be told."""
        found = self._tags.pattern.search(lead)
        if found is not None:
            leads = found[0] not in self._tags.closing and _size(lead[: found.end()]) <= self._leading_bytes
            return lead[found.end() :] if leads else lead
        return lead if _size(lead) > self._leading_bytes else None

    def _passed(self, tag: str) -> str:
        """Take note of a tag; return what is left of it, which is all of one that closes nothing."""
        opens = self._tags.closing.get(tag)
        if self._closing is not None:
            self._owed[self._closing] += opens == self._closing
            if tag == self._closing:
                self._closing = None
        elif opens is not None:
            self._closing = opens
        elif self._owed[tag]:
            self._owed[tag] -= 1
        else:
            return tag
        return ""


def _size(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


@implementer(IEventPhase)
class StripThinking(TextPhase):
    """Strips every text block for itself."""

    def __init__(self, settings: StripThinkingSettings, environment: IEnvironment) -> None:
        self.settings = settings
        self._tags = Tags(settings.tags or ("think",))
        self._drops = settings.reasoning == "drop"
        self.hold_back_bytes = max(self._tags.held, settings.leading_bytes)

    def reader(self) -> Stripper:
        """Return what strips the next text block."""
        return Stripper(self._tags, self.settings.leading_bytes)

    def on_event(self, exchange: Any, event: Event) -> Event | Sequence[Event] | None:
        """Drop reasoning if settings say so; see ``TextPhase`` for everything else."""
        if self._drops and self._is_thought(exchange, event):
            return None
        return super().on_event(exchange, event)

    def _is_thought(self, exchange: Any, event: Event) -> bool:
        """Return whether an event belongs to a block of reasoning."""
        if isinstance(event, ReasoningDelta):
            return True
        blocks = exchange.notes.setdefault((self, "thoughts"), set())
        if isinstance(event, BlockOpen) and event.kind in _THOUGHT:
            blocks.add((event.choice, event.index))
        return isinstance(event, BlockOpen | BlockClose | Signature) and (event.choice, event.index) in blocks


plugin = FilterFactory(
    name="strip_thinking",
    build=StripThinking,
    settings=StripThinkingSettings,
    doc="Takes <think> blocks out of answers.",
)
