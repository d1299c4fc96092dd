"""Every head that is refused: with which status, with the connection closed, and seen by no resource."""

from __future__ import annotations

import json

import pytest
from twisted.web.resource import Resource

from netrunner.errors import ExchangeError
from netrunner.http.request import Request
from netrunner.http.site import Site
from netrunner.values import Headers
from tests.support.client import Client, Echo, answers, connect, site_of

A = b"Host: a\r\n"
REFUSED = [
    # The table of header limits.
    (431, "101 fields", b"GET / HTTP/1.1\r\n" + A + b"X: y\r\n" * 100),
    (431, "a line of 64 KiB", b"GET / HTTP/1.1\r\n" + A + b"X: " + b"y" * 65536 + b"\r\n"),
    (431, "16 KiB in all", b"GET / HTTP/1.1\r\n" + A + (b"X: " + b"y" * 1000 + b"\r\n") * 17),
    (431, "a line that never ends", b"GET / HTTP/1.1\r\n" + A + b"X: " + b"y" * 30000),
    (414, "a long target", b"GET /" + b"a" * 8192 + b" HTTP/1.1\r\n" + A),
    (414, "a long target that never ends", b"GET /" + b"a" * 30000),
    (400, "a length of 5,000 digits", b"POST / HTTP/1.1\r\n" + A + b"Content-Length: " + b"1" * 5000 + b"\r\n"),
    (400, "a length of 19 digits", b"POST / HTTP/1.1\r\n" + A + b"Content-Length: 1000000000000000000\r\n"),
    (413, "a length over the limit", b"POST / HTTP/1.1\r\n" + A + b"Content-Length: 33554433\r\n"),
    (501, "an unknown transfer coding", b"POST / HTTP/1.1\r\n" + A + b"Transfer-Encoding: gzip, chunked\r\n"),
    (400, "a transfer coding that is not last", b"POST / HTTP/1.1\r\n" + A + b"Transfer-Encoding: chunked, gzip\r\n"),
    (400, "a transfer coding in HTTP/1.0", b"POST / HTTP/1.0\r\n" + A + b"Transfer-Encoding: chunked\r\n"),
    (400, "a folded field", b"GET / HTTP/1.1\r\n" + A + b"X: y\r\n z\r\n"),
    (400, "a folded first field", b"GET / HTTP/1.1\r\n Host: a\r\n"),
    (400, "a control character in a value", b"GET / HTTP/1.1\r\n" + A + b"X: y\x01\r\n"),
    (400, "a NUL in a value", b"GET / HTTP/1.1\r\n" + A + b"X: y\0\r\n"),
    (400, "a CR in a value", b"GET / HTTP/1.1\r\n" + A + b"X: y\rz\r\n"),
    (400, "a DEL in a value", b"GET / HTTP/1.1\r\n" + A + b"X: y\x7f\r\n"),
    (400, "a control character in a name", b"GET / HTTP/1.1\r\n" + A + b"X\x02: y\r\n"),
    (400, "a field without a name", b"GET / HTTP/1.1\r\n" + A + b": y\r\n"),
    (400, "a field without a colon", b"GET / HTTP/1.1\r\n" + A + b"X\r\n"),
    (400, "a space before the colon", b"GET / HTTP/1.1\r\nHost : a\r\n"),
    # Host (RFC 9112, 3.2).
    (400, "no Host", b"GET / HTTP/1.1\r\n"),
    (400, "two Hosts", b"GET / HTTP/1.1\r\n" + A + b"Host: b\r\n"),
    (400, "two equal Hosts", b"GET / HTTP/1.1\r\n" + A + A),
    (400, "an empty Host", b"GET / HTTP/1.1\r\nHost:\r\n"),
    *[
        (400, f"Host {host!r}", b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n")
        for host in (
            b"a b",
            b"a, b",
            b"a,b",
            b"a/b",
            b"u@a",
            b"a:b",
            b"a:80:80",
            b"a:123456",
            b"[::1",
            b"::1",
            b"[::1]x",
            b"[g::]",
            b"a\xc3\xa4",
            b"a?b",
            b"a#b",
            b"a\\b",
            b"http://a",
            b"<a>",
            b"%zz",
        )
    ],
    (400, "another Host than the target's", b"GET http://b/ HTTP/1.1\r\n" + A),
    (400, "a target with userinfo", b"GET http://u@a/ HTTP/1.1\r\n" + A),
    # Targets.
    *[
        (400, f"target {target!r}", b"GET " + target + b" HTTP/1.1\r\n" + A)
        for target in (
            b"*",
            b"a",
            b"a/b",
            b"http://",
            b"ftp://a/",
            b"/a#b",
            b"/../etc",
            b"/a/..",
            b"/a/.",
            b"/./a",
            b"/a/%2e%2e/b",
            b"/a/.%2E/b",
            b"/a/..;x/b",
            b"/a\\..\\b",
            b"/a%5cb",
            b"/a/..%2fb",
            b"/a%2F../b",
            b"/a%2f%2e%2e%2fb",
            b"/a/..%3Bx/b",
            b"/a%00b",
            b"/\xc3\xa4",
            b"http://a/../b",
        )
    ],
    (405, "CONNECT", b"CONNECT a:443 HTTP/1.1\r\n" + A),
    (405, "TRACE", b"TRACE / HTTP/1.1\r\n" + A),
    (501, "a method nobody knows", b"BREW / HTTP/1.1\r\n" + A),
    (501, "a method of another protocol", b"M-SEARCH / HTTP/1.1\r\n" + A),
    (501, "a method in lower case", b"get / HTTP/1.1\r\n" + A),
    (505, "HTTP/2.0", b"GET / HTTP/2.0\r\n" + A),
    (505, "HTTP/1.2", b"GET / HTTP/1.2\r\n" + A),
    (505, "HTTP/0.9", b"GET /\r\n"),
    (505, "the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n"),
    (400, "a version that is none", b"GET / HTTPS/1.1\r\n" + A),
    (400, "TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    (400, "a tab for a space", b"GET\t/ HTTP/1.1\r\n" + A),
    (400, "a space in the target", b"GET /a b HTTP/1.1\r\n" + A),
    (400, "bare line feeds", b"GET / HTTP/1.1\nHost: a\n\n"),
    (417, "an unknown expectation", b"POST / HTTP/1.1\r\n" + A + b"Expect: 200-ok\r\nContent-Length: 1\r\n"),
]


@pytest.mark.parametrize(("status", "head"), [pytest.param(row[0], row[2], id=row[1]) for row in REFUSED])
def test_a_bad_head_is_refused(status: int, head: bytes) -> None:
    echo = Echo()
    client = connect(echo.resource)
    client.say(head + b"\r\n")
    found = answers(client.heard())
    assert [answer.status for answer in found] == [status]
    assert found[0].headers[b"connection"] == b"close"
    assert b"date" in found[0].headers
    assert client.is_over()
    assert echo.seen == []


@pytest.mark.parametrize(
    ("status", "head"), [pytest.param(row[0], row[2], id=row[1]) for row in REFUSED if len(row[2]) < 2000]
)
def test_a_bad_head_is_refused_byte_by_byte(status: int, head: bytes) -> None:
    echo = Echo()
    client = connect(echo.resource)
    client.say(*[bytes([byte]) for byte in head + b"\r\n"])
    found = answers(client.heard())
    # A method unknown to llhttp is refused at the first byte that no method has, before it can be told from noise.
    assert [answer.status for answer in found] in ([status], [400] if status == 501 else [])
    assert client.is_over()
    assert echo.seen == []


@pytest.mark.parametrize(
    "head", [b"GET / HTTP/1.1\r\n" + A + b"X: y\r\n" * 99, b"GET /" + b"a" * 8191 + b" HTTP/1.1\r\n" + A]
)
def test_what_is_just_within_the_limits_is_taken(head: bytes) -> None:
    echo = Echo()
    connect(echo.resource).say(head + b"\r\n")
    assert len(echo.seen) == 1


@pytest.mark.parametrize(
    "host", [b"a", b"A", b"a.b-c_d~e", b"a:80", b"a:", b"127.0.0.1:8080", b"[::1]", b"[::1]:8080", b"%41"]
)
def test_a_good_host_is_taken(host: bytes) -> None:
    echo = Echo()
    connect(echo.resource).say(b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
    assert len(echo.seen) == 1


@pytest.mark.parametrize(
    "target", [b"/", b"//", b"//a//b", b"/a;b=c", b"/a.b/..c/...", b"/%20%41", b"/?../..", b"/a?b#"[:-1]]
)
def test_a_good_target_is_taken(target: bytes) -> None:
    echo = Echo()
    connect(echo.resource).say(b"GET " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n")
    assert [seen.uri for seen in echo.seen] == [target]


OURS = frozenset({"localhost", "127.0.0.1", "::1"})


@pytest.mark.parametrize(
    "host", [b"localhost", b"LOCALHOST:8080", b"localhost.", b"127.0.0.1:1", b"[::1]:80", b"[::1]"]
)
def test_our_own_names_are_answered(host: bytes) -> None:
    echo = Echo()
    connect(echo.resource, hosts=OURS).say(b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
    assert len(echo.seen) == 1


def foreign_hosts() -> list[bytes]:
    forms = [
        b"%b.example",
        b"localhost.%b",
        b"%blocalhost",
        b"127.0.0.%b",
        b"%b:8080",
        b"[::%b]",
        b"%%6cocalhost%b",
        b"localhost-%b",
    ]
    return [form % (b"%d" % number) for form in forms for number in range(2, 127)]


def test_a_foreign_host_is_misdirected_whatever_its_form() -> None:
    echo = Echo()
    hosts = foreign_hosts()
    assert len(hosts) == 1000
    for host in hosts:
        for line in (b"GET / HTTP/1.1", b"GET http://%b/ HTTP/1.1" % host, b"POST /v1/chat/completions HTTP/1.1"):
            client = connect(echo.resource, hosts=OURS)
            client.say(line + b"\r\nHost: " + host + b"\r\n\r\n")
            assert answers(client.heard())[0].status == 421, (line, host)
    assert echo.seen == []


def test_every_refusal_has_the_shape_the_site_was_given() -> None:
    def shape(request: Request | None, error: ExchangeError) -> tuple[int, Headers, bytes]:
        body = json.dumps({"error": {"message": error.message, "code": error.code}}).encode()
        return error.status, [(b"content-type", b"application/json")], body

    told: list[ExchangeError] = []
    for status, _, head in REFUSED:
        site, clock = site_of(Echo().resource)
        site = Site(Echo().resource, site.sweep, site.limits, shape, lambda _, error: told.append(error))
        client = Client(site, clock).say(head + b"\r\n")
        answer = answers(client.heard())[0]
        assert answer.status == status
        assert answer.headers[b"content-type"] == b"application/json"
        assert json.loads(answer.body)["error"]["code"]
    assert len(told) == len(REFUSED)


@pytest.mark.parametrize("taken", [False, True])
def test_an_encoded_slash_is_only_for_resources_that_take_it_as_part_of_a_name(taken: bool) -> None:
    echo = Echo()
    echo.resource.takes_slashes = taken
    root = Resource()
    root.putChild(b"models", echo.resource)
    client = connect(root)
    client.say(b"GET /models/a%2Fb%20c HTTP/1.1\r\nHost: a\r\n\r\n")
    assert answers(client.heard())[0].status == (200 if taken else 400)
    assert [request.uri for request in echo.seen] == [b"/models/a%2Fb%20c"] * taken


def test_an_encoded_slash_is_no_step_in_the_tree() -> None:
    inside, named = Echo(), Echo()
    named.resource.takes_slashes = True
    root, below = Resource(), Resource()
    root.putChild(b"a", below)
    below.putChild(b"b", inside.resource)
    root.putChild(b"a/b", named.resource)
    connect(root).say(b"GET /a%2Fb HTTP/1.1\r\nHost: a\r\n\r\nGET /a/b HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (len(named.seen), len(inside.seen)) == (1, 1)
