"""What ``echo`` answers to a request and its orders, piece by piece.

Everything here is pure. This module must not know how the pieces are delivered.
"""

from __future__ import annotations

import base64
import enum
import hashlib
import itertools
import json
import math
import re
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from netrunner import sse
from netrunner.providers.drawing import drawn
from netrunner.providers.orders import Mistake, Orders
from netrunner.values import Headers

MAX_CHOICES = 128
MAX_DIMENSIONS = 4096
DEFAULT_SIZE = "256x256"
MAX_SIDE = 1024
"""Pixels: an image that is to be larger becomes this large."""
_SIZE = re.compile("([0-9]{1,5})x([0-9]{1,5})")
THOUGHT = "<think>\nWhat was said, I shall say.\n</think>\n\n"


class Ending(enum.Enum):
    """How an answer ends that does not end well."""

    CUT = "cut"
    STALL = "stall"


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer: ``pieces`` of its body, ``delay_s`` apart, after ``wait_s``."""

    status: int
    headers: Headers
    streaming: bool
    pieces: Iterable[bytes | Ending]
    wait_s: float = 0.0
    delay_s: float = 0.0


def reply_to(
    method: bytes,
    endpoint: str,
    header: str,
    body: bytes,
    *,
    models: tuple[str, ...],
    delay_s: float,
    created: int,
    token: str,
) -> Reply:
    """Return the answer to one request.

    Args:
        method: HTTP method.
        endpoint: The path below ``/v1/``.
        header: Orders from the header ``x-echo``; empty when there is none.
        body: The request's.
        models: Names to list.
        delay_s: Seconds between pieces unless ordered otherwise.
        created: Unix time that the answer claims.
        token: Chance for its id.
    """
    try:
        if endpoint == "models" or endpoint.startswith("models/"):
            return _whole(_models(endpoint, models, created))
        if method != b"POST":
            raise Mistake(f"{endpoint} takes POST only.", status=405)
        if endpoint == "embeddings":
            return _whole(_embeddings(_document(body)))
        if endpoint == "images/generations":
            return _image(_document(body), header, created)
        if endpoint in ("chat/completions", "completions"):
            return _completion(endpoint, _document(body), header, delay_s, created, token)
        raise Mistake(f"echo has no endpoint {endpoint[:100]}.", status=404)
    except Mistake as mistake:
        return _whole(mistake.document, mistake.status)


def _whole(document: Mapping[str, Any], status: int = 200, headers: Headers | None = None) -> Reply:
    return Reply(status, headers or [], False, (sse.compact(document),))


def _document(body: bytes) -> dict[str, Any]:
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise Mistake("The body must be a JSON object.")
    if not isinstance(document.get("model"), str):
        raise Mistake("model must be a string.", "model")
    return document


# --- completions --------------------------------------------------------------------------------------------


def _completion(
    endpoint: str, document: dict[str, Any], header: str, delay_s: float, created: int, token: str
) -> Reply:
    chat = endpoint == "chat/completions"
    prompt = _last_user_text(document) if chat else _prompt(document)
    orders, text = _ordered(prompt, header)
    if orders.error is not None:
        return _refusal(orders)
    choices, options = document.get("n", 1), document.get("stream_options") or {}
    if type(choices) is not int or not 1 <= choices <= MAX_CHOICES:
        raise Mistake(f"n must be a number from 1 to {MAX_CHOICES}.", "n")
    answer = _Answer(
        {"id": f"{'chatcmpl' if chat else 'cmpl'}-{token}", "created": created, "model": document["model"]},
        chat=chat,
        choices=choices,
        orders=orders,
        words=_words(orders, text),
        tool=_tool(document) if chat and orders.tools else None,
        prompt_tokens=len(prompt.split()),
    )
    delay_s = delay_s if orders.delay is None else orders.delay
    if document.get("stream") is True:
        include_usage = isinstance(options, dict) and options.get("include_usage") is True
        return Reply(200, [], True, answer.stream(include_usage), orders.wait, delay_s)
    whole = sse.compact(answer.document())
    pieces: tuple[bytes | Ending, ...] = (whole,)
    if orders.cut is not None:
        pieces = (whole[: len(whole) // 2], Ending.CUT)
    elif orders.stall is not None:
        pieces = (whole[: len(whole) // 2], Ending.STALL)
    return Reply(200, [], False, pieces, orders.wait + delay_s * answer.count)


def _ordered(prompt: str, header: str) -> tuple[Orders, str]:
    """Return the orders of a header and of a prompt, and what the prompt says beside them."""
    orders = Orders()
    if header:
        orders.obey(header)
    return orders, orders.obey(prompt.removeprefix("/echo")) if prompt.startswith("/echo") else prompt


def _refusal(orders: Orders) -> Reply:
    headers: Headers = []
    if orders.retry_after is not None:
        headers.append((b"retry-after", f"{math.ceil(orders.retry_after)}".encode()))
    kind = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_exceeded"}.get(
        orders.error or 0, "server_error" if (orders.error or 0) >= 500 else "invalid_request_error"
    )
    error = {"message": "This error was ordered.", "type": kind, "param": None, "code": f"echo_{orders.error}"}
    return Reply(orders.error or 0, headers, False, (sse.compact({"error": error}),), orders.wait)


def _last_user_text(document: dict[str, Any]) -> str:
    messages = document.get("messages")
    if not isinstance(messages, list) or not messages:
        raise Mistake("messages must be a list with at least one message.", "messages")
    for message in reversed(messages):
        if not isinstance(message, dict):
            raise Mistake("every message must be an object.", "messages")
        if message.get("role") == "user":
            content = message.get("content")
            parts = content if isinstance(content, list) else [{"text": content}]
            texts = [part.get("text") for part in parts if isinstance(part, dict)]
            return "".join(text for text in texts if isinstance(text, str))
    return ""


def _prompt(document: dict[str, Any]) -> str:
    prompt = document.get("prompt")
    if isinstance(prompt, list) and prompt and isinstance(prompt[0], str):
        prompt = prompt[0]
    if isinstance(prompt, list):
        return " ".join(str(number) for number in prompt)
    if not isinstance(prompt, str):
        raise Mistake("prompt must be a string or a list.", "prompt")
    return prompt


def _words(orders: Orders, text: str) -> Iterable[str]:
    """Return the pieces of the text: words with the space before them."""
    words = [f" {word}" if number else word for number, word in enumerate((text or "Hello!").split(" "))]
    if orders.events is None:
        return words
    again = itertools.cycle([" " + words[0], *words[1:]])
    return [word for word, _ in zip(itertools.chain(words, again), range(orders.events), strict=False)]


def _tool(document: dict[str, Any]) -> str:
    tools = document.get("tools")
    if isinstance(tools, list) and tools and isinstance(tools[0], dict):
        function = tools[0].get("function")
        if isinstance(function, dict) and isinstance(function.get("name"), str):
            return str(function["name"])
    return "echo"


class _Answer:
    """One completion, to be told whole or as a stream."""

    def __init__(
        self,
        identity: dict[str, Any],
        *,
        chat: bool,
        choices: int,
        orders: Orders,
        words: Iterable[str],
        tool: str | None,
        prompt_tokens: int,
    ) -> None:
        self._identity = identity
        self._chat = chat
        self._choices = choices
        self._orders = orders
        self._tool = tool
        self._words = list(words)
        self._prompt_tokens = prompt_tokens
        self._thoughts = [f"{THOUGHT[:8]}", THOUGHT[8:]] if orders.think else []
        self._arguments = json.dumps({"text": "".join(self._words)}) if tool else ""
        self._call_id = f"call_{identity['id'][-24:]}"
        self.count = len(self._thoughts) + (3 if tool else len(self._words))
        """Pieces that one choice's stream has."""

    @property
    def _finish(self) -> str:
        return self._orders.finish or ("tool_calls" if self._tool else "stop")

    def _usage(self) -> dict[str, int]:
        output = self._choices * self.count
        return {
            "prompt_tokens": self._prompt_tokens,
            "completion_tokens": output,
            "total_tokens": self._prompt_tokens + output,
        }

    def document(self) -> dict[str, Any]:
        """Return the answer as one document."""
        text = "".join(self._thoughts + ([] if self._tool else self._words))
        function = {"name": self._tool, "arguments": self._arguments}
        choices: list[dict[str, Any]] = []
        for index in range(self._choices):
            choice: dict[str, Any] = {"index": index, "finish_reason": self._finish, "logprobs": None}
            if not self._chat:
                choice["text"] = text
            elif self._tool:
                call = {"id": self._call_id, "type": "function", "function": function}
                choice["message"] = {"role": "assistant", "content": text or None, "tool_calls": [call]}
            else:
                choice["message"] = {"role": "assistant", "content": text, "refusal": None}
            choices.append(choice)
        kind = "chat.completion" if self._chat else "text_completion"
        return {**self._identity, "object": kind, "choices": choices, "usage": self._usage()}

    def stream(self, include_usage: bool) -> Iterator[bytes | Ending]:
        """Return the answer as events, as the orders say it ends."""
        kind = "chat.completion.chunk" if self._chat else "text_completion"
        chunk: dict[str, Any] = {**self._identity, "object": kind}
        no_usage = {"usage": None} if include_usage else {}
        for number, (index, delta, finish) in enumerate(self._deltas()):
            ending = self._ending(number - (self._choices if self._chat else 0))
            if ending is not None:
                yield ending
                return
            choice = {"index": index, **delta, "logprobs": None, "finish_reason": finish}
            yield sse.event({**chunk, "choices": [choice], **no_usage})
        if include_usage:
            yield sse.event({**chunk, "choices": [], "usage": self._usage()})
        yield sse.DONE

    def _ending(self, told: int) -> bytes | Ending | None:
        """Return what comes instead of the piece after ``told`` pieces of text."""
        if told == self._orders.fail:
            error = {"message": "This error was ordered.", "type": "server_error", "param": None, "code": "echo_failed"}
            return sse.event({"error": error})
        if told == self._orders.cut:
            return Ending.CUT
        return Ending.STALL if told == self._orders.stall else None

    def _deltas(self) -> Iterator[tuple[int, dict[str, Any], str | None]]:
        """Yield choice, delta and finish reason of each chunk; the choices take turns."""
        turns = range(self._choices)
        if self._chat:
            for index in turns:
                yield index, {"delta": {"role": "assistant", "content": "", "refusal": None}}, None
        for text in self._thoughts + ([] if self._tool else self._words):
            for index in turns:
                yield index, {"delta": {"content": text}} if self._chat else {"text": text}, None
        if self._tool:
            for call in self._tool_calls(self._tool):
                for index in turns:
                    yield index, {"delta": {"tool_calls": [{"index": 0, **call}]}}, None
        for index in turns:
            yield index, {"delta": {}} if self._chat else {"text": ""}, self._finish

    def _tool_calls(self, name: str) -> list[dict[str, Any]]:
        """Return the fragments of a call: id, type and name once, then its arguments in two parts."""
        half = len(self._arguments) // 2
        return [
            {"id": self._call_id, "type": "function", "function": {"name": name, "arguments": ""}},
            {"function": {"arguments": self._arguments[:half]}},
            {"function": {"arguments": self._arguments[half:]}},
        ]


