"""The options of the logging server: everything that can be wrong is told before it starts."""

from __future__ import annotations

from pathlib import Path

import pytest
from twisted.python import usage

from netrunner.logserver.retention import Keep
from netrunner.logserver.tap import Options
from netrunner.settings import Secret


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("netrunner.process.limits.raise_descriptors", lambda: 0)


def parsed(*arguments: str) -> Options:
    """Return options that hold nothing any more."""
    options = Options()
    options.parseOptions(list(arguments))
    for bound in options.bound:
        bound.close()
    options.folder.close()
    return options


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        parsed(*arguments)
    assert ended.value.code == 1
    return capsys.readouterr().err


def test_the_folder_is_made_where_it_was_started(tmp_path: Path) -> None:
    options = parsed("--listen", "tcp:0:interface=127.0.0.1")
    assert options.folder.path == tmp_path / "logs"
    assert (options.settings.token, options.settings.max_bytes) == (None, 1 << 30)


def test_several_places_may_be_listened_at(tmp_path: Path) -> None:
    options = parsed("--listen", "tcp:0:interface=127.0.0.1", "--listen", f"unix:{tmp_path}/sock")
    assert [bound.name for bound in options.bound][1] == f"unix:{tmp_path}/sock"


@pytest.mark.parametrize("endpoint", ["tcp:0", "tcp:0:interface=0.0.0.0", "tcp:0:interface=10.0.0.1"])
def test_a_place_that_others_reach_needs_a_token(capsys: pytest.CaptureFixture[str], endpoint: str) -> None:
    assert "needs --token-file" in refused(capsys, "--listen", endpoint)
    assert not Path("logs").exists()


def test_with_a_token_any_place_may_be_listened_at(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret-token\n")
    options = parsed("--listen", "tcp:0:interface=0.0.0.0", "--token-file", "token")
    assert options.settings.token == Secret("secret-token")


@pytest.mark.parametrize("text", ["", "\n", "a\nb", "\x00", "tök"])
def test_a_file_without_a_token_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str) -> None:
    (tmp_path / "token").write_text(text, "utf-8")
    assert "token" in refused(capsys, "--token-file", "token")


def test_a_token_file_that_is_not_there_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert "No such file" in refused(capsys, "--token-file", "nowhere")


def test_an_endpoint_that_is_none_is_refused_with_what_was_expected(capsys: pytest.CaptureFixture[str]) -> None:
    assert "expected an endpoint" in refused(capsys, "--listen", "8081")


@pytest.mark.parametrize("option", ["--max-bytes", "--max-logs"])
@pytest.mark.parametrize("value", ["0", "-1", "x"])
def test_limits_are_numbers_of_at_least_one(option: str, value: str) -> None:
    with pytest.raises(usage.UsageError):
        parsed(option, value)


def test_nothing_is_removed_unless_it_is_said_how_much_is_kept() -> None:
    assert parsed("--listen", "tcp:0:interface=127.0.0.1").settings.keep == Keep()
    kept = parsed("--listen", "tcp:0:interface=127.0.0.1", "--keep-days", "0.5", "--keep-bytes", "1000").settings.keep
    assert kept == Keep(days=0.5, bytes=1000)


@pytest.mark.parametrize(
    ("option", "text"), [("days", "-1"), ("days", "nan"), ("days", "inf"), ("bytes", "-1"), ("bytes", "1.5")]
)
def test_how_much_is_kept_is_a_number(option: str, text: str) -> None:
    with pytest.raises(usage.UsageError):
        parsed(f"--keep-{option}", text)
