"""GigaChat's access tokens over real TLS: whoever gives them is verified, by an authority of one's own."""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from cryptography import x509
from twisted.internet import reactor  # noqa: TID251 - a real reactor is what is tested with
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import SSL4ServerEndpoint

import pytest_twisted
from netrunner.clock import SystemClock
from netrunner.environment import Environment
from netrunner.errors import UpstreamError
from netrunner.providers.gigachat import GigaChatProvider, GigaChatSettings
from netrunner.settings import Secret
from netrunner.testing.script import answer, json_answer
from netrunner.testing.scripted import Answers, ScriptedProvider
from netrunner.values import Call
from tests.support.authority import Authority

pytestmark = pytest.mark.integration

LOOPBACK = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
ELSEWHERE = x509.DNSName("elsewhere.example")
CALL = Call(b"POST", "chat/completions", b"", [], b"{}", "GigaChat-2", False)


class Office:
    """Gives tokens away over TLS, and keeps a provider that wants one."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder)
        self._servers: list[ScriptedProvider] = []

    async def open(self, answers: Answers, name: x509.GeneralName = LOOPBACK) -> ScriptedProvider:
        endpoint = SSL4ServerEndpoint(reactor, 0, self.authority.certify(name), interface="127.0.0.1")
        server = ScriptedProvider(reactor, answers, endpoint=endpoint, scheme="https")
        await server.start()
        self._servers.append(server)
        return server

    async def close(self) -> None:
        for server in self._servers:
            await server.stop()

    def provider(self, server: ScriptedProvider, **settings: Any) -> GigaChatProvider:
        environment = Environment("giga", reactor, SystemClock(reactor), random.Random(0))
        values: dict[str, Any] = {
            "auth_url": f"{server.origin.url}/oauth",
            "ca_file": str(self.authority.file),
            **settings,
        }
        values |= {"client_id": "client", "client_secret": Secret("secret")}
        return GigaChatProvider(GigaChatSettings(**values), environment)


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path)
    yield made
    pytest_twisted.blockon(Deferred.fromCoroutine(made.close()))


@pytest_twisted.ensureDeferred
async def test_a_token_is_got_over_verified_tls_once_for_many_calls(office: Office) -> None:
    server = await office.open(json_answer({"access_token": "t1", "expires_at": 4_000_000_000_000}))
    provider = office.provider(server)
    await gatherResults([Deferred.fromCoroutine(provider.prepare(CALL)) for _ in range(20)])
    assert dict(provider.build(CALL).headers)[b"authorization"] == b"Bearer t1"
    (request,) = server.requests
    assert (request.method, request.target) == (b"POST", b"/oauth")
    assert request.header(b"authorization") == b"Basic Y2xpZW50OnNlY3JldA=="
    assert parse_qs(request.body.decode()) == {"scope": ["GIGACHAT_API_PERS"]}
    assert request.header(b"content-type") == b"application/x-www-form-urlencoded"
    assert len(request.header(b"rquid") or b"") == 36


@pytest_twisted.ensureDeferred
async def test_an_unknown_authority_is_not_trusted(office: Office) -> None:
    server = await office.open(json_answer({"access_token": "t1"}))
    with pytest.raises(UpstreamError) as caught:
        await office.provider(server, ca_file=None).prepare(CALL)
    assert (caught.value.code, caught.value.sent, server.requests) == ("upstream_connection_failed", False, [])


@pytest_twisted.ensureDeferred
async def test_a_certificate_for_another_name_is_not_trusted(office: Office) -> None:
    server = await office.open(json_answer({"access_token": "t1"}), ELSEWHERE)
    with pytest.raises(UpstreamError) as caught:
        await office.provider(server).prepare(CALL)
    assert (caught.value.code, server.requests) == ("upstream_connection_failed", [])


@pytest_twisted.ensureDeferred
async def test_the_key_does_not_follow_a_redirect(office: Office) -> None:
    elsewhere = await office.open(json_answer({"access_token": "t1"}))
    server = await office.open(answer(307, [(b"location", f"{elsewhere.origin.url}/oauth".encode())], b""))
    with pytest.raises(UpstreamError) as caught:
        await office.provider(server).prepare(CALL)
    assert (caught.value.code, elsewhere.requests) == ("upstream_auth", [])


@pytest_twisted.ensureDeferred
async def test_an_answer_that_is_too_long_is_cut_off(office: Office) -> None:
    server = await office.open(answer(200, [], b"x" * 2_000_000))
    with pytest.raises(UpstreamError) as caught:
        await office.provider(server).prepare(CALL)
    assert caught.value.code == "upstream_connection_failed"
    await server.wait_for_disconnect()
