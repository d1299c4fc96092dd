"""The report of a run: a document, a line of CSV, or a few lines to be read.

Milliseconds, three digits after the point; what was not measured is null. No token, prompt or answer is in it.

Pure. This module must not measure or write anything.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from netrunner.cli.bench.histogram import Histogram
from netrunner.cli.bench.schedule import Plan
from netrunner.cli.bench.settings import BenchSettings
from netrunner.cli.bench.tally import Tally
from netrunner.cli.bench.targets import Target

BUSY_SHARE = 0.9
"""Of a core: beyond it the load itself may be what is slow."""
_WIDTH = 40
_MOST_BARS = 20
_SHARES = (("p50", 0.5), ("p90", 0.9), ("p99", 0.99))


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What there is to tell besides the tally."""

    settings: BenchSettings
    plan: Plan
    target: Target
    payloads: int
    took_s: float
    missed: int
    interrupted: bool
    client_share: float
    """Of a core, that sending and reading took."""


def report(run: Run, tally: Tally) -> dict[str, Any]:
    """Return the document."""
    took_s = run.took_s or 1e-9
    return {
        "base_url": run.settings.base_url,
        "endpoint": run.target.path,
        "requests": tally.requests,
        "concurrency": run.plan.concurrency,
        "total_duration_ms": _ms(run.took_s),
        "average_latency_ms": _ms(tally.latency.mean),
        **{f"{name}_latency_ms": _ms(tally.latency.percentile(share)) for name, share in _SHARES},
        "throughput_rps": round(tally.succeeded / took_s, 3),
        "error_rate": round(tally.error_rate, 6),
        "errors": dict(sorted(tally.errors.items())),
        "statuses": {str(status): count for status, count in sorted(tally.statuses.items())},
        "latency_ms": _spread(tally.latency),
        "first_byte_ms": _spread(tally.head),
        "first_token_ms": _spread(tally.first_token),
        "gap_ms": _spread(tally.gap),
        "tokens": _tokens(tally, took_s),
        "tokens_per_second": _spread(tally.stream_rate, 1.0),
        "proxy_ms": _spread(tally.proxy),
        "upstream_ms": _spread(tally.upstream),
        "outside_ms": _spread(tally.outside),
        "stages_ms": {stage: _ms(tally.stages[stage].mean) for stage in sorted(tally.stages)},
        "late_ms": _spread(tally.late),
        "missed": run.missed,
        "interrupted": run.interrupted,
        "dialect": run.target.dialect,
        "stream": run.settings.stream,
        "payloads": run.payloads,
        "rate": run.plan.rate,
        "duration_s": run.plan.duration_s,
        "warmup": run.settings.warmup,
        "received_bytes": tally.bytes,
        "client_cpu_share": round(run.client_share, 3),
        "histograms": {
            "latency_ms": _buckets(tally.latency),
            "first_token_ms": _buckets(tally.first_token),
            "gap_ms": _buckets(tally.gap),
        },
    }


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1e3, 3)


def _spread(histogram: Histogram, scale: float = 1e3) -> dict[str, Any] | None:
    """Return how values spread; None if there are none."""
    if histogram.mean is None:
        return None
    found = {name: histogram.percentile(share) or 0.0 for name, share in _SHARES}
    values = {"mean": histogram.mean, "min": histogram.smallest, **found, "max": histogram.largest}
    return {"count": histogram.count, **{name: round(value * scale, 3) for name, value in values.items()}}


def _tokens(tally: Tally, took_s: float) -> dict[str, Any] | None:
    if not tally.counted:
        return None
    return {
        "answers_counted": tally.counted,
        "input": tally.input_tokens,
        "output": tally.output_tokens,
        "output_per_second": round(tally.output_tokens / took_s, 3),
    }


def _buckets(histogram: Histogram) -> list[list[float]]:
    """Return pairs of an upper bound and a count."""
    return [[round(top * 1e3, 6), count] for top, count in histogram.buckets()]


def csv_of(document: Mapping[str, Any]) -> str:
    """Return a header and one line of what a report holds, histograms left out."""
    cells = dict(_cells({name: value for name, value in document.items() if name != "histograms"}))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(cells.keys())
    writer.writerow(cells.values())
    return text.getvalue()


