"""docs/logs.md: its examples are tried against a daemon, its tables compared with what is told."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from netrunner.summary import Client, Failure, Repeat
from netrunner.web.arguments import FILTERS
from tests.support.binaries import require_binary
from tests.support.daemon import PATIENCE_S, Daemon

pytestmark = pytest.mark.integration

PAGE = (Path(__file__).parents[2] / "docs" / "logs.md").read_text()
BLOCKS = re.findall(r"^```bash\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
FEED = "curl -sN http://127.0.0.1:8080/api/live\n"
CHAT = {"model": "echo", "messages": [{"role": "user", "content": "Hello"}]}


def table(title: str) -> list[str]:
    """Return the names in the first column of the table whose first heading is ``title``."""
    rows = PAGE.partition(f"| {title} |")[2].partition("\n\n")[0].splitlines()[2:]
    return [name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])]


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with Daemon(tmp_path) as daemon:
        assert daemon.request("POST", "/v1/chat/completions", CHAT)[0] == 200
        yield daemon


def commands(daemon: Daemon) -> list[str]:
    """Return all examples but the feed's, a line each, as they are typed one after the other."""
    require_binary("curl")
    text = "".join(block for block in BLOCKS if block != FEED)
    return text.replace("http://127.0.0.1:8080/", f"http://127.0.0.1:{daemon.port}/").splitlines()


def run(lines: list[str]) -> str:
    script = "set -e\n" + "\n".join(lines)
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_every_example_is_answered_as_the_page_says(daemon: Daemon) -> None:
    lines = commands(daemon)
    [identify] = [line for line in lines if line.startswith("ID=")]
    told: dict[str, Any] = {}
    for line in lines:
        if line != identify:
            path = line.rpartition(f":{daemon.port}")[2].strip("'\"")
            told[path] = json.loads(run([identify, line]))
    [row] = told["/api/logs?limit=20&failed=false&q=model:echo+status:200"]
    assert (told["/api/logs?limit=1"], row["status_code"]) == ([row], 200)
    assert set(row) == set(table("field of a row"))
    page = told["/api/logs?envelope=true&limit=20&outcome=done"]
    assert page["data"] == [row]
    assert [name for name in page["meta"] if f"`{name}`" not in PAGE] == []
    one = told["/api/logs/$ID"]
    assert set(one) == {*row, "record", "request", "response"}
    assert set(one["response"]) | {"base64"} == set(table("field of a message"))
    assert told["/api/logs/$ID/response"]["choices"][0]["message"]["content"] == "Hello"
    assert told["/api/stats"]["total_requests"] == 1
    assert [point["id"] for point in told["/api/performance?hours=1&model=echo"]["data_points"]] == [row["id"]]
    assert [one["requests"] for one in told["/api/clients?hours=1"]["data"]] == [1]
    assert told["/api/errors?hours=1&q=project:team"]["data"] == []
    assert told["/api/repeats?within_s=10"]["data"] == []
    for group in (Client, Failure, Repeat):
        assert [name for name in group.__struct_fields__ if f"`{name}`" not in PAGE] == []
    assert told["/api/inflight"] == []
    assert told["/api/inflight/$ID/end"]["error"]["code"] == "not_found"
    assert len(told) == 12
    for name in (*told["/api/stats"], *told["/api/performance?hours=1&model=echo"]["data_points"][0]):
        assert f"`{name}`" in PAGE


def test_the_feed_of_the_page_tells(daemon: Daemon) -> None:
    assert FEED in BLOCKS
    require_binary("curl")
    command = FEED.replace(":8080/", f":{daemon.port}/").split()
    with subprocess.Popen([*command, "--max-time", str(PATIENCE_S)], stdout=subprocess.PIPE, text=True) as curl:
        assert curl.stdout is not None
        said = (line for line in curl.stdout if line.startswith(("event", "data")))
        assert [next(said), next(said)] == ["event: dashboard_update\n", 'data: {"inflight":[]}\n']
        curl.kill()


def test_every_argument_is_described() -> None:
    assert table("argument")[0] == "limit"
    assert set(FILTERS) | {"limit", "envelope"} == set(table("argument"))