# --- embeddings, images and models ------------------------------------------------------------------------


def _embeddings(document: dict[str, Any]) -> dict[str, Any]:
    given = document.get("input")
    if isinstance(given, str) or (isinstance(given, list) and given and isinstance(given[0], int)):
        given = [given]
    if not isinstance(given, list) or not given:
        raise Mistake("input must be a string or a list.", "input")
    dimensions = document.get("dimensions", 8)
    if type(dimensions) is not int or not 1 <= dimensions <= MAX_DIMENSIONS:
        raise Mistake(f"dimensions must be a number from 1 to {MAX_DIMENSIONS}.", "dimensions")
    encoding = document.get("encoding_format", "float")
    if encoding not in ("float", "base64"):
        raise Mistake("encoding_format must be float or base64.", "encoding_format")
    data = []
    for index, one in enumerate(given):
        vector: Any = _vector(one, dimensions)
        if encoding == "base64":
            vector = base64.b64encode(struct.pack(f"<{dimensions}f", *vector)).decode()
        data.append({"object": "embedding", "index": index, "embedding": vector})
    tokens = sum(len(one.split()) if isinstance(one, str) else len(one) for one in given if isinstance(one, str | list))
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": document["model"], "usage": usage}


def _vector(text: Any, dimensions: int) -> list[float]:
    """Return a vector of length one that depends on nothing but ``text``, in numbers that a float32 holds."""
    digest = hashlib.shake_128(msgspec.json.encode(text)).digest(2 * dimensions)
    numbers = [number / 32768 + 1 / 65536 for number in struct.unpack(f"<{dimensions}h", digest)]
    length = math.sqrt(sum(number * number for number in numbers))
    rounded: tuple[float, ...] = struct.unpack(
        f"<{dimensions}f", struct.pack(f"<{dimensions}f", *(number / length for number in numbers))
    )
    return list(rounded)


