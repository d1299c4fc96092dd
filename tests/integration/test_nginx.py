"""The shipped nginx configuration, in a real nginx, in front of a real daemon."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon import Daemon
from tests.support.dialogue import END_OF_BODY, STREAM_HEAD, Provider, chat, dial, event, whole
from tests.support.nginx import Nginx

pytestmark = pytest.mark.integration

UNPUBLISHED = (
    *("/admin", "/metrics", "/v1", "/x/v1/"),
    *("/logs", "/logs/x/request", "/performance", "/now", "/static/icon.svg", "/api/live", "/api/logs", "/ws"),
)
"""What is for this machine, or is not there at all."""


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider() as provider:
        yield provider


@pytest.fixture
def daemon(tmp_path: Path, provider: Provider) -> Iterator[Daemon]:
    with Daemon(tmp_path / "daemon", provider.config + "access: {public: true}\n") as daemon:
        yield daemon


@pytest.fixture
def nginx(tmp_path: Path, daemon: Daemon) -> Iterator[Nginx]:
    with Nginx(tmp_path / "nginx", daemon.port) as nginx:
        yield nginx


def client_ports(port: int) -> set[str]:
    """Return the ports from which this machine is or lately was connected to ``port`` (proc(5), /proc/net/tcp)."""
    remote = f"0100007F:{port:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {row[1] for row in rows if row[2] == remote}


def test_each_event_passes_before_the_next_is_written(provider: Provider, nginx: Nginx) -> None:
    with dial(nginx.port) as client:
        client.send(chat())
        with provider.accept() as upstream:
            upstream.message()
            upstream.send(STREAM_HEAD)
            for number in range(10):
                upstream.send(event(f"number {number}"))
                client.until(f"number {number}".encode())
            upstream.send(event("[DONE]") + END_OF_BODY)
            client.until(END_OF_BODY)


def test_a_body_passes_while_it_is_sent(provider: Provider, nginx: Nginx, daemon: Daemon) -> None:
    request = chat()
    with dial(nginx.port) as client:
        client.send(request[:-10])
        # nginx would have nothing to say to netrunner yet if it waited for the end.
        daemon.wait_for(lambda: len(client_ports(daemon.port)) > 0)
        client.send(request[-10:])
        with provider.accept() as upstream:
            upstream.message()
            upstream.send(whole())
            assert client.message()[0].startswith(b"HTTP/1.1 200")


def test_one_connection_carries_many_requests(provider: Provider, nginx: Nginx, daemon: Daemon) -> None:
    upstream = None
    for _ in range(50):
        with dial(nginx.port) as client:
            client.send(chat(stream=False))
            upstream = upstream or provider.accept()
            upstream.message()
            upstream.send(whole())
            client.message()
    assert upstream is not None
    with upstream:
        assert len(client_ports(daemon.port)) == 1
        assert provider.untouched()


def test_a_client_that_leaves_is_noticed_by_the_provider(provider: Provider, nginx: Nginx) -> None:
    with dial(nginx.port) as client:
        client.send(chat())
        upstream = provider.accept()
        upstream.message()
        upstream.send(STREAM_HEAD + event("one"))
        client.until(b"one")
    with upstream:
        assert upstream.gone()


def test_a_client_that_leaves_before_the_answer_is_noticed_too(provider: Provider, nginx: Nginx) -> None:
    with dial(nginx.port) as client:
        client.send(chat(stream=False))
        upstream = provider.accept()
        upstream.message()
    with upstream:
        assert upstream.gone()


def test_a_post_is_never_sent_twice(tmp_path: Path) -> None:
    """Not even on a kept connection that breaks, where nginx would by itself; the provider stands for netrunner."""
    with Provider() as backend, Nginx(tmp_path / "nginx", backend.port) as nginx, dial(nginx.port) as client:
        client.send(chat(stream=False))
        upstream = backend.accept()
        upstream.message()
        upstream.send(whole())
        client.message()
        client.send(chat(stream=False))
        upstream.message()
        upstream.reset()
        assert client.message()[0].startswith(b"HTTP/1.1 502")
        assert backend.untouched()


def test_only_the_api_is_published(provider: Provider, nginx: Nginx, daemon: Daemon) -> None:
    published = {}
    for path in (
        "/v1/models",
        "/v1beta/models",
        "/image",
        "/openai/v1/models",
        "/api/tags",
        "/api/version",
        "/models",
        "/health",
        "/live",
        "/ready",
        "/ping",
        "/",
        *UNPUBLISHED,
    ):
        with dial(nginx.port) as client:
            client.send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            head, body = client.message()
            published[path] = head.split(b" ")[1]
            assert b"server: nginx" in head.lower()
    assert {path for path, status in published.items() if status == b"404"} == {
        "/",
        *UNPUBLISHED,
    }
    assert b'"code":"not_found"' in body
    assert len(client_ports(daemon.port)) == 1


def test_a_refusal_leaves_the_client_its_connection_when_head_and_body_come_apart(tmp_path: Path) -> None:
    access = "providers: {echo: {type: echo}}\naccess: {mode: token, token: right}\n"
    head, _, body = chat().partition(b"\r\n\r\n")
    with Daemon(tmp_path / "daemon", access) as daemon, Nginx(tmp_path / "nginx", daemon.port) as nginx:
        with dial(nginx.port) as client:
            for _ in range(5):
                client.send(head + b"\r\n\r\n")
                daemon.wait_for(lambda: len(client_ports(daemon.port)) > 0)
                daemon.control("inflight")
                client.send(body)
                assert client.message()[0].startswith(b"HTTP/1.1 401 Unauthorized\r\n")
        assert nginx.errors() == ""
