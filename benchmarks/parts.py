"""The parts of a run: each takes a target through one round and yields samples.

This module must not print, and must not start what it measures.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks import load
from benchmarks.accounting import cpu_s, one_core, rss_bytes
from benchmarks.figures import Measure
from benchmarks.servers import Target

PARTS = ("start", "throughput", "latency", "streams", "fast", "memory")

START = Measure("start", "exec to first 200", "s", "<= 1.0 s")
IDLE_RSS = Measure("start", "RSS before any load", "MiB", "<= 65 MiB")
RATE = Measure("throughput", "requests, c=32", "1/s", ">= 0.25 x")
RATE_CPU = Measure("throughput", "CPU per request, c=32", "us", "<= 5 x")
RATE_P99 = Measure("throughput", "p99 latency, c=32", "us")
LATENCY = Measure("latency", "p50 latency, c=1", "us")
ADDED = Measure("latency", "p50 added to direct, c=1", "us", "<= 8 x")
STREAM_KIB = Measure("memory", "RSS per idle stream", "KiB", "<= 14 KiB")

# Streams and the pace of each in milliseconds: 2,000 events a second in all, which two cores carry with ease; 200 for
# relays that cannot carry that.
PACES = {10: 50, 100: 50, 400: 200, 1000: 500}
FAST = (10, 50, 32)
"""Streams, milliseconds between two writes, and events in each: 640 a second in one stream, as fast inference is."""

Figures = Iterator[tuple[Measure, float]]


@dataclass(frozen=True, slots=True)
class Extent:
    """How long and how large: one round of each part."""

    rounds: int
    stream_rounds: int
    burst_s: float
    single_s: float
    streams_s: float
    streams: tuple[int, ...]
    idle_streams: tuple[int, int]


FULL = Extent(5, 3, 4.0, 3.0, 5.0, (100, 400, 1000), (500, 1500))
QUICK = Extent(2, 1, 2.0, 1.0, 3.0, (100,), (100, 400))


def rounds(part: str, extent: Extent) -> int:
    """Return how often a part is measured; memory does not vary."""
    return {"memory": 1, "streams": extent.stream_rounds, "fast": extent.stream_rounds}.get(part, extent.rounds)


def start(target: Target) -> Figures:
    """How soon it answers, and what it weighs then."""
    if target.child is not None:
        yield START, target.start_s
        yield IDLE_RSS, rss_bytes(target.child.pid) / 2**20


def throughput(target: Target, extent: Extent, folder: Path) -> Figures:
    """Whole answers over 32 connections."""
    before = _cpu_s(target)
    burst = load.requests(target, folder, 32, extent.burst_s)
    yield RATE, burst.requests * 1e6 / burst.duration_us
    yield RATE_P99, burst.p99_us
    if target.child is not None:
        yield RATE_CPU, (_cpu_s(target) - before) * 1e6 / burst.requests


def latency(target: Target, extent: Extent, folder: Path) -> Figures:
    """Whole answers over one connection, one after the other.

    One request is never in two processes at once, so all share a core: what counts is the work of a relay, not how
    soon an idle core wakes, which varies threefold with where the processes happen to be.
    """
    with one_core():
        yield LATENCY, load.requests(target, folder, 1, extent.single_s).p50_us


def streams(target: Target, extent: Extent) -> Figures:
    """Paced streams: how late events are, whether all came, what relaying one costs."""
    for count, in_step in product(extent.streams, (False, True)):
        title = f"{count} streams{' in step' if in_step else ''}"
        yield from _read("streams", title, target, count, PACES[count], extent.streams_s, in_step=in_step)


def fast(target: Target, extent: Extent) -> Figures:
    """Few streams whose events come many in one read: what an event costs where waking up for it is shared."""
    count, pace_ms, at_once = FAST
    yield from _read("fast", f"{count} fast streams", target, count, pace_ms, extent.streams_s, at_once=at_once)


def _read(part: str, title: str, target: Target, count: int, pace_ms: int, seconds: float, **how: Any) -> Figures:
    before = _cpu_s(target)
    findings = load.streams(target, count, pace_ms, seconds, **how)
    if findings.events_measured:
        yield Measure(part, f"{title}: event p50", "us", "<= 1.2 x"), findings.p50_us
        yield Measure(part, f"{title}: event p99", "us", "<= 2 x"), findings.p99_us
    yield Measure(part, f"{title}: events delivered", "%", "100 %"), 100 * findings.delivered / findings.expected
    if target.child is not None:
        spent = (_cpu_s(target) - before) * 1e6 / max(1, findings.delivered)
        yield Measure(part, f"{title}: CPU per event", "us", "<= 20 us, 60 translated"), spent


def memory(target: Target, extent: Extent) -> Figures:
    """What one more idle stream weighs, both legs."""
    if target.child is None:
        return
    few, many = extent.idle_streams
    with ExitStack() as held:
        held.enter_context(load.idle_streams(target, few))
        with_few = _settled_rss(target.child.pid)
        held.enter_context(load.idle_streams(target, many - few))
        yield STREAM_KIB, (_settled_rss(target.child.pid) - with_few) / (many - few) / 1024


def settle(target: Target) -> None:
    """Wait until a relay has nothing to do any more, for a minute at most."""
    limit = time.monotonic() + 60.0
    busy_s = 1.0
    while busy_s > 0.02 and time.monotonic() < limit:
        before = _cpu_s(target)
        time.sleep(0.5)
        busy_s = _cpu_s(target) - before


def _settled_rss(pid: int) -> int:
    time.sleep(0.5)
    return rss_bytes(pid)


def _cpu_s(target: Target) -> float:
    return 0.0 if target.child is None else cpu_s(target.child.pid)
