"""Patterns of names."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netrunner.globs import Globs


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("gpt-4o", "gpt-4o", True),
        ("gpt-4o", "gpt-4o-mini", False),
        ("gpt-4o*", "gpt-4o", True),
        ("gpt-4o*", "gpt-4o-mini", True),
        ("*-mini", "gpt-4o-mini", True),
        ("*-mini", "gpt-4o-mini-x", False),
        ("a*b*c", "a-b-b-c", True),
        ("a*b*c", "acb", False),
        ("ab*ba", "aba", False),
        ("a*aa*a", "aaa", False),
        ("a*aa*a", "aaaa", True),
        ("**", "", True),
        ("*", "a/b.c\n", True),
        ("a.c", "abc", False),
        ("[a]", "a", False),
        ("?", "a", False),
        ("A", "a", False),
    ],
)
def test_a_star_stands_for_anything_and_all_else_for_itself(pattern: str, text: str, fits: bool) -> None:
    assert (text in Globs([pattern])) is fits


def test_several_patterns_are_a_set() -> None:
    globs = Globs(["a*", "b"])
    assert [text in globs for text in ("ab", "b", "bb")] == [True, True, False]


def test_no_patterns_are_nothing() -> None:
    assert not Globs([])
    assert Globs(["*"])
    assert "a" not in Globs([])


@settings(max_examples=50)
@given(st.lists(st.text("ab"), min_size=1, max_size=5), st.data())
def test_whatever_the_stars_are_filled_with_fits(pieces: list[str], data: st.DataObject) -> None:
    text = pieces[0] + "".join(data.draw(st.text("ab", max_size=3)) + piece for piece in pieces[1:])
    assert text in Globs(["*".join(pieces)])
