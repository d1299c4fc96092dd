"""Tokens: known by their form and check, kept as digests."""

from __future__ import annotations

import secrets

import pytest

from netrunner.projects.tokens import Mint, masked, well_formed

MINT = Mint(b"p" * 32)


def test_a_token_has_256_random_bits_and_is_never_the_same() -> None:
    asked: list[int] = []

    def random(count: int) -> bytes:
        asked.append(count)
        return secrets.token_bytes(count)

    assert MINT.make(random) != MINT.make(random)
    assert asked == [32, 32]


def test_a_mint_knows_its_own_tokens() -> None:
    token = MINT.make(secrets.token_bytes).encode()
    assert token.startswith(b"nr-")
    assert MINT.made(token)
    assert not Mint(b"q" * 32).made(token)


def test_every_changed_character_is_noticed() -> None:
    token = MINT.make(secrets.token_bytes)
    # The last one holds bits that mean nothing; a digest tells them apart all the same.
    for place in range(3, len(token) - 1):
        other = "A" if token[place] != "A" else "B"
        assert not MINT.made(f"{token[:place]}{other}{token[place + 1 :]}".encode())


@pytest.mark.parametrize(
    "text", [b"", b"nr-", b"sk-proj-abc", b"nr-" + b"a" * 50, b"nr-" + b"a" * 52, b"nr-" + b"\xff" * 51, b"' OR 1=1 --"]
)
def test_what_has_not_the_form_of_a_token_is_none(text: bytes) -> None:
    assert not well_formed(text)
    assert not MINT.made(text)


def test_a_digest_needs_the_pepper() -> None:
    token = MINT.make(secrets.token_bytes).encode()
    assert MINT.digest(token) == Mint(b"p" * 32).digest(token)
    assert MINT.digest(token) != Mint(b"q" * 32).digest(token)


def test_of_a_token_nine_characters_are_shown() -> None:
    token = MINT.make(secrets.token_bytes)
    assert masked(token) == f"{token[:9]}***"
