"""Registering names: who may, what an alias has to be, and what is answered."""

from __future__ import annotations

import json
from typing import Any

import pytest
from twisted.internet.address import IPv4Address

from netrunner.errors import StoreError
from netrunner.http.site import Limits, Site
from netrunner.http.sweep import Sweep
from netrunner.routing.addresses import AddressPolicy
from netrunner.routing.names import Names
from netrunner.settings import Secret
from netrunner.testing.fakes import FakeClock
from netrunner.values import Alias
from netrunner.web.register import Management, Register
from tests.support.client import Answer, Client, answers
from tests.support.stage import error_of, request

TOKEN = "manage-canary"
GOOD = {"name": "own", "model": "org/m:tag", "api_url": "https://llm.example/v1/"}


class Shelf:
    """Keeps aliases, unless it is broken."""

    def __init__(self) -> None:
        self.aliases: dict[str, Alias] = {}
        self.broken = False

    async def put(self, alias: Alias) -> None:
        if self.broken:
            raise StoreError("The database does not do what it is asked.")
        self.aliases[alias.name] = alias

    async def drop(self, name: str) -> bool:
        return self.aliases.pop(name, None) is not None


class Desk:
    """One resource, and who asks it."""

    def __init__(self, token: str | None = None) -> None:
        self.shelf = Shelf()
        self.clock = FakeClock()
        names = Names(["taken"], model_map={"mapped": "taken"}, classes=["BIG"])
        management = Management(None if token is None else Secret(token))
        policy = AddressPolicy(["127.0.0.1:9000", "llm.internal"])
        self.register = Register(
            management, self.shelf, names, policy, lambda origin: origin.host == "me.example", self.clock
        )

    def ask(self, body: Any, *fields: str, method: str = "POST", host: str = "127.0.0.1") -> Answer:
        client = Client(Site(self.register, Sweep(self.clock), Limits()), self.clock)
        client.transport.hostAddr = IPv4Address("TCP", host, 8080)
        client.transport.peerAddr = IPv4Address("TCP", "127.0.0.1", 50000)
        client.say(request("/", body, *fields, method=method))
        (answer,) = answers(client.heard(), method.encode())
        return answer


def test_an_alias_is_registered() -> None:
    desk = Desk()
    answer = desk.ask(GOOD)
    assert (answer.status, json.loads(answer.body)) == (
        200,
        {"status": "success", "name": "own", "model": "org/m:tag"},
    )
    assert desk.shelf.aliases == {"own": Alias("own", "org/m:tag", "https://llm.example/v1", desk.clock.wall())}


def test_the_same_name_again_replaces_the_entry() -> None:
    desk = Desk()
    desk.ask(GOOD)
    assert desk.ask({**GOOD, "model": "other"}).status == 200
    assert desk.shelf.aliases["own"].model == "other"


@pytest.mark.parametrize("field", ["name", "model", "api_url"])
@pytest.mark.parametrize("value", [None, "", 3, ["x"], {}])
def test_a_field_that_is_missing_empty_or_no_string_is_told(field: str, value: Any) -> None:
    desk = Desk()
    fields = {name: one for name, one in {**GOOD, field: value}.items() if one is not None}
    answer = desk.ask(fields)
    assert answer.status == 400
    assert json.loads(answer.body) == {"error": f"{field}: required, and a string that is not empty."}
    assert desk.shelf.aliases == {}


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"\xff", b"[" * 2000])
def test_a_body_that_is_no_object_is_told(body: bytes) -> None:
    answer = Desk().ask(body)
    assert answer.status == 400
    assert json.loads(answer.body)["error"].startswith("The body is not ")


