"""What an operator has to know now: conditions over figures, each with a sentence that says what to do.

A figure is a sample of ``/metrics``; ``conf/alerts.yml`` holds the same for Prometheus, and more that takes its memory.
Pure: figures in, alerts out.

This module must not know where figures come from, nor who is told.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Literal, NamedTuple

import msgspec

Severity = Literal["page", "ticket"]
"""Whether it wants somebody now, or this week; the words are those of ``conf/alerts.yml``."""
DAY_S = 86400.0
FAILURES = 3
"""Of a sink in a row, above which it is more than a hiccup."""
BEHIND = 10_000
"""Records that may wait for a sink."""
FREE = 0.03
"""Share of its disk that the journal finds free, below which it is about to have no room."""
CERTIFICATE_S = 14 * DAY_S
"""Before the end of a certificate."""
GREW_S = 900.0
"""How long it is told that a count has grown."""


class Figure(msgspec.Struct, frozen=True):
    """One sample of a metric."""

    name: str
    value: float
    labels: dict[str, str] = {}


class Alert(msgspec.Struct, frozen=True):
    """One thing that is the case."""

    name: str
    subject: str
    """Which sink, target or certificate; empty where there is one only."""
    severity: Severity
    text: str
    remedy: str
    since: float
    """Unix time at which it was first seen."""


class Condition(NamedTuple):
    """When there is an alert, and what it says: texts are formats of the figure's labels, ``value`` and ``days``."""

    name: str
    figure: str
    holds: Callable[[float], bool]
    severity: Severity
    text: str
    remedy: str
    labels: Mapping[str, Collection[str]] = {}
    """Values of labels, by which figures of that name are meant, if not all."""
    grows: bool = False
    """Whether what counts is that the figure has grown lately."""


def _there(value: float) -> bool:
    return value > 0


def _away(value: float) -> bool:
    return value == 0


CONDITIONS = (
    Condition(
        "journal_full",
        "netrunner_journal_full",
        _there,
        "page",
        "The disk has no room for the journal.",
        "Make room on the disk of the state folder: until then new requests are refused, or go unrecorded if "
        "`journal.on_full` says so.",
    ),
    Condition(
        "journal_crowded",
        "netrunner_journal_crowded",
        _there,
        "page",
        "Records that a required sink has not taken fill the journal.",
        "See why that sink takes nothing, or raise `journal.max_bytes`: until then new requests are refused, or go "
        "unrecorded if `journal.on_full` says so.",
    ),
    Condition(
        "journal_nearly_full",
        "netrunner_journal_free_ratio",
        lambda value: value < FREE,
        "ticket",
        "The disk of the journal is nearly full: {value:.1%} of it are free.",
        "Make room on the disk of the state folder, or lower `journal.max_bytes` or `journal.keep_days`.",
    ),
    Condition(
        "records_lost",
        "netrunner_sink_dropped_total",
        _there,
        "page",
        "{value:,.0f} records were deleted before the sink {sink} took them.",
        "Raise `journal.max_bytes` or `journal.keep_days`, or have the journal wait for the sink (`required: true`).",
        grows=True,
    ),
    Condition(
        "sink_fails",
        "netrunner_sink_failures",
        lambda value: value > FAILURES,
        "ticket",
        "The sink {sink} has failed {value:.0f} times in a row.",
        "The daemon's log says why; its records wait in the journal as long as that has room.",
    ),
    Condition(
        "sink_behind",
        "netrunner_sink_lag_records",
        lambda value: value > BEHIND,
        "ticket",
        "{value:,.0f} records wait for the sink {sink}.",
        "It takes less than there comes: let it take larger batches, or make its receiver faster.",
    ),
    Condition(
        "target_left_alone",
        "netrunner_target_state",
        _there,
        "ticket",
        "{upstream_model} of {provider} has failed so often that it is left alone where there is another target.",
        "See whether the provider answers, and whether its key and quota are good; it is tried again by itself.",
        labels={"state": ("open", "probing")},
    ),
    Condition(
        "counters_away",
        "netrunner_counters_available",
        _away,
        "page",
        "The Redis that limits are counted in does not answer.",
        "Start it, or correct `shared`: until then what is limited is refused, or counted by each process if "
        "`shared_down` says so.",
    ),
    Condition(
        "cache_away",
        "netrunner_cache_available",
        _away,
        "ticket",
        "The Redis that answers are kept in does not answer.",
        "Start it, or correct `shared`: until then providers are asked for everything.",
    ),
    Condition(
        "database_away",
        "netrunner_database_available",
        _away,
        "page",
        "The database does not do what it is asked.",
        "The daemon's log says why; see whether its server runs and its disk has room. Records wait in the journal, "
        "and tokens that are not known yet are refused.",
    ),
    Condition(
        "configuration_refused",
        "netrunner_configuration_stale",
        _there,
        "ticket",
        "The configuration was refused when it was read last, and the one before is in force.",
        "Let `netrunner check` tell what is wrong with the file, correct it, and send SIGHUP again.",
    ),
    Condition(
        "certificate_ends",
        "netrunner_certificate_remaining_seconds",
        lambda value: value < CERTIFICATE_S,
        "ticket",
        "The certificate of {certificate} ends in {days:.0f} days.",
        "Make another one with `netrunner ca create`, have clients trust it, and name it in the configuration.",
    ),
)
WATCHED = frozenset(condition.figure for condition in CONDITIONS)
"""The metrics that alerts are about."""
Key = tuple[str, str]


class Alerts:
    """What is the case, from one look at the figures to the next."""

    def __init__(self) -> None:
        self._standing: dict[Key, Alert] = {}
        self._grown: dict[Key, tuple[float, float]] = {}
        """The value of what only grows, and when it last did."""

    @property
    def standing(self) -> list[Alert]:
        """What is the case: what wants somebody now first."""
        return sorted(
            self._standing.values(), key=lambda alert: (alert.severity, alert.since, alert.name, alert.subject)
        )

    def look(self, figures: Iterable[Figure], at: float) -> tuple[list[Alert], list[Alert]]:
        """Return what has begun and what has ended.

        Args:
            figures: Of all processes; what one of them tells is the case, whatever the others tell.
            at: Unix time.
        """
        by_name: dict[str, list[Figure]] = {}
        for figure in figures:
            by_name.setdefault(figure.name, []).append(figure)
        before, self._standing = self._standing, {}
        for condition in CONDITIONS:
            for figure in by_name.get(condition.figure, ()):
                if all(figure.labels.get(label) in values for label, values in condition.labels.items()):
                    self._judge(condition, figure, at, before)
        begun = [alert for key, alert in self._standing.items() if key not in before]
        ended = [alert for key, alert in before.items() if key not in self._standing]
        return begun, ended

    def _judge(self, condition: Condition, figure: Figure, at: float, before: Mapping[Key, Alert]) -> None:
        subject = " of ".join(
            value for label, value in reversed(figure.labels.items()) if label not in condition.labels
        )
        key = condition.name, subject
        if not condition.holds(figure.value) or (condition.grows and not self._grew(key, figure.value, at)):
            return
        since = before[key].since if key in before else at
        words = {**figure.labels, "value": figure.value, "days": figure.value / DAY_S}
        text, remedy = condition.text.format(**words), condition.remedy
        self._standing[key] = Alert(condition.name, subject, condition.severity, text, remedy, since)

    def _grew(self, key: Key, value: float, at: float) -> bool:
        known, grown_at = self._grown.get(key, (0.0, at))
        if value != known:
            # One that is lower is of another process, which has begun to count anew.
            self._grown[key] = value, at
            return True
        return at - grown_at < GREW_S
