"""The model's name inside a JSON request: read, proven unique, and replaced without touching another byte.

A provider may take the first or the last of two equal keys, and some match keys without regard to case. So a
body is forwarded only if the keys that routing relies on stand there once, in any spelling. Nothing here
recurses, and every pass over the body runs at C speed: 16 MiB of the worst input take about 0.3 s.

This module must not know what the other fields mean.
"""

from __future__ import annotations

import re

import msgspec
from msgspec import UNSET, UnsetType

from netrunner.errors import BadRequest

_GROUPS = 16
_MOST_SPELLINGS = _GROUPS**3
"""So many keys spelled like a routed one a body may hold, at any depth."""


class _Options(msgspec.Struct):
    include_usage: bool | None = None


class _Fields(msgspec.Struct):
    model: str | UnsetType = UNSET
    stream: bool | UnsetType | None = UNSET
    stream_options: _Options | None = None


class Routed(msgspec.Struct, frozen=True):
    """What routing reads of a JSON body."""

    model: str | None
    stream: bool
    wants_usage: bool
    start: int = 0
    """Offset of the model's value, its opening quote included; meaningless without a model."""
    end: int = 0
    """Offset after its closing quote."""


_fields = msgspec.json.Decoder(_Fields)
_VALUE = re.compile(rb'[ \t\r\n]*+:[ \t\r\n]*+("(?:[^"\\]++|\\.)*+")', re.DOTALL)
_COLON = re.compile(rb"[ \t\r\n]*+:[ \t\r\n]*+")
_raws = msgspec.json.Decoder(dict[str, msgspec.Raw])
_PATH = re.compile(r"`\$\.(\w+)")


def read(body: bytes, streams: bool = False, nameless: bool = False) -> Routed:
    """Return what routing needs of the JSON object ``body``.

    Args:
        body: As it came.
        streams: Whether a body that does not say asks for a stream.
        nameless: Whether an empty name stands for none.

    Raises:
        BadRequest: ``invalid_json`` if it is not a JSON object in UTF-8 (RFC 8259) or nested beyond the
            interpreter's recursion limit; ``duplicate_key`` if ``model`` or ``stream`` stands there twice;
            ``invalid_value`` naming the field if one is of the wrong type or empty.
    """
    try:
        return _read(body, streams, nameless)
    except msgspec.ValidationError as error:
        found = _PATH.search(str(error))
        if found is None:
            raise BadRequest("The body must be a JSON object.", code="invalid_json") from error
        message = f"{found[1]}: {str(error).split(' - at')[0]}."
        raise BadRequest(message, code="invalid_value", param=found[1]) from error
    except UnicodeDecodeError as error:
        raise BadRequest("The body is not valid UTF-8.", code="invalid_json") from error
    except RecursionError as error:
        raise BadRequest("The body is nested too deeply.", code="invalid_json") from error
    except msgspec.DecodeError as error:
        raise BadRequest(f"The body is not valid JSON: {error}.", code="invalid_json") from error


def _read(body: bytes, streams: bool, nameless: bool) -> Routed:
    if not body.isascii():
        # msgspec does not look into the strings of fields that it skips.
        body.decode()
    fields = _fields.decode(body)
    model, stream = fields.model, fields.stream
    wants_usage = fields.stream_options is not None and fields.stream_options.include_usage is True
    lowered = body.lower()
    escaped = b"\\u0" in body and _ESCAPED_LETTER.search(body) is not None
    if stream is not UNSET:
        _find(body, lowered, escaped, "stream")
    asked = streams if stream is UNSET or stream is None else stream
    if model is UNSET:
        return Routed(None, asked, wants_usage)
    if not model.strip() and not nameless:
        raise BadRequest("model must not be empty.", code="invalid_value", param="model")
    value = _VALUE.match(body, _find(body, lowered, escaped, "model"))
    assert value is not None  # the decoder has just read it
    return Routed(model, asked, wants_usage, value.start(1), value.end(1))


def replaced(body: bytes, start: int, end: int, model: str) -> bytes:
    """Return ``body`` with the bytes from ``start`` to ``end`` replaced by ``model`` as a JSON string."""
    return body[:start] + msgspec.json.encode(model) + body[end:]


