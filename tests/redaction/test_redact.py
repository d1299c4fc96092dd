"""Redaction as it is configured: classes, groups, patterns of one's own, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netrunner.redaction.grammar import MAX_PATTERN_CHARACTERS
from netrunner.redaction.patterns import CLASSES, GROUPS
from netrunner.redaction.redact import MAX_ITEMS, Redaction, checked, compile_redaction

ROOT = Path(__file__).parents[2]


def redaction(*items: str) -> Redaction:
    compiled = compile_redaction(items)
    assert compiled is not None
    return compiled


def left(items: tuple[str, ...], text: str) -> str:
    """Return what is left of ``text``."""
    redactor = redaction(*items).stream()
    return (redactor.feed(text.encode()) + redactor.close()).decode()


def test_nothing_to_hide_is_no_redaction() -> None:
    assert compile_redaction(()) is None


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("provider_keys", "use sk-proj-abcDEF0123456789xyz!", "use [redacted:provider_keys]!"),
        ("cloud_keys", "AKIAIOSFODNN7EXAMPLE", "[redacted:cloud_keys]"),
        ("service_tokens", "ghp_" + "a1" * 18, "[redacted:service_tokens]"),
        ("bearer_tokens", "Authorization: Bearer abcdefgh01234567", "Authorization: Bearer [redacted:bearer_tokens]"),
        ("jwt", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", "[redacted:jwt]"),
        ("passwords", "postgres://bob:hunter2@db/x", "postgres://bob:[redacted:passwords]@db/x"),
        ("passwords", '{"password": "correct horse"}', '{"password": "[redacted:passwords]"}'),
        ("emails", "to a.b+c@mail.example.com.", "to [redacted:emails]."),
        ("phones", "call +44 20 7946 0958 now", "call [redacted:phones] now"),
        ("phones", "call (212) 555-0123 now", "call [redacted:phones] now"),
        ("cards", "paid by 4111 1111 1111 1111.", "paid by [redacted:cards]."),
        ("cards", "paid by 378282246310005", "paid by [redacted:cards]"),
        ("ibans", "to GB82 WEST 1234 5698 7654 32", "to [redacted:ibans]"),
        ("private_keys", "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG", "[redacted:private_keys]"),
    ],
)
def test_what_a_class_names_is_hidden(name: str, text: str, expected: str) -> None:
    assert left((name,), text) == expected


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("provider_keys", "a task-abcdefghij0123456789 and risk-averse-people-and-things"),
        ("provider_keys", "sk-short"),
        ("bearer_tokens", "Bearer authentication is described below. Basic implementations"),
        ("passwords", "password = get_password(name); a password is required; max_tokens: 100"),
        ("passwords", '{"token": " Hello", "logprob": -0.1}'),
        ("cards", "4111 1111 1111 1112 and 0.4111111111111111"),
        ("ibans", "GB82 WEST 1234 5698 7654 33"),
        ("jwt", "eyJhbGciOiJIUzI1NiJ9"),
        ("emails", "@decorator a@b user@localhost"),
        ("phones", "1234567890, 0.0071428571428571, 2024-01-02"),
        ("private_keys", "-----BEGIN PUBLIC KEY-----\nMIIEvQIBADANBgkqhkiG"),
    ],
)
def test_what_only_looks_like_it_stays(name: str, text: str) -> None:
    assert left((name,), text) == text


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_is_all_of_its_classes(group: str) -> None:
    assert set(GROUPS[group]) <= set(CLASSES)
    marks = {rule.mark.decode() for rule in redaction(group)._rules._rules}
    assert marks == {f"[redacted:{name}]" for name in GROUPS[group]}


def test_every_class_is_in_a_group() -> None:
    assert {name for names in GROUPS.values() for name in names} == set(CLASSES)


def test_a_class_named_twice_is_searched_for_once() -> None:
    assert len(redaction("secrets", "jwt", "secrets")._rules._rules) == len(redaction("secrets")._rules._rules)


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        (r"/EMP-\d{6}/", "ask EMP-123456 or EMP-12", "ask [redacted:pattern] or EMP-12"),
        (r"/(?i)project\s+(\w+)/", "in Project\tX now", "in [redacted:pattern] now"),
        (r"/(?i:a)b|c/", "Ab AB c C", "[redacted:pattern] AB [redacted:pattern] C"),
        ("/grüße+/", "viele grüßeee an", "viele [redacted:pattern] an"),
        (r"/\Qa.b*\E+/", "a.b a.b** c", "a.b [redacted:pattern] c"),
        (r"/^id: .*$/", "x\nid: 7 8\nid", "x\n[redacted:pattern]\nid"),
        (r"/a.*?b/", "xaabb", "x[redacted:pattern]b"),
        (r"/[]\]a[:digit:]]{2,}/", "x]a7y", "x[redacted:pattern]y"),
        (r"/\x41\x{42}\103{2}/", "ABCC", "[redacted:pattern]"),
        ("/a{,2}/", "aa a{,2}", "aa [redacted:pattern]"),
        (r"/(?s)a(?P<n>.)b/", "a\nb", "[redacted:pattern]"),
    ],
)
def test_a_pattern_of_ones_own_is_hidden_whole(pattern: str, text: str, expected: str) -> None:
    assert left((pattern,), text) == expected


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("secret", "/an RE2 pattern/ or one of secrets, personal, provider_keys, "),
        ("", "/an RE2 pattern/ or one of "),
        ("//", "/an RE2 pattern/ or one of "),
        ("/(/", "an RE2 pattern: missing ): ("),
        (r"/(a)\1/", "an RE2 pattern: invalid escape sequence"),
        ("/(?<=a)b/", "an RE2 pattern: invalid"),
        ("/a*/", "an RE2 pattern that does not match the empty text"),
        (r"/\b/", "an RE2 pattern that does not match the empty text"),
        ("/(a|)/", "an RE2 pattern that does not match the empty text"),
        (r"/\Aabc/", "an RE2 pattern without"),
        (r"/a\z/", "an RE2 pattern without"),
        (r"/\pL+x/", "an RE2 pattern without"),
        (r"/[\p{Greek}]x/", "an RE2 pattern without"),
        ("/(?U)a+/", "an RE2 pattern without the flag U"),
        ("/[äö]x/", "ASCII characters in brackets"),
        (f"/{'a' * (MAX_PATTERN_CHARACTERS + 1)}/", "an RE2 pattern of at most"),
        (f"/{'(' * 60}a{')' * 60}/", "an RE2 pattern nested at most"),
        ("/(a{1000}){1000}/", "an RE2 pattern: "),
    ],
)
def test_what_cannot_be_hidden_is_refused_with_what_was_expected(item: str, message: str) -> None:
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        checked(item)
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        compile_redaction(("jwt", item))


def test_too_many_items_are_refused() -> None:
    with pytest.raises(ValueError, match=f"at most {MAX_ITEMS}"):
        compile_redaction(("jwt",) * (MAX_ITEMS + 1))


def test_what_is_too_large_together_is_refused() -> None:
    with pytest.raises(ValueError, match="an RE2 pattern"):
        compile_redaction(tuple(f"/{letter}([a-z]{{900}}b){{9}}/" for letter in "abcdefghijklmnopqrstuvwxyz"))


@settings(deadline=None)
@given(st.text(alphabet="ab(|)[]*+?{},1\\QE^$.:-é", max_size=12))
def test_any_pattern_is_taken_or_refused(pattern: str) -> None:
    try:
        item = checked(f"/{pattern}/")
    except ValueError:
        return
    assert left((item,), "").encode() == b""


def test_an_escape_before_a_quote_stays() -> None:
    assert left(("passwords",), r'"{\\\"password\\\": \\\"hunter2\\\"}"').endswith(r'[redacted:passwords]\\\"}"')


def test_every_class_and_group_is_documented() -> None:
    page = (ROOT / "docs" / "config.md").read_text()
    rows = [f"| `{name}` | {one.doc}. |" for name, one in CLASSES.items()]
    rows += [f"| `{name}` | {', '.join(f'`{one}`' for one in names)} |" for name, names in GROUPS.items()]
    assert [row for row in rows if row not in page] == []
