"""What is said in a cell of the matrix, in words of no dialect.

A client asks and is told, an upstream was asked and answers.
"""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

MODEL = "the-model"
"""The name that every upstream calls its model."""

SYSTEM = "Answer in one sentence."
QUESTION = "What is the weather in Oslo?"
EARLIER = ("Are you there?", "I am.")
"""A turn of each side before the question."""
WORDS = ("It ", "is ", "fine \u2028", "in Oslö ", "today ", "☀.")
"""The pieces in which an upstream tells its text; splitters of lines and of bytes stumble over them."""
TEXT = "".join(WORDS)
THOUGHTS = ("The user ", "wants ", "the weather.")
SEAL = base64.b64encode(b"\xfb\xef\xffsealed by the provider").decode()
"""The signature of an upstream that signs what it thought; the two alphabets of base64 differ in it."""
MAX_TOKENS = 4000
TEMPERATURE = 0.5
INPUT_TOKENS, OUTPUT_TOKENS = 11, 7
RETRY_AFTER_S = 7

TOOL = "get_weather"
DESCRIPTION = "Tells the weather of a city."
PARAMETERS: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city"],
    "additionalProperties": False,
}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"sky": {"type": "string", "enum": ["clear", "grey"]}},
    "required": ["sky"],
    "additionalProperties": False,
}
OBJECT = ('{"sky":', ' "clear"}')
"""The pieces of an answer in the form of ``SCHEMA``."""
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


class ToolCall(NamedTuple):
    """A call of a tool; the id is empty where a dialect has none."""

    id: str
    name: str
    arguments: Mapping[str, Any]


OSLO = ToolCall("call_Oslo00001", TOOL, {"city": "Oslo", "days": 2})
BERGEN = ToolCall("call_Bergen001", TOOL, {"city": "Bergen ☔"})
RESULTS = {"Oslo": "4 °C, clear", "Bergen ☔": "6 °C, rain"}
"""What the tool says of a city."""

Trouble = Literal["refuses", "fails", "drops", "ends"]
"""What an upstream does wrong: it answers with a status, tells an error inside its answer, drops the connection in the
middle of it, or ends it as if it were complete."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reply:
    """What an upstream is to answer; with ``seal`` where its dialect signs what a model thought."""

    thoughts: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    calls: tuple[ToolCall, ...] = ()
    trouble: Trouble | None = None
    waits: bool = False
    """Whether the second half of a stream waits until the client has a word of the first, as it does with trouble."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Part:
    """A part of what an upstream was told."""

    role: Literal["user", "assistant"]
    text: str = ""
    image: bytes = b""
    thought: str = ""
    seal: str = ""
    call: ToolCall | None = None
    result_of: ToolCall | None = None
    """The call whose result ``text`` is: found by its id, or by its name and place where the dialect has no ids."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Asked:
    """What an upstream was asked."""

    stream: bool
    system: str
    parts: tuple[Part, ...]
    tools: Mapping[str, tuple[str, Mapping[str, Any]]] = dataclasses.field(default_factory=dict)
    """Description and schema, by name."""
    schema: Mapping[str, Any] | None = None
    thinking: bool = False
    max_tokens: int | None = None
    temperature: float | None = None

    def said(self) -> list[tuple[str, str]]:
        """Return the texts with the role of whoever said them."""
        return [(part.role, part.text) for part in self.parts if part.text and part.result_of is None]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """What a client was told."""

    text: str
    thoughts: str = ""
    calls: tuple[ToolCall, ...] = ()
    finish: Literal["stop", "tool_calls", "other"]
    tokens: tuple[int, int]
    """Of input and output."""
    pieces: int = 1
    """In how many pieces the text came."""
    dropped: tuple[str, ...] = ()
    """The fields that ``netrunner-dropped`` names."""
    message: Any = None
    """What the SDK's user sends back as the assistant's turn."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
    """What a client asks."""

    stream: bool = False
    system: bool = False
    earlier: bool = False
    """Whether a turn of each side comes before the question."""
    tools: bool = False
    image: bool = False
    schema: bool = False
    thinking: bool = False
    max_tokens: int = MAX_TOKENS
    temperature: float | None = TEMPERATURE
    """None leaves it to the model."""
    answered: Result | None = None
    """The answer to the question; its calls get their results, and one without calls is asked another question."""


class Refused(Exception):
    """An SDK raised; ``status`` is None for what broke inside an answer.

    Args:
        status: Of the answer.
        message: What is said about it.
        retry_after: The field's value.
        told: The text that came before.
    """

    def __init__(self, status: int | None, message: str, retry_after: str | None = None, told: str = "") -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message
        self.retry_after = retry_after
        self.told = told
