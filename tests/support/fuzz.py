"""How much generated input a fuzz test takes."""

from __future__ import annotations

import os

GATE = 20_000


def inputs_per_target() -> int:
    """Return how many inputs each target is fed: 20,000, or ``NETRUNNER_FUZZ_INPUTS``."""
    return int(os.environ.get("NETRUNNER_FUZZ_INPUTS", GATE))
