"""``netrunner chat``: a conversation with a model through a running daemon, in a terminal or by lines.

It is sent and read as a client of the chosen dialect would, with what ``netrunner bench`` knows of dialects.

This module must not be imported by the daemon: it blocks.
"""

from __future__ import annotations

import dataclasses
import http.client
import os
import ssl
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import urlsplit

import msgspec

from netrunner.cli.bench.settings import BenchSettings, read
from netrunner.cli.bench.targets import headers, stream_fields, target_of
from netrunner.cli.options import Options
from netrunner.dialects.answers import merged
from netrunner.dialects.spoken import SPOKEN
from netrunner.errors import ConfigurationError, NetrunnerError, UpstreamError
from netrunner.events import Event, Finish, ReasoningDelta, StreamError, TextDelta, UsageSeen
from netrunner.values import Usage
from netrunner.web.said import told

MAX_BYTES = 1 << 24
"""Of one event of a stream, and of an answer that is none."""
_READ_BYTES = 65536
_FLAGS = ("base-url", "dialect", "model", "token", "timeout", "ca-file")
_STREAMS = ("text/event-stream", "application/x-ndjson")
_MOST_TOKENS = 4096
"""What is asked for where a dialect wants to be told."""


class Unanswered(NetrunnerError):
    """There is no answer; the message says why."""


@dataclass(slots=True)
class Reply:
    """An answer, as it was read."""

    text: str = ""
    reasoning: str = ""
    finish_reason: str | None = None
    usage: Usage | None = None


class Conversation:
    """What was said so far; each question is sent with all of it.

    Args:
        settings: Where to, how and to whom.

    Raises:
        ConfigurationError: naming the flag.
    """

    def __init__(self, settings: BenchSettings) -> None:
        self._settings = settings
        self._target = target_of(settings)
        self._fields = {name.decode(): value.decode() for name, value in headers(settings, self._target, True)}
        self._turns: list[tuple[str, str]] = []

    def ask(self, text: str, hear: Callable[[str], None]) -> Reply:
        """Ask, hand each piece of the answer to ``hear`` as it comes, and return all of it.

        A question that is not answered is forgotten.

        Raises:
            Unanswered: when it is refused, or the answer breaks off.
        """
        turns = [*self._turns, ("user", text)]
        body = msgspec.json.encode(self._question(turns))
        reply = Reply()
        try:
            for event in self._events(body):
                _take(event, reply, hear)
        except (OSError, http.client.HTTPException) as error:
            raise Unanswered(f"{self._settings.base_url}: {str(error) or type(error).__name__}") from error
        except UpstreamError as error:
            raise Unanswered(f"The answer cannot be read: {error}") from error
        self._turns = [*turns, ("assistant", reply.text)]
        return reply

    def forget(self) -> None:
        """Begin anew."""
        self._turns = []

    def _question(self, turns: list[tuple[str, str]]) -> dict[str, Any]:
        if self._target.dialect == "gemini":
            roles = {"assistant": "model"}
            return {"contents": [{"role": roles.get(who, who), "parts": [{"text": text}]} for who, text in turns]}
        said = [{"role": who, "content": text} for who, text in turns]
        key = "input" if self._target.dialect == "responses" else "messages"
        most = {"max_tokens": _MOST_TOKENS} if self._target.dialect == "anthropic" else {}
        return {"model": self._settings.model, **most, key: said, **stream_fields(self._target)}

    def _events(self, body: bytes) -> Iterator[Event]:
        connection = self._connection()
        try:
            prefix = urlsplit(self._settings.base_url).path.rstrip("/")
            connection.request("POST", prefix + self._target.path, body, self._fields)
            answer = connection.getresponse()
            if answer.status != 200:
                raise Unanswered(_refusal(answer.status, answer.read(MAX_BYTES)))
            spoken = SPOKEN[self._target.dialect or ""]
            streamed = (answer.getheader("content-type") or "").split(";")[0].strip().lower() in _STREAMS
            decoder = spoken.decoder(self._target.endpoint, streamed, MAX_BYTES)
            while piece := answer.read1(_READ_BYTES):
                yield from decoder.feed(piece, False)
            yield from decoder.feed(b"", True)
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        where, timeout_s = urlsplit(self._settings.base_url), self._settings.timeout_s
        host = where.hostname or ""
        if where.scheme == "http":
            return http.client.HTTPConnection(host, where.port, timeout=timeout_s)
        trusted = ssl.create_default_context(cafile=self._settings.ca_file)
        return http.client.HTTPSConnection(host, where.port, timeout=timeout_s, context=trusted)


