"""What an Ollama request asks for, in terms of no dialect.

This module must not know what any other dialect has no place for.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable
from typing import Any

import msgspec

from netrunner.dialects.conversation import (
    Conversation,
    Embedding,
    Format,
    Media,
    Part,
    Reasoning,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    Turn,
)
from netrunner.dialects.fields import Fields, document, invalid
from netrunner.dialects.gaps import Gaps
from netrunner.dialects.media import BEGIN_BYTES, mime_of

ROLES = ("system", "user", "assistant", "tool")
EFFORTS = ("low", "medium", "high", "max")
OPTIONS = {
    "max_tokens": "num_predict",
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "stop": "stop",
    "seed": "seed",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
}
"""What Ollama's ``options`` are called elsewhere; every other option is for Ollama alone."""

_ZERO = re.compile(r"[+-]?(?:0+(?:\.0*)?(?:ns|us|\u00b5s|ms|s|m|h)?)+")


def chat(body: bytes, gaps: Gaps) -> Conversation:
    """Return what ``/api/chat`` is asked; without messages there is nothing but a model to be loaded.

    Raises:
        BadRequest: naming the field.
    """
    native = document(body)
    fields = Fields(native, "", gaps)
    if fields.items("messages") is None:
        raise invalid("messages", "a list")
    conversation = Conversation(native=native)
    history = _History()
    for message in fields.objects("messages"):
        history.add(message)
    conversation.instructions, conversation.turns = history.instructions, tuple(history.turns)
    conversation.tools = tuple(_tool(one) for one in fields.objects("tools"))
    _common(fields, conversation)
    return conversation


def generate(body: bytes, gaps: Gaps) -> Conversation:
    """Return what ``/api/generate`` is asked; an empty prompt asks for nothing but a model to be loaded.

    Raises:
        BadRequest: naming the field; ``UnsupportedParameter`` for what only Ollama can do.
    """
    native = document(body)
    fields = Fields(native, "", gaps)
    prompt = fields.text("prompt")
    if prompt is None:
        raise invalid("prompt", "a string")
    conversation = Conversation(native=native)
    system, images = fields.text("system"), _images(fields)
    if fields.boolean("raw"):
        raise gaps.unsupported("raw", "prompts are given to models as a chat")
    for field in ("suffix", "template", "context"):
        if fields.value(field):
            raise gaps.unsupported(field)
    for field in ("width", "height", "steps"):
        fields.refuse(field, "images are not made here")
    _common(fields, conversation)
    if prompt:
        conversation.instructions = (system,) if system else ()
        conversation.turns = (Turn("user", (Text(prompt), *images)),)
    return conversation


def embed(body: bytes, gaps: Gaps) -> Embedding:
    """Return what ``/api/embed`` is asked."""
    fields = Fields(document(body), "", gaps)
    if "input" not in fields:
        raise invalid("input", "a string or a list of strings")
    single = isinstance(fields.value("input"), str)
    embedding = Embedding(inputs=fields.texts("input"), single=single, dimensions=fields.integer("dimensions", 1))
    return _embedding(fields, embedding)


def embeddings(body: bytes, gaps: Gaps) -> Embedding:
    """Return what ``/api/embeddings``, the older way, is asked: one prompt, one vector."""
    fields = Fields(document(body), "", gaps)
    prompt = fields.text("prompt")
    if prompt is None:
        raise invalid("prompt", "a string")
    return _embedding(fields, Embedding(inputs=(prompt,), single=True))


def unloads(native: Any) -> bool:
    """Return whether a request without a prompt asks for a model to be let go instead of loaded."""
    keep = native.get("keep_alive")
    return _ZERO.fullmatch(keep) is not None if isinstance(keep, str) else keep is not None and keep == 0


READERS: dict[str, Callable[[bytes, Gaps], Conversation | Embedding]] = {
    "chat": chat,
    "generate": generate,
    "embed": embed,
    "embeddings": embeddings,
}
"""By endpoint."""


# --- what both ways of asking share -------------------------------------------------------------------------


def _common(fields: Fields, conversation: Conversation) -> None:
    fields.text("model")
    fields.boolean("stream")
    conversation.format = _format(fields)
    conversation.thinking = _thinking(fields)
    if fields.boolean("logprobs"):
        raise fields.gaps.unsupported("logprobs")
    _options(fields, conversation)
    fields.drop("keep_alive", "truncate", "shift", "top_logprobs")
    fields.drop_rest()


def _embedding(fields: Fields, embedding: Embedding) -> Embedding:
    fields.text("model")
    options = fields.inner("options")
    if options is not None:
        options.drop_rest()
    fields.drop("keep_alive", "truncate")
    fields.drop_rest()
    return embedding


def _options(fields: Fields, conversation: Conversation) -> None:
    for field, option in OPTIONS.items():
        fields.gaps.called(field, f"options.{option}")
    fields.gaps.called("thinking", "think")
    options = fields.inner("options")
    if options is None:
        return
    # -1 and -2 are no bound, 0 is none either; a top_k of 0 and a negative seed are what is done without them.
    conversation.max_tokens = _positive(options.integer("num_predict"))
    conversation.top_k = _positive(options.integer("top_k"))
    seed = options.integer("seed")
    conversation.seed = None if seed is None or seed < 0 else seed
    conversation.temperature = options.number("temperature", 0)
    conversation.top_p = options.number("top_p", 0, 1)
    conversation.presence_penalty = options.number("presence_penalty")
    conversation.frequency_penalty = options.number("frequency_penalty")
    conversation.stop = options.texts("stop")
    options.drop_rest()


