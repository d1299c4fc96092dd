"""The ``model`` part of a multipart/form-data body (RFC 7578): read, proven unique, and where it stands.

Forms are written by a handful of libraries in one plain way, and readers differ wildly in what else they take.
So whatever two readers may read differently is refused here instead of being forwarded.

This module must not look into any part but ``model`` and ``stream``.
"""

from __future__ import annotations

import re

from netrunner.dialects.splice import Routed
from netrunner.errors import BadRequest

MAX_PARTS = 1000
MAX_PART_HEADER_BYTES = 8192

_BOUNDARY = re.compile(rb';[ \t]*boundary=(?:"([^"\\]{1,70})"|([0-9A-Za-z\'()+_,\-./:=?]{1,70}))[ \t]*(?:;|$)', re.I)
_BOUNDARY_NAME = re.compile(rb";[ \t]*boundary[ \t]*\*?[0-9]*\*?=", re.I)
_DISPOSITION = re.compile(
    rb'form-data((?:[ \t]*;[ \t]*(?:filename\*|[a-z]++)=(?:"(?:[^"\\]|\\.)*+"|[^\s";]++))*+)[ \t]*', re.I
)
_PARAMETER = re.compile(rb';[ \t]*(filename\*|[a-z]++)=(?:"((?:[^"\\]|\\.)*+)"|([^\s";]++))', re.I)
_PLAIN_CODINGS = frozenset({b"7bit", b"8bit", b"binary"})


def read(content_type: bytes, body: bytes) -> Routed:
    """Return what routing needs of a form; ``start`` and ``end`` enclose the model's bare value.

    Raises:
        BadRequest: ``invalid_multipart`` for a form that readers could disagree on, ``duplicate_key`` for a
            second ``model`` or ``stream`` part, ``invalid_value`` for a model that is empty or not UTF-8.
    """
    model = stream = None
    start = end = 0
    for at, until, name in _parts(content_type, body):
        if name == b"model":
            if model is not None:
                raise BadRequest("model is given more than once.", code="duplicate_key", param="model")
            model, start, end = _model(body[at:until]), at, until
        elif name == b"stream":
            if stream is not None:
                raise BadRequest("stream is given more than once.", code="duplicate_key", param="stream")
            stream = body[at:until].strip().lower() in (b"true", b"1")
    return Routed(model, bool(stream), False, start, end)


def replaced(body: bytes, start: int, end: int, model: str) -> bytes:
    """Return ``body`` with the bare value from ``start`` to ``end`` replaced by ``model``.

    Raises:
        BadRequest: if the name has control characters, which could end the part.
    """
    if not model.isprintable():
        raise BadRequest("The model's name cannot be written into a form.", code="invalid_value", param="model")
    return body[:start] + model.encode() + body[end:]


def _model(value: bytes) -> str:
    try:
        model = value.decode()
    except UnicodeDecodeError as error:
        raise BadRequest("model is not valid UTF-8.", code="invalid_value", param="model") from error
    if not model.strip():
        raise BadRequest("model must not be empty.", code="invalid_value", param="model")
    return model


def _invalid(message: str) -> BadRequest:
    return BadRequest(f"The form is not valid: {message}.", code="invalid_multipart")


def _boundary(content_type: bytes) -> bytes:
    """Return the boundary with its leading dashes (RFC 2046, 5.1.1)."""
    found = _BOUNDARY.search(content_type)
    if found is None or len(_BOUNDARY_NAME.findall(content_type)) != 1:
        raise _invalid("its content type must name one boundary")
    return b"--" + (found[1] or found[2])


def _parts(content_type: bytes, body: bytes) -> list[tuple[int, int, bytes]]:
    """Return start, end and name of every part's content."""
    delimiter = _boundary(content_type)
    if body.count(delimiter) > MAX_PARTS:
        raise _invalid(f"more than {MAX_PARTS} parts")
    if not body.startswith(delimiter):
        raise _invalid("it must begin with its boundary")
    parts = []
    at, seen = len(delimiter), 1
    while not body.startswith(b"--", at):
        if not body.startswith(b"\r\n", at):
            raise _invalid("a boundary is not alone on its line")
        head_end = body.find(b"\r\n\r\n", at, at + MAX_PART_HEADER_BYTES)
        if head_end < 0:
            raise _invalid(f"a part's header does not end within {MAX_PART_HEADER_BYTES} bytes")
        until = body.find(b"\r\n" + delimiter, head_end + 2)
        if until < 0:
            raise _invalid("it breaks off")
        content = head_end + 4
        if until < content:
            raise _invalid("a part's header is not closed by an empty line")
        parts.append((content, until, _name(body[at + 2 : head_end])))
        at, seen = until + 2 + len(delimiter), seen + 1
    if body.count(delimiter) != seen or body[at + 2 :].strip(b"\r\n"):
        raise _invalid("its boundary occurs where none may be")
    return parts


def _name(head: bytes) -> bytes:
    """Return the name of the part with the header ``head``."""
    fields: dict[bytes, bytes] = {}
    for line in head.split(b"\r\n"):
        field, colon, value = line.partition(b":")
        field = field.lower()
        if not colon or field in fields or b"\n" in line or b"\r" in line or b"\0" in line or field != field.strip():
            raise _invalid("a part's header is malformed")
        fields[field] = value.strip(b" \t")
    disposition = _DISPOSITION.fullmatch(fields.get(b"content-disposition", b""))
    if disposition is None:
        raise _invalid("a part has no plain Content-Disposition")
    parameters = [(key.lower(), quoted or bare) for key, quoted, bare in _PARAMETER.findall(disposition[1])]
    names = [value for key, value in parameters if key == b"name"]
    if len(names) != 1:
        raise _invalid("a part must have one name")
    name: bytes = names[0]
    if b"\\" in name and name.replace(b"\\", b"") in (b"model", b"stream"):
        raise _invalid("a part's name is escaped needlessly")
    if name.lower() == b"model" and fields.get(b"content-transfer-encoding", b"8bit").lower() not in _PLAIN_CODINGS:
        raise _invalid("its model part is encoded")
    return name
