"""Who is let in, with what, and that nothing of it goes on to a provider with a stored key."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress

from tests.support.client import answers
from tests.support.stage import JSON, KEY, LOOPBACK, Stage, error_of, request

TOKEN = "token-of-the-callers-1234"
CHAT = {"model": "m", "messages": []}
WAYS = {
    "bearer": f"Authorization: Bearer {TOKEN}",
    "bearer in lower case": f"authorization: bearer {TOKEN}",
    "x-api-key": f"x-api-key: {TOKEN}",
    "api-key": f"api-key: {TOKEN}",
    "x-goog-api-key": f"x-goog-api-key: {TOKEN}",
}


def answered(stage: Stage, *fields: str, path: str = "/v1/chat/completions", **kw: Any) -> int:
    """Return the status of a request that is answered if it reaches the upstream."""
    host = kw.pop("listener", LOOPBACK)
    client = stage.client(host).say(request(path, CHAT, *fields, **kw))
    if stage.upstream.calls:
        stage.upstream.calls.pop().head(200, JSON).body(b"{}", True)
    return answers(client.heard(), b"POST")[0].status


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "localhost:8080", "127.0.0.1", "127.0.0.1:1", "[::1]"])
def test_a_local_request_needs_no_credential(host: str) -> None:
    assert answered(Stage(), host=host) == 200


@pytest.mark.parametrize(
    "field",
    [
        "Forwarded: for=1.2.3.4",
        "X-Forwarded-For: 127.0.0.1",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Anything: x",
        "X-Real-IP: 127.0.0.1",
        "Origin: https://evil.example",
        "Origin: null",
        "Origin: http://localhost.evil.example",
        "Origin: http://[::1",
        "Origin: http://[evil]",
        "Origin: localhost",
        "Origin:",
        "Sec-Fetch-Site: cross-site",
        "Sec-Fetch-Site: Cross-Site",
    ],
)
def test_a_request_that_may_come_from_elsewhere_is_refused_with_the_setting_to_choose(field: str) -> None:
    stage = Stage()
    client = stage.client().say(request("/v1/chat/completions", CHAT, field))
    (answer,) = answers(client.heard(), b"POST")
    error = error_of(answer.body)
    assert (answer.status, error["code"]) == (403, "not_local")
    assert "access.mode" in error["message"]
    assert "access.public" in error["message"]
    assert stage.upstream.calls == []
    assert stage.record().outcome == "refused"


@pytest.mark.parametrize(
    "field", ["Origin: http://localhost:3000", "Origin: http://[::1]:1", "Sec-Fetch-Site: same-origin"]
)
def test_a_local_page_is_let_in(field: str) -> None:
    assert answered(Stage(), field) == 200


@pytest.mark.parametrize(
    "host", ["llm.example", "127.0.0.1.evil.example", "localhost.evil", "0.0.0.0", "10.0.0.1", "[::2]"]
)
def test_a_foreign_host_is_refused(host: str) -> None:
    assert answered(Stage(), host=host) == 403


@pytest.mark.parametrize(
    ("listener", "status"),
    [
        (IPv4Address("TCP", "127.0.0.2", 80), 200),
        (IPv6Address("TCP", "::1", 80), 200),
        (UNIXAddress("/run/x"), 200),
        (IPv4Address("TCP", "10.0.0.1", 80), 403),
        (IPv6Address("TCP", "fe80::1%eth0", 80), 403),
    ],
)
def test_only_a_loopback_listener_is_local(listener: Any, status: int) -> None:
    assert answered(Stage(), listener=listener) == status


def test_public_lets_everybody_in() -> None:
    assert answered(Stage(public=True), "X-Forwarded-For: 1.2.3.4", host="llm.example") == 200


def test_a_host_that_is_not_ours_is_misdirected_whatever_the_path() -> None:
    stage = Stage(hosts=frozenset({"localhost"}), public=True)
    for path in ("/v1/chat/completions", "/health", "/nothing", "/v1/models"):
        client = stage.client().say(request(path, CHAT, host="other.example"))
        (answer,) = answers(client.heard(), b"POST")
        assert (answer.status, error_of(answer.body)["code"]) == (421, "misdirected_request")
    assert stage.upstream.calls == []


@pytest.mark.parametrize("way", WAYS)
def test_the_token_is_taken_in_every_usual_field(way: str) -> None:
    stage = Stage(token=TOKEN)
    assert answered(stage, WAYS[way]) == 200
    assert stage.record().token == "tok***"


@pytest.mark.parametrize(
    "query", [f"key={TOKEN}", f"a=b&key={TOKEN}&c=d", f"%6bey={TOKEN}", "key=" + TOKEN.replace("-", "%2D")]
)
def test_the_token_is_taken_in_the_query_and_goes_no_further(query: str) -> None:
    stage = Stage(token=TOKEN)
    client = stage.ask(path=f"/v1/chat/completions?{query}")
    assert len(stage.upstream.calls) == 1, client.heard()
    assert b"key" not in stage.call.request.target
    assert stage.call.request.target.partition(b"?")[2] == (b"a=b&c=d" if "a=b" in query else b"")
    client.settle()
    assert TOKEN not in repr(stage.record())


@pytest.mark.parametrize(
    "field",
    [
        "X-Nothing: x",
        "Authorization: Bearer wrong",
        f"Authorization: Basic {TOKEN}",
        f"Authorization: {TOKEN}",
        f"Authorization: Bearer {TOKEN}x",
        f"Authorization: Bearer {TOKEN[:-1]}",
        "Authorization: Bearer",
        "Authorization:",
        "Authorization: Bearer ' OR 1=1 --",
        "Authorization: Bearer \xff\xfe",
        f"Proxy-Authorization: Bearer {TOKEN}",
        f"Cookie: key={TOKEN}",
        f"X-Api-Key: {TOKEN}, {TOKEN}",
    ],
)
def test_anything_else_is_unauthorized(field: str) -> None:
    stage = Stage(token=TOKEN)
    client = stage.client().say(request("/v1/chat/completions", CHAT, field))
    (answer,) = answers(client.heard(), b"POST")
    assert (answer.status, error_of(answer.body)["code"]) == (401, "invalid_token")
    assert answer.headers[b"www-authenticate"].startswith(b"Bearer")
    assert stage.upstream.calls == []


def test_a_wrong_authorization_is_not_mended_by_another_field() -> None:
    assert answered(Stage(token=TOKEN), "Authorization: Bearer wrong", f"x-api-key: {TOKEN}") == 401


def test_a_field_of_its_own_is_the_only_one_asked() -> None:
    stage = Stage(token=TOKEN, header="X-Proxy-Token", key="passthrough")
    assert answered(stage, f"Authorization: Bearer {TOKEN}") == 401
    assert answered(stage, f"X-Proxy-Token: {TOKEN}", "Authorization: Bearer callers-own") == 200
    assert answered(stage, f"X-Proxy-Token: Bearer {TOKEN}") == 200


def test_no_body_is_read_of_a_caller_without_credential() -> None:
    stage = Stage(token=TOKEN)
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n"
    heard = stage.client().say(head).heard()
    assert heard.startswith(b"HTTP/1.1 401 ")
    assert b"100 Continue" not in heard


@pytest.mark.parametrize(
    "path",
    [
        "/v1/chat/completions",
        "/chat/completions",
        "/v1/completions",
        "/v1/embeddings",
        "/v1/models",
        "/v1/models/m",
        "/models",
        "/v1/responses",
        "/v1/files",
        "/v1//files",
        "/v1/chat/completions/",
        "/v1/chat/completions;x",
        "/v1/%63hat/completions",
        "/%761/chat/completions",
        "http://localhost/v1/chat/completions",
        "/v1/realtime?model=m",
        "/raw/x",
        "/r%61w/x",
        "/raw",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"])
def test_no_relayed_path_opens_without_the_token(path: str, method: str) -> None:
    stage = Stage(token=TOKEN, header="X-Proxy-Token", routes={"/raw/": ("http://raw.example", "keep")})
    client = stage.client().say(request(path, CHAT, method=method))
    assert client.heard().startswith(b"HTTP/1.1 401 ")
    assert stage.upstream.calls == []
    assert stage.record().status == 401


@pytest.mark.parametrize("path", ["/health", "/live", "/ready", "/ping", "/"])
def test_probes_need_no_credential(path: str) -> None:
    assert stage_status(Stage(token=TOKEN), path) == 200


def stage_status(stage: Stage, path: str) -> int:
    return answers(stage.client().say(request(path)).heard())[0].status


CARRIERS = [
    "Authorization: Bearer SECRET-1",
    "Authorization: Basic SECRET-1",
    "Proxy-Authorization: Bearer SECRET-1",
    "x-api-key: SECRET-1",
    "api-key: SECRET-1",
    "x-goog-api-key: SECRET-1",
    "X-Auth-Token: SECRET-1",
    "Cookie: session=SECRET-1",
    "Connection: authorization\r\nAuthorization: Bearer SECRET-1",
    "X-Forwarded-Authorization: SECRET-1",
    "Sec-WebSocket-Protocol: realtime, openai-insecure-api-key.SECRET-1",
]


@pytest.mark.parametrize(("first", "second"), list(itertools.product(CARRIERS, CARRIERS)))
def test_no_credential_of_a_caller_reaches_an_upstream_with_a_stored_key(first: str, second: str) -> None:
    stage = Stage(public=True)
    stage.client().say(request("/v1/chat/completions?key=SECRET-1&%6Bey=SECRET-1", CHAT, first, second))
    sent = stage.call.request
    assert b"SECRET-1" not in repr((sent.target, sent.headers, sent.body)).encode()
    assert stage.call.header(b"authorization") == [b"Bearer " + KEY.encode()]


def test_no_credential_reaches_it_through_a_websocket() -> None:
    stage = Stage(endpoints=("realtime",))
    fields = [*CARRIERS[1:8], "Connection: Upgrade", "Upgrade: websocket"]
    offers = "Sec-WebSocket-Protocol: realtime, openai-insecure-api-key.SECRET-1, openai-beta.realtime-v1"
    stage.client().say(request("/v1/realtime?model=m&key=SECRET-1", b"", *fields, offers))
    sent = stage.call.request
    assert b"SECRET-1" not in repr((sent.target, sent.headers)).encode()
    assert stage.call.header(b"sec-websocket-protocol") == [b"realtime, openai-beta.realtime-v1"]


def test_the_callers_own_credential_goes_on_only_by_passthrough() -> None:
    stage = Stage(key="passthrough")
    stage.client().say(request("/v1/chat/completions", CHAT, "Authorization: Bearer mine", "Cookie: a=b"))
    assert stage.call.header(b"authorization") == [b"Bearer mine"]
    assert stage.call.header(b"cookie") == []
    stage = Stage(key=None)
    stage.client().say(request("/v1/chat/completions", CHAT, "Authorization: Bearer mine"))
    assert stage.call.header(b"authorization") == []


def test_the_token_in_a_field_of_its_own_does_not_go_to_a_raw_route() -> None:
    stage = Stage(token=TOKEN, header="X-Proxy-Token", routes={"/raw/": ("http://raw.example", "keep")})
    stage.client().say(request("/raw/x", b"", f"X-Proxy-Token: {TOKEN}", "Authorization: Bearer mine"))
    assert stage.call.header(b"x-proxy-token") == []
    assert stage.call.header(b"authorization") == [b"Bearer mine"]


@pytest.mark.parametrize(
    ("peer", "fields", "source"),
    [
        ("127.0.0.1", [], "127.0.0.1"),
        ("127.0.0.1", ["X-Forwarded-For: 203.0.113.9"], "203.0.113.9"),
        ("127.0.0.1", ["X-Forwarded-For: 6.6.6.6, 203.0.113.9, 10.1.1.1"], "203.0.113.9"),
        ("127.0.0.1", ["X-Forwarded-For: 6.6.6.6", "X-Forwarded-For: 203.0.113.9"], "203.0.113.9"),
        ("127.0.0.1", ["X-Forwarded-For: nonsense"], "127.0.0.1"),
        ("127.0.0.1", ["X-Forwarded-For: 6.6.6.6, nonsense, 10.1.1.1"], "10.1.1.1"),
        ("127.0.0.1", ["X-Forwarded-For: 2001:db8::1"], "2001:db8::1"),
        ("203.0.113.7", ["X-Forwarded-For: 6.6.6.6"], "203.0.113.7"),
    ],
)
def test_a_source_is_the_last_hop_that_is_no_trusted_proxy(peer: str, fields: list[str], source: str) -> None:
    stage = Stage(public=True)
    client = stage.client(peer=IPv4Address("TCP", peer, 1)).say(request("/v1/chat/completions", CHAT, *fields))
    client.settle()
    assert stage.record().source == source
