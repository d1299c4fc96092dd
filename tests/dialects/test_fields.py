"""A caller's document, field by field."""

from __future__ import annotations

from typing import Any

import pytest

from netrunner.dialects.fields import Fields, arguments, data_url, document, of_data_url
from netrunner.dialects.gaps import Gaps
from netrunner.errors import BadRequest, UnsupportedParameter


def fields(**found: Any) -> Fields:
    return Fields(found, "", Gaps())


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b'{"a": "\xff"}', b"[" * 100_000])
def test_a_body_that_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest) as raised:
        document(body)
    assert raised.value.code == "invalid_json"


@pytest.mark.parametrize(
    ("read", "value", "expected"),
    [
        ("text", 1, "a string"),
        ("needed_text", "", "a non-empty string"),
        ("needed_text", None, "a non-empty string"),
        ("boolean", 1, "true or false"),
        ("integer", 1.5, "an integer"),
        ("integer", True, "a number"),
        ("number", "1", "a number"),
        ("inner", [], "an object"),
        ("mapping", "{}", "an object"),
        ("items", {}, "a list"),
        ("texts", [1], "a string or a list of strings"),
        ("texts", 1, "a string or a list of strings"),
    ],
)
def test_a_field_of_another_type_is_refused_by_name(read: str, value: Any, expected: str) -> None:
    with pytest.raises(BadRequest, match=f"^f: must be {expected}") as raised:
        getattr(fields(f=value), read)("f")
    assert (raised.value.param, raised.value.code, raised.value.status) == ("f", "invalid_value", 400)


def test_a_field_is_read_as_what_it_is() -> None:
    found = fields(t="x", b=True, i=5.0, n=0.5, o={"a": 1}, l=[1], s="one", ss=["a", "b"])
    assert (found.text("t"), found.needed_text("t"), found.boolean("b"), found.integer("i")) == ("x", "x", True, 5)
    assert (found.number("n"), found.mapping("o"), found.items("l")) == (0.5, {"a": 1}, [1])
    assert (found.texts("s"), found.texts("ss"), found.texts("none")) == (("one",), ("a", "b"), ())
    assert [found.text("none"), found.integer("none"), found.inner("none"), found.boolean("none")] == [None] * 4
    assert "t" in found
    assert "none" not in found


def test_words_and_bounds_are_told() -> None:
    assert fields(f="a").word("f", "a", "b") == "a"
    with pytest.raises(BadRequest, match="f: must be one of a, b"):
        fields(f="c").word("f", "a", "b")
    assert fields(f=2).number("f", 0, 2) == 2
    with pytest.raises(BadRequest, match="f: must be between 0 and 2"):
        fields(f=2.1).number("f", 0, 2)
    with pytest.raises(BadRequest, match="f: must be at least 1"):
        fields(f=0).integer("f", 1)


def test_nested_fields_are_told_by_their_full_name() -> None:
    inner = fields(a={"b": [{"c": 1}, 2]}).inner("a")
    assert inner is not None
    objects = inner.objects("b")
    with pytest.raises(BadRequest, match=r"a\.b\[0\]\.c: must be a string"):
        next(objects).text("c")
    with pytest.raises(BadRequest, match=r"a\.b\[1\]: must be an object"):
        next(objects)


def test_what_is_given_up_is_told_and_what_is_null_is_not_there() -> None:
    gaps = Gaps()
    found = Fields({"read": 1, "known": 2, "null": None, "unknown": 3}, "x.", gaps)
    found.value("read")
    found.drop("known", "absent")
    found.drop_rest()
    assert gaps.dropped == ["x.known", "x.unknown"]
    found.refuse("null")
    with pytest.raises(UnsupportedParameter, match=r"x\.known: not supported by this provider \(why\)"):
        found.refuse("known", "why")


def test_arguments_are_the_json_of_an_object() -> None:
    assert (arguments(" ", "f"), arguments('{"a": 1}', "f")) == ("{}", '{"a": 1}')
    for text in ("[]", "{"):
        with pytest.raises(BadRequest, match="f: must be JSON of an object"):
            arguments(text, "f")


def test_data_urls_are_taken_apart() -> None:
    assert of_data_url(data_url("image/png", "QUJD")) == ("image/png", "QUJD")
    assert of_data_url("data:IMAGE/PNG;charset=x;base64,QQ==") == ("image/png", "QQ==")
    assert of_data_url("data:;base64,QQ==") == ("application/octet-stream", "QQ==")
    assert of_data_url("https://host/x,y") is of_data_url("data:text/plain,x") is of_data_url("data:") is None
