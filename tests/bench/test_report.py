"""The report: its fields, its CSV, its lines, and what is never in it."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from netrunner.cli.bench.report import Run, csv_of, report, summary
from netrunner.cli.bench.schedule import Plan
from netrunner.cli.bench.settings import BenchSettings
from netrunner.cli.bench.tally import Sample, Tally
from netrunner.settings import Secret
from tests.support.bench import CHAT

CONTRACT = [
    "base_url", "endpoint", "requests", "concurrency", "total_duration_ms", "average_latency_ms", "p50_latency_ms",
    "p90_latency_ms", "p99_latency_ms", "throughput_rps", "error_rate", "errors",
]  # fmt: skip


def document(*samples: Sample, **run: Any) -> dict[str, Any]:
    tally = Tally()
    for sample in samples:
        tally.add(sample)
    settings = BenchSettings(token=Secret("sk-1"), header=("X-Key: hidden",), payload=('{"a": "a prompt"}',))
    told = {"took_s": 2.0, "missed": 0, "interrupted": False, "client_share": 0.1, **run}
    return report(Run(settings=settings, plan=Plan(concurrency=10), target=CHAT, payloads=1, **told), tally)


def answered(latency_s: float, **fields: Any) -> Sample:
    return Sample(latency_s=latency_s, status=200, head_s=latency_s, **fields)


STREAMED = answered(
    0.5, first_token_s=0.1, gaps_s=[0.2, 0.2], generating_s=0.4, pieces=3, output_tokens=5, input_tokens=2,
    stages_s={"recv": 0.001, "upstream": 0.05}, sent_to_head_s=0.06,
)  # fmt: skip


def test_the_fields_of_the_contract_stand_first() -> None:
    told = document(*(answered(latency) for latency in (0.1, 0.2, 0.3)), Sample(status=429, error="http_429"))
    assert list(told)[: len(CONTRACT)] == CONTRACT
    assert (told["base_url"], told["endpoint"]) == ("http://127.0.0.1:8080", "/v1/chat/completions")
    assert (told["requests"], told["concurrency"], told["total_duration_ms"]) == (4, 10, 2000.0)
    assert (told["average_latency_ms"], told["throughput_rps"], told["error_rate"]) == (200.0, 1.5, 0.25)
    assert (told["errors"], told["statuses"]) == ({"http_429": 1}, {"200": 3, "429": 1})
    assert 300.0 <= told["p99_latency_ms"] <= 301.2


def test_what_was_not_measured_is_null() -> None:
    told = document(Sample(error="connection_failed"))
    assert told["average_latency_ms"] is told["p99_latency_ms"] is told["first_token_ms"] is told["tokens"] is None
    assert told["error_rate"] == 1.0


def test_streams_tell_first_tokens_gaps_and_tokens_per_second() -> None:
    told = document(STREAMED)
    assert told["first_token_ms"]["p50"] == 100.0
    assert (told["gap_ms"]["count"], told["gap_ms"]["max"]) == (2, 200.0)
    assert told["tokens"] == {"answers_counted": 1, "input": 2, "output": 5, "output_per_second": 2.5}
    assert told["tokens_per_second"]["mean"] == 10.0
    assert sum(count for _, count in told["histograms"]["gap_ms"]) == 2


def test_the_split_between_proxy_and_upstream_is_told() -> None:
    told = document(STREAMED)
    assert (told["proxy_ms"]["mean"], told["upstream_ms"]["mean"], told["outside_ms"]["mean"]) == (1.0, 50.0, 9.0)
    assert told["stages_ms"] == {"recv": 1.0, "upstream": 50.0}


def test_neither_credential_nor_prompt_is_in_any_form_of_it() -> None:
    told = document(STREAMED)
    everything = json.dumps(told) + csv_of(told) + "\n".join(summary(told))
    assert not any(secret in everything for secret in ("sk-1", "hidden", "a prompt"))


def test_the_columns_of_csv_are_the_same_for_every_run() -> None:
    one, other = (
        list(csv.DictReader(io.StringIO(csv_of(each))))
        for each in (document(STREAMED), document(Sample(status=500, error="http_500")))
    )
    assert len(one) == len(other) == 1
    assert one[0].keys() == other[0].keys()
    assert one[0]["first_token_ms.p50"] == "100.0"
    assert (other[0]["first_token_ms.p50"], other[0]["errors"]) == ("", "http_500:1")


def test_the_summary_has_a_line_for_each_figure_and_no_more_bars_than_fit() -> None:
    lines = summary(document(STREAMED, *(answered(number * 1.07**number) for number in range(1, 120))))
    assert [line.split()[0] for line in lines if "_ms " in line or "tokens_per" in line][:3] == [
        "latency_ms",
        "first_byte_ms",
        "first_token_ms",
    ]
    bars = lines[lines.index("latency, ms up to") + 1 :]
    assert len(bars) <= 20
    assert sum(int(bar.split()[1]) for bar in bars) == 120


def test_the_summary_warns_of_a_rate_too_high_and_of_a_load_too_busy() -> None:
    text = "\n".join(summary(document(STREAMED, missed=7, client_share=0.97)))
    assert "7 requests were due and never sent" in text
    assert "The load itself took all of a core" in text


def test_an_interrupted_run_says_so() -> None:
    told = document(STREAMED, interrupted=True)
    assert told["interrupted"] is True
    assert summary(told)[0].endswith("(interrupted)")
