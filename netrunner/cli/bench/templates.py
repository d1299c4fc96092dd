"""What requests say: payloads with placeholders, filled in anew for each request, several of them in turn.

===============  ==============================================================
``{n}``          the number of the request, from 1
``{uuid}``       a new UUID
``{model}``      what ``--model`` says
``{words:N}``    N words, others each time, so that no cache has seen them
===============  ==============================================================

Every other brace is JSON's. This module must not know where a payload comes from.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from typing import Any

import msgspec

MOST_WORDS = 1_000_000
_PLACEHOLDER = re.compile(r"(\{(?:n|uuid|model|words:[0-9]{1,7})\})")
_WORDS = (
    "river", "stone", "lamp", "orchard", "letter", "copper", "window", "garden", "silver", "bridge", "winter", "paper",
    "anchor", "candle", "thunder", "basket", "hollow", "market", "pepper", "saddle", "temple", "walnut", "velvet",
)  # fmt: skip


class Template:
    """One payload.

    Args:
        text: JSON once its placeholders are filled in.
        model: What ``{model}`` stands for.
        chance: Chooses words and UUIDs.

    Raises:
        ValueError: saying what it is instead of JSON.
    """

    def __init__(self, text: str, model: str, chance: random.Random) -> None:
        self._parts = _PLACEHOLDER.split(text)
        self._model = msgspec.json.encode(model)[1:-1].decode()
        self._chance = chance
        if any(int(part[7:-1]) > MOST_WORDS for part in self._parts[1::2] if part.startswith("{words:")):
            raise ValueError(f"{{words:N}} goes up to {MOST_WORDS}")
        self._whole = text.encode() if len(self._parts) == 1 else None
        try:
            self.sample: Any = msgspec.json.decode(self.render(1))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ValueError(f"is not JSON: {error}") from None

    def render(self, number: int) -> bytes:
        """Return the body of the request of that number."""
        if self._whole is not None:
            return self._whole
        texts = list(self._parts)
        for place in range(1, len(texts), 2):
            texts[place] = self._filled(texts[place], number)
        return "".join(texts).encode()

    def _filled(self, placeholder: str, number: int) -> str:
        match placeholder[1:-1].split(":"):
            case ["n"]:
                return str(number)
            case ["uuid"]:
                bits = self._chance.getrandbits(128)
                # RFC 9562, 5.4: version 4, variant 10.
                return _uuid(bits & ~(0xF << 76) & ~(0x3 << 62) | 0x4 << 76 | 0x2 << 62)
            case ["words", count]:
                return " ".join(self._chance.choices(_WORDS, k=int(count)))
        return self._model


def _uuid(bits: int) -> str:
    digits = f"{bits:032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


class Rotation:
    """Several payloads, each in its turn."""

    def __init__(self, templates: Sequence[Template]) -> None:
        self._templates = templates

    def __len__(self) -> int:
        return len(self._templates)

    def render(self, number: int) -> bytes:
        """Return the body of the request of that number, from 1."""
        return self._templates[(number - 1) % len(self._templates)].render(number)


def with_fields(text: str, sample: dict[str, Any], fields: dict[str, Any]) -> str:
    """Return the text of a JSON object with the fields added that it has not; all else stays as it is.

    Args:
        text: With its placeholders.
        sample: The same, decoded; an object with at least one field.
        fields: By name.
    """
    added = "".join(
        f"{msgspec.json.encode(name).decode()}:{msgspec.json.encode(value).decode()},"
        for name, value in fields.items()
        if name not in sample
    )
    begin = text.index("{") + 1
    return text[:begin] + added + text[begin:]


def texts_of(document: str) -> list[str]:
    """Return the payloads of a file: JSON lines, or one JSON object that may run over many lines."""
    lines = [line for line in document.splitlines() if line.strip()]
    is_lines = len(lines) > 1 and all(line.lstrip().startswith("{") and line.rstrip().endswith("}") for line in lines)
    return lines if is_lines else [document]
