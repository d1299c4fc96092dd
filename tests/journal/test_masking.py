"""Credentials in heads show which one it was, and never what it is."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netrunner.journal.masking import credentials_in, mask_headers, mask_query

NAMES = [
    b"authorization", b"proxy-authorization", b"x-api-key", b"api-key", b"x-goog-api-key", b"cookie", b"set-cookie",
    b"cf-aig-authorization", b"x-amz-security-token", b"x-my-secret", b"x-password", b"x-access-token-2",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_credential_in_a_header_is_masked(name: bytes) -> None:
    assert mask_headers([(name, b"abcdefghijklmnop")]) == [(name, b"abc***")]


@pytest.mark.parametrize(
    ("value", "masked"),
    [
        (b"Bearer sk-proj-abcdefgh", b"Bearer sk-***"), (b"bearer  sk-proj-abcdefgh", b"bearer  sk-***"),
        (b"Basic dXNlcjpwYXNzd29yZA==", b"Basic dXN***"), (b"Bearer short", b"Bearer ***"), (b"Bearer ", b"Bearer ***"),
        (b"", b"***"), (b"Unknown sk-proj-abcdefgh", b"Unk***"),
    ],
)  # fmt: skip
def test_scheme_and_at_most_three_characters_are_kept(value: bytes, masked: bytes) -> None:
    assert mask_headers([(b"authorization", value)]) == [(b"authorization", masked)]


def test_other_headers_stay_as_they_are() -> None:
    headers = [
        (b"host", b"a"), (b"content-type", b"application/json"), (b"x-ratelimit-remaining-tokens", b"149984"),
        (b"anthropic-ratelimit-tokens-limit", b"80000"), (b"x-request-id", b"0123456789abcdef"), (b"x-author", b"me"),
    ]  # fmt: skip
    assert mask_headers(headers) == headers


def test_the_header_that_the_configuration_names_is_masked() -> None:
    headers = [(b"x-team", b"0123456789abcdef"), (b"host", b"0123456789abcdef")]
    assert mask_headers(headers, b"x-team") == [(b"x-team", b"012***"), headers[1]]
    assert mask_headers(headers, b"host") == [headers[0], (b"host", b"012***")]


def test_the_headers_given_are_not_changed() -> None:
    headers = [(b"authorization", b"Bearer sk-proj-abcdefgh")]
    mask_headers(headers)
    assert headers == [(b"authorization", b"Bearer sk-proj-abcdefgh")]


@pytest.mark.parametrize(
    ("query", "masked"),
    [
        (b"", b""), (b"alt=sse", b"alt=sse"), (b"key=AIzaSyAbcdefghijk&alt=sse", b"key=AIz***&alt=sse"),
        (b"a=1&api_key=abc", b"a=1&api_key=***"), (b"access_token=abcdefghijklm", b"access_token=abc***"),
        (b"a%70i_%6bey=abcdefghijklm", b"a%70i_%6bey=abc***"),
        (b"key&key=", b"key&key="),
        (b"X-Amz-Signature=abc", b"X-Amz-Signature=***"),
        (b"monkeys=3&model=a", b"monkeys=3&model=a"),
    ],
)  # fmt: skip
def test_a_credential_in_a_query_is_masked(query: bytes, masked: bytes) -> None:
    assert mask_query(query) == masked


def test_the_credentials_of_a_query_are_told_decoded() -> None:
    assert credentials_in(b"") == credentials_in(b"alt=sse&key=&model=a") == []
    assert credentials_in(b"v=1&api%5fkey=a%2Fb&token=c") == [b"a/b", b"c"]


# What stands before white space may be a scheme, and is kept.
secrets = st.binary(min_size=4, max_size=40).filter(
    lambda value: not value.endswith(b"***") and not any(space in value for space in (b" ", b"\t"))
)


@settings(deadline=None)
@given(st.sampled_from(NAMES), st.sampled_from([b"", b"Bearer ", b"basic "]), secrets)
def test_masking_twice_is_masking_once_and_no_secret_is_left(name: bytes, scheme: bytes, secret: bytes) -> None:
    once = mask_headers([(name, scheme + secret)])
    assert secret not in once[0][1]
    assert mask_headers(once) == once


@settings(deadline=None)
@given(secrets.filter(lambda value: b"&" not in value and b"=" not in value))
def test_masking_a_query_twice_is_masking_it_once_and_no_secret_is_left(secret: bytes) -> None:
    once = mask_query(b"a=1&key=" + secret)
    assert secret not in once
    assert mask_query(once) == once
