"""What the clients of all dialects have in common: each is an official SDK, asked in words of no dialect."""

from __future__ import annotations

import contextlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Self

from tests.integration.matrix.terms import PARAMETERS, Refused, Request, Result

PATIENCE_S = 60.0
"""Seconds before an SDK gives up; whoever waits longer has failed."""
KEY = "sk-caller"


class Client(ABC):
    """One SDK; a context manager.

    Args:
        port: Where its API is on 127.0.0.1.
        base: The path of the API there, where it is another one than at netrunner.
        key: What it shows there.
    """

    name: str
    """Of what it speaks."""
    errors: tuple[type[Exception], ...]
    """What the SDK raises, its transport's errors included."""
    chats = True
    """Whether it knows turns, tools and the rest; a completion is a text and its end."""
    signs = True
    """Whether it keeps a provider's signatures and sends them back."""
    parameters: ClassVar[Mapping[str, Any]] = PARAMETERS
    """What it tells of the tool's schema."""
    joins_calls = True
    """Whether it puts calls together that come in pieces."""
    counts_streams = True
    """Whether it can ask for the usage of a stream."""
    says_how_much = True
    """Whether it says how much to think, and not only that."""
    samples = True
    """Whether it can say a temperature."""

    def __init__(self, port: int, base: str | None = None, key: str = KEY) -> None:
        self.address = f"http://127.0.0.1:{port}{self.base if base is None else base}"
        self.key = key
        self._dropped = ""
        self._told: list[str] = []
        self.on_word: Callable[[], None] = lambda: None
        """Called when a piece of a streamed text arrives."""

    base: ClassVar[str] = ""
    """The path of the API at netrunner."""

    def __enter__(self) -> Self:
        return self

    @abstractmethod
    def __exit__(self, *_: object) -> None: ...

    def ask(self, model: str, request: Request) -> Result:
        """Ask, and return what is told.

        Raises:
            Refused: with what the SDK raised.
        """
        self._told = []
        with self._refusals():
            return self._streamed(model, request) if request.stream else self._whole(model, request)

    @abstractmethod
    def _whole(self, model: str, request: Request) -> Result: ...

    @abstractmethod
    def _streamed(self, model: str, request: Request) -> Result: ...

    @abstractmethod
    def _status(self, error: Any) -> int | None:
        """Return the status of the answer that an error of the SDK tells."""

    def _saw(self, response: Any) -> None:
        """See the head of an answer: a hook of httpx."""
        self._dropped = response.headers.get("netrunner-dropped", "")
        self._retry_after = response.headers.get("retry-after")

    def _hear(self, piece: str) -> None:
        """Hear a piece of a text that is streamed; an empty one is none."""
        if piece:
            self._told.append(piece)
            self.on_word()

    @property
    def dropped(self) -> tuple[str, ...]:
        """The fields that the latest answer says were dropped."""
        return tuple(filter(None, self._dropped.split(", ")))

    @contextlib.contextmanager
    def _refusals(self) -> Iterator[None]:
        self._retry_after = None
        try:
            yield
        except self.errors as error:
            told = "".join(self._told)
            raise Refused(self._status(error), str(error), self._retry_after, told) from error


def arguments(text: str) -> Any:
    """Return a call's arguments, which are JSON."""
    return json.loads(text)
