"""The two nodes of ``docs/scaling.md``: real daemons, PostgreSQL and Redis behind a real nginx."""

from __future__ import annotations

import base64
import http.client
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from netrunner.journal.logs import newest_first
from tests.support.daemon import PATIENCE_S, ROOT, Daemon
from tests.support.nginx import SNIPPET, Nginx
from tests.support.postgres import Postgres
from tests.support.redis import RedisServer

pytestmark = pytest.mark.integration

PAGE = (ROOT / "docs" / "scaling.md").read_text()
NODE = next(text for text in re.findall(r"(?ms)^```yaml\n(.*?)^```$", PAGE) if "DATABASE_URL" in text)
(UPSTREAM,) = re.findall(r"(?ms)^```nginx\n(.*?)^```$", PAGE)
LIMIT = 30
"""Requests a minute, of both nodes together."""
ADMIN = {"Authorization": "Basic " + base64.b64encode(b"me:secret").decode()}


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    with Postgres() as server:
        yield server.database()


@pytest.fixture(scope="module")
def counters() -> Iterator[str]:
    with RedisServer() as server:
        yield server.url


def node(folder: Path, database: str, counters: str, workers: int) -> Daemon:
    """Return a node as on the page, its address, its state folder and the number of its workers apart."""
    config = re.sub(r"(?m)^(listen|state|workers): .*\n", "", NODE)
    assert config.count("\n") == NODE.count("\n") - 3
    assert config.count("requests_per_minute: 600") == 1
    config = config.replace("requests_per_minute: 600", f"requests_per_minute: {LIMIT}") + f"workers: {workers}\n"
    environ = {
        "BALANCER": "127.0.0.1",
        "DATABASE_URL": database,
        "REDIS_URL": counters,
        "AUTH_TOKEN": "token",
        "ADMIN_USER": "me",
        "ADMIN_PASSWORD": "secret",
    }
    return Daemon(folder, config, environ=environ)


def test_two_nodes_behind_nginx_share_the_load_the_limit_and_the_log(
    tmp_path: Path, database: str, counters: str
) -> None:
    with node(tmp_path / "one", database, counters, 2) as one, node(tmp_path / "two", database, counters, 1) as two:
        upstream = UPSTREAM.replace("10.0.0.11:8080", f"127.0.0.1:{one.port}")
        upstream = upstream.replace("10.0.0.12:8080", f"127.0.0.1:{two.port}")
        (shipped,) = re.findall(r"(?ms)^upstream netrunner \{.*?^\}\n", SNIPPET.read_text())
        shipped = shipped.replace("127.0.0.1:8080", "127.0.0.1:1")
        with Nginx(tmp_path / "nginx", 1, ((shipped, upstream),)) as nginx:
            connection = http.client.HTTPConnection("127.0.0.1", nginx.port, timeout=PATIENCE_S)
            ids = []
            statuses = []
            for _ in range(LIMIT + 10):
                body = json.dumps({"model": "echo", "messages": [{"role": "user", "content": "hi"}]})
                headers = {"Host": "llm.example.com", "Authorization": "Bearer token"}
                connection.request("POST", "/v1/chat/completions", body, headers)
                response = connection.getresponse()
                assert response.read()
                statuses.append(response.status)
                ids.append(response.headers["X-Request-ID"])
            connection.close()
            assert statuses == [200] * LIMIT + [429] * 10
            assert nginx.errors() == ""

        def known(daemon: Daemon) -> Counter[str]:
            _, _, body = daemon.request("GET", "/api/logs?limit=1000", headers={**ADMIN, "Host": "llm.example.com"})
            return Counter(row["request_id"] for row in json.loads(body))

        assert all(any(newest_first(daemon.state)) for daemon in (one, two))
        for daemon in (one, two):
            daemon.wait_for(lambda daemon=daemon: known(daemon) == Counter(ids))  # type: ignore[misc]
