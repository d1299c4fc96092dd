"""A caller's document read field by field: what is malformed is refused by its full name, what nobody read is told.

This module must not know any dialect.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from netrunner.dialects.gaps import Gaps
from netrunner.errors import BadRequest

_decode = msgspec.json.decode


def document(body: bytes) -> dict[str, Any]:
    """Return a request's body decoded.

    Raises:
        BadRequest: ``invalid_json`` if it is no JSON object.
    """
    try:
        found = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest("The body is not valid JSON.", code="invalid_json") from error
    if not isinstance(found, dict):
        raise BadRequest("The body has to be a JSON object.", code="invalid_json")
    return found


def invalid(name: str, expected: str) -> BadRequest:
    """Return the error for a field that is not what it has to be."""
    return BadRequest(f"{name}: must be {expected}.", code="invalid_value", param=name)


class Fields:
    """One object of a caller's document; null counts as absent.

    Args:
        found: The object.
        path: Its full name with a dot behind it; empty for the document itself.
        gaps: Hears of what is given up.
    """

    __slots__ = ("_found", "_read", "gaps", "path")

    def __init__(self, found: dict[str, Any], path: str, gaps: Gaps) -> None:
        self._found = found
        self._read: set[str] = set()
        self.path = path
        self.gaps = gaps

    def name(self, field: str) -> str:
        """Return the full name of a field."""
        return self.path + field

    def __contains__(self, field: str) -> bool:
        return self._found.get(field) is not None

    def value(self, field: str) -> Any:
        """Return a field whatever it is; None when it is absent."""
        self._read.add(field)
        return self._found.get(field)

    def text(self, field: str) -> str | None:
        """Return a text. Here as below: None when absent; raises ``BadRequest`` for anything else."""
        found: str | None = self._typed(field, str, "a string")
        return found

    def needed_text(self, field: str) -> str:
        """Return a text that has to be there and not empty."""
        text = self.text(field)
        if not text:
            raise invalid(self.name(field), "a non-empty string")
        return text

    def word(self, field: str, *words: str) -> str | None:
        """Return a text that is one of ``words``."""
        text = self.text(field)
        if text is not None and text not in words:
            raise invalid(self.name(field), f"one of {', '.join(words)}")
        return text

    def boolean(self, field: str) -> bool | None:
        """Return true or false."""
        found: bool | None = self._typed(field, bool, "true or false")
        return found

    def integer(self, field: str, minimum: int | None = None, maximum: int | None = None) -> int | None:
        """Return a whole number; one such as 5.0 is."""
        number = self.number(field, minimum, maximum)
        if number is not None and number != int(number):
            raise invalid(self.name(field), "an integer")
        return None if number is None else int(number)

    def number(self, field: str, minimum: float | None = None, maximum: float | None = None) -> float | None:
        """Return a number within bounds, both allowed themselves."""
        number = self.value(field)
        if number is None:
            return None
        if isinstance(number, bool) or not isinstance(number, (int, float)) or not math.isfinite(number):
            raise invalid(self.name(field), "a number")
        if (minimum is not None and number < minimum) or (maximum is not None and number > maximum):
            bounds = f"at least {minimum}" if maximum is None else f"between {minimum} and {maximum}"
            raise invalid(self.name(field), bounds)
        return number

    def inner(self, field: str) -> Fields | None:
        """Return an object."""
        found = self._typed(field, dict, "an object")
        return None if found is None else Fields(found, f"{self.name(field)}.", self.gaps)

    def mapping(self, field: str) -> dict[str, Any] | None:
        """Return an object as it is: a schema, arguments."""
        found: dict[str, Any] | None = self._typed(field, dict, "an object")
        return found

    def items(self, field: str) -> list[Any] | None:
        """Return a list."""
        found: list[Any] | None = self._typed(field, list, "a list")
        return found

    def objects(self, field: str) -> Iterator[Fields]:
        """Yield the objects of a list; none when it is absent."""
        for position, one in enumerate(self.items(field) or ()):
            name = f"{self.name(field)}[{position}]"
            if not isinstance(one, dict):
                raise invalid(name, "an object")
            yield Fields(one, f"{name}.", self.gaps)

    def parts(self, field: str, types: Sequence[str]) -> Iterator[tuple[Fields, str]]:
        """Yield the parts of a content with their types, which are among ``types``; what nobody reads is given up."""
        if not isinstance(self.value(field), list):
            raise invalid(self.name(field), "a string or a list of parts")
        for part in self.objects(field):
            kind = part.word("type", *types)
            if kind is None:
                raise invalid(part.name("type"), f"one of {', '.join(types)}")
            yield part, kind
            part.drop_rest()

    def texts(self, field: str) -> tuple[str, ...]:
        """Return a list of texts, or one text; empty when it is absent."""
        found = self.value(field)
        if found is None:
            return ()
        if isinstance(found, str):
            return (found,)
        if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
            raise invalid(self.name(field), "a string or a list of strings")
        return tuple(found)

    def drop(self, *fields: str) -> None:
        """Give up fields that are there and have no place in another dialect."""
        for field in fields:
            if self.value(field) is not None:
                self.gaps.drop(self.name(field))

    def refuse(self, field: str, why: str = "") -> None:
        """Refuse the request if a field is there: without it the answer would mean something else."""
        if self.value(field) is not None:
            raise self.gaps.unsupported(self.name(field), why)

    def drop_rest(self) -> None:
        """Give up everything nobody has read: fields unknown here."""
        for field, value in self._found.items():
            if field not in self._read and value is not None:
                self.gaps.drop(self.name(field))

    def _typed(self, field: str, kind: type, expected: str) -> Any:
        found = self.value(field)
        if found is not None and not isinstance(found, kind):
            raise invalid(self.name(field), expected)
        return found


def arguments(text: str, name: str) -> str:
    """Return a call's arguments as the JSON of an object; none at all are an empty one.

    Raises:
        BadRequest: naming the field ``name``, for anything else.
    """
    if not text.strip():
        return "{}"
    try:
        found = _decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise invalid(name, "JSON of an object") from error
    if not isinstance(found, dict):
        raise invalid(name, "JSON of an object")
    return text


def data_url(mime: str, data: str) -> str:
    """Return base64 as a URL (RFC 2397)."""
    return f"data:{mime};base64,{data}"


def of_data_url(url: str) -> tuple[str, str] | None:
    """Return the media type and base64 of a ``data:`` URL; None for any other."""
    head, comma, data = url.partition(",")
    if not comma or head[:5].lower() != "data:" or not head.lower().endswith(";base64"):
        return None
    return head[5:-7].partition(";")[0].lower() or "application/octet-stream", data