def place(body: bytes, key: str) -> tuple[int, int] | None:
    """Return where the value of a top-level ``key``, one of those known here, begins and ends; None without one.

    Args:
        body: What ``read`` has read.
        key: In lower case; a key of another spelling counts as this one.

    Raises:
        BadRequest: ``duplicate_key`` if the key stands there twice.
    """
    found = next((raw for name, raw in _raws.decode(body).items() if _folded(name) == key), None)
    if found is None:
        return None
    escaped = b"\\u0" in body and _ESCAPED_LETTER.search(body) is not None
    colon = _COLON.match(body, _find(body, body.lower(), escaped, key))
    assert colon is not None  # the decoder has just read it
    return colon.end(), colon.end() + len(bytes(found))


def _folded(name: str) -> str:
    return name.lower().replace("\u017f", "s")


# --- where a key stands -------------------------------------------------------------------------------------

_ESCAPED_LETTER = re.compile(rb"\\u0(?:0[4-7]|17)")
"""How a letter of a routed key can be hidden; U+017F folds to s."""


def _spellings(key: str) -> re.Pattern[bytes]:
    """Match ``key`` as a JSON key in either case, each letter written plainly or as an escape."""
    letters = []
    for letter in key:
        plain, points = f"[{letter}{letter.upper()}]", [ord(letter), ord(letter.upper())]
        if letter == "s":  # U+017F, LATIN SMALL LETTER LONG S, is an s to whoever folds case
            plain, points = f"{plain}|\u017f", [*points, 0x17F]
        escapes = "|".join("".join(f"[{x}{x.upper()}]" for x in f"{point:04x}") for point in points)
        letters.append(f"(?:{plain}|\\\\u(?:{escapes}))")
    return re.compile(f'"{"".join(letters)}"(?=[ \\t\\r\\n]*+:)'.encode())


_KEYS = {key: (f'"{key}"'.encode(), _spellings(key)) for key in ("model", "stream", "stream_options")}

_names = [f"netrunner_{number}" for number in range(_GROUPS)]
_marks = msgspec.json.Decoder(msgspec.defstruct("_Marks", [(name, msgspec.Raw | UnsetType, UNSET) for name in _names]))


def _find(body: bytes, lowered: bytes, escaped: bool, key: str) -> int:
    """Return where the top-level ``key`` of a valid document ends, closing quote included.

    Args:
        body: A JSON object that has this key.
        lowered: The same in lower case.
        escaped: Whether any letter may be written as an escape.
    """
    plain, spellings = _KEYS[key]
    if not escaped and lowered.count(plain) == 1 and (key == "model" or b"\xc5\xbf" not in body):
        # The only place where the key can be: every other spelling needs an escape.
        return lowered.find(plain) + len(plain)
    spans = []
    for found in spellings.finditer(body):
        spans.append(found.span())
        if len(spans) > _MOST_SPELLINGS:
            raise BadRequest(f"{key}: more than {_MOST_SPELLINGS} keys of this name.", code="duplicate_key", param=key)
    return _top_level(body, spans, key)


def _top_level(body: bytes, spans: list[tuple[int, int]], key: str) -> int:
    """Return the end of the one span that is a key of the outermost object.

    The JSON decoder itself tells which: spans are renamed in groups, and the groups whose new name turns up in
    the outermost object hold such a key. Three rounds tell among ``_MOST_SPELLINGS``.
    """
    while len(spans) > 1:
        size = -(-len(spans) // _GROUPS)
        groups = [spans[at : at + size] for at in range(0, len(spans), size)]
        pieces: list[bytes] = []
        done = 0
        for name, group in zip(_names, groups, strict=False):
            for start, end in group:
                pieces += (body[done:start], b'"', name.encode(), b'"')
                done = end
        marks = _marks.decode(b"".join(pieces) + body[done:])
        present = [group for name, group in zip(_names, groups, strict=False) if getattr(marks, name) is not UNSET]
        if len(present) != 1:
            raise BadRequest(f"{key} is given more than once.", code="duplicate_key", param=key)
        spans = present[0]
    return spans[0][1]
