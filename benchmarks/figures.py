"""Samples of several rounds, and their medians and ratios.

This module must not start, time or print anything.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measure:
    """One row of the table: what is measured, in which unit, and what netrunner is to reach."""

    part: str
    name: str
    unit: str
    aim: str = ""


@dataclass(frozen=True, slots=True)
class Sample:
    """One figure of one relay in one round."""

    measure: Measure
    relay: str
    round: int
    value: float


@dataclass(frozen=True, slots=True)
class Row:
    """A measure with its medians per relay, and the ratios to the relay compared with."""

    measure: Measure
    medians: dict[str, float]
    ratios: dict[str, float]


def percentile(values: Iterable[float], share: float) -> float:
    """Return the smallest value that at least ``share`` (0 to 1) of ``values`` do not exceed (nearest rank).

    Raises:
        ValueError: There are no values.
    """
    ordered = sorted(values)
    if not ordered:
        raise ValueError("no values")
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def summarise(samples: Sequence[Sample], base: str) -> list[Row]:
    """Return one row per measure in the order of first appearance.

    A ratio is the median of the ratios within each round, so that a machine that is slower in one round than
    in the next moves both sides of it.
    """
    return [_row(measure, samples, base) for measure in dict.fromkeys(sample.measure for sample in samples)]


def _row(measure: Measure, samples: Sequence[Sample], base: str) -> Row:
    rounds: dict[str, dict[int, float]] = {}
    for sample in samples:
        if sample.measure == measure:
            rounds.setdefault(sample.relay, {})[sample.round] = sample.value
    medians = {relay: statistics.median(values.values()) for relay, values in rounds.items()}
    ratios = {}
    against = rounds.get(base, {})
    for relay, values in rounds.items():
        paired = [value / against[number] for number, value in values.items() if against.get(number)]
        if paired:
            ratios[relay] = statistics.median(paired)
    return Row(measure, medians, ratios)
