"""The forward proxy, in memory: who is let in, what is refused, what is passed on and recorded."""

from __future__ import annotations

import base64
import random
from typing import Any

import pytest

from netrunner.http.site import Limits, Site
from netrunner.http.straight import ESTABLISHED
from netrunner.http.sweep import Sweep
from netrunner.settings import Secret
from netrunner.web.access import Door, Sources
from netrunner.web.forward import Credential, Forward, Hosts
from netrunner.web.proxy import Entry
from netrunner.web.tree import NOTHING
from tests.support.client import Client, answers
from tests.support.stage import JSON, Stage, error_of

ME = b"Proxy-Authorization: Basic " + base64.b64encode(b"me:secret")


class Proxy(Stage):
    """A stage whose clients come to a forward proxy."""

    def __init__(self, user: str | None = None, include: Any = (), exclude: Any = (), allow: Any = ()) -> None:
        super().__init__(token="what the API asks for")
        entry = Entry(self.pipeline.unfiltered(), Door(open=False, public=True), Sources([]), random.Random(0))
        password = None if user is None else Secret("secret")
        credential = Credential(None if user is None else Secret(user), password)
        root = Forward(entry, credential, Hosts(include, exclude, allow), self.upstream, self.upstream)
        sweep = Sweep(self.clock)
        sweep.start()
        self.site = Site(root, sweep, Limits(forward=True), NOTHING.refusal)

    def say(self, method: str, target: str, *fields: bytes, body: bytes = b"") -> Client:
        host = target.removeprefix("http://").partition("/")[0]
        lines = [f"{method} {target} HTTP/1.1".encode(), f"Host: {host}".encode(), *fields]
        if body:
            lines.append(b"Content-Length: %d" % len(body))
        return self.client().say(b"\r\n".join([*lines, b"", b""]) + body)


def refusal(client: Client, method: bytes = b"GET") -> tuple[int, str]:
    (answer,) = answers(client.heard(), method)
    return answer.status, error_of(answer.body)["code"]


def test_a_request_for_a_url_goes_where_it_says() -> None:
    stage = Proxy()
    client = stage.say("POST", "http://api.example/v1/x%2Fy?q=1", b"Authorization: Bearer theirs", body=b"hello")
    sent = stage.call.request
    assert (sent.origin.url, sent.method, sent.target) == ("http://api.example:80", b"POST", b"/v1/x%2Fy?q=1")
    assert stage.call.header(b"authorization") == [b"Bearer theirs"]
    stage.call.head(200, JSON).body(b"{}", True)
    (answer,) = answers(client.heard(), b"POST")
    assert (answer.status, answer.body) == (200, b"{}")
    record = stage.record()
    assert (record.route, record.upstream, record.outcome) == ("forward", "http://api.example:80", "done")


def test_bytes_pass_through_what_connect_opens_and_are_counted_but_not_recorded() -> None:
    stage = Proxy()
    client = stage.say("CONNECT", "api.example:443", b"User-Agent: curl")
    assert stage.call.request.origin.port == 443
    stage.call.head(200)
    assert client.heard().startswith(b"HTTP/1.1 200 OK\r\n")
    client.say(b"\x16\x03\x01hello")
    assert stage.call.written == b"\x16\x03\x01hello"
    stage.call.body(b"\x16\x03\x03").body(b"", True)
    assert client.heard() == b"\x16\x03\x03"
    record = stage.record()
    assert (record.method, record.path, record.status) == ("CONNECT", "api.example:443", 200)
    assert (record.outcome, record.bytes_in, record.bytes_out) == ("done", 8, 3)
    assert ESTABLISHED.status == 200


def test_what_comes_with_the_head_of_a_connect_is_not_lost() -> None:
    stage = Proxy()
    client = stage.client().say(b"CONNECT api.example:443 HTTP/1.1\r\nHost: api.example:443\r\n\r\nearly")
    stage.call.head(200)
    assert b"HTTP/1.1 200" in client.heard()
    assert stage.call.written == b"early"


def test_the_answer_to_a_connect_names_no_other_protocol_and_no_length() -> None:
    stage = Proxy()
    client = stage.say("CONNECT", "api.example:443")
    stage.call.head(200)
    head = client.heard().lower()
    assert not {b"connection", b"upgrade", b"content-length", b"transfer-encoding"} & {
        line.partition(b":")[0] for line in head.split(b"\r\n")
    }


@pytest.mark.parametrize("field", [b"X-Nothing: 1", b"Proxy-Authorization: Basic " + base64.b64encode(b"me:wrong")])
def test_a_user_who_is_not_known_is_asked_who_it_is(field: bytes) -> None:
    stage = Proxy(user="me")
    client = stage.say("GET", "http://api.example/", field)
    (answer,) = answers(client.heard(), b"GET")
    assert (answer.status, error_of(answer.body)["code"]) == (407, "proxy_auth_required")
    assert answer.headers[b"proxy-authenticate"].startswith(b"Basic ")
    assert stage.upstream.calls == []
    assert stage.record().error == "proxy_auth_required"


def test_the_credential_of_the_proxy_goes_no_further_and_the_record_has_its_user() -> None:
    stage = Proxy(user="me")
    stage.say("GET", "http://api.example/", ME)
    assert stage.call.header(b"proxy-authorization") == []
    stage.call.head(204).body(b"", True)
    assert stage.record().token == "me"


@pytest.mark.parametrize(
    ("method", "target", "code"),
    [
        ("GET", "/v1/models", "not_for_a_proxy"),
        ("GET", "https://api.example/", "not_for_a_proxy"),
        ("CONNECT", "api.example", "bad_target"),
        ("CONNECT", "http://api.example:443", "bad_target"),
        ("CONNECT", "me@api.example:443", "bad_target"),
        ("CONNECT", "api.example:0", "bad_target"),
    ],
)
def test_what_is_no_request_to_a_proxy_is_refused(method: str, target: str, code: str) -> None:
    stage = Proxy()
    client = stage.client().say(f"{method} {target} HTTP/1.1\r\nHost: api.example\r\n\r\n".encode())
    assert refusal(client, b"GET") == (400, code)
    assert stage.upstream.calls == []


def test_a_connect_has_no_body() -> None:
    stage = Proxy()
    client = stage.say("CONNECT", "api.example:443", b"Content-Length: 3")
    assert refusal(client) == (400, "ambiguous_framing")


@pytest.mark.parametrize(
    ("target", "leads"),
    [
        ("a.example:443", True),
        ("a.example:80", True),
        ("A.Example:443", True),
        ("b.a.example:443", True),
        ("no.a.example:443", False),
        ("c.example:443", False),
        ("a.example:22", False),
        ("own.example:8443", True),
        ("own.example:22", False),
        ("[::1]:443", False),
    ],
)
def test_it_leads_to_the_hosts_it_is_meant_for(target: str, leads: bool) -> None:
    stage = Proxy(include=("a.example", "*.a.example", "own.example"), exclude=("no.*",), allow=("own.example:8443",))
    client = stage.say("CONNECT", target)
    assert len(stage.upstream.calls) == leads
    if not leads:
        assert refusal(client) == (403, "host_denied")


def test_the_api_knows_no_connect_and_the_site_of_the_api_takes_no_whole_urls_for_others() -> None:
    stage = Stage()
    client = stage.client().say(b"CONNECT api.example:443 HTTP/1.1\r\nHost: api.example:443\r\n\r\n")
    assert client.heard().startswith(b"HTTP/1.1 405 ")
    assert stage.upstream.calls == []
