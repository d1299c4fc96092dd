"""How a token's limits shrink over its life: the share of them that is left, along a stated curve.

Pure. This module must not know what is limited.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

import msgspec

Share = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
_HALVINGS = 4.0
"""Of an exponential curve over a whole life, unless it says otherwise."""


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From a moment of the life on, so much is left."""

    after: Share
    """Of the life."""
    share: Share


class Wither(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A curve from 1 at the beginning of a token's life to ``floor`` at its end."""

    curve: Literal["linear", "exponential", "steps"]
    floor: Share = 0.0
    """What a line ends at, and what an exponential curve comes close to."""
    half_life_s: Annotated[float, msgspec.Meta(gt=0.0)] | None = None
    """Of an exponential curve; a quarter of the life when absent."""
    steps: tuple[Step, ...] = ()
    """Of a curve of steps, in order; none makes larger again what is left."""

    def problem(self) -> str | None:
        """Return what is wrong with it, if anything is."""
        if self.curve == "steps":
            if not self.steps:
                return "a curve of steps has at least one of `steps`"
            pairs = zip((Step(0.0, 1.0), *self.steps), self.steps, strict=False)
            if any(one.after > other.after or one.share < other.share for one, other in pairs):
                return "`steps` follow each other, and each leaves no more than the one before"
        elif self.steps:
            return "`steps` belong to the curve `steps`"
        if self.half_life_s is not None and self.curve != "exponential":
            return "`half_life_s` belongs to the curve `exponential`"
        return None

    def share(self, age_s: float, life_s: float) -> float:
        """Return the share that is left, from 0 to 1, after ``age_s`` of a life of ``life_s`` seconds."""
        age_s = min(max(0.0, age_s), life_s)
        if self.curve == "steps":
            passed = [step.share for step in self.steps if step.after * life_s <= age_s]
            return passed[-1] if passed else 1.0
        if self.curve == "linear":
            return 1.0 - (1.0 - self.floor) * age_s / life_s
        half_life_s = self.half_life_s or life_s / _HALVINGS
        return self.floor + (1.0 - self.floor) * math.exp2(-age_s / half_life_s)


def left(limit: int, share: float) -> int:
    """Return what is left of a limit: at least 1 of what was not 0 while there is a share at all."""
    # A share that is a hair too large by its rounding must not give one more.
    return math.ceil(round(limit * share, 6))