COLUMNS = ("mean", "min", "p50", "p90", "p99", "max")
SPREADS = (
    "latency_ms",
    "first_byte_ms",
    "first_token_ms",
    "gap_ms",
    "tokens_per_second",
    "proxy_ms",
    "upstream_ms",
    "outside_ms",
    "late_ms",
)
_COUNTED = ("errors", "statuses")
_TOKENS = ("answers_counted", "input", "output", "output_per_second")
_STAGES = ("recv", "filters", "route", "connect", "upstream", "hold")


def _cells(document: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield columns that are the same for every run, so that lines of several can stand below each other."""
    parts = {**dict.fromkeys(SPREADS, COLUMNS), "tokens": _TOKENS, "stages_ms": _STAGES}
    for name, value in document.items():
        if name in parts:
            for part in parts[name]:
                yield f"{name}.{part}", (value or {}).get(part, "")
        elif name in _COUNTED:
            yield name, " ".join(f"{kind}:{count}" for kind, count in value.items())
        else:
            yield name, "" if value is None else value


def summary(document: Mapping[str, Any]) -> list[str]:
    """Return what somebody at a terminal wants to know, as lines."""
    asked = f"{document['base_url'].rstrip('/')}{document['endpoint']}"
    head = f"{document['requests']} requests, {document['concurrency']} at once, to {asked}"
    lines = [head + " (interrupted)" * document["interrupted"]]
    seconds = document["total_duration_ms"] / 1e3
    lines.append(f"{seconds:.2f} s, {document['throughput_rps']:.1f} answers/s, {document['error_rate']:.2%} failed")
    lines += [_counts("status", document["statuses"]), _counts("errors", document["errors"])]
    lines += ["", f"{'':18}" + "".join(f"{name:>11}" for name in COLUMNS)]
    lines += [_spread_line(name, document[name]) for name in SPREADS if document[name] is not None]
    if document["tokens"] is not None:
        tokens = document["tokens"]
        per_second = f"{tokens['output_per_second']:.1f} output tokens/s"
        lines += ["", f"tokens: {tokens['input']} in, {tokens['output']} out, {per_second}"]
    if document["stages_ms"]:
        stages = ", ".join(f"{stage} {took}" for stage, took in document["stages_ms"].items())
        lines += ["", f"mean ms in the proxy's stages: {stages}"]
    if document["histograms"]["latency_ms"]:
        lines += ["", "latency, ms up to"]
        lines += _bars(document["histograms"]["latency_ms"])
    return lines + _warnings(document)


def _counts(name: str, counts: Mapping[str, int]) -> str:
    told = ", ".join(f"{kind}: {count}" for kind, count in counts.items())
    return f"{name}: {told or 'none'}"


def _spread_line(name: str, spread: Mapping[str, float]) -> str:
    return f"{name:18}" + "".join(f"{spread[column]:>11.3f}" for column in COLUMNS)


def _bars(buckets: list[list[float]]) -> list[str]:
    """Draw a histogram; neighbours are drawn together until there is room for all."""
    while len(buckets) > _MOST_BARS:
        buckets = [[pair[-1][0], sum(count for _, count in pair)] for pair in _pairs(buckets)]
    most = max(count for _, count in buckets)
    return [f"{top:>12.3f} {int(count):>9} {'#' * round(_WIDTH * count / most)}".rstrip() for top, count in buckets]


def _pairs(buckets: list[list[float]]) -> Iterator[list[list[float]]]:
    """Yield neighbours two by two; the first stands alone if their number is odd."""
    odd = len(buckets) % 2
    if odd:
        yield buckets[:1]
    for place in range(odd, len(buckets), 2):
        yield buckets[place : place + 2]


def _warnings(document: Mapping[str, Any]) -> list[str]:
    lines = []
    if document["missed"]:
        lines.append(f"{document['missed']} requests were due and never sent: the rate was too much for --concurrency.")
    if document["client_cpu_share"] > BUSY_SHARE:
        lines.append("The load itself took all of a core: these figures are its own as much as the server's.")
    return ["", *lines] if lines else []
