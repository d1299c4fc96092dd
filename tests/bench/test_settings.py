"""Flags and profiles: read alike, strictly, each mistake by its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from netrunner.cli.bench import settings
from netrunner.cli.bench.settings import BenchSettings
from netrunner.errors import ConfigurationError

PROFILES = """\
smoke: {requests: 20, concurrency: 2, stream: true, token: {env: KEY}}
night:
  base_url: ${WHERE}
  duration_s: 60
  payload: ["@a.jsonl", '{"a": 1}']
wrong: {request: 1}
"""


def read(profile: str | None = None, file: str = "bench.yaml", /, **flags: Any) -> BenchSettings:
    given = {name.replace("_", "-"): value for name, value in flags.items()}
    return settings.read(given, profile, file, {"KEY": "sk-1", "WHERE": "http://10.0.0.1:8080"})[0]


def refusal(profile: str | None = None, file: str = "bench.yaml", /, **flags: Any) -> str:
    with pytest.raises(ConfigurationError) as refused:
        read(profile, file, **flags)
    return str(refused.value)


@pytest.fixture
def profiles(tmp_path: Path) -> str:
    path = tmp_path / "bench.yaml"
    path.write_text(PROFILES)
    return str(path)


def test_without_flags_a_hundred_requests_are_sent_ten_at_once() -> None:
    plan = read().plan()
    assert (plan.requests, plan.concurrency, plan.rate, plan.duration_s) == (100, 10, None, None)


def test_a_duration_alone_bounds_no_number() -> None:
    plan = read(duration="30").plan()
    assert (plan.requests, plan.duration_s) == (None, 30.0)


def test_a_rate_has_room_for_many_at_once() -> None:
    assert read(rate="50").plan().concurrency == 1000
    assert read(rate="50", concurrency="3").plan().concurrency == 3


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"requests": "x"}, "--requests: expected a whole number or nothing, got 'x'"),
        ({"concurrency": "0"}, "--concurrency: expected a number from 1 to 100000, got 0"),
        ({"rate": "-1"}, "--rate: expected a number from 0.001 to 1000000.0, got -1"),
        ({"max_error_rate": "2"}, "--max-error-rate: expected a number from 0.0 to 1.0, got 2"),
        ({"base_url": "ftp://localhost"}, "--base-url: expected an absolute http or https URL with a host"),
        ({"base_url": "http://anna:pw@host"}, "--base-url: expected an absolute http or https URL with a host"),
        ({"dialect": "klingon"}, "--dialect: expected 'openai' or 'responses'"),
        ({"token": "env:NOPE"}, "--token: environment variable NOPE is not set"),
        ({"token": "@/nowhere"}, "--token: file /nowhere cannot be read"),
        ({"token": "a\nb"}, "--token: token holds a control character"),
        ({"format": "xml"}, "--format: expected 'json' or 'csv'"),
    ],
)
def test_a_wrong_flag_is_named(flags: dict[str, str], message: str) -> None:
    told = refusal(**flags)
    assert told.startswith(message)
    assert "pw" not in told


def test_all_wrong_flags_are_told_at_once() -> None:
    assert refusal(requests="x", rate="y").count("\n") == 1


def test_a_token_is_itself_or_a_variable_or_a_file(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("sk-2\n")
    path.chmod(0o600)
    tokens = [read(token=given).token for given in ("123", "env:KEY", f"@{path}", "sk:3")]
    assert [token.reveal() for token in tokens if token is not None] == ["123", "sk-1", "sk-2", "sk:3"]
    assert "sk" not in repr(tokens)


def test_a_profile_stands_for_its_flags_and_those_given_go_first(profiles: str) -> None:
    chosen = read("smoke", profiles, requests="5")
    assert (chosen.requests, chosen.concurrency, chosen.stream) == (5, 2, True)
    assert chosen.token is not None
    assert chosen.token.reveal() == "sk-1"


def test_a_profile_takes_variables_and_lists(profiles: str) -> None:
    chosen = read("night", profiles)
    assert (chosen.base_url, chosen.payload) == ("http://10.0.0.1:8080", ("@a.jsonl", '{"a": 1}'))


def test_a_wrong_key_of_a_profile_is_told_by_file_and_line(profiles: str) -> None:
    assert refusal("wrong", profiles) == f"{profiles}:6: unknown key 'request', did you mean requests?"


def test_a_profile_that_is_not_there_is_told_beside_those_that_are(profiles: str) -> None:
    assert refusal("day", profiles).endswith("has no profile 'day'; it has smoke, night, wrong")


def test_profiles_that_cannot_be_read_are_told_by_their_flag() -> None:
    assert refusal("day", "/nowhere.yaml") == "--profiles: /nowhere.yaml cannot be read: No such file or directory"
