"""How a run goes, while it goes: a display that is redrawn on a terminal, a line now and then elsewhere.

This module must not change a run, and must not write to standard output, which is the report's.
"""

from __future__ import annotations

import sys
from typing import Any, Protocol, TextIO

from netrunner.cli.bench.load import Load

HINT = "netrunner bench: a live display needs `pip install 'netrunner[cli]'`; lines it is"
REDRAW_S = 0.25
LINE_S = 5.0


class Display(Protocol):
    """Where progress is shown."""

    every_s: float
    """Seconds between two calls of ``show``."""

    def show(self, load: Load, phase: str) -> None:
        """Show how it stands."""

    def close(self) -> None:
        """Show nothing any more."""


class Silent:
    """Shows nothing."""

    every_s = 3600.0

    def show(self, load: Load, phase: str) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class Lines:
    """Writes a line now and then."""

    every_s = LINE_S

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def show(self, load: Load, phase: str) -> None:
        """Write a line."""
        print(line(load, phase), file=self._stream, flush=True)

    def close(self) -> None:
        """Do nothing."""


class Live:
    """Redraws a bar and figures below it, by rich; the cursor is given back at the end."""

    every_s = REDRAW_S

    def __init__(self, stream: TextIO, rich: Any) -> None:
        self._progress = rich.Progress(
            rich.TextColumn("{task.description}"),
            rich.BarColumn(),
            rich.TextColumn("{task.fields[figures]}"),
            console=rich.Console(file=stream),
            auto_refresh=False,
            transient=True,
        )
        self._task = self._progress.add_task("", total=None, figures="")
        self._progress.start()

    def show(self, load: Load, phase: str) -> None:
        """Redraw."""
        share = share_done(load)
        total = None if share is None else 1.0
        self._progress.update(self._task, description=phase, completed=share or 0.0, total=total, figures=figures(load))
        self._progress.refresh()

    def close(self) -> None:
        """Take it away."""
        self._progress.stop()


class _Rich:
    """What is used of rich."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        self.Console, self.BarColumn, self.Progress, self.TextColumn = Console, BarColumn, Progress, TextColumn


def display(quiet: bool, stream: TextIO = sys.stderr) -> Display:
    """Return where progress is shown: a terminal gets what redraws itself, if rich is there."""
    if quiet:
        return Silent()
    if not stream.isatty():
        return Lines(stream)
    try:
        return Live(stream, _Rich())
    except ImportError:
        print(HINT, file=stream)
        return Lines(stream)


def share_done(load: Load) -> float | None:
    """Return how much of a run is done, 0 to 1, by whatever ends it first; None if nothing is known of its end."""
    plan = load.plan
    shares = []
    if plan.requests is not None:
        shares.append(load.tally.requests / plan.requests)
    if plan.duration_s is not None:
        shares.append(load.elapsed_s / plan.duration_s)
    return min(1.0, max(shares)) if shares else None


def figures(load: Load) -> str:
    """Return the figures so far."""
    tally, seconds = load.tally, max(load.elapsed_s, 1e-9)
    told = [f"{tally.requests} answered", f"{load.in_flight} open", f"{tally.succeeded / seconds:.1f}/s"]
    for name, histogram in (("p50", tally.latency), ("p99", tally.latency)):
        value = histogram.percentile(0.5 if name == "p50" else 0.99)
        if value is not None:
            told.append(f"{name} {value * 1e3:.1f} ms")
    if tally.failed:
        told.append(f"{tally.failed} failed")
    return ", ".join(told)


def line(load: Load, phase: str) -> str:
    """Return one line that tells how it stands."""
    share = share_done(load)
    done = "" if share is None else f" {share:.0%}"
    return f"{phase}{done}: {figures(load)}"
