"""``python -m tests.fuzz TARGET --inputs N --seed S``; without a target, all of them."""

from __future__ import annotations

import argparse
import sys

from tests.fuzz.run import fuzz
from tests.fuzz.targets import TARGETS


def main() -> None:
    """Run what the command line asks for and print a line for each target."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("target", nargs="*", choices=[[], *TARGETS], default=[])
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for name in options.target or TARGETS:
        report = fuzz(name, options.inputs, options.seed)
        sys.stdout.write(
            f"{name}: {report.inputs} inputs, {report.cpu_s:.0f} s of CPU,"
            f" slowest {report.slowest_s * 1000:.0f} ms, {report.growth_bytes >> 10} KiB gained\n"
        )


if __name__ == "__main__":
    main()
