"""``netrunner bench`` against a real daemon: every dialect over our own pool, and the command as somebody runs it."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from twisted.internet import reactor  # noqa: TID251 - a real reactor is what is tested with

import pytest_twisted
from netrunner.cli.bench.load import Load
from netrunner.cli.bench.requests import Requests
from netrunner.cli.bench.settings import FIELDS, BenchSettings
from netrunner.cli.bench.tally import Tally
from netrunner.clock import SystemClock
from netrunner.http.pool import Pool
from netrunner.http.sweep import Sweep
from netrunner.settings import PoolLimits, Secret, Timeouts
from tests.support.daemon import PATIENCE_S, ROOT, Daemon

pytestmark = pytest.mark.integration

TOKEN = "a-token-that-nobody-may-see-0123"
GUARDED = (
    "access: {mode: token, token: {env: BENCH_TOKEN}}\nsinks: []\nproviders: {echo: {type: echo}}\nmodels:\n"
) + "".join(
    f"  - {{name: {name}, targets: [{{provider: echo, model: echo}}]}}\n"
    for name in ("echo", "my-gpt4", "gpt-4o", "slow")
)
DOCS = (ROOT / "docs" / "bench.md").read_text()
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ORIGIN = re.compile(r"--base-url \S+")


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Daemon(tmp_path_factory.mktemp("bench"), GUARDED, environ={"BENCH_TOKEN": TOKEN}) as daemon:
        yield daemon


def command(daemon: Daemon | None, *arguments: str) -> list[str]:
    program = [sys.executable, "-c", "from netrunner.cli.main import main; main()", "bench"]
    where = [] if daemon is None else ["--base-url", f"http://127.0.0.1:{daemon.port}", "--token", "env:BENCH_TOKEN"]
    return [*program, *where, *arguments]


def environ() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "BENCH_TOKEN": TOKEN}


def bench(daemon: Daemon | None, *arguments: str, folder: Path | None = None) -> tuple[int, str, str]:
    done = subprocess.run(
        command(daemon, *arguments),
        env=environ(),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S * 3,
        check=False,
    )
    assert TOKEN not in done.stdout + done.stderr
    return done.returncode, done.stdout, done.stderr


def chat(content: str, model: str = "echo") -> str:
    return json.dumps({"model": model, "messages": [{"role": "user", "content": content}]})


async def measured(settings: BenchSettings) -> Tally:
    clock = SystemClock(reactor)
    sweep = Sweep(clock)
    sweep.start()
    pool = Pool(reactor, sweep, Timeouts(), PoolLimits())
    requests = Requests(settings, Random(1))
    load = Load(clock, pool, settings.plan(), requests.target, requests.of)
    try:
        await load.run()
    finally:
        pool.close()
        sweep.stop()
    return load.tally


@pytest.mark.parametrize(
    ("endpoint", "streams"),
    [
        ("/v1/chat/completions", True),
        ("/v1/completions", True),
        ("/v1/embeddings", False),
        ("/v1/responses", True),
        ("/v1/messages", True),
        ("/v1/messages/count_tokens", False),
        ("/v1beta/models/{model}:generateContent", True),
        ("/v1beta/models/{model}:embedContent", False),
        ("/api/chat", True),
        ("/api/generate", True),
        ("/api/embed", False),
    ],
)
@pytest_twisted.ensureDeferred
async def test_each_dialect_is_asked_and_read_in_its_own_way(daemon: Daemon, endpoint: str, streams: bool) -> None:
    where = f"http://127.0.0.1:{daemon.port}"
    given: dict[str, Any] = {"base_url": where, "endpoint": endpoint, "requests": 3, "token": Secret(TOKEN)}
    tally = await measured(BenchSettings(**given))
    assert (tally.succeeded, tally.failed, tally.errors) == (3, 0, {})
    assert (tally.first_token.count, tally.proxy.count) == (0, 3)
    if streams:
        tally = await measured(BenchSettings(**given, stream=True))
        assert (tally.succeeded, tally.errors) == (3, {})
        assert (tally.first_token.count, tally.counted) == (3, 3)
        assert tally.pieces >= 3
        assert tally.output_tokens > 0


def test_a_run_writes_its_report_and_tells_its_summary(daemon: Daemon, tmp_path: Path) -> None:
    payload = chat("/echo events=4 delay=0.001 {n} {uuid}")
    path = tmp_path / "report.json"
    arguments = ("--requests", "12", "--warmup", "3", "--stream", "--payload", payload, "--payload", chat("short"))
    code, out, err = bench(daemon, *arguments, "--concurrency", "2", "--quiet", "--output", str(path))
    assert (code, err) == (0, "")
    assert out.startswith(f"12 requests, 2 at once, to http://127.0.0.1:{daemon.port}/v1/chat/completions\n")
    text = path.read_text()
    report = json.loads(text)
    assert (report["requests"], report["concurrency"], report["payloads"]) == (12, 2, 2)
    assert (report["errors"], report["statuses"], report["error_rate"]) == ({}, {"200": 12}, 0.0)
    assert report["first_token_ms"]["count"] == report["proxy_ms"]["count"] == report["upstream_ms"]["count"] == 12
    assert report["gap_ms"]["count"] >= 6
    assert report["tokens"]["answers_counted"] == 12
    assert TOKEN not in text
    assert "events=4" not in text + out


def test_at_a_rate_all_are_sent_and_the_line_of_csv_says_so(daemon: Daemon) -> None:
    code, out, _ = bench(daemon, "--rate", "100", "--requests", "20", "--format", "csv", "--quiet")
    assert code == 0
    (row,) = csv.DictReader(io.StringIO(out))
    assert (row["requests"], row["rate"], row["missed"], row["statuses"]) == ("20", "100.0", "0", "200:20")
    assert float(row["total_duration_ms"]) >= 190.0


def test_what_the_server_refuses_is_counted_by_status_and_fails(daemon: Daemon) -> None:
    arguments = ("--requests", "6", "--payload", chat("/echo error=429 x"), "--payload", chat("x"), "--format", "json")
    code, out, err = bench(daemon, *arguments, "--max-error-rate", "0.2", "--quiet")
    report = json.loads(out)
    assert (report["errors"], report["statuses"]) == ({"http_429": 3}, {"200": 3, "429": 3})
    assert (code, err) == (1, "error_rate is 0.5, more than --max-error-rate 0.2\n")


@pytest_twisted.ensureDeferred
async def test_a_credential_that_is_not_valid_and_a_stream_that_breaks_off_are_errors(daemon: Daemon) -> None:
    where = f"http://127.0.0.1:{daemon.port}"
    refused = await measured(BenchSettings(base_url=where, token=Secret("another-one"), requests=2))
    assert (refused.errors, refused.statuses, refused.error_rate) == ({"http_401": 2}, {401: 2}, 1.0)
    broken = BenchSettings(
        base_url=where, token=Secret(TOKEN), requests=2, stream=True, payload=(chat("/echo events=9 cut=3 a"),)
    )
    cut = await measured(broken)
    assert (cut.failed, cut.statuses) == (2, {200: 2})


def test_where_nobody_listens_it_says_so_and_fails() -> None:
    arguments = ("--base-url", "http://127.0.0.1:1", "--requests", "2", "--format", "json", "--quiet")
    code, out, err = bench(None, *arguments)
    assert (code, json.loads(out)["errors"], err) == (1, {"connection_failed": 2}, "")


def test_wrong_flags_are_named_and_nothing_is_sent() -> None:
    assert bench(None, "--requests", "0", "--stream", "--rate", "x") == (
        2,
        "",
        "--requests: expected a number from 1 to 1000000000, got 0\n--rate: expected a number or nothing, got 'x'\n",
    )


def test_ctrl_c_tells_what_was_measured_so_far(daemon: Daemon) -> None:
    payloads = ("--payload", chat("x"), "--payload", chat("/echo stall=1 a b", "slow"))
    arguments = ("--stream", "--requests", "2", "--concurrency", "1", *payloads, "--format", "json", "--quiet")
    with subprocess.Popen(
        command(daemon, *arguments), env=environ(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        # The second is asked for when the first has been counted.
        daemon.wait_for(lambda: [one["model"] for one in daemon.control("inflight")["inflight"]] == ["slow"])
        run.send_signal(signal.SIGINT)
        out, err = run.communicate(timeout=PATIENCE_S)
    report = json.loads(out)
    assert (run.returncode, err) == (130, "")
    assert report["interrupted"] is True
    assert (report["requests"], report["statuses"]) == (1, {"200": 1})


@pytest.fixture(scope="module")
def shown(daemon: Daemon, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run what the page shows, in the order of the page, in a folder with the files it shows."""
    folder = tmp_path_factory.mktemp("docs")
    shell: list[str] = ["set -e", 'netrunner() { "$PYTHON" -c "from netrunner.cli.main import main; main()" "$@"; }']
    for kind, text in BLOCK.findall(DOCS):
        if kind == "yaml":
            (folder / "bench.yaml").write_text(text)
        elif kind == "json":
            (folder / "payloads.jsonl").write_text(text)
        elif kind == "sh":
            here = f"netrunner bench --base-url http://127.0.0.1:{daemon.port} --token env:AUTH_TOKEN "
            shell.append(re.sub(r"netrunner bench (?!compare)", here, ORIGIN.sub("", text)))
    keys = dict.fromkeys(("AUTH_TOKEN", "OPENAI_API_KEY"), TOKEN)
    done = subprocess.run(
        ["bash", "-c", "\n".join(shell)],
        cwd=folder,
        env={**environ(), **keys, "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S * 6,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (folder / "shown").write_text(done.stdout)
    return folder


def test_the_examples_of_the_page_measure_what_they_say(shown: Path) -> None:
    reports = {path.stem: json.loads(path.read_text()) for path in shown.glob("*.json")}
    assert set(reports) == {"proxy", "direct", "streams"}
    assert {report["error_rate"] for report in reports.values()} == {0.0}
    assert reports["streams"]["dialect"] == "gemini"
    assert "p99_latency_ms" in (shown / "shown").read_text()


def test_the_page_names_every_flag() -> None:
    assert [flag for flag in FIELDS if f"`--{flag}`" not in DOCS] == []
