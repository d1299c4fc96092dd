"""Names by pattern: what matches, what becomes of groups, and that no pattern costs more than it may."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from netrunner.routing.patterns import MAX_NAME_CHARACTERS, Patterns, Template, inside


@pytest.mark.parametrize(
    ("text", "pattern"), [("/a/", "a"), ("/a/b/", "a/b"), ("a/b", None), ("/a", None), ("a/", None), ("//", None)]
)
def test_a_pattern_stands_between_slashes(text: str, pattern: str | None) -> None:
    assert inside(text) == pattern


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("gpt", "gpt-4", True),
        ("gpt", "my-gpt", False),
        ("gpt$", "gpt-4", False),
        (".*gpt", "my-gpt-4", True),
        ("gpt", "GPT-4", False),
        ("(?i)gpt", "GPT-4", True),
        ("^gpt", "gpt-4", True),
        ("org/model", "org/model:tag", True),
        ("é.$", "éö", True),
        ("", "anything", True),
    ],
)
def test_a_pattern_matches_from_the_start_in_its_case_and_need_not_reach_the_end(
    pattern: str, name: str, matches: bool
) -> None:
    assert Patterns([pattern]).matching(name) == ([0] if matches else [])


def test_all_patterns_that_match_are_told_of() -> None:
    assert sorted(Patterns(["a", "b", "a.c", ".*"]).matching("abc")) == [0, 2, 3]


def test_a_name_that_is_too_long_matches_nothing() -> None:
    patterns = Patterns([".*"])
    assert patterns.matching("x" * MAX_NAME_CHARACTERS) == [0]
    assert patterns.matching("x" * (MAX_NAME_CHARACTERS + 1)) == []


def test_patterns_that_together_take_too_much_memory_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netrunner.routing.patterns.MAX_TOGETHER_BYTES", 20_000)
    assert Patterns(["(a|b)*a(a|b){16}$"]).matching("ab") == []
    with pytest.raises(ValueError, match="less memory together"):
        Patterns([f"{letter}?(a|b)*a(a|b){{16}}$" for letter in "abcdefghijklmnop"])


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("(", "missing )"),
        ("a{2000}", "invalid repetition size"),
        (r"(a)\1", r"invalid escape sequence: \1"),
        ("(?=a)", "invalid perl operator"),
        ("(((a{100}){100}){100})", "repetition"),
        ("a" * 1001, "at most 1000 characters"),
    ],
)
def test_what_is_no_pattern_is_refused_with_the_reason(pattern: str, reason: str) -> None:
    with pytest.raises(ValueError, match="pattern") as raised:
        Patterns(["fine", pattern])
    assert reason in str(raised.value)


@pytest.mark.parametrize(
    ("pattern", "name", "template", "result"),
    [
        ("gpt-(.*)turbo", "gpt-3.5-turbo", r"llama3-\1instruct", "llama3-3.5-instruct"),
        ("(a)(b)?", "ac", r"\2x\1", "xa"),
        ("(?P<what>.*)-x", "some-x", r"\g<what>/\g<1>\\", "some/some\\"),
        ("(ö.)", "öß", r"\1\0", "ößöß"),
        ("a", "abc", r"\0", "a"),
        ("a", "abc", "plain", "plain"),
        ("((((((((((x))))))))))", "x", r"\10", "x"),
    ],
)
def test_the_whole_name_becomes_the_template_with_its_groups(
    pattern: str, name: str, template: str, result: str
) -> None:
    patterns = Patterns([pattern])
    assert patterns.expand(0, name, Template(template, patterns.numbers(0))) == result


@pytest.mark.parametrize("template", [r"\2", r"\x", "\\", r"\g<other>", r"\g<", r"\g<2>"])
def test_a_template_that_does_not_fit_its_pattern_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match="a target that fits its pattern"):
        Template(template, Patterns(["(a)"]).numbers(0))


def test_what_a_configuration_says_is_never_a_pattern_of_pythons_own_engine() -> None:
    root = Path(__file__).parents[2] / "netrunner"
    for path in (*(root / "routing").glob("*.py"), *(root / "config").glob("*.py")):
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.Call) and ast.unparse(call.func).startswith("re.") and call.args:
                assert isinstance(call.args[0], ast.Constant), f"{path.name}:{call.lineno}"
