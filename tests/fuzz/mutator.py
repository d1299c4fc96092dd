"""Inputs made from good ones: spliced, cut, doubled, flipped, and salted with the words that parsers trip over."""

from __future__ import annotations

import random
from collections.abc import Sequence


class Mutator:
    """Makes inputs, the same ones for the same seed.

    Args:
        samples: Good inputs to begin with.
        words: Bytes that mean something to the reader under test.
        seed: Chooses the sequence.
    """

    def __init__(self, samples: Sequence[bytes], words: Sequence[bytes], seed: int) -> None:
        self._samples = samples
        self._words = words
        self.random = random.Random(seed)

    def make(self) -> bytes:
        """Return the next input."""
        chance = self.random
        data = chance.choice(self._samples)
        if chance.random() < 0.3:
            other = chance.choice(self._samples)
            data = data[: chance.randrange(len(data) + 1)] + other[chance.randrange(len(other) + 1) :]
        for _ in range(min(int(chance.expovariate(0.5)), 12)):
            data = self._change(data)
        return data

    def split(self, data: bytes) -> list[bytes]:
        """Return ``data`` as the segments it might come in."""
        chance = self.random
        if not data or chance.random() < 0.4:
            return [data]
        if len(data) < 400 and chance.random() < 0.1:
            return [data[i : i + 1] for i in range(len(data))]
        cuts = sorted(chance.randrange(len(data) + 1) for _ in range(chance.randrange(1, 5)))
        return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True) if a < b]

    def _change(self, data: bytes) -> bytes:
        chance = self.random
        at = chance.randrange(len(data) + 1)
        end = min(len(data), at + int(chance.expovariate(0.1)))
        match chance.randrange(9):
            case 0:
                return data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :]
            case 1:
                return data[:at] + bytes([chance.randrange(256)]) + data[at:]
            case 2:
                return data[:at] + data[end:]
            case 3:
                return data[:at] + data[at:end] * chance.choice((2, 2, 3, 50)) + data[end:]
            case 4:
                return data[:at]
            case 5:
                return data[:at] + self._lined(data, at) + data[at:]
            case 6:
                return data.replace(
                    chance.choice((b"\r\n", b" ", b":", b"0", b"1", b'"')), chance.choice(self._words), 1
                )
            case _:
                return data[:at] + chance.choice(self._words) + data[at:]

    def _lined(self, data: bytes, at: int) -> bytes:
        """Return a copy of some line of ``data``, to stand where it does not belong."""
        lines = data[:at].splitlines(keepends=True)
        return self.random.choice(lines) if lines else b""
