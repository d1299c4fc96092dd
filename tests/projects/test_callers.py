"""Who calls: found in this process, asked for in the database, read again after changes."""

from __future__ import annotations

import secrets
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from netrunner.errors import ExchangeError, Forbidden, Overloaded, Unauthenticated
from netrunner.projects import callers as module
from netrunner.projects.callers import KEEP_S, REFRESH_S, UNKNOWN_S
from netrunner.projects.office import Office
from netrunner.projects.terms import Terms
from netrunner.projects.tokens import Mint
from netrunner.projects.wanted import ProjectChange, Refreshment, TokenChange
from tests.support.reception import ANN, Front, forged, now


def let_in(front: Front, token: bytes, reception: Any = None) -> Any:
    """Return the caller of a token, checked."""
    reception = reception or front.reception
    caller = reception.known(token) or now(reception.ask(token))
    caller.check(front.clock.wall())
    return caller


def refusal(front: Front, token: bytes, reception: Any = None) -> str:
    """Return the code with which a token is refused."""
    with pytest.raises(ExchangeError) as raised:
        let_in(front, token, reception)
    return raised.value.code


def reads(front: Front) -> int:
    return front.desk.asked.count("_find")


def test_a_token_is_asked_for_once(front: Front) -> None:
    project = front.project()
    id, token = front.token(project)
    callers = [let_in(front, token) for _ in range(3)]
    assert reads(front) == 1
    assert {caller.id for caller in callers} == {id}
    assert callers[0].project == project
    assert callers[0].masked == f"{token[:9].decode()}***"


def test_many_who_come_at_once_with_a_new_token_ask_once(front: Front) -> None:
    _, token = front.token(front.project())
    front.desk.held = []
    asking = [Deferred.fromCoroutine(front.reception.ask(token)) for _ in range(200)]
    assert reads(front) == 1
    front.desk.let_go()
    found: list[Any] = []
    for one in asking:
        one.addCallback(found.append)
    assert len(found) == 200
    assert len({id(caller) for caller in found}) == 1


def test_a_forged_token_is_refused_without_a_look_into_the_database(front: Front) -> None:
    assert refusal(front, forged()) == "token_not_found"
    assert reads(front) == 0


@pytest.mark.parametrize("credential", [b"", b"sk-x", b"' OR '1'='1", b"nr-" + b"a" * 10_000, b"\xff\x00"])
def test_what_is_no_token_is_invalid(front: Front, credential: bytes) -> None:
    assert refusal(front, credential) == "invalid_token"
    assert reads(front) == 0


def test_every_token_is_read_again_after_a_change_that_may_have_been_missed(front: Front) -> None:
    tokens = [front.token(front.project())[1] for _ in range(2)]
    for token in tokens:
        let_in(front, token)
    front.reception.hear(None)
    for token in tokens:
        let_in(front, token)
    assert reads(front) == 4


def test_a_stream_of_a_token_whose_revocation_was_missed_ends(front: Front) -> None:
    id, token = front.token(front.project())
    caller = let_in(front, token)
    now(front.another().change("token.revoke", ANN, Office.revoke, id))
    front.open.append(caller)
    front.reception.hear(None)
    assert front.ended == [(caller, "token_inactive")]


def test_an_unknown_token_is_remembered_for_a_moment(front: Front) -> None:
    front.project()
    opened = front.reception.callers.opened
    assert opened is not None
    token = opened.mint.make(secrets.token_bytes).encode()
    assert [refusal(front, token) for _ in range(3)] == ["token_not_found"] * 3
    assert reads(front) == 1
    front.clock.advance(UNKNOWN_S)
    assert refusal(front, token) == "token_not_found"
    assert reads(front) == 2


