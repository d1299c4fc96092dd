"""Two runs side by side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from netrunner.cli.bench.compare import compare, differences
from netrunner.cli.main import main

BEFORE = {"requests": 10, "p99_latency_ms": 100.0, "throughput_rps": 50.0, "error_rate": 0.0, "gap_ms": {"p50": 10.0}}
AFTER = {"requests": 20, "p99_latency_ms": 125.0, "throughput_rps": 40.0, "error_rate": 0.5, "gap_ms": None}


def run(capsys: pytest.CaptureFixture[str], *arguments: Any) -> tuple[Any, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["bench", "compare", *map(str, arguments)])
    return (ended.value.code, *capsys.readouterr())


@pytest.fixture
def reports(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "before.json", tmp_path / "after.json"]
    for path, report in zip(paths, (BEFORE, AFTER), strict=True):
        path.write_text(json.dumps(report))
    return paths


def test_what_both_have_is_compared_and_worse_has_a_direction() -> None:
    rows = {row.name: row for row in compare(BEFORE, AFTER)}
    assert set(rows) == {"p99_latency_ms", "throughput_rps", "error_rate"}
    assert (rows["p99_latency_ms"].change, rows["p99_latency_ms"].worse) == (0.25, 0.25)
    assert (rows["throughput_rps"].change, rows["throughput_rps"].worse) == (-0.2, 0.2)
    assert (rows["error_rate"].change, rows["error_rate"].worse) == (None, 1.0)


def test_a_figure_within_an_object_is_found() -> None:
    assert [row.name for row in compare({"gap_ms": {"p50": 1}}, {"gap_ms": {"p50": 2}})] == ["gap_ms.p50"]


def test_what_was_asked_differently_is_told() -> None:
    assert differences(BEFORE, AFTER) == [("requests", 10, 20)]


def test_the_table_has_a_row_for_each_figure(capsys: pytest.CaptureFixture[str], reports: list[Path]) -> None:
    code, out, err = run(capsys, *reports)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "not the same: requests was 10, is 20"
    assert ["p99_latency_ms", "100.000", "125.000", "+25.0%"] in [line.split() for line in lines]


def test_a_figure_worse_by_more_than_is_allowed_fails(capsys: pytest.CaptureFixture[str], reports: list[Path]) -> None:
    code, _, err = run(capsys, "--max-regression", "22", *reports)
    assert code == 1
    assert err.splitlines() == [
        "p99_latency_ms is worse by more than 22 %",
        "error_rate is worse by more than 22 %",
    ]


def test_it_is_told_in_json_as_well(capsys: pytest.CaptureFixture[str], reports: list[Path]) -> None:
    code, out, _ = run(capsys, "--format", "json", *reports)
    assert code == 0
    told = json.loads(out)
    assert {"name": "p99_latency_ms", "before": 100.0, "after": 125.0, "change": 0.25, "worse": 0.25} in told["rows"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--max-regression", "x"], "--max-regression: expected a number from 0, got 'x'"),
        (["--format", "xml"], "--format: expected text or json"),
    ],
)
def test_a_wrong_flag_is_named(
    capsys: pytest.CaptureFixture[str], reports: list[Path], arguments: list[str], message: str
) -> None:
    assert run(capsys, *arguments, *reports) == (2, "", f"{message}\n")


def test_what_is_no_report_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path, reports: list[Path]) -> None:
    (tmp_path / "x").write_text("[1]")
    assert run(capsys, tmp_path / "x", reports[1])[::2] == (
        2,
        f"{tmp_path}/x: is no report of netrunner bench in JSON\n",
    )
    assert run(capsys, "/nowhere", reports[1])[::2] == (2, "/nowhere: cannot be read: No such file or directory\n")
