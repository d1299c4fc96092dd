"""Embeddings in base64 for those who asked for it, whatever the provider made of that."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import pytest

from netrunner.dialects.openai.dialect import OpenAIDialect
from netrunner.dialects.openai.vectors import VectorRepair, wants_base64
from netrunner.errors import UpstreamError
from netrunner.values import Envelope, Usage

VECTOR = [0.5, -1.25, 3]
PACKED = base64.b64encode(struct.pack("<3f", *VECTOR)).decode()


def repaired(document: Any) -> Any:
    body = json.dumps(document).encode()
    one = VectorRepair(1 << 16)
    assert one.feed(body[:5], False) == b""
    out = one.feed(body[5:], True)
    assert one.complete
    return json.loads(out)


def test_numbers_are_packed_and_everything_else_stays() -> None:
    rows = [{"object": "embedding", "index": 0, "embedding": VECTOR, "more": 1}, {"index": 1, "embedding": PACKED}]
    made = repaired({"object": "list", "data": rows, "model": "e"})
    assert made == {"object": "list", "data": [{**rows[0], "embedding": PACKED}, rows[1]], "model": "e"}


def test_an_answer_in_base64_goes_on_as_its_own_bytes() -> None:
    body = json.dumps({"data": [{"embedding": PACKED}]}, indent=1).encode()
    assert VectorRepair(1 << 16).feed(body, True) == body


def test_counts_are_known() -> None:
    one = VectorRepair(1 << 16)
    one.feed(b'{"data":[],"usage":{"prompt_tokens":3,"total_tokens":3}}', True)
    assert one.tap.usage == Usage(input_total=3)


def test_an_error_instead_of_vectors_is_one() -> None:
    one = VectorRepair(1 << 16)
    body = b'{"error":{"message":"no room","code":"overloaded"}}'
    assert one.feed(body, True) == body
    assert one.error is not None
    assert (one.error.kind, one.error.message, one.tap.error) == ("overloaded", "no room", "overloaded")


@pytest.mark.parametrize(
    "document",
    [
        [],
        7,
        {"data": 7},
        {"data": [7]},
        {"data": [{"index": 0}]},
        {"data": [{"embedding": ["x"]}]},
        {"data": [{"embedding": [1e300]}]},
    ],
)
def test_what_cannot_be_read_is_an_error(document: Any) -> None:
    with pytest.raises(UpstreamError) as error:
        VectorRepair(1 << 16).feed(json.dumps(document).encode(), True)
    assert error.value.code == "upstream_invalid_response"


def test_answers_are_bounded() -> None:
    with pytest.raises(UpstreamError) as error:
        VectorRepair(9).feed(b"x" * 10, False)
    assert error.value.code == "answer_too_large"


@pytest.mark.parametrize(
    ("body", "wants"),
    [
        (b'{"encoding_format": "base64"}', True),
        (b'{"encoding_format": "float", "input": "base64"}', False),
        (b'{"input": "x"}', False),
        (b'{"encoding_format": "base64"', False),
        (b'{"encoding_format": ["base64"]}', False),
    ],
)
def test_only_answers_to_those_who_want_base64_are_repaired(body: bytes, wants: bool) -> None:
    dialect = OpenAIDialect()
    assert wants_base64(body) is wants
    assert dialect.repairs("embeddings", Envelope(body, b"", "m", False, False)) is wants
    assert not dialect.repairs("embeddings", None)
    assert isinstance(dialect.repair("embeddings", False, "x", "m", 7, True, 99), VectorRepair)
