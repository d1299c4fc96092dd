"""What dialects need of a conversation's turns that take fewer shapes than it may have.

This module must not know any dialect.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from netrunner.dialects.conversation import Part, Refusal, Text, ToolCall, ToolResult, Turn
from netrunner.dialects.gaps import Gaps

BETWEEN = "\n\n"
"""Stands between texts that become one."""
ERROR = "Error: "
"""Stands before the result of a tool that failed, where there is no other place for that."""


def merged(turns: Iterable[Turn], gaps: Gaps) -> list[Turn]:
    """Return the turns with consecutive ones of one role joined; names of speakers are given up."""
    found: list[Turn] = []
    for turn in turns:
        if turn.name is not None:
            gaps.drop("name")
        if found and found[-1].role == turn.role:
            found[-1] = msgspec.structs.replace(found[-1], parts=found[-1].parts + turn.parts)
        else:
            found.append(turn)
    return found


def without_prefill(turns: list[Turn], gaps: Gaps) -> list[Turn]:
    """Return the turns without a last one that only begins the answer."""
    if turns and turns[-1].role == "assistant" and not any(isinstance(part, ToolCall) for part in turns[-1].parts):
        gaps.drop("prefill")
        return turns[:-1]
    return turns


def words(parts: Iterable[Part]) -> str:
    """Return the texts among ``parts``, joined."""
    return BETWEEN.join([part.text for part in parts if isinstance(part, (Text, Refusal)) and part.text])


def result_text(result: ToolResult, gaps: Gaps) -> str:
    """Return what a tool said.

    Raises:
        UnsupportedParameter: if it is not all text.
    """
    for part in result.content:
        if not isinstance(part, Text):
            raise gaps.unsupported(part.kind, "results of tools are text")
    return words(result.content)
