"""Feeding one target: time per input and memory are watched as well."""

from __future__ import annotations

import resource
import time
from dataclasses import dataclass

from tests.fuzz.mutator import Mutator
from tests.fuzz.targets import TARGETS
from tests.support.logs import FailureLog

MAX_INPUT_S = 1.0
"""CPU seconds that no single input may take."""
MAX_GROWTH_BYTES = 10 << 20
"""Resident memory that may be gained after the first tenth of the inputs."""


class Found(AssertionError):
    """An input that broke something; the message has it, and the seed it came from."""


@dataclass(frozen=True)
class Report:
    """What a run took."""

    target: str
    inputs: int
    cpu_s: float
    slowest_s: float
    growth_bytes: int


def fuzz(name: str, inputs: int, seed: int = 0) -> Report:
    """Feed ``inputs`` generated inputs to the target called ``name``.

    Raises:
        Found: at the first one that raises, logs a failure or takes too long, or when memory grows.
    """
    target = TARGETS[name]()
    mutator = Mutator(target.samples, target.words, seed)
    began = time.process_time()
    slowest, settled = 0.0, 0
    with FailureLog() as log:
        for number in range(inputs):
            if number == inputs // 10:
                settled = _resident()
            pieces = mutator.split(mutator.make())
            before = time.process_time()
            try:
                target.take(pieces)
                log.assert_empty()
            except Exception as error:
                raise Found(f"{name}, seed {seed}, input {number}: {pieces!r}") from error
            took = time.process_time() - before
            slowest = max(slowest, took)
            if took > MAX_INPUT_S:
                raise Found(f"{name}, seed {seed}, input {number} took {took:.1f} s: {pieces!r:.2000}")
    growth = _resident() - settled
    if growth > MAX_GROWTH_BYTES:
        raise Found(f"{name}, seed {seed}: {growth} bytes of memory gained")
    return Report(name, inputs, time.process_time() - began, slowest, growth)


def _resident() -> int:
    """Return the bytes of memory this process holds now."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize()
