"""Who may look at records, pages and metrics."""

from __future__ import annotations

import base64

import pytest
from twisted.internet.address import IPv4Address

from netrunner.http.request import Request
from netrunner.http.site import Limits, Site
from netrunner.http.sweep import Sweep
from netrunner.settings import Secret
from netrunner.testing.fakes import FakeClock
from netrunner.values import Answer
from netrunner.web.gate import Gate, Guarded
from tests.support.client import Client
from tests.support.logs import FailureLog
from tests.support.stage import error_of, request


class Page(Guarded):
    """Says that it was reached."""

    async def answer(self, request: Request) -> Answer:
        return Answer(200, [(b"content-type", b"text/plain")], b"reached")


class Broken(Guarded):
    """Fails."""

    async def answer(self, request: Request) -> Answer:
        raise ValueError("a fault of ours")


def ask(resource: Guarded, *fields: str, host: str = "127.0.0.1", method: str = "GET") -> bytes:
    clock = FakeClock()
    client = Client(Site(resource, Sweep(clock), Limits()), clock)
    client.transport.hostAddr = IPv4Address("TCP", host, 8080)
    client.transport.peerAddr = IPv4Address("TCP", "127.0.0.1", 50000)
    return client.say(request("/", b"", *fields, method=method)).heard()


def credential(text: str) -> str:
    return f"Authorization: Basic {base64.b64encode(text.encode()).decode()}"


OPEN = Gate(None, None)
CLOSED = Gate(Secret("ann"), Secret("päss:word"))


def test_without_an_admin_a_local_request_is_let_in() -> None:
    assert ask(Page(OPEN)).endswith(b"reached")


@pytest.mark.parametrize(
    "field", ["X-Forwarded-For: 10.0.0.1", "Origin: https://evil.example", "Sec-Fetch-Site: cross-site"]
)
def test_without_an_admin_what_may_come_from_elsewhere_is_refused(field: str) -> None:
    heard = ask(Page(OPEN), field)
    assert heard.startswith(b"HTTP/1.1 403 ")
    assert error_of(heard.partition(b"\r\n\r\n")[2])["code"] == "not_local"


def test_without_an_admin_a_listener_that_is_not_loopback_lets_nobody_in() -> None:
    assert ask(Page(OPEN), host="10.1.2.3").startswith(b"HTTP/1.1 403 ")


def test_with_an_admin_the_credential_is_let_in_from_anywhere() -> None:
    assert ask(Page(CLOSED), credential("ann:päss:word"), host="10.1.2.3").endswith(b"reached")


@pytest.mark.parametrize(
    "field",
    [
        "Accept: */*",
        credential("ann:wrong"),
        credential("bob:päss:word"),
        "Authorization: Basic %%%",
        "Authorization: Bearer ann:päss:word",
        "Authorization: Basic",
    ],
)
def test_with_an_admin_everything_else_is_challenged(field: str) -> None:
    heard = ask(Page(CLOSED), field)
    assert heard.startswith(b"HTTP/1.1 401 ")
    assert b'www-authenticate: basic realm="netrunner"' in heard.lower()
    assert b"reached" not in heard


def test_other_methods_are_refused_after_the_credential() -> None:
    assert ask(Page(OPEN), method="DELETE").startswith(b"HTTP/1.1 405 ")
    assert ask(Page(CLOSED), method="DELETE").startswith(b"HTTP/1.1 401 ")


def test_a_page_that_fails_tells_nothing_of_it(logged_failures: FailureLog) -> None:
    heard = ask(Broken(OPEN))
    assert heard.startswith(b"HTTP/1.1 500 ")
    assert b"fault" not in heard
    assert len(logged_failures.flush(ValueError)) == 1