def test_unknown_tokens_that_are_remembered_are_bounded(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_UNKNOWN", 3)
    opened = front.reception.callers.opened
    assert opened is not None
    tokens = [opened.mint.make(secrets.token_bytes).encode() for _ in range(5)]
    for token in tokens:
        assert refusal(front, token) == "token_not_found"
    assert [refusal(front, token) for token in tokens[2:]] == ["token_not_found"] * 3
    assert reads(front) == 5


def test_tokens_that_are_known_are_bounded(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_KNOWN", 2)
    project = front.project()
    tokens = [front.token(project)[1] for _ in range(3)]
    for token in tokens:
        let_in(front, token)
    assert len(front.reception.callers) == 2
    assert front.reception.known(tokens[0]) is None
    assert front.reception.known(tokens[2]) is not None


def test_a_revoked_token_is_refused_by_the_very_next_request(front: Front) -> None:
    id, token = front.token(front.project())
    let_in(front, token)
    front.change("token.revoke", Office.revoke, id)
    assert refusal(front, token) == "token_inactive"


def test_a_token_that_is_let_in_again_is_let_in(front: Front) -> None:
    id, token = front.token(front.project())
    front.change("token.revoke", Office.revoke, id)
    assert refusal(front, token) == "token_inactive"
    front.change("token.change", Office.change_token, id, TokenChange(is_active=True))
    assert let_in(front, token).id == id


def test_a_refreshed_token_is_let_in_and_what_it_was_before_is_not(front: Front) -> None:
    id, token = front.token(front.project(), max_requests=10)
    front.open = [let_in(front, token)]
    told = front.change("token.refresh", Office.refresh, id, Refreshment())
    assert [code for _, code in front.ended] == ["token_not_found"]
    assert refusal(front, token) == "token_not_found"
    assert let_in(front, told["token"].encode()).id == id
    assert front.told == [told["project_id"]]


def test_an_expired_token_is_refused_though_it_is_known(front: Front) -> None:
    _, token = front.token(front.project(), duration_minutes=1, duration_hours=None)
    let_in(front, token)
    front.clock.advance(60.0)
    assert refusal(front, token) == "token_expired"


def test_a_project_that_is_not_active_lets_none_of_its_tokens_in(front: Front) -> None:
    project = front.project()
    token, other = front.token(project)[1], front.token(project)[1]
    let_in(front, token)
    front.change("project.change", Office.change_project, project, ProjectChange(is_active=False))
    assert [refusal(front, one) for one in (token, other)] == ["project_inactive"] * 2
    front.change("project.change", Office.change_project, project, ProjectChange(is_active=True))
    let_in(front, token)


def test_a_deleted_project_leaves_tokens_that_nobody_knows(front: Front) -> None:
    project = front.project()
    _, token = front.token(project)
    let_in(front, token)
    front.change("project.delete", Office.delete_project, project)
    assert refusal(front, token) == "token_not_found"


def test_a_change_while_a_token_is_read_is_seen_by_the_next_request(front: Front) -> None:
    id, token = front.token(front.project())
    let_in(front, token)
    front.reception.callers.changed(let_in(front, token).project)
    front.desk.held = []
    reading = Deferred.fromCoroutine(front.reception.ask(token))
    held, front.desk.held = front.desk.held, None
    front.change("token.revoke", Office.revoke, id)
    held[0].callback(None)
    reading.addErrback(lambda failure: failure.trap(Unauthenticated))
    assert refusal(front, token) == "token_inactive"


def test_another_process_that_hears_of_a_change_refuses_at_once(front: Front) -> None:
    project = front.project()
    id, token = front.token(project)
    other = front.another()
    let_in(front, token, other)
    front.change("token.revoke", Office.revoke, id)
    now(other.changed(project))
    assert refusal(front, token, other) == "token_inactive"


def test_a_known_token_is_read_again_after_a_minute_while_it_is_used_on(front: Front) -> None:
    id, token = front.token(front.project())
    other = front.another()
    let_in(front, token, other)
    front.change("token.revoke", Office.revoke, id)
    front.clock.advance(REFRESH_S)
    let_in(front, token, other)
    front.clock.advance(0.1)
    assert refusal(front, token, other) == "token_inactive"


def test_without_the_database_a_known_token_is_let_in_for_a_while(front: Front) -> None:
    _, token = front.token(front.project())
    let_in(front, token)
    front.desk.broken = True
    front.clock.advance(KEEP_S - 1)
    let_in(front, token)
    assert refusal(front, front_token(front)) == "store_unavailable"
    front.clock.advance(2.0)
    assert refusal(front, token) == "store_unavailable"
    front.desk.broken = False
    let_in(front, token)


def front_token(front: Front) -> bytes:
    """Return a token that this process does not know."""
    opened = front.reception.callers.opened
    assert opened is not None
    return opened.mint.make(secrets.token_bytes).encode()


def test_without_the_database_a_token_that_was_changed_is_not_let_in(front: Front) -> None:
    project = front.project()
    _, token = front.token(project)
    let_in(front, token)
    front.desk.broken = True
    now(front.reception.changed(project))
    assert refusal(front, token) == "store_unavailable"


def test_without_the_database_nothing_is_changed(front: Front) -> None:
    id, token = front.token(front.project())
    front.desk.broken = True
    with pytest.raises(Overloaded) as raised:
        front.change("token.revoke", Office.revoke, id)
    assert raised.value.code == "store_unavailable"
    front.desk.broken = False
    let_in(front, token)


def test_keys_of_a_provider_are_used_in_turn_by_all_tokens(front: Front) -> None:
    project = front.project(api_key=None, keys={"up": ["one", "two", "three"]})
    first, second = (let_in(front, front.token(project)[1]) for _ in range(2))
    assert [caller.key("up") for caller in (first, second, first, second)] == [b"one", b"two", b"three", b"one"]


def test_a_project_without_a_key_for_a_provider_says_so(front: Front) -> None:
    caller = let_in(front, front.token(front.project(api_key=None))[1])
    with pytest.raises(Forbidden) as raised:
        caller.key("up")
    assert raised.value.code == "project_key_missing"


@pytest.mark.parametrize(
    ("project", "token", "allowed"),
    [
        ((), (), ["gpt-4o", "local", "other", "", None]),
        (("gpt-*", "local"), (), ["gpt-4o", "local"]),
        ((), ("local",), ["local"]),
        (("gpt-*", "local"), ("gpt-4o", "other"), ["gpt-4o"]),
    ],
)
def test_the_models_that_are_allowed_are_those_of_the_token_and_of_its_project(
    front: Front, project: tuple[str, ...], token: tuple[str, ...], allowed: list[str | None]
) -> None:
    id = front.project()
    _, issued = front.token(id, limits=Terms(models=token))
    front.change("project.change", Office.change_project, id, ProjectChange(limits=Terms(models=project)))
    caller = let_in(front, issued)
    for model in ("gpt-4o", "local", "other", "", None):
        if model in allowed:
            caller.check_model(model)
            continue
        with pytest.raises(Forbidden) as raised:
            caller.check_model(model)
        assert (raised.value.code, raised.value.param) == ("model_not_allowed", "model")


def test_a_new_key_is_used_by_the_next_request(front: Front) -> None:
    project = front.project(api_key=None, keys={"up": "one"})
    _, token = front.token(project)
    assert let_in(front, token).key("up") == b"one"
    front.change("project.change", Office.change_project, project, ProjectChange(keys={"up": "two"}))
    assert let_in(front, token).key("up") == b"two"


def test_open_requests_of_a_revoked_token_end_and_others_go_on(front: Front) -> None:
    project = front.project()
    (id, token), (_, other) = front.token(project), front.token(project)
    revoked, kept = let_in(front, token), let_in(front, other)
    front.open = [revoked, kept]
    front.change("token.revoke", Office.revoke, id)
    assert front.ended == [(revoked, "token_inactive")]


def test_open_requests_of_a_deleted_project_end_though_their_token_was_forgotten(
    front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_KNOWN", 1)
    project = front.project()
    caller = let_in(front, front.token(project)[1])
    let_in(front, front.token(project)[1])
    front.open = [caller]
    front.change("project.delete", Office.delete_project, project)
    assert front.ended == [(caller, "token_not_found")]


def test_a_mint_of_another_database_makes_nothing_that_is_let_in(front: Front) -> None:
    assert refusal(front, Mint(b"x" * 32).make(secrets.token_bytes).encode()) == "token_not_found"
