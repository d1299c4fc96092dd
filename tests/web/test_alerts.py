"""conf/alerts.yml: rules that Prometheus takes, about metrics that are there, and that fire when they should."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from netrunner.web.families import FAMILIES
from tests.support.binaries import require_binary

ROOT = Path(__file__).parents[2]
RULES = ROOT / "conf" / "alerts.yml"
ALERTS = {rule["alert"]: rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]}


def minutes(series: str, values: str) -> dict[str, str]:
    return {"series": f"netrunner_{series}", "values": values}


FIRING: dict[str, list[dict[str, str]]] = {
    "NetrunnerDown": [{"series": 'up{job="netrunner", instance="a"}', "values": "0x30"}],
    "NetrunnerErrors": [
        minutes('requests_total{instance="a", status="5xx"}', "0+10x30"),
        minutes('requests_total{instance="a", status="2xx"}', "0+90x30"),
    ],
    "NetrunnerSlow": [
        minutes('first_byte_seconds_bucket{instance="a", provider="p", le="30"}', "0+1x30"),
        minutes('first_byte_seconds_bucket{instance="a", provider="p", le="60"}', "0+10x30"),
        minutes('first_byte_seconds_bucket{instance="a", provider="p", le="+Inf"}', "0+10x30"),
    ],
    "NetrunnerProviderFails": [
        minutes('target_failures_total{instance="a", provider="p", upstream_model="m"}', "0+3x30"),
        minutes('target_attempts_total{instance="a", provider="p", upstream_model="m"}', "0+10x30"),
    ],
    "NetrunnerTargetLeftAlone": [minutes('target_state{instance="a", provider="p", state="open"}', "1x30")],
    "NetrunnerLimitsReached": [minutes('limit_denials_total{instance="a", scope="s", limit="l"}', "0+60x30")],
    "NetrunnerCountsAlone": [minutes('counters_available{instance="a"}', "0x30")],
    "NetrunnerForgets": [minutes('cache_available{instance="a"}', "0x30")],
    "NetrunnerDatabaseAway": [minutes('database_available{instance="a"}', "0x30")],
    "NetrunnerSinkBehind": [minutes('sink_lag_records{instance="a", sink="s"}', "20000x30")],
    "NetrunnerJournalNearlyFull": [minutes('journal_free_ratio{instance="a"}', "0.02x30")],
    "NetrunnerConfigurationRefused": [minutes('configuration_stale{instance="a"}', "1x30")],
    "NetrunnerCertificateEnds": [
        minutes('certificate_remaining_seconds{instance="a", certificate="c"}', "86400x30"),
    ],
    "NetrunnerRecordsLost": [minutes('sink_dropped_total{instance="a", sink="s"}', "0x15 7x15")],
    "NetrunnerSinkFails": [minutes('sink_failures{instance="a", sink="s"}', "9x30")],
    "NetrunnerJournalFull": [
        minutes('journal_full{instance="a"}', "0x30"),
        minutes('journal_crowded{instance="a"}', "1x30"),
    ],
    "NetrunnerOverloaded": [minutes('reactor_lag_seconds{instance="a", over="p99"}', "0.4x30")],
    "NetrunnerWorkersDie": [minutes('worker_restarts_total{instance="a", worker="supervisor"}', "0x15 4x15")],
}
"""What makes each of them fire within half an hour, a value a minute."""


@pytest.mark.parametrize("name", ALERTS)
def test_every_rule_is_about_metrics_and_labels_that_are_there(name: str) -> None:
    labels = {family.name: {*family.labels, "instance"} for family in FAMILIES}
    labels["netrunner_worker_restarts_total"] = {"instance"}
    query = ALERTS[name]["expr"]
    metrics = re.findall(r"\b(netrunner_[a-z_]+)(?:\{([^}]*)\})?", query)
    assert metrics or name == "NetrunnerDown"
    for metric, matchers in metrics:
        known = labels[metric.removesuffix("_bucket")]
        assert set(re.findall(r"(\w+)=", matchers)) <= known
        assert {one for by in re.findall(r"by \(([^)]*)\)", query) for one in re.split(r",\s*", by)} - {"le"} <= known


def test_every_rule_says_what_is_the_matter_and_how_much_of_a_hurry_it_is() -> None:
    assert {rule["labels"]["severity"] for rule in ALERTS.values()} == {"page", "ticket"}
    assert [name for name, rule in ALERTS.items() if not rule["annotations"]["summary"].endswith(".")] == []


def test_prometheus_takes_the_rules_and_each_fires_when_it_should(tmp_path: Path) -> None:
    assert set(FIRING) == set(ALERTS)
    tool = require_binary("promtool")
    tests = [case(name, series, quiet) for name, series in FIRING.items() for quiet in (False, True)]
    path = tmp_path / "test.yml"
    path.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}))
    for command in (["check", "rules", str(RULES)], ["test", "rules", str(path)]):
        done = subprocess.run([tool, *command], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def case(name: str, series: list[dict[str, str]], quiet: bool) -> dict[str, Any]:
    """Return a test for promtool: the alert fires, and does not when nothing is told at all."""
    rule = ALERTS[name]
    asked: dict[str, Any] = {"expr": f'count(ALERTS{{alertname="{name}", alertstate="firing"}})', "eval_time": "25m"}
    return {
        "name": f"{name}, {rule['labels']['severity']}",
        "interval": "1m",
        "input_series": [] if quiet else series,
        "promql_expr_test": [{**asked, "exp_samples": [] if quiet else [{"labels": "{}", "value": 1}]}],
    }
