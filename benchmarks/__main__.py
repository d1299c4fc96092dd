"""The command line: ``python -m benchmarks [--quick] [--only PARTS] [--relays NAMES] [--peers] [--output FILE]``.

This module must not measure by itself; it only puts the parts in their order.
"""

from __future__ import annotations

import argparse
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from benchmarks import load, parts, peers, servers
from benchmarks.accounting import BenchmarkError, Others
from benchmarks.figures import Measure, Sample, summarise
from benchmarks.report import BASE, document, table, versus

_BUSY_CORES = 0.1
_RELAYS = servers.RELAYS | peers.RELAYS
_BESIDE_PEERS = ("nginx", "netrunner", "recorded", *peers.RELAYS)


def _names(known: Sequence[str]) -> Callable[[str], list[str]]:
    """Return a parser of some of ``known``, separated by commas, which it puts in their order."""

    def names(text: str) -> list[str]:
        if unknown := set(text.split(",")) - set(known):
            raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))} is none of {', '.join(known)}")
        return [name for name in known if name in text.split(",")]

    return names


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure netrunner beside nginx.")
    parser.add_argument("--quick", action="store_true", help="a short form, about 40 s: two rounds, fewer streams")
    parser.add_argument("--only", type=_names(parts.PARTS), default=parts.PARTS, help=", ".join(parts.PARTS))
    parser.add_argument("--relays", type=_names(tuple(_RELAYS)), help=", ".join(_RELAYS))
    parser.add_argument(
        "--peers", action="store_const", dest="relays", const=_BESIDE_PEERS, help=f"--relays {','.join(_BESIDE_PEERS)}"
    )
    parser.add_argument("--streams", type=_names([str(count) for count in parts.PACES]), help="how many in a round")
    parser.add_argument("--rounds", type=int, help="rounds of each part")
    parser.add_argument("--output", type=Path, help="where to write every figure as JSON")
    return parser


class Run:
    """One run: the targets in turn, part by part and round by round."""

    def __init__(self, folder: Path, extent: parts.Extent, chosen: Sequence[str], relays: Sequence[str]) -> None:
        self.samples: list[Sample] = []
        self.troubles: list[str] = []
        """What peers did not do; their figures of it are missing."""
        self._folder = folder
        self._extent = extent
        self._chosen = chosen
        self._relays = relays

    def measure(self) -> None:
        """Run the chosen parts; what they found is in ``samples``."""
        with ExitStack() as started:
            direct = started.enter_context(servers.upstreams(self._folder))
            if "start" in self._chosen:
                self._starts(direct)
            targets = [direct]
            targets += [started.enter_context(_RELAYS[name](self._folder, direct)) for name in self._relays]
            for target in targets:
                load.check(target)
            for part in self._chosen:
                for number in range(parts.rounds(part, self._extent)):
                    # Whoever comes first in a round comes last in the next.
                    for target in targets if number % 2 == 0 else reversed(targets):
                        self._note(part, target, number)
        self._note_added()

    def _starts(self, direct: servers.Target) -> None:
        for number in range(self._extent.rounds):
            for name in self._relays:
                with _RELAYS[name](self._folder, direct) as target:
                    self._add(target.name, number, parts.start(target))

    def _note(self, part: str, target: servers.Target, number: int) -> None:
        began = time.monotonic()
        try:
            self._take(part, target, number)
        except BenchmarkError as error:
            if target.name not in peers.RELAYS:
                raise
            self.troubles.append(f"{part} {number + 1}: {error}")
        if target.name in peers.RELAYS:
            parts.settle(target)  # What it still has to do would disturb whoever comes next.
        elapsed = time.monotonic() - began
        print(f"{part} {number + 1}: {target.name} ({elapsed:.1f} s)", file=sys.stderr, flush=True)

    def _take(self, part: str, target: servers.Target, number: int) -> None:
        match part:
            case "throughput":
                self._add(target.name, number, parts.throughput(target, self._extent, self._folder))
            case "latency":
                self._add(target.name, number, parts.latency(target, self._extent, self._folder))
            case "streams":
                self._add(target.name, number, parts.streams(target, self._extent))
            case "fast":
                self._add(target.name, number, parts.fast(target, self._extent))
            case "memory":
                self._add(target.name, number, parts.memory(target, self._extent))

    def _add(self, relay: str, number: int, figures: Iterator[tuple[Measure, float]]) -> None:
        for measure, value in figures:
            self.samples.append(Sample(measure, relay, number, value))

    def _note_added(self) -> None:
        latencies = [sample for sample in self.samples if sample.measure == parts.LATENCY]
        direct = {sample.round: sample.value for sample in latencies if sample.relay == "direct"}
        self.samples += [
            Sample(parts.ADDED, sample.relay, sample.round, sample.value - direct[sample.round])
            for sample in latencies
            if sample.relay != "direct"
        ]


def main() -> int:
    """Run the benchmarks; return 0, or 1 when an event was lost or there are no figures."""
    arguments = _arguments().parse_args()
    relays = list(arguments.relays or servers.RELAYS)
    extent = parts.QUICK if arguments.quick else parts.FULL
    if arguments.streams:
        extent = replace(extent, streams=tuple(map(int, arguments.streams)))
    if arguments.rounds:
        extent = replace(extent, rounds=arguments.rounds, stream_rounds=arguments.rounds)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    others = Others()
    with tempfile.TemporaryDirectory(prefix="netrunner-bench-") as folder:
        run = Run(Path(folder), extent, arguments.only, relays)
        try:
            servers.require("nginx", "wrk")
            peers.require(relays)
            run.measure()
        except BenchmarkError as error:
            print(error, file=sys.stderr)
            return 1
    samples = sorted(run.samples, key=lambda sample: (parts.PARTS.index(sample.measure.part), sample.relay == "direct"))
    rows = summarise(samples, BASE)
    print(table(rows, ["direct", *relays]))
    for peer in peers.RELAYS:
        print(versus(samples, peer, peers.AIMS[peer]), end="")
    for trouble in run.troubles:
        print(f"Missing: {trouble}")
    busy = others.cores()
    print(f"\nOther processes kept {busy:.2f} cores busy meanwhile{'; measure again' * (busy > _BUSY_CORES)}.")
    if arguments.output is not None:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(document(rows, samples, busy))
    delivered = [sample for sample in samples if sample.measure.unit == "%" and sample.relay not in peers.RELAYS]
    return 0 if all(sample.value == 100.0 for sample in delivered) else 1


if __name__ == "__main__":
    sys.exit(main())
