"""How many tokens a conversation takes, about."""

from __future__ import annotations

import base64

import pytest

from netrunner.dialects.conversation import (
    Conversation,
    Embedding,
    Format,
    Media,
    Part,
    Reasoning,
    Refusal,
    Text,
    Tool,
    ToolCall,
    ToolResult,
    Turn,
)
from netrunner.dialects.estimate import DOCUMENT, IMAGE, OTHER_MEDIA, TOOL, TURN, estimate, made_by, of_length
from netrunner.events import Event, KeepAlive, ReasoningDelta, TextDelta, ToolArgs


def tokens(*parts: Part) -> int:
    """Return the tokens of a turn's parts, without those of the turn."""
    return estimate(Conversation(turns=(Turn("user", parts),))) - TURN


def test_nothing_takes_a_token_all_the_same() -> None:
    assert estimate(Conversation()) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a" * 400, 100), ("é" * 400, 100), ("—" * 40, 10), ("я" * 100, 40), ("語" * 30, 20), ("aя語" * 60, 15 + 24 + 40)],
)
def test_a_script_has_its_own_measure(text: str, expected: int) -> None:
    assert tokens(Text(text)) == expected


def test_every_part_counts() -> None:
    assert tokens(Refusal("a" * 8)) == 2
    assert tokens(Reasoning("a" * 8)) == 2
    assert tokens(Reasoning("", "seal" * 100, redacted=True)) == 0
    assert tokens(ToolCall("id", "f" * 4, '{"a":12}')) == TURN + 3
    assert tokens(ToolResult("id", (Text("a" * 8), Media(kind="image", url="u")))) == TURN + 2 + IMAGE


def test_media_count_for_their_kind_and_documents_of_text_for_their_text() -> None:
    assert tokens(Media(kind="image", data="AA==")) == IMAGE
    assert tokens(Media(kind="document", mime="application/pdf", data="AA==")) == DOCUMENT
    assert tokens(Media(kind="audio", data="AA==")) == OTHER_MEDIA
    data = base64.b64encode(b"a" * 300).decode()
    assert tokens(Media(kind="document", mime="text/plain", data=data)) == 75


def test_instructions_tools_and_schemas_count() -> None:
    assert estimate(Conversation(instructions=("a" * 8,))) == 2 + TURN
    schema = {"type": "object"}
    assert estimate(Conversation(tools=(Tool("f" * 4, "d" * 4, schema), Tool("g" * 4)))) == 2 * TOOL + 3 + 5
    assert estimate(Conversation(format=Format("json_schema", schema))) == 5


def test_texts_to_be_embedded_count_alone() -> None:
    assert estimate(Embedding(inputs=("a" * 8, "b" * 4))) == 3


@pytest.mark.parametrize(
    ("event", "made"),
    [
        (TextDelta(text="a" * 8), 2),
        (ReasoningDelta(text="a" * 4), 1),
        (ToolArgs(fragment="a" * 4), 1),
        (KeepAlive(), 0),
    ],
)
def test_pieces_of_an_answer_count_by_their_texts(event: Event, made: float) -> None:
    assert made_by(event) == made


def test_a_request_counts_by_its_length_unless_there_is_more_than_text_in_it() -> None:
    assert of_length(b"a" * 9) == 3
    assert of_length(b'{"url": "data:image/png;base64,AAAA"}') is None
