"""Who may manage: the management token alone, and how wrong ones are answered."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.support.admin import MANAGE, TOKEN, Desk

WRONG = {"Authorization": "Bearer wrong"}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """One for tests that leave nothing behind."""
    desk = Desk(tmp_path_factory.mktemp("manage"))
    yield desk
    desk.close()


@pytest.fixture
def desk(shared: Desk) -> Desk:
    """It, when nobody has tried anything for long."""
    shared.clock.advance(200)
    return shared


@pytest.mark.parametrize(
    "credential", ["Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", f"{TOKEN}"]
)
def test_any_other_credential_is_refused_in_one_shape(desk: Desk, credential: str) -> None:
    for path in ("/manage/projects", "/manage/none", "/manage"):
        answer = desk.ask("GET", path, {"Authorization": credential})
        told = json.loads(answer.body)["error"]
        assert (answer.status, told["code"]) == (401, "invalid_token")
        assert answer.headers[b"www-authenticate"] == b'Bearer realm="netrunner management"'


def test_every_answer_tells_the_id_by_which_the_audit_knows_its_request(desk: Desk) -> None:
    for path, headers in (("/manage/projects", {}), ("/manage/projects", MANAGE), ("/manage/none", MANAGE)):
        answer = desk.ask("GET", path, {**headers, "X-Request-ID": "theirs"})
        assert answer.headers[b"x-request-id"] == b"theirs"
    made = desk.ask("POST", "/manage/projects", MANAGE, b'{"name": "told"}')
    (entry,) = json.loads(desk.ask("GET", "/manage/audit?limit=1", MANAGE).body)["data"]
    assert entry["request_id"].encode() == made.headers[b"x-request-id"]


def test_ten_wrong_ones_a_minute_are_answered_and_the_next_later(desk: Desk) -> None:
    for _ in range(10):
        assert desk.ask("GET", "/manage/projects", WRONG).status == 401
    late = desk.client("DELETE", "/manage/projects/1", WRONG)
    assert late.heard() == b""
    desk.clock.advance(60)
    assert late.heard().startswith(b"HTTP/1.1 401 ")


def test_wrong_ones_from_many_addresses_share_the_limit_of_the_account(desk: Desk) -> None:
    for number in range(10):
        assert desk.ask("GET", "/manage/projects", {**WRONG, "X-Forwarded-For": f"10.0.0.{number}"}).status == 401
    assert desk.client("GET", "/manage/projects", {**WRONG, "X-Forwarded-For": "10.0.0.99"}).heard() == b""


def test_the_right_one_is_never_kept_waiting_and_nobody_is_told_429(desk: Desk) -> None:
    clients = [desk.client("GET", "/manage/projects", WRONG) for _ in range(40)]
    assert sum(bool(client.heard()) for client in clients) == 10
    assert desk.ask("GET", "/manage/projects", MANAGE).status == 200
    desk.clock.advance(200)
    heard = [client.heard() for client in clients]
    assert {one.partition(b"\r\n")[0] for one in heard if one} == {b"HTTP/1.1 401 Unauthorized"}


def test_who_brings_no_credential_is_told_at_once(desk: Desk) -> None:
    for _ in range(30):
        assert desk.ask("GET", "/manage/projects").status == 401