def _take(event: Event, reply: Reply, hear: Callable[[str], None]) -> None:
    match event:
        case TextDelta():
            reply.text += event.text
            hear(event.text)
        case ReasoningDelta():
            reply.reasoning += event.text
        case Finish():
            reply.finish_reason = event.reason or event.kind.value
        case UsageSeen():
            reply.usage = merged(reply.usage, event.usage)
        case StreamError():
            raise Unanswered(event.message)


def _refusal(status: int, body: bytes) -> str:
    try:
        said = told(msgspec.json.decode(body))
    except (msgspec.DecodeError, UnicodeDecodeError):
        said = None
    return f"{status}: {said or 'without a word'}"


def _quietly(_: str) -> None:
    """Print nothing."""


def _aloud(text: str) -> None:
    print(text, end="", flush=True)


class ChatOptions(Options):
    """``netrunner chat``."""

    synopsis = "Usage: netrunner chat [FLAGS] [QUESTION]"
    longdesc = (
        "Asks QUESTION and prints the answer as it comes; without one, every line of standard input, in one"
        " conversation. /new begins another one, /quit or the end of input ends. Exits with 1 if a question was not"
        " answered."
    )
    optParameters: ClassVar[list[list[Any]]] = [
        ["base-url", "u", None, "Where the daemon is; http://127.0.0.1:8080."],
        ["dialect", "d", None, "What is spoken: openai, responses, anthropic, gemini or ollama."],
        ["model", "m", None, "Who is asked; echo."],
        ["token", "t", None, "The credential: itself, env:NAME or @FILE."],
        ["timeout", None, None, "Seconds for an answer to begin, and between two pieces of it; 60."],
        ["ca-file", None, None, "PEM file of the authorities to trust instead of the system's."],
    ]
    optFlags: ClassVar[list[list[str | None]]] = [["json", None, "Print each answer as a line of JSON, once whole."]]

    def parseArgs(self, *words: str) -> None:
        self.question = " ".join(words)

    def run(self) -> int:
        """Converse; return the exit status."""
        given = {flag: self[flag] for flag in _FLAGS if self[flag] is not None}
        if given.get("dialect") == "none":
            print("netrunner: dialect: nobody can be talked to without one", file=sys.stderr)
            return 2
        try:
            settings, warnings = read(given | {"stream": True}, None, os.devnull, os.environ)
            conversation = Conversation(settings)
        except ConfigurationError as error:
            print(error, file=sys.stderr)
            return 2
        for warning in warnings:
            print(f"warning: {warning}", file=sys.stderr)
        try:
            return max([self._ask(conversation, text) for text in self._questions(conversation)], default=0)
        except KeyboardInterrupt:
            print(file=sys.stderr)
            return 130

    def _questions(self, conversation: Conversation) -> Iterator[str]:
        if self.question:
            yield self.question
            return
        while (line := _line()) is not None and line.strip() != "/quit":
            if line.strip() == "/new":
                conversation.forget()
            elif line.strip():
                yield line.strip()

    def _ask(self, conversation: Conversation, text: str) -> int:
        try:
            reply = conversation.ask(text, _quietly if self["json"] else _aloud)
        except Unanswered as error:
            print(f"netrunner: {error}", file=sys.stderr)
            return 1
        print(msgspec.json.encode(dataclasses.asdict(reply)).decode() if self["json"] else "", flush=True)
        return 0


def _line() -> str | None:
    """Return the next line of standard input, asked for if somebody types there; None at its end."""
    try:
        return input("> " if sys.stdin.isatty() and sys.stdout.isatty() else "")
    except EOFError:
        return None
