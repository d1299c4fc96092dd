"""The two loads: wrk for requests that are answered whole, the stream reader for paced streams.

This module must not know which relay it loads.
"""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.accounting import BenchmarkError
from benchmarks.servers import ANSWER, TOKEN, Target
from benchmarks.streams import Findings, Order

_PATH = "/v1/chat/completions"
_BODY = json.dumps(
    {
        "model": "fast",
        "messages": [
            {"role": "system", "content": "You are a terse assistant that answers in one short sentence."},
            {"role": "user", "content": "Which river flows through the town where the oldest printing press stands?"},
        ],
        "temperature": 0.2,
    }
)
_TEXTS = ("x" * 360, json.loads(ANSWER)["choices"][0]["message"]["content"])
"""Of answers that are written anew: those of other dialects, and of OpenAI's."""
_SCRIPT = """\
wrk.method = "POST"
wrk.body = [[%s]]
for name, value in pairs({%s}) do wrk.headers[name] = value end
function done(summary, latency, requests)
   local errors = summary.errors
   io.write(string.format('\\n{"requests": %%d, "duration_us": %%d, "p50_us": %%d, "p99_us": %%d, "failed": %%d}\\n',
      summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
      errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
"""


@dataclass(frozen=True, slots=True)
class Burst:
    """What wrk saw."""

    requests: int
    duration_us: int
    p50_us: int
    p99_us: int
    failed: int


def check(target: Target) -> None:
    """Send one request and compare the answer byte for byte with what the upstream sends.

    Raises:
        BenchmarkError: It is not the upstream's answer.
    """
    connection = http.client.HTTPConnection("127.0.0.1", target.fast_port, timeout=60.0)
    try:
        connection.request("POST", _PATH, _BODY, _headers(target))
        response = connection.getresponse()
        answer = response.read().decode()
    finally:
        connection.close()
    same = answer == ANSWER
    if response.status == 200 and target.translates:
        same = json.loads(answer)["choices"][0]["message"]["content"] in _TEXTS
    if response.status != 200 or not same:
        raise BenchmarkError(f"{target.name} does not relay: {response.status} {answer[:300]}")


def requests(target: Target, folder: Path, connections: int, seconds: float) -> Burst:
    """Send requests over ``connections`` kept-alive connections for ``seconds``.

    Raises:
        BenchmarkError: Any of them failed; figures of a load with failures say nothing.
    """
    script = folder / "post.lua"
    script.write_text(
        _SCRIPT % (_BODY, ", ".join(f"[{name!r}] = [[{value}]]" for name, value in _headers(target).items()))
    )
    url = f"http://127.0.0.1:{target.fast_port}{_PATH}"
    argv = [
        "wrk",
        "-t1",
        f"-c{connections}",
        f"-d{max(1, round(seconds))}s",
        "--timeout",
        "20s",
        "-s",
        str(script),
        url,
    ]
    result = subprocess.run(argv, capture_output=True, text=True, timeout=seconds + 30, check=False)
    if result.returncode:
        raise BenchmarkError(f"wrk: {result.stderr or result.stdout}")
    burst = Burst(**json.loads(result.stdout.strip().splitlines()[-1]))
    if burst.failed or not burst.requests:
        raise BenchmarkError(f"{burst.failed} of {burst.requests} requests through {target.name} failed")
    return burst


def streams(target: Target, count: int, pace_ms: int, seconds: float, **how: Any) -> Findings:
    """Read ``count`` paced streams for ``seconds`` beyond the opening of the last one; faults go to standard error.

    ``how`` are further fields of the order.
    """
    order = replace(_order(target, count, pace_ms, seconds), **how)
    reader = subprocess.run(_reader(order), capture_output=True, text=True, timeout=seconds + 120, check=False)
    if reader.returncode:
        raise BenchmarkError(f"the stream reader failed: {reader.stderr}")
    findings = Findings(**json.loads(reader.stdout))
    for fault in findings.faults:
        print(f"{target.name}, {count} streams: {fault}", file=sys.stderr)
    return findings


@contextmanager
def idle_streams(target: Target, count: int) -> Iterator[None]:
    """Hold ``count`` streams open that had one event and wait for the next.

    Raises:
        BenchmarkError: Not all of them could be opened.
    """
    order = replace(_order(target, count, 600_000, 0.0), hold=True)
    with subprocess.Popen(_reader(order), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout is not None
        findings: dict[str, Any] = json.loads(reader.stdout.readline() or "{}")
        if findings.get("delivered") != count:
            raise BenchmarkError(f"{target.name} does not hold {count} streams: {findings}")
        yield


def _order(target: Target, count: int, pace_ms: int, seconds: float) -> Order:
    headers = dict(target.headers.get("paced", {}))
    return Order(target.paced_port, TOKEN, "paced", count, pace_ms, seconds, rewritten=target.rewrites, headers=headers)


def _headers(target: Target) -> dict[str, str]:
    more = target.headers.get("fast", {})
    return {"Content-Type": "application/json", "Authorization": f"Bearer {TOKEN}", **more}


def _reader(order: Order) -> list[str]:
    return [sys.executable, "-m", "benchmarks.streams", json.dumps(asdict(order))]
