"""Sealed secrets: opened by their key, for their row, as they were; and sealed anew under another."""

from __future__ import annotations

import base64
import secrets

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netrunner.errors import StoreError
from netrunner.store.sealing import Keyring, MasterKey, masked

OLD, NEW = MasterKey(b"o" * 32), MasterKey(b"n" * 32)
KEY = b"sk-canary-of-a-provider"


def ring(*keys: MasterKey) -> Keyring:
    return Keyring(keys, secrets.token_bytes)


def test_a_secret_comes_out_as_it_went_in() -> None:
    sealed = ring(OLD).seal(KEY, "row")
    assert ring(NEW, OLD).open(sealed, OLD.id, "row") == KEY


def test_what_is_sealed_shows_nothing_of_the_secret_and_is_never_the_same() -> None:
    one, other = (ring(OLD).seal(KEY, "row") for _ in range(2))
    assert KEY not in one
    assert one != other


def test_a_secret_of_another_row_is_not_opened() -> None:
    sealed = ring(OLD).seal(KEY, "row")
    with pytest.raises(StoreError, match="another row"):
        ring(OLD).open(sealed, OLD.id, "other")
    with pytest.raises(StoreError, match="another row"):
        ring(NEW, OLD).reseal(sealed, OLD.id, "other")


def test_every_changed_bit_is_noticed() -> None:
    sealed = ring(OLD).seal(b"k", "row")
    for place in range(len(sealed) * 8):
        changed = bytearray(sealed)
        changed[place // 8] ^= 1 << place % 8
        with pytest.raises(StoreError, match="was changed"):
            ring(OLD).open(bytes(changed), OLD.id, "row")


@pytest.mark.parametrize("length", [0, 1, 60, 88])
def test_what_was_cut_off_is_noticed(length: int) -> None:
    with pytest.raises(StoreError, match="was changed"):
        ring(OLD).open(ring(OLD).seal(KEY, "row")[:length], OLD.id, "row")


def test_a_secret_whose_master_key_is_gone_names_it() -> None:
    with pytest.raises(StoreError, match=OLD.id):
        ring(NEW).open(ring(OLD).seal(KEY, "row"), OLD.id, "row")


@settings(max_examples=20)
@given(secret=st.binary(max_size=200), row=st.text(max_size=40))
def test_a_secret_that_was_sealed_anew_is_the_same_under_the_new_key_alone(secret: bytes, row: str) -> None:
    anew = ring(NEW, OLD).reseal(ring(OLD).seal(secret, row), OLD.id, row)
    assert ring(NEW).open(anew, NEW.id, row) == secret


def test_a_master_key_is_32_bytes_in_base64() -> None:
    assert MasterKey.of_text(f" {base64.b64encode(b'o' * 32).decode()}\n").id == OLD.id


@pytest.mark.parametrize("text", ["", "short", base64.b64encode(b"o" * 31).decode(), "ü" * 44])
def test_what_is_no_master_key_is_told_without_quoting_it(text: str) -> None:
    with pytest.raises(ValueError, match="base64 of 32 bytes") as raised:
        MasterKey.of_text(text)
    assert not text or text not in str(raised.value)


def test_of_a_short_key_nothing_is_shown() -> None:
    assert masked("sk-0123456789") == "***"
    assert masked("sk-0123456789-0123456789-abcd") == "sk-***abcd"
