"""What tests rely on: a logged failure is seen, a missing program is told, a secret is found in any form."""

from __future__ import annotations

import base64

import pytest
from twisted.internet.defer import fail
from twisted.logger import Logger

from tests.support.binaries import REQUIRED, require_binary
from tests.support.canaries import hidden_in
from tests.support.dialogue import event
from tests.support.logs import FailureLog


def test_logged_failure_is_seen(logged_failures: FailureLog) -> None:
    try:
        raise KeyError("lost")
    except KeyError:
        Logger().failure("it broke")
    with pytest.raises(AssertionError, match="it broke"):
        logged_failures.assert_empty()


def test_deferred_that_failed_unheard_is_seen(logged_failures: FailureLog) -> None:
    fail(KeyError("lost"))
    assert [failure.type for failure in logged_failures.flush(KeyError)] == [KeyError]
    assert logged_failures.flush() == []


def test_flush_leaves_other_failures(logged_failures: FailureLog) -> None:
    fail(KeyError("lost"))
    assert logged_failures.flush(ValueError) == []
    assert len(logged_failures.flush()) == 1


def test_missing_program_skips_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(REQUIRED, raising=False)
    with pytest.raises(pytest.skip.Exception, match="no-such-program"):
        require_binary("no-such-program")


def test_missing_program_fails_where_programs_are_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(REQUIRED, "1")
    with pytest.raises(pytest.fail.Exception, match="no-such-program"):
        require_binary("no-such-program")


@pytest.mark.parametrize(
    "data",
    [
        b"key=a%2Fcanary%3Dof-mine&x=1",
        base64.b64encode(b"Basic: a/canary=of-mine."),
        b"0005\r\na/can\r\nb\r\nary=of-mine\r\n0\r\n\r\n",
        event("see a/can") + event("ary=of") + event("-") + event("mine"),
    ],
    ids=["percent-encoded", "in base64", "in two chunks", "in four events"],
)
def test_a_secret_is_found_however_it_is_written_or_cut(data: bytes) -> None:
    assert hidden_in(b"before " + data + b" after", ["a/canary=of-mine", "another one"]) == ["a/canary=of-mine"]
