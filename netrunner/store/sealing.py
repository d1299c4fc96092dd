"""Secrets at rest: provider keys sealed by AES-256-GCM, tokens as HMAC-SHA-256.

Each secret has a data key of its own, which seals it; the data key is sealed by the master key. Both are bound to the
row they belong to, so that neither can be moved to another one. To rotate the master key, data keys are sealed anew
and what they seal stays as it is. Tokens are kept as digests under a pepper. It is random and sealed like any other
secret rather than derived from the master key: a token is nowhere to be digested again, so it has to outlive rotations.

Pure. This module must not know where keys come from or secrets are kept.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from netrunner.errors import ForeignKey, StoreError

KEY_BYTES = 32
_NONCE_BYTES = 12
_TAG_BYTES = 16
_WRAPPED_BYTES = _NONCE_BYTES + KEY_BYTES + _TAG_BYTES
_VERSION = b"\x01"
"""First byte of everything sealed; names the layout: version, sealed data key, nonce, ciphertext with tag."""

RandomBytes = Callable[[int], bytes]


class MasterKey:
    """One key that seals data keys.

    Args:
        secret: Its 32 bytes.
    """

    def __init__(self, secret: bytes) -> None:
        if len(secret) != KEY_BYTES:
            raise ValueError(f"a key of {KEY_BYTES} bytes")
        self.id = hmac.digest(secret, b"netrunner: id of a master key", hashlib.sha256).hex()[:16]
        """Tells which key sealed a row, and nothing of the key itself."""
        self._cipher = AESGCM(hmac.digest(secret, b"netrunner: sealing of data keys", hashlib.sha256))

    @classmethod
    def of_text(cls, text: str) -> MasterKey:
        """Return the key that base64 spells.

        Raises:
            ValueError: with what was expected; never quoting the text.
        """
        try:
            return cls(base64.b64decode(text.strip(), validate=True))
        except (binascii.Error, ValueError):
            raise ValueError(f"base64 of {KEY_BYTES} bytes, as `openssl rand -base64 32` prints them") from None

    def wrap(self, data_key: bytes, row: bytes, random: RandomBytes) -> bytes:
        """Return a data key sealed for one row."""
        nonce = random(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, data_key, b"key:" + row)

    def unwrap(self, wrapped: bytes, row: bytes) -> bytes:
        """Return a data key; raises ``InvalidTag`` for what was changed or belongs elsewhere."""
        return self._cipher.decrypt(wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], b"key:" + row)


class Keyring:
    """The master keys at hand: the first seals, all of them open.

    Args:
        keys: At least one.
        random: Gives random bytes.
        again: Returns the keys as they are now; asked when a secret turns up that none of them has sealed.
    """

    def __init__(
        self, keys: Sequence[MasterKey], random: RandomBytes, again: Callable[[], Sequence[MasterKey]] | None = None
    ) -> None:
        self._random = random
        self._again = again
        self._learn(keys)

    def _learn(self, keys: Sequence[MasterKey]) -> None:
        self._keys = {key.id: key for key in keys}
        self.current = keys[0]

    def seal(self, secret: bytes, row: str) -> bytes:
        """Return ``secret`` sealed for the row of that identity."""
        data_key, nonce, bound = self._random(KEY_BYTES), self._random(_NONCE_BYTES), row.encode()
        wrapped = self.current.wrap(data_key, bound, self._random)
        return _VERSION + wrapped + nonce + AESGCM(data_key).encrypt(nonce, secret, bound)

    def open(self, sealed: bytes, sealed_by: str, row: str) -> bytes:
        """Return what was sealed for a row.

        Raises:
            StoreError: when its master key is not at hand, or anything of it was changed or comes from another row.
        """
        wrapped, rest = _parts(sealed, row)
        try:
            data_key = self._key(sealed_by).unwrap(wrapped, row.encode())
            return AESGCM(data_key).decrypt(rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], row.encode())
        except InvalidTag:
            raise _changed(row) from None

    def reseal(self, sealed: bytes, sealed_by: str, row: str) -> bytes:
        """Return the same secret under the current master key; nothing but its data key is opened meanwhile.

        Raises:
            StoreError: as of ``open``.
        """
        wrapped, rest = _parts(sealed, row)
        try:
            data_key = self._key(sealed_by).unwrap(wrapped, row.encode())
        except InvalidTag:
            raise _changed(row) from None
        return _VERSION + self.current.wrap(data_key, row.encode(), self._random) + rest

    def _key(self, id: str) -> MasterKey:
        if id not in self._keys and self._again is not None:
            self._learn(self._again())
        key = self._keys.get(id)
        if key is None:
            raise ForeignKey(
                f"A secret in the database is sealed by the master key {id}, which is neither secrets.key nor among"
                " secrets.previous."
            )
        return key


def _parts(sealed: bytes, row: str) -> tuple[bytes, bytes]:
    """Return the sealed data key, and the rest."""
    if sealed[:1] != _VERSION or len(sealed) < 1 + _WRAPPED_BYTES + _NONCE_BYTES + _TAG_BYTES:
        raise _changed(row)
    return sealed[1 : 1 + _WRAPPED_BYTES], sealed[1 + _WRAPPED_BYTES :]


def _changed(row: str) -> StoreError:
    return StoreError(f"The sealed secret {row} was changed, or belongs to another row.")


def masked(secret: str) -> str:
    """Return what tells a provider key from another: three characters of a long one, and its last four."""
    return f"{secret[:3]}***{secret[-4:]}" if len(secret) >= 24 else "***"
