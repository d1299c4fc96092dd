"""What tokens use: windows, caps exact over processes, budgets, and what is written down of them."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred

from netrunner.claims import Denial, Grant
from netrunner.errors import Overloaded, RateLimited
from netrunner.projects.office import Office
from netrunner.projects.terms import Terms
from netrunner.projects.uses import EXHAUSTED_S, FLUSH_S
from netrunner.projects.wanted import TokenChange
from netrunner.projects.wither import Wither
from netrunner.values import Record, Usage
from tests.support.reception import Front, now
from tests.support.records import record_maker

record = record_maker()


def took(tokens: int, model: str = "gpt-4o") -> Record:
    return record(usage=Usage(tokens, 0), upstream_model=model)


def caller_of(front: Front, token: bytes, reception: Any = None) -> Any:
    return now((reception or front.reception).ask(token))


def admitted(front: Front, caller: Any, most: int = 10_000, reception: Any = None) -> int:
    """Return how many requests are let in before one is not."""
    for count in range(most):
        try:
            answer = now((reception or front.reception).admit(caller, front.counters))
        except RateLimited:
            return count
        if isinstance(answer, Denial):
            return count
    return most


def row(front: Front, id: str) -> dict[str, Any]:
    shown: dict[str, Any] = now(front.reception.look(Office.token, id))
    return shown


def test_a_token_has_a_thousand_requests_an_hour_unless_it_says_otherwise(front: Front) -> None:
    caller = caller_of(front, front.token(front.project())[1])
    assert admitted(front, caller) == 1000
    front.clock.advance(3599.0)
    denial = now(front.reception.admit(caller, front.counters))
    assert (denial.what, denial.wait_s) == ("requests_per_hour", 1.0)


def test_a_window_opens_again(front: Front) -> None:
    caller = caller_of(front, front.token(front.project(), limits=Terms(requests_per_minute=3))[1])
    assert admitted(front, caller) == 3
    front.clock.advance(60.0)
    assert admitted(front, caller) == 3


def test_tokens_of_a_project_share_its_limits(front: Front) -> None:
    project = front.project(limits=Terms(requests_per_hour=5))
    one, other = (caller_of(front, front.token(project)[1]) for _ in range(2))
    assert admitted(front, one, 3) == 3
    assert admitted(front, other) == 2


def test_limits_wither(front: Front) -> None:
    limits = Terms(requests_per_minute=100, wither=Wither(curve="linear"))
    caller = caller_of(front, front.token(front.project(), limits=limits)[1])
    left = []
    for _ in range(3):
        left.append(admitted(front, caller))
        front.clock.advance(1200.0)
    assert left == [100, 67, 34]


def test_a_cap_lets_exactly_so_many_in(front: Front) -> None:
    caller = caller_of(front, front.token(front.project(), max_requests=100)[1])
    assert admitted(front, caller) == 100
    with pytest.raises(RateLimited) as raised:
        now(front.reception.admit(caller, front.counters))
    assert (raised.value.code, raised.value.retry_after_s) == ("max_requests_exceeded", None)


def told(caller: Any) -> dict[bytes, bytes]:
    return dict(caller.told())


def test_its_holder_is_told_when_a_token_expires_and_what_its_life_has_left(front: Front) -> None:
    id, token = front.token(front.project(), max_requests=40)
    caller = caller_of(front, token)
    assert told(caller)[b"netrunner-token-expires"].decode() == row(front, id)["expires_at"]
    for left in range(39, -1, -1):
        assert admitted(front, caller, 1) == 1
        assert told(caller)[b"netrunner-token-requests-remaining"] == b"%d" % left


def test_a_token_without_a_cap_is_told_of_none(front: Front) -> None:
    assert list(told(caller_of(front, front.token(front.project())[1]))) == [b"netrunner-token-expires"]


def test_a_revoked_token_is_told_nothing_of_itself(front: Front) -> None:
    id, token = front.token(front.project())
    caller = caller_of(front, token)
    front.change("token.revoke", Office.revoke, id)
    now(front.reception.callers.again(caller))
    assert told(caller) == {}


def test_two_processes_together_let_exactly_so_many_in(front: Front) -> None:
    _, token = front.token(front.project(), max_requests=100)
    here, there = front.reception, front.another()
    callers = [(one, caller_of(front, token, one)) for one in (here, there)]
    count = 0
    for turn in range(300):
        reception, caller = callers[turn % 2]
        count += admitted(front, caller, 1, reception)
    assert count == 100


def test_two_hundred_at_once_are_let_in_as_far_as_the_cap_goes(front: Front) -> None:
    caller = caller_of(front, front.token(front.project(), max_requests=30)[1])
    front.desk.held = []
    asking = [Deferred.fromCoroutine(front.reception.admit(caller, front.counters)) for _ in range(200)]
    results: list[Any] = []
    for one in asking:
        one.addBoth(results.append)
    while front.desk.held:
        held, front.desk.held = front.desk.held, []
        for waiting in held:
            waiting.callback(None)
    front.desk.held = None
    assert len(results) == 200
    assert sum(isinstance(one, Grant) for one in results) == 30
    assert {one.value.code for one in results if not isinstance(one, Grant)} == {"max_requests_exceeded"}


def test_what_another_process_does_not_spend_comes_back(front: Front) -> None:
    _, token = front.token(front.project(), max_requests=64)
    idle, busy = front.another(), front.reception
    assert admitted(front, caller_of(front, token, idle), 1, idle) == 1
    assert admitted(front, caller_of(front, token), reception=busy) < 63
    front.clock.advance(FLUSH_S)
    front.clock.advance(FLUSH_S)
    front.clock.advance(EXHAUSTED_S)
    admitted(front, caller_of(front, token))
    now(busy.stop())
    now(idle.stop())
    assert row(front, caller_of(front, token).id)["request_count"] == 64


def test_a_cap_that_was_raised_lets_more_in(front: Front) -> None:
    id, token = front.token(front.project(), max_requests=2)
    assert admitted(front, caller_of(front, token)) == 2
    front.change("token.change", Office.change_token, id, TokenChange(max_requests=3))
    front.clock.advance(EXHAUSTED_S)
    assert admitted(front, caller_of(front, token)) == 1


def test_what_is_refused_by_a_cap_counts_in_no_window(front: Front) -> None:
    limits = Terms(requests_per_hour=3)
    caller = caller_of(front, front.token(front.project(), max_requests=2, limits=limits)[1])
    assert admitted(front, caller) == 2
    caller.max_requests = None
    assert admitted(front, caller) == 1


def test_requests_are_counted_and_written_down_together(front: Front) -> None:
    id, token = front.token(front.project())
    caller = caller_of(front, token)
    front.clock.advance(FLUSH_S)
    front.desk.asked.clear()
    assert admitted(front, caller, 50) == 50
    assert front.desk.asked == []
    at = front.clock.wall()
    front.clock.advance(FLUSH_S)
    assert front.desk.asked == ["_write"]
    shown = row(front, id)
    assert shown["request_count"] == 50
    assert shown["last_used_at"].startswith("2025-06-15T15:06:4")
    assert at > 0


def test_what_could_not_be_written_down_is_written_later(front: Front) -> None:
    id, token = front.token(front.project())
    caller = caller_of(front, token)
    front.desk.broken = True
    admitted(front, caller, 3)
    front.clock.advance(FLUSH_S)
    admitted(front, caller, 2)
    front.desk.broken = False
    front.clock.advance(FLUSH_S)
    assert row(front, id)["request_count"] == 5


def test_the_last_uses_are_written_down_at_the_end(front: Front) -> None:
    id, token = front.token(front.project(), max_requests=100)
    admitted(front, caller_of(front, token), 4)
    now(front.reception.stop())
    assert row(front, id)["request_count"] == 4
    assert admitted(front, caller_of(front, token)) == 96


def test_a_budget_of_tokens_ends_a_life(front: Front) -> None:
    caller = caller_of(front, front.token(front.project(), limits=Terms(max_tokens=100))[1])
    for _ in range(2):
        grant = now(front.reception.admit(caller, front.counters))
        front.reception.over(caller, front.counters, grant, took(60), 60)
    with pytest.raises(RateLimited) as raised:
        now(front.reception.admit(caller, front.counters))
    assert raised.value.code == "budget_exceeded"


def test_a_request_that_has_no_room_for_its_tokens_was_never_admitted(front: Front) -> None:
    limits = Terms(tokens_per_minute=100)
    id, token = front.token(front.project(), limits=limits, max_requests=2)
    caller = caller_of(front, token)
    assert caller.counts_tokens
    answers = []
    for tokens in (50, 60, 50):
        grant = now(front.reception.admit(caller, front.counters))
        answers.append(now(front.reception.expect(caller, front.counters, grant, tokens)))
    assert [type(one) for one in answers[1:]] == [Denial, type(answers[0])]
    front.clock.advance(FLUSH_S)
    assert row(front, id)["request_count"] == 2


def test_a_budget_of_money_of_a_project_ends_for_all_its_tokens(front: Front) -> None:
    project = front.project(limits=Terms(max_cost=1.0))
    one, other = (caller_of(front, front.token(project)[1]) for _ in range(2))
    grant = now(front.reception.admit(one, front.counters))
    front.reception.over(one, front.counters, grant, took(1_000_000), 1_000_000)
    with pytest.raises(RateLimited, match="project's budget of 1 USD"):
        now(front.reception.admit(other, front.counters))


def test_what_has_no_price_costs_nothing_that_is_counted(front: Front) -> None:
    project = front.project(limits=Terms(max_cost=0.01))
    id, token = front.token(project)
    caller = caller_of(front, token)
    grant = now(front.reception.admit(caller, front.counters))
    front.reception.over(caller, front.counters, grant, took(1_000_000, "unknown"), 1_000_000)
    assert isinstance(now(front.reception.admit(caller, front.counters)), Grant)
    front.clock.advance(FLUSH_S)
    assert row(front, id)["usage"] == {"tokens": 1_000_000, "cost": 0.0}


def test_what_was_used_is_known_after_a_restart(front: Front) -> None:
    id, token = front.token(front.project(), limits=Terms(max_tokens=100))
    caller = caller_of(front, token)
    front.reception.over(caller, front.counters, now(front.reception.admit(caller, front.counters)), took(150), 150)
    now(front.reception.stop())
    after = front.another()
    with pytest.raises(RateLimited):
        now(after.admit(caller_of(front, token, after), front.counters))
    assert row(front, id)["usage"]["tokens"] == 150


def test_a_cap_cannot_be_counted_without_the_database(front: Front) -> None:
    caller = caller_of(front, front.token(front.project(), max_requests=5)[1])
    front.desk.broken = True
    with pytest.raises(Overloaded):
        now(front.reception.admit(caller, front.counters))