def _positive(number: int | None) -> int | None:
    return number if number is not None and number > 0 else None


def _format(fields: Fields) -> Format | None:
    found = fields.value("format")
    if isinstance(found, dict):
        return Format("json_schema", found)
    if found not in (None, "", "json"):
        raise invalid("format", 'empty, "json" or a JSON schema')
    return Format("json_object") if found else None


def _thinking(fields: Fields) -> Thinking | None:
    found = fields.value("think")
    if found is None:
        return None
    if isinstance(found, bool):
        return Thinking(enabled=found, shown=found)
    if found not in EFFORTS:
        raise invalid("think", f"true, false or one of {', '.join(EFFORTS)}")
    return Thinking(enabled=True, effort=found, shown=True)


def _tool(fields: Fields) -> Tool:
    fields.word("type", "function")
    function = fields.inner("function")
    if function is None:
        raise invalid(fields.name("function"), "an object")
    tool = Tool(
        function.needed_text("name"),
        function.text("description"),
        function.mapping("parameters"),
        function.boolean("strict"),
    )
    function.drop_rest()
    fields.drop_rest()
    return tool


def _images(fields: Fields) -> list[Media]:
    """Return what is in ``images``; sounds are given there as well."""
    found = []
    for position, data in enumerate(fields.items("images") or ()):
        name = fields.name(f"images[{position}]")
        if not isinstance(data, str) or not data:
            raise invalid(name, "base64")
        try:
            begin = binascii.a2b_base64(data.encode("ascii"), strict_mode=True)[:BEGIN_BYTES]
        except (binascii.Error, UnicodeEncodeError) as error:
            raise invalid(name, "base64") from error
        mime = mime_of(begin)
        found.append(Media(kind="audio" if mime and mime.startswith("audio/") else "image", mime=mime, data=data))
    return found


# --- messages -----------------------------------------------------------------------------------------------


class _History:
    """Makes turns of messages.

    Calls have no ids for many clients, and results name the tool at most: a call without id is called by its place,
    and a result belongs to the call that it names, by id or tool, or else to the first that has none.
    """

    def __init__(self) -> None:
        self.instructions: tuple[str, ...] = ()
        self.turns: list[Turn] = []
        self._count = 0
        self._waiting: list[ToolCall] = []
        """Calls without a result."""
        self._in_results = False

    def add(self, message: Fields) -> None:
        """Take the next message."""
        role = message.word("role", *ROLES)
        if role is None:
            raise invalid(message.name("role"), f"one of {', '.join(ROLES)}")
        if role == "tool":
            self._result(message)
        elif role == "system" and not self.turns:
            self.instructions += (message.text("content") or "",)
        elif role == "assistant":
            self._assistant(message)
        else:
            parts: list[Part] = [*_text(message), *_images(message)]
            self.turns.append(Turn("user" if role == "user" else "system", tuple(parts) or (Text(""),)))
        self._in_results = role == "tool"
        self._count += 1
        message.drop_rest()

    def _assistant(self, message: Fields) -> None:
        parts: list[Part] = []
        thinking = message.text("thinking")
        if thinking:
            parts.append(Reasoning(thinking))
        parts += _text(message)
        parts += _images(message)
        calls = [
            self._call(one, f"call_{self._count}_{number}") for number, one in enumerate(message.objects("tool_calls"))
        ]
        self._waiting += calls
        if parts or calls:
            # Some providers stumble over a turn that says nothing.
            self.turns.append(Turn("assistant", (*parts, *calls)))

    def _call(self, fields: Fields, id: str) -> ToolCall:
        fields.word("type", "function")
        function = fields.inner("function")
        if function is None:
            raise invalid(fields.name("function"), "an object")
        function.value("index")
        arguments = function.mapping("arguments") or {}
        call = ToolCall(fields.text("id") or id, function.needed_text("name"), msgspec.json.encode(arguments).decode())
        function.drop_rest()
        fields.drop_rest()
        return call

    def _result(self, message: Fields) -> None:
        id = message.text("tool_call_id")
        name = message.text("tool_name") or message.text("name")
        call = next((one for one in self._waiting if (one.id == id if id else name in (None, one.name))), None)
        if call is not None:
            self._waiting.remove(call)
            id, name = call.id, call.name
        elif not id:
            raise invalid(message.path.removesuffix("."), "the result of a call before it")
        result = ToolResult(id, (*_text(message), *_images(message)), name)
        if self._in_results:
            result_turn = self.turns[-1]
            self.turns[-1] = Turn("user", (*result_turn.parts, result))
        else:
            self.turns.append(Turn("user", (result,)))


def _text(message: Fields) -> list[Text]:
    text = message.text("content")
    return [Text(text)] if text else []
