"""What tests rely on: a logged failure is seen, a missing program is told."""

from __future__ import annotations

import pytest
from twisted.internet.defer import fail
from twisted.logger import Logger

from tests.support.binaries import REQUIRED, require_binary
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
