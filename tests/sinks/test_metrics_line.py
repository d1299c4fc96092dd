"""The sink ``metrics_line``."""

import json

from netrunner.sinks.metrics_line import line


def told(record):
    word, _, document = line(record).partition(" ")
    assert word == "REQUEST_METRICS"
    return json.loads(document)


def test_the_stages_of_a_request_become_three_spans(record):
    timings = {"body": 0.01, "upstream_sent": 0.025, "first_byte": 0.5, "last_byte": 1.5}
    assert told(record(timings=timings, duration_s=1.5, streaming=True)) == {
        "timestamp": "2023-11-14T22:13:20.000Z",
        "custom_model": "fast",
        "actual_model": "gpt",
        "status": 200,
        "lookup_ms": 15.0,
        "body_process_ms": 10.0,
        "upstream_ms": 1475.0,
        "total_ms": 1500.0,
        "streaming": True,
        "path": "/v1/chat/completions",
    }


def test_a_refused_request_has_its_real_status_and_no_time_upstream(record):
    metrics = told(
        record(status=429, outcome="refused", upstream_model=None, timings={"body": 0.01, "last_byte": 0.02})
    )
    assert (metrics["status"], metrics["actual_model"]) == (429, None)
    assert (metrics["lookup_ms"], metrics["body_process_ms"], metrics["upstream_ms"]) == (None, 10.0, None)


def test_a_request_refused_at_its_head_has_a_total_only(record):
    metrics = told(record(status=401, timings={"last_byte": 0.001}, duration_s=0.001))
    spans = [metrics[name] for name in ("lookup_ms", "body_process_ms", "upstream_ms", "total_ms")]
    assert spans == [None, None, None, 1.0]


def test_a_request_sent_before_its_body_was_here_has_no_negative_span(record):
    metrics = told(record(timings={"body": 0.5, "upstream_sent": 0.1, "last_byte": 0.6}))
    assert metrics["lookup_ms"] == 0.0


def test_a_raw_route_is_sent_without_waiting_for_the_body(record):
    metrics = told(record(timings={"upstream_sent": 0.002, "last_byte": 0.6}))
    assert (metrics["lookup_ms"], metrics["body_process_ms"], metrics["upstream_ms"]) == (2.0, None, 598.0)
