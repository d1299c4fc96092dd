"""YAML as a located tree: what is refused, where, and what a scalar means."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netrunner.config import tree
from netrunner.errors import ConfigurationError


def problems(text: str | bytes) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        tree.parse(text, "x.yaml")
    return [str(problem) for problem in caught.value.problems]


def scalar(text: str) -> object:
    node = tree.parse(f"key: {text}", "x.yaml").entries["key"]
    assert isinstance(node, tree.Scalar)
    return node.value()


@pytest.mark.parametrize("text", ["on", "yes", "No", "off", "y", "12:30:00", "0b11", "1_000", "2001-12-14", "=", "<<"])
def test_what_only_yaml_1_1_knows_is_a_string(text: str) -> None:
    assert scalar(text) == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("010", 10), ("0o10", 8), ("0xfF", 255), ("-3", -3), ("+3", 3), ("1.5", 1.5), ("1e3", 1000.0), (".5", 0.5),
        ("true", True), ("False", False), ("~", None), ("null", None), ("", None), ('"3"', "3"), ("'true'", "true"),
        ("!!str 3", "3"), ("!!int 3", 3), ("|\n  3", "3"),
    ],
)  # fmt: skip
def test_scalars_follow_the_core_schema(text: str, value: object) -> None:
    assert scalar(text) == value
    assert type(scalar(text)) is type(value)


def test_every_node_and_key_knows_its_line() -> None:
    root = tree.parse("a:\n  - 1\n  -\n    b: 2\n", "x.yaml")
    items = root.entries["a"]
    assert isinstance(items, tree.Sequence)
    second = items.items[1]
    assert isinstance(second, tree.Mapping)
    assert root.key_where["a"] == "x.yaml:1"
    assert items.items[0].where == "x.yaml:2"
    assert second.key_where["b"] == "x.yaml:4"


def test_an_empty_document_is_an_empty_mapping() -> None:
    assert tree.parse(b"\xef\xbb\xbf# nothing\n", "x.yaml").entries == {}


def test_duplicate_keys_are_all_told_with_where_they_first_stood() -> None:
    assert problems("a: 1\nb: 2\na: 3\nc: {d: 1, d: 2}\n") == [
        "x.yaml:3: duplicate key 'a', first at x.yaml:1",
        "x.yaml:4: duplicate key 'd', first at x.yaml:4",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: [1, 2\nc: 3\n", "x.yaml:3: not YAML: "),
        ("a: 1\n\tb: 2\n", "x.yaml:2: not YAML: found character"),
        ('a: "open', "x.yaml:1: not YAML: found unexpected end of stream"),
        ("a: 1\n---\nb: 2\n", "x.yaml:2: only one document is expected"),
        ("- a\n", "x.yaml:1: expected a mapping of settings"),
        ("just text\n", "x.yaml:1: expected a mapping of settings"),
        ("a: 1\n? [b]\n: 2\n", "x.yaml:2: a key has to be a plain word"),
        ("a: !!python/object:x y\n", "x.yaml:1: tag 'tag:yaml.org,2002:python/object:x' is not allowed here"),
        ("a: !!binary aGk=\n", "x.yaml:1: tag 'tag:yaml.org,2002:binary' is not allowed here"),
        ("a: !!int [1]\n", "x.yaml:1: tag 'tag:yaml.org,2002:int' is not allowed here"),
        ("a: 1\nb: *c\n", "x.yaml:2: alias *c refers to nothing before it, or to itself"),
        ("a: &a [*a]\n", "x.yaml:1: alias *a refers to nothing before it, or to itself"),
        ("a: 1\nb: \x07\n", "x.yaml:2: a character that YAML does not allow"),
        ('a: "\\ud800"\n', "x.yaml:1: half of a surrogate pair is no text"),
        ('a: "\\Uffffffff"\n', "x.yaml: not YAML: "),
        ("a: " + "[" * 40 + "]" * 40, "x.yaml:1: nested deeper than 32"),
        ("#" * (tree.MAX_BYTES + 1), "x.yaml: is larger than 1048576 bytes"),
    ],
)  # fmt: skip
def test_what_is_no_configuration_is_refused_with_its_line(text: str, message: str) -> None:
    (problem,) = problems(text)
    assert problem.startswith(message)


def test_bytes_that_are_not_utf_8_are_refused_with_their_line() -> None:
    assert problems(b"a: 1\nb: \xff\n") == ["x.yaml:2: is not UTF-8"]


def test_an_alias_stands_for_what_its_anchor_named() -> None:
    root = tree.parse("a: &a {b: 1}\nc: *a\n", "x.yaml")
    assert root.entries["c"] is root.entries["a"]


def test_a_billion_laughs_are_refused_before_they_are_laughed() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    (problem,) = problems("\n".join(lines))
    assert problem == "x.yaml:5: more than 100000 values, aliases counted each time"


def test_depth_costs_no_stack() -> None:
    assert problems("[" * 100_000) == ["x.yaml:1: nested deeper than 32"]


def test_the_text_of_a_scalar_is_not_in_its_repr() -> None:
    assert "canary" not in repr(tree.parse("key: canary", "x.yaml"))


@given(st.text() | st.text(alphabet="ab: -[]{}&*!|>'\"#%@`,?\n\t\\0x~"))
def test_any_text_is_a_tree_or_a_configuration_error(text: str) -> None:
    with suppress(ConfigurationError):
        tree.parse(text, "x.yaml")


@given(st.binary())
def test_any_bytes_are_a_tree_or_a_configuration_error(data: bytes) -> None:
    with suppress(ConfigurationError):
        tree.parse(data, "x.yaml")


@given(st.from_regex(r"[-+.0-9eExXoO_:a-fA-F~]{1,60}", fullmatch=True))
def test_any_scalar_has_a_value(text: str) -> None:
    value = tree.Scalar("x.yaml:1", text, plain=True).value()
    assert value is None or type(value) in (bool, int, float, str)
