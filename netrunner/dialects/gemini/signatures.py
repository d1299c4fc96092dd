"""Seals in ``thoughtSignature``: Gemini's own as they are, those of others as base64 of the sealed text.

The field holds bytes, and official clients decode it; so the seal of another provider cannot stand there as text.

This module must not look into a seal.
"""

from __future__ import annotations

import base64
import binascii

from netrunner.dialects import seals

DUMMY = "skip_thought_signature_validator"
"""What Google documents for a call that another model made: Gemini 3 and later refuse one without a signature."""
_REDACTED = "redacted:"


def written(sealed: str, redacted: bool = False) -> str:
    """Return what a caller of this dialect is given for a seal; ``redacted`` if all there was is in it."""
    own = seals.unsealed(seals.GEMINI, sealed)
    if own is not None:
        return own
    return base64.b64encode(f"{_REDACTED if redacted else ''}{sealed}".encode()).decode()


def read(signature: str | None) -> tuple[str | None, bool]:
    """Return the seal that a caller gives back, and whether it is of redacted reasoning; None for none."""
    if not signature or signature == DUMMY:
        return None, False
    try:
        # Official clients write bytes in the alphabet for URLs.
        padded = signature + "=" * (-len(signature) % 4)
        text = base64.b64decode(padded.replace("-", "+").replace("_", "/"), validate=True).decode()
    except (binascii.Error, ValueError):
        text = ""
    sealed = text.removeprefix(_REDACTED)
    if seals.format_of(sealed) is not None:
        return sealed, sealed != text
    return seals.seal(seals.GEMINI, signature), False
