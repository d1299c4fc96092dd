"""The two nodes of ``docs/scaling.md``: real daemons, PostgreSQL and Redis behind a real nginx."""

from __future__ import annotations

import base64
import http.client
import json
import re
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from netrunner.journal.logs import newest_first
from tests.support.daemon import PATIENCE_S, ROOT, Daemon
from tests.support.dialogue import END_OF_BODY, STREAM_HEAD, Provider, chat, dial, event
from tests.support.nginx import SNIPPET, Nginx
from tests.support.postgres import Postgres
from tests.support.proxies import Haproxy
from tests.support.redis import RedisServer

pytestmark = pytest.mark.integration

PAGE = (ROOT / "docs" / "scaling.md").read_text()
NODE = next(text for text in re.findall(r"(?ms)^```yaml\n(.*?)^```$", PAGE) if "DATABASE_URL" in text)
(SERVERS,) = re.findall(r"(?ms)^```haproxy\n(.*?)^```$", PAGE)
(UPSTREAM,) = re.findall(r"(?ms)^```nginx\n(.*?)^```$", PAGE)
LIMIT = 30
"""Requests a minute, of both nodes together."""
OPEN = "access: {public: true}\n"
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


def test_haproxy_sends_each_stream_to_the_node_with_the_fewest_and_none_to_one_that_ends(tmp_path: Path) -> None:
    with (
        Provider() as provider,
        Daemon(tmp_path / "one", f"{provider.config}server: {{hosts: [llm.example.com]}}\n{OPEN}") as one,
        Daemon(tmp_path / "two", f"{provider.config}server: {{hosts: [llm.example.com]}}\n{OPEN}") as two,
        ExitStack() as streams,
    ):
        servers = SERVERS.replace("10.0.0.11:8080", f"127.0.0.1:{one.port}")
        servers = servers.replace("10.0.0.12:8080", f"127.0.0.1:{two.port}")
        with Haproxy(tmp_path / "haproxy", servers) as haproxy:
            question = chat().replace(b"localhost", b"llm.example.com")
            opened = []
            for _ in range(4):
                client = streams.enter_context(dial(haproxy.port))
                client.send(question)
                upstream = streams.enter_context(provider.accept())
                upstream.message()
                upstream.send(STREAM_HEAD + event("before"))
                client.until(b"before")  # Though more is to come: nothing is held back.
                opened.append((client, upstream))
            assert [len(node.control("inflight")["inflight"]) for node in (one, two)] == [2, 2]

            def ready() -> int:
                connection = http.client.HTTPConnection("127.0.0.1", haproxy.port, timeout=PATIENCE_S)
                connection.request("GET", "/ready", headers={"Host": "llm.example.com"})
                status = connection.getresponse().status
                connection.close()
                return status

            one.signal(signal.SIGTERM)
            one.wait_for_drain()
            assert [ready() for _ in range(20)] == [200] * 20
            for client, upstream in opened:
                upstream.send(event("after") + event("[DONE]") + END_OF_BODY)
                client.until(b"[DONE]")
            assert one.wait() == 0
            connection = http.client.HTTPConnection("127.0.0.1", haproxy.port, timeout=PATIENCE_S)
            connection.request("GET", "/metrics", headers={"Host": "llm.example.com"})
            response = connection.getresponse()
            assert (response.status, json.loads(response.read())["error"]["code"]) == (404, "not_found")
            connection.close()
