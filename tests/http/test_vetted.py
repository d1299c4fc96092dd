"""Connecting to vetted addresses only, in memory: resolvers that lie."""

from __future__ import annotations

import pytest

from netrunner.http.tls import TlsContexts
from netrunner.http.vetted import vetted
from netrunner.routing.addresses import AddressPolicy
from netrunner.testing.fakes import FakeReceiver
from netrunner.values import Origin
from tests.http.upstreams import Rebinding, Upstreams, request

PUBLIC = "198.41.0.4"
METADATA = "169.254.169.254"


def upstreams(resolver: Rebinding, *allow: str) -> Upstreams:
    """Return a pool in memory whose addresses are vetted."""
    one = Upstreams(tls=TlsContexts(), dial=vetted(AddressPolicy(allow).permits))
    one.reactor.nameResolver = resolver
    return one


def ask(one: Upstreams, url: str) -> FakeReceiver:
    """Send a request and let what is due happen."""
    _, receiver = one.send(request(origin=Origin.of(url)))
    one.reactor.advance(0)
    return receiver


def outcome(receiver: FakeReceiver) -> tuple[str, bool, bool]:
    """Return the code of a failure, whether the request may have been sent, and whether to try it again."""
    assert receiver.error is not None
    return receiver.error.code, receiver.error.sent, receiver.error.retryable


DENIED = ("upstream_address_denied", False, False)


def test_what_was_vetted_is_what_is_connected_to() -> None:
    resolver = Rebinding([PUBLIC], ["127.0.0.1"])
    one = upstreams(resolver)
    ask(one, "https://rebinding.example/")
    assert [client[:2] for client in one.reactor.tcpClients] == [(PUBLIC, 443)]
    assert resolver.asked == 1


@pytest.mark.parametrize("second", ["127.0.0.1", METADATA, "::1", "10.0.0.1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"])
def test_a_name_that_becomes_a_private_address_is_not_followed_there(second: str) -> None:
    one = upstreams(Rebinding([PUBLIC], [second]))
    ask(one, "https://rebinding.example/")
    assert outcome(ask(one, "https://rebinding.example/")) == DENIED
    assert [client[0] for client in one.reactor.tcpClients] == [PUBLIC]


def test_one_answer_that_is_not_permitted_denies_the_name() -> None:
    one = upstreams(Rebinding([PUBLIC, "127.0.0.1"], ["127.0.0.1", PUBLIC]))
    for _ in range(2):
        assert outcome(ask(one, "https://both.example/")) == DENIED
    assert one.attempts == 0


def test_a_literal_address_is_vetted_without_a_resolver() -> None:
    resolver = Rebinding([PUBLIC])
    one = upstreams(resolver)
    for url in ("https://127.0.0.1/", "https://[::1]/", "http://198.41.0.4/", f"https://{METADATA}/"):
        assert outcome(ask(one, url)) == DENIED
    ask(one, f"https://{PUBLIC}:8443/")
    assert [client[:2] for client in one.reactor.tcpClients] == [(PUBLIC, 8443)]
    assert resolver.asked == 0


def test_a_denied_call_that_is_given_up_says_nothing() -> None:
    one = upstreams(Rebinding([PUBLIC]))
    call, receiver = one.send(request(origin=Origin.of("https://127.0.0.1/")))
    call.abort()
    one.reactor.advance(0)
    assert (receiver.dialogue, one.reactor.getDelayedCalls()[1:]) == ([], [])


def test_a_name_without_an_address_is_told_as_such() -> None:
    receiver = ask(upstreams(Rebinding([])), "https://nowhere.example/")
    assert outcome(receiver) == ("upstream_connection_failed", False, True)
