"""What reading any provider's answer takes."""

from __future__ import annotations

from typing import Any

import pytest

from netrunner.dialects import answers
from netrunner.errors import UpstreamError
from netrunner.events import Start, UsageSeen
from netrunner.values import Usage


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"a": "\xff"}', b'{"a":' * 100_000])
def test_what_is_no_document_cannot_be_read(data: bytes) -> None:
    with pytest.raises(UpstreamError) as raised:
        answers.document(data)
    assert raised.value.code == "upstream_invalid_response"


@pytest.mark.parametrize(
    ("read", "value"), [("text", 1), ("obj", []), ("objects", {}), ("objects", [1]), ("objects", "x")]
)
def test_a_field_of_another_type_cannot_be_read(read: str, value: Any) -> None:
    with pytest.raises(UpstreamError, match="has a f that is no"):
        getattr(answers, read)({"f": value}, "f")


def test_what_is_null_is_not_there() -> None:
    for holder in ({}, {"f": None}):
        assert (answers.text(holder, "f"), answers.obj(holder, "f"), answers.objects(holder, "f")) == (None, {}, [])


@pytest.mark.parametrize(("value", "count"), [(3, 3), (3.0, 3), (True, None), ("3", None), (-1, None), (1e300, None)])
def test_a_count_that_is_none_never_breaks_an_answer(value: Any, count: int | None) -> None:
    assert answers.count({"n": value}, "n") == count


def test_counts_are_taken_field_by_field() -> None:
    events = [
        UsageSeen(usage=Usage(input_total=5, output_total=1)),
        Start(),
        UsageSeen(usage=Usage(output_total=7, reasoning=2)),
    ]
    assert answers.last_usage(None, events) == Usage(input_total=5, output_total=7, reasoning=2)
    assert answers.last_usage(None, ()) is None


def test_the_errors_tell_what_is_wrong() -> None:
    assert answers.truncated().code == "upstream_truncated"
    assert answers.too_large().code == "answer_too_large"
