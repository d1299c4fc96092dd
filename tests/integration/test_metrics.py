"""Metrics of a real daemon: scraped as Prometheus does, and held against its journal."""

from __future__ import annotations

import base64
import json
import re
import time
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.daemon import ECHO, ROOT, Daemon

pytestmark = pytest.mark.integration

ASKED = {
    "model": "echo",
    "stream": True,
    "stream_options": {"include_usage": True},
    "messages": [{"role": "user", "content": "one two three"}],
}


def total(daemon: Daemon, name: str, **labels: str) -> float:
    """Return the sum of a metric's samples that have these labels."""
    status, _, body = daemon.request("GET", "/metrics")
    assert status == 200
    return sum(
        sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def test_a_scrape_tells_of_requests_sinks_and_the_process(tmp_path: Path) -> None:
    sink = "sinks: [{type: jsonl, path: records}]\n"
    with Daemon(tmp_path, ECHO + sink) as daemon:
        for _ in range(3):
            assert daemon.request("POST", "/v1/chat/completions", ASKED)[0] == 200
        assert daemon.request("POST", "/v1/chat/completions", {**ASKED, "model": "none"})[0] == 404
        assert daemon.request("GET", "/nowhere")[0] == 404
        assert total(daemon, "netrunner_requests_total", model="echo", status="2xx", outcome="done") == 3
        assert total(daemon, "netrunner_requests_total") == 4
        assert total(daemon, "netrunner_refusals_total") == 2
        assert total(daemon, "netrunner_tokens_total", kind="output") > 0
        assert total(daemon, "netrunner_build_info") == 1
        assert total(daemon, "netrunner_connections") == 1
        assert total(daemon, "process_resident_memory_bytes") > 1_000_000
        daemon.wait_for(lambda: total(daemon, "netrunner_sink_written_total", sink="jsonl") == 4)
        assert total(daemon, "netrunner_sink_lag_records") == 0
    assert len((tmp_path / "records").read_text().splitlines()) == 4


def test_every_metric_of_the_dashboard_is_in_a_scrape(tmp_path: Path) -> None:
    asked = set(
        re.findall(r"\b(?:netrunner|process)_[a-z_]+(?=\{)", (ROOT / "conf/grafana/netrunner.json").read_text())
    )
    with Daemon(tmp_path, ECHO) as daemon:
        scraped = daemon.request("GET", "/metrics")[2].decode()
    there = set(re.findall(r"^# TYPE (\S+)", scraped, re.MULTILINE))
    assert len(asked) > 20
    assert {name.removesuffix("_bucket") for name in asked} <= there


def test_counts_outlive_a_reload_and_know_its_models(tmp_path: Path) -> None:
    with Daemon(tmp_path, ECHO) as daemon:
        daemon.request("POST", "/v1/chat/completions", ASKED)
        daemon.write_config(ECHO.replace("name: echo", "name: renamed"))
        daemon.control("reload")
        daemon.request("POST", "/v1/chat/completions", {**ASKED, "model": "renamed"})
        assert total(daemon, "netrunner_requests_total", model="echo") == 1
        assert total(daemon, "netrunner_requests_total", model="renamed") == 1


def test_with_an_admin_a_scrape_needs_the_credential(tmp_path: Path) -> None:
    with Daemon(tmp_path, ECHO + "admin: {user: ann, password: a-password-of-hers}\n") as daemon:
        assert daemon.request("GET", "/metrics")[0] == 401
        credential = base64.b64encode(b"ann:a-password-of-hers").decode()
        status, headers, body = daemon.request(
            "GET", "/metrics", headers={"Authorization": f"Basic {credential}", "Accept": "application/json"}
        )
        assert (status, headers["content-type"]) == (200, "application/json")
        assert "netrunner_requests_total" in json.loads(body)


def test_the_stages_of_an_answer_fit_into_the_time_the_client_waited(tmp_path: Path) -> None:
    with Daemon(tmp_path, ECHO) as daemon:
        began = time.monotonic()
        _, headers, _ = daemon.request("POST", "/v1/chat/completions", ASKED)
        waited_ms = (time.monotonic() - began) * 1000
        stages = re.findall(r"(\w+);dur=([\d.]+)", headers["server-timing"])
        assert [stage for stage, _ in stages] == ["recv", "route", "connect", "upstream", "hold", "lag"]
        assert 0 < sum(float(value) for _, value in stages[:-1]) <= waited_ms
        daemon.write_config(ECHO + "server: {server_timing: false}\n")
        daemon.control("reload")
        assert "server-timing" not in daemon.request("POST", "/v1/chat/completions", ASKED)[1]