@pytest.mark.parametrize(
    ("change", "status", "reason"),
    [
        ({"name": "a" * 65}, 400, "name: expected 1 to 64 letters"),
        ({"name": "a/b"}, 400, "name: expected 1 to 64 letters"),
        ({"name": "ö"}, 400, "name: expected 1 to 64 letters"),
        ({"name": "a\n"}, 400, "name: expected 1 to 64 letters"),
        ({"model": "x" * 513}, 400, "model: expected at most 512 printable"),
        ({"model": "a\nb"}, 400, "model: expected at most 512 printable"),
        ({"api_key": "sk-1"}, 400, "api_key: unknown; known are name, model, api_url"),
        ({"api_url": "llm.example/v1"}, 400, "api_url: expected an absolute https URL"),
        ({"api_url": "ftp://llm.example/v1"}, 400, "api_url: expected an absolute https URL"),
        ({"api_url": "https://u:p@llm.example/v1"}, 400, "without credentials"),
        ({"api_url": "https://llm.example/v1?a=b"}, 400, "without credentials or query"),
        ({"api_url": "http://llm.example/v1"}, 400, "api_url: https is required"),
        ({"api_url": "https://10.0.0.1/v1"}, 400, "api_url: the address is not a public one"),
        ({"api_url": "https://127.0.0.1/v1"}, 400, "api_url: the address is not a public one"),
        ({"api_url": "https://169.254.169.254/latest"}, 400, "api_url: the address is not a public one"),
        ({"api_url": "https://[::ffff:127.0.0.1]/v1"}, 400, "api_url: the host is neither"),
        ({"api_url": "https://0x7f000001/v1"}, 400, "api_url: the host is neither"),
        ({"api_url": "https://me.example/v1"}, 400, "api_url: leads back to this server"),
        ({"name": "taken"}, 409, "'taken' is the name of a configured model"),
        ({"name": "BIG"}, 409, "'BIG' is the name of a configured class"),
        ({"name": "mapped"}, 409, "'mapped' is mapped by model_map"),
    ],
)
def test_what_may_not_be_registered_is_told_with_its_reason(change: dict[str, str], status: int, reason: str) -> None:
    desk = Desk()
    answer = desk.ask({**GOOD, **change})
    assert answer.status == status
    document = json.loads(answer.body)
    assert set(document) == {"error"}
    assert reason in document["error"]
    assert desk.shelf.aliases == {}


@pytest.mark.parametrize("url", ["http://127.0.0.1:9000/v1", "http://llm.internal", "https://llm.internal:8443/x"])
def test_a_host_that_is_allowed_may_be_registered_without_tls(url: str) -> None:
    assert Desk().ask({**GOOD, "api_url": url}).status == 200


@pytest.mark.parametrize(
    ("fields", "host", "code"),
    [
        (("X-Forwarded-For: 10.0.0.1",), "127.0.0.1", "not_local"),
        (("Origin: https://evil.example",), "127.0.0.1", "not_local"),
        (("Sec-Fetch-Site: cross-site",), "127.0.0.1", "not_local"),
        ((), "192.0.2.1", "not_local"),
    ],
)
def test_without_a_management_token_only_local_requests_may(fields: tuple[str, ...], host: str, code: str) -> None:
    desk = Desk()
    answer = desk.ask(GOOD, *fields, host=host)
    assert (answer.status, error_of(answer.body)["code"]) == (403, code)
    assert desk.shelf.aliases == {}


@pytest.mark.parametrize(
    "fields", [(), (f"Authorization: Bearer {TOKEN}x",), (f"Authorization: Basic {TOKEN}",), (f"X-Api-Key: {TOKEN}",)]
)
def test_with_a_management_token_nobody_else_may_not_even_locally(fields: tuple[str, ...]) -> None:
    desk = Desk(TOKEN)
    answer = desk.ask(GOOD, *fields)
    assert (answer.status, answer.headers[b"www-authenticate"]) == (401, b"Bearer")
    assert error_of(answer.body)["code"] == "invalid_token"
    assert desk.shelf.aliases == {}


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_who_has_the_management_token_may_from_anywhere(scheme: str) -> None:
    assert Desk(TOKEN).ask(GOOD, f"Authorization: {scheme} {TOKEN}", host="192.0.2.1").status == 200


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_other_methods_are_refused(method: str) -> None:
    answer = Desk().ask(b"", method=method)
    assert (answer.status, answer.headers[b"allow"]) == (405, b"POST, DELETE")


def test_a_registry_that_does_not_work_is_a_clean_refusal() -> None:
    desk = Desk()
    desk.shelf.broken = True
    answer = desk.ask(GOOD)
    assert (answer.status, error_of(answer.body)["code"]) == (503, "store_unavailable")
    assert b"retry-after" in answer.headers
