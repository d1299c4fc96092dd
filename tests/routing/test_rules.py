"""Rules: what each condition matches, and that the first rule wins."""

from __future__ import annotations

import pytest

from netrunner.routing.rules import Rule, Rules


def first(rules: list[Rule], model: str | None = "m", source: str = "10.1.2.3", path: bytes = b"/v1/x") -> int | None:
    found = Rules(rules).first(model, source, path)
    return None if found is None else found[0]


@pytest.mark.parametrize(
    ("network", "source", "matches"),
    [
        ("10.0.0.0/8", "10.255.0.1", True),
        ("10.0.0.0/8", "11.0.0.1", False),
        ("10.0.0.0/8", "::ffff:10.0.0.1", True),
        ("10.0.0.0/8", "unix", False),
        ("10.0.0.0/8", "fd00::1", False),
        ("fd00::/8", "fd12::1", True),
        ("fe80::/10", "fe80::1%eth0", True),
        ("0.0.0.0/0", "unix", False),
    ],
)
def test_a_source_is_a_network_the_caller_is_in(network: str, source: str, matches: bool) -> None:
    assert first([Rule((network,), to_model="x")], source=source) == (0 if matches else None)


@pytest.mark.parametrize(
    ("model", "asked", "matches"),
    [("m", "m", True), ("m", "mm", False), ("/m/", "mm", True), ("/m$/", "mm", False), ("m", None, False)],
)
def test_a_model_is_a_name_or_a_pattern(model: str, asked: str | None, matches: bool) -> None:
    assert first([Rule((), model, None, None, "p")], asked) == (0 if matches else None)


@pytest.mark.parametrize(
    ("prefix", "path", "matches"),
    [
        ("/v1/embeddings", b"/v1/embeddings", True),
        ("/v1/embeddings", b"/v1/embeddings/", True),
        ("/v1/embeddings", b"/v1/embeddingsx", False),
        ("/v1/", b"/v1/chat/completions", True),
        ("/v1", b"/v1beta", False),
        ("/v1", b"/%761/x", True),
        ("/", b"/api/chat", True),
    ],
)
def test_a_path_is_a_prefix_up_to_a_slash_however_it_is_written(prefix: str, path: bytes, matches: bool) -> None:
    assert first([Rule((), None, prefix, "x")], path=path) == (0 if matches else None)


def test_every_condition_has_to_match_and_the_first_rule_wins() -> None:
    rules = [
        Rule(("10.0.0.0/8",), "other", None, "a"),
        Rule(("192.168.0.0/16", "10.1.0.0/16"), "/m/", "/v1", "b"),
        Rule((), "m", None, "c"),
    ]
    assert first(rules) == 1
    assert first(rules, source="172.16.0.1") == 2
    assert first(rules, model="other") == 0
    assert first(rules, model="none") is None


def test_a_request_that_names_no_model_is_matched_by_rules_that_name_a_provider_alone() -> None:
    rules = [Rule((), None, None, "x"), Rule((), None, "/v1", None, "p")]
    assert first(rules, None) == 1
    assert first(rules, "m") == 0


@pytest.mark.parametrize(
    ("one", "other", "covers"),
    [
        (Rule(), Rule((), "m"), True),
        (Rule((), "m"), Rule(("10.0.0.0/8",), "m"), True),
        (Rule((), None, "/v1"), Rule((), "m", "/v1/chat"), True),
        (Rule((), None, "/v1/chat"), Rule((), "m", "/v1"), False),
        (Rule((), "m"), Rule((), "n"), False),
        (Rule(("10.0.0.0/8",)), Rule(), False),
    ],
)
def test_a_rule_covers_what_it_certainly_matches_too(one: Rule, other: Rule, covers: bool) -> None:
    assert one.covers(other) is covers
