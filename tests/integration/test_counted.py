"""What metrics count of every way to end is what the journal holds, record by record (row 60)."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from netrunner.journal.logs import newest_first
from netrunner.pipeline.measures import NONE, OTHER
from netrunner.values import Outcome, Record
from tests.support.crowd import idle, providers
from tests.support.daemon import Daemon
from tests.support.dialogue import Provider
from tests.torture.traffic import Traffic

pytestmark = pytest.mark.integration
Counts = dict[str, Counter[frozenset[tuple[str, str]]]]
"""By the name of a metric and the labels of a sample."""


def counted(daemon: Daemon) -> Counts:
    """Return what a scrape tells of its counters that have counted anything."""
    found: Counts = defaultdict(Counter)
    for family in text_string_to_metric_families(daemon.request("GET", "/metrics")[2].decode()):
        for sample in family.samples:
            if sample.value and sample.name.endswith("_total"):
                found[sample.name][frozenset(sample.labels.items())] = int(sample.value)
    return found


def recorded(records: list[Record]) -> Counts:
    """Return what the same counters should have counted."""
    found: Counts = defaultdict(Counter)

    def add(name: str, count: int | None, **labels: str) -> None:
        if count:
            found[f"netrunner_{name}_total"][frozenset(labels.items())] += count

    for one in records:
        model = one.model if one.model in (None, "m", "echo") else OTHER
        whose = {"provider": one.provider or NONE, "model": model or NONE}
        how = {"status": f"{one.status // 100}xx", "outcome": one.outcome}
        add("requests", 1, route=one.route, dialect=one.dialect or NONE, **whose, **how)
        add("received_bytes", one.bytes_in, **whose)
        add("sent_bytes", one.bytes_out, **whose)
        if one.error:
            add("errors", 1, outcome=one.outcome, code=one.error)
            if one.outcome == Outcome.REFUSED.value:
                add("refusals", 1, code=one.error, recorded="yes")
        for attempt in one.attempts:
            if attempt.error:
                add("failed_attempts", 1, provider=attempt.provider, code=attempt.error)
        if one.usage is not None:
            add("tokens", one.usage.input_total, **whose, kind="input")
            add("tokens", one.usage.output_total, **whose, kind="output")
    return found


def test_every_end_is_counted_once_as_it_is_recorded(tmp_path: Path) -> None:
    with Provider() as provider, Daemon(tmp_path, providers({"echo": {"type": "echo"}}, m=provider.port)) as daemon:
        Traffic(daemon.port, provider, "m", 0).round()
        daemon.wait_for(lambda: idle(daemon))
        told = counted(daemon)
        records = list(newest_first(daemon.state))
    assert {one.outcome for one in records} == {
        "done",
        "client_gone",
        "upstream_truncated",
        "upstream_failed",
        "refused",
    }
    owed = recorded(records)
    unrecorded = {key for key in told["netrunner_refusals_total"] if ("recorded", "no") in key}
    assert len(unrecorded) == 4
    for key in unrecorded:
        del told["netrunner_refusals_total"][key]
    assert {name: told[name] for name in owed} == owed
