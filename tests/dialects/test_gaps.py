"""What is lost between two dialects, and whose seals are whose."""

from __future__ import annotations

import pytest

from netrunner.dialects import seals
from netrunner.dialects.gaps import MAX_NAME_CHARACTERS, MAX_NAMES, Gaps
from netrunner.errors import UnsupportedParameter


def test_what_is_dropped_is_told_once_by_the_callers_name() -> None:
    gaps = Gaps()
    gaps.called("max_tokens", "generationConfig.maxOutputTokens")
    for field in ("max_tokens", "seed", "max_tokens"):
        gaps.drop(field)
    assert gaps.dropped == ["generationConfig.maxOutputTokens", "seed"]


def test_a_strict_provider_refuses_what_would_be_dropped() -> None:
    with pytest.raises(UnsupportedParameter, match="seed: not supported by anthropic") as raised:
        Gaps(strict=True, target="anthropic").drop("seed")
    assert (raised.value.status, raised.value.code, raised.value.param) == (400, "unsupported_parameter", "seed")


def test_the_reason_of_a_refusal_is_told() -> None:
    assert str(Gaps().unsupported("n", "one answer only")) == "n: not supported by this provider (one answer only)."


def test_the_next_attempt_begins_with_what_was_lost_while_reading() -> None:
    gaps = Gaps()
    gaps.called("seed", "options.seed")
    gaps.drop("store")
    forked = gaps.fork(False, "gemini")
    forked.drop("seed")
    assert (gaps.dropped, forked.dropped) == (["store"], ["store", "options.seed"])
    with pytest.raises(UnsupportedParameter, match="store: not supported by gemini"):
        gaps.fork(True, "gemini")


def test_names_that_callers_invent_are_bounded_and_fit_a_header() -> None:
    gaps = Gaps()
    gaps.drop("é,\r\n" + "x" * 100)
    for number in range(100):
        gaps.drop(f"field{number}")
    assert gaps.dropped[0] == "????" + "x" * (MAX_NAME_CHARACTERS - 4)
    assert len(gaps.dropped) == MAX_NAMES


def test_a_seal_goes_back_to_whom_it_belongs() -> None:
    sealed = seals.seal(seals.GEMINI, "a:b")
    assert seals.unsealed(seals.GEMINI, sealed) == "a:b"
    assert seals.unsealed(seals.ANTHROPIC, sealed) is None
    assert seals.unsealed(seals.ANTHROPIC, None) is None


def test_a_seal_that_a_caller_returns_is_not_sealed_again() -> None:
    sealed = seals.seal(seals.GEMINI, "data")
    assert seals.seal(seals.ANTHROPIC, sealed) is sealed
    assert seals.format_of("no format") is None
    assert seals.format_of("other:data") is None


def test_what_was_assumed_is_known_to_one_attempt_only() -> None:
    gaps = Gaps()
    gaps.assumed.add("max_tokens")
    assert gaps.fork(False, "another").assumed == set()
