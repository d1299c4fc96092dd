"""How fast wrong credentials are answered, whoever brings them (row 46)."""

from __future__ import annotations

from netrunner.testing.fakes import FakeClock
from netrunner.web.tries import MAX_HELD, PER_MINUTE, WINDOW_S, Tries


def test_ten_thousand_tries_from_a_hundred_addresses_get_ten_answers_a_minute() -> None:
    clock = FakeClock()
    tries = Tries(clock)
    answers: list[float] = []
    for number in range(10_000):
        waiting = tries.failed("account ann", f"address 10.0.0.{number % 100}")
        if waiting is not None:
            waiting.addCallback(lambda _: answers.append(clock.seconds()))
        clock.advance(0.03)
        assert tries.held <= MAX_HELD
    clock.advance(2 * WINDOW_S)
    first = [at for at in answers if at < answers[0] + WINDOW_S]
    assert len(first) == PER_MINUTE
    assert len(answers) <= PER_MINUTE * (300 / WINDOW_S + 2)


def test_one_address_that_tries_many_accounts_gets_ten_answers_a_minute() -> None:
    tries = Tries(FakeClock())
    waits = [tries.failed(f"account {number}", "address 10.0.0.1") for number in range(1000)]
    assert sum(one is not None and one.called for one in waits) == PER_MINUTE
    tries.close()


def test_an_end_waits_for_no_answer_to_a_wrong_credential() -> None:
    tries = Tries(FakeClock())
    waits = [tries.failed("account ann", "address 10.0.0.1") for _ in range(2 * PER_MINUTE)]
    tries.close()
    assert all(one is not None and one.called for one in waits)
    assert tries.failed("account ann", "address 10.0.0.1") is None
    assert tries.held == 0
