"""A whole answer of the family in which nothing has to be repaired, told by its few fields that matter.

This module must not change an answer.
"""

from __future__ import annotations

import msgspec

from netrunner.dialects.openai.tap import Counts


class _Message(msgspec.Struct, gc=False):
    role: str
    tool_calls: None = None
    function_call: None = None


class _Choice(msgspec.Struct, gc=False):
    index: int
    message: _Message | None = None
    finish_reason: str | None = None


class Whole(msgspec.Struct, gc=False):
    """What matters of an answer that is as it should be; one that calls a tool, or
    tells no usage, is looked at more closely.
    """

    id: str
    object: str
    created: int
    model: str
    choices: list[_Choice]
    usage: Counts
    error: None = None
    x_groq: None = None

    @property
    def is_sound(self) -> bool:
        """Whether it says nothing that clients take for something else."""
        return (
            bool(self.choices)
            and self.object != "error"
            and all(
                choice.message is None or (choice.message.role and choice.finish_reason != "tool_calls")
                for choice in self.choices
            )
        )


_decode = msgspec.json.Decoder(Whole).decode


def sound(body: bytes) -> Whole | None:
    """Return what matters of ``body``; None if that is no answer, or one that has to be repaired."""
    try:
        if not body.isascii():
            body.decode()  # msgspec does not look into the strings of fields that it skips
        whole = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return whole if whole.is_sound else None
