"""A WebSocket through netrunner, on real sockets: what either side says and how either side leaves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from wsproto import ConnectionType
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Ping,
    Pong,
    RejectConnection,
    RejectData,
    Request,
    TextMessage,
)

from tests.support.daemon import Daemon
from tests.support.dialogue import Provider, dial
from tests.support.nginx import Nginx
from tests.support.sdk import Records, named
from tests.support.speaker import Speaker

pytestmark = pytest.mark.integration

TARGET = "/v1/realtime?model=m"
REFUSAL = b'{"error":"no"}'


def open_through(
    port: int, provider: Provider, target: str = TARGET, **accepted: Any
) -> tuple[Speaker, Speaker, Request, AcceptConnection]:
    """Return client and upstream of a WebSocket, the request as it came there and the answer as it came here."""
    client = Speaker(dial(port), ConnectionType.CLIENT)
    fields = [(name.encode(), value.encode()) for name, value in named("socket").items()]
    client.say(
        Request(host=f"127.0.0.1:{port}", target=target, subprotocols=["realtime", "other"], extra_headers=fields)
    )
    upstream = Speaker(provider.accept(), ConnectionType.SERVER)
    request = upstream.hear()
    upstream.say(AcceptConnection(**accepted))
    return client, upstream, request, client.hear()


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider() as provider:
        yield provider


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return Records(tmp_path / "records.jsonl")


@pytest.fixture
def daemon(tmp_path: Path, provider: Provider, records: Records) -> Iterator[Daemon]:
    raw = (
        f"routes: [{{name: raw, source: /raw/, destination: 'http://127.0.0.1:{provider.port}/', rewrite: replace}}]\n"
    )
    config = provider.config + raw + records.config + "access: {public: true}\n"
    with Daemon(tmp_path / "daemon", config) as daemon:
        yield daemon


@pytest.fixture(params=["directly", "through nginx"])
def port(request: pytest.FixtureRequest, daemon: Daemon, tmp_path: Path) -> Iterator[int]:
    """Where clients connect."""
    if request.param == "directly":
        yield daemon.port
    else:
        with Nginx(tmp_path / "nginx", daemon.port) as nginx:
            yield nginx.port


def test_both_sides_are_heard_by_the_other(provider: Provider, port: int) -> None:
    client, upstream, request, answer = open_through(port, provider, subprotocol="realtime")
    with client.peer, upstream.peer:
        assert (request.target, request.subprotocols, answer.subprotocol) == (TARGET, ["realtime", "other"], "realtime")
        for number in range(20):
            client.say(TextMessage(f"question {number}"))
            assert upstream.hear().data == f"question {number}"
            upstream.say(BytesMessage(bytes([number]) * number))
            assert client.hear().data == bytes([number]) * number
        upstream.say(Ping(b"there?"))
        assert client.hear() == Ping(b"there?")
        client.say(Pong(b"there?"))
        assert upstream.hear() == Pong(b"there?")


def test_a_large_message_passes_in_both_directions_at_once(provider: Provider, daemon: Daemon) -> None:
    client, upstream, *_ = open_through(daemon.port, provider)
    large = "x" * 60_000
    with client.peer, upstream.peer:
        client.say(TextMessage(large))
        upstream.say(TextMessage(large))
        assert upstream.hear().data == client.hear().data == large


def test_a_client_that_closes_closes_the_upstream(
    provider: Provider, port: int, daemon: Daemon, records: Records
) -> None:
    client, upstream, *_ = open_through(port, provider)
    with client.peer, upstream.peer:
        client.say(CloseConnection(1000, "enough"))
        closing = upstream.hear()
        assert (closing.code, closing.reason) == (1000, "enough")
        upstream.say(closing.response())
        assert client.hear().code == 1000
        client.peer.__exit__()
        assert upstream.peer.gone()
    record = records.of("socket", daemon)
    assert (record["outcome"], record["status_code"], record["model"]) == ("done", 101, "m")


def test_an_upstream_that_closes_closes_the_client(
    provider: Provider, port: int, daemon: Daemon, records: Records
) -> None:
    client, upstream, *_ = open_through(port, provider)
    with client.peer, upstream.peer:
        upstream.say(TextMessage("last words"), CloseConnection(1001, "going away"))
        upstream.peer.__exit__()
        assert client.hear().data == "last words"
        closing = client.hear()
        assert (closing.code, closing.reason) == (1001, "going away")
        assert client.peer.gone()
    record = records.of("socket", daemon)
    assert (record["outcome"], record["status_code"]) == ("done", 101)
    assert record["bytes_out"] > 0


def test_a_client_that_breaks_off_ends_the_upstream(
    provider: Provider, port: int, daemon: Daemon, records: Records
) -> None:
    client, upstream, *_ = open_through(port, provider)
    with upstream.peer:
        client.peer.reset()
        assert upstream.peer.gone()
    assert records.of("socket", daemon)["outcome"] == "done"


def test_an_upstream_that_breaks_off_ends_the_client(
    provider: Provider, port: int, daemon: Daemon, records: Records
) -> None:
    client, upstream, *_ = open_through(port, provider)
    with client.peer:
        upstream.peer.reset()
        assert client.peer.gone()
    record = records.of("socket", daemon)
    assert (record["outcome"], record["error"]) == ("upstream_truncated", "upstream_truncated")


def test_a_refused_upgrade_is_an_answer_like_any_other(provider: Provider, port: int) -> None:
    with dial(port) as peer:
        client = Speaker(peer, ConnectionType.CLIENT)
        client.say(Request(host=f"127.0.0.1:{port}", target=TARGET))
        with provider.accept() as upstream:
            upstream.message()
            upstream.send(b"HTTP/1.1 403 No\r\nContent-Type: application/json\r\nContent-Length: 14\r\n\r\n" + REFUSAL)
            refused = client.hear()
            assert isinstance(refused, RejectConnection)
            assert (refused.status_code, client.hear()) == (403, RejectData(REFUSAL))


def test_a_raw_route_carries_one_too(provider: Provider, daemon: Daemon) -> None:
    client, upstream, request, _ = open_through(daemon.port, provider, "/raw/socket?x=1")
    with client.peer, upstream.peer:
        assert request.target == "/socket?x=1"
        client.say(TextMessage("hello"))
        assert upstream.hear().data == "hello"
        upstream.say(TextMessage("hello yourself"))
        assert client.hear().data == "hello yourself"
