"""One exchange as a row of a table, and how numbers are told.

Rows are those of the log API, so that the page's script treats those it is sent and those it was given alike, and what
a page says of them besides.

This module must not write any markup.
"""

from __future__ import annotations

from typing import Any

from netrunner.figures import is_failure
from netrunner.pipeline.exchange import Exchange
from netrunner.values import Record
from netrunner.web.rows import row, row_in_progress

Row = dict[str, Any]
UNKNOWN = "\u2013"
"""Stands where nothing is known: a dash."""
SERVICES = {
    "openai": "OpenAI",
    "responses": "Responses",
    "anthropic": "Anthropic",
    "ollama": "Ollama",
    "gemini": "Gemini",
    "image": "Images",
}
"""What callers speak, as people write it."""


def row_of(record: Record) -> Row:
    """Return the row of an exchange that has ended."""
    told = {"state": state(record), "word": word(record), "tokens": tokens(record)}
    return row(record) | told | {"was": _was(record.model, record.upstream_model)}


def row_in_flight(exchange: Exchange) -> Row:
    """Return the row of an exchange in progress."""
    return flying(row_in_progress(exchange))


def flying(told: Row) -> Row:
    """Return the row of an exchange in progress, of this process or of another, as ``row_in_progress`` told it."""
    more = {"state": "flying", "word": "in flight", "elapsed_ms": told["duration_ms"]}
    return told | more | {"was": _was(told["original_model"], told["mapped_model"])}


BLANK: Row = {
    **dict.fromkeys(("source_ip", "service_type", "provider", "original_model", "mapped_model", "status_code", "was")),
    **dict.fromkeys(("request_size", "response_size"), 0),
    **dict.fromkeys(("id", "timestamp", "method", "path", "word", "tokens", "state"), ""),
    "duration_ms": 0,
    "elapsed_ms": 0,
}
"""What a page's script makes rows of."""
NO_ALERT: Row = dict.fromkeys(("severity", "text", "remedy", "since"), "")
"""What it makes alerts of."""


def word(record: Record) -> str:
    """Return how an exchange ended, in a word or two."""
    if record.error:
        return record.error
    return "ok" if record.outcome == "done" else record.outcome.replace("_", " ")


def tokens(record: Record) -> str:
    """Return tokens in and out as they were counted."""
    usage = record.usage
    if usage is None or (usage.input_total is None and usage.output_total is None):
        return UNKNOWN
    return f"{brief(usage.input_total)} / {brief(usage.output_total)}"


def _was(asked: str | None, served: str | None) -> str | None:
    """Return the model's name as the client knows it, where its provider knows another."""
    return asked if asked and served and asked != served else None


def state(record: Record) -> str:
    """Return how a record is marked: ``good``, ``failed``, or ``left`` when somebody ended it early."""
    if is_failure(record):
        return "failed"
    return "good" if record.outcome == "done" else "left"


def service(name: str | None) -> str:
    """Return a dialect's name for people."""
    return UNKNOWN if name is None else SERVICES.get(name, name)


def clock_time(text: str) -> str:
    """Return the time of day of a ``stamp``."""
    return text[11:19]


def calendar(text: str) -> str:
    """Return the day of a ``stamp``."""
    return text[:10]


def duration(seconds: float) -> str:
    """Return a duration in three digits or so."""
    if 0.00005 <= seconds < 0.01:
        return f"{seconds * 1000:.1f} ms"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} m {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} m"


def size(count: int | None) -> str:
    """Return a number of bytes in three digits or so."""
    if count is None:
        return UNKNOWN
    value = float(count)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if value >= 10 or unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


def brief(count: float | None) -> str:
    """Return a count: whole up to 9,999, then in thousands or millions."""
    if count is None:
        return UNKNOWN
    if count < 10_000:
        return f"{count:,.0f}" if count >= 10 or count == int(count) else f"{count:.1f}"
    unit, one = ("k", 1e3) if count < 1e6 else ("M", 1e6) if count < 1e9 else ("G", 1e9)
    value = count / one
    return f"{value:.0f}{unit}" if value >= 100 else f"{value:.1f}".removesuffix(".0") + unit
