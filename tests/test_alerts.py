"""Alerts: which figures make them, what they say, and when they begin and end."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from netrunner.alerts import CONDITIONS, DAY_S, GREW_S, WATCHED, Alert, Alerts, Figure
from netrunner.web.families import FAMILIES

PAGE = Path(__file__).parents[1] / "docs" / "metrics.md"
SINK = {"sink": "jsonl"}
TARGET = {"provider": "openai", "upstream_model": "gpt-4o"}
BAD: dict[str, Figure] = {
    "journal_full": Figure("netrunner_journal_full", 1),
    "journal_crowded": Figure("netrunner_journal_crowded", 1),
    "journal_nearly_full": Figure("netrunner_journal_free_ratio", 0.012),
    "records_lost": Figure("netrunner_sink_dropped_total", 1200, SINK),
    "sink_fails": Figure("netrunner_sink_failures", 4, SINK),
    "sink_behind": Figure("netrunner_sink_lag_records", 25_000, SINK),
    "target_left_alone": Figure("netrunner_target_state", 1, {**TARGET, "state": "open"}),
    "counters_away": Figure("netrunner_counters_available", 0),
    "cache_away": Figure("netrunner_cache_available", 0),
    "database_away": Figure("netrunner_database_available", 0),
    "configuration_refused": Figure("netrunner_configuration_stale", 1),
    "certificate_ends": Figure("netrunner_certificate_remaining_seconds", 3 * DAY_S, {"certificate": "forward.x"}),
}
GOOD = [
    Figure("netrunner_journal_full", 0),
    Figure("netrunner_journal_crowded", 0),
    Figure("netrunner_journal_free_ratio", 0.5),
    Figure("netrunner_sink_dropped_total", 0, SINK),
    Figure("netrunner_sink_failures", 3, SINK),
    Figure("netrunner_sink_lag_records", 10_000, SINK),
    Figure("netrunner_target_state", 0, {**TARGET, "state": "open"}),
    Figure("netrunner_target_state", 1, {**TARGET, "state": "closed"}),
    Figure("netrunner_counters_available", 1),
    Figure("netrunner_cache_available", 1),
    Figure("netrunner_database_available", 1),
    Figure("netrunner_configuration_stale", 0),
    Figure("netrunner_certificate_remaining_seconds", 300 * DAY_S, {"certificate": "forward.x"}),
]


def only(figure: Figure) -> Alert:
    """Return the one alert that a figure makes."""
    (alert,), ended = Alerts().look([*GOOD, figure], 100.0)
    assert ended == []
    return alert


def test_nothing_is_the_case_while_all_is_well() -> None:
    alerts = Alerts()
    assert alerts.look(GOOD, 100.0) == ([], [])
    assert alerts.standing == []


@pytest.mark.parametrize("condition", CONDITIONS, ids=lambda condition: condition.name)
def test_every_condition_is_about_a_metric_that_is_there_and_says_what_to_do(condition: Any) -> None:
    (family,) = [family for family in FAMILIES if family.name == condition.figure]
    figure = BAD[condition.name]
    assert set(figure.labels) == set(family.labels)
    alert = only(figure)
    assert (alert.name, alert.severity, alert.remedy) == (condition.name, condition.severity, condition.remedy)
    assert "{" not in alert.text
    assert alert.text.endswith(".")
    assert alert.remedy.endswith(".")


@pytest.mark.parametrize(
    ("name", "subject", "text"),
    [
        ("records_lost", "jsonl", "1,200 records were deleted before the sink jsonl took them."),
        (
            "target_left_alone",
            "gpt-4o of openai",
            "gpt-4o of openai has failed so often that it is left alone where there is another target.",
        ),
        ("journal_nearly_full", "", "The disk of the journal is nearly full: 1.2% of it are free."),
        ("certificate_ends", "forward.x", "The certificate of forward.x ends in 3 days."),
    ],
)
def test_an_alert_tells_whom_it_is_about_and_how_bad_it_is(name: str, subject: str, text: str) -> None:
    alert = only(BAD[name])
    assert (alert.subject, alert.text) == (subject, text)


def test_an_alert_stands_since_it_was_first_seen_and_ends_once() -> None:
    alerts = Alerts()
    (begun,), _ = alerts.look([BAD["sink_fails"]], 100.0)
    worse = Figure("netrunner_sink_failures", 9, SINK)
    assert alerts.look([worse], 105.0) == ([], [])
    (standing,) = alerts.standing
    assert (begun.since, standing.since, standing.text) == (100.0, 100.0, "The sink jsonl has failed 9 times in a row.")
    assert alerts.look(GOOD, 110.0) == ([], [standing])
    assert alerts.look(GOOD, 115.0) == ([], [])


def test_a_target_that_is_tried_again_is_not_well_yet() -> None:
    alerts = Alerts()
    alerts.look([BAD["target_left_alone"]], 100.0)
    assert alerts.look([Figure("netrunner_target_state", 1, {**TARGET, "state": "probing"})], 130.0) == ([], [])
    assert [alert.since for alert in alerts.standing] == [100.0]


def test_what_one_process_tells_is_the_case_whatever_the_others_tell() -> None:
    alerts = Alerts()
    alerts.look([*GOOD, BAD["counters_away"], *GOOD, BAD["counters_away"]], 100.0)
    assert [alert.name for alert in alerts.standing] == ["counters_away"]


def test_what_wants_somebody_now_comes_first() -> None:
    alerts = Alerts()
    alerts.look([BAD["sink_fails"]], 100.0)
    alerts.look([BAD["sink_fails"], BAD["journal_full"]], 200.0)
    assert [alert.name for alert in alerts.standing] == ["journal_full", "sink_fails"]


def test_records_that_were_lost_are_told_for_a_while_and_again_when_more_are() -> None:
    alerts = Alerts()

    def lost(count: int, at: float) -> list[str]:
        alerts.look([Figure("netrunner_sink_dropped_total", count, SINK)], at)
        return [alert.text for alert in alerts.standing]

    assert lost(7, 100.0)
    assert lost(7, 100.0 + GREW_S - 1)
    assert lost(7, 100.0 + GREW_S) == []
    assert lost(8, 5000.0) == ["8 records were deleted before the sink jsonl took them."]
    assert lost(2, 9000.0)  # of a process that has counted from nothing


def test_the_page_about_metrics_lists_every_alert() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (page|ticket) \|", PAGE.read_text(), re.MULTILINE)
    assert rows == [(condition.name, condition.severity) for condition in CONDITIONS]


def test_metrics_that_alerts_are_about_are_each_told_by_one_condition_or_more() -> None:
    assert {figure.name for figure in BAD.values()} == WATCHED