def _image(document: dict[str, Any], header: str, created: int) -> Reply:
    prompt, size = document.get("prompt"), document.get("size") or DEFAULT_SIZE
    if not isinstance(prompt, str) or not prompt:
        raise Mistake("prompt must be a string that is not empty.", "prompt")
    sides = _SIZE.fullmatch(size) if isinstance(size, str) else None
    if sides is None:
        raise Mistake("size must be a width and a height such as 256x256.", "size")
    orders, text = _ordered(prompt, header)
    if orders.error is not None:
        return _refusal(orders)
    image = drawn(text, *(min(max(int(side), 1), MAX_SIDE) for side in sides.groups()))
    data = [{"b64_json": base64.b64encode(image).decode()}]
    tokens = len(prompt.split())
    usage = {"input_tokens": tokens, "output_tokens": 0, "total_tokens": tokens}
    answer = {"created": created, "data": data, "output_format": "png", "usage": usage}
    return Reply(200, [], False, (sse.compact(answer),), orders.wait)


def _models(endpoint: str, models: tuple[str, ...], created: int) -> dict[str, Any]:
    entries = [{"id": name, "object": "model", "created": created, "owned_by": "echo"} for name in models]
    if endpoint == "models":
        return {"object": "list", "data": entries}
    wanted = endpoint.removeprefix("models/")
    for entry in entries:
        if entry["id"] == wanted:
            return entry
    raise Mistake(f"echo lists no model {wanted[:100]}.", "model", 404)
